//! From the answer to what is known about the message.
//!
//! The server ignores idempotency keys and answers 400 for nearly everything, so what may be tried again is decided
//! by text, and carefully: a send counts as not sent only where that is certain.
//!
//! | answer | outcome |
//! |---|---|
//! | 2xx | sent; in a group perhaps not to everybody, which is logged with the count |
//! | no connection; 400 `Specified account does not exist`, `write ..: broken pipe`, `connection refused` | not sent: try again |
//! | 400 untrusted, not registered, no such group, invalid request; 401, 403, 404, 413; 429 with a challenge | refused |
//! | 3xx, and 2xx with a web page: a proxy wants a login, and the server has not seen the request | refused |
//! | 429 without a challenge, which upstream also answers after delivering; 5xx; any other 400; no answer | unknown |
//!
//! Source: `bbernhard/signal-cli-rest-api` `src/api/api.go` and `src/client/client.go` at `a08db23`; issues #881, #453, #689.

use std::fmt;

use evenkeel::transport::SendError;
use http::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::api::{Answer, Failure};
use crate::loose::{Number, Text};

/// Signal has had too many messages from this account; the cause of a [`SendError`].
///
/// With challenges, somebody has to solve a captcha: `POST /v1/accounts/{number}/rate-limit-challenge` takes the
/// tokens, which the server's log has. Without, waiting is all that helps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateLimited {
    /// How many challenge tokens came with the refusal.
    pub challenges: usize,
}

impl fmt::Display for RateLimited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} challenge tokens came with it", self.challenges)
    }
}

impl std::error::Error for RateLimited {}

/// What a 201 says, in either shape.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Made<'a> {
    pub(super) timestamp: Number,
    #[serde(borrow)]
    errors: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Unreached<'a> {
    #[serde(borrow)]
    recipients: Vec<Reason<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Reason<'a> {
    #[serde(borrow)]
    reason: Text<'a>,
}

impl<'a> Made<'a> {
    /// An answer in another shape is a success of which nothing is known.
    pub(super) fn of(body: &'a [u8]) -> Self {
        if body.trim_ascii_start().first() == Some(&b'[') {
            let all: Vec<Self> = serde_json::from_slice(body).unwrap_or_default();
            return all.into_iter().next().unwrap_or_default();
        }
        serde_json::from_slice(body).unwrap_or_default()
    }

    pub(super) fn failures(&self) -> Vec<Reason<'a>> {
        let Some(errors) = self.errors else {
            return Vec::new();
        };
        let unreached: Unreached<'a> = serde_json::from_str(errors.get()).unwrap_or_default();
        unreached.recipients
    }
}

