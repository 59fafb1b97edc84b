//! Splits a text into words, as people write them.

use std::borrow::Cow;

use crate::text::is_invisible;

/// A word, or what quotes hold together.
pub(super) struct Word<'a> {
    /// Without its quotes.
    pub(super) text: Cow<'a, str>,
    /// From the word to the end of the text, as written.
    pub(super) onward: &'a str,
}

/// Marks that open, and those that close what they opened. Phones put typographic ones in by themselves.
struct Quotes {
    open: &'static [char],
    close: &'static [char],
    /// Whether a backslash takes their meaning away.
    has_escapes: bool,
}

const QUOTES: [Quotes; 3] = [
    Quotes {
        open: &['"', '“', '„', '”', '＂'], close: &['"', '“', '”', '＂'], has_escapes: true
    },
    Quotes { open: &['\'', '‘', '‚'], close: &['\'', '‘', '’'], has_escapes: false },
    Quotes { open: &['«'], close: &['»'], has_escapes: false },
];

/// `a 'b c' "d \"e\"" f\ g` has the words `a`, `b c`, `d "e"`, `f g`.
///
/// A quote holds words together where it stands before a word and its partner behind one. All others are text: an
/// apostrophe, an inch, one without a partner. So is a backslash, but before white space and quotes.
pub(super) fn split(text: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    // Of a kind that closes nowhere, nobody looks again.
    let mut closes = [true; QUOTES.len()];
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let onward = rest;
        let (word, end) = quoted(rest, &mut closes).unwrap_or_else(|| plain(rest));
        rest = rest[end..].trim_start();
        if let Some(text) = word {
            words.push(Word { text, onward });
        }
    }
    words
}

/// A word and where it ends; no word where nothing of it is seen.
type Found<'a> = (Option<Cow<'a, str>>, usize);

fn plain(text: &str) -> Found<'_> {
    let mut word = String::new();
    let mut kept = 0;
    let mut letters = text.char_indices().peekable();
    let end = loop {
        match letters.next() {
            None => break text.len(),
            Some((at, letter)) if letter.is_whitespace() => break at,
            Some((at, '\\')) => {
                if letters.next_if(|(_, next)| next.is_whitespace() || is_quote(*next)).is_some() {
                    word.push_str(&text[kept..at]);
                    kept = at + 1;
                }
            }
            Some(_) => {}
        }
    };
    let is_seen = !text[..end].chars().all(is_invisible);
    let whole = if kept == 0 { Cow::Borrowed(&text[..end]) } else { Cow::Owned(word + &text[kept..end]) };
    (is_seen.then_some(whole), end)
}

fn is_quote(letter: char) -> bool {
    QUOTES.iter().any(|quotes| quotes.open.contains(&letter) || quotes.close.contains(&letter))
}

/// What stands between quotes, if the text begins with some.
fn quoted<'a>(text: &'a str, closes: &mut [bool; QUOTES.len()]) -> Option<Found<'a>> {
    let opening = text.trim_start_matches(is_invisible);
    let mark = opening.chars().next()?;
    let kind = QUOTES.iter().position(|quotes| quotes.open.contains(&mark))?;
    if !closes[kind] {
        return None;
    }
    let inside = &opening[mark.len_utf8()..];
    let found = partner(inside, &QUOTES[kind]);
    closes[kind] = found.is_some();
    let (word, end) = found?;
    Some((Some(word), text.len() - inside.len() + end))
}

/// What stands before the closing mark, and where the word ends. A closing mark has white space behind it, or nothing.
fn partner<'a>(inside: &'a str, quotes: &Quotes) -> Option<(Cow<'a, str>, usize)> {
    let mut word = String::new();
    let mut kept = 0;
    let mut letters = inside.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        if letter == '\\' && quotes.has_escapes {
            if letters.next_if(|(_, next)| *next == '\\' || is_quote(*next)).is_some() {
                word.push_str(&inside[kept..at]);
                kept = at + 1;
            }
        } else if quotes.close.contains(&letter) {
            let behind = inside[at + letter.len_utf8()..].trim_start_matches(is_invisible);
            if behind.chars().next().is_none_or(char::is_whitespace) {
                let text = &inside[kept..at];
                let whole = if kept == 0 { Cow::Borrowed(text) } else { Cow::Owned(word + text) };
                return Some((whole, inside.len() - behind.len()));
            }
        }
    }
    None
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
        check(r#"a 'b c' "d \"e\"" f\ g"#, &["a", "b c", "d \"e\"", "f g"]);
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
        check(r#""say "hi" now""#, &["say \"hi", "now\""]);
        check(r"C:\Users\me ¯\_(ツ)_/¯ \\", &[r"C:\Users\me", r"¯\_(ツ)_/¯", r"\\"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(13), ..ProptestConfig::default() })]

        #[test]
        fn every_letter_that_is_seen_is_in_a_word(text in "[ab'\"“”\\\\ \n\u{200b}\u{3000}é]{0,20}") {
            let seen = |text: &str| text.chars().filter(|letter| letter.is_alphanumeric()).collect::<String>();
            let words = split(&text);
            let all: String = words.iter().map(|word| seen(&word.text)).collect();
            prop_assert_eq!(all, seen(&text));
            prop_assert!(words.iter().all(|word| text.ends_with(word.onward)));
        }
    }
}
