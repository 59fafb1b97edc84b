//! The router: which handler an event goes to.

mod when;
mod claims;
mod patterns;
mod matcher;
mod help;
mod compile;
mod time;
mod limited;
mod failure;
mod found;
mod hooks;
mod app;
mod former;
mod life;
#[cfg(test)]
mod tests;

use std::panic::Location;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::command::{Parameter, ParameterKind};
use crate::context::{Context, Matched};
use crate::engine::JobBody;
use crate::event::Event;
use crate::extract::FromEvent;
use crate::handler::{self, FromEventAll, Handler};
use crate::job::{Repeat, Unspoken, name_of};
use crate::layer::{HandlerLayer, Route};
use crate::reply::IntoReply;
use crate::reserved;
use crate::schedule::Schedule;
use crate::text::tidy;
use crate::trigger::{Facts, Kind, Trigger};
pub use app::{App, IntoApp};
pub(crate) use failure::OnDead;
pub(crate) use hooks::{Hook, Hooks};

use claims::Claims;
use compile::Compiler;
use when::When;

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
    taken: Claims,
    /// What each `help` of this router lists.
    listings: Vec<Listing>,
    /// The functions that jobs may call.
    jobs: Vec<&'static str>,
    schedules: Vec<(String, JobBody)>,
    /// How long its handlers may take, where neither their trigger nor a router inside says so.
    within: Option<Duration>,
}

pub(super) struct Entry<S> {
    when: When,
    matched: Matched,
    is_case_sensitive: bool,
    make: Make<S>,
    /// Outermost first.
    layers: Vec<Wrap<S>>,
}

pub(super) struct Nest<S> {
    prefix: String,
    router: Router<S>,
}

