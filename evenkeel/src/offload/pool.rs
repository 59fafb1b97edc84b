//! A bound on how much runs at once, and the queue in front of it.

use std::cell::Cell;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// A bound on how much offloaded work runs at once; clones are the same pool.
///
/// The queue in front of it is as long as there are futures waiting; nothing is refused.
///
/// ```
/// use evenkeel::offload::Pool;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let thumbnails = Pool::new(2);
/// assert_eq!(thumbnails.run(|| "small").await.unwrap(), "small");
/// assert_eq!((thumbnails.running(), thumbnails.waiting()), (0, 0));
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Pool(Home);

/// How long work waited for its turn in a [`Pool`], since the pool began; of the process-wide ones, since the process did.
///
/// What was given up before its turn is not in it. A wait that grows tells that the pool is too narrow, or that what
/// runs in it takes too long.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Waited {
    /// How many have had their turn.
    pub count: u64,
    /// What they waited, all together.
    pub total: Duration,
    /// What the unluckiest of them waited.
    pub longest: Duration,
}

impl Pool {
    /// A pool that runs `limit` at once.
    ///
    /// # Panics
    ///
    /// If `limit` is zero or larger than [`Semaphore::MAX_PERMITS`].
    #[track_caller]
    #[must_use]
    pub fn new(limit: usize) -> Self {
        assert!(limit > 0, "a pool of 0 would never run anything: use 1 or more");
        let shared = Shared::new(Some(limit));
        shared.limit();
        Self(Home::Own(Arc::new(shared)))
    }

    /// The process-wide pool behind [`offload`](super::offload).
    #[must_use]
    pub fn cores() -> Self {
        static CORES: Shared = Shared::new(None);
        Self(Home::Process(&CORES))
    }

    /// The process-wide pool behind [`blocking`](super::blocking).
    #[must_use]
    pub fn calls() -> Self {
        static CALLS: Shared = Shared::new(Some(64));
        Self(Home::Process(&CALLS))
    }

    /// Waits for room, runs `work` on a thread of tokio's, and hands over what became of it; `None` if the runtime shut
    /// down before it ran.
    pub(super) async fn carry<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<thread::Result<T>> {
        let asked = Instant::now();
        let queued = Count::up(self.0.clone(), |shared| &shared.waiting);
        let room = Room::acquire(self.0).await;
        let span = tracing::Span::current();
        let task = tokio::task::spawn_blocking(move || {
            let room = room;
            // Only now: until tokio has a thread for it, the work still waits.
            room.0.note(asked.elapsed());
            let _running = Count::up(room.0.clone(), |shared| &shared.running);
            drop(queued);
            IS_OFFLOADED.set(true);
            let done = span.in_scope(|| catch_unwind(AssertUnwindSafe(work)));
            IS_OFFLOADED.set(false);
            done
        });
        Queued(task).join().await
    }

    /// How many may run at once.
    pub fn limit(&self) -> usize {
        self.0.limit()
    }

    /// How many run at present, those included that nobody waits for any more.
    pub fn running(&self) -> usize {
        self.0.running.load(Ordering::Relaxed)
    }

    /// How many wait for their turn.
    pub fn waiting(&self) -> usize {
        self.0.waiting.load(Ordering::Relaxed)
    }

    /// How long work has waited for its turn so far. While work is starting, the figures may be apart by that work.
    pub fn waited(&self) -> Waited {
        let shared = &self.0;
        let nanos = |of: &AtomicU64| Duration::from_nanos(of.load(Ordering::Relaxed));
        let (total, longest) = (nanos(&shared.total), nanos(&shared.longest));
        Waited { count: shared.started.load(Ordering::Relaxed), total, longest }
    }
}

thread_local! {
    /// Whether this thread does work of a pool.
    static IS_OFFLOADED: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread does work of a pool: nobody else's waits for it.
pub(crate) fn is_offloaded() -> bool {
    IS_OFFLOADED.get()
}

impl Waited {
    /// What one waited on average; zero before the first.
    pub fn mean(&self) -> Duration {
        self.total.checked_div(u32::try_from(self.count).unwrap_or(u32::MAX)).unwrap_or_default()
    }
}

#[derive(Debug)]
struct Shared {
    room: Semaphore,
    /// Set at first use, when the permits of `room` are handed out: how many cores there are is not known to a
    /// `const`, which the process-wide pools have to be.
    limit: OnceLock<usize>,
    wanted: Option<usize>,
    waiting: AtomicUsize,
    running: AtomicUsize,
    /// How many have had their turn, and what they waited for it in nanoseconds.
    started: AtomicU64,
    total: AtomicU64,
    longest: AtomicU64,
}

impl Shared {
    /// With `None` for the limit, as many as there are cores.
    const fn new(wanted: Option<usize>) -> Self {
        let (waiting, running) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (started, total, longest) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        Self {
            room: Semaphore::const_new(0),
            limit: OnceLock::new(),
            wanted,
            waiting,
            running,
            started,
            total,
            longest,
        }
    }

    /// Counts one that has had its turn.
    fn note(&self, waited: Duration) {
        // 584 years fit.
        let nanos = u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX);
        self.started.fetch_add(1, Ordering::Relaxed);
        self.total.fetch_add(nanos, Ordering::Relaxed);
        self.longest.fetch_max(nanos, Ordering::Relaxed);
    }

    fn limit(&self) -> usize {
        *self.limit.get_or_init(|| {
            // It reads files, once in the life of a process, and perhaps in a handler's poll.
            let cores =
                || evenkeel_guard::block_in_place(thread::available_parallelism).map_or(1, usize::from);
            let limit = self.wanted.unwrap_or_else(cores);
            self.room.add_permits(limit);
            limit
        })
    }
}

/// Where a pool lives. Work outlives its waiter, so it needs a pool that does too.
#[derive(Debug, Clone)]
enum Home {
    Process(&'static Shared),
    Own(Arc<Shared>),
}

impl Deref for Home {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        match self {
            Self::Process(shared) => shared,
            Self::Own(shared) => shared,
        }
    }
}

/// Room for one in the pool, given back when dropped.
struct Room(Home);

impl Room {
    async fn acquire(home: Home) -> Self {
        home.limit();
        home.room.acquire().await.expect("nobody closes the pool").forget();
        Self(home)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.0.room.add_permits(1);
    }
}

/// One more in a count, until dropped.
struct Count {
    home: Home,
    of: fn(&Shared) -> &AtomicUsize,
}

impl Count {
    fn up(home: Home, of: fn(&Shared) -> &AtomicUsize) -> Self {
        of(&home).fetch_add(1, Ordering::Relaxed);
        Self { home, of }
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        (self.of)(&self.home).fetch_sub(1, Ordering::Relaxed);
    }
}

/// A task that is taken off tokio's own queue if nobody waits for it any more.
struct Queued<T>(JoinHandle<T>);

impl<T> Queued<T> {
    /// `None` if the runtime shut down before the task ran.
    async fn join(mut self) -> Option<T> {
        (&mut self.0).await.ok()
    }
}

impl<T> Drop for Queued<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
