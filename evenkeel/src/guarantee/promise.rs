//! One promise, and the row of the table that it makes.

use serde::Serialize;

/// What happens, and why. Fits into a cell of a table: one line, without `|`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promise {
    text: String,
    why: &'static str,
    is_limit: bool,
}

impl Promise {
    /// Nothing is lost or repeated.
    pub fn kept(text: impl Into<String>, why: &'static str) -> Self {
        Self { text: text.into(), why, is_limit: false }
    }

    /// Something may be lost or repeated here: the operator should know.
    pub fn limit(text: impl Into<String>, why: &'static str) -> Self {
        Self { text: text.into(), why, is_limit: true }
    }

    pub(super) fn about(self, what: &'static str) -> Row {
        Row { what, promise: self.text, why: self.why, is_limit: self.is_limit }
    }
}

/// One row of the table: a promise, and what it is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Row {
    /// What it is about.
    pub what: &'static str,
    /// What happens.
    pub promise: String,
    /// Why so, and what follows from it.
    pub why: &'static str,
    /// Whether something may be lost or repeated here: the operator should know.
    pub is_limit: bool,
}
