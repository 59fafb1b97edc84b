//! What one commit is made of, entry by entry.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use super::Record;
use crate::error::Result;
use crate::event::Event;
use crate::journal::body::Body;
use crate::journal::rules::{self, Changes, Known};
use crate::journal::store::{
    Change, Death, EventId, EventState, Intake, JobKey, Key, Mark, NewRow, ReplyState, Row, Scope, Store,
    Taken,
};
use crate::journal::{Acceptance, Answer, Entry, EventEntry, NewJob, Reason, ReplyEntry, Said};
use crate::reply::SendKey;

/// What is written with the next commit.
#[derive(Default)]
pub(super) struct Plan<'a> {
    pub(super) changes: Changes<'a>,
    /// Events whose standing has changed.
    pub(super) touched: Vec<EventId>,
    /// Events that came in, and what was said outside of any, each with who waits for its number.
    pub(super) accepted: Vec<(Waiting<'a>, Intake<'a>)>,
    /// What comes in together with the changes.
    pub(super) intake: Vec<(Waiting<'a>, Intake<'a>)>,
    /// How far each source has been read.
    pub(super) cursors: Vec<(&'a str, Bytes)>,
    pub(super) now_ms: Option<u64>,
    jobs: Jobs<'a>,
}

/// The answer that waits for what became of something that came in.
#[derive(Debug)]
pub(super) enum Waiting<'a> {
    Event(&'a mut Answer, EventState),
    Said(&'a mut Acceptance, Vec<ReplyState>),
    Job(&'a mut Answer),
}

/// What this commit does to jobs, which the store does not show yet.
#[derive(Default)]
struct Jobs<'a> {
    planned: HashMap<&'a str, &'a NewJob>,
    gone: HashSet<u64>,
    moved: HashMap<u64, u64>,
}

impl<S: Store> Record<S> {
    /// Adds an entry to the plan. Answers it where nobody has to wait for the store.
    pub(super) async fn plan<'a>(
        &mut self,
        entry: &'a Entry,
        answer: &'a mut Answer,
        plan: &mut Plan<'a>,
    ) -> Result<()> {
        match entry {
            Entry::Accept { event, now_ms, begins } => {
                self.saw(*now_ms, plan);
                let state = rules::accepted(*begins);
                plan.accepted.push((Waiting::Event(answer, state), arrival(event, state)));
            }
            Entry::Remember { conversation, name, value } => plan.changes.push(match value {
                Some(value) => Change::Put(Row::Value(Scope::conversation(conversation), name, value)),
                None => Change::Delete(Key::Value(Scope::conversation(conversation), name)),
            }),
            Entry::Cursor { source, position } => plan.advance_to(source, position),
            Entry::Schedule(job) => plan.schedule(answer, job),
            Entry::Cancel { name, conversation } => {
                *answer = self.cancel(name, conversation.as_deref(), plan).await?;
            }
            Entry::Fire { job, due_ms, event, begins, next_ms, now_ms } => {
                self.saw(*now_ms, plan);
                let is_fired = self.advance(*job, *due_ms, *next_ms, plan).await?;
                *answer = Answer::Count(u64::from(is_fired));
                if let Some(event) = event.as_ref().filter(|_| is_fired) {
                    let state = rules::accepted(*begins);
                    plan.intake.push((Waiting::Event(answer, state), arrival(event, state)));
                }
            }
            Entry::Event(sequence, entry) => self.plan_event(*sequence, entry, plan).await?,
            Entry::Promise { outbound, command, begins } => {
                let (known, changes) = self.touch(outbound.key.sequence, plan).await?;
                known.promise(outbound, command, *begins, changes);
            }
            Entry::Reply(key, entry) => self.plan_reply(*key, entry, plan).await?,
            Entry::Say { said, command, now_ms } => {
                self.saw(*now_ms, plan);
                plan.say(answer, said, command);
            }
            // They are no part of a commit of changes: one is answered after it, the other has a commit of its own.
            Entry::Query(_) | Entry::Operator(_) => {}
        }
        Ok(())
    }

    async fn plan_event<'a>(
        &mut self,
        sequence: u64,
        entry: &'a EventEntry,
        plan: &mut Plan<'a>,
    ) -> Result<()> {
        if let EventEntry::DeadLetter { now_ms, .. } = entry {
            self.saw(*now_ms, plan);
        }
        let id = EventId::from_bits(sequence);
        let (known, out) = self.touch(sequence, plan).await?;
        match entry {
            EventEntry::Begin => known.begin(id, out),
            EventEntry::Suspend => known.suspend(id, out),
            EventEntry::Retry { due_ms } => known.retry(id, *due_ms, out),
            EventEntry::Return => known.give_back(id, out),
            EventEntry::Done => known.finish(id, out),
            EventEntry::DeadLetter { reason, error, command, now_ms } => {
                known.give_up(id, death(*reason, error, command, *now_ms), out);
            }
            EventEntry::Step { name, value } => known.step(id, name, value, out),
        }
        Ok(())
    }

    async fn plan_reply<'a>(
        &mut self,
        key: SendKey,
        entry: &'a ReplyEntry,
        plan: &mut Plan<'a>,
    ) -> Result<()> {
        if let ReplyEntry::DeadLetter { now_ms, .. } = entry {
            self.saw(*now_ms, plan);
        }
        let id = key.into();
        let (known, out) = self.touch(key.sequence, plan).await?;
        match entry {
            // That it may be undone concerns the sync of the batch alone.
            ReplyEntry::Sending { is_lazy: _ } => known.sending(id, out),
            ReplyEntry::Sent { id: message } => known.sent(id, message.as_ref(), out),
            ReplyEntry::Postpone { due_ms } => known.postpone(id, *due_ms, out),
            ReplyEntry::DeadLetter { reason, error, command, now_ms } => {
                known.give_up_reply(id, death(*reason, error, command, *now_ms), out);
            }
            ReplyEntry::Drop => known.forget(id, out),
        }
        Ok(())
    }

    /// What is known of an event whose standing changes now, and where the changes go.
    async fn touch<'a, 'p>(
        &mut self,
        sequence: u64,
        plan: &'p mut Plan<'a>,
    ) -> Result<(&mut Known, &'p mut Changes<'a>)> {
        let id = EventId::from_bits(sequence);
        let known = self.known(id).await?;
        plan.touched.push(id);
        Ok((known, &mut plan.changes))
    }

    /// Forgets a job, whether the store has it or this commit would have brought it.
    async fn cancel<'a>(
        &mut self,
        name: &'a str,
        conversation: Option<&str>,
        plan: &mut Plan<'a>,
    ) -> Result<Answer> {
        let is_meant = |own: &str| conversation.is_none_or(|wanted| wanted == own);
        let planned = plan.jobs.planned.get(name).map(|job| is_meant(&job.conversation));
        if planned == Some(false) {
            return Ok(Answer::Count(0));
        }
        let kept = self.store.job(JobKey::Name(name)).await?.filter(|job| !plan.jobs.gone.contains(&job.id));
        let kept = kept.filter(|job| planned.is_some() || is_meant(&job.conversation));
        if planned.is_some() {
            plan.unschedule(name);
        }
        if let Some(job) = &kept {
            plan.drop_job(job.id);
        }
        Ok(Answer::Count(u64::from(planned.is_some() || kept.is_some())))
    }

    /// Moves a job that is due then to its next time, or deletes it; whether there was such a job.
    async fn advance(
        &mut self,
        id: u64,
        due_ms: u64,
        next_ms: Option<u64>,
        plan: &mut Plan<'_>,
    ) -> Result<bool> {
        let Some(job) = self.store.job(JobKey::Id(id)).await? else { return Ok(false) };
        let is_replaced =
            plan.jobs.planned.get(&*job.name).is_some_and(|new| !new.keeps_due || new.body != job.body);
        let now_due_ms = plan.jobs.moved.get(&id).copied().unwrap_or(job.due_ms);
        if is_replaced || plan.jobs.gone.contains(&id) || now_due_ms != due_ms {
            return Ok(false);
        }
        match next_ms {
            Some(next_ms) => {
                plan.jobs.moved.insert(id, next_ms);
                plan.changes.push(Change::Mark(Mark::Job(id, next_ms)));
            }
            None => plan.drop_job(id),
        }
        Ok(true)
    }

    /// What the store made of something that came in.
    pub(super) fn took(&mut self, waiting: Waiting<'_>, taken: Taken) {
        match (waiting, taken) {
            (Waiting::Event(answer, state), Taken::New(bits)) => {
                self.gave(EventId::from_bits(bits), Known::new(state));
                *answer = Answer::Accepted(Acceptance::New(bits));
            }
            (Waiting::Event(answer, _), Taken::Known(_)) => {
                *answer = Answer::Accepted(Acceptance::Duplicate);
            }
            (Waiting::Said(answer, states), Taken::New(bits)) => {
                self.gave(EventId::from_bits(bits), Known::of_replies(states));
                *answer = Acceptance::New(bits);
            }
            // As it was answered before it was asked.
            (Waiting::Said(..), Taken::Known(_)) => {}
            (Waiting::Job(answer), Taken::New(id) | Taken::Known(id)) => *answer = Answer::Scheduled(id),
        }
    }
}

