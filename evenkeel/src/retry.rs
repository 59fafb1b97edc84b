//! What happens to an event whose handler failed.

use std::error::Error as StdError;
use std::io::ErrorKind;
use std::time::Duration;

use crate::backoff::Backoff;
use crate::breaker::BreakerOpen;
use crate::error::{DownloadError, Error, cause_as};
use crate::limit::Wait;

/// The pause before the second attempt; it doubles with each. The pause that is taken is drawn between zero and this.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Anything from no pause on: what failed together does not come back in the same moment.
const BACKOFF: Backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE).with_jitter(1.0);
/// From the end of the first attempt until the last may begin. Twice the default timeout of a request, so that there is a third attempt
/// after two that timed out, and as long as servers commonly ask to be left alone.
const WINDOW: Duration = Duration::from_secs(60);

/// What happens to an event whose handler failed: how often it is tried again, and what its conversation does meanwhile.
///
/// Unless told otherwise, a failure that may pass ([`is_transient`]) is tried four times within a minute; meanwhile the
/// other messages of that conversation wait, so that none overtakes. After the last attempt, and at once for all other
/// failures, the person reads an apology and the event becomes a dead letter. A panic is never tried again.
///
/// Pauses are random, of at most 0.5 s, 1 s, 2 s and so on, and never shorter than what the error asks for
/// ([`Error::retry_after`]). Where that ends after the window, the event is given up at once. The window begins with the end of the
/// first attempt: one that took long before it failed, such as a request that timed out, has another one all the same.
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
        Self { attempts: 4, within: WINDOW, order, is_for_all: false }
    }

    /// Four attempts within a minute; the conversation waits.
    pub const fn strict() -> Self {
        Self::new(Order::Strict)
    }

    /// Four attempts within a minute; what comes later in the conversation overtakes.
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

    /// For how long after the end of the first attempt another one may begin, [`Duration::ZERO`] for none with a pause.
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
        self.attempts > 1 && (self.is_for_all || is_transient(error))
    }

    /// Why attempts that this promises are not made, where `timeout` is how long one of them may wait for a server.
    pub(crate) fn misfit(&self, timeout: Option<Duration>) -> Option<String> {
        let Self { attempts, within, .. } = *self;
        let slow = timeout.filter(|timeout| *timeout < Duration::MAX && *timeout > within && attempts > 2);
        match slow {
            _ if attempts < 2 => None,
            _ if within < FIRST_PAUSE => Some(format!(
                "the pause before the second attempt is up to {FIRST_PAUSE:?}, and another one may begin for no longer than \
                 {within:?}: use a longer `Retry::within`, or `Retry::never()`"
            )),
            Some(timeout) => Some(format!(
                "a request may take {timeout:?}, and another attempt may begin for no longer than {within:?} after the first: \
                 when the server does not answer, 2 of {attempts} attempts are made. Use a longer `Retry::within`, or a \
                 shorter `http::Options::with_timeout`"
            )),
            None => None,
        }
    }

    /// The pause before attempt number `attempt` of an event that has failed for `so_far`, with a `share` (0 to 1) of what
    /// chance may add; `None` if there is no such attempt.
    pub(crate) fn pause(
        &self,
        attempt: u32,
        so_far: Duration,
        asked: Option<Duration>,
        share: f64,
    ) -> Option<Duration> {
        let left = self.within.checked_sub(so_far).filter(|_| attempt <= self.attempts)?;
        let pause = BACKOFF.after_with(attempt.saturating_sub(1), share);
        match asked {
            // Anyone who was sent away with others does not come back in the same moment with all of them.
            Some(asked) if asked <= left => Some(asked.saturating_add(pause).min(left)),
            Some(_) => None,
            None => Some(pause).filter(|pause| *pause <= left),
        }
    }
}

