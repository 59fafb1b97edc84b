//! Addresses into waits, one asker after another.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, SemaphorePermit, oneshot};

use super::{Wait, leaves};
use crate::frame::claim::Claims;
use crate::stack::{Address, Symbols, forget_tables};

/// What is known of addresses. Reading a program's debug information takes much memory, and 100 ms or more: those who ask
/// at once have it read once, and what was asked before is known. Held while it is read, on threads that may block.
static KNOWN: Mutex<Option<Symbols>> = Mutex::new(None);

/// Threads that look up, or wait for the one that does. The other askers wait without a thread. It is more than one for
/// the sake of tokio's paused clock, which stands still while its own runtime has such a thread.
static THREADS: Semaphore = Semaphore::const_new(16);

/// How many look up, or wait for it: the last one puts the debug information away.
static LOOKING: AtomicUsize = AtomicUsize::new(0);

/// One who looks up, or waits for it.
struct Looking;

impl Looking {
    fn new() -> Self {
        LOOKING.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Looking {
    fn drop(&mut self) {
        LOOKING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What stacks tell.
pub(super) async fn told(stacks: Vec<Vec<Address>>, runtime: &'static [&'static str]) -> Vec<Wait> {
    if stacks.is_empty() {
        return Vec::new();
    }
    let looking = Looking::new();
    // Nobody closes it.
    let Ok(thread) = THREADS.acquire().await else { return Vec::new() };
    let (tell, waits) = oneshot::channel();
    let work = move || {
        // Who asked may have gone.
        let _told = tell.send(looked_up(&stacks, runtime, thread, looking));
    };
    let is_begun = match Handle::try_current() {
        Ok(runtime) => {
            drop(runtime.spawn_blocking(work));
            true
        }
        // Ends by itself, soon.
        Err(_) => std::thread::Builder::new().name("evenkeel-waits".to_owned()).spawn(work).is_ok(),
    };
    if is_begun { waits.await.unwrap_or_default() } else { Vec::new() }
}

fn looked_up(
    stacks: &[Vec<Address>],
    runtime: &[&str],
    thread: SemaphorePermit<'static>,
    looking: Looking,
) -> Vec<Wait> {
    // What a panic has left is whole: addresses are entered once they are looked up.
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let symbols = known.get_or_insert_with(Symbols::new);
    let frames: Vec<_> =
        stacks.iter().map(|stack| symbols.resolve(stack, Claims { runtime, author: None })).collect();
    drop(looking);
    if LOOKING.load(Ordering::Relaxed) == 0 {
        // Before the next one begins to read.
        forget_tables();
    }
    drop(known);
    drop(thread);
    leaves::waits(&frames)
}
