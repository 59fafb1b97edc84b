//! Work that would hold up the others, done on threads of its own.
//!
//! [`offload`] is for work that keeps a core busy, [`blocking`] for calls that sleep in the kernel. Each has a
//! process-wide [`Pool`] that bounds how many run at once; a program may have pools of its own besides. The threads
//! are those of tokio's `spawn_blocking`.
//!
//! | what it does | where it belongs |
//! |---|---|
//! | waits for the network, for a timer, for another task | `tokio::..` or `cx.http()`, with `.await`: no thread is spent on it |
//! | sleeps in a call that returns: files, a database or a client without async | [`blocking`]`(..)` |
//! | computes for longer than a millisecond: images, password hashes, parsing | [`offload`]`(..)` |
//! | either of these, in a library that bears only this many callers | [`Pool::new`]`(n).`[`run`](Pool::run)`(..)` |
//! | may never return, or takes the process down | [`isolate`](crate::isolate::isolate)`(..)`: a child process that a timeout kills |
//!
//! # Awaited, or as a handler
//!
//! All three return [`Offloaded`], which goes two ways. Around a closure it is awaited, inside an `async fn`. Around a plain
//! `fn` of extractors it is a handler itself:
//!
//! ```
//! use std::sync::Arc;
//! use evenkeel::offload::{blocking, offload};
//! use evenkeel::{Args, Rest, Result, Router, State};
//!
//! #[derive(Clone)]
//! struct Folder(Arc<std::path::Path>);
//!
//! fn size(Rest(name): Rest, State(Folder(folder)): State<Folder>) -> Result<String> {
//!     let bytes = std::fs::read(folder.join(name))?; // blocks, and may
//!     Ok(format!("{} bytes", bytes.len()))
//! }
//! fn sum(Args((n,)): Args<(u64,)>) -> String {
//!     (1..=n.min(1 << 30)).fold(0u64, u64::wrapping_add).to_string()
//! }
//! async fn both(State(Folder(folder)): State<Folder>) -> Result<String> {
//!     let text = blocking(move || std::fs::read_to_string(folder.join("Cargo.toml"))).await??;
//!     let lines = offload(move || text.lines().count()).await?;
//!     Ok(format!("{lines} lines"))
//! }
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
//! let here = Folder(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).into());
//! let app = Router::new().command("!size", blocking(size)).command("!sum", offload(sum)).command("!both", both);
//! # let mut chat = evenkeel::testing::chat(app.with_state(here));
//! # assert!(chat.say("!size Cargo.toml").await.text().ends_with("bytes"));
//! # assert_eq!(chat.say("!sum 100").await, ["5050"]);
//! # assert!(chat.say("!both").await.text().ends_with("lines"));
//! # }
//! ```
//!
//! A handler in a pool is like others: its arguments are taken where other handlers run, and do not fit in the same way;
//! layers run around it; it keeps the order of its conversation, counts in [`status`](crate::status), and a panic in it
//! is a failed event. What differs:
//!
//! - It cannot be stopped. When a layer or the end of the drain gives it up while it waits for its turn, it never runs;
//!   when it runs, it goes on to its end, and its reply is dropped, and so is what it promises from then on.
//! - It may take a [`Context`](crate::Context). `reply`, `send`, `react`, `edit`, `delete` and `typing` work as they do
//!   anywhere; `reply_now`, `download` and `http` want an `.await`, which a plain function has not: write an `async fn`, and
//!   give the part that blocks to `blocking(..).await`.

mod pool;

use std::fmt;
use std::panic::resume_unwind;
use std::pin::Pin;

use crate::error::panic_message;
pub(crate) use pool::is_offloaded;
pub use pool::{Pool, Waited};

/// Work that keeps a core busy; as many at once as there are cores, the others queue in order.
///
/// Awaited, it runs once; given to a [`Router`](crate::Router), it is a handler. The [module](self) has both.
///
/// # Errors
///
/// Awaited: [`OffloadError`], if the work panicked, or if the runtime shut down before it ran.
///
/// # Panics
///
/// When awaited outside a tokio runtime.
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
pub fn offload<F>(work: F) -> Offloaded<F> {
    Pool::cores().run(work)
}

