//! Reading `.env`: a value is what is written, and what other programs would read in another way is refused by name.
//!
//! | written | value |
//! |---|---|
//! | `NAME=pa$w0rd`, `NAME=a b`, `NAME=C:\bot`, `NAME=it's` | as it stands, without the spaces around it |
//! | `NAME=value # why` | `value`: a comment begins with a space and `#` |
//! | `NAME='any #${text}'` | what stands between the quotation marks; it may have several lines |
//! | `NAME="a\nb"` | the same, with `\n`, `\r`, `\t`, `\\`, `\"`, `\'` and `\$` |
//! | `NAME=#x`, `NAME=${OTHER}`, `NAME=$(command)`, `NAME=x\` | refused: programs do not agree on these |

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::visible::is_hidden;

/// A value, or why it cannot be read; told only if somebody asks for it, as `.env` may be for other programs, too.
pub(super) type Value = Result<String, String>;

const QUOTE_IT: &str = "put the value into single quotes, `NAME='a $ # b'`";

/// Reads the names and values of a whole file.
///
/// # Errors
///
/// When a line is no `NAME=value`, or a quotation mark has no end. No error quotes the file: it may hold secrets.
pub(super) fn parse(text: &str) -> Result<BTreeMap<String, Value>> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut found: BTreeMap<String, (usize, Value)> = BTreeMap::new();
    let (mut rest, mut number) = (&*text, 1);
    while !rest.is_empty() {
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            (rest, number) = (after, number + 1);
            continue;
        }
        let (name, written) = assignment(rest, line).ok_or_else(|| not_an_assignment(number, line))?;
        let read = read(written).ok_or_else(|| without_end(number))?;
        let value = read.value.map_err(|problem| format!("in line {number}, it {problem}"));
        match found.remove(name) {
            Some((first, other)) if other != value => {
                let twice = format!("it stands twice, in lines {first} and {number}: remove one");
                found.insert(name.to_owned(), (first, Err(twice)));
            }
            _ => drop(found.insert(name.to_owned(), (number, value))),
        }
        number += rest[..rest.len() - read.rest.len()].matches('\n').count();
        rest = read.rest;
    }
    Ok(found.into_iter().map(|(name, (_, value))| (name, value)).collect())
}

fn not_an_assignment(number: usize, line: &str) -> Error {
    let name = line.split_once('=').map(|(name, _)| name.trim()).unwrap_or_default();
    // Much of it is invisible, or looks like a letter of a name: without the number nobody would find it.
    let (why, hint) = match name.chars().find(|letter| !letter.is_ascii()) {
        Some(letter) => {
            let at = name.chars().take_while(|other| *other != letter).count() + 1;
            let what = match letter {
                '\u{feff}' => ", a byte-order mark,",
                _ if is_hidden(letter) => ", which is invisible,",
                _ => "",
            };
            let code = u32::from(letter);
            let why = format!(": U+{code:04X}{what} stands at place {at} of the name");
            (why, "write names with the letters A to Z, digits and `_` alone: type the line again")
        }
        None => {
            (String::new(), "a comment begins with `#`; a value with several lines stands in quotation marks")
        }
    };
    Error::config(format!("`.env` line {number} is not of the form `NAME=value`{why}")).with_hint(hint)
}

fn without_end(number: usize) -> Error {
    let text =
        format!("`.env` line {number}: the quotation mark before the value has no end on its line or below");
    Error::config(text)
        .with_hint("close it, or put a value that begins with one kind into the other: `NAME='\"a'`")
}

/// The name of a line, and all that follows the `=`, the further lines included.
fn assignment<'a>(rest: &'a str, line: &'a str) -> Option<(&'a str, &'a str)> {
    let equals = line.find('=')?;
    let name = line[..equals].trim();
    let name = match name.split_once(char::is_whitespace) {
        Some(("export", name)) => name.trim(),
        Some(_) => return None,
        None => name,
    };
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.' | '-');
    (!name.is_empty() && name.chars().all(is_name)).then_some((name, &rest[equals + 1..]))
}

/// One value, and the lines below it.
struct Read<'a> {
    value: Result<String, String>,
    rest: &'a str,
}

