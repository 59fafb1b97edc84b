//! Replies are promised, sent, and given up.

use crate::engine::Engine;
use crate::engine::delivery::{Delivery, Settled};
use crate::engine::request::Confirmation;
use crate::reply::Outbound;
use crate::transport::{SendError, Sent};

impl Engine {
    pub(super) fn promise(&mut self, delivery: Delivery) {
        let origin = self.attempts.origin(delivery.outbound.key.sequence);
        self.deliveries.promise(delivery, origin, self.now, &mut self.effects);
    }

    /// A handler wants something done at once.
    pub(super) fn act(&mut self, outbound: Outbound, command: Box<str>, answer: Option<Confirmation>) {
        let origin = self.attempts.origin(outbound.key.sequence);
        self.deliveries.act(outbound, command, answer, origin, self.now, &mut self.effects);
    }

    /// A send has ended.
    pub(in crate::engine) fn delivered(&mut self, delivery: Delivery, result: Result<Sent, SendError>) {
        let is_pending = self.attempts.contains(delivery.outbound.key.sequence);
        let settled = self.deliveries.delivered(delivery, result, is_pending, self.now, &mut self.effects);
        let Some(Settled { sequence, fact, conversation }) = settled else { return };
        if let Some(fact) = fact {
            self.attempts.note(sequence, fact);
        }
        self.relieve(&conversation);
    }

    /// Fewer replies wait in a conversation: events that were set aside for that go on.
    pub(super) fn relieve(&mut self, conversation: &str) {
        if self.is_draining
            || !self.attempts.has_set_aside(conversation)
            || !self.deliveries.has_room_in(conversation)
        {
            return;
        }
        for sequence in self.attempts.take_set_aside(conversation) {
            self.attempts.wake(sequence, self.now);
            self.begin(sequence);
        }
    }
}
