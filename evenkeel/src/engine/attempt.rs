//! One attempt to handle an event: what it begins with, and how it ends.

use std::panic::Location;
use std::time::Duration;

use evenkeel_guard::Label;

use crate::event::Event;
use crate::journal::{CompletedEffect, Entry, Reason};
use crate::reply::Outbound;
use crate::retry::Retry;

/// Where the actions of failures begin: a later attempt, after a replay, must not take one of them for what it sends at
/// once.
pub(crate) const APOLOGY: u32 = 1 << 31;

/// One attempt to handle an event.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// As it came in. Layers may show the handler another one.
    pub(crate) event: Event,
    /// The event's number in the journal.
    pub(crate) sequence: u64,
    /// Which attempt this is, from 1.
    pub(crate) number: u32,
    /// Whether its handler has begun before, though that attempt may not count.
    pub(crate) has_begun: bool,
    /// Whether the operator has replayed the event.
    pub(crate) is_replayed: bool,
    /// What earlier attempts left.
    pub(crate) facts: Vec<CompletedEffect>,
    /// When it begins, in milliseconds since 1970.
    pub(crate) now_ms: u64,
}

/// What an attempt leaves once its handler is done.
#[derive(Debug)]
pub(crate) struct HandlerOutcome {
    pub(crate) sequence: u64,
    /// The command that handled the event; `None` when nothing wanted it.
    pub(crate) command: Option<Label>,
    /// What was promised; after a failure, what is said to the person once the event is given up.
    pub(crate) outbound: Vec<Outbound>,
    /// What is to be kept together with the end of the event.
    pub(crate) changes: Vec<Entry>,
    pub(crate) ending: Ending,
}

impl HandlerOutcome {
    /// One that promises nothing.
    pub(crate) fn without_reply(sequence: u64, ending: Ending) -> Self {
        Self { sequence, command: None, outbound: Vec::new(), changes: Vec::new(), ending }
    }
}

/// How an attempt ended.
#[derive(Debug)]
pub(crate) enum Ending {
    Done,
    /// It was too old when its turn came: nothing is done about it.
    Expired,
    Failed(Failure),
    /// The future was dropped before its end. While the bot stops, the event is left to the next start; otherwise its
    /// executor is at fault, and this is a failure like others.
    CutShort(Failure),
}

/// Why an attempt failed, and what its author wants done.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The error with its causes.
    pub(crate) error: String,
    /// Where it was made, if it was an error of the author's.
    pub(crate) line: Option<&'static Location<'static>>,
    /// What to change, if somebody knows.
    pub(crate) hint: Option<String>,
    pub(crate) reason: Reason,
    pub(crate) retry: Retry,
    /// Whether the error is one after which another attempt may help.
    pub(crate) is_worth_another: bool,
    /// How long another attempt has to wait at least, if the error says so.
    pub(crate) retry_after: Option<Duration>,
}

impl Failure {
    /// One after which no attempt helps.
    pub(crate) fn new(error: String, reason: Reason, retry: Retry) -> Self {
        Self { error, line: None, hint: None, reason, retry, is_worth_another: false, retry_after: None }
    }
}

/// The first index that no action has of which these facts tell.
pub(crate) fn free_index(facts: &[CompletedEffect]) -> u32 {
    let sent = facts.iter().filter_map(|fact| match fact {
        CompletedEffect::Sent { index, .. } | CompletedEffect::DeadLettered { index } => Some(index + 1),
        CompletedEffect::Step { .. } => None,
    });
    sent.max().unwrap_or(0)
}
