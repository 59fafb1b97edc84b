//! Work that would hold up the others, done on threads of its own.
//!
//! [`offload`] is for work that keeps a core busy, [`blocking`] for calls that sleep in the kernel. Each has a
//! process-wide [`Pool`] that bounds how many run at once; a program may have pools of its own besides. The threads
//! are those of tokio's `spawn_blocking`.

use std::any::Any;
use std::fmt;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// Runs work that keeps a core busy; as many at once as there are cores, the others queue in order.
///
/// # Errors
///
/// [`OffloadError`], if the work panicked, or if the runtime shut down before it ran.
///
/// # Panics
///
/// Outside a tokio runtime.
///
/// # Cancel safety
///
/// Dropping the future while the work is queued means that it never runs. Work that runs cannot be stopped: it
/// goes on to its end, keeps its place in the pool until then, and its result is dropped.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let sum: u64 = evenkeel::offload::offload(|| (1..=1000).sum()).await.unwrap();
/// assert_eq!(sum, 500_500);
/// # }
/// ```
pub async fn offload<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, OffloadError> {
    Pool::cores().run(work).await
}

/// Runs a call that blocks its thread: files, DNS, a library without async; 64 at once, the others queue in order.
///
/// # Errors
///
/// [`OffloadError`], if the call panicked, or if the runtime shut down before it ran.
///
/// # Panics
///
/// Outside a tokio runtime.
///
/// # Cancel safety
///
/// Dropping the future while the call is queued means that it never runs. A call that runs cannot be stopped: it
/// goes on to its end, keeps its place in the pool until then, and its result is dropped.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
/// let here = evenkeel::offload::blocking(std::env::current_dir).await.unwrap()?;
/// assert!(here.is_absolute());
/// # Ok(()) }
/// ```
pub async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> T + Send + 'static,
) -> Result<T, OffloadError> {
    Pool::calls().run(call).await
}

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

/// Why offloaded work has no result.
#[derive(Debug)]
pub struct OffloadError {
    /// The message of the panic; `None` if the runtime shut down.
    panic: Option<String>,
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

    /// The process-wide pool behind [`offload`].
    #[must_use]
    pub fn cores() -> Self {
        static CORES: Shared = Shared::new(None);
        Self(Home::Process(&CORES))
    }

    /// The process-wide pool behind [`blocking`].
    #[must_use]
    pub fn calls() -> Self {
        static CALLS: Shared = Shared::new(Some(64));
        Self(Home::Process(&CALLS))
    }

    /// Runs `work` on a thread of its own as soon as the pool has room, first come, first served.
    ///
    /// # Errors
    ///
    /// [`OffloadError`], if the work panicked, or if the runtime shut down before it ran.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future while the work is queued means that it never runs. Work that runs cannot be stopped: it
    /// goes on to its end, keeps its place in the pool until then, and its result is dropped.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, OffloadError> {
        let queued = Count::up(self.0.clone(), |shared| &shared.waiting);
        let room = Room::acquire(self.0.clone()).await;
        let span = tracing::Span::current();
        let task = tokio::task::spawn_blocking(move || {
            let room = room;
            let _running = Count::up(room.0.clone(), |shared| &shared.running);
            // Only now: until tokio has a thread for it, the work still waits.
            drop(queued);
            span.in_scope(|| catch_unwind(AssertUnwindSafe(work)))
        });
        match Queued(task).join().await {
            Some(Ok(value)) => Ok(value),
            Some(Err(panic)) => Err(OffloadError { panic: Some(message(&*panic)) }),
            None => Err(OffloadError { panic: None }),
        }
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
}

impl OffloadError {
    /// Whether the work panicked.
    pub fn is_panic(&self) -> bool {
        self.panic.is_some()
    }

    /// The message of the panic, if the work panicked.
    pub fn panic_message(&self) -> Option<&str> {
        self.panic.as_deref()
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
}

impl Shared {
    /// With `None` for the limit, as many as there are cores.
    const fn new(wanted: Option<usize>) -> Self {
        let (waiting, running) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { room: Semaphore::const_new(0), limit: OnceLock::new(), wanted, waiting, running }
    }

