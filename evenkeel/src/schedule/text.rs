//! Reading the short texts, and saying where one is wrong.

use std::fmt;

use jiff::civil::Time;

use crate::error::{Error, Result};

/// How much of a wrong text an error repeats, in characters.
const SHOWN: usize = 80;

const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// One line that names the text, the place and what would be right. `found` is a piece of `whole`.
#[track_caller]
pub(super) fn wrong(whole: &str, found: &str, problem: &str, example: &str) -> Error {
    // The piece was cut out of the whole, so its address says where it stood; elsewhere it is the beginning.
    let offset = (found.as_ptr() as usize).checked_sub(whole.as_ptr() as usize);
    let before = offset.and_then(|offset| whole.get(..offset)).unwrap_or_default();
    let column = before.chars().count() + 1;
    let (whole, found) = (shown(whole), shown(found));
    Error::new(format!("schedule `{whole}`, column {column}, `{found}`: {problem}; for example `{example}`"))
}

/// The text on one line, and not all of it if it is long.
pub(super) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push_str("..");
    }
    shown
}

/// From the first field to the last word, which is left out; both are pieces of `part`.
pub(super) fn between<'a>(part: &'a str, first: Option<&&str>, last: &str) -> &'a str {
    let place = |word: &str| (word.as_ptr() as usize).checked_sub(part.as_ptr() as usize);
    let from = first.and_then(|first| place(first)).unwrap_or(part.len());
    let to = if last.is_empty() { part.len() } else { place(last).unwrap_or(part.len()) };
    part.get(from..to).unwrap_or_default().trim()
}

/// `09:30`.
pub(super) fn time(whole: &str, found: &str, example: &str) -> Result<Time> {
    let digits = |text: &str| {
        let is_number = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| text.parse::<i8>().ok()).flatten()
    };
    let read = || {
        let (hour, minute) = found.split_once(':')?;
        Time::new(digits(hour)?, digits(minute)?, 0, 0).ok()
    };
    read().ok_or_else(|| wrong(whole, found, "not a time from 00:00 to 23:59", example))
}

/// `90s`, in milliseconds.
pub(super) fn interval(whole: &str, found: &str) -> Result<u64> {
    let number = found.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let unit = UNITS.iter().find(|(unit, _)| *unit == &found[number.len()..]);
    let (true, Some((_, ms))) = (is_number, unit) else {
        return Err(wrong(whole, found, "not a whole number with ms, s, m, h or d", "every 90s"));
    };
    match number.parse::<u64>().ok().and_then(|number| number.checked_mul(*ms)) {
        Some(0) => Err(wrong(whole, found, "an interval of zero", "every 90s")),
        Some(interval_ms) => Ok(interval_ms),
        None => Err(wrong(whole, found, "too long", "every 90s")),
    }
}

/// Milliseconds in the largest unit that leaves no remainder.
pub(super) struct Interval(pub(super) u64);

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = UNITS.iter().find(|(_, ms)| self.0.is_multiple_of(*ms));
        let (unit, ms) = fits.unwrap_or(&("ms", 1));
        write!(f, "{}{unit}", self.0 / ms)
    }
}
