//! Text of others on a terminal: what the terminal would obey, or would not show, is written out.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Makes visible what a terminal obeys, reorders or does not show: control characters, direction marks and the like become
/// `\u{202e}`. Lines stay lines, and tabs stay.
///
/// For names and texts that come from people, on their way to a terminal or a log.
///
/// ```
/// use evenkeel::visible;
///
/// assert_eq!(visible("Ann\u{202e}kcatta"), "Ann\\u{202e}kcatta");
/// assert_eq!(visible("\u{1b}[2J"), "\\u{1b}[2J");
/// assert_eq!(visible("grüße, 日本, 👩‍🚀\n"), "grüße, 日本, 👩‍🚀\n");
/// ```
pub fn visible(text: &str) -> Cow<'_, str> {
    escaped(text, |letter| letter != '\n' && letter != '\t' && is_hidden(letter))
}

/// The same for lines that this program has coloured: the few codes that it uses for that stay, no matter who wrote them.
pub(crate) fn visible_but_for_colours(line: &str) -> String {
    let mut shown = String::with_capacity(line.len() + 16);
    for part in line.split_inclusive('\u{1b}') {
        let (text, escape) = part.strip_suffix('\u{1b}').map_or((part, ""), |text| (text, "\u{1b}"));
        // What follows an escape character begins the next part.
        let is_colour = COLOURS.iter().any(|code| shown.ends_with('\u{1b}') && text.starts_with(code));
        if shown.ends_with('\u{1b}') && !is_colour {
            shown.pop();
            shown.push_str("\\u{1b}");
        }
        shown.push_str(&visible(text));
        shown.push_str(escape);
    }
    if shown.ends_with('\u{1b}') {
        shown.pop();
        shown.push_str("\\u{1b}");
    }
    shown
}

/// Reset, bold, dim, italic, and the colours of the levels, as `tracing-subscriber` writes them after an escape character.
const COLOURS: [&str; 10] = ["[0m", "[1m", "[2m", "[3m", "[31m", "[32m", "[33m", "[34m", "[35m", "[36m"];

fn escaped(text: &str, is_meant: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_meant) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        match is_meant(letter) {
            // Writing to a string cannot fail.
            true => drop(write!(shown, "\\u{{{:x}}}", u32::from(letter))),
            false => shown.push(letter),
        }
    }
    Cow::Owned(shown)
}

/// Whether a terminal obeys the character, or shows nothing for it.
///
/// Source: `White_Space`, `Cc`, `Bidi_Control` and `Default_Ignorable_Code_Point` of Unicode 16, without what joins and
/// selects the shapes of letters and emoji (U+200C, U+200D, U+FE00 to U+FE0F), and with what is between lines, and the marks
/// of annotations.
pub(crate) fn is_hidden(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_or_hides_is_written_out() {
        let hostile = "\u{1b}\u{9b}\u{7}\r\u{8}\u{0}\u{7f}\u{202e}\u{2066}\u{200b}\u{feff}\u{2028}\u{e0041}\u{85}\u{90}";
        for letter in hostile.chars() {
            let text = format!("a{letter}b");
            let expected = format!("a\\u{{{:x}}}b", u32::from(letter));
            assert_eq!(visible(&text), expected);
            assert!(!visible(&text).contains(letter));
        }
        for (line, shown) in [
            ("\u{1b}[31mred\u{202e}\u{9b}\u{1b}[0m", "\u{1b}[31mred\\u{202e}\\u{9b}\u{1b}[0m"),
            ("\u{1b}[2J\u{1b}]0;t\u{1b}", "\\u{1b}[2J\\u{1b}]0;t\\u{1b}"),
            ("\u{1b}\u{1b}[8m\u{1b}[31", "\\u{1b}\\u{1b}[8m\\u{1b}[31"),
        ] {
            assert_eq!(visible_but_for_colours(line), shown);
        }
    }

    #[test]
    fn what_people_write_in_any_language_stays_as_it_is() {
        for text in ["", "naïve\tcafé\nzwei", "שלום", "مرحبا", "می‌خواهم", "क्‍ष", "👨‍👩‍👧", "❤️", "🇩🇪", "日本語"]
        {
            assert!(matches!(visible(text), Cow::Borrowed(same) if same == text), "{text}");
        }
    }
}
