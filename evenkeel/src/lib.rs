//! A framework for chat bots that stay responsive when a handler blocks, and say what they could not do.
//!
//! A bot is a plain `async fn` for each thing that people may write, and a [`Router`] that knows which one that is. The
//! same bot runs in the [`sandbox`], in a [test](testing), and on a network.
//!
//! ```
//! use evenkeel::{App, Args, Router, testing};
//!
//! async fn ping() -> &'static str { "pong" }
//! async fn add(Args((a, b)): Args<(i32, i32)>) -> String { a.saturating_add(b).to_string() }
//! fn app() -> App { Router::new().command("!ping", ping).command("!add", add).with_state(()) }
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
//! let mut chat = testing::chat(app()); // in a test; in `main`: evenkeel::run(transport, app())
//! assert_eq!(chat.say("!ping").await, ["pong"]);
//! assert_eq!(chat.say("!add 40 2").await, ["42"]);
//! # }
//! ```
//!
//! What is kept today, and how far: a handler that blocks under [`run`] holds up its own conversation and no other, and
//! the log names it; an event that was accepted is in a journal on the disk, which outlives the process, and is handled at
//! least once, or kept as a dead letter; its replies leave in order; [`status`] counts what waits, what failed, what was not
//! sent and what nobody knows. [`docs::nothing_lost`] says how, [`docs::operating`] what is lost when.
//!
//! # Guides
//!
//! [`docs::getting_started`], then [`docs::handlers`]; [`docs::never_block`] before the first call to anything slow. The
//! others are listed in [`docs`].
//!
//! # The rooms
//!
//! In reading order: each uses only those above it.
//!
//! | room | what is in it |
//! |---|---|
//! | [`visible()`] | text of others, fit for a terminal |
//! | [`Error`], [`Result`] | what went wrong, where, and what to do about it |
//! | `moment` | moments, as authors have them and as rows have them |
//! | [`config`] | settings from the environment, `.env` and `evenkeel.toml` |
//! | [`mod@retry_after`] | when a server says that it may be asked again |
//! | [`http`] | one pooled HTTP client with limits (feature `http`, on by default) |
//! | [`limit`] | how often, and how many at once |
//! | [`breaker`] | calls to something broken are refused at once |
//! | [`mod@offload`] | work that computes or blocks, on threads of its own |
//! | [`mod@batch`] | many items at once, but not all of them |
//! | [`backoff`] | how long to wait before the next attempt |
//! | [`retry`] | what happens to an event whose handler failed |
//! | [`schedule`] | when something happens again, and what of it was missed |
//! | `reserved` | names of our own beside those of others |
//! | `sqlite` | a file of SQLite that one process writes, whatever is kept in it (feature `sqlite`) |
//! | [`Event`] | what came in: who, where, what |
//! | [`Reply`], [`IntoReply`] | what goes out, and what a handler may return |
//! | [`capability`] | what a network can carry |
//! | [`command`] | what a bot can be asked for, for networks, help and pages |
//! | [`guarantee`] | what is promised with this transport and this journal, and what cannot be |
//! | `progress` | for how long a handler has run, and where it waits |
//! | [`status`] | what a running bot says of itself |
//! | [`journal`] | the record of events, replies and jobs; `journal::conformance` tests a store of one's own (feature `conformance`) |
//! | [`operator`] | what was given up, what is planned, and what the operator does about it |
//! | [`transport`] | the edge to a network; [`Transport`] is the trait to implement |
//! | `engine` | what happens next to events, replies and jobs |
//! | [`Trigger`] | what starts a handler |
//! | [`Context`] | what a handler can reach |
//! | [`FromEvent`] | the arguments of a handler: [`Text`], [`Rest`], [`Args`], [`Captures`], [`State`], .. |
//! | [`Dialogue`] | what a conversation is in the middle of |
//! | [`Handler`] | functions as handlers, async ones and plain ones |
//! | [`from_fn`], [`Next`] | code around handlers |
//! | [`job`] | what is done later |
//! | [`handle`] | speaking without having been spoken to |
//! | [`Router`], [`App`] | which handler an event goes to |
//! | `console` | what an operator sees of a running bot, in the browser (feature `page`) |
//! | [`run`], [`serve()`], [`Bot`] | the running bot |
//! | [`sandbox`] | a chat network in memory, and its page (feature `page`) |
//! | [`testing`] | a chat with a bot, in a test |
//!
//! Three traits are there to be implemented: [`FromEvent`], [`IntoReply`], [`Transport`].

#![forbid(unsafe_code)]

mod visible;
mod error;
mod moment;
pub mod config;
pub mod retry_after;

#[cfg(feature = "http")]
pub mod http;
pub mod limit;
pub mod breaker;
pub mod offload;
pub mod batch;
pub mod backoff;
pub mod retry;
pub mod schedule;

pub mod capability;
mod text;
mod reserved;
#[cfg(feature = "sqlite")]
mod sqlite;
mod event;
mod reply;
mod networks;
pub mod command;
pub mod guarantee;
mod progress;
pub mod status;
pub mod journal;
pub mod operator;
pub mod transport;
mod engine;
mod trigger;
mod context;
mod extract;
mod dialogue;
mod handler;
mod layer;
pub mod job;
pub mod handle;
mod route;
#[cfg(feature = "page")]
pub mod console;
mod serve;
pub mod sandbox;
pub mod testing;
#[cfg(any(doc, doctest))]
pub mod docs;

pub use context::{Ask, Context, Unanswered};
pub use dialogue::Dialogue;
pub use error::{DownloadError, Error, Problem, Result};
pub use evenkeel_guard::isolate;
pub use event::{
    Attachment, Conversation, ConversationKind, Cursor, Deadline, Deletion, Edit, Event, EventKind, JobFired,
    Mention, Message, MessageId, Other, Person, PollVote, Quote, Reaction, Receipt, ReceiptKind, ReplyToken,
    Sender, Typing,
};
pub use extract::{Addressed, Args, Captures, FromEvent, FromRef, Rejection, Rest, State, Text};
pub use handle::Handle;
pub use handler::{FromEventAll, Handler};
pub use job::{Job, JobFunction, JobId, Unspoken};
pub use layer::{FromFn, HandlerLayer, LayerFunction, Next, Route, from_fn};
pub use reply::{Action, Answered, Draft, File, HandlerError, IntoReply, Outbound, Quoting, Reply, SendKey};
pub use route::{App, IntoApp, Router};
pub use serve::{Bot, run, serve};
pub use transport::Transport;
pub use trigger::Trigger;
pub use visible::visible;
