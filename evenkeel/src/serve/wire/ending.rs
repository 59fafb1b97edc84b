//! How the wire ends: it lets the driver finish, for a while, and says what is left.

use tokio::time::Instant;

use super::{Ends, Wire};
use crate::engine::Remaining;
use crate::error::Result;
use crate::serve::leaving::{End, GRACE, Leaving, leave_behind, let_go, over};
use crate::serve::link::{Link, SendEnd, ToDriver, ToWire};

/// Stuck places that the error of a stop names; the log names them all.
const TOLD: usize = 8;

impl Wire {
    /// The bot ends now, while this many replies are on their way.
    pub(super) fn end(&mut self, end: End, sending: usize) -> End {
        self.stopping.cut = Cut { sending, running: self.core.lock().engine().remaining().handlers };
        self.tell(ToDriver::End);
        end
    }

    /// Lets the driver give back what runs and close the journal, and says what is left. A journal that takes too long for that is
    /// left behind, as it is at another request to stop.
    pub(super) async fn finish(mut self, end: End, mut ends: Ends) -> Result<()> {
        let limit = match &end {
            End::Quiet(deadline, _) => (*deadline).max(Instant::now() + GRACE),
            End::AtOnce | End::AtDeadline => Instant::now() + GRACE,
        };
        let held = self.edges.iter_mut().flat_map(|edge| edge.beside.deferring.take_held());
        for delivery in held.collect::<Vec<_>>() {
            self.tell(ToDriver::Sent(SendEnd::TakenBack(delivery)));
        }
        let flushed = tokio::select! {
            biased;
            flushed = flushed(&mut self.link) => Some(flushed),
            () = over(limit, &mut ends.stops) => None,
        };
        self.edges.stop_receiving();
        let leaving = self.leaving(end);
        let stuck = if leaving.running > 0 { self.stuck() } else { String::new() };
        match flushed {
            Some(Ok(())) => {
                tokio::select! {
                    biased;
                    _closed = &mut self.link.place => {}
                    () = over(limit, &mut ends.stops) => {
                        tracing::warn!("the closing of the journal was not waited for any longer: it has all that it was given");
                        drop(leave_behind(self.link));
                    }
                }
                leaving.told(&stuck)
            }
            Some(Err(error)) => Err(match leaving.told(&stuck) {
                Err(left) => error.context(left.to_string()),
                Ok(()) => error,
            }),
            None => {
                drop(leave_behind(self.link));
                leaving.told(&stuck)
            }
        }
    }

    /// Ends after the journal has failed.
    pub(super) async fn failed(self) {
        let Remaining { handlers, events, replies, unwritten, .. } = self.remaining();
        let (waiting, outbox) = (events.saturating_sub(handlers), replies);
        tracing::error!(running = handlers, waiting, outbox, unwritten, "stopped: the journal has failed");
        let_go(self.link).await;
    }

    /// What is left, with what has not come to the engine.
    fn remaining(&self) -> Remaining {
        self.core.lock().remaining(self.edges.iter().map(|edge| edge.backlog.handed_over()).sum())
    }

    fn leaving(&self, end: End) -> Leaving {
        let (left, is_kept, Cut { running, sending }) = (self.remaining(), self.is_kept, self.stopping.cut);
        let waiting = left.events.saturating_sub(running);
        let unsent = left.replies;
        let is_done = left.is_written && running + self.core.lock().asked() + sending == 0;
        let is_safe = is_done && (is_kept || waiting + unsent == 0);
        Leaving { end, left, running, waiting, unsent, is_safe, is_kept }
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

/// What was cut short.
#[derive(Clone, Copy, Default)]
pub(super) struct Cut {
    /// Handlers that ran.
    running: usize,
    /// Replies on their way: nobody knows whether they arrived.
    sending: usize,
}

/// Waits until the journal has all that it has to know, and gives back what was to be sent and now is not.
///
/// # Cancel safety
///
/// Cancel safe: what the driver has said lies in its channel or was passed on.
async fn flushed(link: &mut Link) -> Result<()> {
    loop {
        tokio::select! {
            biased;
            said = link.from_driver.recv() => match said {
                Some(ToWire::Send(delivery)) => link.tell(ToDriver::Sent(SendEnd::TakenBack(delivery))),
                Some(ToWire::Cut) => link.tell(ToDriver::AllBack),
                Some(ToWire::Flushed) => return Ok(()),
                Some(ToWire::Notify(_) | ToWire::Ended(..) | ToWire::NotStarted(_)) => {}
                None => return (&mut link.place).await,
            },
            ended = &mut link.place => return ended,
        }
    }
}