    fn limit(&self) -> usize {
        *self.limit.get_or_init(|| {
            let cores = || std::thread::available_parallelism().map_or(1, usize::from);
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

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a value that is not text").to_owned()
}

impl fmt::Display for OffloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.panic {
            Some(message) => write!(f, "offloaded work panicked: {message}"),
            None => f.write_str("offloaded work did not run because the runtime shut down"),
        }
    }
}

impl std::error::Error for OffloadError {}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures_util::poll;
    use tokio::sync::oneshot;

    use super::*;

    /// Work that says when it starts, and runs until the sender is dropped.
    fn busy() -> (mpsc::Sender<()>, oneshot::Receiver<()>, impl FnOnce() + Send + 'static) {
        let (end, ended) = mpsc::channel::<()>();
        let (start, started) = oneshot::channel();
        let work = move || {
            start.send(()).unwrap();
            ended.recv().unwrap_err();
        };
        (end, started, work)
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_than_the_limit_run() {
        let pool = Pool::new(2);
        let work = |_| {
            let inside = pool.clone();
            pool.run(move || assert!((1..=2).contains(&inside.running())))
        };
        for done in futures_util::future::join_all((0..50).map(work)).await {
            done.unwrap();
        }
        assert_eq!((pool.running(), pool.waiting(), pool.limit()), (0, 0, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_is_an_error_with_its_message() {
        let pool = Pool::new(1);
        let error = pool.run(|| panic!("no such {}", "prime")).await.unwrap_err();
        assert_eq!(error.panic_message(), Some("no such prime"));
        assert_eq!(error.to_string(), "offloaded work panicked: no such prime");
        assert_eq!(pool.run(|| 7).await.unwrap(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_nobody_waits_for_never_starts() {
        let pool = Pool::new(1);
        let (end, started, work) = busy();
        let mut first = Box::pin(pool.run(work));
        assert!(poll!(&mut first).is_pending());
        started.await.unwrap();
        let mut second = Box::pin(pool.run(|| panic!("ran after all")));
        assert!(poll!(&mut second).is_pending());
        assert_eq!((pool.running(), pool.waiting()), (1, 1));
        drop(second);
        drop(end);
        first.await.unwrap();
        assert_eq!((pool.run(|| 7).await.unwrap(), pool.waiting()), (7, 0));
    }

    #[test]
    fn work_on_tokios_own_queue_is_taken_off_it() {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).max_blocking_threads(1).build().unwrap();
        runtime.block_on(async {
            let pool = Pool::new(8);
            let (end, started, work) = busy();
            let mut first = Box::pin(pool.run(work));
            assert!(poll!(&mut first).is_pending());
            started.await.unwrap();
            let mut second = Box::pin(pool.run(|| panic!("ran after all")));
            assert!(poll!(&mut second).is_pending());
            drop(second);
            drop(end);
            first.await.unwrap();
            assert_eq!((pool.run(|| 7).await.unwrap(), pool.waiting()), (7, 0));
        });
    }

    #[tokio::test(start_paused = true)]
    async fn running_work_keeps_its_place_without_a_waiter() {
        let pool = Pool::new(1);
        let (end, started, work) = busy();
        let mut abandoned = Box::pin(pool.run(work));
        assert!(poll!(&mut abandoned).is_pending());
        started.await.unwrap();
        drop(abandoned);
        let mut next = Box::pin(pool.run(|| 7));
        assert!(poll!(&mut next).is_pending());
        assert_eq!((pool.running(), pool.waiting()), (1, 1));
        drop(end);
        assert_eq!(next.await.unwrap(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn the_process_has_a_pool_as_wide_as_its_cores() {
        assert_eq!(offload(|| 7).await.unwrap(), 7);
        assert_eq!(blocking(|| 7).await.unwrap(), 7);
        assert_eq!(Pool::cores().limit(), std::thread::available_parallelism().unwrap().get());
        assert_eq!(Pool::calls().limit(), 64);
    }
}
