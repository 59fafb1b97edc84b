//! What the stand-in answers when it was told not to behave.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use serde_json::{Value, json};

/// An endpoint, as far as answers can be scripted for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Route {
    /// `GET /v1/about`.
    About,
    /// `GET /v1/health`.
    Health,
    /// `GET /v1/accounts`.
    Accounts,
    /// `GET /v1/receive/{number}`, before it is upgraded.
    Receive,
    /// `POST /v2/send`.
    Send,
    /// `PUT` and `DELETE /v1/typing-indicator/{number}`.
    Typing,
    /// `POST` and `DELETE /v1/reactions/{number}`.
    Reactions,
    /// `DELETE /v1/remote-delete/{number}`.
    RemoteDelete,
    /// `POST /v1/receipts/{number}`.
    Receipts,
    /// `GET /v1/groups/{number}`.
    Groups,
    /// `GET /v1/attachments/{id}`.
    Attachments,
    /// Everything else.
    Unknown,
}

/// One recipient whom a send did not reach, as master reports it within a 201.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The phone number, where known.
    pub number: Option<String>,
    /// The account id.
    pub uuid: String,
    /// Such as `IDENTITY_FAILURE`, `NETWORK_FAILURE`, `UNREGISTERED_FAILURE` or `RATE_LIMIT_FAILURE`.
    pub reason: String,
}

/// What a request is answered with.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Answer {
    /// What upstream answers on a good day.
    Usual,
    /// 201 in master's shape, with recipients that were not reached; only for sends.
    Partial(Vec<Failure>),
    /// 400 with `{"error": text}`, which upstream uses for nearly everything.
    Refused(String),
    /// 429 with these challenge tokens; upstream may have delivered the message nevertheless.
    RateLimited(Vec<String>),
    /// Any status with any body, sent as JSON.
    Status(u16, String),
    /// The answer after a delay of real time.
    After(Duration, Box<Answer>),
    /// No answer, ever; the connection stays open.
    Hang,
    /// The connection is closed once the request was read: it may or may not have happened.
    Close,
}

impl Answer {
    /// Returns the answer of signal-cli to a recipient whose safety number has changed.
    #[must_use]
    pub fn untrusted() -> Self {
        Self::Refused("Failed to send message due to untrusted identities".to_owned())
    }

    /// Delays this answer.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self::After(delay, Box::new(self))
    }
}

/// The body of a 429 for `account`.
pub(super) fn challenge(tokens: &[String], account: &str) -> Value {
    json!({
        "error": "Failed to send message due to rate limiting. Use the attached challenge tokens to lift the \
                  rate limit restrictions via the '/v1/accounts/{number}/rate-limit-challenge' endpoint.",
        "challenge_tokens": tokens,
        "account": account,
    })
}

/// The answers that were ordered: first those for the next requests, then the standing one.
#[derive(Debug, Default)]
pub(super) struct Script {
    next: HashMap<Route, VecDeque<Answer>>,
    standing: HashMap<Route, Answer>,
}

impl Script {
    pub(super) fn extend(&mut self, route: Route, answers: impl IntoIterator<Item = Answer>) {
        self.next.entry(route).or_default().extend(answers);
    }

    pub(super) fn set(&mut self, route: Route, answer: Answer) {
        self.standing.insert(route, answer);
    }

    pub(super) fn take(&mut self, route: Route) -> Answer {
        if self.next.is_empty() && self.standing.is_empty() {
            return Answer::Usual;
        }
        if let Some(answer) = self.next.get_mut(&route).and_then(VecDeque::pop_front) {
            return answer;
        }
        self.standing.get(&route).cloned().unwrap_or(Answer::Usual)
    }
}
