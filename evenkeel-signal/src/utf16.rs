//! Positions in texts: Signal counts UTF-16 code units, Rust counts bytes.

use std::ops::Range;

/// Where each UTF-16 unit of a text begins, in bytes. Made once for a text with mentions, so that a message with
/// many of them costs no more than its length.
pub(crate) struct Units(Vec<usize>);

/// The second half of a surrogate pair begins nowhere.
const INSIDE: usize = usize::MAX;

impl Units {
    pub(crate) fn new(text: &str) -> Self {
        let mut starts = Vec::with_capacity(text.len() + 1);
        for (start, character) in text.char_indices() {
            starts.push(start);
            starts.extend((character.len_utf16() == 2).then_some(INSIDE));
        }
        starts.push(text.len());
        Self(starts)
    }

    /// Returns the bytes of `length` units from `start`; `None` if an end is outside of the text or inside of a pair.
    pub(crate) fn bytes(&self, start: u64, length: u64) -> Option<Range<usize>> {
        let begin = self.byte(start)?;
        let end = self.byte(start.checked_add(length)?)?;
        Some(begin..end)
    }

    fn byte(&self, unit: u64) -> Option<usize> {
        let byte = *self.0.get(usize::try_from(unit).ok()?)?;
        (byte != INSIDE).then_some(byte)
    }
}

/// Returns the length of a text in UTF-16 units.
pub(crate) fn length(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_pair_and_places_outside_are_nowhere() {
        let units = Units::new("a👋b");
        assert_eq!(units.bytes(0, 1), Some(0..1));
        assert_eq!(units.bytes(1, 2), Some(1..5));
        assert_eq!(units.bytes(4, 0), Some(6..6));
        for (start, length) in [(1, 1), (2, 1), (4, 1), (5, 0), (u64::MAX, 1), (1, u64::MAX)] {
            assert_eq!(units.bytes(start, length), None, "{start} {length}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_part_of_a_text_is_found_again(parts in proptest::array::uniform3(".*")) {
            let [before, part, after] = &parts;
            let text = parts.concat();
            let found = Units::new(&text).bytes(length(before) as u64, length(part) as u64).unwrap();
            proptest::prop_assert_eq!(&text[found], part);
            proptest::prop_assert_eq!(length(&text), text.encode_utf16().count());
            let _ = after;
        }

        #[test]
        fn no_position_makes_it_panic_or_split_a_character(text in ".*", start: u64, length in 0u64..20) {
            let start = start % (text.len() as u64 + 3);
            if let Some(found) = Units::new(&text).bytes(start, length) {
                proptest::prop_assert!(text.get(found).is_some());
            }
        }
    }
}
