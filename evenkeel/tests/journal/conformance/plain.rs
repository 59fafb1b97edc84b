//! A store as plain as can be, in several partitions: one sorted map, copied for each batch.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use evenkeel::guarantee::Durability;
use evenkeel::journal::store::{
    Batch, Body, Change, Claims, Committed, DeadRow, Death, Due, Epoch, EventId, EventRow, EventStage,
    EventState, Intake, JobFilter, JobKey, Key, Loaded, Mark, NewRow, Partition, Parts, Reader, ReplyId,
    ReplyRow, ReplyState, Row, Scope, Store, Taken, Verdict, Work,
};
use evenkeel::journal::{Dead, DeadFilter, DeadId, Job};
use evenkeel::{MessageId, Result};

/// Where something lies.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    Event(EventId),
    Reply(ReplyId),
    Step(EventId, String),
    Value(String, String),
    Job(u64),
    Command(u64),
    Cursor(String),
    Seen(String),
    /// The last number that was given out: of events in a partition, of jobs or of commands.
    Last(u32),
}

/// What lies there.
#[derive(Clone, Debug)]
enum Thing {
    Event(EventState, String, Option<Death<'static>>, Bytes),
    Reply(ReplyState, String, String, Option<MessageId>, Option<Death<'static>>, (Bytes, Bytes)),
    Job(Job),
    Command(Bytes, Option<String>),
    Bytes(Bytes),
    Number(u64),
}

const JOBS: u32 = 1 << 20;
const COMMANDS: u32 = JOBS + 1;

#[derive(Clone, Debug)]
struct Map {
    things: BTreeMap<Name, Thing>,
    partitions: u16,
    epoch: Epoch,
    latest_ms: u64,
}

/// Clones show the same.
#[derive(Clone, Debug)]
pub(super) struct Plain(Arc<Mutex<Map>>);

impl Plain {
    pub(super) fn new(partitions: u16) -> Self {
        let map = Map { things: BTreeMap::new(), partitions, epoch: Epoch(0), latest_ms: 0 };
        Self(Arc::new(Mutex::new(map)))
    }

    fn map(&self) -> MutexGuard<'_, Map> {
        self.0.lock().unwrap()
    }
}

fn written(body: &Body<'_>) -> (Bytes, Bytes) {
    let mut text = Vec::new();
    let files = body.write(&mut text).unwrap_or_default();
    (text.into(), files.into())
}

fn body((text, files): &(Bytes, Bytes)) -> Body<'static> {
    Body::Written { text: text.clone(), files: files.clone() }
}

impl Map {
    fn commit(&mut self, batch: &Batch<'_>) -> Committed {
        self.latest_ms = batch.now_ms.unwrap_or(self.latest_ms);
        for (source, body) in &batch.cursors {
            self.things.insert(Name::Cursor((*source).to_owned()), Thing::Bytes(body.clone()));
        }
        let intake = batch.intake.iter().map(|intake| self.take(intake)).collect();
        let work = batch.work.iter().map(|work| self.work(work)).collect();
        Committed { intake, work }
    }

    fn is_owned(&self, partition: Partition, epoch: Epoch) -> bool {
        epoch == self.epoch && partition.0 < self.partitions
    }

    fn work(&mut self, work: &Work<'_>) -> Verdict {
        if !self.is_owned(work.partition, work.epoch) {
            return Verdict::Fenced;
        }
        if let Some(effect) = &work.effect {
            return Verdict::EffectFailed(effect.kind().unknown());
        }
        for change in &work.changes {
            match change {
                Change::Put(row) => self.put(row),
                Change::Mark(mark) => self.mark(mark),
                Change::Delete(key) => self.delete(key),
            }
        }
        Verdict::Kept(work.intake.iter().map(|intake| self.take(intake)).collect())
    }

    fn next(&mut self, of: u32) -> u64 {
        let Thing::Number(last) = self.things.entry(Name::Last(of)).or_insert(Thing::Number(0)) else {
            unreachable!("it is a number")
        };
        *last += 1;
        *last
    }

