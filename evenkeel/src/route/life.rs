//! What an author may want done when a bot starts and stops.

use std::future::Future;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use super::app::App;
use super::hooks::{Hook, Hooks};
use crate::error::Result;
use crate::handle::Handle;

/// How long a hook may take that begins, unless told otherwise: longer than a database takes to come up.
const START_LIMIT: Duration = Duration::from_secs(30);
/// And one that ends: a fifth of the usual drain.
const STOP_LIMIT: Duration = Duration::from_secs(5);

impl App {
    /// Runs `hook` when the bot starts, once its journal and its network are open, and before the first handler: 30 s at most. Several
    /// run one after the other. What has come in meanwhile is kept, and waits.
    ///
    /// Where a hook fails, panics or takes longer, the bot does not start: [`run`](crate::run) returns the error, which names the hook,
    /// and what has come in is in the journal. It runs where handlers do, and like a handler it must not block; it gets a
    /// [`Handle`] to keep, so this is the place to start what runs beside the bot.
    ///
    /// ```
    /// use evenkeel::{Conversation, Handle, Result, Router, testing};
    ///
    /// async fn greet(handle: Handle) -> Result<()> {
    ///     handle.to(&Conversation::group("crew")).send("I am back").await?;
    ///     Ok(())
    /// }
    /// async fn part(handle: Handle) -> Result<()> {
    ///     handle.to(&Conversation::group("crew")).send("I am gone for a moment").await?;
    ///     Ok(())
    /// }
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?.block_on(async {
    /// let mut chat = testing::chat(Router::new().with_state(()).on_start(greet).on_stop(part));
    /// assert_eq!(chat.replies().await, ["I am back"]);
    /// assert_eq!(chat.restart().await, ["I am gone for a moment", "I am back"]);
    /// # }); Ok::<(), std::io::Error>(())
    /// ```
    #[must_use]
    #[track_caller]
    pub fn on_start<F>(self, hook: impl Fn(Handle) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        self.on_start_within(START_LIMIT, hook)
    }

    /// The same for a hook that may take this long.
    #[must_use]
    #[track_caller]
    pub fn on_start_within<F>(
        mut self,
        limit: Duration,
        hook: impl Fn(Handle) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let hook = Hook::new("on_start", limit, Location::caller(), hook);
        self.with_hooks(|hooks| hooks.start.push(hook));
        self
    }

    /// Runs `hook` when the bot has been told to stop and its handlers have finished, or when the drain has no more time than the hooks
    /// need: 5 s at most, which are part of the drain. Several run one after the other. What it says by its [`Handle`] is kept and
    /// sent as ever. Where it fails, panics or takes longer, the log says so and the bot goes on ending.
    ///
    /// It does not run where a hook of [`on_start`](Self::on_start) has failed, nor when the process is killed: nothing that has to happen may
    /// depend on it.
    #[must_use]
    #[track_caller]
    pub fn on_stop<F>(self, hook: impl Fn(Handle) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        self.on_stop_within(STOP_LIMIT, hook)
    }

    /// The same for a hook that may take this long.
    #[must_use]
    #[track_caller]
    pub fn on_stop_within<F>(
        mut self,
        limit: Duration,
        hook: impl Fn(Handle) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let hook = Hook::new("on_stop", limit, Location::caller(), hook);
        self.with_hooks(|hooks| hooks.stop.push(hook));
        self
    }

    /// What is done when the bot starts and stops.
    pub(crate) fn hooks(&self) -> &Hooks {
        &self.life.hooks
    }

    fn with_hooks(&mut self, change: impl FnOnce(&mut Hooks)) {
        change(&mut Arc::make_mut(&mut self.life).hooks);
    }
}
