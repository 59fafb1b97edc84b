//! What starts a handler: words, patterns, whole texts.

use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use regex::Regex;

use crate::command::{CommandSpec, Deferral, Parameter, Parameters, TriggerKind, Typed};
use crate::event::spelling::is_same;
use crate::event::{Conversation, Sender};
use crate::retry::Retry;
use crate::text::{clean, tidy, trim};

/// What starts a handler, and what people are told about it.
///
/// Most are made by [`Router::command`](crate::Router::command) and its siblings from a string; make one by hand for
/// aliases, help texts and allow-lists, and give it to [`Router::route`](crate::Router::route).
///
/// ```
/// use evenkeel::{Router, Trigger};
///
/// async fn weather() -> &'static str { "sunny" }
///
/// let app = Router::new()
///     .route(Trigger::command("!weather").alias("!w").about("tells the weather").usage("!weather <city>"), weather)
///     .help("!help")
///     .with_state(());
/// ```
#[must_use = "a trigger does nothing until `Router::route` gets it"]
#[derive(Clone, Debug)]
pub struct Trigger {
    pub(crate) kind: Kind,
    pub(crate) is_case_sensitive: bool,
    pub(crate) facts: Facts,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// The first words of a text, one spelling for each alias.
    Command(Vec<String>),
    /// A whole text.
    Exact(Vec<String>),
    /// A pattern somewhere in a text.
    Pattern(Arc<Regex>),
    /// No text: the time comes of what was planned, or of a schedule, which has no arguments.
    Job { is_scheduled: bool },
}

/// What is known about a handler besides its code.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) name: String,
    pub(crate) about: Option<String>,
    pub(crate) usage: Option<String>,
    /// What the handler takes; until it has said so, what the author says of it.
    pub(crate) parameters: Vec<Parameter>,
    /// What it takes apart, where not all of it are words.
    pub(crate) typed: Option<Typed>,
    senders: Option<Vec<String>>,
    conversations: Option<Vec<String>>,
    pub(crate) is_hidden: bool,
    /// What people may be shown before the handler has answered.
    pub(crate) deferral: Deferral,
    /// What happens when the handler fails; that of the app, unless told.
    pub(crate) retry: Option<Retry>,
    /// How long the handler may take; as its router or the app says, unless told.
    pub(crate) within: Option<Duration>,
    /// Whether it may take as long as it likes unless told: nobody waits for what comes of a schedule.
    pub(crate) is_unhurried: bool,
    /// Whether it runs though its conversation is busy.
    pub(crate) is_concurrent: bool,
    /// The author's line.
    pub(crate) location: &'static Location<'static>,
}

impl Trigger {
    /// A text that begins with these words: `!ping` matches `!ping` and `!ping me`, and not `!pingpong`.
    ///
    /// # Panics
    ///
    /// When `words` is blank.
    #[track_caller]
    pub fn command(words: impl Into<String>) -> Self {
        let words = tidy(&words.into());
        assert!(!words.is_empty(), "a command needs at least one visible character, such as `!ping`");
        Self::new(Kind::Command(vec![words.clone()]), words)
    }

    /// A text that is this one and no more. However it is typed: how much space is between its words, full width, and
    /// what nobody sees make no difference, here and for commands.
    ///
    /// # Panics
    ///
    /// When `text` is blank.
    #[track_caller]
    pub fn exact(text: impl Into<String>) -> Self {
        let text = tidy(&text.into());
        assert!(!text.is_empty(), "an exact text needs at least one visible character");
        Self::new(Kind::Exact(vec![text.clone()]), text)
    }

    /// A text in which this regular expression is found. Anchor it with `^` and `$` where that is meant.
    ///
    /// Matching takes time linear in the text, whatever the pattern. It is found in the text without invisible characters
    /// and with composed accents, and the pattern itself is taken so, too: `❤` matches, whatever selector stands behind it.
    ///
    /// # Panics
    ///
    /// When the pattern is not a regular expression, with the author's line.
    #[track_caller]
    pub fn regex(pattern: &str) -> Self {
        // One that is none without its invisible characters stays as it is.
        match Regex::new(&clean(pattern)).or_else(|_| Regex::new(pattern)) {
            Ok(regex) => Self::new(Kind::Pattern(Arc::new(regex)), pattern.to_owned()),
            Err(error) => panic!("`{pattern}` is not a regular expression: {error}"),
        }
    }

