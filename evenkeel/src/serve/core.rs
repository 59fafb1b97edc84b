//! The engine and the handlers that run: the driver changes them, and the wire looks at them when somebody asks how the bot is.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::vec::Drain;

use evenkeel_guard::Task;
use tokio::time::Instant;

use super::commands::Commands;
use super::link::SendEnd;
use crate::engine::{
    Engine, HandlerOutcome, Input, JobBody, JobFunctions, NameCommand, Now, Output, Remaining,
};
use crate::error::Result;
use crate::event::Event;
use crate::journal::{Entry, Recovered, Written};
use crate::progress::Progress;
use crate::status::CommandSnapshot;
use crate::transport::Arrival;

/// A journal that takes so long for a batch is said to be stalled.
const STALLED: Duration = Duration::from_secs(1);
/// How many handlers that have run for long are told.
const MOST_SLOW: usize = 20;

/// What both hold. The lock is held while the engine takes a step, which does no I/O, and never while a batch is written, so that
/// the wire answers while the disk stands still. No code of the author's runs behind it.
#[derive(Clone)]
pub(super) struct Shared(Arc<Mutex<Core>>);

/// See the module.
pub(super) struct Core {
    engine: Engine,
    /// Handlers that run, by event. Dropping a task cancels it.
    running: HashMap<u64, Running>,
    commands: Commands,
    /// Best-effort actions that the wire was told of and that have not ended.
    notices: usize,
    /// Since when a batch is being written.
    writing_since: Option<Instant>,
    /// How many events came out of the inbox.
    arrived: usize,
    /// Replies that handlers had asked for when they were cut short.
    asked: usize,
}

/// A handler that runs.
pub(super) struct Running {
    progress: Arc<Progress>,
    /// Held for its end alone, which cancels the handler.
    _task: Task,
}

impl Running {
    pub(super) fn new(progress: Arc<Progress>, task: Task) -> Self {
        Self { progress, _task: task }
    }

    /// The command that it runs, once that is known.
    pub(super) fn command(&self) -> &str {
        self.progress.label.get().map_or("?", |label| label.name())
    }
}

