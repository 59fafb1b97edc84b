//! What a handler can reach: its event, the chat it came from, and the bot's shared tools.

mod now;
mod step;
mod wait;

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use regex::Regex;
use tokio::sync::{mpsc, oneshot};

use crate::breaker::{Breaker, Breakers};
use crate::error::{Error, Result};
use crate::event::{Attachment, Conversation, Event, MessageId, Quote};
use crate::guarantee::OnUnknown;
use crate::journal::{Dead, Entry, Fact, Job};
use crate::limit::RateLimit;
use crate::progress::{Hold, Progress};
use crate::reply::{Action, Draft, IntoReply, Outbound, Quoting, Reply, SendKey};
use crate::retry::Retry;
use crate::text::{after_words, trim};
use crate::trigger::Facts;
pub(crate) use wait::Offer;

/// What a handler can reach. An extractor; cloning is cheap.
///
/// `reply`, `send`, `react`, `edit` and `delete` are promises: they leave together, in order, once the handler has
/// returned without an error, so that a handler that fails half-way leaves no half answer. `reply_now` and
/// `typing` leave at once.
///
/// ```
/// use evenkeel::{Context, Result};
///
/// async fn slow(cx: Context) -> Result<()> {
///     let note = cx.reply_now("one moment").await?; // leaves at once
///     let answer = 6 * 7;
///     cx.edit(&note, format!("it is {answer}"));    // leaves when the handler has succeeded
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct Context {
    event: Event,
    call: Arc<Call>,
}

/// What stays the same while layers change the event.
struct Call {
    tools: Arc<Tools>,
    wire: Wire,
    matched: Arc<Matched>,
    /// How many words of the text are those of the command, in the spelling that was written.
    command_words: usize,
    attempt: Attempt,
    /// The index of the next action that is carried out at once.
    index: AtomicU32,
    /// How often this attempt has begun to wait for somebody.
    waits: AtomicU32,
    promised: Mutex<Promised>,
}

/// One attempt to handle an event.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// The event's number in the journal.
    pub(crate) sequence: u64,
    /// Which attempt this is, from 1.
    pub(crate) attempt: u32,
    /// Whether the operator has replayed it.
    pub(crate) is_replayed: bool,
    /// What earlier attempts left.
    pub(crate) facts: Vec<Fact>,
    /// When it began, in milliseconds since 1970.
    pub(crate) now_ms: u64,
    /// What others may learn of it meanwhile.
    pub(crate) progress: Arc<Progress>,
}

/// What happens once the handler has succeeded, in one transaction with the end of the event.
#[derive(Debug, Default)]
struct Promised {
    actions: Vec<(Conversation, Action)>,
    changes: Vec<Entry>,
    /// The steps that this attempt has taken or begun.
    steps: HashSet<String>,
    jobs: u32,
}

/// What a handler leaves.
pub(crate) struct Left {
    pub(crate) outbound: Vec<Outbound>,
    pub(crate) changes: Vec<Entry>,
    pub(crate) failure: Option<Error>,
}

/// What is known of the trigger that matched.
#[derive(Debug)]
pub(crate) struct Matched {
    pub(crate) facts: Facts,
    pub(crate) pattern: Option<Arc<Regex>>,
    /// How many words of the text belong to the routers around this one.
    pub(crate) nest_words: usize,
}

/// What all handlers of a bot share.
#[derive(Clone, Default)]
pub(crate) struct Tools {
    #[cfg(feature = "http")]
    pub(crate) http: crate::http::Client,
    pub(crate) rate_limit: RateLimit,
    pub(crate) breakers: Breakers,
    /// What happens to an event whose handler failed, unless its trigger says otherwise.
    pub(crate) retry: Retry,
    /// How long a handler may take, where nothing of its own says so; what the settings say, unless told.
    pub(crate) within: Option<Duration>,
    pub(crate) on_unknown: OnUnknown,
    /// Whether the same may be said to the same conversation again and again.
    pub(crate) is_unbraked: bool,
    /// Told of each dead letter.
    pub(crate) on_dead: Option<OnDead>,
    /// The functions that jobs may call.
    pub(crate) jobs: Arc<HashSet<&'static str>>,
}

