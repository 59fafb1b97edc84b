//! The router: which handler an event goes to.

mod help;
mod matcher;

use std::collections::HashMap;
use std::panic::Location;
use std::sync::{Arc, OnceLock};

use evenkeel_guard::Label;

use crate::breaker::Breakers;
use crate::context::{Context, Matched, Tools, Wire};
use crate::error::Error;
use crate::event::Event;
use crate::extract::FromEvent;
use crate::handler::{self, FromEventAll, Handler};
use crate::layer::{HandlerLayer, Route};
use crate::limit::RateLimit;
use crate::reply::{IntoReply, Reply};
use crate::transport::Outbound;
use crate::trigger::{Facts, Kind, Trigger, tidy};
use matcher::{Builder, Matcher, Target};

/// Triggers and their handlers. `S` is the type of the bot's state.
///
/// | trigger | matches |
/// |---|---|
/// | [`exact`](Self::exact) | a text that is this one |
/// | [`command`](Self::command) | a text that begins with these words; of several, the longest |
/// | [`regex`](Self::regex) | a text in which the pattern is found; of several, the one added first |
/// | [`on`](Self::on) | an event for which the accessor gives something; the one added first |
/// | [`fallback`](Self::fallback) | a text that nothing else matched |
///
/// They are tried in this order, whatever the order of the calls, and one handler runs. Matching takes one pass
/// over the text, however many triggers there are.
///
/// ```
/// use evenkeel::{Event, Reaction, Router};
///
/// async fn ping() -> &'static str { "pong" }
/// async fn thank(reaction: Reaction) -> String { format!("thanks for the {}", reaction.emoji) }
///
/// let app = Router::new().command("!ping", ping).on(Event::reaction, thank).with_state(());
/// ```
#[must_use = "a router does nothing until it is given to `run` or `serve`"]
pub struct Router<S = ()> {
    entries: Vec<Entry<S>>,
    nests: Vec<Nest<S>>,
    layers: Vec<Wrap<S>>,
    /// Each literal with the line that added it.
    taken: HashMap<String, &'static Location<'static>>,
    /// What `help` lists; filled when the state arrives.
    listing: Arc<OnceLock<Vec<Arc<Matched>>>>,
}

struct Entry<S> {
    when: When,
    matched: Matched,
    is_case_sensitive: bool,
    make: Make<S>,
    /// Outermost first.
    layers: Vec<Wrap<S>>,
}

struct Nest<S> {
    prefix: String,
    router: Router<S>,
}

/// When an entry matches.
enum When {
    Command(Vec<String>),
    Exact(Vec<String>),
    Pattern(Arc<regex::Regex>),
    Event(Filter),
    Fallback,
}

type Filter = Box<dyn Fn(&Event) -> bool + Send + Sync>;
/// Builds a route once the state is there.
type Make<S> = Box<dyn FnOnce(&Arc<S>) -> Route + Send>;
type Wrap<S> = Arc<dyn Fn(Route, &Arc<S>) -> Route + Send + Sync>;

impl<S: Clone + Send + Sync + 'static> Default for Router<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Clone + Send + Sync + 'static> Router<S> {
    /// A router that matches nothing.
    pub fn new() -> Self {
        Self {
            entries: Vec::new(),
            nests: Vec::new(),
            layers: Vec::new(),
            taken: HashMap::new(),
            listing: Arc::default(),
        }
    }

    /// Runs `handler` for texts that begin with these words, in upper or lower case.
    ///
    /// # Panics
    ///
    /// With the author's line: when the words are taken, or when an argument of the handler can never fit.
    #[track_caller]
    pub fn command<H, Args>(self, words: impl Into<String>, handler: H) -> Self
    where
        H: Handler<Args, Future: Send, Reply: IntoReply>,
        Args: FromEventAll<S> + Send,
    {
        self.route(Trigger::command(words), handler)
    }

    /// Runs `handler` for texts in which the pattern is found.
    ///
    /// # Panics
    ///
    /// With the author's line: when the pattern is not a regular expression, or when the handler's
    /// [`Captures`](crate::Captures) do not fit its groups.
    #[track_caller]
    pub fn regex<H, Args>(self, pattern: &str, handler: H) -> Self
    where
        H: Handler<Args, Future: Send, Reply: IntoReply>,
        Args: FromEventAll<S> + Send,
    {
        self.route(Trigger::regex(pattern), handler)
    }

    /// Runs `handler` for texts that are this one, in upper or lower case.
    ///
    /// # Panics
    ///
    /// With the author's line: when the text is taken, or when an argument of the handler can never fit.
    #[track_caller]
    pub fn exact<H, Args>(self, text: impl Into<String>, handler: H) -> Self
    where
        H: Handler<Args, Future: Send, Reply: IntoReply>,
        Args: FromEventAll<S> + Send,
    {
        self.route(Trigger::exact(text), handler)
    }

