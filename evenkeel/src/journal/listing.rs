//! What is read beside the writer.

use std::fmt;
use std::future::ready;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::error::Result;

/// What a journal was asked for, read when it is awaited: by anyone who asked, and never on the way of what is written.
///
/// It shows what is kept then, which is what was kept when it was asked for, or newer.
///
/// # Cancel safety
///
/// Dropping it drops the question.
#[must_use = "nothing is read until it is awaited"]
pub struct Listing<T>(Pin<Box<dyn Future<Output = Result<T>> + Send>>);

impl<T> Listing<T> {
    /// Read like this.
    pub fn new(read: impl Future<Output = Result<T>> + Send + 'static) -> Self {
        Self(Box::pin(read))
    }
}

/// It is known already.
impl<T: Send + 'static> From<T> for Listing<T> {
    fn from(known: T) -> Self {
        Self::new(ready(Ok(known)))
    }
}

impl<T> Future for Listing<T> {
    type Output = Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<T>> {
        self.0.as_mut().poll(cx)
    }
}

impl<T> fmt::Debug for Listing<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listing").finish_non_exhaustive()
    }
}
