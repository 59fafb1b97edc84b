//! What the operator may set.

use std::time::Duration;

use evenkeel_guard::{Allow, Executor, Options, Words};
use tokio::runtime::Handle;

use super::levels::Levels;
use crate::config::Config;
use crate::error::Result;
use crate::journal::Place;
use crate::progress::OWN_CRATES;

/// How far the guard goes, by `EVENKEEL_GUARD`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guard {
    /// Handlers are tasks of a tokio runtime, and nobody watches.
    Off,
    /// The same, with what blocks reported.
    Watch,
    /// Handlers have workers that are replaced when they block, and a quarantine.
    Full,
}

impl Guard {
    pub(super) fn executor(self, runtime: Handle, workers: usize, allow: Option<Options>) -> Executor {
        let options = allow.unwrap_or_else(guarding).with_workers(workers);
        match self {
            Self::Off => Executor::unwatched(runtime),
            Self::Watch => Executor::on_with(runtime, &options),
            Self::Full => Executor::with(runtime, &options),
        }
    }

    /// Says once which mode is in force, and what it can see here.
    pub(super) fn tell(self, workers: usize) {
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
    let words = Words { blocking, offload, http: "cx.http()" };
    Options::default().with_words(words).with_runtime_crates(OWN_CRATES)
}

/// What the operator may set, see `docs/configuration.md`.
pub(super) struct Settings {
    pub(super) log: Option<String>,
    pub(super) workers: usize,
    pub(super) drain: Option<Duration>,
    /// How long a handler may take, unless its author says so.
    pub(super) handler_limit: Option<Duration>,
    pub(super) guard: Guard,
    /// The guard's options with the operator's list of what may block.
    pub(super) allow: Option<Options>,
    pub(super) place: Place,
    /// The account that the journal is to belong to from now on.
    pub(super) account: Option<String>,
    /// The network that is to be the primary one of the journal.
    pub(super) primary: Option<String>,
    /// What to say of the settings once there is a log.
    pub(super) warnings: Vec<String>,
    /// The address of the console, if there is to be one.
    #[cfg(feature = "page")]
    pub(super) console: Option<String>,
}

impl Settings {
    pub(super) fn load() -> Result<Self> {
        Config::load().and_then(|config| Self::read(&config))
    }

    pub(super) fn read(config: &Config) -> Result<Self> {
        let mut settings = config.read();
        settings.owns("EVENKEEL_");
        let log = settings
            .optional("EVENKEEL_LOG", "info", |filter| Levels::new(filter).map(|_| filter.to_owned()));
        let workers = settings.optional("EVENKEEL_WORKERS", "4", |count| match count.parse() {
            Ok(count @ 1..=1024) => Ok(count),
            _ => Err("must be a number from 1 to 1024"),
        });
        let drain = settings.optional("EVENKEEL_DRAIN_SECONDS", "25", |seconds| {
            seconds.parse().map(Duration::from_secs).map_err(|_| "must be a whole number of seconds")
        });
        let handler_limit = settings.optional("EVENKEEL_HANDLER_LIMIT_SECONDS", "300", handler_limit);
        let guard = settings.optional("EVENKEEL_GUARD", "full", |guard| match guard {
            "off" => Ok(Guard::Off),
            "watch" => Ok(Guard::Watch),
            "full" => Ok(Guard::Full),
            _ => Err("must be off, watch or full"),
        });
        let allow = settings.optional("EVENKEEL_GUARD_ALLOW", "statx@shop::config", |list| {
            guarding().with_allow(Allow::default().with_text(list))
        });
        let place = Place::read(&mut settings);
        let account = settings
            .optional("EVENKEEL_JOURNAL_ACCOUNT", "..", |account| Ok::<_, String>(account.to_owned()));
        let primary = settings
            .optional("EVENKEEL_PRIMARY_NETWORK", "signal", |network| Ok::<_, String>(network.to_owned()));
        // Read in any case: anyone who sets it wants to see it.
        #[cfg(feature = "page")]
        let console = settings.optional("EVENKEEL_CONSOLE", "127.0.0.1:4243", console);
        #[cfg(not(feature = "page"))]
        settings.optional("EVENKEEL_CONSOLE", "127.0.0.1:4243", no_console);
        let warnings = settings.finish()?.warnings().to_vec();
        let guard = guard.unwrap_or(Guard::Full);
        let cores = || std::thread::available_parallelism().map_or(2, |cores| cores.get().max(2));
        Ok(Self {
            log,
            workers: workers.unwrap_or_else(cores),
            drain,
            handler_limit,
            guard,
            allow,
            place,
            account,
            primary,
            warnings,
            #[cfg(feature = "page")]
            console,
        })
    }
}

/// Seconds, of which none stand for no limit.
fn handler_limit(seconds: &str) -> Result<Duration, &'static str> {
    match seconds.parse() {
        Ok(0) => Ok(Duration::MAX),
        Ok(seconds) => Ok(Duration::from_secs(seconds)),
        Err(_) => Err("must be a whole number of seconds, 0 for no limit"),
    }
}

/// Looks at the address of a console, without taking it.
#[cfg(feature = "page")]
fn console(address: &str) -> Result<String, String> {
    match crate::console::loopback("the console", address) {
        Ok(_) => Ok(address.to_owned()),
        Err(_) => Err("must be an address of this computer".to_owned()),
    }
}

#[cfg(not(feature = "page"))]
fn no_console(_: &str) -> Result<(), &'static str> {
    Err("needs a bot that is built with the feature `page` of `evenkeel`")
}
