//! Following what happens in the sandbox.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use tokio::sync::watch;

use super::log::Entry;
use super::network::Network;
use crate::event::{Conversation, Sender};

/// How many changes a reader may be behind before it has to start again.
const LIMIT_BEHIND: usize = 1024;

/// Something that happened. An [`Entry`] shows the message as it was right afterwards.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "change", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Change {
    /// Somebody wrote; [`Entry::author`] says who.
    Posted {
        /// The new message.
        entry: Arc<Entry>,
    },
    /// The author changed a message.
    Edited {
        /// The changed message.
        entry: Arc<Entry>,
    },
    /// Somebody reacted, or took a reaction back.
    Reacted {
        /// The message reacted to.
        entry: Arc<Entry>,
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
        entry: Arc<Entry>,
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

    /// The change after the first `seen` ones.
    fn after(&self, seen: u64) -> Option<Result<Change, Lagged>> {
        let oldest = self.count - self.kept.len() as u64;
        if seen < oldest {
            return Some(Err(Lagged(oldest - seen)));
        }
        let index = usize::try_from(seen - oldest).ok()?;
        self.kept.get(index).cloned().map(Ok)
    }
}

/// Reads changes in order, from the moment it was made.
///
/// A reader that falls more than 1024 changes behind is told so once, and goes on from now; it should take a new
/// [`Sandbox::watch`](super::Sandbox::watch) instead.
#[derive(Debug)]
pub struct Changes {
    network: Arc<Network>,
    seen: u64,
    /// Wakes this reader; the network holds the sender and lives at least as long.
    news: watch::Receiver<u64>,
}

/// The reader was too slow: this many changes are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lagged(pub u64);

impl fmt::Display for Lagged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} changes of the sandbox were missed by a reader that was too slow", self.0)
    }
}

impl std::error::Error for Lagged {}

impl Changes {
    pub(super) fn new(network: Arc<Network>, seen: u64, news: watch::Receiver<u64>) -> Self {
        Self { network, seen, news }
    }

    /// The next change, if it has happened already.
    ///
    /// # Errors
    ///
    /// [`Lagged`] when this reader was too slow.
    pub fn try_next(&mut self) -> Option<Result<Change, Lagged>> {
        let network = Arc::clone(&self.network);
        let state = network.lock();
        let next = state.recent.after(self.seen)?;
        self.seen = match next {
            Ok(_) => self.seen + 1,
            Err(_) => state.recent.count(),
        };
        Some(next)
    }

    /// Waits for the next change.
    ///
    /// # Errors
    ///
    /// [`Lagged`] when this reader was too slow.
    ///
    /// # Cancel safety
    ///
    /// No change is lost when the future is dropped.
    pub async fn next(&mut self) -> Result<Change, Lagged> {
        loop {
            // Marked as seen before looking, so that a change between the two wakes the wait below.
            self.news.borrow_and_update();
            if let Some(next) = self.try_next() {
                return next;
            }
            self.news
                .changed()
                .await
                .expect("the network holds the sender and this reader holds the network");
        }
    }
}
