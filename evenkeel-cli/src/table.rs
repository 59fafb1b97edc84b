//! What stands in the cells of a table: short, on one line, and without what a terminal would obey.

use std::time::{SystemTime, UNIX_EPOCH};

use evenkeel::journal::title;
use evenkeel::visible;
use jiff::Timestamp;

/// The present time, in milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    to_ms(SystemTime::now())
}

/// A time as journals have it.
pub(crate) fn to_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// How long something takes or took, in one unit: `40 s`, `12 min`, `5 h`, `3 d`.
pub(crate) fn span(ms: u64) -> String {
    match ms / 1_000 {
        seconds @ ..60 => format!("{seconds} s"),
        seconds @ ..3_600 => format!("{} min", seconds / 60),
        seconds @ ..86_400 => format!("{} h", seconds / 3_600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

/// A time, in UTC.
pub(crate) fn time(ms: u64) -> String {
    let stamp = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    stamp.map_or_else(|| format!("{ms} ms"), |stamp| stamp.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

/// How long a file is, in one unit: `512 B`, `132 KiB`, `1.5 MiB`, `2.0 GiB`.
pub(crate) fn size(bytes: u64) -> String {
    let tenths = |unit: u64| format!("{}.{}", bytes / unit, bytes % unit * 10 / unit);
    match bytes >> 10 {
        0 => format!("{bytes} B"),
        kib @ ..1_024 => format!("{kib} KiB"),
        _ if bytes >> 30 == 0 => format!("{} MiB", tenths(1 << 20)),
        _ => format!("{} GiB", tenths(1 << 30)),
    }
}

/// The text on one line, with everything in it visible.
pub(crate) fn line(text: &str) -> String {
    let text = title(text);
    let words = text.split([' ', '\n', '\r', '\t']).filter(|word| !word.is_empty());
    visible(&words.collect::<Vec<_>>().join(" ")).into_owned()
}

/// The text on one line of at most this many letters.
pub(crate) fn cut(text: &str, most: usize) -> String {
    let mut text = line(text);
    if let Some((end, _)) = text.char_indices().nth(most) {
        let start = text.char_indices().nth(most.saturating_sub(1)).map_or(end, |(start, _)| start);
        text.truncate(start);
        text.push('…');
    }
    text
}

/// A conversation by its first and last letters: its id may be a phone number.
pub(crate) fn short(conversation: &str) -> String {
    let letters: Vec<char> = line(conversation).chars().collect();
    match letters.len() {
        ..=10 => letters.into_iter().collect(),
        count => letters[..5].iter().chain(&['…']).chain(&letters[count - 4..]).collect(),
    }
}

/// A number of things: `1 event`, `2 events`.
pub(crate) fn count(number: u64, thing: &str, things: &str) -> String {
    format!("{number} {}", if number == 1 { thing } else { things })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_short_and_harmless() {
        let spans = [59_999, 60_000, 3_599_999, 86_399_999, 86_400_000].map(span);
        assert_eq!(spans, ["59 s", "1 min", "59 min", "23 h", "1 d"]);
        let sizes = [1_023, 1_024, 1_048_575, 1_572_864, 1 << 31].map(size);
        assert_eq!(sizes, ["1023 B", "1 KiB", "1023 KiB", "1.5 MiB", "2.0 GiB"]);
        assert_eq!(time(1_000), "1970-01-01 00:00:01 UTC");
        assert_eq!(time(u64::MAX), "18446744073709551615 ms");
        assert_eq!(line("a\r\n\tb\u{1b}[31m \u{202e}c"), "a b\\u{1b}[31m \\u{202e}c");
        assert_eq!(cut("\u{9b}2J", 30), "\\u{9b}2J", "what a cell shows is what it is as wide as");
        assert_eq!((cut("äöüß", 4), cut("äöüßx", 4)), ("äöüß".into(), "äöü…".into()));
        assert_eq!((short("alice"), short("+15550100000")), ("alice".into(), "+1555…0000".into()));
    }
}
