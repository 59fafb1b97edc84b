//! What came in: who, where, and what.

mod addressed;
mod person;
mod cursor;
mod token;
pub(crate) mod spelling;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

pub use self::cursor::Cursor;
pub use self::person::Person;
pub(crate) use self::person::{ATTACHMENT, CONVERSATION, PERSON};
use self::spelling::is_same;
pub use self::token::{Deadline, ReplyToken};
use crate::{moment, reserved};

/// Something that came in. Cloning is cheap: the content is shared.
///
/// An event is an extractor, so a handler may take it as an argument.
///
/// ```
/// use evenkeel::{Conversation, Event, Message, Sender};
///
/// let event = Event::new("42", Conversation::direct("alice"), Sender::new("alice"), Message::text("7", "!ping"));
/// assert_eq!(event.text(), Some("!ping"));
/// assert!(event.reaction().is_none());
/// ```
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Event(Arc<Content>);

#[derive(Clone, Serialize, Deserialize)]
struct Content {
    id: Arc<str>,
    conversation: Conversation,
    sender: Sender,
    what: EventKind,
    /// Milliseconds since 1970 by the sender's clock, 0 if unknown.
    sent_ms: u64,
    /// Who the bot is, where the event may name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bot: Option<Sender>,
    /// What its replies need: a secret, which the journal alone writes down.
    #[serde(default, skip_serializing)]
    token: Option<ReplyToken>,
    /// What concerns its arrival alone, and is taken out there.
    #[serde(skip)]
    arriving: Option<Box<Arriving>>,
}

/// What a transport says of an event beside the event.
#[derive(Clone, Debug, Default)]
pub(crate) struct Arriving {
    pub(crate) cursor: Option<Cursor>,
    pub(crate) deadline: Option<Deadline>,
}

/// The kinds of event. Each has an accessor on [`Event`], which is also what [`Router::on`](crate::Router::on) takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum EventKind {
    /// Somebody wrote.
    Message(Message),
    /// Somebody changed an earlier message.
    Edit(Edit),
    /// Somebody reacted to a message, or took a reaction back.
    Reaction(Reaction),
    /// Somebody deleted a message for everyone.
    Deletion(Deletion),
    /// Somebody began or ceased to type.
    Typing(Typing),
    /// Messages were delivered, read or viewed.
    Receipt(Receipt),
    /// Somebody voted in a poll.
    PollVote(PollVote),
    /// A job is due.
    #[serde(rename = "Due")]
    JobFired(JobFired),
    /// Anything else that a transport can name; [`Other::name`] says what.
    Other(Other),
}

impl Event {
    /// Makes an event. `id` is the transport's stable name for it: the same event delivered twice has the same `id`.
    pub fn new(
        id: impl Into<Arc<str>>,
        conversation: Conversation,
        sender: Sender,
        what: impl Into<EventKind>,
    ) -> Self {
        let (id, what) = (id.into(), what.into());
        let content =
            Content { id, conversation, sender, what, sent_ms: 0, bot: None, token: None, arriving: None };
        Self(Arc::new(content))
    }

    /// Sets when it was sent, by the sender's clock. It is kept to the millisecond.
    #[must_use]
    pub fn with_sent(self, sent: SystemTime) -> Self {
        self.with_sent_ms(moment::to_ms(sent))
    }

    pub(crate) fn with_sent_ms(mut self, sent_ms: u64) -> Self {
        Arc::make_mut(&mut self.0).sent_ms = sent_ms;
        self
    }

    /// Says how far its source has been read with this event: kept together with it, and found again by the next start. Events of one
    /// source have to be handed over in the order of their cursors.
    #[must_use]
    pub fn with_cursor(mut self, cursor: Cursor) -> Self {
        self.arriving().cursor = Some(cursor);
        self
    }

    /// Says what its replies need to have back. It concerns those alone that go to its own conversation.
    #[must_use]
    pub fn with_token(mut self, token: ReplyToken) -> Self {
        Arc::make_mut(&mut self.0).token = Some(token);
        self
    }