    /// What the handler of a job waits for.
    #[track_caller]
    pub(crate) fn of_job(name: &str, is_scheduled: bool) -> Self {
        Self::new(Kind::Job { is_scheduled }, name.to_owned())
    }

    #[track_caller]
    fn new(kind: Kind, name: String) -> Self {
        let facts = Facts::new(name);
        Self { kind, is_case_sensitive: false, facts }
    }

    /// Another spelling of a command or an exact text.
    ///
    /// # Panics
    ///
    /// When `spelling` is blank, and on a pattern: write `(a|b)` there.
    #[track_caller]
    pub fn alias(mut self, spelling: &str) -> Self {
        let spelling = tidy(spelling);
        assert!(!spelling.is_empty(), "an alias needs at least one visible character");
        match &mut self.kind {
            Kind::Command(spellings) | Kind::Exact(spellings) => spellings.push(spelling),
            Kind::Pattern(_) | Kind::Job { .. } => {
                panic!("a regular expression has no aliases: write `(one|other)` in the pattern")
            }
        }
        self
    }

    /// Tells `!Ping` from `!ping`. Patterns always do, unless they begin with `(?i)`.
    pub fn case_sensitive(mut self) -> Self {
        self.is_case_sensitive = true;
        self
    }

    /// The name under which the command appears in help, metrics and logs; the trigger itself unless told.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.facts.name = name.into();
        self
    }

    /// One line for the help text.
    pub fn about(mut self, about: impl Into<String>) -> Self {
        self.facts.about = Some(about.into());
        self
    }

    /// How to write it, for the help text and for people whose arguments do not fit.
    pub fn usage(mut self, usage: impl Into<String>) -> Self {
        self.facts.usage = Some(usage.into());
        self
    }

    /// Names what the handler takes, and says what each is for: for help, and for networks that show it while somebody writes.
    ///
    /// *Shape*: names, or pairs of a name and a few words. Values without a name, such as those of a tuple, are named in their
    /// order, all of them. Without this they have the names in the [`usage`](Self::usage) if there are as many, else that of
    /// their type if it is one of yours, else one that says what it is. Fields of a struct and named groups have their own names:
    /// here they get their words, in any order. Where the handler's types tell nothing, since it reads its text by itself, this is
    /// all that is known: give whole [`Parameter`]s there.
    ///
    /// ```
    /// use evenkeel::{Args, Router, Trigger};
    ///
    /// async fn remind(Args((minutes, what)): Args<(u64, String)>) -> String { format!("{what} in {minutes} minutes") }
    ///
    /// let trigger = Trigger::command("!remind").parameters([("minutes", "from now on"), ("what", "as I shall say it")]);
    /// let app = Router::new().route(trigger, remind).with_state(());
    /// assert_eq!(app.specs()[0].usage.as_deref(), Some("!remind <minutes> <what>"));
    /// ```
    pub fn parameters(mut self, parameters: impl IntoIterator<Item = impl Into<Parameter>>) -> Self {
        self.facts.parameters = parameters.into_iter().map(Into::into).collect();
        self
    }

    /// Has the handler's arguments say what they take.
    #[track_caller]
    pub(crate) fn describe(&mut self, describe: impl FnOnce(&mut Parameters)) {
        let (trigger, pattern) = match &self.kind {
            Kind::Command(_) => (Some(TriggerKind::Command), None),
            Kind::Exact(_) => (Some(TriggerKind::Exact), None),
            Kind::Pattern(regex) => (Some(TriggerKind::Pattern), Some(Arc::clone(regex))),
            Kind::Job { .. } => (None, None),
        };
        let mut parameters = Parameters::new(trigger, pattern);
        describe(&mut parameters);
        let Facts { name, usage, parameters: given, typed, .. } = &mut self.facts;
        *typed = parameters.typed().cloned();
        match parameters.finish(given, usage.as_deref()) {
            Ok(parameters) => *given = parameters,
            Err(reason) => panic!("the parameters of `{name}` do not fit: {reason}"),
        }
    }

    /// Only these people (by id or alias, as [`Sender::is`] compares them) may use it; for others it does not exist.
    ///
    /// An id is one of the primary network. On another one somebody else may have the same: there it needs the network's name before
    /// it, as in `discord:80351110224678912`.
    pub fn senders(mut self, ids: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.facts.senders = Some(ids.into_iter().map(Into::into).collect());
        self
    }

    /// It exists only in these conversations, whose ids are compared in the same way.
    pub fn conversations(mut self, ids: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.facts.conversations = Some(ids.into_iter().map(Into::into).collect());
        self
    }

    /// What happens to an event whose handler failed; what the [`App`](crate::App) says, unless told.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.facts.retry = Some(retry);
        self
    }

    /// How long the handler may take, [`Duration::MAX`] for as long as it likes; as the router or the
    /// [`App`](crate::App) says, unless told: five minutes.
    ///
    /// A handler that takes longer is dropped at its `.await`, and its event has failed: the person reads that it took too long, the
    /// log says at which line it waited, and the conversation goes on. Time in which it waits for people (`cx.ask`, `cx.wait_for`)
    /// does not count. The guide [`never_block`](crate::docs::never_block) says what else.
    ///
    /// ```
    /// use std::time::Duration;
    /// use evenkeel::{Context, Result, Router, Trigger};
    ///
    /// async fn report(cx: Context) -> Result<String> {
    ///     Ok(cx.http().get("https://api.example.com/report").send().await?.text().await?)
    /// }
    ///
    /// let app = Router::new().route(Trigger::command("!report").within(Duration::from_secs(20)), report).with_state(());
    /// ```
    pub fn within(mut self, limit: Duration) -> Self {
        self.facts.within = Some(limit);
        self
    }

    /// Runs it at once, though its conversation is busy: beside the handlers that run there, and before those that wait for their
    /// turn. It is for what must not wait, such as `!status`, or `!stop`, which ends the others by [`Context::cancel_others`].
    ///
    /// Its replies go through the outbox as all do. Of one conversation 16 such handlers run at once, and further ones wait for one of
    /// these. One that asks a question ([`Context::ask`]) goes on in its conversation, in turn with the others there. No question is
    /// answered by it. A text of more than 4 KiB waits for its turn in any case.
    ///
    /// Two handlers of one conversation may then run at the same time: what they share is theirs to guard, and of two that
    /// set a [`Dialogue`](crate::Dialogue) the one that ends later is kept.
    ///
    /// ```
    /// use evenkeel::{Context, Result, Router, Trigger};
    ///
    /// async fn stop(cx: Context) -> Result<&'static str> {
    ///     Ok(if cx.cancel_others().await? > 0 { "stopped" } else { "there is nothing to stop" })
    /// }
    ///
    /// let app = Router::new().route(Trigger::command("!stop").concurrent(), stop).with_state(());
    /// ```
    ///
    /// # Panics
    ///
    /// On a pattern, with the author's line: whether a message waits is decided before any pattern is asked.
    ///
    /// [`Context::cancel_others`]: crate::Context::cancel_others
    /// [`Context::ask`]: crate::Context::ask
    #[track_caller]
    pub fn concurrent(mut self) -> Self {
        if let Kind::Pattern(_) | Kind::Job { .. } = self.kind {
            panic!("a regular expression cannot be concurrent: use a command or an exact text");
        }
        self.facts.is_concurrent = true;
        self
    }

    /// Leaves it out of the help text.
    pub fn hidden(mut self) -> Self {
        self.facts.is_hidden = true;
        self
    }

    /// The answer is for the person who asks alone, on networks that know such answers; on others everybody reads it. A network
    /// that wants an answer within seconds shows to nobody else that the bot is at work.
    pub fn ephemeral(mut self) -> Self {
        self.facts.deferral = Deferral::Ephemeral;
        self
    }

    /// The answer is a form or another dialogue, which has to be the first thing that goes out: a network that wants an answer
    /// within seconds is told nothing before it.
    pub fn opens_modal(mut self) -> Self {
        self.facts.deferral = Deferral::Never;
        self
    }
}

