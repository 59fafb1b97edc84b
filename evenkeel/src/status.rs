//! What a running bot says of itself: counters, lanes, latency per command, handlers that block, the quarantine.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde::{Serialize, Serializer};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::command::CommandSpec;
use crate::guarantee::Guarantees;
use crate::progress::Progress;

/// Asks a running bot how it is. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Status {
    /// The wire holds the other end; a stopped bot has dropped it.
    questions: mpsc::Sender<Question>,
    specs: Arc<[CommandSpec]>,
}

/// What the wire can be asked.
#[derive(Debug)]
pub(crate) enum Question {
    /// How the bot is.
    Snapshot(oneshot::Sender<Snapshot>),
    /// When it has nothing left to do.
    Idle(oneshot::Sender<()>),
    /// What it promises on the network of this name; on the first one without a name.
    Guarantees(Option<String>, oneshot::Sender<Guarantees>),
    /// Which handlers have run for longer than this, the oldest first.
    Slow(Duration, oneshot::Sender<Vec<Arc<Progress>>>),
    /// To let the commands of this name go from quarantine, and how many there were.
    Pardon(String, oneshot::Sender<usize>),
}

/// The state of a bot at one moment.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Snapshot {
    /// Events that the journal took.
    pub accepted: u64,
    /// Events that were taken up again: those that an earlier run had accepted and left, and dead letters that were replayed.
    ///
    /// Each event that was accepted or taken up ends once: `accepted + resumed` is `handled + failed` and those that still
    /// wait or run.
    pub resumed: u64,
    /// Events that had come before.
    pub duplicates: u64,
    /// Events refused because too many were waiting, or because the bot was stopping.
    pub refused: u64,
    /// Those of them whose conversation or sender had its share of what may wait, while others were taken.
    pub refused_share: u64,
    /// Those of them that were larger than an event may be.
    pub refused_large: u64,
    /// Things that arrived and could not be understood.
    pub undeliverable: u64,
    /// Events whose handler returned, and events that no trigger wanted.
    pub handled: u64,
    /// Those of them that were older than the bot wants to handle ([`App::with_max_age`](crate::App::with_max_age)).
    pub expired: u64,
    /// Those of them whose handlers another one has ended ([`Context::cancel_others`](crate::Context::cancel_others)).
    pub cancelled: u64,
    /// Events that were given up because their handler returned an error or panicked.
    pub failed: u64,
    /// Failed attempts after which another one followed.
    pub retried: u64,
    /// Apologies that were withheld, one a minute for each conversation being enough, and replies that had to wait because
    /// the same went to the same conversation again and again, or were left out because the same was waiting there.
    pub braked: u64,
    /// Events and replies that were given up since the bot began: dead letters, and parked events.
    pub dead: u64,
    /// Actions that the network took.
    pub sent: u64,
    /// Actions that the network refused, or that were given up.
    pub not_sent: u64,
    /// Actions of which nobody knows whether they happened.
    pub unknown: u64,
    /// How many jobs wait for each function that this bot has not, by its name: an earlier version planned them. Without those that
    /// were due since the bot began, which are dead letters.
    pub unknown_jobs: BTreeMap<String, u64>,
    /// Times in which nobody read what the network sent.
    pub gaps: Gaps,
    /// For how long the journal has not answered, in seconds; zero while it answers within one. Its disk may be full, or
    /// another program keeps it to itself: nothing is accepted, done or sent meanwhile.
    #[serde(rename = "stalled_seconds", serialize_with = "as_seconds")]
    pub stalled: Duration,
    /// Lines of the log that could not be written, since the start of the process.
    pub lost_log_lines: u64,
    /// Conversations whose handler is running.
    pub running: usize,
    /// Events waiting behind another one of their conversation.
    pub waiting: usize,
    /// Actions promised and not yet confirmed.
    pub outbox: usize,
    /// Whether the bot takes nothing more and is finishing.
    pub is_draining: bool,
    /// The networks of the bot, in the order in which it was given them. What is counted above is the sum of all.
    pub networks: Vec<NetworkSnapshot>,
    /// Each command that was used, by name.
    pub commands: Vec<CommandSnapshot>,
    /// Places where handlers blocked or kept a core busy, newest last.
    pub blocked: Vec<evenkeel_guard::Report>,
    /// Commands that are kept away from the workers because they blocked them, by name.
    pub quarantined: Vec<evenkeel_guard::Quarantined>,
    /// What the guard has seen and done.
    pub guard: evenkeel_guard::Counters,
}

