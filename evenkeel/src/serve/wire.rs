//! The wire thread's loop: it tells the engine what happened and does what the engine says.
//!
//! It runs no author's code: handlers run behind the executor and report through a channel.

mod answering;
mod downloads;
mod ending;
mod notices;
mod turn;

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use evenkeel_guard::{Executor, Label, Task};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use self::downloads::{Download, Downloads};
pub(super) use self::ending::{GRACE, let_go};
use self::notices::Notices;
use super::clock::WallClock;
use super::commands::Commands;
use super::foreign;
use super::handling::handle;
use crate::engine::{
    Attempt, Delivery, Engine, HandlerOutcome, HandlerRequest, HandlerRequests, Input, Now, Policy,
};
use crate::error::Result;
use crate::guarantee::Guarantees;
use crate::journal::{Journal, Recovered};
use crate::operator::OperatorCommand;
use crate::progress::Progress;
use crate::route::App;
use crate::schedule::{Hands, Reading, Step};
use crate::status::Question;
use crate::transport::{Arrival, Backlog, SendError, Sent, Transport};

/// Calls of the author's hook that may be under way; it is not told of what comes while they are.
const HOOKS: usize = 1_000;

/// A transport that receives; it ends when the transport gives up.
type Receiving = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// The channels that end at the wire.
pub(super) struct Ends {
    pub(super) arrivals: mpsc::UnboundedReceiver<Arrival>,
    pub(super) questions: mpsc::Receiver<Question>,
    pub(super) operator_commands: mpsc::Receiver<OperatorCommand>,
    /// One message for each request to stop: the first drains, the second ends at once.
    pub(super) stops: mpsc::Receiver<()>,
}

/// A running bot.
pub(super) struct Wire<T, J: Journal> {
    transport: Arc<T>,
    journal: J,
    /// The transport, as it receives. Dropped when the bot stops receiving; the transport then lets its connection go.
    receiving: Option<Receiving>,
    /// The batch that is being written,
    writing: Option<Pin<Box<J::Writing>>>,
    /// and since when.
    wrote: Instant,
    app: App,
    executor: Executor,
    backlog: Arc<Backlog>,
    engine: Engine,
    /// Handlers that run, by event. Dropping a task cancels it.
    running: HashMap<u64, Running>,
    /// Hooks of the author's that run beside the handlers.
    hooks: Vec<Task>,
    requests: HandlerRequests,
    outcomes: mpsc::UnboundedSender<HandlerOutcome>,
    idlers: Vec<oneshot::Sender<()>>,
    commands: Commands,
    guarantees: Guarantees,
    is_draining: bool,
    notices: Notices,
    downloads: Downloads,
    /// Replies on their way. Of those that are cut off, nobody knows whether they arrived.
    sending: usize,
    /// The label of an event until its trigger is known.
    unmatched: Label,
    began: Instant,
    hands: Hands,
    clock: WallClock,
}

