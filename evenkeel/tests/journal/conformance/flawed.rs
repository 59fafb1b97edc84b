//! The store in memory behind a wrapper that makes one mistake.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use evenkeel::guarantee::Durability;
use evenkeel::journal::memory::{MemoryStore, Notes};
use evenkeel::journal::store::{
    Batch, Body, Change, Claims, Committed, Due, Effect, EffectKind, Epoch, EventId, Intake, JobFilter,
    JobKey, Key, Loaded, Mark, NewRow, Partition, Parts, Reader, ReplyId, ReplyRow, Row, Scope, Store, Sync,
    Taken, Verdict, Work,
};
use evenkeel::journal::{Dead, DeadFilter, DeadId, Job};
use evenkeel::{Error, Result};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mistake {
    /// With an event go its replies that are not sent.
    UnsentRepliesGoWithTheirEvent,
    /// What came in with a fenced work stays.
    IntakeOfFencedWorkStays,
    /// Cursors are written, and then what came in.
    CursorBeforeItsEvents,
    /// What came in is written, and then cursors.
    CursorAfterItsEvents,
    /// The changes of a work are written, and then what came in with it.
    WorkInTwo,
    /// Nobody is ever fenced.
    NoFence,
    /// A claim leaves the epoch as it is.
    SameEpoch,
    /// The last number before is given out once more.
    NumberTwice,
    /// Keys of an earlier run are forgotten.
    KeysForgotten,
    /// The first files under a name stay for ever.
    FilesStay,
    /// With a reply go the files of the others.
    FilesOfOthersGo,
    /// Dead letters come by their names alone.
    DeadByNameAlone,
    /// A mark without a death forgets the command.
    CommandForgotten,
    /// Persons and conversations are the same.
    ScopesMix,
    /// A job always keeps its time.
    JobsStay,
    /// An owner hears of jobs that are another's to start.
    JobsOfOthers,
    /// Commands are told once.
    CommandsOnce,
    /// A page begins with the last one of the page before.
    PagesOverlap,
    /// What hangs on it is not loaded.
    LoadedBare,
    /// Anyone who asks may load.
    LoadsForAnybody,
    /// What came in is written before the changes of a work.
    IntakeFirst,
    /// A reader has a copy of its own.
    StaleReader,
    /// What an effect has written stays though it fails.
    FailedEffectStays,
    /// A work stays whose effect has failed.
    WorkOfFailedEffectStays,
    /// A failed effect fails whatever comes after it.
    FailedEffectFailsOthers,
    /// The effect of a fenced work is kept.
    FencedEffectStays,
    /// Effects are written, and then the works that they belong to.
    EffectFirst,
    /// An effect that nobody can run is left out.
    UnknownEffectLeftOut,
    /// What follows a reply is left out.
    MoreLeftOut,
}

impl Mistake {
    pub(super) const ALL: [Self; 29] = [
        Self::UnsentRepliesGoWithTheirEvent,
        Self::IntakeOfFencedWorkStays,
        Self::CursorBeforeItsEvents,
        Self::CursorAfterItsEvents,
        Self::WorkInTwo,
        Self::NoFence,
        Self::SameEpoch,
        Self::NumberTwice,
        Self::KeysForgotten,
        Self::FilesStay,
        Self::FilesOfOthersGo,
        Self::DeadByNameAlone,
        Self::CommandForgotten,
        Self::ScopesMix,
        Self::JobsStay,
        Self::JobsOfOthers,
        Self::CommandsOnce,
        Self::PagesOverlap,
        Self::LoadedBare,
        Self::LoadsForAnybody,
        Self::IntakeFirst,
        Self::StaleReader,
        Self::FailedEffectStays,
        Self::WorkOfFailedEffectStays,
        Self::FailedEffectFailsOthers,
        Self::FencedEffectStays,
        Self::EffectFirst,
        Self::UnknownEffectLeftOut,
        Self::MoreLeftOut,
    ];

