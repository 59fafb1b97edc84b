//! Files that handlers fetch. They have slots of their own: no reply waits for a download.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::engine::{Download, Slots};
use crate::error::{DownloadError, Error};
use crate::serve::foreign;
use crate::transport::AnyTransport;

/// Downloads at once, those that hang not counted,
const LIMIT: usize = 64;
/// and in all.
const BOUND: usize = 512;
/// How long one may take. A transport knows better; this is for one that never ends.
const DEADLINE: Duration = Duration::from_secs(600);

/// See the module. Dropping it gives up what is under way.
pub(super) struct Downloads {
    slots: Slots,
    /// Bounded by the handlers that run.
    waiting: VecDeque<Download>,
    /// Each ends with the number of its slot.
    under_way: JoinSet<u64>,
}

impl Downloads {
    pub(super) fn new() -> Self {
        Self { slots: Slots::new(LIMIT, BOUND), waiting: VecDeque::new(), under_way: JoinSet::new() }
    }

    pub(super) fn ask(&mut self, download: Download) {
        self.waiting.push_back(download);
    }

    /// Begins with those that have their turn.
    pub(super) fn advance(&mut self, transport: &AnyTransport, now: Duration) {
        self.waiting.retain(|download| !download.answer.is_closed());
        while !self.waiting.is_empty()
            && let Some(slot) = self.slots.take(now)
            && let Some(download) = self.waiting.pop_front()
        {
            let transport = Arc::clone(transport);
            self.under_way.spawn(async move {
                if let Err(error) = foreign::finished(fetch(transport, download)).await {
                    tracing::error!(error, "a download panicked; this is a mistake in the transport");
                }
                slot
            });
        }
    }

    /// When one may begin although none has ended.
    pub(super) fn next_look(&self) -> Option<Duration> {
        self.slots.next_look().filter(|_| !self.waiting.is_empty())
    }

    /// Waits until one has ended, for ever if none is under way; returns the number of its slot.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe, as `JoinSet::join_next` is.
    pub(super) async fn next(&mut self) -> u64 {
        match self.under_way.join_next().await {
            Some(Ok(slot)) => slot,
            // A task ends early with its runtime only.
            Some(Err(_)) | None => pending().await,
        }
    }

    /// One has ended.
    pub(super) fn ended(&mut self, slot: u64, now: Duration) {
        self.slots.give(slot, now);
    }
}

async fn fetch(transport: AnyTransport, download: Download) {
    let Download { attachment, limit_bytes, mut answer, .. } = download;
    tokio::select! {
        file = timeout(DEADLINE, foreign::download(&*transport, &attachment, limit_bytes)) => {
            let file = file.unwrap_or_else(|_| {
                let seconds = DEADLINE.as_secs();
                Err(Error::from(DownloadError::timeout()).context(format!("the file did not come within {seconds} s")))
            });
            // The handler may have stopped waiting.
            let _heard = answer.send(file);
        }
        () = answer.closed() => {}
    }
}