    /// Says by when something must have gone out. Only an event with a [token](Self::with_token) can have a deadline: by that it is
    /// known what has gone out.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Deadline) -> Self {
        self.arriving().deadline = Some(deadline);
        self
    }

    fn arriving(&mut self) -> &mut Arriving {
        Arc::make_mut(&mut self.0).arriving.get_or_insert_default()
    }

    /// What concerns its arrival alone; it has that no more.
    pub(crate) fn take_arriving(&mut self) -> Option<Box<Arriving>> {
        // An event that has none is not even looked at as one's own, which may copy it.
        self.0.arriving.as_ref()?;
        Arc::make_mut(&mut self.0).arriving.take()
    }

    /// What its replies need to have back.
    pub fn token(&self) -> Option<&ReplyToken> {
        self.0.token.as_ref()
    }

    /// Replaces the text of a message, for layers that rewrite what people say. Other kinds stay as they are.
    #[must_use]
    pub fn with_text(mut self, text: impl Into<String>) -> Self {
        if let EventKind::Message(message) = &mut Arc::make_mut(&mut self.0).what {
            message.text = text.into();
            // Their offsets pointed into the old text.
            message.mentions.clear();
        }
        self
    }

    /// The transport's stable name for this event, unique within one bot.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The same, shared instead of copied.
    pub(crate) fn shared_id(&self) -> Arc<str> {
        Arc::clone(&self.0.id)
    }

    /// Its name in the record, which no other event has on any network.
    pub(crate) fn key(&self) -> Cow<'_, str> {
        match self.conversation().network() {
            "" => Cow::Borrowed(self.id()),
            // What we have named ourselves is on no network.
            _ if reserved::is_reserved(self.id()) => Cow::Borrowed(self.id()),
            network => Cow::Owned(reserved::on(network, self.id())),
        }
    }

    /// The same, as it came from the network of this name, which is none that is primary.
    pub(crate) fn on_network(mut self, network: &str) -> Self {
        let content = Arc::make_mut(&mut self.0);
        content.conversation = content.conversation.clone().with_network(network);
        self
    }

    /// Where a reply goes.
    pub fn conversation(&self) -> &Conversation {
        &self.0.conversation
    }

    /// Who caused it.
    pub fn sender(&self) -> &Sender {
        &self.0.sender
    }

    /// What happened.
    pub fn kind(&self) -> &EventKind {
        &self.0.what
    }

    /// When it was sent, by the sender's clock; `None` if unknown.
    pub fn sent(&self) -> Option<SystemTime> {
        self.sent_ms().map(moment::from_ms)
    }

    pub(crate) fn sent_ms(&self) -> Option<u64> {
        Some(self.0.sent_ms).filter(|sent_ms| *sent_ms > 0)
    }

    /// The text of a new message. Edits, captions of nothing and other kinds have none.
    pub fn text(&self) -> Option<&str> {
        self.message().map(|message| message.text.as_str())
    }

    /// The message, if that is what this is.
    pub fn message(&self) -> Option<&Message> {
        match self.kind() {
            EventKind::Message(message) => Some(message),
            _ => None,
        }
    }

    /// The edit, if that is what this is.
    pub fn edit(&self) -> Option<&Edit> {
        match self.kind() {
            EventKind::Edit(edit) => Some(edit),
            _ => None,
        }
    }

    /// An edit as the message that it makes: the event's own id, under the name of the message that was edited.
    pub(crate) fn edited(&self) -> Option<Self> {
        let Edit { target, message } = self.edit()?;
        let message = Message { id: target.clone(), ..message.clone() };
        let mut edited = self.clone();
        Arc::make_mut(&mut edited.0).what = EventKind::Message(message);
        Some(edited)
    }

    /// The reaction, if that is what this is.
    pub fn reaction(&self) -> Option<&Reaction> {
        match self.kind() {
            EventKind::Reaction(reaction) => Some(reaction),
            _ => None,
        }
    }

    /// The deletion, if that is what this is.
    pub fn deletion(&self) -> Option<&Deletion> {
        match self.kind() {
            EventKind::Deletion(deletion) => Some(deletion),
            _ => None,
        }
    }

    /// The typing notice, if that is what this is.
    pub fn typing(&self) -> Option<&Typing> {
        match self.kind() {
            EventKind::Typing(typing) => Some(typing),
            _ => None,
        }
    }

    /// The receipt, if that is what this is.
    pub fn receipt(&self) -> Option<&Receipt> {
        match self.kind() {
            EventKind::Receipt(receipt) => Some(receipt),
            _ => None,
        }
    }

    /// The poll vote, if that is what this is.
    pub fn poll_vote(&self) -> Option<&PollVote> {
        match self.kind() {
            EventKind::PollVote(vote) => Some(vote),
            _ => None,
        }
    }

    /// The job that is due, if that is what happened.
    pub fn job(&self) -> Option<&JobFired> {
        match self.kind() {
            EventKind::JobFired(due) => Some(due),
            _ => None,
        }
    }

    /// Whether nobody did something just now: a job is due.
    pub fn is_job(&self) -> bool {
        self.job().is_some()
    }

    /// The lane in which it is handled: that of its conversation, or a job's own.
    pub(crate) fn lane(&self) -> Arc<str> {
        self.job().map_or_else(|| self.conversation().shared_key(), |due| Arc::clone(&due.lane))
    }

    /// The same job for a function of this name.
    pub(crate) fn with_job_function(mut self, function: &str) -> Self {
        if let EventKind::JobFired(due) = &mut Arc::make_mut(&mut self.0).what {
            function.clone_into(&mut due.function);
        }
        self
    }

    /// The named rest, if that is what this is.
    pub fn other(&self) -> Option<&Other> {
        match self.kind() {
            EventKind::Other(other) => Some(other),
            _ => None,
        }
    }

    /// The message this event is about: a reaction's target, an edit's, or the message itself.
    pub fn about(&self) -> Option<&MessageId> {
        match self.kind() {
            EventKind::Message(message) => Some(&message.id),
            EventKind::Edit(edit) => Some(&edit.target),
            EventKind::Reaction(reaction) => Some(&reaction.target),
            EventKind::Deletion(deletion) => Some(&deletion.target),
            EventKind::PollVote(vote) => Some(&vote.poll),
            EventKind::Typing(_) | EventKind::JobFired(_) | EventKind::Receipt(_) | EventKind::Other(_) => {
                None
            }
        }
    }

    /// A rough count of the bytes this event holds, for queues that are bounded by memory.
    pub fn size_bytes(&self) -> usize {
        let text = match self.kind() {
            EventKind::Message(message) => message.size_bytes(),
            EventKind::Edit(edit) => edit.target.size_bytes() + edit.message.size_bytes(),
            EventKind::Reaction(reaction) => reaction.target.size_bytes() + reaction.emoji.len(),
            EventKind::Deletion(deletion) => deletion.target.size_bytes(),
            EventKind::Typing(_) => 0,
            EventKind::Receipt(receipt) => receipt.targets.iter().map(MessageId::size_bytes).sum(),
            EventKind::PollVote(vote) => vote.poll.size_bytes() + size_of_val(&*vote.options),
            EventKind::JobFired(due) => due.args.len() + due.function.len() + due.lane.len() + due.job.len(),
            EventKind::Other(other) => other.name.len(),
        };
        let who = self.sender().size_bytes() + self.conversation().id().len();
        let token = self.token().map_or(0, ReplyToken::size_bytes);
        size_of::<Content>() + self.id().len() + who + text + token
    }
}

