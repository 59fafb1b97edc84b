//! A journal that remembers while the process lives, and no longer.

use std::collections::{HashSet, VecDeque};
use std::future::{Future, Ready, ready};
use std::hash::{BuildHasher, RandomState};

use super::{Batch, Journal, Recovered, Written};
use crate::error::Result;
use crate::transport::Acceptance;

/// How many events are remembered to tell a repeated delivery, unless told otherwise.
const WINDOW: usize = 65_536;

/// Numbers events and tells repeated ones; a restart forgets everything.
///
/// It knows the last 65,536 events again (16 bytes each), or as many as [`MemoryJournal::with_window`] says.
#[derive(Debug)]
pub struct MemoryJournal {
    last: u64,
    window: usize,
    seen: HashSet<u64>,
    /// The members of `seen`, oldest first.
    order: VecDeque<u64>,
    /// Seeded per process, so that nobody can make two ids collide on purpose.
    hasher: RandomState,
}

impl Default for MemoryJournal {
    fn default() -> Self {
        Self::with_window(WINDOW)
    }
}

impl MemoryJournal {
    /// Remembers the last `window` events.
    pub fn with_window(window: usize) -> Self {
        let (seen, order, hasher) = (HashSet::new(), VecDeque::new(), RandomState::new());
        Self { last: 0, window, seen, order, hasher }
    }

    fn accept(&mut self, id: &str) -> Acceptance {
        let hash = self.hasher.hash_one(id);
        if !self.seen.insert(hash) {
            return Acceptance::Duplicate;
        }
        self.order.push_back(hash);
        if self.order.len() > self.window
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
        self.last += 1;
        Acceptance::New(self.last)
    }
}

impl Journal for MemoryJournal {
    fn recover(&mut self) -> impl Future<Output = Result<Recovered>> + Send {
        // Nothing outlives the process, so nothing is left over.
        ready(Ok(Recovered::default()))
    }

    fn write(&mut self, batch: Batch) -> Ready<Result<Written>> {
        let acceptances = batch.events.iter().map(|event| self.accept(event.id())).collect();
        ready(Ok(Written { batch, acceptances }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_event_is_a_duplicate_within_the_window() {
        let mut journal = MemoryJournal::with_window(2);
        assert_eq!(journal.accept("a"), Acceptance::New(1));
        assert_eq!(journal.accept("a"), Acceptance::Duplicate);
        assert_eq!(journal.accept("b"), Acceptance::New(2));
        assert_eq!(journal.accept("c"), Acceptance::New(3));
        assert_eq!(journal.accept("a"), Acceptance::New(4), "the window has moved on");
    }

    #[test]
    fn memory_is_bounded_by_the_window() {
        let mut journal = MemoryJournal::with_window(10);
        for n in 0..1000 {
            journal.accept(&n.to_string());
        }
        assert_eq!((journal.seen.len(), journal.order.len()), (10, 10));
    }
}
