//! What a store keeps: events, replies, steps, values and jobs, with the few numbers that say how each of them stands.
//!
//! A row is put and deleted whole; in between, its numbers are marked. Which of that happens, and when, is decided in
//! [`rules`](super::rules). A store looks into no body.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;

use super::body::Body;
use super::content::Content;
use super::given_up::{Dead, DeadId, Reason};
use super::id::{EventId, ReplyId, Scope};
use super::planned::Job;
use crate::event::MessageId;

/// What became of a command is known for this long at least: a process that left one waits three seconds for it, and may be held up.
pub(crate) const OUTCOME_KEPT: Duration = Duration::from_secs(120);

/// How an event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventState {
    /// What becomes of it.
    pub stage: EventStage,
    /// How often its handler has begun.
    pub attempts: u32,
    /// How often the process ended while its handler was running.
    pub crashes: u32,
    /// Whether its handler has ever begun, also before a replay.
    pub has_begun: bool,
    /// Not to be tried before this time, in milliseconds since 1970; 0 for at once.
    pub due_ms: u64,
}

/// What becomes of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventStage {
    /// It waits for its handler.
    Ready,
    /// Its handler runs.
    Running,
    /// Its handler waits for a person.
    Suspended,
    /// It was given up.
    Dead,
    /// It was given up, and its conversation waits for the operator.
    Parked,
}

impl EventStage {
    /// Whether it is in the list of dead letters.
    pub fn is_dead(self) -> bool {
        matches!(self, Self::Dead | Self::Parked)
    }
}

/// How a reply stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyState {
    /// What becomes of it.
    pub stage: ReplyStage,
    /// How often it was tried.
    pub attempts: u32,
    /// Not to be tried before this time, in milliseconds since 1970; 0 for at once.
    pub due_ms: u64,
    /// Whether it has files, which a store may keep apart: [`Key::Files`] deletes them.
    pub has_files: bool,
}

/// What becomes of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyStage {
    /// It was promised.
    Pending,
    /// It is being sent.
    Sending,
    /// It was sent, and its event is not done: a second attempt must not repeat it.
    Sent,
    /// It was given up.
    Dead,
    /// It was dead, and is replayed or discarded: the fact is left for the next attempt of its event.
    Decided,
}

impl ReplyStage {
    /// Whether it may still be sent.
    pub fn is_unsent(self) -> bool {
        matches!(self, Self::Pending | Self::Sending)
    }

    /// Whether nothing but the fact is left of it.
    pub fn is_fact(self) -> bool {
        matches!(self, Self::Sent | Self::Decided)
    }
}

/// Why, and with what error, something was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Death<'a> {
    /// Why.
    pub reason: Reason,
    /// The error with its causes.
    pub error: Cow<'a, str>,
    /// The command, if one was found.
    pub command: Cow<'a, str>,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
}

impl Death<'_> {
    /// The same, to keep.
    pub fn into_owned(self) -> Death<'static> {
        let Self { reason, error, command, at_ms } = self;
        let (error, command) = (Cow::Owned(error.into_owned()), Cow::Owned(command.into_owned()));
        Death { reason, error, command, at_ms }
    }
}

/// A dead letter as a store has it: what a [`Reader`](super::store::Reader) makes a [`Dead`] of.
#[derive(Debug)]
pub struct DeadRow<'a> {
    /// Its name.
    pub id: DeadId,
    /// The id of its conversation.
    pub conversation: String,
    /// How often it was tried.
    pub attempts: u32,
    /// Why it was given up.
    pub death: Death<'a>,
    /// What came in, or what was to go out.
    pub body: Body<'static>,
}

impl From<DeadRow<'_>> for Dead {
    fn from(row: DeadRow<'_>) -> Self {
        let DeadRow { id, conversation, attempts, death, body } = row;
        let content = match id {
            DeadId::Event(_) => Content::event(body),
            DeadId::Reply(bits, index) => {
                Content::reply(ReplyId { event: EventId::from_bits(bits), index }, body)
            }
        };
        let Death { reason, error, command, at_ms } = death;
        let (error, command) = (error.into_owned(), command.into_owned());
        Self { id, reason, error, command, conversation, attempts, at_ms, content }
    }
}

/// One event with all that hangs on it.
#[derive(Debug, Default)]
pub struct Parts {
    /// The event; `None` when it is done, and of a reply that was replayed.
    pub event: Option<EventRow>,
    /// Its replies, by number.
    pub replies: Vec<ReplyRow>,
    /// The results of its steps, by name.
    pub steps: Vec<(String, Bytes)>,
}

