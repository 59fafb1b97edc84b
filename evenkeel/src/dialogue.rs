//! What a conversation is in the middle of, kept over restarts.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::extract::{FromEvent, Rejection};

/// The state of this conversation: a form that is half filled in, a game, a language. An extractor; `S` is any type that
/// serde can write, and each type has a place of its own in each conversation.
///
/// What is set is kept together with the end of the event: a handler that fails changes nothing, and the next event of
/// the conversation sees what this one set.
///
/// Where an earlier version of the bot has kept another shape of `S`, the event becomes a dead letter and what is kept stays as it is:
/// nothing of it is forgotten by mistake. Give new fields `#[serde(default)]`, or see
/// [`App::with_dialogue_reset`](crate::App::with_dialogue_reset). The place is that of the type's name: one that has changed is told by
/// [`App::with_dialogue_alias`](crate::App::with_dialogue_alias).
///
/// ```
/// use evenkeel::{Dialogue, Result, Router, Text, testing};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// enum Order { WhichSize, WhereTo { size: String } }
///
/// async fn order(mut dialogue: Dialogue<Order>) -> Result<&'static str> {
///     dialogue.set(Order::WhichSize)?;
///     Ok("which size?")
/// }
///
/// async fn answer(mut dialogue: Dialogue<Order>, Text(text): Text) -> Result<String> {
///     match dialogue.take() {
///         None => Ok("say !order".into()),
///         Some(Order::WhichSize) => {
///             dialogue.set(Order::WhereTo { size: text })?;
///             Ok("where to?".into())
///         }
///         Some(Order::WhereTo { size }) => Ok(format!("a {size} pizza goes to {text}")),
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?.block_on(async {
/// let mut chat = testing::chat(Router::new().command("!order", order).fallback(answer));
/// assert_eq!(chat.say("!order").await, ["which size?"]);
/// assert_eq!(chat.say("large").await, ["where to?"]);
/// assert_eq!(chat.say("Main Street 1").await, ["a large pizza goes to Main Street 1"]);
/// assert_eq!(chat.say("hello").await, ["say !order"]);
/// # }); Ok::<(), std::io::Error>(())
/// ```
pub struct Dialogue<S> {
    cx: Context,
    state: Option<S>,
    kind: PhantomData<fn() -> S>,
}

impl<S: Serialize + DeserializeOwned> Dialogue<S> {
    /// The state; `None` where the conversation is not in the middle of anything.
    pub fn state(&self) -> Option<&S> {
        self.state.as_ref()
    }

    /// Takes the state out: the conversation is in the middle of nothing, unless [`set`](Self::set) follows.
    pub fn take(&mut self) -> Option<S> {
        let state = self.state.take();
        self.clear();
        state
    }

    /// Sets the state.
    ///
    /// # Errors
    ///
    /// When it cannot be written as JSON.
    pub fn set(&mut self, state: S) -> Result<()> {
        let value = serde_json::to_vec(&state)?;
        self.keep(Some(Bytes::from(value)));
        self.state = Some(state);
        Ok(())
    }

    /// Ends the dialogue.
    pub fn clear(&mut self) {
        self.keep(None);
        self.state = None;
    }

    /// Keeps it under the present name of its type, and under no other one.
    fn keep(&self, value: Option<Bytes>) {
        self.cx.remember(name::<S>(), value);
        for former in former::<S>(&self.cx) {
            self.cx.remember(former, None);
        }
    }
}

/// The place of a type.
pub(crate) fn name<S>() -> &'static str {
    std::any::type_name::<S>()
}

/// The places that it had in earlier versions of the bot.
fn former<S>(cx: &Context) -> &[String] {
    cx.dialogue_options(name::<S>()).map_or(&[], |options| &options.former)
}

/// What is kept, under the present name or else under one of the former ones.
async fn kept<S>(cx: &Context) -> Result<Option<Bytes>> {
    let mut value = cx.recall(name::<S>()).await?;
    for former in former::<S>(cx) {
        if value.is_none() {
            value = cx.recall(former).await?;
        }
    }
    Ok(value)
}

/// The state, as far as it can be read.
fn read<S: DeserializeOwned>(cx: &Context, value: &[u8]) -> Result<Option<S>> {
    let error = match serde_json::from_slice(value) {
        Ok(state) => return Ok(Some(state)),
        Err(error) => error,
    };
    // The message may quote the value.
    let (name, column) = (name::<S>(), error.column());
    if cx.dialogue_options(name).is_some_and(|options| options.begins_anew) {
        tracing::warn!(state = name, column, "a kept dialogue has another shape: it begins anew");
        return Ok(None);
    }
    Err(Error::new(format!("what is kept of the dialogue `{name}` does not fit, from column {column} on"))
        .with_hint("read the older shape as well (`#[serde(default)]`, `#[serde(untagged)]`), or let it begin anew: `App::with_dialogue_reset`")
        .permanent())
}

impl<S: Sync, D: Serialize + DeserializeOwned + Send + 'static> FromEvent<S> for Dialogue<D> {
    fn from_event(cx: &Context, _: &S) -> impl Future<Output = Result<Self, Rejection>> + Send {
        let cx = cx.clone();
        async move {
            let value = kept::<D>(&cx).await.map_err(|error| Rejection::silent(error.chain()))?;
            let state = match value {
                Some(value) => read(&cx, &value).map_err(Rejection::failed)?,
                None => None,
            };
            Ok(Self { cx, state, kind: PhantomData })
        }
    }
}

impl<S> fmt::Debug for Dialogue<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialogue").field("is_open", &self.state.is_some()).finish()
    }
}
