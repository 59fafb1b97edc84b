//! Matches a text against all triggers in one pass.

use std::collections::HashMap;
use std::sync::Arc;

use regex_automata::meta;
use regex_automata::{Input, MatchKind, PatternSet};

use super::Filter;
use crate::event::Event;

/// The compiled size of all patterns of one router together.
const PATTERNS_BYTES: usize = 64 << 20;
/// What the lazily built automaton of all patterns may use on each thread before it starts afresh.
const CACHE_BYTES: usize = 4 << 20;

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
    patterns: Option<Patterns>,
    events: Vec<(Filter, Target)>,
    fallback: Option<Target>,
}

/// Texts and where they lead: a hash table, so that a thousand cost what ten do.
#[derive(Default)]
struct Literals {
    as_written: HashMap<String, Target>,
    in_lower_case: HashMap<String, Target>,
    most_words: usize,
    longest_bytes: usize,
}

/// All patterns as one automaton.
struct Patterns {
    automaton: meta::Regex,
    targets: Vec<Target>,
}

#[derive(Default)]
pub(super) struct Builder {
    exacts: Literals,
    commands: Literals,
    patterns: Vec<(String, Target)>,
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

    pub(super) fn pattern(&mut self, regex: &regex::Regex, target: Target) {
        self.patterns.push((regex.as_str().to_owned(), target));
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
        let (sources, targets): (Vec<_>, Vec<_>) = patterns.into_iter().unzip();
        let patterns = (!sources.is_empty()).then(|| Patterns { automaton: compile(&sources), targets });
        Matcher { exacts, commands, patterns, events, fallback }
    }
}

fn compile(sources: &[String]) -> meta::Regex {
    let config = meta::Config::new()
        .match_kind(MatchKind::All)
        .nfa_size_limit(Some(PATTERNS_BYTES))
        .hybrid_cache_capacity(CACHE_BYTES);
    match meta::Builder::new().configure(config).build_many(sources) {
        Ok(automaton) => automaton,
        Err(error) => panic!("the {} patterns of this router do not fit into memory: {error}", sources.len()),
    }
}

impl Matcher {
    /// The first route that matches and that `allows` lets pass.
    pub(super) fn find(&self, event: &Event, allows: &dyn Fn(usize) -> bool) -> Option<usize> {
        let text = event.text();
        let found = text.and_then(|text| self.find_text(text, event, allows));
        let by_kind = || {
            let mut events = self.events.iter().filter(|(filter, _)| filter(event));
            events.find_map(|(_, target)| target.resolve("", event, allows))
        };
        found.or_else(by_kind).or_else(|| self.fallback.as_ref()?.resolve(text?, event, allows))
    }

    fn find_text(&self, text: &str, event: &Event, allows: &dyn Fn(usize) -> bool) -> Option<usize> {
        let trimmed = text.trim();
        let exact = || self.exacts.get(trimmed)?.resolve("", event, allows);
        let command = || self.command(trimmed, event, allows);
        let pattern = || self.patterns.as_ref()?.find(text, event, allows);
        exact().or_else(command).or_else(pattern)
    }

    /// The longest command whose words begin the text.
    fn command(&self, text: &str, event: &Event, allows: &dyn Fn(usize) -> bool) -> Option<usize> {
        let mut ends = [0; 8];
        let mut count = 0;
        for end in word_ends(text).take(self.commands.most_words.min(ends.len())) {
            ends[count] = end;
            count += 1;
        }
        for end in ends[..count].iter().rev() {
            let (words, rest) = text.split_at(*end);
            let target = self.commands.get(words);
            if let Some(found) = target.and_then(|target| target.resolve(rest.trim_start(), event, allows)) {
                return Some(found);
            }
        }
        None
    }

    /// Matches the text behind the words of `nest`, its fallback included.
    fn find_nested(&self, text: &str, event: &Event, allows: &dyn Fn(usize) -> bool) -> Option<usize> {
        let found = self.find_text(text, event, allows);
        found.or_else(|| self.fallback.as_ref()?.resolve(text, event, allows))
    }
}

/// Where the words of a text end, in bytes.
fn word_ends(text: &str) -> impl Iterator<Item = usize> {
    let start = text.as_ptr() as usize;
    text.split_whitespace().map(move |word| word.as_ptr() as usize - start + word.len())
}

impl Target {
    fn resolve(&self, rest: &str, event: &Event, allows: &dyn Fn(usize) -> bool) -> Option<usize> {
        match self {
            Self::Route(index) => allows(*index).then_some(*index),
            Self::Nest(matcher) => matcher.find_nested(rest, event, allows),
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

    fn get(&self, text: &str) -> Option<&Target> {
        // Long texts are no trigger: nobody can make us fold a megabyte.
        if text.len() > self.longest_bytes {
            return None;
        }
        if !self.as_written.is_empty()
            && let Some(target) = self.as_written.get(text)
        {
            return Some(target);
        }
        if self.in_lower_case.is_empty() {
            return None;
        }
        if text.bytes().any(|byte| byte.is_ascii_uppercase() || byte >= 0x80) {
            return self.in_lower_case.get(&text.to_lowercase());
        }
        self.in_lower_case.get(text)
    }
}

impl Patterns {
    fn find(&self, text: &str, event: &Event, allows: &dyn Fn(usize) -> bool) -> Option<usize> {
        let mut matching = PatternSet::new(self.targets.len());
        self.automaton.which_overlapping_matches(&Input::new(text), &mut matching);
        matching.iter().find_map(|pattern| self.targets[pattern.as_usize()].resolve("", event, allows))
    }
}