/// What a `help` lists; filled when the state arrives.
pub(super) type Listing = Arc<OnceLock<Vec<Arc<Matched>>>>;
/// Builds a route once the state is there.
type Make<S> = Box<dyn FnOnce(&Arc<S>) -> Route + Send>;
pub(super) type Wrap<S> = Arc<dyn Fn(Route, &Arc<S>) -> Route + Send + Sync>;

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
            taken: Claims::default(),
            listings: Vec::new(),
            jobs: Vec::new(),
            schedules: Vec::new(),
            within: None,
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
    pub fn route<H, Args>(mut self, mut trigger: Trigger, handler: H) -> Self
    where
        H: Handler<Args, Future: Send, Reply: IntoReply>,
        Args: FromEventAll<S> + Send,
    {
        if let Err(reason) = Args::fits(Some(&trigger)) {
            panic!("the handler of `{}` can never run: {reason}", trigger.facts.name);
        }
        trigger.describe(Args::describe);
        let Trigger { kind, is_case_sensitive, facts } = trigger;
        let when = match kind {
            Kind::Command(spellings) => When::Command(spellings),
            Kind::Exact(spellings) => When::Exact(spellings),
            Kind::Pattern(regex) => When::Pattern(regex),
            Kind::Job { .. } => unreachable!("jobs are no triggers of the author's"),
        };
        self.taken.claim(&when, is_case_sensitive, facts.location);
        self.add(when, facts, is_case_sensitive, handler);
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
        self.add_event(When::Event(Box::new(move |event| kind(event).is_some())), None, name, handler);
        self
    }

    /// Lets jobs call this function: see [`Context::defer`], [`Context::after`], [`Context::at`], [`Context::repeat`].
    ///
    /// A job that waits in the journal names its function as the compiler does (`my_bot::ring`): one that was moved or
    /// renamed meanwhile is not found, and the job becomes a dead letter.
    ///
    /// # Panics
    ///
    /// With the author's line: for a closure, which has no name of its own, when the function is registered already, or
    /// when an argument can never fit.
    #[track_caller]
    pub fn job<H, Args>(self, handler: H) -> Self
    where
        H: Handler<Args, Future: Send, Reply: IntoReply>,
        Args: FromEventAll<S> + Send,
    {
        self.add_job(handler, false)
    }

    #[track_caller]
    fn add_job<H, Args>(mut self, handler: H, is_scheduled: bool) -> Self
    where
        H: Handler<Args, Future: Send, Reply: IntoReply>,
        Args: FromEventAll<S> + Send,
    {
        let name = name_of::<H>();
        assert!(!name.contains("{{closure}}"), "a job needs a name that outlives this run: write a function");
        assert!(!self.jobs.contains(&name), "the job `{name}` was added already");
        self.jobs.push(name);
        let is_due = move |event: &Event| event.job().is_some_and(|job| job.function() == name);
        let trigger = Trigger::of_job(name, is_scheduled);
        self.add_event(When::Event(Box::new(is_due)), Some(&trigger), name.to_owned(), handler);
        self
    }

    /// Runs `handler` again and again, by a schedule such as `every 90s`, `daily 09:30 Europe/Berlin` or
    /// `cron 0 9 * * 1-5` ([`Schedule`](crate::schedule::Schedule) says what else). It belongs to no conversation: the
    /// handler returns `()` or `Result<()>` and says where it writes, with [`Context::send`]. A failure is logged, and the
    /// firing becomes a dead letter; nobody reads an apology.
    ///
    /// The journal keeps when it is due, so that what was missed while the bot was down is made up for once.
    ///
    /// # Panics
    ///
    /// With the author's line: when the text is no schedule, and as [`Router::job`].
    #[track_caller]
    pub fn schedule<H, Args>(self, schedule: &str, handler: H) -> Self
    where
        H: Handler<Args, Future: Send, Reply: Unspoken>,
        Args: FromEventAll<S> + Send,
    {
        match schedule.parse::<Schedule>() {
            Ok(schedule) => self.schedule_with(Repeat::new(schedule), handler),
            Err(error) => panic!("{error}"),
        }
    }

    /// The same, told what becomes of firings that overlap or were missed.
    ///
    /// # Panics
    ///
    /// As [`Router::job`].
    #[track_caller]
    pub fn schedule_with<H, Args>(self, repeat: Repeat, handler: H) -> Self
    where
        H: Handler<Args, Future: Send, Reply: Unspoken>,
        Args: FromEventAll<S> + Send,
    {
        let mut router = self.add_job(handler, true);
        let name = name_of::<H>();
        // Counted from 1970, so that its times are the same in each run.
        let body = JobBody::scheduled(name, repeat.counted_from(0));
        router.schedules.push((reserved::schedule(name), body));
        router
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
        self.taken.claim(&When::Fallback, false, Location::caller());
        self.add_event(When::Fallback, None, "fallback".into(), handler);
        self
    }

    /// Adds a command that lists the others, with what they are about, to those who may use them.
    ///
    /// # Panics
    ///
    /// With the author's line, when the words are taken.
    #[track_caller]
    pub fn help(mut self, words: &str) -> Self {
        let wanted = Parameter::new("command", ParameterKind::Remainder).optional();
        let trigger = Trigger::command(words).about("lists the commands").parameters([wanted]);
        let Kind::Command(spellings) = trigger.kind else { unreachable!("made by `Trigger::command`") };
        let when = When::Command(spellings);
        self.taken.claim(&when, false, trigger.facts.location);
        let listing = Listing::default();
        self.listings.push(Arc::clone(&listing));
        let make =
            move |_: &Arc<S>| Route::new(move |cx| std::future::ready(help::answer(&cx, listing.get())));
        let (matched, make) = (when.matched(trigger.facts), Box::new(make));
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
        self.taken.claim_prefix(&prefix, Location::caller());
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
        let Self { entries, nests, layers, taken, listings, jobs, schedules, within } = router;
        self.taken.merge(taken);
        self.jobs.extend(jobs);
        self.schedules.extend(schedules);
        self.listings.extend(listings);
        for mut entry in entries {
            entry.layers.splice(0..0, layers.iter().cloned());
            entry.matched.facts.within = entry.matched.facts.within.or(within);
            self.entries.push(entry);
        }
        for mut nest in nests {
            nest.router.layers.splice(0..0, layers.iter().cloned());
            nest.router.within = nest.router.within.or(within);
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
        let (jobs, schedules) = (self.jobs.iter().copied().collect(), self.schedules.clone());
        let mut compiler = Compiler::new(&state);
        let matcher = compiler.router(self, &[], 0);
        App::new(matcher, compiler.finish(), jobs, schedules)
    }

    #[track_caller]
    fn add_event<H, Args>(&mut self, when: When, trigger: Option<&Trigger>, name: String, handler: H)
    where
        H: Handler<Args, Future: Send, Reply: IntoReply>,
        Args: FromEventAll<S> + Send,
    {
        if let Err(reason) = Args::fits(trigger) {
            panic!("the handler of `{name}` can never run: {reason}");
        }
        self.add(when, Facts::unlisted(name, trigger), false, handler);
    }

    fn add<H, Args>(&mut self, when: When, facts: Facts, is_case_sensitive: bool, handler: H)
    where
        H: Handler<Args, Future: Send, Reply: IntoReply>,
        Args: FromEventAll<S> + Send,
    {
        let matched = when.matched(facts);
        let make = Box::new(move |state: &Arc<S>| {
            let state = Arc::clone(state);
            Route::new(move |cx| {
                let (handler, state) = (handler.clone(), Arc::clone(&state));
                async move { handler::run(handler, cx, &*state).await }
            })
        });
        self.entries.push(Entry { when, matched, is_case_sensitive, make, layers: Vec::new() });
    }
}

impl IntoApp for Router<()> {
    fn into_app(self) -> App {
        self.with_state(())
    }
}

impl<S> std::fmt::Debug for Router<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Router({} routes)", self.entries.len() + self.nests.len())
    }
}

/// Checks at compile time that `Context` fits where extractors go; the trait is otherwise used only by authors.
const _: fn() = || {
    fn is_extractor<T: FromEvent<()>>() {}
    is_extractor::<Context>();
};
