//! What a handler does once, however often it runs.

use std::future::Future;
use std::panic::Location;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use super::{Context, DialogueOptions};
use crate::engine::HandlerRequest;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::journal::store::EventId;
use crate::journal::{CompletedEffect, Entry};

impl Context {
    /// Does something once and keeps its result: when the handler runs again, after a failure or the end of the process, it
    /// gets the result and `work` is not polled.
    ///
    /// The result is on the disk before this returns. Between the end of `work` and that moment the process may end: then
    /// `work` is done again, so what cannot bear that needs a key of its own at the other side.
    ///
    /// ```
    /// use evenkeel::{Context, Result};
    ///
    /// async fn charge() -> Result<u64> { Ok(4711) }
    ///
    /// async fn buy(cx: Context) -> Result<String> {
    ///     let receipt = cx.step("charge", charge()).await?;
    ///     Ok(format!("paid, receipt {receipt}"))
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// That of `work`, of which nothing is kept; when the name was used before in this attempt; when the result cannot
    /// be written as JSON, or a kept one not be read as `T`: an earlier version of the bot has kept another shape. Then `work` is not
    /// done again.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops `work`. A result that has been handed over is kept all the same.
    #[track_caller]
    pub fn step<T: Serialize + DeserializeOwned>(
        &self,
        name: &str,
        work: impl Future<Output = Result<T>>,
    ) -> impl Future<Output = Result<T>> {
        let line = Location::caller();
        async move {
            if let Some(known) = self.begin_step(name).map_err(|error| error.at(line))? {
                return Ok(known);
            }
            // What fails in there has a line of its own.
            let done = work.await?;
            let kept = self.keep_step(name, &done).map_err(|error| error.at(line))?;
            let _unhurried = self.unhurried();
            kept.await.map_err(|_| Error::new("the bot is stopping").at(line))?;
            Ok(done)
        }
    }

    /// The result of an earlier attempt, if there is one.
    fn begin_step<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        if !self.promised().steps.insert(name.to_owned()) {
            return Err(Error::new(format!("the step `{name}` was taken already"))
                .with_hint("give each step of a handler a name of its own, with a number in a loop"));
        }
        let Some(value) = self.known_step(name) else { return Ok(None) };
        serde_json::from_slice(value).map(Some).map_err(|error| {
            // The message may quote the value.
            let column = error.column();
            Error::new(format!("what was kept of the step `{name}` does not fit, from column {column} on"))
                .with_hint("it was done, and is not done again: read the older shape as well (`#[serde(default)]`, `#[serde(untagged)]`), then replay the dead letter")
                .permanent()
        })
    }

    fn keep_step<T: Serialize>(&self, name: &str, done: &T) -> Result<oneshot::Receiver<()>> {
        let value = serde_json::to_vec(done)
            .map_err(|error| Error::from(error).context(format!("writing the step `{name}`")))?;
        let (answer, kept) = oneshot::channel();
        let (sequence, name) = (self.call.attempt.sequence, name.to_owned());
        self.request(HandlerRequest::Step { sequence, name, value: Bytes::from(value), answer });
        Ok(kept)
    }

    /// Keeps a value for this conversation once the handler has succeeded; `None` forgets it. The last call counts.
    pub(crate) fn remember(&self, name: &str, value: Option<Bytes>) {
        let conversation = self.event.conversation().key().to_owned();
        self.change(Entry::Remember { conversation, name: name.to_owned(), value });
    }

    /// Enters something into the journal once the handler has succeeded.
    pub(crate) fn change(&self, entry: Entry) {
        self.promised().changes.push(entry);
    }

    /// Whether a message goes to a command of the bot's.
    pub(super) fn is_command(&self, event: &Event) -> bool {
        self.call.tools.is_command.as_ref().is_some_and(|is_command| is_command(event))
    }

    /// Whether jobs may call this function.
    pub(crate) fn knows_job(&self, function: &str) -> bool {
        self.call.tools.jobs.has(function)
    }

    /// The present name of a function that was kept under this one.
    pub(crate) fn present_job(&self, function: &str) -> Option<&'static str> {
        self.call.tools.jobs.present(function)
    }

    /// What the author has said of dialogues whose state is this type.
    pub(crate) fn dialogue_options(&self, name: &str) -> Option<&DialogueOptions> {
        self.call.tools.dialogues.get(name)
    }

    /// A name for a job of this event, the same in each attempt of a handler that does the same: that of the event, and
    /// a number.
    pub(crate) fn next_job_name(&self) -> String {
        let mut promised = self.promised();
        promised.jobs += 1;
        format!("{}.{}", EventId::from_bits(self.call.attempt.sequence), promised.jobs)
    }

    /// When this attempt began, in milliseconds since 1970, by the clock that jobs go by.
    pub(crate) fn now_ms(&self) -> u64 {
        self.call.attempt.now_ms
    }

    /// The value that is kept for this conversation, without what this handler has promised.
    pub(crate) async fn recall(&self, name: &str) -> Result<Option<Bytes>> {
        let (answer, value) = oneshot::channel();
        let conversation = self.event.conversation().key().to_owned();
        self.request(HandlerRequest::Recall { conversation, name: name.to_owned(), answer });
        let _unhurried = self.unhurried();
        value.await.map_err(|_| Error::new("the bot is stopping"))
    }

    pub(super) fn known_step(&self, wanted: &str) -> Option<&Bytes> {
        self.call.attempt.facts.iter().find_map(|fact| match fact {
            CompletedEffect::Step { name, value } if name == wanted => Some(value),
            _ => None,
        })
    }

    /// Which attempt this is to handle the event, from 1. An attempt that the end of a process cut short
    /// counts, too, unless it was waiting for a person or the bot was told to stop.
    pub fn attempt(&self) -> u32 {
        self.call.attempt.number
    }

    /// Whether this event is handled for the first time: not again after a failure or the end of the process, nor because
    /// the operator replays it. With [`Event::message`](crate::Event::message), which a job has not, a layer tells what a
    /// person just wrote from what was let in before, for limits and for counts.
    pub fn is_first_attempt(&self) -> bool {
        self.attempt() == 1 && !self.call.attempt.is_replayed
    }
}
