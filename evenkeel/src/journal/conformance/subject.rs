//! The store under test, opened and opened again, and what every promise asks of it.

use std::collections::BTreeMap;

use super::Opening;
use super::broken::{Kept, Mismatch, rising, same};
use super::made::{ALICE, arrival, batch, event};
use super::shown::{Names, Seen, lines};
use crate::error::Result;
use crate::journal::store::{
    Batch, Change, Committed, Epoch, EventId, Intake, Key, Loaded, Mark, Partition, Parts, Row, Store, Taken,
    Verdict, Work,
};

/// What opens a store.
pub(super) trait Open<S>: AsyncFnMut(Opening) -> Result<S> {}

impl<S, O: AsyncFnMut(Opening) -> Result<S>> Open<S> for O {}

/// How a store ends before it is opened again.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    /// It is dropped, as when the process is killed.
    Drop,
    /// It is closed.
    Close,
}

/// A store under test.
pub(super) struct Subject<S, O> {
    open: O,
    store: Option<S>,
    /// What this process owns.
    owned: Vec<(Partition, Epoch)>,
    /// Where Alice's conversation lives.
    home: Partition,
    /// As the last claim said.
    cursors: BTreeMap<String, bytes::Bytes>,
    latest_ms: u64,
}

impl<S: Store, O: Open<S>> Subject<S, O> {
    pub(super) fn new(open: O) -> Self {
        let (owned, cursors) = (Vec::new(), BTreeMap::new());
        Self { open, store: None, owned, home: Partition::WHOLE, cursors, latest_ms: 0 }
    }

    pub(super) fn store(&mut self) -> &mut S {
        self.store.as_mut().expect("each promise begins with a store")
    }

    pub(super) fn home(&self) -> Partition {
        self.home
    }

    pub(super) fn owned(&self) -> &[(Partition, Epoch)] {
        &self.owned
    }

    pub(super) fn latest_ms(&self) -> u64 {
        self.latest_ms
    }

    /// How far each source has been read, as the last claim said.
    pub(super) fn cursors(&self) -> &BTreeMap<String, bytes::Bytes> {
        &self.cursors
    }

    /// Begins with a new store that has nothing in it.
    pub(super) async fn fresh(&mut self) -> Kept {
        self.store = None;
        self.store = Some((self.open)(Opening::Fresh).await?);
        self.claim().await?;
        if let [(only, _)] = self.owned[..] {
            self.home = only;
            return Ok(());
        }
        // Nobody but the store knows in which of several partitions a conversation lives.
        let arrived = self.accept(&["where Alice lives"]).await?;
        self.home = arrived[0].partition();
        self.change(vec![Change::Delete(Key::Event(arrived[0]))]).await
    }

    /// Opens the same store again.
    pub(super) async fn again(&mut self, end: End) -> Kept {
        match (end, self.store.take()) {
            (End::Close, Some(store)) => store.close().await,
            (_, store) => drop(store),
        }
        self.store = Some((self.open)(Opening::Again).await?);
        self.claim().await
    }

    async fn claim(&mut self) -> Kept {
        let claims = self.store().claim().await?;
        if claims.gained.is_empty() {
            return Err(Mismatch::new("what a claim gains", "at least one partition", "none"));
        }
        self.owned = claims.gained;
        same("how many cursors have names of their own", &claims.cursors.len(), &{
            self.cursors = claims.cursors.into_iter().collect();
            self.cursors.len()
        })?;
        self.latest_ms = claims.latest_ms;
        Ok(())
    }

    /// Since when a partition is this process's.
    pub(super) fn epoch(&self, partition: Partition) -> Epoch {
        self.owned.iter().find(|(own, _)| *own == partition).map_or(Epoch(0), |(_, epoch)| *epoch)
    }

    pub(super) fn partitions(&self) -> Vec<Partition> {
        self.owned.iter().map(|(partition, _)| *partition).collect()
    }

    pub(super) async fn commit(&mut self, batch: &Batch<'_>) -> Result<Committed, Mismatch> {
        let committed = self.store().commit(batch).await?;
        same("how many answers there are to what came in", &committed.intake.len(), &batch.intake.len())?;
        same("how many verdicts there are", &committed.work.len(), &batch.work.len())?;
        for (work, verdict) in batch.work.iter().zip(&committed.work) {
            if let Verdict::Kept(taken) = verdict {
                let count = work.intake.len();
                same("how many answers there are to what came in with a work", &taken.len(), &count)?;
            }
        }
        Ok(committed)
    }

    pub(super) async fn take(&mut self, intake: Vec<Intake<'_>>) -> Result<Vec<Taken>, Mismatch> {
        Ok(self.commit(&Batch { intake, ..batch() }).await?.intake)
    }