    /// The promise that it breaks.
    pub(super) fn breaks(self) -> &'static str {
        match self {
            Self::UnsentRepliesGoWithTheirEvent => "a_delete_takes_its_row_and_nothing_else",
            Self::IntakeOfFencedWorkStays | Self::NoFence => "a_work_under_another_epoch_changes_nothing",
            Self::CursorBeforeItsEvents | Self::CursorAfterItsEvents | Self::WorkInTwo => {
                "a_commit_that_is_dropped_is_there_whole_or_not_at_all"
            }
            Self::SameEpoch => "a_claim_fences_the_owner_before",
            Self::NumberTwice => "no_number_is_given_out_twice",
            Self::KeysForgotten => "a_dedupe_key_stays_known_when_the_store_is_opened_again",
            Self::FilesStay => "a_row_that_is_put_replaces_the_one_before",
            Self::FilesOfOthersGo => "files_go_when_they_are_deleted",
            Self::DeadByNameAlone => "dead_letters_come_by_time_and_then_by_name",
            Self::CommandForgotten => "a_mark_without_a_death_keeps_the_command",
            Self::ScopesMix => "values_of_different_scopes_do_not_mix",
            Self::JobsStay => "a_name_has_one_job",
            Self::JobsOfOthers => "the_jobs_of_a_partition_are_its_owners",
            Self::CommandsOnce => "a_command_waits_until_it_has_an_outcome",
            Self::PagesOverlap | Self::LoadedBare => "what_is_alive_is_loaded_by_number_in_pages",
            Self::LoadsForAnybody => "nothing_is_loaded_under_another_epoch",
            Self::IntakeFirst => "changes_come_before_what_comes_in",
            Self::StaleReader => "a_reader_sees_what_is_committed_and_changes_nothing",
            Self::FailedEffectStays | Self::WorkOfFailedEffectStays | Self::FailedEffectFailsOthers => {
                "an_effect_that_fails_fails_its_work_alone"
            }
            Self::FencedEffectStays => "an_effect_of_a_fenced_work_is_not_kept",
            Self::EffectFirst => "a_work_is_there_with_its_effect_or_not_at_all",
            Self::UnknownEffectLeftOut => "an_effect_on_something_else_fails_its_work_alone",
            Self::MoreLeftOut => "replies_that_come_together_have_one_number_and_one_key",
        }
    }
}

/// What the wrapper knows beside the store.
#[derive(Debug, Default)]
struct Memory {
    /// How often it was opened.
    run: u32,
    /// Whether nothing has come in since.
    is_new: bool,
    last: u64,
    epoch: Option<Epoch>,
    /// The first files under each name.
    files: HashMap<ReplyId, Bytes>,
    told: HashSet<u64>,
}

#[derive(Clone, Debug)]
pub(crate) struct Flawed {
    store: MemoryStore,
    mistake: Option<Mistake>,
    memory: Arc<Mutex<Memory>>,
    is_stale: bool,
    /// Whether a reader never answers.
    reader_hangs: bool,
    is_hanging: bool,
}

impl Flawed {
    pub(super) fn new(mistake: Option<Mistake>) -> Self {
        Self {
            store: MemoryStore::default(),
            mistake,
            memory: Arc::default(),
            is_stale: false,
            reader_hangs: false,
            is_hanging: false,
        }
    }

    /// A store without a mistake whose readers never answer.
    pub(crate) fn with_readers_that_hang() -> Self {
        Self { reader_hangs: true, ..Self::new(None) }
    }

    /// What effects have noted.
    pub(super) fn notes(&self) -> Notes {
        self.store.notes()
    }

    /// The same, opened again.
    pub(super) fn again(&self) -> Self {
        let mut memory = self.memory();
        memory.run += 1;
        memory.is_new = true;
        self.clone()
    }

    fn makes(&self, mistake: Mistake) -> bool {
        self.mistake == Some(mistake)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap()
    }

    /// The epoch that the store takes for its owner's.
    fn epoch(&self, told: Epoch) -> Epoch {
        let is_blind = self.makes(Mistake::NoFence) || self.makes(Mistake::SameEpoch) && told == Epoch(1);
        self.memory().epoch.filter(|_| is_blind).unwrap_or(told)
    }

    fn key(&self, key: &str) -> String {
        if self.makes(Mistake::KeysForgotten) {
            format!("{} {key}", self.memory().run)
        } else {
            key.to_owned()
        }
    }

