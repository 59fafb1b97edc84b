//! The watchdog looks at each polling thread from outside; the ears hear of each call from within.
//!
//! Nothing here runs on the path of a poll that behaves.

mod hearing;
mod looking;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::thread;
use std::time::Duration;

use crate::book::{Book, Standing};
use crate::capture::Capture;
use crate::counters::Tally;
use crate::options::Options;
use crate::reporter::Reporter;
use crate::slot::{CommandId, Relief, Role, Slot, is_polling, locked};

pub use hearing::sees_calls;
use looking::Watched;

/// How often the watchdog looks while something is being polled.
const TICK: Duration = Duration::from_millis(2);
/// Ticks without any poll after which it sleeps until it is woken.
const RESTS_AFTER: u32 = 10;
/// A call that lasts longer has consequences before its end.
const LASTING: Duration = Duration::from_millis(1);

/// Whoever has threads to send. Guests of another runtime have none.
pub(crate) trait Staff: Send + Sync {
    /// Finds a successor for a blocked worker.
    fn relieve(&self, _: &Slot) -> Option<Arc<Relief>> {
        None
    }

    /// How many invocations wait in front of a part of the quarantine.
    fn waiting(&self, _: Standing) -> usize {
        0
    }

    /// Looks after work for which there was no thread when it came. Called on each tick.
    fn tend(&self) {}
}

/// Nobody to send.
pub(crate) struct Nobody;

impl Staff for Nobody {}

/// What watches the threads of one executor.
pub(crate) struct Watch {
    pub(crate) book: Arc<Book>,
    pub(crate) tally: Arc<Tally>,
    pub(crate) reporter: Reporter,
    staff: Box<dyn Staff>,
    queue: usize,
    busy_after: Duration,
    watched: Mutex<Vec<Watched>>,
    is_stopped: AtomicBool,
    /// Set by the watchdog before it sleeps without end, cleared by whoever wakes it.
    is_resting: AtomicBool,
    /// Set by a thread that begins to work, before it looks whether the watchdog is resting; the watchdog says that it
    /// is resting before it looks here. So one of the two sees the other.
    has_begun: AtomicBool,
    thread: OnceLock<thread::Thread>,
}

impl Watch {
    pub(crate) fn start(options: &Options, staff: impl Staff + 'static) -> Arc<Self> {
        let parole = crate::book::Parole { after: options.parole.0, polls: options.parole.1 };
        let (book, tally) = (Arc::new(Book::new(parole)), Arc::<Tally>::default());
        let (allow, words) = (options.allow.clone(), options.words);
        let watch = Arc::new(Self {
            reporter: Reporter::new(Arc::clone(&book), Arc::clone(&tally), allow, words),
            book,
            tally,
            staff: Box::new(staff),
            queue: options.quarantine_queue,
            busy_after: options.busy_after,
            watched: Mutex::default(),
            is_stopped: AtomicBool::new(false),
            is_resting: AtomicBool::new(false),
            has_begun: AtomicBool::new(false),
            thread: OnceLock::new(),
        });
        hearing::start();
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

    /// Ends the watchdog's thread.
    pub(crate) fn stop(&self) {
        self.is_stopped.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }

    /// Looks at every slot once. Answers whether anything is being polled.
    fn look(&self, capture: &mut Capture) -> bool {
        let mut watched = std::mem::take(&mut *locked(&self.watched));
        let mut is_busy = false;
        watched.retain_mut(|watched| {
            let Some(slot) = watched.slot.upgrade() else {
                watched.finish(self);
                return false;
            };
            let before = watched.sequence;
            watched.look(&slot, self, capture);
            // A thread whose polls are short is mostly seen between two of them.
            is_busy |= is_polling(watched.sequence) || watched.sequence != before;
            true
        });
        // Relieving a thread adds slots meanwhile.
        let mut added = locked(&self.watched);
        watched.append(&mut added);
        *added = watched;
        drop(added);
        self.staff.tend();
        is_busy
    }

    /// Whether one more invocation of this command has to be refused; counted if so.
    pub(crate) fn is_full(&self, command: CommandId) -> bool {
        let standing = self.book.standing(command);
        let is_full = standing != Standing::Clean && self.staff.waiting(standing) >= self.queue;
        self.tally.busy.fetch_add(u64::from(is_full), Ordering::Relaxed);
        is_full
    }

    fn relieve(&self, slot: &Slot) -> Option<Arc<Relief>> {
        if slot.role == Role::Worker { self.staff.relieve(slot) } else { None }
    }
}

/// The watchdog's thread. It holds the watch only while it looks, so that the last user can end it.
fn run(weak: &Weak<Watch>) {
    let mut capture = Capture::new();
    let mut quiet_ticks = 0;
    while let Some(watch) = weak.upgrade() {
        if watch.is_stopped.load(Ordering::SeqCst) {
            return;
        }
        quiet_ticks = if watch.look(&mut capture) { 0 } else { quiet_ticks + 1 };
        if quiet_ticks < RESTS_AFTER {
            drop(watch);
            thread::park_timeout(TICK);
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