/// A call that blocks its thread: files, DNS, a library without async; 64 at once, the others queue in order.
///
/// Awaited, it runs once; given to a [`Router`](crate::Router), it is a handler. The [module](self) has both.
///
/// # Errors
///
/// Awaited: [`OffloadError`], if the call panicked, or if the runtime shut down before it ran.
///
/// # Panics
///
/// When awaited outside a tokio runtime.
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
pub fn blocking<F>(call: F) -> Offloaded<F> {
    Pool::calls().run(call)
}

impl Pool {
    /// Work that runs on a thread of its own as soon as the pool has room, first come, first served.
    ///
    /// Awaited, it runs once; given to a [`Router`](crate::Router), it is a handler. The [module](self) has both.
    ///
    /// # Errors
    ///
    /// Awaited: [`OffloadError`], if the work panicked, or if the runtime shut down before it ran.
    ///
    /// # Panics
    ///
    /// When awaited outside a tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future while the work is queued means that it never runs. Work that runs cannot be stopped: it
    /// goes on to its end, keeps its place in the pool until then, and its result is dropped.
    pub fn run<F>(&self, work: F) -> Offloaded<F> {
        Offloaded { pool: self.clone(), work }
    }
}

/// Work for a [`Pool`], made by [`blocking`], [`offload`] and [`Pool::run`].
///
/// Around a function without arguments it can be awaited, for a `Result<T, OffloadError>`. Around a plain function of at
/// most eight extractors it is a [`Handler`](crate::Handler). Where a future is asked for, as by `tokio::spawn`, write
/// `.into_future()` behind it.
#[derive(Clone)]
#[must_use = "nothing runs until it is awaited, or given to a router"]
pub struct Offloaded<F> {
    pool: Pool,
    work: F,
}

/// Work on its way through a [`Pool`].
pub type Running<T> = Pin<Box<dyn Future<Output = Result<T, OffloadError>> + Send>>;

/// Why offloaded work has no result.
#[derive(Debug)]
pub struct OffloadError {
    /// The message of the panic; `None` if the runtime shut down.
    panic: Option<String>,
}

impl<F, T> IntoFuture for Offloaded<F>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    type Output = Result<T, OffloadError>;
    type IntoFuture = Running<T>;

    fn into_future(self) -> Running<T> {
        let Self { pool, work } = self;
        Box::pin(async move {
            let ended = pool.carry(work).await.ok_or(OffloadError { panic: None })?;
            ended.map_err(|panic| OffloadError { panic: Some(panic_message(panic)) })
        })
    }
}

impl<F: Clone + Send + 'static> Offloaded<F> {
    /// Runs the function once, as a handler: a panic in it goes on in the one that waits, as from any other handler.
    pub(crate) fn handle<T: Send + 'static>(&self, call: impl FnOnce(F) -> T + Send + 'static) -> Running<T> {
        let Self { pool, work } = self.clone();
        Box::pin(async move {
            match pool.carry(move || call(work)).await {
                Some(Ok(value)) => Ok(value),
                Some(Err(panic)) => resume_unwind(panic),
                None => Err(OffloadError { panic: None }),
            }
        })
    }
}

