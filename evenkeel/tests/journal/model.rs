//! The journal on a file says what the one in memory says, whatever it is told and whenever it is restarted.

use evenkeel::journal::memory::MemoryJournal;
use evenkeel::journal::sqlite::SqliteJournal;
use evenkeel::journal::{
    Answer, Dead, DeadFilter, DeadId, Entry, EventEntry, Journal, NewJob, OperatorEntry, PendingEvent,
    PendingReply, Query, Reason, Recovered, Replayed, ReplyEntry, Said, Written,
};
use evenkeel::{Event, MessageId};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::made::{Folder, event_in, in_pages, key, outbound};

#[derive(Debug, Clone)]
enum Move {
    Write(Vec<Entry>),
    /// Reads what is left in pages of this many, or all at once.
    Restart {
        is_closed: bool,
        page: Option<usize>,
    },
}

fn sequence() -> impl Strategy<Value = u64> {
    1_u64..8
}

fn reply_key() -> impl Strategy<Value = evenkeel::SendKey> {
    (sequence(), 0_u32..3).prop_map(|(sequence, index)| key(sequence, index))
}

fn time() -> impl Strategy<Value = u64> {
    0_u64..20
}

fn some_event() -> impl Strategy<Value = Event> {
    (0_u32..12, prop_oneof![Just("alice"), Just("bob")])
        .prop_map(|(id, who): (u32, &str)| event_in(&id.to_string(), who))
}

fn reason() -> impl Strategy<Value = Reason> {
    (0..Reason::ALL.len()).prop_map(|at| Reason::ALL[at])
}

fn command() -> impl Strategy<Value = String> {
    prop_oneof![Just("!a".to_owned()), Just("!b".to_owned())]
}

fn dead_id() -> impl Strategy<Value = DeadId> {
    prop_oneof![
        sequence().prop_map(DeadId::Event),
        reply_key().prop_map(|key| DeadId::Reply(key.sequence, key.index)),
    ]
}

fn filter() -> impl Strategy<Value = DeadFilter> {
    let who = option::weighted(0.2, prop_oneof![Just("alice".to_owned()), Just("bob".to_owned())]);
    let parts = (
        option::weighted(0.3, dead_id()),
        option::weighted(0.2, command()),
        option::weighted(0.2, reason()),
        who,
        option::weighted(0.2, (time(), dead_id())),
        option::weighted(0.3, 0_usize..4),
    );
    parts.prop_map(|(id, command, reason, conversation, after, limit)| DeadFilter {
        id,
        command,
        reason,
        conversation,
        after,
        limit,
    })
}

fn of_events() -> impl Strategy<Value = Entry> {
    let name = || prop_oneof![Just("x".to_owned()), Just("y".to_owned())];
    prop_oneof![
        4 => (some_event(), time(), any::<bool>())
            .prop_map(|(event, now_ms, begins)| Entry::Accept { event, now_ms, begins }),
        2 => sequence().prop_map(|sequence| Entry::Event(sequence, EventEntry::Begin)),
        1 => sequence().prop_map(|sequence| Entry::Event(sequence, EventEntry::Suspend)),
        1 => (sequence(), time()).prop_map(|(sequence, due_ms)| Entry::Event(sequence, EventEntry::Retry { due_ms })),
        1 => sequence().prop_map(|sequence| Entry::Event(sequence, EventEntry::Return)),
        2 => sequence().prop_map(|sequence| Entry::Event(sequence, EventEntry::Done)),
        3 => (sequence(), reason(), command(), time()).prop_map(|(sequence, reason, command, now_ms)| {
            Entry::Event(sequence, EventEntry::DeadLetter { reason, error: "e".to_owned(), command, now_ms })
        }),
        2 => (sequence(), name(), any::<u8>()).prop_map(|(sequence, name, value)| {
            Entry::Event(sequence, EventEntry::Step { name, value: vec![value].into() })
        }),
    ]
}

