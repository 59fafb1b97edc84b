//! Pauses between attempts, which double up to a longest one.
//!
//! ```
//! use std::time::Duration;
//! use evenkeel::backoff::Backoff;
//!
//! # async fn connect() -> std::io::Result<u8> { Ok(7) }
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
//! let backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5)).with_jitter(0.5);
//! for pause in backoff.pauses().take(8) {
//!     tokio::time::sleep(pause).await; // none before the first attempt
//!     if connect().await.is_ok() { break; }
//! }
//! # }
//! ```

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// How long to wait after a failure: `first`, then twice as long with each failure in a row, `longest` at most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    /// The part of each pause that is left to chance, from 0 to 1.
    jitter: f64,
}

impl Backoff {
    /// Pauses without chance.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, jitter: 0.0 }
    }

    /// Leaves this part of each pause to chance: 0 for none, 0.5 for at least half of each pause, 1 for anything from zero on.
    /// What failed together, such as all clients of a server that went away, does not come back in the same moment then.
    #[must_use]
    pub const fn with_jitter(mut self, part: f64) -> Self {
        // `clamp` leaves a NaN as it is.
        self.jitter = if part.is_nan() { 0.0 } else { part.clamp(0.0, 1.0) };
        self
    }

    /// The longest pause there can be after this many failures in a row; none after no failure.
    pub fn after(&self, failures: u32) -> Duration {
        let Some(doublings) = failures.checked_sub(1) else { return Duration::ZERO };
        let doubled = |pause: Duration, times: u32| pause.saturating_mul(1 << times.min(31));
        doubled(doubled(self.first, doublings), doublings.saturating_sub(31)).min(self.longest)
    }

    /// The pause after this many failures in a row, with a number from 0 to 1 that chance has drawn. Any other number is as 0, which
    /// makes the shortest pause.
    pub fn after_with(&self, failures: u32, chance: f64) -> Duration {
        let chance = if (0.0..=1.0).contains(&chance) { chance } else { 0.0 };
        let (longest, part) = (self.after(failures), 1.0 - self.jitter + self.jitter * chance);
        // `mul_f64` panics where the product is rounded up beyond `Duration::MAX`.
        if part < 1.0 { longest.mul_f64(part) } else { longest }
    }

    /// The pauses before each attempt, without end, with the system's randomness.
    pub fn pauses(self) -> Pauses {
        self.pauses_with(system_chance)
    }

    /// The same with numbers from 0 to 1 from a source of your own: repeatable runs.
    pub fn pauses_with<Chance: FnMut() -> f64>(self, chance: Chance) -> Pauses<Chance> {
        Pauses { backoff: self, failures: 0, chance }
    }
}

/// The pauses before each attempt, without end: none before the first, then those of a [`Backoff`].
#[derive(Clone, Debug)]
pub struct Pauses<Chance = fn() -> f64> {
    backoff: Backoff,
    /// How many attempts in a row are taken to have failed: all that have begun since the last success.
    failures: u32,
    chance: Chance,
}

impl<Chance> Pauses<Chance> {
    /// An attempt succeeded: the next one comes at once, and the pauses begin anew.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

impl<Chance: FnMut() -> f64> Iterator for Pauses<Chance> {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let failures = self.failures;
        self.failures = failures.saturating_add(1);
        // Before the first attempt there is nothing to draw.
        let chance = if failures == 0 { 0.0 } else { (self.chance)() };
        Some(self.backoff.after_with(failures, chance))
    }
}

/// A number from 0 to below 1 from the system's randomness, with which std seeds each `RandomState`.
pub fn system_chance() -> f64 {
    (RandomState::new().hash_one(0_u8) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF_SECOND: Duration = Duration::from_millis(500);
    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn pauses_double_up_to_the_longest() {
        let backoff = Backoff::new(HALF_SECOND, MINUTE);
        let pauses: Vec<_> = backoff.pauses().map(|pause| pause.as_millis()).take(10).collect();
        assert_eq!(pauses, [0, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
        assert_eq!(backoff.after(u32::MAX), MINUTE);
    }

    #[test]
    fn a_success_begins_anew() {
        let mut pauses = Backoff::new(HALF_SECOND, MINUTE).pauses();
        assert_eq!(pauses.by_ref().take(5).max(), Some(HALF_SECOND * 8));
        pauses.reset();
        assert_eq!(pauses.take(2).collect::<Vec<_>>(), [Duration::ZERO, HALF_SECOND]);
    }

    #[test]
    fn chance_shortens_a_pause_by_its_part_at_most() {
        let after =
            |jitter, chance| Backoff::new(HALF_SECOND, MINUTE).with_jitter(jitter).after_with(2, chance);
        let second = 2 * HALF_SECOND;
        for (jitter, chance, pause) in [
            (0.0, 0.0, second),
            (0.5, 0.0, HALF_SECOND),
            (0.5, 1.0, second),
            (1.0, 0.0, Duration::ZERO),
            (1.0, 0.5, HALF_SECOND),
            (1.0, 1.0, second),
        ] {
            assert_eq!(after(jitter, chance), pause, "{jitter} {chance}");
        }
        for odd in [f64::NAN, f64::INFINITY, -7.0, 1.5] {
            assert_eq!(after(0.5, odd), HALF_SECOND, "{odd}");
        }
        assert_eq!(after(f64::NAN, 0.0), second);
        assert_eq!(after(7.0, 0.0), Duration::ZERO);
        assert!((0.0..1.0).contains(&system_chance()));
    }

    #[test]
    fn no_pause_overflows() {
        for (first, longest) in [(Duration::MAX, Duration::MAX), (Duration::from_nanos(1), Duration::MAX)] {
            let backoff = Backoff::new(first, longest).with_jitter(1.0);
            assert!(backoff.after_with(u32::MAX, 1.0) > Duration::from_secs(1 << 31));
        }
        assert_eq!(Backoff::new(MINUTE, HALF_SECOND).after(1), HALF_SECOND, "the longest counts");
        assert_eq!(Backoff::new(Duration::ZERO, MINUTE).after(9), Duration::ZERO);
    }
}
