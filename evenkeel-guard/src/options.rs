//! What an executor may be told.

use std::time::Duration;

use crate::advice::Words;
use crate::allow::{Allow, AllowError};
use crate::hook;

/// How an executor watches, and how far it goes. The defaults are what a service on two cores needs.
///
/// A *command* is what one label names: all futures that are spawned under it.
///
/// ```
/// use evenkeel_guard::{Executor, Options};
///
/// let runtime = tokio::runtime::Runtime::new()?;
/// let options = Options::default().with_workers(4).with_parole(std::time::Duration::from_secs(60), 20);
/// let executor = Executor::with(runtime.handle().clone(), &options);
/// assert!(executor.reports().is_empty());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Options {
    pub(crate) workers: usize,
    pub(crate) threads: usize,
    pub(crate) quarantine_threads: usize,
    pub(crate) compute_threads: usize,
    pub(crate) quarantine_queue: usize,
    pub(crate) busy_after: Duration,
    pub(crate) parole: (Duration, u32),
    pub(crate) allow: Allow,
    pub(crate) words: Words,
    pub(crate) runtime_crates: &'static [&'static str],
}

impl Default for Options {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            workers: cores.max(2),
            threads: 512,
            quarantine_threads: 128,
            compute_threads: cores.saturating_sub(1).max(1),
            quarantine_queue: 1024,
            busy_after: Duration::from_millis(10),
            parole: (Duration::from_secs(600), 100),
            allow: Allow::default(),
            words: Words::tokio(),
            runtime_crates: &[],
        }
    }
}

impl Options {
    /// Threads that poll at any time, stuck ones not counted; as many as cores, at least 2, unless told.
    pub fn with_workers(mut self, workers: usize) -> Self {
        self.workers = workers.max(1);
        self
    }

    /// Threads in all, stuck ones and those of the quarantine counted; 512 unless told. Beyond it a stuck thread is not
    /// replaced. Never fewer than the workers and three.
    pub fn with_threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Threads for commands that were caught sleeping in a call (128 unless told) and for those that keep a core busy
    /// (one less than there are cores unless told). At least one each. A command gets no more of them than it leaves to the
    /// others: the first one half.
    pub fn with_quarantine(mut self, blocking: usize, compute: usize) -> Self {
        (self.quarantine_threads, self.compute_threads) = (blocking.max(1), compute.max(1));
        self
    }

    /// Invocations of one command that may wait for a thread of the quarantine; 1024 unless told. The next one is refused, and
    /// so is each beyond a sixteenth of them (at least four) once four times as many wait in all: by [`Executor::run`](crate::Executor::run) and [`enter`](crate::enter),
    /// which can say so. What [`Executor::spawn`](crate::Executor::spawn) is given waits, however much it is.
    pub fn with_queue(mut self, waiting: usize) -> Self {
        self.quarantine_queue = waiting;
        self
    }

    /// A poll that takes this much CPU time keeps a core busy; 10 ms unless told.
    pub fn with_busy_after(mut self, busy_after: Duration) -> Self {
        self.busy_after = busy_after;
        self
    }

    /// A poll counts as busy as it does for [`strict`](crate::strict): after 10 ms of CPU time, or 100 ms in a program
    /// that is not optimized.
    pub fn with_strictness(self) -> Self {
        let factor = if cfg!(debug_assertions) { 10 } else { 1 };
        self.with_busy_after(Duration::from_millis(10) * factor)
    }

    /// A command leaves quarantine by itself once, after this time and this many polls without offence; 10 minutes and
    /// 100 unless told.
    pub fn with_parole(mut self, after: Duration, polls: u32) -> Self {
        self.parole = (after, polls);
        self
    }

    /// Calls that are right where they are, in place of the default list.
    ///
    /// # Errors
    ///
    /// When an entry can cover nothing, because it is malformed, or names a call that the guard does not know.
    pub fn with_allow(mut self, allow: Allow) -> Result<Self, AllowError> {
        let symbols: Vec<_> = hook::symbols().collect();
        // Where calls are not seen, their names are not known either.
        if !symbols.is_empty() {
            allow.check(&symbols)?;
        }
        self.allow = allow;
        Ok(self)
    }

    /// The crates of the framework that programs are written with, as they are called in code (`my_framework`): what blocks there is
    /// told with the line of the author's that called it, or that it called. None unless told; tokio and the guard count always.
    ///
    /// A crate in the program's own workspace is its author's otherwise, and one from a registry is a dependency.
    pub fn with_runtime_crates(mut self, names: &'static [&'static str]) -> Self {
        self.runtime_crates = names;
        self
    }

    /// How reports name the ways out.
    pub fn with_words(mut self, words: Words) -> Self {
        self.words = words;
        self
    }
}
