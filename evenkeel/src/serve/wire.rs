//! The wire thread's loop: everything that is decided about events and replies is decided here, by one task.
//!
//! It holds the lanes and the outbox, so neither needs a lock. It runs no author's code: handlers run behind the
//! executor and report through a channel.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use evenkeel_guard::{Executor, Label, Task};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::handling::{Finished, Outcome, handle};
use super::lane::Lanes;
use super::outbox::{Delivery, Fate, Letter, deliver};
use crate::context::{Ask, Wire as Asks};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::journal::{Batch, Commit, Journal, Recovered, Written};
use crate::route::App;
use crate::status::{CommandSnapshot, Latency, Question, Snapshot};
use crate::transport::{Acceptance, Arrival, Backlog, Transport};

/// Handlers running at once; more conversations than that wait their turn.
const HANDLERS: usize = 10_000;
/// Sends on their way at once.
const SENDS: usize = 256;
/// Replies waiting to be sent; beyond that no further handler starts.
const OUTBOX: usize = 65_536;
/// Stuck places that the error of a stop names; the log names them all.
const TOLD: usize = 8;
/// How much is taken from one channel before the others get their turn.
const TURN: usize = 256;

/// The channels that end at the wire.
pub(super) struct Ends {
    pub(super) arrivals: mpsc::UnboundedReceiver<Arrival>,
    pub(super) questions: mpsc::Receiver<Question>,
    /// One message for each request to stop: the first drains, the second ends at once.
    pub(super) stops: mpsc::Receiver<()>,
}

/// A running bot.
pub(super) struct Wire<T, J: Journal> {
    transport: Arc<T>,
    journal: J,
    app: App,
    executor: Executor,
    backlog: Arc<Backlog>,
    lanes: Lanes<Accepted>,
    running: HashMap<Arc<str>, Running>,
    outbox: Lanes<Letter>,
    batch: Batch,
    /// Whom to tell about the events of `batch`, in order.
    acceptances: Vec<Option<oneshot::Sender<Acceptance>>>,
    asks: Asks,
    reports: mpsc::UnboundedSender<Finished>,
    idlers: Vec<oneshot::Sender<()>>,
    counts: Snapshot,
    commands: HashMap<Box<str>, Command>,
    /// The label of an event until its trigger is known.
    unmatched: Label,
}

/// An event that the journal has.
struct Accepted {
    event: Event,
    sequence: u64,
    at: Instant,
}

/// A handler that is running. Dropping the task cancels it.
struct Running {
    sequence: u64,
    at: Instant,
    size_bytes: usize,
    _task: Task,
}

#[derive(Default)]
struct Command {
    handled: u64,
    failed: u64,
    latency: Latency,
}

impl<T: Transport, J: Journal> Wire<T, J> {
    pub(super) fn new(
        transport: Arc<T>,
        journal: J,
        app: App,
        executor: Executor,
        backlog: Arc<Backlog>,
    ) -> (Self, Inner) {
        // Bounded by the handlers that run: each reports once.
        let (reports, finished) = mpsc::unbounded_channel();
        // Bounded by what running handlers ask; the outbox is what grows, and it stops new handlers.
        let (asks, asked) = mpsc::unbounded_channel();
        let wire = Self {
            transport,
            journal,
            app,
            executor,
            backlog,
            lanes: Lanes::new(HANDLERS),
            running: HashMap::new(),
            outbox: Lanes::new(SENDS),
            batch: Batch::default(),
            acceptances: Vec::new(),
            asks,
            reports,
            idlers: Vec::new(),
            counts: Snapshot::default(),
            commands: HashMap::new(),
            unmatched: Label::new("message").general(),
        };
        (wire, Inner { finished, asked })
    }

