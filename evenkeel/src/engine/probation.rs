//! Crash probes: events during which the process ended before.
//!
//! They begin one at a time, so that the next end of the process names the one at fault: each has the time of [`alone`] to end
//! it. One that waits for something long holds the others up for no longer.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::batch::Continuation;
use super::effects::Effects;
use super::port::Now;
use super::timers::Timer;
use crate::journal::{Entry, EventEntry};

/// After so long without the end of the process, the next one begins beside one during which it ended so often: soon after
/// the first time, later before the last, after which an event is given up.
pub(super) const fn alone(crashes: u32) -> Duration {
    Duration::from_secs(if crashes < 2 { 1 } else { 30 })
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Probation {
    /// Those that have their lanes and wait until they may run, each with what follows once its beginning is written.
    waiting: VecDeque<(u64, Continuation)>,
    /// Those that may end the process at any moment, and until when: one at most, and those that nobody could hold back, because
    /// they ceased to wait for a person by themselves.
    running: HashMap<u64, Duration>,
}

impl Probation {
    /// Whether none waits until it may run.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// A crash probe has its lane: it waits until it may run.
    pub(super) fn queue(&mut self, sequence: u64, continuation: Continuation) {
        self.waiting.push_back((sequence, continuation));
    }

    /// Begins with the next one, unless another runs that is not cleared yet.
    pub(super) fn advance(&mut self, effects: &mut Effects) {
        if !self.running.is_empty() {
            return;
        }
        let Some((sequence, continuation)) = self.waiting.pop_front() else { return };
        self.running.insert(sequence, Duration::MAX);
        effects.append_then(Entry::Event(sequence, EventEntry::Begin), continuation);
    }

    /// The event, should it be a crash probe, runs from now on.
    pub(super) fn runs(&mut self, sequence: u64, crashes: u32, now: Now, effects: &mut Effects) {
        if let Some(until) = self.running.get_mut(&sequence) {
            *until = now.elapsed + alone(crashes);
            effects.set_timer(*until, Timer::Cleared(sequence));
        }
    }

    /// The event, should it be a crash probe, runs already: nobody could hold it back.
    pub(super) fn runs_unasked(&mut self, sequence: u64, crashes: u32, now: Now, effects: &mut Effects) {
        if crashes > 0 {
            self.running.insert(sequence, Duration::MAX);
            self.runs(sequence, crashes, now, effects);
        }
    }

    /// A crash probe may have run for long enough: another one begins beside it.
    pub(super) fn clear(&mut self, sequence: u64, now: Now) {
        if self.running.get(&sequence).is_some_and(|until| *until <= now.elapsed) {
            self.ends(sequence);
        }
    }

    /// The event does not run any more.
    pub(super) fn ends(&mut self, sequence: u64) {
        self.running.remove(&sequence);
    }

    /// The event is done, wherever it was.
    pub(super) fn forget(&mut self, sequence: u64) {
        self.ends(sequence);
        self.take_back(sequence);
    }

    /// Takes back what was to tell a handler that it goes on. Answers false when nothing was.
    pub(super) fn take_back(&mut self, sequence: u64) -> bool {
        let before = self.waiting.len();
        self.waiting
            .retain(|(_, then)| !matches!(then, Continuation::GoOn(waiting, _) if *waiting == sequence));
        self.waiting.len() < before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::effects::Collected;

    fn at(seconds: u64) -> Now {
        Now { elapsed: Duration::from_secs(seconds), ..Now::default() }
    }

    /// The events that begin now.
    fn begun(probation: &mut Probation) -> Vec<u64> {
        let mut effects = Collected::default();
        probation.advance(&mut effects);
        let entries = effects.take_last_batch().unwrap_or_default();
        let begun = entries.into_iter().map(|entry| match entry {
            Entry::Event(sequence, EventEntry::Begin) => sequence,
            other => panic!("{other:?}"),
        });
        begun.collect()
    }

    #[test]
    fn the_next_probe_begins_once_the_one_before_is_over_or_had_its_time() {
        let (mut probation, mut effects) = (Probation::default(), Collected::default());
        (1..=3).for_each(|sequence| probation.queue(sequence, Continuation::Start(sequence)));
        assert_eq!(begun(&mut probation), [1]);
        assert_eq!(begun(&mut probation), [0; 0], "it has not even started");
        probation.runs(1, 2, at(5), &mut effects);
        probation.clear(1, at(34));
        assert_eq!(begun(&mut probation), [0; 0], "it ended the process twice, and may do so late");
        probation.clear(1, at(35));
        assert_eq!(begun(&mut probation), [2]);
        probation.ends(2);
        assert_eq!(begun(&mut probation), [3]);
        assert_eq!(effects.next_timer(), Some(Duration::from_secs(35)));
    }

    #[test]
    fn one_that_is_done_before_it_goes_on_holds_nobody_up() {
        let (mut probation, (told, _heard)) = (Probation::default(), tokio::sync::oneshot::channel());
        probation.queue(1, Continuation::GoOn(1, told));
        probation.queue(2, Continuation::Start(2));
        probation.forget(1);
        assert_eq!(begun(&mut probation), [2]);
        probation.forget(2);
        probation.queue(3, Continuation::Start(3));
        assert_eq!(begun(&mut probation), [3]);
    }

    #[test]
    fn a_probe_that_runs_unasked_holds_the_others_up() {
        let (mut probation, mut effects) = (Probation::default(), Collected::default());
        probation.queue(2, Continuation::Start(2));
        probation.runs_unasked(9, 0, at(0), &mut effects);
        assert_eq!(begun(&mut probation), [2], "the process never ended in the middle of that");
        probation.ends(2);
        probation.queue(3, Continuation::Start(3));
        probation.runs_unasked(1, 1, at(0), &mut effects);
        assert_eq!(begun(&mut probation), [0; 0]);
        probation.clear(1, at(1));
        assert_eq!(begun(&mut probation), [3]);
    }
}
