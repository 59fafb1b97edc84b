//! An action on its way to the network.

use std::sync::Arc;
use std::time::Duration;

use crate::journal::CompletedEffect;
use crate::reply::{Action, Outbound};

/// An action on its way.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) outbound: Outbound,
    /// The command that promised it, if one did.
    pub(super) command: Box<str>,
    /// How often it was tried.
    pub(super) attempts: u32,
    /// After how many of these nobody knew whether it arrived.
    pub(super) unknowns: u32,
    /// Until when it is held back, where the same was said too often.
    pub(super) held_until: Option<Duration>,
}

impl Delivery {
    pub(super) fn new(outbound: Outbound, command: Box<str>) -> Self {
        Self { outbound, command, attempts: 0, unknowns: 0, held_until: None }
    }
}

/// Whether an action is neither kept nor tried again, and nothing waits for it: a typing notice that comes late is a lie.
pub(super) fn is_best_effort(action: &Action) -> bool {
    matches!(action, Action::Typing { .. })
}

/// Somebody, by network and id: the same id on two networks is two people.
pub(super) type Asker<'a> = (&'a str, &'a str);

/// What is known of the event that an action belongs to, while it is not done.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin<'a> {
    /// What earlier attempts left.
    pub(super) facts: &'a [CompletedEffect],
    /// Who wrote it, and when it came in; `None` for a job, which comes by the clock and is nobody's answer.
    pub(super) asker: Option<(Asker<'a>, Duration)>,
}

/// A reply that is sent or given up.
#[derive(Debug)]
pub(super) struct Settled {
    /// The event that it belongs to.
    pub(super) sequence: u64,
    /// What later attempts of that event have to know.
    pub(super) fact: Option<CompletedEffect>,
    /// Where the next one may leave.
    pub(super) conversation: Arc<str>,
}
