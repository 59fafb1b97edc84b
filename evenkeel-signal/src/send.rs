//! From an action to a request, and from the answer to an outcome.
//!
//! `body` builds what is sent, `answer` says what came of it.

pub(crate) mod answer;
mod body;

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use evenkeel::transport::{SendError, Sent};
use evenkeel::{Action, Draft, MessageId, Outbound, Quoting};
use http::{Method, Uri};

use self::answer::{Made, failed, refusal, unreached};
use self::body::{Files, QuoteBody, ReactionBody, SendBody, TargetBody, json, mentioned};
use crate::api::Api;
use crate::connections::Purpose;
use crate::ids::Account;

/// More than any answer has, and no more than a hostile server may make us hold.
const ANSWER_LIMIT_BYTES: usize = 1 << 20;

/// Carries actions out.
pub(crate) struct Sender<'a> {
    pub(crate) account: &'a Account,
    pub(crate) api: &'a Api,
    pub(crate) endpoints: &'a Endpoints,
}

/// A request but for what goes with all of them.
struct Call<'a> {
    method: Method,
    uri: &'a Uri,
    body: Bytes,
}

impl Sender<'_> {
    pub(crate) async fn send(&self, outbound: &Outbound) -> Result<Sent, SendError> {
        // One await for all actions keeps the future small; what a body is built from is gone before it.
        let Call { method, uri, body } = self.request(outbound)?;
        let purpose = match outbound.action {
            Action::Typing { .. } => Purpose::Notice,
            _ => Purpose::Message,
        };
        let answer = self.api.call(purpose, (method, uri), body, ANSWER_LIMIT_BYTES).await.map_err(failed)?;
        if answer.is_of_a_proxy() || !answer.status.is_success() {
            return Err(refusal(&answer));
        }
        match outbound.action {
            Action::Send(_) => self.sent(&answer.body, outbound.conversation.is_group()),
            // The message keeps its name: later edits and reactions point at the first version.
            Action::Edit { .. } => {
                self.sent(&answer.body, outbound.conversation.is_group()).map(|_| Sent::done())
            }
            _ => Ok(Sent::done()),
        }
    }

    fn request(&self, outbound: &Outbound) -> Result<Call<'_>, SendError> {
        let recipient = &*Account::recipient(&outbound.conversation);
        let (method, uri, body) = match &outbound.action {
            Action::Send(draft) => {
                (Method::POST, &self.endpoints.send, self.message(recipient, draft, None)?)
            }
            Action::Edit { target, draft } => {
                let (timestamp, _) = self.target(target)?;
                (Method::POST, &self.endpoints.send, self.message(recipient, draft, Some(timestamp))?)
            }
            Action::React { target, emoji, is_removed } => {
                let (timestamp, target_author) = self.target(target)?;
                let body = ReactionBody { recipient, reaction: emoji, target_author, timestamp };
                let method = if *is_removed { Method::DELETE } else { Method::POST };
                (method, &self.endpoints.reactions, json(&body, 256)?)
            }
            Action::Delete { target } => {
                let timestamp = Some(self.target(target)?.0);
                let body = json(&TargetBody { recipient, timestamp }, 128)?;
                (Method::DELETE, &self.endpoints.remote_delete, body)
            }
            Action::Typing { is_started } => {
                let method = if *is_started { Method::PUT } else { Method::DELETE };
                let body = json(&TargetBody { recipient, timestamp: None }, 128)?;
                (method, &self.endpoints.typing, body)
            }
            _ => return Err(SendError::refused("Signal has no such action")),
        };
        Ok(Call { method, uri, body })
    }

    fn target<'a>(&'a self, id: &'a MessageId) -> Result<(u64, &'a str), SendError> {
        if !id.is_known() {
            return Err(SendError::refused(
                "the server did not name the message, so nothing can be done to it",
            ));
        }
        let target = self.account.target(id);
        target.ok_or_else(|| SendError::refused("the id of the target is not the id of a Signal message"))
    }

    fn message(
        &self,
        recipient: &str,
        draft: &Draft,
        edit_timestamp: Option<u64>,
    ) -> Result<Bytes, SendError> {
        let (text, mentions) = mentioned(draft);
        let quote = match &draft.quote {
            Quoting::Message(quote) => {
                self.account.target(&quote.id).map(|(quote_timestamp, quote_author)| QuoteBody {
                    quote_timestamp,
                    quote_author,
                    quote_message: &quote.text,
                })
            }
            // `serve` has turned `Asked` into a message; without one there is nothing to quote.
            Quoting::Nothing | Quoting::Asked => None,
        };
        let body = SendBody {
            number: &self.account.number,
            recipients: [recipient],
            message: text.as_deref().unwrap_or(&draft.text),
            text_mode: draft.is_styled.then_some("styled"),
            base64_attachments: Files(&draft.files),
            mentions: &mentions,
            edit_timestamp,
            quote,
        };
        let files: usize = draft.files.iter().map(|file| file.bytes.len() / 3 * 4 + 300).sum();
        json(&body, 256 + draft.text.len() + files)
    }

    fn sent(&self, body: &[u8], is_group: bool) -> Result<Sent, SendError> {
        let made = Made::of(body);
        let failed = made.failures();
        if !failed.is_empty() && !is_group {
            return Err(unreached(&failed));
        }
        if !failed.is_empty() {
            tracing::warn!(count = failed.len(), "a message did not reach everybody in a group");
        }
        let Some(timestamp) = made.timestamp.0 else {
            if !self.endpoints.has_warned.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    "the server's answer names no timestamp: messages of this bot cannot be edited"
                );
            }
            return Ok(Sent::done());
        };
        Ok(Sent::message(Account::own_message_id(timestamp)))
    }
}

/// The endpoints, spelled out once.
pub(crate) struct Endpoints {
    send: Uri,
    reactions: Uri,
    typing: Uri,
    remote_delete: Uri,
    /// Warned once of an answer whose timestamp could not be read.
    has_warned: AtomicBool,
}

impl Endpoints {
    /// `uri` turns a path such as `/v2/send` into an address on the server.
    pub(crate) fn new(number: &str, uri: impl Fn(&str) -> Uri) -> Self {
        let number = crate::config::percent_encoded(number);
        Self {
            send: uri("/v2/send"),
            reactions: uri(&format!("/v1/reactions/{number}")),
            typing: uri(&format!("/v1/typing-indicator/{number}")),
            remote_delete: uri(&format!("/v1/remote-delete/{number}")),
            has_warned: AtomicBool::new(false),
        }
    }
}
