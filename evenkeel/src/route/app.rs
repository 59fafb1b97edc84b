//! A finished bot: what an event goes through once its handler is found.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use evenkeel_guard::Label;
use futures_util::FutureExt;

use super::compile::Compiled;
use super::matcher::Matcher;
use crate::breaker::Breakers;
use crate::context::{Context, Tools, Wire};
use crate::error::Error;
use crate::event::Event;
use crate::limit::RateLimit;
use crate::reply::Reply;
use crate::transport::Outbound;

/// What people hear when too many of them wait for a command that blocks.
const BUSY: &str = "I am busy with that just now. Please try again in a moment.";

/// A finished bot: routes, state and tools, ready for [`run`](crate::run) or [`serve`](crate::serve). Cloning is cheap.
#[derive(Clone)]
pub struct App {
    pub(super) matcher: Arc<Matcher>,
    pub(super) routes: Arc<[Compiled]>,
    pub(super) tools: Arc<Tools>,
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

    /// Which route an event goes to, if any, and how many of its words are those of the command.
    pub(super) fn find(&self, event: &Event) -> Option<(&Compiled, usize)> {
        let allows = |index: usize| {
            let facts = &self.routes[index].matched.facts;
            facts.allows(event.sender(), event.conversation())
        };
        let found = self.matcher.find(event, &allows)?;
        Some((&self.routes[found.route], found.command_words))
    }

    /// Whether any trigger wants this event, for benchmarks of the router.
    pub fn matches(&self, event: &Event) -> bool {
        self.find(event).is_some()
    }

    /// Finds the handler, runs it with its layers, and collects what it promised. A panic is a failure like others.
    pub(crate) async fn answer(&self, event: Event, sequence: u64, wire: Wire) -> Answer {
        let Some((Compiled { matched, label, route }, command_words)) = self.find(&event) else {
            return Answer { name: None, outbound: Vec::new(), failure: None };
        };
        let matched = (Arc::clone(matched), command_words);
        let cx = Context::new(event, sequence, Arc::clone(&self.tools), wire, matched);
        // A command that was caught blocking goes on in quarantine, or not at all when too many wait there.
        if let Err(busy) = evenkeel_guard::enter(label.clone()).await {
            let error = Error::from(busy).at(label.location()).telling(BUSY);
            let (outbound, failure) = cx.finish(Reply::failed(error));
            return Answer { name: Some(label.clone()), outbound, failure };
        }
        // The handler's own state dies with it; what it shares with others is theirs to keep whole.
        let reply = AssertUnwindSafe(async { route.run(cx.clone()).await }).catch_unwind().await;
        let reply = reply.unwrap_or_else(|panic| {
            let text = format!("the handler panicked: {}", panic_message(&*panic));
            Reply::failed(Error::new(text).at(label.location()))
        });
        let (outbound, failure) = cx.finish(reply);
        Answer { name: Some(label.clone()), outbound, failure }
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
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
