//! A random history, told to the store under test and to the one in memory: they have to say the same.

use bytes::Bytes;

use super::broken::{Kept, Mismatch, same, same_lines};
use super::random::Random;
use super::shown::{Names, dead_lines, job_lines, lines};
use super::step::{Op, ops};
use super::subject::{End, Open, Subject};
use crate::journal::DeadFilter;
use crate::journal::memory::MemoryStore;
use crate::journal::store::{Batch, Epoch, EventId, JobFilter, Partition, Store, Sync, Taken, Verdict, Work};

/// How many histories there are, each with its number for a seed.
const HISTORIES: u64 = 24;

/// How many batches each has.
const STEPS: u32 = 40;

/// The store in memory, and what both stores call the same things.
struct Model {
    store: MemoryStore,
    epoch: Epoch,
    own: Names,
    /// The names of the store under test.
    other: Names,
}

impl Model {
    async fn new() -> Result<Self, Mismatch> {
        let mut model = Self {
            store: MemoryStore::default(),
            epoch: Epoch(0),
            own: Names::default(),
            other: Names::default(),
        };
        model.claim().await?;
        Ok(model)
    }

    /// Becomes the owner, and says what is kept beside rows.
    async fn claim(&mut self) -> Result<(Vec<(String, Bytes)>, u64), Mismatch> {
        let claims = self.store.claim().await?;
        self.epoch = claims.gained.first().map_or(Epoch(0), |(_, epoch)| *epoch);
        Ok((claims.cursors, claims.latest_ms))
    }

    /// Learns what both stores have made of the same thing.
    fn learn(&mut self, op: &Op, own: Taken, other: Taken) -> Kept {
        let names = match op {
            Op::Event { .. } | Op::Resend { .. } => {
                let pair = |names: &mut Names, bits| names.events.push(EventId::from_bits(bits));
                pair as fn(&mut Names, u64)
            }
            Op::Job { .. } => |names: &mut Names, id| names.jobs.push(id),
            _ => |names: &mut Names, id| names.commands.push(id),
        };
        match (own, other) {
            (Taken::New(own), Taken::New(other)) => {
                names(&mut self.own, own);
                names(&mut self.other, other);
                Ok(())
            }
            (Taken::Known(own), Taken::Known(other)) => {
                let place = |names: &Names, id| names.jobs.iter().position(|one| *one == id);
                same("what is known", &place(&self.other, other), &place(&self.own, own))
            }
            _ => same("what became of what came in", &other, &own),
        }
    }
}

/// What one step of a history is.
struct Step {
    ops: Vec<Op>,
    /// What comes in with the work, in the place of by its own door.
    with_work: usize,
    cursor: Option<(&'static str, Bytes)>,
    now_ms: Option<u64>,
    sync: Sync,
    is_fenced: bool,
}

impl Step {
    fn new(random: &mut Random, ops: Vec<Op>) -> Self {
        let number = u8::try_from(random.below(256)).unwrap_or(0);
        let cursor = random.chance(20).then(|| (random.one(&["one", "other"]), Bytes::from(vec![number])));
        let now_ms = random.chance(30).then(|| random.below(100) as u64);
        let sync = if random.chance(10) { Sync::Full } else { Sync::Lazy };
        Self { ops, with_work: random.below(3), cursor, now_ms, sync, is_fenced: random.chance(8) }
    }

    /// What comes in by its own door, and what with the work.
    fn intake(&self) -> (Vec<&Op>, Vec<&Op>) {
        let all: Vec<_> = self.ops.iter().filter(|op| op.intake().is_some()).collect();
        let (alone, with) = all.split_at(all.len().saturating_sub(self.with_work));
        (alone.to_vec(), with.to_vec())
    }

