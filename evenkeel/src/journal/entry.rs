//! What a journal is told, and what it answers.

use std::sync::Arc;

use bytes::Bytes;

use super::given_up::{Dead, DeadFilter, Reason, Replayed};
use super::left::Page;
use super::listing::Listing;
use super::planned::{Job, NewJob};
use crate::event::{Event, MessageId};
use crate::reply::{Outbound, SendKey};

/// One thing for a journal to write, to answer or to do. Times are milliseconds since 1970.
///
/// An event is named by its `sequence`, the number that [`Acceptance::New`] gave it; a reply by its [`SendKey`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Entry {
    /// An event came in. Unless it is known already, it gets the next number. Answered by [`Answer::Accepted`].
    Accept {
        /// What came in.
        event: Event,
        /// When, in milliseconds since 1970.
        now_ms: u64,
        /// Whether its handler starts as soon as this is written: the same as an [`EventEntry::Begin`] right after it.
        begins: bool,
    },
    /// How the event with this number fares.
    Event(u64, EventEntry),
    /// A reply was promised.
    Promise {
        /// What, where, and its key. A key that is known already is left as it is.
        outbound: Outbound,
        /// The command that promises it, if one does.
        command: String,
        /// Whether it is sent as soon as this is written: the same as a [`ReplyEntry::Sending`] right after it.
        begins: bool,
    },
    /// How the reply with this key fares.
    Reply(SendKey, ReplyEntry),
    /// Something is said outside of any event: all of it is kept, or nothing. Answered by [`Answer::Said`].
    Say {
        /// Each by itself: none knows of the others.
        said: Vec<Said>,
        /// The command by which they are known as dead letters.
        command: String,
        /// When, in milliseconds since 1970.
        now_ms: u64,
    },
    /// Keeps a value for a conversation, or forgets it.
    Remember {
        /// The conversation's id.
        conversation: String,
        /// Which of its values.
        name: String,
        /// The value; `None` forgets it.
        value: Option<Bytes>,
    },
    /// A source has been read up to here. It is written with the events of its batch, and an earlier position of that source is
    /// forgotten.
    Cursor {
        /// The source's name.
        source: Arc<str>,
        /// The position, as the transport wrote it.
        position: Bytes,
    },
    /// Keeps a job until it is due. One of the same name is replaced. Answered by [`Answer::Scheduled`].
    Schedule(NewJob),
    /// Forgets the job of this name. Answered by [`Answer::Count`]: 1, or 0 when there was none.
    Cancel {
        /// The job.
        name: String,
        /// Only if it belongs to the conversation with this id; `None` for any.
        conversation: Option<String>,
    },
    /// A due job becomes an event, unless it was cancelled or moved meanwhile. Answered by [`Answer::Accepted`], or
    /// [`Answer::Count`] of 0 when there is nothing to fire.
    Fire {
        /// The job.
        job: u64,
        /// When it was due; if that is not so any more, nothing is fired.
        due_ms: u64,
        /// What it becomes. `None` moves the job to its next time without an event.
        event: Option<Event>,
        /// As in [`Entry::Accept`].
        begins: bool,
        /// When it is due again; without this, the job is gone.
        next_ms: Option<u64>,
        /// The present time, in milliseconds since 1970.
        now_ms: u64,
    },
    /// A question about what is kept. It is answered when all else of its batch is written.
    Query(Query),
    /// A command of the operator's, which is a commit of its own.
    Operator(OperatorEntry),
}

/// What is said at once in one conversation, outside of any event.
#[derive(Debug, Clone)]
pub struct Said {
    /// What goes out, in order; at least one. Each gets its key from the answer: the number with its own place here.
    pub outbound: Vec<Outbound>,
    /// By what it is known when it comes once more, among all that the journal knows again.
    pub id: Option<String>,
    /// Whether the first of it is sent as soon as this is written: the same as a [`ReplyEntry::Sending`] right after it.
    pub begins: bool,
}

