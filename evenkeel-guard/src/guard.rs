//! A tokio runtime as it is, with its threads watched.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::runtime::Builder;

use crate::counters::Counters;
use crate::guest::{Guests, Watched};
use crate::options::Options;
use crate::pool::Tag;
use crate::report::{Label, Report};
use crate::reporter::Reports;
use crate::slot::{Here, Role, set_here};

/// Sees and names what blocks the threads of a tokio runtime. Cloning is cheap; it lasts as long as the runtime.
///
/// A thread is watched from its first wake-up on, whatever it polls. A call that blocks there is reported, and holds up what
/// else the thread would poll: no thread of the runtime can be replaced. [`Executor`](crate::Executor) can do that.
/// What keeps a core busy is reported of futures that have a name by [`Guard::named`]; see [`watch`] for why.
///
/// ```
/// let mut builder = tokio::runtime::Builder::new_multi_thread();
/// let guard = evenkeel_guard::watch(builder.enable_all());
/// let runtime = builder.build()?;
/// runtime.block_on(async { tokio::time::sleep(std::time::Duration::from_millis(1)).await });
/// assert!(guard.reports().is_empty());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Guard(Arc<Guests>);

/// Watches the threads of the runtime that `builder` builds. Takes the places of its `on_thread_park`,
/// `on_thread_unpark` and `on_thread_stop`: what is set there afterwards ends the watch. Guards of one builder watch side by side.
///
/// Not reported:
///
/// - CPU work, and loops whose `.await`s are always ready, in tasks without a name. tokio says when a thread parks, not where
///   one task ends and the next begins, so busy time is no task's in particular. [`Guard::named`] tells the polls of its
///   future apart, and executors those of all that they run.
/// - On a multi-threaded runtime, the future given to `block_on`, which is the body of `#[tokio::main]`: it is polled by
///   the calling thread, which is none of the runtime's. Spawn it, or give it a name.
pub fn watch(builder: &mut Builder) -> Guard {
    watch_with(builder, &Options::default())
}

/// [`watch`], told in detail: what is allowed, and when a poll counts as busy.
pub fn watch_with(builder: &mut Builder, options: &Options) -> Guard {
    let guests = Guests::new(options, Role::Guest);
    let mut all = already(builder);
    all.push(Arc::clone(&guests));
    let all: Arc<[_]> = all.into();
    let place = Seat { guests: Arc::clone(&all), has_run: AtomicBool::new(false) };
    builder.on_thread_unpark(move || place.unparked());
    let parked = Arc::clone(&all);
    builder.on_thread_park(move || parked.iter().for_each(|guests| guests.slot().end()));
    builder.on_thread_stop(move || {
        all.iter().for_each(|guests| guests.slot().end());
        set_here(None);
    });
    Guard(guests)
}

thread_local! {
    /// Who watched a builder until now, while that is being asked.
    static ALREADY: RefCell<Option<Vec<Arc<Guests>>>> = const { RefCell::new(None) };
}

/// Who watches a builder already. It says so by being put out of its place.
fn already(builder: &mut Builder) -> Vec<Arc<Guests>> {
    ALREADY.set(Some(Vec::new()));
    builder.on_thread_unpark(|| ());
    ALREADY.take().unwrap_or_default()
}

/// A place in a builder, and those who watch from there.
struct Seat {
    guests: Arc<[Arc<Guests>]>,
    has_run: AtomicBool,
}

impl Seat {
    fn unparked(&self) {
        self.has_run.store(true, Ordering::Relaxed);
        let here = self.guests.iter().fold(None, |other: Option<Here>, guests| {
            guests.watch.wake();
            let observer = Arc::clone(&guests.watch) as _;
            Some(Here { slot: guests.slot(), observer, other: other.map(Arc::new) })
        });
        set_here(here);
        self.guests.iter().for_each(|guests| guests.slot().begin());
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let is_asked = ALREADY.with_borrow_mut(|already| {
            already.as_mut().map(|already| already.extend(self.guests.iter().cloned())).is_some()
        });
        if !is_asked && !self.has_run.load(Ordering::Relaxed) {
            tracing::debug!(
                target: "evenkeel::guard",
                "a guard has watched nothing: its runtime was not built or never waited, or `on_thread_unpark` was set \
                 after `evenkeel_guard::watch`"
            );
        }
    }
}

impl Guard {
    /// Gives a future a name, and watches each of its polls by itself, on whatever thread: so one that keeps a core busy is
    /// seen, too, and the future given to `block_on`.
    ///
    /// # Cancel safety
    ///
    /// As the future's.
    pub fn named<F: Future>(&self, label: &Label, future: F) -> impl Future<Output = F::Output> + use<F> {
        let tag = Tag::new(self.0.watch.registry.command(label));
        Watched { guests: Arc::clone(&self.0), tag, future: Box::pin(future) }
    }

    /// What was found so far, one report for each place, oldest first. What is being looked into is not in it yet.
    pub fn reports(&self) -> Vec<Report> {
        self.0.watch.reporter.reports()
    }

    /// What was found that must not be, once everything seen so far has been looked into: all reports but those of
    /// short waits for a lock. Blocks until then, for some milliseconds: for the end of a program, or of a test.
    pub fn failures(&self) -> Vec<Report> {
        self.0.watch.reporter.flush();
        crate::strict::failures(self.0.watch.reporter.reports())
    }

    /// What is found from now on, as it is found.
    pub fn subscribe(&self) -> Reports {
        Reports::new(Some(self.0.watch.reporter.subscribe()))
    }

    /// What the guard has seen so far.
    pub fn counters(&self) -> Counters {
        self.0.watch.counters()
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("reports", &self.reports().len()).finish()
    }
}
