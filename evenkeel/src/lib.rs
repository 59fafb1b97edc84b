//! A framework for chat bots in which nothing freezes, nothing is lost and nothing is guessed.

#![forbid(unsafe_code)]

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
mod trigger;
mod context;
mod extract;
mod handler;
mod layer;
mod route;
pub mod journal;
mod serve;
pub mod sandbox;
pub mod testing;

pub use context::Context;
pub use error::{Error, Result};
pub use event::{
    Attachment, Conversation, ConversationKind, Deletion, Edit, Event, Mention, Message, MessageId, Other,
    PollVote, Quote, Reaction, Receipt, ReceiptKind, Sender, Typing, What,
};
pub use extract::{Args, Captures, FromEvent, FromRef, Rejection, Rest, State, Text};
pub use handler::{FromEventAll, Handler};
pub use layer::{FromFn, HandlerLayer, LayerFunction, Next, Route, from_fn};
pub use reply::{Action, Draft, File, IntoReply, Quoting, Reply};
pub use route::{App, IntoApp, Router};
pub use serve::{Bot, run, serve};
pub use transport::Transport;
pub use trigger::Trigger;
