//! From an action to a request, and from the answer to what is known about it.
//!
//! The server ignores idempotency keys and answers 400 for nearly everything, so what may be tried again is decided
//! by text, and carefully: a send counts as not sent only where that is certain.
//!
//! | answer | outcome |
//! |---|---|
//! | 2xx | sent; in a group perhaps not to everybody, which is logged with the count |
//! | no connection; 400 `Specified account does not exist`, `write ..: broken pipe`, `connection refused` | not sent: try again |
//! | 400 untrusted, not registered, no such group, invalid request; 401, 403, 404, 413; 429 with a challenge | refused |
//! | 429 without a challenge, which upstream also answers after delivering; 5xx; any other 400; no answer | unknown |
//!
//! Source: `bbernhard/signal-cli-rest-api` `src/api/api.go` and `src/client/client.go` at `a08db23`; issues #881, #453, #689.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use evenkeel::transport::{Outbound, SendError, Sent};
use evenkeel::{Action, Draft, File, Mention, MessageId, Quoting};
use http::{Method, StatusCode, Uri};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::api::{Answer, Api, Failure};
use crate::ids::Account;
use crate::loose::{Number, Text};
use crate::utf16;

/// More than any answer has, and no more than a hostile server may make us hold.
const ANSWER_LIMIT_BYTES: usize = 1 << 20;
/// What stands in a text where a mention is, in Signal's own clients.
const PLACEHOLDER: &str = "\u{fffc}";

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

#[derive(Serialize)]
struct SendBody<'a> {
    number: &'a str,
    recipients: [&'a str; 1],
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    text_mode: Option<&'static str>,
    #[serde(skip_serializing_if = "Files::is_empty")]
    base64_attachments: Files<'a>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    mentions: &'a [MentionBody<'a>],
    #[serde(skip_serializing_if = "Option::is_none")]
    edit_timestamp: Option<u64>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    quote: Option<QuoteBody<'a>>,
}

#[derive(Serialize)]
struct QuoteBody<'a> {
    quote_timestamp: u64,
    quote_author: &'a str,
    quote_message: &'a str,
}

/// In UTF-16 units.
#[derive(Debug, PartialEq, Serialize)]
struct MentionBody<'a> {
    start: usize,
    length: usize,
    author: &'a str,
}

struct Files<'a>(&'a [File]);

impl Files<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Files<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(DataUri))
    }
}

/// Writes `data:<type>;filename=<name>;base64,<content>` straight into the body.
struct DataUri<'a>(&'a File);

impl fmt::Display for DataUri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (media_type, name) = (media_type(&self.0.content_type), file_name(&self.0.name));
        write!(f, "data:{media_type};")?;
        if !name.is_empty() {
            write!(f, "filename={name};")?;
        }
        write!(f, "base64,{}", Base64Display::new(&self.0.bytes, &STANDARD))
    }
}

impl Serialize for DataUri<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn media_type(claimed: &str) -> &str {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&^_.+-/".contains(&byte);
    if !claimed.is_empty() && claimed.contains('/') && claimed.bytes().all(is_plain) {
        claimed
    } else {
        "application/octet-stream"
    }
}

/// Leaves nothing of a name that could end the field it stands in, or lead out of a directory.
fn file_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let is_safe = |c: &char| !c.is_control() && !matches!(c, ';' | ',' | ':' | '"' | '%');
    let safe: String = last.chars().filter(is_safe).take(120).collect();
    safe.trim_matches(['.', ' ']).to_owned()
}

#[derive(Serialize)]
struct ReactionBody<'a> {
    recipient: &'a str,
    reaction: &'a str,
    target_author: &'a str,
    timestamp: u64,
}

#[derive(Serialize)]
struct TargetBody<'a> {
    recipient: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<u64>,
}

/// Carries actions out.
pub(crate) struct Sender<'a> {
    pub(crate) account: &'a Account,
    pub(crate) api: &'a Api,
    pub(crate) endpoints: &'a Endpoints,
}

