//! The way in: from a transport to the journal.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Extensions;
use tokio::sync::{mpsc, oneshot};

use super::backlog::{Backlog, Limits, Why};
use crate::error::Result;
use crate::event::Event;
use crate::journal::Acceptance;
use crate::status::Gaps;

/// Where a transport puts what it read. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Inbox {
    /// `serve` holds the other end, and drops it once the bot stops receiving.
    arrivals: mpsc::UnboundedSender<Arrival>,
    backlog: Arc<Backlog>,
    /// By which the bot may be watched and told something.
    handles: Arc<Extensions>,
    /// What earlier runs kept.
    kept: Arc<[(String, Bytes)]>,
}

/// What is between the transport and the journal.
#[derive(Debug)]
pub(crate) enum Arrival {
    Event {
        event: Event,
        /// Told once the journal has it; the transport may be waiting in [`Inbox::accept`].
        accepted: Option<oneshot::Sender<Acceptance>>,
    },
    /// A value for the next start; `None` forgets it.
    Kept { name: String, value: Option<Bytes> },
}

/// The event was not taken: the bot is stopping, too many events are waiting, or too many of this conversation or person.
#[derive(Debug)]
pub struct Refused(Why);

impl Refused {
    /// Whether it is no use to offer the event again: it is larger than an event may be.
    pub fn is_too_large(&self) -> bool {
        self.0 == Why::TooLarge
    }

    /// Whether others may still be taken: only the conversation of this event, or its sender, has too many waiting.
    pub fn is_of_one(&self) -> bool {
        self.0 == Why::Share
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            Why::Stopping | Why::Full => "the bot takes no more events",
            Why::Share => "the bot takes no more events of this conversation or person for now",
            Why::TooLarge => "the event is too large",
        })
    }
}

impl std::error::Error for Refused {}

/// The other end of an inbox without a bot: see [`Inbox::collecting`].
#[derive(Debug)]
pub struct Collected {
    arrivals: mpsc::UnboundedReceiver<Arrival>,
    backlog: Arc<Backlog>,
    count: u64,
    kept: BTreeMap<String, Bytes>,
}

impl Collected {
    /// Waits for the next event; `None` once every clone of the inbox is gone. An event that
    /// [`accept`](Inbox::accept) waits for counts as new and is accepted here.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: an event is either returned or still there.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            let (event, accepted) = match self.arrivals.recv().await? {
                Arrival::Event { event, accepted } => (event, accepted),
                Arrival::Kept { name, value } => {
                    match value {
                        Some(value) => drop(self.kept.insert(name, value)),
                        None => drop(self.kept.remove(&name)),
                    }
                    continue;
                }
            };
            self.backlog.release(&event);
            self.count += 1;
            if let Some(accepted) = accepted {
                // The transport may have stopped waiting; the event came all the same.
                let _ = accepted.send(Acceptance::New(self.count));
            }
            return Some(event);
        }
    }

    /// What the transport has kept before the last event that came out of [`next`](Self::next), by name.
    pub fn kept(&self) -> Vec<(String, Bytes)> {
        self.kept.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// How many things arrived that could not be understood.
    pub fn undeliverable(&self) -> u64 {
        self.backlog.undeliverable()
    }

    /// The times in which nobody read.
    pub fn gaps(&self) -> Gaps {
        self.backlog.gaps()
    }
}

impl Inbox {
    /// An inbox without a bot behind it, for testing a transport: what is pushed comes out of the other end.
    ///
    /// It holds at most 64 MiB, and has no [`handle`](Self::handle).
    pub fn collecting() -> (Self, Collected) {
        const ALL: usize = 64 << 20;
        let backlog = Arc::new(Backlog::new(Limits::new(ALL, Some(ALL), Some(ALL))));
        let (inbox, arrivals) = Self::new(Arc::clone(&backlog), Extensions::new());
        let collected = Collected { arrivals, backlog, count: 0, kept: BTreeMap::new() };
        (inbox, collected)
    }

