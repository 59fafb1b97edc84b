//! A framework for chat bots in which nothing freezes, nothing is lost and nothing is guessed.

mod error;
pub mod config;

#[cfg(feature = "http")]
pub mod http;
pub mod limit;
pub mod breaker;
pub mod offload;
pub mod batch;

mod event;
mod reply;
pub mod status;
pub mod transport;
pub mod journal;

pub use error::{Error, Result};
pub use event::{
    Attachment, Conversation, ConversationKind, Deletion, Edit, Event, Mention, Message, MessageId, Other,
    PollVote, Quote, Reaction, Receipt, ReceiptKind, Sender, Typing, What,
};
pub use reply::{Action, Draft, File, IntoReply, Quoting, Reply};
pub use transport::Transport;