/// One network at one moment. What is counted means the same as in [`Snapshot`].
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct NetworkSnapshot {
    /// What the bot calls it.
    pub name: String,
    /// Whether it is the one whose conversations have no network's name in the journal.
    pub is_primary: bool,
    /// How it fares.
    pub state: NetworkState,
    /// Events that were handed over and not refused, those that had come before with them.
    pub handed_over: u64,
    /// See [`Snapshot::refused`].
    pub refused: u64,
    /// See [`Snapshot::refused_share`].
    pub refused_share: u64,
    /// See [`Snapshot::refused_large`].
    pub refused_large: u64,
    /// See [`Snapshot::undeliverable`].
    pub undeliverable: u64,
    /// See [`Snapshot::gaps`].
    pub gaps: Gaps,
    /// See [`Snapshot::sent`].
    pub sent: u64,
    /// See [`Snapshot::not_sent`].
    pub not_sent: u64,
    /// See [`Snapshot::unknown`].
    pub unknown: u64,
    /// See [`Snapshot::outbox`].
    pub outbox: usize,
}

/// How a network fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum NetworkState {
    /// It is not open yet: it has not answered, or has refused, and is asked again. What is to be sent there waits.
    Opening,
    /// It is open.
    Open,
    /// Its source has ended: nothing more comes in, and replies still go out.
    Ended,
    /// It gave up receiving. Replies still go out, as far as it takes them.
    Failed,
}

impl NetworkState {
    /// One word for tables.
    pub fn word(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Open => "open",
            Self::Ended => "ended",
            Self::Failed => "failed",
        }
    }
}

/// One command at one moment.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct CommandSnapshot {
    /// The trigger as written, or the name its author gave.
    pub name: String,
    /// How many events it handled.
    pub handled: u64,
    /// How many it gave up.
    pub failed: u64,
    /// Half of both came to their end within this many microseconds of being accepted, or taken up.
    pub p50_us: u64,
    /// 99 of 100 did.
    pub p99_us: u64,
    /// All did.
    pub max_us: u64,
}

/// A handler that has run for long.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct SlowHandler {
    /// The trigger as written, or the name its author gave; empty until it is known.
    pub command: String,
    /// For how long it has run, in seconds where it is written down.
    #[serde(rename = "running_seconds", serialize_with = "as_seconds")]
    pub running: Duration,
    /// Whether its time stands still: it waits for a person, the network or the journal.
    pub is_unhurried: bool,
    /// Where it waits, `at src/cmd.rs:41 in tokio::sync::mpsc::Receiver::recv <- ..`. Empty where it did not answer: it keeps
    /// its thread, which the guard's reports name ([`Snapshot::blocked`]), or waits for a thread.
    pub waits: Vec<String>,
}

impl SlowHandler {
    async fn ask(progress: &Progress) -> Self {
        let waits = timeout(PATIENCE, progress.asker.ask()).await.ok().flatten();
        Self {
            command: progress.label.get().map(|label| label.name().to_owned()).unwrap_or_default(),
            running: progress.stopwatch.began().elapsed(),
            is_unhurried: progress.stopwatch.is_held(),
            waits: waits.unwrap_or_default().iter().map(ToString::to_string).collect(),
        }
    }
}

/// How long a handler is asked where it waits.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often, and for how long in all, nobody read what the network sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Gaps {
    /// How often.
    pub count: u64,
    /// For how long in all; in seconds where it is written down.
    #[serde(rename = "total_seconds", serialize_with = "as_seconds")]
    pub total: Duration,
}

impl Gaps {
    /// With those of another network.
    pub(crate) fn with(self, other: Self) -> Self {
        Self { count: self.count + other.count, total: self.total + other.total }
    }
}

fn as_seconds<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(span.as_secs_f64())
}

impl Status {
    pub(crate) fn new() -> (Self, mpsc::Receiver<Question>) {
        // A full channel means that 16 askers are waiting already; the next one waits to ask.
        let (questions, receiver) = mpsc::channel(16);
        (Self { questions, specs: Arc::default() }, receiver)
    }

    pub(crate) fn with_specs(self, specs: Vec<CommandSpec>) -> Self {
        Self { specs: specs.into(), ..self }
    }

    /// What people can ask the bot for, as [`App::specs`](crate::App::specs) tells it.
    pub fn specs(&self) -> &[CommandSpec] {
        &self.specs
    }

    /// How the bot is right now; `None` once it has stopped.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the question.
    pub async fn snapshot(&self) -> Option<Snapshot> {
        let (answer, snapshot) = oneshot::channel();
        self.questions.send(Question::Snapshot(answer)).await.ok()?;
        snapshot.await.ok()
    }

