//! When something happens again, what of it was missed, and what time it is when the clock was set.
//!
//! Nothing here reads a clock or waits: times go in and come out. A [`Schedule`] names times; in milliseconds since 1970, as
//! a table keeps them, [`due`] says which of them to fire after however long a pause, and [`SteadyClock`] tells the time that both are asked with.

mod field;
mod text;
mod cron;
mod due;
mod steady_clock;
mod zone;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, Result};
use crate::moment;
use cron::Cron;
use zone::Zone;

pub use due::{Firings, GRACE, MOST_FIRINGS, Misfire, Overlap, Skipped, due};
pub use steady_clock::{
    BACKWARD_TOLERANCE, CONFIRMATION, LONGEST_WAIT, Reading, STEP_TOLERANCE, SteadyClock, Step,
};

/// Times at which something happens: at intervals, at a time of day, by a cron pattern, or at the earliest of several.
///
/// It is written and read as a short text, also by serde: `every 90s`, `daily 09:30 Europe/Berlin`,
/// `cron */5 * * * 1-5`, joined by ` | ` where there are several. Local times are UTC where no zone is named.
///
/// When the clocks change, a local time that does not exist that day is fired at the first instant after the gap, and
/// one that exists twice is fired the first time. Cron patterns for each hour of the day follow real time instead: see
/// [`Schedule::cron`]. The rules of the zones are those compiled in.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use evenkeel::schedule::Schedule;
///
/// # fn main() -> evenkeel::Result<()> {
/// let next = |schedule: &Schedule| schedule.next_after(UNIX_EPOCH, UNIX_EPOCH);
/// let mornings = Schedule::daily("09:30")?.in_zone("Europe/Berlin")?;
/// assert_eq!(next(&mornings), Some(UNIX_EPOCH + Duration::from_secs(30_600))); // 08:30 in UTC
/// assert_eq!(mornings.to_string(), "daily 09:30 Europe/Berlin");
/// let often: Schedule = "every 90s | cron 0 12 * * SUN".parse()?;
/// assert_eq!(next(&often), Some(UNIX_EPOCH + Duration::from_secs(90)));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// At least one.
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Every { interval_ms: u64 },
    Daily { at: jiff::civil::Time, zone: Option<Zone> },
    Cron { pattern: Box<Cron>, zone: Option<Zone> },
}

impl Schedule {
    /// One interval after the anchor, and each further interval after that. The anchor is the time that
    /// [`Schedule::next_after`] is given with each question, usually when the schedule came into force.
    ///
    /// A day is 24 hours here, whatever the clocks do. What is finer than a millisecond is rounded up.
    ///
    /// # Panics
    ///
    /// When the interval is zero.
    #[must_use]
    #[track_caller]
    pub fn every(interval: Duration) -> Self {
        assert!(!interval.is_zero(), "an interval of zero: give `Schedule::every` at least a millisecond");
        let interval_ms = u64::try_from(interval.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        Self { parts: vec![Part::Every { interval_ms }] }
    }

    /// Once a day at a local time, `"09:30"`: hours from 00 to 23, minutes from 00 to 59.
    ///
    /// # Errors
    ///
    /// When the text is not such a time.
    pub fn daily(time: &str) -> Result<Self> {
        let at = text::time(time, time.trim(), "daily(\"09:30\")")?;
        Ok(Self { parts: vec![Part::Daily { at, zone: None }] })
    }

    /// By a cron pattern: minute, hour, day of the month, month and day of the week, with seconds before them if there
    /// are six fields.
    ///
    /// In place of the fields there may be `@hourly`, `@daily` or `@midnight`, `@weekly`, `@monthly`, `@yearly` or `@annually`.
    ///
    /// A field is `*`, a number, a range `1-5`, a list `1,15`, or steps `*/5` and `10-50/20`. Months and days of the week
    /// have names too, `JAN` and `MON`, each by itself, in lists and in ranges; Sunday is 0 and 7. The day of the month may
    /// be `L` (the last) or `15W` (the weekday nearest to the 15th), the day of the week `5L` or `FRI#L` (the last Friday)
    /// or `5#2` (the second). Where neither day field is `*`, either is enough.
    ///
    /// A pattern that names hours fires each of its local times once when the clocks change, as [`Schedule`] says; where
    /// several fall into the gap, they are one firing. A pattern for each hour, `*` in that field, follows real time: it
    /// fires whenever the local clock shows one of its times, so that `*/5 * * * *` goes on at five minutes' distance.
    ///
    /// # Errors
    ///
    /// When a field cannot be read, when a step leaves only one time, when a range runs backwards, when there are not five or six, or when no day matches, as with `0 0 30 2 *`.
    pub fn cron(pattern: &str) -> Result<Self> {
        let pattern = Box::new(Cron::new(pattern, pattern)?);
        Ok(Self { parts: vec![Part::Cron { pattern, zone: None }] })
    }

    /// The earliest of several. Times that fall together are one.
    ///
    /// # Panics
    ///
    /// When there are none.
    #[must_use]
    #[track_caller]
    pub fn any(schedules: impl IntoIterator<Item = Schedule>) -> Self {
        let parts: Vec<_> = schedules.into_iter().flat_map(|schedule| schedule.parts).collect();
        assert!(!parts.is_empty(), "`Schedule::any` of nothing: give it at least one schedule");
        Self { parts }
    }

    /// Reads local times in this zone of the IANA database, `"Europe/Berlin"`, wherever no zone was set before.
    ///
    /// # Errors
    ///
    /// When there is no such zone, and when nothing here is without one: intervals have none.
    pub fn in_zone(mut self, name: &str) -> Result<Self> {
        let zone = Zone::new(name, name)?;
        let mut is_used = false;
        for part in &mut self.parts {
            if let Part::Daily { zone: open @ None, .. } | Part::Cron { zone: open @ None, .. } = part {
                *open = Some(zone.clone());
                is_used = true;
            }
        }
        if is_used {
            return Ok(self);
        }
        Err(Error::new(format!(
            "`{self}` has no local time without a zone: set zones only for `daily` and `cron`"
        )))
    }

    /// The first time after `after`, which is never among the answers itself; `None` when there is none before the
    /// year 5000. Times are whole milliseconds.
    ///
    /// Intervals count from `anchor`; local times do not depend on it.
    #[must_use]
    pub fn next_after(&self, after: SystemTime, anchor: SystemTime) -> Option<SystemTime> {
        self.next_ms_after(moment::to_ms(after), moment::to_ms(anchor)).map(moment::from_ms)
    }

    /// The same in milliseconds since 1970.
    pub(crate) fn next_ms_after(&self, after_ms: u64, anchor_ms: u64) -> Option<u64> {
        self.parts.iter().filter_map(|part| part.next_after(after_ms, anchor_ms)).min()
    }
}

impl Part {
    fn next_after(&self, after_ms: u64, anchor_ms: u64) -> Option<u64> {
        let in_zone = |zone: &Option<Zone>| zone.clone().unwrap_or_else(Zone::utc);
        match self {
            Self::Every { interval_ms } => {
                let passed = after_ms.saturating_sub(anchor_ms) / interval_ms;
                anchor_ms.checked_add(interval_ms.checked_mul(passed.checked_add(1)?)?)
            }
            Self::Daily { at, zone } => in_zone(zone).next_once(after_ms, |local| {
                let today = local.date().to_datetime(*at);
                if today > local { Some(today) } else { Some(local.date().tomorrow().ok()?.to_datetime(*at)) }
            }),
            Self::Cron { pattern, zone } if pattern.names_hours() => {
                in_zone(zone).next_once(after_ms, |local| pattern.next_local(local))
            }
            Self::Cron { pattern, zone } => {
                in_zone(zone).next_shown(after_ms, |local| pattern.next_local(local))
            }
        }
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, part) in self.parts.iter().enumerate() {
            let joint = if index == 0 { "" } else { " | " };
            let zone = match part {
                Part::Every { interval_ms } => {
                    write!(f, "{joint}every {}", text::Interval(*interval_ms))?;
                    continue;
                }
                Part::Daily { at, zone } => {
                    write!(f, "{joint}daily {:02}:{:02}", at.hour(), at.minute())?;
                    zone
                }
                Part::Cron { pattern, zone } => {
                    write!(f, "{joint}cron {pattern}")?;
                    zone
                }
            };
            if let Some(zone) = zone {
                write!(f, " {zone}")?;
            }
        }
        Ok(())
    }
}

