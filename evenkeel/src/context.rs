//! What a handler can reach: its event, the chat it came from, and the bot's shared tools.

mod judge;
mod ending;
mod now;
mod step;
mod wait;
mod ask;
mod cancel;

use std::collections::{HashMap, HashSet};
use std::panic::Location;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use regex::Regex;

use crate::breaker::{Breaker, Breakers};
use crate::capability::Capabilities;
use crate::command::{CommandSpec, TriggerKind};
use crate::engine::{Attempt, HandlerRequest, HandlerRequests, JobFunctions};
use crate::error::{Error, Result};
use crate::event::{Conversation, Event, MessageId, Quote};
use crate::journal::Entry;
use crate::limit::RateLimit;
use crate::networks::Networks;
use crate::progress::{Hold, Progress};
use crate::reply::{Action, Draft, IntoReply, Outbound, Quoting, Reply, SendKey, fitted};
use crate::text::{after_words, trim};
use crate::trigger::Facts;
pub use ask::Ask;
pub(crate) use judge::judge;
pub use wait::Unanswered;

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
    requests: HandlerRequests,
    matched: Arc<Matched>,
    /// How many words of the text are those of the command, in the spelling that was written.
    command_words: usize,
    attempt: Attempt,
    /// What others may learn of it meanwhile.
    progress: Arc<Progress>,
    /// The index of the next action that is carried out at once.
    index: AtomicU32,
    /// How often this attempt has begun to wait for somebody,
    waits: AtomicU32,
    /// and has ended others.
    cancels: AtomicU32,
    promised: Mutex<Promised>,
}

/// What happens once the handler has succeeded, in one transaction with the end of the event.
#[derive(Debug, Default)]
pub(super) struct Promised {
    actions: Vec<(Conversation, Action)>,
    changes: Vec<Entry>,
    /// The steps that this attempt has taken or begun.
    steps: HashSet<String>,
    jobs: u32,
    /// Why the first of the actions cannot be carried by the network, if one cannot.
    misfit: Option<Error>,
}

/// What is known of the trigger that matched.
#[derive(Debug)]
pub(crate) struct Matched {
    pub(crate) facts: Facts,
    /// What kind of text it matches, if any, and which texts these are.
    pub(crate) texts: Option<(TriggerKind, Vec<String>)>,
    pub(crate) pattern: Option<Arc<Regex>>,
    /// Whether every match of the pattern begins the text, and with words of the author's.
    pub(crate) has_first_words: bool,
    /// How many words of the text belong to the routers around this one.
    pub(crate) nest_words: usize,
}

impl Matched {
    /// What is told of it outside, if people can call it.
    pub(crate) fn spec(&self) -> Option<CommandSpec> {
        let (trigger, spellings) = self.texts.as_ref()?;
        Some(self.facts.spec(*trigger, spellings))
    }
}

/// What handlers of a bot share and reach by their [`Context`].
#[derive(Clone, Default)]
pub(crate) struct Tools {
    #[cfg(feature = "http")]
    pub(crate) http: crate::http::Client,
    pub(crate) rate_limit: RateLimit,
    pub(crate) breakers: Breakers,
    /// The networks on which it is.
    pub(crate) networks: Networks,
    /// The functions that jobs may call.
    pub(crate) jobs: Arc<JobFunctions>,
    /// What the author has said of dialogues, by the type of their state.
    pub(crate) dialogues: HashMap<&'static str, DialogueOptions>,
    pub(crate) is_command: Option<IsCommand>,
}

/// What becomes of a dialogue that an earlier version of the bot has kept.
#[derive(Clone, Debug, Default)]
pub(crate) struct DialogueOptions {
    /// The names that the type has had.
    pub(crate) former: Vec<String>,
    /// Whether one of another shape is forgotten.
    pub(crate) begins_anew: bool,
}

/// Whether a message goes to a command of the bot's.
pub(crate) type IsCommand = Arc<dyn Fn(&Event) -> bool + Send + Sync>;

