//! Local times and instants, also on the days on which the clocks change.

use std::fmt;

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp};

use super::{field, text};
use crate::error::Result;

const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// A zone of the IANA database, as it was compiled in: a zone file of the machine could differ from run to run.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Zone(TimeZone);

impl Zone {
    pub(super) fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// `name` is a piece of `whole`, which errors name.
    pub(super) fn new(whole: &str, name: &str) -> Result<Self> {
        let zone = TimeZoneDatabase::bundled().get(name.trim()).ok();
        // The name is needed to write the schedule down.
        let named = zone.filter(|zone| zone.iana_name().is_some());
        let missing = || text::wrong(whole, name, "no time zone of the IANA database", "Europe/Berlin");
        named.map(Self).ok_or_else(missing)
    }

    /// Whether the last word of a cron text is meant as a zone, with this many words before it: it begins as one, and has letters
    /// that no field explains.
    pub(super) fn is_meant(word: &str, before: usize) -> bool {
        let has_place = word.split_once('/').is_some_and(|(_, place)| place.starts_with(char::is_alphabetic));
        // Four fields and a word are five: the last day of the week, misspelt, unless it is a zone.
        let is_field =
            field::begins_with_a_name(word) || before == 4 && TimeZoneDatabase::bundled().get(word).is_err();
        let mut rest = word.to_ascii_uppercase();
        for name in ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT", "L", "W"] {
            rest = rest.replace(name, "");
        }
        // What is taken out of a zone's name leaves letters: `Europe/Berlin` keeps `EUROPE/BERIN`.
        word.starts_with(char::is_alphabetic)
            && rest.contains(char::is_alphabetic)
            && (has_place || !is_field)
    }

    /// The first instant after `after_ms`, where each local time of `next_local` counts once: the first time that it
    /// comes, or at the end of the gap that it falls into. `next_local` answers with a later time than it is given.
    pub(super) fn next_once(
        &self,
        after_ms: u64,
        next_local: impl Fn(DateTime) -> Option<DateTime>,
    ) -> Option<u64> {
        let after = instant(after_ms)?;
        let mut local = whole_second(self.0.to_datetime(after))?;
        // Instants never fall as local times rise, so the first one that is late enough is the earliest.
        loop {
            local = next_local(local)?;
            let candidate = self.first_instant(local)?;
            if candidate > after {
                return milliseconds(candidate);
            }
            // The hour comes for the second time now: what is left of it was fired the first time.
            let change = self.0.preceding(after.checked_add(SECOND).ok()?).next()?.timestamp();
            let last = change.checked_sub(SECOND).ok()?;
            local = local.max(self.0.to_datetime(last));
        }
    }

    /// The first instant after `after_ms` at which the local clock shows one of the times of `next_local`.
    pub(super) fn next_shown(
        &self,
        after_ms: u64,
        next_local: impl Fn(DateTime) -> Option<DateTime>,
    ) -> Option<u64> {
        let after = instant(after_ms)?;
        let mut from = whole_second(self.0.to_datetime(after))?;
        let mut offset = self.0.to_offset(after);
        let mut changes = self.0.following(after);
        // Between two changes the local clock runs evenly; each change starts it again elsewhere.
        loop {
            let candidate = next_local(from).and_then(|local| offset.to_timestamp(local).ok());
            let Some(change) = changes.next() else { return candidate.and_then(milliseconds) };
            if let Some(candidate) = candidate.filter(|candidate| *candidate < change.timestamp()) {
                return milliseconds(candidate);
            }
            // A pattern that never comes again would follow the changes to the end of the calendar.
            candidate?;
            offset = change.offset();
            from = offset.to_datetime(change.timestamp()).checked_sub(SECOND).ok()?;
        }
    }

    fn first_instant(&self, local: DateTime) -> Option<Timestamp> {
        match self.0.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(local).ok(),
            AmbiguousOffset::Fold { before, .. } => before.to_timestamp(local).ok(),
            AmbiguousOffset::Gap { before, .. } => {
                let behind_the_gap = before.to_timestamp(local).ok()?.checked_add(SECOND).ok()?;
                Some(self.0.preceding(behind_the_gap).next()?.timestamp())
            }
        }
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.iana_name().unwrap_or("UTC"))
    }
}

fn instant(ms: u64) -> Option<Timestamp> {
    Timestamp::from_millisecond(i64::try_from(ms).ok()?).ok()
}

fn milliseconds(instant: Timestamp) -> Option<u64> {
    u64::try_from(instant.as_millisecond()).ok()
}

/// The last whole second: patterns know no finer times.
fn whole_second(local: DateTime) -> Option<DateTime> {
    local.with().subsec_nanosecond(0).build().ok()
}
