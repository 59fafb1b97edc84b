//! From a frame of the wire to an event.
//!
//! The parts that decide what a message says and where an answer goes are strict: a text that is no text, or a group
//! without an id, is undeliverable, because guessing could answer in the wrong place. Everything else is loose: a
//! quote, a mention or a name in an unexpected shape is left out, and the message arrives.
//!
//! | frame | becomes |
//! |---|---|
//! | message, edit, reaction, deletion, typing, receipt, poll vote | the event of that kind |
//! | sticker, call, story, poll, contact, payment, pin, group update, timer change | `Other` with that name |
//! | message without any content that signal-cli understood | `Other` named `unsupported` |
//! | own message from another device | as [`OwnMessages`] says |
//! | envelope without content; contacts, read marks and other syncs; call events; the bot's own echo | nothing |
//! | exception, error frame, not JSON, strict part broken, content without a sender | undeliverable: counted |
//!
//! Source: signal-cli `src/main/java/org/asamk/signal/json/*.java` at `c26e063`.

use std::borrow::Cow;
use std::fmt::Write;

use evenkeel::{
    Attachment, Conversation, Deletion, Edit, Event, Mention, Message, Other, PollVote, Quote, Reaction,
    Receipt, ReceiptKind, Sender, Typing, What,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::config::OwnMessages;
use crate::ids::Account;
use crate::loose::{Flag, Number, Presence, Text};
use crate::utf16::Units;

/// What became of a frame.
#[derive(Debug)]
pub(crate) enum Parsed {
    /// Something for the bot.
    Event(Event),
    /// Nothing for the bot, and nothing is lost.
    Nothing,
    /// Something was lost; the reason quotes nothing.
    Undeliverable(&'static str),
}

type Raw<'a> = Option<&'a RawValue>;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Frame<'a> {
    #[serde(borrow)]
    envelope: Option<Envelope<'a>>,
    exception: Presence,
    error: Presence,
    /// `callEvent` carries nothing for a bot.
    method: Text<'a>,
    /// Around the frame in a JSON-RPC notification.
    params: Raw<'a>,
    /// Around the frame in the notification of a subscription.
    result: Raw<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Envelope<'a> {
    #[serde(borrow)]
    source: Text<'a>,
    source_number: Text<'a>,
    source_uuid: Text<'a>,
    source_name: Text<'a>,
    source_device: Number,
    timestamp: Number,
    data_message: Option<Data<'a>>,
    edit_message: Raw<'a>,
    sync_message: Raw<'a>,
    typing_message: Raw<'a>,
    receipt_message: Raw<'a>,
    call_message: Presence,
    story_message: Raw<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Data<'a> {
    timestamp: Number,
    #[serde(borrow)]
    message: Option<Strict<'a>>,
    group_info: Option<Group<'a>>,
    edit_message: Raw<'a>,
    reaction: Raw<'a>,
    remote_delete: Raw<'a>,
    admin_delete: Raw<'a>,
    poll_vote: Raw<'a>,
    quote: Raw<'a>,
    mentions: Raw<'a>,
    attachments: Raw<'a>,
    sticker: Presence,
    poll_create: Presence,
    poll_terminate: Presence,
    contacts: Raw<'a>,
    payment: Presence,
    pin_message: Presence,
    unpin_message: Presence,
    is_expiration_update: Flag,
}

/// A text that must be one.
#[derive(Deserialize)]
struct Strict<'a>(#[serde(borrow)] Cow<'a, str>);

/// Without its id nobody knows where to answer, so the id is the one strict field.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group<'a> {
    #[serde(borrow)]
    group_id: Cow<'a, str>,
    #[serde(default, rename = "type")]
    kind: Text<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Edited<'a> {
    target_sent_timestamp: Number,
    #[serde(borrow)]
    data_message: Data<'a>,
}

