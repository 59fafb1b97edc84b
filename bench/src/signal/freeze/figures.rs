//! What the waits of a run come to.

use std::fmt;
use std::time::Duration;

use super::crowd::{Outcome, Told};
use super::schedule::Part;

/// Which of the healthy messages are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    All,
    /// Those that waited while a bad message waited too.
    Beside,
}

/// A wait, or how long somebody had waited when the run ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Wait {
    pub(crate) time: Duration,
    pub(crate) is_open: bool,
}

/// What one run showed, or the medians of several; counts are then the worst of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) median: Wait,
    pub(crate) p99: Wait,
    pub(crate) slowest: Wait,
    /// The longest time in which healthy messages were due and none was answered.
    pub(crate) silence: Wait,
    pub(crate) healthy: usize,
    pub(crate) bad: usize,
    pub(crate) healthy_unanswered: usize,
    pub(crate) bad_unanswered: usize,
    pub(crate) refused: usize,
    pub(crate) wrong: usize,
    /// Frames that the server lost because the bot did not read.
    pub(crate) dropped: u64,
    /// Of the generator itself.
    pub(crate) lateness_p99: Duration,
    pub(crate) lateness_slowest: Duration,
    pub(crate) is_lost: bool,
}

impl Figures {
    pub(crate) fn of(outcome: &Outcome, sight: Sight, dropped: u64) -> Self {
        let end = outcome.end;
        let part = |part: Part| outcome.lines.iter().filter(move |line| line.part == part);
        let unanswered = |wanted: Part| part(wanted).filter(|line| line.answered.is_none()).count();
        let bad: Vec<&Told> = part(Part::Bad).collect();
        let meets = |ping: &Told, bad: &Told| ping.due < bad.until(end) && bad.due < ping.until(end);
        let is_seen = |ping: &&Told| sight == Sight::All || bad.iter().any(|bad| meets(ping, bad));
        let mut waits: Vec<Wait> = part(Part::Healthy).filter(is_seen).map(|ping| ping.wait(end)).collect();
        waits.sort_unstable();
        let mut lateness = outcome.lateness.clone();
        lateness.sort_unstable();
        Self {
            median: at(&waits, 0.5),
            p99: at(&waits, 0.99),
            slowest: at(&waits, 1.0),
            silence: silence(part(Part::Healthy), end),
            healthy: waits.len(),
            bad: bad.len(),
            healthy_unanswered: unanswered(Part::Healthy),
            bad_unanswered: unanswered(Part::Bad),
            refused: outcome.refused,
            wrong: outcome.wrong,
            dropped,
            lateness_p99: at(&lateness, 0.99),
            lateness_slowest: at(&lateness, 1.0),
            is_lost: outcome.is_lost,
        }
    }

    pub(crate) fn median_of(runs: &[Self]) -> Self {
        let worst = |count: fn(&Self) -> usize| runs.iter().map(count).max().unwrap_or_default();
        Self {
            median: median(runs, |run| run.median),
            p99: median(runs, |run| run.p99),
            slowest: median(runs, |run| run.slowest),
            silence: median(runs, |run| run.silence),
            healthy: worst(|run| run.healthy),
            bad: worst(|run| run.bad),
            healthy_unanswered: worst(|run| run.healthy_unanswered),
            bad_unanswered: worst(|run| run.bad_unanswered),
            refused: worst(|run| run.refused),
            wrong: worst(|run| run.wrong),
            dropped: runs.iter().map(|run| run.dropped).max().unwrap_or_default(),
            lateness_p99: median(runs, |run| run.lateness_p99),
            lateness_slowest: median(runs, |run| run.lateness_slowest),
            is_lost: runs.iter().any(|run| run.is_lost),
        }
    }

    /// Returns whether everybody got their own answer, once.
    pub(crate) fn is_complete(&self) -> bool {
        self.healthy_unanswered + self.bad_unanswered + self.refused + self.wrong == 0 && !self.is_lost
    }
}

impl Told {
    fn until(&self, end: Duration) -> Duration {
        self.answered.unwrap_or(end)
    }