impl FromStr for Schedule {
    type Err = Error;

    fn from_str(whole: &str) -> Result<Self> {
        let parts: Result<_> = whole.split('|').map(|part| Part::read(whole, part)).collect();
        Ok(Self { parts: parts? })
    }
}

impl Part {
    /// `part` is a piece of `whole`, which errors name.
    fn read(whole: &str, part: &str) -> Result<Self> {
        let words: Vec<_> = part.split_whitespace().collect();
        match &words[..] {
            ["every", interval] => Ok(Self::Every { interval_ms: text::interval(whole, interval)? }),
            ["daily", time, zone @ ..] => {
                let at = text::time(whole, time, "daily 09:30 Europe/Berlin")?;
                let zone = match zone {
                    [] => None,
                    [zone] => Some(Zone::new(whole, zone)?),
                    [_, more, ..] => {
                        return Err(text::wrong(
                            whole,
                            more,
                            "one zone is enough",
                            "daily 09:30 Europe/Berlin",
                        ));
                    }
                };
                Ok(Self::Daily { at, zone })
            }
            ["cron", name, ..] if name.eq_ignore_ascii_case("@every") => {
                Ok(Self::Cron { pattern: Box::new(Cron::new(whole, name)?), zone: None })
            }
            ["cron", name] if name.starts_with('@') => {
                Ok(Self::Cron { pattern: Box::new(Cron::new(whole, name)?), zone: None })
            }
            ["cron", fields @ .., last] if Zone::is_meant(last, fields.len()) => {
                let zone = Some(Zone::new(whole, last)?);
                let fields = text::between(part, fields.first(), last);
                Ok(Self::Cron { pattern: Box::new(Cron::new(whole, fields)?), zone })
            }
            ["cron", first, ..] => {
                let fields = text::between(part, Some(first), "");
                Ok(Self::Cron { pattern: Box::new(Cron::new(whole, fields)?), zone: None })
            }
            _ => {
                let found = part.trim();
                let is_bare = found.starts_with('@') || (5..=7).contains(&words.len());
                let problem = match words.first() {
                    Some(first) if is_bare && first.starts_with(['@', '*', '0', '1', '2', '3', '4', '5']) => {
                        format!("without its first word: write `cron {}`", text::shown(found))
                    }
                    _ => "neither `every`, `daily` nor `cron` with its times".to_owned(),
                };
                Err(text::wrong(
                    whole,
                    found,
                    &problem,
                    "every 90s | daily 09:30 Europe/Berlin | cron */5 * * * 1-5",
                ))
            }
        }
    }
}

impl Serialize for Schedule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Schedule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
