//! Cron patterns over local times; the crate `croner` reads and searches them.

use std::fmt;

use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::{DateTime, date};

use super::field;
use super::text;
use crate::error::Result;

const EXAMPLE: &str = "*/5 * * * 1-5";

/// How long a pattern may be, in bytes.
const LONGEST: usize = 256;

/// A cron pattern of five or six fields.
#[derive(Clone)]
pub(super) struct Cron {
    /// In upper case, with one space between fields.
    text: String,
    pattern: croner::Cron,
}

impl Cron {
    /// `fields` is a piece of `whole`, which errors name.
    pub(super) fn new(whole: &str, fields: &str) -> Result<Self> {
        let wrong = |found: &str, problem: &str| text::wrong(whole, found, problem, EXAMPLE);
        if fields.len() > LONGEST {
            return Err(wrong(fields, &format!("longer than {LONGEST} bytes")));
        }
        if fields.starts_with('@') {
            let pattern = nickname(fields).map_err(|problem| wrong(fields, problem))?;
            return Self::new(pattern, pattern);
        }
        let words: Vec<_> = fields.split_whitespace().collect();
        if let Some((name, zone)) = words.first().and_then(|first| first.split_once('='))
            && ["TZ", "CRON_TZ"].iter().any(|known| known.eq_ignore_ascii_case(name))
        {
            let behind = if zone.is_empty() { "Europe/Berlin" } else { zone };
            return Err(wrong(
                words[0],
                &format!("a zone stands behind the fields, as in `0 9 * * * {behind}`"),
            ));
        }
        if !(5..=6).contains(&words.len()) {
            return Err(wrong(
                fields,
                &format!("{} fields, where cron has 5, or 6 with seconds", words.len()),
            ));
        }
        if let Some((word, problem)) = field::first_slip(&words) {
            return Err(wrong(word, &problem));
        }
        let text = words.join(" ").to_uppercase();
        let pattern = read(&text).ok_or_else(|| match misread(&words) {
            Some((word, name)) => wrong(word, &format!("no {name}")),
            None => wrong(fields, "not a pattern"),
        })?;
        let cron = Self { text, pattern };
        // The calendar repeats itself: what does not come now never does.
        cron.next_local(date(2000, 1, 1).at(0, 0, 0, 0))
            .ok_or_else(|| wrong(fields, "no day is like this"))?;
        Ok(cron)
    }

    /// The next local time after this one, which is a whole second.
    pub(super) fn next_local(&self, local: DateTime) -> Option<DateTime> {
        self.pattern.find_next_occurrence(&local, false).ok()
    }

    /// Whether it is for certain hours of the day, not for each.
    pub(super) fn names_hours(&self) -> bool {
        !(0..24).all(|hour| self.pattern.pattern.hour_match(hour).unwrap_or(false))
    }
}

/// The pattern that a name with `@` stands for.
fn nickname(name: &str) -> Result<&'static str, &'static str> {
    match name.to_ascii_lowercase().as_str() {
        "@yearly" | "@annually" => Ok("0 0 1 1 *"),
        "@monthly" => Ok("0 0 1 * *"),
        "@weekly" => Ok("0 0 * * 0"),
        "@daily" | "@midnight" => Ok("0 0 * * *"),
        "@hourly" => Ok("0 * * * *"),
        "@reboot" => Err("a start is no time: do it in `main`, before the bot runs"),
        "@every" => Err("write `every 90s` in place of `cron @every 90s`"),
        _ => {
            Err("none of `@hourly`, `@daily`, `@midnight`, `@weekly`, `@monthly`, `@yearly` and `@annually`")
        }
    }
}

/// The first field that cannot be read, and what it should have been: each is tried alone.
fn misread<'a>(words: &[&'a str]) -> Option<(&'a str, &'static str)> {
    let mut fields = words.iter().zip(field::names(words.len())).enumerate();
    let found = fields.find(|(index, _)| {
        let alone: Vec<_> = (0..words.len()).map(|at| if at == *index { words[at] } else { "*" }).collect();
        read(&alone.join(" ")).is_none()
    });
    found.map(|(_, (word, name))| (*word, name))
}

fn read(pattern: &str) -> Option<croner::Cron> {
    let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
    parser.parse(pattern).ok()
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Debug for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cron").field(&self.text).finish()
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
