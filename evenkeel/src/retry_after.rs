//! When a server says that it may be asked again.
//!
//! For transports and for anyone who speaks HTTP by other means than [`http`](crate::http), whose errors carry the time.

use std::time::Duration;

use ::http::HeaderMap;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;

/// The longest time that is read: what is longer counts as this.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);
/// A number above this is a moment in seconds since 1970 (September 2001), and no span.
const EPOCH_SECONDS: f64 = 1e9;
/// A number above this is one in milliseconds (May 2001): in seconds it would be the year 33,000.
const EPOCH_MILLISECONDS: f64 = 99e10;

/// Reads how long a server asks to be left alone from the headers of its answer.
///
/// *Shape*: `Retry-After` with seconds or a date (RFC 9110, 10.2.3), else the longest `t` of the policies in `RateLimit` under
/// which nothing remains (`"default";r=0;t=30`, draft-ietf-httpapi-ratelimit-headers-10; older drafts write `reset=30`), else
/// `RateLimit-Reset`, `X-RateLimit-Reset-After` or `X-RateLimit-Reset` with seconds, with or without a fraction, or with a moment
/// in seconds or milliseconds since 1970; these are read only where `X-RateLimit-Remaining` or `RateLimit-Remaining` does not say
/// that more may be asked.
/// A date is taken against the `Date` of the same answer, so that the clocks need not agree. A date in the past is zero,
/// a time of more than a year is a year. What is negative or no time at all is as if it were not there.
///
/// ```
/// use std::time::Duration;
///
/// let mut headers = http::HeaderMap::new();
/// headers.insert("retry-after", http::HeaderValue::from_static("30"));
/// assert_eq!(evenkeel::retry_after::of(&headers), Some(Duration::from_secs(30)));
/// ```
pub fn of(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let now = || text("date").and_then(date).unwrap_or_else(|| utc(Timestamp::now()));
    // What is no time is as if it were not there.
    let named = |text: &str| seconds(text).map(span).or_else(|| Some(until(date(text)?, now())));
    if let Some(named) = text("retry-after").and_then(named) {
        return Some(named);
    }
    if let Some(named) = policies(headers) {
        return Some(span(named));
    }
    let remaining = text("x-ratelimit-remaining").or_else(|| text("ratelimit-remaining"));
    if remaining.and_then(seconds).is_some_and(|remaining| remaining > 0.0) {
        return None;
    }
    let names = ["x-ratelimit-reset-after", "ratelimit-reset", "x-ratelimit-reset"];
    let named = names.iter().find_map(|name| text(name).and_then(seconds))?;
    if named < EPOCH_SECONDS {
        return Some(span(named));
    }
    let milliseconds = if named < EPOCH_MILLISECONDS { named * 1e3 } else { named };
    // No clock shows more than the year 9999, and who names it means the longest time.
    Some(until(utc(Timestamp::from_millisecond(milliseconds.min(2e14) as i64).ok()?), now()))
}

/// The longest time of the policies under which nothing remains. A list of items with parameters (RFC 9651), in one header or
/// several, or the parameters alone, as older drafts have them.
fn policies(headers: &HeaderMap) -> Option<f64> {
    let lists = headers.get_all("ratelimit").iter().filter_map(|list| list.to_str().ok());
    lists.flat_map(|list| unquoted(list, ',')).filter_map(policy).reduce(f64::max)
}

fn policy(item: &str) -> Option<f64> {
    let (mut remaining, mut reset) = (None, None);
    for parameter in unquoted(item, ';') {
        match parameter.split_once('=').map(|(name, value)| (name.trim(), value.trim())) {
            Some(("r" | "remaining", value)) => remaining = seconds(value),
            Some(("t" | "reset", value)) => reset = seconds(value),
            _ => {}
        }
    }
    reset.filter(|_| remaining.is_none_or(|remaining| remaining <= 0.0))
}

/// The parts of a text, but not within quotes.
fn unquoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    text.split(move |letter| {
        is_quoted ^= letter == '"' && !is_escaped;
        is_escaped = is_quoted && letter == '\\' && !is_escaped;
        letter == separator && !is_quoted
    })
}

/// Digits, perhaps with a fraction: neither a sign nor an exponent, nor a word that a number is called by.
fn seconds(text: &str) -> Option<f64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse().ok().filter(|_| is_plain)
}

fn span(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST).min(LONGEST)
}

fn until(moment: DateTime, now: DateTime) -> Duration {
    Duration::try_from(moment.duration_since(now)).unwrap_or(Duration::ZERO).min(LONGEST)
}

fn utc(moment: Timestamp) -> DateTime {
    moment.to_zoned(TimeZone::UTC).datetime()
}

