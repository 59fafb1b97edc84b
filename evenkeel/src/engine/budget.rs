//! How much memory events take.

use std::vec::Drain;

use crate::event::Event;

/// Bytes of jobs that were fired and are not done; while there are more, jobs that are due wait in the journal.
const JOBS_BYTES: usize = 16 << 20;

/// Events, as they enter memory and are done.
#[derive(Debug, Default)]
pub(super) struct MemoryBudget {
    /// Events that did not come through the inbox, which counts its own.
    taken: Vec<Event>,
    released: Vec<Event>,
    /// Bytes of jobs that were fired and are not done.
    jobs_bytes: usize,
}

impl MemoryBudget {
    /// An event entered memory beside the inbox.
    pub(super) fn take(&mut self, event: &Event) {
        self.taken.push(event.clone());
        self.count(event);
    }

    /// An event is in memory whose bytes are counted by others.
    pub(super) fn count(&mut self, event: &Event) {
        if event.job().is_some() {
            self.jobs_bytes += event.size_bytes();
        }
    }

    /// An event is gone from memory.
    pub(super) fn release(&mut self, event: Event) {
        if event.job().is_some() {
            self.jobs_bytes -= event.size_bytes();
        }
        self.released.push(event);
    }

    /// Whether further jobs may be fired.
    pub(super) fn allows_jobs(&self) -> bool {
        self.jobs_bytes < JOBS_BYTES
    }

    /// What was taken and released since the last time.
    pub(super) fn changes(&mut self) -> (Drain<'_, Event>, Drain<'_, Event>) {
        (self.taken.drain(..), self.released.drain(..))
    }
}