    /// What becomes of a change before it gets to the store.
    async fn bend<'a>(&mut self, change: &Change<'a>) -> Vec<Change<'a>> {
        let mut bent = vec![change.clone()];
        match change {
            Change::Delete(Key::Event(id)) if self.makes(Mistake::UnsentRepliesGoWithTheirEvent) => {
                let replies = self.store.parts(*id).await.unwrap().replies.into_iter();
                let unsent = replies.filter(|reply| reply.state.stage.is_unsent());
                bent.extend(unsent.map(|reply| Change::Delete(Key::Reply(reply.id))));
            }
            Change::Delete(Key::Reply(id)) if self.makes(Mistake::FilesOfOthersGo) => {
                for reply in self.store.parts(id.event).await.unwrap().replies {
                    bent.extend(bare(&reply, *id));
                }
            }
            Change::Put(Row::Reply { id, state, conversation, command, sent_id, body })
                if self.makes(Mistake::FilesStay) =>
            {
                let mut text = Vec::new();
                let Some(files) = body.write(&mut text) else { return bent };
                let files = self.memory().files.entry(*id).or_insert(files.into()).clone();
                let body = Body::Written { text: text.into(), files };
                let (id, state, conversation, command, sent_id) =
                    (*id, *state, *conversation, *command, *sent_id);
                bent = vec![Change::Put(Row::Reply { id, state, conversation, command, sent_id, body })];
            }
            Change::Mark(Mark::Reply(id, state, None)) if self.makes(Mistake::CommandForgotten) => {
                let parts = self.store.parts(id.event).await.unwrap();
                let reply = parts.replies.into_iter().find(|reply| reply.id == *id);
                bent = reply.map_or(Vec::new(), |reply| {
                    let (id, state, sent_id, body) = (reply.id, *state, None, reply.body);
                    vec![Change::Put(Row::Reply {
                        id,
                        state,
                        conversation: "alice",
                        command: "",
                        sent_id,
                        body,
                    })]
                });
            }
            Change::Put(Row::Value(scope, name, value)) if self.makes(Mistake::ScopesMix) => {
                bent = vec![Change::Put(Row::Value(mixed(scope), name, value))];
            }
            _ => {}
        }
        bent
    }

    async fn commit_all(&mut self, batch: &Batch<'_>) -> Result<Committed> {
        let keys: Vec<_> = keys(batch).into_iter().map(|key| key.map(|key| self.key(&key))).collect();
        let mut rest = keys.into_iter().map(|key| key.map(Cow::Owned));
        let mistake = self.mistake;
        let intake = bent(&batch.intake, &mut rest, mistake);
        let with_work: Vec<_> =
            batch.work.iter().map(|work| bent(&work.intake, &mut rest, mistake)).collect();
        let mut work = Vec::new();
        for (own, intake) in batch.work.iter().zip(with_work) {
            let mut changes = Vec::new();
            for change in &own.changes {
                changes.extend(self.bend(change).await);
            }
            let (partition, epoch) = (own.partition, self.epoch(own.epoch));
            work.push(Work { partition, epoch, changes, intake, effect: own.effect.clone() });
        }
        let cursors = batch.cursors.clone();
        let mut whole = Batch { cursors, intake, work, now_ms: batch.now_ms, sync: batch.sync };
        let failed = self.bend_effects(&mut whole).await?;
        let mut committed = self.write(whole).await?;
        for (verdict, failed) in committed.work.iter_mut().zip(failed) {
            if let Some(error) = failed {
                *verdict = Verdict::EffectFailed(error);
            }
        }
        Ok(committed)
    }

    /// What becomes of effects before they get to the store. Answers with what a work is said to have failed all the same.
    async fn bend_effects(&mut self, whole: &mut Batch<'_>) -> Result<Vec<Option<Error>>> {
        let own = self.memory().epoch.unwrap_or_default();
        let mut told = Vec::new();
        let mut has_failed = false;
        for work in &mut whole.work {
            let Some(effect) = work.effect.clone() else {
                told.push(None);
                continue;
            };
            let is_known = effect.kind() == EffectKind::of::<Notes>();
            let fails = is_known && effect.run(&self.store.notes()).is_err();
            let error = match self.mistake {
                Some(Mistake::UnknownEffectLeftOut) if !is_known => {
                    work.effect = None;
                    None
                }
                Some(Mistake::FailedEffectStays) if fails => {
                    self.alone(work.partition, own, deaf(&effect)).await?;
                    None
                }
                Some(Mistake::WorkOfFailedEffectStays) if fails => {
                    work.effect = None;
                    effect.run(&self.store.notes()).err()
                }
                Some(Mistake::FailedEffectFailsOthers) if has_failed => {
                    work.effect = Some(Effect::new(|_: &Notes| Err(Error::new("another one has failed"))));
                    None
                }
                Some(Mistake::FencedEffectStays) if work.epoch != own => {
                    self.alone(work.partition, own, effect).await?;
                    None
                }
                Some(Mistake::EffectFirst) if is_known && !fails => {
                    self.alone(work.partition, own, effect).await?;
                    work.effect = None;
                    tokio::task::yield_now().await;
                    None
                }
                _ => None,
            };
            has_failed |= fails;
            told.push(error);
        }
        Ok(told)
    }

    /// Has an effect written by itself.
    async fn alone(&mut self, partition: Partition, epoch: Epoch, effect: Effect) -> Result<()> {
        let (changes, intake, effect) = (Vec::new(), Vec::new(), Some(effect));
        let work = vec![Work { partition, epoch, changes, intake, effect }];
        let (cursors, intake, now_ms) = (Vec::new(), Vec::new(), None);
        self.store.commit(&Batch { cursors, intake, work, now_ms, sync: Sync::Full }).await.map(drop)
    }

    /// Writes it at once, or not.
    async fn write(&mut self, mut whole: Batch<'_>) -> Result<Committed> {
        let (now_ms, sync) = (whole.now_ms, whole.sync);
        let part = || Batch { cursors: Vec::new(), intake: Vec::new(), work: Vec::new(), now_ms, sync };
        match self.mistake {
            Some(Mistake::CursorBeforeItsEvents) => {
                let cursors = std::mem::take(&mut whole.cursors);
                self.store.commit(&Batch { cursors, ..part() }).await?;
                tokio::task::yield_now().await;
                self.store.commit(&whole).await
            }
            Some(Mistake::CursorAfterItsEvents) => {
                let cursors = std::mem::take(&mut whole.cursors);
                let committed = self.store.commit(&whole).await?;
                tokio::task::yield_now().await;
                self.store.commit(&Batch { cursors, ..part() }).await?;
                Ok(committed)
            }
            Some(Mistake::WorkInTwo) if whole.work.len() == 1 => {
                let intake = std::mem::take(&mut whole.work[0].intake);
                let mut committed = self.store.commit(&whole).await?;
                tokio::task::yield_now().await;
                if committed.work == [Verdict::Kept(Vec::new())] {
                    let taken = self.store.commit(&Batch { intake, ..part() }).await?.intake;
                    committed.work = vec![Verdict::Kept(taken)];
                }
                Ok(committed)
            }
            Some(Mistake::IntakeFirst) if whole.work.len() == 1 => {
                let Work { partition, epoch, .. } = whole.work[0];
                let intake = std::mem::take(&mut whole.work[0].intake);
                let first = Work { partition, epoch, changes: Vec::new(), intake, effect: None };
                let first = self.store.commit(&Batch { work: vec![first], ..part() }).await?;
                let mut committed = self.store.commit(&whole).await?;
                committed.work = first.work;
                Ok(committed)
            }
            _ => {
                let committed = self.store.commit(&whole).await?;
                if self.makes(Mistake::IntakeOfFencedWorkStays) {
                    for (work, verdict) in whole.work.into_iter().zip(&committed.work) {
                        if *verdict == Verdict::Fenced {
                            self.store.commit(&Batch { intake: work.intake, ..part() }).await?;
                        }
                    }
                }
                Ok(committed)
            }
        }
    }
}

