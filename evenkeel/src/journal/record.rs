//! The owner of a store: what happened goes in, what the rules make of it is committed, and answers come out.

mod plan;
mod pages;
mod commands;

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::rules::Known;
use super::store::{
    Batch, Committed, Epoch, EventId, JobFilter, Partition, Reader, Scope, Store, Sync, Verdict, Work,
};
use super::{Answer, Entry, Job, Listing, Query, Written, latest};
use crate::error::{Error, Result};
#[cfg(feature = "sqlite")]
pub(super) use commands::AdminCommand;
pub use commands::Outcome;
use pages::Pages;
use plan::Plan;

/// The jobs that are this owner's to start.
pub(super) const OWN: Option<Partition> = Some(Partition::WHOLE);

/// Keeps a record in a store, and owns all of it.
///
/// It knows how each event stands that is not done, without its content, so that nothing is read while messages come and go.
pub struct Record<S> {
    store: S,
    epoch: Epoch,
    /// Those that are alive, as the rules say.
    known: HashMap<EventId, Known>,
    /// What is still to be loaded of what an earlier run left; `None` once that is all here.
    pages: Option<Pages>,
    /// The first event of this run, if there is one: no earlier run left that or anything after it.
    first: Option<EventId>,
    latest_ms: u64,
    /// How far each source had been read when it became the owner.
    cursors: Vec<(String, Bytes)>,
}

impl<S> fmt::Debug for Record<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Record({} events are not done)", self.known.len())
    }
}

impl<S> Record<S> {
    /// In a store that nobody else owns.
    pub(super) fn new(store: S) -> Self {
        let (epoch, known) = (Epoch::default(), HashMap::new());
        Self { store, epoch, known, pages: None, first: None, latest_ms: 0, cursors: Vec::new() }
    }

    pub(super) fn store(&self) -> &S {
        &self.store
    }

    pub(super) fn store_mut(&mut self) -> &mut S {
        &mut self.store
    }

    pub(super) fn into_store(self) -> S {
        self.store
    }
}

impl<S: Store> Record<S> {
    /// Becomes the owner, of whom nothing is known yet.
    pub(super) async fn claim(&mut self) -> Result<()> {
        let claims = self.store.claim().await?;
        self.epoch = match claims.gained[..] {
            [(Partition::WHOLE, epoch)] => epoch,
            [] => return Err(fenced()),
            _ => return Err(divided()),
        };
        (self.latest_ms, self.cursors) = (claims.latest_ms, claims.cursors);
        self.known.clear();
        (self.pages, self.first) = (None, None);
        Ok(())
    }

    /// Writes the entries in order, and answers each. What only asks is answered when all else is written.
    pub(super) async fn append(&mut self, batch: Vec<Entry>) -> Result<Written> {
        let mut written: Vec<_> = batch.into_iter().map(|entry| (entry, Answer::Noted)).collect();
        for piece in written.chunk_by_mut(|(one, _), (next, _)| !is_command(one) && !is_command(next)) {
            match piece {
                [(Entry::Operator(command), answer)] => *answer = self.execute(command).await?,
                changes => self.append_changes(changes).await?,
            }
        }
        for (entry, answer) in &mut written {
            if let Entry::Query(query) = entry {
                *answer = self.look_up(query).await?;
            }
        }
        Ok(Written(written))
    }

    async fn append_changes(&mut self, entries: &mut [(Entry, Answer)]) -> Result<()> {
        let is_lazy = entries.iter().all(|(entry, _)| entry.is_lazy());
        let sync = if is_lazy { Sync::Lazy } else { Sync::Full };
        let mut plan = Plan::default();
        for (entry, answer) in entries {
            self.plan(entry, answer, &mut plan).await?;
        }
        self.commit(plan, sync).await
    }

    /// Commits what is planned, and answers the entries that came in.
    async fn commit(&mut self, plan: Plan<'_>, sync: Sync) -> Result<()> {
        let Plan { changes, touched, accepted, intake, cursors, now_ms, .. } = plan;
        if changes.is_empty() && accepted.is_empty() && intake.is_empty() && cursors.is_empty() {
            self.forget_the_dead(&touched);
            return Ok(());
        }
        let (arrived, arrivals): (Vec<_>, Vec<_>) = accepted.into_iter().unzip();
        let (asked, intake): (Vec<_>, Vec<_>) = intake.into_iter().unzip();
        let work = Work { partition: Partition::WHOLE, epoch: self.epoch, changes, intake, effect: None };
        // Also where there are no changes: an owner that only accepts has to hear that it is none any more.
        let batch = Batch { cursors, intake: arrivals, work: vec![work], now_ms, sync };
        let Committed { intake: taken, work: verdicts } = self.store.commit(&batch).await?;
        let kept = match verdicts.into_iter().next() {
            Some(Verdict::Kept(kept)) => kept,
            Some(Verdict::EffectFailed(error)) => return Err(error),
            Some(Verdict::Fenced) | None => return Err(fenced()),
        };
        for (waiting, taken) in joined(arrived, taken)?.chain(joined(asked, kept)?) {
            self.took(waiting, taken);
        }
        self.forget_the_dead(&touched);
        Ok(())
    }

