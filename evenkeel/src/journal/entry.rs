//! What a journal is told, and what it answers.

use bytes::Bytes;

use super::given_up::{Dead, DeadFilter, Reason, Replayed};
use super::id::EventId;
use super::left::Page;
use super::listing::Listing;
use super::planned::{Job, NewJob};
use crate::event::{Event, MessageId};
use crate::reply::{Outbound, SendKey};

/// One thing that happened. Times are milliseconds since 1970.
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
        /// Whether its handler starts as soon as this is written: the same as a [`Entry::Begin`] right after it.
        begins: bool,
    },
    /// An attempt to handle the event begins: should the process end before it does, the event is tried alone at the next start, as a crash probe.
    Begin {
        /// The event.
        sequence: u64,
    },
    /// The handler waits for a person. Should the process end, that is no fault of the event's, and the attempt does not
    /// count.
    Suspend {
        /// The event.
        sequence: u64,
    },
    /// The attempt failed, and another one follows.
    Retry {
        /// The event.
        sequence: u64,
        /// Not before this time.
        due_ms: u64,
    },
    /// The attempt was cut short by a bot that stops: it does not count.
    Return {
        /// The event.
        sequence: u64,
    },
    /// The event is done. What was recorded of it goes: steps, sent replies, its content. That it came is remembered.
    Done {
        /// The event.
        sequence: u64,
    },
    /// The event was given up: it becomes a dead letter.
    DeadLetter {
        /// The event.
        sequence: u64,
        /// Why.
        reason: Reason,
        /// The error with its causes.
        error: String,
        /// The command, if one was found.
        command: String,
        /// When, in milliseconds since 1970.
        now_ms: u64,
    },
    /// A reply was promised.
    Promise {
        /// What, where, and its key. A key that is known already is left as it is.
        outbound: Outbound,
        /// The command that promises it, if one does.
        command: String,
        /// Whether it is sent as soon as this is written: the same as a [`Entry::Sending`] right after it.
        begins: bool,
    },
    /// A reply is about to be sent: should the process end before its fate is known, nobody knows it.
    Sending {
        /// The reply.
        key: SendKey,
        /// Whether a power cut may undo this, and the reply may then be sent again.
        is_lazy: bool,
    },
    /// A reply was sent. It is remembered until its event is done, so that a second attempt does not repeat it.
    Sent {
        /// The reply.
        key: SendKey,
        /// The message that it made.
        id: Option<MessageId>,
    },
    /// A reply was certainly not sent, and will be tried again.
    Postpone {
        /// The reply.
        key: SendKey,
        /// Not before this time.
        due_ms: u64,
    },
    /// A reply was given up: it becomes a dead letter.
    DeadLetterReply {
        /// The reply.
        key: SendKey,
        /// Why.
        reason: Reason,
        /// The error with its causes.
        error: String,
        /// The command that promised it, if one did.
        command: String,
        /// When, in milliseconds since 1970.
        now_ms: u64,
    },
    /// A reply is neither sent nor kept, because the author chose so.
    Drop {
        /// The reply.
        key: SendKey,
    },
    /// The result of a named step of an event, for its next attempt. A name that is known already is left as it is.
    Step {
        /// The event.
        sequence: u64,
        /// The step.
        name: String,
        /// Its result.
        value: Bytes,
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
    /// Asks for such a value. Answered by [`Answer::Recalled`].
    Recall {
        /// The conversation's id.
        conversation: String,
        /// Which of its values.
        name: String,
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
    /// Asks for the jobs that are due, the earliest first. Answered by [`Answer::Due`].
    Due {
        /// Due at this time or before.
        until_ms: u64,
        /// At most this many.
        limit: usize,
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
        /// As in [`Entry::Jobs`].
        conversation: Option<String>,
        /// As in [`Entry::Jobs`].
        after: Option<(u64, u64)>,
        /// As in [`Entry::Jobs`].
        limit: usize,
    },
    /// Asks for dead letters, the oldest first. Answered by [`Answer::Dead`].
    ListDead(DeadFilter),
    /// Asks how many dead letters there are. Answered by [`Answer::DeadCount`].
    CountDead(DeadFilter),
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
    /// Forgets dead letters for good; of replies the same is left as by [`Entry::Replay`]. Answered by
    /// [`Answer::Discarded`].
    Discard(DeadFilter),
    /// Executes the commands that other processes have left (`evenkeel dead replay`). Answered by [`Answer::Replayed`].
    Adopt,
    /// Asks for the next page of what an earlier run left, after [`Journal::recover_in_pages`](super::Journal::recover_in_pages)
    /// said that there are more. As there, what was running counts a crash. Answered by [`Answer::Loaded`].
    Load {
        /// At most this many events, with their replies.
        limit: usize,
        /// No further ones once they have this many bytes.
        limit_bytes: usize,
    },
}

impl Entry {
    /// Whether a power cut may undo it. What is not lazy is on the disk before it is answered; what is lazy survives the
    /// end of the process, and becomes as durable as the rest with the next batch that is not.
    pub fn is_lazy(&self) -> bool {
        match self {
            Self::Sending { is_lazy, .. } => *is_lazy,
            Self::Begin { .. }
            | Self::Suspend { .. }
            | Self::Retry { .. }
            | Self::Return { .. }
            | Self::Sent { .. }
            | Self::Postpone { .. }
            | Self::Recall { .. }
            | Self::Due { .. }
            | Self::Jobs { .. }
            | Self::ListJobs { .. }
            | Self::ListDead(_)
            | Self::CountDead(_)
            | Self::Adopt
            | Self::Load { .. } => true,
            Self::Accept { .. }
            | Self::Done { .. }
            | Self::DeadLetter { .. }
            | Self::Promise { .. }
            | Self::DeadLetterReply { .. }
            | Self::Drop { .. }
            | Self::Step { .. }
            | Self::Remember { .. }
            | Self::Schedule(_)
            | Self::Cancel { .. }
            | Self::Fire { .. }
            | Self::Replay { .. }
            | Self::Discard(_) => false,
        }
    }

    /// Whether it is a command of the operator's, which is a commit of its own.
    pub(super) fn is_command(&self) -> bool {
        matches!(self, Self::Replay { .. } | Self::Discard(_) | Self::Adopt)
    }

    /// The event that it is about, or that the reply is of which it says something; `None` for all else.
    pub(super) fn about(&self) -> Option<EventId> {
        match self {
            Self::Begin { sequence }
            | Self::Suspend { sequence }
            | Self::Retry { sequence, .. }
            | Self::Return { sequence }
            | Self::Done { sequence }
            | Self::DeadLetter { sequence, .. }
            | Self::Step { sequence, .. } => Some(EventId::from_bits(*sequence)),
            Self::Promise { outbound, .. } => Some(EventId::from_bits(outbound.key.sequence)),
            Self::Sending { key, .. }
            | Self::Sent { key, .. }
            | Self::Postpone { key, .. }
            | Self::DeadLetterReply { key, .. }
            | Self::Drop { key } => Some(EventId::from_bits(key.sequence)),
            _ => None,
        }
    }

    /// Whether it asks for what is kept. Such an entry is answered when all others of its batch are written.
    pub fn is_question(&self) -> bool {
        matches!(
            self,
            Self::Recall { .. }
                | Self::Due { .. }
                | Self::Jobs { .. }
                | Self::ListJobs { .. }
                | Self::ListDead(_)
                | Self::CountDead(_)
                | Self::Load { .. }
        )
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

/// What the journal said of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// It is new and will be handled; the number is its place in the journal.
    New(u64),
    /// It came before, and will not be handled again.
    Duplicate,
}
