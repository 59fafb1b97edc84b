//! Runs the handler of one event and reports back to the wire, whatever happens.
//!
//! Whatever the author wrote may panic, also what nobody thinks of as a handler: the `Display` of an error, a `Drop`, a
//! filter. None of it costs more than this event.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::sync::mpsc;

use super::attempt::{Ending, Failure, Finished, Work};
use crate::context::{Attempt, Wire};
use crate::error::{Error, panic_message};
use crate::journal::Reason;
use crate::progress::Progress;
use crate::retry::Retry;
use crate::route::{Answer, App};
use crate::transport::SendError;

/// Runs the handler. A future that is dropped before its end reports that, too, also one that was never polled.
pub(super) fn handle(
    app: App,
    work: Work,
    asks: Wire,
    progress: Arc<Progress>,
    reports: mpsc::UnboundedSender<Finished>,
) -> impl Future<Output = ()> + Send {
    let Work { event, sequence, attempt, is_replayed, facts, now_ms } = work;
    let retry = app.tools().retry;
    // Before the first poll, which may never come.
    let mut report = Report { sequence: Some(sequence), retry, reports };
    async move {
        let attempt = Attempt { sequence, attempt, is_replayed, facts, now_ms, progress };
        let finished = AssertUnwindSafe(run(&app, event, attempt, asks)).catch_unwind().await;
        report.send(finished.unwrap_or_else(|panic| {
            let error = format!("the attempt panicked at its end: {}", panic_message(panic));
            let failure = Failure::new(error, Reason::Panicked, retry);
            finished_without_reply(sequence, Ending::Failed(failure))
        }));
    }
}

async fn run(app: &App, event: crate::event::Event, attempt: Attempt, asks: Wire) -> Finished {
    let sequence = attempt.sequence;
    let Answer { name, outbound, changes, failure, retry } = app.answer(event, attempt, asks).await;
    let ending = match failure {
        None => Ending::Done,
        Some((error, reason)) => Ending::Failed(judge(error, reason, retry)),
    };
    Finished { sequence, command: name, outbound, changes, ending }
}

/// Prints an error of the author's and decides whether another attempt may help. Printing it may panic, and so may letting
/// it go.
fn judge(error: Error, reason: Reason, retry: Retry) -> Failure {
    let line = error.location();
    // Not within it: should a panic let go of what panics then, the process would end.
    let judged = catch_unwind(AssertUnwindSafe(|| {
        let (hint, chain) = (error.hint().map(str::to_owned), error.chain());
        let is_worth_another = reason == Reason::Failed && retry.wants(&error);
        let retry_after = error.retry_after();
        let is_limited = error.find::<SendError>().is_some_and(SendError::is_rate_limited);
        let reason = if is_limited && reason == Reason::Failed { Reason::RateLimited } else { reason };
        Failure { error: chain, line: Some(line), hint, reason, retry, is_worth_another, retry_after }
    }));
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(error))).map_err(panic_message);
    judged.map_err(panic_message).and_then(|failure| dropped.map(|()| failure)).unwrap_or_else(|panic| {
        let error = format!("the handler's error panicked when it was looked at: {panic}");
        Failure { line: Some(line), ..Failure::new(error, Reason::Panicked, retry) }
    })
}

fn finished_without_reply(sequence: u64, ending: Ending) -> Finished {
    Finished { sequence, command: None, outbound: Vec::new(), changes: Vec::new(), ending }
}

/// Reports once: when told to, or when dropped with the future it belongs to.
struct Report {
    sequence: Option<u64>,
    retry: Retry,
    reports: mpsc::UnboundedSender<Finished>,
}

impl Report {
    fn send(&mut self, finished: Finished) {
        if self.sequence.take().is_some() {
            // A wire that is gone asks for nothing more.
            let _told = self.reports.send(finished);
        }
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        if let Some(sequence) = self.sequence {
            let error = "the attempt was dropped before its end: its executor is gone".to_owned();
            let failure =
                Failure { is_worth_another: true, ..Failure::new(error, Reason::Failed, self.retry) };
            self.send(finished_without_reply(sequence, Ending::CutShort(failure)));
        }
    }
}
