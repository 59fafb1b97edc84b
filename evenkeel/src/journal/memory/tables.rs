//! The maps of a store in memory, and what a batch does to them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;

use bytes::Bytes;
use tokio::time::Instant;

use super::notes::Notes;
use super::seen::Seen;
use crate::event::MessageId;
use crate::journal::body::Body;
use crate::journal::row::OUTCOME_KEPT;
use crate::journal::store::{
    Batch, Change, Claims, Committed, DeadRow, Death, Due, Epoch, EventId, EventRow, EventStage, EventState,
    Intake, JobFilter, JobKey, Key, Mark, NewRow, Partition, Parts, ReplyId, ReplyRow, ReplyState, Row,
    Scope, Taken, Verdict, Work,
};
use crate::journal::{Dead, DeadFilter, DeadId, Job};

#[derive(Debug)]
pub(super) struct Tables {
    seen: Seen,
    epoch: Epoch,
    last: u64,
    last_job: u64,
    latest_ms: u64,
    events: BTreeMap<EventId, Event>,
    replies: BTreeMap<ReplyId, Reply>,
    steps: BTreeMap<EventId, BTreeMap<String, Bytes>>,
    values: HashMap<String, BTreeMap<String, Bytes>>,
    cursors: BTreeMap<String, Bytes>,
    jobs: BTreeMap<u64, Job>,
    /// The same jobs by time and number.
    due: BTreeSet<(u64, u64)>,
    names: HashMap<String, u64>,
    commands: BTreeMap<u64, Command>,
    notes: Notes,
}

#[derive(Debug)]
struct Event {
    state: EventState,
    conversation: String,
    death: Option<Death<'static>>,
    body: Body<'static>,
}

#[derive(Debug)]
struct Reply {
    state: ReplyState,
    conversation: String,
    command: String,
    sent_id: Option<MessageId>,
    death: Option<Death<'static>>,
    body: Body<'static>,
}

#[derive(Debug)]
enum Command {
    Waiting(Bytes),
    /// What became of it, and when.
    Executed(String, Instant),
}

impl Tables {
    pub(super) fn new(window: usize) -> Self {
        Self {
            seen: Seen::new(window),
            epoch: Epoch::default(),
            last: 0,
            last_job: 0,
            latest_ms: 0,
            events: BTreeMap::new(),
            replies: BTreeMap::new(),
            steps: BTreeMap::new(),
            values: HashMap::new(),
            cursors: BTreeMap::new(),
            jobs: BTreeMap::new(),
            due: BTreeSet::new(),
            names: HashMap::new(),
            commands: BTreeMap::new(),
            notes: Notes::default(),
        }
    }

    pub(super) fn window(&self) -> usize {
        self.seen.window()
    }

    pub(super) fn notes(&self) -> &Notes {
        &self.notes
    }

    pub(super) fn claim(&mut self) -> Claims {
        self.epoch.0 += 1;
        let cursors = self.cursors.iter().map(|(source, body)| (source.clone(), body.clone())).collect();
        let gained = vec![(Partition::WHOLE, self.epoch)];
        Claims { gained, lost: Vec::new(), cursors, latest_ms: self.latest_ms }
    }

    /// Whether this is the epoch of the present owner.
    pub(super) fn is_owned(&self, partition: Partition, epoch: Epoch) -> bool {
        partition == Partition::WHOLE && epoch == self.epoch
    }

    pub(super) fn load(&self, after: Option<EventId>, limit: usize) -> Vec<(EventId, Parts)> {
        let is_after = |id: &EventId| after.is_none_or(|after| *id > after);
        let events = self.events.iter().filter(|(_, event)| event.state.stage != EventStage::Dead);
        let replies = self.replies.iter().filter(|(_, reply)| reply.state.stage.is_unsent());
        let ids = events.map(|(id, _)| *id).chain(replies.map(|(id, _)| id.event));
        let ids: BTreeSet<EventId> = ids.filter(is_after).collect();
        ids.into_iter().take(limit).map(|id| (id, self.parts(id))).collect()
    }

