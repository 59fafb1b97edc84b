//! What owners did and what is kept, looked at after each step: nothing changes without a cause.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::thief::Deeds;
use crate::error::Error;
use crate::journal::memory::MemoryStore;
use crate::journal::record::at_once;
use crate::journal::rules::Known;
use crate::journal::store::{
    EventId, EventStage, EventState, JobFilter, Partition, Reader, ReplyStage, ReplyState, Scope,
};
use crate::journal::{Acceptance, Answer, Entry, EventEntry, OperatorEntry, Recovered, ReplyEntry};

/// What lies in a store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Name {
    Event(u64),
    Reply(u64, u32),
    Step(u64, String),
    Value(String),
    /// By its name.
    Job(String),
}

/// As it lies there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Thing {
    Event(EventState, String),
    Reply(ReplyState),
    Bytes(Vec<u8>),
    /// Its number, and when it is due.
    Job(u64, u64),
}

impl Thing {
    fn is_dead(&self) -> bool {
        match self {
            Self::Event(state, _) => state.stage.is_dead(),
            Self::Reply(state) => state.stage == ReplyStage::Dead,
            Self::Bytes(_) | Self::Job(..) => false,
        }
    }
}

type Snapshot = BTreeMap<Name, Thing>;

/// All that is in a store, whose events have numbers up to this one.
pub(super) fn snapshot(store: &MemoryStore, last: u64) -> Snapshot {
    let mut store = store.clone();
    let mut all = Snapshot::new();
    for number in 1..=last {
        let parts = at_once(store.parts(EventId::new(Partition::WHOLE, number))).unwrap();
        if let Some(row) = parts.event {
            let id = row.body.into_event().map(|event| event.id().to_owned()).unwrap();
            all.insert(Name::Event(number), Thing::Event(row.state, id));
        }
        for row in parts.replies {
            all.insert(Name::Reply(number, row.id.index), Thing::Reply(row.state));
        }
        for (name, value) in parts.steps {
            all.insert(Name::Step(number, name), Thing::Bytes(value.to_vec()));
        }
    }
    for (name, value) in at_once(store.values(&Scope::conversation("alice"))).unwrap() {
        all.insert(Name::Value(name), Thing::Bytes(value.to_vec()));
    }
    let every =
        JobFilter { partition: None, conversation: None, after: None, until_ms: u64::MAX, limit: usize::MAX };
    for job in at_once(store.jobs(&every)).unwrap().0 {
        all.insert(Name::Job(job.name), Thing::Job(job.id, job.due_ms));
    }
    all
}

/// How a call ended that did not end well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Fenced,
    Lost,
}

impl Ending {
    pub(super) fn of(error: &Error) -> Self {
        if error.to_string().contains("another process owns") { Self::Fenced } else { Self::Lost }
    }
}

/// What is not as it has to be.
#[derive(Debug)]
pub(super) struct Unkept {
    pub(super) rule: &'static str,
    seen: String,
}

impl Unkept {
    pub(super) fn new(rule: &'static str, seen: impl Into<String>) -> Self {
        Self { rule, seen: seen.into() }
    }
}

impl fmt::Display for Unkept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.seen)
    }
}

type Checked = Result<(), Unkept>;

fn rule(is_kept: bool, rule: &'static str, seen: impl FnOnce() -> String) -> Checked {
    if is_kept { Ok(()) } else { Err(Unkept::new(rule, seen())) }
}

/// What has happened so far.
pub(super) struct History {
    store: MemoryStore,
    kept: Snapshot,
    /// The numbers of all events and replayed replies.
    pub(super) born: BTreeSet<u64>,
    /// The ids by which events are known again.
    ids: BTreeSet<String>,
    /// What has gone, each with a cause.
    gone: BTreeSet<Name>,
    /// All events and replies that ever were.
    ever: BTreeSet<Name>,
    /// What has been seen to happen.
    pub(super) seen: BTreeSet<&'static str>,
}

impl History {
    pub(super) fn new(store: MemoryStore) -> Self {
        let (kept, born, ids, gone, ever) = Default::default();
        Self { store, kept, born, ids, gone, ever, seen: BTreeSet::new() }
    }

