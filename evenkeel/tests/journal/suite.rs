//! The promises, one by one, on the journal in memory and on the one on a file.

use evenkeel::journal::memory::MemoryJournal;
use evenkeel::journal::sqlite::SqliteJournal;
use evenkeel::journal::{
    Acceptance, Answer, CompletedEffect, DeadFilter, DeadId, Entry, EventEntry, Journal, NewJob,
    OperatorEntry, PendingReply, Query, Reason, Recovered, ReplyEntry, TRANSPORT,
};
use evenkeel::{File, MessageId, Reply};

use crate::made::{
    Folder, accept, ask, begin_at_once, dead_letter, dead_letter_reply, event, key, listed, number, outbound,
    promise, replayed, reply, write,
};

/// A journal that can be taken away and come back.
trait Restart: Journal {
    async fn restart(self) -> (Self, Recovered)
    where
        Self: Sized;
}

impl Restart for MemoryJournal {
    async fn restart(mut self) -> (Self, Recovered) {
        let recovered = self.recover().await.unwrap();
        (self, recovered)
    }
}

struct OnFile(Option<SqliteJournal>, Folder);

impl Journal for OnFile {
    type Writing = <SqliteJournal as Journal>::Writing;

    fn recover(&mut self) -> impl Future<Output = evenkeel::Result<Recovered>> + Send {
        self.0.as_mut().unwrap().recover()
    }

    fn write(&mut self, batch: Vec<Entry>) -> Self::Writing {
        self.0.as_mut().unwrap().write(batch)
    }
}

impl Restart for OnFile {
    async fn restart(mut self) -> (Self, Recovered) {
        self.0 = None;
        let mut journal = SqliteJournal::open(self.1.file()).unwrap();
        let recovered = journal.recover().await.unwrap();
        self.0 = Some(journal);
        (self, recovered)
    }
}

/// Runs each promise on both.
macro_rules! promises {
    ($(async fn $name:ident($journal:ident) $body:block)*) => {$(
        #[tokio::test]
        async fn $name() {
            async fn check<J: Restart>(mut $journal: J) $body
            check(MemoryJournal::default()).await;
            let folder = Folder::new(stringify!($name));
            let mut journal = SqliteJournal::open(folder.file()).unwrap();
            journal.recover().await.unwrap();
            check(OnFile(Some(journal), folder)).await;
        }
    )*};
}

