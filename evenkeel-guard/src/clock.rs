//! Moments that fit into an atomic.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

static ORIGIN: OnceLock<Instant> = OnceLock::new();

/// A point of the monotonic clock: nanoseconds since the guard's start in this program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

/// Begins the time. Later calls change nothing.
pub(crate) fn start() {
    ORIGIN.get_or_init(Instant::now);
}

impl Moment {
    /// Reads the clock. Allocates nothing and takes no lock; before [`start`] it is the first moment of all.
    pub(crate) fn now() -> Self {
        let nanos = ORIGIN.get().map_or(0, |origin| origin.elapsed().as_nanos());
        Self(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    pub(crate) fn elapsed(self) -> Duration {
        Duration::from_nanos(Self::now().0.saturating_sub(self.0))
    }

    pub(crate) fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    pub(crate) fn nanos(self) -> u64 {
        self.0
    }
}
