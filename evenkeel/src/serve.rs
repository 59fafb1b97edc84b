//! The running bot: from the transport through lanes and handlers back to the transport.

mod handling;
mod lane;
mod outbox;
mod wire;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use evenkeel_guard::Executor;
use tokio::runtime::{Builder, Handle};
use tokio::sync::mpsc;

use crate::error::{Error, Result};
use crate::journal::Journal;
use crate::journal::memory::MemoryJournal;
use crate::route::{App, IntoApp};
use crate::status::{Question, Status};
use crate::transport::{Backlog, Inbox, Transport};
use wire::{Ends, Wire};

/// How long a bot that was told to stop goes on finishing, unless told otherwise.
const DRAIN: Duration = Duration::from_secs(25);
/// Bytes of accepted events that may wait or run, unless told otherwise.
const BACKLOG_BYTES: usize = 256 << 20;

/// Runs a bot until SIGTERM or Ctrl-C, on runtimes of its own: this is what `main` calls.
///
/// The wire has a thread to itself, handlers have watched worker threads, and what handlers spawn has another
/// thread. Logs go to standard error, filtered by `EVENKEEL_LOG` (`info` unless told).
///
/// # Errors
///
/// When the transport cannot start, with a hint what to change, or when work was left at the end of the drain.
///
/// # Panics
///
/// Inside an async runtime: use [`serve`] there.
#[track_caller]
pub fn run(transport: impl Transport, app: impl IntoApp) -> Result<()> {
    Bot::new(transport, app).run()
}

/// Runs a bot until SIGTERM or Ctrl-C, inside the caller's runtime, which may be a `current_thread` one.
///
/// Handlers run as tasks of that runtime: one that blocks is named in the log, and blocks whatever shares its thread.
///
/// # Errors
///
/// As [`run`].
///
/// # Cancel safety
///
/// Dropping the future stops the bot at once; handlers are cancelled at their next `.await`.
pub async fn serve(transport: impl Transport, app: impl IntoApp) -> Result<()> {
    Bot::new(transport, app).serve().await
}

/// A bot with all its options, for those who need more than [`run`] and [`serve`].
#[must_use = "a bot does nothing until `run` or `serve`"]
pub struct Bot<T, J = MemoryJournal> {
    transport: T,
    app: App,
    journal: J,
    executor: Option<Executor>,
    drain: Duration,
    backlog_bytes: usize,
    shutdown: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    status: (Status, mpsc::Receiver<Question>),
}

impl<T: Transport> Bot<T> {
    /// A bot with a journal in memory.
    pub fn new(transport: T, app: impl IntoApp) -> Self {
        Self {
            transport,
            app: app.into_app(),
            journal: MemoryJournal::default(),
            executor: None,
            drain: DRAIN,
            backlog_bytes: BACKLOG_BYTES,
            shutdown: None,
            status: Status::new(),
        }
    }
}

impl<T: Transport, J: Journal> Bot<T, J> {
    /// Keeps the record elsewhere.
    pub fn with_journal<K: Journal>(self, journal: K) -> Bot<T, K> {
        let Self { transport, app, executor, drain, backlog_bytes, shutdown, status, .. } = self;
        Bot { transport, app, journal, executor, drain, backlog_bytes, shutdown, status }
    }

    /// Runs the handlers elsewhere.
    pub fn with_executor(mut self, executor: Executor) -> Self {
        self.executor = Some(executor);
        self
    }

    /// Goes on finishing for this long once told to stop; 25 s unless told.
    pub fn with_drain(mut self, drain: Duration) -> Self {
        self.drain = drain;
        self
    }

    /// Refuses events, counted and logged, while accepted ones hold more than this many bytes; 256 MiB unless told.
    pub fn with_backlog_bytes(mut self, bytes: usize) -> Self {
        self.backlog_bytes = bytes;
        self
    }

    /// Stops when this future ends, instead of at SIGTERM or Ctrl-C.
    pub fn with_shutdown(mut self, shutdown: impl Future<Output = ()> + Send + 'static) -> Self {
        self.shutdown = Some(Box::pin(shutdown));
        self
    }

    /// Asks this bot how it is, once it runs.
    pub fn status(&self) -> Status {
        self.status.0.clone()
    }