/// How an event fares that was accepted.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum EventEntry {
    /// An attempt to handle it begins: should the process end before it does, the event is tried alone at the next start, as a crash probe.
    Begin,
    /// Its handler waits for a person. Should the process end, that is no fault of the event's, and the attempt does not
    /// count.
    Suspend,
    /// The attempt failed, and another one follows.
    Retry {
        /// Not before this time.
        due_ms: u64,
    },
    /// The attempt was cut short by a bot that stops: it does not count.
    Return,
    /// It is done. What was recorded of it goes: steps, sent replies, its content. That it came is remembered.
    Done,
    /// It was given up: it becomes a dead letter.
    DeadLetter {
        /// Why.
        reason: Reason,
        /// The error with its causes.
        error: String,
        /// The command, if one was found.
        command: String,
        /// When, in milliseconds since 1970.
        now_ms: u64,
    },
    /// The result of a named step, for its next attempt. A name that is known already is left as it is.
    Step {
        /// The step.
        name: String,
        /// Its result.
        value: Bytes,
    },
}

/// How a reply fares that was promised.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ReplyEntry {
    /// It is about to be sent: should the process end before its fate is known, nobody knows it.
    Sending {
        /// Whether a power cut may undo this, and the reply may then be sent again.
        is_lazy: bool,
    },
    /// It was sent. That is remembered until its event is done, so that a second attempt does not repeat it.
    Sent {
        /// The message that it made.
        id: Option<MessageId>,
    },
    /// It was certainly not sent, and will be tried again.
    Postpone {
        /// Not before this time.
        due_ms: u64,
    },
    /// It was given up: it becomes a dead letter.
    DeadLetter {
        /// Why.
        reason: Reason,
        /// The error with its causes.
        error: String,
        /// The command that promised it, if one did.
        command: String,
        /// When, in milliseconds since 1970.
        now_ms: u64,
    },
    /// It is neither sent nor kept, because the author chose so.
    Drop,
}

/// A question about what is kept.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Query {
    /// Asks for a value of a conversation. Answered by [`Answer::Recalled`].
    Recall {
        /// The conversation's id.
        conversation: String,
        /// Which of its values.
        name: String,
    },
    /// Asks for the jobs that are due, the earliest first. Answered by [`Answer::Due`].
    Due {
        /// Due at this time or before.
        until_ms: u64,
        /// At most this many.
        limit: usize,
    },
    /// Asks for jobs, the earliest first. Answered by [`Answer::Due`].
    Jobs {
        /// Those of the conversation with this id; `None` for all.
        conversation: Option<String>,
        /// After this job (its due time and number); `None` begins with the first.
        after: Option<(u64, u64)>,
        /// At most this many.
        limit: usize,
    },
    /// The same for an operator, who may ask for many. Answered by [`Answer::Jobs`].
    ListJobs {
        /// As in [`Query::Jobs`].
        conversation: Option<String>,
        /// As in [`Query::Jobs`].
        after: Option<(u64, u64)>,
        /// As in [`Query::Jobs`].
        limit: usize,
    },
    /// Asks for dead letters, the oldest first. Answered by [`Answer::Dead`].
    ListDead(DeadFilter),
    /// Asks how many dead letters there are. Answered by [`Answer::DeadCount`].
    CountDead(DeadFilter),
    /// Asks for the next page of what an earlier run left, after [`Journal::recover_in_pages`](super::Journal::recover_in_pages)
    /// said that there are more. As there, what was running counts a crash. Answered by [`Answer::Loaded`].
    Load {
        /// At most this many events, with their replies.
        limit: usize,
        /// No further ones once they have this many bytes.
        limit_bytes: usize,
    },
}