    /// Runs until told to stop and drained, or until the drain's deadline.
    ///
    /// # Errors
    ///
    /// When the journal fails, when the transport gives up, or when work was left at the deadline.
    pub(super) async fn run(
        mut self,
        recovered: Recovered,
        mut ends: Ends,
        inner: Inner,
        receiving: impl Future<Output = Result<()>> + Unpin,
        drain: Duration,
    ) -> Result<()> {
        let Inner { mut finished, mut asked } = inner;
        // Dropped when the bot stops receiving; the transport then lets its connection go.
        let mut receiving = Some(receiving);
        let mut writing: Option<Pin<Box<J::Writing>>> = None;
        let mut sends = FuturesUnordered::new();
        let mut deadline: Option<Instant> = None;
        let mut ended: Result<()> = Ok(());
        let (mut arrived, mut wishes, mut done) = (Vec::new(), Vec::new(), Vec::new());
        self.resume(recovered);
        loop {
            if writing.is_none() && !self.batch.is_empty() {
                let batch = std::mem::take(&mut self.batch);
                writing = Some(Box::pin(self.journal.write(batch)));
            }
            self.start_handlers();
            while let Some((_, letter)) = self.outbox.next() {
                sends.push(deliver(Arc::clone(&self.transport), letter));
            }
            let is_quiet = writing.is_none() && ends.arrivals.is_empty() && asked.is_empty();
            if is_quiet && self.is_idle() {
                self.tell_idlers();
                if deadline.is_some() {
                    return ended;
                }
            }
            tokio::select! {
                // In order, so that what is rare and urgent is not starved by what is always ready.
                biased;
                Some(()) = ends.stops.recv() => {
                    if deadline.is_some() {
                        return Err(self.left("stopped at once", &asked));
                    }
                    receiving = None;
                    ends.arrivals.close();
                    deadline = Some(self.begin_draining(drain));
                }
                () = at(deadline) => return Err(self.left("stopped at the deadline", &asked)),
                Some(question) = ends.questions.recv() => self.answer(question),
                written = polled(&mut writing) => {
                    writing = None;
                    self.written(written?)?;
                }
                1.. = finished.recv_many(&mut done, TURN) => {
                    // What these handlers asked for, they asked for before they finished.
                    while let Ok(ask) = asked.try_recv() {
                        self.asked(ask);
                    }
                    done.drain(..).for_each(|one| self.finished(one));
                }
                Some(delivery) = sends.next(), if !sends.is_empty() => self.delivered(&delivery),
                1.. = asked.recv_many(&mut wishes, TURN) => wishes.drain(..).for_each(|ask| self.asked(ask)),
                1.. = ends.arrivals.recv_many(&mut arrived, TURN) => {
                    arrived.drain(..).for_each(|arrival| self.arrived(arrival));
                }
                result = polled(&mut receiving) => {
                    receiving = None;
                    ended = result;
                    deadline = Some(self.begin_draining(drain));
                }
            }
        }
    }

    fn resume(&mut self, recovered: Recovered) {
        for (sequence, event) in recovered.events {
            self.backlog.hold(event.size_bytes());
            self.accept(event, sequence);
        }
        for outbound in recovered.outbound {
            self.outbox.push(outbound.conversation.shared_id(), Letter { outbound, answer: None });
        }
    }

    fn arrived(&mut self, Arrival { event, accepted }: Arrival) {
        self.batch.events.push(event);
        self.acceptances.push(accepted);
    }

    /// A batch is written: its events may run, its replies may leave.
    fn written(&mut self, written: Written) -> Result<()> {
        let Written { batch, acceptances } = written;
        let count = batch.events.len();
        if acceptances.len() != count || self.acceptances.len() < count {
            return Err(Error::new("the journal answered for other events than it was given"));
        }
        // Events that arrived while the batch was being written are in the next one.
        let told: Vec<_> = self.acceptances.drain(..count).collect();
        for ((event, acceptance), told) in batch.events.into_iter().zip(acceptances).zip(told) {
            match acceptance {
                Acceptance::New(sequence) => self.accept(event, sequence),
                Acceptance::Duplicate => {
                    self.counts.duplicates += 1;
                    self.backlog.release(event.size_bytes());
                }
            }
            if let Some(told) = told {
                // The transport may have stopped waiting.
                let _heard = told.send(acceptance);
            }
        }
        for outbound in batch.commits.into_iter().flat_map(|commit| commit.outbound) {
            self.outbox.push(outbound.conversation.shared_id(), Letter { outbound, answer: None });
        }
        Ok(())
    }

    fn accept(&mut self, event: Event, sequence: u64) {
        self.counts.accepted += 1;
        let lane = event.conversation().shared_id();
        self.lanes.push(lane, Accepted { event, sequence, at: Instant::now() });
    }

    fn start_handlers(&mut self) {
        while self.outbox.len() < OUTBOX
            && let Some((lane, Accepted { event, sequence, at })) = self.lanes.next()
        {
            let size_bytes = event.size_bytes();
            let (app, asks, reports) = (self.app.clone(), self.asks.clone(), self.reports.clone());
            let handling = handle(app, event, sequence, asks, reports);
            let _task = self.executor.spawn(&self.unmatched, handling);
            self.running.insert(lane, Running { sequence, at, size_bytes, _task });
        }
    }

    /// A handler is done: its event and its replies go to the journal, and its lane goes on.
    fn finished(&mut self, Finished { conversation, name, outbound, outcome }: Finished) {
        let Some(Running { sequence, at, size_bytes, .. }) = self.running.remove(&conversation) else {
            return;
        };
        self.backlog.release(size_bytes);
        self.lanes.finish(&conversation);
        let is_failed = outcome == Outcome::Failed;
        self.counts.handled += u64::from(!is_failed);
        self.counts.failed += u64::from(is_failed);
        if let Some(name) = name {
            let command = match self.commands.get_mut(name.name()) {
                Some(command) => command,
                None => self.commands.entry(name.name().into()).or_default(),
            };
            command.handled += u64::from(!is_failed);
            command.failed += u64::from(is_failed);
            command.latency.record(at.elapsed());
        }
        self.batch.commits.push(Commit { sequence, outbound });
    }

