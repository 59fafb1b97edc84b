//! Which times to fire now, and which were missed.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Schedule;

/// How late a firing may be without counting as missed.
pub const GRACE: Duration = Duration::from_secs(60);

/// How many firings [`due`] returns at once; older ones are skipped.
pub const MOST_FIRINGS: usize = 1_000;

/// What becomes of a firing that comes while the one before it still runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// It is skipped.
    #[default]
    Skip,
    /// It runs after the other.
    Queue,
    /// It runs beside the other.
    Allow,
}

/// What becomes of firings that were missed: later than [`GRACE`], because the bot was down for example.
///
/// Firings that are late by less are not missed, and all of them are fired, up to [`MOST_FIRINGS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Misfire {
    /// One firing, the latest, stands for all that have come due, if any of them was missed.
    #[default]
    FireOnce,
    /// What was missed is not made up for.
    Skip,
    /// The latest of those that were missed are made up for, one by one.
    FireAll {
        /// How many at most, up to [`MOST_FIRINGS`].
        most: u32,
    },
}

/// What [`due`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Firings {
    /// The times to fire now, oldest first, in milliseconds since 1970.
    pub fire: Vec<u64>,
    /// What has come due and is not fired; all of it lies before the first of `fire`.
    pub skipped: Option<Skipped>,
    /// The time to store as due; `None` when there are no more.
    pub next_ms: Option<u64>,
}

/// Scheduled times that are not fired. They are not counted: at one a second, ten years are 300 million.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The first of them, in milliseconds since 1970.
    pub first_ms: u64,
    /// The last of them; the same as the first where there is one.
    pub last_ms: u64,
}

/// Says what to fire at `now_ms`, when `due_ms` is the stored time of the next firing; `now_ms` may be much later.
///
/// `due_ms` counts as scheduled even where the schedule does not name it, for example since it was changed. Each
/// scheduled time from there to `now_ms` is either fired or skipped, and `next_ms` is later than all of them. The work
/// does not grow with the pause.
#[must_use]
pub fn due(schedule: &Schedule, anchor_ms: u64, due_ms: u64, now_ms: u64, misfire: Misfire) -> Firings {
    if due_ms > now_ms {
        return Firings { next_ms: Some(due_ms), ..Firings::default() };
    }
    let times = Times { schedule, anchor_ms, due_ms };
    let grace_ms = u64::try_from(GRACE.as_millis()).unwrap_or(u64::MAX);
    let in_time_ms = now_ms.saturating_sub(grace_ms);
    let is_missed = |time_ms: u64| time_ms < in_time_ms;
    let missed_allowed = match misfire {
        Misfire::FireOnce if is_missed(due_ms) => {
            let latest_ms = times.last_until(now_ms, 1).unwrap_or(due_ms);
            return times.firings(vec![latest_ms], now_ms);
        }
        Misfire::FireOnce | Misfire::Skip => 0,
        Misfire::FireAll { most } => usize::try_from(most).unwrap_or(usize::MAX),
    };
    let (mut fire, mut missed) = (Vec::new(), 0);
    let (mut until_ms, mut near_ms) = (Some(now_ms), 1);
    while let Some(time_ms) = until_ms.and_then(|until_ms| times.last_until(until_ms, near_ms)) {
        missed += usize::from(is_missed(time_ms));
        if missed > missed_allowed || fire.len() == MOST_FIRINGS {
            break;
        }
        near_ms = fire.last().map_or(1, |later: &u64| later - time_ms);
        fire.push(time_ms);
        until_ms = time_ms.checked_sub(1);
    }
    fire.reverse();
    times.firings(fire, now_ms)
}

/// The scheduled times from the stored one on, which is the first of them.
struct Times<'a> {
    schedule: &'a Schedule,
    anchor_ms: u64,
    due_ms: u64,
}

impl Times<'_> {
    fn next_after(&self, after_ms: u64) -> Option<u64> {
        self.schedule.next_ms_after(after_ms, self.anchor_ms)
    }

    /// The last one that is not later than `until_ms`, looked for from `near_ms` before that on.
    ///
    /// Schedules are asked forwards only, so it goes back in growing steps and then forwards by halving: some 80 questions
    /// for ten years, and two or three where the distance is known.
    fn last_until(&self, until_ms: u64, near_ms: u64) -> Option<u64> {
        if self.due_ms > until_ms {
            return None;
        }
        let in_time = |next: Option<u64>| next.filter(|next| *next <= until_ms);
        // `found` is one of them; nothing in time is later than `end`.
        let (mut end, mut step_ms) = (until_ms, near_ms.max(1));
        let mut found = loop {
            let from = until_ms.saturating_sub(step_ms);
            if from <= self.due_ms {
                break self.due_ms;
            }
            if let Some(found) = in_time(self.next_after(from)) {
                break found;
            }
            (end, step_ms) = (from, step_ms.saturating_mul(2));
        };
        while let Some(next) = in_time(self.next_after(found)) {
            let middle = next + end.saturating_sub(next) / 2;
            found = in_time(self.next_after(middle)).unwrap_or_else(|| {
                end = middle;
                next
            });
        }
        Some(found)
    }

    fn firings(&self, fire: Vec<u64>, now_ms: u64) -> Firings {
        let before_ms = match fire.first() {
            Some(first) => first.checked_sub(1),
            None => Some(now_ms),
        };
        let last_skipped = before_ms.and_then(|before_ms| self.last_until(before_ms, 1));
        let skipped = last_skipped.map(|last_ms| Skipped { first_ms: self.due_ms, last_ms });
        Firings { fire, skipped, next_ms: self.next_after(now_ms) }
    }
}
