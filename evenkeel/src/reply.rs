//! What goes out: texts, files, edits, reactions, and everything a handler may return for them.

mod fitting;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub(crate) use self::fitting::fitted;
use crate::error::Error;
use crate::event::{Conversation, Mention, Message, MessageId, Quote, ReplyToken, Sender};

/// What a handler answers with: any number of actions, or a failure.
///
/// Most handlers return something simpler, see [`IntoReply`]. Build one by hand for files, quotes, mentions,
/// edits, or several messages.
///
/// ```
/// use evenkeel::{File, Reply};
///
/// let reply = Reply::text("here it is").quoting().with_file(File::new("a.txt", "text/plain", "hello"));
/// let two = Reply::text("first").and("second");
/// assert_eq!(two.actions().len(), 2);
/// ```
#[must_use = "a reply does nothing unless the handler returns it or `Context::reply` sends it"]
#[derive(Debug, Default)]
pub struct Reply {
    actions: Vec<Action>,
    failure: Option<Error>,
}

/// One thing that goes out to one conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Action {
    /// A new message.
    Send(Draft),
    /// A new text for a message that the bot sent.
    Edit {
        /// The message to change.
        target: MessageId,
        /// What it says from now on.
        draft: Draft,
    },
    /// A reaction, or its removal.
    React {
        /// The message to react to.
        target: MessageId,
        /// The emoji.
        emoji: String,
        /// Whether to take the reaction back.
        is_removed: bool,
    },
    /// Deletion, for everyone, of a message that the bot sent.
    Delete {
        /// The message to delete.
        target: MessageId,
    },
    /// The typing indicator, on or off.
    Typing {
        /// Whether the bot is typing.
        is_started: bool,
    },
}

impl Action {
    /// The files that go out with it.
    pub(crate) fn files(&self) -> &[File] {
        match self {
            Self::Send(draft) | Self::Edit { draft, .. } => &draft.files,
            Self::React { .. } | Self::Delete { .. } | Self::Typing { .. } => &[],
        }
    }

    pub(crate) fn files_mut(&mut self) -> &mut [File] {
        match self {
            Self::Send(draft) | Self::Edit { draft, .. } => &mut draft.files,
            Self::React { .. } | Self::Delete { .. } | Self::Typing { .. } => &mut [],
        }
    }
}

/// A message on its way out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Draft {
    /// The words.
    pub text: String,
    /// Files that go with them.
    pub files: Vec<File>,
    /// People named in the text.
    pub mentions: Vec<Mention>,
    /// What to quote.
    pub quote: Quoting,
    /// Whether the text holds markup: `*italic*`, `**bold**`, `~strike~`, `||spoiler||`, `` `code` ``.
    pub is_styled: bool,
    /// Answers that people may choose from, on a network with buttons: one is to be shown for each, and to press it is to say its words.
    /// Elsewhere the text lists them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
}

/// Choices by number, one on each line.
fn listed(choices: &[String], is_styled: bool) -> String {
    let mut list = String::new();
    for (choice, number) in choices.iter().zip(1..) {
        let line = format!("{number}. {choice}\n");
        let is_mark = |letter: char| is_styled && "*~|`\\".contains(letter);
        list.extend(
            line.chars().flat_map(|letter| is_mark(letter).then_some('\\').into_iter().chain([letter])),
        );
    }
    list.truncate(list.trim_end().len());
    list
}

/// Which message a reply quotes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Quoting {
    /// None.
    #[default]
    Nothing,
    /// The message that is being answered. `serve` turns this into [`Quoting::Message`].
    Asked,
    /// This message.
    Message(Quote),
}

/// A file to send. Cloning is cheap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// The name people see.
    pub name: String,
    /// The media type, `image/png` for example.
    pub content_type: String,
    /// The content.
    pub bytes: Bytes,
}

impl File {
    /// A file from bytes in memory.
    pub fn new(name: impl Into<String>, content_type: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        Self { name: name.into(), content_type: content_type.into(), bytes: bytes.into() }
    }
}

