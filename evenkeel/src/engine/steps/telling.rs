//! What a running bot says of itself.

use std::time::Duration;

use crate::engine::Engine;
use crate::engine::port::{EventCounters, Load, ReplyCounters};

impl Engine {
    pub(crate) fn load(&self) -> Load {
        let (running, waiting) = self.attempts.load();
        Load { running, waiting, outbox: self.deliveries.len() + self.loading.replies_held() }
    }

    pub(crate) fn event_counters(&self) -> EventCounters {
        self.attempts.counters()
    }

    pub(crate) fn reply_counters(&self) -> ReplyCounters {
        self.deliveries.counters()
    }

    /// The same of one network.
    pub(crate) fn reply_counters_on(&self, network: &str) -> ReplyCounters {
        self.deliveries.counters_on(network)
    }

    /// Replies that are to be sent on this network.
    pub(crate) fn outbox_on(&self, network: &str) -> usize {
        self.deliveries.len_on(network)
    }

    /// Apologies that were withheld, and replies that had to wait because they looked like a loop.
    pub(crate) fn braked(&self) -> u64 {
        self.deliveries.braked()
    }

    /// When an event that is not done came in or was taken up.
    pub(crate) fn since(&self, sequence: u64) -> Option<Duration> {
        self.attempts.tried(sequence).map(|(_, since)| since)
    }
}
