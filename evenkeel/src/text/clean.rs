//! What patterns look at: composed accents, no invisible characters, and the way back to the text as written.

use std::borrow::Cow;
use std::ops::Range;

use unicode_normalization::{IsNormalized, UnicodeNormalization, char, is_nfc_quick};

use super::{is_invisible, seen};

/// The text as patterns see it: normal form C, without invisible characters.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    if is_clean(text) { text.into() } else { seen(text.chars()).nfc().collect() }
}

fn is_clean(text: &str) -> bool {
    // Without a way out of the loop it goes by many bytes at once.
    let is_odd = |byte: u8| byte >= 0x7f || (byte < b' ' && !matches!(byte, 0x09..=0x0d));
    let is_plain = !text.bytes().fold(false, |found, byte| found | is_odd(byte));
    is_plain || (!text.chars().any(is_invisible) && is_nfc_quick(text.chars()) == IsNormalized::Yes)
}

/// A text as patterns see it, with the way back to the text as written.
pub(crate) struct Clean<'a> {
    text: Cow<'a, str>,
    written: &'a str,
    /// Ascending; none where both are the same.
    parts: Vec<Part>,
}

/// A stretch of both texts.
#[derive(Debug)]
struct Part {
    clean: Range<usize>,
    written: Range<usize>,
    /// Whether it is the same in both, byte by byte.
    is_same: bool,
}

impl<'a> Clean<'a> {
    pub(crate) fn new(written: &'a str) -> Self {
        let mut made = Self { text: written.into(), written, parts: Vec::new() };
        if !is_clean(written) {
            made.text = String::with_capacity(written.len()).into();
            made.fill();
        }
        made
    }

    /// What a pattern looks at.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The text as written where a range of the clean one stands. A letter that is taken apart is taken whole, and an
    /// emoji with its selectors.
    pub(crate) fn written(&self, range: Range<usize>) -> &'a str {
        if self.parts.is_empty() {
            return self.written.get(range).unwrap_or_default();
        }
        let start = self.start(range.start);
        let end = if range.is_empty() { start } else { self.end(range.end) };
        self.written.get(start..end).unwrap_or_default()
    }

    fn start(&self, at: usize) -> usize {
        let next = self.parts.partition_point(|part| part.clean.end <= at);
        self.parts.get(next).map_or(self.written.len(), |part| match at.checked_sub(part.clean.start) {
            Some(within) if part.is_same => part.written.start + within,
            // The rest of a letter that is taken apart is nobody's: it is all with its beginning.
            Some(1..) => part.written.end,
            _ => part.written.start,
        })
    }

    fn end(&self, at: usize) -> usize {
        let next = self.parts.partition_point(|part| part.clean.end < at);
        self.parts.get(next).map_or(self.written.len(), |part| {
            if part.is_same { part.written.start + (at - part.clean.start) } else { part.written.end }
        })
    }

    /// Goes from one letter with its accents to the next.
    fn fill(&mut self) {
        let (mut start, mut before) = (0, None);
        let written = self.written;
        for (at, letter) in written.char_indices() {
            // An accent on a space is not composed with it.
            if at > 0 && (begins(letter) || before.is_some_and(char::is_whitespace)) {
                self.push(start..at);
                start = at;
            }
            before = Some(letter);
        }
        self.push(start..written.len());
    }

    fn push(&mut self, range: Range<usize>) {
        let part = &self.written[range.clone()];
        let Some(first) = part.find(|letter| !is_invisible(letter)) else { return };
        // The selectors behind an emoji are a part of it; what joins it to another is of neither.
        let tail = part.trim_end_matches(is_invisible).len();
        let selectors = part[tail..].trim_start_matches(is_selector).len();
        let written = range.start + first..range.end - selectors;
        let text = self.text.to_mut();
        let begin = text.len();
        text.extend(seen(part.chars()).nfc());
        let is_same = text[begin..] == self.written[written.clone()];
        match self.parts.last_mut() {
            Some(last) if last.is_same && is_same && last.written.end == written.start => {
                last.clean.end = text.len();
                last.written.end = written.end;
            }
            _ => self.parts.push(Part { clean: begin..text.len(), written, is_same }),
        }
    }
}

