//! One at a time within a key, many keys at once.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::ready::Ready;
use super::slots::Slots;

/// Ordered queues, one for each key that has work. Handlers run by it, and so do sends.
///
/// A key without work keeps nothing here: a million conversations seen cost no memory.
#[derive(Debug)]
pub(super) struct Lanes<T> {
    /// Each key that runs or is ready.
    lanes: HashMap<Arc<str>, Lane<T>>,
    ready: Ready<T>,
    running: usize,
    waiting: usize,
    slots: Slots,
}

/// One key that runs or is ready.
#[derive(Debug)]
struct Lane<T> {
    /// What comes after.
    behind: VecDeque<T>,
    /// The slot that it was given. A lane may be taken without one.
    slot: Option<u64>,
}

impl<T> Default for Lane<T> {
    fn default() -> Self {
        Self { behind: VecDeque::new(), slot: None }
    }
}

/// An empty table larger than this is given back.
const KEPT: usize = 1024;

impl<T> Lanes<T> {
    /// At most `limit` keys run at once, those that hang not counted, and `bound` in all; the others wait for a slot.
    pub(super) fn new(limit: usize, bound: usize) -> Self {
        let slots = Slots::new(limit, bound);
        Self { lanes: HashMap::new(), ready: Ready::default(), running: 0, waiting: 0, slots }
    }

    /// Puts an item at the end of its lane.
    pub(super) fn push(&mut self, key: Arc<str>, item: T) {
        if let Some(lane) = self.lanes.get_mut(&key) {
            self.waiting += 1;
            lane.behind.push_back(item);
            return;
        }
        self.lanes.insert(Arc::clone(&key), Lane::default());
        self.ready.push(key, item);
    }

    /// Takes an idle lane for an item that is nowhere else, if there is a slot. [`Self::finish`] must follow.
    pub(super) fn start(&mut self, key: &Arc<str>, now: Duration) -> bool {
        if !self.ready.is_empty() || self.lanes.contains_key(key) {
            return false;
        }
        let slot = self.slots.take(now);
        if slot.is_some() {
            self.lanes.insert(Arc::clone(key), Lane { slot, ..Lane::default() });
            self.running += 1;
        }
        slot.is_some()
    }

    /// Takes an idle lane for an item that is nowhere else, ahead of all others and without a slot. Answers false where
    /// the lane is not idle; otherwise [`Self::finish`] must follow.
    pub(super) fn hold(&mut self, key: &Arc<str>) -> bool {
        let is_free = !self.lanes.contains_key(key);
        if is_free {
            self.lanes.insert(Arc::clone(key), Lane::default());
            self.running += 1;
        }
        is_free
    }

    /// The running item of a lane waits for a time or a person: it keeps the lane, and needs no slot.
    pub(super) fn rest(&mut self, key: &Arc<str>, now: Duration) {
        if let Some(slot) = self.lanes.get_mut(key).and_then(|lane| lane.slot.take()) {
            self.slots.give(slot, now);
        }
    }

    /// The running item of a lane goes on, beyond the limit if need be.
    pub(super) fn wake(&mut self, key: &Arc<str>, now: Duration) {
        if let Some(lane) = self.lanes.get_mut(key).filter(|lane| lane.slot.is_none()) {
            lane.slot = Some(self.slots.force(now));
        }
    }

    /// Whether a lane has nothing to do.
    pub(super) fn is_free(&self, key: &str) -> bool {
        !self.lanes.contains_key(key)
    }

    /// How many items a lane has, with the one that runs.
    pub(super) fn len_of(&self, key: &str) -> usize {
        self.lanes.get(key).map_or(0, |lane| 1 + lane.behind.len())
    }

    /// How many items wait behind the running one of a lane.
    pub(super) fn behind(&self, key: &str) -> usize {
        self.lanes.get(key).map_or(0, |lane| lane.behind.len())
    }

    /// The next item to run, if one is ready and there is a slot. [`Self::finish`] must follow.
    pub(super) fn next(&mut self, now: Duration) -> Option<(Arc<str>, T)> {
        self.next_of(now, |_| true)
    }

