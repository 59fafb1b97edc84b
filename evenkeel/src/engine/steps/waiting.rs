//! Handlers wait for people, and their conversations go on meanwhile.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::engine::Engine;
use crate::engine::batch::Continuation;
use crate::engine::port::Ended;
use crate::engine::request::Offer;
use crate::journal::{Entry, EventEntry};

impl Engine {
    /// A handler waits from now on.
    pub(super) fn begin_waiting(&mut self, sequence: u64, offers: mpsc::UnboundedSender<Offer>) {
        let Some(lane) = self.attempts.lane_to_wait_in(sequence) else { return };
        if self.waits.wait(sequence, Arc::clone(&lane), offers) {
            self.attempts.suspend(sequence, lane, self.now, &mut self.effects);
            self.probation.ends(sequence);
        }
    }

    /// Offers an event, which has its lane, to those who wait there. Answers false when nobody does.
    pub(super) fn offer(&mut self, sequence: u64) -> bool {
        let Some((event, lane)) = self.attempts.offered(sequence) else { return false };
        if !self.waits.is_awaited(lane) {
            return false;
        }
        let is_offered = self.waits.offer(sequence, event, lane);
        if !is_offered {
            self.attempts.answers_nobody(sequence);
        }
        is_offered
    }

    /// The handler that was asked does not want the event. It begins once nobody else may want it.
    pub(super) fn pass(&mut self, event: u64, by: u64) {
        if !self.waits.pass(event, by, self.attempts.offered(event)) {
            self.attempts.answers_nobody(event);
            self.begin(event);
        }
    }

    /// The handler that was asked takes the event: it is done, and the handler goes on in its place.
    pub(super) fn take(&mut self, event: u64, by: u64, step: (String, Bytes), answer: oneshot::Sender<()>) {
        if !self.waits.take(event, by, self.attempts.lane(by)) || !self.attempts.contains(by) {
            return;
        }
        let taken = self.attempts.take_over(event, by, step, &mut self.effects);
        self.release(taken, Ended::Silent);
        self.write_beginning(by, Continuation::GoOn(by, answer));
    }

    /// A handler has waited long enough: it goes on when its conversation has time for it.
    pub(super) fn rejoin(&mut self, sequence: u64, answer: oneshot::Sender<()>) {
        self.stop_waiting(sequence);
        self.attempts.rejoin(sequence, answer);
    }

    /// A handler ceased to wait by itself: it runs beside its lane, unless it has that already. Should the process end,
    /// it may be at fault again.
    pub(super) fn leave(&mut self, sequence: u64) {
        self.stop_waiting(sequence);
        let Some(was_waiting) = self.attempts.leave(sequence) else { return };
        if self.probation.take_back(sequence) || was_waiting {
            let crashes = self.attempts.crashes(sequence).unwrap_or_default();
            self.probation.runs_unasked(sequence, crashes, self.now, &mut self.effects);
            self.effects.append(Entry::Event(sequence, EventEntry::Begin));
        }
    }

    /// A handler waits no more; what was offered to it goes to the next one.
    pub(super) fn stop_waiting(&mut self, sequence: u64) {
        if let Some(event) = self.waits.stop(sequence, self.attempts.lane(sequence)) {
            self.pass(event, sequence);
        }
    }
}
