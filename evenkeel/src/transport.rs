//! The edge to a network: how events come in and actions go out.

mod backlog;
mod cursors;
mod fresh;
mod inbox;
mod start;
mod erased;
mod network;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::capability::Capabilities;
use crate::command::Deferral;
use crate::error::{Error, Result};
use crate::event::{Attachment, MessageId, ReplyToken};
use crate::guarantee::DeliveryMode;
use crate::reply::{Answered, Outbound};
pub(crate) use backlog::{Backlog, Backlogs, Limits};
pub(crate) use erased::{AnyTransport, Erased};
pub use fresh::FreshIds;
pub(crate) use inbox::{Arrival, Due};
pub use inbox::{Collected, Inbox, Refused};
pub use network::Network;
pub use start::Start;

/// A network, or anything else that events come from and actions go to.
///
/// One of the three traits that a user may implement. All its futures run on the wire thread, beside the
/// heartbeats: they must not block, and they run no author's code. `examples/08_own_transport.rs` implements one
/// over a TCP socket.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a transport",
    note = "use `evenkeel_signal::Signal`, `evenkeel::sandbox::Sandbox`, or implement `Transport`"
)]
pub trait Transport: Send + Sync + 'static {
    /// The network's name for logs and pages, in lower case.
    fn name(&self) -> &'static str;

    /// The account that it speaks for, by a text that is no secret and the same in each run, such as a hash of its number. A
    /// journal belongs to the first account that is named to it: what one account promised must not leave from another.
    fn identity(&self) -> Option<String> {
        None
    }

    /// Checks settings and other side before anything else happens, and says in one line what was found. A network that wants to
    /// know the bot's commands is told them here: [`Start::specs`].
    ///
    /// # Errors
    ///
    /// Whatever the operator has to mend first; the hint says how. The bot does not start.
    fn open(&self, start: &Start<'_>) -> impl Future<Output = Result<String>> + Send {
        let _ = start;
        async { Ok(String::new()) }
    }

    /// Reads until the source ends, handing each event to `inbox`. Reconnecting is the transport's own business.
    ///
    /// A bot that is told to stop goes on receiving until the end of its drain, where its journal is kept: what comes is
    /// for the next start. Where it is not, the bot stops receiving at once.
    ///
    /// # Errors
    ///
    /// Only what cannot be mended by trying again: the bot drains and stops.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped when the bot stops receiving; nothing that was handed over may be lost by that.
    ///
    /// # Panics
    ///
    /// A call that panics costs what it was reading: it is logged, and this is called again after a pause. After five panics
    /// within a minute of a start the bot drains and stops.
    fn receive(&self, inbox: Inbox) -> impl Future<Output = Result<()>> + Send;

    /// Carries one action out. Calls for one conversation never overlap; calls for several do, see
    /// [`sends_at_once`](Self::sends_at_once). A typing indicator is dropped where it still is under way when a reply is to
    /// be sent there: nothing waits for it.
    ///
    /// # Errors
    ///
    /// A [`SendError`], which says whether the action may have happened all the same.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped at its [deadline](Self::send_deadline) and when the bot stops at once; whether the action
    /// happened counts as unknown then.
    fn send(&self, outbound: &Outbound) -> impl Future<Output = Result<Sent, SendError>> + Send;

    /// Tells the network that the bot works on an answer to the event that brought this token: its
    /// [`Deadline`](crate::Deadline) is near, and nothing has gone out. The answer takes the place of that, see
    /// [`Outbound::answered`]. It is called at most once at a time for one token, beside no [`send`](Self::send) by it, and again
    /// where it was certainly not sent and there is time left.
    ///
    /// # Errors
    ///
    /// A [`SendError`]: where it is refused, the network wants none, or has had an answer already.
    ///
    /// # Cancel safety
    ///
    /// The future is dropped after five seconds; whether the network was told counts as unknown then.
    fn defer(
        &self,
        token: &ReplyToken,
        deferral: Deferral,
    ) -> impl Future<Output = Result<(), SendError>> + Send {
        let _ = (token, deferral);
        async { Err(SendError::refused("this network needs no word in between")) }
    }

    /// The event that brought this token has ended, and no answer follows: what was said in between can be taken back, or the
    /// event acknowledged without a word. It is tried once.
    ///
    /// # Errors
    ///
    /// A [`SendError`], which is noted in the debug log.
    ///
    /// # Cancel safety
    ///
    /// As [`defer`](Self::defer).
    fn unanswered(
        &self,
        token: &ReplyToken,
        answered: Answered,
    ) -> impl Future<Output = Result<(), SendError>> + Send {
        let _ = (token, answered);
        async { Ok(()) }
    }

    /// How long [`send`](Self::send) may take. A future that passes this is dropped, and the outcome is
    /// [`Unknown`](Outcome::Unknown); without an end, it would hold its conversation up for ever. Longer than whatever the
    /// transport itself waits for, which knows better what became of the action. A typing indicator has five seconds at most.
    fn send_deadline(&self) -> Duration {
        Duration::from_secs(120)
    }

    /// How many sends the network wants at once. The next one waits until one of them has ended, or turns out to hang: one
    /// that others overtake, or that nothing follows for a quarter of a second, is not counted any more. So that what hangs
    /// holds up nothing else, up to 32 times as many may be under way; a network that bears no more than a certain number
    /// needs a limit of its own in [`send`](Self::send).
    fn sends_at_once(&self) -> usize {
        256
    }

    /// How events come in, for the table of [`Guarantees`](crate::guarantee::Guarantees). Say no more than what holds.
    fn delivery_mode(&self) -> DeliveryMode {
        DeliveryMode::AtMostOnceWhileConnected { how: self.name().to_owned(), connections: 1 }
    }

    /// What the network can carry, the same for as long as the bot runs: replies are brought into that form, or refused to the handler.
    fn capabilities(&self) -> Capabilities {
        Capabilities::default()
    }

    /// Whether this only stands in for a network, as the [sandbox](crate::sandbox) does: a journal does not become its own, and the
    /// first real network after it is the primary one.
    fn is_rehearsal(&self) -> bool {
        false
    }

    /// Whether the network knows [`Outbound::key`], so that an action sent twice under the same key happens once.
    fn is_idempotent(&self) -> bool {
        false
    }

    /// Fetches the bytes of a file that came with a message, at most `limit_bytes` of them.
    ///
    /// # Errors
    ///
    /// When the file is gone or larger than the limit, or when this transport has no files.
    fn download(
        &self,
        attachment: &Attachment,
        limit_bytes: usize,
    ) -> impl Future<Output = Result<Bytes>> + Send {
        let _ = (attachment, limit_bytes);
        let name = self.name();
        async move { Err(Error::new(format!("the {name} transport carries no files"))) }
    }
}