    async fn look_up(&mut self, query: &Query) -> Result<Answer> {
        Ok(match query {
            Query::Recall { conversation, name } => {
                Answer::Recalled(self.store.value(&Scope::conversation(conversation), name).await?)
            }
            Query::Due { until_ms, limit } => {
                self.jobs(JobFilter {
                    partition: OWN,
                    conversation: None,
                    after: None,
                    until_ms: *until_ms,
                    limit: *limit,
                })
                .await?
            }
            Query::Jobs { conversation, after, limit } => {
                let conversation = conversation.as_deref();
                self.jobs(JobFilter {
                    partition: None,
                    conversation,
                    after: *after,
                    until_ms: u64::MAX,
                    limit: *limit,
                })
                .await?
            }
            Query::ListJobs { conversation, after, limit } => {
                Answer::Jobs(self.list_jobs(conversation.clone(), *after, *limit))
            }
            Query::ListDead(filter) => {
                let filter = filter.clone();
                Answer::Dead(self.beside(move |mut reader| async move { reader.dead(&filter).await }))
            }
            Query::CountDead(filter) => {
                let filter = filter.clone();
                Answer::DeadCount(self.beside(move |mut reader| async move {
                    Ok(reader.dead_names(&filter).await?.len() as u64)
                }))
            }
            Query::Load { limit, limit_bytes } => Answer::Loaded(self.load(*limit, *limit_bytes).await?),
        })
    }

    fn list_jobs(
        &self,
        conversation: Option<String>,
        after: Option<(u64, u64)>,
        limit: usize,
    ) -> Listing<Vec<Job>> {
        self.beside(move |mut reader| async move {
            let conversation = conversation.as_deref();
            let which = JobFilter { partition: None, conversation, after, until_ms: u64::MAX, limit };
            Ok(reader.jobs(&which).await?.0)
        })
    }

    /// What an operator asks for is read beside the writer, once somebody awaits it.
    fn beside<T, F>(&self, read: impl FnOnce(S::Reader) -> F + Send + 'static) -> Listing<T>
    where
        F: Future<Output = Result<T>> + Send,
    {
        // One that cannot be opened fails the one that wants to read, and nobody else.
        let reader = self.store.reader();
        Listing::new(async move { read(reader?).await })
    }

    async fn jobs(&mut self, which: JobFilter<'_>) -> Result<Answer> {
        let (jobs, next_ms) = self.store.jobs(&which).await?;
        Ok(Answer::Due { jobs, next_ms })
    }

    /// What is known of an event; from the store, if nothing is.
    async fn known(&mut self, id: EventId) -> Result<&mut Known> {
        Ok(match self.known.entry(id) {
            Slot::Occupied(known) => known.into_mut(),
            Slot::Vacant(unknown) => {
                let parts = self.store.parts(id).await?;
                unknown.insert(Known::from(&parts))
            }
        })
    }

    /// An event or a reply has this number in this run.
    fn gave(&mut self, id: EventId, known: Known) {
        self.first.get_or_insert(id);
        self.known.insert(id, known);
    }

    fn saw(&mut self, now_ms: u64, plan: &mut Plan<'_>) {
        self.latest_ms = latest(self.latest_ms, now_ms);
        plan.now_ms = Some(self.latest_ms);
    }

    fn forget_the_dead(&mut self, touched: &[EventId]) {
        for id in touched {
            if self.known.get(id).is_some_and(|known| !known.is_alive()) {
                self.known.remove(id);
            }
        }
    }
}

/// Whether it is a commit of its own.
fn is_command(entry: &Entry) -> bool {
    matches!(entry, Entry::Operator(_))
}

/// What was asked of a store, each with its answer. They are joined by their places: a store is shown rows that borrow from the
/// entries, and hands back no more than what became of each, in their order.
pub(super) fn joined<Q, T>(asked: Vec<Q>, answers: Vec<T>) -> Result<impl Iterator<Item = (Q, T)>> {
    if asked.len() != answers.len() {
        return Err(Error::new("the store answered something else than it was asked"));
    }
    Ok(asked.into_iter().zip(answers))
}

pub(super) fn fenced() -> Error {
    Error::new("another process owns the record now").with_hint("stop one of the two")
}

fn divided() -> Error {
    Error::new("the store has several partitions, and one bot would take up what is in the first alone")
        .with_hint("use a store that keeps all in one, `Partition::WHOLE`")
}

/// Of a store that is on this thread and waits for nobody.
pub(super) fn at_once<T>(answer: impl Future<Output = T>) -> T {
    match pin!(answer).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => unreachable!("a store on its owner's thread answers at once"),
    }
}

#[cfg(test)]
mod tests;
