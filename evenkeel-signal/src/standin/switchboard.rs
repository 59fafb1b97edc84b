//! The controls of a running stand-in.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::answer::{Answer, Route};
use super::options::{Mode, SendShape};
use super::people::{self, Group, Person};
use super::server::Server;
use super::transcript::{Sent, Transcript};

/// The controls of a stand-in, for tests, callbacks and other threads.
///
/// Whatever injects a frame returns how many clients it was handed to. 0 means that it is lost, as upstream.
#[derive(Clone)]
pub struct Switchboard(Arc<Server>);

impl Switchboard {
    pub(super) fn new(server: Arc<Server>) -> Self {
        Self(server)
    }

    /// Lets `person` write `text` to the bot; returns the timestamp, which with the uuid names the message.
    pub fn say(&self, person: &Person, text: &str) -> i64 {
        let timestamp = self.timestamp();
        self.deliver(&person.envelope(timestamp, "dataMessage", people::text(timestamp, text, None)));
        timestamp
    }

    /// Lets `person` write `text` in `group`; returns the timestamp.
    pub fn say_in_group(&self, person: &Person, group: &Group, text: &str) -> i64 {
        let timestamp = self.timestamp();
        self.deliver(&person.envelope(timestamp, "dataMessage", people::text(timestamp, text, Some(group))));
        timestamp
    }

    /// Delivers an envelope of any kind to the first account.
    pub fn deliver(&self, envelope: &Value) -> usize {
        self.0.options.accounts.first().map_or(0, |account| self.deliver_to(account, envelope))
    }

    /// Delivers an envelope to the clients of `account`.
    pub fn deliver_to(&self, account: &str, envelope: &Value) -> usize {
        self.frame(account, json!({"envelope": envelope, "account": account}).to_string())
    }

    /// Delivers a text frame, whatever is in it, to the clients of `account`.
    pub fn frame(&self, account: &str, frame: impl Into<String>) -> usize {
        let frame = Utf8Bytes::from(frame.into());
        self.0.change(|state| match self.0.options.mode {
            Mode::JsonRpc => state.broadcast(Some(account), &Message::Text(frame)),
            Mode::Normal | Mode::Native => state.store(account, frame),
        })
    }

    /// Delivers a binary frame, which upstream never does, to every socket.
    pub fn binary_frame(&self, frame: impl Into<Bytes>) -> usize {
        self.0.change(|state| state.broadcast(None, &Message::Binary(frame.into())))
    }

    /// Delivers `{"error": message}` to every socket, which stays open.
    pub fn error_frame(&self, message: &str) -> usize {
        let frame = json!({"error": message}).to_string();
        self.0.change(|state| state.broadcast(None, &Message::Text(frame.into())))
    }

    /// Returns a timestamp that no message had before, in milliseconds since 1970.
    #[must_use]
    pub fn timestamp(&self) -> i64 {
        self.0.state().tick(&self.0.options)
    }

    /// Answers the next requests to `route` with `answers`, one each, before the standing answer counts again.
    pub fn answer_next(&self, route: Route, answers: impl IntoIterator<Item = Answer>) {
        self.0.state().script.extend(route, answers);
    }

    /// Answers all requests to `route` with `answer` from now on; [`Answer::Usual`] ends that.
    pub fn answer_always(&self, route: Route, answer: Answer) {
        self.0.state().script.set(route, answer);
    }

    /// Answers sends in `shape` from now on, as after an upgrade.
    pub fn set_send_shape(&self, shape: SendShape) {
        self.0.state().shape = shape;
    }

    /// Closes every connection at once, without a close frame and in the middle of whatever it was doing.
    pub fn cut(&self) {
        self.0.hang_up();
    }

    /// Closes every WebSocket without a close frame; requests under way go on.
    pub fn cut_sockets(&self) {
        self.0.cut_sockets(usize::MAX);
    }

    /// Closes the oldest WebSocket without a close frame.
    pub fn cut_oldest_socket(&self) {
        self.0.cut_sockets(1);
    }

    /// Lets the WebSockets that are open now read nothing more, so that no ping is answered on them; frames still go out.
    pub fn deafen_sockets(&self) {
        self.0.deafen_sockets();
    }

    /// Goes silent with every connection open: nothing is read, answered, pinged or accepted until `thaw`.
    pub fn freeze(&self) {
        self.0.frozen.send_replace(true);
    }

    /// Goes on after `freeze`; frames that were delivered meanwhile arrive now.
    pub fn thaw(&self) {
        self.0.frozen.send_replace(false);
    }

    /// Returns a copy of everything that has happened.
    #[must_use]
    pub fn transcript(&self) -> Transcript {
        self.0.state().transcript.clone()
    }

    /// Waits until `reached` holds, and returns the transcript of that moment.
    ///
    /// `reached` is called under the stand-in's lock: it may look at its argument, not at the switchboard.
    ///
    /// # Panics
    ///
    /// After 10 s of real time, or as long as
    /// [`Options::with_patience`](super::options::Options::with_patience) says; the message tells what had
    /// happened until then.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only looks.
    pub async fn wait_for(&self, mut reached: impl FnMut(&Transcript) -> bool) -> Transcript {
        // On the stand-in's runtime, whose clock is never paused. Dropping the handle leaves a timer behind
        // that ends with the runtime at the latest.
        let patience = self.0.options.patience;
        let mut patience = self.0.runtime.spawn(async move { tokio::time::sleep(patience).await });
        loop {
            let changed = self.0.changed.notified();
            tokio::pin!(changed);
            // Before looking, or a change between the look and the wait would be missed.
            changed.as_mut().enable();
            if let Some(transcript) = self.0.transcript_if(&mut reached) {
                patience.abort();
                return transcript;
            }
            tokio::select! {
                () = changed => {}
                _ = &mut patience => panic!("the stand-in waited in vain; so far: {:#?}", self.transcript()),
            }
        }
    }

    /// Waits for `count` sends in all and returns them; panics as [`wait_for`](Self::wait_for) does.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn wait_for_sends(&self, count: usize) -> Vec<Sent> {
        self.wait_for(|so_far| so_far.sent.len() >= count).await.sent
    }

    /// Waits until `count` WebSockets are open; panics as [`wait_for`](Self::wait_for) does.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn wait_for_sockets(&self, count: usize) {
        self.wait_for(|so_far| so_far.sockets == count).await;
    }
}

impl fmt::Debug for Switchboard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Switchboard").field("options", &self.0.options).finish_non_exhaustive()
    }
}
