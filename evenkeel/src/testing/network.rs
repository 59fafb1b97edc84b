//! One of the networks of a chat's bot, and what the bot did there.

use crate::event::MessageId;
use crate::reply::{Draft, File};
use crate::sandbox::{Change, Changes, Sandbox};
use crate::testing::replies::Replies;
use crate::transport;

/// See the module.
#[derive(Debug)]
pub(super) struct Network {
    name: String,
    sandbox: Sandbox,
    /// Those that no call has returned yet.
    changes: Changes,
    /// The newest message of the bot, which `react` is about.
    last: Option<MessageId>,
}

impl Network {
    pub(super) fn new(name: String, sandbox: Sandbox) -> Self {
        Self { name, changes: sandbox.changes(), sandbox, last: None }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// The same, for a bot that starts.
    pub(super) fn of_bot(&self) -> transport::Network {
        transport::Network::new(self.sandbox.clone()).with_name(&self.name)
    }

    /// Writes a message.
    pub(super) fn post(&self, person: &str, room: &str, text: &str, files: Vec<File>) {
        let draft = Draft { text: text.to_owned(), files, ..Draft::default() };
        if let Err(error) = self.sandbox.post(person, room, draft) {
            panic!("{error}");
        }
    }

    /// Reacts as Alice to the newest message of the bot.
    pub(super) fn react(&self, emoji: &str) {
        let target = self.last.clone().expect("the bot has said something to react to");
        self.sandbox.react("alice", &target, emoji).expect("Alice can see the message");
    }

    /// What the bot did since the last call.
    pub(super) fn replies(&mut self) -> Replies {
        let mut replies = Replies::default();
        while let Some(change) = self.changes.try_next() {
            let change = change.expect("fewer changes than the sandbox remembers");
            if change.by().is_some_and(|by| by.id() == "bot") {
                self.note(&mut replies, change);
            }
        }
        replies
    }

    fn note(&mut self, replies: &mut Replies, change: Change) {
        match change {
            Change::Posted { entry } => {
                self.last = Some(entry.message.id.clone());
                replies.texts.push(entry.message.text.clone());
                let names = entry.message.attachments.iter().filter_map(|file| file.name.clone());
                replies.files.extend(names);
            }
            Change::Edited { entry } => replies.edits.push(entry.message.text.clone()),
            Change::Reacted { emoji, is_removed: false, .. } => replies.reactions.push(emoji),
            Change::Deleted { entry } => replies.deletions.push(entry.message.id.clone()),
            _ => {}
        }
    }
}