/// Reactions, poll votes and an admin's deletions point at a message in the same way.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Pointer<'a> {
    #[serde(borrow)]
    emoji: Text<'a>,
    is_remove: Flag,
    option_indexes: Vec<u32>,
    #[serde(alias = "author")]
    target_author: Text<'a>,
    #[serde(alias = "authorNumber")]
    target_author_number: Text<'a>,
    #[serde(alias = "authorUuid")]
    target_author_uuid: Text<'a>,
    target_sent_timestamp: Number,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Quoted<'a> {
    id: Number,
    #[serde(borrow)]
    author: Text<'a>,
    author_number: Text<'a>,
    author_uuid: Text<'a>,
    text: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Named<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    number: Text<'a>,
    uuid: Text<'a>,
    start: Number,
    length: Number,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Attached<'a> {
    #[serde(borrow)]
    content_type: Text<'a>,
    filename: Text<'a>,
    id: Text<'a>,
    size: Number,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Deleted {
    timestamp: Number,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct TypingNotice<'a> {
    #[serde(borrow)]
    action: Text<'a>,
    group_id: Raw<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Story<'a> {
    #[serde(borrow)]
    group_id: Raw<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct ReceiptNotice {
    is_delivery: Flag,
    is_read: Flag,
    is_viewed: Flag,
    timestamps: Vec<Number>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Sync<'a> {
    #[serde(borrow)]
    sent_message: Raw<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Destination<'a> {
    #[serde(borrow)]
    destination: Text<'a>,
    destination_number: Text<'a>,
    destination_uuid: Text<'a>,
    edit_message: Raw<'a>,
}

/// What a frame is read for.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    pub(crate) account: &'a Account,
    pub(crate) own_messages: OwnMessages,
}

/// Who is who in one envelope.
struct Source<'a> {
    uuid: Option<&'a str>,
    number: Option<&'a str>,
    name: Option<&'a str>,
    device: u64,
    timestamp: u64,
}

impl<'a> Source<'a> {
    fn of(envelope: &'a Envelope<'_>) -> Self {
        let source = envelope.source.filled();
        let uuid = envelope.source_uuid.filled();
        let number = envelope.source_number.filled();
        // Old servers send `source` alone; it is a number, or a uuid where the number is hidden.
        let (uuid, number) = match (uuid, number, source) {
            (None, None, Some(source)) if source.starts_with('+') => (None, Some(source)),
            (None, None, Some(source)) => (Some(source), None),
            _ => (uuid, number),
        };
        Self {
            uuid,
            number,
            name: envelope.source_name.filled(),
            device: envelope.source_device.0.unwrap_or(0),
            timestamp: envelope.timestamp.0.unwrap_or(0),
        }
    }

    fn id(&self) -> Option<&'a str> {
        self.uuid.or(self.number)
    }
}

const NOT_UNDERSTOOD: &str = "a frame that is no message in JSON";
const WITHOUT_SENDER: &str = "a message without a sender";
const BROKEN: &str = "a message in a shape that signal-cli does not send";

