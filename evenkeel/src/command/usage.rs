//! How a command is written: `!order <count> [note]`, read and made.

use super::{Parameter, ParameterKind};

/// A part of a usage that stands for what a person writes there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Placeholder<'a> {
    /// What is between the brackets; none for alternatives such as `on|off`.
    pub(super) name: Option<&'a str>,
    /// Whether the brackets are angular.
    pub(super) is_required: bool,
}

/// What stands for something else in a usage: `<n>`, `[n]`, `[<n>]` and `one|other`, each with dots behind it or not.
pub(super) fn placeholders(usage: &str) -> Vec<Placeholder<'_>> {
    let mut found = Vec::new();
    let mut rest = usage;
    while let Some(start) = rest.find(|letter: char| !letter.is_whitespace()) {
        rest = &rest[start..];
        let close = match rest.chars().next() {
            Some('<') => rest.find('>'),
            Some('[') => rest.find(']'),
            _ => None,
        };
        let end = close.map_or_else(|| rest.find(char::is_whitespace).unwrap_or(rest.len()), |at| at + 1);
        let (part, behind) = rest.split_at(end);
        let is_required = !part.starts_with('[');
        if close.is_some() {
            let name = part.trim_matches(|letter: char| "<>[].…".contains(letter) || letter.is_whitespace());
            let name = Some(name).filter(|name| !name.is_empty() && !name.contains('|'));
            found.push(Placeholder { name, is_required });
        } else if part.contains('|') {
            found.push(Placeholder { name: None, is_required });
        }
        rest = behind;
    }
    found
}

/// The line for a command whose author has written none.
pub(super) fn line(spelling: &str, parameters: &[Parameter]) -> String {
    let mut line = spelling.to_owned();
    let (files, words): (Vec<_>, Vec<_>) =
        parameters.iter().partition(|parameter| parameter.kind == ParameterKind::File);
    for Parameter { name, is_required, is_list, .. } in words {
        let dots = if *is_list { "..." } else { "" };
        line += &if *is_required { format!(" <{name}{dots}>") } else { format!(" [{name}{dots}]") };
    }
    for file in files {
        let with = if file.is_required { "with" } else { "perhaps with" };
        line += &format!(", {with} a file");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(usage: &str, expected: &[(Option<&str>, bool)]) {
        let found: Vec<_> = placeholders(usage).into_iter().map(|one| (one.name, one.is_required)).collect();
        assert_eq!(found, expected, "{usage}");
    }

    #[test]
    fn what_stands_for_something_else_is_found() {
        check("!ping", &[]);
        check("!remind <minutes> <what to say>", &[(Some("minutes"), true), (Some("what to say"), true)]);
        check("!help [command]", &[(Some("command"), false)]);
        check("!convert <degrees> celsius|fahrenheit", &[(Some("degrees"), true), (None, true)]);
        check("!light [on|off] [<words...>]", &[(None, false), (Some("words"), false)]);
        check("!remind 10m <what>", &[(Some("what"), true)]);
        check("a < b [ c", &[]);
        check("<> []", &[(None, true), (None, false)]);
    }

    #[test]
    fn a_line_shows_what_may_be_left_out() {
        let parameters = [
            Parameter::new("count", ParameterKind::Number),
            Parameter::new("picture", ParameterKind::File),
            Parameter::new("words", ParameterKind::Word).list().optional(),
        ];
        assert_eq!(line("!order", &parameters), "!order <count> [words...], with a file");
    }
}
