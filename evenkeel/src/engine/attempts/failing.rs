//! What becomes of an event whose handler failed.

use std::time::Duration;

use evenkeel_guard::Label;
use tracing::field::display;

use super::Attempts;
use super::in_flight::Stage;
use crate::engine::attempt::Failure;
use crate::engine::effects::Effects;
use crate::engine::port::{Now, Output};
use crate::engine::timers::Timer;
use crate::event::Event;
use crate::journal::store::EventId;
use crate::journal::{Dead, DeadId, Entry, EventEntry, Reason};
use crate::reserved;
use crate::retry::Order;

/// Events that may wait behind a parked one; beyond that its conversation goes on.
const BEHIND_PARKED: usize = 1_000;

impl Attempts {
    /// An attempt failed: another one follows, if that may help. Answers false when the event is to be given up.
    pub(in crate::engine) fn retry(
        &mut self,
        sequence: u64,
        failure: &Failure,
        command: Option<&Label>,
        now: Now,
        effects: &mut Effects,
    ) -> bool {
        let share = self.jitter.share();
        let Some(in_flight) = self.in_flight.get_mut(&sequence) else { return false };
        let since = *in_flight.failing_since.get_or_insert(now.elapsed);
        let so_far = now.elapsed.saturating_sub(since);
        let failed = in_flight.attempts;
        let pause = failure.retry.pause(failed + 1, so_far, failure.retry_after, share);
        let Some(pause) = pause.filter(|_| failure.is_worth_another) else {
            log_failure(sequence, command, failure, failed);
            return false;
        };
        log_retry(sequence, command, failure, (failed, pause));
        self.rest(sequence, pause, failure.retry.order, now, effects);
        true
    }

    /// An event waits for its next attempt: in its lane, or outside where its order does not matter.
    fn rest(&mut self, sequence: u64, pause: Duration, order: Order, now: Now, effects: &mut Effects) {
        self.counters.retried += 1;
        effects.append(Entry::Event(sequence, EventEntry::Retry { due_ms: now.due_ms(pause) }));
        let at = now.elapsed.saturating_add(pause);
        let Some(in_flight) = self.in_flight.get_mut(&sequence) else { return };
        let had_lane = in_flight.stage == Stage::Running;
        in_flight.stage = Stage::Queued;
        if order == Order::Relaxed || !had_lane {
            if had_lane {
                self.lanes.finish(&in_flight.lane, now.elapsed);
            }
            self.resting += 1;
            effects.set_timer(at, Timer::Rejoin(sequence));
        } else {
            self.lanes.rest(&in_flight.lane, now.elapsed);
            effects.set_timer(at, Timer::Retry(sequence));
        }
    }

    /// An event that rested outside its lane gets back into it, at the end.
    pub(in crate::engine) fn rejoin_lane(&mut self, sequence: u64) {
        self.resting -= 1;
        if let Some(in_flight) = self.in_flight.get(&sequence) {
            self.lanes.push(in_flight.lane.clone(), sequence);
        }
    }

    /// The event that is to be apologized for. Nobody is told of the failure of one that the operator tries again, perhaps much
    /// later: its author was told when it failed.
    pub(in crate::engine) fn apologizes_for(&self, sequence: u64) -> Option<&Event> {
        self.in_flight
            .get(&sequence)
            .filter(|in_flight| !in_flight.is_replayed)
            .map(|in_flight| &in_flight.event)
    }

    /// An event becomes a dead letter. Answers the event if it is gone from here; if not, it is parked.
    pub(in crate::engine) fn give_up(
        &mut self,
        sequence: u64,
        failure: Failure,
        command: &str,
        now: Now,
        effects: &mut Effects,
    ) -> Option<Event> {
        let Failure { error, reason, retry, .. } = failure;
        if retry.order == Order::Park && reason != Reason::Panicked && self.park(sequence, now) {
            self.dead_letter(sequence, Reason::Parked, error, command, now, effects);
            return None;
        }
        self.dead_letter(sequence, reason, error, command, now, effects);
        self.let_go(sequence, now)
    }

