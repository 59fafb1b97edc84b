//! A handler ends the others of its conversation.

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::engine::Engine;
use crate::engine::batch::Continuation;
use crate::engine::port::Ended;
use crate::journal::{CompletedEffect, Entry, EventEntry};

impl Engine {
    /// Ends whatever runs or waits for a person in the conversation of this event, beside its own handler. Their events are done, and
    /// the handler that asked hears of it once that is written, with how many there were: a step, so that its next attempt
    /// hears the same.
    pub(super) fn cancel_others(&mut self, by: u64, name: String, answer: oneshot::Sender<usize>) {
        if !self.attempts.contains(by) {
            return;
        }
        let others = self.attempts.others_in_conversation(by);
        let count = others.len();
        for other in others {
            self.stop_waiting(other);
            self.probation.forget(other);
            let event = self.attempts.cancel(other, &mut self.effects);
            self.release(event, Ended::Silent);
        }
        let value = Bytes::from(count.to_string());
        self.attempts.note(by, CompletedEffect::Step { name: name.clone(), value: value.clone() });
        let step = Entry::Event(by, EventEntry::Step { name, value });
        self.effects.append_then(step, Continuation::CancelledOthers(answer, count));
    }
}
