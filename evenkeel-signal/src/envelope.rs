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
//! | exception, error frame, not JSON, strict part broken, content without a sender that is a uuid or a number | undeliverable: counted |
//!
//! `wire` has the shapes, `people` says who is who in them, and `content` what they say.

mod wire;
mod people;
mod content;

use std::fmt::Write;
use std::time::{Duration, UNIX_EPOCH};

use evenkeel::{Conversation, Event, EventKind, Sender};
use serde_json::value::RawValue;

use self::content::{Content, Contents, receipt_notice, story_notice, typing_notice};
use self::people::{Source, addresses};
use self::wire::{Destination, Envelope, Frame, Sync};
use crate::config::OwnMessages;
use crate::ids::Account;
use crate::own::OwnSends;

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

/// What a frame is read for.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    pub(crate) account: &'a Account,
    pub(crate) own_messages: OwnMessages,
    pub(crate) own_sends: &'a OwnSends,
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
        let (number, uuid) = addresses(&envelope.source, &envelope.source_number, &envelope.source_uuid);
        let (number, uuid) = self.account.people.complete(number, uuid.as_deref());
        let source = Source::of(envelope, number.as_deref(), uuid.as_deref());
        let is_own = self.account.is(source.number, source.uuid);
        if let Some(sync) = envelope.sync_message {
            return self.sync(&source, sync).unwrap_or(Parsed::Undeliverable(BROKEN));
        }
        if is_own {
            // `notify_self` makes the server deliver the bot's own sends to the bot.
            return Parsed::Nothing;
        }
        let content = if let Some(data) = &envelope.data_message {
            self.contents().data(&source, data)
        } else if let Some(edit) = envelope.edit_message {
            self.contents().edit(&source, edit)
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
        let names_somebody =
            matches!(&content.what, EventKind::Message(m) if !m.mentions.is_empty() || m.quote.is_some());
        let event = Event::new(id, conversation, sender, content.what);
        let event = match UNIX_EPOCH.checked_add(Duration::from_millis(source.timestamp)) {
            Some(sent) => event.with_sent(sent),
            None => event,
        };
        // Most name nobody: what they need not know is not kept with them.
        Parsed::Event(if names_somebody { event.with_bot(self.account.person()) } else { event })
    }

    /// What the account's owner did on another device; `None` if a message is broken.
    fn sync(&self, source: &Source<'_>, sync: &RawValue) -> Option<Parsed> {
        let Ok(Sync { sent_message: Some(sent) }) = serde_json::from_str(sync.get()) else {
            return Some(Parsed::Nothing);
        };
        let to: Destination<'_> = serde_json::from_str(sent.get()).ok()?;
        let (number, uuid) = addresses(&to.destination, &to.destination_number, &to.destination_uuid);
        let uuid = uuid.as_deref();
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
            Some(edit) => self.contents().edit(source, edit)?,
            None => self.contents().data(source, &serde_json::from_str(sent.get()).ok()?)?,
        };
        if self.own_sends.is_echo(source.timestamp, &content.what) {
            return Some(Parsed::Nothing);
        }
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

    fn contents(&self) -> Contents<'_> {
        Contents { account: self.account }
    }
}