impl Sender<'_> {
    pub(crate) async fn send(&self, outbound: &Outbound) -> Result<Sent, SendError> {
        let recipient = Account::recipient(&outbound.conversation);
        let is_group = outbound.conversation.is_group();
        match &outbound.action {
            Action::Send(draft) => self.message(&recipient, draft, None, is_group).await,
            Action::Edit { target, draft } => {
                let (timestamp, _) = self.target(target)?;
                // The message keeps its name: later edits and reactions point at the first version.
                self.message(&recipient, draft, Some(timestamp), is_group).await?;
                Ok(Sent::done())
            }
            Action::React { target, emoji, is_removed } => {
                let (timestamp, target_author) = self.target(target)?;
                let body = ReactionBody { recipient: &recipient, reaction: emoji, target_author, timestamp };
                let method = if *is_removed { Method::DELETE } else { Method::POST };
                self.call(method, &self.endpoints.reactions, json(&body, 256)?).await
            }
            Action::Delete { target } => {
                let timestamp = Some(self.target(target)?.0);
                let body = json(&TargetBody { recipient: &recipient, timestamp }, 128)?;
                self.call(Method::DELETE, &self.endpoints.remote_delete, body).await
            }
            Action::Typing { is_started } => {
                let method = if *is_started { Method::PUT } else { Method::DELETE };
                let body = json(&TargetBody { recipient: &recipient, timestamp: None }, 128)?;
                self.call(method, &self.endpoints.typing, body).await
            }
            _ => Err(SendError::refused("Signal has no such action")),
        }
    }

    fn target<'a>(&'a self, id: &'a MessageId) -> Result<(u64, &'a str), SendError> {
        let target = self.account.target(id);
        target.ok_or_else(|| SendError::refused("the id of the target is not the id of a Signal message"))
    }

    async fn call(&self, method: Method, uri: &Uri, body: Bytes) -> Result<Sent, SendError> {
        let answer = self.api.call(method, uri, body, ANSWER_LIMIT_BYTES).await;
        let answer = answer.map_err(failed)?;
        if answer.status.is_success() {
            return Ok(Sent::done());
        }
        Err(refusal(&answer))
    }

    async fn message(
        &self,
        recipient: &str,
        draft: &Draft,
        edit_timestamp: Option<u64>,
        is_group: bool,
    ) -> Result<Sent, SendError> {
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
        let body = json(&body, 256 + draft.text.len() + files)?;
        let answer = self.api.call(Method::POST, &self.endpoints.send, body, ANSWER_LIMIT_BYTES).await;
        let answer = answer.map_err(failed)?;
        if !answer.status.is_success() {
            return Err(refusal(&answer));
        }
        self.sent(&answer.body, is_group)
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

fn json(body: &impl Serialize, capacity: usize) -> Result<Bytes, SendError> {
    let mut bytes = Vec::with_capacity(capacity);
    match serde_json::to_writer(&mut bytes, body) {
        Ok(()) => Ok(bytes.into()),
        Err(error) => Err(SendError::refused("the message cannot be written as JSON").caused_by(error)),
    }
}

/// Replaces each mention by the placeholder that Signal's clients expect; `None` if the text stays as it is.
///
/// The server takes the markup out of a styled text without moving its mentions, so a mention behind markup stays
/// a plain name.
fn mentioned(draft: &Draft) -> (Option<String>, Vec<MentionBody<'_>>) {
    if draft.mentions.is_empty() {
        return (None, Vec::new());
    }
    let mut wanted: Vec<&Mention> = draft.mentions.iter().collect();
    wanted.sort_by_key(|mention| mention.range.start);
    let (mut text, mut mentions) = (String::with_capacity(draft.text.len()), Vec::new());
    let (mut done, mut units) = (0, 0);
    for mention in wanted {
        let range = mention.range.clone();
        let before = draft.text.get(done..range.start);
        let (Some(before), Some(_)) = (before, draft.text.get(range.clone())) else {
            continue;
        };
        if draft.is_styled && draft.text[..range.start].contains(['*', '~', '|', '`', '\\']) {
            break;
        }
        text.push_str(before);
        units += utf16::length(before);
        mentions.push(MentionBody { start: units, length: 1, author: mention.who.id() });
        text.push_str(PLACEHOLDER);
        units += 1;
        done = range.end;
    }
    text.push_str(draft.text.get(done..).unwrap_or_default());
    (Some(text), mentions)
}

/// What a 201 says, in either shape.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Made<'a> {
    timestamp: Number,
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
struct Reason<'a> {
    #[serde(borrow)]
    reason: Text<'a>,
}