impl<'a> Plan<'a> {
    /// Changes that follow from no entry.
    pub(super) fn of(changes: Changes<'a>) -> Self {
        Self { changes, ..Self::default() }
    }

    fn schedule(&mut self, answer: &'a mut Answer, job: &'a NewJob) {
        let NewJob { name, conversation, due_ms, body, keeps_due } = job;
        let row = NewRow::Job { name, due_ms: *due_ms, body, keeps_due: *keeps_due };
        self.jobs.planned.insert(name, job);
        let conversation = Cow::Borrowed(&**conversation);
        self.intake.push((Waiting::Job(answer), Intake { conversation, dedupe: None, row }));
    }

    fn say(&mut self, answer: &'a mut Answer, said: &'a [Said], command: &'a str) {
        *answer = Answer::Said(vec![Acceptance::Duplicate; said.len()]);
        let Answer::Said(answers) = answer else { return };
        for (answer, Said { outbound, id, begins }) in answers.iter_mut().zip(said) {
            let begins = (0..).map(|index| *begins && index == 0);
            let states: Vec<_> =
                outbound.iter().zip(begins).map(|(one, begins)| rules::promised(one, begins)).collect();
            let mut rows = outbound.iter().zip(&states).map(|(one, state)| (Body::Reply(one), *state));
            let Some((first, (body, state))) = outbound.first().zip(rows.next()) else { continue };
            let row = NewRow::Reply { body, state, command: Cow::Borrowed(command), more: rows.collect() };
            let conversation = Cow::Borrowed(first.conversation.key());
            let intake = Intake { conversation, dedupe: id.as_deref().map(Cow::Borrowed), row };
            self.accepted.push((Waiting::Said(answer, states), intake));
        }
    }

    /// The last position counts.
    fn advance_to(&mut self, source: &'a str, position: &Bytes) {
        self.cursors.retain(|(known, _)| *known != source);
        self.cursors.push((source, position.clone()));
    }

    fn unschedule(&mut self, name: &str) {
        self.jobs.planned.remove(name);
        self.intake
            .retain(|(_, intake)| !matches!(&intake.row, NewRow::Job { name: own, .. } if *own == name));
    }

    fn drop_job(&mut self, id: u64) {
        self.jobs.gone.insert(id);
        self.changes.push(Change::Delete(Key::Job(id)));
    }
}

fn arrival(event: &Event, state: EventState) -> Intake<'_> {
    let row = NewRow::Event {
        body: Body::Event(Cow::Borrowed(event)),
        state,
        steps: Vec::new(),
        replies: Vec::new(),
    };
    Intake { conversation: Cow::Borrowed(event.conversation().key()), dedupe: Some(event.key()), row }
}

fn death<'a>(reason: Reason, error: &'a str, command: &'a str, at_ms: u64) -> Death<'a> {
    Death { reason, error: Cow::Borrowed(error), command: Cow::Borrowed(command), at_ms }
}
