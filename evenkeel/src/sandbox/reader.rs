//! Following what happens in the sandbox.

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

use super::changes::Change;
use super::network::Network;

/// Reads changes in order, from the moment it was made.
///
/// A reader that falls more than 1024 changes behind is told so once, and goes on from now; it should take a new
/// [`Sandbox::watch`](super::Sandbox::watch) instead.
#[derive(Debug)]
pub struct Changes {
    network: Arc<Network>,
    seen: u64,
    /// Wakes this reader; the network holds the sender and lives at least as long.
    news: watch::Receiver<u64>,
}

/// The reader was too slow: this many changes are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lagged(pub u64);

impl fmt::Display for Lagged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} changes of the sandbox were missed by a reader that was too slow", self.0)
    }
}

impl std::error::Error for Lagged {}

impl Changes {
    pub(super) fn new(network: Arc<Network>, seen: u64, news: watch::Receiver<u64>) -> Self {
        Self { network, seen, news }
    }

    /// The next change, if it has happened already.
    ///
    /// # Errors
    ///
    /// [`Lagged`] when this reader was too slow.
    pub fn try_next(&mut self) -> Option<Result<Change, Lagged>> {
        let network = Arc::clone(&self.network);
        let state = network.lock();
        let next = state.recent.after(self.seen)?.map_err(Lagged);
        self.seen = match next {
            Ok(_) => self.seen + 1,
            Err(_) => state.recent.count(),
        };
        Some(next)
    }

    /// Waits for the next change.
    ///
    /// # Errors
    ///
    /// [`Lagged`] when this reader was too slow.
    ///
    /// # Cancel safety
    ///
    /// No change is lost when the future is dropped.
    pub async fn next(&mut self) -> Result<Change, Lagged> {
        loop {
            // Marked as seen before looking, so that a change between the two wakes the wait below.
            self.news.borrow_and_update();
            if let Some(next) = self.try_next() {
                return next;
            }
            self.news
                .changed()
                .await
                .expect("the network holds the sender and this reader holds the network");
        }
    }
}
