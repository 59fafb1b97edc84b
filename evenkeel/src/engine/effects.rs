//! What the parts of the engine answer with.

use std::time::Duration;

use super::batch::{Batch, Continuation};
use super::port::Output;
use super::timers::{Timer, Timers};
use crate::error::Result;
use crate::journal::{Answer, Entry, Written};

/// What follows from a step: entries for the journal, things to do, and timers. A part that is handed it can add to it and
/// see nothing of it; what was added is taken out by the engine.
///
/// One buffer stands for a list that each call would return, so that a message costs no allocation for that.
#[derive(Debug, Default)]
pub(super) struct Effects {
    batch: Batch,
    outputs: Vec<Output>,
    timers: Timers,
}

// For the parts.
impl Effects {
    /// Writes an entry down; nothing follows.
    pub(super) fn append(&mut self, entry: Entry) {
        self.append_then(entry, Continuation::Nothing);
    }

    /// Writes an entry down, and goes on with this once the journal has it.
    pub(super) fn append_then(&mut self, entry: Entry, continuation: Continuation) {
        self.batch.append(entry, continuation);
    }

    pub(super) fn output(&mut self, output: Output) {
        self.outputs.push(output);
    }

    pub(super) fn set_timer(&mut self, at: Duration, timer: Timer) {
        self.timers.set(at, timer);
    }
}

// For the engine.
impl Effects {
    /// The entries to write, if there are any and none are being written.
    pub(super) fn take_batch(&mut self) -> Option<Vec<Entry>> {
        self.batch.take()
    }

    /// What follows from a batch that was written.
    ///
    /// # Errors
    ///
    /// When it was answered otherwise than it was asked.
    pub(super) fn written(
        &mut self,
        written: Written,
    ) -> Result<impl Iterator<Item = (Continuation, Entry, Answer)> + use<>> {
        self.batch.written(written)
    }

    pub(super) fn batch(&self) -> &Batch {
        &self.batch
    }

    /// What is to be done: takes the place of what is in `outputs`, whose memory is used again.
    pub(super) fn take_outputs(&mut self, outputs: &mut Vec<Output>) {
        outputs.clear();
        std::mem::swap(&mut self.outputs, outputs);
    }

    /// The next timer whose time has come.
    pub(super) fn due_timer(&mut self, now: Duration) -> Option<Timer> {
        self.timers.due(now)
    }

    /// When the next timer is due.
    pub(super) fn next_timer(&self) -> Option<Duration> {
        self.timers.next()
    }
}
