//! Handlers that are to start, of a bot on several networks: in turns, and no more at once than the workers take up soon, so that
//! those of one network do not wait until all of another one have run.

use std::collections::VecDeque;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Notify;

use crate::engine::Attempt;

/// So many for each core may be with the workers that these have not taken up.
const FRESH: usize = 2;

/// See the module.
pub(super) struct Starting {
    /// By network, in order. Bounded as the handlers that run.
    waiting: Vec<(Arc<str>, VecDeque<Attempt>)>,
    /// Whose turn it is.
    turn: usize,
    /// How many the workers were given.
    given: usize,
    /// How many of them may not be taken up.
    fresh: usize,
    taken_up: Arc<TakenUp>,
}

/// How many handlers the workers have taken up.
#[derive(Default)]
pub(in crate::serve) struct TakenUp {
    count: AtomicUsize,
    /// Whether somebody wants to hear of the next one.
    is_awaited: AtomicBool,
    next: Notify,
}

impl TakenUp {
    /// A worker has taken one up.
    pub(in crate::serve) fn add(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
        if self.is_awaited.swap(false, Ordering::AcqRel) {
            self.next.notify_one();
        }
    }
}

impl Default for Starting {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, NonZero::get);
        Self { waiting: Vec::new(), turn: 0, given: 0, fresh: FRESH * cores, taken_up: Arc::default() }
    }
}

impl Starting {
    pub(super) fn taken_up(&self) -> Arc<TakenUp> {
        Arc::clone(&self.taken_up)
    }

    pub(super) fn push(&mut self, attempt: Attempt) {
        let network = attempt.event.conversation().network();
        match self.waiting.iter_mut().find(|(own, _)| **own == *network) {
            Some((_, waiting)) => waiting.push_back(attempt),
            None => self.waiting.push((network.into(), VecDeque::from([attempt]))),
        }
    }

    /// The next one, if the workers have taken up most of what they were given. It is given to them.
    pub(super) fn next(&mut self) -> Option<Attempt> {
        // First this, so that one that is taken up meanwhile is heard of.
        self.taken_up.is_awaited.store(true, Ordering::Release);
        if self.given.wrapping_sub(self.taken_up.count.load(Ordering::Acquire)) >= self.fresh {
            return None;
        }
        let count = self.waiting.len();
        for _ in 0..count {
            let (_, waiting) = self.waiting.get_mut(self.turn)?;
            self.turn = if self.turn + 1 < count { self.turn + 1 } else { 0 };
            if let Some(attempt) = waiting.pop_front() {
                self.given = self.given.wrapping_add(1);
                return Some(attempt);
            }
        }
        None
    }

    /// One that is not to start after all.
    pub(super) fn take(&mut self, sequence: u64) -> Option<Attempt> {
        self.waiting.iter_mut().find_map(|(_, waiting)| {
            let at = waiting.iter().position(|attempt| attempt.sequence == sequence)?;
            waiting.remove(at)
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.iter().all(|(_, waiting)| waiting.is_empty())
    }

    /// Waits until the workers have taken one up.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe, as `Notify::notified` is.
    pub(super) async fn changed(&self) {
        self.taken_up.next.notified().await;
    }
}
