//! What happens when time has passed, and how long pauses are.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use crate::reply::SendKey;

/// What is to be done at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Alarm {
    /// The event, which has its lane, is tried again.
    Retry(u64),
    /// The event gets back into its lane, at the end.
    Rejoin(u64),
    /// The reply is sent again.
    Resend(Key),
    /// The network may let the account send again.
    Throttled,
    /// The suspect has run for a while, and the process goes on.
    Innocent(u64),
}

/// A key with an order, which is that of promises.
pub(super) type Key = (u64, u32);

/// Alarms in order of time. None is taken back: whoever is rung looks whether there is still something to do.
#[derive(Debug)]
pub(super) struct Alarms {
    alarms: BinaryHeap<Reverse<(Duration, u64, Alarm)>>,
    /// Keeps alarms of one moment in the order in which they were set.
    count: u64,
    random: u64,
}

impl Alarms {
    pub(super) fn new(seed: u64) -> Self {
        Self { alarms: BinaryHeap::new(), count: 0, random: seed }
    }

    pub(super) fn set(&mut self, at: Duration, alarm: Alarm) {
        self.count += 1;
        self.alarms.push(Reverse((at, self.count, alarm)));
    }

    /// The next alarm whose time has come.
    pub(super) fn due(&mut self, now: Duration) -> Option<Alarm> {
        let Reverse((at, ..)) = self.alarms.peek()?;
        if *at > now {
            return None;
        }
        self.alarms.pop().map(|Reverse((_, _, alarm))| alarm)
    }

    pub(super) fn next(&self) -> Option<Duration> {
        self.alarms.peek().map(|Reverse((at, ..))| *at)
    }

    /// A share between 0 and 1 (SplitMix64, Steele et al. 2014).
    pub(super) fn share(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.random;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

pub(super) fn key(key: SendKey) -> Key {
    (key.sequence, key.index)
}
