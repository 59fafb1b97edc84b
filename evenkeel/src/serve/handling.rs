//! Runs the handler of one event and reports back to the wire, whatever happens.

use evenkeel_guard::Label;
use tokio::sync::mpsc;

use super::attempt::{Ending, Failure, Finished, Work};
use crate::context::{Attempt, Wire};
use crate::journal::Reason;
use crate::route::{Answer, App};

/// Runs the handler. A future that is dropped before its end reports that, too.
pub(super) async fn handle(app: App, work: Work, asks: Wire, reports: mpsc::UnboundedSender<Finished>) {
    let Work { event, sequence, attempt, facts, now_ms } = work;
    let mut report = Report { sequence: Some(sequence), reports };
    let Answer { name, outbound, changes, failure, retry } =
        app.answer(event, Attempt { sequence, attempt, facts, now_ms }, asks).await;
    let ending = match failure {
        None => Ending::Done,
        Some((error, reason)) => {
            let command = name.as_ref().map_or("?", Label::name);
            let (hint, line, chain) = (error.hint(), error.location(), error.chain());
            tracing::error!(command, sequence, attempt, error = chain, %line, hint, "a handler failed");
            let is_worth_another = reason == Reason::Failed && retry.wants(&error);
            Ending::Failed(Failure { error: chain, reason, retry, is_worth_another })
        }
    };
    report.send(Finished { sequence, command: name, outbound, changes, ending });
}

/// Reports once: when told to, or when dropped with the future it belongs to.
struct Report {
    sequence: Option<u64>,
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
            let (outbound, changes) = (Vec::new(), Vec::new());
            self.send(Finished { sequence, command: None, outbound, changes, ending: Ending::CutShort });
        }
    }
}
