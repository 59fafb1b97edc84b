//! Hands replies to the transport.

use std::time::Duration;

use super::foreign;
use crate::command::Deferral;
use crate::engine::Delivery;
use crate::event::ReplyToken;
use crate::reply::Answered;
use crate::transport::{AnyTransport, SendError, Sent};

/// How long a best-effort action may take.
const NOTICE_DEADLINE: Duration = Duration::from_secs(5);

/// Tries once to send something, for as long as the transport's deadline.
///
/// # Cancel safety
///
/// Dropping the future leaves open whether the action happened.
pub(super) async fn deliver(
    transport: AnyTransport,
    delivery: Delivery,
) -> (Delivery, Result<Sent, SendError>) {
    let result =
        foreign::send(&*transport, &delivery.outbound, Duration::MAX).await.unwrap_or_else(|deadline| {
            let transport = transport.name();
            tracing::warn!(
                transport,
                ?deadline,
                "a send did not end in time: nobody knows whether it happened"
            );
            Err(SendError::unknown(format!("sending did not end within {deadline:?}")))
        });
    (delivery, result)
}

/// Tells the network that the bot works on an answer, for a short time.
pub(super) async fn defer(
    transport: AnyTransport,
    token: &ReplyToken,
    deferral: Deferral,
) -> Result<(), SendError> {
    foreign::tell(transport.defer(token, deferral), NOTICE_DEADLINE).await
}

/// Tells the network that there is no answer, for a short time.
pub(super) async fn close(transport: AnyTransport, token: &ReplyToken, answered: Answered) {
    let told = foreign::tell(transport.unanswered(token, answered), NOTICE_DEADLINE).await;
    if let Err(error) = told {
        tracing::debug!(transport = transport.name(), %error, "the network was not told that there is no answer");
    }
}

/// Tries once to carry a best-effort action out, for a short time.
///
/// # Cancel safety
///
/// Dropping the future leaves open whether the action happened.
pub(super) async fn notify(transport: AnyTransport, delivery: Delivery) -> Result<Sent, SendError> {
    foreign::send(&*transport, &delivery.outbound, NOTICE_DEADLINE).await.unwrap_or_else(|deadline| {
        tracing::debug!(transport = transport.name(), ?deadline, "a typing indicator did not end in time");
        Err(SendError::unknown(format!("it did not end within {deadline:?}")))
    })
}
