//! A text in several pieces, none longer than a network allows, split where a reader would split it.
//!
//! Between paragraphs rather than between lines, between lines rather than between sentences, between sentences rather than between
//! words; but a piece that would be less than half full is not worth the better place. A code block that fits into a message
//! stays whole; one that does not is closed, and opened once more.

use std::ops::Range;

use unicode_normalization::char::is_combining_mark;

use super::is_invisible;
use crate::capability::TextLimit;

/// What begins and ends a code block, at the beginning of a line.
const FENCE: &str = "```";
/// What closes one at the end of a piece.
const CLOSING: &str = "\n```";
/// Joins two letters to one.
const JOINER: char = '\u{200d}';

/// A piece of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Which part of the text it has.
    pub(crate) range: Range<usize>,
    /// The first line of the code block that goes on in it, if one does.
    opening: Option<Range<usize>>,
    /// Whether a code block goes on in the next one.
    is_closed: bool,
}

impl Piece {
    /// What is sent, and where in that the part of the text begins.
    pub(crate) fn write(&self, text: &str) -> (String, usize) {
        let mut written = self.opening.clone().map_or_else(String::new, |line| format!("{}\n", &text[line]));
        let begins = written.len();
        written.push_str(&text[self.range.clone()]);
        if self.is_closed {
            written.push_str(CLOSING);
        }
        (written, begins)
    }
}

/// Splits a text. No piece ends within one of `whole`, such as the name of somebody who is mentioned, unless that is longer than a piece
/// may be. Spaces and empty lines between two pieces are in none of them.
pub(crate) fn pieces(text: &str, limit: TextLimit, whole: &[Range<usize>]) -> Vec<Piece> {
    let Some(most) = limit.most().filter(|_| !limit.allows(text)) else {
        return vec![Piece { range: 0..text.len(), opening: None, is_closed: false }];
    };
    let blocks = blocks(text);
    let (splitter, mut pieces, mut begin) = (Splitter { text, limit, whole }, Vec::new(), 0);
    while begin < text.len() {
        let block = blocks.iter().find(|block| block.has_inside(begin));
        let opening = block.and_then(|block| block.opening(&splitter, most));
        let used = opening.clone().map_or(0, |line| limit.length(&text[line]) + 1);
        let room = most.saturating_sub(used);
        let end = splitter.end(begin, room, most, &blocks);
        let goes_on = blocks.iter().find(|block| block.has_inside(end));
        let is_closed = goes_on.is_some_and(|block| block.opening(&splitter, most).is_some());
        pieces.push(Piece { range: begin..end, opening, is_closed });
        let blank: &[char] = if goes_on.is_some() { &['\n'] } else { &['\n', ' '] };
        begin = text.len() - text[end..].trim_start_matches(blank).len();
    }
    pieces.retain(|piece| !text[piece.range.clone()].trim().is_empty());
    pieces
}

/// A code block, from its first mark to the end of its last one.
#[derive(Debug)]
struct Block {
    range: Range<usize>,
    /// Where its first line ends.
    first_line: usize,
}

impl Block {
    /// Whether a piece that ends there ends in the middle of it.
    fn has_inside(&self, at: usize) -> bool {
        self.first_line <= at && at < self.range.end
    }

    /// Its first line, if there is room to write it once more in a piece of it, with what closes that.
    fn opening(&self, splitter: &Splitter<'_>, most: usize) -> Option<Range<usize>> {
        let line = self.range.start..self.first_line;
        (splitter.limit.length(&splitter.text[line.clone()]) + 1 + CLOSING.len() <= most / 2).then_some(line)
    }
}

/// The code blocks of a text. One that is never closed goes on to the end.
fn blocks(text: &str) -> Vec<Block> {
    let (mut blocks, mut open, mut at) = (Vec::new(), None::<Block>, 0);
    for line in text.split_inclusive('\n') {
        let end = at + line.trim_end_matches('\n').len();
        if line.trim_start_matches(' ').starts_with(FENCE) {
            match open.take() {
                Some(block) => blocks.push(Block { range: block.range.start..end, ..block }),
                None => open = Some(Block { range: at..text.len(), first_line: end }),
            }
        }
        at += line.len();
    }
    blocks.extend(open);
    blocks
}

