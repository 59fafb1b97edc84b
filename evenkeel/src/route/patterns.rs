//! Finds which of many patterns match a text, mostly without asking them.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use regex::{Regex, RegexSet, RegexSetBuilder};
use regex_syntax::hir::literal::{ExtractKind, Extractor, Literal};
use regex_syntax::hir::{Class, Hir, HirKind, Look, Repetition};

use crate::text::clean;

/// The compiled size of all patterns without a literal together.
const FREE_BYTES: usize = 64 << 20;
/// What their automaton, which is built while it runs, may use on each thread before it starts afresh.
const CACHE_BYTES: usize = 4 << 20;
/// Up to this many bytes of literals get the faster automaton, of about 256 bytes for each.
const FAST_BYTES: usize = 32 << 10;
/// How often a repeated part is written out in search of a longer literal.
const MOST_REPEATS: u32 = 8;

/// Patterns of which one automaton for all literals finds the few that could match a text.
///
/// One automaton for the patterns themselves would be simpler, and a hundred times slower for two hundred of them:
/// `\w+` beside `.+` has more states than any cache, and `\b` in a text beyond ASCII stops it altogether.
pub(super) struct Patterns {
    all: Vec<Arc<Regex>>,
    literals: Option<AhoCorasick>,
    /// To which pattern each literal belongs.
    owners: Vec<usize>,
    /// Patterns that no literal announces, such as `^\d+$`, in one automaton.
    free: RegexSet,
    /// Which patterns these are.
    free_owners: Vec<usize>,
}

impl Patterns {
    /// # Panics
    ///
    /// When the patterns are too large together; each of them alone was accepted before.
    pub(super) fn new(all: Vec<Arc<Regex>>) -> Self {
        let (mut literals, mut owners) = (Vec::new(), Vec::new());
        let (mut free, mut free_owners) = (Vec::new(), Vec::new());
        for (index, chosen) in choose(&all).into_iter().enumerate() {
            if chosen.is_empty() {
                free.push(all[index].as_str());
                free_owners.push(index);
            }
            owners.extend(chosen.iter().map(|_| index));
            literals.extend(chosen);
        }
        let bytes: usize = literals.iter().map(Vec::len).sum();
        let kind = (bytes <= FAST_BYTES).then_some(AhoCorasickKind::DFA);
        let automaton = AhoCorasick::builder().ascii_case_insensitive(true).kind(kind).build(literals);
        let set = RegexSetBuilder::new(free).size_limit(FREE_BYTES).dfa_size_limit(CACHE_BYTES).build();
        match (automaton, set) {
            (Ok(literals), Ok(free)) => {
                let literals = (!owners.is_empty()).then_some(literals);
                Self { all, literals, owners, free, free_owners }
            }
            (Err(error), _) => panic!("the patterns of this router do not fit into memory: {error}"),
            (_, Err(error)) => panic!("the patterns of this router do not fit into memory: {error}"),
        }
    }

    /// Offers the patterns that match, in order, until one is `taken`.
    pub(super) fn find<T>(&self, text: &str, mut taken: impl FnMut(usize) -> Option<T>) -> Option<T> {
        if self.all.is_empty() {
            return None;
        }
        let text = &*clean(text);
        // Costs nothing while it is empty, as it is for most of what people say.
        let mut candidates = BTreeSet::new();
        if let Some(literals) = &self.literals {
            let hits = literals.find_overlapping_iter(text);
            candidates.extend(hits.map(|hit| self.owners[hit.pattern().as_usize()]));
        }
        let mut matching = Vec::new();
        if !self.free.is_empty() {
            matching.extend(self.free.matches(text).iter().map(|place| self.free_owners[place]));
            candidates.extend(&matching);
        }
        let mut matching = candidates
            .into_iter()
            .filter(|index| matching.binary_search(index).is_ok() || self.all[*index].is_match(text));
        matching.find_map(&mut taken)
    }
}

/// Whether every match begins where the text begins, with one of a few literals: `^!prime (\d+)$` reads as a command; `^\d+$`, `.+` and
/// what is found in the middle of a sentence do not.
pub(super) fn has_first_words(regex: &Regex) -> bool {
    let Ok(hir) = regex_syntax::parse(regex.as_str()) else { return false };
    let mut extractor = Extractor::new();
    // A letter in either case is a class of two or three; one of ten digits stands for anything.
    extractor.kind(ExtractKind::Prefix).limit_class(3);
    let prefixes = extractor.extract(&hir);
    let is_some_word =
        |literals: &[Literal]| !literals.is_empty() && literals.iter().all(|literal| !literal.is_empty());
    hir.properties().look_set_prefix().contains(Look::Start) && prefixes.literals().is_some_and(is_some_word)
}

/// For each pattern, literals of which every match holds at least one; none if there are no such.
fn choose(all: &[Arc<Regex>]) -> Vec<Literals> {
    let choices: Vec<_> = all.iter().map(|regex| choices(regex)).collect();
    let mut uses: HashMap<&[u8], usize> = HashMap::new();
    for literal in choices.iter().flatten().flatten() {
        *uses.entry(literal).or_default() += 1;
    }
    // Long ones are rare in what people say, and one that many patterns share would announce all of them.
    let worth = |literals: &Literals| {
        let each = literals.iter().map(|literal| 1_000 * literal.len() / uses[literal.as_slice()].pow(2));
        each.min().unwrap_or_default()
    };
    let best = |choices: &Vec<Literals>| choices.iter().max_by_key(|literals| worth(literals)).cloned();
    choices.iter().map(|choices| best(choices).unwrap_or_default()).collect()
}