    /// What this bot promises, with the transport and the journal that it has; of several networks on the first. `None` once it has
    /// stopped.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the question.
    pub async fn guarantees(&self) -> Option<Guarantees> {
        self.ask_guarantees(None).await
    }

    /// The same on the network that the bot calls so; `None` also where there is none.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the question.
    pub async fn guarantees_on(&self, network: &str) -> Option<Guarantees> {
        self.ask_guarantees(Some(network.to_owned())).await
    }

    async fn ask_guarantees(&self, network: Option<String>) -> Option<Guarantees> {
        let (answer, guarantees) = oneshot::channel();
        self.questions.send(Question::Guarantees(network, answer)).await.ok()?;
        guarantees.await.ok()
    }

    /// Handlers that have run for longer than this, the oldest first and at most 20, and at which line each waits; `None` once
    /// the bot has stopped.
    ///
    /// Each is polled once more to learn it, and has a second to answer.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the question.
    pub async fn slow_handlers(&self, longer_than: Duration) -> Option<Vec<SlowHandler>> {
        let (answer, slow) = oneshot::channel();
        self.questions.send(Question::Slow(longer_than, answer)).await.ok()?;
        let slow = slow.await.ok()?;
        Some(join_all(slow.iter().map(|progress| SlowHandler::ask(progress))).await)
    }

    /// Lets every command of this name go from quarantine and forgets its strikes. Answers how many there were; `None`
    /// once the bot has stopped.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the question, unless the bot has heard it already.
    pub async fn pardon(&self, name: impl Into<String>) -> Option<usize> {
        let (answer, pardoned) = oneshot::channel();
        self.questions.send(Question::Pardon(name.into(), answer)).await.ok()?;
        pardoned.await.ok()
    }

    /// Waits until nothing is waiting, running, or on its way out; also returns once the bot has stopped.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the question.
    pub async fn idle(&self) {
        let (answer, is_idle) = oneshot::channel();
        if self.questions.send(Question::Idle(answer)).await.is_ok() {
            // A stopped bot drops the sender, and is as idle as can be.
            let _idle_or_stopped = is_idle.await;
        }
    }
}

/// Counts durations in buckets that are each about 9 % wide, from 1 us to an hour, in 1 KiB.
#[derive(Clone, Debug)]
pub(crate) struct Latency {
    buckets: Box<[u32; BUCKETS]>,
    count: u64,
    max_us: u64,
}

/// Eight to each doubling, 32 doublings.
const BUCKETS: usize = 256;

impl Default for Latency {
    fn default() -> Self {
        Self { buckets: Box::new([0; BUCKETS]), count: 0, max_us: 0 }
    }
}

impl Latency {
    pub(crate) fn record(&mut self, elapsed: Duration) {
        let us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        self.max_us = self.max_us.max(us);
        self.count += 1;
        let bucket = &mut self.buckets[Self::bucket(us)];
        *bucket = bucket.saturating_add(1);
    }

    /// The duration in microseconds that a `share` (0 to 1) of the recorded ones did not exceed.
    pub(crate) fn quantile_us(&self, share: f64) -> u64 {
        let wanted = (self.count as f64 * share).ceil() as u64;
        let mut passed = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            passed += u64::from(*count);
            if passed >= wanted.max(1) {
                return Self::upper_us(bucket).min(self.max_us);
            }
        }
        self.max_us
    }

    pub(crate) fn max_us(&self) -> u64 {
        self.max_us
    }

    fn bucket(us: u64) -> usize {
        if us < 8 {
            return us as usize;
        }
        let octave = us.ilog2() as usize;
        let step = (us >> (octave - 3)) as usize & 7;
        ((octave - 2) * 8 + step).min(BUCKETS - 1)
    }

    fn upper_us(bucket: usize) -> u64 {
        if bucket < 8 {
            return bucket as u64;
        }
        let (octave, step) = (bucket / 8 + 2, bucket as u64 % 8);
        ((8 + step + 1) << (octave - 3)) - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_at_most_an_eighth_too_large() {
        let mut latency = Latency::default();
        for us in 1..=10_000 {
            latency.record(Duration::from_micros(us));
        }
        for (share, exact) in [(0.5, 5_000), (0.99, 9_900), (1.0, 10_000)] {
            let found = latency.quantile_us(share);
            assert!((exact..=exact * 9 / 8).contains(&found), "{share}: {found} for {exact}");
        }
    }

    #[test]
    fn every_duration_has_a_bucket() {
        for shift in 0..64 {
            let us = 1u64 << shift;
            let bucket = Latency::bucket(us);
            assert!(bucket < BUCKETS);
            assert!(bucket == BUCKETS - 1 || Latency::upper_us(bucket) >= us);
        }
    }
}
