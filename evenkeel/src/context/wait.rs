//! Waiting for people in the middle of a handler.

use std::future::Future;
use std::panic::Location;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::Context;
use crate::engine::{HandlerRequest, HandlerRequests, Offer};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::reply::IntoReply;
use crate::reserved;

/// How long [`Context::ask`] waits.
const PATIENCE: Duration = Duration::from_secs(600);
/// What the person reads when nobody answered in time.
const TOO_LATE: &str = "I have waited long enough. Please start again.";

impl Context {
    /// Asks the person who caused the event, and waits up to ten minutes for the next message of theirs in this
    /// conversation: its text, without mentions of the bot at its beginning, with a name where each other mention is.
    ///
    /// While it waits, the conversation goes on: what others write, and what is no message, is handled as ever. When the
    /// process ends meanwhile, the next one runs the handler again: what was sent is not sent again, what was answered is
    /// answered at once, and it waits on.
    ///
    /// ```
    /// use evenkeel::{Context, Result, Router, testing};
    ///
    /// async fn weather(cx: Context) -> Result<String> {
    ///     let city = cx.ask("which city?").await?;
    ///     Ok(format!("sunny in {city}"))
    /// }
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?.block_on(async {
    /// let mut chat = testing::chat(Router::new().command("!weather", weather));
    /// assert_eq!(chat.say("!weather").await, ["which city?"]);
    /// assert_eq!(chat.say("Oslo").await, ["sunny in Oslo"]);
    /// # }); Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When the question could not be sent; when no answer came, which a person who wrote is told; when the bot stops.
    ///
    /// # Cancel safety
    ///
    /// The question is sent as soon as this is polled. A handler that drops the future goes on beside its conversation:
    /// give the time with [`Context::ask_within`] instead.
    #[track_caller]
    pub fn ask(&self, question: impl IntoReply) -> impl Future<Output = Result<String>> {
        self.ask_within(question, PATIENCE)
    }

    /// The same with another time to wait.
    ///
    /// # Errors
    ///
    /// As [`Context::ask`].
    ///
    /// # Cancel safety
    ///
    /// As [`Context::ask`].
    #[track_caller]
    pub fn ask_within(
        &self,
        question: impl IntoReply,
        within: Duration,
    ) -> impl Future<Output = Result<String>> {
        // Both note the line of the caller.
        let asked = self.reply_now(question);
        let sender = self.event.sender().clone();
        let is_theirs = move |event: &Event| event.message().is_some() && event.sender().is(sender.id());
        let answered = self.wait_for(is_theirs, within);
        async move {
            asked.await?;
            Ok(answered.await?.said_with_names())
        }
    }

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
        async move { self.waited_for(filter, within).await.map_err(|error| error.at(line)) }
    }

    async fn waited_for(&self, filter: impl Fn(&Event) -> bool + Send, within: Duration) -> Result<Event> {
        let name = reserved::wait(self.call.waits.fetch_add(1, Ordering::Relaxed));
        if let Some(value) = self.known_step(&name) {
            return serde_json::from_slice(value)
                .map_err(|error| Error::from(error).context("reading what was waited for"));
        }
        let sequence = self.call.attempt.sequence;
        let _unhurried = self.unhurried();
        // Each holds one offer at most: the next comes when this one was answered.
        let (offers, mut offered) = mpsc::unbounded_channel();
        let mut waiting = Waiting { requests: &self.call.requests, sequence, is_over: false };
        waiting.say(HandlerRequest::Wait { sequence, offers });
        let mut time_is_over = std::pin::pin!(tokio::time::sleep(within));
        loop {
            tokio::select! {
                biased;
                offer = offered.recv() => {
                    let Some(Offer { sequence: event, event: content }) = offer else {
                        waiting.is_over = true;
                        return Err(Error::new("this handler waits already, or has ended, or too many wait for people, or the bot is stopping"));
                    };
                    if !filter(&content) {
                        waiting.say(HandlerRequest::Pass { event, by: sequence });
                        continue;
                    }
                    let value = Bytes::from(serde_json::to_vec(&content)?);
                    let (answer, kept) = oneshot::channel();
                    waiting.say(HandlerRequest::Take { event, by: sequence, name, value, answer });
                    waiting.ends(kept).await?;
                    return Ok(content);
                }
                () = &mut time_is_over => break,
            }
        }
        let (answer, turn) = oneshot::channel();
        waiting.say(HandlerRequest::Rejoin { sequence, answer });
        waiting.ends(turn).await?;
        // Who wrote nothing has nothing to begin again.
        Err(Error::for_user(if self.event.message().is_some() { TOO_LATE } else { "" }))
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
