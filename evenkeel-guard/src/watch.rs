//! The watchdog: looks at each polling thread from outside and names what keeps it.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use crate::report::{Label, Report};

/// How often the watchdog looks while something is being polled, and at most when nothing is.
const TICK: Duration = Duration::from_millis(2);
const IDLE_TICK: Duration = Duration::from_millis(20);
/// A poll that lasts this long has its thread replaced.
const REPLACE_AFTER: Duration = Duration::from_millis(10);
/// A poll that lasts this long is reported.
const REPORT_AFTER: Duration = Duration::from_millis(100);
/// How many reports are kept for whoever asks.
const KEPT: usize = 64;

/// The name of one future, shared by the future's task and by the thread that polls it.
#[derive(Debug)]
pub(crate) struct Name(Mutex<Label>);

impl Name {
    pub(crate) fn new(label: Label) -> Arc<Self> {
        Arc::new(Self(Mutex::new(label)))
    }

    fn label(&self) -> Label {
        locked(&self.0).clone()
    }
}

/// Where one thread shows what it polls. The thread writes, the watchdog reads.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    /// Odd while a poll is running; each poll adds two.
    sequence: AtomicU64,
    name: Mutex<Option<Arc<Name>>>,
    /// Set by the watchdog when it replaced the thread, cleared by the thread when the poll returns.
    is_replaced: AtomicBool,
}

thread_local! {
    /// What this thread is polling, for [`relabel`].
    static CURRENT: RefCell<Option<Arc<Name>>> = const { RefCell::new(None) };
    /// The slots of this thread, one for each watchdog that has seen it.
    static SLOTS: RefCell<Vec<(Weak<Watch>, Arc<Slot>)>> = const { RefCell::new(Vec::new()) };
}

/// Gives the future that is being polled on this thread another label, from this poll on.
///
/// For work whose name is known only once it has begun. Outside an [`Executor`](crate::Executor) it does nothing.
pub fn relabel(label: Label) {
    CURRENT.with_borrow(|current| {
        if let Some(name) = current {
            *locked(&name.0) = label;
        }
    });
}

impl Slot {
    /// Polls with the slot showing `name`. Answers whether the thread was replaced meanwhile.
    pub(crate) fn polling(&self, name: &Arc<Name>, poll: impl FnOnce()) -> bool {
        *locked(&self.name) = Some(Arc::clone(name));
        let outer = CURRENT.replace(Some(Arc::clone(name)));
        // Release, so that the watchdog that sees the odd number also sees the name.
        self.sequence.fetch_add(1, Ordering::Release);
        let finish = Finish { slot: self, outer: Some(outer) };
        poll();
        drop(finish);
        self.is_replaced.swap(false, Ordering::AcqRel)
    }
}

/// Ends a poll, also when it unwinds.
struct Finish<'a> {
    slot: &'a Slot,
    outer: Option<Option<Arc<Name>>>,
}

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        self.slot.sequence.fetch_add(1, Ordering::Release);
        if let Some(outer) = self.outer.take() {
            CURRENT.set(outer);
        }
    }
}

type Replace = dyn Fn() -> bool + Send + Sync;

/// The watchdog's side: whom it watches, and what it found.
pub(crate) struct Watch {
    state: Mutex<State>,
    /// Wakes the watchdog's thread when the last user is gone.
    stop: Condvar,
    /// Called once for each poll that lasts too long; answers whether the thread was replaced.
    replace: Box<Replace>,
}

#[derive(Default)]
struct State {
    watched: Vec<Watched>,
    reports: VecDeque<Report>,
    count: u64,
    is_stopped: bool,
}

struct Watched {
    slot: Weak<Slot>,
    /// The last number seen in the slot, and when it was first seen.
    sequence: u64,
    since: Instant,
    is_handled: bool,
    reported: Option<(u64, Label)>,
}

impl Watch {
    /// Starts a watchdog. `replace` gives a stuck thread a successor, where that is possible.
    pub(crate) fn start(replace: impl Fn() -> bool + Send + Sync + 'static) -> Arc<Self> {
        let (state, stop) = (Mutex::default(), Condvar::new());
        let watch = Arc::new(Self { state, stop, replace: Box::new(replace) });
        let weak = Arc::downgrade(&watch);
        let thread = thread::Builder::new().name("evenkeel-watchdog".into());
        if let Err(error) = thread.spawn(move || run(&weak)) {
            tracing::warn!(%error, "no watchdog: the system gives no more threads");
        }
        watch
    }