/// `None` where a quotation mark has no end.
fn read(written: &str) -> Option<Read<'_>> {
    let begin = written.trim_start_matches([' ', '\t']);
    match begin.chars().next() {
        Some(mark @ ('\'' | '"')) => quoted(&begin[1..], mark),
        _ => {
            let (line, rest) = written.split_once('\n').unwrap_or((written, ""));
            Some(Read { value: plain(line), rest })
        }
    }
}

fn plain(line: &str) -> Result<String, String> {
    if line.starts_with('#') {
        return Err(format!("begins with `#`, which may be a comment or not: {QUOTE_IT}"));
    }
    let comment = line.match_indices('#').find(|(at, _)| line[..*at].ends_with(char::is_whitespace));
    let value = comment.map_or(line, |(at, _)| &line[..at]).trim();
    if value.starts_with(['“', '”', '„', '‘', '’', '«', '»']) {
        return Err("begins with a typographic quotation mark: write `'` or `\"`".to_owned());
    }
    if value.ends_with('\\') {
        return Err(format!("ends with a backslash, as if it went on below: {QUOTE_IT}"));
    }
    unreplaced(value)?;
    Ok(value.to_owned())
}

/// Whatever is written so, people expect something else in its place.
fn unreplaced(value: &str) -> Result<(), String> {
    let found = ["${", "$("].into_iter().find(|begin| value.contains(begin));
    found.map_or(Ok(()), |begin| {
        Err(format!("has `{begin}`, and nothing is put in the place of that here: write the value itself, or {QUOTE_IT}"))
    })
}

/// Reads on from behind the first quotation mark. What stands behind the last one is refused: with the value, or, if that
/// has several lines, with the file, as the marks of two lines may have been taken for a pair.
fn quoted(inner: &str, mark: char) -> Option<Read<'_>> {
    let end = end_of(inner, mark)?;
    let (content, behind) = (&inner[..end], &inner[end + 1..]);
    let (tail, rest) = behind.split_once('\n').unwrap_or((behind, ""));
    let is_comment = tail.trim_start().starts_with('#') && tail.starts_with(char::is_whitespace);
    let value = if !tail.trim().is_empty() && !is_comment {
        if content.contains('\n') {
            return None;
        }
        Err(format!(
            "goes on behind a quotation mark ({mark}) that ended it: put all of it into the other kind"
        ))
    } else if mark == '\'' {
        Ok(content.to_owned())
    } else {
        unescaped(content)
    };
    Some(Read { value, rest })
}

fn end_of(inner: &str, mark: char) -> Option<usize> {
    let mut is_escaped = false;
    inner.char_indices().find_map(|(at, letter)| {
        let is_end = letter == mark && !is_escaped;
        is_escaped = mark == '"' && letter == '\\' && !is_escaped;
        is_end.then_some(at)
    })
}

fn unescaped(content: &str) -> Result<String, String> {
    let mut value = String::with_capacity(content.len());
    let mut letters = content.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => value.push(escape(letters.next())?),
            '$' if matches!(letters.peek(), Some('{' | '(')) => unreplaced(content)?,
            _ => value.push(letter),
        }
    }
    Ok(value)
}