    fn take(&mut self, intake: &Intake<'_>) -> Taken {
        if let Some(key) = &intake.dedupe
            && self.things.insert(Name::Seen(key.clone().into_owned()), Thing::Number(0)).is_some()
        {
            return Taken::Known(0);
        }
        let conversation = intake.conversation.clone().into_owned();
        let partition = Partition::of(&conversation, self.partitions);
        match &intake.row {
            NewRow::Event { body, state, steps, replies } => {
                let id = EventId::new(partition, self.next(partition.0.into()));
                let event = Thing::Event(*state, conversation, None, written(body).0);
                self.things.insert(Name::Event(id), event);
                steps.iter().for_each(|(name, value)| self.put(&Row::Step(id, name, value)));
                for (index, state, sent_id) in replies {
                    let (id, state, sent_id) =
                        (ReplyId { event: id, index: *index }, *state, sent_id.as_ref());
                    let (conversation, command, body) = ("", "", Body::Empty);
                    self.put(&Row::Reply { id, state, conversation, command, sent_id, body });
                }
                Taken::New(id.bits())
            }
            NewRow::Reply { body, state, command, more } => {
                let id = EventId::new(partition, self.next(partition.0.into()));
                let all =
                    std::iter::once((body, state)).chain(more.iter().map(|(body, state)| (body, state)));
                for ((body, state), index) in all.zip(0..) {
                    let (conversation, command) = (conversation.clone(), command.clone().into_owned());
                    let reply = Thing::Reply(*state, conversation, command, None, None, written(body));
                    self.things.insert(Name::Reply(ReplyId { event: id, index }), reply);
                }
                Taken::New(id.bits())
            }
            NewRow::Job { name, due_ms, body, keeps_due } => {
                let old = self.jobs().find(|job| job.name == *name).map(|old| (old.id, old.body == *body));
                if let Some((id, is_same)) = old {
                    if *keeps_due && is_same {
                        return Taken::Known(id);
                    }
                    self.delete(&Key::Job(id));
                }
                let (id, name, body) = (self.next(JOBS), (*name).to_owned(), (*body).clone());
                let job = Job { id, name, conversation, due_ms: *due_ms, body };
                self.things.insert(Name::Job(id), Thing::Job(job));
                Taken::New(id)
            }
            NewRow::Command(body) => {
                let number = self.next(COMMANDS);
                self.things.insert(Name::Command(number), Thing::Command(body.clone(), None));
                Taken::New(number)
            }
        }
    }

    fn put(&mut self, row: &Row<'_>) {
        let (name, thing) = match row {
            Row::Reply { id, state, conversation, command, sent_id, body } => {
                let last = Name::Last(id.event.partition().0.into());
                let known = self.things.get(&last);
                if !matches!(known, Some(Thing::Number(known)) if *known >= id.event.number()) {
                    self.things.insert(last, Thing::Number(id.event.number()));
                }
                let (conversation, command) = ((*conversation).to_owned(), (*command).to_owned());
                let thing =
                    Thing::Reply(*state, conversation, command, sent_id.cloned(), None, written(body));
                (Name::Reply(*id), thing)
            }
            Row::Step(id, name, value) => {
                (Name::Step(*id, (*name).to_owned()), Thing::Bytes((*value).clone()))
            }
            Row::Value(scope, name, value) => {
                (Name::Value(scope.as_str().to_owned(), (*name).to_owned()), Thing::Bytes((*value).clone()))
            }
        };
        self.things.insert(name, thing);
    }

    fn mark(&mut self, mark: &Mark<'_>) {
        let name = match mark {
            Mark::Event(id, ..) => Name::Event(*id),
            Mark::Reply(id, ..) => Name::Reply(*id),
            Mark::Job(id, _) => Name::Job(*id),
            Mark::Command(number, _) => Name::Command(*number),
        };
        match (self.things.get_mut(&name), mark) {
            (Some(Thing::Event(state, _, death, _)), Mark::Event(_, now, now_death)) => {
                (*state, *death) = (*now, now_death.clone().map(Death::into_owned));
            }
            (Some(Thing::Reply(state, _, command, _, death, _)), Mark::Reply(_, now, now_death)) => {
                (*state, *death) = (*now, now_death.clone().map(Death::into_owned));
                if let Some(death) = death {
                    *command = death.command.clone().into_owned();
                }
            }
            (Some(Thing::Job(job)), Mark::Job(_, due_ms)) => job.due_ms = *due_ms,
            (Some(Thing::Command(_, outcome)), Mark::Command(_, now)) => *outcome = Some(now.clone()),
            _ => {}
        }
    }