/// An event that is kept.
#[derive(Debug)]
pub struct EventRow {
    /// Its number.
    pub id: EventId,
    /// How it stands. Where a store could not read that, it is ready and has an empty body: then it becomes a dead letter.
    pub state: EventState,
    /// What came in.
    pub body: Body<'static>,
}

/// A reply that is kept.
#[derive(Debug)]
pub struct ReplyRow {
    /// Its name.
    pub id: ReplyId,
    /// How it stands; as of an event.
    pub state: ReplyState,
    /// The command that promised it; empty if none did.
    pub command: String,
    /// The message that it made, once it was sent.
    pub sent_id: Option<MessageId>,
    /// What goes out.
    pub body: Body<'static>,
}

/// A change of what is kept. Each holds whether or not the row is there, so that it may be made twice.
#[derive(Debug, Clone)]
pub enum Change<'a> {
    /// Puts a row, in the place of one with the same key.
    Put(Row<'a>),
    /// Changes the numbers of a row.
    Mark(Mark<'a>),
    /// Deletes a row, and nothing else.
    Delete(Key<'a>),
}

/// A row that is put.
#[derive(Debug, Clone)]
pub enum Row<'a> {
    /// A reply.
    Reply {
        /// Its name. Where its number is higher than any that the partition gave out, that one is not given out any more.
        id: ReplyId,
        /// How it stands.
        state: ReplyState,
        /// The id of its conversation.
        conversation: &'a str,
        /// The command that promised it; empty if none did.
        command: &'a str,
        /// The message that it made, once it was sent.
        sent_id: Option<&'a MessageId>,
        /// What goes out.
        body: Body<'a>,
    },
    /// The result of a step of an event.
    Step(EventId, &'a str, &'a Bytes),
    /// A value.
    Value(Scope<'a>, &'a str, &'a Bytes),
}

/// New numbers for a row.
#[derive(Debug, Clone)]
pub enum Mark<'a> {
    /// An event, and why it was given up: nothing where it is not.
    Event(EventId, EventState, Option<Death<'a>>),
    /// A reply, and why it was given up: nothing where it is not. Without a death it keeps its command.
    Reply(ReplyId, ReplyState, Option<Death<'a>>),
    /// When a job is due next, in milliseconds since 1970.
    Job(u64, u64),
    /// What became of an operator's command. A store keeps it for two minutes at least, and may forget the command with it after
    /// that; its number is given to no other one.
    Command(u64, String),
}

/// Which row is deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key<'a> {
    /// An event.
    Event(EventId),
    /// A reply.
    Reply(ReplyId),
    /// The files of a reply.
    Files(ReplyId),
    /// All steps of an event.
    Steps(EventId),
    /// A value.
    Value(Scope<'a>, &'a str),
    /// A job, by its number.
    Job(u64),
}

/// A row that gets its number from the store.
#[derive(Debug, Clone)]
pub enum NewRow<'a> {
    /// An event.
    Event {
        /// What came in.
        body: Body<'a>,
        /// How it stands.
        state: EventState,
        /// The results of its steps, by name, which an earlier attempt left to it under the number that it had before a replay.
        steps: Vec<(String, Bytes)>,
        /// What became of its replies in that attempt: the number of each, how it stands, and the message that it made.
        replies: Vec<(u32, ReplyState, Option<MessageId>)>,
    },
    /// A reply that comes by itself, such as a dead one that has another chance, or one that was said outside of any event: it becomes
    /// the first reply of its new number, in the partition of its own conversation.
    Reply {
        /// What goes out.
        body: Body<'a>,
        /// How it stands.
        state: ReplyState,
        /// The command that promised it; empty if none did.
        command: Cow<'a, str>,
        /// What follows it in the same conversation, each with how it stands: the next replies of the same number, kept and known
        /// together with it.
        more: Vec<(Body<'a>, ReplyState)>,
    },
    /// A job. One of the same name is replaced; if `keeps_due` and their bodies are the same, it is left as it is and is known.
    Job {
        /// Its name.
        name: &'a str,
        /// When it is due, in milliseconds since 1970.
        due_ms: u64,
        /// What is to be done.
        body: &'a Bytes,
        /// Whether the same one keeps the time at which it is due.
        keeps_due: bool,
    },
    /// A command of the operator's, for the owner.
    Command(Bytes),
}

/// Which job is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobKey<'a> {
    /// By its number.
    Id(u64),
    /// By its name.
    Name(&'a str),
}

/// Jobs, and when the first one that is not among them is due.
pub type Due = (Vec<Job>, Option<u64>);
