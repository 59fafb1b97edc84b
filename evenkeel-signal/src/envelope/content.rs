//! From what an envelope holds to what an event says.

use std::borrow::Cow;

use evenkeel::{
    Attachment, Conversation, Deletion, Edit, EventKind, Mention, Message, MessageId, Other, PollVote, Quote,
    Reaction, Receipt, ReceiptKind, Typing,
};
use serde_json::value::RawValue;

use super::people::{Source, addresses, person};
use super::wire::{
    Attached, Data, Deleted, Edited, Group, Named, Pointer, Quoted, Raw, ReceiptNotice, Story, TypingNotice,
    elements, has_entries,
};
use crate::ids::{Account, is_group_id};
use crate::loose::{Flag, Text};
use crate::utf16::Units;

/// An event but for who and where.
pub(super) struct Content {
    /// Tells this event from others of the same envelope's name.
    pub(super) tag: Cow<'static, str>,
    pub(super) what: EventKind,
    pub(super) group: Option<String>,
}

impl Content {
    fn new(tag: impl Into<Cow<'static, str>>, what: impl Into<EventKind>, group: Option<String>) -> Self {
        Self { tag: tag.into(), what: what.into(), group }
    }

    pub(super) fn other(name: &'static str, group: Option<String>) -> Self {
        let what = Other { name: name.to_owned() };
        Self::new(name, what, group)
    }

    pub(super) fn conversation(&self, direct: &str) -> Conversation {
        match &self.group {
            Some(group) => Conversation::group(group.as_str()),
            None => Conversation::direct(direct),
        }
    }
}

/// What messages are read for.
pub(super) struct Contents<'a> {
    pub(super) account: &'a Account,
}

impl Contents<'_> {
    /// `None` if the edit is broken.
    pub(super) fn edit(&self, source: &Source<'_>, edit: &RawValue) -> Option<Content> {
        let edit: Edited<'_> = serde_json::from_str(edit.get()).ok()?;
        let target = self.account.message_id(edit.target_sent_timestamp.0?, source.number, source.uuid);
        let message = self.message(source, &edit.data_message);
        Some(Content::new("edit", Edit { target, message }, group(edit.data_message.group_info.as_ref())?))
    }

    /// `None` if a strict part is broken.
    pub(super) fn data(&self, source: &Source<'_>, data: &Data<'_>) -> Option<Content> {
        let text = data.message.as_ref().map_or("", |text| &*text.0);
        let group = group(data.group_info.as_ref())?;
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
            message.mentions = self.mentions(text, mentions);
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
        let uuid = uuid.as_deref();
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

    fn mentions(&self, text: &str, mentions: &RawValue) -> Vec<Mention> {
        let mut elements = elements(mentions).peekable();
        if elements.peek().is_none() {
            return Vec::new();
        }
        let units = Units::new(text);
        elements.filter_map(|element| self.mention(&units, element)).collect()
    }

    fn mention(&self, units: &Units, mention: &RawValue) -> Option<Mention> {
        let mention: Named<'_> = serde_json::from_str(mention.get()).ok()?;
        let unnamed = Text::default();
        let (number, uuid) = addresses(&unnamed, &mention.number, &mention.uuid);
        let uuid = uuid.as_deref();
        // One that names the bot by both of its addresses is how its uuid is learnt.
        let _is_bot = self.account.is(number, uuid);
        Some(Mention {
            who: person(mention.name.filled(), number, uuid)?,
            range: units.bytes(mention.start.0?, mention.length.0?)?,
        })
    }

    fn target(&self, pointer: &Pointer<'_>) -> Option<MessageId> {
        let (number, uuid) =
            addresses(&pointer.target_author, &pointer.target_author_number, &pointer.target_author_uuid);
        let uuid = uuid.as_deref();
        let timestamp = pointer.target_sent_timestamp.0?;
        Some(self.account.message_id(timestamp, number, uuid))
    }
}

/// The outer `None` is a group without a proper id.
fn group(info: Option<&Group<'_>>) -> Option<Option<String>> {
    info.map_or(Some(None), |info| proper(info.group_id.to_string()).map(Some))
}

/// An answer to anything else would go nowhere, or to somebody else.
fn proper(id: String) -> Option<String> {
    is_group_id(&id).then_some(id)
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

pub(super) fn typing_notice(notice: &RawValue) -> Option<Content> {
    let notice: TypingNotice<'_> = serde_json::from_str(notice.get()).ok()?;
    let is_started = match notice.action.filled()? {
        "STARTED" => true,
        "STOPPED" => false,
        _ => return None,
    };
    let tag = if is_started { "typing" } else { "typed" };
    Some(Content::new(tag, Typing { is_started }, group_id(notice.group_id)?))
}

pub(super) fn story_notice(story: &RawValue) -> Option<Content> {
    let story: Story<'_> = serde_json::from_str(story.get()).ok()?;
    Some(Content::other("story", group_id(story.group_id)?))
}

/// The outer `None` is a group without a proper id.
fn group_id(id: Raw<'_>) -> Option<Option<String>> {
    let read = |id: &RawValue| serde_json::from_str::<Option<String>>(id.get()).ok();
    match id.map_or(Some(None), read)? {
        Some(id) => proper(id).map(Some),
        None => Some(None),
    }
}

pub(super) fn receipt_notice(notice: &RawValue) -> Option<Content> {
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