    /// Runs `handler` for what the trigger matches.
    ///
    /// # Panics
    ///
    /// As [`Self::command`], [`Self::regex`] and [`Self::exact`].
    #[track_caller]
    pub fn route<H, Args>(mut self, trigger: Trigger, handler: H) -> Self
    where
        H: Handler<Args, Future: Send, Reply: IntoReply>,
        Args: FromEventAll<S> + Send,
    {
        if let Err(reason) = Args::fits(Some(&trigger)) {
            panic!("the handler of `{}` can never run: {reason}", trigger.facts.name);
        }
        let Trigger { kind, is_case_sensitive, facts } = trigger;
        let (when, words) = match kind {
            Kind::Command(spellings) => {
                let words = spellings.iter().map(|words| words.split(' ').count()).max();
                (When::Command(spellings), words.unwrap_or(1))
            }
            Kind::Exact(spellings) => (When::Exact(spellings), 0),
            Kind::Pattern(regex) => (When::Pattern(regex), 0),
        };
        self.claim(&when, facts.location);
        self.add(when, facts, words, is_case_sensitive, handler);
        self
    }

    /// Runs `handler` for events for which `kind` gives something: [`Event::reaction`], [`Event::edit`],
    /// [`Event::typing`], or any function of that shape.
    ///
    /// # Panics
    ///
    /// With the author's line, when an argument of the handler can never fit.
    #[track_caller]
    pub fn on<T: ?Sized, H, Args>(
        mut self,
        kind: impl Fn(&Event) -> Option<&T> + Send + Sync + 'static,
        handler: H,
    ) -> Self
    where
        H: Handler<Args, Future: Send, Reply: IntoReply>,
        Args: FromEventAll<S> + Send,
    {
        let name = std::any::type_name::<T>().rsplit("::").next().unwrap_or("event").to_lowercase();
        self.add_event(When::Event(Box::new(move |event| kind(event).is_some())), name, handler);
        self
    }

    /// Runs `handler` for texts that nothing else matched.
    ///
    /// # Panics
    ///
    /// With the author's line: when there is one already, or when an argument of the handler can never fit.
    #[track_caller]
    pub fn fallback<H, Args>(mut self, handler: H) -> Self
    where
        H: Handler<Args, Future: Send, Reply: IntoReply>,
        Args: FromEventAll<S> + Send,
    {
        self.claim(&When::Fallback, Location::caller());
        self.add_event(When::Fallback, "fallback".into(), handler);
        self
    }

    /// Adds a command that lists the others, with what they are about, to those who may use them.
    ///
    /// # Panics
    ///
    /// With the author's line, when the words are taken.
    #[track_caller]
    pub fn help(mut self, words: &str) -> Self {
        let trigger = Trigger::command(words).about("lists the commands").usage(format!("{words} [command]"));
        let Kind::Command(spellings) = trigger.kind else { unreachable!("made by `Trigger::command`") };
        let count = spellings[0].split(' ').count();
        let when = When::Command(spellings);
        self.claim(&when, trigger.facts.location);
        let listing = Arc::clone(&self.listing);
        let make =
            move |_: &Arc<S>| Route::new(move |cx| std::future::ready(help::answer(&cx, listing.get())));
        let (matched, make) = (Self::matched(trigger.facts, &when, count), Box::new(make));
        self.entries.push(Entry { when, matched, is_case_sensitive: false, make, layers: Vec::new() });
        self
    }

    /// Puts all of another router behind a word or words: `nest("!list", Router::new().command("add", add))` runs `add`
    /// for `!list add milk`.
    ///
    /// Patterns and exact texts of the inner router see the text after the prefix.
    ///
    /// # Panics
    ///
    /// With the author's line: when the words are taken, or when the inner router has `on` handlers, which no text
    /// can reach.
    #[track_caller]
    pub fn nest(mut self, prefix: &str, router: Self) -> Self {
        let prefix = tidy(prefix);
        assert!(!prefix.is_empty(), "`nest` needs at least one word: use `merge` to add routes without one");
        if router.entries.iter().any(|entry| matches!(entry.when, When::Event(_))) {
            panic!(
                "the router behind `{prefix}` has an `on` handler, which no text can reach: move it outside"
            );
        }
        self.claim_literal(format!("command {}", prefix.to_lowercase()), Location::caller());
        self.nests.push(Nest { prefix, router });
        self
    }

