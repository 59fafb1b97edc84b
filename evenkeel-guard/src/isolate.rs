//! A function in a child process, for code that cannot be trusted to end.
//!
//! A thread that is stuck cannot be ended, a process can. [`isolate`] calls a plain function in a child process of
//! the same program and kills the child when its time is up. The program's `main` needs no preparation.
//!
//! ```
//! use std::time::Duration;
//! use evenkeel_guard::isolate::isolate;
//!
//! /// Collatz: nobody has proved that it ends.
//! fn steps(mut number: u64) -> u32 {
//!     let mut steps = 0;
//!     while number != 1 {
//!         number = if number % 2 == 0 { number / 2 } else { 3 * number + 1 };
//!         steps += 1;
//!     }
//!     steps
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # if !cfg!(all(target_os = "linux", target_env = "gnu")) { return Ok(()); }
//! assert_eq!(isolate(steps, 27).timeout(Duration::from_secs(5)).await?, 111);
//!
//! // Zero stays zero for ever. Without captures, a closure will do.
//! let stuck = isolate(|number| steps(number), 0).timeout(Duration::from_millis(50)).await;
//! assert!(stuck.unwrap_err().is_timeout());
//! # Ok(()) }
//! ```
//!
//! # What the function finds in the child
//!
//! - Its argument and its result travel as MessagePack, so `serde` has to be able to write and read them. Two
//!   things that look the same there come back as one: `Some(())` as `None`.
//! - The statics of a program that has just started: nothing that `main` set up, no connection, no cache, no logger.
//! - The parent's environment, folder, user and limits; an empty standard input; the parent's standard error for
//!   what it prints, also on standard output.
//! - A process group of its own. What it leaves running in that group is killed with it.
//! - No destructors of statics and no `atexit` after it has returned.
//!
//! A parent that dies takes the child along at once, though not what the child itself has started.
//!
//! # What it costs
//!
//! Less than two starts of `true`: 1.1 to 1.4 ms against 0.7 ms on two cores of a virtual machine, as the test
//! `a_call_costs` prints it. Besides there are the argument and the result, and the pages that the program touches
//! before `main`. As many children run at once as there are cores; the other calls queue in order ([`running`],
//! [`waiting`]).
//!
//! # Where it works
//!
//! On 64-bit Linux with glibc. Elsewhere every call gives an error that says so.

use std::any::type_name;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, SemaphorePermit, oneshot};

use self::parent::Leash;

mod error;
#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
mod wire;
#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
mod child;
#[cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
mod parent;
#[cfg(not(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64")))]
#[path = "isolate/elsewhere.rs"]
mod parent;

pub use self::error::IsolateError;

/// Calls a function in a child process that a timeout can kill. Nothing happens before the `.await`.
///
/// Several arguments are a tuple. A closure without captures is a function too; one that cannot return has to name
/// its type: `|()| -> () { loop {} }`.
///
/// # Errors
///
/// [`IsolateError`], if the function did not return in time, panicked, ended its process (an abort, a segmentation
/// fault, out of memory, `exit`), or could not be called: the argument or the result cannot be written or read, the
/// process cannot be started, the function lies in a shared library, or the platform is not 64-bit Linux with glibc.
///
/// # Panics
///
/// Outside a tokio runtime.
///
/// # Cancel safety
///
/// Dropping the future while the call is queued means that no child is started. Later it kills the child.
///
/// ```
/// use evenkeel_guard::isolate::isolate;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # if !cfg!(all(target_os = "linux", target_env = "gnu")) { return; }
/// let sum = isolate(|(a, b): (u8, u8)| a.checked_add(b).expect("no overflow"), (200, 100));
/// assert_eq!(sum.await.unwrap_err().panic(), Some("no overflow"));
/// # }
/// ```
pub fn isolate<A, T>(function: fn(A) -> T, argument: A) -> Isolate<A, T>
where
    A: Serialize + DeserializeOwned + Send + 'static,
    T: Serialize + DeserializeOwned + Send + 'static,
{
    Isolate { function, argument, limits: Limits { timeout: Duration::from_secs(30), memory: None } }
}

