//! What a bot did.

use std::fmt;

use crate::event::MessageId;

/// What the bot did. Compares with a list of texts: `assert_eq!(chat.say("!ping").await, ["pong"])`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Replies {
    pub(super) texts: Vec<String>,
    pub(super) edits: Vec<String>,
    pub(super) reactions: Vec<String>,
    pub(super) files: Vec<String>,
    pub(super) deletions: Vec<MessageId>,
}

impl Replies {
    /// The messages, one per line.
    pub fn text(&self) -> String {
        self.texts.join("\n")
    }

    /// The new texts of messages that the bot changed.
    pub fn edits(&self) -> &[String] {
        &self.edits
    }

    /// The emoji with which the bot reacted.
    pub fn reactions(&self) -> &[String] {
        &self.reactions
    }

    /// The names of the files that the bot sent.
    pub fn files(&self) -> &[String] {
        &self.files
    }

    /// The messages that the bot deleted.
    pub fn deletions(&self) -> &[MessageId] {
        &self.deletions
    }

    /// Whether the bot did nothing at all.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl<const N: usize> PartialEq<[&str; N]> for Replies {
    fn eq(&self, texts: &[&str; N]) -> bool {
        self.texts == *texts
    }
}

impl PartialEq<Vec<String>> for Replies {
    fn eq(&self, texts: &Vec<String>) -> bool {
        self.texts == *texts
    }
}

/// The texts, as a failed assertion wants to show them; the rest only where there is some.
impl fmt::Debug for Replies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.texts)?;
        for (name, things) in [("edits", &self.edits), ("reactions", &self.reactions), ("files", &self.files)]
        {
            if !things.is_empty() {
                write!(f, " {name} {things:?}")?;
            }
        }
        Ok(())
    }
}
