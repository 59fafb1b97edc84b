//! A store that takes the partition away at random moments, and loses answers.

use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::guarantee::Durability;
use crate::journal::memory::MemoryStore;
use crate::journal::record::at_once;
use crate::journal::store::{
    Batch, Claims, Committed, Due, Epoch, EventId, JobFilter, JobKey, Loaded, Partition, Parts, Reader,
    Scope, Store, Verdict, Work,
};
use crate::journal::{Dead, DeadFilter, DeadId, Job};

/// splitmix64.
#[derive(Clone, Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % limit as u64).unwrap()
    }

    pub(super) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// What the store does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mistake {
    /// Nobody is ever fenced.
    NoFence,
    /// What came in with a fenced work is kept.
    IntakeOfFencedWorkStays,
    /// A fenced work is not kept, and nobody hears of it.
    FencedWorkSaysKept,
    /// Of a batch whose answer is lost, only the changes are written.
    HalfWritten,
}

/// What the store has done since somebody began to use it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Deeds {
    /// Whether somebody wrote, or loaded, who did not own the partition any more.
    pub(super) is_stale: bool,
    /// Whether a batch got to the store.
    pub(super) is_written: bool,
}

#[derive(Debug)]
struct State {
    random: Random,
    mistake: Option<Mistake>,
    epoch: Epoch,
    deeds: Deeds,
    /// In how many of a hundred cases something happens.
    percent: usize,
    steals_after_load: bool,
}

/// What happens when, shared by all that use the store.
#[derive(Clone, Debug)]
pub(super) struct Plot(Arc<Mutex<State>>);