/// What the other side said of an action that it carried out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sent {
    /// The name of the new message, if the action made one.
    pub id: Option<MessageId>,
}

impl Sent {
    /// An action that made no message.
    pub fn done() -> Self {
        Self::default()
    }

    /// A new message.
    pub fn message(id: MessageId) -> Self {
        Self { id: Some(id) }
    }
}

/// Why an action was not, or perhaps was, carried out. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct SendError {
    outcome: Outcome,
    message: String,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
    limit: Option<Limit>,
}

/// The network has had too much of the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// Of this action; others are not concerned.
    Action,
    /// Of all that the account sends, for so long if the network said so.
    Account(Option<Duration>),
}

/// What is known about an action whose sending failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It did not happen and may be tried again, not before the given time if there is one.
    NotSent(Option<Duration>),
    /// It did not happen, and trying again would not help.
    Refused,
    /// It may have happened: the answer never came.
    Unknown,
}

impl SendError {
    /// The action did not happen and may be tried again.
    pub fn not_sent(message: impl Into<String>) -> Self {
        Self::new(Outcome::NotSent(None), message)
    }

    /// The action did not happen, and the network asks to be left alone for `wait` before it is tried again.
    pub fn not_sent_before(message: impl Into<String>, wait: Duration) -> Self {
        Self::new(Outcome::NotSent(Some(wait)), message)
    }

    /// The action did not happen and may be tried again after `wait`: the network limits it, but not all that the account
    /// sends.
    pub fn limited(message: impl Into<String>, wait: Duration) -> Self {
        Self { limit: Some(Limit::Action), ..Self::new(Outcome::NotSent(Some(wait)), message) }
    }

    /// The other side refused the action for good.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(Outcome::Refused, message)
    }

    /// Nobody knows whether the action happened.
    pub fn unknown(message: impl Into<String>) -> Self {
        Self::new(Outcome::Unknown, message)
    }

    fn new(outcome: Outcome, message: impl Into<String>) -> Self {
        Self { outcome, message: message.into(), source: None, limit: None }
    }

    /// Says that the network limits all that this account sends, whatever became of this action: the bot sends nothing
    /// more for `wait`, or for a minute that doubles up to 15 while the limit holds, and then begins with a single action.
    #[must_use]
    pub fn limiting_account(mut self, wait: Option<Duration>) -> Self {
        self.limit = Some(Limit::Account(wait));
        self
    }

    /// Whether a limit of the network is behind this.
    pub fn is_rate_limited(&self) -> bool {
        self.limit.is_some()
    }

    pub(crate) fn limit(&self) -> Option<Limit> {
        self.limit
    }

    /// How long it takes at least until trying again may help, if the network said so.
    pub fn retry_after(&self) -> Option<Duration> {
        match (self.outcome, self.limit) {
            (Outcome::NotSent(Some(wait)), _) | (_, Some(Limit::Account(Some(wait)))) => Some(wait),
            _ => None,
        }
    }

    /// Forgets the cause, which is not even dropped.
    pub(crate) fn without_cause(mut self) -> Self {
        std::mem::forget(self.source.take());
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into().into());
        self
    }

    /// What is known about the action.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }
}

impl std::fmt::Display for SendError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for SendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.source {
            Some(source) => Some(&**source),
            None => None,
        }
    }
}
