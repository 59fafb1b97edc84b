//! The running bot: from the transport through lanes and handlers back to the transport.

mod handling;
mod lane;
mod outbox;
mod wire;

use std::future::Future;
use std::io::IsTerminal;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use evenkeel_guard::{Allow, Executor, Options, Words};
use tokio::runtime::{Builder, Handle};
use tokio::sync::mpsc;
use tracing_subscriber::EnvFilter;

use crate::config::Config;
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
/// thread. Logs go to standard error. `EVENKEEL_LOG`, `EVENKEEL_WORKERS`, `EVENKEEL_GUARD` and `EVENKEEL_DRAIN_SECONDS`
/// are read from the environment, `.env` or `evenkeel.toml`.
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
    drain: Option<Duration>,
    backlog_bytes: usize,
    shutdown: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    status: (Status, mpsc::Receiver<Question>),
    settings: Option<Settings>,
}

impl<T: Transport> Bot<T> {
    /// A bot with a journal in memory.
    pub fn new(transport: T, app: impl IntoApp) -> Self {
        Self {
            transport,
            app: app.into_app(),
            journal: MemoryJournal::default(),
            executor: None,
            drain: None,
            backlog_bytes: BACKLOG_BYTES,
            shutdown: None,
            status: Status::new(),
            settings: None,
        }
    }
}

impl<T: Transport, J: Journal> Bot<T, J> {
    /// Keeps the record elsewhere.
    pub fn with_journal<K: Journal>(self, journal: K) -> Bot<T, K> {
        let Self { transport, app, executor, drain, backlog_bytes, shutdown, status, settings, .. } = self;
        Bot { transport, app, journal, executor, drain, backlog_bytes, shutdown, status, settings }
    }

    /// Runs the handlers elsewhere.
    pub fn with_executor(mut self, executor: Executor) -> Self {
        self.executor = Some(executor);
        self
    }

