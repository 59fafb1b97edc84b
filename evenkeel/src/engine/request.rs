//! What a running handler asks for.

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::error::Result;
use crate::event::{Attachment, Event, MessageId};
use crate::journal::Job;
use crate::reply::Outbound;

/// The way from a handler to the engine. The wire holds the other end; a bot that has stopped has dropped it.
pub(crate) type HandlerRequests = mpsc::UnboundedSender<HandlerRequest>;

/// Where the fate of an action is told: the name of the message it made, if it made one.
pub(crate) type Confirmation = oneshot::Sender<Result<Option<MessageId>>>;

/// What a running handler asks for.
#[derive(Debug)]
pub(crate) enum HandlerRequest {
    /// Carry this out now, for this command; tell how it went if somebody wants to know.
    Act { outbound: Outbound, command: Box<str>, answer: Option<Confirmation> },
    /// Keep the result of a step.
    Step { sequence: u64, name: String, value: Bytes, answer: oneshot::Sender<()> },
    /// Find a value that was kept for a conversation.
    Recall { conversation: String, name: String, answer: oneshot::Sender<Option<Bytes>> },
    /// List the jobs of a conversation.
    Jobs { conversation: String, answer: oneshot::Sender<Vec<Job>> },
    /// Wait for somebody.
    Wait { sequence: u64, offers: mpsc::UnboundedSender<Offer> },
    /// The event that was offered is not what the handler waits for.
    Pass { event: u64, by: u64 },
    /// It is, and is kept as a step of the handler's.
    Take { event: u64, by: u64, name: String, value: Bytes, answer: oneshot::Sender<()> },
    /// The handler has waited long enough and wants its turn.
    Rejoin { sequence: u64, answer: oneshot::Sender<()> },
    /// The handler waits no more.
    Leave { sequence: u64 },
    /// Fetch a file.
    Download { attachment: Attachment, limit_bytes: usize, answer: oneshot::Sender<Result<Bytes>> },
}

/// An event that may be what a handler waits for.
#[derive(Debug)]
pub(crate) struct Offer {
    pub(crate) sequence: u64,
    pub(crate) event: Event,
}
