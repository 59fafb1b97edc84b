//! The places that block: each is told at its first time, and then once an hour with its count.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::findings::Finding;
use crate::report::{Class, Report};
use crate::slot::CommandId;

/// Places that are kept for anyone who asks; the oldest goes first.
const KEPT: usize = 1024;
/// Places beyond that of which it is known how often they were seen, and when they were told.
const REMEMBERED: usize = 16 * 1024;
/// A call that has not returned after this time is told before its end.
const STILL: Duration = Duration::from_secs(1);
/// A longer wait for a lock is remembered.
pub(super) const LONG_WAIT: Duration = Duration::from_millis(5);
/// After the first time, a place is told once in this time.
const AGAIN: Duration = Duration::from_secs(3600);

#[derive(Default)]
pub(super) struct Sites {
    by_key: HashMap<Key, Site>,
    /// The place of each call that has not ended yet.
    open: HashMap<u64, Key>,
    /// The last place of a command and a symbol, for calls whose stack is not known.
    last: HashMap<(CommandId, Option<&'static str>), Key>,
    /// What is left of places that are not kept any more.
    gone: HashMap<Key, Gone>,
    count: u64,
    /// Long waits for a lock inside a dependency, before they are told.
    inner_waits: HashMap<Key, (u64, u64)>,
}

/// What makes two findings one place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) command: CommandId,
    pub(super) class: Class,
    /// The author's line, or the call where that is not known.
    pub(super) place: String,
}

struct Site {
    report: Report,
    incident: u64,
    poll: u64,
    /// How long earlier calls of the same poll took.
    earlier: Duration,
    told: Option<Instant>,
    /// How often it took longer than [`LONG_WAIT`], and the last time that it did.
    long_waits: (u64, u64),
}

#[derive(Clone, Copy)]
struct Gone {
    times: u64,
    told: Option<Instant>,
}

/// What became of a finding.
pub(super) struct Noted {
    pub(super) report: Report,
    /// Whether this is the first that is heard of this call.
    pub(super) is_first: bool,
    /// Whether it is to be said aloud.
    pub(super) is_told: bool,
}

impl Sites {
    /// The places found so far, oldest first.
    pub(super) fn reports(&self) -> Vec<Report> {
        let mut reports: Vec<_> = self.by_key.values().map(|place| place.report.clone()).collect();
        reports.sort_by_key(|report| report.number);
        reports
    }

    /// In how many polls a place has been seen, this one included. Of waits for a lock, how many there were.
    pub(super) fn times(&self, key: &Key, finding: &Finding) -> u64 {
        let Some(known) = self.by_key.get(key) else {
            return 1 + self.gone.get(key).map_or(0, |gone| gone.times);
        };
        let is_known_poll = known.poll == finding.poll && key.class != Class::Contention;
        let is_known = is_known_poll || self.open.get(&finding.incident) == Some(key);
        known.report.times + u64::from(!is_known)
    }

    /// How often a place has taken longer than [`LONG_WAIT`], this time included.
    pub(super) fn long_waits(&self, key: &Key, finding: &Finding) -> u64 {
        let (count, last) = self.by_key.get(key).map_or((0, 0), |known| known.long_waits);
        count + u64::from(finding.elapsed >= LONG_WAIT && last != finding.incident)
    }

    /// Whether a long wait for a lock inside a dependency has been seen three times in one place.
    pub(super) fn is_habit(&mut self, key: &Key, finding: &Finding) -> bool {
        if finding.elapsed < LONG_WAIT {
            return false;
        }
        if self.inner_waits.len() >= KEPT {
            self.inner_waits.clear();
        }
        let (count, last) = self.inner_waits.entry(key.clone()).or_default();
        *count += u64::from(*last != finding.incident);
        *last = finding.incident;
        *count >= 3
    }

    /// Adds a finding to its place.
    pub(super) fn note(&mut self, key: Key, mut report: Report, finding: &Finding) -> Noted {
        report.times = self.times(&key, finding);
        let last_wait = self.by_key.get(&key).map_or(0, |known| known.long_waits.1);
        let is_long = finding.elapsed >= LONG_WAIT;
        let long_waits = (self.long_waits(&key, finding), if is_long { finding.incident } else { last_wait });
        self.forget_first_sight(&key, finding);
        let is_first = self.open_or_close(&key, finding);
        self.last.insert((finding.command, finding.symbol), key.clone());
        let mut earlier = Duration::ZERO;
        match self.by_key.get(&key) {
            Some(known) => {
                report.number = known.report.number;
                report.strikes = report.strikes.max(known.report.strikes);
                if known.poll == finding.poll {
                    // One call of the author's may be several of the system's: what counts is how long they all took.
                    let is_other = known.incident != finding.incident;
                    earlier = if is_other { known.report.elapsed } else { known.earlier };
                    report.elapsed += earlier;
                    report.taken_over = known.report.taken_over.or(report.taken_over);
                }
            }
            None => {
                self.count += 1;
                report.number = self.count;
            }
        }
        let (is_told, told) = self.tells(&key, finding);
        let (incident, poll) = (finding.incident, finding.poll);
        self.gone.remove(&key);
        self.by_key.insert(key, Site { report: report.clone(), incident, poll, earlier, told, long_waits });
        self.make_room();
        Noted { report, is_first, is_told }
    }

