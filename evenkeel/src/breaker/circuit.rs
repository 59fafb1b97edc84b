//! The state machine of a breaker.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::{Options, State};

/// What a breaker goes through, without its lock, its name and its log.
pub(super) struct Circuit {
    /// Grows with each change of state, so that late verdicts can be told from timely ones.
    phase: u64,
    state: Phase,
}

enum Phase {
    Closed(RecentOutcomes),
    Open { until: Instant },
    HalfOpen { is_probing: bool },
}

impl Circuit {
    pub(super) fn new<E>(options: &Options<E>) -> Self {
        Self { phase: 0, state: Phase::Closed(RecentOutcomes::new(options.window)) }
    }

    pub(super) fn state(&self, now: Instant) -> State {
        match &self.state {
            Phase::Closed(_) => State::Closed,
            Phase::Open { until } if now < *until => State::Open,
            Phase::Open { .. } | Phase::HalfOpen { .. } => State::HalfOpen,
        }
    }

    /// Lets a call in, in which phase, or refuses it, for how long; and says whether the state changed.
    pub(super) fn enter(&mut self, now: Instant) -> (Result<u64, Option<Duration>>, Option<State>) {
        match &mut self.state {
            Phase::Closed(_) => (Ok(self.phase), None),
            Phase::Open { until } if now < *until => (Err(Some(*until - now)), None),
            Phase::HalfOpen { is_probing: true } => (Err(None), None),
            Phase::HalfOpen { is_probing } => {
                *is_probing = true;
                (Ok(self.phase), None)
            }
            Phase::Open { .. } => {
                let change = self.change(Phase::HalfOpen { is_probing: true }, State::HalfOpen);
                (Ok(self.phase), change)
            }
        }
    }

    pub(super) fn succeeded<E>(&mut self, phase: u64, now: Instant, options: &Options<E>) -> Option<State> {
        match &mut self.state {
            _ if phase != self.phase => None,
            Phase::HalfOpen { .. } => {
                self.change(Phase::Closed(RecentOutcomes::new(options.window)), State::Closed)
            }
            Phase::Closed(outcomes) => {
                // A success can open it too: the tenth call makes nine failures a rate.
                outcomes.count(now, false);
                outcomes.is_over(options).then(|| self.open(now, options.open_time)).flatten()
            }
            Phase::Open { .. } => None,
        }
    }

    pub(super) fn failed<E>(&mut self, phase: u64, now: Instant, options: &Options<E>) -> Option<State> {
        match &mut self.state {
            _ if phase != self.phase => None,
            Phase::HalfOpen { .. } => self.open(now, options.open_time),
            Phase::Closed(outcomes) => {
                outcomes.count(now, true);
                outcomes.is_over(options).then(|| self.open(now, options.open_time)).flatten()
            }
            Phase::Open { .. } => None,
        }
    }

    pub(super) fn gave_up(&mut self, phase: u64) {
        if let Phase::HalfOpen { is_probing } = &mut self.state
            && phase == self.phase
        {
            *is_probing = false;
        }
    }

    fn open(&mut self, now: Instant, open_time: Duration) -> Option<State> {
        self.change(Phase::Open { until: now + open_time }, State::Open)
    }

    fn change(&mut self, phase: Phase, state: State) -> Option<State> {
        self.phase += 1;
        self.state = phase;
        Some(state)
    }
}

/// The outcomes of late.
struct RecentOutcomes {
    /// Failures since the last success.
    row: u32,
    /// At most [`RecentOutcomes::SLOTS`] and the present one, oldest first.
    slots: VecDeque<Slot>,
    slot_time: Duration,
}

/// The outcomes of a tenth of the window.
struct Slot {
    since: Instant,
    calls: u32,
    failures: u32,
}

impl RecentOutcomes {
    const SLOTS: u32 = 10;

    fn new(window: Duration) -> Self {
        Self { row: 0, slots: VecDeque::new(), slot_time: window / Self::SLOTS }
    }

    fn count(&mut self, now: Instant, has_failed: bool) {
        self.row = if has_failed { self.row.saturating_add(1) } else { 0 };
        let (slot_time, window) = (self.slot_time, self.slot_time * Self::SLOTS);
        self.slots.retain(|slot| now - slot.since < window);
        if self.slots.back().is_none_or(|slot| now - slot.since >= slot_time) {
            self.slots.push_back(Slot { since: now, calls: 0, failures: 0 });
        }
        if let Some(slot) = self.slots.back_mut() {
            slot.calls = slot.calls.saturating_add(1);
            slot.failures = slot.failures.saturating_add(u32::from(has_failed));
        }
    }

    fn is_over<E>(&self, options: &Options<E>) -> bool {
        let is_long_row = options.failures > 0 && self.row >= options.failures;
        let calls: u64 = self.slots.iter().map(|slot| u64::from(slot.calls)).sum();
        let failures: u64 = self.slots.iter().map(|slot| u64::from(slot.failures)).sum();
        // Both counts stay far below 2^52, up to which f64 is exact.
        let is_high_rate =
            calls >= u64::from(options.at_least) && failures as f64 >= options.rate * calls as f64;
        is_long_row || (is_high_rate && failures > 0)
    }
}