impl Reply {
    /// No reply at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// A plain text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::act(Action::Send(Draft { text: text.into(), ..Draft::default() }))
    }

    /// A text with markup: `*italic*`, `**bold**`, `~strike~`, `||spoiler||`, `` `code` ``.
    ///
    /// Put a backslash before a mark that came from somebody else's text.
    pub fn styled(text: impl Into<String>) -> Self {
        Self::act(Action::Send(Draft { text: text.into(), is_styled: true, ..Draft::default() }))
    }

    /// A file without words.
    pub fn file(file: File) -> Self {
        Self::act(Action::Send(Draft { files: vec![file], ..Draft::default() }))
    }

    /// A new text for `target`, a message that the bot sent.
    pub fn edit(target: MessageId, text: impl Into<String>) -> Self {
        Self::act(Action::Edit { target, draft: Draft { text: text.into(), ..Draft::default() } })
    }

    /// A reaction to `target`.
    pub fn react(target: MessageId, emoji: impl Into<String>) -> Self {
        Self::act(Action::React { target, emoji: emoji.into(), is_removed: false })
    }

    /// Deletes `target`, a message that the bot sent, for everyone.
    pub fn delete(target: MessageId) -> Self {
        Self::act(Action::Delete { target })
    }

    /// A failure: the person sees one polite sentence (or the text of [`Error::for_user`]), the log gets the chain.
    pub fn failed(error: impl Into<Error>) -> Self {
        let error = error.into();
        let apology = error.user_message().unwrap_or(SORRY).to_owned();
        let failure = (!error.is_answer()).then_some(error);
        let said = if apology.is_empty() { Self::none() } else { Self::text(apology) };
        Self { failure, ..said }
    }

    /// Any single action.
    pub fn act(action: Action) -> Self {
        Self { actions: vec![action], failure: None }
    }

    /// Adds a file to the last message.
    pub fn with_file(mut self, file: File) -> Self {
        self.draft().files.push(file);
        self
    }

    /// Appends words to the last message.
    pub fn push(mut self, text: &str) -> Self {
        self.draft().text.push_str(text);
        self
    }

    /// Appends a mention of `who` to the last message: people see their name, and are notified.
    pub fn mention(mut self, who: &Sender) -> Self {
        let draft = self.draft();
        let start = draft.text.len();
        draft.text.push('@');
        draft.text.push_str(who.display_name());
        draft.mentions.push(Mention { who: who.clone(), range: start..draft.text.len() });
        self
    }

    /// Makes the last message quote the one that is being answered.
    pub fn quoting(mut self) -> Self {
        self.draft().quote = Quoting::Asked;
        self
    }

    /// Makes the last message quote another one.
    pub fn quoting_message(mut self, message: &Message, author: Option<&Sender>) -> Self {
        let quote = Quote { id: message.id.clone(), author: author.cloned(), text: message.text.clone() };
        self.draft().quote = Quoting::Message(quote);
        self
    }

    /// Makes the last message a question with these answers: by buttons, if there are such, or by number.
    pub(crate) fn with_choices(mut self, choices: &[String], has_buttons: bool) -> Self {
        let draft = self.draft();
        if has_buttons {
            draft.choices = choices.to_vec();
            return self;
        }
        if !draft.text.is_empty() {
            draft.text.push('\n');
        }
        draft.text.push_str(&listed(choices, draft.is_styled));
        self
    }

    /// Puts another reply after this one.
    pub fn and(mut self, next: impl IntoReply) -> Self {
        let next = next.into_reply();
        self.actions.extend(next.actions);
        self.failure = self.failure.or(next.failure);
        self
    }

    /// What goes out, in order.
    pub fn actions(&self) -> &[Action] {
        &self.actions
    }

    /// The failure behind this reply, if there is one; layers may look at it.
    pub fn failure(&self) -> Option<&Error> {
        self.failure.as_ref()
    }

    pub(crate) fn into_parts(self) -> (Vec<Action>, Option<Error>) {
        (self.actions, self.failure)
    }

    /// The message that `with_..` methods add to: the last one, or a new one.
    fn draft(&mut self) -> &mut Draft {
        if !matches!(self.actions.last(), Some(Action::Send(_) | Action::Edit { .. })) {
            self.actions.push(Action::Send(Draft::default()));
        }
        match self.actions.last_mut() {
            Some(Action::Send(draft) | Action::Edit { draft, .. }) => draft,
            _ => unreachable!("a draft was pushed above if there was none"),
        }
    }
}