    fn delete(&mut self, key: &Key<'_>) {
        let name = match key {
            Key::Event(id) => Name::Event(*id),
            Key::Reply(id) => Name::Reply(*id),
            Key::Files(_) => return,
            Key::Steps(id) => {
                return self.things.retain(|name, _| !matches!(name, Name::Step(of, _) if of == id));
            }
            Key::Value(scope, name) => Name::Value(scope.as_str().to_owned(), (*name).to_owned()),
            Key::Job(id) => Name::Job(*id),
        };
        self.things.remove(&name);
    }

    fn jobs(&self) -> impl Iterator<Item = &Job> {
        let jobs = self.things.range(Name::Job(0)..=Name::Job(u64::MAX));
        jobs.filter_map(|(_, thing)| if let Thing::Job(job) = thing { Some(job) } else { None })
    }

    fn parts(&self, id: EventId) -> Parts {
        let mut parts = Parts::default();
        if let Some(Thing::Event(state, _, _, text)) = self.things.get(&Name::Event(id)) {
            let body = Body::Written { text: text.clone(), files: Bytes::new() };
            parts.event = Some(EventRow { id, state: *state, body });
        }
        let reply = |index| Name::Reply(ReplyId { event: id, index });
        for (name, thing) in self.things.range(reply(0)..=reply(u32::MAX)) {
            let (Name::Reply(id), Thing::Reply(state, _, command, sent_id, _, bytes)) = (name, thing) else {
                continue;
            };
            let (command, sent_id, body) = (command.clone(), sent_id.clone(), body(bytes));
            parts.replies.push(ReplyRow { id: *id, state: *state, command, sent_id, body });
        }
        for (name, thing) in self.things.range(Name::Step(id, String::new())..) {
            let (Name::Step(of, name), Thing::Bytes(value)) = (name, thing) else { break };
            if *of != id {
                break;
            }
            parts.steps.push((name.clone(), value.clone()));
        }
        parts
    }

    fn dead(&self, filter: &DeadFilter) -> Vec<Dead> {
        let dead = self.things.iter().filter_map(|(name, thing)| {
            let row = match (name, thing) {
                (Name::Event(id), Thing::Event(state, conversation, Some(death), text)) => {
                    let body = Body::Written { text: text.clone(), files: Bytes::new() };
                    (DeadId::Event(id.bits()), conversation, state.attempts, death, body)
                }
                (Name::Reply(id), Thing::Reply(state, conversation, _, _, Some(death), bytes)) => {
                    let id = DeadId::Reply(id.event.bits(), id.index);
                    (id, conversation, state.attempts, death, body(bytes))
                }
                _ => return None,
            };
            let (id, conversation, attempts, death, body) = row;
            let (conversation, death) = (conversation.clone(), death.clone());
            Some(Dead::from(DeadRow { id, conversation, attempts, death, body }))
        });
        let is_meant = |dead: &Dead| {
            filter.id.is_none_or(|id| id == dead.id)
                && filter.command.as_ref().is_none_or(|command| *command == dead.command)
                && filter.reason.is_none_or(|reason| reason == dead.reason)
                && filter.conversation.as_ref().is_none_or(|who| *who == dead.conversation)
                && filter.after.is_none_or(|after| after < (dead.at_ms, dead.id))
        };
        let mut dead: Vec<_> = dead.filter(is_meant).collect();
        dead.sort_by_key(|dead| (dead.at_ms, dead.id));
        dead.truncate(filter.limit.unwrap_or(usize::MAX));
        dead
    }
}

impl Store for Plain {
    type Reader = Self;

    async fn claim(&mut self) -> Result<Claims> {
        let mut map = self.map();
        map.epoch.0 += 1;
        let gained = (0..map.partitions).map(|partition| (Partition(partition), map.epoch)).collect();
        let cursors = map.things.iter().filter_map(|(name, thing)| match (name, thing) {
            (Name::Cursor(source), Thing::Bytes(body)) => Some((source.clone(), body.clone())),
            _ => None,
        });
        let mut claims = Claims::default();
        (claims.gained, claims.cursors, claims.latest_ms) = (gained, cursors.collect(), map.latest_ms);
        Ok(claims)
    }

