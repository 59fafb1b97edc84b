//! Text as people type it: one form in which it is compared, and where that stands in the text as written.
//!
//! Phones and keyboards write the same word in many ways: with characters that nobody sees, with an accent as a letter of
//! its own, in full width, with a space that does not break. Triggers and messages are compared as [`fold`] writes them;
//! patterns look at what [`Clean`] leaves. Handlers get parts of the text as it was written.
//!
//! Everything here takes time linear in the text, and copies nothing of plain ASCII.

mod clean;
mod pieces;

use std::borrow::Cow;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfkc_quick};

pub(crate) use clean::{Clean, clean};
pub(crate) use pieces::pieces;

/// Whether upper and lower case are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    /// They differ.
    Kept,
    /// Both are lower case.
    Lower,
}

/// Whether a character takes no room and says nothing: joiners, marks of direction, selectors, controls.
///
/// *Source*: Unicode's `Default_Ignorable_Code_Point`, and the controls that are no white space.
pub(crate) fn is_invisible(letter: char) -> bool {
    match letter {
        ' '..='~' => false,
        '\0'..='\u{8}' | '\u{e}'..='\u{1f}' | '\u{7f}'..='\u{84}' | '\u{86}'..='\u{9f}' => true,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' => true,
        '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' => true,
        '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' => true,
        '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' => true,
        '\u{e0000}'..='\u{e0fff}' => true,
        _ => false,
    }
}

/// The letters without those that nobody sees. The letters of a flag are seen: England's is a black flag and five of them.
///
/// *Source*: Unicode Technical Standard 51, emoji tag sequences.
pub(super) fn seen(letters: impl Iterator<Item = char>) -> impl Iterator<Item = char> {
    let mut is_in_flag = false;
    letters.filter(move |letter| {
        is_in_flag = match letter {
            '\u{1f3f4}' => true,
            '\u{e0020}'..='\u{e007f}' => is_in_flag,
            _ => false,
        };
        is_in_flag || !is_invisible(*letter)
    })
}

/// The words of a text, without those of which nothing is seen.
pub(crate) fn words(text: &str) -> impl DoubleEndedIterator<Item = &str> {
    text.split_whitespace().filter(|word| !word.chars().all(is_invisible))
}

/// The text from its first word to its last.
pub(crate) fn trim(text: &str) -> &str {
    let Some(first) = words(text).next() else { return "" };
    let end = words(text).next_back().map_or(0, |last| end_in(text, last));
    &text[start_in(text, first)..end]
}

/// What follows the first `count` words.
pub(crate) fn after_words(text: &str, count: usize) -> &str {
    let Some(last) = count.checked_sub(1) else { return text };
    words(text).nth(last).map_or("", |word| text[end_in(text, word)..].trim_start())
}

/// Where the words of a text end, in bytes.
pub(crate) fn word_ends(text: &str) -> impl Iterator<Item = usize> {
    words(text).map(|word| end_in(text, word))
}

/// Where a part of a text begins.
fn start_in(text: &str, part: &str) -> usize {
    part.as_ptr() as usize - text.as_ptr() as usize
}

fn end_in(text: &str, part: &str) -> usize {
    start_in(text, part) + part.len()
}

/// Words with one space between them.
pub(crate) fn tidy(text: &str) -> String {
    words(text).collect::<Vec<_>>().join(" ")
}

/// The form in which triggers and messages are compared: words with one space between them, without invisible characters,
/// in the letters that are meant (`！ｐｉｎｇ` is `!ping`, `ﬁ` is `fi`), accents composed.
pub(crate) fn fold(text: &str, case: Case) -> Cow<'_, str> {
    if is_folded(text, case) {
        return text.into();
    }
    let mut folded = String::with_capacity(text.len());
    for word in words(text) {
        if !folded.is_empty() {
            folded.push(' ');
        }
        fold_word(word, case, &mut folded);
    }
    folded.into()
}

