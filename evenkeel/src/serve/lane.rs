//! One at a time within a key, many keys at once.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// Ordered queues, one for each key that has work. Handlers run by it, and so do sends.
///
/// A key without work keeps nothing here: a million conversations seen cost no memory.
#[derive(Debug)]
pub(super) struct Lanes<T> {
    /// For each key that runs or is ready: what comes after.
    behind: HashMap<Arc<str>, VecDeque<T>>,
    /// Heads of lanes whose turn has come, in order.
    ready: VecDeque<(Arc<str>, T)>,
    running: usize,
    waiting: usize,
    limit: usize,
}

/// An empty table larger than this is given back.
const KEPT: usize = 1024;

impl<T> Lanes<T> {
    /// At most `limit` keys run at once; the others wait for a place.
    pub(super) fn new(limit: usize) -> Self {
        Self { behind: HashMap::new(), ready: VecDeque::new(), running: 0, waiting: 0, limit }
    }

    /// Puts an item at the end of its lane.
    pub(super) fn push(&mut self, key: Arc<str>, item: T) {
        if let Some(behind) = self.behind.get_mut(&key) {
            self.waiting += 1;
            behind.push_back(item);
            return;
        }
        self.behind.insert(Arc::clone(&key), VecDeque::new());
        self.ready.push_back((key, item));
    }

    /// Takes an idle lane for an item that is nowhere else, if there is a place. [`Self::finish`] must follow.
    pub(super) fn start(&mut self, key: &Arc<str>) -> bool {
        let is_free = self.running < self.limit && self.ready.is_empty() && !self.behind.contains_key(key);
        if is_free {
            self.behind.insert(Arc::clone(key), VecDeque::new());
            self.running += 1;
        }
        is_free
    }

    /// Takes an idle lane for an item that is nowhere else, ahead of all others and beyond the limit. Answers false where
    /// the lane is not idle; otherwise [`Self::finish`] must follow.
    pub(super) fn hold(&mut self, key: &Arc<str>) -> bool {
        let is_free = !self.behind.contains_key(key);
        if is_free {
            self.behind.insert(Arc::clone(key), VecDeque::new());
            self.running += 1;
        }
        is_free
    }

    /// Whether a lane has nothing to do.
    pub(super) fn is_free(&self, key: &str) -> bool {
        !self.behind.contains_key(key)
    }

    /// How many items wait behind the running one of a lane.
    pub(super) fn behind(&self, key: &Arc<str>) -> usize {
        self.behind.get(key).map_or(0, VecDeque::len)
    }

    /// The next item to run, if one is ready and there is a place. [`Self::finish`] must follow.
    pub(super) fn next(&mut self) -> Option<(Arc<str>, T)> {
        if self.running >= self.limit {
            return None;
        }
        let next = self.ready.pop_front()?;
        self.running += 1;
        Some(next)
    }

    /// Notes that the running item of a lane is done; the one behind it becomes ready, after the other lanes.
    pub(super) fn finish(&mut self, key: &Arc<str>) {
        self.running -= 1;
        match self.behind.get_mut(key).and_then(VecDeque::pop_front) {
            Some(item) => {
                self.waiting -= 1;
                self.ready.push_back((Arc::clone(key), item));
            }
            None => {
                self.behind.remove(key);
                if self.behind.is_empty() && self.behind.capacity() > KEPT {
                    self.behind.shrink_to(KEPT);
                    self.ready.shrink_to(KEPT);
                }
            }
        }
    }

    /// How many lanes run.
    pub(super) fn running(&self) -> usize {
        self.running
    }

    /// How many items wait, for the one before them or for a place.
    pub(super) fn waiting(&self) -> usize {
        self.waiting + self.ready.len()
    }

    /// How many items there are in all.
    pub(super) fn len(&self) -> usize {
        self.running + self.waiting()
    }

    /// Whether no lane runs or waits.
    pub(super) fn is_empty(&self) -> bool {
        self.behind.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_idle_conversation_keeps_no_memory() {
        let mut lanes = Lanes::new(usize::MAX);
        for n in 0..100_000 {
            lanes.push(n.to_string().into(), ());
        }
        while let Some((key, ())) = lanes.next() {
            lanes.finish(&key);
        }
        assert!(lanes.is_empty());
        assert!(lanes.behind.capacity() <= 2 * KEPT, "{}", lanes.behind.capacity());
    }

    proptest! {
        /// Against the plain statement of what lanes are: each key in order, one at a time, never more than the limit.
        #[test]
        fn lanes_keep_order_one_at_a_time_within_the_limit(
            steps in prop::collection::vec((0u8..6, any::<bool>()), 1..200),
            limit in 1usize..4,
        ) {
            let mut lanes = Lanes::new(limit);
            let mut running: Vec<(Arc<str>, usize)> = Vec::new();
            let mut seen: HashMap<Arc<str>, usize> = HashMap::new();
            let mut pushed: HashMap<u8, usize> = HashMap::new();
            let total = steps.len();
            let mut done = 0;
            for (key, finishes) in steps {
                let count = pushed.entry(key).or_default();
                lanes.push(key.to_string().into(), *count);
                *count += 1;
                if finishes && !running.is_empty() {
                    lanes.finish(&running.remove(usize::from(key) % running.len()).0);
                    done += 1;
                }
                while let Some((key, item)) = lanes.next() {
                    prop_assert!(running.iter().all(|(other, _)| *other != key), "two at once");
                    prop_assert_eq!(item, *seen.get(&key).unwrap_or(&0), "out of order");
                    *seen.entry(Arc::clone(&key)).or_default() += 1;
                    running.push((key, item));
                }
                prop_assert!(running.len() <= limit);
                prop_assert_eq!(lanes.running(), running.len());
            }
            while let Some((key, _)) = running.pop() {
                lanes.finish(&key);
                done += 1;
                while let Some(next) = lanes.next() {
                    running.push(next);
                }
            }
            prop_assert_eq!(done, total, "nothing is lost");
            prop_assert!(lanes.is_empty());
            prop_assert_eq!(lanes.len(), 0);
        }
    }
}