/// How many children there are at present, those included that nobody waits for any more.
pub fn running() -> usize {
    CHILDREN.running.load(Ordering::Relaxed)
}

/// How many calls wait for their turn.
pub fn waiting() -> usize {
    CHILDREN.waiting.load(Ordering::Relaxed)
}

/// A call that is made when it is awaited.
#[must_use = "nothing is called without `.await`"]
pub struct Isolate<A, T> {
    function: fn(A) -> T,
    argument: A,
    limits: Limits,
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    timeout: Duration,
    /// In bytes, beyond what the program has mapped when it calls the function.
    memory: Option<u64>,
}

impl<A, T> Isolate<A, T> {
    /// Kills the child when it has run for so long; 30 seconds unless told. Waiting for a turn does not count.
    ///
    /// It is the time of the machine, also where tokio's clock is paused. That one does not run on by itself while
    /// the child runs; while the call waits behind children of another runtime, it does.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.limits.timeout = timeout;
        self
    }

    /// Bounds the address space that the child may take beyond what the program has at its start, in bytes.
    ///
    /// A function that asks for more is told that there is none, whereupon most code aborts. Address space is more
    /// than memory in use: with glibc, each thread that allocates takes about 66 MiB of it.
    pub fn memory(mut self, limit_bytes: u64) -> Self {
        self.limits.memory = Some(limit_bytes);
        self
    }
}

impl<A, T> Isolate<A, T>
where
    A: Serialize + DeserializeOwned + Send + 'static,
    T: Serialize + DeserializeOwned + Send + 'static,
{
    async fn call(self) -> Result<T, IsolateError> {
        let queued = Count::up(&CHILDREN.waiting);
        let room = CHILDREN.room().await;
        let leash = Arc::new(Leash::default());
        let held = Held(Arc::clone(&leash));
        let (tell, told) = oneshot::channel();
        let span = tracing::Span::current();
        // A thread of its own, since the kernel ends a child together with the thread that started it. It ends when
        // it has waited for the child, and until then it keeps tokio's paused clock from running on.
        tokio::task::spawn_blocking(move || {
            let _room = room;
            let _running = Count::up(&CHILDREN.running);
            drop(queued);
            span.in_scope(|| parent::call(self.function, self.argument, self.limits, &leash, tell));
        });
        let result = told.await;
        drop(held);
        result.unwrap_or_else(|_| Err(IsolateError::shut_down()))
    }
}

impl<A, T> IntoFuture for Isolate<A, T>
where
    A: Serialize + DeserializeOwned + Send + 'static,
    T: Serialize + DeserializeOwned + Send + 'static,
{
    type Output = Result<T, IsolateError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.call())
    }
}

impl<A, T> fmt::Debug for Isolate<A, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Isolate")
            .field("function", &type_name::<fn(A) -> T>())
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// All children of this process, and those who wait to have one.
struct Children {
    room: Semaphore,
    /// Set at first use, when the permits of `room` are handed out: a `const` does not know the cores.
    limit: OnceLock<()>,
    waiting: AtomicUsize,
    running: AtomicUsize,
}

static CHILDREN: Children = Children {
    room: Semaphore::const_new(0),
    limit: OnceLock::new(),
    waiting: AtomicUsize::new(0),
    running: AtomicUsize::new(0),
};

impl Children {
    async fn room(&'static self) -> SemaphorePermit<'static> {
        self.limit.get_or_init(|| {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            self.room.add_permits(cores);
        });
        self.room.acquire().await.expect("nobody closes it")
    }
}

/// One more in a count, until dropped.
struct Count(&'static AtomicUsize);

impl Count {
    fn up(of: &'static AtomicUsize) -> Self {
        of.fetch_add(1, Ordering::Relaxed);
        Self(of)
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The caller's end of the leash: the child dies when the caller lets go.
struct Held(Arc<Leash>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.let_go();
    }
}
