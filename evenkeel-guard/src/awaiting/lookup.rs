//! Addresses into waits, one asker after another.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::Handle;
use tokio::sync::{Mutex, MutexGuard, oneshot};

use super::{Wait, leaves};
use crate::stack::{Address, Symbols, forget_tables};

/// What is known of addresses. Reading a program's debug information takes much memory, and 100 ms or more: those who ask
/// at once have it read once, on one thread, and what was asked before is known.
static KNOWN: Mutex<Option<Symbols>> = Mutex::const_new(None);

/// How many wait for their turn.
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// Who waits for a turn, or has it.
struct Turn;

impl Turn {
    fn new() -> Self {
        WAITING.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        WAITING.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What stacks tell.
pub(super) async fn told(stacks: Vec<Vec<Address>>) -> Vec<Wait> {
    if stacks.is_empty() {
        return Vec::new();
    }
    let turn = Turn::new();
    let known = KNOWN.lock().await;
    let (tell, waits) = oneshot::channel();
    let work = move || {
        // Who asked may have gone.
        let _told = tell.send(looked_up(&stacks, known, turn));
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
    mut known: MutexGuard<'static, Option<Symbols>>,
    turn: Turn,
) -> Vec<Wait> {
    let symbols = known.get_or_insert_with(Symbols::new);
    let waits = leaves::waits(&stacks.iter().map(|stack| symbols.resolve(stack)).collect::<Vec<_>>());
    drop(turn);
    if WAITING.load(Ordering::Relaxed) == 0 {
        // While the turn is held, so that nobody reads what is put away.
        forget_tables();
    }
    waits
}
