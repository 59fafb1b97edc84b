//! Runs the handler of one event and reports back to the driver, whatever happens.
//!
//! Whatever the author wrote may panic, also what nobody thinks of as a handler: the `Display` of an error, a `Drop`, a
//! filter. None of it costs more than this event.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::sync::mpsc;

use crate::engine::{Attempt, Ending, Failure, HandlerOutcome, HandlerRequests};
use crate::error::panic_message;
use crate::journal::Reason;
use crate::progress::Progress;
use crate::retry::Retry;
use crate::route::App;

/// Runs the handler. A future that is dropped before its end reports that, too, also one that was never polled.
pub(super) fn handle(
    app: App,
    attempt: Attempt,
    requests: HandlerRequests,
    progress: Arc<Progress>,
    outcomes: mpsc::UnboundedSender<HandlerOutcome>,
) -> impl Future<Output = ()> + Send {
    let (sequence, retry) = (attempt.sequence, app.failure().retry);
    // Before the first poll, which may never come.
    let mut report = Report { sequence: Some(sequence), retry, outcomes };
    async move {
        let answered = app.answer(attempt, progress, requests);
        let outcome = AssertUnwindSafe(answered).catch_unwind().await;
        report.send(outcome.unwrap_or_else(|panic| {
            let error = format!("the attempt panicked at its end: {}", panic_message(panic));
            let failure = Failure::new(error, Reason::Panicked, retry);
            HandlerOutcome::without_reply(sequence, Ending::Failed(failure))
        }));
    }
}

/// Reports once: when told to, or when dropped with the future it belongs to.
struct Report {
    sequence: Option<u64>,
    retry: Retry,
    outcomes: mpsc::UnboundedSender<HandlerOutcome>,
}

impl Report {
    fn send(&mut self, outcome: HandlerOutcome) {
        if self.sequence.take().is_some() {
            // A driver that is gone asks for nothing more.
            let _told = self.outcomes.send(outcome);
        }
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        if let Some(sequence) = self.sequence {
            let error = "the attempt was dropped before its end: its executor is gone".to_owned();
            let failure =
                Failure { is_worth_another: true, ..Failure::new(error, Reason::Failed, self.retry) };
            self.send(HandlerOutcome::without_reply(sequence, Ending::CutShort(failure)));
        }
    }
}
