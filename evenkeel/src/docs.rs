//! The guides, in reading order. Each block of code in them is compiled, and run where it needs no network.
//!
//! | guide | answers |
//! |---|---|
//! | [`getting_started`] | From nothing to a bot: project, state, test, Signal. |
//! | [`handlers`] | Triggers, arguments, replies, errors, events, order. |
//! | [`never_block`] | What to write in place of what would block, and what happens when somebody blocks all the same. |
//! | [`middleware`] | Code around handlers. |
//! | [`limits`] | Rates, places, circuit breakers, the HTTP client. |
//! | [`schedules`] | Intervals, times of day, cron; zones, clock changes, what was missed. |
//! | [`nothing_lost`] | The journal: attempts, steps, replies of unknown outcome, dead letters, jobs, the file. |
//! | [`outside`] | Speaking without having been spoken to: handles, ids, jobs from outside, hooks for start and stop. |
//! | [`networks`] | A bot on several networks: what they share, which is the primary one, what happens when one is gone. |
//! | [`testing`] | Chats, time, errors and networks in tests. |
//! | [`transports`] | A network of one's own. |
//! | [`operating`] | Signals, drain, logs, figures, and what is lost when. |

// Its blocks need the feature; the text does not.
#[cfg(any(not(doctest), feature = "page"))]
#[doc = include_str!("../docs/getting-started.md")]
///
/// [`run`](crate::run) · [`Router`](crate::Router) · [`Sandbox`](crate::sandbox::Sandbox) · next: [`handlers`]
pub mod getting_started {}

#[doc = include_str!("../docs/handlers.md")]
///
/// [`Router`](crate::Router) · [`Trigger`](crate::Trigger) · [`FromEvent`](crate::FromEvent) · [`IntoReply`](crate::IntoReply)
/// · [`Context`](crate::Context) · [`Error`](crate::Error) · next: [`never_block`]
pub mod handlers {}

// Its blocks need the feature; the text does not.
#[cfg(any(not(doctest), feature = "http"))]
#[doc = include_str!("../docs/never-block.md")]
///
/// [`offload`](crate::offload) · [`batch`](crate::batch) · [`limit`](crate::limit) · [`http`](crate::http) · next:
/// [`middleware`]
pub mod never_block {}

#[doc = include_str!("../docs/middleware.md")]
///
/// [`from_fn`](crate::from_fn) · [`Next`](crate::Next) · [`Router::layer`](crate::Router::layer) · next: [`limits`]
pub mod middleware {}

// Its blocks need the feature; the text does not.
#[cfg(any(not(doctest), feature = "http"))]
#[doc = include_str!("../docs/limits.md")]
///
/// [`limit`](crate::limit) · [`breaker`](crate::breaker) · [`http`](crate::http) · next: [`schedules`]
pub mod limits {}

#[doc = include_str!("../docs/schedules.md")]
///
/// [`Schedule`](crate::schedule::Schedule) · [`schedule`](crate::schedule) · next: [`nothing_lost`]
pub mod schedules {}

#[doc = include_str!("../docs/nothing-lost.md")]
///
/// [`Context::step`](crate::Context::step) · [`Retry`](crate::retry::Retry) · [`operator`](crate::operator) · [`job`](crate::job) ·
/// [`Dialogue`](crate::Dialogue) · [`journal`](crate::journal) · next: [`outside`]
pub mod nothing_lost {}

#[doc = include_str!("../docs/outside.md")]
///
/// [`Handle`](crate::Handle) · [`handle`](crate::handle) · [`App::on_start`](crate::App::on_start) · next: [`networks`]
pub mod outside {}

#[doc = include_str!("../docs/networks.md")]
///
/// [`Bot::transport`](crate::Bot::transport) · [`Network`](crate::transport::Network) · [`Conversation`](crate::Conversation) · next:
/// [`testing`]
pub mod networks {}

#[doc = include_str!("../docs/testing.md")]
///
/// [`testing`](crate::testing) · [`sandbox`](crate::sandbox) · [`status`](crate::status) · next: [`transports`]
pub mod testing {}

#[doc = include_str!("../docs/transports.md")]
///
/// [`Transport`](crate::Transport) · [`transport`](crate::transport) · next: [`operating`]
pub mod transports {}

#[doc = include_str!("../docs/operating.md")]
///
/// [`Bot`](crate::Bot) · [`status`](crate::status) · [`journal`](crate::journal)
pub mod operating {}

/// The README's blocks of code, as tests. Not part of the package.
#[cfg(all(doctest, feature = "page"))]
#[doc = include_str!("../../README.md")]
struct Readme;
