//! A store that keeps everything while the process lives, and no longer.

mod notes;
mod seen;
mod tables;

use std::future::{Future, Ready, ready};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::record::{Record, at_once};
use super::store::{
    Batch, Claims, Committed, Due, EffectKind, Epoch, EventId, JobFilter, JobKey, Loaded, Partition, Parts,
    Reader, Scope, Store,
};
use super::whole::recover_whole;
use super::{Dead, DeadFilter, DeadId, Entry, Job, Journal, Recovered, Written};
use crate::error::Result;
use crate::guarantee::Durability;
pub use notes::Notes;
use tables::Tables;

/// How many events are remembered to tell a repeated delivery, unless told otherwise.
const WINDOW: usize = 65_536;

/// Keeps everything in maps; the end of the process forgets it.
///
/// It knows the last 65,536 events again (16 bytes each), or as many as [`MemoryJournal::with_window`] says.
/// Calling [`Journal::recover`] a second time treats what was running as if the process had ended there, so that a test
/// can restart a bot without a file.
pub type MemoryJournal = Record<MemoryStore>;

impl Default for MemoryJournal {
    fn default() -> Self {
        Self::with_window(WINDOW)
    }
}

impl MemoryJournal {
    /// Remembers the last `window` events, to know them again.
    pub fn with_window(window: usize) -> Self {
        Self::over(MemoryStore::with_window(window))
    }

    /// Goes on with rows that an earlier one has left. The earlier one has lost them: whatever it is told then is an error.
    pub fn over(store: MemoryStore) -> Self {
        Self::new(store)
    }
}

impl Journal for MemoryJournal {
    type Writing = Ready<Result<Written>>;

    /// Nothing outlives the process.
    fn is_kept(&self) -> bool {
        false
    }

    fn durability(&self) -> Durability {
        self.store().durability()
    }

    fn recover(&mut self) -> impl Future<Output = Result<Recovered>> + Send {
        recover_whole(self)
    }

    fn recover_in_pages(&mut self) -> impl Future<Output = Result<Recovered>> + Send {
        ready(at_once(self.start()))
    }

    fn write(&mut self, batch: Vec<Entry>) -> Ready<Result<Written>> {
        ready(at_once(self.append(batch)))
    }
}

/// Keeps rows in maps. Clones show the same. It runs effects on [`Notes`].
#[derive(Debug, Clone)]
pub struct MemoryStore(Arc<Mutex<Tables>>);

impl Default for MemoryStore {
    fn default() -> Self {
        Self::with_window(WINDOW)
    }
}

impl MemoryStore {
    /// Remembers the last `window` events, to know them again.
    pub fn with_window(window: usize) -> Self {
        Self(Arc::new(Mutex::new(Tables::new(window))))
    }

    /// What effects have noted.
    pub fn notes(&self) -> Notes {
        self.tables().notes().clone()
    }

    /// Held for as long as a batch or a question takes.
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    type Reader = Self;

    async fn claim(&mut self) -> Result<Claims> {
        Ok(self.tables().claim())
    }

    async fn load(
        &mut self,
        partition: Partition,
        epoch: Epoch,
        after: Option<EventId>,
        limit: usize,
    ) -> Result<Loaded> {
        let tables = self.tables();
        let is_owner = tables.is_owned(partition, epoch);
        Ok(if is_owner { Loaded::Read(tables.load(after, limit)) } else { Loaded::Fenced })
    }

    async fn commit(&mut self, batch: &Batch<'_>) -> Result<Committed> {
        Ok(self.tables().commit(batch))
    }

    fn reader(&self) -> Result<Self> {
        Ok(self.clone())
    }

    fn durability(&self) -> Durability {
        Durability::memory(self.tables().window() as u64)
    }

    fn runs(&self, kind: EffectKind) -> bool {
        kind == EffectKind::of::<Notes>()
    }

    fn is_kept(&self) -> bool {
        false
    }
}

impl Reader for MemoryStore {
    async fn parts(&mut self, id: EventId) -> Result<Parts> {
        Ok(self.tables().parts(id))
    }

    async fn dead(&mut self, filter: &DeadFilter) -> Result<Vec<Dead>> {
        let tables = self.tables();
        Ok(tables.dead(filter).into_iter().filter_map(|id| tables.show(id)).collect())
    }

    async fn dead_names(&mut self, filter: &DeadFilter) -> Result<Vec<DeadId>> {
        Ok(self.tables().dead(filter))
    }

    async fn job(&mut self, key: JobKey<'_>) -> Result<Option<Job>> {
        Ok(self.tables().job(key))
    }

    async fn jobs(&mut self, which: &JobFilter<'_>) -> Result<Due> {
        Ok(self.tables().jobs(which))
    }

    async fn value(&mut self, scope: &Scope<'_>, name: &str) -> Result<Option<Bytes>> {
        let tables = self.tables();
        Ok(tables.values(scope).find(|(known, _)| *known == name).map(|(_, value)| value.clone()))
    }

    async fn values(&mut self, scope: &Scope<'_>) -> Result<Vec<(String, Bytes)>> {
        Ok(self.tables().values(scope).map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    async fn commands(&mut self) -> Result<Vec<(u64, Bytes)>> {
        Ok(self.tables().commands())
    }

    async fn outcome(&mut self, command: u64) -> Result<Option<String>> {
        Ok(self.tables().outcome(command))
    }
}
