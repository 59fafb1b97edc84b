//! What becomes of an event whose handler failed.

use std::time::Duration;

use evenkeel_guard::Label;
use tracing::field::display;

use super::alarms::Alarm;
use super::{After, Machine, Output, Place};
use crate::engine::Failure;
use crate::journal::{Dead, DeadId, Entry, Fact, Reason};
use crate::reply::Outbound;
use crate::retry::Order;
use crate::serve::outbox::Letter;

/// Events that may wait behind a parked one; beyond that its conversation goes on.
const BEHIND_PARKED: usize = 1_000;

impl Machine {
    /// An attempt failed: another one follows, or the event is given up.
    pub(super) fn failed(
        &mut self,
        sequence: u64,
        failure: Failure,
        apology: Vec<Outbound>,
        command: Option<&Label>,
    ) {
        let share = self.alarms.share();
        let Some(held) = self.held.get_mut(&sequence) else { return };
        let retry = failure.retry;
        let since = *held.failing_since.get_or_insert(self.now.elapsed);
        let so_far = self.now.elapsed.saturating_sub(since);
        let failed = held.attempts;
        let pause = retry.pause(failed + 1, so_far, failure.retry_after, share);
        if let Some(pause) = pause.filter(|_| failure.is_worth_another) {
            log_retry(sequence, command, &failure, (failed, pause));
            return self.try_again(sequence, pause, retry.order);
        }
        log_failure(sequence, command, &failure, failed);
        let name = command.map_or("", |label| label.name());
        for outbound in self.apologies(sequence, apology) {
            if let Some(held) = self.held.get_mut(&sequence) {
                // Should the operator replay a parked event, the next apology has another key.
                held.facts.push(Fact::Buried { index: outbound.key.index });
            }
            self.promise(Letter::new(outbound, name.into()));
        }
        if retry.order == Order::Park && failure.reason != Reason::Panicked {
            let lane = self.held.get(&sequence).map(|held| held.lane.clone());
            let has_lane = self.held.get(&sequence).is_some_and(|held| held.place == Place::Running);
            if let Some(lane) = lane.filter(|lane| has_lane && self.lanes.behind(lane) < BEHIND_PARKED) {
                self.parked.insert(sequence);
                self.lanes.rest(&lane, self.now.elapsed);
                return self.bury(sequence, Reason::Parked, failure.error, name);
            }
        }
        self.bury(sequence, failure.reason, failure.error, name);
        self.let_go(sequence);
    }

    /// What is said after a failure, if anything may be.
    fn apologies(&mut self, sequence: u64, apology: Vec<Outbound>) -> Vec<Outbound> {
        let Some(held) = self.held.get(&sequence).filter(|_| !apology.is_empty()) else { return apology };
        if held.is_replayed {
            // The operator tries it again, perhaps much later: whoever wrote it was told when it failed.
            return Vec::new();
        }
        let (conversation, text) = (held.event.conversation().id(), held.event.text().unwrap_or_default());
        match self.brake.may_apologize(conversation, text, self.now.elapsed) {
            true => apology,
            false => Vec::new(),
        }
    }

    fn try_again(&mut self, sequence: u64, pause: Duration, order: Order) {
        self.tally.retried += 1;
        let due_ms = self.now.due_ms(pause);
        self.enter(Entry::Retry { sequence, due_ms }, After::Nothing);
        let at = self.now.elapsed.saturating_add(pause);
        let Some(held) = self.held.get_mut(&sequence) else { return };
        let has_lane = held.place == Place::Running;
        held.place = Place::Queued;
        if order == Order::Relaxed || !has_lane {
            if has_lane {
                self.lanes.finish(&held.lane, self.now.elapsed);
            }
            self.resting += 1;
            self.alarms.set(at, Alarm::Rejoin(sequence));
        } else {
            self.lanes.rest(&held.lane, self.now.elapsed);
            self.alarms.set(at, Alarm::Retry(sequence));
        }
    }

    /// The event becomes a dead letter, and its author is told.
    pub(super) fn bury(&mut self, sequence: u64, reason: Reason, error: String, command: &str) {
        let now_ms = self.now.wall_ms;
        self.tally.failed += 1;
        self.tally.dead += 1;
        if let Some(held) = self.held.get_mut(&sequence) {
            held.is_parked = reason == Reason::Parked;
            let dead = Dead {
                id: DeadId::Event(sequence),
                reason,
                error: error.clone(),
                command: command.to_owned(),
                conversation: held.event.conversation().id().to_owned(),
                attempts: held.attempts,
                at_ms: now_ms,
                content: held.event.clone().into(),
            };
            self.outputs.push(Output::Died(Box::new(dead)));
        }
        let command = command.to_owned();
        self.enter(Entry::Bury { sequence, reason, error, command, now_ms }, After::Nothing);
    }

    /// The operator has decided about a parked event: it is tried again in its place, or gone.
    pub(super) fn unpark(&mut self, sequence: u64, is_replayed: bool) {
        if !self.parked.remove(&sequence) {
            return;
        }
        if !is_replayed {
            return self.let_go(sequence);
        }
        self.tally.resumed += 1;
        if let Some(held) = self.held.get_mut(&sequence) {
            (held.is_parked, held.failing_since, held.place) = (false, None, Place::Queued);
            (held.attempts, held.crashes, held.is_replayed) = (0, 0, true);
        }
        self.wake(sequence);
        self.begin(sequence);
    }
}

/// An attempt that is followed by another is no error yet: whoever is woken by errors sleeps on.
fn log_retry(sequence: u64, command: Option<&Label>, failure: &Failure, (failed, pause): (u32, Duration)) {
    let (command, Failure { error, line, hint, retry, .. }) = (named(command), failure);
    let line = line.map(display);
    let (next, last, wait) = (failed + 1, retry.attempts, pause.as_secs_f64());
    tracing::warn!(
        command,
        sequence,
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
        sequence,
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
