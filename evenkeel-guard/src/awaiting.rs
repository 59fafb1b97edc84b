//! At which line a future waits: asked for, told by the future itself in one more poll.
//!
//! A future that has to wait clones the waker that it is polled with. So it is polled once with a waker that takes the stack
//! when it is cloned; on that stack are the `.await`s of the author's, from the innermost outwards. Nothing is kept of it but
//! addresses, which become lines on a thread of those who ask.

mod heard;
mod leaves;
mod lookup;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use pin_project_lite::pin_project;
use serde::Serialize;
use tokio::sync::oneshot;

use crate::report::Frame;
use crate::stack::Address;

/// Lets others ask at which line a future waits.
///
/// While nobody asks, a poll costs one look at a flag and one at the waker. One that is asked for takes the stack of each leaf
/// that clones its waker; what stands in the answer is looked up afterwards, on a thread for blocking work.
///
/// | awaited | what is told |
/// |---|---|
/// | timers, channels, locks, sockets, processes, `JoinHandle`, `JoinSet` of tokio; `async-channel`, `flume`, `reqwest`, `hyper` | the line, and what is awaited |
/// | several at once: `join!`, `select!`, `join_all` of up to 30 | each branch, at the line of the macro or further inside |
/// | `timeout` | what it limits; itself where that tells nothing |
/// | `FuturesUnordered`, `buffer_unordered`, `join_all` of more, `Shared`: they poll with wakers of their own, and only what was woken | the line that awaits the set, not those inside |
/// | a task that was spawned | the line that awaits its `JoinHandle`; attach an [`Asker`] to the task to see inside |
/// | `std::future::pending`, and what forgets its waker | nothing: nobody would ever wake it |
/// | a future that blocks its thread | no answer before it returns: the guard's reports name it |
///
/// ```
/// use evenkeel_guard::awaited;
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// async fn order(mut stock: tokio::sync::mpsc::Receiver<u32>) -> Option<u32> {
///     stock.recv().await // the line that is told
/// }
///
/// let (deliver, stock) = tokio::sync::mpsc::channel(1);
/// let (order, asker) = awaited(order(stock));
/// let order = tokio::spawn(order);
///
/// let waits = asker.ask().await.expect("the future has not ended");
/// assert_eq!(waits[0].call, "tokio::sync::mpsc::Receiver::recv");
/// println!("it waits {}", waits[0]);
/// # deliver.send(1).await?; order.await?;
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn awaited<F: Future>(future: F) -> (Awaited<F>, Asker) {
    let asker = Asker::new();
    (asker.attach(future), asker)
}

/// One `.await` that is not ready.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub struct Wait {
    /// What is awaited, by the name that its author knows: `tokio::time::sleep`. Empty where the program has no symbols.
    pub call: String,
    /// The author's frames, from the innermost `.await` outwards. Without line tables, frames whose crate is not known.
    pub path: Vec<Frame>,
}

/// Asks where the future waits that it is attached to. Clones ask the same future.
///
/// ```
/// use evenkeel_guard::Asker;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// let asker = Asker::new(); // before there is a future
/// let minute = asker.attach(tokio::time::sleep(std::time::Duration::from_secs(60)));
/// tokio::select! {
///     () = minute => {}
///     waits = asker.ask() => println!("{waits:?}"),
/// }
/// # }); Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Asker {
    door: Arc<Door>,
    runtime_crates: &'static [&'static str],
}

pin_project! {
    /// A future that can be asked where it waits: see [`awaited`].
    #[must_use = "futures do nothing unless they are polled"]
    pub struct Awaited<F> {
        #[pin]
        future: F,
        // The data and the table of the waker that the door knows.
        known: (usize, usize),
        door: Entrance,
    }
}

/// Where the future and those who ask meet.
#[derive(Debug)]
struct Door {
    /// Whether somebody asks.
    is_wanted: AtomicBool,
    /// How many may ask. With the last the waker goes, which may be what keeps a task.
    askers: AtomicUsize,
    state: Mutex<State>,
}

/// Held for a few instructions.
#[derive(Debug, Default)]
struct State {
    /// Wakes the task that polls the future.
    waker: Option<Waker>,
    /// Each who asks; the future, or its end, answers all.
    asking: Vec<oneshot::Sender<Vec<Vec<Address>>>>,
    is_over: bool,
}

impl Door {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nothing more is to be heard from the future.
    fn close(&self) {
        let mut state = self.state();
        state.is_over = true;
        let left = std::mem::take(&mut *state);
        state.is_over = true;
        drop(state);
        // A waker may run what it likes when it ends, so it ends outside of the lock.
        drop(left);
    }
}

