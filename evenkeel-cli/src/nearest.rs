//! What somebody may have meant.

use strsim::levenshtein;

/// The candidate that differs from `word` in the fewest letters, if it is alike at all: a third of them may differ.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let ranked = candidates.into_iter().map(|candidate| (levenshtein(word, candidate), candidate));
    ranked
        .min()
        .filter(|(distance, candidate)| *distance <= candidate.len().max(3) / 3 + 1)
        .map(|(_, near)| near)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn slips_of_the_finger_are_understood_and_other_words_are_not() {
        let known = ["demo", "new", "doctor", "help"];
        for (typed, meant) in [("dmeo", "demo"), ("docter", "doctor"), ("nwe", "new"), ("hepl", "help")] {
            assert_eq!(nearest(typed, known), Some(meant), "{typed}");
        }
        assert_eq!(nearest("frobnicate", known), None);
    }
}
