//! How much memory events take.

use std::vec::Drain;

use super::Machine;
use super::held::Held;
use crate::event::Event;

/// Bytes of jobs that were fired and are not done; while there are more, jobs that are due wait in the journal.
const JOBS_BYTES: usize = 16 << 20;

/// Events, as they enter memory and are done.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// Events that did not come through the inbox, which counts its own.
    taken: Vec<Event>,
    released: Vec<Event>,
    /// Bytes of jobs that were fired and are not done.
    jobs: usize,
}

impl Room {
    /// An event entered memory beside the inbox.
    pub(super) fn take(&mut self, event: &Event) {
        self.taken.push(event.clone());
        self.count(event);
    }

    /// An event is in memory whose bytes are counted by others.
    pub(super) fn count(&mut self, event: &Event) {
        if event.job().is_some() {
            self.jobs += event.size_bytes();
        }
    }

    /// An event is gone from memory.
    pub(super) fn release(&mut self, event: &Event) {
        if event.job().is_some() {
            self.jobs -= event.size_bytes();
        }
        self.released.push(event.clone());
    }

    /// Whether further jobs may be fired.
    pub(super) fn is_there_for_jobs(&self) -> bool {
        self.jobs < JOBS_BYTES
    }

    /// What was taken and released since the last time.
    pub(super) fn told(&mut self) -> (Drain<'_, Event>, Drain<'_, Event>) {
        (self.taken.drain(..), self.released.drain(..))
    }
}

impl Machine {
    /// Nothing is kept of an event here any more.
    pub(super) fn forget(&mut self, sequence: u64) -> Option<Held> {
        let held = self.held.remove(&sequence)?;
        self.room.release(&held.event);
        Some(held)
    }
}
