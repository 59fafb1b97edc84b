//! When a batch is written: at once, or a little later together with what comes meanwhile.
//!
//! A batch costs one sync whatever it holds. While little comes, each message has a batch to itself and waits for
//! nothing. While much comes, batches grow by themselves, because each collects during the one before. In between, on a
//! disk that syncs quickly, each message would pay for two syncs of its own: there the batches keep a distance.

use std::time::Duration;

/// The distance between the beginnings of two batches.
const DISTANCE: Duration = Duration::from_millis(25);
/// How long arrivals are counted before it is decided anew.
const WINDOW: Duration = Duration::from_millis(100);
/// Arrivals in a window from which batches keep their distance,
const SOME: u32 = 80;
/// and from which they grow well enough without.
const MANY: u32 = 500;
/// A batch of so many entries waits for nothing.
const LARGE: usize = 512;
/// So many events that wait for others of their conversation are held up by the distance.
const HELD_UP: usize = 16;
/// For how long batches keep no distance once it has kept messages away; twice as long each time,
const REST: Duration = Duration::from_secs(1);
/// up to this.
const LONGEST_REST: Duration = Duration::from_secs(64);

/// Decides when the next batch begins. Times are those since the start.
#[derive(Debug, Default)]
pub(super) struct Pace {
    window: Duration,
    arrived: u32,
    /// Arrivals in the window in which the distance began to be kept.
    before: Option<u32>,
    wrote: Duration,
    rests_until: Duration,
    rest: Duration,
}

impl Pace {
    /// Notes events that came in.
    pub(super) fn arrived(&mut self, count: usize, now: Duration) {
        self.turn(now);
        self.arrived = self.arrived.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
    }

    /// Notes the beginning of a batch.
    pub(super) fn wrote(&mut self, now: Duration) {
        self.wrote = now;
    }

    /// When the last batch began.
    pub(super) fn began(&self) -> Duration {
        self.wrote
    }

    /// When the next batch is to be written: now, or at the moment that is given. `held_up` are events that wait for
    /// others of their conversation.
    pub(super) fn waits(&mut self, entries: usize, held_up: usize, now: Duration) -> Option<Duration> {
        self.turn(now);
        let due = self.wrote + DISTANCE;
        let waits = self.before.is_some() && entries < LARGE && held_up <= HELD_UP && now < due;
        waits.then_some(due)
    }

    /// Begins a new window where one is over.
    fn turn(&mut self, now: Duration) {
        if now.saturating_sub(self.window) < WINDOW {
            return;
        }
        let is_next = now.saturating_sub(self.window) < WINDOW * 2;
        let arrived = if is_next { self.arrived } else { 0 };
        (self.window, self.arrived) = (now, 0);
        self.before = match self.before {
            // Whoever waits for an answer before writing again writes less when answers take longer.
            Some(before) if arrived < before / 2 => {
                self.rest = (self.rest * 2).clamp(REST, LONGEST_REST);
                self.rests_until = now + self.rest;
                None
            }
            Some(before) if arrived < MANY => Some(before.min(arrived.max(SOME))),
            None if (SOME..MANY).contains(&arrived) && now >= self.rests_until => Some(arrived),
            _ => None,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    /// Offers messages at a rate; each is two entries, one when it comes and one when its batch is written. Answers how
    /// many batches there were in the last second.
    fn batches(per_second: u64, seconds: u64) -> usize {
        let (mut pace, mut pending, mut batches) = (Pace::default(), 0, 0);
        for micros in 0..seconds * 1_000_000 {
            let now = Duration::from_micros(micros);
            if micros % (1_000_000 / per_second) == 0 {
                pace.arrived(1, now);
                pending += 1;
            }
            // A disk that takes 100 us.
            if micros % 100 == 0 && pending > 0 && pace.waits(pending, 0, now).is_none() {
                pace.wrote(now);
                pending = 0;
                batches += usize::from(micros >= (seconds - 1) * 1_000_000);
            }
        }
        batches
    }

    #[test]
    fn a_message_waits_for_nothing_while_few_come() {
        assert_eq!(batches(500, 3), 500);
    }

    #[test]
    fn messages_share_their_batches_while_some_come() {
        assert_eq!((batches(1_000, 3), batches(4_000, 3)), (40, 40));
    }

    #[test]
    fn batches_grow_by_themselves_while_many_come() {
        assert_eq!(batches(10_000, 3), 10_000);
    }

    #[test]
    fn those_who_wait_for_answers_are_not_slowed_down_for_long() {
        // Two people who write again as soon as their batch is written, which takes a millisecond.
        let (mut pace, mut answered) = (Pace::default(), 0);
        let mut now = Duration::ZERO;
        while now < Duration::from_secs(100) {
            pace.arrived(2, now);
            if let Some(due) = pace.waits(2, 0, now) {
                now = due;
            }
            pace.wrote(now);
            now += ms(1);
            answered += 2;
        }
        assert!(answered > 195_000, "{answered} of 200,000");
    }

    #[test]
    fn a_conversation_that_is_held_up_and_a_large_batch_wait_for_nothing() {
        let mut pace = Pace::default();
        for at in 0..200 {
            pace.arrived(1, ms(at));
        }
        pace.wrote(ms(200));
        assert_eq!(pace.waits(1, 0, ms(201)), Some(ms(225)));
        assert_eq!(pace.waits(1, HELD_UP + 1, ms(201)), None);
        assert_eq!(pace.waits(LARGE, 0, ms(201)), None);
        assert_eq!(pace.waits(1, 0, ms(225)), None);
    }

    #[test]
    fn a_pause_forgets_what_was_before() {
        let mut pace = Pace::default();
        for at in 0..200 {
            pace.arrived(1, ms(at));
        }
        pace.arrived(1, ms(10_000));
        pace.wrote(ms(10_000));
        assert_eq!(pace.waits(1, 0, ms(10_001)), None);
    }
}