    async fn load(
        &mut self,
        partition: Partition,
        epoch: Epoch,
        after: Option<EventId>,
        limit: usize,
    ) -> Result<Loaded> {
        let map = self.map();
        if !map.is_owned(partition, epoch) {
            return Ok(Loaded::Fenced);
        }
        let mut ids: Vec<_> = map
            .things
            .iter()
            .filter_map(|(name, thing)| match (name, thing) {
                (Name::Event(id), Thing::Event(state, ..)) if state.stage != EventStage::Dead => Some(*id),
                (Name::Reply(id), Thing::Reply(state, ..)) if state.stage.is_unsent() => Some(id.event),
                _ => None,
            })
            .filter(|id| id.partition() == partition && after.is_none_or(|after| *id > after))
            .collect();
        ids.sort_unstable();
        ids.dedup();
        Ok(Loaded::Read(ids.into_iter().take(limit).map(|id| (id, map.parts(id))).collect()))
    }

    async fn commit(&mut self, batch: &Batch<'_>) -> Result<Committed> {
        let mut next = self.map().clone();
        let committed = next.commit(batch);
        *self.map() = next;
        Ok(committed)
    }

    fn reader(&self) -> Result<Self> {
        Ok(self.clone())
    }

    fn durability(&self) -> Durability {
        Durability::memory(u64::MAX)
    }
}

impl Reader for Plain {
    async fn parts(&mut self, id: EventId) -> Result<Parts> {
        Ok(self.map().parts(id))
    }

    async fn dead(&mut self, filter: &DeadFilter) -> Result<Vec<Dead>> {
        Ok(self.map().dead(filter))
    }

    async fn dead_names(&mut self, filter: &DeadFilter) -> Result<Vec<DeadId>> {
        Ok(self.map().dead(filter).iter().map(|dead| dead.id).collect())
    }

    async fn job(&mut self, key: JobKey<'_>) -> Result<Option<Job>> {
        let is_meant = |job: &&Job| match key {
            JobKey::Id(id) => job.id == id,
            JobKey::Name(name) => job.name == name,
        };
        Ok(self.map().jobs().find(is_meant).cloned())
    }

    async fn jobs(&mut self, which: &JobFilter<'_>) -> Result<Due> {
        let partitions = self.map().partitions;
        let is_meant = |job: &&Job| {
            let partition = Partition::of(&job.conversation, partitions);
            which.partition.is_none_or(|wanted| wanted == partition)
                && which.conversation.is_none_or(|wanted| wanted == job.conversation)
                && which.after.is_none_or(|after| after < (job.due_ms, job.id))
        };
        let mut jobs: Vec<_> = self.map().jobs().filter(is_meant).cloned().collect();
        jobs.sort_by_key(|job| (job.due_ms, job.id));
        let count = jobs.iter().take_while(|job| job.due_ms <= which.until_ms).count().min(which.limit);
        let next_ms = jobs.get(count).map(|job| job.due_ms);
        jobs.truncate(count);
        Ok((jobs, next_ms))
    }

    async fn value(&mut self, scope: &Scope<'_>, name: &str) -> Result<Option<Bytes>> {
        Ok(self.values(scope).await?.into_iter().find(|(own, _)| own == name).map(|(_, value)| value))
    }

    async fn values(&mut self, scope: &Scope<'_>) -> Result<Vec<(String, Bytes)>> {
        let map = self.map();
        let values = map.things.iter().filter_map(|(name, thing)| match (name, thing) {
            (Name::Value(of, name), Thing::Bytes(value)) if of == scope.as_str() => {
                Some((name.clone(), value.clone()))
            }
            _ => None,
        });
        Ok(values.collect())
    }

    async fn commands(&mut self) -> Result<Vec<(u64, Bytes)>> {
        let map = self.map();
        let commands = map.things.iter().filter_map(|(name, thing)| match (name, thing) {
            (Name::Command(number), Thing::Command(body, None)) => Some((*number, body.clone())),
            _ => None,
        });
        Ok(commands.collect())
    }

    async fn outcome(&mut self, command: u64) -> Result<Option<String>> {
        match self.map().things.get(&Name::Command(command)) {
            Some(Thing::Command(_, outcome)) => Ok(outcome.clone()),
            _ => Ok(None),
        }
    }
}
