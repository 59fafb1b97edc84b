//! What the machine is told, and what it says.

use std::time::Duration;

use crate::engine::HandlerRequest;
use crate::engine::{Attempt, HandlerOutcome};
use crate::error::Result;
use crate::guarantee::OnUnknown;
use crate::journal::{Dead, Written};
use crate::operator::OperatorCommand;
use crate::serve::outbox::Letter;
use crate::transport::{Arrival, SendError, Sent};

/// A moment: by the wall clock in milliseconds since 1970, and since the machine began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::serve) struct Now {
    pub(in crate::serve) wall_ms: u64,
    pub(in crate::serve) elapsed: Duration,
}

impl Now {
    /// When a pause that begins now is over, by the wall clock, in a number that every journal can keep.
    pub(super) fn due_ms(&self, pause: Duration) -> u64 {
        let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        self.wall_ms.saturating_add(pause_ms).min(i64::MAX.unsigned_abs())
    }
}

/// Something that happened.
#[derive(Debug)]
pub(in crate::serve) enum Input {
    /// A transport handed something over.
    Arrived(Arrival),
    /// The batch that was taken last is in the journal.
    Written(Written),
    /// A handler is done.
    Finished(HandlerOutcome),
    /// A handler asks for something.
    Asked(HandlerRequest),
    /// A send has ended.
    Delivered(Letter, Result<Sent, SendError>),
    /// A best-effort action has ended.
    Notified(Result<Sent, SendError>),
    /// Time has passed.
    Ticked,
    /// The operator wants something of dead letters or of jobs.
    Operator(OperatorCommand),
}

/// Something to do.
#[derive(Debug)]
pub(in crate::serve) enum Output {
    /// Run the handler of this event.
    Start(Attempt),
    /// Send this.
    Send(Letter),
    /// Try this once, for a short time, and let it go as soon as something else is to be sent there.
    Notify(Letter),
    /// Fetch a file; whatever else a handler asked for that the machine has no part in.
    Request(HandlerRequest),
    /// Tell the author of a dead letter.
    Died(Box<Dead>),
}

/// How the author wants the bot to be, as far as the machine is concerned.
#[derive(Clone, Copy, Debug)]
pub(in crate::serve) struct Policy {
    /// Whether the network recognizes a reply that is sent twice.
    pub(in crate::serve) resends_safely: bool,
    pub(in crate::serve) on_unknown: OnUnknown,
    /// Whether what is said again and again is slowed down.
    pub(in crate::serve) brakes: bool,
    /// How many sends the network wants at once.
    pub(in crate::serve) sends: usize,
    /// Seeds the pauses between attempts.
    pub(in crate::serve) seed: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Self { resends_safely: false, on_unknown: OnUnknown::default(), brakes: true, sends: 256, seed: 0 }
    }
}

impl Policy {
    /// Whether a reply that may have arrived is sent again.
    pub(in crate::serve) fn may_resend(&self) -> bool {
        self.resends_safely || self.on_unknown == OnUnknown::Resend
    }
}

/// Counts of what became of events and replies.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::serve) struct Tally {
    pub(in crate::serve) accepted: u64,
    /// Left by an earlier run, or replayed.
    pub(in crate::serve) resumed: u64,
    pub(in crate::serve) duplicates: u64,
    pub(in crate::serve) handled: u64,
    pub(in crate::serve) failed: u64,
    pub(in crate::serve) retried: u64,
    pub(in crate::serve) dead: u64,
    pub(in crate::serve) sent: u64,
    pub(in crate::serve) not_sent: u64,
    pub(in crate::serve) unknown: u64,
}