/// Names who and where by id only: people's words stay out of logs.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind() {
            EventKind::Message(_) => "message",
            EventKind::Edit(_) => "edit",
            EventKind::Reaction(_) => "reaction",
            EventKind::Deletion(_) => "deletion",
            EventKind::Typing(_) => "typing",
            EventKind::Receipt(_) => "receipt",
            EventKind::PollVote(_) => "poll vote",
            EventKind::JobFired(_) => "job",
            EventKind::Other(other) => other.name.as_str(),
        };
        write!(f, "Event({kind})")
    }
}

/// Where replies go: a person, a group, a channel. Cloning is cheap.
///
/// As a value of [`Args`](crate::Args) it is the one with a person who is mentioned, or the group whose id is written.
///
/// A bot on several networks knows by its [network](Self::network) which of them it is on: two networks may use the same id.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct Conversation {
    /// Its name in the record: its id on the primary network, and with the network's name before it elsewhere.
    key: Arc<str>,
    kind: ConversationKind,
}

/// As it is written.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename = "evenkeel::Conversation")]
struct Written {
    #[serde(default, skip_serializing_if = "str::is_empty")]
    network: Box<str>,
    id: Arc<str>,
    kind: ConversationKind,
}

impl From<Written> for Conversation {
    fn from(Written { network, id, kind }: Written) -> Self {
        Self { key: id, kind }.with_network(&network)
    }
}

