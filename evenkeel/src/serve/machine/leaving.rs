//! What a bot that ends leaves behind.

use super::{After, Machine, Output, Place};
use crate::journal::Entry;

/// What there is to leave behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::serve) struct Left {
    /// Handlers that run. One that waits for a person does not.
    pub(in crate::serve) handlers: usize,
    /// Events that are not done, with those of these handlers, and without those that wait for a person or for the operator.
    pub(in crate::serve) events: usize,
    /// Replies that are not sent.
    pub(in crate::serve) replies: usize,
    /// Those of the events of which the journal has not said that it has them. What else it has not answered follows from
    /// what it has, and is done again.
    pub(in crate::serve) unwritten: usize,
    /// Whether the journal has answered all that it was told, and was told all.
    pub(in crate::serve) is_written: bool,
}

impl Machine {
    pub(in crate::serve) fn left(&self) -> Left {
        let following = self.following.iter().flatten().chain(&self.after);
        let unwritten = following.filter(|after| matches!(after, After::Accepted { .. })).count();
        let open = self.held.values().filter(|held| held.place != Place::Waiting && !held.is_parked);
        Left {
            handlers: self.held.values().filter(|held| held.place.is_running()).count(),
            events: open.count() + unwritten,
            replies: self.outbox.len(),
            unwritten,
            is_written: self.is_written(),
        }
    }

    /// Gives what runs, and what was about to be done, back to the journal: the next start takes it up in its place. May be
    /// called again, after what was being written is.
    pub(in crate::serve) fn cut_short(&mut self) {
        for output in std::mem::take(&mut self.outputs) {
            if let Output::Send(letter) = output {
                // It is marked as being sent, and certainly was not.
                let (key, due_ms) = (letter.outbound.key, self.now.wall_ms);
                self.enter(Entry::Postpone { key, due_ms }, After::Nothing);
            }
        }
        let running = self.held.iter().filter(|(_, held)| held.place.is_running());
        let mut running: Vec<_> = running.map(|(sequence, _)| *sequence).collect();
        running.sort_unstable();
        for sequence in running {
            self.give_back(sequence);
        }
    }
}
