//! Which groups of a pattern take part in each match.

use regex::Regex;
use regex_syntax::hir::{Hir, HirKind};

/// For each group, from the first on: whether there is no match without it.
pub(super) fn always_there(regex: &Regex) -> Vec<bool> {
    let mut is_there = vec![false; regex.captures_len()];
    if let Ok(hir) = regex_syntax::parse(regex.as_str()) {
        mark(&hir, &mut is_there);
    }
    is_there.split_off(1)
}

fn mark(hir: &Hir, is_there: &mut [bool]) {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) | HirKind::Literal(_) | HirKind::Class(_) => {}
        HirKind::Repetition(repetition) if repetition.min == 0 => {}
        HirKind::Repetition(repetition) => mark(&repetition.sub, is_there),
        HirKind::Capture(capture) => {
            if let Some(place) = is_there.get_mut(capture.index as usize) {
                *place = true;
            }
            mark(&capture.sub, is_there);
        }
        HirKind::Concat(parts) => parts.iter().for_each(|part| mark(part, is_there)),
        // Other branches have groups of their own.
        HirKind::Alternation(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_that_may_take_no_part_is_known() {
        for (pattern, expected) in [
            (r"^(a) (b)?$", &[true, false][..]),
            (r"(a(b)?)+", &[true, false]),
            (r"(a)|(b)", &[false, false]),
            (r"((a)|b)", &[true, false]),
            (r"(?:( (a)))*(?P<c>.{1,3})(d){0,2}", &[false, false, true, false]),
            ("x", &[]),
        ] {
            assert_eq!(always_there(&Regex::new(pattern).expect("a pattern")), expected, "{pattern}");
        }
    }
}