impl Reader<'_> {
    /// Reads one frame. Never panics, whatever is in it.
    pub(crate) fn read(&self, frame: &str) -> Parsed {
        let mut text = frame;
        // The frame itself, a notification around it, or a subscription around it.
        for _ in 0..3 {
            let frame: Frame<'_> = match serde_json::from_str(text) {
                Ok(frame) => frame,
                Err(_) => return Parsed::Undeliverable(NOT_UNDERSTOOD),
            };
            if frame.exception.0 {
                return Parsed::Undeliverable("a message that signal-cli could not decrypt or read");
            }
            if let Some(envelope) = frame.envelope {
                return self.envelope(&envelope);
            }
            match frame.params.or(frame.result) {
                Some(_) if frame.method.filled().is_some_and(|method| method != "receive") => {
                    return Parsed::Nothing;
                }
                Some(inner) => text = inner.get(),
                None if frame.error.0 => return Parsed::Undeliverable("an error that the server reported"),
                None => return Parsed::Undeliverable(NOT_UNDERSTOOD),
            }
        }
        Parsed::Undeliverable(NOT_UNDERSTOOD)
    }

    fn envelope(&self, envelope: &Envelope<'_>) -> Parsed {
        let source = Source::of(envelope);
        let is_own = self.account.is(source.number, source.uuid);
        if let Some(sync) = envelope.sync_message {
            return self.sync(&source, sync).unwrap_or(Parsed::Undeliverable(BROKEN));
        }
        if is_own {
            // `notify_self` makes the server deliver the bot's own sends to the bot.
            return Parsed::Nothing;
        }
        let content = if let Some(data) = &envelope.data_message {
            self.data(&source, data)
        } else if let Some(edit) = envelope.edit_message {
            self.edit(&source, edit)
        } else if let Some(typing) = envelope.typing_message {
            typing_notice(typing)
        } else if let Some(receipt) = envelope.receipt_message {
            receipt_notice(receipt)
        } else if let Some(story) = envelope.story_message {
            story_notice(story)
        } else if envelope.call_message.0 {
            Some(Content::other("call", None))
        } else {
            return Parsed::Nothing;
        };
        match (content, source.id()) {
            (Some(content), Some(id)) => {
                let conversation = content.conversation(id);
                self.event(&source, id, conversation, content)
            }
            (Some(_), None) => Parsed::Undeliverable(WITHOUT_SENDER),
            (None, _) => Parsed::Undeliverable(BROKEN),
        }
    }

    fn event(
        &self,
        source: &Source<'_>,
        sender: &str,
        conversation: Conversation,
        content: Content,
    ) -> Parsed {
        let mut id = String::with_capacity(96);
        // Writing to a `String` does not fail.
        let _ = write!(
            id,
            "{:08x}/{sender}/{}/{}/{}",
            self.account.mark, source.device, source.timestamp, content.tag
        );
        let alias = source.number.filter(|number| *number != sender);
        let sender = Sender::known_as(sender, source.name, alias);
        Parsed::Event(Event::new(id, conversation, sender, content.what).with_sent_ms(source.timestamp))
    }

    /// What the account's owner did on another device; `None` if a message is broken.
    fn sync(&self, source: &Source<'_>, sync: &RawValue) -> Option<Parsed> {
        let Ok(Sync { sent_message: Some(sent) }) = serde_json::from_str(sync.get()) else {
            return Some(Parsed::Nothing);
        };
        let to: Destination<'_> = serde_json::from_str(sent.get()).ok()?;
        let uuid = to.destination_uuid.filled();
        let number = to.destination_number.filled().or(to.destination.filled());
        let is_note = self.account.is(number, uuid);
        let is_wanted = match self.own_messages {
            OwnMessages::Ignore => false,
            OwnMessages::NoteToSelf => is_note,
            OwnMessages::All => true,
        };
        if !is_wanted {
            return Some(Parsed::Nothing);
        }
        let content = match to.edit_message {
            Some(edit) => self.edit(source, edit)?,
            None => self.data(source, &serde_json::from_str(sent.get()).ok()?)?,
        };
        let Some(id) = source.id() else {
            return Some(Parsed::Undeliverable(WITHOUT_SENDER));
        };
        // A reply goes to whom the owner wrote, which in a note is the owner.
        let Some(other) = uuid.or(number).or(content.group.is_some().then_some(id)) else {
            return Some(Parsed::Undeliverable("an own message without a destination"));
        };
        let conversation = content.conversation(if is_note { id } else { other });
        Some(self.event(source, id, conversation, content))
    }

    /// `None` if the edit is broken.
    fn edit(&self, source: &Source<'_>, edit: &RawValue) -> Option<Content> {
        let edit: Edited<'_> = serde_json::from_str(edit.get()).ok()?;
        let target = self.account.message_id(edit.target_sent_timestamp.0?, source.number, source.uuid);
        let message = self.message(source, &edit.data_message);
        Some(Content::new("edit", Edit { target, message }, group(edit.data_message.group_info.as_ref())))
    }

    /// `None` if a strict part is broken.
    fn data(&self, source: &Source<'_>, data: &Data<'_>) -> Option<Content> {
        let text = data.message.as_ref().map_or("", |text| &*text.0);
        let group = group(data.group_info.as_ref());
        if let Some(edit) = data.edit_message {
            return Some(Content { group, ..self.edit(source, edit)? });
        }
        if let Some(reaction) = data.reaction {
            return self.reaction(reaction, group);
        }
        if let Some(deletion) = data.remote_delete {
            let deletion: Deleted = serde_json::from_str(deletion.get()).ok()?;
            let target = self.account.message_id(deletion.timestamp.0?, source.number, source.uuid);
            return Some(Content::new("deletion", Deletion { target }, group));
        }
        if let Some(deletion) = data.admin_delete {
            let target = self.target(&serde_json::from_str(deletion.get()).ok()?)?;
            return Some(Content::new("deletion", Deletion { target }, group));
        }
        if let Some(vote) = data.poll_vote {
            let vote: Pointer<'_> = serde_json::from_str(vote.get()).ok()?;
            let (poll, options) = (self.target(&vote)?, vote.option_indexes);
            return Some(Content::new("vote", PollVote { poll, options }, group));
        }
        if text.is_empty() && !has_entries(data.attachments) {
            return Some(Content::other(name(data), group));
        }
        Some(Content::new("message", self.message(source, data), group))
    }

    fn message(&self, source: &Source<'_>, data: &Data<'_>) -> Message {
        let timestamp = data.timestamp.0.unwrap_or(source.timestamp);
        let text = data.message.as_ref().map_or("", |text| &*text.0);
        let name = self.account.message_name(timestamp, source.number, source.uuid);
        let mut message = Message::text(name, text);
        if let Some(mentions) = data.mentions {
            message.mentions = mentions_in(text, mentions);
        }
        if let Some(attachments) = data.attachments {
            message.attachments = elements(attachments).filter_map(attachment).collect();
        }
        message.quote = data.quote.and_then(|quote| self.quote(quote));
        message
    }

    fn quote(&self, quote: &RawValue) -> Option<Quote> {
        let quote: Quoted<'_> = serde_json::from_str(quote.get()).ok()?;
        let (number, uuid) = addresses(&quote.author, &quote.author_number, &quote.author_uuid);
        Some(Quote {
            id: self.account.message_id(quote.id.0?, number, uuid),
            author: person(None, number, uuid),
            text: quote.text.filled().unwrap_or("").to_owned(),
        })
    }

    fn reaction(&self, reaction: &RawValue, group: Option<String>) -> Option<Content> {
        let reaction: Pointer<'_> = serde_json::from_str(reaction.get()).ok()?;
        let what = Reaction {
            target: self.target(&reaction)?,
            emoji: reaction.emoji.filled().unwrap_or("").to_owned(),
            is_removed: reaction.is_remove.0,
        };
        Some(Content::new("reaction", what, group))
    }

    fn target(&self, pointer: &Pointer<'_>) -> Option<evenkeel::MessageId> {
        let (number, uuid) =
            addresses(&pointer.target_author, &pointer.target_author_number, &pointer.target_author_uuid);
        let timestamp = pointer.target_sent_timestamp.0?;
        Some(self.account.message_id(timestamp, number, uuid))
    }
}

