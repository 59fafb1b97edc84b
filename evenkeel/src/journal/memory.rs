//! A journal that remembers while the process lives, and no longer.

mod dead;
mod record;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::future::{Future, Ready, ready};

use bytes::Bytes;

use record::{Death, EventRecord, EventStage, LetterRecord, LetterStage, Seen};

use super::{Acceptance, Answer, Entry, Fact, Job, NewJob, PendingEvent, Reason, Replayed};
use super::{Journal, Recovered, TRANSPORT, Written, latest};
use crate::error::Result;
use crate::event::{Event, MessageId};
use crate::guarantee::Keeping;
use crate::reply::{Outbound, SendKey};

/// How many events are remembered to tell a repeated delivery, unless told otherwise.
const WINDOW: usize = 65_536;

/// Keeps everything in maps; the end of the process forgets it.
///
/// It knows the last 65,536 events again (16 bytes each), or as many as [`MemoryJournal::with_window`] says.
/// Calling [`Journal::recover`] a second time treats what was running as if the process had ended there, so that a test
/// can restart a bot without a file.
pub struct MemoryJournal {
    seen: Seen,
    last: u64,
    last_job: u64,
    latest_ms: u64,
    events: BTreeMap<u64, EventRecord>,
    letters: BTreeMap<(u64, u32), LetterRecord>,
    steps: BTreeMap<(u64, String), Bytes>,
    values: HashMap<(String, String), Bytes>,
    jobs: BTreeMap<u64, NewJob>,
    /// The same jobs by time and number.
    due: BTreeSet<(u64, u64)>,
    names: HashMap<String, u64>,
}

impl Default for MemoryJournal {
    fn default() -> Self {
        Self::with_window(WINDOW)
    }
}

impl fmt::Debug for MemoryJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (events, letters, jobs) = (self.events.len(), self.letters.len(), self.jobs.len());
        write!(f, "MemoryJournal({events} events, {letters} replies, {jobs} jobs)")
    }
}

impl Journal for MemoryJournal {
    type Writing = Ready<Result<Written>>;

    /// Nothing outlives the process.
    fn is_kept(&self) -> bool {
        false
    }

    fn keeping(&self) -> Keeping {
        Keeping::memory(self.seen.window() as u64)
    }

    fn recover(&mut self) -> impl Future<Output = Result<Recovered>> + Send {
        ready(Ok(self.restart()))
    }

    fn write(&mut self, batch: Vec<Entry>) -> Ready<Result<Written>> {
        let answers = batch.iter().map(|entry| self.apply(entry)).collect();
        ready(Ok(Written { batch, answers }))
    }
}

impl MemoryJournal {
    /// Remembers the last `window` events, to know them again.
    pub fn with_window(window: usize) -> Self {
        Self {
            seen: Seen::new(window),
            last: 0,
            last_job: 0,
            latest_ms: 0,
            events: BTreeMap::new(),
            letters: BTreeMap::new(),
            steps: BTreeMap::new(),
            values: HashMap::new(),
            jobs: BTreeMap::new(),
            due: BTreeSet::new(),
            names: HashMap::new(),
        }
    }

    fn restart(&mut self) -> Recovered {
        for record in self.events.values_mut() {
            match record.stage {
                EventStage::Running => {
                    record.crashes += 1;
                    record.stage = EventStage::Ready;
                }
                EventStage::Suspended => record.give_back(),
                EventStage::Ready | EventStage::Dead(_) => {}
            }
        }
        let waiting = |record: &EventRecord| match &record.stage {
            EventStage::Dead(death) => death.reason == Reason::Parked,
            _ => true,
        };
        let numbers = self.events.iter().filter(|(_, record)| waiting(record)).map(|(sequence, _)| *sequence);
        let events = numbers.collect::<Vec<_>>().into_iter().filter_map(|n| self.pending_event(n)).collect();
        let letters = self.letters.values().filter_map(LetterRecord::pending).collect();
        let next_job_ms = self.due.first().map(|(due_ms, _)| *due_ms);
        let of_transport = self.values.iter().filter(|((conversation, _), _)| conversation == TRANSPORT);
        let kept = of_transport.map(|((_, name), value)| (name.clone(), value.clone())).collect();
        Recovered { events, letters, next_job_ms, latest_ms: self.latest_ms, kept }
    }

