//! The running bot: from the transport through lanes and handlers back to the transport.

mod primary;
mod account;
mod arrivals;
mod clock;
mod commands;
mod foreign;
mod hooks;
mod handling;
mod outbox;
mod wait;
mod leaving;
mod link;
mod core;
mod shown;
mod panics;
mod levels;
mod log;
mod farewell;
mod owned;
mod settings;
mod signals;
mod driver;
mod receiving;
mod wire;
mod entered;
mod entering;
mod opening;
mod joining;
mod serving;
mod apart;
mod handles;

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use evenkeel_guard::Executor;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::config::Config;
#[cfg(feature = "page")]
use crate::console::Console;
use crate::error::Result;
use crate::handle::{Handle as BotHandle, LineEnd};
use crate::journal::memory::MemoryJournal;
use crate::journal::{DefaultJournal, Journal, Place};
use crate::moment;
use crate::operator::{Operator, OperatorCommand};
use crate::route::{App, IntoApp};
use crate::status::{Question, Status};
use crate::transport::{Network, Transport};
use clock::Source;
use joining::Threads;
use opening::OpenJournal;
use settings::Settings;
pub(crate) use settings::guarding;

/// Bytes of accepted events that may wait or run, unless told otherwise.
const BACKLOG_BYTES: usize = 256 << 20;

/// Runs a bot until SIGTERM, SIGHUP or Ctrl-C, on runtimes of its own: this is what `main` calls.
///
/// The wire has a thread to itself, handlers have watched worker threads, and what handlers spawn has another
/// thread. Logs go to standard error. `EVENKEEL_LOG`, `EVENKEEL_WORKERS`, `EVENKEEL_GUARD`, `EVENKEEL_DRAIN_SECONDS`
/// and what [`serve`] reads are read from the environment, `.env` or `evenkeel.toml`.
///
/// A `tracing` subscriber that the program has set before is left in place. It runs on whatever thread logs, the wire's
/// included: give it a writer that does not block, such as `tracing_appender::non_blocking`.
///
/// # Errors
///
/// When the transport cannot start, with a hint what to change, or when what was left at the end of the drain is lost or was
/// cut short: the error counts it. What waits in a journal that is kept is no error.
///
/// # Panics
///
/// Inside an async runtime: use [`serve`] there.
#[track_caller]
pub fn run(transport: impl Transport, app: impl IntoApp) -> Result<()> {
    Bot::new(app).transport(transport).run()
}

/// Runs a bot until SIGTERM, SIGHUP or Ctrl-C, inside a program that has a runtime already, which may be a `current_thread` one.
///
/// A transport opens its sockets in `open` or `receive`: those that were opened before belong to the caller's runtime, and wait for it.
///
/// The bot has threads of its own, as under [`run`]: whatever else the caller's runtime does, and blocks, holds up no message, and a handler
/// that blocks holds up nothing of the caller's. What handlers spawn runs on the bot's threads, too. Logs go where the program says.
/// The settings are those of [`run`], without `EVENKEEL_LOG`. [`Bot::on_this_runtime`] does without threads.
///
/// # Errors
///
/// As [`run`].
///
/// # Cancel safety
///
/// Dropping the future stops the bot at once; handlers are cancelled at their next `.await`.
pub async fn serve(transport: impl Transport, app: impl IntoApp) -> Result<()> {
    Bot::new(app).transport(transport).serve().await
}

/// A bot with all its options, for those who need more than [`run`] and [`serve`].
#[must_use = "a bot does nothing until `run` or `serve`"]
pub struct Bot<J = DefaultJournal> {
    networks: Vec<Network>,
    app: App,
    journal: OpenJournal<J>,
    executor: Option<Executor>,
    drain: Option<Duration>,
    backlog_bytes: usize,
    share_bytes: Option<usize>,
    event_bytes: Option<usize>,
    shutdown: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    status: (Status, mpsc::Receiver<Question>),
    operator: (Operator, mpsc::Receiver<OperatorCommand>),
    handle: (BotHandle, LineEnd),
    clock: Source,
    threads: Threads,
    settings: Option<Settings>,
    #[cfg(feature = "page")]
    console: Option<Console>,
    #[cfg(feature = "page")]
    bot_name: Option<String>,
}

impl Bot {
    /// A bot that needs [a network](Self::transport), with its journal where `EVENKEEL_JOURNAL` says: the file `evenkeel.db` in the
    /// current folder, unless told.
    pub fn new(app: impl IntoApp) -> Self {
        let app = app.into_app();
        let (status, questions) = Status::new();
        let (status, operator) = (status.with_specs(app.specs()), Operator::new());
        Self {
            networks: Vec::new(),
            handle: BotHandle::new((status.clone(), operator.0.clone()), Arc::clone(app.job_functions())),
            status: (status, questions),
            app,
            journal: Box::new(Place::open),
            executor: None,
            drain: None,
            backlog_bytes: BACKLOG_BYTES,
            share_bytes: None,
            event_bytes: None,
            shutdown: None,
            operator,
            clock: Source::system(),
            threads: Threads::Own,
            settings: None,
            #[cfg(feature = "page")]
            console: None,
            #[cfg(feature = "page")]
            bot_name: None,
        }
    }
}

