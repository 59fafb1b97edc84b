//! The engine and the handlers that run: the driver changes them, and the wire looks at them when somebody asks how the bot is.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use evenkeel_guard::Task;
use tokio::time::Instant;

use super::commands::Commands;
use super::link::SendEnd;
use crate::engine::{Engine, HandlerOutcome, Input, Now};
use crate::error::Result;
use crate::progress::Progress;

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
    pub(super) engine: Engine,
    /// Handlers that run, by event. Dropping a task cancels it.
    running: HashMap<u64, Running>,
    pub(super) commands: Commands,
    /// Best-effort actions that the wire was told of and that have not ended.
    pub(super) notices: usize,
    /// Since when a batch is being written.
    pub(super) writing_since: Option<Instant>,
    /// How many events came out of the inbox.
    pub(super) arrived: usize,
    /// Replies that handlers had asked for when they were cut short.
    pub(super) asked: usize,
}

/// A handler that runs.
pub(super) struct Running {
    pub(super) progress: Arc<Progress>,
    /// Held for its end alone, which cancels the handler.
    pub(super) _task: Task,
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
    pub(super) fn step_all(&mut self, inputs: impl IntoIterator<Item = Input>, now: Now) -> Result<()> {
        inputs.into_iter().try_for_each(|input| self.engine.step(input, now))
    }

    /// Something that was to be sent has ended one way or the other.
    pub(super) fn sent(&mut self, end: SendEnd, now: Now) -> Result<()> {
        match end {
            SendEnd::Delivered(delivery, result) => {
                self.engine.step(Input::Delivered(delivery, result), now)?;
            }
            SendEnd::Notified(ended) => {
                self.notices -= 1;
                if let Some(result) = ended {
                    self.engine.step(Input::Notified(result), now)?;
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

    /// All that run: anyone who drops them cancels them, and does so without the lock.
    pub(super) fn take_running(&mut self) -> HashMap<u64, Running> {
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

    /// For how long the batch that is being written has been, if that is long.
    pub(super) fn stalled(&self) -> Duration {
        let since = self.writing_since.map(|since| since.elapsed());
        since.filter(|since| *since >= STALLED).unwrap_or_default()
    }
}