fn escape(letter: Option<char>) -> Result<char, String> {
    match letter {
        Some('n') => Ok('\n'),
        Some('r') => Ok('\r'),
        Some('t') => Ok('\t'),
        Some(letter @ ('\\' | '"' | '\'' | '$')) => Ok(letter),
        _ => Err(
            "has a backslash that means nothing between double quotes: write `\\\\`, or use single quotes"
                .to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(written: &str) -> Result<String, String> {
        parse(&format!("A=1\nNAME={written}\nZ=2\n"))
            .map_err(|error| error.to_string())?
            .remove("NAME")
            .unwrap()
    }

    #[test]
    fn a_value_is_what_is_written() {
        for (written, read) in [
            ("pa$w0rd", "pa$w0rd"),
            ("$", "$"),
            ("a$$b$1", "a$$b$1"),
            (r"C:\bot\evenkeel.db", r"C:\bot\evenkeel.db"),
            ("it's", "it's"),
            (r#"a"b"#, r#"a"b"#),
            ("a=b==", "a=b=="),
            ("+1 555 010 0000", "+1 555 010 0000"),
            (" padded\t", "padded"),
            ("a#b", "a#b"),
            ("a # b", "a"),
            (" # b", ""),
            ("", ""),
            ("`a`!&;|*~", "`a`!&;|*~"),
            ("päß 👍", "päß 👍"),
            ("'a #${b} \\n'", "a #${b} \\n"),
            ("'a' # b", "a"),
            ("''", ""),
            (r#""a\n\t\\\"\'\$\r$w""#, "a\n\t\\\"'$\r$w"),
            ("\"a\nb\"", "a\nb"),
            ("'a\n\nb'", "a\n\nb"),
        ] {
            assert_eq!(value(written).as_deref(), Ok(read), "{written}");
        }
    }

    #[test]
    fn what_programs_do_not_agree_on_says_how_to_write_it() {
        for (written, says) in [
            ("#hunter2", "in line 2, it begins with `#`"),
            ("hunter2${HOME}", "in line 2, it has `${`"),
            ("\"hunter2$(pwd)\"", "in line 2, it has `$(`"),
            (r"hunter2\", "in line 2, it ends with a backslash"),
            ("“hunter2”", "typographic"),
            (r#""C:\hunter2""#, "write `\\\\`, or use single quotes"),
            ("'hunter2'x", "in line 2, it goes on behind a quotation mark (')"),
            ("\"hunter2\"#x", "in line 2, it goes on behind"),
            ("'hunter2", "`.env` line 2: the quotation mark before the value has no end"),
            ("\"hunter2\\\"", "`.env` line 2: the quotation mark before the value has no end"),
        ] {
            let problem = value(written).unwrap_err();
            assert!(problem.contains(says) && !problem.contains("hunter2"), "{written}: {problem}");
        }
    }

    #[test]
    fn quotation_marks_of_two_lines_are_no_pair() {
        for text in ["A='x\nB='y'\n", "A=\"x\nB=\"y\"\n"] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.starts_with("`.env` line 1: the quotation mark"), "{text}: {error}");
        }
    }

    #[test]
    fn lines_may_end_in_any_way_and_names_stand_for_themselves() {
        let found = parse("# x\r\nexport A=1\r\n\r\n B = 2 \r  # y\nC=3").unwrap();
        let values: Vec<_> = found.iter().map(|(name, value)| (&**name, value.as_deref())).collect();
        assert_eq!(values, [("A", Ok("1")), ("B", Ok("2")), ("C", Ok("3"))]);
        for (text, line) in [("A=1\nB: 2", 2), ("=1", 1), ("A B=1", 1), ("A='1\n2'\nexport B", 3)] {
            let error = parse(text).unwrap_err().to_string();
            assert_eq!(error, format!("`.env` line {line} is not of the form `NAME=value`"), "{text}");
        }
    }

    #[test]
    fn a_letter_that_no_name_has_is_told_by_its_number() {
        for (text, told) in [
            ("A=1\n\u{feff}B=hunter2", ": U+FEFF, a byte-order mark, stands at place 1 of the name"),
            ("A=1\n\u{200b}B=hunter2", ": U+200B, which is invisible, stands at place 1 of the name"),
            ("A=1\nEVENKEEL_JOURN\u{410}L=hunter2", ": U+0410 stands at place 15 of the name"),
            ("A=1\nexport B\u{a0}C=hunter2", ": U+00A0"),
            ("A=1\n\u{201c}B\u{201d}=hunter2", ": U+201C stands at place 1 of the name"),
            ("A=1\nhunter2 gr\u{fc}n", ""),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.starts_with("`.env` line 2 is not of the form `NAME=value`"), "{error}");
            assert!(error.contains(told) && !error.contains("hunter2"), "{text:?}: {error}");
            assert!(!told.is_empty() || error.ends_with("`NAME=value`"), "nothing of a secret: {error}");
        }
    }

    #[test]
    fn a_name_with_two_values_has_none() {
        assert_eq!(parse("A=1\nA='1'").unwrap()["A"], Ok("1".to_owned()));
        let twice = parse("A=1\nB=2\nA=3").unwrap()["A"].clone().unwrap_err();
        assert_eq!(twice, "it stands twice, in lines 1 and 3: remove one");
        assert!(parse("A=1\nA=2\nA=2").unwrap()["A"].is_err());
    }
}