impl Context {
    pub(crate) fn new(
        attempt: Attempt,
        progress: Arc<Progress>,
        tools: Arc<Tools>,
        requests: HandlerRequests,
        (matched, command_words): (Arc<Matched>, usize),
    ) -> Self {
        let (index, waits, cancels) = (AtomicU32::new(0), AtomicU32::new(0), AtomicU32::new(0));
        let promised = Mutex::default();
        let event = attempt.event.clone();
        let call = Call {
            tools,
            requests,
            matched,
            command_words,
            attempt,
            progress,
            index,
            waits,
            cancels,
            promised,
        };
        Self { event, call: Arc::new(call) }
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
        &self.call.progress
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
        Error::for_user(self.with_usage(problem))
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

    /// What the network of this conversation can carry.
    pub fn capabilities(&self) -> &Capabilities {
        self.call.tools.networks.capabilities(self.event.conversation())
    }

    /// The network of this conversation, as the bot calls it: `signal` for example.
    pub fn network(&self) -> &str {
        self.call.tools.networks.name(self.event.conversation())
    }

    /// Answers in this conversation, once the handler has succeeded.
    #[track_caller]
    pub fn reply(&self, reply: impl IntoReply) {
        self.send(self.event.conversation(), reply);
    }

    /// Writes in another conversation, once the handler has succeeded. It fails if the network cannot carry what is said, or if the bot
    /// is not on it.
    #[track_caller]
    pub fn send(&self, conversation: &Conversation, reply: impl IntoReply) {
        let networks = &self.call.tools.networks;
        let resolved = networks.find(conversation).and_then(|(conversation, can)| {
            let (actions, failure) = self.resolve(reply.into_reply(), can)?;
            Ok((conversation, actions, failure))
        });
        let (conversation, actions, failure) = match resolved {
            Ok(resolved) => resolved,
            Err(misfit) => {
                let misfit = misfit.at(Location::caller());
                self.promised().misfit.get_or_insert(misfit);
                return;
            }
        };
        if let Some(error) = failure {
            tracing::warn!(command = self.command(), error = error.chain(), "an error was sent as a reply");
        }
        let actions = actions.into_iter().map(|action| (conversation.clone(), action));
        self.promised().actions.extend(actions);
    }

    /// Reacts to the message that this event is about, once the handler has succeeded.
    ///
    /// Events without a message (typing, receipts) take no reaction: nothing happens.
    #[track_caller]
    pub fn react(&self, emoji: impl Into<String>) {
        if let Some(target) = self.event.about() {
            self.reply(Reply::react(target.clone(), emoji));
        }
    }

    /// Gives a message of the bot in this conversation a new text, once the handler has succeeded.
    #[track_caller]
    pub fn edit(&self, message: &MessageId, text: impl Into<String>) {
        self.reply(Reply::edit(message.clone(), text));
    }

    /// Deletes a message of the bot in this conversation for everyone, once the handler has succeeded.
    #[track_caller]
    pub fn delete(&self, message: &MessageId) {
        self.reply(Reply::delete(message.clone()));
    }

    /// Shows in this conversation that the bot is typing. It ends by itself with the next message, or after a while.
    pub fn typing(&self) {
        if self.event.conversation().is_nowhere() || !self.capabilities().has_typing {
            return;
        }
        // Nothing is kept of it, so it takes no index from what is.
        let key = SendKey { sequence: self.call.attempt.sequence, index: u32::MAX };
        let (conversation, action) = (self.event.conversation().clone(), Action::Typing { is_started: true });
        let outbound = Outbound::new(conversation, action, key);
        self.request(HandlerRequest::Act { outbound, command: Box::default(), answer: None });
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

    /// Fixes where an action goes and the key by which it is known from now on: the same in each attempt of a handler
    /// that does the same.
    fn address(&self, conversation: &Conversation, action: Action) -> Outbound {
        let index = self.call.index.fetch_add(1, Ordering::Relaxed);
        let key = SendKey { sequence: self.call.attempt.sequence, index };
        self.with_token(Outbound::new(conversation.clone(), action, key))
    }

    /// What the event brought goes back with what is said where it came from.
    fn with_token(&self, outbound: Outbound) -> Outbound {
        let event = &self.call.attempt.event;
        let token = event.token().filter(|_| outbound.conversation == *event.conversation());
        outbound.with_token(token.cloned())
    }

    /// Asks the engine.
    pub(crate) fn request(&self, request: HandlerRequest) {
        self.call.requests.ask(request);
    }

    /// The handler's time stands still until this is dropped: what it waits for is not its fault.
    fn unhurried(&self) -> Hold<'_> {
        self.call.progress.stopwatch.hold()
    }

    fn promised(&self) -> MutexGuard<'_, Promised> {
        // A panic elsewhere in the handler leaves the list whole.
        self.call.promised.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces "the message that is being answered" by its name, and says what is said in a way in which the network can carry it.
    fn resolve(&self, reply: Reply, can: &Capabilities) -> Result<(Vec<Action>, Option<Error>)> {
        let (mut actions, failure) = reply.into_parts();
        for action in &mut actions {
            if let Action::Send(draft) | Action::Edit { draft, .. } = action
                && draft.quote == Quoting::Asked
            {
                self.quote(draft);
            }
        }
        Ok((fitted(actions, can)?, failure))
    }

    fn quote(&self, draft: &mut Draft) {
        draft.quote = self.event.message().map_or(Quoting::Nothing, |message| {
            let author = Some(self.event.sender().clone());
            Quoting::Message(Quote { id: message.id.clone(), author, text: message.text.clone() })
        });
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").field("event", &self.event).field("command", &self.command()).finish()
    }
}
