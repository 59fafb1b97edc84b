//! The way in: from a transport to the journal.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Extensions;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::backlog::{Backlog, Limits, Why};
use super::cursors::{Cursors, Passage};
use crate::error::Result;
use crate::event::{Arriving, Cursor, Deadline, Event, ReplyToken};
use crate::journal::{Acceptance, TRANSPORT};
use crate::reserved;
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
    cursors: Arc<Cursors>,
    /// To the wire, which holds the other end as long as `serve` does; `None` without a bot.
    due: Option<mpsc::UnboundedSender<Due>>,
    /// The network's name in the record; empty for the primary one.
    network: Arc<str>,
}

/// An answer that the network wants in time.
#[derive(Debug)]
pub(crate) struct Due {
    /// The network's name in the record.
    pub(crate) network: Arc<str>,
    pub(crate) token: ReplyToken,
    /// When to say that the bot works on it.
    pub(crate) at: Instant,
    /// After this the network takes no answer that was not announced.
    pub(crate) give_up: Instant,
    /// The command that is asked for, as the network spells it.
    pub(crate) command: Box<str>,
}

/// What is between the transport and the journal.
#[derive(Debug)]
pub(crate) enum Arrival {
    Event {
        event: Event,
        /// Told once the journal has it; the transport may be waiting in [`Inbox::accept`].
        accepted: Option<oneshot::Sender<Acceptance>>,
        /// How far its source has been read with it.
        cursor: Option<Box<Cursor>>,
    },
    /// How far a source has been read, without an event.
    Passed(Cursor),
    /// A value for the next start, of the transport's or of the bot's own; `None` forgets it.
    Kept { scope: &'static str, name: String, value: Option<Bytes> },
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
    cursors: BTreeMap<String, Bytes>,
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
            let (event, accepted, cursor) = match self.arrivals.recv().await? {
                Arrival::Event { event, accepted, cursor } => (event, accepted, cursor),
                Arrival::Passed(cursor) => {
                    self.advance_to(cursor);
                    continue;
                }
                Arrival::Kept { name, value, .. } => {
                    match value {
                        Some(value) => drop(self.kept.insert(name, value)),
                        None => drop(self.kept.remove(&name)),
                    }
                    continue;
                }
            };
            self.backlog.release(&event);
            self.count += 1;
            if let Some(cursor) = cursor {
                self.advance_to(*cursor);
            }
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

    /// How far each source had been read with the last event that came out of [`next`](Self::next), by name.
    pub fn cursors(&self) -> Vec<(String, Bytes)> {
        self.cursors.iter().map(|(source, position)| (source.clone(), position.clone())).collect()
    }

    fn advance_to(&mut self, cursor: Cursor) {
        let (source, position) = cursor.into_parts();
        self.cursors.insert(source.to_string(), position);
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
        let (kept, cursors) = (BTreeMap::new(), BTreeMap::new());
        let collected = Collected { arrivals, backlog, count: 0, kept, cursors };
        (inbox, collected)
    }

    pub(crate) fn new(
        backlog: Arc<Backlog>,
        handles: Extensions,
    ) -> (Self, mpsc::UnboundedReceiver<Arrival>) {
        // Unbounded in entries: events are bounded in bytes by the backlog, and what is kept by the transport's own names.
        let (arrivals, receiver) = mpsc::unbounded_channel();
        let (handles, kept, cursors) = (Arc::new(handles), Arc::default(), Arc::default());
        let network = Arc::from("");
        (Self { arrivals, backlog, handles, kept, cursors, due: None, network }, receiver)
    }

    /// That of the network of this name in the record, which comes before [`Self::with_kept`] and [`Self::with_cursors`].
    pub(crate) fn with_network(mut self, network: Arc<str>) -> Self {
        self.network = network;
        self
    }

    /// The inbox of a later start, for testing a transport that [keeps](Self::keep) something.
    #[must_use]
    pub fn with_kept(mut self, kept: Vec<(String, Bytes)>) -> Self {
        let own = |(name, value): (String, Bytes)| {
            reserved::name_on(&self.network, &name).map(|name| (name.to_owned(), value))
        };
        self.kept = kept.into_iter().filter_map(own).collect();
        self
    }

    /// The inbox of a later start, for testing a transport that has [cursors](Self::cursor).
    #[must_use]
    pub fn with_cursors(mut self, cursors: Vec<(String, Bytes)>) -> Self {
        self.cursors = Arc::new(Cursors::new(&self.network, cursors));
        self
    }

    /// Says who sees to it that the network has answers in time.
    pub(crate) fn with_due(mut self, due: mpsc::UnboundedSender<Due>) -> Self {
        self.due = Some(due);
        self
    }

    /// How far a transport has read its one source: with the last event that was taken, in this run or an earlier one, before which
    /// none is missing. `None` where it has never said so. A reader begins there, also after a broken connection: what it reads once
    /// more for that, the journal knows.
    pub fn cursor(&self) -> Option<Bytes> {
        self.cursor_of("")
    }

    /// The same of one of several sources.
    pub fn cursor_of(&self, source: &str) -> Option<Bytes> {
        self.cursors.position(source)
    }

    /// Says how far a source has been read, where that has brought no event. It is kept with all that was handed over before.
    pub fn advance(&self, cursor: Cursor) {
        self.cursors.pass(cursor, None, |kept| {
            if let Some(kept) = kept {
                // A bot that has stopped reads on at its next start.
                let _ = self.arrivals.send(Arrival::Passed(kept));
            }
            ((), Passage::Through)
        });
    }

    /// Keeps a small value of the transport's own for its next starts, in place of an earlier one of this name: who is who on
    /// the network, for example. `None` forgets it.
    ///
    /// It is written before the events that are handed over after it, and it is gone with a journal in memory. Nobody waits
    /// for it, and nothing bounds it but the transport: use a bounded number of names.
    pub fn keep(&self, name: impl Into<String>, value: Option<Bytes>) {
        let name = reserved::on(&self.network, &name.into());
        self.keep_in(TRANSPORT, name, value);
    }

    /// Keeps a small value of the bot's own that has to do with this network.
    pub(crate) fn keep_in(&self, scope: &'static str, name: String, value: Option<Bytes>) {
        // A bot that has stopped keeps nothing more.
        let _ = self.arrivals.send(Arrival::Kept { scope, name, value });
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

    fn take(&self, mut event: Event, accepted: Option<oneshot::Sender<Acceptance>>) -> Result<(), Refused> {
        if !self.network.is_empty() {
            event = event.on_network(&self.network);
        }
        let Some(arriving) = event.take_arriving() else {
            return self.hand_over(event, accepted, Arriving::default());
        };
        let Arriving { cursor, deadline } = *arriving;
        let Some(cursor) = cursor else {
            return self.hand_over(event, accepted, Arriving { cursor, deadline });
        };
        let id = event.shared_id();
        self.cursors.pass(cursor, Some(&id), |kept| {
            let taken = self.hand_over(event, accepted, Arriving { cursor: kept.clone(), deadline });
            match (&taken, kept) {
                (Ok(()), _) => (taken, Passage::Through),
                // It will never be taken: what comes after it need not wait for it.
                (Err(refused), kept) if refused.is_too_large() => {
                    kept.map(|kept| self.arrivals.send(Arrival::Passed(kept)));
                    (taken, Passage::Through)
                }
                (Err(_), _) => (taken, Passage::Refused),
            }
        })
    }

    /// Before the event is handed over, so that no answer to it comes first.
    fn expect(&self, deadline: &Deadline, token: ReplyToken) {
        let Some(due) = &self.due else { return };
        let now = Instant::now();
        let (at, give_up) = (deadline.defer_after(), deadline.time());
        // A moment that no clock can name never comes.
        let Some((at, give_up)) = now.checked_add(at).zip(now.checked_add(give_up)) else { return };
        // A wire that is gone tells the network nothing more.
        let (network, command) = (Arc::clone(&self.network), deadline.command().into());
        let _ = due.send(Due { network, token, at, give_up, command });
    }

    fn hand_over(
        &self,
        event: Event,
        accepted: Option<oneshot::Sender<Acceptance>>,
        Arriving { cursor, deadline }: Arriving,
    ) -> Result<(), Refused> {
        self.backlog.take(&event).map_err(|why| {
            self.backlog.refuse(why, &event);
            Refused(why)
        })?;
        if let Some((deadline, token)) = deadline.zip(event.token()) {
            self.expect(&deadline, token.clone());
        }
        let arrival = Arrival::Event { event, accepted, cursor: cursor.map(Box::new) };
        self.arrivals.send(arrival).map_err(|mpsc::error::SendError(arrival)| {
            if let Arrival::Event { event, .. } = &arrival {
                self.backlog.take_back(event);
                self.backlog.refuse(Why::Stopping, event);
            }
            Refused(Why::Stopping)
        })
    }
}