impl Facts {
    #[track_caller]
    pub(crate) fn new(name: String) -> Self {
        let location = Location::caller();
        let (about, usage, senders, conversations) = (None, None, None, None);
        Self {
            name,
            about,
            usage,
            parameters: Vec::new(),
            typed: None,
            senders,
            conversations,
            is_hidden: false,
            deferral: Deferral::Visible,
            retry: None,
            within: None,
            is_unhurried: false,
            is_concurrent: false,
            location,
        }
    }

    /// Those of a handler that no help lists.
    #[track_caller]
    pub(crate) fn unlisted(name: String, trigger: Option<&Trigger>) -> Self {
        let is_unhurried =
            trigger.is_some_and(|trigger| matches!(trigger.kind, Kind::Job { is_scheduled: true }));
        Self { is_hidden: true, is_unhurried, ..Self::new(name) }
    }

    /// What is told of it outside.
    pub(crate) fn spec(&self, trigger: TriggerKind, spellings: &[String]) -> CommandSpec {
        let (spelling, aliases) = spellings
            .split_first()
            .map_or((String::new(), &[][..]), |(first, others)| (first.clone(), others));
        let usage = self.usage.clone().or_else(|| trigger.usage(&spelling, &self.parameters));
        CommandSpec {
            name: self.name.clone(),
            trigger,
            spelling,
            aliases: aliases.to_vec(),
            about: self.about.clone(),
            usage,
            parameters: self.parameters.clone(),
            senders: self.senders.clone(),
            conversations: self.conversations.clone(),
            is_hidden: self.is_hidden,
            deferral: self.deferral,
        }
    }

