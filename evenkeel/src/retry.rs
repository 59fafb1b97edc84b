//! What happens to an event whose handler failed.

use std::io::ErrorKind;
use std::time::Duration;

use crate::breaker::BreakerOpen;
use crate::error::Error;
use crate::limit::Wait;

/// The pause before the second attempt; it doubles with each. The pause that is taken is drawn between zero and this.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What happens to an event whose handler failed: how often it is tried again, and what its conversation does meanwhile.
///
/// Unless told otherwise, a failure that may pass ([`is_passing`]) is tried four times within ten seconds; meanwhile the
/// other messages of that conversation wait, so that none overtakes. After the last attempt, and at once for all other
/// failures, the person reads an apology and the event becomes a dead letter. A panic is never tried again.
///
/// Whatever is set here, an event is handled again when the process ended in the middle of it: handlers run at least once.
///
/// ```
/// use std::time::Duration;
/// use evenkeel::{Router, Trigger, retry::Retry};
///
/// async fn pay() -> &'static str { "paid" }
///
/// let patient = Retry::strict().with_attempts(10).within(Duration::from_secs(120));
/// let app = Router::new().route(Trigger::command("!pay").retry(patient), pay).with_state(());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    pub(crate) attempts: u32,
    pub(crate) within: Duration,
    pub(crate) order: Order,
    is_for_all: bool,
}

/// What a conversation does while one of its events waits to be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// It waits.
    Strict,
    /// It goes on; the event is tried again when it may.
    Relaxed,
    /// It waits, and after the last attempt it goes on waiting for the operator.
    Park,
}

impl Default for Retry {
    fn default() -> Self {
        Self::strict()
    }
}

impl Retry {
    const fn new(order: Order) -> Self {
        Self { attempts: 4, within: Duration::from_secs(10), order, is_for_all: false }
    }

    /// Four attempts within ten seconds; the conversation waits.
    pub const fn strict() -> Self {
        Self::new(Order::Strict)
    }

    /// Four attempts within ten seconds; what comes later in the conversation overtakes.
    pub const fn relaxed() -> Self {
        Self::new(Order::Relaxed)
    }

    /// As [`Retry::strict`], but an event that has failed for good holds its conversation up until the operator replays
    /// or discards it (`evenkeel dead`), or until 1,000 events wait behind it.
    pub const fn park() -> Self {
        Self::new(Order::Park)
    }

    /// One attempt.
    pub const fn never() -> Self {
        let mut once = Self::strict();
        once.attempts = 1;
        once
    }

    /// How many attempts there are in all, the first included; at least one.
    #[must_use]
    pub const fn with_attempts(mut self, attempts: u32) -> Self {
        self.attempts = if attempts == 0 { 1 } else { attempts };
        self
    }

    /// For how long after the first attempt another one may begin.
    #[must_use]
    pub const fn within(mut self, time: Duration) -> Self {
        self.within = time;
        self
    }

    /// Tries again whatever the error is, not only when it may pass.
    #[must_use]
    pub const fn for_any_error(mut self) -> Self {
        self.is_for_all = true;
        self
    }

    /// Whether an attempt that failed like this is worth another one.
    pub(crate) fn wants(&self, error: &Error) -> bool {
        self.attempts > 1 && (self.is_for_all || is_passing(error))
    }
}

/// Whether a failure may pass by itself: [`Error::passing`] says so, or a connection was refused or broke, something
/// took too long, a breaker was open, a limit was reached, a server answered 408, 429 or 5xx.
pub fn is_passing(error: &Error) -> bool {
    if let Some(is_passing) = error.marked_passing() {
        return is_passing;
    }
    let broke = |error: &std::io::Error| {
        use ErrorKind::{
            BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, Interrupted,
            NetworkDown, NetworkUnreachable, NotConnected, ResourceBusy, TimedOut, WouldBlock,
        };
        matches!(
            error.kind(),
            BrokenPipe
                | ConnectionAborted
                | ConnectionRefused
                | ConnectionReset
                | HostUnreachable
                | Interrupted
                | NetworkDown
                | NetworkUnreachable
                | NotConnected
                | ResourceBusy
                | TimedOut
                | WouldBlock
        )
    };
    error.find::<std::io::Error>().is_some_and(broke)
        || error.find::<tokio::time::error::Elapsed>().is_some()
        || error.find::<BreakerOpen>().is_some()
        || error.find::<Wait>().is_some()
        || is_passing_http(error)
}

#[cfg(feature = "http")]
fn is_passing_http(error: &Error) -> bool {
    error.find::<crate::http::Error>().is_some_and(|error| {
        let status = error.status().map(|status| status.as_u16());
        error.is_timeout() || error.is_connect() || matches!(status, Some(408 | 429 | 500..=599))
    })
}

#[cfg(not(feature = "http"))]
fn is_passing_http(_: &Error) -> bool {
    false
}

/// The pause before an attempt, the first of which is number 2, with `share` (0 to 1) of it taken.
pub(crate) fn pause(attempt: u32, share: f64) -> Duration {
    let doublings = attempt.saturating_sub(2).min(16);
    (FIRST_PAUSE * (1 << doublings)).min(LONGEST_PAUSE).mul_f64(share.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_told_from_what_will_not() {
        let io = |kind| Error::from(std::io::Error::from(kind));
        assert!(is_passing(&io(ErrorKind::ConnectionReset)));
        assert!(is_passing(&io(ErrorKind::TimedOut).context("asking the weather service")));
        assert!(!is_passing(&io(ErrorKind::NotFound)));
        assert!(!is_passing(&Error::new("a mistake")));
        assert!(is_passing(&Error::new("the queue is full").passing()));
        assert!(!is_passing(&io(ErrorKind::ConnectionReset).lasting()));
        assert!(is_passing(&Error::new("busy").passing().context("booking")));
    }

    #[test]
    fn pauses_double_up_to_a_minute() {
        let pauses: Vec<_> =
            [2, 3, 4, 5, 40].iter().map(|attempt| pause(*attempt, 1.0).as_millis()).collect();
        assert_eq!(pauses, [500, 1000, 2000, 4000, 60_000]);
        assert_eq!(pause(3, 0.5), Duration::from_millis(500));
    }
}
