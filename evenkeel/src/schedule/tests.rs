use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::*;

const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 86_400_000;

fn ms(instant: &str) -> u64 {
    let instant: Timestamp = instant.parse().expect("an instant in UTC");
    u64::try_from(instant.as_millisecond()).expect("after 1970")
}

fn shown(ms: u64) -> String {
    Timestamp::from_millisecond(i64::try_from(ms).expect("a near time")).expect("a near time").to_string()
}

fn times(schedule: &Schedule, after_ms: u64, until_ms: u64) -> Vec<u64> {
    let next = |time: &u64| schedule.next_ms_after(*time, 0);
    std::iter::successors(schedule.next_ms_after(after_ms, 0), next)
        .take_while(|time| *time <= until_ms)
        .collect()
}

/// What the schedule names after one instant and up to another.
#[track_caller]
fn check(schedule: &str, after: &str, until: &str, expected: &[&str]) {
    let schedule: Schedule = schedule.parse().unwrap();
    let found: Vec<_> = times(&schedule, ms(after), ms(until)).into_iter().map(shown).collect();
    assert_eq!(found, expected, "{schedule}");
}

#[test]
fn a_time_that_does_not_exist_in_spring_is_fired_after_the_gap() {
    // 02:00 to 03:00 is missing in Berlin, at 01:00 UTC.
    let expected = ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"];
    for daily in
        ["daily 02:30 Europe/Berlin", "cron 30 2 * * * Europe/Berlin", "cron 0 30 2 * * * Europe/Berlin"]
    {
        check(daily, "2026-03-28T00:00:00Z", "2026-03-30T12:00:00Z", &expected);
    }
    // 02:00 to 03:00 is missing in New York, at 07:00 UTC.
    let expected = ["2026-03-07T07:30:00Z", "2026-03-08T07:00:00Z", "2026-03-09T06:30:00Z"];
    check("daily 02:30 America/New_York", "2026-03-07T00:00:00Z", "2026-03-09T12:00:00Z", &expected);
    // 02:00 to 02:30 is missing on Lord Howe Island, at 15:30 UTC of the day before.
    let expected = ["2026-10-02T15:45:00Z", "2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z"];
    check("daily 02:15 Australia/Lord_Howe", "2026-10-02T00:00:00Z", "2026-10-05T00:00:00Z", &expected);
}

#[test]
fn a_time_that_exists_twice_in_autumn_is_fired_the_first_time() {
    // 02:00 to 03:00 comes twice in Berlin, until 01:00 UTC and from then on.
    let expected = ["2026-10-24T00:30:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"];
    for daily in ["daily 02:30 Europe/Berlin", "cron 30 2 * * * Europe/Berlin"] {
        check(daily, "2026-10-24T00:00:00Z", "2026-10-26T12:00:00Z", &expected);
    }
    let expected = ["2026-10-31T05:30:00Z", "2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"];
    check("daily 01:30 America/New_York", "2026-10-31T00:00:00Z", "2026-11-02T12:00:00Z", &expected);
    // 01:30 to 02:00 comes twice on Lord Howe Island, until 15:00 UTC of the day before and from then on.
    let expected = ["2026-04-03T14:45:00Z", "2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z"];
    check("daily 01:45 Australia/Lord_Howe", "2026-04-03T00:00:00Z", "2026-04-06T00:00:00Z", &expected);
}

#[test]
fn asked_within_the_second_hour_it_does_not_repeat_the_first() {
    check("daily 02:30 Europe/Berlin", "2026-10-25T01:15:00Z", "2026-10-26T00:00:00Z", &[]);
    check("cron * * 2 * * * Europe/Berlin", "2026-10-25T01:00:00Z", "2026-10-26T00:00:00Z", &[]);
    let rest = ["2026-10-25T02:00:00Z", "2026-10-25T02:30:00Z"];
    check("cron 0,30 2,3 * * * Europe/Berlin", "2026-10-25T01:15:00Z", "2026-10-26T00:00:00Z", &rest);
}

#[test]
fn several_times_in_the_gap_are_one_firing() {
    let expected = ["2026-03-29T00:45:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:15:00Z"];
    check("cron */15 1-3 * * * Europe/Berlin", "2026-03-29T00:30:00Z", "2026-03-29T01:20:00Z", &expected);
    check(
        "cron 0 */2 * * * Europe/Berlin",
        "2026-03-28T23:00:00Z",
        "2026-03-29T02:00:00Z",
        &["2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"],
    );
}

#[test]
fn a_pattern_for_each_hour_follows_real_time() {
    for (schedule, after) in [
        ("cron */15 * * * * Europe/Berlin", "2026-03-29T00:00:00Z"),
        ("cron */15 * * * * Europe/Berlin", "2026-10-25T00:00:00Z"),
        ("cron */15 * * * * America/New_York", "2026-11-01T05:00:00Z"),
        ("cron */15 * * * * Australia/Lord_Howe", "2026-04-04T14:00:00Z"),
        ("cron */15 * * * * Australia/Lord_Howe", "2026-10-03T14:00:00Z"),
        ("cron */15 0-23 * * * Asia/Kathmandu", "2026-10-03T14:00:00Z"),
    ] {
        let schedule: Schedule = schedule.parse().unwrap();
        let after_ms = ms(after);
        let expected: Vec<_> = (1..=12).map(|quarter| after_ms + quarter * 15 * MINUTE_MS).collect();
        assert_eq!(times(&schedule, after_ms, after_ms + 180 * MINUTE_MS), expected, "{schedule} {after}");
    }
    check(
        "cron 30 * * * * Europe/Berlin",
        "2026-10-25T00:00:00Z",
        "2026-10-25T02:00:00Z",
        &["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"],
    );
}

