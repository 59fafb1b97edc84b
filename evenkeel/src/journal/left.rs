//! What an earlier run or attempt left.

use bytes::Bytes;

use crate::event::{Event, MessageId};
use crate::reply::Outbound;

/// An event that was accepted and is not done.
#[derive(Debug, Clone)]
pub struct PendingEvent {
    /// Its number.
    pub sequence: u64,
    /// What came in.
    pub event: Event,
    /// How often its handler has begun.
    pub attempts: u32,
    /// How often the process ended while its handler was running.
    pub crashes: u32,
    /// Whether its handler has ever begun, also before a replay. Such an event answers nobody's question.
    pub has_begun: bool,
    /// Not to be tried before this time, in milliseconds since 1970; 0 for at once.
    pub due_ms: u64,
    /// Whether it holds its conversation up until the operator acts.
    pub is_parked: bool,
    /// What its earlier attempts left.
    pub facts: Vec<CompletedEffect>,
}

/// Something that an attempt did and that the next one need not repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CompletedEffect {
    /// A step has a result.
    Step {
        /// The step.
        name: String,
        /// Its result.
        value: Bytes,
    },
    /// A reply was sent at once.
    Sent {
        /// Which of the event's actions.
        index: u32,
        /// The message that it made.
        id: Option<MessageId>,
    },
    /// A reply that was to be sent at once was given up: it is a dead letter, or was one until the operator decided.
    DeadLettered {
        /// Which of the event's actions.
        index: u32,
    },
}

/// A reply that was promised and is not sent.
#[derive(Debug, Clone)]
pub struct PendingReply {
    /// The reply.
    pub outbound: Outbound,
    /// The command that promised it; empty if none did.
    pub command: String,
    /// Whether it was being sent when the process ended, so that nobody knows whether it arrived.
    pub is_unknown: bool,
    /// How often it was tried.
    pub attempts: u32,
    /// Not to be tried before this time, in milliseconds since 1970; 0 for at once.
    pub due_ms: u64,
}

/// Some of what an earlier run left. A reply comes with its event, or where that would be.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Page {
    /// Events that were accepted and not done, by number; all of them are after those of the page before.
    pub events: Vec<PendingEvent>,
    /// Replies that were promised and not sent, by key.
    pub replies: Vec<PendingReply>,
    /// Whether there may be another page.
    pub has_more: bool,
}