fn of_replies() -> impl Strategy<Value = Entry> {
    prop_oneof![
        4 => (reply_key(), any::<u8>(), command(), any::<bool>()).prop_map(|(key, text, command, begins)| Entry::Promise {
            outbound: outbound(key.sequence, key.index, &text.to_string()),
            command,
            begins,
        }),
        2 => (any::<bool>(), option::of("[xyz]"), 1_u32..3, time()).prop_map(|(begins, id, messages, now_ms)| {
            let outbound = (0..messages).map(|index| outbound(0, index, "said")).collect();
            let said = vec![Said { outbound, id, begins }];
            Entry::Say { said, command: "handle".to_owned(), now_ms }
        }),
        1 => reply_key().prop_map(|key| Entry::Reply(key, ReplyEntry::Sending { is_lazy: true })),
        2 => (reply_key(), option::of(Just("m"))).prop_map(|(key, id)| Entry::Reply(key, ReplyEntry::Sent { id: id.map(MessageId::new) })),
        1 => (reply_key(), time()).prop_map(|(key, due_ms)| Entry::Reply(key, ReplyEntry::Postpone { due_ms })),
        2 => (reply_key(), reason(), command(), time()).prop_map(|(key, reason, command, now_ms)| {
            Entry::Reply(key, ReplyEntry::DeadLetter { reason, error: "e".to_owned(), command, now_ms })
        }),
        1 => reply_key().prop_map(|key| Entry::Reply(key, ReplyEntry::Drop)),
    ]
}

fn of_jobs() -> impl Strategy<Value = Entry> {
    let name = || prop_oneof![Just("x".to_owned()), Just("y".to_owned()), "[a-z]{3}"];
    let conversation = || prop_oneof![Just("a".to_owned()), Just(String::new())];
    prop_oneof![
        3 => (name(), conversation(), time(), 0_u8..3, any::<bool>()).prop_map(
            |(name, conversation, due_ms, body, keeps_due)| {
                Entry::Schedule(NewJob { name, conversation, due_ms, body: vec![body].into(), keeps_due })
            }
        ),
        1 => (name(), option::of(conversation()))
            .prop_map(|(name, conversation)| Entry::Cancel { name, conversation }),
        1 => (time(), 0_usize..4).prop_map(|(until_ms, limit)| Entry::Query(Query::Due { until_ms, limit })),
        1 => (option::of(conversation()), option::of((time(), sequence())), 0_usize..4)
            .prop_map(|(conversation, after, limit)| Entry::Query(Query::Jobs { conversation, after, limit })),
        1 => (option::of(conversation()), option::of((time(), sequence())), 0_usize..4)
            .prop_map(|(conversation, after, limit)| Entry::Query(Query::ListJobs { conversation, after, limit })),
        2 => (sequence(), time(), option::of(some_event()), any::<bool>(), option::of(time()), time()).prop_map(
            |(job, due_ms, event, begins, next_ms, now_ms)| {
                Entry::Fire { job, due_ms, event, begins, next_ms, now_ms }
            }
        ),
    ]
}

fn of_the_rest() -> impl Strategy<Value = Entry> {
    let conversation = || "alice".to_owned();
    prop_oneof![
        option::of(any::<u8>()).prop_map(move |value| Entry::Remember {
            conversation: conversation(),
            name: "x".to_owned(),
            value: value.map(|value| vec![value].into()),
        }),
        Just(()).prop_map(move |()| Entry::Query(Query::Recall {
            conversation: conversation(),
            name: "x".to_owned()
        })),
        filter().prop_map(|filter| Entry::Query(Query::ListDead(filter))),
        filter().prop_map(|filter| Entry::Query(Query::CountDead(filter))),
        (filter(), time())
            .prop_map(|(filter, now_ms)| Entry::Operator(OperatorEntry::Replay { filter, now_ms })),
        filter().prop_map(|filter| Entry::Operator(OperatorEntry::Discard(filter))),
        Just(Entry::Operator(OperatorEntry::Adopt)),
    ]
}

fn entry() -> impl Strategy<Value = Entry> {
    prop_oneof![4 => of_events(), 3 => of_replies(), 2 => of_jobs(), 2 => of_the_rest()]
}