impl<T: Transport, J: Journal> Wire<T, J> {
    pub(super) fn new(
        transport: Arc<T>,
        journal: J,
        app: App,
        executor: Executor,
        backlog: Arc<Backlog>,
        clock: WallClock,
    ) -> (Self, Inner) {
        // Bounded by the handlers that run: each reports once.
        let (outcomes, finished) = mpsc::unbounded_channel();
        // Bounded by what running handlers ask; the outbox is what grows, and it stops new handlers.
        let (requests, asked) = mpsc::unbounded_channel();
        let (resends_safely, on_unknown) = (transport.resends_safely(), app.tools().on_unknown);
        let promised =
            Guarantees::new(&transport.reception(), resends_safely, &journal.keeping(), on_unknown);
        tracing::info!("what is promised: {} (`evenkeel doctor` says all of it)", promised.summary());
        let policy = Policy {
            is_idempotent: resends_safely,
            on_unknown,
            has_brake: !app.tools().is_unbraked,
            sends: transport.sends_at_once().max(1),
            recovered_bytes: backlog.recovered_bytes(),
            seed: std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0),
            gathers: journal.is_kept(),
        };
        let wire = Self {
            transport,
            journal,
            receiving: None,
            writing: None,
            wrote: Instant::now(),
            app,
            executor,
            backlog,
            engine: Engine::new(policy),
            running: HashMap::new(),
            hooks: Vec::new(),
            requests,
            outcomes,
            idlers: Vec::new(),
            commands: Commands::default(),
            guarantees: promised,
            is_draining: false,
            notices: Notices::default(),
            downloads: Downloads::new(),
            sending: 0,
            unmatched: Label::new("message").general(),
            began: Instant::now(),
            hands: Hands::new(0),
            clock,
        };
        (wire, Inner { finished, asked })
    }

    /// Runs until told to stop and drained, or until the drain's deadline. The journal has a little more, see `finish`.
    ///
    /// # Errors
    ///
    /// When the journal fails, when the transport gives up, or when what was left at the end is lost or has to be repeated.
    pub(super) async fn run(
        mut self,
        recovered: Recovered,
        ends: Ends,
        inner: Inner,
        receiving: impl Future<Output = Result<()>> + Send + 'static,
        drain: Duration,
    ) -> Result<()> {
        let (mut ends, mut inner) = (ends, inner);
        self.receiving = Some(Box::pin(receiving));
        let app = self.app.clone();
        let turned = self.turn(recovered, &mut ends, &mut inner, drain);
        let ended = match foreign::caught("the journal, or the wire itself,", turned).await {
            Ok(end) => self.finish(end, ends, &inner).await,
            // The journal itself has failed: there is nothing to give back to it.
            Err(error) => {
                self.failed(inner.asked.len()).await;
                Err(error)
            }
        };
        foreign::drop_caught(app);
        ended
    }

    /// The present moment, by a clock that follows no wrong reading.
    fn now(&mut self) -> Now {
        let elapsed = self.began.elapsed();
        let Reading { now_ms, step, .. } = self.hands.read(self.clock.now_ms(), elapsed);
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

    /// Begins to write the next batch as soon as the one before is written; what comes meanwhile fills it.
    fn write(&mut self) {
        if self.writing.is_some() {
            return;
        }
        if let Some(batch) = self.engine.batch() {
            self.wrote = Instant::now();
            self.writing = Some(Box::pin(self.journal.write(batch)));
        }
    }

    fn start(&mut self, attempt: Attempt) {
        let sequence = attempt.sequence;
        let progress = Arc::new(Progress::default());
        let (requests, outcomes) = (self.requests.clone(), self.outcomes.clone());
        let handling = handle(self.app.clone(), attempt, requests, Arc::clone(&progress), outcomes);
        let task = self.executor.spawn(&self.unmatched, handling);
        self.running.insert(sequence, Running { progress, _task: task });
    }

    fn dispatch(&mut self, request: HandlerRequest) {
        if let HandlerRequest::Download { attachment, limit_bytes, answer } = request {
            self.downloads.ask(Download { attachment, limit_bytes, answer });
        }
    }

    fn notify(&mut self, delivery: Delivery) -> Result<()> {
        let refused = self.notices.begin(&self.transport, delivery);
        self.notified(refused)
    }

    /// A best-effort action has ended, or was let go.
    fn notified(&mut self, ended: Option<std::result::Result<Sent, SendError>>) -> Result<()> {
        let Some(result) = ended else { return Ok(()) };
        let now = self.now();
        self.engine.step(Input::Notified(result), now)
    }

    /// Tells the author of something that was given up.
    fn notify_dead(&mut self, dead: crate::journal::Dead) {
        let (id, reason, command) = (dead.id, dead.reason, &dead.command);
        tracing::warn!(%id, %reason, command, "given up: kept as a dead letter");
        if let Some(hook) = &self.app.tools().on_dead {
            self.hooks.retain(|hook| !hook.is_finished());
            if self.hooks.len() >= HOOKS {
                tracing::error!(%id, "`on_dead` was not told: {HOOKS} calls of it have not ended");
                return;
            }
            let notice = foreign::notify_dead(Arc::clone(hook), dead);
            let task = self.executor.spawn(&Label::new("on_dead"), notice);
            self.hooks.push(task);
        }
    }

    /// A handler is done. Whether that is the end of its event is for the engine to say: only an end counts.
    fn ended(&mut self, outcome: HandlerOutcome, now: Now) -> Result<()> {
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

    /// Counts what is in memory.
    fn settle(&mut self) {
        let (taken, released) = self.engine.memory_changes();
        self.backlog.settle(taken, released);
    }
}

/// A handler that runs.
struct Running {
    progress: Arc<Progress>,
    /// Held for its end alone, which cancels the handler.
    _task: Task,
}

/// The ends that the wire holds of its own channels.
pub(super) struct Inner {
    finished: mpsc::UnboundedReceiver<HandlerOutcome>,
    asked: mpsc::UnboundedReceiver<HandlerRequest>,
}

/// Waits for the future; for ever if there is none.
pub(super) async fn polled<F: Future + Unpin>(future: &mut Option<F>) -> F::Output {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

/// Waits for the moment; for ever if there is none.
pub(super) async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
