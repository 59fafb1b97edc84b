//! A handler ends the others of its conversation.

use std::future::Future;
use std::panic::Location;
use std::sync::atomic::Ordering;

use tokio::sync::oneshot;

use super::Context;
use crate::engine::HandlerRequest;
use crate::error::{Error, Result};
use crate::reserved;

impl Context {
    /// Ends the other handlers of this conversation: those that run, and those that wait for a person. Answers how many there
    /// were, once that is kept.
    ///
    /// Each is dropped at its next `.await`. Its event is done: it is not tried again, and is no dead letter. What it has sent stays,
    /// what it had promised is not sent. Jobs of this conversation whose handlers run are ended as well. What waits for its turn,
    /// or for its next attempt, is left alone.
    ///
    /// Only a [concurrent](crate::Trigger::concurrent) command runs beside the handler that it is to end; any other waits until that one
    /// is done or waits for a person. A schedule has no conversation, and ends nobody. When this handler runs again, after a failure or the end of the process, it gets the answer
    /// of the first time.
    ///
    /// ```
    /// use evenkeel::{Context, Result, Router, Trigger, testing};
    ///
    /// async fn long(cx: Context) -> Result<()> {
    ///     cx.reply_now("thinking").await?;
    ///     std::future::pending().await
    /// }
    /// async fn stop(cx: Context) -> Result<String> {
    ///     Ok(format!("stopped: {}", cx.cancel_others().await?))
    /// }
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?.block_on(async {
    /// let app = Router::new().command("!long", long).route(Trigger::command("!stop").concurrent(), stop);
    /// let mut chat = testing::chat(app);
    /// chat.sandbox().say("alice", "alice", "!long")?;
    /// assert_eq!(chat.say("!stop").await.text(), "thinking\nstopped: 1");
    /// # Ok::<(), evenkeel::Error>(()) }).map_err(|error| std::io::Error::other(error.to_string()))?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When the handler that asks has ended, or the bot stops.
    ///
    /// # Cancel safety
    ///
    /// The others are ended as soon as this is polled; dropping the future drops only the answer.
    #[track_caller]
    pub fn cancel_others(&self) -> impl Future<Output = Result<usize>> {
        let line = Location::caller();
        async move { self.cancelled_others().await.map_err(|error| error.at(line)) }
    }

    async fn cancelled_others(&self) -> Result<usize> {
        let name = reserved::cancelled(self.call.cancels.fetch_add(1, Ordering::Relaxed));
        if let Some(count) = self.known_step(&name) {
            return serde_json::from_slice(count)
                .map_err(|error| Error::from(error).context("reading how many were ended"));
        }
        if self.event.conversation().is_nowhere() {
            return Ok(0);
        }
        let (by, (answer, ended)) = (self.call.attempt.sequence, oneshot::channel());
        self.request(HandlerRequest::CancelOthers { by, name, answer });
        let _unhurried = self.unhurried();
        ended.await.map_err(|_| Error::new("this handler has ended, or the bot is stopping"))
    }
}
