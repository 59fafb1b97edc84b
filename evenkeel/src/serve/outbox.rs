//! A reply on its way out.

use std::sync::Arc;
use std::time::Duration;

use super::foreign;
use crate::reply::{Action, Outbound};
use crate::transport::{SendError, Sent, Transport};

/// How long a best-effort action may take.
const NOTICE_DEADLINE: Duration = Duration::from_secs(5);

/// An action on its way.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) outbound: Outbound,
    /// The command that promised it, if one did.
    pub(super) command: Box<str>,
    /// How often it was tried.
    pub(super) attempts: u32,
    /// After how many of these nobody knew whether it arrived.
    pub(super) unknowns: u32,
    /// Until when it is held back, where the same was said too often.
    pub(super) held_until: Option<Duration>,
}

impl Letter {
    pub(super) fn new(outbound: Outbound, command: Box<str>) -> Self {
        Self { outbound, command, attempts: 0, unknowns: 0, held_until: None }
    }

    /// As [`is_best_effort`].
    pub(super) fn is_best_effort(&self) -> bool {
        is_best_effort(&self.outbound.action)
    }
}

/// Whether an action is neither kept nor tried again, and nothing waits for it: a typing notice that comes late is a lie.
pub(super) fn is_best_effort(action: &Action) -> bool {
    matches!(action, Action::Typing { .. })
}

/// Tries once to send a letter, for as long as the transport's deadline.
///
/// # Cancel safety
///
/// Dropping the future leaves open whether the action happened.
pub(super) async fn deliver<T: Transport>(
    transport: Arc<T>,
    letter: Letter,
) -> (Letter, Result<Sent, SendError>) {
    let result =
        foreign::send(&*transport, &letter.outbound, Duration::MAX).await.unwrap_or_else(|deadline| {
            let transport = transport.name();
            tracing::warn!(
                transport,
                ?deadline,
                "a send did not end in time: nobody knows whether it happened"
            );
            Err(SendError::unknown(format!("sending did not end within {deadline:?}")))
        });
    (letter, result)
}

/// Tries once to carry a best-effort action out, for a short time.
///
/// # Cancel safety
///
/// Dropping the future leaves open whether the action happened.
pub(super) async fn notify<T: Transport>(transport: Arc<T>, letter: Letter) -> Result<Sent, SendError> {
    foreign::send(&*transport, &letter.outbound, NOTICE_DEADLINE).await.unwrap_or_else(|deadline| {
        tracing::debug!(transport = transport.name(), ?deadline, "a typing indicator did not end in time");
        Err(SendError::unknown(format!("it did not end within {deadline:?}")))
    })
}
