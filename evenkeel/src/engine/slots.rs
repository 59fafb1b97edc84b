//! How much may be under way at once, when some of it hangs.

use std::collections::BTreeMap;
use std::time::Duration;

/// What takes longer than this may lose its slot.
const SLOW: Duration = Duration::from_millis(250);
/// How many lose their slots at the first standstill; twice as many at the next.
const FIRST_STEP: usize = 16;

/// Slots for what runs concurrently. A semaphore would be filled by what hangs, and hold up everything else.
///
/// Something slow loses its slot and goes on without one in two cases:
///
/// - *It was overtaken*: something that began after it has ended, so it is not the other end as a whole that is slow.
/// - *Nothing moves*: all slots are taken and none became free for a while. A few of the oldest lose theirs, so that others
///   are tried. If these end, all that hangs is overtaken.
///
/// What is slow as a whole, but in order, keeps its limit. With and without a slot there are never more under way
/// than a hard bound.
#[derive(Debug)]
pub(crate) struct Slots {
    limit: usize,
    bound: usize,
    /// When each that has a slot began, by number: the oldest first.
    taken: BTreeMap<u64, Duration>,
    /// How many are under way without a slot.
    without: usize,
    next: u64,
    /// When a slot became free last.
    moved: Duration,
    step: usize,
}

impl Slots {
    /// At most `limit` have slots, and at most `bound` are under way in all.
    pub(crate) fn new(limit: usize, bound: usize) -> Self {
        let (taken, step) = (BTreeMap::new(), FIRST_STEP.min(limit));
        Self { limit, bound, taken, without: 0, next: 0, moved: Duration::ZERO, step }
    }

    /// Takes a slot, if there is one. [`Self::give`] must follow.
    pub(crate) fn take(&mut self, now: Duration) -> Option<u64> {
        self.is_free(now).then(|| self.force(now))
    }

    /// Takes a slot beyond the limit, for what must go on. [`Self::give`] must follow.
    pub(crate) fn force(&mut self, now: Duration) -> u64 {
        self.next += 1;
        self.taken.insert(self.next, now);
        self.next
    }

    /// Whether there is a slot now. Takes some away from what is slow, if nothing moves.
    pub(crate) fn is_free(&mut self, now: Duration) -> bool {
        if self.taken.len() + self.without >= self.bound {
            return false;
        }
        if self.taken.len() >= self.limit && now >= self.moved + SLOW {
            let before = self.without;
            for _ in 0..self.step {
                self.pass_over_oldest(now, u64::MAX);
            }
            if self.without > before {
                self.moved = now;
                self.step = (2 * self.step).min(self.limit);
            }
        }
        self.taken.len() < self.limit
    }

    /// Whether nothing is under way.
    pub(crate) fn is_empty(&self) -> bool {
        self.taken.is_empty() && self.without == 0
    }

    /// What took the slot of this number has ended, or waits for something and is not under way any more.
    pub(crate) fn give(&mut self, number: u64, now: Duration) {
        if self.taken.remove(&number).is_none() {
            self.without -= 1;
            return;
        }
        (self.moved, self.step) = (now, FIRST_STEP.min(self.limit));
        while self.pass_over_oldest(now, number) {}
    }

    /// When there may be a slot although nothing has ended.
    pub(crate) fn next_look(&self) -> Option<Duration> {
        let is_stuck = self.taken.len() >= self.limit && self.taken.len() + self.without < self.bound;
        let (_, began) = self.taken.first_key_value().filter(|_| is_stuck)?;
        Some(self.moved.max(*began) + SLOW)
    }

    /// The oldest goes on without a slot, if it is slow and began before `number`.
    fn pass_over_oldest(&mut self, now: Duration, number: u64) -> bool {
        let Some(oldest) = self.taken.first_entry() else { return false };
        if *oldest.key() >= number || now < *oldest.get() + SLOW {
            return false;
        }
        oldest.remove();
        self.without += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Takes all the slots that there are.
    fn fill(slots: &mut Slots, now: Duration) -> Vec<u64> {
        std::iter::from_fn(|| slots.take(now)).collect()
    }

    #[test]
    fn what_was_overtaken_by_something_later_holds_no_slot() {
        let mut slots = Slots::new(64, 1_000);
        let hanging: Vec<_> = (0..63).filter_map(|_| slots.take(ms(0))).collect();
        let quick = slots.take(ms(300)).expect("one is left");
        slots.give(quick, ms(320));
        assert_eq!(fill(&mut slots, ms(320)).len(), 64, "all of what hangs was overtaken");
        hanging.into_iter().for_each(|number| slots.give(number, ms(400)));
        assert_eq!(slots.without, 0);
    }

    #[test]
    fn what_is_quick_is_not_passed_over() {
        let mut slots = Slots::new(2, 100);
        let (_first, second) = (slots.take(ms(0)), slots.take(ms(100)).expect("a slot"));
        slots.give(second, ms(249));
        assert_eq!(fill(&mut slots, ms(249)).len(), 1);
    }

    #[test]
    fn where_nothing_moves_others_are_tried_faster_and_faster_up_to_the_bound() {
        let mut slots = Slots::new(64, 1_000);
        assert_eq!(fill(&mut slots, ms(0)).len(), 64);
        let mut now = ms(0);
        let mut more = Vec::new();
        for _ in 0..4 {
            let look = slots.next_look().expect("it is full");
            assert_eq!(fill(&mut slots, look - ms(1)).len(), 0);
            now = look;
            more.push(fill(&mut slots, now).len());
        }
        assert_eq!(more, [16, 32, 64, 64]);
        assert_eq!(now, ms(1_000));
        while let Some(look) = slots.next_look() {
            now = look;
            fill(&mut slots, now);
        }
        assert_eq!(slots.taken.len() + slots.without, 1_000);
        assert!(!slots.is_free(now + ms(3_600_000)));
    }

    #[test]
    fn what_is_slow_in_order_keeps_its_limit() {
        let mut slots = Slots::new(8, 1_000);
        let mut queue: std::collections::VecDeque<_> = fill(&mut slots, ms(0)).into();
        for turn in 1..1_000 {
            // Each takes 1.6 s: the first in, the first out.
            let now = ms(200 * turn);
            slots.give(queue.pop_front().expect("eight are under way"), now);
            queue.extend(fill(&mut slots, now));
            assert_eq!(queue.len(), 8);
        }
    }
}