    /// Answers what only asks; `None` for all else.
    fn look_up(&self, question: &Entry) -> Option<Answer> {
        Some(match question {
            Entry::Recall { conversation, name } => {
                let key = (conversation.clone(), name.clone());
                Answer::Recalled(self.values.get(&key).cloned())
            }
            Entry::Due { until_ms, limit } => self.list_jobs(None, (0, 0), *until_ms, *limit),
            Entry::Jobs { conversation, after, limit } => {
                let from = after.map_or((0, 0), |(due_ms, id)| (due_ms, id + 1));
                self.list_jobs(conversation.as_deref(), from, u64::MAX, *limit)
            }
            Entry::ListDead(filter) => {
                Answer::Dead(self.dead(filter).into_iter().filter_map(|id| self.show(id)).collect())
            }
            Entry::CountDead(filter) => Answer::Count(self.dead(filter).len() as u64),
            Entry::Adopt => Answer::Replayed(Replayed::default()),
            _ => return None,
        })
    }

    fn apply(&mut self, entry: &Entry) -> Answer {
        if let Some(answer) = self.look_up(entry) {
            return answer;
        }
        match entry {
            Entry::Accept { event, now_ms, begins } => {
                return Answer::Accepted(self.accept(event, *now_ms, *begins));
            }
            Entry::Promise { outbound, command, begins } => self.promise(outbound, command, *begins),
            Entry::Sending { key, .. } => self.sending(*key),
            Entry::Sent { key, id } => self.sent(*key, id.as_ref()),
            Entry::Postpone { key, due_ms } => self.with_unsent(*key, |record| {
                record.stage = LetterStage::Pending;
                record.due_ms = *due_ms;
            }),
            Entry::BuryReply { key, reason, error, command, now_ms } => {
                let death = self.death(*reason, error, command, *now_ms);
                self.with_unsent(*key, |record| {
                    record.command.clone_from(command);
                    record.stage = LetterStage::Dead(death);
                });
            }
            Entry::Drop { key } => {
                self.letters.remove(&(key.sequence, key.index));
            }
            Entry::Step { sequence, name, value } => {
                if self.events.contains_key(sequence) {
                    self.steps.entry((*sequence, name.clone())).or_insert_with(|| value.clone());
                }
            }
            Entry::Remember { conversation, name, value } => {
                let key = (conversation.clone(), name.clone());
                match value {
                    Some(value) => drop(self.values.insert(key, value.clone())),
                    None => drop(self.values.remove(&key)),
                }
            }
            Entry::Schedule(job) => return Answer::Scheduled(self.schedule(job)),
            Entry::Cancel { name, conversation } => return self.cancel(name, conversation.as_deref()),
            Entry::Fire { job, due_ms, event, begins, next_ms, now_ms } => {
                self.latest_ms = latest(self.latest_ms, *now_ms);
                if !self.move_job(*job, *due_ms, *next_ms) {
                    return Answer::Count(0);
                }
                return match event {
                    Some(event) => Answer::Accepted(self.accept(event, *now_ms, *begins)),
                    None => Answer::Count(1),
                };
            }
            Entry::Replay { filter, now_ms } => {
                self.latest_ms = latest(self.latest_ms, *now_ms);
                return Answer::Replayed(self.replay(filter));
            }
            Entry::Discard(filter) => return self.discard(filter),
            _ => self.apply_to_event(entry),
        }
        Answer::Noted
    }

    fn cancel(&mut self, name: &str, conversation: Option<&str>) -> Answer {
        let is_meant = |job: &u64| conversation.is_none_or(|own| self.jobs[job].conversation == own);
        let job = self.names.get(name).copied().filter(is_meant);
        Answer::Count(u64::from(job.and_then(|job| self.forget_job(job)).is_some()))
    }