    /// The same of those networks alone that may go on.
    pub(super) fn next_of(
        &mut self,
        now: Duration,
        may_go_on: impl Fn(&str) -> bool,
    ) -> Option<(Arc<str>, T)> {
        if self.ready.is_empty() {
            return None;
        }
        let slot = self.slots.take(now)?;
        let Some((key, item)) = self.ready.pop(may_go_on) else {
            self.slots.give(slot, now);
            return None;
        };
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.slot = Some(slot);
        }
        self.running += 1;
        Some((key, item))
    }

    /// Notes that the running item of a lane is done; the one behind it becomes ready, after the other lanes.
    pub(super) fn finish(&mut self, key: &Arc<str>, now: Duration) {
        self.rest(key, now);
        self.running -= 1;
        match self.lanes.get_mut(key).and_then(|lane| lane.behind.pop_front()) {
            Some(item) => {
                self.waiting -= 1;
                self.ready.push(Arc::clone(key), item);
            }
            None => {
                self.lanes.remove(key);
                if self.lanes.is_empty() && self.lanes.capacity() > KEPT {
                    self.lanes.shrink_to(KEPT);
                    self.ready.shrink_to(KEPT);
                }
            }
        }
    }

    /// When there may be a slot for what is ready although nothing has ended.
    pub(super) fn next_look(&self) -> Option<Duration> {
        self.slots.next_look().filter(|_| !self.ready.is_empty())
    }

    /// Whether nothing is ready and whatever has a lane waits for a time or a person.
    pub(super) fn is_at_rest(&self) -> bool {
        self.ready.is_empty() && self.slots.is_empty()
    }

    /// How many lanes run.
    pub(super) fn running(&self) -> usize {
        self.running
    }

    /// How many items wait, for the one before them or for a slot.
    pub(super) fn waiting(&self) -> usize {
        self.waiting + self.ready.len()
    }

    /// How many items there are in all.
    pub(super) fn len(&self) -> usize {
        self.running + self.waiting()
    }

    /// Whether no lane runs or waits.
    pub(super) fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Nothing hangs here.
    const NOW: Duration = Duration::ZERO;

    #[test]
    fn an_idle_conversation_keeps_no_memory() {
        let mut lanes = Lanes::new(usize::MAX, usize::MAX);
        for n in 0..100_000 {
            lanes.push(n.to_string().into(), ());
        }
        while let Some((key, ())) = lanes.next(NOW) {
            lanes.finish(&key, NOW);
        }
        assert!(lanes.is_empty());
        assert!(lanes.lanes.capacity() <= 2 * KEPT, "{}", lanes.lanes.capacity());
    }

    proptest! {
        /// Against the plain statement of what lanes are: each key in order, one at a time, never more than the limit.
        #[test]
        fn lanes_keep_order_one_at_a_time_within_the_limit(
            steps in prop::collection::vec((0u8..6, any::<bool>()), 1..200),
            limit in 1usize..4,
        ) {
            let mut lanes = Lanes::new(limit, usize::MAX);
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
                    lanes.finish(&running.remove(usize::from(key) % running.len()).0, NOW);
                    done += 1;
                }
                while let Some((key, item)) = lanes.next(NOW) {
                    prop_assert!(running.iter().all(|(other, _)| *other != key), "two at once");
                    prop_assert_eq!(item, *seen.get(&key).unwrap_or(&0), "out of order");
                    *seen.entry(Arc::clone(&key)).or_default() += 1;
                    running.push((key, item));
                }
                prop_assert!(running.len() <= limit);
                prop_assert_eq!(lanes.running(), running.len());
            }
            while let Some((key, _)) = running.pop() {
                lanes.finish(&key, NOW);
                done += 1;
                while let Some(next) = lanes.next(NOW) {
                    running.push(next);
                }
            }
            prop_assert_eq!(done, total, "nothing is lost");
            prop_assert!(lanes.is_empty());
            prop_assert_eq!(lanes.len(), 0);
        }
    }
}