/// The same, which never says that it has failed.
fn deaf(effect: &Effect) -> Effect {
    let effect = effect.clone();
    Effect::new(move |notes: &Notes| {
        let _unheard = effect.run(notes);
        Ok(())
    })
}

/// The keys of all that comes in, in order.
fn keys<'a>(batch: &Batch<'a>) -> Vec<Option<Cow<'a, str>>> {
    let with_work = batch.work.iter().flat_map(|work| &work.intake);
    batch.intake.iter().chain(with_work).map(|intake| intake.dedupe.clone()).collect()
}

/// What comes in, under other keys; jobs perhaps such that they stay, and replies without what follows them.
fn bent<'a>(
    all: &[Intake<'a>],
    keys: &mut impl Iterator<Item = Option<Cow<'a, str>>>,
    mistake: Option<Mistake>,
) -> Vec<Intake<'a>> {
    let bend = |(intake, dedupe): (&Intake<'a>, _)| {
        let mut row = intake.row.clone();
        match (&mut row, mistake) {
            (NewRow::Job { keeps_due, .. }, Some(Mistake::JobsStay)) => *keeps_due = true,
            (NewRow::Reply { more, .. }, Some(Mistake::MoreLeftOut)) => more.clear(),
            _ => {}
        }
        Intake { conversation: intake.conversation.clone(), dedupe, row }
    };
    all.iter().zip(keys).map(bend).collect()
}

/// A reply beside the one that goes, without its files.
fn bare(reply: &ReplyRow, gone: ReplyId) -> Option<Change<'static>> {
    if reply.id == gone || !reply.state.has_files {
        return None;
    }
    let mut text = Vec::new();
    reply.body.write(&mut text);
    let body = Body::Written { text: text.into(), files: Bytes::new() };
    let (id, state) = (reply.id, reply.state);
    Some(Change::Put(Row::Reply { id, state, conversation: "alice", command: "!pong", sent_id: None, body }))
}