#[test]
fn a_zone_without_summer_time_keeps_its_quarter() {
    let expected = ["2026-03-29T03:45:00Z", "2026-03-30T03:45:00Z"];
    check("daily 09:30 Asia/Kathmandu", "2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z", &expected);
}

#[test]
fn a_day_that_a_zone_leaves_out_is_fired_at_the_next() {
    // Samoa had no 30 December 2011.
    let expected = ["2011-12-29T19:00:00Z", "2011-12-30T10:00:00Z", "2011-12-30T19:00:00Z"];
    check("daily 09:00 Pacific/Apia", "2011-12-29T00:00:00Z", "2011-12-31T00:00:00Z", &expected);
}

#[test]
fn days_are_those_of_the_calendar() {
    let (after, until) = ("2026-01-01T00:00:00Z", "2029-01-01T00:00:00Z");
    check("cron 0 0 29 2 *", after, until, &["2028-02-29T00:00:00Z"]);
    let months = ["2026-01-31T00:00:00Z", "2026-02-28T00:00:00Z", "2026-03-31T00:00:00Z"];
    check("cron 0 0 L * *", after, "2026-04-01T00:00:00Z", &months);
    check(
        "cron 0 0 31 * *",
        after,
        "2026-05-01T00:00:00Z",
        &["2026-01-31T00:00:00Z", "2026-03-31T00:00:00Z"],
    );
    check(
        "cron 0 0 * * FRI#L",
        after,
        "2026-02-28T00:00:00Z",
        &["2026-01-30T00:00:00Z", "2026-02-27T00:00:00Z"],
    );
    check(
        "cron 0 0 * * 5L",
        after,
        "2026-02-28T00:00:00Z",
        &["2026-01-30T00:00:00Z", "2026-02-27T00:00:00Z"],
    );
    check(
        "cron 0 0 * * 1#2",
        after,
        "2026-02-28T00:00:00Z",
        &["2026-01-12T00:00:00Z", "2026-02-09T00:00:00Z"],
    );
    check(
        "cron 0 0 15W * *",
        after,
        "2026-02-28T00:00:00Z",
        &["2026-01-15T00:00:00Z", "2026-02-16T00:00:00Z"],
    );
    let sundays = ["2026-01-04T00:00:00Z", "2026-01-11T00:00:00Z"];
    for sunday in ["0", "7", "sun"] {
        check(&format!("cron 0 0 * * {sunday}"), after, "2026-01-12T00:00:00Z", &sundays);
    }
    // Either day is enough.
    let either = ["2026-01-03T00:00:00Z", "2026-01-04T00:00:00Z"];
    check("cron 0 0 3 * SUN", after, "2026-01-05T00:00:00Z", &either);
}

#[test]
fn intervals_count_from_their_anchor() {
    let schedule = Schedule::every(Duration::from_secs(90));
    for (after_ms, next_ms) in [(0, 91_000), (1_000, 91_000), (90_999, 91_000), (91_000, 181_000)] {
        assert_eq!(schedule.next_ms_after(after_ms, 1_000), Some(next_ms), "after {after_ms}");
    }
    assert_eq!(schedule.next_ms_after(u64::MAX, 0), None);
    assert_eq!(Schedule::every(Duration::MAX).next_ms_after(5, 1), None);
    assert_eq!(Schedule::every(Duration::from_nanos(1)).next_ms_after(5, 1), Some(6));
}

#[test]
fn the_earliest_of_several_comes_first_and_those_that_meet_are_one() {
    check(
        "daily 12:00 | cron 0 12 * * THU | every 18h",
        "1970-01-01T00:00:00Z",
        "1970-01-02T20:00:00Z",
        &["1970-01-01T12:00:00Z", "1970-01-01T18:00:00Z", "1970-01-02T12:00:00Z"],
    );
}

#[test]
fn a_time_between_seconds_does_not_repeat_its_second() {
    let schedule: Schedule = "cron * * * * * *".parse().unwrap();
    assert_eq!(schedule.next_ms_after(10_999, 0), Some(11_000));
    assert_eq!(schedule.next_ms_after(11_000, 0), Some(12_000));
    assert_eq!(schedule.next_ms_after(u64::MAX, 0), None);
    assert_eq!("daily 00:00".parse::<Schedule>().unwrap().next_ms_after(1 << 62, 0), None);
}

#[test]
fn schedules_are_written_as_they_are_read() {
    for text in [
        "every 90s",
        "every 1m",
        "every 1d",
        "every 1500ms",
        "daily 09:30",
        "daily 09:30 Europe/Berlin",
        "daily 00:00 UTC",
        "cron */5 * * * 1-5",
        "cron */5 * * * 1-5 Europe/Berlin",
        "cron 15 */5 * * * MON-FRI",
        "cron 15 */5 * * * MON-FRI/2 MST",
        "cron 0 9 L * FRI#L Asia/Kathmandu",
        "every 90s | daily 09:30 Europe/Berlin | cron 0 0 1 JAN *",
    ] {
        let schedule: Schedule = text.parse().unwrap();
        assert_eq!(schedule.to_string(), text);
        let written = serde_json::to_string(&schedule).unwrap();
        assert_eq!(written, format!("{text:?}"));
        assert_eq!(serde_json::from_str::<Schedule>(&written).unwrap(), schedule);
    }
    let loose: Schedule = " every   60s|cron  0  9 * * mon   europe/berlin ".parse().unwrap();
    assert_eq!(loose.to_string(), "every 1m | cron 0 9 * * MON Europe/Berlin");
    let built = Schedule::any([
        Schedule::every(Duration::from_secs(60)),
        Schedule::cron("0 9 * * MON").unwrap().in_zone("Europe/Berlin").unwrap(),
    ]);
    assert_eq!(built, loose);
}

