//! When a route matches.

use std::sync::Arc;

use crate::command::TriggerKind;
use crate::context::Matched;
use crate::event::Event;
use crate::trigger::Facts;

/// When an entry matches.
pub(super) enum When {
    Command(Vec<String>),
    Exact(Vec<String>),
    Pattern(Arc<regex::Regex>),
    Event(Filter),
    Fallback,
}

pub(super) type Filter = Box<dyn Fn(&Event) -> bool + Send + Sync>;

impl When {
    /// What is known of a route that matches then.
    pub(super) fn matched(&self, facts: Facts) -> Matched {
        let (texts, pattern) = match self {
            Self::Command(spellings) => (Some((TriggerKind::Command, spellings.clone())), None),
            Self::Exact(spellings) => (Some((TriggerKind::Exact, spellings.clone())), None),
            Self::Pattern(regex) => (Some((TriggerKind::Pattern, Vec::new())), Some(Arc::clone(regex))),
            Self::Event(_) | Self::Fallback => (None, None),
        };
        Matched { facts, texts, pattern, has_first_words: false, nest_words: 0 }
    }
}
