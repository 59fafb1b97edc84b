//! How long to wait before the next attempt to connect.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use evenkeel::backoff::{Backoff, Pauses};

/// The longest is short: a server that has come back delivers to nobody until the next attempt, and an attempt costs it next to
/// nothing. Half of each is left to chance: many bots that lost the same server should not return in the same moment.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2)).with_jitter(0.5);

/// A source of numbers from 0 to below 1.
pub(crate) type Random = Box<dyn Fn() -> f64 + Send + Sync>;

/// The pauses before each attempt, none before the first.
pub(crate) fn pauses(random: &Random) -> Pauses<impl FnMut() -> f64> {
    BACKOFF.pauses_with(move || drawn(random))
}

/// What the source says. The author's own may even panic: a pause is the shortest then.
fn drawn(random: &Random) -> f64 {
    let drawn = catch_unwind(AssertUnwindSafe(random));
    // What a panic carries may panic when it is dropped.
    drawn.map_err(std::mem::forget).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_attempt_is_immediate_and_the_last_are_two_seconds_apart() {
        let random: Random = Box::new(|| 1.0);
        let mut pauses = pauses(&random);
        let waits: Vec<_> = pauses.by_ref().take(10).map(|pause| pause.as_millis()).collect();
        assert_eq!(waits, [0, 100, 200, 400, 800, 1_600, 2_000, 2_000, 2_000, 2_000]);
        pauses.reset();
        assert_eq!(pauses.next(), Some(Duration::ZERO));
    }

    #[test]
    fn chance_halves_a_wait_at_most() {
        let odd: [Random; 3] =
            [Box::new(|| f64::NAN), Box::new(|| panic!("in the source of chance")), Box::new(|| -7.0)];
        for random in &odd {
            assert_eq!(pauses(random).nth(1), Some(Duration::from_millis(50)));
        }
    }
}