/// Whether nothing before this letter can change it, or be changed by it, when accents are composed.
fn begins(letter: char) -> bool {
    if is_invisible(letter) {
        return false;
    }
    if letter.is_ascii() {
        return true;
    }
    let mut first = None;
    char::decompose_canonical(letter, |part| first = first.or(Some(part)));
    let stands_alone = |letter: char| {
        char::canonical_combining_class(letter) == 0
            && is_nfc_quick(std::iter::once(letter)) == IsNormalized::Yes
    };
    first.is_some_and(stands_alone)
}

/// How an emoji is to look: variation selectors, and the letters of a flag.
fn is_selector(letter: char) -> bool {
    matches!(letter, '\u{fe00}'..='\u{fe0f}' | '\u{e0020}'..='\u{e007f}' | '\u{e0100}'..='\u{e01ef}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;
    use regex::Regex;

    use super::super::tests::odd;
    use super::*;

    #[track_caller]
    fn check(pattern: &str, text: &str, expected: &[&str]) {
        let clean = Clean::new(text);
        let regex = Regex::new(pattern).expect("a pattern");
        let groups = regex.captures(clean.text()).expect("a match");
        let found: Vec<_> =
            groups.iter().skip(1).flatten().map(|group| clean.written(group.range())).collect();
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn captures_are_parts_of_the_text_as_written() {
        check("^!(.+) (.+)$", "!cafe\u{301} au lait", &["cafe\u{301} au", "lait"]);
        check("^!say (.+)$", "\u{200e}!say\u{200b} 👩\u{200d}💻 ok\u{2069}", &["👩\u{200d}💻 ok"]);
        check("(❤)(.*)", "I ❤\u{fe0f} U", &["❤\u{fe0f}", " U"]);
        check("^(a)(b)$", "a\u{200b}b", &["a", "b"]);
        check("^(a)(x*)(b)$", "a\u{200b}b", &["a", "", "b"]);
        check("^!y (.)(.*)$", "!y e\u{301}\u{323}x", &["e\u{301}\u{323}", "x"]);
        check("^!y (.)(.*)$", "!y \u{344}x", &["\u{344}", "x"]);
        check("^(é)(.)$", "e\u{301}ｘ", &["e\u{301}", "ｘ"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(11), cases: 2000, ..ProptestConfig::default() })]

        #[test]
        fn the_parts_together_are_the_clean_text(text in odd()) {
            let made = Clean::new(&text);
            prop_assert_eq!(made.text(), &*clean(&text));
            let (mut at, mut written) = (0, 0);
            for part in &made.parts {
                prop_assert_eq!(part.clean.start, at);
                prop_assert!(part.written.start >= written && part.written.end > part.written.start);
                (at, written) = (part.clean.end, part.written.end);
            }
            prop_assert!(made.parts.is_empty() || at == made.text().len());
        }

        #[test]
        fn each_part_of_the_clean_text_is_written_somewhere(text in odd()) {
            let made = Clean::new(&text);
            let ends: Vec<usize> = made.text().char_indices().map(|(at, _)| at).chain([made.text().len()]).collect();
            for (place, start) in ends.iter().enumerate() {
                // Behind half of a flag, its letters are none.
                let ends = if made.text()[*start..].starts_with(is_selector) { &[] } else { &ends[place..] };
                for end in ends {
                    // A range that split a letter would be empty.
                    let found = clean(made.written(*start..*end)).into_owned();
                    let begins = made.parts.iter().any(|part| part.is_same && part.clean.contains(start) || part.clean.start == *start);
                    prop_assert!(found.contains(&made.text()[*start..*end]) || start == end || !begins);
                }
            }
        }

        #[test]
        fn neighbours_in_the_clean_text_are_apart_in_the_written_one(text in odd()) {
            let made = Clean::new(&text);
            for (at, _) in made.text().char_indices() {
                let (before, behind) = (made.written(0..at), made.written(at..made.text().len()));
                prop_assert!(before.len() + behind.len() <= text.len(), "{:?} {:?}", before, behind);
                let place = |part: &str| part.as_ptr() as usize - text.as_ptr() as usize;
                prop_assert!(behind.is_empty() || before.is_empty() || place(before) + before.len() <= place(behind));
            }
        }
    }
}