impl Plot {
    pub(super) fn new(seed: u64, mistake: Option<Mistake>) -> Self {
        let (random, deeds) = (Random(seed), Deeds::default());
        let state = State { random, mistake, epoch: Epoch(0), deeds, percent: 6, steals_after_load: false };
        Self(Arc::new(Mutex::new(state)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Since when the last one to claim owns the partition.
    pub(super) fn epoch(&self) -> Epoch {
        self.state().epoch
    }

    pub(super) fn begin(&self) {
        self.state().deeds = Deeds::default();
    }

    pub(super) fn end(&self) -> Deeds {
        self.state().deeds
    }

    fn happens(&self) -> bool {
        let mut state = self.state();
        let percent = state.percent;
        state.random.chance(percent)
    }
}

pub(super) struct Thief {
    store: MemoryStore,
    plot: Plot,
}

impl Thief {
    pub(super) fn new(store: MemoryStore, plot: Plot) -> Self {
        Self { store, plot }
    }

    /// Takes the partition away after each page that is loaded, and at no other time.
    pub(super) fn stealing_after_load(store: MemoryStore) -> Self {
        let plot = Plot::new(1, None);
        {
            let mut state = plot.state();
            (state.percent, state.steals_after_load) = (0, true);
        }
        Self { store, plot }
    }

    /// Somebody else claims.
    fn steal(&mut self) {
        let claims = at_once(self.store.claim()).unwrap();
        self.plot.state().epoch = claims.gained[0].1;
    }

    /// Notes who uses the store. Answers who owns it, and what is done wrong.
    fn used_by(&self, epochs: impl IntoIterator<Item = Epoch>) -> (Epoch, Option<Mistake>) {
        let mut state = self.plot.state();
        let now = state.epoch;
        state.deeds.is_stale |= epochs.into_iter().any(|epoch| epoch != now);
        (now, state.mistake)
    }

    fn maybe_steal(&mut self) {
        if self.plot.happens() {
            self.steal();
        }
    }
}

fn lost() -> Error {
    Error::new("the answer is lost")
}

impl Store for Thief {
    type Reader = MemoryStore;

    async fn claim(&mut self) -> Result<Claims> {
        let claims = self.store.claim().await?;
        self.plot.state().epoch = claims.gained[0].1;
        self.maybe_steal();
        Ok(claims)
    }

    async fn load(
        &mut self,
        partition: Partition,
        epoch: Epoch,
        after: Option<EventId>,
        limit: usize,
    ) -> Result<Loaded> {
        self.maybe_steal();
        let (now, mistake) = self.used_by([epoch]);
        let told = if mistake == Some(Mistake::NoFence) { now } else { epoch };
        let loaded = self.store.load(partition, told, after, limit).await;
        let steals = self.plot.state().steals_after_load;
        if steals {
            self.steal();
        }
        self.maybe_steal();
        loaded
    }

    async fn commit(&mut self, batch: &Batch<'_>) -> Result<Committed> {
        self.maybe_steal();
        let (now, mistake) = self.used_by(batch.work.iter().map(|work| work.epoch));
        if self.plot.happens() {
            return Err(lost());
        }
        let told = |work: &Work<'_>| if mistake == Some(Mistake::NoFence) { now } else { work.epoch };
        let work = batch.work.iter().map(|work| {
            let Work { partition, changes, intake, effect, .. } = work;
            Work {
                partition: *partition,
                epoch: told(work),
                changes: changes.clone(),
                intake: intake.clone(),
                effect: effect.clone(),
            }
        });
        let mut work: Vec<_> = work.collect();
        let is_lost = self.plot.happens();
        if is_lost && mistake == Some(Mistake::HalfWritten) {
            work.iter_mut().for_each(|work| work.intake.clear());
        }
        let Batch { cursors, intake, now_ms, sync, .. } = batch;
        let (cursors, intake) = (cursors.clone(), intake.clone());
        let mut committed =
            self.store.commit(&Batch { cursors, intake, work, now_ms: *now_ms, sync: *sync }).await?;
        self.plot.state().deeds.is_written = true;
        for (work, verdict) in batch.work.iter().zip(&mut committed.work) {
            if *verdict == Verdict::Fenced && mistake == Some(Mistake::IntakeOfFencedWorkStays) {
                let (intake, now_ms, sync) = (work.intake.clone(), batch.now_ms, batch.sync);
                let part = Batch { cursors: Vec::new(), intake, work: Vec::new(), now_ms, sync };
                self.store.commit(&part).await?;
            }
            if *verdict == Verdict::Fenced
                && mistake == Some(Mistake::FencedWorkSaysKept)
                && work.intake.is_empty()
            {
                *verdict = Verdict::Kept(Vec::new());
            }
        }
        self.maybe_steal();
        if is_lost { Err(lost()) } else { Ok(committed) }
    }

    fn reader(&self) -> Result<MemoryStore> {
        self.store.reader()
    }

    fn durability(&self) -> Durability {
        self.store.durability()
    }
}

impl Reader for Thief {
    async fn parts(&mut self, id: EventId) -> Result<Parts> {
        self.store.parts(id).await
    }

    async fn dead(&mut self, filter: &DeadFilter) -> Result<Vec<Dead>> {
        self.store.dead(filter).await
    }

    async fn dead_names(&mut self, filter: &DeadFilter) -> Result<Vec<DeadId>> {
        let names = self.store.dead_names(filter).await;
        self.maybe_steal();
        names
    }

    async fn job(&mut self, key: JobKey<'_>) -> Result<Option<Job>> {
        let job = self.store.job(key).await;
        self.maybe_steal();
        job
    }

    async fn jobs(&mut self, which: &JobFilter<'_>) -> Result<Due> {
        self.store.jobs(which).await
    }

    async fn value(&mut self, scope: &Scope<'_>, name: &str) -> Result<Option<Bytes>> {
        self.store.value(scope, name).await
    }

    async fn values(&mut self, scope: &Scope<'_>) -> Result<Vec<(String, Bytes)>> {
        self.store.values(scope).await
    }

    async fn commands(&mut self) -> Result<Vec<(u64, Bytes)>> {
        self.store.commands().await
    }

    async fn outcome(&mut self, command: u64) -> Result<Option<String>> {
        self.store.outcome(command).await
    }
}
