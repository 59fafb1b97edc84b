//! How a bot has ended, and what it says of what it leaves behind.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use crate::engine::Remaining;
use crate::error::{Error, Result};

/// How long a journal may take for the last batch once the time of the bot is over; one that works needs milliseconds.
pub(super) const GRACE: Duration = Duration::from_secs(1);

/// How a bot came to its end.
pub(super) enum End {
    /// Nothing is left to do before the deadline. The result is the transport's.
    Quiet(Instant, Result<()>),
    /// A second request to stop.
    AtOnce,
    AtDeadline,
}

/// What a bot leaves behind.
pub(super) struct Leaving {
    pub(super) end: End,
    pub(super) left: Remaining,
    /// Handlers that were cut short.
    pub(super) running: usize,
    /// Events that wait, without those of these handlers.
    pub(super) waiting: usize,
    /// Replies that are not sent, with those on their way.
    pub(super) unsent: usize,
    /// Whether the next start begins with all of it, and repeats nothing.
    pub(super) is_safe: bool,
    pub(super) is_kept: bool,
}

impl Leaving {
    /// Logs what is left; it is an error unless the next start begins with all of it.
    pub(super) fn told(self, stuck: &str) -> Result<()> {
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
            // Anyone who asked twice did not want to wait.
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
pub(super) async fn over(limit: Instant, stops: &mut mpsc::Receiver<()>) {
    tokio::select! {
        () = sleep_until(limit) => {}
        Some(()) = stops.recv() => {}
    }
}

/// Drops a journal, or what holds one, and waits for the end of that no longer than [`GRACE`].
pub(super) async fn let_go(journal: impl Send + 'static) {
    // What is left behind has no more to say.
    let _ended = timeout(GRACE, leave_behind(journal)).await;
}

/// Drops a journal, or what holds one, on a thread of its own: to drop one may mean to wait for a disk. The thread ends
/// with that, or with the process. The answer fails once the journal is gone.
pub(super) fn leave_behind(journal: impl Send + 'static) -> oneshot::Receiver<()> {
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
