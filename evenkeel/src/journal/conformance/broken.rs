//! What is said of a promise that is not kept.

use std::fmt::{self, Debug, Display};

use crate::error::Error;

/// A promise that a store does not keep.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Broken {
    /// Its name.
    pub promise: &'static str,
    /// What was looked at.
    pub what: String,
    /// What a store has to answer there, around the first difference.
    pub expected: String,
    /// What this one did.
    pub seen: String,
}

impl Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { promise, what, expected, seen } = self;
        write!(f, "`{promise}`: {what}\n  expected: {expected}\n      seen: {seen}")
    }
}

/// Something that is not as promised.
#[derive(Debug)]
pub(super) struct Mismatch {
    what: String,
    expected: String,
    seen: String,
}

impl Mismatch {
    pub(super) fn new(what: &str, expected: &str, seen: &str) -> Self {
        Self { what: what.to_owned(), expected: around(expected, seen), seen: around(seen, expected) }
    }

    /// Says where it was seen.
    pub(super) fn within(self, place: &str) -> Self {
        Self { what: format!("{place}: {}", self.what), ..self }
    }

    pub(super) fn of(self, promise: &'static str) -> Broken {
        let Self { what, expected, seen } = self;
        Broken { promise, what, expected, seen }
    }
}

impl From<Error> for Mismatch {
    fn from(error: Error) -> Self {
        Self::new("the store failed", "no error", &error.to_string())
    }
}

/// Whether a promise is kept.
pub(super) type Kept = Result<(), Mismatch>;

/// Compares what was seen with what has to be.
pub(super) fn same<T: Debug + PartialEq<U>, U: Debug>(what: &str, seen: &T, expected: &U) -> Kept {
    if seen == expected {
        return Ok(());
    }
    Err(Mismatch::new(what, &format!("{expected:?}"), &format!("{seen:?}")))
}

/// Compares lines of what can be read, and tells the first that differs.
pub(super) fn same_lines(what: &str, seen: &[String], expected: &[String]) -> Kept {
    let differs = seen.iter().zip(expected).position(|(seen, expected)| seen != expected);
    let place = differs.unwrap_or(seen.len().min(expected.len()));
    same(what, &seen.get(place), &expected.get(place))
}

/// Compares with the one before it, over all of them.
pub(super) fn rising<T: Debug + PartialOrd>(what: &str, numbers: &[T]) -> Kept {
    if numbers.is_sorted_by(|one, next| one < next) {
        return Ok(());
    }
    Err(Mismatch::new(what, "each is higher than the one before", &format!("{numbers:?}")))
}

/// This many letters of each are shown,
const SHOWN: usize = 400;

/// beginning this many before they differ.
const BEFORE: usize = 100;

/// What is around the first difference of two texts, which may be very long.
fn around(text: &str, other: &str) -> String {
    let common = text.chars().zip(other.chars()).take_while(|(one, other)| one == other).count();
    let start = if text.len() <= SHOWN { 0 } else { common.saturating_sub(BEFORE) };
    let mut letters = text.chars().skip(start);
    let shown: String = letters.by_ref().take(SHOWN).collect();
    let (before, after) =
        (if start > 0 { ".." } else { "" }, if letters.next().is_some() { ".." } else { "" });
    format!("{before}{shown}{after}")
}
