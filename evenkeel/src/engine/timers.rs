//! What happens when time has passed.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use crate::reply::SendKey;

/// What is to be done at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// The event, which has its lane, is tried again.
    Retry(u64),
    /// The event gets back into its lane, at the end.
    Rejoin(u64),
    /// The reply is sent again.
    Resend(Key),
    /// The network may let the account send again.
    Throttled,
    /// The crash probe has run for long enough, and the process goes on.
    Cleared(u64),
}

/// A key with an order, which is that of promises.
pub(super) type Key = (u64, u32);

pub(super) fn key(key: SendKey) -> Key {
    (key.sequence, key.index)
}

/// Timers in order of time. None is taken back: when one is over, it is looked whether there is still something to do.
#[derive(Debug, Default)]
pub(super) struct Timers {
    timers: BinaryHeap<Reverse<(Duration, u64, Timer)>>,
    /// Keeps timers of one moment in the order in which they were set.
    count: u64,
}

impl Timers {
    pub(super) fn set(&mut self, at: Duration, timer: Timer) {
        self.count += 1;
        self.timers.push(Reverse((at, self.count, timer)));
    }

    /// The next timer whose time has come.
    pub(super) fn due(&mut self, now: Duration) -> Option<Timer> {
        self.next().filter(|at| *at <= now)?;
        self.timers.pop().map(|Reverse((_, _, timer))| timer)
    }

    pub(super) fn next(&self) -> Option<Duration> {
        self.timers.peek().map(|Reverse((at, ..))| *at)
    }
}