impl<F> fmt::Debug for Offloaded<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Offloaded").field("pool", &self.pool).finish_non_exhaustive()
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
    use std::panic::AssertUnwindSafe;
    use std::sync::mpsc;
    use std::time::Duration;

    use futures_util::{FutureExt, poll};
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
            pool.run(move || assert!((1..=2).contains(&inside.running()))).into_future()
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
        let mut first = pool.run(work).into_future();
        assert!(poll!(&mut first).is_pending());
        started.await.unwrap();
        let mut second = pool.run(|| panic!("ran after all")).into_future();
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
            let mut first = pool.run(work).into_future();
            assert!(poll!(&mut first).is_pending());
            started.await.unwrap();
            let mut second = pool.run(|| panic!("ran after all")).into_future();
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
        let mut abandoned = pool.run(work).into_future();
        assert!(poll!(&mut abandoned).is_pending());
        started.await.unwrap();
        drop(abandoned);
        let mut next = pool.run(|| 7).into_future();
        assert!(poll!(&mut next).is_pending());
        assert_eq!((pool.running(), pool.waiting()), (1, 1));
        drop(end);
        assert_eq!(next.await.unwrap(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn what_waited_for_its_turn_is_counted() {
        let pool = Pool::new(1);
        assert_eq!((pool.waited(), pool.waited().mean()), (Waited::default(), Duration::ZERO));
        let (end, started, work) = busy();
        let mut first = pool.run(work).into_future();
        assert!(poll!(&mut first).is_pending());
        started.await.unwrap();
        let mut second = pool.run(|| 7).into_future();
        assert!(poll!(&mut second).is_pending());
        tokio::time::advance(Duration::from_secs(4)).await;
        let mut gone = pool.run(|| 7).into_future();
        assert!(poll!(&mut gone).is_pending());
        drop((end, gone));
        first.await.unwrap();
        assert_eq!(second.await.unwrap(), 7);
        let waited = pool.waited();
        assert_eq!(
            (waited.count, waited.total),
            (2, Duration::from_secs(4)),
            "the one that left is not in it"
        );
        assert_eq!((waited.longest, waited.mean()), (Duration::from_secs(4), Duration::from_secs(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_runs_unless_it_is_awaited() {
        let pool = Pool::new(1);
        drop(pool.run(|| panic!("ran after all")));
        drop(pool.run(|| panic!("ran after all")).into_future());
        assert_eq!(pool.run(|| 7).await.unwrap(), 7);
        assert_eq!(pool.waited().count, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_handler_that_is_given_up_in_the_queue_never_runs() {
        let pool = Pool::new(1);
        let (end, started, work) = busy();
        let mut first = pool.run(work).into_future();
        assert!(poll!(&mut first).is_pending());
        started.await.unwrap();
        let handler = pool.run(|| panic!("ran after all"));
        let mut given_up = handler.handle(|function| function());
        assert!(poll!(&mut given_up).is_pending());
        assert_eq!(pool.waiting(), 1);
        drop((given_up, end));
        first.await.unwrap();
        assert_eq!((pool.run(|| 7).await.unwrap(), pool.waiting()), (7, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_handlers_panic_goes_on_in_the_one_that_waits() {
        let running = offload(|| panic!("on purpose")).handle(|function| function());
        let panic = AssertUnwindSafe(running).catch_unwind().await.unwrap_err();
        assert_eq!(panic_message(panic), "on purpose");
    }

    /// The macros and `timeout` take it as it is.
    #[tokio::test(start_paused = true)]
    async fn it_goes_where_futures_go() {
        let (one, two) = tokio::join!(blocking(|| 1), offload(|| 2));
        assert_eq!((one.unwrap(), two.unwrap()), (1, 2));
        let in_time = tokio::time::timeout(Duration::from_secs(1), blocking(|| 3)).await;
        assert_eq!(in_time.unwrap().unwrap(), 3);
        let first = tokio::select! {
            four = blocking(|| 4) => four,
            () = std::future::pending() => unreachable!("it never ends"),
        };
        assert_eq!(first.unwrap(), 4);
        assert_eq!(tokio::spawn(blocking(|| 5).into_future()).await.unwrap().unwrap(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn the_process_has_a_pool_as_wide_as_its_cores() {
        assert_eq!(offload(|| 7).await.unwrap(), 7);
        assert_eq!(blocking(|| 7).await.unwrap(), 7);
        assert_eq!(Pool::cores().limit(), std::thread::available_parallelism().unwrap().get());
        assert_eq!(Pool::calls().limit(), 64);
    }
}
