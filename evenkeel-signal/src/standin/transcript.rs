//! What clients asked for, in the order in which it arrived.

use serde::Deserialize;
use serde_json::Value;

/// One request, whether or not it was answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// In upper case.
    pub method: String,
    /// The path as it was sent, still percent-encoded, with its query.
    pub path: String,
    /// Names in lower case, in the order in which they came.
    pub headers: Vec<(String, String)>,
    /// The body, if it was JSON.
    pub body: Option<Value>,
    /// The status of the answer; `None` before the answer, and for ever where there was none.
    pub status: Option<u16>,
}

impl Request {
    /// Returns the first header of that name, which is given in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A `POST /v2/send` that upstream would have handed to signal-cli.
///
/// It is listed when it arrives, before its answer: also a send that was then refused, or never answered.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Sent {
    /// The sending account.
    pub number: String,
    /// Numbers, uuids, usernames, or one group in its REST form.
    pub recipients: Vec<String>,
    /// The hidden singular form that upstream accepts.
    pub(super) recipient: Option<String>,
    /// The text.
    pub message: String,
    /// `normal` or `styled`.
    pub text_mode: Option<String>,
    /// In UTF-16 code units.
    pub mentions: Vec<Mention>,
    /// When the quoted message was sent, in milliseconds since 1970.
    pub quote_timestamp: Option<i64>,
    /// Who sent the quoted message.
    pub quote_author: Option<String>,
    /// What the quoted message said.
    pub quote_message: Option<String>,
    /// Which message this one replaces, in milliseconds since 1970.
    pub edit_timestamp: Option<i64>,
    /// Base64, with or without a `data:` prefix.
    pub base64_attachments: Vec<String>,
    /// `"<pack id>:<sticker id>"`.
    pub sticker: Option<String>,
    /// `{url, title, description, base64_thumbnail}`.
    pub link_preview: Option<Value>,
    /// Whether the attachments vanish once seen.
    pub view_once: bool,
    /// Whether the own account hears of it; upstream takes an absent one as true.
    pub notify_self: Option<bool>,
    /// The timestamp that the message got, in milliseconds since 1970.
    #[serde(skip)]
    pub timestamp: i64,
}

/// A mention in a text that was sent; positions are UTF-16 code units.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Mention {
    /// Where the placeholder starts.
    pub start: u32,
    /// How long the placeholder is.
    pub length: u32,
    /// Number or uuid.
    pub author: String,
}

/// Everything that has happened so far.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Transcript {
    /// The requests in order of arrival; empty under [`Recording::Counts`](super::options::Recording).
    pub requests: Vec<Request>,
    /// The sends in order of arrival; empty under [`Recording::Counts`](super::options::Recording).
    pub sent: Vec<Sent>,
    /// How many requests arrived.
    pub request_count: u64,
    /// How many valid sends arrived.
    pub send_count: u64,
    /// How many frames were handed to a socket, counted once per socket.
    pub delivered: u64,
    /// How many frames were lost, counted once per socket that was too slow, or once if there was none.
    pub dropped: u64,
    /// How many frames reached nobody: there was no socket for them, or every one of them was too slow.
    pub lost: u64,
    /// How many WebSockets are open.
    pub sockets: usize,
    /// How many WebSockets were opened since the start.
    pub sockets_opened: u64,
}

impl Transcript {
    /// Returns the texts that were sent, in order.
    #[must_use]
    pub fn texts(&self) -> Vec<&str> {
        self.sent.iter().map(|sent| sent.message.as_str()).collect()
    }

    /// Returns the requests to paths that start with `prefix`.
    pub fn to<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a Request> {
        self.requests.iter().filter(move |request| request.path.starts_with(prefix))
    }
}
