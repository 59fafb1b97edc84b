//! Events that an earlier run left, or that the operator replays.

use std::sync::Arc;

use super::Attempts;
use super::in_flight::InFlight;
use crate::engine::effects::Effects;
use crate::engine::port::Now;
use crate::engine::timers::Timer;
use crate::journal::{PendingEvent, Reason};

impl Attempts {
    /// Takes an event up where it was.
    pub(in crate::engine) fn take_up(
        &mut self,
        pending: PendingEvent,
        lane: Arc<str>,
        now: Now,
        effects: &mut Effects,
    ) {
        let PendingEvent { sequence, event, attempts, crashes, has_begun, due_ms, is_parked, facts } =
            pending;
        // A parked one is a dead letter until somebody replays it.
        self.counters.resumed += u64::from(!is_parked);
        let in_flight = InFlight::new(event, Arc::clone(&lane), facts, now.elapsed);
        let in_flight = self.insert(sequence, in_flight);
        (in_flight.attempts, in_flight.crashes, in_flight.is_parked) = (attempts, crashes, is_parked);
        (in_flight.is_no_answer, in_flight.has_begun) = (has_begun, has_begun);
        if is_parked {
            self.parked.insert(sequence);
            // It was the head of its lane; nothing before it is left.
            self.lanes.hold(&lane);
            return;
        }
        let wait = now.until(due_ms);
        if !wait.is_zero() && self.lanes.hold(&lane) {
            effects.set_timer(now.elapsed + wait, Timer::Retry(sequence));
        } else {
            // Behind another one, its place is worth more than its pause.
            self.lanes.push(lane, sequence);
        }
    }

    /// Takes up an event that was dead, and that the operator replays: at the end of its lane.
    pub(in crate::engine) fn replay(&mut self, pending: PendingEvent, lane: Arc<str>, now: Now) {
        let PendingEvent { sequence, event, attempts, crashes, has_begun, facts, .. } = pending;
        self.counters.resumed += 1;
        let in_flight = self.insert(sequence, InFlight::new(event, Arc::clone(&lane), facts, now.elapsed));
        (in_flight.attempts, in_flight.crashes) = (attempts, crashes);
        (in_flight.is_no_answer, in_flight.has_begun, in_flight.is_replayed) = (has_begun, has_begun, true);
        self.queue(lane, sequence);
    }

    /// From now on new events wait for [`Self::admit_newcomers`]: what goes before them may not be loaded.
    pub(in crate::engine) fn hold_newcomers(&mut self) {
        self.newcomers.get_or_insert_default();
    }

    /// All that goes before new events is here.
    pub(in crate::engine) fn admit_newcomers(&mut self) {
        for sequence in self.newcomers.take().into_iter().flatten() {
            if let Some(in_flight) = self.in_flight.get(&sequence) {
                self.lanes.push(Arc::clone(&in_flight.lane), sequence);
            }
        }
    }

    /// Gives an event up that an earlier run left: during it the process ended too often, or the bot is not on its network.
    pub(in crate::engine) fn abandon(
        &mut self,
        pending: PendingEvent,
        (reason, error): (Reason, String),
        command: &str,
        now: Now,
        effects: &mut Effects,
    ) {
        let PendingEvent { sequence, event, attempts, facts, .. } = pending;
        let lane = event.lane();
        self.counters.resumed += 1;
        self.insert(sequence, InFlight { attempts, ..InFlight::new(event, lane, facts, now.elapsed) });
        self.dead_letter(sequence, reason, error, command, now, effects);
        self.in_flight.remove(&sequence);
    }
}
