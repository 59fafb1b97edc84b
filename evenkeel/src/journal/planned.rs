//! What is to be done later.

use std::borrow::Cow;

use bytes::Bytes;

use crate::reserved;

/// A job to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewJob {
    /// A name that only one job has.
    pub name: String,
    /// The id of the conversation that it belongs to; empty for none.
    pub conversation: String,
    /// When it is due, in milliseconds since 1970.
    pub due_ms: u64,
    /// What is to be done; the journal does not look into it.
    pub body: Bytes,
    /// Whether a job of this name and with this very body is left as it is, with the time when it is due.
    pub keeps_due: bool,
}

/// A job that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its number.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// The id of the conversation that it belongs to; empty for none.
    pub conversation: String,
    /// When it is due, in milliseconds since 1970.
    pub due_ms: u64,
    /// What is to be done.
    pub body: Bytes,
}

impl Job {
    /// The conversation that it belongs to, as people read it ([`title`](super::title)); `None` for schedules of the router, which belong
    /// to nobody.
    pub fn chat(&self) -> Option<Cow<'_, str>> {
        let (_, id) = reserved::split(&self.conversation);
        let is_there = !id.is_empty() && !reserved::is_reserved(id);
        is_there.then(|| reserved::shown(&self.conversation))
    }
}