/// Literals in lower case (that of ASCII), one of which is in every match.
type Literals = Vec<Vec<u8>>;

fn choices(regex: &Regex) -> Vec<Literals> {
    let mut search = Search::default();
    if let Ok(hir) = regex_syntax::parse(regex.as_str()) {
        search.walk(&hir);
        search.pause();
    }
    search.found
}

/// Collects what every match of an expression holds.
#[derive(Default)]
struct Search {
    found: Vec<Literals>,
    /// The bytes that come next to each other here, so far.
    run: Vec<u8>,
}

impl Search {
    fn walk(&mut self, hir: &Hir) {
        match hir.kind() {
            // An assertion takes no room: what stands on both sides of it is adjacent.
            HirKind::Empty | HirKind::Look(_) => {}
            HirKind::Literal(literal) => self.run.extend(literal.0.to_ascii_lowercase()),
            HirKind::Class(class) => match only_letter(class) {
                Some(letter) => self.run.push(letter),
                None => self.pause(),
            },
            HirKind::Repetition(repetition) => self.repeat(repetition),
            HirKind::Capture(capture) => self.walk(&capture.sub),
            HirKind::Concat(parts) => parts.iter().for_each(|part| self.walk(part)),
            HirKind::Alternation(branches) => self.branch(branches),
        }
    }

    /// Ends a run: what comes next may stand elsewhere.
    fn pause(&mut self) {
        if !self.run.is_empty() {
            self.found.push(vec![std::mem::take(&mut self.run)]);
        }
    }

    fn repeat(&mut self, repetition: &Repetition) {
        for _ in 0..repetition.min.min(MOST_REPEATS) {
            self.walk(&repetition.sub);
        }
        if repetition.max != Some(repetition.min) || repetition.min > MOST_REPEATS {
            self.pause();
        }
    }

    /// A match goes through one of the branches: it holds a literal of that branch, if each has one.
    fn branch(&mut self, branches: &[Hir]) {
        self.pause();
        let longest = |branch: &Hir| {
            let mut search = Self::default();
            search.walk(branch);
            search.pause();
            let shortest = |literals: &Literals| literals.iter().map(Vec::len).min();
            search.found.into_iter().max_by_key(shortest)
        };
        let each: Option<Vec<Literals>> = branches.iter().map(longest).collect();
        self.found.extend(each.map(|each| each.concat()));
    }
}

/// The letter that a class stands for, if it is one of ASCII, in upper or lower case.
///
/// Beyond ASCII a case has more forms: `(?i)k` is also the sign for kelvin.
fn only_letter(class: &Class) -> Option<u8> {
    let bytes = match class {
        Class::Unicode(class) => class.to_byte_class()?,
        Class::Bytes(class) => class.clone(),
    };
    let mut letters = bytes.iter().flat_map(|range| range.start()..=range.end());
    let first = letters.next()?.to_ascii_lowercase();
    letters.all(|letter| letter.to_ascii_lowercase() == first && letter.is_ascii()).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, expected: &[&[&str]]) {
        let regex = Regex::new(pattern).expect("a pattern");
        let found = choices(&regex);
        let texts = |literals: &Literals| {
            let text = |literal: &Vec<u8>| String::from_utf8(literal.clone()).expect("text");
            literals.iter().map(text).collect::<Vec<_>>()
        };
        assert_eq!(found.iter().map(texts).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn every_match_holds_one_of_the_literals() {
        check(r"^!weather (?P<city>.+)$", &[&["!weather "]]);
        check(r"(\w+)\+\+$", &[&["++"]]);
        check(r"\bred\b tea", &[&["red tea"]]);
        check(r"(?i)tea", &[&["tea"]]);
        check(r"(?i)milk", &[&["mil"]]);
        check(r"(one|other) more", &[&["one", "other"], &[" more"]]);
        check(r"(one|\d+) more", &[&[" more"]]);
        check(r"ab?c", &[&["a"], &["c"]]);
        check(r"ab+c", &[&["ab"], &["c"]]);
        check(r"(ab){2}c", &[&["ababc"]]);
        check(r"(ab){0}c", &[&["c"]]);
        check(r"a{9}b", &[&["aaaaaaaa"], &["b"]]);
        check(r"^\d+$", &[]);
        check(r"", &[]);
        check(r"Größe (\d)", &[&["größe "]]);
    }

    #[test]
    fn what_many_patterns_share_announces_none_of_them() {
        let patterns = [r"where is (\w+) one", r"where is (\w+) two"];
        let all: Vec<_> = patterns.map(|pattern| Arc::new(Regex::new(pattern).expect("a pattern"))).into();
        assert_eq!(choose(&all), [[b" one".to_vec()], [b" two".to_vec()]]);
    }
}
