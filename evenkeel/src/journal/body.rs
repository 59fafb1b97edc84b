//! What an event or a reply says, as it is and as it lies in a store: JSON, which any tool reads, and files as the bytes
//! that they are.

use std::borrow::Cow;

use bytes::Bytes;

use super::id::ReplyId;
use crate::event::{Event, ReplyToken};
use crate::reply::Outbound;

/// What an event or a reply says. A store keeps it as it is, or as [`Body::write`] says, and hands back the same.
#[derive(Debug, Clone)]
pub enum Body<'a> {
    /// An event.
    Event(Cow<'a, Event>),
    /// A reply.
    Reply(&'a Outbound),
    /// A reply that a store has kept as it is.
    Kept(Box<Outbound>),
    /// One of the two as [`Body::write`] has written it.
    Written {
        /// The text.
        text: Bytes,
        /// The files, if there are any.
        files: Bytes,
    },
    /// Nothing: of a reply that was sent only the fact is kept.
    Empty,
}

impl Body<'_> {
    /// Writes the text in the place of what is in `text`, and answers the files, if there are any.
    ///
    /// JSON would make a list of numbers of a file, 3.6 times as long: so they come apart, each with its length before it,
    /// eight bytes with the lowest first.
    pub fn write(&self, text: &mut Vec<u8>) -> Option<Vec<u8>> {
        text.clear();
        match self {
            Self::Event(event) => {
                to_json(text, event);
                append_token(text, event.token());
                None
            }
            Self::Reply(outbound) => write_reply(outbound, text),
            Self::Kept(outbound) => write_reply(outbound, text),
            Self::Written { text: written, files } => {
                text.extend_from_slice(written);
                (!files.is_empty()).then(|| files.to_vec())
            }
            Self::Empty => None,
        }
    }

    /// The same, to keep.
    pub fn into_owned(self) -> Body<'static> {
        match self {
            Self::Event(event) => Body::Event(Cow::Owned(event.into_owned())),
            Self::Reply(outbound) => Body::Kept(Box::new(outbound.clone())),
            Self::Kept(outbound) => Body::Kept(outbound),
            Self::Written { text, files } => Body::Written { text, files },
            Self::Empty => Body::Empty,
        }
    }

    /// The event; `None` when it cannot be read.
    pub(super) fn into_event(self) -> Option<Event> {
        match self {
            Self::Event(event) => Some(event.into_owned()),
            // Checked as a whole, the text need not be checked string by string.
            Self::Written { text, .. } => serde_json::from_str(std::str::from_utf8(&text).ok()?).ok(),
            Self::Reply(_) | Self::Kept(_) | Self::Empty => None,
        }
    }

    /// The reply under this name; `None` when it cannot be read.
    pub(super) fn into_reply(self, id: ReplyId) -> Option<Outbound> {
        let mut outbound = match self {
            Self::Reply(outbound) => outbound.clone(),
            Self::Kept(outbound) => *outbound,
            Self::Written { text, files } => read_reply(&text, files)?,
            Self::Event(_) | Self::Empty => return None,
        };
        outbound.key = id.into();
        Some(outbound)
    }
}

fn to_json<T: serde::Serialize>(text: &mut Vec<u8>, value: &T) {
    // Our types have no maps with odd keys, and a vector takes whatever it is given.
    serde_json::to_writer(text, value).expect("our own types become JSON");
}

/// Adds to an event or a reply, which is an object, what it says to nobody else.
fn append_token(text: &mut Vec<u8>, token: Option<&ReplyToken>) {
    let Some(token) = token else { return };
    let end = text.pop();
    text.extend_from_slice(b",\"token\":");
    to_json(text, token);
    text.extend(end);
}

fn write_reply(outbound: &Outbound, text: &mut Vec<u8>) -> Option<Vec<u8>> {
    if outbound.action.files().is_empty() {
        to_json(text, outbound);
        append_token(text, outbound.token.as_ref());
        return None;
    }
    let mut bare = outbound.clone();
    let mut packed = Vec::new();
    for file in bare.action.files_mut() {
        let bytes = std::mem::take(&mut file.bytes);
        packed.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        packed.extend_from_slice(&bytes);
    }
    to_json(text, &bare);
    append_token(text, outbound.token.as_ref());
    Some(packed)
}

fn read_reply(text: &[u8], mut files: Bytes) -> Option<Outbound> {
    let mut outbound: Outbound = serde_json::from_str(std::str::from_utf8(text).ok()?).ok()?;
    for file in outbound.action.files_mut() {
        let length = files.get(..8)?.try_into().ok().map(u64::from_le_bytes)?;
        let end = usize::try_from(length).ok()?.checked_add(8)?;
        if files.len() < end {
            return None;
        }
        file.bytes = files.split_to(end).slice(8..);
    }
    Some(outbound)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Conversation, Message, Sender};
    use crate::reply::{Action, Draft, File, SendKey};

    #[test]
    fn a_token_is_in_the_journal_and_nowhere_else() {
        let (alice, token) = (Conversation::direct("alice"), ReplyToken::new("aW50ZXJ\"\\ \u{1F511}"));
        let event = Event::new("1", alice.clone(), Sender::new("alice"), Message::text("1", "!ping"));
        let event = event.with_token(token.clone());
        let key = SendKey { sequence: 7, index: 0 };
        let with = |files| {
            let draft = Draft { text: "pong".to_owned(), files, ..Draft::default() };
            Outbound::new(alice.clone(), Action::Send(draft), key).with_token(Some(token.clone()))
        };
        let file = File::new("a.txt", "text/plain", "a");
        for shown in [
            serde_json::to_string(&event).unwrap(),
            serde_json::to_string(&with(Vec::new())).unwrap(),
            format!("{event:?} {:?}", with(vec![file.clone()])),
        ] {
            assert!(!shown.contains("aW50ZXJ"), "{shown}");
        }
        let written = |body: &Body<'_>| {
            let mut text = Vec::new();
            let files = body.write(&mut text).unwrap_or_default();
            Body::Written { text: text.into(), files: files.into() }
        };
        let read = written(&Body::Event(Cow::Borrowed(&event))).into_event().unwrap();
        assert_eq!(read.token(), Some(&token));
        for reply in [with(Vec::new()), with(vec![file])] {
            let read = written(&Body::Reply(&reply)).into_reply(key.into()).unwrap();
            assert_eq!(read, reply);
        }
    }
}
