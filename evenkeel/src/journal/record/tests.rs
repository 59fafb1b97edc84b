//! Owners that lose the partition at any moment: who hears "fenced" has changed nothing, and all is accounted for.

mod history;
mod thief;

use std::collections::BTreeSet;

use bytes::Bytes;

use super::{Record, at_once};
use crate::error::Result;
use crate::event::{Conversation, Event, Message, MessageId, Sender};
use crate::journal::memory::MemoryStore;
use crate::journal::store::Store;
use crate::journal::{
    DeadFilter, Entry, EventEntry, NewJob, OperatorEntry, Reason, Recovered, ReplyEntry, Written,
};
use crate::reply::{Outbound, Reply, SendKey};
use history::{Ending, History, Unkept};
use thief::{Mistake, Plot, Random, Thief};

/// How many owners there are, of which one is the last to have claimed.
const OWNERS: usize = 3;

const STEPS: u32 = 80;

/// One of several that take themselves for the owner.
struct Owner {
    record: Record<Thief>,
    /// Whether it has begun, and has heard of nothing that ended that.
    is_running: bool,
}

fn event(number: usize) -> Event {
    let (id, who) = (format!("event {number}"), if number.is_multiple_of(2) { "alice" } else { "bob" });
    Event::new(&*id, Conversation::direct(who), Sender::new(who), Message::text(&*id, "words"))
}

fn key(random: &mut Random, owner: &Owner, born: &BTreeSet<u64>) -> SendKey {
    SendKey { sequence: sequence(random, owner, born), index: u32::try_from(random.below(3)).unwrap() }
}

/// Mostly an event that the owner takes for alive.
fn sequence(random: &mut Random, owner: &Owner, born: &BTreeSet<u64>) -> u64 {
    let mut alive: Vec<_> = owner.record.known.keys().map(|id| id.bits()).collect();
    alive.sort_unstable();
    if alive.is_empty() || random.chance(10) {
        alive = born.iter().copied().collect();
    }
    alive.get(random.below(alive.len().max(1))).copied().unwrap_or(1)
}

/// Becomes the owner, and reads all that was left: so little that it is one page.
async fn start<S: Store>(record: &mut Record<S>) -> Result<Recovered> {
    start_by_pages_of(1_000, record).await
}

async fn start_by_pages_of<S: Store>(limit: usize, record: &mut Record<S>) -> Result<Recovered> {
    let mut whole = record.start().await?;
    while whole.has_more {
        let page = record.load(limit, usize::MAX).await?;
        whole.events.extend(page.events);
        whole.replies.extend(page.replies);
        whole.has_more = page.has_more;
    }
    whole.events.sort_by_key(|event| event.sequence);
    Ok(whole)
}

fn promise(key: SendKey, begins: bool) -> Entry {
    let (action, conversation) = (Reply::text("pong").actions()[0].clone(), Conversation::direct("alice"));
    Entry::Promise { outbound: Outbound::new(conversation, action, key), command: "!ping".to_owned(), begins }
}

fn reason(random: &mut Random) -> Reason {
    [Reason::Failed, Reason::Parked, Reason::Panicked][random.below(3)]
}

fn filter(random: &mut Random) -> DeadFilter {
    DeadFilter { reason: random.chance(50).then(|| reason(random)), ..DeadFilter::default() }
}

/// What one owner wants to have written next.
fn entry(random: &mut Random, owner: &Owner, history: &History) -> Entry {
    let born = &history.born;
    let (now_ms, due_ms) = (random.below(90) as u64, random.below(90) as u64);
    let (error, command) = ("no".to_owned(), "!ping".to_owned());
    // Until there is an event, nothing can be said of any.
    let kinds = if born.is_empty() { 6 } else { 27 };
    match random.below(kinds) {
        0..6 => Entry::Accept { event: event(random.below(60)), now_ms, begins: random.chance(50) },
        6 | 7 => Entry::Event(sequence(random, owner, born), EventEntry::Begin),
        8 => Entry::Event(sequence(random, owner, born), EventEntry::Suspend),
        9 => Entry::Event(sequence(random, owner, born), EventEntry::Retry { due_ms }),
        10 => Entry::Event(sequence(random, owner, born), EventEntry::Return),
        11 | 12 => Entry::Event(sequence(random, owner, born), EventEntry::Done),
        13 => {
            let (sequence, reason) = (sequence(random, owner, born), reason(random));
            Entry::Event(sequence, EventEntry::DeadLetter { reason, error, command, now_ms })
        }
        14 => {
            let (sequence, name) =
                (sequence(random, owner, born), ["pay", "ask"][random.below(2)].to_owned());
            Entry::Event(
                sequence,
                EventEntry::Step { name, value: Bytes::from(vec![u8::try_from(random.below(9)).unwrap()]) },
            )
        }
        15..18 => promise(key(random, owner, born), random.chance(50)),
        18 => Entry::Reply(key(random, owner, born), ReplyEntry::Sending { is_lazy: false }),
        19 => Entry::Reply(key(random, owner, born), ReplyEntry::Sent { id: Some(MessageId::new("m")) }),
        20 => Entry::Reply(key(random, owner, born), ReplyEntry::Postpone { due_ms }),
        21 => {
            let (key, reason) = (key(random, owner, born), Reason::Refused);
            Entry::Reply(key, ReplyEntry::DeadLetter { reason, error, command, now_ms })
        }
        22 => Entry::Reply(key(random, owner, born), ReplyEntry::Drop),
        23 => {
            let (conversation, name) = ("alice".to_owned(), "form".to_owned());
            let value = random.chance(70).then(|| Bytes::from(due_ms.to_string()));
            Entry::Remember { conversation, name, value }
        }
        24 => {
            let (name, conversation) = (["x", "y"][random.below(2)].to_owned(), "alice".to_owned());
            let (body, keeps_due) = (Bytes::from_static(b"{}"), random.chance(50));
            Entry::Schedule(NewJob { name, conversation, due_ms, body, keeps_due })
        }
        25 => match history.jobs().next() {
            Some((job, due_ms)) => {
                let event = Some(event(1000 + usize::try_from(job * 100 + due_ms).unwrap()));
                let next_ms = random.chance(50).then_some(due_ms + 1);
                Entry::Fire { job, due_ms, event, begins: random.chance(50), next_ms, now_ms }
            }
            None => Entry::Cancel { name: "x".to_owned(), conversation: None },
        },
        _ if random.chance(60) => Entry::Operator(OperatorEntry::Replay { filter: filter(random), now_ms }),
        _ => Entry::Operator(OperatorEntry::Discard(filter(random))),
    }
}

