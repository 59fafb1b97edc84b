//! Handlers that another one has cancelled: their events are done, and they end at their next `.await`.

use super::Attempts;
use super::in_flight::Stage;
use crate::engine::effects::Effects;
use crate::engine::port::{Now, Output};
use crate::event::Event;
use crate::journal::{Entry, EventEntry};

impl Attempts {
    /// The events of the same conversation whose handlers run or wait for somebody, in order.
    pub(in crate::engine) fn others_in_conversation(&self, of: u64) -> Vec<u64> {
        let Some(own) = self.in_flight.get(&of) else { return Vec::new() };
        let here = own.event.conversation().key();
        let others = self.in_flight.iter().filter(|(sequence, other)| {
            let has_handler = other.stage != Stage::Queued && !other.is_parked;
            **sequence != of && has_handler && other.event.conversation().key() == here
        });
        let mut others: Vec<_> = others.map(|(sequence, _)| *sequence).collect();
        others.sort_unstable();
        others
    }

    /// An event whose handler runs or waits is done, and its handler is to end. Answers the event, which is gone from here. Its
    /// lane, if it has it, goes on when the handler is gone: until then it may be in the middle of something.
    pub(in crate::engine) fn cancel(&mut self, sequence: u64, effects: &mut Effects) -> Option<Event> {
        let cancelled = self.in_flight.remove(&sequence)?;
        let lane = cancelled.stage.has_lane().then_some(cancelled.lane);
        self.cancelled.insert(sequence, lane);
        self.counters.handled += 1;
        self.counters.cancelled += 1;
        effects.append(Entry::Event(sequence, EventEntry::Done));
        effects.output(Output::Cancel(sequence));
        Some(cancelled.event)
    }

    /// Whether a handler was cancelled and is not gone.
    pub(in crate::engine) fn is_cancelled(&self, sequence: u64) -> bool {
        self.cancelled.contains_key(&sequence)
    }

    /// A handler has ended. Answers whether it was cancelled before; its lane then goes on.
    pub(in crate::engine) fn end_cancelled(&mut self, sequence: u64, now: Now) -> bool {
        let Some(lane) = self.cancelled.remove(&sequence) else { return false };
        if let Some(lane) = lane {
            self.lanes.finish(&lane, now.elapsed);
        }
        true
    }
}
