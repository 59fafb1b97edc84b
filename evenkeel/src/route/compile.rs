//! Makes a finished bot of a router: one matcher, and a flat list of routes with all their layers.

use std::ops::Range;
use std::sync::Arc;

use evenkeel_guard::Label;

use super::matcher::{Builder, Matcher, Target};
use super::patterns::has_first_words;
use super::when::When;
use super::{Entry, Listing, Nest, Router, Wrap};
use crate::context::Matched;
use crate::layer::Route;

/// A route with all its layers.
pub(super) struct Compiled {
    pub(super) matched: Arc<Matched>,
    pub(super) label: Label,
    pub(super) route: Route,
}

impl Compiled {
    /// Puts the words of `nest` before the name of a command behind it, and before its usage if that begins so.
    fn prepend(&mut self, prefix: &str) {
        // Nobody else has it before the listings are filled.
        if let Some(Matched { facts, texts, .. }) = Arc::get_mut(&mut self.matched) {
            if let Some(usage) = facts.usage.as_mut().filter(|usage| usage.starts_with(&facts.name)) {
                *usage = format!("{prefix} {usage}");
            }
            facts.name = format!("{prefix} {}", facts.name);
            for spelling in texts.iter_mut().flat_map(|(_, spellings)| spellings) {
                *spelling = format!("{prefix} {spelling}");
            }
            self.label = Label::at(facts.name.clone(), facts.location);
        }
    }
}

/// Compiles routers, one inside another, for one state.
pub(super) struct Compiler<'a, S> {
    state: &'a Arc<S>,
    routes: Vec<Compiled>,
    /// What each `help` lists: its router's routes, those behind `nest` included.
    listings: Vec<(Listing, Range<usize>)>,
}

impl<'a, S> Compiler<'a, S> {
    pub(super) fn new(state: &'a Arc<S>) -> Self {
        Self { state, routes: Vec::new(), listings: Vec::new() }
    }

    /// Compiles a router that stands behind `nest_words` words, within the layers of the routers around it.
    pub(super) fn router(&mut self, router: Router<S>, outer: &[Wrap<S>], nest_words: usize) -> Matcher {
        let layers: Vec<_> = outer.iter().chain(&router.layers).cloned().collect();
        let mut builder = Builder::default();
        let first = self.routes.len();
        for mut entry in router.entries {
            let facts = &mut entry.matched.facts;
            facts.within = facts.within.or(router.within);
            self.entry(entry, &layers, nest_words, &mut builder);
        }
        for Nest { prefix, router: mut inner } in router.nests {
            inner.within = inner.within.or(router.within);
            let words = crate::text::words(&prefix).count();
            let before = self.routes.len();
            let inner = self.router(inner, &layers, nest_words + words);
            for route in &mut self.routes[before..] {
                route.prepend(&prefix);
            }
            builder.commands(vec![prefix], false, &Target::Nest(Arc::new(inner)));
        }
        let range = first..self.routes.len();
        self.listings.extend(router.listings.into_iter().map(|listing| (listing, range.clone())));
        builder.build()
    }

    fn entry(&mut self, entry: Entry<S>, outer: &[Wrap<S>], nest_words: usize, builder: &mut Builder) {
        let Entry { when, mut matched, is_case_sensitive, make, layers } = entry;
        let around = outer.iter().chain(&layers).rev();
        let route = around.fold(make(self.state), |inner, wrap| wrap(inner, self.state));
        matched.nest_words = nest_words;
        matched.has_first_words = matched.pattern.as_deref().is_some_and(has_first_words);
        let label = Label::at(matched.facts.name.clone(), matched.facts.location);
        let target = Target::Route(self.routes.len());
        self.routes.push(Compiled { matched: Arc::new(matched), label, route });
        match when {
            When::Command(spellings) => builder.commands(spellings, is_case_sensitive, &target),
            When::Exact(spellings) => builder.exacts(spellings, is_case_sensitive, &target),
            When::Pattern(regex) => builder.pattern(regex, target),
            When::Event(filter) => builder.event(filter, target),
            When::Fallback => builder.fallback(target),
        }
    }

    /// All routes, once no more names change.
    pub(super) fn finish(self) -> Vec<Compiled> {
        for (listing, range) in self.listings {
            let listed = self.routes[range].iter().map(|route| Arc::clone(&route.matched)).collect();
            // Each `help` has a listing of its own, so it is empty still.
            let _filled = listing.set(listed);
        }
        self.routes
    }
}
