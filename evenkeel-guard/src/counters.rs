//! What the guard counts, for anyone who asks and for metrics.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use serde::Serialize;

use crate::report::{Class, as_seconds};
use crate::slot::locked;

/// Take-overs whose time is kept for the quantiles.
const KEPT: usize = 4096;

/// What an executor has seen and done so far.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Counters {
    /// Calls and polls that blocked, by class; those without any are left out.
    pub blocked: Vec<(Class, u64)>,
    /// Threads that were given a successor because they blocked.
    pub taken_over: u64,
    /// Half of the successors ran within this time of the call; of the last few thousand.
    #[serde(rename = "taken_over_p50_seconds", serialize_with = "as_seconds")]
    pub taken_over_p50: Duration,
    /// 99 of 100 did.
    #[serde(rename = "taken_over_p99_seconds", serialize_with = "as_seconds")]
    pub taken_over_p99: Duration,
    /// All did, since the start.
    #[serde(rename = "taken_over_max_seconds", serialize_with = "as_seconds")]
    pub taken_over_max: Duration,
    /// Blocked threads for which there was no successor, because there are too many threads already.
    pub not_taken_over: u64,
    /// Commands put in quarantine. One that turns out to have done nothing wrong is taken off again.
    pub strikes: u64,
    /// Commands let go from quarantine after good conduct.
    pub paroles: u64,
    /// Invocations refused because the queue in front of the quarantine was full.
    pub busy: u64,
    /// Findings that were not looked into because too many came at once. They count in `blocked`, and their strikes stand.
    pub overlooked: u64,
    /// CPU time that was used to look into what was found: two seconds at first (twenty where nothing is optimized), then at most
    /// a tenth of a core.
    #[serde(rename = "reporter_seconds", serialize_with = "as_seconds")]
    pub reporter: Duration,
    /// Threads at present: workers, spares, stuck ones and those of the quarantine.
    pub threads: usize,
    /// Threads that are ready to take over.
    pub spares: usize,
    /// Tasks waiting for a thread of the quarantine.
    pub waiting_in_quarantine: usize,
}

/// The counters as they are counted.
#[derive(Debug, Default)]
pub(crate) struct LiveCounters {
    blocked: [AtomicU64; Class::ALL.len()],
    taken_over: AtomicU64,
    times: Mutex<Vec<u32>>,
    /// The longest of all times, in nanoseconds.
    longest: AtomicU64,
    pub(crate) not_taken_over: AtomicU64,
    pub(crate) strikes: AtomicU64,
    pub(crate) paroles: AtomicU64,
    pub(crate) busy: AtomicU64,
    overlooked: AtomicU64,
    /// Nanoseconds.
    reporter: AtomicU64,
    /// Threads of all kinds that belong to the executor.
    pub(crate) threads: AtomicUsize,
}

impl LiveCounters {
    pub(crate) fn blocked(&self, command: &str, class: Class) {
        if let Some(at) = Class::ALL.iter().position(|one| *one == class) {
            self.blocked[at].fetch_add(1, Ordering::Relaxed);
        }
        #[cfg(feature = "metrics")]
        metrics::counter!("evenkeel_guard_blocked_total", "class" => class.word(), "command" => command.to_owned())
            .increment(1);
        #[cfg(not(feature = "metrics"))]
        let _unused = command;
    }

    /// A finding for which there was no room. Neither allocates nor locks.
    pub(crate) fn overlooked(&self, class: Class) {
        self.overlooked.fetch_add(1, Ordering::Relaxed);
        if let Some(count) = self.blocked.get(usize::from(class.number())) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The reporter has used so much CPU time.
    pub(crate) fn reporter_used(&self, used: Duration) {
        self.reporter.fetch_add(u64::try_from(used.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// A successor runs, so long after the call.
    pub(crate) fn took_over(&self, elapsed: Duration) {
        let before = self.taken_over.fetch_add(1, Ordering::Relaxed);
        let nanos = u32::try_from(elapsed.as_nanos()).unwrap_or(u32::MAX);
        self.longest.fetch_max(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        let mut times = locked(&self.times);
        match times.get_mut(before as usize % KEPT) {
            Some(oldest) => *oldest = nanos,
            None => times.push(nanos),
        }
        drop(times);
        #[cfg(feature = "metrics")]
        metrics::histogram!("evenkeel_guard_taken_over_seconds").record(elapsed.as_secs_f64());
    }

    pub(crate) fn struck(&self, command: &str) {
        self.strikes.fetch_add(1, Ordering::Relaxed);
        #[cfg(feature = "metrics")]
        metrics::counter!("evenkeel_guard_strikes_total", "command" => command.to_owned()).increment(1);
        #[cfg(not(feature = "metrics"))]
        let _unused = command;
    }

    pub(crate) fn counters(&self) -> Counters {
        let mut times = locked(&self.times).clone();
        times.sort_unstable();
        // The shortest time that such a share did not exceed: half of two is one.
        let at = |share: f64| {
            let count = (times.len() as f64 * share).ceil() as usize;
            Duration::from_nanos(times.get(count.saturating_sub(1)).copied().unwrap_or(0).into())
        };
        let blocked = Class::ALL.iter().zip(&self.blocked);
        let blocked = blocked.map(|(class, count)| (*class, count.load(Ordering::Relaxed)));
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counters {
            blocked: blocked.filter(|(_, count)| *count > 0).collect(),
            taken_over: of(&self.taken_over),
            taken_over_p50: at(0.5),
            taken_over_p99: at(0.99),
            taken_over_max: Duration::from_nanos(of(&self.longest)),
            not_taken_over: of(&self.not_taken_over),
            strikes: of(&self.strikes),
            paroles: of(&self.paroles),
            busy: of(&self.busy),
            overlooked: of(&self.overlooked),
            reporter: Duration::from_nanos(of(&self.reporter)),
            threads: self.threads.load(Ordering::Relaxed),
            spares: 0,
            waiting_in_quarantine: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_share_of_the_times_is_longer_than_it_was() {
        let ms = Duration::from_millis;
        for (times, p50, p99, max) in [
            (vec![12], 12, 12, 12),
            (vec![1, 12], 1, 12, 12),
            (vec![30, 1, 12], 12, 30, 30),
            ((1..=100).collect(), 50, 99, 100),
            ((1..=200).rev().collect(), 100, 198, 200),
        ] {
            let live = LiveCounters::default();
            times.iter().for_each(|time| live.took_over(ms(*time)));
            let counters = live.counters();
            let found = (counters.taken_over_p50, counters.taken_over_p99, counters.taken_over_max);
            assert_eq!(found, (ms(p50), ms(p99), ms(max)), "{times:?}");
        }
        let live = LiveCounters::default();
        live.took_over(ms(100));
        (0..2 * KEPT).for_each(|_| live.took_over(ms(1)));
        let counters = live.counters();
        assert_eq!(
            (counters.taken_over_p99, counters.taken_over_max),
            (ms(1), ms(100)),
            "a report may tell of the first"
        );
    }
}
