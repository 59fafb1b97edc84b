//! Events whose handlers wait for somebody: they give their lanes away, and come back.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::Attempts;
use super::in_flight::Stage;
use crate::engine::effects::Effects;
use crate::engine::port::Now;
use crate::event::Event;
use crate::journal::{CompletedEffect, Entry, EventEntry};

impl Attempts {
    /// The lane in which the handler of an event, if it runs, may wait for somebody: that of its conversation, where people write,
    /// though it be a job or a concurrent command.
    pub(in crate::engine) fn lane_to_wait_in(&self, sequence: u64) -> Option<Arc<str>> {
        let in_flight = self.in_flight.get(&sequence).filter(|in_flight| in_flight.stage.is_running())?;
        Some(in_flight.event.conversation().shared_key())
    }

    /// A handler waits from now on, and others have its lane. It goes on in the lane in which it waits.
    pub(in crate::engine) fn suspend(
        &mut self,
        sequence: u64,
        lane: Arc<str>,
        now: Now,
        effects: &mut Effects,
    ) {
        let Some(in_flight) = self.in_flight.get_mut(&sequence) else { return };
        let had_lane = in_flight.stage == Stage::Running;
        in_flight.stage = Stage::Waiting;
        let left = std::mem::replace(&mut in_flight.lane, lane);
        effects.append(Entry::Event(sequence, EventEntry::Suspend));
        if had_lane {
            self.lanes.finish(&left, now.elapsed);
        }
    }

    /// An event that may be what somebody waits for, and its lane.
    pub(in crate::engine) fn offered(&self, sequence: u64) -> Option<(&Event, &Arc<str>)> {
        let in_flight = self.in_flight.get(&sequence).filter(|in_flight| !in_flight.is_no_answer)?;
        Some((&in_flight.event, &in_flight.lane))
    }

    /// All who may want an event have seen it.
    pub(in crate::engine) fn answers_nobody(&mut self, sequence: u64) {
        if let Some(in_flight) = self.in_flight.get_mut(&sequence) {
            in_flight.is_no_answer = true;
        }
    }

    /// A handler that waited takes an event, which is done: it goes on in the event's lane, and keeps it as a step. Answers the
    /// event, which is gone from here.
    pub(in crate::engine) fn take_over(
        &mut self,
        event: u64,
        by: u64,
        (name, value): (String, Bytes),
        effects: &mut Effects,
    ) -> Option<Event> {
        let in_flight = self.in_flight.get_mut(&by)?;
        in_flight.stage = Stage::Running;
        in_flight.facts.push(CompletedEffect::Step { name: name.clone(), value: value.clone() });
        self.counters.handled += 1;
        effects.append(Entry::Event(by, EventEntry::Step { name, value }));
        effects.append(Entry::Event(event, EventEntry::Done));
        self.in_flight.remove(&event).map(|taken| taken.event)
    }

    /// A handler has waited long enough: it goes on when its conversation has time for it.
    pub(in crate::engine) fn rejoin(&mut self, sequence: u64, answer: oneshot::Sender<()>) {
        let Some(in_flight) = self.in_flight.get_mut(&sequence) else { return };
        if in_flight.stage != Stage::Waiting {
            // There was no room to wait, so it never gave its lane away. It may have ceased to listen.
            let _heard = answer.send(());
            return;
        }
        in_flight.resumes = Some(answer);
        self.lanes.push(Arc::clone(&in_flight.lane), sequence);
    }

    /// Goes on with a handler that has waited long enough and now has its lane: answers how to tell it. Answers nothing when
    /// this is another event.
    pub(in crate::engine) fn resume(&mut self, sequence: u64) -> Option<oneshot::Sender<()>> {
        let in_flight = self.in_flight.get_mut(&sequence)?;
        let answer = in_flight.resumes.take()?;
        in_flight.stage = Stage::Running;
        Some(answer)
    }

    /// A handler ceased to wait by itself: it runs beside its lane, unless it has that already. Answers whether it was waiting;
    /// nothing where its event is done.
    pub(in crate::engine) fn leave(&mut self, sequence: u64) -> Option<bool> {
        let in_flight = self.in_flight.get_mut(&sequence)?;
        let was_waiting = in_flight.stage == Stage::Waiting;
        if was_waiting {
            (in_flight.stage, in_flight.resumes) = (Stage::Beside, None);
        }
        Some(was_waiting)
    }
}