#[test]
fn a_zone_is_given_to_what_has_none() {
    let both = Schedule::any([
        Schedule::daily("09:30").unwrap().in_zone("Asia/Kathmandu").unwrap(),
        Schedule::daily("09:30").unwrap(),
    ]);
    let zoned = both.in_zone("Europe/Berlin").unwrap();
    assert_eq!(zoned.to_string(), "daily 09:30 Asia/Kathmandu | daily 09:30 Europe/Berlin");
    let error = zoned.in_zone("UTC").unwrap_err().to_string();
    assert!(error.contains("has no local time without a zone"), "{error}");
    assert!(Schedule::every(GRACE).in_zone("Europe/Berlin").is_err());
}

#[test]
fn an_error_names_the_text_the_place_and_an_example() {
    for (text, column, found, problem) in [
        ("every 90", 7, "90", "not a whole number with ms, s, m, h or d"),
        ("every 1.5h", 7, "1.5h", "not a whole number"),
        ("every s", 7, "s", "not a whole number"),
        ("every 0s", 7, "0s", "an interval of zero"),
        ("every 99999999999999999d", 7, "99999999999999999d", "too long"),
        ("daily 9:30", 7, "9:30", "not a time from 00:00 to 23:59"),
        ("daily 24:00", 7, "24:00", "not a time"),
        ("daily 09:30 Berlin", 13, "Berlin", "no time zone"),
        ("daily 09:30 UTC UTC", 17, "UTC", "one zone is enough"),
        ("every 1m | cron 0 25 * * *", 19, "25", "no hour"),
        ("cron 0 0 * * FRY", 14, "FRY", "no day of the week: names are `SUN` to `SAT`"),
        ("cron 0 0 * * * FRY", 16, "FRY", "no time zone"),
        ("cron 0 0 * * 8", 14, "8", "no day of the week"),
        ("cron 61 0 0 * * *", 6, "61", "no second"),
        ("cron 0 0 * *", 6, "0 0 * *", "4 fields, where cron has 5"),
        ("cron 0 0 0 * * * *", 6, "0 0 0 * * * *", "7 fields"),
        ("cron @reboot", 6, "@reboot", "a start is no time"),
        ("cron @fortnightly", 6, "@fortnightly", "none of `@hourly`"),
        ("cron */61 * * * *", 6, "*/61", "a step of 61 leaves only the value 0"),
        ("cron 0 */24 * * *", 8, "*/24", "a step of 24 leaves only the value 0"),
        ("cron 10-20/11 * * * *", 6, "10-20/11", "a step of 11 leaves only the value 10"),
        ("cron */0 * * * *", 6, "*/0", "a step of zero"),
        ("cron */x * * * *", 6, "*/x", "no number behind the `/`"),
        ("cron 1,,2 * * * *", 6, "1,,2", "an empty place in a list"),
        ("cron 0 22-2 * * *", 8, "22-2", "a range that runs backwards: write `22-23,0-2`"),
        ("cron 0 0 * * FRI-MON", 14, "FRI-MON", "a range that runs backwards: write `5-6,0-1`"),
        ("cron 0 0 30 2 *", 6, "0 0 30 2 *", "no day is like this"),
        ("cron 0 0 * * * Europe/Berlinn", 16, "Europe/Berlinn", "no time zone"),
        ("hourly", 1, "hourly", "neither `every`, `daily` nor `cron`"),
        ("every 1m |", 11, "", "neither"),
        ("every 1m 2m", 1, "every 1m 2m", "neither"),
        ("", 1, "", "neither"),
        ("tägl", 1, "tägl", "neither"),
    ] {
        let error = text.parse::<Schedule>().unwrap_err().to_string();
        assert!(error.contains(&format!("`{text}`, column {column}, `{found}`: {problem}")), "{error}");
        assert!(error.contains("for example `") && !error.contains('\n'), "{error}");
    }
    let error = Schedule::cron(&"9 ".repeat(10_000)).unwrap_err().to_string();
    assert!(error.len() < 400 && error.contains("longer than 256 bytes"), "{error}");
    assert!("daily\n 25:00".parse::<Schedule>().unwrap_err().to_string().contains("daily\\n 25:00"));
}