    fn delivered(&mut self, delivery: &Delivery) {
        let Delivery { conversation, key, fate } = delivery;
        self.outbox.finish(conversation);
        match fate {
            Fate::Sent => self.counts.sent += 1,
            Fate::NotSent => self.counts.not_sent += 1,
            Fate::Unknown => self.counts.unknown += 1,
        }
        self.batch.confirms.push(*key);
    }

    fn asked(&mut self, ask: Ask) {
        match ask {
            Ask::Act { outbound, answer } => {
                self.outbox.push(outbound.conversation.shared_id(), Letter { outbound, answer });
            }
            Ask::Download { attachment, limit_bytes, answer } => {
                let transport = Arc::clone(&self.transport);
                // Its owner is whoever holds the other end of `answer`: without it, the download is given up.
                tokio::spawn(async move {
                    let mut answer = answer;
                    tokio::select! {
                        file = transport.download(&attachment, limit_bytes) => drop(answer.send(file)),
                        () = answer.closed() => {}
                    }
                });
            }
        }
    }

    fn answer(&mut self, question: Question) {
        match question {
            // Whoever asked may have gone.
            Question::Snapshot(answer) => drop(answer.send(self.snapshot())),
            Question::Idle(answer) => self.idlers.push(answer),
            Question::Pardon(name, answer) => {
                let count = self.executor.pardon(&name);
                if count > 0 {
                    tracing::info!(command = name, count, "pardoned: back from quarantine to the workers");
                }
                // Whoever asked may have gone.
                let _heard = answer.send(count);
            }
        }
    }

    fn snapshot(&self) -> Snapshot {
        let commands = self.commands.iter().map(|(name, command)| CommandSnapshot {
            name: name.to_string(),
            handled: command.handled,
            failed: command.failed,
            p50_us: command.latency.quantile_us(0.5),
            p99_us: command.latency.quantile_us(0.99),
            max_us: command.latency.max_us(),
        });
        let mut commands: Vec<_> = commands.collect();
        commands.sort_by(|one, other| one.name.cmp(&other.name));
        Snapshot {
            refused: self.backlog.refused(),
            undeliverable: self.backlog.undeliverable(),
            running: self.lanes.running(),
            waiting: self.lanes.waiting(),
            outbox: self.outbox.len(),
            commands,
            blocked: self.executor.reports(),
            quarantined: self.executor.quarantined(),
            guard: self.executor.counters(),
            ..self.counts.clone()
        }
    }

    fn is_idle(&self) -> bool {
        self.batch.is_empty() && self.lanes.is_empty() && self.outbox.is_empty()
    }

    fn tell_idlers(&mut self) {
        for idler in self.idlers.drain(..) {
            // Whoever asked may have gone.
            let _heard = idler.send(());
        }
    }

    fn begin_draining(&mut self, drain: Duration) -> Instant {
        self.counts.is_draining = true;
        let (running, waiting, outbox) = (self.lanes.running(), self.lanes.waiting(), self.outbox.len());
        tracing::info!(running, waiting, outbox, deadline = ?drain, "stopping: no more events are taken");
        Instant::now() + drain
    }

    /// Says what a bot that stops leaves behind.
    fn left(&self, how: &str, asked: &mpsc::UnboundedReceiver<Ask>) -> Error {
        let (running, waiting) = (self.lanes.running(), self.lanes.waiting() + self.batch.events.len());
        let promised = self.batch.commits.iter().map(|done| done.outbound.len()).sum::<usize>();
        let unsent = self.outbox.len() + asked.len() + promised;
        let stuck = self.stuck();
        Error::new(format!(
            "{how}: {running} handlers were still running, {waiting} events were waiting, {unsent} replies were not \
             sent{stuck}"
        ))
        .with_hint("raise `EVENKEEL_DRAIN_SECONDS` if the handlers need longer to finish")
    }

    /// Where handlers are stuck that the process leaves behind, each in the log; the first few for the error.
    fn stuck(&self) -> String {
        let reports = self.executor.reports();
        let stuck: Vec<_> = reports.iter().filter(|report| !report.is_over).collect();
        for report in &stuck {
            let (command, file, line) = (&report.name, &report.file, report.line);
            tracing::error!(command, file, line, "left behind: {report}");
        }
        let told = stuck.iter().take(TOLD);
        let told = told.map(|report| format!("`{}` at {}:{}", report.name, report.file, report.line));
        let told = told.collect::<Vec<_>>().join(", ");
        match stuck.len() {
            0 => String::new(),
            1..=TOLD => format!("; stuck: {told}"),
            more => format!("; stuck: {told}, and {} more in the log", more - TOLD),
        }
    }
}

/// The ends that the wire holds of its own channels.
pub(super) struct Inner {
    finished: mpsc::UnboundedReceiver<Finished>,
    asked: mpsc::UnboundedReceiver<Ask>,
}

/// Waits for the future; for ever if there is none.
async fn polled<F: Future + Unpin>(future: &mut Option<F>) -> F::Output {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

/// Waits for the deadline; for ever if there is none.
async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
