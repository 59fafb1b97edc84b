//! The driver: it tells the engine what happened, has the journal write what it has to know, and starts handlers.
//!
//! It takes all that has come in, lets the engine take its steps, writes one batch, and hands out what follows: so much for one turn,
//! however much that is. It runs no author's code: handlers run behind the executor and report through a channel.

mod life;
mod starting;
mod turn;
mod ending;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use evenkeel_guard::{Executor, Label, Task};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::clock::WallClock;
use super::core::{Running, Shared};
use super::foreign;
use super::handling::handle;
use super::link::ToWire;
use crate::engine::{Attempt, Delivery, HandlerOutcome, HandlerRequests, Now};
use crate::journal::store::EventId;
use crate::journal::{Dead, Journal};
use crate::progress::Progress;
use crate::route::App;
use crate::schedule::{Reading, SteadyClock, Step};
use crate::transport::Backlogs;
pub(super) use life::Life;
use starting::{Given, Starting};
pub(super) use turn::Inputs;

/// Calls of the author's hook that may be under way; it is not told of what comes while they are.
const HOOKS: usize = 1_000;

/// See the module.
pub(super) struct Driver<J: Journal> {
    pub(super) core: Shared,
    pub(super) journal: J,
    pub(super) app: App,
    pub(super) executor: Executor,
    pub(super) backlogs: Backlogs,
    pub(super) clock: WallClock,
    pub(super) requests: HandlerRequests,
    /// Bounded by the handlers that run: each reports once.
    pub(super) outcomes: mpsc::UnboundedSender<HandlerOutcome>,
    pub(super) to_wire: mpsc::UnboundedSender<ToWire>,
    /// What it has begun.
    pub(super) begun: Begun<J>,
}

/// What a driver has under way.
pub(super) struct Begun<J: Journal> {
    /// The batch that is being written.
    writing: Option<Pin<Box<J::Writing>>>,
    /// Hooks of the author's that run beside the handlers.
    hooks: Vec<Task>,
    /// Who waits until there is nothing to do.
    idlers: Vec<oneshot::Sender<()>>,
    is_draining: bool,
    /// What is done at the start and at the end.
    life: Life,
    /// Handlers that are to start; `None` where they need not take turns.
    starting: Option<Starting>,
    /// How long the last batch took.
    took: Duration,
    /// In how long the bot is to stop, once all is taken up that has come in.
    drains_when_taken: Option<Duration>,
    /// The label of an event until its trigger is known.
    unmatched: Label,
    at: Instant,
    steady: SteadyClock,
}

impl<J: Journal> Begun<J> {
    pub(super) fn new(life: Life) -> Self {
        Self {
            writing: None,
            hooks: Vec::new(),
            idlers: Vec::new(),
            is_draining: false,
            life,
            starting: None,
            took: Duration::ZERO,
            drains_when_taken: None,
            unmatched: Label::new("message").general(),
            at: Instant::now(),
            steady: SteadyClock::new(0),
        }
    }
}

impl<J: Journal> Driver<J> {
    /// The present moment, by a clock that follows no wrong reading.
    fn now(&mut self) -> Now {
        let elapsed = self.begun.at.elapsed();
        let Reading { now_ms, step, .. } = self.begun.steady.read(self.clock.now_ms(), elapsed);
        match step {
            Some(Step::Forward(by)) => {
                tracing::warn!(
                    ?by,
                    "the clock was set forward, or the machine slept: followed when it stays so for a minute"
                );
            }
            Some(Step::Back(by)) => {
                tracing::warn!(
                    ?by,
                    "the clock was set back: jobs come a little slower until it has caught up, or after a minute by the new time if that is more than six hours"
                );
            }
            None => {}
        }
        Now { wall_ms: now_ms, elapsed }
    }

    /// A handler is to start: at once on the only network, in turns on several.
    fn start(&mut self, attempt: Attempt) {
        match &mut self.begun.starting {
            Some(starting) => starting.push(attempt),
            None => self.run_handler(attempt, None),
        }
    }

    /// Starts handlers that have their turn.
    fn start_next(&mut self) {
        while let Some(starting) = &mut self.begun.starting
            && let Some(attempt) = starting.next(self.begun.took)
        {
            let given = Some(starting.given());
            self.run_handler(attempt, given);
        }
    }

    fn run_handler(&mut self, attempt: Attempt, given: Option<Given>) {
        let sequence = attempt.sequence;
        let progress = Arc::new(Progress::default());
        let handling = self.handling(attempt, Arc::clone(&progress));
        let handling = async move {
            drop(given);
            handling.await;
        };
        let task = self.executor.spawn(&self.begun.unmatched, handling);
        self.core.lock().runs(sequence, Running::new(progress, task));
    }

    fn handling(
        &self,
        attempt: Attempt,
        progress: Arc<Progress>,
    ) -> impl Future<Output = ()> + Send + use<J> {
        handle(self.app.clone(), attempt, self.requests.clone(), progress, self.outcomes.clone())
    }

    /// Lets a handler go that another one has cancelled.
    fn cancel(&mut self, sequence: u64) {
        if let Some(attempt) = self.begun.starting.as_mut().and_then(|starting| starting.take(sequence)) {
            // It says so when it is dropped.
            drop(self.handling(attempt, Arc::default()));
        }
        // Without the lock: its executor is told.
        let cancelled = self.core.lock().cancel(sequence);
        if let Some(handler) = cancelled {
            let (sequence, command) = (EventId::from_bits(sequence), handler.command());
            tracing::info!(command, %sequence, "cancelled by another handler of its conversation");
        }
    }

    fn tell(&self, what: ToWire) {
        // A wire that is gone ends the driver as well.
        let _told = self.to_wire.send(what);
    }

    fn notify(&mut self, delivery: Delivery) {
        self.core.lock().notifies();
        self.tell(ToWire::Notify(delivery));
    }

    /// Tells the author of something that was given up.
    fn notify_dead(&mut self, dead: Dead) {
        let (id, reason, command) = (dead.id, dead.reason, &dead.command);
        tracing::warn!(%id, %reason, command, "given up: kept as a dead letter");
        if let Some(hook) = &self.app.failure().on_dead {
            let hooks = &mut self.begun.hooks;
            hooks.retain(|hook| !hook.is_finished());
            if hooks.len() >= HOOKS {
                tracing::error!(%id, "`on_dead` was not told: {HOOKS} calls of it have not ended");
                return;
            }
            let notice = foreign::notify_dead(Arc::clone(hook), dead);
            hooks.push(self.executor.spawn(&Label::new("on_dead"), notice));
        }
    }

    fn tell_idlers(&mut self) {
        for idler in self.begun.idlers.drain(..) {
            // The asker may be gone.
            let _heard = idler.send(());
        }
    }
}
