//! A finished bot: what an event goes through once its handler is found.

use std::collections::HashSet;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use evenkeel_guard::Label;
use futures_util::FutureExt;

use super::compile::Compiled;
use super::failure::FailurePolicy;
use super::found::{Call, Routes};
use super::hooks::Hooks;
use super::limited::{LIMIT, limited};
use super::matcher::Matcher;
use crate::breaker::Breakers;
use crate::command::CommandSpec;
use crate::context::{Context, IsCommand, Tools, judge};
use crate::engine::{Attempt, Ending, HandlerOutcome, HandlerRequests, IsConcurrent, JobBody, JobFunctions};
use crate::error::{Error, panic_message};
use crate::event::Event;
use crate::guarantee::OnUnknown;
use crate::journal::store::EventId;
use crate::journal::{Dead, Reason};
use crate::limit::RateLimit;
use crate::networks::Networks;
use crate::progress::Progress;
use crate::reply::{BUSY, Reply};
use crate::reserved;
use crate::retry::Retry;

/// A finished bot: routes, state and tools, ready for [`run`](crate::run) or [`serve`](crate::serve). Cloning is cheap.
#[derive(Clone)]
pub struct App {
    pub(super) routes: Routes,
    pub(super) tools: Arc<Tools>,
    pub(super) failure: FailurePolicy,
    /// What happens by itself.
    pub(super) life: Arc<Life>,
    /// Events that were sent longer ago than this are not handled.
    pub(super) max_age: Option<Duration>,
}

/// What a bot does by itself.
#[derive(Clone)]
pub(super) struct Life {
    /// What happens again and again, by name.
    schedules: Vec<(String, JobBody)>,
    /// What is done when it starts and stops.
    pub(super) hooks: Hooks,
}

impl App {
    pub(super) fn new(
        matcher: Matcher,
        routes: Vec<Compiled>,
        jobs: HashSet<&'static str>,
        schedules: Vec<(String, JobBody)>,
    ) -> Self {
        let routes = Routes::new(matcher, routes);
        let commands = routes.clone();
        let is_command: IsCommand = Arc::new(move |event| commands.is_command(event));
        let jobs = Arc::new(JobFunctions::new(jobs));
        let tools = Tools { jobs, is_command: Some(is_command), ..Tools::default() };
        Self {
            routes,
            tools: Arc::new(tools),
            failure: FailurePolicy::default(),
            life: Arc::new(Life { schedules, hooks: Hooks::default() }),
            max_age: None,
        }
    }

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