impl From<Conversation> for Written {
    fn from(Conversation { key, kind }: Conversation) -> Self {
        match reserved::split(&key) {
            ("", _) => Self { network: Box::default(), id: key, kind },
            (network, id) => Self { network: network.into(), id: id.into(), kind },
        }
    }
}

/// Whether a conversation has one other person in it or several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ConversationKind {
    /// One person and the bot.
    Direct,
    /// Several people: a group, a channel, a thread.
    Group,
}

impl Conversation {
    /// The conversation with one person, named by that person's id.
    pub fn direct(id: impl Into<Arc<str>>) -> Self {
        Self { key: id.into(), kind: ConversationKind::Direct }
    }

    /// A group or channel.
    pub fn group(id: impl Into<Arc<str>>) -> Self {
        Self { key: id.into(), kind: ConversationKind::Group }
    }

    /// The same on another network, by the name that the bot has given to that; empty for the primary one.
    ///
    /// ```
    /// let there = evenkeel::Conversation::group("42").with_network("discord");
    /// assert_eq!((there.network(), there.id()), ("discord", "42"));
    /// ```
    #[must_use]
    pub fn with_network(self, network: &str) -> Self {
        if network == self.network() {
            return self;
        }
        Self { key: reserved::on(network, self.id()).into(), ..self }
    }

    /// On which of the bot's networks it is, by the name that the bot has given to that; empty for the primary one, which is the only
    /// one of most bots.
    pub fn network(&self) -> &str {
        reserved::split(&self.key).0
    }

    /// The transport's stable name for it.
    pub fn id(&self) -> &str {
        reserved::split(&self.key).1
    }

    /// Its name in the record, which no other conversation has on any network.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// The same, shared instead of copied.
    pub(crate) fn shared_key(&self) -> Arc<str> {
        Arc::clone(&self.key)
    }

    /// Whether it is a group or channel.
    pub fn is_group(&self) -> bool {
        self.kind == ConversationKind::Group
    }

    /// Whether nobody is there: schedules belong to such a one.
    pub(crate) fn is_nowhere(&self) -> bool {
        reserved::is_reserved(self.id())
    }
}

/// Who caused an event. Cloning is cheap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sender(Arc<Known>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    id: Box<str>,
    name: Option<Box<str>>,
    alias: Option<Box<str>>,
}

impl Sender {
    /// A person by the id that never changes, a UUID for example.
    pub fn new(id: impl Into<Box<str>>) -> Self {
        Self(Arc::new(Known { id: id.into(), name: None, alias: None }))
    }

    /// A person by id, with the name that people see and a second address (such as a phone number), if known.
    pub fn known_as(
        id: impl Into<Box<str>>,
        name: Option<impl Into<Box<str>>>,
        alias: Option<impl Into<Box<str>>>,
    ) -> Self {
        let (name, alias) = (name.map(Into::into), alias.map(Into::into));
        Self(Arc::new(Known { id: id.into(), name, alias }))
    }