/// Whether folding would change nothing; only of ASCII.
fn is_folded(text: &str, case: Case) -> bool {
    let mut before = b' ';
    for byte in text.bytes() {
        let is_plain = byte.is_ascii_graphic() || (byte == b' ' && before != b' ');
        if !is_plain || (case == Case::Lower && byte.is_ascii_uppercase()) {
            return false;
        }
        before = byte;
    }
    before != b' ' || text.is_empty()
}

fn fold_word(word: &str, case: Case, folded: &mut String) {
    if word.is_ascii() {
        // Nothing of it is composed or decomposed.
        let seen = word.chars().filter(|letter| !is_invisible(*letter));
        return match case {
            Case::Kept => folded.extend(seen),
            Case::Lower => folded.extend(seen.map(|letter| letter.to_ascii_lowercase())),
        };
    }
    if !fold_composed(word, case, folded) {
        normalize(word, case, folded);
    }
}

/// Folds a word that is composed already, as nearly all are, and whose letters have one small form of one letter; answers
/// whether it was one.
fn fold_composed(word: &str, case: Case, folded: &mut String) -> bool {
    let is_composed = |text: &str| is_nfkc_quick(text.chars()) == IsNormalized::Yes;
    if word.chars().any(is_invisible) || !is_composed(word) {
        return false;
    }
    if case == Case::Kept {
        folded.push_str(word);
        return true;
    }
    let start = folded.len();
    let mut is_same = true;
    for letter in word.chars() {
        let mut lower = letter.to_lowercase();
        let (Some(small), None) = (lower.next(), lower.next()) else {
            folded.truncate(start);
            return false;
        };
        let small = if small == 'ς' { 'σ' } else { small };
        is_same &= small == letter;
        folded.push(small);
    }
    let is_good = is_same || is_composed(&folded[start..]);
    if !is_good {
        folded.truncate(start);
    }
    is_good
}

fn normalize(word: &str, case: Case, folded: &mut String) {
    // A sign such as `´` decomposes to a space and an accent.
    let letters = seen(seen(word.chars()).nfkd()).filter(|letter| !letter.is_whitespace());
    if case == Case::Kept {
        folded.extend(letters.nfc());
        return;
    }
    // A sigma has two small forms. The dot of a Turkish `İ` is on every `i`.
    let lower = letters.flat_map(char::to_lowercase).map(|letter| if letter == 'ς' { 'σ' } else { letter });
    let mut before = ' ';
    let undotted = lower.filter(move |letter| {
        let is_dot = before == 'i' && *letter == '\u{307}';
        if !is_dot {
            before = *letter;
        }
        !is_dot
    });
    folded.extend(undotted.nfkc());
}

/// How many letters a text may have that is to fold to this spelling.
pub(crate) fn most_letters(folded: &str) -> usize {
    // Each letter that is seen is at least one when decomposed; but for the dots that are dropped.
    folded.nfkd().count() * 2
}