    /// What happens to an event whose handler failed, where its trigger does not say; [`Retry::strict`] unless told.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.failure.retry = retry;
        self
    }

    /// How long each handler may take, where neither its trigger nor its router says
    /// ([`Trigger::within`](crate::Trigger::within)), in place of `EVENKEEL_HANDLER_LIMIT_SECONDS`; [`Duration::MAX`] for as long as
    /// it likes.
    #[must_use]
    pub fn with_handler_limit(mut self, limit: Duration) -> Self {
        self.failure.within = Some(limit);
        self
    }

    /// The same, unless the author has said something else.
    pub(crate) fn with_usual_handler_limit(self, limit: Option<Duration>) -> Self {
        match (self.failure.within, limit) {
            (None, Some(limit)) => self.with_handler_limit(limit),
            _ => self,
        }
    }

    /// On these networks.
    pub(crate) fn with_networks(self, networks: Networks) -> Self {
        self.with_tools(|tools| tools.networks = networks)
    }

    /// What is done with a reply when nobody knows whether it arrived; [`OnUnknown::Dead`] unless told.
    #[must_use]
    pub fn with_on_unknown(mut self, on_unknown: OnUnknown) -> Self {
        self.failure.on_unknown = on_unknown;
        self
    }

    /// Lets an edit run as the message that it makes: who corrects `!wether Oslo` to `!weather Oslo` is answered, and who edits a command
    /// that was answered is answered once more. Without this an edit goes to handlers of edits alone (`on(Event::edit, ..)`).
    ///
    /// By its words the edit goes to the trigger to which the message would go; else to a handler of edits, if there is one; else to whatever
    /// takes messages. The handler sees a message under the name of the one that was edited. No edit answers a
    /// question ([`Context::ask`]).
    ///
    /// ```
    /// use evenkeel::{Rest, Router, testing};
    ///
    /// async fn echo(Rest(text): Rest) -> String { text }
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?.block_on(async {
    /// let app = Router::new().command("!echo", echo).with_state(()).with_edits_as_messages();
    /// let mut chat = testing::chat(app);
    /// let id = chat.sandbox().say("alice", "alice", "!ehco hi").expect("she is there");
    /// chat.sandbox().edit("alice", &id, "!echo hi").expect("it is hers");
    /// assert_eq!(chat.replies().await, ["hi"]);
    /// # }); Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    pub fn with_edits_as_messages(mut self) -> Self {
        self.routes = self.routes.with_edits();
        self
    }

    /// Leaves alone what was sent longer ago than this when its turn comes: after a long pause nobody wants answers to what was
    /// asked yesterday. It counts as handled, and [`Snapshot::expired`](crate::status::Snapshot::expired) says how many there were.
    ///
    /// The age is by the clock of the sender's network ([`Event::sent`]); an event without a time is handled. So are jobs, whatever has
    /// begun before, what the operator replays, and answers to questions.
    #[must_use]
    pub fn with_max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Slows no reply down. Without this, the same text that goes to the same conversation in answer to the same person for the
    /// 21st time within a minute waits for a second, and each further time longer, up to 16 s; while it waits, it is not said
    /// once more: two bots that answer each other do so for ever. Only replies to what came after the last one count, and
    /// none of a job.
    #[must_use]
    pub fn without_loop_brake(mut self) -> Self {
        self.failure.is_unbraked = true;
        self
    }

    /// Runs `hook` for each event and each reply that is given up, once it is among the dead letters. It runs beside the
    /// handlers; what it does is not kept.
    #[must_use]
    pub fn on_dead<F>(mut self, hook: impl Fn(Dead) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.failure.on_dead = Some(Arc::new(move |dead| Box::pin(hook(dead))));
        self
    }

    /// Which settings of retries and of the HTTP client do not fit each other, each with what to change.
    pub(crate) fn misfits(&self) -> Vec<String> {
        #[cfg(feature = "http")]
        let timeout = Some(self.tools.http.timeout());
        #[cfg(not(feature = "http"))]
        let timeout = None;
        let own = self.routes.iter().filter_map(|Compiled { matched, label, .. }| {
            let why = matched.facts.retry?.misfit(timeout)?;
            Some(format!("the retries of `{}` do not fit: {why}", label.name()))
        });
        let all =
            self.failure.retry.misfit(timeout).map(|why| format!("the retries of the bot do not fit: {why}"));
        all.into_iter().chain(own).collect()
    }

    /// What happens again and again, by name.
    pub(crate) fn schedules(&self) -> &[(String, JobBody)] {
        &self.life.schedules
    }

    /// The functions that jobs may call.
    pub(crate) fn job_functions(&self) -> &Arc<JobFunctions> {
        &self.tools.jobs
    }

    /// What becomes of what goes wrong.
    pub(crate) fn failure(&self) -> &FailurePolicy {
        &self.failure
    }

    pub(super) fn with_tools(mut self, change: impl FnOnce(&mut Tools)) -> Self {
        let mut tools = Tools::clone(&self.tools);
        change(&mut tools);
        self.tools = Arc::new(tools);
        self
    }

    /// Which route an event goes to, if any.
    pub(super) fn find(&self, event: &Event) -> Option<Call<'_>> {
        self.routes.find(event)
    }

    /// The name of the command that an event's text asks for, or the function of a job; empty if none. It runs no filter.
    pub(crate) fn command(&self, event: &Event) -> String {
        event.job().map_or_else(|| self.routes.command(event), |job| job.function().to_owned())
    }

    /// What people can ask this bot for: its commands, exact texts and patterns, in the order in which they were added, those of
    /// nested routers last. Handlers of other events, jobs and the fallback are not among them.
    ///
    /// ```
    /// use evenkeel::{Router, Trigger};
    ///
    /// async fn ping() -> &'static str { "pong" }
    ///
    /// let app = Router::new().route(Trigger::command("!ping").alias("!p").ephemeral(), ping).with_state(());
    /// let specs = app.specs();
    /// assert_eq!((&*specs[0].spelling, &*specs[0].aliases), ("!ping", &["!p".to_owned()][..]));
    /// ```
    pub fn specs(&self) -> Vec<CommandSpec> {
        self.routes.iter().filter_map(|route| route.matched.spec()).collect()
    }

    /// Which events do not wait for their conversation; `None` where no trigger says so, and nobody needs to ask.
    pub(crate) fn concurrency(&self) -> Option<IsConcurrent> {
        let routes = self.routes.has_concurrent().then(|| self.routes.clone())?;
        Some(Box::new(move |event| routes.is_concurrent(event)))
    }

    /// Whether any trigger wants this event, for benchmarks of the router.
    pub fn matches(&self, event: &Event) -> bool {
        self.find(event).is_some()
    }

    /// Finds the handler, runs it with its layers, and collects what it promised. A panic is a failure like others.
    pub(crate) async fn answer(
        &self,
        attempt: Attempt,
        progress: Arc<Progress>,
        requests: HandlerRequests,
    ) -> HandlerOutcome {
        let attempt = Attempt { event: self.with_present_name(attempt.event), ..attempt };
        if self.is_expired(&attempt) {
            tracing::debug!(sequence = %EventId::from_bits(attempt.sequence), "too old: it is not handled");
            return HandlerOutcome::without_reply(attempt.sequence, Ending::Expired);
        }
        let found = match catch_unwind(AssertUnwindSafe(|| self.find(&attempt.event))) {
            Ok(found) => found,
            Err(panic) => return self.panicked_in_filter(attempt.sequence, panic),
        };
        let Some(Call { route: Compiled { matched, label, route }, command_words, seen_as }) = found else {
            return unwanted(&attempt);
        };
        let retry = matched.facts.retry.unwrap_or(self.failure.retry);
        let matched = (Arc::clone(matched), command_words);
        progress.label.get_or_init(|| label.clone());
        let cx = Context::new(attempt, progress, Arc::clone(&self.tools), requests, matched);
        let cx = seen_as.map(|event| cx.with_event(event)).unwrap_or(cx);
        // A command that was caught blocking goes on in quarantine, or not at all when too many wait there.
        if let Err(busy) = evenkeel_guard::enter(label.clone()).await {
            let error = Error::from(busy).at(label.location()).with_user_message(BUSY);
            return cx.finish(Reply::failed(error), Reason::Failed, retry);
        }
        let limit = self.limit(&cx);
        // The handler's own state dies with it; what it shares with others is theirs to keep whole.
        let running = limited(async { route.run(cx.clone()).await }, limit, cx.progress());
        let reply = AssertUnwindSafe(running).catch_unwind().await;
        match reply {
            Ok(Ok(reply)) => cx.finish(reply, Reason::Failed, retry),
            Ok(Err(overdue)) => {
                let error = overdue.into_error().at(label.location());
                cx.finish(Reply::failed(error), Reason::Failed, retry)
            }
            Err(panic) => {
                let text = format!("the handler panicked: {}", panic_message(panic));
                let error = Error::new(text).at(label.location());
                cx.finish(Reply::failed(error), Reason::Panicked, retry)
            }
        }
    }

    /// A job that was planned for a function of another name is one for the present one.
    fn with_present_name(&self, event: Event) -> Event {
        let Some(job) = event.job() else { return event };
        match self.tools.jobs.present(job.function()) {
            Some(function) if function != job.function() => event.with_job_function(function),
            _ => event,
        }
    }

    /// Whether an event comes for the first time, and was sent so long ago that nobody wants it handled.
    fn is_expired(&self, attempt: &Attempt) -> bool {
        let Attempt { event, now_ms, has_begun, is_replayed, .. } = attempt;
        let Some((max_age, sent_ms)) = self.max_age.zip(event.sent_ms()) else { return false };
        let is_new = !has_begun && !is_replayed && !event.is_job();
        is_new && u128::from(now_ms.saturating_sub(sent_ms)) > max_age.as_millis()
    }

    /// A filter of `on` panicked: who would have been asked is not known, so nobody hears of it.
    fn panicked_in_filter(&self, sequence: u64, panic: Box<dyn std::any::Any + Send>) -> HandlerOutcome {
        let error = Error::new(format!("a filter of `Router::on` panicked: {}", panic_message(panic)))
            .with_hint("a filter gives `None` for whatever it does not know");
        let failure = judge(error, Reason::Panicked, self.failure.retry);
        HandlerOutcome::without_reply(sequence, Ending::Failed(failure))
    }

    /// How long the handler of this call may take.
    fn limit(&self, cx: &Context) -> Duration {
        let facts = cx.facts();
        let usual = if facts.is_unhurried { Duration::MAX } else { self.failure.within.unwrap_or(LIMIT) };
        facts.within.unwrap_or(usual)
    }
}

/// Nothing is done about an event that no trigger wants, unless it is a job: somebody counts on that.
fn unwanted(attempt: &Attempt) -> HandlerOutcome {
    let Attempt { sequence, event, .. } = attempt;
    let Some(job) = event.job() else { return HandlerOutcome::without_reply(*sequence, Ending::Done) };
    let (function, name) = (job.function(), reserved::shown(job.job()));
    let place = match event.conversation() {
        here if here.is_nowhere() => "of no conversation",
        here if here.is_group() => "of a group",
        _ => "of a direct conversation",
    };
    let error = Error::new(format!("no job of this bot is named `{function}`: `{name}`, {place}, was planned for it"))
        .with_hint("add `.job(function)` to the router, or name its successor with `App::with_job_alias`, then replay the dead letter");
    let ending = Ending::Failed(judge(error, Reason::Failed, Retry::never()));
    let command = Some(Label::new(function).general());
    HandlerOutcome { command, ..HandlerOutcome::without_reply(*sequence, ending) }
}

/// What [`run`](crate::run) and [`serve`](crate::serve) take: an [`App`], or a [`Router`](crate::Router) that needs no state.
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

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "App({} routes)", self.routes.len())
    }
}
