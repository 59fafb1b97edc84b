//! Matches a text against all triggers in one pass.

use std::collections::HashMap;
use std::sync::Arc;

use super::patterns::Patterns;
use super::when::Filter;
use crate::event::Event;
use crate::text::{Case, after_words, fold, has_at_most, most_letters, trim, word_ends, words};

/// Where a trigger leads.
#[derive(Clone)]
pub(super) enum Target {
    /// To this route.
    Route(usize),
    /// To another router, with the rest of the text.
    Nest(Arc<Matcher>),
}

/// All triggers of one router.
pub(super) struct Matcher {
    exacts: Literals,
    commands: Literals,
    patterns: Patterns,
    /// Where each pattern leads.
    pattern_targets: Vec<Target>,
    events: Vec<(Filter, Target)>,
    fallback: Option<Target>,
}

/// What a text was found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) route: usize,
    /// How many words of the text are those of the command.
    pub(super) command_words: usize,
}

/// Texts and where they lead: a hash table, so that a thousand cost what ten do.
#[derive(Default)]
struct Literals {
    /// Folded, as all keys are.
    in_their_case: HashMap<String, Target>,
    in_lower_case: HashMap<String, Target>,
    most_words: usize,
    /// How many letters a text may have that is one of them.
    most_letters: usize,
}

#[derive(Default)]
pub(super) struct Builder {
    exacts: Literals,
    commands: Literals,
    patterns: Vec<(Arc<regex::Regex>, Target)>,
    events: Vec<(Filter, Target)>,
    fallback: Option<Target>,
}

impl Builder {
    pub(super) fn commands(&mut self, spellings: Vec<String>, is_case_sensitive: bool, target: &Target) {
        self.commands.add(spellings, is_case_sensitive, target);
    }

    pub(super) fn exacts(&mut self, spellings: Vec<String>, is_case_sensitive: bool, target: &Target) {
        self.exacts.add(spellings, is_case_sensitive, target);
    }

    pub(super) fn pattern(&mut self, regex: Arc<regex::Regex>, target: Target) {
        self.patterns.push((regex, target));
    }

    pub(super) fn event(&mut self, filter: Filter, target: Target) {
        self.events.push((filter, target));
    }

    pub(super) fn fallback(&mut self, target: Target) {
        self.fallback = Some(target);
    }

    /// # Panics
    ///
    /// When the patterns are too large together; each of them alone was accepted before.
    pub(super) fn build(self) -> Matcher {
        let Self { exacts, commands, patterns, events, fallback } = self;
        let (patterns, pattern_targets) = patterns.into_iter().unzip();
        let patterns = Patterns::new(patterns);
        Matcher { exacts, commands, patterns, pattern_targets, events, fallback }
    }
}

impl Matcher {
    /// The first route that matches and that `allows` lets pass.
    pub(super) fn find(&self, event: &Event, allows: &dyn Fn(usize) -> bool) -> Option<Found> {
        let text = event.said();
        let found = self.find_text_of(event, allows);
        let by_kind = || {
            let mut events = self.events.iter().filter(|(filter, _)| filter(event));
            events.find_map(|(_, target)| target.resolve(0, "", allows))
        };
        found.or_else(by_kind).or_else(|| self.fallback.as_ref()?.resolve(0, text?, allows))
    }

    /// The same, without the filters of `on`, which are the author's code. Where there are some, they come before the
    /// fallback, so it is not known whether that would be asked.
    pub(super) fn find_without_filters(
        &self,
        event: &Event,
        allows: &dyn Fn(usize) -> bool,
    ) -> Option<Found> {
        let text = event.said()?;
        let fallback = || self.fallback.as_ref().filter(|_| self.events.is_empty())?.resolve(0, text, allows);
        self.find_text(text, allows).or_else(fallback)
    }

    /// The same by its text alone, without the fallback.
    pub(super) fn find_text_of(&self, event: &Event, allows: &dyn Fn(usize) -> bool) -> Option<Found> {
        self.find_text(event.said()?, allows)
    }