impl<'a> Made<'a> {
    /// An answer in another shape is a success of which nothing is known.
    fn of(body: &'a [u8]) -> Self {
        if body.trim_ascii_start().first() == Some(&b'[') {
            let all: Vec<Self> = serde_json::from_slice(body).unwrap_or_default();
            return all.into_iter().next().unwrap_or_default();
        }
        serde_json::from_slice(body).unwrap_or_default()
    }

    fn failures(&self) -> Vec<Reason<'a>> {
        let Some(errors) = self.errors else {
            return Vec::new();
        };
        let unreached: Unreached<'a> = serde_json::from_str(errors.get()).unwrap_or_default();
        unreached.recipients
    }
}

/// The one recipient of a direct message was not reached.
fn unreached(failed: &[Reason<'_>]) -> SendError {
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

fn failed(failure: Failure) -> SendError {
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

/// Says what a status other than 2xx means. The server's own text may name people, so it is never repeated.
fn refusal(answer: &Answer) -> SendError {
    // The type is wrong in places (upstream sends JSON as plain text), so the body is read whatever it claims to be.
    let refusal: Refusal<'_> = serde_json::from_slice(&answer.body).unwrap_or_default();
    match answer.status {
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
        // It may name people, hence only for those who ask for debugging.
        tracing::debug!(error = text, "a 400 of unknown meaning");
        SendError::unknown("the server answered 400 for a reason that is not known")
    }
}

#[cfg(test)]
mod tests {
    use evenkeel::transport::Outcome;
    use evenkeel::{Reply, Sender as Person};

    use super::*;

    fn draft(reply: &Reply) -> &Draft {
        match reply.actions() {
            [Action::Send(draft)] => draft,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_mention_is_a_placeholder_counted_in_utf16() {
        let zoe = Person::known_as("z", Some("Zoë"), None::<&str>);
        let reply = Reply::text("👋 ").mention(&zoe).push(" and ").mention(&zoe).push("!");
        let (text, mentions) = mentioned(draft(&reply));
        assert_eq!(text.unwrap(), "👋 \u{fffc} and \u{fffc}!");
        let starts: Vec<_> = mentions.iter().map(|mention| (mention.start, mention.length)).collect();
        assert_eq!(starts, [(3, 1), (9, 1)]);
    }

    #[test]
    fn a_mention_behind_markup_stays_a_name() {
        let zoe = Person::known_as("z", Some("Zoë"), None::<&str>);
        let reply = Reply::styled("hi ").mention(&zoe).push(" *and* ").mention(&zoe);
        let (text, mentions) = mentioned(draft(&reply));
        assert_eq!(text.unwrap(), "hi \u{fffc} *and* @Zoë");
        assert_eq!(mentions.len(), 1);
    }

    #[test]
    fn file_names_lead_nowhere_and_end_no_field() {
        for (given, safe) in [
            ("a b.txt", "a b.txt"),
            ("../../etc/passwd", "passwd"),
            ("C:\\x\\y.png", "y.png"),
            ("a;base64,b.png", "abase64b.png"),
            ("..", ""),
            ("a\nb\0c", "abc"),
        ] {
            assert_eq!(file_name(given), safe, "{given}");
        }
        let file = File::new("a;b", "text/plain\r\nX: y", "hi");
        let uri = DataUri(&file).to_string();
        assert_eq!(uri, "data:application/octet-stream;filename=ab;base64,aGk=");
    }

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
