//! What has gone out by one token.

use tokio::time::Instant;

use crate::command::Deferral;
use crate::engine::Delivery;
use crate::reply::Answered;
use crate::transport::{Outcome, SendError, Sent};

/// When somebody has waited long enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Timer {
    pub(super) at: Instant,
    /// Tells it from others of the same moment.
    pub(super) number: u64,
}

/// See the module.
pub(super) struct Standing {
    pub(super) deferral: Deferral,
    /// After this the network takes no answer by the token that was not announced.
    pub(super) give_up: Instant,
    /// Set while it waits for its time.
    pub(super) timer: Option<Timer>,
    answered: Answered,
    /// Whether the network is being told that the bot works on it.
    pub(super) is_deferring: bool,
    /// Replies that wait for the end of that.
    pub(super) held: Vec<Delivery>,
    /// Replies that are on their way.
    sending: u32,
    /// How often the event has come in this run.
    arrivals: u32,
    /// Whether the event has ended, and then whether without a word at its end.
    pub(super) is_over: Option<bool>,
}

impl Standing {
    pub(super) fn new(deferral: Deferral, give_up: Instant) -> Self {
        Self {
            deferral,
            give_up,
            timer: None,
            answered: Answered::Nothing,
            is_deferring: false,
            held: Vec::new(),
            sending: 0,
            arrivals: 1,
            is_over: None,
        }
    }

    /// The same event came once more.
    pub(super) fn came_again(&mut self) {
        self.arrivals += 1;
    }

    /// Whether the journal knew an event that is here. One of its arrivals is dealt with.
    pub(super) fn has_come_again(&mut self) -> bool {
        self.arrivals -= 1;
        self.arrivals > 0
    }

    /// Whether the network has to be told that the bot works on it.
    pub(super) fn wants_to_defer(&self) -> bool {
        let is_idle = !self.is_deferring && self.sending == 0 && self.timer.is_none();
        is_idle && self.answered == Answered::Nothing && self.deferral != Deferral::Never
    }

    /// The time has come. Answers whether the network is told.
    pub(super) fn begins_to_defer(&mut self) -> bool {
        self.is_deferring = self.wants_to_defer();
        self.is_deferring
    }

    /// The network was told. Answers the replies that waited for that.
    pub(super) fn deferred(&mut self, result: &Result<(), SendError>) -> Vec<Delivery> {
        self.is_deferring = false;
        self.answered = match result.as_ref().map_err(SendError::outcome) {
            // An answer that finds nothing to take the place of is refused, and then known to be the first.
            Ok(()) | Err(Outcome::Unknown) => Answered::Deferred,
            Err(Outcome::NotSent(_)) => Answered::Nothing,
            // It has had an answer, or knows nothing of the event any more. To try again would not help.
            Err(Outcome::Refused) => Answered::Unknown,
        };
        std::mem::take(&mut self.held)
    }

    pub(super) fn answered(&self) -> Answered {
        self.answered
    }

    /// A reply leaves. Answers what has gone out before.
    pub(super) fn begins_to_send(&mut self) -> Answered {
        self.sending += 1;
        let before = self.answered;
        if before != Answered::Unknown {
            // Those that leave beside it are not the first.
            self.answered = Answered::Answered;
        }
        before
    }

    /// A reply has ended that was on its way.
    pub(super) fn sent(&mut self, before: Answered, result: &Result<Sent, SendError>) {
        self.sending -= 1;
        let is_none = matches!(
            result.as_ref().map_err(SendError::outcome),
            Err(Outcome::NotSent(_) | Outcome::Refused)
        );
        if is_none && before != Answered::Answered {
            self.answered = before;
        }
        // Nothing takes the place of what was refused for good.
        if matches!(result.as_ref().map_err(SendError::outcome), Err(Outcome::Refused)) {
            self.is_over = self.is_over.map(|_| true);
        }
    }

    /// What has gone out, of an event that has ended without any answer that is or may come.
    pub(super) fn is_left_unanswered(&self) -> Option<Answered> {
        let is_left = self.is_over == Some(true) && self.is_at_rest() && self.answered != Answered::Answered;
        is_left.then_some(self.answered)
    }

    /// Whether nothing is under way.
    pub(super) fn is_at_rest(&self) -> bool {
        !self.is_deferring && self.sending == 0 && self.held.is_empty()
    }
}