/// An event but for who and where.
struct Content {
    /// Tells this event from others of the same envelope's name.
    tag: Cow<'static, str>,
    what: What,
    group: Option<String>,
}

impl Content {
    fn new(tag: impl Into<Cow<'static, str>>, what: impl Into<What>, group: Option<String>) -> Self {
        Self { tag: tag.into(), what: what.into(), group }
    }

    fn other(name: &'static str, group: Option<String>) -> Self {
        let what = Other { name: name.to_owned() };
        Self::new(name, what, group)
    }

    fn conversation(&self, direct: &str) -> Conversation {
        match &self.group {
            Some(group) => Conversation::group(group.as_str()),
            None => Conversation::direct(direct),
        }
    }
}

fn group(info: Option<&Group<'_>>) -> Option<String> {
    info.map(|info| info.group_id.to_string())
}

/// What a message without words, files and targets is.
fn name(data: &Data<'_>) -> &'static str {
    let is_update = |group: &Group<'_>| group.kind.filled() == Some("UPDATE");
    let kinds = [
        (data.sticker.0, "sticker"),
        (data.poll_create.0, "poll"),
        (data.poll_terminate.0, "poll_end"),
        (has_entries(data.contacts), "contact"),
        (data.payment.0, "payment"),
        (data.pin_message.0, "pin"),
        (data.unpin_message.0, "unpin"),
        (data.is_expiration_update.0, "timer"),
        (data.group_info.as_ref().is_some_and(is_update), "group_update"),
    ];
    let found = kinds.iter().find(|(is_there, _)| *is_there);
    found.map_or("unsupported", |(_, name)| name)
}

fn typing_notice(notice: &RawValue) -> Option<Content> {
    let notice: TypingNotice<'_> = serde_json::from_str(notice.get()).ok()?;
    let is_started = match notice.action.filled()? {
        "STARTED" => true,
        "STOPPED" => false,
        _ => return None,
    };
    let tag = if is_started { "typing" } else { "typed" };
    Some(Content::new(tag, Typing { is_started }, group_id(notice.group_id)?))
}

fn story_notice(story: &RawValue) -> Option<Content> {
    let story: Story<'_> = serde_json::from_str(story.get()).ok()?;
    Some(Content::other("story", group_id(story.group_id)?))
}

/// The outer `None` is a group without a proper id.
fn group_id(id: Raw<'_>) -> Option<Option<String>> {
    id.map_or(Some(None), |id| serde_json::from_str(id.get()).ok())
}

fn receipt_notice(notice: &RawValue) -> Option<Content> {
    let notice: ReceiptNotice = serde_json::from_str(notice.get()).ok()?;
    let (kind, tag) = match &notice {
        ReceiptNotice { is_viewed: Flag(true), .. } => (ReceiptKind::Viewed, "viewed"),
        ReceiptNotice { is_read: Flag(true), .. } => (ReceiptKind::Read, "read"),
        ReceiptNotice { is_delivery: Flag(true), .. } => (ReceiptKind::Delivered, "delivered"),
        _ => return None,
    };
    // Receipts are for what the bot sent.
    let timestamps = notice.timestamps.iter().filter_map(|timestamp| timestamp.0);
    let targets = timestamps.map(Account::own_message_id).collect();
    // Several receipts may be sent within one millisecond.
    let first = notice.timestamps.first().and_then(|timestamp| timestamp.0).unwrap_or(0);
    Some(Content::new(format!("{tag}/{first}"), Receipt { kind, targets }, None))
}

/// Returns number and uuid of somebody whom the wire names up to three times; an empty text is no name.
fn addresses<'a>(
    either: &'a Text<'_>,
    number: &'a Text<'_>,
    uuid: &'a Text<'_>,
) -> (Option<&'a str>, Option<&'a str>) {
    match (number.filled(), uuid.filled(), either.filled()) {
        (None, None, Some(either)) if either.starts_with('+') => (Some(either), None),
        (None, None, Some(either)) => (None, Some(either)),
        (number, uuid, _) => (number, uuid),
    }
}