impl<J: Journal> Bot<J> {
    /// Puts it on a network, beside those on which it is already. Transports share a thread and the journal; what one of them brings
    /// holds up no other.
    ///
    /// One of several that cannot be opened is tried again while the bot begins with the others, and the bot goes on without one that
    /// ends; see [`Network`] for what else can be said of it, and the guide [`networks`](crate::docs::networks).
    ///
    /// ```
    /// use evenkeel::sandbox::Sandbox;
    /// use evenkeel::transport::Network;
    /// use evenkeel::{Bot, Router};
    ///
    /// let app = Router::new().command("!ping", async || "pong");
    /// let bot = Bot::new(app).transport(Sandbox::new()).network(Network::new(Sandbox::new()).with_name("rehearsal"));
    /// ```
    pub fn transport(self, transport: impl Transport) -> Self {
        self.network(Network::new(transport))
    }

    /// The same with more to say of the network.
    pub fn network(mut self, network: Network) -> Self {
        self.networks.push(network);
        self
    }

    /// Keeps the record elsewhere.
    pub fn with_journal<K: Journal>(self, journal: K) -> Bot<K> {
        Bot {
            networks: self.networks,
            app: self.app,
            journal: Box::new(|_| Ok(journal)),
            executor: self.executor,
            drain: self.drain,
            backlog_bytes: self.backlog_bytes,
            share_bytes: self.share_bytes,
            event_bytes: self.event_bytes,
            shutdown: self.shutdown,
            status: self.status,
            operator: self.operator,
            handle: self.handle,
            clock: self.clock,
            threads: self.threads,
            settings: self.settings,
            #[cfg(feature = "page")]
            console: self.console,
            #[cfg(feature = "page")]
            bot_name: self.bot_name,
        }
    }

    /// Keeps the record in memory only: it ends with the process.
    pub fn in_memory(self) -> Bot<MemoryJournal> {
        self.with_journal(MemoryJournal::default())
    }

    /// Runs the handlers elsewhere.
    pub fn with_executor(mut self, executor: Executor) -> Self {
        self.executor = Some(executor);
        self
    }

    /// Lets [`Bot::serve`] do everything on the runtime that polls it, in place of threads of its own: for tests under a paused
    /// clock, and for small machines.
    ///
    /// That costs the promise that nothing freezes. Handlers are tasks of that runtime: one that blocks is named in the log, and blocks
    /// whatever shares its thread, the network with its heartbeats included; and so does whatever else the runtime runs. Only a journal
    /// that waits for a disk has a thread.
    pub fn on_this_runtime(mut self) -> Self {
        self.threads = Threads::Lent;
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

    /// Refuses events of a conversation, or of a person, while accepted ones of the same hold more than this many bytes; an
    /// eighth of the [backlog](Self::with_backlog_bytes) unless told, and at least 64 KiB of it. The last eighth of the
    /// backlog is for those who have less than a 512th of a share in it: anyone who fills it is refused before others are.
    pub fn with_backlog_share_bytes(mut self, bytes: usize) -> Self {
        self.share_bytes = Some(bytes);
        self
    }

    /// Refuses events that are larger than this many bytes; 4 MiB unless told, and never more than a
    /// [share](Self::with_backlog_share_bytes). Files are not counted: an event names them, and a handler fetches them.
    pub fn with_event_bytes(mut self, bytes: usize) -> Self {
        self.event_bytes = Some(bytes);
        self
    }

    /// Tells the time by another clock than the system's. Jobs go by it, to the millisecond.
    ///
    /// It runs where handlers run, and is read once a second; in between, time goes on by the monotonic clock. One that
    /// panics or blocks is named in the log, and time goes on from its last reading.
    ///
    /// Under tokio's paused clock, give one that moves with it: `tokio::time::Instant` is what pauses, and the system's
    /// clock is not.
    pub fn with_clock(mut self, clock: impl Fn() -> SystemTime + Send + 'static) -> Self {
        self.clock = Source::Authors(Box::new(move || moment::to_ms(clock())));
        self
    }

    /// The same in milliseconds since 1970, with a clock that is known neither to panic nor to block, and is read whenever the time is asked for.
    /// It goes with tokio's clock.
    pub(crate) fn with_steady_clock(mut self, clock: impl Fn() -> u64 + Send + 'static) -> Self {
        self.clock = Source::Steady(Box::new(clock));
        self
    }

    /// Shows the bot to its operator while it runs; in place of `EVENKEEL_CONSOLE`.
    #[cfg(feature = "page")]
    pub fn with_console(mut self, console: Console) -> Self {
        self.console = Some(console);
        self
    }

    /// Calls the bot by this name in its console; by that of its program unless told.
    #[cfg(feature = "page")]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.bot_name = Some(name.into());
        self
    }

