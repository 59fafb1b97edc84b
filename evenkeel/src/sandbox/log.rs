//! What was written and which files came with it, as much as fits.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use serde::Serialize;

use crate::event::{Attachment, Conversation, Message, MessageId, Sender};
use crate::reply::File;

/// How many messages are kept; the oldest go first.
const LIMIT_MESSAGES: usize = 10_000;
/// How many bytes of text they may hold together.
const LIMIT_TEXT_BYTES: usize = 32 << 20;
/// How many bytes of files are kept; the oldest go first.
pub(super) const LIMIT_FILE_BYTES: usize = 64 << 20;
/// How many files are kept, whatever their size.
const LIMIT_FILES: usize = 10_000;

/// A message as everybody in the conversation sees it now.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LogEntry {
    /// The words, files, mentions and quote; empty once the message is deleted.
    #[serde(flatten)]
    pub message: Message,
    /// Where it was written.
    pub conversation: Conversation,
    /// Who wrote it.
    pub author: Sender,
    /// Each emoji with the people who chose it, in order of first use.
    pub reactions: Vec<Reactions>,
    /// Answers to choose from, where it is such a question and the network has buttons.
    pub choices: Vec<String>,
    /// Whether the text holds markup.
    pub is_styled: bool,
    /// Whether the author changed it.
    pub is_edited: bool,
    /// Whether the author took it back.
    pub is_deleted: bool,
    /// When it was written, in milliseconds since 1970.
    pub sent_ms: u64,
}

/// One emoji below a message.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Reactions {
    /// The emoji.
    pub emoji: String,
    /// Who chose it.
    pub people: Vec<Sender>,
}

/// The messages, oldest first.
#[derive(Debug, Default)]
pub(super) struct Log {
    entries: VecDeque<Arc<LogEntry>>,
    /// Where each message stands, counted from the first one ever written.
    places: HashMap<MessageId, usize>,
    /// How many were dropped from the front.
    dropped: usize,
    text_bytes: usize,
}

impl Log {
    pub(super) fn push(&mut self, entry: Arc<LogEntry>) {
        let place = self.dropped + self.entries.len();
        self.places.insert(entry.message.id.clone(), place);
        self.text_bytes += entry.message.text.len();
        self.entries.push_back(entry);
        while self.entries.len() > LIMIT_MESSAGES || self.text_bytes > LIMIT_TEXT_BYTES {
            let Some(oldest) = self.entries.pop_front() else { break };
            self.places.remove(&oldest.message.id);
            self.text_bytes -= oldest.message.text.len();
            self.dropped += 1;
        }
    }

    pub(super) fn get(&self, id: &MessageId) -> Option<&Arc<LogEntry>> {
        self.entries.get(self.places.get(id)? - self.dropped)
    }

    /// Changes a message and returns how it looks afterwards.
    pub(super) fn change(
        &mut self,
        id: &MessageId,
        change: impl FnOnce(&mut LogEntry),
    ) -> Option<Arc<LogEntry>> {
        let slot = self.entries.get_mut(self.places.get(id)? - self.dropped)?;
        let before = slot.message.text.len();
        change(Arc::make_mut(slot));
        self.text_bytes = self.text_bytes - before + slot.message.text.len();
        Some(Arc::clone(slot))
    }

    /// The newest messages, at most `limit` of them, oldest first.
    pub(super) fn newest(&self, limit: usize) -> Vec<Arc<LogEntry>> {
        let skipped = self.entries.len().saturating_sub(limit);
        self.entries.iter().skip(skipped).cloned().collect()
    }
}

/// The files, by the name that their attachments carry.
#[derive(Debug, Default)]
pub(super) struct Files {
    kept: HashMap<Arc<str>, File>,
    /// Oldest first.
    order: VecDeque<Arc<str>>,
    bytes: usize,
}

impl Files {
    /// Keeps a file under `id` and describes it. The caller has made sure that it fits on its own.
    pub(super) fn keep(&mut self, id: Arc<str>, file: File) -> Attachment {
        let attachment = describe(&id, &file);
        self.bytes += file.bytes.len();
        self.order.push_back(Arc::clone(&id));
        self.kept.insert(id, file);
        while self.bytes > LIMIT_FILE_BYTES || self.order.len() > LIMIT_FILES {
            let Some(oldest) = self.order.pop_front() else { break };
            if let Some(file) = self.kept.remove(&oldest) {
                self.bytes -= file.bytes.len();
            }
        }
        attachment
    }

    pub(super) fn get(&self, id: &str) -> Option<&File> {
        self.kept.get(id)
    }

    #[cfg(feature = "page")]
    pub(super) fn attachment(&self, id: &str) -> Option<Attachment> {
        let (id, file) = self.kept.get_key_value(id)?;
        Some(describe(id, file))
    }
}

fn describe(id: &Arc<str>, file: &File) -> Attachment {
    Attachment {
        id: Arc::clone(id),
        name: Some(file.name.clone()),
        content_type: file.content_type.clone(),
        size_bytes: Some(file.bytes.len() as u64),
    }
}