    fn wait(&self, end: Duration) -> Wait {
        Wait { time: self.until(end).saturating_sub(self.due), is_open: self.answered.is_none() }
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}{}", if self.is_open { ">" } else { "" }, text(self.time)))
    }
}

/// A time as a person would write it, to three digits or so.
pub(crate) fn text(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 0.1 {
        format!("{:.2} ms", seconds * 1e3)
    } else if seconds < 1.0 {
        format!("{:.0} ms", seconds * 1e3)
    } else {
        format!("{seconds:.2} s")
    }
}

fn at<T: Copy + Default>(sorted: &[T], share: f64) -> T {
    let index = (sorted.len() as f64 * share) as usize;
    sorted.get(index.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// Returns the middle one; of an even number, the upper.
pub(crate) fn median<T, F: Ord + Copy + Default>(runs: &[T], figure: impl Fn(&T) -> F) -> F {
    let mut figures: Vec<F> = runs.iter().map(figure).collect();
    figures.sort_unstable();
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

fn silence<'a>(pings: impl Iterator<Item = &'a Told>, end: Duration) -> Wait {
    let mut moments = Vec::new();
    for ping in pings {
        moments.push((ping.due, false));
        moments.extend(ping.answered.map(|answered| (answered, true)));
    }
    moments.sort_unstable();
    let (mut waiting, mut since, mut longest) = (0_usize, Duration::ZERO, Wait::default());
    for (now, is_answer) in moments {
        if is_answer {
            longest = longest.max(Wait { time: now.saturating_sub(since), is_open: false });
            waiting -= 1;
            since = now;
        } else {
            // Silence starts with the first who waits, or with the last who was answered.
            since = if waiting == 0 { now } else { since };
            waiting += 1;
        }
    }
    let rest = Wait { time: end.saturating_sub(since), is_open: true };
    if waiting > 0 { longest.max(rest) } else { longest }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(time: u64) -> Duration {
        Duration::from_millis(time)
    }

    fn told(part: Part, due: u64, answered: Option<u64>) -> Told {
        Told { due: ms(due), answered: answered.map(ms), part }
    }

    fn check(lines: Vec<Told>, sight: Sight) -> Figures {
        Figures::of(&Outcome { lines, end: ms(1_000), ..Outcome::default() }, sight, 0)
    }

    #[test]
    fn who_is_never_answered_waits_until_the_end() {
        let figures = check(
            vec![told(Part::Healthy, 0, Some(1)), told(Part::Healthy, 100, None), told(Part::Bad, 5, None)],
            Sight::All,
        );
        assert_eq!(figures.slowest, Wait { time: ms(900), is_open: true });
        assert_eq!((figures.healthy_unanswered, figures.bad_unanswered), (1, 1));
        assert!(!figures.is_complete());
    }

    #[test]
    fn silence_counts_only_while_somebody_waits() {
        let pings = [(0, 10), (300, 310), (320, 420), (330, 421)];
        let lines = pings.map(|(due, answered)| told(Part::Healthy, due, Some(answered)));
        assert_eq!(check(lines.to_vec(), Sight::All).silence, Wait { time: ms(100), is_open: false });
    }

    #[test]
    fn silence_lasts_until_the_end_if_nobody_is_answered_any_more() {
        let lines = vec![told(Part::Healthy, 0, Some(10)), told(Part::Healthy, 5, None)];
        assert_eq!(check(lines, Sight::All).silence, Wait { time: ms(990), is_open: true });
    }

    #[test]
    fn warm_up_is_not_counted() {
        let lines = vec![told(Part::WarmUp, 0, Some(500)), told(Part::Healthy, 600, Some(601))];
        assert_eq!(check(lines, Sight::All).slowest.time, ms(1));
    }

    #[test]
    fn beside_means_to_wait_at_the_same_time() {
        let lines = vec![
            told(Part::Healthy, 0, Some(50)),
            told(Part::Bad, 100, Some(200)),
            told(Part::Healthy, 90, Some(120)),
            told(Part::Healthy, 150, Some(151)),
            told(Part::Healthy, 201, Some(301)),
        ];
        let figures = check(lines, Sight::Beside);
        assert_eq!((figures.healthy, figures.slowest.time), (2, ms(30)));
    }
}
