//! What a bot can be asked from outside.

use super::Bot;
use crate::handle::{Handle, LineEnd};
use crate::journal::Journal;
use crate::operator::{DeadLetters, Jobs};
use crate::status::Status;

impl<J: Journal> Bot<J> {
    /// Asks this bot how it is, once it runs.
    pub fn status(&self) -> Status {
        self.status.0.clone()
    }

    /// Lists, replays and discards what this bot gave up, once it runs.
    pub fn dead_letters(&self) -> DeadLetters {
        self.operator.0.letters.clone()
    }

    /// Lists and cancels the jobs of this bot, those of all conversations, once it runs.
    pub fn jobs(&self) -> Jobs {
        self.operator.0.jobs.clone()
    }

    /// Speaks for this bot, plans its jobs and asks how it is, from any thread: before it runs, while it does, and until it has ended.
    pub fn handle(&self) -> Handle {
        self.handle.0.clone()
    }

    /// Goes on with the handles of a bot before this one.
    pub(crate) fn with_handles(mut self, (handle, end): (Handle, LineEnd)) -> Self {
        handle.belongs_to(self.status(), self.operator.0.clone());
        self.handle = (handle, end);
        self
    }

    /// The handles of this bot, for the one after it.
    pub(crate) fn handles(&self) -> (Handle, LineEnd) {
        self.handle.clone()
    }
}