    /// As [`run`].
    ///
    /// # Errors
    ///
    /// As [`run`].
    ///
    /// # Panics
    ///
    /// As [`run`].
    #[track_caller]
    pub fn run(mut self) -> Result<()> {
        assert!(Handle::try_current().is_err(), "`run` has runtimes of its own: call `serve(..).await` here");
        start_log();
        let workers = std::thread::available_parallelism().map_or(2, |cores| cores.get().max(2));
        // Timers, sockets and tasks of handlers. It polls no handler, so no handler can hold it up.
        let theirs = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("evenkeel-io")
            .enable_all()
            .build()
            .map_err(|error| Error::from(error).context("starting the runtime of the handlers"))?;
        if self.executor.is_none() {
            self.executor = Some(Executor::threads(theirs.handle().clone(), workers));
        }
        let ours = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::from(error).context("starting the runtime of the wire"))?;
        let result = ours.block_on(self.serve());
        // A handler that is stuck must not keep the process.
        theirs.shutdown_background();
        result
    }

    /// As [`serve`].
    ///
    /// # Errors
    ///
    /// As [`serve`].
    ///
    /// # Cancel safety
    ///
    /// As [`serve`].
    pub async fn serve(self) -> Result<()> {
        let Self { transport, app, mut journal, executor, drain, backlog_bytes, shutdown, status } = self;
        let (status, questions) = status;
        let executor = executor.unwrap_or_else(|| Executor::on(Handle::current()));
        let transport = Arc::new(transport);
        let name = transport.name();
        let greeting = transport.open().await.map_err(|error| {
            let context = format!("the {name} transport could not start");
            error.context(context)
        })?;
        tracing::info!(transport = name, "{}", if greeting.is_empty() { "ready" } else { &greeting });
        let recovered = journal.recover().await?;
        let backlog = Arc::new(Backlog::new(backlog_bytes));
        let (inbox, arrivals) = Inbox::new(Arc::clone(&backlog), status);
        let (stop, stops) = mpsc::channel(2);
        let _stopper = Owned(tokio::spawn(stopper(stop, shutdown)));
        let receiver = Arc::clone(&transport);
        // A task of its own, so that the transport's frames and the wire's decisions wake separately.
        let receiving = Owned(tokio::spawn(async move { receiver.receive(inbox).await }));
        let (wire, inner) = Wire::new(transport, journal, app, executor, backlog);
        let ends = Ends { arrivals, questions, stops };
        wire.run(recovered, ends, inner, receiving, drain).await
    }
}

impl<T: Transport, J> std::fmt::Debug for Bot<T, J> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bot").field("transport", &self.transport.name()).field("app", &self.app).finish()
    }
}

/// A task that ends with its owner.
struct Owned<R>(tokio::task::JoinHandle<R>);

impl<R> Future for Owned<Result<R>> {
    type Output = Result<R>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> std::task::Poll<Self::Output> {
        let joined = std::task::ready!(Pin::new(&mut self.0).poll(cx));
        std::task::Poll::Ready(joined.unwrap_or_else(|error| {
            Err(Error::from(error).context("the transport panicked; this is a mistake in the transport"))
        }))
    }
}

impl<R> Drop for Owned<R> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Sends one message for each request to stop.
async fn stopper(stop: mpsc::Sender<()>, shutdown: Option<Pin<Box<dyn Future<Output = ()> + Send>>>) {
    if let Some(shutdown) = shutdown {
        shutdown.await;
        // A wire that is gone has stopped already.
        let _told = stop.send(()).await;
        return;
    }
    if let Err(error) = signals(stop).await {
        tracing::warn!(%error, "no signals here: the bot ends only with its process");
        std::future::pending::<()>().await;
    }
}

#[cfg(unix)]
async fn signals(stop: mpsc::Sender<()>) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    loop {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if stop.send(()).await.is_err() {
            return Ok(());
        }
    }
}

#[cfg(not(unix))]
async fn signals(stop: mpsc::Sender<()>) -> std::io::Result<()> {
    loop {
        tokio::signal::ctrl_c().await?;
        if stop.send(()).await.is_err() {
            return Ok(());
        }
    }
}

/// Logs to standard error, unless the program has set up logging before.
fn start_log() {
    use tracing_subscriber::EnvFilter;
    let filter = std::env::var("EVENKEEL_LOG").unwrap_or_default();
    let filter = EnvFilter::try_new(if filter.is_empty() { "info" } else { &filter });
    let filter = filter.unwrap_or_else(|_| EnvFilter::new("info"));
    // The program's own subscriber, if there is one, stays.
    let _set = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
}
