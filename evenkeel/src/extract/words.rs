//! Splits a text into words, as people write them.

use crate::event::Mention;
use crate::text::{is_invisible, trim};

/// A word, or what quotes hold together.
pub(super) struct Word<'a> {
    /// Without its quotes.
    pub(super) text: &'a str,
    /// From the word to the end of the text, as written.
    pub(super) onward: &'a str,
}

/// Marks that open, and those that close what they opened. Phones put typographic ones in by themselves.
struct Quotes {
    open: &'static [char],
    close: &'static [char],
    /// Whether the closing mark is an apostrophe as well.
    is_apostrophe: bool,
}

const QUOTES: [Quotes; 3] = [
    Quotes {
        open: &['"', '“', '„', '”', '＂'], close: &['"', '“', '”', '＂'], is_apostrophe: false
    },
    Quotes { open: &['\'', '‘', '‚'], close: &['\'', '‘', '’'], is_apostrophe: true },
    Quotes { open: &['«'], close: &['»'], is_apostrophe: false },
];

/// `a 'b c', "d e" f` has the words `a`, `b c`, `d e`, `f`.
///
/// A quote holds words together where it stands before a word and the next of its kind is its partner, with white space
/// behind it, or a comma that leads to another word. All others are text: an apostrophe, an inch, one without a partner. So is
/// a backslash.
pub(super) fn split(text: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let onward = rest;
        let (word, end) = quoted(rest).unwrap_or_else(|| plain(rest));
        rest = rest[end..].trim_start();
        if let Some(text) = word {
            words.push(Word { text, onward });
        }
    }
    words
}

/// A word and where it ends; no word where nothing of it is seen.
type Found<'a> = (Option<&'a str>, usize);

/// The words of `rest`, where each mention is in one of them: a name may have several. `rest` is a part of `text`, which the
/// mentions are of.
pub(super) fn joined<'a>(
    words: Vec<Word<'a>>,
    rest: &'a str,
    text: &str,
    mentions: &[Mention],
) -> Vec<Word<'a>> {
    let start = |part: &str| (part.as_ptr() as usize).wrapping_sub(rest.as_ptr() as usize);
    let offset = (rest.as_ptr() as usize).wrapping_sub(text.as_ptr() as usize);
    let mut joined: Vec<Word<'a>> = Vec::with_capacity(words.len());
    for word in words {
        let from = start(word.text);
        let is_inside = |before: &Word<'_>| {
            let (first, at) = (offset.wrapping_add(start(before.text)), offset.wrapping_add(from));
            let mut ranges = mentions.iter().map(|mention| &mention.range);
            ranges.any(|range| (first..at).contains(&range.start) && at < range.end)
        };
        match joined.last_mut().filter(|before| is_inside(before)) {
            Some(before) => before.text = &rest[start(before.text)..from + word.text.len()],
            None => joined.push(word),
        }
    }
    joined
}

fn plain(text: &str) -> Found<'_> {
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let word = &text[..end];
    (word.chars().any(|letter| !is_invisible(letter)).then_some(word), end)
}

/// What stands between quotes, if the text begins with some.
fn quoted(text: &str) -> Option<Found<'_>> {
    let opening = text.trim_start_matches(is_invisible);
    let mark = opening.chars().next()?;
    let quotes = QUOTES.iter().find(|quotes| quotes.open.contains(&mark))?;
    let inside = &opening[mark.len_utf8()..];
    let (word, behind) = partner(inside, quotes)?;
    Some((Some(word), text.len() - behind.len()))
}

/// What stands before the closing mark, and all that follows it. The next mark of the kind has to be the closing one: linear
/// in the text, for no part of it is looked at for two opening marks.
fn partner<'a>(inside: &'a str, quotes: &Quotes) -> Option<(&'a str, &'a str)> {
    let is_mark = |letter: char| quotes.open.contains(&letter) || quotes.close.contains(&letter);
    for (at, mark) in inside.match_indices(is_mark) {
        let (word, behind) = (&inside[..at], &inside[at + mark.len()..]);
        let next = behind.chars().next();
        let is_within = word.ends_with(char::is_alphanumeric) && next.is_some_and(char::is_alphanumeric);
        if quotes.is_apostrophe && is_within {
            continue;
        }
        let closes = mark.chars().all(|mark| quotes.close.contains(&mark));
        return closes.then(|| ended(behind)).flatten().map(|behind| (word, behind));
    }
    None
}