    /// Stops when this future ends, instead of at SIGTERM, SIGHUP or Ctrl-C. It runs where handlers run; should it panic, the bot
    /// stops as well, since nothing else would tell it to.
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
    pub fn run(self) -> Result<()> {
        assert!(Handle::try_current().is_err(), "`run` has runtimes of its own: call `serve(..).await` here");
        let is_log_ours = !tracing::dispatcher::has_been_set();
        let result = self.run_logged();
        if is_log_ours && result.is_err() {
            farewell::end_unread();
        }
        result
    }

    #[track_caller]
    fn run_logged(mut self) -> Result<()> {
        let settings = self.settings.take().map_or_else(Settings::load, Ok)?;
        let ours = apart::runtime_of_wire()?;
        // Before the log, whose file may be full already.
        ours.block_on(async { signals::outlive_size_limits() });
        // Dropped last, with a word about everything that came before.
        let _log = log::start(settings.log.as_deref())?;
        self.serve_on(ours, settings, pending())
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
        match self.threads {
            Threads::Own => self.serve_apart().await,
            Threads::Lent => self.serve_here().await,
        }
    }
}

impl<J> std::fmt::Debug for Bot<J> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bot").field("networks", &self.networks).field("app", &self.app).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::settings::Guard;
    use super::*;
    use crate::error::Error;
    use crate::event::{Conversation, Event, Message, Sender};
    use crate::reply::Outbound;
    use crate::route::Router;
    use crate::transport::{Inbox, SendError, Sent};

    #[test]
    fn wrong_settings_are_named_all_at_once() {
        let pairs = [
            ("EVENKEEL_WORKERS", "0"),
            ("EVENKEEL_DRAIN_SECONDS", "soon"),
            ("EVENKEEL_HANDLER_LIMIT_SECONDS", "-1"),
            ("EVENKEEL_LOG", "a=b=c"),
            ("EVENKEEL_GUARD", "on"),
            ("EVENKEEL_GUARD_ALLOW", "open65@shop"),
        ];
        let error = Settings::read(&Config::from_pairs(pairs)).err().expect("six mistakes").to_string();
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
        let bot =
            Bot::new(Router::new().command("!hang", hang)).transport(Once).in_memory().on_this_runtime();
        let bot = bot.with_drain(Duration::from_secs(3600));
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
        assert!(left.to_string().starts_with("stopped at once: 1 handler was"), "{left}");
        assert_eq!(left.hint(), None, "anyone who asked twice needs no longer drain");
        assert_eq!(began.elapsed(), Duration::ZERO, "the hour of the drain was not waited for");
    }

    /// A network on which one person says one thing while the operator asks twice for the end.
    struct Hasty(mpsc::Sender<()>);

    impl Transport for Hasty {
        fn name(&self) -> &'static str {
            "hasty"
        }

        async fn receive(&self, inbox: Inbox) -> Result<()> {
            let what = Message::text("1", "!hang");
            let event = Event::new("1", Conversation::direct("alice"), Sender::new("alice"), what);
            inbox.push(event).map_err(|_| Error::new("the inbox is full"))?;
            for _ in 0..2 {
                self.0.try_send(()).map_err(|_| Error::new("there is room for two"))?;
            }
            std::future::pending().await
        }

        async fn send(&self, _: &Outbound) -> Result<Sent, SendError> {
            Ok(Sent::done())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_handed_over_before_a_bot_ends_at_once_is_counted() {
        let (stop, stops) = mpsc::channel(2);
        let bot = Bot::new(Router::new().command("!hang", std::future::pending::<()>)).transport(Hasty(stop));
        let left = bot
            .in_memory()
            .on_this_runtime()
            .serve_until(stops)
            .await
            .expect_err("an event is lost")
            .to_string();
        assert!(
            left.starts_with("stopped at once: 0 handlers were still running, 1 event was waiting"),
            "{left}"
        );
    }

    #[tokio::test]
    async fn a_bot_without_a_network_says_what_is_missing() {
        let error = Bot::new(Router::new()).in_memory().serve().await.expect_err("there is no network");
        assert_eq!(error.to_string(), "the bot has no transport");
        assert!(error.hint().is_some_and(|hint| hint.contains(".transport(")), "{error:?}");
    }

    #[test]
    fn settings_have_defaults() {
        let pairs = [("EVENKEEL_DRAIN_SECONDS", "3"), ("EVENKEEL_HANDLER_LIMIT_SECONDS", "0")];
        let settings = Settings::read(&Config::from_pairs(pairs)).expect("fine");
        assert_eq!(settings.handler_limit, Some(Duration::MAX), "none");
        assert!(settings.workers >= 2 && settings.log.is_none());
        assert_eq!(settings.drain, Some(Duration::from_secs(3)));
        assert_eq!(settings.guard, Guard::Full);
    }
}