    /// Adds all of another router. Its layers go on covering its own routes, and only these.
    ///
    /// # Panics
    ///
    /// With the author's line, when a trigger of the other router is taken.
    #[track_caller]
    pub fn merge(mut self, router: Self) -> Self {
        let Self { entries, nests, layers, taken, listing: _ } = router;
        for (literal, location) in taken {
            self.claim_literal(literal, location);
        }
        for mut entry in entries {
            entry.layers.splice(0..0, layers.iter().cloned());
            self.entries.push(entry);
        }
        for mut nest in nests {
            nest.router.layers.splice(0..0, layers.iter().cloned());
            self.nests.push(nest);
        }
        self
    }

    /// Runs `layer` around every handler of this router, whether added before or after. The first one is outermost.
    ///
    /// The layers run once a trigger has matched: events that nothing matches reach no layer.
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: HandlerLayer<Args: FromEventAll<S> + Send>,
    {
        self.layers.push(Arc::new(move |route, state| layer.wrap(route, state)));
        self
    }

    /// Gives the handlers their state and closes the router.
    pub fn with_state(self, state: S) -> App {
        let state = Arc::new(state);
        let listing = Arc::clone(&self.listing);
        let mut routes = Vec::new();
        let matcher = self.build(&state, &[], 0, &mut routes);
        let listed = routes.iter().map(|route: &Compiled| Arc::clone(&route.matched)).collect();
        let _first = listing.set(listed);
        App { matcher: Arc::new(matcher), routes: routes.into(), tools: Arc::default() }
    }

    /// Compiles this router, with the layers of the routers around it.
    fn build(
        self,
        state: &Arc<S>,
        outer: &[Wrap<S>],
        nest_words: usize,
        routes: &mut Vec<Compiled>,
    ) -> Matcher {
        let layers: Vec<_> = outer.iter().chain(&self.layers).cloned().collect();
        let mut builder = Builder::default();
        for Entry { when, mut matched, is_case_sensitive, make, layers: own } in self.entries {
            let around = layers.iter().chain(&own).rev();
            let route = around.fold(make(state), |inner, wrap| wrap(inner, state));
            matched.nest_words = nest_words;
            let label = Label::at(matched.facts.name.clone(), matched.facts.location);
            let target = Target::Route(routes.len());
            routes.push(Compiled { matched: Arc::new(matched), label, route });
            match when {
                When::Command(spellings) => builder.commands(spellings, is_case_sensitive, &target),
                When::Exact(spellings) => builder.exacts(spellings, is_case_sensitive, &target),
                When::Pattern(regex) => builder.pattern(&regex, target),
                When::Event(filter) => builder.event(filter, target),
                When::Fallback => builder.fallback(target),
            }
        }
        for Nest { prefix, router } in self.nests {
            let words = prefix.split(' ').count();
            let before = routes.len();
            let inner = router.build(state, &layers, nest_words + words, routes);
            for route in &mut routes[before..] {
                route.prepend(&prefix);
            }
            builder.commands(vec![prefix], false, &Target::Nest(Arc::new(inner)));
        }
        builder.build()
    }

    #[track_caller]
    fn add_event<H, Args>(&mut self, when: When, name: String, handler: H)
    where
        H: Handler<Args, Future: Send, Reply: IntoReply>,
        Args: FromEventAll<S> + Send,
    {
        if let Err(reason) = Args::fits(None) {
            panic!("the handler of `{name}` can never run: {reason}");
        }
        let mut facts = Facts::new(name);
        facts.is_hidden = true;
        self.add(when, facts, 0, false, handler);
    }

    fn add<H, Args>(&mut self, when: When, facts: Facts, words: usize, is_case_sensitive: bool, handler: H)
    where
        H: Handler<Args, Future: Send, Reply: IntoReply>,
        Args: FromEventAll<S> + Send,
    {
        let matched = Self::matched(facts, &when, words);
        let make = Box::new(move |state: &Arc<S>| {
            let state = Arc::clone(state);
            Route::new(move |cx| {
                let (handler, state) = (handler.clone(), Arc::clone(&state));
                async move { handler::run(handler, cx, &*state).await }
            })
        });
        self.entries.push(Entry { when, matched, is_case_sensitive, make, layers: Vec::new() });
    }

    fn matched(facts: Facts, when: &When, command_words: usize) -> Matched {
        let pattern = match when {
            When::Pattern(regex) => Some(Arc::clone(regex)),
            _ => None,
        };
        Matched { facts, pattern, nest_words: 0, command_words }
    }

    /// Notes the literals of a trigger and panics when one is taken.
    #[track_caller]
    fn claim(&mut self, when: &When, location: &'static Location<'static>) {
        let (kind, spellings) = match when {
            When::Command(spellings) => ("command", &spellings[..]),
            When::Exact(spellings) => ("exact text", &spellings[..]),
            When::Fallback => ("fallback", &[String::new()][..]),
            When::Pattern(_) | When::Event(_) => return,
        };
        for spelling in spellings {
            self.claim_literal(format!("{kind} {}", spelling.to_lowercase()), location);
        }
    }

