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
//!   things that look the same there come back as one: `Some(())` as `None`. Each may take 64 MiB, or what
//!   [`Isolate::argument_limit`] and [`Isolate::result_limit`] say.
//! - The statics of a program that has just started: nothing that `main` set up, no connection, no cache, no logger.
//! - Of the environment `PATH`, `HOME`, `TMPDIR`, `TZ`, `LANG`, `LANGUAGE`, `LC_*`, `RUST_BACKTRACE`,
//!   `RUST_LIB_BACKTRACE` and `LD_LIBRARY_PATH`, and what [`Isolate::env`] adds. [`Isolate::inherit_env`] passes on
//!   all of it.
//! - Of the parent's files an empty standard input, and the parent's standard error for what it prints, also on
//!   standard output. All others are closed, those included that somebody has opened without `O_CLOEXEC`.
//! - The parent's folder, user, limits and session; a process group of its own.
//! - No destructors of statics and no `atexit` after it has returned.
//! - Neither threads nor files that a shared library has made while it was loaded, before any of this: the process is a
//!   copy of the one that the loader made, with one thread.
//!
//! # What ends with it
//!
//! Everything. Between the parent and the function's process stands a *keeper*, a process that sleeps. Whatever the
//! function starts is below the keeper in the tree of processes, in whichever group or session it is and whether or not
//! its own parent lives. The keeper kills all of it when the function has returned or its process has died, when the
//! time is up, when the future is dropped, and when the parent dies, even of SIGKILL. A result is given when nothing of
//! it is left.
//!
//! What remains: a program with more rights (`sudo`) cannot be killed, and is left; one that starts the next of its kind
//! faster than the keeper looks is followed for as long as that lasts; and a function that kills its keeper, its parent
//! by then, leaves behind what it has started, though not itself.
//!
//! # What is made sure of
//!
//! A child calls nothing but functions that the program isolates somewhere: the compiler makes a record of each, and
//! the child is told the place of a record in the program's file, never an address of code. And it calls nothing for
//! anybody but its parent: the kernel says that the socket comes from the parent process, of the same user, and that the
//! parent executes the same file. Else it ends with status 77 and a line on standard error, before it has read an
//! argument. So the variable `EVENKEEL_ISOLATE` by itself calls nothing, no matter who sets it; a value that is not meant for
//! this program changes nothing, and `main` starts as usual.
//!
//! **It is no sandbox.** The function runs as the same user, and may do what the program may: read its files, connect to
//! its network, look at its memory and its environment through `/proc`, and end it. Nothing of that is meant to hold up
//! code that wants to do harm. What it does is to end code that would not end.
//!
//! # What it costs
//!
//! About two starts of `true`: 2.0 ms against 1.0 ms without optimisation, 1.5 ms against 0.9 ms with it, on two cores of
//! a virtual machine; the test `a_call_costs` prints yours. Besides there are the argument and the result, and the
//! pages that the program touches before `main`. As many children run at once as there are cores; the other calls
//! queue in order ([`running`], [`waiting`]).
//!
//! # Where it works
//!
//! On 64-bit Linux with glibc, in programs that are dumpable: one that has changed its user since its start has to call
//! `prctl(PR_SET_DUMPABLE, 1)`. Elsewhere every call gives an error that says so.

use std::any::type_name;
use std::ffi::OsString;
use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, SemaphorePermit, oneshot};

use self::parent::{Function, Leash};

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
/// its type: `|()| -> () { loop {} }`. A pointer to a function is not, since a child knows functions by their type: of
/// several, choose one inside of a closure. That is an error of the compiler, as is a closure with captures.
///
/// # Errors
///
/// [`IsolateError`], if the function did not return in time, panicked, ended its process (an abort, a segmentation
/// fault, out of memory, `exit`), or could not be called: the argument or the result cannot be written or read, the
/// process cannot be started, the argument or the result is too large, the function lies in a shared library, or the
/// platform is not 64-bit Linux with glibc.
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
pub fn isolate<F, A, T>(function: F, argument: A) -> Isolate<A, T>
where
    F: Fn(A) -> T + Copy + Send + 'static,
    A: Serialize + DeserializeOwned + Send + 'static,
    T: Serialize + DeserializeOwned + Send + 'static,
{
    const {
        assert!(
            size_of::<F>() == 0,
            "a function pointer, or a closure with captures, cannot be isolated: name the function itself, and pass \
             what it needs as its argument"
        );
    }
    Isolate { function: Function::of(function), argument, settings: Settings::default(), result: PhantomData }
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
    function: Function,
    argument: A,
    settings: Settings,
    result: PhantomData<fn() -> T>,
}

#[derive(Debug)]
pub(super) struct Settings {
    timeout: Duration,
    /// In bytes, beyond what the program has mapped when it calls the function.
    memory: Option<u64>,
    /// Both in bytes, as encoded.
    argument_limit: u64,
    result_limit: u64,
    environment: Environment,
}

impl Default for Settings {
    fn default() -> Self {
        const MOST: u64 = 64 << 20;
        let (timeout, environment) = (Duration::from_secs(30), Environment::default());
        Self { timeout, memory: None, argument_limit: MOST, result_limit: MOST, environment }
    }
}

#[derive(Default)]
pub(super) struct Environment {
    inherits_all: bool,
    added: Vec<(OsString, OsString)>,
}

/// Values may be secrets.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.added.iter().map(|(name, _)| name).collect();
        f.debug_struct("Environment")
            .field("inherits_all", &self.inherits_all)
            .field("added", &names)
            .finish()
    }
}

impl<A, T> Isolate<A, T> {
    /// Kills the child when it has run for so long; 30 seconds unless told. Waiting for a turn does not count.
    ///
    /// It is the time of the machine, also where tokio's clock is paused. That one does not run on by itself while
    /// the child runs; while the call waits behind children of another runtime, it does.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = timeout;
        self
    }

    /// Bounds the address space that the child may take beyond what the program has at its start, in bytes.
    ///
    /// A function that asks for more is told that there is none, whereupon most code aborts. Address space is more
    /// than memory in use: with glibc, each thread that allocates takes about 66 MiB of it.
    pub fn memory(mut self, limit_bytes: u64) -> Self {
        self.settings.memory = Some(limit_bytes);
        self
    }

    /// The most bytes that the result may take as MessagePack; 64 MiB unless told.
    ///
    /// Neither process ever holds more of it: one that is larger is [`IsolateError::is_too_large`].
    pub fn result_limit(mut self, limit_bytes: u64) -> Self {
        self.settings.result_limit = limit_bytes;
        self
    }

    /// The same for the argument; 64 MiB unless told. With one that is larger, no child is started.
    pub fn argument_limit(mut self, limit_bytes: u64) -> Self {
        self.settings.argument_limit = limit_bytes;
        self
    }

    /// Sets a variable in the child's environment, which else has only the few that the
    /// [module](self#what-the-function-finds-in-the-child) lists.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.settings.environment.added.push((name.into(), value.into()));
        self
    }

    /// Passes the whole environment on, with whatever secrets it holds.
    pub fn inherit_env(mut self) -> Self {
        self.settings.environment.inherits_all = true;
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
            span.in_scope(|| parent::call(self.function, self.argument, &self.settings, &leash, tell));
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
            .field("settings", &self.settings)
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
