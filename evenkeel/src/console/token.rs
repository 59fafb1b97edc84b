//! The secret in the printed address of a page.

use std::fmt;
use std::hint::black_box;

use crate::error::{Error, Result};

const BYTES: usize = 16;

/// 128 random bits, written as 32 hexadecimal digits.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token(String);

impl Token {
    pub(crate) fn random() -> Result<Self> {
        let mut bytes = [0; BYTES];
        getrandom::fill(&mut bytes)
            .map_err(|error| Error::new(format!("the system has no random numbers for a token: {error}")))?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// Reads one as it is written; `None` for anything else.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let is_one =
            text.len() == 2 * BYTES && text.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        is_one.then(|| Self(text.to_owned()))
    }

    pub(super) fn text(&self) -> &str {
        &self.0
    }

    /// Whether somebody has this token. Takes the same time wherever the two differ, so that nobody finds it digit by digit.
    pub(super) fn is(&self, tried: &str) -> bool {
        if tried.len() != self.0.len() {
            return false;
        }
        let pairs = self.0.bytes().zip(tried.bytes());
        black_box(pairs.fold(0, |differs, (own, other)| differs | (own ^ other))) == 0
    }
}

/// It ends up in no log by mistake.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_known_by_all_of_its_digits() {
        let (token, other) = (Token::random().unwrap(), Token::random().unwrap());
        assert_ne!(token, other);
        assert!(token.is(token.text()) && Token::read(token.text()).is_some());
        let (first, last) = (&token.text()[..31], &token.text()[1..]);
        for wrong in [other.text(), first, last, "", &format!("{}0", token.text()), &format!("{first}g")] {
            assert!(!token.is(wrong), "{wrong}");
        }
        for wrong in [&format!("{first}g"), &"A".repeat(32), &"0".repeat(33), ""] {
            assert_eq!(Token::read(wrong), None, "{wrong}");
        }
        assert_eq!(format!("{token:?}"), "Token(..)");
    }
}