/// What the author wants done when something is given up.
pub(crate) type OnDead = Arc<dyn Fn(Dead) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// The way from a handler to the wire thread.
pub(crate) type Wire = mpsc::UnboundedSender<Ask>;

/// What a running handler asks of the wire thread.
#[derive(Debug)]
pub(crate) enum Ask {
    /// Carry this out now, for this command; tell how it went if somebody wants to know.
    Act { outbound: Outbound, command: Box<str>, answer: Option<Answer> },
    /// Keep the result of a step.
    Step { sequence: u64, name: String, value: Bytes, answer: oneshot::Sender<()> },
    /// Find a value that was kept for a conversation.
    Recall { conversation: String, name: String, answer: oneshot::Sender<Option<Bytes>> },
    /// List the jobs of a conversation.
    Jobs { conversation: String, answer: oneshot::Sender<Vec<Job>> },
    /// Wait for somebody.
    Wait { sequence: u64, offers: mpsc::UnboundedSender<Offer> },
    /// The event that was offered is not what the handler waits for.
    Pass { event: u64, by: u64 },
    /// It is, and is kept as a step of the handler's.
    Take { event: u64, by: u64, name: String, value: Bytes, answer: oneshot::Sender<()> },
    /// The handler has waited long enough and wants its turn.
    Rejoin { sequence: u64, answer: oneshot::Sender<()> },
    /// The handler waits no more.
    Leave { sequence: u64 },
    /// Fetch a file.
    Download { attachment: Attachment, limit_bytes: usize, answer: oneshot::Sender<Result<Bytes>> },
}

/// Where the fate of an action is told: the name of the message it made, if it made one.
pub(crate) type Answer = oneshot::Sender<Result<Option<MessageId>>>;

/// Where the actions of failures begin: a later attempt, after a replay, must not take one of them for what it sends at
/// once.
pub(crate) const APOLOGY: u32 = 1 << 31;

/// How many actions one attempt may promise.
const MOST_PROMISED: usize = 10_000;
/// And how many of them in one conversation.
const MOST_IN_ONE: usize = 1_000;

impl Context {
    pub(crate) fn new(
        event: Event,
        attempt: Attempt,
        tools: Arc<Tools>,
        wire: Wire,
        (matched, command_words): (Arc<Matched>, usize),
    ) -> Self {
        let (index, waits, promised) = (AtomicU32::new(0), AtomicU32::new(0), Mutex::default());
        Self {
            event,
            call: Arc::new(Call { tools, wire, matched, command_words, attempt, index, waits, promised }),
        }
    }

    /// The event that is being handled.
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// The same call with another event, as layers pass it on.
    pub(crate) fn with_event(&self, event: Event) -> Self {
        Self { event, call: Arc::clone(&self.call) }
    }

    /// What is known of the trigger that matched.
    pub(crate) fn facts(&self) -> &Facts {
        &self.call.matched.facts
    }

    /// What others may learn of this attempt.
    pub(crate) fn progress(&self) -> &Progress {
        &self.call.attempt.progress
    }

    /// The name of the command that matched.
    pub fn command(&self) -> &str {
        &self.call.matched.facts.name
    }

    /// How the command wants to be written, if its author said so.
    pub fn usage(&self) -> Option<&str> {
        self.call.matched.facts.usage.as_deref()
    }

    /// An error that tells the person what is wrong with the arguments, and how the command wants to be written.
    ///
    /// ```
    /// use evenkeel::{Context, Rest, Result};
    ///
    /// async fn add(cx: Context, Rest(item): Rest) -> Result<String> {
    ///     if item.is_empty() {
    ///         return Err(cx.misuse("What shall I add?"));
    ///     }
    ///     Ok(format!("{item} is on the list"))
    /// }
    /// ```
    #[track_caller]
    pub fn misuse(&self, problem: impl std::fmt::Display) -> Error {
        Error::tell(self.with_usage(problem))
    }

