//! What a stand-in is like before its first request.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::people::{BOT, Group};
use super::switchboard::Switchboard;
use super::transcript::Sent;

pub(super) type OnSend = Arc<dyn Fn(&Switchboard, &Sent) + Send + Sync>;
pub(super) type OnSocket = Arc<dyn Fn() + Send + Sync>;

/// The mode that `/v1/about` reports, which decides how messages are received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// `json-rpc`: receive is a WebSocket, and frames are lost while nobody reads.
    JsonRpc,
    /// `normal`: receive is a destructive `GET`.
    Normal,
    /// `native`: as `normal`.
    Native,
}

impl Mode {
    /// Returns the word that `/v1/about` shows.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::JsonRpc => "json-rpc",
            Self::Normal => "normal",
            Self::Native => "native",
        }
    }
}

/// The shape in which a successful `POST /v2/send` is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendShape {
    /// An object, up to and including 0.100.
    Released,
    /// An array with room for `errors`, on master since `6a225e6`.
    Master,
}

/// How much a stand-in remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Recording {
    /// Every request and its body, without bound: for tests.
    Everything,
    /// Only the counters: for the benchmark and for long runs.
    Counts,
}

/// Everything that can be chosen before a stand-in starts.
#[derive(Clone)]
#[must_use]
pub struct Options {
    pub(super) address: SocketAddr,
    pub(super) accounts: Vec<String>,
    pub(super) mode: Mode,
    pub(super) version: String,
    pub(super) shape: SendShape,
    pub(super) recording: Recording,
    pub(super) slack: usize,
    pub(super) ping_interval: Duration,
    pub(super) patience: Duration,
    pub(super) first_timestamp: Option<i64>,
    pub(super) groups: Vec<Group>,
    pub(super) attachments: Vec<(String, Vec<u8>)>,
    pub(super) on_send: Option<OnSend>,
    pub(super) on_socket: Option<OnSocket>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            accounts: vec![BOT.to_owned()],
            mode: Mode::JsonRpc,
            version: "0.100".to_owned(),
            shape: SendShape::Released,
            recording: Recording::Everything,
            slack: 65_536,
            ping_interval: Duration::from_secs(54),
            patience: Duration::from_secs(10),
            first_timestamp: None,
            groups: Vec::new(),
            attachments: Vec::new(),
            on_send: None,
            on_socket: None,
        }
    }
}

impl Options {
    /// Listens on `address` in place of a free port of 127.0.0.1, as a restarted server would.
    pub fn with_address(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// Serves the account `number` alone, in place of `+15550100000`; everybody else is unknown.
    pub fn with_account(mut self, number: impl Into<String>) -> Self {
        self.accounts = vec![number.into()];
        self
    }

    /// Serves one more account.
    pub fn with_another_account(mut self, number: impl Into<String>) -> Self {
        self.accounts.push(number.into());
        self
    }

    /// Runs in `mode` in place of [`Mode::JsonRpc`].
    pub fn with_mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Reports `version` in place of `0.100`; builds from source upstream report `unset`.
    pub fn with_version(mut self, version: impl Into<String>) -> Self {
        self.version = version.into();
        self
    }

    /// Answers sends in `shape` in place of [`SendShape::Released`].
    pub fn with_send_shape(mut self, shape: SendShape) -> Self {
        self.shape = shape;
        self
    }

    /// Remembers as `recording` says, in place of [`Recording::Everything`].
    pub fn with_recording(mut self, recording: Recording) -> Self {
        self.recording = recording;
        self
    }

    /// Lets `frames` wait for a slow reader before the next one is dropped; 65,536 unless told.
    ///
    /// Upstream has room for none: a frame that finds the socket's writer busy is lost. 1 is nearest to that;
    /// 0 counts as 1, because a channel without room could never deliver.
    pub fn with_slack(mut self, frames: usize) -> Self {
        self.slack = frames.max(1);
        self
    }

    /// Pings each socket every `interval` in place of 54 s.
    ///
    /// # Panics
    ///
    /// If `interval` is zero.
    #[track_caller]
    pub fn with_ping_interval(mut self, interval: Duration) -> Self {
        assert!(!interval.is_zero(), "a ping interval must be longer than zero");
        self.ping_interval = interval;
        self
    }

    /// Lets [`Switchboard::wait_for`] wait for `patience` of real time before it panics; 10 s unless told.
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Counts timestamps up from `milliseconds` since 1970 in place of the system clock: repeatable runs.
    pub fn with_first_timestamp(mut self, milliseconds: i64) -> Self {
        self.first_timestamp = Some(milliseconds);
        self
    }

    /// Lists `group` in `GET /v1/groups/{number}`.
    pub fn with_group(mut self, group: Group) -> Self {
        self.groups.push(group);
        self
    }

    /// Serves `bytes` at `GET /v1/attachments/{id}`.
    pub fn with_attachment(mut self, id: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        self.attachments.push((id.into(), bytes.into()));
        self
    }

    /// Calls `notice` for each valid `POST /v2/send`, on the stand-in's thread, before it is answered.
    ///
    /// It may deliver further frames; it must not block, for nothing else is served meanwhile.
    pub fn on_send(mut self, notice: impl Fn(&Switchboard, &Sent) + Send + Sync + 'static) -> Self {
        self.on_send = Some(Arc::new(notice));
        self
    }

    /// Calls `notice` for each WebSocket that a client opens, on the stand-in's thread, once frames reach it.
    ///
    /// It must not block, for nothing else is served meanwhile.
    pub fn on_socket(mut self, notice: impl Fn() + Send + Sync + 'static) -> Self {
        self.on_socket = Some(Arc::new(notice));
        self
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("address", &self.address)
            .field("mode", &self.mode)
            .field("shape", &self.shape)
            .field("recording", &self.recording)
            .finish_non_exhaustive()
    }
}
