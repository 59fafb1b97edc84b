//! What is asked of a bot, by await or on a thread that waits.

use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::blocking::block_on;
use super::line::Line;
use crate::error::Result;

/// What becomes of something that a handle was asked for, once somebody polls it.
pub(super) type Pending<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

/// Something that a [`Handle`](super::Handle) is asked for: nothing happens until it is awaited, or [waited for](Self::wait).
///
/// # Cancel safety
///
/// Once it was polled, it may happen although the future is dropped.
#[must_use = "nothing happens until this is awaited, or `.wait()` is called"]
pub struct Asking<T> {
    line: Arc<Line>,
    pending: Pending<T>,
    /// Where it was asked.
    place: &'static Location<'static>,
}

impl<T> Asking<T> {
    pub(super) fn new(
        line: Arc<Line>,
        place: &'static Location<'static>,
        pending: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Self {
        Self { line, place, pending: Box::pin(pending) }
    }

    /// Waits on this thread until it is done; for code that is not async.
    ///
    /// # Errors
    ///
    /// As when it is awaited; and inside an async runtime, where that could wait for itself for ever: before the bot runs, and where the
    /// bot shares the runtime ([`Bot::on_this_runtime`](crate::Bot::on_this_runtime)). Blocking handlers, [`offload`](mod@crate::offload)
    /// and threads of one's own may always wait.
    pub fn wait(self) -> Result<T> {
        let Self { line, pending, place } = self;
        block_on(&line, pending).map_err(|error| error.at(place))
    }
}

impl<T> Future for Asking<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T>> {
        self.pending.as_mut().poll(cx)
    }
}

impl<T> std::fmt::Debug for Asking<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asking").field("place", &self.place).finish_non_exhaustive()
    }
}