    /// A problem, and the usage below it if there is one.
    pub(crate) fn with_usage(&self, problem: impl std::fmt::Display) -> String {
        let usage = self.usage().map(|usage| format!("\nUsage: {usage}")).unwrap_or_default();
        format!("{problem}{usage}")
    }

    /// The part of the text that the trigger was matched against: all of it, or what follows the words of `nest`.
    pub(crate) fn matched_text(&self) -> &str {
        let text = trim(self.event.said().unwrap_or_default());
        trim(after_words(text, self.call.matched.nest_words))
    }

    /// The text after the words of the command.
    pub(crate) fn rest(&self) -> &str {
        trim(after_words(self.matched_text(), self.call.command_words))
    }

    /// The pattern that matched, if it was one.
    pub(crate) fn pattern(&self) -> Option<&Regex> {
        self.call.matched.pattern.as_deref()
    }

    /// Answers in this conversation, once the handler has succeeded.
    pub fn reply(&self, reply: impl IntoReply) {
        self.send(self.event.conversation(), reply);
    }

    /// Writes in another conversation, once the handler has succeeded.
    pub fn send(&self, conversation: &Conversation, reply: impl IntoReply) {
        let (actions, failure) = self.resolve(reply.into_reply());
        if let Some(error) = failure {
            tracing::warn!(command = self.command(), error = error.chain(), "an error was sent as a reply");
        }
        let actions = actions.into_iter().map(|action| (conversation.clone(), action));
        self.promised().actions.extend(actions);
    }

    /// Reacts to the message that this event is about, once the handler has succeeded.
    ///
    /// Events without a message (typing, receipts) take no reaction: nothing happens.
    pub fn react(&self, emoji: impl Into<String>) {
        if let Some(target) = self.event.about() {
            self.reply(Reply::react(target.clone(), emoji));
        }
    }

    /// Gives a message of the bot in this conversation a new text, once the handler has succeeded.
    pub fn edit(&self, message: &MessageId, text: impl Into<String>) {
        self.reply(Reply::edit(message.clone(), text));
    }

    /// Deletes a message of the bot in this conversation for everyone, once the handler has succeeded.
    pub fn delete(&self, message: &MessageId) {
        self.reply(Reply::delete(message.clone()));
    }

    /// Shows in this conversation that the bot is typing. It ends by itself with the next message, or after a while.
    pub fn typing(&self) {
        if self.event.conversation().is_nowhere() {
            return;
        }
        // Nothing is kept of it, so it takes no index from what is.
        let key = SendKey { sequence: self.call.attempt.sequence, index: u32::MAX };
        let (conversation, action) = (self.event.conversation().clone(), Action::Typing { is_started: true });
        let outbound = Outbound { conversation, action, key };
        // A bot that is stopping types no more.
        let _asked = self.call.wire.send(Ask::Act { outbound, command: Box::default(), answer: None });
    }

    /// The bot's one pooled HTTP client.
    #[cfg(feature = "http")]
    pub fn http(&self) -> &crate::http::Client {
        &self.call.tools.http
    }

    /// Waits until the bot's shared rate limit (50 per second unless [`App`](crate::App) says otherwise) lets one more pass.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the place in the queue up.
    pub async fn rate_limit(&self) {
        self.call.tools.rate_limit.wait().await;
    }

    /// The bot's circuit breaker of this name.
    pub fn breaker(&self, name: &'static str) -> Breaker {
        self.call.tools.breakers.get(name)
    }

    /// What the handler promised so far, followed by what it returned. After a failure, only the latter.
    pub(crate) fn finish(&self, reply: Reply) -> Left {
        let (mut actions, mut failure) = self.resolve(reply);
        let mut promised = std::mem::take(&mut *self.promised());
        if failure.is_none()
            && let Some(error) = too_many(&promised.actions, actions.len())
        {
            (actions, failure) = self.resolve(Reply::failed(error));
        }
        let failure = failure.or_else(|| {
            let mut elsewhere = promised.actions.iter().map(|(conversation, _)| conversation);
            let is_here = !actions.is_empty() && self.event.conversation().is_nowhere();
            (is_here || elsewhere.any(Conversation::is_nowhere)).then(nowhere)
        });
        if failure.is_some() {
            promised = Promised::default();
        }
        let first = if failure.is_some() { self.free_index().max(APOLOGY) } else { self.free_index() };
        let here = self.event.conversation();
        // Nobody is spoken to who did not speak: what is said after a failure answers a message.
        let is_answer = failure.is_none() || self.event.message().is_some();
        let actions = actions.into_iter().filter(|_| is_answer);
        promised.actions.extend(actions.map(|action| (here.clone(), action)));
        let outbound = promised.actions.into_iter().zip(first..).map(|((conversation, action), index)| {
            let key = SendKey { sequence: self.call.attempt.sequence, index };
            Outbound { conversation, action, key }
        });
        Left { outbound: outbound.collect(), changes: promised.changes, failure }
    }