    /// The id that never changes.
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// The name that people see, if the network told it. Anybody can choose any name: never decide by it.
    pub fn name(&self) -> Option<&str> {
        self.0.name.as_deref()
    }

    /// The name, or else the id.
    pub fn display_name(&self) -> &str {
        self.name().unwrap_or(self.id())
    }

    /// A second address of the same person, for example a phone number beside a UUID.
    pub fn alias(&self) -> Option<&str> {
        self.0.alias.as_deref()
    }

    fn size_bytes(&self) -> usize {
        let name = self.name().map_or(0, str::len) + self.alias().map_or(0, str::len);
        size_of::<Known>() + self.id().len() + name
    }

    /// Whether `id` is this person's id or alias: what allow-lists should ask. Spaces at the ends and the case of letters make
    /// no difference, and what begins with `+` is compared by its digits: `+1 555 010 0001` is `+15550100001`.
    pub fn is(&self, id: &str) -> bool {
        is_same(self.id(), id) || self.alias().is_some_and(|alias| is_same(alias, id))
    }
}

/// The transport's name for one message, opaque to everybody else. Cloning is cheap.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MessageId(Arc<str>);

impl MessageId {
    /// Wraps the transport's own text.
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        Self(id.into())
    }

    /// The name of a message that arrived, but that the network did not name: it cannot be edited, deleted or reacted to.
    pub fn unknown() -> Self {
        Self::new("")
    }

    /// Whether the network named the message.
    pub fn is_known(&self) -> bool {
        !self.0.is_empty()
    }

    /// The transport's own text; empty where the network gave none.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn size_bytes(&self) -> usize {
        size_of::<Self>() + self.0.len()
    }
}

/// What somebody wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Message {
    /// The name by which this message can be quoted, reacted to, or deleted.
    pub id: MessageId,
    /// The words; empty for a file without a caption.
    pub text: String,
    /// Files that came with it, not yet downloaded.
    pub attachments: Vec<Attachment>,
    /// People named in the text.
    pub mentions: Vec<Mention>,
    /// The message this one answers.
    pub quote: Option<Quote>,
}

impl Message {
    /// A message of words only.
    pub fn text(id: impl Into<Arc<str>>, text: impl Into<String>) -> Self {
        Self {
            id: MessageId::new(id),
            text: text.into(),
            attachments: Vec::new(),
            mentions: Vec::new(),
            quote: None,
        }
    }

    fn size_bytes(&self) -> usize {
        let files = self.attachments.iter().map(Attachment::size_bytes);
        let mentions = self.mentions.iter().map(|mention| size_of::<Mention>() + mention.who.size_bytes());
        let quote = self.quote.iter().map(|quote| {
            quote.id.size_bytes() + quote.author.as_ref().map_or(0, Sender::size_bytes) + quote.text.len()
        });
        self.id.size_bytes() + self.text.len() + files.chain(mentions).chain(quote).sum::<usize>()
    }
}

/// A file that came with a message. Fetch its bytes with [`Context::download`](crate::Context::download).
///
/// As a value of [`Args`](crate::Args) it is the next file of the message, and takes no word of its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename = "evenkeel::Attachment")]
pub struct Attachment {
    /// The transport's name for the file.
    pub id: Arc<str>,
    /// The name the sender gave it. Anybody can write anything here: never use it as a path.
    pub name: Option<String>,
    /// The media type, `image/png` for example, as the sender claims.
    pub content_type: String,
    /// Its length in bytes, as the sender claims.
    pub size_bytes: Option<u64>,
}

impl Attachment {
    fn size_bytes(&self) -> usize {
        let name = self.name.as_ref().map_or(0, String::len);
        size_of::<Self>() + self.id.len() + name + self.content_type.len()
    }
}

/// A person named in a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mention {
    /// Who is named.
    pub who: Sender,
    /// Where in the text, in bytes of UTF-8.
    pub range: Range<usize>,
}

/// The earlier message that a message answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quote {
    /// The earlier message.
    pub id: MessageId,
    /// Who wrote it, if known.
    pub author: Option<Sender>,
    /// What it said, perhaps shortened by the network.
    pub text: String,
}