    /// An event keeps its lane until the operator decides. Answers false where that would hold up too much, or where it has none.
    fn park(&mut self, sequence: u64, now: Now) -> bool {
        let Some(in_flight) = self.in_flight.get(&sequence) else { return false };
        let keeps_others = self.lanes.behind(&in_flight.lane) >= BEHIND_PARKED;
        // Nothing that comes after a concurrent one is to wait for it.
        let has_place = in_flight.stage == Stage::Running && !reserved::is_concurrent_lane(&in_flight.lane);
        if !has_place || keeps_others {
            return false;
        }
        self.parked.insert(sequence);
        self.lanes.rest(&in_flight.lane, now.elapsed);
        true
    }

    /// An event becomes a dead letter, and its author is told.
    pub(super) fn dead_letter(
        &mut self,
        sequence: u64,
        reason: Reason,
        error: String,
        command: &str,
        now: Now,
        effects: &mut Effects,
    ) {
        let (command, now_ms) = (command.to_owned(), now.wall_ms);
        self.counters.failed += 1;
        self.counters.dead += 1;
        if let Some(in_flight) = self.in_flight.get_mut(&sequence) {
            in_flight.is_parked = reason == Reason::Parked;
            let dead = Dead {
                id: DeadId::Event(sequence),
                reason,
                error: error.clone(),
                command: command.clone(),
                conversation: in_flight.event.conversation().key().to_owned(),
                attempts: in_flight.attempts,
                at_ms: now_ms,
                content: in_flight.event.clone().into(),
            };
            effects.output(Output::Died(Box::new(dead)));
        }
        effects.append(Entry::Event(sequence, EventEntry::DeadLetter { reason, error, command, now_ms }));
    }

    /// The operator wants a parked event tried again, in its place. Answers false when it is not parked.
    pub(in crate::engine) fn replay_parked(&mut self, sequence: u64, now: Now) -> bool {
        if !self.parked.remove(&sequence) {
            return false;
        }
        self.counters.resumed += 1;
        if let Some(in_flight) = self.in_flight.get_mut(&sequence) {
            (in_flight.is_parked, in_flight.failing_since, in_flight.stage) = (false, None, Stage::Queued);
            (in_flight.attempts, in_flight.crashes, in_flight.is_replayed) = (0, 0, true);
        }
        self.wake(sequence, now);
        true
    }

    /// The operator wants a parked event forgotten. Answers the event, which is gone from here.
    pub(in crate::engine) fn discard_parked(&mut self, sequence: u64, now: Now) -> Option<Event> {
        if self.parked.remove(&sequence) { self.let_go(sequence, now) } else { None }
    }
}

/// An attempt that is followed by another is no error yet: somebody who is woken by errors sleeps on.
fn log_retry(sequence: u64, command: Option<&Label>, failure: &Failure, (failed, pause): (u32, Duration)) {
    let (command, Failure { error, line, hint, retry, .. }) = (named(command), failure);
    let line = line.map(display);
    let (next, last, wait) = (failed + 1, retry.attempts, pause.as_secs_f64());
    tracing::warn!(
        command,
        sequence = %EventId::from_bits(sequence),
        attempt = failed,
        error,
        line,
        hint,
        "a handler failed: tried again in {wait:.1} s, attempt {next} of {last}"
    );
}

fn log_failure(sequence: u64, command: Option<&Label>, failure: &Failure, attempt: u32) {
    let (command, Failure { error, line, hint, .. }) = (named(command), failure);
    let line = line.map(display);
    tracing::error!(
        command,
        sequence = %EventId::from_bits(sequence),
        attempt,
        error,
        line,
        hint,
        "a handler failed, and is not tried again"
    );
}

fn named(command: Option<&Label>) -> &str {
    command.map_or("?", |label| label.name())
}
