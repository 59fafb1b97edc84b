//! Remembers which words are taken, and by which line.

use std::collections::HashMap;
use std::panic::Location;

use super::when::When;
use crate::text::{Case, fold};

type Line = &'static Location<'static>;

/// Each text that starts a handler, with the line that added it.
#[derive(Default)]
pub(super) struct Claims(HashMap<String, Line>);

impl Claims {
    /// Notes the texts of a trigger and panics when one is taken. Patterns may overlap: the first one wins.
    #[track_caller]
    pub(super) fn claim(&mut self, when: &When, is_case_sensitive: bool, line: Line) {
        let (kind, spellings) = match when {
            When::Command(spellings) => ("command", &spellings[..]),
            When::Exact(spellings) => ("exact text", &spellings[..]),
            When::Fallback => ("fallback", &[String::new()][..]),
            When::Pattern(_) | When::Event(_) => return,
        };
        for spelling in spellings {
            let spelling = fold(spelling, if is_case_sensitive { Case::Kept } else { Case::Lower });
            self.add(format!("{kind} {spelling}"), line);
        }
    }

    /// Notes the words of a nested router.
    #[track_caller]
    pub(super) fn claim_prefix(&mut self, prefix: &str, line: Line) {
        self.add(format!("command {}", fold(prefix, Case::Lower)), line);
    }

    /// Takes all of another router's.
    #[track_caller]
    pub(super) fn merge(&mut self, others: Self) {
        for (text, line) in others.0 {
            self.add(text, line);
        }
    }

    #[track_caller]
    fn add(&mut self, text: String, line: Line) {
        if let Some(first) = self.0.get(&text) {
            panic!("the {} is taken: it was added at {first}", text.trim_end());
        }
        self.0.insert(text, line);
    }
}
