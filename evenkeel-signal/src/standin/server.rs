//! What all connections of a stand-in share.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::AbortHandle;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::answer::Script;
use super::options::{Options, SendShape};
use super::transcript::Transcript;

/// How many frames wait for a client that receives by `GET`; the next one is dropped and counted.
const BACKLOG_FRAMES: usize = 10_000;

/// What all connections share. The one lock is held for a few lines at a time and never across an await.
pub(super) struct Server {
    pub(super) options: Options,
    pub(super) frozen: watch::Sender<bool>,
    /// Sockets of connections with a smaller number read nothing.
    pub(super) deaf_below: AtomicU64,
    /// Told whenever the transcript has changed, or frames wait for a `GET`.
    pub(super) changed: Notify,
    pub(super) runtime: Handle,
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
            deaf_below: AtomicU64::new(0),
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
            state.sockets.push(Socket { connection, account, frames });
            state.transcript.sockets = state.sockets.len();
            state.transcript.sockets_opened += 1;
        });
        if let Some(notice) = &self.options.on_socket {
            notice();
        }
        receiver
    }

    /// Returns a copy of the transcript if `reached` holds.
    pub(super) fn transcript_if(&self, reached: &mut impl FnMut(&Transcript) -> bool) -> Option<Transcript> {
        let state = self.state();
        reached(&state.transcript).then(|| state.transcript.clone())
    }

    pub(super) fn deafen_sockets(&self) {
        let next = self.state().next_connection;
        self.deaf_below.store(next, Ordering::Relaxed);
        // Wakes them, or the next ping would still be read.
        self.frozen.send_modify(|_| {});
    }

    /// Cuts at most this many sockets, the oldest first.
    pub(super) fn cut_sockets(&self, most: usize) {
        self.change(|state| {
            let count = most.min(state.sockets.len());
            for socket in state.sockets.drain(..count) {
                if let Some(task) = state.connections.remove(&socket.connection) {
                    task.abort();
                }
            }
            state.transcript.sockets = state.sockets.len();
        });
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
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
        let now = if options.first_timestamp.is_some() { 0 } else { clock };
        self.last_timestamp = now.max(self.last_timestamp + 1);
        self.last_timestamp
    }

    /// Hands `message` to the sockets of `account`, or to all; counts what was lost.
    pub(super) fn broadcast(&mut self, account: Option<&str>, message: &Message) -> usize {
        let meant = self.sockets.iter().filter(|socket| account.is_none_or(|meant| meant == socket.account));
        let (mut reached, mut lost) = (0_usize, 0_u64);
        for socket in meant {
            match socket.frames.try_send(message.clone()) {
                Ok(()) => reached += 1,
                Err(_) => lost += 1,
            }
        }
        if reached == 0 {
            self.transcript.lost += 1;
            lost = lost.max(1);
        }
        self.transcript.delivered += reached as u64;
        self.transcript.dropped += lost;
        reached
    }

    /// Keeps a frame for the next `GET`.
    pub(super) fn store(&mut self, account: &str, frame: Utf8Bytes) -> usize {
        let backlog = self.backlog.entry(account.to_owned()).or_default();
        if backlog.len() >= BACKLOG_FRAMES {
            self.transcript.dropped += 1;
            self.transcript.lost += 1;
            return 0;
        }
        backlog.push_back(frame);
        1
    }
}
