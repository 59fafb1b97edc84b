//! What a rate limit allows, and the arithmetic of it.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::Quota;

/// One take per interval, on average, and `burst` at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    pub(super) interval: Duration,
    pub(super) burst: NonZeroU32,
}

impl Rate {
    #[track_caller]
    pub(super) fn new(count: u32, per: Duration) -> Self {
        assert!(count > 0, "a rate limit of 0 would let nothing through: use 1 or more");
        assert!(!per.is_zero(), "a rate limit needs a time: {count} per how long?");
        // Rounded up, since a rounded-down interval would let a little more through than was asked for.
        let interval = per.as_nanos().div_ceil(u128::from(count));
        let interval = u64::try_from(interval).expect("a rate limit counts in less than 584 years");
        Self { interval: Duration::from_nanos(interval), burst: NonZeroU32::MIN }.with_burst(count)
    }

    #[track_caller]
    pub(super) fn with_burst(self, burst: u32) -> Self {
        let burst = NonZeroU32::new(burst).expect("a burst of 0 would let nothing through: use 1 or more");
        let rate = Self { burst, ..self };
        // Half of what governor's clock can count, so that its sums cannot overflow either.
        let is_countable = rate.recovery().as_nanos() <= u128::from(u64::MAX / 2);
        assert!(is_countable, "a burst of {burst} would take centuries to come back: use a smaller one");
        rate
    }

    pub(super) fn quota(self) -> Quota {
        let quota = Quota::with_period(self.interval).expect("the interval is not zero");
        quota.allow_burst(self.burst)
    }

    /// How long an empty limit takes until its whole burst is available again.
    pub(super) fn recovery(self) -> Duration {
        self.interval.saturating_mul(self.burst.get())
    }
}

impl Default for Rate {
    fn default() -> Self {
        Self::new(50, Duration::from_secs(1))
    }
}