    pub(super) fn commit(&mut self, batch: &Batch<'_>) -> Committed {
        if let Some(now_ms) = batch.now_ms {
            self.latest_ms = now_ms;
        }
        let intake = batch.intake.iter().map(|intake| self.take(intake)).collect();
        let work = batch.work.iter().map(|work| self.work(work)).collect();
        let cursors = batch.cursors.iter().map(|(source, body)| ((*source).to_owned(), body.clone()));
        self.cursors.extend(cursors);
        Committed { intake, work }
    }

    pub(super) fn job(&self, key: JobKey<'_>) -> Option<Job> {
        let id = match key {
            JobKey::Id(id) => Some(id),
            JobKey::Name(name) => self.names.get(name).copied(),
        };
        id.and_then(|id| self.jobs.get(&id).cloned())
    }

    pub(super) fn jobs(&self, which: &JobFilter<'_>) -> Due {
        if which.partition.is_some_and(|partition| partition != Partition::WHOLE) {
            return (Vec::new(), None);
        }
        let from = which.after.map_or(Bound::Unbounded, Bound::Excluded);
        let rest = self.due.range((from, Bound::Unbounded)).filter_map(|(_, id)| self.jobs.get(id));
        let is_meant = |job: &&Job| which.conversation.is_none_or(|wanted| wanted == job.conversation);
        let mut rest = rest.filter(is_meant).peekable();
        let mut jobs = Vec::new();
        while jobs.len() < which.limit
            && let Some(job) = rest.next_if(|job| job.due_ms <= which.until_ms)
        {
            jobs.push(job.clone());
        }
        (jobs, rest.peek().map(|job| job.due_ms))
    }

    /// The values of one scope, by name.
    pub(super) fn values(&self, scope: &Scope<'_>) -> impl Iterator<Item = (&String, &Bytes)> {
        self.values.get(scope.as_str()).into_iter().flatten()
    }

    /// Commands that nobody has executed.
    pub(super) fn commands(&self) -> Vec<(u64, Bytes)> {
        let waiting = self.commands.iter().filter_map(|(number, command)| match command {
            Command::Waiting(body) => Some((*number, body.clone())),
            Command::Executed(..) => None,
        });
        waiting.collect()
    }

    pub(super) fn outcome(&self, command: u64) -> Option<String> {
        match self.commands.get(&command)? {
            Command::Executed(outcome, _) => Some(outcome.clone()),
            Command::Waiting(_) => None,
        }
    }

    fn work(&mut self, work: &Work<'_>) -> Verdict {
        if !self.is_owned(work.partition, work.epoch) {
            return Verdict::Fenced;
        }
        if let Some(effect) = &work.effect {
            // What it has half done goes with the copy.
            let notes = self.notes.clone();
            match effect.run(&notes) {
                Ok(()) => self.notes = notes,
                Err(error) => return Verdict::EffectFailed(error),
            }
        }
        work.changes.iter().for_each(|change| self.change(change));
        Verdict::Kept(work.intake.iter().map(|intake| self.take(intake)).collect())
    }

