//! How much memory events take.

use std::vec::Drain;

use crate::event::Event;

/// Bytes of jobs that were fired and are not done; while there are more, jobs that are due wait in the journal.
const JOBS_BYTES: usize = 16 << 20;

/// Events, as they enter memory and are done.
#[derive(Debug)]
pub(super) struct MemoryBudget {
    /// Beyond this many bytes, no more is loaded of what an earlier run left.
    recovered_bytes: usize,
    /// Bytes of all events in memory.
    bytes: usize,
    /// Events that did not come through the inbox, which counts its own.
    taken: Vec<Event>,
    released: Vec<Event>,
    /// Bytes of jobs that were fired and are not done.
    jobs_bytes: usize,
}

impl MemoryBudget {
    pub(super) fn new(recovered_bytes: usize) -> Self {
        Self { recovered_bytes, bytes: 0, taken: Vec::new(), released: Vec::new(), jobs_bytes: 0 }
    }

    /// An event entered memory beside the inbox.
    pub(super) fn take(&mut self, event: &Event) {
        self.taken.push(event.clone());
        self.count(event);
    }

    /// An event is in memory whose bytes are counted by others.
    pub(super) fn count(&mut self, event: &Event) {
        let bytes = event.size_bytes();
        self.bytes += bytes;
        if event.job().is_some() {
            self.jobs_bytes += bytes;
        }
    }

    /// An event is gone from memory.
    pub(super) fn release(&mut self, event: Event) {
        let bytes = event.size_bytes();
        self.bytes -= bytes;
        if event.job().is_some() {
            self.jobs_bytes -= bytes;
        }
        self.released.push(event);
    }

    /// Whether further jobs may be fired.
    pub(super) fn allows_jobs(&self) -> bool {
        self.jobs_bytes < JOBS_BYTES
    }

    /// How many bytes may be loaded of what an earlier run left.
    pub(super) fn left_bytes(&self) -> usize {
        self.recovered_bytes.saturating_sub(self.bytes)
    }

    /// What was taken and released since the last time.
    pub(super) fn changes(&mut self) -> (Drain<'_, Event>, Drain<'_, Event>) {
        (self.taken.drain(..), self.released.drain(..))
    }
}