    /// Goes on finishing for this long once told to stop; 25 s unless told.
    pub fn with_drain(mut self, drain: Duration) -> Self {
        self.drain = Some(drain);
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

    /// Reads the `EVENKEEL_*` settings now, so that a wrong one is known before anything else happens.
    ///
    /// [`Bot::run`] reads them by itself otherwise.
    ///
    /// # Errors
    ///
    /// When a setting is wrong; all that are wrong are named.
    pub fn with_settings(mut self, config: &Config) -> Result<Self> {
        self.settings = Some(Settings::read(config)?);
        Ok(self)
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
        let settings = self.settings.take();
        let settings = settings.map_or_else(|| Config::load().and_then(|config| Settings::read(&config)), Ok);
        let Settings { log, workers, drain, guard, allow } = settings?;
        start_log(log.as_deref());
        self.drain = self.drain.or(drain);
        if self.executor.is_none() {
            guard.tell(workers);
        }
        // Timers, sockets and tasks of handlers. Under the full guard it polls no handler, so none can hold it up.
        let theirs = Builder::new_multi_thread()
            .worker_threads(if guard == Guard::Full { 1 } else { workers })
            .thread_name("evenkeel-io")
            .enable_all()
            .build()
            .map_err(|error| Error::from(error).context("starting the runtime of the handlers"))?;
        if self.executor.is_none() {
            self.executor = Some(guard.executor(theirs.handle().clone(), workers, allow));
        }
        let ours = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::from(error).context("starting the runtime of the wire"))?;
        let result = ours.block_on(self.serve());
        // A handler that is stuck must not keep the process, nor must a name look-up of the transport.
        theirs.shutdown_background();
        ours.shutdown_background();
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
    pub async fn serve(mut self) -> Result<()> {
        // Before anything else, so that a signal during a slow start stops the bot and not the process.
        let (stop, stops) = mpsc::channel(2);
        let _stopper = Owned(tokio::spawn(stopper(stop, self.shutdown.take())));
        self.serve_until(stops).await
    }

    /// Serves until the first message of `stops`, and gives up at the second.
    async fn serve_until(self, mut stops: mpsc::Receiver<()>) -> Result<()> {
        let Self { transport, app, mut journal, executor, drain, backlog_bytes, status, .. } = self;
        let (status, questions) = status;
        let executor = executor.unwrap_or_else(|| Executor::on_with(Handle::current(), &guarding()));
        let transport = Arc::new(transport);
        let name = transport.name();
        let greeting = tokio::select! {
            opened = transport.open() => opened.map_err(|error| {
                let context = format!("the {name} transport could not start");
                error.context(context)
            })?,
            Some(()) = stops.recv() => return Ok(()),
        };
        tracing::info!(transport = name, "{}", if greeting.is_empty() { "ready" } else { &greeting });
        let recovered = journal.recover().await?;
        let backlog = Arc::new(Backlog::new(backlog_bytes));
        let (inbox, arrivals) = Inbox::new(Arc::clone(&backlog), status);
        let receiver = Arc::clone(&transport);
        // A task of its own, so that the transport's frames and the wire's decisions wake separately.
        let receiving = Owned(tokio::spawn(async move { receiver.receive(inbox).await }));
        let (wire, inner) = Wire::new(transport, journal, app, executor, backlog);
        let ends = Ends { arrivals, questions, stops };
        wire.run(recovered, ends, inner, receiving, drain.unwrap_or(DRAIN)).await
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

/// How far the guard goes, by `EVENKEEL_GUARD`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guard {
    /// Handlers are tasks of a tokio runtime, and nobody watches.
    Off,
    /// The same, with what blocks reported.
    Watch,
    /// Handlers have workers that are replaced when they block, and a quarantine.
    Full,
}

impl Guard {
    fn executor(self, runtime: Handle, workers: usize, allow: Option<Options>) -> Executor {
        let options = allow.unwrap_or_else(guarding).with_workers(workers);
        match self {
            Self::Off => Executor::unwatched(runtime),
            Self::Watch => Executor::on_with(runtime, &options),
            Self::Full => Executor::with(runtime, &options),
        }
    }

    /// Says once which mode is in force, and what it can see here.
    fn tell(self, workers: usize) {
        let (guard, sees) = match (self, evenkeel_guard::sees_calls()) {
            (Self::Off, _) => ("off", "nothing is seen"),
            (Self::Watch, true) => ("watch", "blocking calls are named"),
            (Self::Watch, false) => ("watch", "blocking is named by how long it takes"),
            (Self::Full, true) => {
                ("full", "blocking calls are seen before they block, and another thread takes over")
            }
            (Self::Full, false) => {
                ("full", "blocking is seen by how long it takes, then another thread takes over")
            }
        };
        tracing::info!(guard, workers, "the guard: {sees}");
    }
}

/// How the guard goes about a bot: its reports name the ways out that a bot has.
pub(crate) fn guarding() -> Options {
    let (blocking, offload) = ("offload::blocking(move || ..).await?", "offload::offload(move || ..).await?");
    Options::default().with_words(Words { blocking, offload, http: "cx.http()" })
}

/// What the operator may set, see `docs/configuration.md`.
struct Settings {
    log: Option<String>,
    workers: usize,
    drain: Option<Duration>,
    guard: Guard,
    /// The guard's options with the operator's list of what may block.
    allow: Option<Options>,
}

impl Settings {
    fn read(config: &Config) -> Result<Self> {
        let mut settings = config.read();
        let log = settings
            .optional("EVENKEEL_LOG", "info", |filter| EnvFilter::try_new(filter).map(|_| filter.to_owned()));
        let workers = settings.optional("EVENKEEL_WORKERS", "4", |count| match count.parse() {
            Ok(count @ 1..=1024) => Ok(count),
            _ => Err("must be a number from 1 to 1024"),
        });
        let drain = settings.optional("EVENKEEL_DRAIN_SECONDS", "25", |seconds| {
            seconds.parse().map(Duration::from_secs).map_err(|_| "must be a whole number of seconds")
        });
        let guard = settings.optional("EVENKEEL_GUARD", "full", |guard| match guard {
            "off" => Ok(Guard::Off),
            "watch" => Ok(Guard::Watch),
            "full" => Ok(Guard::Full),
            _ => Err("must be off, watch or full"),
        });
        let allow = settings.optional("EVENKEEL_GUARD_ALLOW", "statx@shop::config", |list| {
            guarding().with_allow(Allow::default().with_text(list))
        });
        settings.finish()?;
        let guard = guard.unwrap_or(Guard::Full);
        let cores = || std::thread::available_parallelism().map_or(2, |cores| cores.get().max(2));
        Ok(Self { log, workers: workers.unwrap_or_else(cores), drain, guard, allow })
    }
}

/// Logs to standard error, unless the program has set up logging before.
fn start_log(filter: Option<&str>) {
    let filter = EnvFilter::new(filter.unwrap_or("info"));
    // The program's own subscriber, if there is one, stays.
    let format = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let _set = format.with_ansi(std::io::stderr().is_terminal()).try_init();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Conversation, Event, Message, Sender};
    use crate::route::Router;
    use crate::transport::{Outbound, SendError, Sent};

    #[test]
    fn wrong_settings_are_named_all_at_once() {
        let pairs = [
            ("EVENKEEL_WORKERS", "0"),
            ("EVENKEEL_DRAIN_SECONDS", "soon"),
            ("EVENKEEL_LOG", "a=b=c"),
            ("EVENKEEL_GUARD", "on"),
            ("EVENKEEL_GUARD_ALLOW", "open65@shop"),
        ];
        let error = Settings::read(&Config::from_pairs(pairs)).err().expect("five mistakes").to_string();
        for (name, _) in pairs {
            assert!(error.contains(name), "{error}");
        }
    }

    /// A network on which one person says one thing.
    struct Once;

    impl Transport for Once {
        fn name(&self) -> &'static str {
            "once"
        }

        async fn receive(&self, inbox: Inbox) -> Result<()> {
            let what = Message::text("1", "!hang");
            let event = Event::new("1", Conversation::direct("alice"), Sender::new("alice"), what);
            inbox.accept(event).await.map_err(Error::from)?;
            std::future::pending().await
        }

        async fn send(&self, _: &Outbound) -> Result<Sent, SendError> {
            Ok(Sent::done())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_request_to_stop_ends_at_once() {
        async fn hang() {
            std::future::pending::<()>().await;
        }
        let bot = Bot::new(Once, Router::new().command("!hang", hang)).with_drain(Duration::from_secs(3600));
        let status = bot.status();
        let (stop, stops) = mpsc::channel(2);
        let bot = tokio::spawn(bot.serve_until(stops));
        while status.snapshot().await.is_none_or(|snapshot| snapshot.running == 0) {
            tokio::task::yield_now().await;
        }
        let began = tokio::time::Instant::now();
        stop.send(()).await.expect("the bot runs");
        while status.snapshot().await.is_some_and(|snapshot| !snapshot.is_draining) {
            tokio::task::yield_now().await;
        }
        stop.send(()).await.expect("the bot drains");
        let left = bot.await.expect("no panic").expect_err("a handler was running");
        assert!(left.to_string().starts_with("stopped at once: 1 handlers"), "{left}");
        assert_eq!(began.elapsed(), Duration::ZERO, "the hour of the drain was not waited for");
    }

    #[test]
    fn settings_have_defaults() {
        let settings = Settings::read(&Config::from_pairs([("EVENKEEL_DRAIN_SECONDS", "3")])).expect("fine");
        assert!(settings.workers >= 2 && settings.log.is_none());
        assert_eq!(settings.drain, Some(Duration::from_secs(3)));
        assert_eq!(settings.guard, Guard::Full);
    }
}
