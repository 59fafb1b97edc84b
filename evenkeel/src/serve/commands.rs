//! How each command fares, by name.

use std::collections::HashMap;
use std::time::Duration;

use crate::status::{CommandSnapshot, Latency};

/// Grows with the routes of the app, not with the events.
#[derive(Default)]
pub(super) struct Commands(HashMap<Box<str>, Command>);

#[derive(Default)]
struct Command {
    handled: u64,
    failed: u64,
    latency: Latency,
}

impl Commands {
    /// Notes the end of one event, so long after it was accepted or taken up.
    pub(super) fn count(&mut self, name: &str, is_failed: bool, elapsed: Duration) {
        let command = match self.0.get_mut(name) {
            Some(command) => command,
            None => self.0.entry(name.into()).or_default(),
        };
        command.handled += u64::from(!is_failed);
        command.failed += u64::from(is_failed);
        command.latency.record(elapsed);
    }

    pub(super) fn snapshots(&self) -> Vec<CommandSnapshot> {
        let all = self.0.iter().map(|(name, command)| CommandSnapshot {
            name: name.to_string(),
            handled: command.handled,
            failed: command.failed,
            p50_us: command.latency.quantile_us(0.5),
            p99_us: command.latency.quantile_us(0.99),
            max_us: command.latency.max_us(),
        });
        let mut all: Vec<_> = all.collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }
}