    /// Jobs, with their numbers and times.
    pub(super) fn jobs(&self) -> impl Iterator<Item = (u64, u64)> {
        self.kept.values().filter_map(|thing| match thing {
            Thing::Job(id, due_ms) => Some((*id, *due_ms)),
            _ => None,
        })
    }

    fn look(&self) -> Snapshot {
        snapshot(&self.store, self.born.last().copied().unwrap_or(0) + 20)
    }

    /// Somebody has started, or tried to.
    pub(super) fn started(&mut self, recovered: Result<Recovered, Ending>, deeds: &Deeds) -> Checked {
        let now = self.look();
        let is_fenced = matches!(recovered, Err(Ending::Fenced));
        for (name, thing) in &self.kept {
            let after = now.get(name);
            // A crash is counted against what ran.
            let may_change = matches!(name, Name::Event(_)) && deeds.is_written && !is_fenced;
            rule(
                after == Some(thing) || after.is_some() && may_change,
                "a start changes nothing else",
                || format!("{name:?}: {thing:?} became {after:?}"),
            )?;
        }
        rule(now.len() == self.kept.len(), "a start brings nothing new", String::new)?;
        rule(
            is_fenced || recovered.is_err() || !deeds.is_stale,
            "who is not the owner hears it",
            String::new,
        )?;
        if is_fenced {
            self.seen.insert("fenced at the start");
        }
        self.kept = now;
        match recovered {
            Ok(recovered) => self.is_recovered(&recovered),
            Err(_) => Ok(()),
        }
    }

    /// What is alive is taken up, with its facts.
    fn is_recovered(&self, recovered: &Recovered) -> Checked {
        let alive =
            |thing: &Thing| matches!(thing, Thing::Event(state, _) if state.stage != EventStage::Dead);
        let expected: Vec<_> = self.numbers(alive);
        let seen: Vec<_> = recovered.events.iter().map(|event| event.sequence).collect();
        rule(seen == expected, "what is alive is taken up", || format!("{seen:?}, not {expected:?}"))?;
        for event in &recovered.events {
            let of = event.sequence;
            let steps = self.kept.keys().filter(|name| matches!(name, Name::Step(event, _) if *event == of));
            let is_fact = |(name, thing): &(&Name, &Thing)| matches!((name, thing), (Name::Reply(event, _), Thing::Reply(state)) if *event == of && !state.stage.is_unsent());
            let facts = steps.count() + self.kept.iter().filter(is_fact).count();
            let seen = event.facts.len();
            rule(seen == facts, "facts survive", || format!("event {of} has {seen} of {facts}"))?;
        }
        let unsent = |thing: &Thing| matches!(thing, Thing::Reply(state) if state.stage.is_unsent());
        let (seen, expected) =
            (recovered.replies.len(), self.kept.values().filter(|thing| unsent(thing)).count());
        rule(seen == expected, "replies that are not sent are taken up", || format!("{seen} of {expected}"))
    }

    fn numbers(&self, which: impl Fn(&Thing) -> bool) -> Vec<u64> {
        let numbers = self.kept.iter().filter_map(|(name, thing)| match name {
            Name::Event(number) if which(thing) => Some(*number),
            _ => None,
        });
        numbers.collect()
    }

    /// Somebody has had a batch written, or tried to.
    pub(super) fn wrote(
        &mut self,
        batch: &[Entry],
        answered: Result<Vec<Answer>, Ending>,
        deeds: &Deeds,
    ) -> Checked {
        let now = self.look();
        let ending = answered.as_ref().err().copied();
        rule(ending.is_some() || !deeds.is_stale, "who is not the owner hears it", || format!("{batch:?}"))?;
        for (name, thing) in &self.kept {
            let after = now.get(name);
            if after == Some(thing) {
                continue;
            }
            let said =
                || format!("{name:?}: {thing:?} became {after:?} by {batch:?}, which ended by {ending:?}");
            rule(!deeds.is_stale, "who is not the owner changes nothing that was there", said)?;
            rule(deeds.is_written, "what did not get to the store changes nothing", said)?;
            let is_caused = batch.iter().any(|entry| self.causes(entry, name, after.is_none(), batch));
            rule(is_caused, "nothing changes or goes without a cause", said)?;
            if after.is_none() {
                self.gone.insert(name.clone());
                self.seen.insert("ended");
            }
        }
        self.is_born(&now, batch, ending, deeds)?;
        self.seen.extend(match ending {
            Some(Ending::Fenced) => Some("fenced"),
            Some(Ending::Lost) if deeds.is_written => Some("lost and written"),
            Some(Ending::Lost) => Some("lost"),
            None => None,
        });
        let before = std::mem::replace(&mut self.kept, now);
        self.is_fired(batch, &before)?;
        self.is_answered(batch, &answered.unwrap_or_default(), &before)
    }