fn some_move() -> impl Strategy<Value = Move> {
    prop_oneof![
        8 => vec(entry(), 1..8).prop_map(Move::Write),
        1 => (any::<bool>(), option::of(1_usize..5))
            .prop_map(|(is_closed, page)| Move::Restart { is_closed, page }),
    ]
}

fn shown_event(event: &Event) -> String {
    serde_json::to_string(event).unwrap()
}

fn shown_pending(event: &PendingEvent) -> String {
    let PendingEvent { sequence, event, attempts, crashes, has_begun, due_ms, is_parked, facts } = event;
    let event = shown_event(event);
    format!("{sequence} {event} {attempts} {crashes} {has_begun} {due_ms} {is_parked} {facts:?}")
}

fn shown_letter(letter: &PendingReply) -> String {
    format!("{letter:?}")
}

fn shown_dead(dead: &Dead) -> String {
    format!("{dead:?} {:?}", dead.event().map(shown_event))
}

fn shown_replayed(replayed: &Replayed) -> String {
    let Replayed { events, replies, anew, unparked, discarded } = replayed;
    let events: Vec<_> = events.iter().map(shown_pending).collect();
    let replies: Vec<_> = replies.iter().map(shown_letter).collect();
    format!("{events:?} {replies:?} {anew:?} {unparked:?} {discarded:?}")
}

async fn shown_answer(answer: Answer) -> String {
    match answer {
        Answer::Dead(dead) => dead.await.unwrap().iter().map(shown_dead).collect::<Vec<_>>().join("\n"),
        Answer::Jobs(jobs) => format!("{:?}", jobs.await.unwrap()),
        Answer::DeadCount(count) => format!("{}", count.await.unwrap()),
        Answer::Replayed(replayed) => shown_replayed(&replayed),
        other => format!("{other:?}"),
    }
}

fn shown_recovered(recovered: &Recovered) -> String {
    let events: Vec<_> = recovered.events.iter().map(shown_pending).collect();
    let replies: Vec<_> = recovered.replies.iter().map(shown_letter).collect();
    format!("{events:?} {replies:?} {:?} {}", recovered.next_job_ms, recovered.latest_ms)
}

async fn compare(moves: Vec<Move>, folder: &Folder) -> Result<(), TestCaseError> {
    let _ = std::fs::remove_file(folder.file());
    let mut model = MemoryJournal::default();
    let mut journal = SqliteJournal::open(folder.file()).unwrap();
    journal.recover().await.unwrap();
    for each in moves {
        match each {
            Move::Write(batch) => {
                let Written(expected) = model.write(batch.clone()).await.unwrap();
                let Written(found) = journal.write(batch).await.unwrap();
                prop_assert_eq!(found.len(), expected.len());
                for ((entry, found), (_, expected)) in found.into_iter().zip(expected) {
                    let (found, expected) = (shown_answer(found).await, shown_answer(expected).await);
                    prop_assert_eq!(found, expected, "to {:?}", entry);
                }
            }
            Move::Restart { is_closed, page } => {
                if is_closed {
                    journal.close().await;
                } else {
                    drop(journal);
                }
                journal = SqliteJournal::open(folder.file()).unwrap();
                let expected = model.recover().await.unwrap();
                let found = match page {
                    Some(limit) => in_pages(&mut journal, limit).await,
                    None => journal.recover().await.unwrap(),
                };
                prop_assert_eq!(shown_recovered(&found), shown_recovered(&expected));
            }
        }
    }
    drop(journal);
    for ending in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{ending}", folder.file().display()));
    }
    Ok(())
}

#[test]
fn both_journals_say_the_same() {
    println!("the seed is proptest's deterministic one");
    let folder = Folder::new("model");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let config = Config { cases: 200, failure_persistence: None, max_shrink_iters: 300, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    runner.run(&vec(some_move(), 1..30), |moves| runtime.block_on(compare(moves, &folder))).unwrap();
}