fn mixed<'a>(scope: &Scope<'a>) -> Scope<'a> {
    match scope.as_str().strip_prefix("\0person:") {
        Some(person) => Scope::conversation(person.to_owned()),
        None => scope.clone(),
    }
}

impl Store for Flawed {
    type Reader = Self;

    async fn claim(&mut self) -> Result<Claims> {
        let mut claims = self.store.claim().await?;
        self.memory().epoch = claims.gained.first().map(|(_, epoch)| *epoch);
        if self.makes(Mistake::SameEpoch) {
            claims.gained = vec![(Partition::WHOLE, Epoch(1))];
        }
        Ok(claims)
    }

    async fn load(
        &mut self,
        partition: Partition,
        epoch: Epoch,
        after: Option<EventId>,
        limit: usize,
    ) -> Result<Loaded> {
        let before = |id: EventId| EventId::from_bits(id.bits() - 1);
        let after = if self.makes(Mistake::PagesOverlap) { after.map(before) } else { after };
        let own = self.memory().epoch.unwrap_or(epoch);
        let epoch = if self.makes(Mistake::LoadsForAnybody) { own } else { self.epoch(epoch) };
        let mut loaded = self.store.load(partition, epoch, after, limit).await?;
        if let (Loaded::Read(page), true) = (&mut loaded, self.makes(Mistake::LoadedBare)) {
            page.iter_mut().for_each(|(_, parts)| parts.steps.clear());
        }
        Ok(loaded)
    }

    async fn commit(&mut self, batch: &Batch<'_>) -> Result<Committed> {
        let mut committed = self.commit_all(batch).await?;
        let mut memory = self.memory();
        for taken in &mut committed.intake {
            if let Taken::New(number) = taken {
                if std::mem::take(&mut memory.is_new) && self.mistake == Some(Mistake::NumberTwice) {
                    *number = memory.last;
                }
                memory.last = *number;
                break;
            }
        }
        drop(memory);
        Ok(committed)
    }

    fn runs(&self, kind: EffectKind) -> bool {
        self.store.runs(kind)
    }

    fn reader(&self) -> Result<Self> {
        Ok(Self { is_stale: self.makes(Mistake::StaleReader), is_hanging: self.reader_hangs, ..self.clone() })
    }

    fn durability(&self) -> Durability {
        self.store.durability()
    }
}

impl Reader for Flawed {
    async fn parts(&mut self, id: EventId) -> Result<Parts> {
        if self.is_stale { Ok(Parts::default()) } else { self.store.parts(id).await }
    }

    async fn dead(&mut self, filter: &DeadFilter) -> Result<Vec<Dead>> {
        if self.is_hanging {
            return std::future::pending().await;
        }
        if !self.makes(Mistake::DeadByNameAlone) {
            return self.store.dead(filter).await;
        }
        let all = DeadFilter { after: None, limit: None, ..filter.clone() };
        let mut dead = self.store.dead(&all).await?;
        dead.retain(|dead| filter.after.is_none_or(|(_, after)| after < dead.id));
        dead.sort_by_key(|dead| dead.id);
        dead.truncate(filter.limit.unwrap_or(usize::MAX));
        Ok(dead)
    }

    async fn dead_names(&mut self, filter: &DeadFilter) -> Result<Vec<DeadId>> {
        Ok(self.dead(filter).await?.iter().map(|dead| dead.id).collect())
    }

    async fn job(&mut self, key: JobKey<'_>) -> Result<Option<Job>> {
        self.store.job(key).await
    }

    async fn jobs(&mut self, which: &JobFilter<'_>) -> Result<Due> {
        let partition = which.partition.filter(|_| !self.makes(Mistake::JobsOfOthers));
        self.store.jobs(&JobFilter { partition, ..*which }).await
    }

    async fn value(&mut self, scope: &Scope<'_>, name: &str) -> Result<Option<Bytes>> {
        let scope = if self.makes(Mistake::ScopesMix) { mixed(scope) } else { scope.clone() };
        self.store.value(&scope, name).await
    }

    async fn values(&mut self, scope: &Scope<'_>) -> Result<Vec<(String, Bytes)>> {
        let scope = if self.makes(Mistake::ScopesMix) { mixed(scope) } else { scope.clone() };
        self.store.values(&scope).await
    }

    async fn commands(&mut self) -> Result<Vec<(u64, Bytes)>> {
        let mut commands = self.store.commands().await?;
        if self.makes(Mistake::CommandsOnce) {
            let mut memory = self.memory();
            commands.retain(|(number, _)| memory.told.insert(*number));
        }
        Ok(commands)
    }

    async fn outcome(&mut self, command: u64) -> Result<Option<String>> {
        self.store.outcome(command).await
    }
}