    /// Whether an entry is a reason for something to change, or to go.
    fn causes(&self, entry: &Entry, name: &Name, goes: bool, batch: &[Entry]) -> bool {
        let of = match name {
            Name::Event(event) | Name::Reply(event, _) | Name::Step(event, _) => Some(*event),
            Name::Value(_) | Name::Job(_) => None,
        };
        match (entry, name) {
            (Entry::Operator(OperatorEntry::Replay { .. } | OperatorEntry::Discard(_)), _) => {
                // What dies and is replayed in one batch has a cause of its own for its death.
                let is_dead = |(name, thing): (&Name, &Thing)| {
                    let own =
                        matches!(name, Name::Event(event) | Name::Reply(event, _) if Some(*event) == of);
                    own && thing.is_dead()
                };
                let gives_up = |entry: &Entry| {
                    matches!(
                        entry,
                        Entry::Event(_, EventEntry::DeadLetter { .. })
                            | Entry::Reply(_, ReplyEntry::DeadLetter { .. })
                    )
                };
                let dies = batch.iter().any(|entry| gives_up(entry) && about(entry) == of);
                of.is_some() && (dies || self.kept.iter().any(is_dead))
            }
            (Entry::Remember { name, .. }, Name::Value(own)) => name == own,
            (Entry::Schedule(job), Name::Job(own)) => job.name == *own,
            (Entry::Cancel { name, .. }, Name::Job(own)) => name == own,
            (Entry::Fire { job, .. }, Name::Job(_)) => {
                matches!(self.kept.get(name), Some(Thing::Job(id, _)) if id == job)
            }
            (Entry::Event(sequence, EventEntry::Done), Name::Reply(..)) if goes => {
                let is_fact =
                    matches!(self.kept.get(name), Some(Thing::Reply(state)) if state.stage.is_fact());
                let says_sent = |entry: &Entry| matches!(entry, Entry::Reply(key, ReplyEntry::Sent { .. }) if key.sequence == *sequence);
                Some(*sequence) == of && (is_fact || batch.iter().any(says_sent))
            }
            (Entry::Event(sequence, EventEntry::Done), Name::Event(_) | Name::Step(..)) if goes => {
                Some(*sequence) == of
            }
            (Entry::Reply(key, ReplyEntry::Sent { .. } | ReplyEntry::Drop), Name::Reply(event, index))
                if goes =>
            {
                (key.sequence, key.index) == (*event, *index)
            }
            _ => !goes && of.is_some() && about(entry) == of,
        }
    }

