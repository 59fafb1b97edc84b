//! How much of a core the reporter may take.

use std::time::{Duration, Instant};

use crate::sys;

/// What may be used at once. Reading the line tables of a large program takes a part of it: of one that is not optimized, ten times
/// as much.
const MOST: Duration = Duration::from_secs(if cfg!(debug_assertions) { 20 } else { 2 });
/// Of later time, one part in this many.
const SHARE: u32 = 10;

/// CPU time that is left to use: a second for every ten, saved up to [`MOST`].
pub(super) struct Budget {
    left: Duration,
    used: Duration,
    since: Instant,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self { left: MOST, used: sys::cpu_time_here().unwrap_or_default(), since: Instant::now() }
    }

    /// What was used since the last time, and how long to rest for it.
    pub(super) fn spent(&mut self) -> (Duration, Duration) {
        let now = sys::cpu_time_here().unwrap_or(self.used);
        let used = now.saturating_sub(self.used);
        let elapsed = self.since.elapsed();
        (self.used, self.since) = (now, Instant::now());
        (used, self.take(used, elapsed))
    }

    fn take(&mut self, used: Duration, elapsed: Duration) -> Duration {
        let left = (self.left + elapsed / SHARE).min(MOST);
        let owed = used.saturating_sub(left);
        self.left = left.saturating_sub(used);
        owed * SHARE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_free_and_what_follows_takes_a_tenth() {
        let mut budget = Budget { left: MOST, used: Duration::ZERO, since: Instant::now() };
        let (second, nothing) = (MOST / 2, Duration::ZERO);
        assert_eq!(budget.take(second, nothing), nothing);
        assert_eq!(budget.take(second, nothing), nothing);
        assert_eq!(budget.take(second, nothing), 10 * second);
        assert_eq!(budget.take(second, 10 * second), nothing, "after the rest it may go on");
        assert_eq!(budget.take(second / 10, nothing), second);
        budget.take(nothing, 3600 * second);
        assert_eq!(budget.left, MOST, "an hour of rest saves up no more");
    }
}