promises! {
    async fn an_event_is_new_once(journal) {
        let answers = write(&mut journal, vec![accept("a"), accept("a"), accept("b")]).await;
        assert_eq!((number(&answers[0]), number(&answers[2])), (1, 2));
        assert!(matches!(answers[1], Answer::Accepted(Acceptance::Duplicate)));
        write(&mut journal, vec![Entry::Event(1, EventEntry::Done)]).await;
        let (mut journal, _) = journal.restart().await;
        assert!(matches!(ask(&mut journal, accept("a")).await, Answer::Accepted(Acceptance::Duplicate)));
        assert_eq!(number(&ask(&mut journal, accept("c")).await), 3);
    }

    async fn what_is_not_done_comes_back_in_order(journal) {
        write(&mut journal, vec![accept("a"), accept("b"), accept("c")]).await;
        let end = vec![promise(2, 0), promise(2, 1), Entry::Event(2, EventEntry::Done)];
        write(&mut journal, end).await;
        let (_, left) = journal.restart().await;
        let events: Vec<_> = left.events.iter().map(|event| (event.sequence, event.event.id())).collect();
        assert_eq!(events, [(1, "a"), (3, "c")]);
        let replies: Vec<_> = left.replies.iter().map(|letter| letter.outbound.key).collect();
        assert_eq!(replies, [key(2, 0), key(2, 1)]);
        assert_eq!(left.replies[1].outbound, outbound(2, 1, "pong"));
        assert_eq!(left.latest_ms, 1000);
    }

    async fn a_process_that_ends_counts_against_what_was_running(journal) {
        write(&mut journal, vec![begin_at_once("a"), begin_at_once("b"), begin_at_once("c"), accept("d")]).await;
        write(&mut journal, vec![Entry::Event(2, EventEntry::Suspend), Entry::Event(3, EventEntry::Return)]).await;
        let (journal, left) = journal.restart().await;
        let counts: Vec<_> = left.events.iter().map(|event| (event.attempts, event.crashes)).collect();
        assert_eq!(counts, [(1, 1), (0, 0), (0, 0), (0, 0)]);
        let (_, left) = journal.restart().await;
        assert_eq!(left.events[0].crashes, 1, "it was not running this time");
    }

    async fn what_was_suspended_goes_on_without_another_attempt(journal) {
        let steps = vec![begin_at_once("a"), Entry::Event(1, EventEntry::Suspend), Entry::Event(1, EventEntry::Begin)];
        write(&mut journal, steps).await;
        let (_, left) = journal.restart().await;
        assert_eq!((left.events[0].attempts, left.events[0].crashes), (1, 1));
    }

    async fn a_retry_waits_for_its_time(journal) {
        write(&mut journal, vec![begin_at_once("a")]).await;
        write(&mut journal, vec![Entry::Event(1, EventEntry::Retry { due_ms: 5000 })]).await;
        let (_, left) = journal.restart().await;
        let event = &left.events[0];
        assert_eq!((event.attempts, event.crashes, event.due_ms), (1, 0, 5000));
    }

    async fn a_reply_whose_fate_is_open_says_so(journal) {
        let begins = Entry::Promise { outbound: outbound(1, 1, "b"), command: String::new(), begins: true };
        write(&mut journal, vec![promise(1, 0), begins, promise(1, 2)]).await;
        write(&mut journal, vec![Entry::Reply(key(1, 2), ReplyEntry::Sending { is_lazy: true })]).await;
        write(&mut journal, vec![Entry::Reply(key(1, 2), ReplyEntry::Postpone { due_ms: 7000 })]).await;
        let (journal, left) = journal.restart().await;
        let fates: Vec<_> = left.replies.iter().map(|l| (l.is_unknown, l.attempts, l.due_ms)).collect();
        assert_eq!(fates, [(false, 0, 0), (true, 1, 0), (false, 1, 7000)]);
        let (_, left) = journal.restart().await;
        assert!(left.replies[1].is_unknown, "nobody has found out since");
    }

    async fn a_key_that_is_known_keeps_its_reply(journal) {
        write(&mut journal, vec![promise(1, 0)]).await;
        write(&mut journal, vec![Entry::Promise { outbound: outbound(1, 0, "other"), command: String::new(), begins: true }]).await;
        let (_, left) = journal.restart().await;
        assert_eq!(left.replies[0].outbound, outbound(1, 0, "pong"));
        assert!(left.replies[0].is_unknown, "but it begins all the same");
    }

    async fn an_attempt_leaves_facts_until_its_event_is_done(journal) {
        let step = |name: &str, value: &'static str| {
            Entry::Event(1, EventEntry::Step { name: name.to_owned(), value: value.into() })
        };
        write(&mut journal, vec![begin_at_once("a")]).await;
        write(&mut journal, vec![step("pay", "7"), step("pay", "8"), step("ask", "yes")]).await;
        write(&mut journal, vec![promise(1, 0), promise(1, 1)]).await;
        let id = Some(MessageId::new("m1"));
        write(&mut journal, vec![Entry::Reply(key(1, 0), ReplyEntry::Sent { id: id.clone() })]).await;
        let (mut journal, left) = journal.restart().await;
        let fact = |name: &str, value: &'static str| CompletedEffect::Step { name: name.to_owned(), value: value.into() };
        let facts = [fact("ask", "yes"), fact("pay", "7"), CompletedEffect::Sent { index: 0, id }];
        assert_eq!(left.events[0].facts, facts);
        assert_eq!(left.replies.len(), 1, "what was sent is not sent again");
        let sent = Entry::Reply(key(1, 1), ReplyEntry::Sent { id: None });
        write(&mut journal, vec![Entry::Event(1, EventEntry::Done), sent]).await;
        let (mut journal, left) = journal.restart().await;
        assert_eq!((left.events.len(), left.replies.len()), (0, 0));
        write(&mut journal, vec![promise(1, 0)]).await;
        assert_eq!(journal.restart().await.1.replies.len(), 1, "nothing is remembered of it");
    }

    async fn a_reply_keeps_the_name_of_its_command(journal) {
        let replies = |left: &[PendingReply]| left.iter().map(|letter| letter.command.clone()).collect::<Vec<_>>();
        let nobody = Entry::Promise { outbound: outbound(1, 1, "hi"), command: String::new(), begins: false };
        write(&mut journal, vec![promise(1, 0), nobody]).await;
        let (mut journal, left) = journal.restart().await;
        assert_eq!(replies(&left.replies), ["!pong", ""]);
        write(&mut journal, vec![dead_letter_reply(key(1, 0), Reason::Refused)]).await;
        let replay = Entry::Operator(OperatorEntry::Replay { filter: DeadFilter::default(), now_ms: 3000 });
        let again = replayed(ask(&mut journal, replay).await);
        assert_eq!(replies(&again.replies), ["!ping"], "what the list said");
        assert_eq!(replies(&journal.restart().await.1.replies), ["", "!ping"]);
    }

    async fn a_reply_is_dropped_without_a_trace(journal) {
        write(&mut journal, vec![promise(1, 0), Entry::Reply(key(1, 0), ReplyEntry::Drop)]).await;
        assert!(journal.restart().await.1.replies.is_empty());
    }

    async fn files_come_back_as_they_were(journal) {
        let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
        let two = Reply::file(File::new("a.png", "image/png", bytes))
            .with_file(File::new("b.txt", "text/plain", "hello"))
            .with_file(File::new("c", "x/y", ""));
        let outbound = reply(9, 0, &two);
        write(&mut journal, vec![Entry::Promise { outbound: outbound.clone(), command: String::new(), begins: true }]).await;
        let (mut journal, left) = journal.restart().await;
        assert!(left.replies[0].outbound == outbound);
        write(&mut journal, vec![dead_letter_reply(key(9, 0), Reason::Refused)]).await;
        let replay = Entry::Operator(OperatorEntry::Replay { filter: DeadFilter::default(), now_ms: 3000 });
        let again = replayed(ask(&mut journal, replay).await);
        assert!(again.replies[0].outbound.action == outbound.action);
        assert_ne!(again.replies[0].outbound.key, outbound.key);
    }

    async fn values_are_kept_for_a_conversation(journal) {
        let remember = |value: Option<&'static str>| Entry::Remember {
            conversation: "alice".to_owned(),
            name: "form".to_owned(),
            value: value.map(Into::into),
        };
        let recall = || Entry::Query(Query::Recall { conversation: "alice".to_owned(), name: "form".to_owned() });
        assert!(matches!(ask(&mut journal, recall()).await, Answer::Recalled(None)));
        let answers = write(&mut journal, vec![recall(), remember(Some("1")), remember(Some("2"))]).await;
        let last = |answer: &Answer| matches!(answer, Answer::Recalled(Some(value)) if &value[..] == b"2");
        assert!(last(&answers[0]), "a question is answered when all else is written");
        let (mut journal, _) = journal.restart().await;
        assert!(matches!(ask(&mut journal, recall()).await, Answer::Recalled(Some(_))));
        let answers = write(&mut journal, vec![remember(None), recall()]).await;
        assert!(matches!(&answers[1], Answer::Recalled(None)));
    }

    async fn what_a_transport_keeps_is_there_at_the_next_start(journal) {
        let keep = |name: &str, value: Option<&'static str>| Entry::Remember {
            conversation: TRANSPORT.to_owned(),
            name: name.to_owned(),
            value: value.map(Into::into),
        };
        let others = Entry::Remember { conversation: "alice".to_owned(), name: "a".to_owned(), value: Some("0".into()) };
        write(&mut journal, vec![keep("a", Some("1")), keep("b", Some("2")), keep("a", Some("3")), others]).await;
        let (mut journal, mut left) = journal.restart().await;
        left.kept.sort();
        assert_eq!(left.kept, [("a".to_owned(), "3".into()), ("b".to_owned(), "2".into())]);
        write(&mut journal, vec![keep("a", None)]).await;
        assert_eq!(journal.restart().await.1.kept, [("b".to_owned(), "2".into())]);
    }

    async fn jobs_come_due_in_order(journal) {
        let job = |name: &str, due_ms: u64| {
            let (name, conversation) = (name.to_owned(), "kitchen".to_owned());
            Entry::Schedule(NewJob { name, conversation, due_ms, body: "{}".into(), keeps_due: due_ms > 90 })
        };
        let batch = vec![job("a", 30), job("tea", 10), job("b", 20), job("tea", 20), job("tea", 99)];
        write(&mut journal, batch).await;
        let (mut journal, left) = journal.restart().await;
        assert_eq!(left.next_job_ms, Some(20));
        let list = |answer: Answer| match answer {
            Answer::Due { jobs, next_ms } => (jobs.iter().map(|job| job.id).collect::<Vec<_>>(), next_ms),
            other => panic!("{other:?}"),
        };
        let due = |until_ms, limit| Entry::Query(Query::Due { until_ms, limit });
        assert_eq!(list(ask(&mut journal, due(20, 9)).await), (vec![3, 4], Some(30)));
        assert_eq!(list(ask(&mut journal, due(99, 1)).await), (vec![3], Some(20)));
        let after = Some((20, 3));
        let rest = Entry::Query(Query::Jobs { conversation: None, after, limit: 9 });
        assert_eq!(list(ask(&mut journal, rest).await), (vec![4, 1], None));
        let of = |conversation: &str| {
            Entry::Query(Query::Jobs { conversation: Some(conversation.to_owned()), after: None, limit: 9 })
        };
        assert_eq!(list(ask(&mut journal, of("kitchen")).await), (vec![3, 4, 1], None));
        assert_eq!(list(ask(&mut journal, of("cellar")).await), (vec![], None));
        let cancel = |name: &str, conversation: Option<&str>| Entry::Cancel {
            name: name.to_owned(),
            conversation: conversation.map(ToOwned::to_owned),
        };
        let batch = vec![cancel("b", Some("cellar")), cancel("b", None), cancel("none", None)];
        let answers = write(&mut journal, batch).await;
        assert!(matches!(answers[..], [Answer::Count(0), Answer::Count(1), Answer::Count(0)]));
        let answers = write(&mut journal, vec![cancel("a", Some("kitchen"))]).await;
        assert!(matches!(answers[..], [Answer::Count(1)]));
    }

    async fn a_job_fires_once_for_each_time(journal) {
        let job = NewJob {
            name: "one".into(),
            conversation: String::new(),
            due_ms: 10,
            body: "{}".into(),
            keeps_due: false,
        };
        write(&mut journal, vec![Entry::Schedule(job)]).await;
        let fire = |due_ms: u64, next_ms: Option<u64>, id: Option<&str>| {
            let event = id.map(event);
            Entry::Fire { job: 1, due_ms, event, begins: false, next_ms, now_ms: 50 }
        };
        let batch = vec![fire(10, Some(20), Some("a")), fire(10, Some(20), Some("b")), fire(20, Some(30), None)];
        let answers = write(&mut journal, batch).await;
        assert_eq!(number(&answers[0]), 1);
        assert!(matches!(answers[1..], [Answer::Count(0), Answer::Count(1)]));
        let (mut journal, left) = journal.restart().await;
        assert_eq!((left.events.len(), left.next_job_ms), (1, Some(30)));
        let answers = write(&mut journal, vec![fire(30, None, Some("c")), fire(30, None, Some("d"))]).await;
        assert_eq!(number(&answers[0]), 2);
        assert!(matches!(answers[1], Answer::Count(0)));
    }

    async fn dead_letters_are_listed_as_asked(journal) {
        write(&mut journal, vec![begin_at_once("a"), begin_at_once("b"), accept("c"), promise(9, 1)]).await;
        let batch = vec![
            dead_letter(1, Reason::Failed), dead_letter(2, Reason::Panicked), dead_letter(3, Reason::Parked),
            dead_letter_reply(key(9, 1), Reason::Refused),
        ];
        write(&mut journal, batch).await;
        let (mut journal, left) = journal.restart().await;
        assert!(left.events.len() == 1 && left.events[0].is_parked, "a parked event holds its place");
        assert!(left.replies.is_empty());
        let mut cases = Vec::new();
        let (one, two, three) = (DeadId::Event(1), DeadId::Event(2), DeadId::Event(3));
        let nine = DeadId::Reply(9, 1);
        cases.push((DeadFilter::default(), vec![one, two, three, nine]));
        cases.push((DeadFilter { limit: Some(2), ..DeadFilter::default() }, vec![one, two]));
        cases.push((DeadFilter { after: Some((2000, two)), ..DeadFilter::default() }, vec![three, nine]));
        cases.push((DeadFilter { after: Some((2000, nine)), ..DeadFilter::default() }, vec![]));
        cases.push((DeadFilter { id: Some(nine), ..DeadFilter::default() }, vec![nine]));
        cases.push((DeadFilter { id: Some(two), ..DeadFilter::default() }, vec![two]));
        cases.push((DeadFilter { id: Some(two), after: Some((2000, nine)), ..DeadFilter::default() }, vec![]));
        cases.push((DeadFilter { reason: Some(Reason::Refused), ..DeadFilter::default() }, vec![nine]));
        cases.push((DeadFilter { command: Some("!pong".to_owned()), ..DeadFilter::default() }, vec![]));
        let alice = Some("alice".to_owned());
        cases.push((DeadFilter { conversation: alice, limit: Some(9), ..DeadFilter::default() }, vec![one, two, three, nine]));
        for (filter, expected) in cases {
            let dead = listed(&mut journal, filter.clone()).await;
            assert_eq!(dead.iter().map(|dead| dead.id).collect::<Vec<_>>(), expected, "{filter:?}");
        }
        let dead = listed(&mut journal, DeadFilter::default()).await;
        assert_eq!((dead[0].attempts, dead[0].at_ms, &*dead[0].error, &*dead[0].command), (1, 2000, "no", "!ping"));
        assert_eq!(dead[0].event().map(evenkeel::Event::id), Some("a"));
        assert_eq!(dead[3].reply(), Some(&outbound(9, 1, "pong")));
    }

    async fn a_replay_gives_another_chance_at_the_end(journal) {
        let step = Entry::Event(1, EventEntry::Step { name: "pay".to_owned(), value: "7".into() });
        write(&mut journal, vec![begin_at_once("a"), begin_at_once("b"), promise(8, 3)]).await;
        write(&mut journal, vec![step, promise(1, 0), Entry::Reply(key(1, 0), ReplyEntry::Sent { id: None })]).await;
        let dead = vec![dead_letter(1, Reason::Failed), dead_letter(2, Reason::Parked), dead_letter_reply(key(8, 3), Reason::Unknown)];
        write(&mut journal, dead).await;
        let replay = Entry::Operator(OperatorEntry::Replay { filter: DeadFilter::default(), now_ms: 3000 });
        let again = replayed(ask(&mut journal, replay).await);
        let events: Vec<_> = again.events.iter().map(|e| (e.sequence, e.attempts, e.facts.len())).collect();
        assert_eq!(events, [(9, 0, 2)]);
        assert_eq!(again.replies[0].outbound.key, key(10, 0));
        assert_eq!(again.unparked, [2]);
        let (mut journal, left) = journal.restart().await;
        let events: Vec<_> = left.events.iter().map(|e| (e.sequence, e.is_parked, e.facts.len())).collect();
        assert_eq!(events, [(2, false, 0), (9, false, 2)]);
        assert_eq!(left.replies.len(), 1);
        let dead = listed(&mut journal, DeadFilter::default()).await;
        assert!(dead.is_empty());
        assert!(matches!(ask(&mut journal, accept("a")).await, Answer::Accepted(Acceptance::Duplicate)));
    }

    async fn a_dead_reply_that_is_taken_away_is_known_to_the_next_attempt(journal) {
        journal.recover().await.unwrap();
        write(&mut journal, vec![begin_at_once("a"), begin_at_once("b"), begin_at_once("c")]).await;
        for (sequence, index) in [(1, 0), (1, 1), (2, 0), (3, 0)] {
            write(&mut journal, vec![promise(sequence, index), dead_letter_reply(key(sequence, index), Reason::Unknown)]).await;
        }
        let one = |id| DeadFilter { id: Some(id), ..DeadFilter::default() };
        // What becomes of the reply of a dead event is nobody's business any more.
        let discard = |id| Entry::Operator(OperatorEntry::Discard(one(id)));
        write(&mut journal, vec![dead_letter(3, Reason::Failed), discard(DeadId::Reply(3, 0))]).await;
        write(&mut journal, vec![discard(DeadId::Reply(1, 0))]).await;
        let replay = Entry::Operator(OperatorEntry::Replay { filter: one(DeadId::Reply(1, 1)), now_ms: 3000 });
        assert_eq!(replayed(ask(&mut journal, replay).await).replies[0].outbound.key, key(4, 0));
        write(&mut journal, vec![Entry::Reply(key(4, 0), ReplyEntry::Sent { id: None })]).await;
        let (mut journal, left) = journal.restart().await;
        let facts: Vec<_> = left.events.iter().map(|event| (event.sequence, event.facts.clone())).collect();
        let dead = |index| CompletedEffect::DeadLettered { index };
        assert_eq!(facts, [(1, vec![dead(0), dead(1)]), (2, vec![dead(0)])]);
        assert!(left.replies.is_empty());
        let dead = listed(&mut journal, DeadFilter::default()).await;
        assert_eq!(dead.iter().map(|dead| dead.id).collect::<Vec<_>>(), [DeadId::Event(3), DeadId::Reply(2, 0)]);
        // With the event, the fact is gone: its replay has all replies to send.
        write(&mut journal, vec![dead_letter(1, Reason::Failed)]).await;
        let replay = Entry::Operator(OperatorEntry::Replay { filter: one(DeadId::Event(1)), now_ms: 3000 });
        assert_eq!(replayed(ask(&mut journal, replay).await).events[0].facts, []);
    }

    async fn a_dead_event_takes_its_dead_replies_along(journal) {
        journal.recover().await.unwrap();
        write(&mut journal, vec![begin_at_once("a"), begin_at_once("b"), begin_at_once("c")]).await;
        for (sequence, index) in [(1, 0), (1, 1 << 31), (2, 0), (3, 0)] {
            write(&mut journal, vec![promise(sequence, index), dead_letter_reply(key(sequence, index), Reason::Refused)]).await;
        }
        // A reply of an event that is done was promised by its end, and is its own; a parked event keeps its facts.
        let ends = vec![dead_letter(1, Reason::Failed), Entry::Event(2, EventEntry::Done), dead_letter(3, Reason::Parked)];
        write(&mut journal, ends).await;
        let replay = Entry::Operator(OperatorEntry::Replay { filter: DeadFilter::default(), now_ms: 3000 });
        let again = replayed(ask(&mut journal, replay).await);
        assert_eq!(again.events.iter().map(|event| (event.sequence, event.facts.len())).collect::<Vec<_>>(), [(4, 0)]);
        assert_eq!(again.anew, [DeadId::Reply(1, 0), DeadId::Reply(1, 1 << 31)]);
        assert_eq!(again.replies.iter().map(|letter| letter.outbound.key).collect::<Vec<_>>(), [key(5, 0), key(6, 0)]);
        assert_eq!(again.unparked, [3]);
        let (mut journal, left) = journal.restart().await;
        let facts: Vec<_> = left.events.iter().map(|event| (event.sequence, event.facts.clone())).collect();
        assert_eq!(facts, [(3, vec![CompletedEffect::DeadLettered { index: 0 }]), (4, vec![])]);
        assert_eq!(left.replies.len(), 2);

        // By its name alone, as well; and a reply alone goes without its event.
        let one = |id| DeadFilter { id: Some(id), ..DeadFilter::default() };
        for index in [0, 1] {
            write(&mut journal, vec![promise(4, index), dead_letter_reply(key(4, index), Reason::Unknown)]).await;
        }
        write(&mut journal, vec![dead_letter(4, Reason::Failed)]).await;
        let replay = Entry::Operator(OperatorEntry::Replay { filter: one(DeadId::Reply(4, 0)), now_ms: 3000 });
        let again = replayed(ask(&mut journal, replay).await);
        assert_eq!((again.events.len(), again.replies.len(), again.anew), (0, 1, vec![]));
        let replay = Entry::Operator(OperatorEntry::Replay { filter: one(DeadId::Event(4)), now_ms: 3000 });
        let again = replayed(ask(&mut journal, replay).await);
        assert_eq!((again.events.len(), again.replies.len(), again.anew), (1, 0, vec![DeadId::Reply(4, 1)]));
        let dead = listed(&mut journal, DeadFilter::default()).await;
        assert!(dead.is_empty());
    }

    async fn what_is_discarded_is_gone(journal) {
        write(&mut journal, vec![accept("a"), accept("b"), promise(8, 3)]).await;
        let dead = vec![dead_letter(1, Reason::Failed), dead_letter(2, Reason::Parked), dead_letter_reply(key(8, 3), Reason::Unknown)];
        write(&mut journal, dead).await;
        let answer = ask(&mut journal, Entry::Operator(OperatorEntry::Discard(DeadFilter::default()))).await;
        assert!(matches!(answer, Answer::Discarded { count: 3, unparked } if unparked == [2]));
        let (_, left) = journal.restart().await;
        assert_eq!((left.events.len(), left.replies.len()), (0, 0));
    }

    async fn what_nobody_knows_is_no_error(journal) {
        let batch = vec![
            Entry::Event(7, EventEntry::Begin), Entry::Event(7, EventEntry::Suspend), Entry::Event(7, EventEntry::Return),
            Entry::Event(7, EventEntry::Retry { due_ms: 1 }), Entry::Event(7, EventEntry::Done), dead_letter(7, Reason::Failed),
            Entry::Event(7, EventEntry::Step { name: "a".to_owned(), value: "b".into() }),
            Entry::Reply(key(7, 7), ReplyEntry::Sending { is_lazy: true }),
            Entry::Reply(key(7, 7), ReplyEntry::Sent { id: None }),
            Entry::Reply(key(7, 7), ReplyEntry::Postpone { due_ms: 1 }), dead_letter_reply(key(7, 7), Reason::Failed),
            Entry::Reply(key(7, 7), ReplyEntry::Drop),
        ];
        let answers = write(&mut journal, batch).await;
        assert!(answers.iter().all(|answer| matches!(answer, Answer::Noted)), "{answers:?}");
        let (_, left) = journal.restart().await;
        assert_eq!((left.events.len(), left.replies.len()), (0, 0));
    }
}