    pub(crate) fn new(
        backlog: Arc<Backlog>,
        handles: Extensions,
    ) -> (Self, mpsc::UnboundedReceiver<Arrival>) {
        // Unbounded in entries: events are bounded in bytes by the backlog, and what is kept by the transport's own names.
        let (arrivals, receiver) = mpsc::unbounded_channel();
        (Self { arrivals, backlog, handles: Arc::new(handles), kept: Arc::default() }, receiver)
    }

    /// The inbox of a later start, for testing a transport that [keeps](Self::keep) something.
    #[must_use]
    pub fn with_kept(mut self, kept: Vec<(String, Bytes)>) -> Self {
        self.kept = kept.into();
        self
    }

    /// Keeps a small value of the transport's own for its next starts, in place of an earlier one of this name: who is who on
    /// the network, for example. `None` forgets it.
    ///
    /// It is written before the events that are handed over after it, and it is gone with a journal in memory. Nobody waits
    /// for it, and nothing bounds it but the transport: use a bounded number of names.
    pub fn keep(&self, name: impl Into<String>, value: Option<Bytes>) {
        // A bot that has stopped keeps nothing more.
        let _ = self.arrivals.send(Arrival::Kept { name: name.into(), value });
    }

    /// What earlier runs kept, by name, as it was when this one started.
    pub fn kept(&self) -> &[(String, Bytes)] {
        &self.kept
    }

    /// Hands an event over without waiting, for sources that cannot be paused and take no acknowledgement.
    ///
    /// A full inbox refuses the event, counts it and logs it: that happens only when more is waiting than the bot may
    /// keep in memory, in all or of this conversation or person.
    ///
    /// # Errors
    ///
    /// [`Refused`] when the inbox is full, when the event is too large, or when the bot is stopping.
    pub fn push(&self, event: Event) -> Result<(), Refused> {
        self.take(event, None)
    }

    /// Hands an event over and waits until the journal has it: only then may the source forget it.
    ///
    /// # Errors
    ///
    /// [`Refused`] when the inbox is full, for all or for this conversation or person, or the bot is stopping; the source
    /// should offer the event again later, unless it [is too large](Refused::is_too_large).
    ///
    /// # Cancel safety
    ///
    /// The event stays handed over when the future is dropped; only the answer is lost.
    pub async fn accept(&self, event: Event) -> Result<Acceptance, Refused> {
        let (accepted, answer) = oneshot::channel();
        self.take(event, Some(accepted))?;
        answer.await.map_err(|_| Refused(Why::Stopping))
    }

    /// What the bot behind this inbox offers to a transport that shows it: its [`Status`](crate::status::Status), its
    /// [`DeadLetters`](crate::operator::DeadLetters) and its [`Jobs`](crate::operator::Jobs). `None` for any other type, and without
    /// a bot.
    pub fn handle<Handle: Send + Sync + 'static>(&self) -> Option<&Handle> {
        self.handles.get()
    }

    /// Counts and logs something that arrived but could not be understood; `why` must not quote it.
    pub fn undeliverable(&self, why: &str) {
        let count = self.backlog.undelivered();
        // Powers of two: a hostile or broken source must not fill the disk with log lines.
        if count.is_power_of_two() {
            tracing::warn!(count, why, "something arrived that could not be understood");
        }
    }

    /// Counts a time in which nobody read, for networks that lose what nobody reads.
    pub fn gap(&self, gap: Duration) {
        self.backlog.gap(gap);
    }

    fn take(&self, event: Event, accepted: Option<oneshot::Sender<Acceptance>>) -> Result<(), Refused> {
        self.backlog.take(&event).map_err(|why| {
            self.backlog.refuse(why, &event);
            Refused(why)
        })?;
        self.arrivals.send(Arrival::Event { event, accepted }).map_err(|mpsc::error::SendError(arrival)| {
            if let Arrival::Event { event, .. } = &arrival {
                self.backlog.take_back(event);
                self.backlog.refuse(Why::Stopping, event);
            }
            Refused(Why::Stopping)
        })
    }
}