    fn take(&mut self, intake: &Intake<'_>) -> Taken {
        if intake.dedupe.as_deref().is_some_and(|id| !self.seen.add(id)) {
            return Taken::Known(0);
        }
        let conversation = intake.conversation.clone().into_owned();
        match &intake.row {
            NewRow::Event { body, state, steps, replies } => {
                let id = self.next();
                if !steps.is_empty() {
                    self.steps.insert(id, steps.iter().cloned().collect());
                }
                for (index, state, sent_id) in replies {
                    let (state, sent_id, death, body) = (*state, sent_id.clone(), None, Body::Empty);
                    let (conversation, command) = (String::new(), String::new());
                    let reply = Reply { state, conversation, command, sent_id, death, body };
                    self.replies.insert(ReplyId { event: id, index: *index }, reply);
                }
                let (state, body) = (*state, body.clone().into_owned());
                self.events.insert(id, Event { state, conversation, death: None, body });
                Taken::New(id.bits())
            }
            NewRow::Reply { body, state, command, more } => {
                let event = self.next();
                let all =
                    std::iter::once((body, state)).chain(more.iter().map(|(body, state)| (body, state)));
                for ((body, state), index) in all.zip(0..) {
                    let (command, body) = (command.clone().into_owned(), body.clone().into_owned());
                    let (state, conversation) = (*state, conversation.clone());
                    let reply = Reply { state, conversation, command, sent_id: None, death: None, body };
                    self.replies.insert(ReplyId { event, index }, reply);
                }
                Taken::New(event.bits())
            }
            NewRow::Job { name, due_ms, body, keeps_due } => {
                if let Some(old) = self.names.get(*name).copied() {
                    if *keeps_due && self.jobs.get(&old).is_some_and(|job| job.body == *body) {
                        return Taken::Known(old);
                    }
                    self.delete(&Key::Job(old));
                }
                self.last_job += 1;
                let (id, name, due_ms) = (self.last_job, (*name).to_owned(), *due_ms);
                self.names.insert(name.clone(), id);
                self.due.insert((due_ms, id));
                self.jobs.insert(id, Job { id, name, conversation, due_ms, body: (*body).clone() });
                Taken::New(id)
            }
            NewRow::Command(body) => {
                let number = self.commands.last_key_value().map_or(1, |(last, _)| last + 1);
                self.commands.insert(number, Command::Waiting(body.clone()));
                Taken::New(number)
            }
        }
    }

    fn next(&mut self) -> EventId {
        self.last += 1;
        EventId::new(Partition::WHOLE, self.last)
    }

    fn change(&mut self, change: &Change<'_>) {
        match change {
            Change::Put(row) => self.put(row),
            Change::Mark(mark) => self.mark(mark),
            Change::Delete(key) => self.delete(key),
        }
    }

    fn put(&mut self, row: &Row<'_>) {
        match row {
            Row::Reply { id, state, conversation, command, sent_id, body } => {
                self.last = self.last.max(id.event.number());
                let (conversation, command) = ((*conversation).to_owned(), (*command).to_owned());
                let (state, sent_id, body) = (*state, sent_id.cloned(), body.clone().into_owned());
                self.replies.insert(*id, Reply { state, conversation, command, sent_id, death: None, body });
            }
            Row::Step(id, name, value) => {
                self.steps.entry(*id).or_default().insert((*name).to_owned(), (*value).clone());
            }
            Row::Value(scope, name, value) => {
                let values = self.values.entry(scope.as_str().to_owned()).or_default();
                values.insert((*name).to_owned(), (*value).clone());
            }
        }
    }

    fn mark(&mut self, mark: &Mark<'_>) {
        match mark {
            Mark::Event(id, state, death) => {
                if let Some(event) = self.events.get_mut(id) {
                    (event.state, event.death) = (*state, death.clone().map(Death::into_owned));
                }
            }
            Mark::Reply(id, state, death) => {
                if let Some(reply) = self.replies.get_mut(id) {
                    (reply.state, reply.death) = (*state, death.clone().map(Death::into_owned));
                    if let Some(death) = death {
                        reply.command = death.command.clone().into_owned();
                    }
                }
            }
            Mark::Job(id, due_ms) => {
                if let Some(job) = self.jobs.get_mut(id) {
                    self.due.remove(&(job.due_ms, *id));
                    self.due.insert((*due_ms, *id));
                    job.due_ms = *due_ms;
                }
            }
            Mark::Command(number, outcome) => {
                let now = Instant::now();
                if let Some(command) = self.commands.get_mut(number) {
                    *command = Command::Executed(outcome.clone(), now);
                }
                self.forget_outcomes(now);
            }
        }
    }

