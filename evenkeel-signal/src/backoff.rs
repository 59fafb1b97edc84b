//! How long to wait before the next attempt to connect.

use std::hash::{BuildHasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
/// A server that has come back delivers to nobody until the next attempt, and an attempt costs it next to nothing.
const LONGEST: Duration = Duration::from_secs(2);

/// A source of numbers from 0 to below 1.
pub(crate) type Random = Box<dyn Fn() -> f64 + Send + Sync>;

/// The system's randomness: std seeds each `RandomState` with it.
pub(crate) fn system_random() -> Random {
    Box::new(|| (RandomState::new().hash_one(0_u8) >> 11) as f64 / (1_u64 << 53) as f64)
}

/// None before the first attempt, then 100 ms doubling to 2 s, each between half and all of that by chance: many bots
/// that lost the same server should not return in the same moment.
pub(crate) struct Backoff<'a> {
    attempt: u32,
    random: &'a Random,
}

impl<'a> Backoff<'a> {
    pub(crate) fn new(random: &'a Random) -> Self {
        Self { attempt: 0, random }
    }

    pub(crate) fn reset(&mut self) {
        self.attempt = 0;
    }

    pub(crate) fn next(&mut self) -> Duration {
        let attempt = self.attempt;
        self.attempt += 1;
        if attempt == 0 {
            return Duration::ZERO;
        }
        let whole = FIRST.saturating_mul(1 << (attempt - 1).min(16)).min(LONGEST);
        // Whatever the source returns, the wait stays within its bounds; the author's own may even panic.
        let drawn = catch_unwind(AssertUnwindSafe(self.random));
        // What a panic carries may panic when it is dropped.
        let drawn = drawn.map_err(std::mem::forget).ok();
        let chance = drawn.filter(|chance| (0.0..=1.0).contains(chance));
        whole.mul_f64(0.5 + chance.unwrap_or(0.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_attempt_is_immediate_and_the_last_are_two_seconds_apart() {
        let random: Random = Box::new(|| 1.0);
        let mut backoff = Backoff::new(&random);
        let waits: Vec<_> = (0..10).map(|_| backoff.next().as_millis()).collect();
        assert_eq!(waits, [0, 100, 200, 400, 800, 1_600, 2_000, 2_000, 2_000, 2_000]);
        backoff.reset();
        assert_eq!(backoff.next(), Duration::ZERO);
    }

    #[test]
    fn chance_halves_a_wait_at_most() {
        let odd: [Random; 2] = [Box::new(|| f64::NAN), Box::new(|| panic!("in the source of chance"))];
        for random in &odd {
            assert!(Backoff { attempt: 1, random }.next() <= FIRST);
        }
        let random: Random = Box::new(|| -7.0);
        assert_eq!(Backoff { attempt: 1, random: &random }.next(), FIRST / 2);
        assert!((0.0..1.0).contains(&system_random()()));
    }
}
