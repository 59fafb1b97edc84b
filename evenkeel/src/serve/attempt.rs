//! One attempt to handle an event: what it begins with, and how it ends.

use std::panic::Location;
use std::time::Duration;

use evenkeel_guard::Label;

use crate::event::Event;
use crate::journal::{Entry, Fact, Reason};
use crate::reply::Outbound;
use crate::retry::Retry;

/// One attempt to handle an event.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) event: Event,
    pub(super) sequence: u64,
    /// Which attempt this is, from 1.
    pub(super) attempt: u32,
    /// Whether the operator has replayed it.
    pub(super) is_replayed: bool,
    /// What earlier attempts left.
    pub(super) facts: Vec<Fact>,
    /// When it begins, in milliseconds since 1970.
    pub(super) now_ms: u64,
}

/// What the wire learns of an event once its handler is done.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) sequence: u64,
    pub(super) command: Option<Label>,
    /// What was promised; after a failure, what is said to the person once the event is given up.
    pub(super) outbound: Vec<Outbound>,
    /// What is to be kept together with the end of the event.
    pub(super) changes: Vec<Entry>,
    pub(super) ending: Ending,
}

/// How an attempt ended.
#[derive(Debug)]
pub(super) enum Ending {
    Done,
    Failed(Failure),
    /// The future was dropped before its end. While the bot stops, the event is left to the next start; otherwise its
    /// executor is at fault, and this is a failure like others.
    CutShort(Failure),
}

/// Why an attempt failed, and what its author wants done.
#[derive(Debug)]
pub(super) struct Failure {
    /// The error with its causes.
    pub(super) error: String,
    /// Where it was made, if it was an error of the author's.
    pub(super) line: Option<&'static Location<'static>>,
    /// What to change, if somebody knows.
    pub(super) hint: Option<String>,
    pub(super) reason: Reason,
    pub(super) retry: Retry,
    /// Whether the error is one after which another attempt may help.
    pub(super) is_worth_another: bool,
    /// How long another attempt has to wait at least, if the error says so.
    pub(super) retry_after: Option<Duration>,
}

impl Failure {
    /// One after which no attempt helps.
    pub(super) fn new(error: String, reason: Reason, retry: Retry) -> Self {
        Self { error, line: None, hint: None, reason, retry, is_worth_another: false, retry_after: None }
    }
}