/// The future's side of the door, which it closes behind itself.
#[derive(Debug)]
struct Entrance(Arc<Door>);

impl Drop for Entrance {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Default for Asker {
    fn default() -> Self {
        Self::new()
    }
}

impl Asker {
    /// One that is attached to no future yet.
    pub fn new() -> Self {
        let (is_wanted, askers) = (AtomicBool::new(false), AtomicUsize::new(1));
        let door = Arc::new(Door { is_wanted, askers, state: Mutex::default() });
        Self { door, runtime_crates: &[] }
    }

    /// Takes these crates for a framework, none of whose lines is the author's: see
    /// [`Options::with_runtime_crates`](crate::Options::with_runtime_crates).
    #[must_use]
    pub fn with_runtime_crates(mut self, names: &'static [&'static str]) -> Self {
        self.runtime_crates = names;
        self
    }

    /// Attaches it to a future, once and for all: after that one has ended, there is nothing to ask.
    pub fn attach<F: Future>(&self, future: F) -> Awaited<F> {
        Awaited { future, known: (0, 0), door: Entrance(Arc::clone(&self.door)) }
    }

    /// Where the future waits: its innermost `.await`s, at most eight, or nothing once it has ended.
    ///
    /// The future is polled once more, as if it had been woken. Anyone who asks before its first poll is answered by that one. One
    /// whose poll does not return, because it blocks its thread, does not answer: give it a time. There may be no wait in the
    /// answer: see [`awaited`] for what tells none.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future takes the question back; the other future may be polled once more all the same.
    pub async fn ask(&self) -> Option<Vec<Wait>> {
        let answer = self.knock()?;
        let stacks = answer.await.ok()?;
        Some(lookup::told(stacks, self.runtime_crates).await)
    }

    fn knock(&self) -> Option<oneshot::Receiver<Vec<Vec<Address>>>> {
        let (tell, answer) = oneshot::channel();
        let mut state = self.door.state();
        if state.is_over {
            return None;
        }
        // Those who ceased to wait for an answer leave their place to others.
        state.asking.retain(|asking| !asking.is_closed());
        state.asking.push(tell);
        self.door.is_wanted.store(true, Ordering::Release);
        let waker = state.waker.clone();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        Some(answer)
    }
}

impl Clone for Asker {
    fn clone(&self) -> Self {
        self.door.askers.fetch_add(1, Ordering::Relaxed);
        Self { door: Arc::clone(&self.door), runtime_crates: self.runtime_crates }
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        if self.door.askers.fetch_sub(1, Ordering::AcqRel) == 1 {
            let waker = self.door.state().waker.take();
            drop(waker);
        }
    }
}

impl<F: Future> Future for Awaited<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let key = (cx.waker().data().addr(), std::ptr::from_ref(cx.waker().vtable()).addr());
        let polled = if *this.known != key || this.door.0.is_wanted.load(Ordering::Relaxed) {
            *this.known = key;
            answer(&this.door.0, this.future, cx)
        } else {
            this.future.poll(cx)
        };
        if polled.is_ready() {
            this.door.0.close();
        }
        polled
    }
}

/// A poll with a waker that the door does not know, or one that is asked for.
#[cold]
fn answer<F: Future>(door: &Door, future: Pin<&mut F>, cx: &mut Context<'_>) -> Poll<F::Output> {
    let mut state = door.state();
    let before = (door.askers.load(Ordering::Acquire) > 0).then(|| state.waker.replace(cx.waker().clone()));
    // Under the lock: anyone who asks from now on wakes this waker.
    let asking = match door.is_wanted.swap(false, Ordering::Acquire) {
        true => std::mem::take(&mut state.asking),
        false => Vec::new(),
    };
    drop(state);
    drop(before);
    if asking.is_empty() {
        return future.poll(cx);
    }
    let (polled, stacks) = heard::poll(future, cx);
    if polled.is_pending() {
        for asking in asking {
            // Who asked may have gone.
            let _told = asking.send(stacks.clone());
        }
    }
    polled
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.path.first().and_then(|frame| Some((frame.file.as_deref()?, frame.line?)));
        if let Some((file, line)) = place {
            write!(f, "at {file}:{line} ")?;
        }
        write!(f, "in {}", if self.call.is_empty() { "?" } else { &self.call })?;
        self.path.iter().try_for_each(|frame| write!(f, " <- {frame}"))
    }
}

impl<F> fmt::Debug for Awaited<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Awaited").finish_non_exhaustive()
    }
}
