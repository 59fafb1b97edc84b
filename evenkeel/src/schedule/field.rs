//! What is wrong with a field of a cron pattern that cron programs read in different ways, or that cannot be meant.

/// The least and the greatest value, and the names of the values from the least on.
const FIELDS: [(u32, u32, &[&str]); 6] = [
    (0, 59, &[]),
    (0, 59, &[]),
    (0, 23, &[]),
    (1, 31, &[]),
    (1, 12, &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]),
    (0, 6, &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]),
];

/// The first of five or six fields with such a slip, and the slip.
pub(super) fn first_slip<'a>(words: &[&'a str]) -> Option<(&'a str, String)> {
    let fields = FIELDS.iter().skip(FIELDS.len().saturating_sub(words.len()));
    words.iter().zip(fields).find_map(|(word, field)| {
        let slip = word.split(',').find_map(|entry| slip(entry, field))?;
        Some((*word, slip))
    })
}

fn slip(entry: &str, field: &(u32, u32, &[&str])) -> Option<String> {
    if entry.is_empty() {
        return Some("an empty place in a list".to_owned());
    }
    let (range, step) = entry.split_once('/').map_or((entry, None), |(range, step)| (range, Some(step)));
    let ends = ends(range, field);
    if let Some((first, last)) = ends.filter(|(first, last)| first > last) {
        let (least, most, _) = field;
        return Some(format!("a range that runs backwards: write `{first}-{most},{least}-{last}`"));
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

/// The ends of `*` and of a range of numbers or names; `None` for whatever else stands there.
fn ends(range: &str, (least, most, names): &(u32, u32, &[&str])) -> Option<(u32, u32)> {
    if range == "*" {
        return Some((*least, *most));
    }
    let value = |text: &str| {
        let named = names.iter().position(|name| name.eq_ignore_ascii_case(text));
        named.and_then(|at| u32::try_from(at).ok()).map(|at| least + at).or_else(|| text.parse().ok())
    };
    let (first, last) = range.split_once('-')?;
    Some((value(first)?, value(last)?))
}
