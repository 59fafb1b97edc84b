//! What was given up, and which of it is meant.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::content::{Content, Read};
use super::id::EventId;
use super::left::{PendingEvent, PendingReply};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::reply::Outbound;
use crate::reserved;

/// Why something was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// The handler failed, and trying again was of no use or not asked for.
    Failed,
    /// The handler panicked.
    Panicked,
    /// The process ended several times while the handler was running.
    Poison,
    /// The record of the event cannot be read.
    Unreadable,
    /// The network refused the reply.
    Refused,
    /// The reply could not be sent, as often as it was tried.
    NotSent,
    /// Nobody knows whether the reply arrived.
    Unknown,
    /// The handler failed, and its conversation waits for the operator: the event keeps its place.
    Parked,
    /// The network limits the account: it refused the reply, or nobody knows whether it took it. An event whose handler
    /// failed for that reason has it, too.
    RateLimited,
    /// The bot is not on its network any more, or was started without it.
    NoNetwork,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Failed,
        Self::Panicked,
        Self::Poison,
        Self::Unreadable,
        Self::Refused,
        Self::NotSent,
        Self::Unknown,
        Self::Parked,
        Self::RateLimited,
        Self::NoNetwork,
    ];

    /// One word for tables and options.
    pub fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Panicked => "panicked",
            Self::Poison => "poison",
            Self::Unreadable => "unreadable",
            Self::Refused => "refused",
            Self::NotSent => "not_sent",
            Self::Unknown => "unknown",
            Self::Parked => "parked",
            Self::RateLimited => "rate_limited",
            Self::NoNetwork => "no_network",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The name of a dead letter: `17` for an event, `17.2` for a reply, with the partition before it where there are several,
/// `3:17`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum DeadId {
    /// An event, by number.
    Event(u64),
    /// A reply, by key.
    Reply(u64, u32),
}

impl fmt::Display for DeadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event(event) => write!(f, "{}", EventId::from_bits(*event)),
            Self::Reply(event, index) => write!(f, "{}.{index}", EventId::from_bits(*event)),
        }
    }
}

impl FromStr for DeadId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let event = |text: &str| text.parse().ok().map(EventId::bits);
        let id = match text.split_once('.') {
            None => event(text).map(Self::Event),
            Some((of, reply)) => {
                event(of).zip(reply.parse().ok()).map(|(event, reply)| Self::Reply(event, reply))
            }
        };
        id.ok_or_else(|| Error::new("that is no ID: it is `17` for an event, `17.2` for a reply"))
    }
}

/// An event or a reply that was given up. What it is about is read when somebody asks for it: without that, a list of very
/// many is at hand at once.
#[derive(Clone)]
#[non_exhaustive]
pub struct Dead {
    /// Its name.
    pub id: DeadId,
    /// Why.
    pub reason: Reason,
    /// The error with its causes.
    pub error: String,
    /// The command, if one was found.
    pub command: String,
    /// The name of its conversation in the record: the id, on the primary network. [`title`](super::title) shows it.
    pub conversation: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was given up, in milliseconds since 1970.
    pub at_ms: u64,
    /// The event or the reply.
    pub(crate) content: Content,
}

/// A dead letter with all that is in it.
#[derive(Serialize)]
struct Whole<'a> {
    #[serde(serialize_with = "as_text")]
    id: DeadId,
    reason: Reason,
    error: &'a str,
    command: &'a str,
    conversation: Cow<'a, str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    network: &'a str,
    attempts: u32,
    at_ms: u64,
    event: Option<&'a Event>,
    reply: Option<&'a Outbound>,
}

impl Dead {
    /// The event; `None` for a reply, or when it cannot be read.
    pub fn event(&self) -> Option<&Event> {
        if let Read::Event(event) = self.content.read() { Some(event) } else { None }
    }

    /// The reply; `None` for an event, or when it cannot be read.
    pub fn reply(&self) -> Option<&Outbound> {
        if let Read::Reply(reply) = self.content.read() { Some(reply) } else { None }
    }

    fn whole(&self) -> Whole<'_> {
        Whole {
            id: self.id,
            reason: self.reason,
            error: &self.error,
            command: &self.command,
            conversation: reserved::shown(&self.conversation),
            network: reserved::split(&self.conversation).0,
            attempts: self.attempts,
            at_ms: self.at_ms,
            event: self.event(),
            reply: self.reply(),
        }
    }
}

impl fmt::Debug for Dead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut told = f.debug_struct("Dead");
        told.field("id", &self.id).field("reason", &self.reason).field("error", &self.error);
        told.field("command", &self.command).field("conversation", &self.conversation);
        told.field("attempts", &self.attempts).field("at_ms", &self.at_ms);
        told.field("event", &self.event()).field("reply", &self.reply()).finish()
    }
}

impl Serialize for Dead {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.whole().serialize(serializer)
    }
}

pub(super) fn as_text<S: serde::Serializer>(id: &DeadId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

/// Which dead letters are meant: those that fit everything that is given here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadFilter {
    /// This one.
    pub id: Option<DeadId>,
    /// Those of this command.
    pub command: Option<String>,
    /// Those given up for this reason.
    pub reason: Option<Reason>,
    /// Those of the conversation that has this name in the record: its id, on the primary network. [`titled`](super::titled) has the names
    /// for what people type.
    pub conversation: Option<String>,
    /// Those after this one, in the order of the list: by the time at which they were given up, in milliseconds since 1970;
    /// of the same time, events before replies, each by number.
    pub after: Option<(u64, DeadId)>,
    /// At most this many; `None` for all.
    pub limit: Option<usize>,
}

/// Dead letters that have another chance.
#[derive(Debug, Default, Clone)]
pub struct Replayed {
    /// Events, under new numbers, in order. Their facts are kept, their attempts begin anew.
    pub events: Vec<PendingEvent>,
    /// Replies, under new keys, in order.
    pub replies: Vec<PendingReply>,
    /// Dead replies of these events, gone from the list: the handlers run again, and have these to send themselves.
    pub anew: Vec<DeadId>,
    /// Parked events that keep their number and their place, and are tried again.
    pub unparked: Vec<u64>,
    /// Parked events that another process has discarded: their conversations go on.
    pub discarded: Vec<u64>,
}