    fn batch<'a>(&'a self, mut work: Vec<Work<'a>>, home: (Partition, Epoch)) -> Batch<'a> {
        let (alone, with) = self.intake();
        let rows = |ops: Vec<&'a Op>| ops.into_iter().filter_map(Op::intake).collect::<Vec<_>>();
        match work.iter_mut().find(|work| work.partition == home.0) {
            Some(work) => work.intake = rows(with),
            None => {
                let (partition, epoch) = home;
                let (changes, intake) = (Vec::new(), rows(with));
                work.push(Work { partition, epoch, changes, intake, effect: None });
            }
        }
        for work in work.iter_mut().filter(|_| self.is_fenced) {
            work.epoch.0 += 1;
        }
        let cursors = self.cursor.iter().map(|(source, body)| (*source, body.clone())).collect();
        Batch { cursors, intake: rows(alone), work, now_ms: self.now_ms, sync: self.sync }
    }
}

/// What came in by both doors, in order, and whether all work was kept.
fn taken(intake: &[Taken], work: &[Verdict]) -> (Vec<Taken>, bool) {
    let with = work.iter().flat_map(|verdict| match verdict {
        Verdict::Kept(taken) => taken.clone(),
        Verdict::Fenced | Verdict::EffectFailed(_) => Vec::new(),
    });
    (intake.iter().copied().chain(with).collect(), !work.contains(&Verdict::Fenced))
}

impl<S: Store, O: Open<S>> Subject<S, O> {
    pub(super) async fn any_history_leaves_what_it_leaves_in_memory(&mut self) -> Kept {
        for seed in 1..=HISTORIES {
            self.fresh().await?;
            let mut random = Random(seed);
            let mut model = Model::new().await?;
            for step in 0..STEPS {
                let played = self.play(&mut model, &mut random).await;
                played.map_err(|found| {
                    found.within(&format!("in step {step} of the history with seed {seed}"))
                })?;
            }
        }
        Ok(())
    }

    async fn play(&mut self, model: &mut Model, random: &mut Random) -> Kept {
        if random.chance(12) {
            let end = if random.chance(50) { End::Drop } else { End::Close };
            self.again(end).await?;
            let (cursors, latest_ms) = model.claim().await?;
            same("the cursors", self.cursors(), &cursors.into_iter().collect())?;
            same("the latest time", &self.latest_ms(), &latest_ms)?;
        } else {
            let ops = ops(random, &model.own, &mut model.store).await?;
            self.tell(model, &Step::new(random, ops)).await?;
        }
        self.compare(model, random).await
    }

    /// Tells both the same, and compares what they answer.
    async fn tell(&mut self, model: &mut Model, step: &Step) -> Kept {
        let changes = |names: &Names| step.ops.iter().flat_map(|op| op.changes(names)).collect::<Vec<_>>();
        let (alone, with) = step.intake();
        let home = (Partition::WHOLE, model.epoch);
        let (changes_there, intake) = (changes(&model.own), Vec::new());
        let work = Work { partition: home.0, epoch: home.1, changes: changes_there, intake, effect: None };
        let expected = model.store.commit(&step.batch(vec![work], home)).await?;
        let (expected, is_kept) = taken(&expected.intake, &expected.work);

        let work = self.works(changes(&model.other));
        let home = (self.home(), self.epoch(self.home()));
        let seen = self.commit(&step.batch(work, home)).await?;
        let (seen, is_seen_kept) = taken(&seen.intake, &seen.work);
        same("whether a work was kept", &is_seen_kept, &is_kept)?;
        same("how much was answered", &seen.len(), &expected.len())?;
        for (op, (own, other)) in alone.into_iter().chain(with).zip(expected.into_iter().zip(seen)) {
            model.learn(op, own, other)?;
        }
        Ok(())
    }

    async fn compare(&mut self, model: &mut Model, random: &mut Random) -> Kept {
        let expected = lines(&mut model.store, &model.own).await?;
        same_lines("what is kept", &lines(self.store(), &model.other).await?, &expected)?;
        let mut loaded = Vec::new();
        let all = model.store.load(Partition::WHOLE, model.epoch, None, usize::MAX).await?;
        for (id, parts) in super::subject::read(all)? {
            loaded.push((model.own.event(id), super::shown::Seen::of(id, parts)?));
        }
        let seen = self.load(random.below(5) + 1).await?;
        let mut seen: Vec<_> = seen.into_iter().map(|(id, seen)| (model.other.event(id), seen)).collect();
        loaded.sort_by(|one, other| one.0.cmp(&other.0));
        seen.sort_by(|one, other| one.0.cmp(&other.0));
        same("what is alive", &seen, &loaded)?;
        let filter = DeadFilter {
            conversation: random.chance(30).then(|| random.one(&["alice", "bob"]).to_owned()),
            command: random.chance(30).then(|| random.one(&["!a", "!b"]).to_owned()),
            ..DeadFilter::default()
        };
        let expected = dead_lines(&mut model.store, &filter, &model.own).await?;
        same("dead letters", &dead_lines(self.store(), &filter, &model.other).await?, &expected)?;
        let which = JobFilter {
            partition: None,
            conversation: random.chance(30).then(|| random.one(&["alice", "bob"])),
            after: None,
            until_ms: random.below(30) as u64,
            limit: random.below(4),
        };
        let expected = job_lines(&mut model.store, &which, &model.own).await?;
        same("jobs", &job_lines(self.store(), &which, &model.other).await?, &expected)
    }
}