    /// Takes what is new for certain, and answers its numbers.
    pub(super) async fn take_new(&mut self, intake: Vec<Intake<'_>>) -> Result<Vec<u64>, Mismatch> {
        let taken = self.take(intake).await?;
        taken.into_iter().map(new).collect()
    }

    /// Takes new events of Alice's, which nobody will know again.
    pub(super) async fn accept(&mut self, ids: &[&str]) -> Result<Vec<EventId>, Mismatch> {
        let events: Vec<_> = ids.iter().map(|id| event(id, ALICE)).collect();
        let numbers = self.take_new(events.iter().map(|event| arrival(event, None)).collect()).await?;
        let ids: Vec<_> = numbers.into_iter().map(EventId::from_bits).collect();
        rising("the numbers of a batch", &ids)?;
        Ok(ids)
    }

    /// Has changes made in the partitions in which they belong, in one batch.
    pub(super) async fn change(&mut self, changes: Vec<Change<'_>>) -> Kept {
        let work = self.works(changes);
        let committed = self.commit(&Batch { work, ..batch() }).await?;
        let fenced = committed.work.iter().filter(|verdict| **verdict == Verdict::Fenced).count();
        same("how much of its owner's work was fenced", &fenced, &0)
    }

    /// Changes in the partitions in which they belong.
    pub(super) fn works<'a>(&self, changes: Vec<Change<'a>>) -> Vec<Work<'a>> {
        let mut work = BTreeMap::<Partition, Vec<Change<'a>>>::new();
        for change in changes {
            work.entry(self.partition(&change)).or_default().push(change);
        }
        work.into_iter().map(|(partition, changes)| self.work(partition, changes, Vec::new())).collect()
    }

    pub(super) fn work<'a>(
        &self,
        partition: Partition,
        changes: Vec<Change<'a>>,
        intake: Vec<Intake<'a>>,
    ) -> Work<'a> {
        Work { partition, epoch: self.epoch(partition), changes, intake, effect: None }
    }

    fn partition(&self, change: &Change<'_>) -> Partition {
        let event = match change {
            Change::Put(Row::Reply { id, .. })
            | Change::Mark(Mark::Reply(id, ..))
            | Change::Delete(Key::Reply(id) | Key::Files(id)) => Some(id.event),
            Change::Put(Row::Step(id, ..))
            | Change::Mark(Mark::Event(id, ..))
            | Change::Delete(Key::Event(id) | Key::Steps(id)) => Some(*id),
            _ => None,
        };
        event.map_or(self.home, EventId::partition)
    }

    pub(super) async fn parts(&mut self, id: EventId) -> Result<Seen, Mismatch> {
        let parts = self.store().parts(id).await?;
        Seen::of(id, parts)
    }

    /// What is not done, in pages of this size.
    pub(super) async fn load(&mut self, limit: usize) -> Result<Vec<(EventId, Seen)>, Mismatch> {
        let mut all = Vec::new();
        for (partition, epoch) in self.owned.clone() {
            let mut after = None;
            loop {
                let loaded = self.store().load(partition, epoch, after, limit).await?;
                let page = read(loaded)?;
                let order: Vec<_> = after.into_iter().chain(page.iter().map(|(id, _)| *id)).collect();
                rising("what is loaded, by number and after the last page", &order)?;
                let Some((last, _)) = page.last() else { break };
                if page.len() > limit {
                    let count = page.len().to_string();
                    return Err(Mismatch::new("how much a page holds", &format!("at most {limit}"), &count));
                }
                after = Some(*last);
                for (id, parts) in page {
                    same("the partition of what was loaded", &id.partition(), &partition)?;
                    all.push((id, Seen::of(id, parts)?));
                }
            }
        }
        Ok(all)
    }

    /// All that can be read.
    pub(super) async fn everything(&mut self, names: &Names) -> Result<Vec<String>, Mismatch> {
        let mut all = lines(self.store(), names).await?;
        let loaded = self.load(1_000).await?;
        let mut loaded: Vec<_> =
            loaded.iter().map(|(id, seen)| format!("alive {}: {seen:?}", names.event(*id))).collect();
        loaded.sort();
        all.extend(loaded);
        Ok(all)
    }
}

/// What the owner of a partition loads.
pub(super) fn read(loaded: Loaded) -> Result<Vec<(EventId, Parts)>, Mismatch> {
    match loaded {
        Loaded::Read(page) => Ok(page),
        Loaded::Fenced => Err(Mismatch::new("what the owner loads", "Read(..)", "Fenced")),
    }
}

/// The number of what has to be new.
pub(super) fn new(taken: Taken) -> Result<u64, Mismatch> {
    match taken {
        Taken::New(number) => Ok(number),
        Taken::Known(_) => {
            Err(Mismatch::new("what came in for the first time", "New(..)", &format!("{taken:?}")))
        }
    }
}
