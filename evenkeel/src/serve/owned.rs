//! A task that ends with its holder.

use std::future::Future;
use std::pin::Pin;

use crate::error::{Error, Result};

/// A task that ends with its owner.
pub(super) struct Owned<R>(pub(super) tokio::task::JoinHandle<R>);

impl<R> Future for Owned<Result<R>> {
    type Output = Result<R>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> std::task::Poll<Self::Output> {
        let joined = std::task::ready!(Pin::new(&mut self.0).poll(cx));
        std::task::Poll::Ready(joined.unwrap_or_else(|error| {
            Err(Error::from(error).context("the transport panicked; this is a mistake in the transport"))
        }))
    }
}

impl<R> Drop for Owned<R> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
