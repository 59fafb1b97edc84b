//! How a bot stops, and what it says of what it leaves behind.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use super::{Ends, Inner, Wire, polled};
use crate::engine::{Input, Load, Remaining};
use crate::error::{Error, Result};
use crate::journal::Journal;
use crate::transport::{Arrival, Transport};

/// Stuck places that the error of a stop names; the log names them all.
const TOLD: usize = 8;

/// How long a journal may take for the last batch once the time of the bot is over; one that works needs milliseconds.
pub(in crate::serve) const GRACE: Duration = Duration::from_secs(1);

/// A drain that no clock can measure ends after a year.
const LONGEST_DRAIN: Duration = Duration::from_secs(365 * 86_400);

/// How a bot came to its end.
pub(super) enum End {
    /// Nothing is left to do before the deadline. The result is the transport's.
    Quiet(Instant, Result<()>),
    /// A second request to stop.
    AtOnce,
    AtDeadline,
}

/// What a bot leaves behind.
struct Leaving {
    end: End,
    left: Remaining,
    /// Handlers that were cut short.
    running: usize,
    /// Events that wait, without those of these handlers.
    waiting: usize,
    /// Replies that are not sent, with those on their way.
    unsent: usize,
    /// Whether the next start begins with all of it, and repeats nothing.
    is_safe: bool,
    is_kept: bool,
}

impl<T: Transport, J: Journal> Wire<T, J> {
    pub(super) fn begin_draining(&mut self, drain: Duration) -> Instant {
        self.is_draining = true;
        let Load { running, waiting, outbox } = self.engine.load();
        if self.journal.is_kept() {
            // What waits is as safe in the journal, and the next start takes it up, with what still comes.
            self.engine.drain();
            tracing::info!(running, waiting, outbox, deadline = ?drain, "stopping: what comes now is kept for the next start");
        } else {
            tracing::info!(running, waiting, outbox, deadline = ?drain, "stopping: no more events are taken");
        }
        let now = Instant::now();
        now.checked_add(drain).unwrap_or(now + LONGEST_DRAIN)
    }

    /// Gives back what runs, closes the journal, and says what is left. A journal that takes too long for that is left
    /// behind, as it is at another request to stop.
    pub(super) async fn finish(mut self, end: End, mut ends: Ends, inner: &Inner) -> Result<()> {
        let limit = match &end {
            End::Quiet(deadline, _) => (*deadline).max(Instant::now() + GRACE),
            End::AtOnce | End::AtDeadline => Instant::now() + GRACE,
        };
        let (running, asked) = (self.engine.remaining().handlers, inner.asked.len());
        // What runs is cancelled and given back; whatever it asked for comes too late.
        self.running.clear();
        // What the inbox has taken is written. The transport goes on until that is acknowledged.
        ends.arrivals.close();
        let flushed = tokio::select! {
            biased;
            flushed = self.flush(&mut ends.arrivals) => Some(flushed),
            () = over(limit, &mut ends.stops) => None,
        };
        self.receiving = None;
        let leaving = self.leaving(end, running, asked);
        let stuck = if running > 0 { self.stuck() } else { String::new() };
        match flushed {
            Some(Ok(())) => {
                let mut closing = Box::pin(self.journal.close());
                tokio::select! {
                    biased;
                    () = &mut closing => {}
                    () = over(limit, &mut ends.stops) => {
                        tracing::warn!("the closing of the journal was not waited for any longer: it has all that it was given");
                        drop(leave_behind(closing));
                    }
                }
                leaving.told(&stuck)
            }
            Some(Err(error)) => {
                let_go((self.writing, self.journal)).await;
                Err(match leaving.told(&stuck) {
                    Err(left) => error.context(left.to_string()),
                    Ok(()) => error,
                })
            }
            None => {
                drop(leave_behind((self.writing, self.journal)));
                leaving.told(&stuck)
            }
        }
    }

    /// Ends after the journal has failed.
    pub(super) async fn failed(self, asked: usize) {
        let Remaining { handlers, events, replies, unwritten, .. } = self.engine.remaining();
        let (waiting, outbox) = (events.saturating_sub(handlers), replies + asked);
        tracing::error!(running = handlers, waiting, outbox, unwritten, "stopped: the journal has failed");
        let_go((self.writing, self.journal)).await;
    }

    /// Writes all that the journal has to know.
    ///
    /// # Cancel safety
    ///
    /// What is being written stays in `writing`; whether it is written is open.
    async fn flush(&mut self, arrivals: &mut mpsc::UnboundedReceiver<Arrival>) -> Result<()> {
        while let Ok(arrival) = arrivals.try_recv() {
            let now = self.now();
            self.engine.step(Input::Arrived(arrival), now)?;
        }
        loop {
            // First what is being written: only then is it known what was about to be done.
            if self.writing.is_some() {
                let written = polled(&mut self.writing).await;
                self.writing = None;
                let now = self.now();
                self.engine.step(Input::Written(written?), now)?;
            }
            self.engine.cut_short();
            let Some(batch) = self.engine.last_batch() else { return Ok(()) };
            self.writing = Some(Box::pin(self.journal.write(batch)));
        }
    }