    /// Forgets commands of which nobody waits to hear any more. The last one stays: its number must not be given again.
    fn forget_outcomes(&mut self, now: Instant) {
        while self.commands.len() > 1
            && let Some(first) = self.commands.first_entry()
            && matches!(first.get(), Command::Executed(_, since) if now.duration_since(*since) >= OUTCOME_KEPT)
        {
            first.remove();
        }
    }

    fn delete(&mut self, key: &Key<'_>) {
        match key {
            Key::Event(id) => _ = self.events.remove(id),
            Key::Reply(id) => _ = self.replies.remove(id),
            // They are in the body.
            Key::Files(_) => {}
            Key::Steps(id) => _ = self.steps.remove(id),
            Key::Value(scope, name) => {
                if let Some(values) = self.values.get_mut(scope.as_str()) {
                    values.remove(*name);
                }
            }
            Key::Job(id) => {
                if let Some(job) = self.jobs.remove(id) {
                    self.due.remove(&(job.due_ms, *id));
                    self.names.remove(&job.name);
                }
            }
        }
    }

    pub(super) fn parts(&self, id: EventId) -> Parts {
        let row = |event: &Event| EventRow { id, state: event.state, body: event.body.clone() };
        let of_event = ReplyId { event: id, index: 0 }..=ReplyId { event: id, index: u32::MAX };
        let replies = self.replies.range(of_event).map(|(id, reply)| ReplyRow {
            id: *id,
            state: reply.state,
            command: reply.command.clone(),
            sent_id: reply.sent_id.clone(),
            body: reply.body.clone(),
        });
        let steps = self.steps.get(&id).into_iter().flatten();
        let steps = steps.map(|(name, value)| (name.clone(), value.clone()));
        Parts { event: self.events.get(&id).map(row), replies: replies.collect(), steps: steps.collect() }
    }

    /// The names of the dead letters that are meant, the oldest first.
    pub(super) fn dead(&self, filter: &DeadFilter) -> Vec<DeadId> {
        let events = self.events.iter().filter_map(|(id, event)| {
            let death = event.death.as_ref()?;
            Some((DeadId::Event(id.bits()), death, &event.conversation))
        });
        let replies = self.replies.iter().filter_map(|(id, reply)| {
            let death = reply.death.as_ref()?;
            Some((DeadId::Reply(id.event.bits(), id.index), death, &reply.conversation))
        });
        let meant = events.chain(replies).filter(|(id, death, conversation)| {
            filter.id.is_none_or(|wanted| wanted == *id)
                && filter.command.as_ref().is_none_or(|wanted| *wanted == death.command)
                && filter.reason.is_none_or(|wanted| wanted == death.reason)
                && filter.conversation.as_ref().is_none_or(|wanted| wanted == *conversation)
                && filter.after.is_none_or(|after| after < (death.at_ms, *id))
        });
        let mut meant: Vec<_> = meant.map(|(id, death, _)| (death.at_ms, id)).collect();
        meant.sort_unstable();
        meant.truncate(filter.limit.unwrap_or(usize::MAX));
        meant.into_iter().map(|(_, id)| id).collect()
    }

    pub(super) fn show(&self, id: DeadId) -> Option<Dead> {
        let (death, conversation, attempts, body) = match id {
            DeadId::Event(bits) => {
                let event = self.events.get(&EventId::from_bits(bits))?;
                (event.death.as_ref()?, &event.conversation, event.state.attempts, &event.body)
            }
            DeadId::Reply(bits, index) => {
                let reply = self.replies.get(&ReplyId { event: EventId::from_bits(bits), index })?;
                (reply.death.as_ref()?, &reply.conversation, reply.state.attempts, &reply.body)
            }
        };
        let (conversation, death, body) = (conversation.clone(), death.clone(), body.clone());
        Some(DeadRow { id, conversation, attempts, death, body }.into())
    }
}
