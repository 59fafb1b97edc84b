//! Runs the handler of one event and reports back to the wire, whatever happens.

use std::sync::Arc;

use evenkeel_guard::Label;
use tokio::sync::mpsc;

use crate::context::Wire;
use crate::event::Event;
use crate::route::{Answer, App};
use crate::transport::Outbound;

/// What the wire learns of an event once its handler is done.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) conversation: Arc<str>,
    pub(super) name: Option<Label>,
    pub(super) outbound: Vec<Outbound>,
    pub(super) outcome: Outcome,
}

/// How a handler ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Handled,
    Failed,
}

/// Runs the handler. A future that is dropped before its end reports as failed, too.
pub(super) async fn handle(
    app: App,
    event: Event,
    sequence: u64,
    asks: Wire,
    reports: mpsc::UnboundedSender<Finished>,
) {
    let mut report = Report { conversation: Some(event.conversation().shared_id()), reports };
    let Answer { name, outbound, failure } = app.answer(event, sequence, asks).await;
    let outcome = if failure.is_some() { Outcome::Failed } else { Outcome::Handled };
    if let Some(error) = failure {
        let command = name.as_ref().map_or("?", Label::name);
        let (hint, line) = (error.hint(), error.location());
        tracing::error!(command, sequence, error = error.chain(), %line, hint, "a handler failed");
    }
    report.send(name, outbound, outcome);
}

/// Reports once: when told to, or when dropped with the future it belongs to.
struct Report {
    conversation: Option<Arc<str>>,
    reports: mpsc::UnboundedSender<Finished>,
}

impl Report {
    fn send(&mut self, name: Option<Label>, outbound: Vec<Outbound>, outcome: Outcome) {
        if let Some(conversation) = self.conversation.take() {
            // A wire that is gone asks for nothing more.
            let _told = self.reports.send(Finished { conversation, name, outbound, outcome });
        }
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        self.send(None, Vec::new(), Outcome::Failed);
    }
}
