//! What a running handler asks for.

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::error::Result;
use crate::event::{Attachment, Conversation, Event, MessageId};
use crate::journal::Job;
use crate::reply::Outbound;

/// The ways from a handler into the bot. A bot that has stopped has dropped the other ends, and anyone who waits for an answer hears so.
#[derive(Clone, Debug)]
pub(crate) struct HandlerRequests {
    /// To the engine. Bounded by what running handlers ask; the outbox is what grows, and it stops new handlers.
    to_engine: mpsc::UnboundedSender<HandlerRequest>,
    /// To the wire: the engine has no part in files.
    to_wire: mpsc::UnboundedSender<Download>,
}

/// The other ends.
pub(crate) struct Asked {
    pub(crate) of_engine: mpsc::UnboundedReceiver<HandlerRequest>,
    pub(crate) of_wire: mpsc::UnboundedReceiver<Download>,
}

impl HandlerRequests {
    pub(crate) fn new() -> (Self, Asked) {
        let (to_engine, of_engine) = mpsc::unbounded_channel();
        let (to_wire, of_wire) = mpsc::unbounded_channel();
        (Self { to_engine, to_wire }, Asked { of_engine, of_wire })
    }

    pub(crate) fn ask(&self, request: HandlerRequest) {
        let _asked = self.to_engine.send(request);
    }

    pub(crate) fn download(&self, download: Download) {
        let _asked = self.to_wire.send(download);
    }
}

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
    /// End the other handlers of this one's conversation; how many there were is kept as a step of its own.
    CancelOthers { by: u64, name: String, answer: oneshot::Sender<usize> },
}

impl HandlerRequest {
    /// The event whose handler asks, where that makes a difference.
    pub(super) fn by(&self) -> Option<u64> {
        match self {
            Self::Act { outbound, .. } => Some(outbound.key.sequence),
            Self::Step { sequence, .. }
            | Self::Wait { sequence, .. }
            | Self::Rejoin { sequence, .. }
            | Self::Leave { sequence } => Some(*sequence),
            Self::Pass { by, .. } | Self::Take { by, .. } | Self::CancelOthers { by, .. } => Some(*by),
            Self::Recall { .. } | Self::Jobs { .. } => None,
        }
    }
}

/// A file that a handler wants.
#[derive(Debug)]
pub(crate) struct Download {
    /// Where it came in: its network has it.
    pub(crate) conversation: Conversation,
    pub(crate) attachment: Attachment,
    pub(crate) limit_bytes: usize,
    /// The handler holds the other end. Once it is gone, the download is given up.
    pub(crate) answer: oneshot::Sender<Result<Bytes>>,
}

/// An event that may be what a handler waits for.
#[derive(Debug)]
pub(crate) struct Offer {
    pub(crate) sequence: u64,
    pub(crate) event: Event,
}
