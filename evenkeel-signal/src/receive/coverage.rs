//! When somebody was reading, and when nobody was.

use std::time::Duration;

use tokio::time::Instant;

/// Which connections are read, and until when the ended ones certainly were.
#[derive(Debug, Default)]
pub(super) struct Coverage {
    /// Number and beginning of each open connection, the oldest first.
    open: Vec<(u64, Instant)>,
    /// What came before this was read. `None` until somebody read, or should have.
    until: Option<Instant>,
}

impl Coverage {
    /// Nobody could be found who reads. Returns for how long that has been so.
    pub(super) fn failed(&mut self, now: Instant) -> Duration {
        if !self.open.is_empty() {
            return Duration::ZERO;
        }
        now.saturating_duration_since(*self.until.get_or_insert(now))
    }

    /// A connection is read from now on. Returns the gap that it ends.
    pub(super) fn opened(&mut self, id: u64, now: Instant) -> Option<Duration> {
        let was_deaf = self.open.is_empty();
        self.open.push((id, now));
        gap(self.until.filter(|_| was_deaf)?, now)
    }

    /// A connection was read until then, and has ended by now. Returns the gap before the oldest of those that go on: a
    /// connection that was silent turns out not to have covered it.
    pub(super) fn ended(&mut self, id: u64, until: Instant) -> Option<Duration> {
        self.open.retain(|(open, _)| *open != id);
        let until = self.until.map_or(until, |before| before.max(until));
        self.until = Some(until);
        let (_, next) = *self.open.first()?;
        self.until = Some(until.max(next));
        gap(until, next)
    }
}

fn gap(from: Instant, to: Instant) -> Option<Duration> {
    Some(to.saturating_duration_since(from)).filter(|gap| !gap.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_gap_is_what_no_connection_covers() {
        let start = Instant::now();
        let at = |second: u32| start + second * SECOND;
        let mut coverage = Coverage::default();
        assert_eq!(coverage.opened(1, at(1)), None, "nobody was expected before");
        assert_eq!(coverage.ended(1, at(5)), None);
        assert_eq!(coverage.failed(at(6)), SECOND);
        assert_eq!(coverage.opened(2, at(8)), Some(3 * SECOND));
    }

    #[test]
    fn an_overlap_leaves_no_gap() {
        let start = Instant::now();
        let at = |second: u32| start + second * SECOND;
        let mut coverage = Coverage::default();
        assert_eq!(coverage.opened(1, at(0)), None);
        assert_eq!(coverage.opened(2, at(5)), None);
        assert_eq!(coverage.ended(1, at(6)), None, "it was heard after the other one began");
        assert_eq!(coverage.failed(at(7)), Duration::ZERO);
        assert_eq!(coverage.opened(3, at(8)), None);
        assert_eq!(coverage.ended(3, at(8)), None);
    }

    #[test]
    fn a_connection_that_was_dead_all_along_covers_nothing() {
        let start = Instant::now();
        let at = |second: u32| start + second * SECOND;
        let mut coverage = Coverage::default();
        assert_eq!(coverage.opened(1, at(0)), None);
        assert_eq!(coverage.opened(2, at(30)), None);
        assert_eq!(coverage.ended(1, at(10)), Some(20 * SECOND));
        assert_eq!(coverage.ended(2, at(40)), None, "no gap is told twice");
        assert_eq!(coverage.opened(3, at(41)), Some(SECOND));
    }

    #[test]
    fn a_bot_that_finds_no_server_at_first_is_deaf_from_its_first_attempt() {
        let start = Instant::now();
        let mut coverage = Coverage::default();
        assert_eq!(coverage.failed(start), Duration::ZERO);
        assert_eq!(coverage.opened(1, start + SECOND), Some(SECOND));
    }
}
