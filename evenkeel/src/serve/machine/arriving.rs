//! Events come in, and take their lanes.

use std::sync::Arc;

use super::held::{Held, Place};
use super::{After, Machine};
use crate::event::Event;
use crate::journal::{Acceptance, Entry, Fact, TRANSPORT};
use crate::transport::Arrival;

impl Machine {
    pub(super) fn arrived(&mut self, arrival: Arrival) {
        let (event, told) = match arrival {
            Arrival::Event { event, accepted } => (event, accepted),
            Arrival::Kept { name, value } => {
                let conversation = TRANSPORT.to_owned();
                return self.enter(Entry::Remember { conversation, name, value }, After::Nothing);
            }
        };
        self.room.count(&event);
        let lane = event.lane();
        let begins = self.takes_lane(&lane, &event);
        let now_ms = self.now.wall_ms;
        self.enter(Entry::Accept { event, now_ms, begins }, After::Accepted { told, lane, begins });
    }

    pub(super) fn accepted(&mut self, event: Event, lane: Arc<str>, begins: bool, acceptance: Acceptance) {
        let Acceptance::New(sequence) = acceptance else {
            self.tally.duplicates += 1;
            return self.not_accepted(&event, &lane, begins);
        };
        self.tally.accepted += 1;
        self.hold(sequence, event, Vec::new());
        if begins {
            self.start(sequence);
        } else {
            self.has_arrived(&lane);
            self.lanes.push(lane, sequence);
        }
    }

    /// The journal has no use for an event: it gives its room and its lane back.
    pub(super) fn not_accepted(&mut self, event: &Event, lane: &Arc<str>, begins: bool) {
        self.room.release(event);
        match begins {
            true => self.lanes.finish(lane, self.now.elapsed),
            false => self.has_arrived(lane),
        }
    }

    /// An idle lane is taken at once, so that the beginning is written together with the event.
    pub(super) fn takes_lane(&mut self, lane: &Arc<str>, event: &Event) -> bool {
        let is_free = self.has_room()
            && self.has_room_in(event.conversation().id())
            && self.suspects.is_empty()
            && !self.waiters.contains_key(lane)
            && !self.arriving.contains_key(lane);
        let begins = is_free && self.lanes.start(lane, self.now.elapsed);
        if !begins {
            *self.arriving.entry(Arc::clone(lane)).or_default() += 1;
        }
        begins
    }

    /// The journal has answered an event that did not take its lane.
    fn has_arrived(&mut self, lane: &Arc<str>) {
        if let Some(count) = self.arriving.get_mut(lane) {
            *count -= 1;
            if *count == 0 {
                self.arriving.remove(lane);
            }
        }
    }

    pub(super) fn hold(&mut self, sequence: u64, event: Event, facts: Vec<Fact>) -> &mut Held {
        let held = Held {
            lane: event.lane(),
            event,
            at: self.now.elapsed,
            attempts: 0,
            crashes: 0,
            failing_since: None,
            is_replayed: false,
            place: Place::Queued,
            is_parked: false,
            facts,
            is_no_answer: false,
            resumes: None,
        };
        self.held.entry(sequence).insert_entry(held).into_mut()
    }
}