struct Splitter<'a> {
    text: &'a str,
    limit: TextLimit,
    whole: &'a [Range<usize>],
}

impl Splitter<'_> {
    /// Where the piece ends that begins here and may have so many units, where a whole message may have `most`.
    fn end(&self, begin: usize, room: usize, most: usize, blocks: &[Block]) -> usize {
        let furthest = self.furthest(begin, room);
        let block = blocks.iter().find(|block| block.has_inside(furthest) && furthest < self.text.len());
        let Some(block) = block else {
            // What ends before that place is whole.
            return self.best(begin, room, |at| !blocks.iter().any(|block| block.has_inside(at)));
        };
        let before = self.text[begin..block.range.start.max(begin)].trim_end();
        let fits = self.limit.length(&self.text[block.range.clone()]) <= most;
        if !before.is_empty() && (fits || self.limit.length(before) >= most / 2) {
            return begin + before.len();
        }
        let has_closing = block.opening(self, most).is_some();
        let room = if has_closing { room.saturating_sub(CLOSING.len()) } else { room };
        // Behind its first line, or the next piece would be the same.
        let end = self.best(begin, room, |at| at > block.first_line);
        // Within that line nothing would be closed: a piece of nothing but the line helps nobody.
        if end > begin { end } else { furthest.max(begin + self.letter(begin)) }
    }

    /// The furthest place to which so many units go; one letter at least.
    fn furthest(&self, begin: usize, room: usize) -> usize {
        let mut used = 0;
        for (offset, letter) in self.text[begin..].char_indices() {
            used += self.limit.units(letter);
            if used > room && offset > 0 {
                return begin + offset;
            }
        }
        self.text.len()
    }

    /// The best place among those to which so many units go: the last one of the best rank where the piece is at least half full, or
    /// else the last one at all.
    fn best(&self, begin: usize, room: usize, may_end: impl Fn(usize) -> bool) -> usize {
        let (mut used, mut best, mut fallback, mut any) = (0, None, None, None);
        let mut before = ' ';
        for (offset, letter) in self.text[begin..].char_indices() {
            let at = begin + offset;
            if offset > 0 && may_end(at) && !self.whole.iter().any(|whole| whole.start < at && at < whole.end)
            {
                match self.rank(at, before, letter) {
                    Rank::Within if !is_joined(before, letter) => any = Some(at),
                    Rank::Within => {}
                    rank if 2 * used >= room => best = best.max(Some((rank, at))),
                    _ => fallback = Some(at),
                }
            }
            used += self.limit.units(letter);
            if used > room {
                let end = best.map(|(_, at)| at).or(fallback).or(any);
                return end.unwrap_or_else(|| self.furthest(begin, room));
            }
            before = letter;
        }
        self.text.len()
    }

    /// How good a place is.
    fn rank(&self, at: usize, before: char, letter: char) -> Rank {
        if !letter.is_whitespace() || before.is_whitespace() {
            return Rank::Within;
        }
        let blank = &self.text[at..];
        let blank = &blank[..blank.len() - blank.trim_start().len()];
        match blank.matches('\n').count() {
            0 if matches!(before, '.' | '!' | '?' | '…' | '。' | '！' | '？') => Rank::Sentence,
            0 => Rank::Word,
            1 => Rank::Line,
            _ => Rank::Paragraph,
        }
    }

    fn letter(&self, at: usize) -> usize {
        self.text[at..].chars().next().map_or(1, char::len_utf8)
    }
}

/// What ends at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Within,
    Word,
    Sentence,
    Line,
    Paragraph,
}