/// Plays one history, and says what is not as it has to be.
fn play(seed: u64, mistake: Option<Mistake>) -> Result<History, Unkept> {
    let (store, plot) = (MemoryStore::default(), Plot::new(seed, mistake));
    let mut random = Random(seed ^ 0xabcd);
    let mut owners: Vec<_> = (0..OWNERS)
        .map(|_| {
            let record = Record::new(Thief::new(store.clone(), plot.clone()));
            Owner { record, is_running: false }
        })
        .collect();
    let mut history = History::new(store.clone());
    for _ in 0..STEPS {
        let owner = &mut owners[random.below(OWNERS)];
        plot.begin();
        if !owner.is_running {
            let started = at_once(start(&mut owner.record));
            owner.is_running = started.is_ok();
            history.started(started.map_err(|error| Ending::of(&error)), &plot.end())?;
            continue;
        }
        let mut batch: Vec<_> = (0..=random.below(4)).map(|_| entry(&mut random, owner, &history)).collect();
        // A command of the operator's is a commit of its own: then each batch here is one.
        if let Some(place) = batch.iter().position(super::is_command) {
            batch = vec![batch.swap_remove(place)];
        }
        let answered = at_once(owner.record.append(batch.clone()));
        let answered = answered.map(Written::into_answers).map_err(|error| Ending::of(&error));
        // Anyone who hears of a failure lets go of all of it.
        owner.is_running = answered.is_ok();
        history.wrote(&batch, answered, &plot.end())?;
        if owner.is_running && plot.epoch() == owner.record.epoch {
            history.is_known(owner.record.known.iter().map(|(id, known)| (*id, known)))?;
        }
    }
    let mut last = Record::new(store);
    let recovered =
        at_once(start(&mut last)).map_err(|error| Unkept::new("the last start", error.to_string()))?;
    history.ended(&recovered)?;
    Ok(history)
}

#[test]
fn who_hears_fenced_has_changed_nothing_and_all_is_accounted_for() {
    let mut seen = BTreeSet::new();
    for seed in 0..150 {
        println!("seed {seed}");
        let history = play(seed, None).unwrap_or_else(|unkept| panic!("seed {seed}: {unkept}"));
        seen.extend(history.seen);
    }
    let expected =
        ["accepted", "duplicate", "ended", "fenced", "fenced at the start", "lost", "lost and written"];
    let missing: Vec<_> = expected.into_iter().filter(|what| !seen.contains(what)).collect();
    assert!(missing.is_empty(), "no history has come to: {missing:?}");
}

#[test]
fn a_fence_that_nobody_notices_and_a_batch_in_two_are_seen() {
    let mistakes = [
        (Mistake::NoFence, "who is not the owner hears it"),
        (Mistake::FencedWorkSaysKept, "who is not the owner hears it"),
        (Mistake::IntakeOfFencedWorkStays, "who is not the owner brings nothing but events"),
        (Mistake::HalfWritten, "a job that fires becomes an event"),
    ];
    for (mistake, rule) in mistakes {
        let mut unkept = (0..150).filter_map(|seed| play(seed, Some(mistake)).err());
        assert!(unkept.any(|unkept| unkept.rule == rule), "no history shows `{mistake:?}` by: {rule}");
    }
}

#[test]
fn an_owner_that_loses_the_partition_between_its_start_and_its_first_commit_changes_nothing() {
    let store = MemoryStore::default();
    let mut first = Record::new(store.clone());
    at_once(start(&mut first)).unwrap();
    let accepted = Entry::Accept { event: event(1), now_ms: 1, begins: true };
    at_once(first.append(vec![accepted, promise(SendKey { sequence: 9, index: 0 }, false)])).unwrap();
    let before = history::snapshot(&store, 20);

    // It has loaded the event that ran, and would count a crash against it, at once or after it has looked for more of them.
    for limit in [1, 1_000] {
        let mut late = Record::new(Thief::stealing_after_load(store.clone()));
        let error = at_once(start_by_pages_of(limit, &mut late)).unwrap_err();
        assert_eq!(Ending::of(&error), Ending::Fenced);
        assert_eq!(history::snapshot(&store, 20), before);
    }

    // One that had nothing to change at its start hears it at its first commit.
    let mut third = Record::new(store.clone());
    at_once(start(&mut third)).unwrap();
    let before = history::snapshot(&store, 20);
    at_once(Record::new(store.clone()).claim()).unwrap();
    let error = at_once(third.append(vec![
        Entry::Event(1, EventEntry::Done),
        Entry::Reply(SendKey { sequence: 9, index: 0 }, ReplyEntry::Drop),
    ]));
    assert_eq!(Ending::of(&error.unwrap_err()), Ending::Fenced);
    assert_eq!(history::snapshot(&store, 20), before);
}
