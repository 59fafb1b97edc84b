//! What happens in the sandbox.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::Serialize;

use super::log::LogEntry;
use crate::event::{Conversation, Sender};

/// How many changes a reader may be behind before it has to start again.
const LIMIT_BEHIND: usize = 1024;

/// Something that happened. A [`LogEntry`] shows the message as it was right afterwards.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Change {
    /// Somebody wrote; [`LogEntry::author`] says who.
    Posted {
        /// The new message.
        entry: Arc<LogEntry>,
    },
    /// The author changed a message.
    Edited {
        /// The changed message.
        entry: Arc<LogEntry>,
    },
    /// Somebody reacted, or took a reaction back.
    Reacted {
        /// The message reacted to.
        entry: Arc<LogEntry>,
        /// Who reacted.
        by: Sender,
        /// The emoji.
        emoji: String,
        /// Whether the reaction was taken back.
        is_removed: bool,
    },
    /// The author took a message back.
    Deleted {
        /// What is left of it.
        entry: Arc<LogEntry>,
    },
    /// Somebody began or ceased to type.
    Typing {
        /// Where.
        conversation: Conversation,
        /// Who.
        by: Sender,
        /// Whether typing began.
        is_started: bool,
    },
    /// A conversation came into being, with its people.
    Opened {
        /// The conversation.
        room: Room,
    },
    /// A bot connected or went away.
    Bot {
        /// Whether at least one is connected now.
        is_connected: bool,
    },
}

/// A conversation with its people.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Room {
    /// What replies are addressed to.
    pub conversation: Conversation,
    /// What people call it: the group's name, or the person's.
    pub name: Arc<str>,
    /// Who may write in it, the bot last.
    pub members: Vec<Sender>,
}

impl Change {
    /// Who did it; nobody for a new conversation and for the bot's connection.
    pub fn by(&self) -> Option<&Sender> {
        match self {
            Self::Posted { entry } | Self::Edited { entry } | Self::Deleted { entry } => Some(&entry.author),
            Self::Reacted { by, .. } | Self::Typing { by, .. } => Some(by),
            Self::Opened { .. } | Self::Bot { .. } => None,
        }
    }

    /// Where it happened.
    pub fn conversation(&self) -> Option<&Conversation> {
        match self {
            Self::Posted { entry }
            | Self::Edited { entry }
            | Self::Deleted { entry }
            | Self::Reacted { entry, .. } => Some(&entry.conversation),
            Self::Typing { conversation, .. } => Some(conversation),
            Self::Opened { room } => Some(&room.conversation),
            Self::Bot { .. } => None,
        }
    }
}

/// The latest changes, and how many there have been.
#[derive(Debug, Default)]
pub(super) struct Recent {
    kept: VecDeque<Change>,
    count: u64,
}

impl Recent {
    pub(super) fn push(&mut self, change: Change) {
        if self.kept.len() == LIMIT_BEHIND {
            self.kept.pop_front();
        }
        self.kept.push_back(change);
        self.count += 1;
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The change after the first `seen` ones, or how many are gone.
    pub(super) fn after(&self, seen: u64) -> Option<Result<Change, u64>> {
        let oldest = self.count - self.kept.len() as u64;
        if seen < oldest {
            return Some(Err(oldest - seen));
        }
        let index = usize::try_from(seen - oldest).ok()?;
        self.kept.get(index).cloned().map(Ok)
    }
}
