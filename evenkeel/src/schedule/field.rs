//! What is wrong with a field of a cron pattern that cron programs read in different ways, or that cannot be meant.

/// One of the fields of a pattern.
struct Field {
    name: &'static str,
    least: u32,
    most: u32,
    /// The names of the values from the least on, in full; three letters of them are written.
    names: &'static [&'static str],
}

const MONTHS: &[&str] = &[
    "JANUARY",
    "FEBRUARY",
    "MARCH",
    "APRIL",
    "MAY",
    "JUNE",
    "JULY",
    "AUGUST",
    "SEPTEMBER",
    "OCTOBER",
    "NOVEMBER",
    "DECEMBER",
];
const DAYS: &[&str] = &["SUNDAY", "MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY"];

const FIELDS: [Field; 6] = [
    Field { name: "second", least: 0, most: 59, names: &[] },
    Field { name: "minute", least: 0, most: 59, names: &[] },
    Field { name: "hour", least: 0, most: 23, names: &[] },
    Field { name: "day of the month", least: 1, most: 31, names: &[] },
    Field { name: "month", least: 1, most: 12, names: MONTHS },
    Field { name: "day of the week", least: 0, most: 6, names: DAYS },
];

/// The first of five or six fields with such a slip, and the slip.
pub(super) fn first_slip<'a>(words: &[&'a str]) -> Option<(&'a str, String)> {
    let fields = FIELDS.iter().skip(FIELDS.len().saturating_sub(words.len()));
    words.iter().zip(fields).find_map(|(word, field)| {
        let slip = word.split(',').find_map(|entry| field.slip(entry))?;
        Some((*word, slip))
    })
}

/// The names of five or six fields, in order.
pub(super) fn names(count: usize) -> impl Iterator<Item = &'static str> {
    FIELDS.iter().skip(FIELDS.len().saturating_sub(count)).map(|field| field.name)
}

/// Whether a text begins with the name of a month or of a day, however long it is written.
pub(super) fn begins_with_a_name(text: &str) -> bool {
    let begin = text.get(..3).unwrap_or_default();
    MONTHS.iter().chain(DAYS).any(|name| name[..3].eq_ignore_ascii_case(begin))
}

impl Field {
    fn slip(&self, entry: &str) -> Option<String> {
        if entry.is_empty() {
            return Some("an empty place in a list".to_owned());
        }
        let (range, step) = entry.split_once('/').map_or((entry, None), |(range, step)| (range, Some(step)));
        let most_names = if range.contains('#') { 1 } else { 2 };
        let mut parts = range.split(['-', '#']).enumerate();
        if let Some(slip) = parts.find_map(|(at, part)| self.misnamed(part, at < most_names)) {
            return Some(slip);
        }
        let ends = self.ends(range);
        if let Some((first, last)) = ends.filter(|(first, last)| first > last) {
            return Some(self.backwards(first, last, step.and_then(|step| step.parse().ok()).unwrap_or(1)));
        }
        let step = step?;
        match (step.parse::<u32>(), ends) {
            (Ok(0), _) => Some("a step of zero".to_owned()),
            (Ok(step), Some((first, last))) if step > last - first => {
                Some(format!("a step of {step} leaves only the value {first}: write `{first}`"))
            }
            (Ok(_), _) => None,
            (Err(_), _) => Some("no number behind the `/`".to_owned()),
        }
    }

    /// What is wrong with letters: `croner` puts numbers in the place of names wherever they stand, so that `MON0` is 10.
    fn misnamed(&self, part: &str, may_be_name: bool) -> Option<String> {
        let is_name = may_be_name && self.value(part).is_some();
        if !part.contains(char::is_alphabetic) || is_name || self.is_marked(part) {
            return None;
        }
        let upper = part.to_ascii_uppercase();
        let found = |names: &[&'static str]| {
            names.iter().copied().find(|name| upper.len() >= 3 && name.starts_with(&upper))
        };
        let instead = match (self.names, found(MONTHS), found(DAYS)) {
            (names, Some(name), _) | (names, _, Some(name)) if names.contains(&name) && upper.len() > 3 => {
                format!(": write `{}`", &name[..3])
            }
            ([], Some(_), _) | ([_, .., "SATURDAY"], Some(_), _) => {
                ": a month stands in the field before the last".to_owned()
            }
            ([], _, Some(_)) | ([.., "DECEMBER"], _, Some(_)) => {
                ": a day of the week stands in the last field".to_owned()
            }
            ([first, .., last], ..) => {
                format!(": names are `{}` to `{}`, alone, in lists and ranges", &first[..3], &last[..3])
            }
            _ => String::new(),
        };
        Some(format!("no {}{instead}", self.name))
    }

    /// `L` and `15W` of the days of the month; `L`, `5L` and `FRIL` of those of the week, with what stands behind `#`.
    fn is_marked(&self, part: &str) -> bool {
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let before = |mark: char| part.strip_suffix([mark, mark.to_ascii_lowercase()]);
        match self.name {
            "day of the month" => {
                before('L').is_some_and(str::is_empty)
                    || before('W').is_some_and(|day| is_number(day) || day.eq_ignore_ascii_case("L"))
            }
            "day of the week" => before('L').is_some_and(|day| is_number(day) || self.value(day).is_some()),
            _ => false,
        }
    }

    /// How to write a range that goes on behind the greatest value, from the least one.
    fn backwards(&self, first: u32, last: u32, step: u32) -> String {
        let (least, most) = (self.least, self.most);
        let range = |first: u32, last: u32| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        };
        let right = if first > most {
            // Sunday is 7 as well.
            range(least, last)
        } else if step <= 1 {
            format!("{},{}", range(first, most), range(least, last))
        } else {
            let values = (first..=most).chain(least..=last).step_by(step as usize);
            values.map(|value| value.to_string()).collect::<Vec<_>>().join(",")
        };
        format!("a range that runs backwards: write `{right}`")
    }

    /// The ends of `*` and of a range of numbers or names; `None` for whatever else stands there.
    fn ends(&self, range: &str) -> Option<(u32, u32)> {
        if range == "*" {
            return Some((self.least, self.most));
        }
        let (first, last) = range.split_once('-')?;
        Some((self.value(first)?, self.value(last)?))
    }

    /// The value of a number or of a name.
    fn value(&self, text: &str) -> Option<u32> {
        let named = self.names.iter().position(|name| name[..3].eq_ignore_ascii_case(text));
        if let Some(at) = named.and_then(|at| u32::try_from(at).ok()) {
            return Some(self.least + at);
        }
        let is_sunday = |value: &u32| *value == 7 && self.names.first() == DAYS.first();
        text.parse().ok().filter(|value| (self.least..=self.most).contains(value) || is_sunday(value))
    }
}