/// A changed message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// The message that was changed.
    pub target: MessageId,
    /// What it says now.
    pub message: Message,
}

/// A reaction to a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reaction {
    /// The message reacted to.
    pub target: MessageId,
    /// The emoji.
    pub emoji: String,
    /// Whether the reaction was taken back.
    pub is_removed: bool,
}

/// A message deleted for everyone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletion {
    /// The message that is gone.
    pub target: MessageId,
}

/// Somebody began or ceased to type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Typing {
    /// Whether typing began; `false` when it ceased.
    pub is_started: bool,
}

/// What happened to messages that were sent earlier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// What happened.
    pub kind: ReceiptKind,
    /// To which messages.
    pub targets: Vec<MessageId>,
}

/// How far a message got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ReceiptKind {
    /// It reached a device.
    Delivered,
    /// Somebody saw it.
    Read,
    /// Somebody opened what may be opened once.
    Viewed,
}

/// A vote in a poll.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollVote {
    /// The message that holds the poll.
    pub poll: MessageId,
    /// The chosen options, counted from 0.
    pub options: Vec<u32>,
}

/// A job that is due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobFired {
    job: String,
    function: String,
    /// JSON.
    args: String,
    due_ms: u64,
    lane: Arc<str>,
}

impl JobFired {
    pub(crate) fn new(job: String, function: String, args: String, due_ms: u64, lane: String) -> Self {
        Self { job, function, args, due_ms, lane: lane.into() }
    }

    /// The job's name.
    pub fn job(&self) -> &str {
        &self.job
    }

    /// The function, as the compiler names it.
    pub fn function(&self) -> &str {
        &self.function
    }

    /// When it was due.
    pub fn due(&self) -> SystemTime {
        moment::from_ms(self.due_ms)
    }

    /// Its arguments in JSON.
    pub(crate) fn args(&self) -> &str {
        &self.args
    }
}

/// A kind of event that has no type of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Other {
    /// The transport's name for the kind, `"sticker"` or `"call"` for example.
    pub name: String,
}

macro_rules! kinds {
    ($($kind:ident),*) => {$(
        impl From<$kind> for EventKind {
            fn from(value: $kind) -> Self {
                Self::$kind(value)
            }
        }
    )*};
}
kinds!(Message, Edit, Reaction, Deletion, Typing, Receipt, PollVote, JobFired, Other);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_prints_no_words_and_no_people() {
        let event = Event::new(
            "1",
            Conversation::direct("+15550100001"),
            Sender::new("+15550100001"),
            Message::text("1", "secret"),
        );
        assert_eq!(format!("{event:?}"), "Event(message)");
    }

    #[test]
    fn whatever_people_make_large_counts_as_large() {
        let who = Sender::known_as("a", Some("n".repeat(10_000)), None::<&str>);
        let mut quoting = Message::text("1", "short");
        quoting.quote = Some(Quote { id: MessageId::new("2"), author: None, text: "q".repeat(10_000) });
        let targets = (0..1_000).map(|n| MessageId::new(n.to_string())).collect();
        let here = || Conversation::direct("a");
        let large = [
            Event::new("1", here(), who, Typing { is_started: true }),
            Event::new("1", here(), Sender::new("a"), quoting),
            Event::new("1", here(), Sender::new("a"), Receipt { kind: ReceiptKind::Read, targets }),
            Event::new("1", here(), Sender::new("a"), Other { name: "o".repeat(10_000) }),
        ];
        for event in large {
            assert!(event.size_bytes() > 10_000, "{event:?}: {}", event.size_bytes());
        }
    }

    #[test]
    fn a_person_is_known_by_id_and_by_alias() {
        let sender = Sender::known_as("uuid", Some("Alice"), Some("+15550100001"));
        assert!(sender.is("uuid") && sender.is("+15550100001"));
        assert!(sender.is(" UUID") && sender.is("+1 555 010 0001"));
        assert!(!sender.is("Alice"), "anybody may call themselves Alice");
    }
}