    /// The first index that no action of this or an earlier attempt has.
    fn free_index(&self) -> u32 {
        free_index(&self.call.attempt.facts).max(self.call.index.load(Ordering::Relaxed))
    }

    /// Fixes where an action goes and the key by which it is known from now on: the same in each attempt of a handler
    /// that does the same.
    fn address(&self, conversation: &Conversation, action: Action) -> Outbound {
        let index = self.call.index.fetch_add(1, Ordering::Relaxed);
        let key = SendKey { sequence: self.call.attempt.sequence, index };
        Outbound { conversation: conversation.clone(), action, key }
    }

    /// The handler's time stands still until this is dropped: what it waits for is not its fault.
    fn unhurried(&self) -> Hold<'_> {
        self.call.attempt.progress.stopwatch.hold()
    }

    fn promised(&self) -> MutexGuard<'_, Promised> {
        // A panic elsewhere in the handler leaves the list whole.
        self.call.promised.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces "the message that is being answered" by its name.
    fn resolve(&self, reply: Reply) -> (Vec<Action>, Option<Error>) {
        let (mut actions, failure) = reply.into_parts();
        for action in &mut actions {
            if let Action::Send(draft) | Action::Edit { draft, .. } = action
                && draft.quote == Quoting::Asked
            {
                self.quote(draft);
            }
        }
        (actions, failure)
    }

    fn quote(&self, draft: &mut Draft) {
        draft.quote = self.event.message().map_or(Quoting::Nothing, |message| {
            let author = Some(self.event.sender().clone());
            Quoting::Message(Quote { id: message.id.clone(), author, text: message.text.clone() })
        });
    }
}

/// The outbox is everybody's: one handler must not fill it, and a conversation in which so much waits hears nothing else.
fn too_many(promised: &[(Conversation, Action)], returned: usize) -> Option<Error> {
    let count = promised.len() + returned;
    if count <= MOST_IN_ONE {
        return None;
    }
    let mut each = HashMap::new();
    promised.iter().for_each(|(conversation, _)| *each.entry(conversation.id()).or_insert(0) += 1);
    let most = each.into_values().max().unwrap_or(0).max(returned);
    let (count, limit, place) = match (most > MOST_IN_ONE, count > MOST_PROMISED) {
        (true, _) => (most, MOST_IN_ONE, " in one conversation"),
        (_, true) => (count, MOST_PROMISED, ""),
        _ => return None,
    };
    let error = Error::new(format!("{count} replies of one event{place} are too many: none of them is sent"));
    Some(
        error
            .with_hint(format!("promise at most {limit}, and defer a job for the next ones: `cx.defer(..)`")),
    )
}

/// Something was to be said in the conversation of a schedule.
#[track_caller]
fn nowhere() -> Error {
    Error::new("there is nobody to reply to: a schedule belongs to no conversation")
        .with_hint("say where it goes: `cx.send(&Conversation::direct(\"..\"), text)`")
}

/// The first index that no action has of which these facts tell.
pub(crate) fn free_index(facts: &[Fact]) -> u32 {
    let sent = facts.iter().filter_map(|fact| match fact {
        Fact::Sent { index, .. } | Fact::Buried { index } => Some(index + 1),
        Fact::Step { .. } => None,
    });
    sent.max().unwrap_or(0)
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("event", &self.event).field("command", &self.command()).finish()
    }
}
