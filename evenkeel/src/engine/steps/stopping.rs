//! What a bot that ends leaves behind.

use crate::engine::Engine;
use crate::engine::delivery::Delivery;
use crate::engine::port::{Output, Remaining};
use crate::journal::{Entry, ReplyEntry};

impl Engine {
    /// What there is to leave behind.
    pub(crate) fn remaining(&self) -> Remaining {
        let unwritten = self.effects.batch().unwritten_events();
        Remaining {
            handlers: self.attempts.running().len(),
            events: self.attempts.open() + unwritten,
            replies: self.deliveries.len() + self.loading.replies_held(),
            unwritten,
            is_written: self.is_written(),
            is_loaded: self.loading.is_over(),
        }
    }

    /// Gives what runs, and what was about to be done, back to the journal: the next start takes it up in its place. May be
    /// called again, after what was being written is.
    pub(crate) fn cut_short(&mut self) {
        let mut outputs = Vec::new();
        self.effects.take_outputs(&mut outputs);
        for output in outputs {
            if let Output::Send(delivery) = output {
                self.take_back(&delivery);
            }
        }
        for sequence in self.attempts.running() {
            self.attempts.give_back(sequence, &mut self.effects);
        }
    }

    /// Something that was to be sent certainly was not: the bot ended before.
    pub(crate) fn take_back(&mut self, delivery: &Delivery) {
        // It is marked as being sent.
        let (key, due_ms) = (delivery.outbound.key, self.now.wall_ms);
        self.effects.append(Entry::Reply(key, ReplyEntry::Postpone { due_ms }));
    }

    /// Whether events run or wait, but for those that wait for the operator.
    pub(crate) fn has_events(&self) -> bool {
        !self.attempts.is_idle()
    }

    /// Whether handlers run.
    pub(crate) fn has_handlers(&self) -> bool {
        self.attempts.has_running()
    }

    /// Whether the journal has answered all that it was told, and was told all.
    pub(crate) fn is_written(&self) -> bool {
        self.effects.batch().is_written()
    }

    /// Whether nothing is left to do; while a bot stops, but for what is still to be written. What waits is left to the next
    /// start then: events, and replies that a network did not take.
    pub(crate) fn is_idle(&self) -> bool {
        if self.is_draining {
            return self.effects.batch().can_be_left()
                && !self.deliveries.is_sending()
                && !self.attempts.has_running();
        }
        self.is_written() && self.loading.is_over() && self.deliveries.is_empty() && self.attempts.is_idle()
    }
}
