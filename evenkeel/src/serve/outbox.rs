//! Carries promised actions out: in order within a conversation, tried again when that is safe.

use std::sync::Arc;
use std::time::Duration;

use crate::context::Answer;
use crate::error::Error;
use crate::reply::Action;
use crate::transport::{Outbound, Outcome, SendError, SendKey, Sent, Transport};

/// How often an action that certainly did not happen is tried, with a pause that doubles from half a second to
/// thirty: three and a half minutes in all, longer than a server takes to restart.
const TRIES: u32 = 13;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// An action on its way, and who wants to know how it went.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) outbound: Outbound,
    pub(super) answer: Option<Answer>,
}

/// What became of a letter.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) conversation: Arc<str>,
    pub(super) key: SendKey,
    pub(super) fate: Fate,
}

/// How a delivery ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Sent,
    NotSent,
    Unknown,
}

/// Sends a letter. What certainly did not happen is tried again; what may have happened never is.
///
/// # Cancel safety
///
/// Dropping the future leaves open whether the action happened.
pub(super) async fn deliver<T: Transport>(transport: Arc<T>, letter: Letter) -> Delivery {
    let Letter { outbound, answer } = letter;
    let result = send(&*transport, &outbound).await;
    let fate = match &result {
        Ok(_) => Fate::Sent,
        Err(error) if error.outcome() == Outcome::Unknown => Fate::Unknown,
        Err(_) => Fate::NotSent,
    };
    if let Err(error) = &result {
        let transport = transport.name();
        let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
        tracing::error!(transport, ?fate, %error, cause, "a reply was not delivered");
    }
    if let Some(answer) = answer {
        // A handler that no longer waits has dropped the other end.
        let _heard = answer.send(result.map(|sent| sent.id).map_err(Error::from));
    }
    Delivery { conversation: outbound.conversation.shared_id(), key: outbound.key, fate }
}

async fn send<T: Transport>(transport: &T, outbound: &Outbound) -> Result<Sent, SendError> {
    let mut pause = FIRST_PAUSE;
    for tried in 1.. {
        let error = match transport.send(outbound).await {
            Ok(sent) => return Ok(sent),
            Err(error) => error,
        };
        let Outcome::NotSent(wait) = error.outcome() else { return Err(error) };
        // A typing notice that comes late is a lie, and must not hold up what follows.
        if tried == TRIES || matches!(outbound.action, Action::Typing { .. }) {
            return Err(error);
        }
        tracing::debug!(transport = transport.name(), %error, tried, "not sent, will try again");
        tokio::time::sleep(wait.unwrap_or(pause)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    unreachable!("the loop returns")
}
