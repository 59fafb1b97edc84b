//! Waiting for people in the middle of a handler.

use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::Context;
use crate::engine::{HandlerRequest, HandlerRequests, Offer};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::reserved;

/// What the person reads when nobody answered in time.
const TOO_LATE: &str = "I have waited long enough. Please start again.";
/// What is kept of a wait that ended without an event, in JSON.
const NOTHING: &[u8] = b"null";

/// Why a question has no answer: `error.find::<Unanswered>()` tells it of an error of [`Context::ask`] and [`Context::wait_for`].
///
/// ```
/// use evenkeel::{Context, Result, Unanswered};
///
/// async fn order(cx: Context) -> Result<String> {
///     match cx.ask("which size?").cancel_on("stop").await {
///         Ok(size) => Ok(format!("a {size} one")),
///         Err(error) if error.find() == Some(&Unanswered::Cancelled) => Ok("no pizza, then".into()),
///         Err(error) => Err(error),
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unanswered {
    /// Nobody answered in time.
    TooLate,
    /// The person said a word that ends the question.
    Cancelled,
    /// The person wanted something else: a command that ends the question.
    Command,
}

impl Unanswered {
    /// An error that is no failure: the person reads this, if it is not empty.
    #[track_caller]
    pub(super) fn into_error(self, told: &'static str) -> Error {
        Error::for_user(told).caused_by(self)
    }
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLate => "nobody answered in time",
            Self::Cancelled => "the question was cancelled",
            Self::Command => "a command came in place of an answer",
        })
    }
}

impl std::error::Error for Unanswered {}

/// What becomes of an event that is offered to a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is handled as ever, and the handler waits on.
    Pass,
    /// It is what the handler waits for, and is handled by nobody else.
    Take,
    /// It is handled as ever, and the handler waits no more.
    Leave,
}

/// Until when a handler waits; `None` for a moment that no clock can name.
pub(super) type Until = Option<Instant>;

pub(super) fn until(within: Duration) -> Until {
    Instant::now().checked_add(within)
}

impl Context {
    /// Waits for the next event in this conversation that `filter` wants. It is not handled otherwise.
    ///
    /// What `filter` does not want is handled as ever while this waits. Several handlers may wait in one conversation:
    /// anyone who began first is asked first.
    ///
    /// # Errors
    ///
    /// When nothing came in time, which the person is told; when 10,000 handlers wait already; when the bot stops.
    ///
    /// # Cancel safety
    ///
    /// As [`Context::ask`].
    #[track_caller]
    pub fn wait_for(
        &self,
        filter: impl Fn(&Event) -> bool + Send,
        within: Duration,
    ) -> impl Future<Output = Result<Event>> {
        let line = Location::caller();
        let verdict = move |event: &Event| if filter(event) { Verdict::Take } else { Verdict::Pass };
        async move {
            let event = self.waited_for(verdict, until(within)).await.map_err(|error| error.at(line))?;
            event.ok_or_else(|| {
                Error::new("another version of this handler waited for something else").at(line)
            })
        }
    }

    /// The event that was taken; nothing when one came that ends the wait.
    pub(super) async fn waited_for(
        &self,
        verdict: impl Fn(&Event) -> Verdict + Send,
        until: Until,
    ) -> Result<Option<Event>> {
        let name = reserved::wait(self.call.waits.fetch_add(1, Ordering::Relaxed));
        if let Some(value) = self.known_step(&name) {
            return serde_json::from_slice(value).map_err(|_| {
                // The message may quote it.
                Error::new("what was waited for is kept in a shape that cannot be read")
                    .with_hint("run the version of the bot that kept it, and replay the dead letter there")
                    .permanent()
            });
        }
        let sequence = self.call.attempt.sequence;
        let _unhurried = self.unhurried();
        // Each holds one offer at most: the next comes when this one was answered.
        let (offers, mut offered) = mpsc::unbounded_channel();
        let mut waiting = Waiting { requests: &self.call.requests, sequence, is_over: false };
        waiting.say(HandlerRequest::Wait { sequence, offers });
        let mut time_is_over = std::pin::pin!(over(until));
        loop {
            let offer = tokio::select! {
                biased;
                offer = offered.recv() => offer,
                () = &mut time_is_over => {
                    waiting.rejoins().await?;
                    // Who wrote nothing has nothing to begin again.
                    let told = if self.event.message().is_some() { TOO_LATE } else { "" };
                    return Err(Unanswered::TooLate.into_error(told));
                }
            };
            let Some(Offer { sequence: event, event: content }) = offer else {
                waiting.is_over = true;
                return Err(Error::new(
                    "this handler waits already, or has ended, or too many wait for people, or the bot is stopping",
                ));
            };
            match verdict(&content) {
                Verdict::Pass => waiting.say(HandlerRequest::Pass { event, by: sequence }),
                Verdict::Take => {
                    let value = Bytes::from(serde_json::to_vec(&content)?);
                    let (answer, kept) = oneshot::channel();
                    waiting.say(HandlerRequest::Take { event, by: sequence, name, value, answer });
                    waiting.ends(kept).await?;
                    return Ok(Some(content));
                }
                Verdict::Leave => {
                    // Written no later than the beginning of what comes instead: the next attempt does not wait for it again.
                    let (value, (answer, _)) = (Bytes::from_static(NOTHING), oneshot::channel());
                    waiting.say(HandlerRequest::Step { sequence, name, value, answer });
                    waiting.say(HandlerRequest::Pass { event, by: sequence });
                    waiting.rejoins().await?;
                    return Ok(None);
                }
            }
        }
    }
}

async fn over(until: Until) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}

/// Tells the engine when a handler ceases to wait without having been answered.
struct Waiting<'a> {
    requests: &'a HandlerRequests,
    sequence: u64,
    is_over: bool,
}

impl Waiting<'_> {
    fn say(&self, request: HandlerRequest) {
        // A bot that has stopped has dropped the other ends, too: the receivers then say so.
        self.requests.ask(request);
    }

    /// Has waited long enough, and goes on when its conversation has time for it.
    async fn rejoins(&mut self) -> Result<()> {
        let (answer, turn) = oneshot::channel();
        self.say(HandlerRequest::Rejoin { sequence: self.sequence, answer });
        self.ends(turn).await
    }

    /// Waits for the conversation's turn.
    async fn ends(&mut self, turn: oneshot::Receiver<()>) -> Result<()> {
        let has_turn = turn.await;
        self.is_over = has_turn.is_ok();
        has_turn.map_err(|_| Error::new("the bot is stopping"))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.say(HandlerRequest::Leave { sequence: self.sequence });
        }
    }
}