fn person(name: Option<&str>, number: Option<&str>, uuid: Option<&str>) -> Option<Sender> {
    let id = uuid.or(number)?;
    // signal-cli puts the address where it knows no name.
    let name = name.filter(|name| Some(*name) != number && Some(*name) != uuid);
    Some(Sender::known_as(id, name, number.filter(|number| *number != id)))
}

fn mentions_in(text: &str, mentions: &RawValue) -> Vec<Mention> {
    let mut elements = elements(mentions).peekable();
    if elements.peek().is_none() {
        return Vec::new();
    }
    let units = Units::new(text);
    elements.filter_map(|element| mention(&units, element)).collect()
}

fn mention(units: &Units, mention: &RawValue) -> Option<Mention> {
    let mention: Named<'_> = serde_json::from_str(mention.get()).ok()?;
    Some(Mention {
        who: person(mention.name.filled(), mention.number.filled(), mention.uuid.filled())?,
        range: units.bytes(mention.start.0?, mention.length.0?)?,
    })
}

fn attachment(attachment: &RawValue) -> Option<Attachment> {
    let attachment: Attached<'_> = serde_json::from_str(attachment.get()).ok()?;
    let content_type = attachment.content_type.filled();
    Some(Attachment {
        id: attachment.id.filled()?.into(),
        name: attachment.filename.filled().map(str::to_owned),
        content_type: content_type.unwrap_or("application/octet-stream").to_owned(),
        size_bytes: attachment.size.0,
    })
}

/// The elements of an array; none if it is no array. A broken element does not spoil its neighbours.
fn elements(array: &RawValue) -> impl Iterator<Item = &RawValue> {
    let elements: Vec<&RawValue> = serde_json::from_str(array.get()).unwrap_or_default();
    elements.into_iter()
}

fn has_entries(array: Raw<'_>) -> bool {
    array.is_some_and(|array| elements(array).next().is_some())
}