    /// Whether this person may use it here.
    pub(crate) fn allows(&self, sender: &Sender, conversation: &Conversation) -> bool {
        let network = conversation.network();
        let is_sender = |id: &String| id_on(network, id).is_some_and(|id| sender.is(id));
        let is_place = |id: &String| id_on(network, id).is_some_and(|id| is_same(conversation.id(), id));
        self.senders.as_ref().is_none_or(|ids| ids.iter().any(is_sender))
            && self.conversations.as_ref().is_none_or(|ids| ids.iter().any(is_place))
    }
}

/// The id of a list as this network has it; `None` where it is one of another network.
fn id_on<'a>(network: &str, id: &'a str) -> Option<&'a str> {
    if network.is_empty() {
        return Some(id);
    }
    trim(id).strip_prefix(network)?.strip_prefix(':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_one_network_is_nobody_on_another() {
        let facts =
            Trigger::command("!ban").senders(["alice", "discord:7"]).conversations(["x", "discord:x"]).facts;
        let (here, there) = (Conversation::group("x"), Conversation::group("x").with_network("discord"));
        for (sender, conversation, is_allowed) in [
            ("alice", &here, true),
            ("7", &here, false),
            ("alice", &there, false),
            ("7", &there, true),
            ("7", &there.clone().with_network("disc"), false),
        ] {
            assert_eq!(
                facts.allows(&Sender::new(sender), conversation),
                is_allowed,
                "{sender} {conversation:?}"
            );
        }
    }

    #[test]
    fn a_bad_pattern_panics_with_the_authors_line() {
        let line = std::panic::catch_unwind(|| Trigger::regex("(unclosed"));
        let message = *line.expect_err("not a pattern").downcast::<String>().expect("a formatted panic");
        assert!(message.starts_with("`(unclosed` is not a regular expression: "), "{message}");
    }

    #[test]
    fn allow_lists_ask_for_id_or_alias() {
        let facts = Trigger::command("!ban").senders(["+15550100001"]).facts;
        let here = Conversation::direct("x");
        let alice = Sender::known_as("uuid-a", Some("Alice"), Some("+15550100001"));
        assert!(facts.allows(&alice, &here));
        assert!(!facts.allows(&Sender::new("uuid-b"), &here));
        for (sender, place) in [("+1 555 010 0001", "x"), ("UUID-A", " X"), ("uuid-a ", "X\n")] {
            let facts = Trigger::command("!ban").senders([sender]).conversations([place]).facts;
            assert!(facts.allows(&alice, &here), "{sender:?} {place:?}");
            assert!(!facts.allows(&Sender::new("uuid-b"), &here));
            assert!(!facts.allows(&alice, &Conversation::direct("y")));
        }
    }
}