    fn leaving(&self, end: End, running: usize, asked: usize) -> Leaving {
        let (left, is_kept) = (self.engine.remaining(), self.journal.is_kept());
        let waiting = left.events.saturating_sub(running);
        let unsent = left.replies + asked;
        let is_done = left.is_written && running + asked + self.sending == 0;
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

impl Leaving {
    /// Logs what is left; it is an error unless the next start begins with all of it.
    fn told(self, stuck: &str) -> Result<()> {
        let Self { left: Remaining { unwritten, .. }, running, waiting, unsent, .. } = self;
        if let Some(line) = self.goes_on() {
            tracing::info!("stopped: {line}");
        } else {
            tracing::warn!(running, waiting, outbox = unsent, unwritten, "stopped, and not all was done");
        }
        match self.end {
            End::Quiet(_, Err(error)) => Err(error),
            _ if self.goes_on().is_some() => Ok(()),
            _ => Err(self.error(stuck)),
        }
    }

    /// With what the next start goes on, if nothing is lost and nothing cut short.
    fn goes_on(&self) -> Option<String> {
        let (events, replies) = (count(self.waiting, "event"), count(self.unsent, "reply"));
        match (self.waiting, self.unsent) {
            _ if !self.is_safe => None,
            _ if !self.left.is_loaded => {
                Some(format!("the next start goes on with {events}, {replies} and what was not read yet"))
            }
            (0, 0) => Some("nothing is left".to_owned()),
            _ => Some(format!("the next start goes on with {events} and {replies}")),
        }
    }

    fn error(&self, stuck: &str) -> Error {
        let how = match self.end {
            End::Quiet(..) => "stopped",
            End::AtOnce => "stopped at once",
            End::AtDeadline => "stopped at the deadline",
        };
        let error = Error::new(format!(
            "{how}: {}, {}, {}{}{stuck}",
            were(self.running, "handler", "still running"),
            were(self.waiting, "event", "waiting"),
            were(self.unsent, "reply", "not sent"),
            self.becomes(),
        ));
        match self.end {
            _ if self.is_kept && !self.left.is_written => {
                error.with_hint("look after the disk of the journal, and for a program that keeps it locked")
            }
            End::AtDeadline => {
                error.with_hint("raise `EVENKEEL_DRAIN_SECONDS` if the handlers need longer to finish")
            }
            // Whoever asked twice did not want to wait.
            _ => error,
        }
    }

    /// What becomes of that.
    fn becomes(&self) -> String {
        match self.left.unwritten {
            _ if !self.is_kept => "; the journal keeps nothing, so all of that is lost".to_owned(),
            _ if self.left.is_written => "; the journal has it, and the next start takes it up".to_owned(),
            0 => "; the journal did not answer: the next start takes up what it has, and may do things again"
                .to_owned(),
            unwritten => format!(
                "; the journal did not answer: {}, and the next start takes up what it has",
                were(unwritten, "event", "not certain to be in it, and may be lost")
            ),
        }
    }
}

/// Waits for the limit or another request to stop.
async fn over(limit: Instant, stops: &mut mpsc::Receiver<()>) {
    tokio::select! {
        () = sleep_until(limit) => {}
        Some(()) = stops.recv() => {}
    }
}

/// Drops a journal, or what holds one, and waits for the end of that no longer than [`GRACE`].
pub(in crate::serve) async fn let_go(journal: impl Send + 'static) {
    // What is left behind has no more to say.
    let _ended = timeout(GRACE, leave_behind(journal)).await;
}

/// Drops a journal, or what holds one, on a thread of its own: to drop one may mean to wait for a disk. The thread ends
/// with that, or with the process. The answer fails once the journal is gone.
fn leave_behind(journal: impl Send + 'static) -> oneshot::Receiver<()> {
    let (gone, is_gone) = oneshot::channel::<()>();
    let runtime = Handle::current();
    // Without a thread, it is dropped here.
    let _thread = std::thread::Builder::new().name("evenkeel-left".to_owned()).spawn(move || {
        let _inside = runtime.enter();
        drop(journal);
        drop(gone);
    });
    is_gone
}

/// `1 event was waiting`, `2 events were waiting`.
fn were(number: usize, thing: &str, what: &str) -> String {
    let verb = if number == 1 { "was" } else { "were" };
    format!("{} {verb} {what}", count(number, thing))
}

/// `1 reply`, `2 replies`.
fn count(number: usize, thing: &str) -> String {
    match (number, thing.strip_suffix('y')) {
        (1, _) => format!("1 {thing}"),
        (_, Some(stem)) => format!("{number} {stem}ies"),
        (_, None) => format!("{number} {thing}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bot that was told to stop twice, with this left and all of it written.
    fn leaving(waiting: usize, unsent: usize) -> Leaving {
        let left = Remaining { is_written: true, is_loaded: true, ..Remaining::default() };
        Leaving { end: End::AtOnce, left, running: 0, waiting, unsent, is_safe: true, is_kept: true }
    }

    #[test]
    fn what_the_next_start_goes_on_with_is_said_and_is_no_failure() {
        let lines = [(0, 0), (1, 2), (0, 1)].map(|(waiting, unsent)| leaving(waiting, unsent).goes_on());
        let lines = lines.map(|line| line.expect("all of it is safe"));
        assert_eq!(lines[0], "nothing is left");
        assert_eq!(lines[1], "the next start goes on with 1 event and 2 replies");
        assert_eq!(lines[2], "the next start goes on with 0 events and 1 reply");
        assert_eq!(Leaving { is_safe: false, ..leaving(1, 2) }.goes_on(), None);
        leaving(1, 2).told("").expect("nothing is lost");
        let mut unread = leaving(1, 2);
        unread.left.is_loaded = false;
        let line = "the next start goes on with 1 event, 2 replies and what was not read yet";
        assert_eq!(unread.goes_on().as_deref(), Some(line));
    }
}
