//! From the answer to what is known about the message.
//!
//! The server ignores idempotency keys and answers 400 for nearly everything, so what may be tried again is decided
//! by text, and carefully: a send counts as not sent only where that is certain.
//!
//! | answer | outcome |
//! |---|---|
//! | 2xx | sent; in a group perhaps not to everybody, which is logged with the count |
//! | no connection; 400 `Specified account does not exist`, `write ..: broken pipe`, `connection refused` | not sent: try again |
//! | 502, 503: a proxy reaches no server, which itself answers neither; 421, 425: by their definition the request was not processed | not sent: try again, after `Retry-After` if it is there |
//! | 400 untrusted, not registered, no such group, invalid request; 401, 403, 404, 413 and any other 4xx; 429 with a challenge; 501, 505: a method or version that nothing there has | refused |
//! | 3xx, 511, and 2xx with a web page: a proxy or a network wants a login, and the server has not seen the request | refused |
//! | 429 without a challenge, which upstream also answers after delivering; 408; 504, with which a proxy gives up waiting for a server that has the request; any other 5xx; any other 400; no answer | unknown |
//!
//! A 429, and a 400 that speaks of a rate limit, limits the account, so nothing more is sent for a while, whatever became
//! of the message itself. A 2xx is a success with any body but a web page: empty or unreadable, it names no message.
//! An answer whose body breaks off, never ends or is too large is what its status says: so much has arrived.
//!
//! Source: `bbernhard/signal-cli-rest-api` `src/api/api.go` and `src/client/client.go` at `a08db23`; issues #881, #453, #689.

use std::fmt;
use std::time::Duration;

use evenkeel::transport::SendError;
use http::StatusCode;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::api::answer::{Answer, Failure};
use crate::loose::{Number, Text};

/// Signal has had too many messages from this account; the cause of a [`SendError`], also of what
/// [`Context::reply_now`](evenkeel::Context::reply_now) fails with: `error.find::<RateLimited>()`.
///
/// With tokens, somebody has to solve a captcha: `POST /v1/accounts/{number}/rate-limit-challenge` takes a token as
/// `challenge_token`, beside the `captcha`. Without, waiting is all that helps. A token is no credential: it is of use only to
/// who may already use the account, and stands in the error's text, so that the operator finds it in the dead letter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RateLimited {
    /// The challenge tokens that came with the refusal.
    pub tokens: Vec<String>,
    /// How long the account has to wait, if the server said so.
    pub retry_after: Option<Duration>,
}

impl fmt::Display for RateLimited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.tokens[..] {
            [] => f.write_str("no challenge came with it: wait")?,
            tokens => {
                f.write_str("solve a captcha for the challenge token")?;
                for token in tokens.iter().take(SHOWN_TOKENS) {
                    write!(f, " `{}`", shown(token))?;
                }
            }
        }
        match self.retry_after {
            Some(wait) => write!(f, ", for {wait:?}"),
            None => Ok(()),
        }
    }
}

/// More than any answer has.
const SHOWN_TOKENS: usize = 8;

/// What a server says may be anything; a token is a UUID or another short word.
fn shown(token: &str) -> String {
    let is_plain = |letter: &char| letter.is_ascii_graphic() && *letter != '`';
    token.chars().filter(is_plain).take(200).collect()
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
        Some("RATE_LIMIT_FAILURE") => SendError::refused("Signal limits this account")
            .caused_by(RateLimited::default())
            .limiting_account(None),
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
    /// What signal-cli knows and the server does not pass on so far.
    #[serde(rename = "retryAfterSeconds", alias = "retry_after_seconds", alias = "retry_after")]
    retry_after_seconds: Number,
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
        StatusCode::TOO_MANY_REQUESTS => limited(&refusal, answer.retry_after),
        status @ (StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE) => {
            not_sent(format!("a proxy does not reach the server ({status})"), answer.retry_after)
        }
        status @ (StatusCode::MISDIRECTED_REQUEST | StatusCode::TOO_EARLY) => {
            not_sent(format!("the request was not processed ({status})"), answer.retry_after)
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            SendError::refused("the server refused the credentials: check `SIGNAL_API_TOKEN`")
        }
        StatusCode::NOT_FOUND => SendError::refused("the server has no such endpoint"),
        StatusCode::PAYLOAD_TOO_LARGE => SendError::refused("the message is too large for the server"),
        StatusCode::NETWORK_AUTHENTICATION_REQUIRED => {
            SendError::refused("a network on the way to the server wants a login (511)")
        }
        status @ (StatusCode::NOT_IMPLEMENTED | StatusCode::HTTP_VERSION_NOT_SUPPORTED) => {
            SendError::refused(format!(
                "what is at the server's address is no signal-cli-rest-api ({status})"
            ))
        }
        StatusCode::REQUEST_TIMEOUT => SendError::unknown("the server lost patience (408)"),
        status if status.is_server_error() => SendError::unknown(format!("the server failed ({status})")),
        status => SendError::refused(format!("the server answered {status}")),
    }
}

/// The server itself answers none of these statuses, and takes a message in one piece, so it has none of it.
fn not_sent(message: String, wait: Option<Duration>) -> SendError {
    match wait {
        Some(wait) => SendError::not_sent_before(message, wait),
        None => SendError::not_sent(message),
    }
}

/// Upstream answers 429 also after it has delivered, and then with an empty token (issue #881).
fn limited(refusal: &Refusal<'_>, named: Option<Duration>) -> SendError {
    let filled = refusal.challenge_tokens.iter().filter_map(Text::filled);
    let tokens: Vec<String> = filled.map(str::to_owned).collect();
    let retry_after = named.or_else(|| refusal.retry_after_seconds.0.map(Duration::from_secs));
    let error = match tokens.is_empty() {
        true => SendError::unknown("Signal limits this account, and may have taken the message"),
        false => SendError::refused("Signal limits this account until a challenge is solved"),
    };
    error.caused_by(RateLimited { tokens, retry_after }).limiting_account(retry_after)
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
            .caused_by(RateLimited::default())
            .limiting_account(None)
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
            assert!(!error.to_string().contains("5550100"), "{text}");
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
