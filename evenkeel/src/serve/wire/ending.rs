//! How a bot stops, and what it says of what it leaves behind.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Wire;
use crate::context::Ask;
use crate::error::Error;
use crate::journal::Journal;

/// Stuck places that the error of a stop names; the log names them all.
const TOLD: usize = 8;

/// What ended a drain that was not done.
#[derive(Clone, Copy, Debug)]
pub(super) enum End {
    /// A second request to stop.
    AtOnce,
    AtDeadline,
}

impl<T, J: Journal> Wire<T, J> {
    pub(super) fn begin_draining(&mut self, drain: Duration) -> Instant {
        self.is_draining = true;
        let (running, waiting, outbox) = self.machine.load();
        tracing::info!(running, waiting, outbox, deadline = ?drain, "stopping: no more events are taken");
        if self.journal.is_kept() {
            // What waits is as safe in the journal, and the next start takes it up.
            self.machine.drain();
        }
        Instant::now() + drain
    }

    /// Says what a bot that stops leaves behind.
    pub(super) fn left(&self, when: End, asked: &mpsc::UnboundedReceiver<Ask>) -> Error {
        let (running, waiting, outbox) = self.machine.load();
        let unsent = outbox + asked.len();
        let stuck = self.stuck();
        let kept =
            if self.journal.is_kept() { "; the journal has it, and the next start takes it up" } else { "" };
        let how = match when {
            End::AtOnce => "stopped at once",
            End::AtDeadline => "stopped at the deadline",
        };
        let error = Error::new(format!(
            "{how}: {}, {}, {}{kept}{stuck}",
            were(running, "handler", "still running"),
            were(waiting, "event", "waiting"),
            match unsent {
                1 => "1 reply was not sent".to_owned(),
                _ => format!("{unsent} replies were not sent"),
            },
        ));
        match when {
            // Whoever asked twice did not want to wait.
            End::AtOnce => error,
            End::AtDeadline => {
                error.with_hint("raise `EVENKEEL_DRAIN_SECONDS` if the handlers need longer to finish")
            }
        }
    }

    /// Where handlers are stuck that the process leaves behind, each in the log; the first few for the error.
    fn stuck(&self) -> String {
        let reports = self.executor.reports();
        let stuck: Vec<_> = reports.iter().filter(|report| !report.is_over).collect();
        for report in &stuck {
            let (command, file, line) = (&report.name, &report.file, report.line);
            tracing::error!(command, file, line, "left behind: {report}");
        }
        let told = stuck.iter().take(TOLD);
        let told = told.map(|report| format!("`{}` at {}:{}", report.name, report.file, report.line));
        let told = told.collect::<Vec<_>>().join(", ");
        match stuck.len() {
            0 => String::new(),
            1..=TOLD => format!("; stuck: {told}"),
            more => format!("; stuck: {told}, and {} more in the log", more - TOLD),
        }
    }
}

/// `1 event was waiting`, `2 events were waiting`.
fn were(number: usize, thing: &str, what: &str) -> String {
    match number {
        1 => format!("1 {thing} was {what}"),
        _ => format!("{number} {thing}s were {what}"),
    }
}