    fn apply_to_event(&mut self, entry: &Entry) {
        match entry {
            Entry::Begin { sequence } => self.with_alive(*sequence, EventRecord::begin),
            Entry::Suspend { sequence } => {
                self.with_alive(*sequence, |record| record.stage = EventStage::Suspended);
            }
            Entry::Retry { sequence, due_ms } => self.with_alive(*sequence, |record| {
                record.stage = EventStage::Ready;
                record.due_ms = *due_ms;
            }),
            Entry::Return { sequence } => self.with_alive(*sequence, EventRecord::give_back),
            Entry::Done { sequence } => self.forget_event(*sequence),
            Entry::Bury { sequence, reason, error, command, now_ms } => {
                let death = self.death(*reason, error, command, *now_ms);
                if let Some(record) = self.events.get_mut(sequence) {
                    record.stage = EventStage::Dead(death);
                }
            }
            _ => unreachable!("all other entries are taken in `apply`"),
        }
    }

    fn accept(&mut self, event: &Event, now_ms: u64, begins: bool) -> Acceptance {
        self.latest_ms = latest(self.latest_ms, now_ms);
        if !self.seen.add(event.id()) {
            return Acceptance::Duplicate;
        }
        self.last += 1;
        let stage = EventStage::Ready;
        let mut record =
            EventRecord { event: event.clone(), stage, attempts: 0, crashes: 0, has_begun: false, due_ms: 0 };
        if begins {
            record.begin();
        }
        self.events.insert(self.last, record);
        Acceptance::New(self.last)
    }

    fn with_alive(&mut self, sequence: u64, change: impl FnOnce(&mut EventRecord)) {
        if let Some(record) = self.events.get_mut(&sequence)
            && !matches!(record.stage, EventStage::Dead(_))
        {
            change(record);
        }
    }

    fn with_unsent(&mut self, key: SendKey, change: impl FnOnce(&mut LetterRecord)) {
        if let Some(record) = self.letters.get_mut(&(key.sequence, key.index))
            && matches!(record.stage, LetterStage::Pending | LetterStage::Sending)
        {
            change(record);
        }
    }

    fn promise(&mut self, outbound: &Outbound, command: &str, begins: bool) {
        let key = outbound.key;
        // Numbers that others made up are not given out again.
        self.last = self.last.max(key.sequence);
        self.letters.entry((key.sequence, key.index)).or_insert_with(|| LetterRecord {
            outbound: outbound.clone(),
            command: command.to_owned(),
            stage: LetterStage::Pending,
            attempts: 0,
            due_ms: 0,
        });
        if begins {
            self.sending(key);
        }
    }

    fn sending(&mut self, key: SendKey) {
        self.with_unsent(key, |record| {
            record.stage = LetterStage::Sending;
            record.attempts += 1;
        });
    }

    fn sent(&mut self, key: SendKey, id: Option<&MessageId>) {
        if self.events.contains_key(&key.sequence) {
            if let Some(record) = self.letters.get_mut(&(key.sequence, key.index)) {
                record.stage = LetterStage::Sent(id.cloned());
            }
        } else {
            self.letters.remove(&(key.sequence, key.index));
        }
    }

    fn death(&mut self, reason: Reason, error: &str, command: &str, at_ms: u64) -> Death {
        self.latest_ms = latest(self.latest_ms, at_ms);
        Death { reason, error: error.to_owned(), command: command.to_owned(), at_ms }
    }

    /// The event with its steps and its sent replies.
    fn forget_event(&mut self, sequence: u64) {
        if self.events.remove(&sequence).is_some() {
            self.take_steps(sequence);
            self.take_sent(sequence);
        }
    }

    fn take_steps(&mut self, sequence: u64) -> Vec<(String, Bytes)> {
        let names: Vec<String> = self.steps_of(sequence).map(|(name, _)| name.clone()).collect();
        let taken = names.into_iter().filter_map(|name| {
            let value = self.steps.remove(&(sequence, name.clone()))?;
            Some((name, value))
        });
        taken.collect()
    }

