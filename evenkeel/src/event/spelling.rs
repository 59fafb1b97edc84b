//! Whether two texts name the same person or conversation.
//!
//! Who writes an allow-list copies ids from wherever they are shown: a number with spaces, a uuid in capitals, a space at the
//! end. One that matched nobody, in silence, would be found by whom it locks out.

use crate::text::{Case, fold};

/// Whether `one` is another spelling of `other`: without spaces at the ends, in whatever case; numbers are compared by digits.
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    if one == other {
        return true;
    }
    // What is copied from a chat may have marks around it that nobody sees.
    let (one, other) = (fold(one, Case::Lower), fold(other, Case::Lower));
    match (digits(&one), digits(&other)) {
        (Some(one), Some(other)) => one.eq(other),
        _ => one == other,
    }
}

/// The digits of a phone number with `+`; what holds anything that people do not write into one is no number.
fn digits(text: &str) -> Option<impl Iterator<Item = char>> {
    let number = text.strip_prefix('+')?;
    let is_between = |letter: char| {
        letter.is_whitespace() || matches!(letter, '-' | '(' | ')' | '.' | '/' | '\u{2010}'..='\u{2015}')
    };
    let is_number = number.chars().all(|letter| letter.is_ascii_digit() || is_between(letter));
    let has_digits = number.contains(|letter: char| letter.is_ascii_digit());
    (is_number && has_digits).then(|| number.chars().filter(char::is_ascii_digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_known_in_other_spellings_and_no_other_id_is() {
        for (one, other) in [
            ("+1 555 010 0001", "+15550100001"),
            ("+1-555-(010)-0001 ", "+15550100001"),
            ("+1\u{a0}555.010/0001", "+1 5550100001"),
            ("ABCDEF01-3333-4333-8333-333333333333", "abcdef01-3333-4333-8333-333333333333"),
            ("\u{202a}+1 555 010 0001\u{202c}", "+15550100001"),
            ("＋１５５５０１００００１", "+15550100001"),
            ("alice ", "Alice"),
            ("ÄNNE", "änne"),
        ] {
            assert!(is_same(one, other) && is_same(other, one), "{one}");
        }
        for (one, other) in [
            ("+15550100001", "+15550100002"),
            ("+15550100001", "15550100001"),
            ("+15550100001 x", "+15550100001"),
            ("+", "+ "),
            ("al ice", "alice"),
            ("", "alice"),
        ] {
            assert_eq!(is_same(one, other), one.trim() == other.trim(), "{one}");
        }
    }
}