/// What follows the end of a word: white space or nothing, after a comma perhaps that leads to another word.
fn ended(behind: &str) -> Option<&str> {
    let is_end = |text: &str| text.chars().next().is_none_or(char::is_whitespace);
    let behind = behind.trim_start_matches(is_invisible);
    let listed = behind.strip_prefix(',').map(|next| next.trim_start_matches(is_invisible));
    let listed = listed.filter(|next| is_end(next) && !trim(next).is_empty());
    listed.or_else(|| is_end(behind).then_some(behind))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    #[track_caller]
    fn check(text: &str, words: &[&str]) {
        let found: Vec<_> = split(text).into_iter().map(|word| word.text).collect();
        assert_eq!(found, words, "{text:?}");
    }

    #[test]
    fn quotes_around_words_hold_them_together() {
        check("", &[]);
        check("  a  b ", &["a", "b"]);
        check(r#"a 'b c' "d e" f"#, &["a", "b c", "d e", "f"]);
        check("'don't stop' now", &["don't stop", "now"]);
        check(r#""""#, &[""]);
        check(r#"", " a b"#, &[", ", "a", "b"]);
        check("\u{2068}\"a b\"\u{2069} c", &["a b", "c"]);
        check("a\u{a0}b\u{3000}c\nd", &["a", "b", "c", "d"]);
        check("1 \u{200b} 2", &["1", "2"]);
    }

    #[test]
    fn phones_may_write_typographic_quotes_and_people_apostrophes() {
        check("add “milk and honey” don't", &["add", "milk and honey", "don't"]);
        check("„a b“ ‘c d’ «e f» ‚g h‘", &["a b", "c d", "e f", "g h"]);
    }

    #[test]
    fn other_quotes_and_backslashes_are_text() {
        check("'tis the season", &["'tis", "the", "season"]);
        check("rock 'n roll", &["rock", "'n", "roll"]);
        check("a 3\" pipe", &["a", "3\"", "pipe"]);
        check("6' 2\" \"", &["6'", "2\"", "\""]);
        check(r#"x="1 2""#, &["x=\"1", "2\""]);
        check("say \"hello", &["say", "\"hello"]);
        check(r#""say "hi" now""#, &["\"say", "hi", "now\""]);
        check("'tis the season, 'twas said", &["'tis", "the", "season,", "'twas", "said"]);
        check(r"C:\Users\me ¯\_(ツ)_/¯ \\ a\ b", &[r"C:\Users\me", r"¯\_(ツ)_/¯", r"\\", r"a\", "b"]);
        check(r#""C:\temp dir\" "D:\x y""#, &[r"C:\temp dir\", r"D:\x y"]);
    }

    #[test]
    fn a_comma_behind_a_quote_leads_to_the_next_word() {
        check(r#""old name", "new name""#, &["old name", "new name"]);
        check("«a b», «c», d", &["a b", "c", "d"]);
        check("\"a b\",\u{200b} \"c d\"", &["a b", "c d"]);
        check("“milk”, “eggs”,", &["milk", "“eggs”,"]);
        check(r#""milk","eggs""#, &[r#""milk","eggs""#]);
        check("'a b'. 'c d'", &["'a", "b'.", "c d"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(13), ..ProptestConfig::default() })]

        #[test]
        fn every_letter_that_is_seen_is_in_a_word(text in "[ab'\"“”\\\\ \n\u{200b}\u{3000}é]{0,20}") {
            let seen = |text: &str| text.chars().filter(|letter| letter.is_alphanumeric()).collect::<String>();
            let words = split(&text);
            let all: String = words.iter().map(|word| seen(word.text)).collect();
            prop_assert_eq!(all, seen(&text));
            prop_assert!(words.iter().all(|word| text.ends_with(word.onward)));
        }
    }
}