    #[track_caller]
    fn claim_literal(&mut self, literal: String, location: &'static Location<'static>) {
        if let Some(first) = self.taken.get(&literal) {
            panic!("the {} is taken: it was added at {first}", literal.trim_end());
        }
        self.taken.insert(literal, location);
    }
}

impl<S> std::fmt::Debug for Router<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Router({} routes)", self.entries.len() + self.nests.len())
    }
}

/// A route with all its layers.
struct Compiled {
    matched: Arc<Matched>,
    label: Label,
    route: Route,
}

impl Compiled {
    /// Puts the words of `nest` before the name of a command behind it.
    fn prepend(&mut self, prefix: &str) {
        if let Some(matched) = Arc::get_mut(&mut self.matched) {
            let name = &mut matched.facts.name;
            *name = format!("{prefix} {name}");
            self.label = Label::at(name.clone(), matched.facts.location);
        }
    }
}

/// A finished bot: routes, state and tools, ready for [`run`](crate::run) or [`serve`](crate::serve). Cloning is cheap.
#[derive(Clone)]
pub struct App {
    matcher: Arc<Matcher>,
    routes: Arc<[Compiled]>,
    tools: Arc<Tools>,
}

/// What became of one event.
pub(crate) struct Answer {
    /// The command that handled it; `None` when nothing wanted it.
    pub(crate) name: Option<Label>,
    pub(crate) outbound: Vec<Outbound>,
    pub(crate) failure: Option<Error>,
}

impl App {
    /// Replaces the shared rate limit behind [`Context::rate_limit`]; 50 per second unless told.
    #[must_use]
    pub fn with_rate_limit(self, limit: RateLimit) -> Self {
        self.with_tools(|tools| tools.rate_limit = limit)
    }

    /// Replaces the circuit breakers behind [`Context::breaker`], to give some of them other options.
    #[must_use]
    pub fn with_breakers(self, breakers: Breakers) -> Self {
        self.with_tools(|tools| tools.breakers = breakers)
    }

    /// Replaces the HTTP client behind [`Context::http`].
    #[cfg(feature = "http")]
    #[must_use]
    pub fn with_http(self, client: crate::http::Client) -> Self {
        self.with_tools(|tools| tools.http = client)
    }

    fn with_tools(mut self, change: impl FnOnce(&mut Tools)) -> Self {
        let mut tools = Tools::clone(&self.tools);
        change(&mut tools);
        self.tools = Arc::new(tools);
        self
    }

    /// Which route an event goes to, if any.
    fn find(&self, event: &Event) -> Option<&Compiled> {
        let allows = |index: usize| {
            let facts = &self.routes[index].matched.facts;
            facts.allows(event.sender(), event.conversation())
        };
        self.matcher.find(event, &allows).map(|index| &self.routes[index])
    }

    /// Whether any trigger wants this event, for benchmarks of the router.
    pub fn matches(&self, event: &Event) -> bool {
        self.find(event).is_some()
    }

    /// Finds the handler, runs it with its layers, and collects what it promised.
    pub(crate) async fn answer(&self, event: Event, sequence: u64, wire: Wire) -> Answer {
        let Some(Compiled { matched, label, route }) = self.find(&event) else {
            return Answer { name: None, outbound: Vec::new(), failure: None };
        };
        evenkeel_guard::relabel(label.clone());
        let cx = Context::new(event, sequence, Arc::clone(&self.tools), wire, Arc::clone(matched));
        let reply: Reply = route.run(cx.clone()).await;
        let (outbound, failure) = cx.finish(reply);
        Answer { name: Some(label.clone()), outbound, failure }
    }
}

/// What [`run`](crate::run) and [`serve`](crate::serve) take: an [`App`], or a [`Router`] that needs no state.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a finished bot",
    label = "expected an `App`, or a `Router` without state",
    note = "call `.with_state(..)` on a router whose handlers take `State`"
)]
pub trait IntoApp {
    /// Closes the router.
    fn into_app(self) -> App;
}

impl IntoApp for App {
    fn into_app(self) -> App {
        self
    }
}

impl IntoApp for Router<()> {
    fn into_app(self) -> App {
        self.with_state(())
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "App({} routes)", self.routes.len())
    }
}

/// Checks at compile time that `Context` fits where extractors go; the trait is otherwise used only by authors.
const _: fn() = || {
    fn is_extractor<T: FromEvent<()>>() {}
    is_extractor::<Context>();
};
