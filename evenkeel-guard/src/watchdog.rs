//! The watchdog looks at each polling thread from outside; observers are told of each call from within.
//!
//! Nothing here runs on the path of a poll that behaves.

mod observing;
mod looking;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::thread;
use std::time::Duration;

use crate::capture::{Capture, tell_of_refusals};
use crate::clock::Moment;
use crate::counters::{Counters, LiveCounters};
use crate::options::Options;
use crate::registry::{Registry, Standing};
use crate::reporter::Reporter;
use crate::slot::{CommandId, Role, Slot, is_polling, locked};

use looking::Watched;
pub use observing::sees_calls;

/// How often the watchdog looks while something is being polled.
const TICK: Duration = Duration::from_millis(2);
/// The same while a call is under way of which nobody knows how long it takes.
const QUICK_TICK: Duration = Duration::from_micros(500);
/// Ticks without any poll after which it sleeps until it is woken.
const RESTS_AFTER: u32 = 10;
/// A call that lasts longer has consequences before its end.
pub(super) const LASTING: Duration = Duration::from_millis(1);

/// What becomes of a thread that is to be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// A successor is called; [`Replacement`](crate::call::Replacement) tells when it runs.
    Asked,
    /// One was called before.
    OnItsWay,
    /// There is none.
    Nobody,
}

/// Who has threads to send. Guests of another runtime have none.
pub(crate) trait ThreadSupply: Send + Sync {
    /// Finds a successor for a blocked worker. Neither allocates nor locks.
    fn replace(&self, _: &Arc<Slot>, _incident: u64, _since: Moment) -> Answer {
        Answer::Nobody
    }

    /// Whether one more invocation of a command in quarantine has to be refused.
    fn is_full(&self, _: CommandId, _: Standing) -> bool {
        false
    }

    /// Looks after work for which there was no thread when it came. Called on each tick; answers whether the next one is needed
    /// though nothing is polled.
    fn tick(&self) -> bool {
        false
    }
}

/// Nobody to send.
pub(crate) struct Nobody;

impl ThreadSupply for Nobody {}

/// What watches the threads of one executor.
pub(crate) struct Watch {
    pub(crate) registry: Arc<Registry>,
    pub(crate) live: Arc<LiveCounters>,
    pub(crate) reporter: Reporter,
    supply: Box<dyn ThreadSupply>,
    busy_after: Duration,
    watched: Mutex<Vec<Watched>>,
    is_stopped: AtomicBool,
    /// Set by the watchdog before it sleeps without end, cleared by the one that wakes it.
    is_resting: AtomicBool,
    /// Set by a thread that begins to work, before it looks whether the watchdog is resting; the watchdog says that it
    /// is resting before it looks here. So one of the two sees the other.
    has_begun: AtomicBool,
    /// Whether all that has a place among the workers is kept by what does not return.
    is_exhausted: AtomicBool,
    /// Whether it looks more often, since a call is under way that may last.
    is_quick: AtomicBool,
    thread: OnceLock<thread::Thread>,
}

impl Watch {
    pub(crate) fn start(options: &Options, role: Role, supply: impl ThreadSupply + 'static) -> Arc<Self> {
        let parole = crate::registry::Parole { after: options.parole.0, polls: options.parole.1 };
        let (registry, live) = (Arc::new(Registry::new(parole)), Arc::<LiveCounters>::default());
        let watch = Arc::new(Self {
            reporter: Reporter::new(Arc::clone(&registry), Arc::clone(&live), options, role),
            registry,
            live,
            supply: Box::new(supply),
            busy_after: options.busy_after,
            watched: Mutex::default(),
            is_stopped: AtomicBool::new(false),
            is_resting: AtomicBool::new(false),
            has_begun: AtomicBool::new(false),
            is_exhausted: AtomicBool::new(false),
            is_quick: AtomicBool::new(false),
            thread: OnceLock::new(),
        });
        observing::start();
        let weak = Arc::downgrade(&watch);
        let thread = thread::Builder::new().name("evenkeel-watchdog".into());
        match thread.spawn(move || run(&weak)) {
            Ok(thread) => drop(watch.thread.set(thread.thread().clone())),
            Err(error) => tracing::warn!(%error, "no watchdog: the system gives no more threads"),
        }
        watch
    }

    /// Watches a slot for as long as somebody holds it.
    pub(crate) fn add(&self, slot: &Arc<Slot>) {
        locked(&self.watched).push(Watched::new(slot));
        self.wake();
    }

    /// A thread has something to do again. Called where a thread wakes, not on each poll.
    pub(crate) fn wake(&self) {
        self.has_begun.store(true, Ordering::SeqCst);
        if self.is_resting.load(Ordering::SeqCst)
            && self.is_resting.swap(false, Ordering::SeqCst)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }

    /// A call may last: the watchdog looks again before long. Neither allocates nor locks.
    fn look_soon(&self) {
        if !self.is_quick.load(Ordering::Relaxed)
            && !self.is_quick.swap(true, Ordering::SeqCst)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }

    /// Ends the watchdog's thread.
    pub(crate) fn stop(&self) {
        self.reporter.end();
        self.is_stopped.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    /// What was counted, strikes included that have not been looked into.
    pub(crate) fn counters(&self) -> Counters {
        let mut counters = self.live.counters();
        counters.strikes += self.registry.provisional_strikes();
        counters
    }

    /// Looks at every slot once.
    fn look(&self, capture: &mut Capture) -> Seen {
        let mut watched = std::mem::take(&mut *locked(&self.watched));
        let mut seen = Seen::default();
        watched.retain_mut(|watched| {
            let Some(slot) = watched.slot.upgrade() else {
                watched.finish(None, self);
                return false;
            };
            let before = watched.sequence;
            watched.look(&slot, self, capture);
            // A thread whose polls are short is mostly seen between two of them.
            seen.is_busy |= is_polling(watched.sequence) || watched.sequence != before;
            seen.has_young_call |= watched.has_young_call;
            if slot.has_place() {
                seen.places += 1;
                seen.places_kept += usize::from(watched.is_kept);
            }
            true
        });
        // Replacing a thread adds slots meanwhile.
        let mut added = locked(&self.watched);
        watched.append(&mut added);
        *added = watched;
        drop(added);
        seen.is_busy |= self.supply.tick();
        self.reporter.start();
        self.note_exhaustion(seen.places > 0 && seen.places == seen.places_kept);
        seen
    }

    /// Says once that nothing runs any more, and once that it does again.
    fn note_exhaustion(&self, is_exhausted: bool) {
        if self.is_exhausted.load(Ordering::Relaxed) == is_exhausted {
            return;
        }
        self.is_exhausted.store(is_exhausted, Ordering::Relaxed);
        let threads = self.live.threads.load(Ordering::Relaxed);
        if is_exhausted {
            tracing::error!(
                threads,
                "no thread is left: all are kept by what does not return, and nothing else runs until one of them does; \
                 end what hangs (`Executor::reports` has its lines), or raise `Options::with_threads`"
            );
        } else {
            tracing::warn!(threads, "there are threads again, and what waited runs");
        }
    }

    /// Whether one more invocation has to be refused, for its command or since nothing runs; counted if so.
    pub(crate) fn refuses(&self, command: CommandId) -> bool {
        let is_exhausted = self.is_exhausted.load(Ordering::Relaxed);
        self.live.busy.fetch_add(u64::from(is_exhausted), Ordering::Relaxed);
        is_exhausted || self.is_full(command)
    }

    /// Whether one more invocation of this command has to be refused; counted if so.
    pub(crate) fn is_full(&self, command: CommandId) -> bool {
        let standing = self.registry.standing(command);
        let is_full = standing != Standing::Clean && self.supply.is_full(command, standing);
        self.live.busy.fetch_add(u64::from(is_full), Ordering::Relaxed);
        is_full
    }

    fn replace(&self, slot: &Arc<Slot>, incident: u64, since: Moment) -> Answer {
        if slot.role == Role::Worker { self.supply.replace(slot, incident, since) } else { Answer::Nobody }
    }
}

/// What there was at one look.
#[derive(Default)]
struct Seen {
    is_busy: bool,
    /// A call that has not been found to last.
    has_young_call: bool,
    /// Workers that have a place, and those of them that do not come back.
    places: usize,
    places_kept: usize,
}

/// The watchdog's thread. It holds the watch only while it looks, so that the last user can end it.
fn run(weak: &Weak<Watch>) {
    tell_of_refusals();
    let mut capture = Capture::new();
    let (mut quiet_ticks, mut calm_ticks) = (0, 0);
    while let Some(watch) = weak.upgrade() {
        if watch.is_stopped.load(Ordering::SeqCst) {
            return;
        }
        let seen = watch.look(&mut capture);
        quiet_ticks = if seen.is_busy { 0 } else { quiet_ticks + 1 };
        calm_ticks = if seen.has_young_call { 0 } else { calm_ticks + 1 };
        if quiet_ticks < RESTS_AFTER {
            let is_quick = watch.is_quick.load(Ordering::SeqCst);
            if is_quick && calm_ticks >= RESTS_AFTER {
                watch.is_quick.store(false, Ordering::SeqCst);
            }
            drop(watch);
            thread::park_timeout(if is_quick { QUICK_TICK } else { TICK });
            continue;
        }
        quiet_ticks = 0;
        watch.is_resting.store(true, Ordering::SeqCst);
        if watch.has_begun.swap(false, Ordering::SeqCst) {
            watch.is_resting.store(false, Ordering::SeqCst);
            continue;
        }
        while watch.is_resting.load(Ordering::SeqCst) && !watch.is_stopped.load(Ordering::SeqCst) {
            thread::park();
        }
    }
}