/// What people read after a failure.
const SORRY: &str = "Sorry, something went wrong. It has been logged.";
/// What people hear when too many of them wait for a command that blocks.
pub(crate) const BUSY: &str = "I am busy with that just now. Please try again in a moment.";
/// What people read when a handler took longer than it may.
pub(crate) const TOO_LONG: &str = "Sorry, that took too long. It has been logged.";
/// What bots like this one say after a failure. None is said in answer to one of them.
pub(crate) const APOLOGIES: [&str; 3] = [SORRY, BUSY, TOO_LONG];

/// What a handler may return.
///
/// | type | reply |
/// |---|---|
/// | `&'static str`, `String`, `Cow<str>` | one message with that text; none if it is empty |
/// | `()` | none |
/// | `Option<T>` | `None`: none |
/// | `Result<T, E>` | `Err`: one polite sentence in the chat, the chain in the log |
/// | [`File`] | the file |
/// | [`Reply`] | itself |
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent as a reply",
    label = "this handler returns `{Self}`",
    note = "return a string, `()`, a `File`, a `Reply`, an `Option` or a `Result` of these, or a type for which you implement `IntoReply`"
)]
pub trait IntoReply {
    /// Turns the value into what goes out.
    fn into_reply(self) -> Reply;
}

impl IntoReply for Reply {
    fn into_reply(self) -> Reply {
        self
    }
}

impl IntoReply for () {
    fn into_reply(self) -> Reply {
        Reply::none()
    }
}

impl IntoReply for String {
    fn into_reply(self) -> Reply {
        if self.is_empty() { Reply::none() } else { Reply::text(self) }
    }
}

impl IntoReply for &'static str {
    fn into_reply(self) -> Reply {
        self.to_owned().into_reply()
    }
}

impl IntoReply for std::borrow::Cow<'static, str> {
    fn into_reply(self) -> Reply {
        self.into_owned().into_reply()
    }
}

impl IntoReply for File {
    fn into_reply(self) -> Reply {
        Reply::file(self)
    }
}

impl IntoReply for Error {
    fn into_reply(self) -> Reply {
        Reply::failed(self)
    }
}

impl<T: IntoReply> IntoReply for Option<T> {
    fn into_reply(self) -> Reply {
        self.map_or_else(Reply::none, T::into_reply)
    }
}

/// What a handler may fail with: [`Error`], and whatever `?` turns into one.
#[diagnostic::on_unimplemented(
    message = "a handler cannot fail with `{Self}`",
    label = "the error of this handler's result is `{Self}`, which is no error type",
    note = "return `evenkeel::Result<..>`; `Error::for_user(text)` makes an error of what the person is to read, `Error::new(text)` one for the log"
)]
pub trait HandlerError {
    /// Turns it into the error that is logged.
    fn into_error(self) -> Error;
}

// Without this the compiler tells of `Into`, and not of what to do.
#[diagnostic::do_not_recommend]
impl<E: Into<Error>> HandlerError for E {
    fn into_error(self) -> Error {
        self.into()
    }
}

impl<T: IntoReply, E: HandlerError> IntoReply for Result<T, E> {
    fn into_reply(self) -> Reply {
        self.map_or_else(|error| Reply::failed(error.into_error()), T::into_reply)
    }
}