/// A date in any of the three shapes that HTTP has (RFC 9110, 5.6.7). It is UTC, whatever the shape.
fn date(text: &str) -> Option<DateTime> {
    let shapes = ["%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
    shapes.iter().find_map(|shape| strtime::parse(shape, text).ok()?.to_datetime().ok())
}

#[cfg(test)]
mod tests {
    use ::http::{HeaderName, HeaderValue};

    use super::*;

    const NOW: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn read(pairs: &[(&'static str, &str)]) -> Option<Duration> {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a header"))
        };
        of(&pairs.iter().map(pair).collect())
    }

    fn check(value: &str, expected: Option<f64>) {
        let expected = expected.map(Duration::from_secs_f64);
        assert_eq!(read(&[("date", NOW), ("retry-after", value)]), expected, "{value}");
    }

    #[test]
    fn a_time_is_read_as_seconds_and_as_a_date() {
        check("30", Some(30.0));
        check(" 0 ", Some(0.0));
        check("1.5", Some(1.5));
        check("Sun, 06 Nov 1994 08:50:37 GMT", Some(60.0));
        check("Sunday, 06-Nov-94 08:50:37 GMT", Some(60.0));
        check("Sun Nov  6 08:50:37 1994", Some(60.0));
    }

    #[test]
    fn a_time_that_cannot_be_is_bounded_or_nothing() {
        check("Sun, 06 Nov 1994 08:49:00 GMT", Some(0.0));
        check("99999999999999999999999999", Some(LONGEST.as_secs_f64()));
        check(&"9".repeat(400), Some(LONGEST.as_secs_f64()));
        check("Fri, 31 Dec 9999 23:59:59 GMT", Some(LONGEST.as_secs_f64()));
        for garbage in ["", "-5", "+5", "soon", "NaN", "inf", "1e3", ".", "30 s", "Sun, 99 Nov 1994", "0x10"]
        {
            check(garbage, None);
        }
    }

    #[test]
    fn the_headers_of_rate_limits_count_where_nothing_remains() {
        let seconds = |seconds| Some(Duration::from_secs_f64(seconds));
        assert_eq!(read(&[("x-ratelimit-reset-after", "1.25")]), seconds(1.25));
        assert_eq!(read(&[("ratelimit-reset", "7"), ("ratelimit-remaining", "0")]), seconds(7.0));
        assert_eq!(read(&[("x-ratelimit-reset", "784111797"), ("date", NOW)]), Some(LONGEST));
        let moment = ("x-ratelimit-reset", "1600000060");
        assert_eq!(read(&[moment, ("date", "Sun, 13 Sep 2020 12:26:40 GMT")]), seconds(60.0));
        assert_eq!(read(&[("x-ratelimit-reset", "60"), ("x-ratelimit-remaining", "3")]), None);
        assert_eq!(read(&[("retry-after", "2"), ("x-ratelimit-reset-after", "9")]), seconds(2.0));
        assert_eq!(read(&[]), None);
    }

    #[test]
    fn a_moment_may_be_in_seconds_or_in_milliseconds() {
        let date = ("date", "Sun, 13 Sep 2020 12:26:40 GMT");
        for (moment, expected) in [
            ("1600000060", 60.0),
            ("1600000060000", 60.0),
            ("1600000060250", 60.25),
            ("1600000060.5", 60.5),
            ("1500000000000", 0.0),
            ("99999999999999999999", LONGEST.as_secs_f64()),
        ] {
            for name in ["x-ratelimit-reset", "ratelimit-reset"] {
                let expected = Some(Duration::from_secs_f64(expected));
                assert_eq!(read(&[(name, moment), date]), expected, "{name}: {moment}");
            }
        }
    }

    #[test]
    fn the_structured_header_of_rate_limits_is_read_where_nothing_remains() {
        for (value, expected) in [
            ("\"default\";r=0;t=3", Some(3)),
            ("\"a;t=9, b\" ; r=0; t=4", Some(4)),
            ("\"day\";r=50;t=90, \"burst\";r=0;t=7", Some(7)),
            ("\"a\";r=0;t=2, \"b\";r=0;t=8", Some(8)),
            ("\"a\\\"\";t=5", Some(5)),
            ("limit=100, remaining=0, reset=6", Some(6)),
            ("\"default\";r=1;t=3", None),
            ("\"default\";r=0", None),
            ("\"default\";r=0;t=-3", None),
            ("soon", None),
        ] {
            assert_eq!(read(&[("ratelimit", value)]), expected.map(Duration::from_secs), "{value}");
        }
        let both = [("ratelimit", "\"a\";r=0;t=3"), ("ratelimit", "\"b\";r=0;t=4")];
        assert_eq!(read(&both), Some(Duration::from_secs(4)));
        assert_eq!(read(&[both[0], ("retry-after", "9")]), Some(Duration::from_secs(9)));
    }
}