/// Whether two letters are one to who reads them.
fn is_joined(before: char, letter: char) -> bool {
    before == JOINER || is_invisible(letter) || is_combining_mark(letter)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    #[track_caller]
    fn check(text: &str, most: usize, expected: &[&str]) {
        let limit = TextLimit::Characters(most);
        let written: Vec<_> = pieces(text, limit, &[]).iter().map(|piece| piece.write(text).0).collect();
        assert_eq!(written, expected);
    }

    #[test]
    fn a_text_is_split_where_a_reader_would_split_it() {
        check("short", 5, &["short"]);
        check("one two three", 8, &["one two", "three"]);
        check("One. Two three four five.", 14, &["One. Two three", "four five."]);
        check("First one. Second one is longer.", 16, &["First one.", "Second one is", "longer."]);
        check("a b c d\ne f g h i", 12, &["a b c d", "e f g h i"]);
        check("one two\n\nthree four\nfive six", 20, &["one two\n\nthree four", "five six"]);
        check("one two three\n\nfour five\nsix", 26, &["one two three", "four five\nsix"]);
        check("abcdefghij", 4, &["abcd", "efgh", "ij"]);
        check("a\n\nbcdefghij klm", 12, &["a\n\nbcdefghij", "klm"]);
    }

    #[test]
    fn letters_of_several_marks_stay_whole() {
        check("e\u{301}e\u{301}e\u{301}e\u{301}", 5, &["e\u{301}e\u{301}", "e\u{301}e\u{301}"]);
        check(
            "👨\u{200d}👩\u{200d}👧👨\u{200d}👩\u{200d}👧",
            7,
            &["👨\u{200d}👩\u{200d}👧", "👨\u{200d}👩\u{200d}👧"],
        );
    }

    #[test]
    fn a_code_block_that_fits_stays_whole() {
        let text = "See this one:\n```rust\nlet a = 1;\nlet b = 2;\n```\nand that";
        check(text, 40, &["See this one:", "```rust\nlet a = 1;\nlet b = 2;\n```", "and that"]);
    }

    #[test]
    fn a_code_block_that_does_not_fit_is_closed_and_opened_once_more() {
        let text = "```sh\none 1\ntwo 2\nthree\nfour4\nfive5\n```\nend";
        check(text, 24, &["```sh\none 1\ntwo 2\n```", "```sh\nthree\nfour4\n```", "```sh\nfive5\n```\nend"]);
    }

    #[test]
    fn a_name_that_is_mentioned_stays_whole() {
        let text = "hello @Alice Liddell bye";
        let name = 6..20;
        let pieces = pieces(text, TextLimit::Characters(16), std::slice::from_ref(&name));
        let texts: Vec<_> = pieces.iter().map(|piece| &text[piece.range.clone()]).collect();
        assert_eq!(texts, ["hello", "@Alice Liddell", "bye"]);
    }

    #[test]
    fn a_limit_is_counted_as_the_network_counts() {
        let text = "ääää 😀😀😀😀";
        for (limit, first) in [
            (TextLimit::Bytes(9), "ääää"),
            (TextLimit::Characters(8), "ääää"),
            (TextLimit::Utf16(12), "ääää"),
        ] {
            let pieces = pieces(text, limit, &[]);
            assert_eq!(&text[pieces[0].range.clone()], first, "{limit:?}");
        }
        assert_eq!(pieces(text, TextLimit::Utf16(13), &[]).len(), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(17), cases: 2000, ..ProptestConfig::default() })]
        #[test]
        fn no_piece_is_too_long_and_no_word_is_lost(
            text in "([a-z]{1,12}|[äé😀]{1,3}|```|```rust|\n|\n\n|[ .!?]){0,60}",
            most in 1_usize..60,
            unit in 0..3,
        ) {
            let limit = [TextLimit::Bytes(most), TextLimit::Characters(most), TextLimit::Utf16(most)][unit as usize];
            let longest = text.chars().map(|letter| limit.units(letter)).max().unwrap_or(0);
            let pieces = pieces(&text, limit, &[]);
            let mut end = 0;
            for piece in &pieces {
                let (written, begins) = piece.write(&text);
                prop_assert!(limit.length(&written) <= most.max(longest), "{written:?} of {text:?}");
                prop_assert!(written[begins..].starts_with(&text[piece.range.clone()]));
                prop_assert!(text[end..piece.range.start].trim().is_empty(), "{:?} is lost", &text[end..piece.range.start]);
                end = piece.range.end;
            }
            prop_assert!(text[end..].trim().is_empty());
        }
    }
}
