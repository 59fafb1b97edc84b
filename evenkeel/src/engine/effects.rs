//! What the parts of the engine answer with.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use super::batch::{Batch, Continuation};
use super::port::Output;
use super::timers::{Timer, Timers};
use crate::error::Result;
use crate::event::Cursor;
use crate::journal::{Answer, Entry, Written};

/// What follows from a step: entries for the journal, things to do, and timers. A part can add to it and see nothing of it.
///
/// One buffer stands for a list that each call would return, so that a message costs no allocation for that.
#[derive(Debug, Default)]
pub(super) struct Effects {
    batch: Batch,
    outputs: Vec<Output>,
    timers: Timers,
}

impl Effects {
    /// Writes an entry down; nothing follows.
    pub(super) fn append(&mut self, entry: Entry) {
        self.append_then(entry, Continuation::Nothing);
    }

    /// Writes an entry down, and goes on with this once the journal has it.
    pub(super) fn append_then(&mut self, entry: Entry, continuation: Continuation) {
        self.batch.append(entry, continuation);
    }

    /// Writes down how far a source has been read, once all is written that was appended before.
    pub(super) fn advance_to(&mut self, cursor: Cursor) {
        self.batch.advance_to(cursor);
    }

    pub(super) fn output(&mut self, output: Output) {
        self.outputs.push(output);
    }

    pub(super) fn set_timer(&mut self, at: Duration, timer: Timer) {
        self.timers.set(at, timer);
    }
}

/// What the parts have added and nobody has taken yet. The engine has it, and takes it out.
#[derive(Debug, Default)]
pub(super) struct Collected(Effects);

impl Collected {
    /// The entries to write, if there are any and none are being written. Those that nobody waits for are let wait a while.
    pub(super) fn take_batch(&mut self, now: Duration) -> Option<Vec<Entry>> {
        self.0.batch.take(now)
    }

    /// The same, no matter who waits for them.
    pub(super) fn take_last_batch(&mut self) -> Option<Vec<Entry>> {
        self.0.batch.take_at_once()
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
        self.0.batch.written(written)
    }

    pub(super) fn batch(&self) -> &Batch {
        &self.0.batch
    }

    /// What is to be done: takes the place of what is in `outputs`, whose memory is used again.
    pub(super) fn take_outputs(&mut self, outputs: &mut Vec<Output>) {
        outputs.clear();
        std::mem::swap(&mut self.0.outputs, outputs);
    }

    /// The next timer whose time has come.
    pub(super) fn due_timer(&mut self, now: Duration) -> Option<Timer> {
        self.0.timers.due(now)
    }

    /// When the next timer is due.
    pub(super) fn next_timer(&self) -> Option<Duration> {
        self.0.timers.next()
    }
}

/// The engine adds as the parts do.
impl Deref for Collected {
    type Target = Effects;

    fn deref(&self) -> &Effects {
        &self.0
    }
}

impl DerefMut for Collected {
    fn deref_mut(&mut self) -> &mut Effects {
        &mut self.0
    }
}
