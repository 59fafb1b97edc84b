//! Events during which the process ended before. They begin one at a time, so that the next end of the process names the
//! guilty one: each has the time of [`alone`] to end it. One that waits for something long holds the others up for no longer.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::sync::oneshot;

use super::alarms::Alarm;
use super::{After, Machine};
use crate::journal::Entry;

/// After so long without the end of the process, the next one begins beside one during which it ended so often: soon after
/// the first time, later before the last, after which an event is given up.
pub(super) const fn alone(crashes: u32) -> Duration {
    Duration::from_secs(if crashes < 2 { 1 } else { 30 })
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    /// Those that have their lanes and wait until they may run.
    waiting: VecDeque<Turn>,
    /// Those that may end the process at any moment, and until when: one at most, and those that nobody could hold back, because they ceased
    /// to wait for a person by themselves.
    running: HashMap<u64, Duration>,
}

#[derive(Debug)]
enum Turn {
    /// Its next attempt begins.
    Begin(u64),
    /// Its handler waited for a person, goes on, and is told so.
    GoOn(u64, oneshot::Sender<()>),
}

impl Suspects {
    /// Whether none waits until it may run.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The event does not run any more.
    pub(super) fn is_over(&mut self, sequence: u64) {
        self.running.remove(&sequence);
    }

    /// Takes back what was to tell a handler that it goes on. Answers false when nothing was.
    pub(super) fn forget(&mut self, sequence: u64) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|turn| !matches!(turn, Turn::GoOn(waiting, _) if *waiting == sequence));
        self.waiting.len() < before
    }
}

impl Machine {
    pub(super) fn is_suspect(&self, sequence: u64) -> bool {
        self.held.get(&sequence).is_some_and(|held| held.crashes > 0)
    }

    /// Writes the next attempt of an event down that has its lane.
    pub(super) fn attempt(&mut self, sequence: u64) {
        if self.is_suspect(sequence) {
            self.suspects.waiting.push_back(Turn::Begin(sequence));
        } else if self.held.contains_key(&sequence) {
            self.enter(Entry::Begin { sequence }, After::Begun(sequence));
        }
    }

    /// Writes down that a handler goes on that waited for a person and has its lane; then it is told.
    pub(super) fn go_on(&mut self, sequence: u64, answer: oneshot::Sender<()>) {
        if self.is_suspect(sequence) {
            self.suspects.waiting.push_back(Turn::GoOn(sequence, answer));
        } else {
            self.enter(Entry::Begin { sequence }, After::Kept(answer));
        }
    }

    pub(super) fn next_suspect(&mut self) {
        if !self.suspects.running.is_empty() || self.is_draining {
            return;
        }
        let (sequence, after) = match self.suspects.waiting.pop_front() {
            None => return,
            Some(Turn::Begin(sequence)) => (sequence, After::Begun(sequence)),
            Some(Turn::GoOn(sequence, answer)) => (sequence, After::Kept(answer)),
        };
        self.suspects.running.insert(sequence, Duration::MAX);
        self.enter(Entry::Begin { sequence }, after);
    }

    /// The event, should it be a suspect, runs from now on.
    pub(super) fn runs(&mut self, sequence: u64) {
        let crashes = self.held.get(&sequence).map_or(0, |held| held.crashes);
        if let Some(until) = self.suspects.running.get_mut(&sequence) {
            *until = self.now.elapsed + alone(crashes);
            self.alarms.set(*until, Alarm::Innocent(sequence));
        }
    }

    /// The event, should it be a suspect, runs already: nobody could hold it back.
    pub(super) fn slips(&mut self, sequence: u64) {
        if self.is_suspect(sequence) {
            self.suspects.running.insert(sequence, Duration::MAX);
            self.runs(sequence);
        }
    }

    /// A suspect may have run for long enough: another one begins beside it.
    pub(super) fn acquit(&mut self, sequence: u64) {
        if self.suspects.running.get(&sequence).is_some_and(|until| *until <= self.now.elapsed) {
            self.suspects.is_over(sequence);
        }
    }
}