/// Whether no more than `most` letters of a text are seen. Looks no further.
pub(crate) fn has_at_most(most: usize, text: &str) -> bool {
    if text.len() <= most {
        return true;
    }
    let head = text.as_bytes().get(..2 * most).unwrap_or(text.as_bytes());
    if head.iter().filter(|byte| byte.is_ascii_graphic()).count() > most {
        return false;
    }
    let seen = |letter: &char| !is_invisible(*letter) && !letter.is_whitespace();
    text.chars().filter(seen).nth(most).is_none()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    #[track_caller]
    fn same(texts: &[&str]) {
        for text in texts {
            assert_eq!(fold(text, Case::Lower), fold(texts[0], Case::Lower), "{text:?}");
        }
    }

    #[test]
    fn one_word_typed_in_many_ways_is_one_word() {
        same(&[
            "!ping",
            "！ｐｉｎｇ",
            "!Ping",
            "\u{200b}!ping",
            "!pi\u{ad}ng",
            "\u{2068}!ping\u{2069}",
            "!PİNG",
        ]);
        same(&["!list add", "!list\u{a0}add", "!list\u{3000}\u{200b} add", " !List \n Add\u{feff}"]);
        same(&["!café", "!cafe\u{301}", "!CAFÉ", "!CAFE\u{301}"]);
        same(&["office", "oﬃce", "OFFICE"]);
        same(&["❤", "❤\u{fe0f}"]);
        let [england, scotland] = ["gbeng", "gbsct"].map(|region| {
            let letters = region.chars().filter_map(|letter| char::from_u32(0xe0000 + u32::from(letter)));
            std::iter::once('\u{1f3f4}').chain(letters).chain(['\u{e007f}']).collect::<String>()
        });
        assert_ne!(fold(&england, Case::Lower), fold(&scotland, Case::Lower));
        assert_eq!(clean(&format!("\u{e0067}!{england}")), format!("!{england}"));
        same(&["ὈΔΥΣΣΕΎΣ", "Ὀδυσσεύς"]);
        same(&["한글", "한글"]);
        assert_ne!(fold("ping", Case::Lower), fold("pıng", Case::Lower));
        assert_ne!(fold("Ping", Case::Kept), fold("ping", Case::Kept));
    }

    #[test]
    fn plain_ascii_is_not_copied() {
        for text in ["", "!ping", "!list add milk", "what is \"this\"?"] {
            assert!(matches!(fold(text, Case::Lower), Cow::Borrowed(_)), "{text}");
            assert!(matches!(clean(text), Cow::Borrowed(_)), "{text}");
        }
    }

    #[test]
    fn nothing_visible_is_nothing() {
        for text in ["\u{200b}", " \u{2068}\u{2069} ", "\u{feff}\n\u{ad}", "\0"] {
            assert_eq!((trim(text), &*fold(text, Case::Lower), clean(text).trim()), ("", "", ""), "{text:?}");
            assert_eq!(words(text).count(), 0, "{text:?}");
        }
    }

    #[test]
    fn how_much_is_looked_at_is_bounded_by_the_longest_trigger() {
        let accents = "\u{301}".repeat(200_000);
        assert!(!has_at_most(10, &accents));
        assert!(has_at_most(10, &format!("{}!ping", "\u{200b}".repeat(100_000))));
        assert_eq!(clean(&accents).len(), accents.len());
    }

    /// Texts as they are typed by nobody: every kind of character beside every other.
    pub(super) fn odd() -> impl Strategy<Value = String> {
        let odd = "aAiIİıßςΣéﬁÅＡ１！ \u{a0}\u{3000}\n´¨\u{301}\u{307}\u{323}\u{315}\u{345}\u{200b}\u{200d}\u{feff}\u{2068}\
                   \u{2069}\u{fe0f}👩💻❤각ᄀ\u{1161}\u{11a8}क़\u{93c}K\u{fb2c}\u{1d15e}\u{ad}ŉǰ\u{fdfa}\u{1e9e}\u{1f3f4}\u{e0067}\u{e007f}";
        let odd: Vec<char> = odd.chars().collect();
        let letter = prop_oneof![3 => prop::sample::select(odd), 1 => any::<char>()];
        prop::collection::vec(letter, 0..24).prop_map(String::from_iter)
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(9), cases: 2000, ..ProptestConfig::default() })]

        #[test]
        fn folding_twice_is_folding_once(text in odd()) {
            for case in [Case::Kept, Case::Lower] {
                let once = fold(&text, case).into_owned();
                prop_assert_eq!(&*fold(&once, case), &*once);
                prop_assert_eq!(words(&once).count(), words(&text).count());
                prop_assert!(once.chars().all(|letter| letter == ' ' || !letter.is_whitespace()));
            }
        }

        #[test]
        fn the_short_way_leads_to_the_same(text in odd()) {
            for (case, word) in words(&text).flat_map(|word| [(Case::Kept, word), (Case::Lower, word)]) {
                let (mut short, mut long) = (String::new(), String::new());
                normalize(word, case, &mut long);
                if fold_composed(word, case, &mut short) {
                    prop_assert_eq!(short, long);
                } else {
                    prop_assert!(short.is_empty());
                }
            }
        }

        #[test]
        fn what_folds_to_a_spelling_is_never_too_long(text in odd()) {
            let most = most_letters(&fold(&text, Case::Lower));
            prop_assert!(has_at_most(most, &text));
        }
    }
}