#[test]
fn names_stand_in_the_fields_of_months_and_days_of_the_week_whole() {
    let day = "a day of the week stands in the last field";
    let month = "a month stands in the field before the last";
    let (days, months) = ("names are `SUN` to `SAT`", "names are `JAN` to `DEC`");
    for (fields, problem) in [
        ("0 0 * MON *", format!("no month: {day}")),
        ("0 MON * * *", format!("no hour: {day}")),
        ("JAN 0 * * *", format!("no minute: {month}")),
        ("0 0 JAN * *", format!("no day of the month: {month}")),
        ("MON0 0 * * *", "no minute".into()),
        ("0 0 1JAN * *", "no day of the month".into()),
        ("0 0 * * JAN", format!("no day of the week: {month}")),
        ("0 0 * 1FEB *", format!("no month: {months}")),
        ("0 0 * JANFEB *", format!("no month: {months}")),
        ("0 0 * JANJAN *", format!("no month: {months}")),
        ("0 0 * JANFEB,MAR *", format!("no month: {months}")),
        ("0 0 * 1JAN-FEB *", format!("no month: {months}")),
        ("0 0 * * SUNMON", format!("no day of the week: {days}")),
        ("0 0 * * 0MON", format!("no day of the week: {days}")),
        ("0 0 * * SUN1", format!("no day of the week: {days}")),
        ("0 0 * * 2#MON", format!("no day of the week: {days}")),
        ("0 0 * * \u{17f}un", format!("no day of the week: {days}")),
        ("0 9 * * monday", "no day of the week: write `MON`".into()),
        ("0 0 9 * * Sunday", "no day of the week: write `SUN`".into()),
        ("0 9 * * monday,tuesday", "no day of the week: write `MON`".into()),
        ("0 9 * * thurs-fri", "no day of the week: write `THU`".into()),
        ("0 0 * Sept *", "no month: write `SEP`".into()),
    ] {
        for error in [format!("cron {fields}").parse::<Schedule>(), Schedule::cron(fields)] {
            let error = error.unwrap_err().to_string();
            assert!(error.contains(&format!("`: {problem}")), "{fields}: {error}");
        }
    }
    for fields in [
        "0 0 * jan,FEB-Apr *",
        "0 0 L * *",
        "0 0 15W * *",
        "0 0 * * mon,tue,Wed",
        "0 0 * * 5L",
        "0 0 * * MONL",
        "0 0 * * FRI#L",
        "0 0 * * 5#2",
        "0 0 * * MON-5",
        "0 0 ? * ?",
    ] {
        Schedule::cron(fields).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn what_a_refusal_says_to_write_is_read() {
    for (text, right) in [
        ("cron 0 0 * * 7-2", "0-2"),
        ("cron 0 0 * * 6-2", "6,0-2"),
        ("cron 0 0 * * SAT-SUN", "6,0"),
        ("cron 50-10/5 * * * *", "50,55,0,5,10"),
        ("cron 0 22-3/2 * * *", "22,0,2"),
        ("cron 0 0 * 11-2/1 *", "11-12,1-2"),
        ("@daily", "cron @daily"),
        ("0 9 * * *", "cron 0 9 * * *"),
        ("*/5 * * * 1-5 Europe/Berlin", "cron */5 * * * 1-5 Europe/Berlin"),
        ("every 1m | @weekly", "cron @weekly"),
    ] {
        let error = text.parse::<Schedule>().unwrap_err().to_string();
        assert!(error.contains(&format!("write `{right}`")), "{error}");
        let mended = match right.starts_with("cron") {
            true => right.to_owned(),
            false => {
                text.split(' ').map(|w| if w.contains('-') { right } else { w }).collect::<Vec<_>>().join(" ")
            }
        };
        mended.parse::<Schedule>().unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn a_zone_in_front_is_told_where_it_stands() {
    for name in ["TZ", "CRON_TZ", "tz"] {
        let fields = format!("{name}=Europe/Berlin 0 0 * * *");
        for error in [format!("cron {fields}").parse::<Schedule>(), Schedule::cron(&fields)] {
            let error = error.unwrap_err().to_string();
            assert!(
                error.contains("a zone stands behind the fields, as in `0 9 * * * Europe/Berlin`"),
                "{error}"
            );
        }
    }
    for zone in ["Europe/Berlin", "America/Montevideo", "UTC", "W-SU", "Libya"] {
        format!("cron 0 0 * * * {zone}").parse::<Schedule>().unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn a_name_with_an_at_stands_for_its_pattern() {
    for (name, pattern) in [
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
        ("@monthly", "0 0 1 * *"),
        ("@weekly", "0 0 * * 0"),
        ("@daily", "0 0 * * *"),
        ("@Midnight", "0 0 * * *"),
        ("@hourly", "0 * * * *"),
    ] {
        assert_eq!(Schedule::cron(name).unwrap(), Schedule::cron(pattern).unwrap(), "{name}");
    }
    let there = "cron @daily Europe/Berlin".parse::<Schedule>().unwrap();
    assert_eq!(there.to_string(), "cron 0 0 * * * Europe/Berlin");
}

/// Seeds are fixed; a failure prints the input that it shrank to.
fn fixed_seed(cases: u32) -> ProptestConfig {
    ProptestConfig {
        rng_seed: RngSeed::Fixed(7),
        failure_persistence: None,
        cases,
        ..ProptestConfig::default()
    }
}

/// One field of a pattern, and the numbers that it stands for.
fn field(least: u32, most: u32) -> impl Strategy<Value = (String, BTreeSet<u32>)> {
    let all = move |step: u32| (least..=most).step_by(step as usize).collect::<BTreeSet<_>>();
    prop_oneof![
        3 => Just(("*".to_owned(), all(1))),
        2 => (least..=most).prop_map(|number| (number.to_string(), BTreeSet::from([number]))),
        2 => (2..=most - least).prop_map(move |step| (format!("*/{step}"), all(step))),
        1 => (least..=most, least..=most).prop_map(|(one, other)| {
            let (low, high) = (one.min(other), one.max(other));
            (format!("{low}-{high}"), (low..=high).collect())
        }),
        1 => prop::collection::btree_set(least..=most, 1..4).prop_map(|numbers| {
            let texts: Vec<_> = numbers.iter().map(u32::to_string).collect();
            (texts.join(","), numbers)
        }),
    ]
}

/// The next minute that the sets name, looked for minute by minute on the days that fit.
fn brute_force(sets: &[BTreeSet<u32>; 5], is_either: bool, after_ms: u64, until_ms: u64) -> Option<u64> {
    let holds = |set: &BTreeSet<u32>, value: i8| set.contains(&u32::try_from(value).expect("never negative"));
    let is_day = |ms: u64| {
        let instant = Timestamp::from_millisecond(i64::try_from(ms).expect("near")).expect("near");
        let local = jiff::tz::Offset::UTC.to_datetime(instant);
        let (by_date, by_week) =
            (holds(&sets[2], local.day()), holds(&sets[4], local.weekday().to_sunday_zero_offset()));
        let is_named = if is_either { by_date || by_week } else { by_date && by_week };
        is_named && holds(&sets[3], local.month())
    };
    let is_minute = |ms: &u64| {
        let minute = u32::try_from(ms % DAY_MS / MINUTE_MS).expect("minutes of a day");
        sets[0].contains(&(minute % 60)) && sets[1].contains(&(minute / 60))
    };
    let first = (after_ms / MINUTE_MS + 1) * MINUTE_MS;
    let days = (first / DAY_MS * DAY_MS..=until_ms).step_by(DAY_MS as usize).filter(|day| is_day(*day));
    let minutes = days.flat_map(|day| (day..day + DAY_MS).step_by(MINUTE_MS as usize));
    minutes.skip_while(|ms| *ms < first).take_while(|ms| *ms <= until_ms).find(is_minute)
}

/// Zones, each with an instant at which its clocks changed.
fn change() -> impl Strategy<Value = (&'static str, u64)> {
    let changes = [
        ("Europe/Berlin", "2026-03-29T01:00:00Z"),
        ("Europe/Berlin", "2026-10-25T01:00:00Z"),
        ("America/New_York", "2026-03-08T07:00:00Z"),
        ("America/New_York", "2026-11-01T06:00:00Z"),
        ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
        ("Australia/Lord_Howe", "2026-10-03T15:30:00Z"),
        ("America/Santiago", "2026-04-05T03:00:00Z"),
        ("America/Santiago", "2026-09-06T04:00:00Z"),
        ("Africa/Casablanca", "2026-02-15T02:00:00Z"),
        ("Pacific/Apia", "2011-12-30T10:00:00Z"),
        ("Asia/Kathmandu", "1985-12-31T18:30:00Z"),
        ("UTC", "2026-03-29T01:00:00Z"),
    ];
    prop::sample::select(changes.map(|(zone, change)| (zone, ms(change))).to_vec())
}

/// Any schedule, also those with clocks that change.
fn any_schedule() -> impl Strategy<Value = Schedule> {
    let zone = prop::sample::select(vec![
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "Asia/Kathmandu",
        "Pacific/Apia",
        "Africa/Casablanca",
    ]);
    let time = (0..24_u32, 0..60_u32).prop_map(|(hour, minute)| format!("daily {hour:02}:{minute:02}"));
    let pattern =
        (field(0, 59), field(0, 23)).prop_map(|(minute, hour)| format!("cron {} {} * * *", minute.0, hour.0));
    let seconds = prop::sample::select(vec!["15", "*/20"]);
    let second = (seconds, field(0, 59), field(0, 23))
        .prop_map(|(second, minute, hour)| format!("cron {second} {} {} * * *", minute.0, hour.0));
    let local =
        (prop_oneof![time, pattern, second], zone).prop_map(|(times, zone)| format!("{times} {zone}"));
    let interval = (1..5_000_u64).prop_map(|seconds| format!("every {seconds}s"));
    let part = prop_oneof![3 => local, 1 => interval];
    prop::collection::vec(part, 1..3).prop_map(|parts| parts.join(" | ").parse().expect("a schedule"))
}

fn any_misfire() -> impl Strategy<Value = Misfire> {
    prop_oneof![
        Just(Misfire::FireOnce),
        Just(Misfire::Skip),
        (0..5_u32).prop_map(|most| Misfire::FireAll { most }),
        Just(Misfire::FireAll { most: u32::MAX }),
    ]
}

/// Around the changes of the clocks in 2026, and anywhere in forty years.
fn any_instant() -> impl Strategy<Value = u64> {
    let changes =
        ["2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z", "2026-11-01T06:00:00Z", "2026-04-04T15:00:00Z"];
    let near = (prop::sample::select(changes.map(ms).to_vec()), 0..DAY_MS / 4)
        .prop_map(|(change, off)| change - DAY_MS / 8 + off);
    prop_oneof![near, ms("2000-01-01T00:00:00Z")..ms("2040-01-01T00:00:00Z")]
}

proptest! {
    #![proptest_config(fixed_seed(300))]

    #[test]
    fn cron_in_utc_is_what_a_search_by_the_minute_finds(
        fields in (field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 6)),
        after_ms in any_instant(),
    ) {
        let (minute, hour, date, month, week) = fields;
        let text = [&*minute.0, &*hour.0, &*date.0, &*month.0, &*week.0].join(" ");
        let is_either = date.0 != "*" && week.0 != "*";
        let sets = [minute.1, hour.1, date.1, month.1, week.1];
        let Ok(schedule) = Schedule::cron(&text) else {
            // Only days such as 31 February are refused.
            prop_assert_eq!(brute_force(&sets, is_either, ms("2024-01-01T00:00:00Z"), ms("2025-01-01T00:00:00Z")), None);
            return Ok(());
        };
        let until_ms = after_ms + 400 * DAY_MS;
        let next = schedule.next_ms_after(after_ms, 0).filter(|next| *next <= until_ms);
        prop_assert_eq!(next, brute_force(&sets, is_either, after_ms, until_ms), "{}", text);
    }

    #[test]
    fn around_a_change_it_is_what_a_look_at_the_clock_each_minute_finds(
        minute in field(0, 59), hour in field(0, 23), change in change(),
    ) {
        let (zone, change_ms) = change;
        let schedule = Schedule::cron(&format!("{} {} * * *", minute.0, hour.0)).unwrap().in_zone(zone).unwrap();
        let rules = jiff::tz::TimeZoneDatabase::bundled().get(zone).unwrap();
        let (from_ms, until_ms) = (change_ms - 2 * DAY_MS, change_ms + 2 * DAY_MS);
        let clock = |ms: u64| {
            let instant = Timestamp::from_millisecond(i64::try_from(ms).unwrap()).unwrap();
            rules.to_datetime(instant)
        };
        let matches = |local: &jiff::civil::DateTime| {
            let holds = |set: &BTreeSet<u32>, value: i8| set.contains(&u32::try_from(value).unwrap());
            holds(&minute.1, local.minute()) && holds(&hour.1, local.hour())
        };
        let mut reached = clock(from_ms);
        let expected = (from_ms + MINUTE_MS..=until_ms).step_by(MINUTE_MS as usize).filter(|ms| {
            let local = clock(*ms);
            if hour.1.len() == 24 {
                return matches(&local);
            }
            // Each local time counts when the clock first comes to it or past it.
            let new = reached.series(jiff::Span::new().minutes(1)).skip(1);
            let is_fired = new.take_while(|new| *new <= local).any(|new| matches(&new));
            reached = reached.max(local);
            is_fired
        });
        let expected: Vec<_> = expected.map(shown).collect();
        let found: Vec<_> = times(&schedule, from_ms, until_ms).into_iter().map(shown).collect();
        prop_assert_eq!(found, expected, "{}", schedule);
    }

    #[test]
    fn the_next_time_is_later_and_nothing_lies_between(
        schedule in any_schedule(), after_ms in any_instant(), share in 0..1_000_u64,
    ) {
        let anchor_ms = ms("1999-12-31T23:59:59Z");
        let mut last = after_ms;
        for _ in 0..50 {
            let next = schedule.next_ms_after(last, anchor_ms).expect("these never end");
            prop_assert!(next > last, "{schedule}: {next} after {last}");
            let between = last + (next - last) * share / 1_000;
            prop_assert_eq!(schedule.next_ms_after(between, anchor_ms), Some(next), "{}", schedule);
            last = next;
        }
    }

    #[test]
    fn schedules_survive_being_written(schedule in any_schedule()) {
        prop_assert_eq!(schedule.to_string().parse::<Schedule>().unwrap(), schedule);
    }

    #[test]
    fn any_text_is_read_or_refused_in_one_line(text in "(every|daily|cron|)[ a-zA-Z0-9:*/,#|é-]{0,30}") {
        match text.parse::<Schedule>() {
            Ok(schedule) => prop_assert_eq!(schedule.to_string().parse::<Schedule>().unwrap(), schedule),
            Err(error) => prop_assert_eq!(error.to_string().lines().count(), 1),
        }
    }

    #[test]
    fn each_time_is_fired_or_skipped_and_never_twice(
        schedule in any_schedule(), misfire in any_misfire(), start_ms in any_instant(),
        pauses in prop::collection::vec(prop_oneof![0..2_000_u64, 0..180_000_u64, 0..2 * DAY_MS], 1..12),
    ) {
        let mut due_ms = schedule.next_ms_after(start_ms, start_ms).expect("these never end");
        let (mut now_ms, mut seen) = (start_ms, Vec::new());
        for pause_ms in pauses {
            now_ms += pause_ms;
            let found = due(&schedule, start_ms, due_ms, now_ms, misfire);
            prop_assert!(found.fire.len() <= MOST_FIRINGS);
            if let Some(Skipped { first_ms, last_ms }) = found.skipped {
                prop_assert_eq!(first_ms, due_ms);
                let next = |time: &u64| schedule.next_ms_after(*time, start_ms);
                seen.extend(std::iter::successors(Some(first_ms), next).take_while(|time| *time <= last_ms));
                prop_assert_eq!(seen.last(), Some(&last_ms));
            }
            seen.extend(&found.fire);
            due_ms = found.next_ms.expect("these never end");
            prop_assert!(due_ms > now_ms);
        }
        let next = |time: &u64| schedule.next_ms_after(*time, start_ms);
        let all = std::iter::successors(schedule.next_ms_after(start_ms, start_ms), next);
        let all: Vec<_> = all.take_while(|time| *time <= now_ms).collect();
        prop_assert_eq!(seen, all, "{}", schedule);
    }
}

fn every_second() -> Schedule {
    Schedule::every(Duration::from_secs(1))
}

#[test]
fn a_firing_within_the_grace_is_not_missed() {
    let hourly = Schedule::every(Duration::from_secs(3_600));
    for misfire in [Misfire::FireOnce, Misfire::Skip, Misfire::FireAll { most: 0 }] {
        let found = due(&hourly, 0, 3_600_000, 3_660_000, misfire);
        assert_eq!((found.fire, found.skipped, found.next_ms), (vec![3_600_000], None, Some(7_200_000)));
    }
    let early = due(&hourly, 0, 3_600_000, 3_599_999, Misfire::FireOnce);
    assert_eq!(early, Firings { next_ms: Some(3_600_000), ..Firings::default() });
}

#[test]
fn the_policy_says_what_is_made_up_for() {
    let hourly = Schedule::every(Duration::from_secs(3_600));
    let hours = |hours: &[u64]| hours.iter().map(|hour| hour * 3_600_000).collect::<Vec<_>>();
    // Hours 1 to 5 have come due; hour 5 by half a minute.
    let at = |misfire| {
        let found = due(&hourly, 0, 3_600_000, 5 * 3_600_000 + 30_000, misfire);
        assert_eq!(found.next_ms, Some(6 * 3_600_000));
        (found.fire, found.skipped.map(|skipped| (skipped.first_ms / 3_600_000, skipped.last_ms / 3_600_000)))
    };
    assert_eq!(at(Misfire::FireOnce), (hours(&[5]), Some((1, 4))));
    assert_eq!(at(Misfire::Skip), (hours(&[5]), Some((1, 4))));
    assert_eq!(at(Misfire::FireAll { most: 2 }), (hours(&[3, 4, 5]), Some((1, 2))));
    assert_eq!(at(Misfire::FireAll { most: 9 }), (hours(&[1, 2, 3, 4, 5]), None));
    let found = due(&hourly, 0, 3_600_000, 5 * 3_600_000 + 90_000, Misfire::Skip);
    assert_eq!((found.fire, found.skipped.map(|skipped| skipped.last_ms)), (vec![], Some(5 * 3_600_000)));
}

#[test]
fn what_was_missed_and_what_was_skipped_are_known_to_the_millisecond() {
    let schedule: Schedule = "every 30s".parse().unwrap();
    assert_eq!(due(&schedule, 0, 30_000, 90_000, Misfire::FireOnce).fire, [30_000, 60_000, 90_000]);
    assert_eq!(due(&schedule, 0, 30_000, 90_001, Misfire::FireOnce).fire, [90_000]);
    let finest = due(&Schedule::every(Duration::from_millis(1)), 0, 1, 100_000, Misfire::FireOnce);
    assert_eq!((finest.fire, finest.next_ms), (vec![100_000], Some(100_001)));
    assert_eq!(finest.skipped, Some(Skipped { first_ms: 1, last_ms: 99_999 }));
}

#[test]
fn ten_years_at_one_a_second_are_found_by_few_questions() {
    let now_ms = 10 * 365 * DAY_MS;
    for schedule in [every_second(), "cron * * * * * * Europe/Berlin".parse().unwrap()] {
        let once = due(&schedule, 0, 1_000, now_ms, Misfire::FireOnce);
        assert_eq!(once.fire, [now_ms]);
        assert_eq!(once.skipped, Some(Skipped { first_ms: 1_000, last_ms: now_ms - 1_000 }));
        let all = due(&schedule, 0, 1_000, now_ms, Misfire::FireAll { most: u32::MAX });
        assert_eq!(all.fire.len(), MOST_FIRINGS);
        assert_eq!((all.fire[0], all.next_ms), (now_ms - 999_000, Some(now_ms + 1_000)));
    }
}

#[test]
fn a_stored_time_counts_though_the_schedule_was_changed() {
    let found = due(&Schedule::daily("09:30").unwrap(), 0, 123_456, 123_456, Misfire::FireOnce);
    assert_eq!((found.fire, found.next_ms), (vec![123_456], Some(34_200_000)));
}

#[test]
fn policies_have_names_in_a_record() {
    let written =
        serde_json::to_string(&(Misfire::FireOnce, Misfire::FireAll { most: 3 }, Overlap::Queue)).unwrap();
    assert_eq!(written, r#"["fire_once",{"fire_all":{"most":3}},"queue"]"#);
    assert_eq!((Misfire::default(), Overlap::default()), (Misfire::FireOnce, Overlap::Skip));
}

const SECOND: Duration = Duration::from_secs(1);

const HOUR: Duration = Duration::from_secs(3_600);

#[test]
fn a_clock_behind_the_record_is_waited_for() {
    let mut clock = SteadyClock::new(1_000_000);
    let reading = clock.read(900_000, SECOND);
    assert_eq!(reading.now_ms, 1_000_000);
    assert_eq!((reading.step, reading.behind), (Some(Step::Back(100 * SECOND)), 100 * SECOND));
    let reading = clock.read(902_000, 3 * SECOND);
    assert_eq!((reading.now_ms, reading.step), (1_001_800, None));
    // Set right again, to a little less than was told: time stands still until it is reached.
    let reading = clock.read(1_000_000, 4 * SECOND);
    assert_eq!((reading.now_ms, reading.step), (1_001_800, Some(Step::Forward(97 * SECOND))));
    assert_eq!(clock.read(1_002_000, 6 * SECOND).now_ms, 1_002_000);
}

#[test]
fn a_wrong_reading_leaves_no_trace() {
    let day = 24 * HOUR;
    for wrong in [10 * SECOND, 2 * HOUR, 4_000 * day] {
        let mut clock = SteadyClock::new(0);
        let begin_ms = 1_800_000_000_000;
        clock.read(begin_ms, Duration::ZERO);
        for second in 1..1_000 {
            let right_ms = begin_ms + second * 1_000;
            let is_wrong = (300..350).contains(&second);
            let read_ms = if is_wrong { right_ms + wrong.as_millis() as u64 } else { right_ms };
            assert_eq!(clock.read(read_ms, Duration::from_secs(second)).now_ms, right_ms, "{wrong:?}");
        }
    }
}

#[test]
fn a_clock_that_stays_where_it_was_set_is_followed_in_the_end() {
    // Set forward or far back: after a minute. Set back by less: when it has caught up.
    let cases = [(HOUR, true, 61), (HOUR, false, 36_000), (10 * SECOND, false, 100), (30 * HOUR, false, 61)];
    for (by, is_forward, seconds) in cases {
        let (mut clock, begin_ms) = (SteadyClock::new(0), 1_800_000_000_000);
        clock.read(begin_ms, Duration::ZERO);
        let by_ms = by.as_millis() as u64;
        let wall_ms = |second| {
            let right_ms = begin_ms + second * 1_000;
            if is_forward { right_ms + by_ms } else { right_ms - by_ms }
        };
        let followed = (1..=seconds).find(|second| {
            let reading = clock.read(wall_ms(*second), Duration::from_secs(*second));
            reading.now_ms == wall_ms(*second)
        });
        let followed = followed.unwrap_or_else(|| panic!("{by:?} is never followed"));
        assert!(followed + seconds / 2 >= seconds, "not at once: {followed} of {seconds}");
    }
}

#[test]
fn time_goes_on_by_less_than_a_millisecond_at_once() {
    let mut clock = SteadyClock::new(1_000_000);
    let told = (0..=10_000_u32).map(|tenth| clock.read(0, Duration::from_micros(100) * tenth).now_ms).max();
    assert_eq!(told, Some(1_000_900));
}

#[test]
fn a_pause_before_the_start_is_no_step() {
    let reading = SteadyClock::new(1_000_000).read(9_000_000, Duration::ZERO);
    assert_eq!((reading.now_ms, reading.step, reading.behind), (9_000_000, None, Duration::ZERO));
}

/// What happens between two readings: time passes, and somebody sets the clock.
fn any_moves() -> impl Strategy<Value = Vec<(u64, i64)>> {
    let set = prop_oneof![12 => Just(0_i64), 2 => -6_000..6_000_i64, 1 => -90_000_000..90_000_000_i64];
    prop::collection::vec((0..30_000_u64, set), 1..60)
}

proptest! {
    #![proptest_config(fixed_seed(1_000))]

    #[test]
    fn time_goes_on_evenly_and_every_step_is_reported_once(
        latest_off in -20_000_i64..20_000, moves in any_moves(),
    ) {
        let begin: i64 = 1_000_000_000_000;
        let latest_ms = u64::try_from(begin + latest_off).unwrap();
        let mut clock = SteadyClock::new(latest_ms);
        let (mut wall, mut passed_ms) = (begin, 7_u64);
        let first = clock.read(u64::try_from(wall).unwrap(), Duration::from_millis(passed_ms));
        prop_assert_eq!(first.step.is_some(), latest_off > 2_000);
        let (mut told_ms, mut unreported, mut quiet_ms) = (first.now_ms, 0_i64, 0);
        prop_assert!(told_ms >= latest_ms);
        for (pause_ms, set_ms) in moves {
            passed_ms += pause_ms;
            wall += i64::try_from(pause_ms).unwrap() + set_ms;
            unreported += set_ms;
            let wall_ms = u64::try_from(wall).unwrap();
            let reading = clock.read(wall_ms, Duration::from_millis(passed_ms));
            let now_ms = reading.now_ms;
            prop_assert_eq!(reading.behind, Duration::from_millis(now_ms.saturating_sub(wall_ms)));
            quiet_ms = if reading.step.is_some() { 0 } else { quiet_ms + pause_ms };
            let is_believed = quiet_ms >= CONFIRMATION.as_millis() as u64;
            if now_ms < told_ms {
                prop_assert!(is_believed && now_ms == wall_ms && told_ms - wall_ms > 6 * 3_600_000 - pause_ms);
            } else if now_ms > told_ms + pause_ms + 2_000 {
                prop_assert!(is_believed && now_ms == wall_ms, "{} is {} too far", now_ms, now_ms - told_ms);
            } else if wall_ms + 5_000 < told_ms {
                prop_assert!(now_ms + 1 >= told_ms + pause_ms / 10 * 9, "it hardly goes on");
            } else {
                prop_assert!(now_ms <= wall_ms.max(told_ms + pause_ms));
            }
            match reading.step {
                Some(Step::Forward(by)) => prop_assert_eq!(i128::from(unreported), by.as_millis() as i128),
                Some(Step::Back(by)) => prop_assert_eq!(i128::from(-unreported), by.as_millis() as i128),
                None => prop_assert!(unreported.abs() <= 2_000),
            }
            if reading.step.is_some() {
                unreported = 0;
            }
            told_ms = reading.now_ms;
        }
    }
}