    fn steps_of(&self, sequence: u64) -> impl Iterator<Item = (&String, &Bytes)> {
        let range = self.steps.range((sequence, String::new())..);
        let own = range.take_while(move |((owner, _), _)| *owner == sequence);
        own.map(|((_, name), value)| (name, value))
    }

    /// Takes the replies of an event that are facts, and answers those that were sent.
    fn take_sent(&mut self, sequence: u64) -> Vec<(u32, LetterRecord)> {
        let of_event = self.letters.range((sequence, 0)..=(sequence, u32::MAX));
        let is_fact =
            |record: &LetterRecord| matches!(record.stage, LetterStage::Sent(_) | LetterStage::Decided);
        let keys: Vec<(u64, u32)> =
            of_event.filter(|(_, record)| is_fact(record)).map(|(key, _)| *key).collect();
        let mut taken: Vec<_> =
            keys.into_iter().filter_map(|key| Some((key.1, self.letters.remove(&key)?))).collect();
        taken.retain(|(_, record)| matches!(record.stage, LetterStage::Sent(_)));
        taken
    }

    fn pending_event(&self, sequence: u64) -> Option<PendingEvent> {
        let record = self.events.get(&sequence)?;
        let steps = self.steps_of(sequence);
        let steps = steps.map(|(name, value)| Fact::Step { name: name.clone(), value: value.clone() });
        let sent =
            self.letters.range((sequence, 0)..=(sequence, u32::MAX)).filter_map(
                |(key, record)| match &record.stage {
                    LetterStage::Sent(id) => Some(Fact::Sent { index: key.1, id: id.clone() }),
                    LetterStage::Dead(_) | LetterStage::Decided => Some(Fact::Buried { index: key.1 }),
                    _ => None,
                },
            );
        Some(PendingEvent {
            sequence,
            event: record.event.clone(),
            attempts: record.attempts,
            crashes: record.crashes,
            has_begun: record.has_begun,
            due_ms: record.due_ms,
            is_parked: matches!(record.stage, EventStage::Dead(_)),
            facts: steps.chain(sent).collect(),
        })
    }

    fn schedule(&mut self, job: &NewJob) -> u64 {
        if let Some(old) = self.names.get(&job.name).copied() {
            if job.keeps_due && self.jobs.get(&old).is_some_and(|kept| kept.body == job.body) {
                return old;
            }
            self.forget_job(old);
        }
        self.last_job += 1;
        self.names.insert(job.name.clone(), self.last_job);
        self.due.insert((job.due_ms, self.last_job));
        self.jobs.insert(self.last_job, job.clone());
        self.last_job
    }

    fn forget_job(&mut self, id: u64) -> Option<NewJob> {
        let job = self.jobs.remove(&id)?;
        self.due.remove(&(job.due_ms, id));
        self.names.remove(&job.name);
        Some(job)
    }

    /// Whether there was such a job, due then.
    fn move_job(&mut self, id: u64, due_ms: u64, next_ms: Option<u64>) -> bool {
        let Some(job) = self.jobs.get_mut(&id).filter(|job| job.due_ms == due_ms) else { return false };
        if let Some(next_ms) = next_ms {
            job.due_ms = next_ms;
            self.due.remove(&(due_ms, id));
            self.due.insert((next_ms, id));
        } else {
            self.forget_job(id);
        }
        true
    }

    fn list_jobs(&self, of: Option<&str>, from: (u64, u64), until_ms: u64, limit: usize) -> Answer {
        let is_meant = |(_, id): &&(u64, u64)| of.is_none_or(|of| self.jobs[id].conversation == of);
        let mut rest = self.due.range(from..).filter(is_meant).peekable();
        let mut jobs = Vec::new();
        while jobs.len() < limit
            && let Some((due_ms, id)) = rest.next_if(|(due_ms, _)| *due_ms <= until_ms)
        {
            let NewJob { name, conversation, body, .. } = self.jobs[id].clone();
            jobs.push(Job { id: *id, name, conversation, due_ms: *due_ms, body });
        }
        Answer::Due { jobs, next_ms: rest.peek().map(|(due_ms, _)| *due_ms) }
    }
}