/// An action addressed to a conversation, as the outbox holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Outbound {
    /// Where it goes.
    pub conversation: Conversation,
    /// What is done there.
    pub action: Action,
    /// Tells this action from every other one, and stays the same when it is sent again.
    pub key: SendKey,
    /// What the event brought that asked for it, unless that is too old by now, or the action goes elsewhere.
    #[serde(default, skip_serializing)]
    pub token: Option<ReplyToken>,
    /// What has gone out by that token before.
    #[serde(skip)]
    pub answered: Answered,
}

/// What has gone out by the [token](ReplyToken) of an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answered {
    /// Nobody knows: the process was started again since, or it is long ago. The network knows.
    #[default]
    Unknown,
    /// Nothing: this is the first answer.
    Nothing,
    /// That the bot works on it, see [`Transport::defer`](crate::Transport::defer): this takes its place.
    Deferred,
    /// An answer: this is another one.
    Answered,
}

impl Outbound {
    /// An action without a token.
    pub fn new(conversation: Conversation, action: Action, key: SendKey) -> Self {
        Self { conversation, action, key, token: None, answered: Answered::Unknown }
    }

    /// Whether it answers the event that has brought a token: a reaction, an edit, or a deletion says nothing to the network that
    /// waits.
    pub(crate) fn is_answer(&self) -> bool {
        self.token.is_some() && matches!(self.action, Action::Send(_))
    }

    /// The same with what the event has brought.
    #[must_use]
    pub fn with_token(self, token: Option<ReplyToken>) -> Self {
        Self { token, ..self }
    }
}

/// The identity of an outgoing action: which event asked for it, and which of its actions it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SendKey {
    /// The journal's number of the event that asked.
    pub sequence: u64,
    /// Counts the actions of one event from 0.
    pub index: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(reply: &Reply) -> Vec<&str> {
        let text = |action: &'_ Action| match action {
            Action::Send(_) => (),
            other => panic!("not a message: {other:?}"),
        };
        reply.actions().iter().for_each(text);
        reply
            .actions()
            .iter()
            .filter_map(|a| if let Action::Send(d) = a { Some(&*d.text) } else { None })
            .collect()
    }

    #[test]
    fn an_empty_text_is_no_reply() {
        assert!("".into_reply().actions().is_empty());
        assert!(None::<&str>.into_reply().actions().is_empty());
    }

    #[test]
    fn a_failure_says_nothing_of_its_cause_in_the_chat() {
        let reply = Err::<(), _>(std::io::Error::other("password=hunter2")).into_reply();
        assert_eq!(texts(&reply), ["Sorry, something went wrong. It has been logged."]);
        assert!(reply.failure().is_some());
    }

    #[test]
    fn what_is_told_is_a_reply_and_no_failure() {
        let reply = Error::for_user("no such city").into_reply();
        assert_eq!(texts(&reply), ["no such city"]);
        assert!(reply.failure().is_none());
    }

    #[test]
    fn choices_are_buttons_or_a_list() {
        let choices = ["yes".to_owned(), "*no*".to_owned()];
        for (question, has_buttons, text) in [
            (Reply::text("sure?"), false, "sure?\n1. yes\n2. *no*"),
            (Reply::styled("**sure?**"), false, "**sure?**\n1. yes\n2. \\*no\\*"),
            (Reply::none(), false, "1. yes\n2. *no*"),
            (Reply::text("sure?"), true, "sure?"),
        ] {
            let reply = question.with_choices(&choices, has_buttons);
            let Some(Action::Send(draft)) = reply.actions().first() else { panic!("no message") };
            assert_eq!(draft.text, text);
            assert_eq!(draft.choices, if has_buttons { choices.to_vec() } else { Vec::new() });
        }
    }

    #[test]
    fn mentions_point_at_the_name_in_the_text() {
        let reply = Reply::text("hi ").mention(&Sender::known_as("u", Some("Zoë"), None::<&str>)).push("!");
        let Some(Action::Send(draft)) = reply.actions().first() else { panic!("no message") };
        assert_eq!(draft.text, "hi @Zoë!");
        assert_eq!(&draft.text[draft.mentions[0].range.clone()], "@Zoë");
    }
}