    /// A later look at a poll may show something else than the first: then the first was not what it seemed.
    fn forget_first_sight(&mut self, key: &Key, finding: &Finding) {
        let Some(seen) = self.open.get(&finding.incident).filter(|seen| *seen != key).cloned() else {
            return;
        };
        let Some(place) = self.by_key.get_mut(&seen).filter(|place| place.incident == finding.incident)
        else {
            return;
        };
        if place.report.times == 1 {
            self.by_key.remove(&seen);
        } else {
            place.report.times -= 1;
            place.report.is_over = true;
        }
    }

    /// Counts a finding whose stack is not known; `None` when nothing is known of it.
    pub(super) fn count(&mut self, finding: &Finding) -> Option<Noted> {
        let key = self.last.get(&(finding.command, finding.symbol))?.clone();
        let is_first = self.open_or_close(&key, finding);
        let (is_told, told) = self.tells(&key, finding);
        let place = self.by_key.get_mut(&key)?;
        (place.incident, place.told) = (finding.incident, told);
        let report = &mut place.report;
        report.times += u64::from(is_first);
        (report.elapsed, report.is_over, report.taken_over) =
            (finding.elapsed, finding.is_over, finding.taken_over);
        Some(Noted { report: report.clone(), is_first, is_told })
    }

    /// Answers whether the finding is the first of its call.
    fn open_or_close(&mut self, key: &Key, finding: &Finding) -> bool {
        if finding.is_over {
            self.open.remove(&finding.incident).is_none()
        } else {
            self.open.insert(finding.incident, key.clone()).is_none()
        }
    }

    /// Whether a finding is to be said aloud, and when its place was last.
    fn tells(&self, key: &Key, finding: &Finding) -> (bool, Option<Instant>) {
        let known = self.by_key.get(key);
        let told = known.map_or_else(|| self.gone.get(key)?.told, |place| place.told);
        let is_due = told.is_none_or(|told| told.elapsed() >= AGAIN);
        // What was told before its end is told again at its end, with the whole time.
        let was_told_early = known.is_some_and(|known| {
            let is_same = known.incident == finding.incident;
            is_same && !known.report.is_over && known.report.elapsed >= STILL
        });
        let is_told =
            is_due && (finding.is_over || finding.elapsed >= STILL) || finding.is_over && was_told_early;
        (is_told, if is_told { Some(Instant::now()) } else { told })
    }

    fn make_room(&mut self) {
        while self.by_key.len() > KEPT {
            let oldest = self.by_key.iter().min_by_key(|(_, place)| place.report.number);
            let Some(oldest) = oldest.map(|(key, _)| key.clone()) else { return };
            if self.gone.len() >= REMEMBERED {
                self.gone.clear();
            }
            if let Some(Site { report, told, .. }) = self.by_key.remove(&oldest) {
                self.gone.insert(oldest.clone(), Gone { times: report.times, told });
            }
            self.open.retain(|_, key| *key != oldest);
            self.last.retain(|_, key| *key != oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::Stacks;
    use crate::slot::Role;

    fn found(sites: &mut Sites, place: usize) -> Noted {
        static INCIDENTS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
        let incident = INCIDENTS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let finding = Finding {
            incident,
            poll: incident,
            command: 2,
            role: Role::Worker,
            symbol: Some("read"),
            class: Class::File,
            stacks: Stacks::None,
            elapsed: Duration::from_millis(2),
            is_over: true,
            taken_over: None,
            is_excused: false,
        };
        let key = Key { command: 2, class: Class::File, place: place.to_string() };
        sites.note(key, report(&finding), &finding)
    }

    fn report(finding: &Finding) -> Report {
        Report {
            number: 0,
            name: "!read".into(),
            class: finding.class,
            call: "std::fs::read".into(),
            file: "src/main.rs".into(),
            line: 1,
            is_exact: true,
            path: Vec::new(),
            elapsed: finding.elapsed,
            is_over: true,
            times: 1,
            taken_over: None,
            strikes: 0,
            addresses: Vec::new(),
            build_id: None,
            is_inner_lock: false,
            advice: String::new(),
        }
    }

    #[test]
    fn what_is_not_kept_any_more_is_told_once_and_counted_on() {
        let mut sites = Sites::default();
        for round in 1..=3 {
            for place in 0..KEPT + 10 {
                let noted = found(&mut sites, place);
                assert_eq!((noted.is_told, noted.report.times), (round == 1, round), "{place}");
            }
        }
        assert_eq!(sites.reports().len(), KEPT);
        assert_eq!(sites.gone.len(), 10);
    }
}