    fn find_text(&self, text: &str, allows: &dyn Fn(usize) -> bool) -> Option<Found> {
        let text = trim(text);
        let exact = || self.exacts.find(text, |target| target.resolve(0, "", allows));
        let command = || self.command(text, |target, count, rest| target.resolve(count, rest, allows));
        let pattern = || self.patterns.find(text, |index| self.pattern_targets[index].resolve(0, "", allows));
        exact().or_else(command).or_else(pattern)
    }

    /// The route to which the words of an event lead, if no pattern and no fallback has to be asked for that.
    pub(super) fn find_by_words(&self, event: &Event, allows: &dyn Fn(usize) -> bool) -> Option<usize> {
        self.by_words(event.said()?, allows).flatten()
    }

    /// The same; `Some(None)` where a pattern or a fallback has to be asked.
    fn by_words(&self, text: &str, allows: &dyn Fn(usize) -> bool) -> Option<Option<usize>> {
        let text = trim(text);
        let exact = self.exacts.find(text, |target| target.resolve_by_words("", allows));
        exact.or_else(|| self.command(text, |target, _, rest| target.resolve_by_words(rest, allows)))
    }

    /// The longest command whose words begin the text and that is `taken`, with their count and the rest of the text.
    fn command<T>(&self, text: &str, taken: impl Fn(&Target, usize, &str) -> Option<T>) -> Option<T> {
        for count in (1..=self.commands.most_words).rev() {
            let Some(end) = word_ends(text).nth(count - 1) else { continue };
            let to = |target: &Target| taken(target, count, after_words(text, count));
            if let Some(found) = self.commands.find(&text[..end], to) {
                return Some(found);
            }
        }
        None
    }

    /// Matches the text behind the words of `nest`, its fallback included.
    fn find_nested(&self, text: &str, allows: &dyn Fn(usize) -> bool) -> Option<Found> {
        let found = self.find_text(text, allows);
        found.or_else(|| self.fallback.as_ref()?.resolve(0, text, allows))
    }
}

impl Target {
    /// Goes on to the route, or into the router behind `nest` with the `rest` of the text.
    fn resolve(&self, command_words: usize, rest: &str, allows: &dyn Fn(usize) -> bool) -> Option<Found> {
        match self {
            Self::Route(route) => allows(*route).then_some(Found { route: *route, command_words }),
            Self::Nest(matcher) => matcher.find_nested(rest, allows),
        }
    }

    /// The same by words alone: `Some(None)` where the router behind `nest` has a pattern or a fallback to ask.
    fn resolve_by_words(&self, rest: &str, allows: &dyn Fn(usize) -> bool) -> Option<Option<usize>> {
        match self {
            Self::Route(route) => allows(*route).then_some(Some(*route)),
            Self::Nest(matcher) => matcher.by_words(rest, allows).or_else(|| {
                let has_more = !matcher.pattern_targets.is_empty() || matcher.fallback.is_some();
                has_more.then_some(None)
            }),
        }
    }
}

impl Literals {
    fn add(&mut self, spellings: Vec<String>, is_case_sensitive: bool, target: &Target) {
        for spelling in spellings {
            self.most_words = self.most_words.max(words(&spelling).count());
            let (targets, case) = if is_case_sensitive {
                (&mut self.in_their_case, Case::Kept)
            } else {
                (&mut self.in_lower_case, Case::Lower)
            };
            let folded = fold(&spelling, case).into_owned();
            self.most_letters = self.most_letters.max(most_letters(&folded));
            targets.insert(folded, target.clone());
        }
    }

    /// Offers what the text leads to: in the case in which it is written first, then whatever its case.
    fn find<T>(&self, text: &str, taken: impl Fn(&Target) -> Option<T>) -> Option<T> {
        // Long texts are no trigger: nobody can make us fold a megabyte.
        if !has_at_most(self.most_letters, text) {
            return None;
        }
        let find = |targets: &HashMap<String, Target>, case| {
            let target = if targets.is_empty() { None } else { targets.get(&*fold(text, case)) };
            target.and_then(&taken)
        };
        find(&self.in_their_case, Case::Kept).or_else(|| find(&self.in_lower_case, Case::Lower))
    }
}