/// The one recipient of a direct message was not reached.
pub(super) fn unreached(failed: &[Reason<'_>]) -> SendError {
    match failed.first().and_then(|failure| failure.reason.filled()) {
        Some("IDENTITY_FAILURE") => SendError::refused(UNTRUSTED),
        Some("UNREGISTERED_FAILURE") => SendError::refused(UNREGISTERED),
        Some("RATE_LIMIT_FAILURE") => {
            SendError::refused("Signal limits this account").caused_by(RateLimited { challenges: 0 })
        }
        _ => SendError::unknown("Signal may not have taken the message for its recipient"),
    }
}

const UNTRUSTED: &str = "the recipient has a new safety number that signal-cli does not trust";
const UNREGISTERED: &str = "the recipient is not registered with Signal";

pub(super) fn failed(failure: Failure) -> SendError {
    let error =
        if failure.is_unsent { SendError::not_sent(failure.what) } else { SendError::unknown(failure.what) };
    match failure.source {
        Some(source) => error.caused_by(source),
        None => error,
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Refusal<'a> {
    #[serde(borrow)]
    error: Text<'a>,
    challenge_tokens: Vec<Text<'a>>,
}

/// Says what an answer means that is no success. The server's own text may name people, so it is never repeated.
pub(super) fn refusal(answer: &Answer) -> SendError {
    // The type is wrong in places (upstream sends JSON as plain text), so the body is read whatever it claims to be.
    let refusal: Refusal<'_> = serde_json::from_slice(&answer.body).unwrap_or_default();
    match answer.status {
        status if answer.is_of_a_proxy() => SendError::refused(format!(
            "a proxy answered in place of the server ({status}): check `SIGNAL_API_TOKEN` and `SIGNAL_API_URL`"
        )),
        StatusCode::BAD_REQUEST => bad_request(refusal.error.filled().unwrap_or_default()),
        StatusCode::TOO_MANY_REQUESTS => limited(&refusal),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            SendError::refused("the server refused the credentials: check `SIGNAL_API_TOKEN`")
        }
        StatusCode::NOT_FOUND => SendError::refused("the server has no such endpoint"),
        StatusCode::PAYLOAD_TOO_LARGE => SendError::refused("the message is too large for the server"),
        StatusCode::REQUEST_TIMEOUT => SendError::unknown("the server lost patience (408)"),
        status if status.is_server_error() => SendError::unknown(format!("the server failed ({status})")),
        status => SendError::refused(format!("the server answered {status}")),
    }
}

/// Upstream answers 429 also after it has delivered, and then with an empty token (issue #881).
fn limited(refusal: &Refusal<'_>) -> SendError {
    let filled = refusal.challenge_tokens.iter().filter(|token| token.filled().is_some());
    let challenges = filled.count();
    let cause = RateLimited { challenges };
    if challenges == 0 {
        SendError::unknown("Signal limits this account, and may have taken the message").caused_by(cause)
    } else {
        SendError::refused("Signal limits this account until a challenge is solved").caused_by(cause)
    }
}

fn bad_request(text: &str) -> SendError {
    let text = text.to_lowercase();
    let has = |part: &str| text.contains(part);
    if has("specified account does not exist") {
        // While the daemon starts it knows no account yet; `open` has seen that the account is there.
        SendError::not_sent("signal-cli does not know the account yet")
    } else if (has("write tcp") && has("broken pipe")) || has("connection refused") {
        SendError::not_sent("the server does not reach signal-cli")
    } else if has("untrusted") {
        SendError::refused(UNTRUSTED)
    } else if has("not registered") || has("unregistered") {
        SendError::refused(UNREGISTERED)
    } else if has("rate limit") {
        SendError::unknown("Signal limits this account, and may have taken the message")
            .caused_by(RateLimited { challenges: 0 })
    } else if has("group") {
        SendError::refused("the server knows no such group, or the bot is not in it")
    } else if has("couldn't process request") || has("username must") || has("invalid") {
        SendError::refused("the server took the request for malformed")
    } else {
        // It may name people and hold what they wrote: the log gets its length.
        tracing::debug!(bytes = text.len(), "a 400 of unknown meaning");
        SendError::unknown("the server answered 400 for a reason that is not known")
    }
}

#[cfg(test)]
mod tests {
    use evenkeel::transport::Outcome;

    use super::*;

    #[test]
    fn a_400_is_tried_again_only_where_nothing_was_sent() {
        for (text, is_retried) in [
            ("Specified account does not exist", true),
            ("write tcp 127.0.0.1:1->127.0.0.1:2: write: broken pipe", true),
            ("dial tcp 127.0.0.1:6001: connect: connection refused", true),
            ("read tcp 127.0.0.1:1: connection reset by peer", false),
            ("Failed to send message", false),
            ("Failed to send message due to untrusted identities", false),
            ("The user +15550100001 is not registered.", false),
            ("something new", false),
        ] {
            let error = bad_request(text);
            assert_eq!(matches!(error.outcome(), Outcome::NotSent(_)), is_retried, "{text}");
            assert!(!error.to_string().contains("555"), "{text}");
        }
    }

    #[test]
    fn both_shapes_of_success_and_any_other_are_understood() {
        for (body, timestamp) in [
            (r#"{"timestamp":"7"}"#, Some(7)),
            (r#"{"timestamp":7}"#, Some(7)),
            (r#"[{"timestamp":"7"}]"#, Some(7)),
            (r#" [{"timestamp":7,"errors":null}]"#, Some(7)),
            ("[]", None),
            ("", None),
            ("{}", None),
            ("[1]", None),
            ("OK", None),
        ] {
            assert_eq!(Made::of(body.as_bytes()).timestamp.0, timestamp, "{body}");
        }
    }
}