/// A command of the operator's.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum OperatorEntry {
    /// Gives dead letters another chance, at the end of their lanes. Answered by [`Answer::Replayed`].
    ///
    /// What a handler sent at once, and what is sent when it fails, belongs to its event. A dead event takes its own dead
    /// replies along, whether the filter means them or not: its handler runs again and sends them anew, so they are no
    /// letters of their own any more ([`Replayed::anew`]). A parked event keeps its place and its facts: its handler does not
    /// send them again. Of a reply that is replayed while its event is not done or dead,
    /// [`CompletedEffect::DeadLettered`](super::CompletedEffect::DeadLettered) is left, so that no attempt sends it again.
    Replay {
        /// Which.
        filter: DeadFilter,
        /// The present time, in milliseconds since 1970.
        now_ms: u64,
    },
    /// Forgets dead letters for good; of replies the same is left as by [`OperatorEntry::Replay`]. Answered by
    /// [`Answer::Discarded`].
    Discard(DeadFilter),
    /// Executes the commands that other processes have left (`evenkeel dead replay`). Answered by [`Answer::Replayed`].
    Adopt,
}

impl Entry {
    /// Whether a power cut may undo it. What is not lazy is on the disk before it is answered; what is lazy survives the
    /// end of the process, and becomes as durable as the rest with the next batch that is not.
    pub fn is_lazy(&self) -> bool {
        match self {
            Self::Event(_, entry) => entry.is_lazy(),
            Self::Reply(_, entry) => entry.is_lazy(),
            Self::Operator(entry) => entry.is_lazy(),
            // What is read once more is known again.
            Self::Query(_) | Self::Cursor { .. } => true,
            Self::Accept { .. }
            | Self::Promise { .. }
            | Self::Say { .. }
            | Self::Remember { .. }
            | Self::Schedule(_)
            | Self::Cancel { .. }
            | Self::Fire { .. } => false,
        }
    }
}

impl EventEntry {
    fn is_lazy(&self) -> bool {
        match self {
            Self::Begin | Self::Suspend | Self::Retry { .. } | Self::Return => true,
            Self::Done | Self::DeadLetter { .. } | Self::Step { .. } => false,
        }
    }
}

impl ReplyEntry {
    fn is_lazy(&self) -> bool {
        match self {
            Self::Sending { is_lazy } => *is_lazy,
            Self::Sent { .. } | Self::Postpone { .. } => true,
            Self::DeadLetter { .. } | Self::Drop => false,
        }
    }
}

impl OperatorEntry {
    fn is_lazy(&self) -> bool {
        match self {
            Self::Adopt => true,
            Self::Replay { .. } | Self::Discard(_) => false,
        }
    }
}

/// What a journal says to an entry.
#[derive(Debug)]
#[non_exhaustive]
pub enum Answer {
    /// It is written.
    Noted,
    /// What became of an event.
    Accepted(Acceptance),
    /// What became of each that was said, in their order: what is new has the number of its replies.
    Said(Vec<Acceptance>),
    /// The value, if there is one.
    Recalled(Option<Bytes>),
    /// The number of the job.
    Scheduled(u64),
    /// Jobs, and when the first that is not among them is due.
    Due {
        /// The earliest first.
        jobs: Vec<Job>,
        /// In milliseconds since 1970.
        next_ms: Option<u64>,
    },
    /// Jobs, the earliest first, once somebody awaits them.
    Jobs(Listing<Vec<Job>>),
    /// Dead letters, the oldest first, once somebody awaits them.
    Dead(Listing<Vec<Dead>>),
    /// How many dead letters there are, once somebody awaits it.
    DeadCount(Listing<u64>),
    /// What has another chance now.
    Replayed(Replayed),
    /// What is gone for good.
    Discarded {
        /// How many dead letters.
        count: u64,
        /// Those of them that were parked events: their conversations go on.
        unparked: Vec<u64>,
    },
    /// How many it concerned.
    Count(u64),
    /// The next page of what an earlier run left.
    Loaded(Page),
}

/// What the journal said of an event, or of what was said outside of any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// It is new and will be handled, or sent; the number is its place in the journal.
    New(u64),
    /// It came before, and will not be handled or sent again.
    Duplicate,
}