impl Shared {
    pub(super) fn new(engine: Engine) -> Self {
        Self(Arc::new(Mutex::new(Core {
            engine,
            running: HashMap::new(),
            commands: Commands::default(),
            notices: 0,
            writing_since: None,
            arrived: 0,
            asked: 0,
        })))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Core> {
        // After a panic of the driver the bot ends, and what is left is counted as well as it can be.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Core {
    /// The engine, to be asked how it is.
    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Begins with what an earlier run left, and with the schedules that the app has.
    pub(super) fn recover(
        &mut self,
        recovered: Recovered,
        now: Now,
        name_command: NameCommand,
        schedules: &[(String, JobBody)],
        functions: &Arc<JobFunctions>,
    ) {
        self.engine.recover(recovered, now, name_command);
        self.engine.plan(schedules, functions);
    }

    pub(super) fn step_all(&mut self, inputs: impl IntoIterator<Item = Input>, now: Now) -> Result<()> {
        inputs.into_iter().try_for_each(|input| self.engine.step(input, now))
    }

    /// From now on something can be sent on this network.
    pub(super) fn opened(&mut self, network: Arc<str>, now: Now) -> Result<()> {
        self.engine.step(Input::Opened(network), now)
    }

    /// These came out of the inbox.
    pub(super) fn arrived(&mut self, arrivals: impl IntoIterator<Item = Arrival>, now: Now) -> Result<()> {
        for arrival in arrivals {
            self.arrived += usize::from(matches!(arrival, Arrival::Event { .. }));
            self.engine.step(Input::Arrived(arrival), now)?;
        }
        Ok(())
    }

    /// What is to be done now takes the place of what is in `outputs`. Answers which events entered memory beside the inbox, and which
    /// are gone from it.
    pub(super) fn outputs(&mut self, outputs: &mut Vec<Output>) -> (Drain<'_, Event>, Drain<'_, Event>) {
        self.engine.outputs(outputs);
        self.engine.memory_changes()
    }

    /// A batch for the journal, if there is one: its writing begins now.
    pub(super) fn batch(&mut self) -> Option<Vec<Entry>> {
        let batch = self.engine.batch();
        self.writing_since = batch.is_some().then(Instant::now);
        batch
    }

    /// A batch for the journal of a bot that ends, if there is one: what runs is cut short.
    pub(super) fn last_batch(&mut self) -> Option<Vec<Entry>> {
        self.engine.cut_short();
        self.engine.last_batch()
    }

    /// The batch is written. Answers how long that took.
    pub(super) fn written(&mut self, written: Written, now: Now) -> Result<Duration> {
        let took = self.writing_since.take().map_or(Duration::ZERO, |since| since.elapsed());
        self.engine.step(Input::Written(written), now)?;
        Ok(took)
    }

    /// Lets no handler start until it is told to.
    pub(super) fn hold(&mut self) {
        self.engine.hold();
    }

    /// Lets handlers start.
    pub(super) fn admit(&mut self) {
        self.engine.admit();
    }

    /// Takes nothing new up: what runs may finish.
    pub(super) fn drain(&mut self) {
        self.engine.drain();
    }

    /// The wire is told of a best-effort action.
    pub(super) fn notifies(&mut self) {
        self.notices += 1;
    }

    /// Whether the wire was told of best-effort actions that have not ended.
    pub(super) fn is_notifying(&self) -> bool {
        self.notices > 0
    }

    /// Something that was to be sent has ended one way or the other.
    pub(super) fn sent(&mut self, end: SendEnd, now: Now) -> Result<()> {
        match end {
            SendEnd::Delivered(delivery, result) => {
                self.engine.step(Input::Delivered(delivery, result), now)?;
            }
            SendEnd::Notified(ended) => {
                self.notices -= 1;
                if let Some((network, result)) = ended {
                    self.engine.step(Input::Notified(network, result), now)?;
                }
            }
            SendEnd::TakenBack(delivery) => self.engine.take_back(&delivery),
        }
        Ok(())
    }

    /// A handler begins.
    pub(super) fn runs(&mut self, sequence: u64, running: Running) {
        self.running.insert(sequence, running);
    }

    /// A handler that runs is to end: anyone who drops it cancels it, and does so without the lock.
    pub(super) fn cancel(&mut self, sequence: u64) -> Option<Running> {
        self.running.remove(&sequence)
    }

    /// A handler is done. Whether that is the end of its event is for the engine to say: only an end counts.
    pub(super) fn ended(&mut self, outcome: HandlerOutcome, now: Now) -> Result<()> {
        self.running.remove(&outcome.sequence);
        let ended = self.engine.since(outcome.sequence).zip(outcome.command.clone());
        let before = self.engine.event_counters();
        self.engine.step(Input::Finished(outcome), now)?;
        let after = self.engine.event_counters();
        let is_failed = after.failed > before.failed;
        if let Some((since, command)) = ended
            && (is_failed || after.handled > before.handled)
        {
            self.commands.count(command.name(), is_failed, now.elapsed.saturating_sub(since));
        }
        Ok(())
    }

    /// All that run, when this many of their replies are not taken up any more: anyone who drops them cancels them, and does so
    /// without the lock.
    pub(super) fn take_running(&mut self, asked: usize) -> HashMap<u64, Running> {
        self.asked = asked;
        std::mem::take(&mut self.running)
    }

    /// The handlers that have run for longest.
    pub(super) fn slow(&self, longer_than: Duration) -> Vec<Arc<Progress>> {
        let all = self.running.values().map(|running| &running.progress);
        let is_slow = |progress: &&Arc<Progress>| progress.stopwatch.began().elapsed() > longer_than;
        let mut slow: Vec<_> = all.filter(is_slow).collect();
        slow.sort_by_key(|progress| progress.stopwatch.began());
        slow.into_iter().take(MOST_SLOW).cloned().collect()
    }

    /// What is left, with what has not come to the engine: events that are in the inbox, to which this many were handed over, and
    /// replies that handlers had asked for when they were cut short.
    pub(super) fn remaining(&self, handed_over: usize) -> Remaining {
        let left = self.engine.remaining();
        let unread = handed_over.saturating_sub(self.arrived);
        Remaining {
            events: left.events + unread,
            unwritten: left.unwritten + unread,
            replies: left.replies + self.asked,
            is_written: left.is_written && unread == 0,
            ..left
        }
    }

    /// How many replies handlers had asked for when they were cut short.
    pub(super) fn asked(&self) -> usize {
        self.asked
    }

    /// How each command fares.
    pub(super) fn command_snapshots(&self) -> Vec<CommandSnapshot> {
        self.commands.snapshots()
    }

    /// For how long the batch that is being written has been, if that is long.
    pub(super) fn stalled(&self) -> Duration {
        let since = self.writing_since.map(|since| since.elapsed());
        since.filter(|since| *since >= STALLED).unwrap_or_default()
    }
}
