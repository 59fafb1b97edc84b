//! The ids of the last events, as hashes.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};

#[derive(Debug)]
pub(super) struct Seen {
    window: usize,
    members: HashSet<u64>,
    /// The members, oldest first.
    order: VecDeque<u64>,
    /// Seeded per process, so that nobody can make two ids collide on purpose.
    hasher: RandomState,
}

impl Seen {
    pub(super) fn new(window: usize) -> Self {
        let (members, order, hasher) = (HashSet::new(), VecDeque::new(), RandomState::new());
        Self { window, members, order, hasher }
    }

    pub(super) fn window(&self) -> usize {
        self.window
    }

    /// Whether it is new.
    pub(super) fn add(&mut self, id: &str) -> bool {
        let hash = self.hasher.hash_one(id);
        if !self.members.insert(hash) {
            return false;
        }
        self.order.push_back(hash);
        if self.order.len() > self.window
            && let Some(oldest) = self.order.pop_front()
        {
            self.members.remove(&oldest);
        }
        true
    }
}
