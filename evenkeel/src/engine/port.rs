//! What the engine is told, and what it says.

use std::sync::Arc;
use std::time::Duration;

use super::attempt::{Attempt, HandlerOutcome};
use super::delivery::Delivery;
use super::outside::OutsideRequest;
use super::request::HandlerRequest;
use crate::event::{Conversation, ReplyToken};
use crate::guarantee::OnUnknown;
use crate::journal::{Dead, Written};
use crate::operator::OperatorCommand;
use crate::transport::{Arrival, SendError, Sent};

/// A moment: by the wall clock in milliseconds since 1970, and since the engine began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Now {
    pub(crate) wall_ms: u64,
    pub(crate) elapsed: Duration,
}

impl Now {
    /// When a pause that begins now is over, by the wall clock, in a number that every journal can keep.
    pub(super) fn due_ms(&self, pause: Duration) -> u64 {
        let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        self.wall_ms.saturating_add(pause_ms).min(i64::MAX.unsigned_abs())
    }

    /// How long it is from now to a time by the wall clock; nothing where that is past.
    pub(super) fn until(&self, due_ms: u64) -> Duration {
        Duration::from_millis(due_ms.saturating_sub(self.wall_ms))
    }
}

/// Something that happened.
#[derive(Debug)]
pub(crate) enum Input {
    /// A transport handed something over.
    Arrived(Arrival),
    /// The batch that was taken last is in the journal.
    Written(Written),
    /// A handler is done.
    Finished(HandlerOutcome),
    /// A handler asks for something.
    Asked(HandlerRequest),
    /// A send has ended.
    Delivered(Delivery, Result<Sent, SendError>),
    /// A best-effort action has ended on the network of this name in the record.
    Notified(Arc<str>, Result<Sent, SendError>),
    /// From now on something can be sent on the network of this name in the record.
    Opened(Arc<str>),
    /// Time has passed.
    Ticked,
    /// The operator wants something of dead letters or of jobs.
    Operator(OperatorCommand),
    /// A handle asks for something.
    Outside(OutsideRequest),
}

/// Something to do.
#[derive(Debug)]
pub(crate) enum Output {
    /// Run the handler of this event.
    Start(Attempt),
    /// Let the handler of this event go: it ends at its next `.await`.
    Cancel(u64),
    /// Send this.
    Send(Delivery),
    /// Try this once, for a short time, and let it go as soon as something else is to be sent there.
    Notify(Delivery),
    /// Tell the author of a dead letter.
    Died(Box<Dead>),
    /// Tell the network of this conversation, which has given this to an event there, that the event has ended: with something that was
    /// promised, or without.
    Ended(Conversation, ReplyToken, Ended),
}

/// How an event has ended that has a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Replies are on their way that go back with the token.
    Promising,
    /// Nothing more comes.
    Silent,
    /// It was known already: whatever is to be said is said in answer to the first.
    Known,
}

impl Ended {
    /// With this reply as well, which is on its way.
    pub(super) fn with(self, is_answer: bool) -> Self {
        if is_answer { Self::Promising } else { self }
    }
}

/// How the author wants the bot to be, as far as the engine is concerned.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) networks: Vec<NetworkPolicy>,
    /// Whether what is said again and again is slowed down.
    pub(crate) has_brake: bool,
    /// Seeds the pauses between attempts.
    pub(crate) seed: u64,
    /// While this many bytes of events are in memory, no more is loaded of what an earlier run left.
    pub(crate) recovered_bytes: usize,
    /// Whether a batch costs the journal something beside what is in it, so that one fewer is worth a moment.
    pub(crate) gathers: bool,
    /// Whether nobody sets the wall clock.
    pub(crate) is_clock_steady: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            networks: vec![NetworkPolicy::default()],
            has_brake: true,
            seed: 0,
            recovered_bytes: usize::MAX,
            gathers: true,
            is_clock_steady: false,
        }
    }
}

/// One of the networks that a bot is on.
#[derive(Clone, Debug)]
pub(crate) struct NetworkPolicy {
    /// Its name in the record: empty for the primary one.
    pub(crate) key: Arc<str>,
    /// Whether it recognizes a reply that is sent twice.
    pub(crate) is_idempotent: bool,
    pub(crate) on_unknown: OnUnknown,
    /// How many sends it wants at once.
    pub(crate) sends: usize,
    /// Whether something can be sent from the beginning; otherwise from [`Input::Opened`] on.
    pub(crate) is_open: bool,
}

impl Default for NetworkPolicy {
    fn default() -> Self {
        Self {
            key: Arc::from(""),
            is_idempotent: false,
            on_unknown: OnUnknown::default(),
            sends: 256,
            is_open: true,
        }
    }
}

impl NetworkPolicy {
    /// Whether a reply that may have arrived is sent again.
    pub(super) fn may_resend(&self) -> bool {
        self.is_idempotent || self.on_unknown == OnUnknown::Resend
    }
}

/// What became of events, since the start.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct EventCounters {
    pub(crate) accepted: u64,
    /// Left by an earlier run, or replayed.
    pub(crate) resumed: u64,
    pub(crate) duplicates: u64,
    pub(crate) handled: u64,
    /// Those of them that were too old.
    pub(crate) expired: u64,
    /// Those of them whose handlers were cancelled by another one.
    pub(crate) cancelled: u64,
    pub(crate) failed: u64,
    pub(crate) retried: u64,
    /// Dead letters.
    pub(crate) dead: u64,
}

/// What became of replies, since the start.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ReplyCounters {
    pub(crate) sent: u64,
    pub(crate) not_sent: u64,
    pub(crate) unknown: u64,
    /// Dead letters.
    pub(crate) dead: u64,
}

impl ReplyCounters {
    /// With those of another network.
    pub(super) fn with(self, other: Self) -> Self {
        Self {
            sent: self.sent + other.sent,
            not_sent: self.not_sent + other.not_sent,
            unknown: self.unknown + other.unknown,
            dead: self.dead + other.dead,
        }
    }
}

/// How much is there to be done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Load {
    /// Events whose lanes they have, without those that wait for the operator.
    pub(crate) running: usize,
    /// Events that wait for their lanes.
    pub(crate) waiting: usize,
    /// Replies that are not sent.
    pub(crate) outbox: usize,
}

/// What a bot that ends leaves behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Remaining {
    /// Handlers that run. One that waits for a person does not.
    pub(crate) handlers: usize,
    /// Events that are not done, with those of these handlers, and without those that wait for a person or for the operator.
    pub(crate) events: usize,
    /// Replies that are not sent.
    pub(crate) replies: usize,
    /// Those of the events of which the journal has not said that it has them. What else it has not answered follows from
    /// what it has, and is done again.
    pub(crate) unwritten: usize,
    /// Whether the journal has answered all that it was told, and was told all.
    pub(crate) is_written: bool,
    /// Whether all that an earlier run left was loaded: of what was not, nothing is counted here.
    pub(crate) is_loaded: bool,
}
