//! Waiting for what may not be there.

use std::future::Future;

use tokio::time::Instant;

/// Waits for the future; for ever if there is none.
///
/// # Cancel safety
///
/// Cancel safe: the future stays where it is.
pub(super) async fn polled<F: Future + Unpin>(future: &mut Option<F>) -> F::Output {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

/// Waits for the moment; for ever if there is none.
///
/// # Cancel safety
///
/// Cancel safe.
pub(super) async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
