//! The controls of a running stand-in, and the state behind them.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::AbortHandle;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::answer::{Answer, Route, Script};
use super::options::{Mode, Options, SendShape};
use super::people::{self, Group, Person};
use super::transcript::{Sent, Transcript};

/// How many frames wait for a client that receives by `GET`; the next one is dropped and counted.
const BACKLOG_FRAMES: usize = 10_000;

/// What all connections share. The one lock is held for a few lines at a time and never across an await.
pub(super) struct Server {
    pub(super) options: Options,
    pub(super) frozen: watch::Sender<bool>,
    /// Told whenever the transcript has changed, or frames wait for a `GET`.
    pub(super) changed: Notify,
    runtime: Handle,
    state: Mutex<State>,
}

pub(super) struct State {
    pub(super) transcript: Transcript,
    pub(super) script: Script,
    pub(super) shape: SendShape,
    /// Frames for clients that receive by `GET`, by account.
    pub(super) backlog: HashMap<String, VecDeque<Utf8Bytes>>,
    last_timestamp: i64,
    next_connection: u64,
    connections: HashMap<u64, AbortHandle>,
    sockets: Vec<Socket>,
}

struct Socket {
    connection: u64,
    account: String,
    /// The receiver is the connection's task; it is gone once the socket is.
    frames: mpsc::Sender<Message>,
}

impl Server {
    pub(super) fn new(options: Options, runtime: Handle) -> Self {
        let state = State {
            transcript: Transcript::default(),
            script: Script::default(),
            shape: options.shape,
            backlog: HashMap::new(),
            last_timestamp: options.first_timestamp.map_or(0, |first| first - 1),
            next_connection: 0,
            connections: HashMap::new(),
            sockets: Vec::new(),
        };
        Self {
            options,
            frozen: watch::Sender::new(false),
            changed: Notify::new(),
            runtime,
            state: Mutex::new(state),
        }
    }

    /// A panicking predicate of `wait_for` must not take the server down with it, hence no poisoning.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and tells everybody who waits for something.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.state());
        self.changed.notify_waiters();
        changed
    }

    pub(super) async fn while_frozen(&self) {
        if *self.frozen.borrow() {
            // An error means that the sender is gone, but the sender is in `self`.
            let _ = self.frozen.subscribe().wait_for(|frozen| !frozen).await;
        }
    }

    /// Enters a connection; `spawn` is called under the lock, so that its task cannot end before it is known.
    pub(super) fn enter(&self, spawn: impl FnOnce(u64) -> AbortHandle) {
        let mut state = self.state();
        let id = state.next_connection;
        state.next_connection += 1;
        let task = spawn(id);
        state.connections.insert(id, task);
    }

    /// Forgets a connection that has ended, or that was cut.
    pub(super) fn leave(&self, connection: u64) {
        self.change(|state| {
            state.connections.remove(&connection);
            state.sockets.retain(|socket| socket.connection != connection);
            state.transcript.sockets = state.sockets.len();
        });
    }

    /// Makes a connection a socket: from here on, frames for `account` wait in the channel.
    pub(super) fn open_socket(&self, connection: u64, account: String) -> mpsc::Receiver<Message> {
        let (frames, receiver) = mpsc::channel(self.options.slack);
        self.change(|state| {
            state.sockets.push(Socket {
                connection,
                account,
                frames,
            });
            state.transcript.sockets = state.sockets.len();
            state.transcript.sockets_opened += 1;
        });
        receiver
    }

    pub(super) fn hang_up(&self) {
        self.change(|state| {
            state.sockets.clear();
            state.transcript.sockets = 0;
            for (_, task) in state.connections.drain() {
                task.abort();
            }
        });
    }
}

impl State {
    /// Returns a timestamp, in milliseconds since 1970, that no message had before.
    pub(super) fn tick(&mut self, options: &Options) -> i64 {
        let clock = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_millis() as i64);
        let now = if options.first_timestamp.is_some() {
            0
        } else {
            clock
        };
        self.last_timestamp = now.max(self.last_timestamp + 1);
        self.last_timestamp
    }

    /// Hands `message` to the sockets of `account`, or to all; counts what was lost.
    fn broadcast(&mut self, account: Option<&str>, message: &Message) -> usize {
        let meant = self
            .sockets
            .iter()
            .filter(|socket| account.is_none_or(|meant| meant == socket.account));
        let (mut reached, mut lost) = (0_usize, 0_u64);
        for socket in meant {
            match socket.frames.try_send(message.clone()) {
                Ok(()) => reached += 1,
                Err(_) => lost += 1,
            }
        }
        if reached == 0 && lost == 0 {
            lost = 1;
        }
        self.transcript.delivered += reached as u64;
        self.transcript.dropped += lost;
        reached
    }

    fn store(&mut self, account: &str, frame: Utf8Bytes) -> usize {
        let backlog = self.backlog.entry(account.to_owned()).or_default();
        if backlog.len() >= BACKLOG_FRAMES {
            self.transcript.dropped += 1;
            return 0;
        }
        backlog.push_back(frame);
        1
    }
}

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
        self.deliver(&person.envelope(
            timestamp,
            "dataMessage",
            people::text(timestamp, text, Some(group)),
        ));
        timestamp
    }

    /// Delivers an envelope of any kind to the first account.
    pub fn deliver(&self, envelope: &Value) -> usize {
        self.0
            .options
            .accounts
            .first()
            .map_or(0, |account| self.deliver_to(account, envelope))
    }

    /// Delivers an envelope to the clients of `account`.
    pub fn deliver_to(&self, account: &str, envelope: &Value) -> usize {
        self.frame(
            account,
            json!({"envelope": envelope, "account": account}).to_string(),
        )
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
        self.0
            .change(|state| state.broadcast(None, &Message::Binary(frame.into())))
    }

    /// Delivers `{"error": message}` to every socket, which stays open.
    pub fn error_frame(&self, message: &str) -> usize {
        let frame = json!({"error": message}).to_string();
        self.0
            .change(|state| state.broadcast(None, &Message::Text(frame.into())))
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
        self.0.change(|state| {
            for socket in std::mem::take(&mut state.sockets) {
                if let Some(task) = state.connections.remove(&socket.connection) {
                    task.abort();
                }
            }
            state.transcript.sockets = 0;
        });
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
    /// After 10 s of real time, or [`Options::with_patience`]; the message tells what had happened until then.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only looks.
    pub async fn wait_for(&self, mut reached: impl FnMut(&Transcript) -> bool) -> Transcript {
        // On the stand-in's runtime, whose clock is never paused. Dropping the handle leaves a timer behind
        // that ends with the runtime at the latest.
        let patience = self.0.options.patience;
        let mut patience = self
            .0
            .runtime
            .spawn(async move { tokio::time::sleep(patience).await });
        loop {
            let changed = self.0.changed.notified();
            tokio::pin!(changed);
            // Before looking, or a change between the look and the wait would be missed.
            changed.as_mut().enable();
            if let Some(transcript) = self.0.state().transcript_if(&mut reached) {
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

impl State {
    fn transcript_if(&self, reached: &mut impl FnMut(&Transcript) -> bool) -> Option<Transcript> {
        reached(&self.transcript).then(|| self.transcript.clone())
    }
}

impl fmt::Debug for Switchboard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Switchboard")
            .field("options", &self.0.options)
            .finish_non_exhaustive()
    }
}
