//! Events come in.

use std::sync::Arc;

use crate::engine::Engine;
use crate::engine::batch::Continuation;
use crate::engine::port::Ended;
use crate::event::Event;
use crate::journal::{Acceptance, Entry};
use crate::transport::Arrival;

impl Engine {
    pub(in crate::engine) fn arrived(&mut self, arrival: Arrival) {
        let (event, told, cursor) = match arrival {
            Arrival::Event { event, accepted, cursor } => (event, accepted, cursor),
            Arrival::Passed(cursor) => return self.effects.advance_to(cursor),
            Arrival::Kept { scope, name, value } => {
                let conversation = scope.to_owned();
                return self.effects.append(Entry::Remember { conversation, name, value });
            }
        };
        self.budget.count(&event);
        let lane = self.lane_of(&event);
        let begins = self.takes_lane(&lane, &event);
        let accept = Entry::Accept { event, now_ms: self.now.wall_ms, begins };
        self.effects.append_then(accept, Continuation::Accepted { told, lane, begins });
        if let Some(cursor) = cursor {
            self.effects.advance_to(*cursor);
        }
    }

    /// The lane in which an event is handled: that of its conversation, unless it is a concurrent command.
    pub(super) fn lane_of(&self, event: &Event) -> Arc<str> {
        match self.concurrency.covers(event) {
            true => self.attempts.concurrent_lane(event.conversation().key()),
            false => event.lane(),
        }
    }

    /// Whether an event takes its lane at once, so that its beginning is written together with it.
    pub(super) fn takes_lane(&mut self, lane: &Arc<str>, event: &Event) -> bool {
        let may_begin = self.has_room()
            && self.loading.is_over()
            && self.deliveries.has_room_on(event.conversation().network())
            && self.deliveries.has_room_in(event.conversation().key())
            && self.probation.is_empty()
            && !self.waits.is_awaited(lane);
        self.attempts.arrive(lane, may_begin, self.now)
    }

    /// The journal has answered an event that came in.
    pub(super) fn accepted(&mut self, event: Event, lane: Arc<str>, begins: bool, acceptance: Acceptance) {
        let Acceptance::New(sequence) = acceptance else {
            self.attempts.refuse_duplicate(&lane, begins, self.now);
            return self.release(Some(event), Ended::Known);
        };
        self.attempts.accept(sequence, event, lane, begins, self.now);
        if begins {
            self.start(sequence);
        }
    }
}