    /// Watches a slot for as long as somebody holds it.
    pub(crate) fn add(&self, slot: &Arc<Slot>) {
        let (sequence, since) = (slot.sequence.load(Ordering::Acquire), Instant::now());
        let slot = Arc::downgrade(slot);
        locked(&self.state).watched.push(Watched {
            slot,
            sequence,
            since,
            is_handled: false,
            reported: None,
        });
    }

    /// The slot of the current thread, made at its first poll.
    pub(crate) fn slot_of_this_thread(self: &Arc<Self>) -> Arc<Slot> {
        SLOTS.with_borrow_mut(|slots| {
            if let Some((_, slot)) = slots.iter().find(|(watch, _)| watch.as_ptr() == Arc::as_ptr(self)) {
                return Arc::clone(slot);
            }
            slots.retain(|(watch, _)| watch.strong_count() > 0);
            let slot = Arc::new(Slot::default());
            self.add(&slot);
            slots.push((Arc::downgrade(self), Arc::clone(&slot)));
            slot
        })
    }

    /// The last reports, oldest first.
    pub(crate) fn reports(&self) -> Vec<Report> {
        locked(&self.state).reports.iter().cloned().collect()
    }

    /// Ends the watchdog's thread.
    pub(crate) fn stop(&self) {
        locked(&self.state).is_stopped = true;
        self.stop.notify_all();
    }

    /// Looks at every slot once. Answers whether anything is being polled.
    fn look(&self, now: Instant) -> bool {
        let mut stuck = Vec::new();
        let mut state = locked(&self.state);
        let State { watched, reports, count, .. } = &mut *state;
        let mut is_busy = false;
        watched.retain_mut(|watched| {
            let Some(slot) = watched.slot.upgrade() else {
                return false;
            };
            let report = watched.look(&slot, now, count);
            is_busy |= is_polling(watched.sequence);
            if watched.is_due(now) {
                watched.is_handled = true;
                stuck.push(slot);
            }
            if let Some(report) = report {
                tracing::warn!(target: "evenkeel::guard", "{report}");
                keep(reports, report);
            }
            true
        });
        drop(state); // Replacing a thread adds a slot.
        for slot in stuck {
            // If the poll has returned meanwhile, the thread steps aside after its next one.
            if (self.replace)() {
                slot.is_replaced.store(true, Ordering::Release);
            }
        }
        is_busy
    }
}

impl Watched {
    fn look(&mut self, slot: &Slot, now: Instant, count: &mut u64) -> Option<Report> {
        let sequence = slot.sequence.load(Ordering::Acquire);
        let elapsed = now.duration_since(self.since);
        if sequence != self.sequence {
            (self.sequence, self.since, self.is_handled) = (sequence, now, false);
            let (number, label) = self.reported.take()?;
            return Some(Report::new(number, &label, elapsed, true));
        }
        if !is_polling(sequence) || self.reported.is_some() || elapsed < REPORT_AFTER {
            return None;
        }
        let label = locked(&slot.name).as_ref()?.label();
        *count += 1;
        self.reported = Some((*count, label.clone()));
        Some(Report::new(*count, &label, elapsed, false))
    }

    fn is_due(&self, now: Instant) -> bool {
        is_polling(self.sequence) && !self.is_handled && now.duration_since(self.since) >= REPLACE_AFTER
    }
}

/// Odd while a poll is running.
fn is_polling(sequence: u64) -> bool {
    !sequence.is_multiple_of(2)
}

/// The second report of a poll takes the place of the first.
fn keep(reports: &mut VecDeque<Report>, report: Report) {
    if let Some(earlier) = reports.iter_mut().find(|earlier| earlier.number == report.number) {
        *earlier = report;
        return;
    }
    reports.push_back(report);
    if reports.len() > KEPT {
        reports.pop_front();
    }
}

fn run(watch: &Weak<Watch>) {
    let mut tick = TICK;
    while let Some(watch) = watch.upgrade() {
        let is_busy = watch.look(Instant::now());
        tick = if is_busy { TICK } else { (tick * 2).min(IDLE_TICK) };
        let state = locked(&watch.state);
        let waited = watch.stop.wait_timeout(state, tick);
        if waited.unwrap_or_else(PoisonError::into_inner).0.is_stopped {
            return;
        }
    }
}

/// The data stays whole when a holder panics: each section assigns and nothing else.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