impl Error {
    /// How long it takes at least until another attempt may help: what [`Error::transient_after`] said, or else what
    /// the first cause names that knows, an [`http::Error`](crate::http::Error) or [`DownloadError`] of a server that sent
    /// `Retry-After`, a [`Wait`] of a rate limit, or a [`BreakerOpen`].
    pub fn retry_after(&self) -> Option<Duration> {
        self.marked_retry_after().or_else(|| self.find_cause(retry_after_of))
    }
}

/// Whether a failure may pass by itself: [`Error::transient`] says so, or a connection was refused or broke, something
/// took too long, a breaker was open, a limit was reached, a server answered 408, 421, 425, 429 or 5xx, or 403 or 413 with a time
/// after which it may be asked again.
pub fn is_transient(error: &Error) -> bool {
    let look = |cause: &(dyn StdError + 'static)| is_transient_cause(cause).then_some(());
    error.marked_transient().unwrap_or_else(|| error.find_cause(look).is_some())
}

fn is_transient_cause(cause: &(dyn StdError + 'static)) -> bool {
    cause_as(cause).is_some_and(is_transient_io)
        || cause_as::<tokio::time::error::Elapsed>(cause).is_some()
        || cause_as::<BreakerOpen>(cause).is_some()
        || cause_as::<Wait>(cause).is_some()
        || cause_as(cause).is_some_and(is_transient_download)
        || is_transient_http(cause)
}

fn is_transient_io(error: &std::io::Error) -> bool {
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
}

fn is_transient_download(error: &DownloadError) -> bool {
    let may_pass = match error.status() {
        Some(408 | 421 | 425 | 429 | 500..=599) => true,
        Some(403 | 413) => error.retry_after().is_some(),
        _ => false,
    };
    may_pass || error.is_timeout() || error.is_connection() || error.is_wrong_length()
}

fn retry_after_of(cause: &(dyn StdError + 'static)) -> Option<Duration> {
    let download = || cause_as::<DownloadError>(cause)?.retry_after();
    let limit = || cause_as::<Wait>(cause).map(Wait::retry_after);
    let breaker = || cause_as::<BreakerOpen>(cause)?.retry_after();
    retry_after_of_http(cause).or_else(download).or_else(limit).or_else(breaker)
}

#[cfg(feature = "http")]
fn is_transient_http(cause: &(dyn StdError + 'static)) -> bool {
    cause_as(cause).is_some_and(crate::http::Error::is_transient)
}

#[cfg(feature = "http")]
fn retry_after_of_http(cause: &(dyn StdError + 'static)) -> Option<Duration> {
    cause_as::<crate::http::Error>(cause)?.retry_after()
}

#[cfg(not(feature = "http"))]
fn is_transient_http(_: &(dyn StdError + 'static)) -> bool {
    false
}

#[cfg(not(feature = "http"))]
fn retry_after_of_http(_: &(dyn StdError + 'static)) -> Option<Duration> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_told_from_what_will_not() {
        let io = |kind| Error::from(std::io::Error::from(kind));
        assert!(is_transient(&io(ErrorKind::ConnectionReset)));
        assert!(is_transient(&io(ErrorKind::TimedOut).context("asking the weather service")));
        assert!(!is_transient(&io(ErrorKind::NotFound)));
        assert!(!is_transient(&Error::new("a mistake")));
        assert!(is_transient(&Error::new("the queue is full").transient()));
        assert!(!is_transient(&io(ErrorKind::ConnectionReset).permanent()));
        assert!(is_transient(&Error::new("busy").transient().context("booking")));
    }

    #[test]
    fn an_error_carries_the_time_through_whatever_wraps_it() {
        let second = Duration::from_secs(1);
        let limit = crate::limit::RateLimit::per_second(1);
        limit.try_take().expect("the first one");
        let refused = limit.try_take().expect_err("the second one");
        let wrapped = Error::from(std::io::Error::other(refused)).context("asking");
        assert!(is_transient(&wrapped) && wrapped.retry_after().is_some_and(|wait| wait <= second));
        let busy = DownloadError::with_status(503).with_retry_after(Some(second));
        assert_eq!(Error::from(Box::new(busy)).retry_after(), Some(second));
        let said = Error::from(DownloadError::timeout()).transient_after(2 * second).context("booking");
        assert_eq!(said.retry_after(), Some(2 * second), "the author's word counts");
        assert_eq!(Error::new("a mistake").retry_after(), None);
    }

    #[test]
    fn a_download_may_pass_for_every_cause_that_the_guide_lists() {
        let may_pass = |error: DownloadError| is_transient(&Error::from(error).context("fetching"));
        for error in
            [DownloadError::timeout(), DownloadError::connection(), DownloadError::wrong_length(3, 900)]
        {
            assert!(may_pass(error));
        }
        for status in [408, 421, 425, 429, 500, 502, 503, 504] {
            assert!(may_pass(DownloadError::with_status(status)), "{status}");
        }
        for status in [301, 400, 401, 403, 404, 410, 413] {
            assert!(!may_pass(DownloadError::with_status(status)), "{status}");
        }
        assert!(
            !may_pass(DownloadError::too_large(1))
                && !may_pass(DownloadError::page())
                && !may_pass(DownloadError::gone())
        );
    }

    #[test]
    fn a_pause_is_as_long_as_asked_or_there_is_none() {
        let (retry, seconds) = (Retry::strict(), Duration::from_secs);
        let pause = |so_far, asked, share| retry.pause(2, seconds(so_far), Some(asked), share);
        assert_eq!(pause(0, seconds(30), 0.0), Some(seconds(30)));
        assert_eq!(pause(0, seconds(30), 1.0), Some(seconds(30) + FIRST_PAUSE));
        assert_eq!(pause(0, seconds(60), 1.0), Some(seconds(60)), "the last moment of the window");
        assert_eq!(pause(30, seconds(30), 1.0), Some(seconds(30)));
        assert_eq!(pause(31, seconds(30), 0.0), None);
        assert_eq!(pause(0, seconds(60) + Duration::from_nanos(1), 0.0), None);
        assert_eq!(pause(0, Duration::MAX, 1.0), None);
        assert_eq!(pause(61, Duration::ZERO, 0.0), None);
        assert_eq!(Retry::never().pause(2, seconds(0), None, 0.0), None);
        let patient = Retry::strict().within(Duration::MAX);
        assert_eq!(
            patient.pause(2, seconds(9), Some(Duration::MAX / 2), 1.0).map(|pause| pause > seconds(9)),
            Some(true)
        );
    }

    #[test]
    fn settings_that_do_not_fit_are_named() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(Retry::strict().misfit(seconds(30)), None, "the defaults fit each other");
        assert_eq!(Retry::strict().misfit(Some(Duration::MAX)), None, "no timeout was asked for");
        assert_eq!(Retry::never().within(Duration::ZERO).misfit(seconds(30)), None);
        let short = Retry::strict().within(Duration::from_secs(10)).misfit(seconds(30));
        assert!(short.is_some_and(|why| why.contains("2 of 4 attempts")));
        let slow = Retry::strict().misfit(seconds(120));
        assert!(slow.is_some_and(|why| why.contains("120s") && why.contains("60s")));
        assert!(Retry::strict().within(Duration::ZERO).misfit(None).is_some());
    }

    #[test]
    fn pauses_double_up_to_a_minute() {
        let patient = Retry::strict().with_attempts(40);
        let pause = |attempt, share| patient.pause(attempt, Duration::ZERO, None, share);
        let pauses = [2, 3, 4, 5, 40].map(|attempt| pause(attempt, 1.0).map(|pause| pause.as_millis()));
        assert_eq!(pauses, [500, 1000, 2000, 4000, 60_000].map(Some));
        assert_eq!(pause(3, 0.5), Some(Duration::from_millis(500)));
    }
}