    /// Looks at what is new.
    fn is_born(&mut self, now: &Snapshot, batch: &[Entry], ending: Option<Ending>, deeds: &Deeds) -> Checked {
        let last = self.born.last().copied().unwrap_or(0);
        let is_replay =
            batch.iter().any(|entry| matches!(entry, Entry::Operator(OperatorEntry::Replay { .. })));
        for (name, thing) in now.iter().filter(|(name, _)| !self.kept.contains_key(*name)) {
            let said = || format!("{name:?}: {thing:?} by {batch:?}, which ended by {ending:?}");
            let arrived = |entry: &Entry| matches!((entry, thing), (Entry::Accept { event, .. }, Thing::Event(_, id)) if event.id() == id);
            // Anybody may have events taken in; all else is the owner's.
            let is_open = batch.iter().any(arrived);
            rule(!deeds.is_stale || is_open, "who is not the owner brings nothing but events", said)?;
            rule(
                !self.gone.contains(name)
                    || matches!(name, Name::Value(_) | Name::Job(_) | Name::Reply(..) | Name::Step(..)),
                "no number comes twice",
                said,
            )?;
            match (name, thing) {
                (Name::Event(number), Thing::Event(_, id)) => {
                    rule(*number > last, "numbers rise", || format!("{number} after {last}"))?;
                    let is_again = is_replay
                        && !now.iter().any(|(other, thing)| {
                            other != name && matches!(thing, Thing::Event(_, other) if other == id)
                        });
                    rule(self.ids.insert(id.clone()) || is_again, "an event is accepted once", said)?;
                    self.born.insert(*number);
                }
                (Name::Reply(number, _), _) if *number > last => {
                    rule(is_replay, "a reply has the number of its event", said)?;
                    self.born.insert(*number);
                }
                _ => {}
            }
        }
        let is_counted = |name: &&Name| matches!(name, Name::Event(_) | Name::Reply(..));
        self.ever.extend(now.keys().filter(is_counted).cloned());
        Ok(())
    }

    /// A job that is due moves or goes together with the event that it becomes.
    fn is_fired(&self, batch: &[Entry], before: &Snapshot) -> Checked {
        let others = |entry: &Entry| matches!(entry, Entry::Schedule(_) | Entry::Cancel { .. });
        if batch.iter().any(others) {
            return Ok(());
        }
        for entry in batch {
            let Entry::Fire { job, due_ms, event: Some(event), .. } = entry else { continue };
            let was_due = before.iter().find(|(_, thing)| **thing == Thing::Job(*job, *due_ms));
            let has_fired = was_due.is_some_and(|(name, thing)| self.kept.get(name) != Some(thing));
            let is_there = self.ids.contains(event.id());
            rule(!has_fired || is_there, "a job that fires becomes an event", || format!("{entry:?}"))?;
        }
        Ok(())
    }

    /// Looks at what an owner was told of what came in.
    fn is_answered(&mut self, batch: &[Entry], answers: &[Answer], before: &Snapshot) -> Checked {
        for (entry, answer) in batch.iter().zip(answers) {
            let (Entry::Accept { event, .. } | Entry::Fire { event: Some(event), .. }) = entry else {
                continue;
            };
            match answer {
                Answer::Accepted(Acceptance::New(number)) => {
                    let is_new = !before.contains_key(&Name::Event(*number)) && self.born.contains(number);
                    rule(is_new, "an accepted event is kept under its number", || format!("{number}"))?;
                    self.seen.insert("accepted");
                }
                Answer::Accepted(Acceptance::Duplicate) => {
                    rule(self.ids.contains(event.id()), "a duplicate has come before", || {
                        event.id().to_owned()
                    })?;
                    self.seen.insert("duplicate");
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// What the owner takes for alive stands in the store as it knows it.
    pub(super) fn is_known<'a>(&self, known: impl Iterator<Item = (EventId, &'a Known)>) -> Checked {
        let mut store = self.store.clone();
        for (id, known) in known {
            let parts = at_once(store.parts(id)).unwrap();
            let (seen, expected) = (format!("{known:?}"), format!("{:?}", Known::from(&parts)));
            rule(seen == expected, "an owner knows what is kept", || {
                format!("{id}: {seen}, not {expected}")
            })?;
        }
        Ok(())
    }

    /// At the end, everything is there or has gone with a cause, and what is alive is taken up.
    pub(super) fn ended(&mut self, recovered: &Recovered) -> Checked {
        self.kept = self.look();
        for name in &self.ever {
            let is_there = self.kept.contains_key(name) || self.gone.contains(name);
            rule(is_there, "all is accounted for", || format!("{name:?}"))?;
        }
        self.is_recovered(recovered)
    }
}

/// The event that an entry is about, or that the reply is of which it says something; `None` for all else.
fn about(entry: &Entry) -> Option<u64> {
    match entry {
        Entry::Event(sequence, _) => Some(*sequence),
        Entry::Promise { outbound, .. } => Some(outbound.key.sequence),
        Entry::Reply(key, _) => Some(key.sequence),
        _ => None,
    }
}
