//! Matches a text against all triggers in one pass.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use super::Filter;
use super::patterns::Patterns;
use crate::event::Event;
use crate::trigger::tidy;

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
    as_written: HashMap<String, Target>,
    in_lower_case: HashMap<String, Target>,
    most_words: usize,
    longest_bytes: usize,
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
        let text = event.text();
        let found = text.and_then(|text| self.find_text(text, allows));
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
        let text = event.text()?;
        let fallback = || self.fallback.as_ref().filter(|_| self.events.is_empty())?.resolve(0, text, allows);
        self.find_text(text, allows).or_else(fallback)
    }

    fn find_text(&self, text: &str, allows: &dyn Fn(usize) -> bool) -> Option<Found> {
        let text = text.trim();
        let exact = || self.exacts.find(text, |target| target.resolve(0, "", allows));
        let command = || self.command(text, allows);
        let pattern = || self.patterns.find(text, |index| self.pattern_targets[index].resolve(0, "", allows));
        exact().or_else(command).or_else(pattern)
    }

    /// The longest command whose words begin the text.
    fn command(&self, text: &str, allows: &dyn Fn(usize) -> bool) -> Option<Found> {
        for count in (1..=self.commands.most_words).rev() {
            let Some(end) = word_ends(text).nth(count - 1) else { continue };
            let (words, rest) = text.split_at(end);
            let to = |target: &Target| target.resolve(count, rest.trim_start(), allows);
            if let Some(found) = self.commands.find(&one_space(words), to) {
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

/// Words with one space between them; phones and people put more.
fn one_space(words: &str) -> Cow<'_, str> {
    let is_odd = |letter: char| letter != ' ' && letter.is_whitespace();
    if words.contains("  ") || words.contains(is_odd) { tidy(words).into() } else { words.into() }
}

/// Where the words of a text end, in bytes.
fn word_ends(text: &str) -> impl Iterator<Item = usize> {
    let start = text.as_ptr() as usize;
    text.split_whitespace().map(move |word| word.as_ptr() as usize - start + word.len())
}

impl Target {
    /// Goes on to the route, or into the router behind `nest` with the `rest` of the text.
    fn resolve(&self, command_words: usize, rest: &str, allows: &dyn Fn(usize) -> bool) -> Option<Found> {
        match self {
            Self::Route(route) => allows(*route).then_some(Found { route: *route, command_words }),
            Self::Nest(matcher) => matcher.find_nested(rest, allows),
        }
    }
}

impl Literals {
    fn add(&mut self, spellings: Vec<String>, is_case_sensitive: bool, target: &Target) {
        for spelling in spellings {
            self.most_words = self.most_words.max(spelling.split(' ').count());
            // Changing case may change the length a little.
            self.longest_bytes = self.longest_bytes.max(spelling.len() * 3);
            if is_case_sensitive {
                self.as_written.insert(spelling, target.clone());
            } else {
                self.in_lower_case.insert(spelling.to_lowercase(), target.clone());
            }
        }
    }

    /// Offers what the text leads to: as it is written first, then whatever its case.
    fn find<T>(&self, text: &str, taken: impl Fn(&Target) -> Option<T>) -> Option<T> {
        // Long texts are no trigger: nobody can make us fold a megabyte.
        if text.len() > self.longest_bytes {
            return None;
        }
        let as_written = self.as_written.get(text).and_then(&taken);
        as_written.or_else(|| {
            let is_folded = !text.bytes().any(|byte| byte.is_ascii_uppercase() || byte >= 0x80);
            let folded = if is_folded { text.into() } else { Cow::Owned(text.to_lowercase()) };
            self.in_lower_case.get(&*folded).and_then(&taken)
        })
    }
}
