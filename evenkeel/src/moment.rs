//! Moments of the wall clock: a `SystemTime` where authors meet them, milliseconds since 1970 in rows and in the engine.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// As late as the clock of every system goes, some ten thousand years from now.
const LATEST: Duration = Duration::from_secs(1 << 39);

/// Milliseconds since 1970; 0 for what lies before.
pub(crate) fn to_ms(moment: SystemTime) -> u64 {
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The moment this many milliseconds after the beginning of 1970.
pub(crate) fn from_ms(since_1970_ms: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(since_1970_ms).min(LATEST)
}

pub(crate) fn now_ms() -> u64 {
    to_ms(SystemTime::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_the_same_in_either_form_and_an_odd_one_panics_nowhere() {
        for ms in [0, 1, 1_700_000_000_123] {
            assert_eq!(to_ms(from_ms(ms)), ms);
        }
        assert_eq!(to_ms(UNIX_EPOCH - Duration::from_secs(1)), 0);
        assert_eq!(from_ms(u64::MAX), UNIX_EPOCH + LATEST);
    }
}
