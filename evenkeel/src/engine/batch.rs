//! Entries on their way to the journal, each with what follows once it is there.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::delivery::Delivery;
use super::outside::Told;
use crate::error::{Error, Result};
use crate::event::Cursor;
use crate::journal::{Acceptance, Answer, Dead, Entry, Job, Listing, Written};

/// More room than this is given back once a batch is taken.
const KEPT: usize = 1_024;

/// For so long an entry that nobody waits for, and that a power cut may undo, waits for company. A process that is killed in
/// between knows no better what became of a reply than one that is killed a moment earlier.
const COMPANY: Duration = Duration::from_millis(5);

/// What follows once an entry is in the journal.
#[derive(Debug)]
pub(super) enum Continuation {
    Nothing,
    /// Tell the transport, and start the handler or queue the event.
    Accepted {
        told: Option<oneshot::Sender<Acceptance>>,
        lane: Arc<str>,
        begins: bool,
    },
    /// Start the handler of the job, or queue it.
    Fired {
        lane: Arc<str>,
        begins: bool,
    },
    /// Start the handler of this event.
    Start(u64),
    /// Tell the handler of this event, which has waited for somebody, that it goes on.
    GoOn(u64, oneshot::Sender<()>),
    /// Send the reply that the entry holds.
    SendPromised(Box<str>),
    /// Send this reply.
    Send(Box<Delivery>),
    /// Send what was said, or let it wait for its turn, and tell the handle that it is kept.
    Said(oneshot::Sender<Told<Vec<Acceptance>>>),
    /// Tell the handle that its job is kept,
    Planned(oneshot::Sender<Told<bool>>),
    /// or whether there was one to cancel.
    Cancelled(oneshot::Sender<Told<bool>>),
    /// Tell the handler that its step is kept.
    StepKept(oneshot::Sender<()>),
    /// Tell the handler how many others it has ended.
    CancelledOthers(oneshot::Sender<usize>, usize),
    /// Give the handler what was recalled.
    Recalled(oneshot::Sender<Option<Bytes>>),
    /// Take up what an earlier run left.
    Loaded,
    /// Fire what is due.
    JobsDue,
    /// Forget the schedules that are not among these.
    Schedules(Vec<String>),
    /// See which of the jobs have functions that the bot has not.
    JobsLooked,
    JobsListed(oneshot::Sender<Vec<Job>>),
    JobCancelled(oneshot::Sender<bool>),
    /// What the operator is told is read by anyone who waits for it.
    JobsRead(oneshot::Sender<Listing<Vec<Job>>>),
    DeadListed(oneshot::Sender<Listing<Vec<Dead>>>),
    DeadCounted(oneshot::Sender<Listing<u64>>),
    /// Take up what was replayed, and tell the operator if it was one who asked.
    Replayed(Option<oneshot::Sender<u64>>),
    Discarded(oneshot::Sender<u64>),
}

impl Continuation {
    /// Whether a bot that stops may leave it to the next start: the end of something is being written, or an event that has come
    /// in or is loaded, or what a handle has said, or all jobs are looked through.
    fn can_be_left(&self) -> bool {
        matches!(
            self,
            Self::Accepted { .. }
                | Self::Loaded
                | Self::JobsLooked
                | Self::Nothing
                | Self::Said(_)
                | Self::Planned(_)
                | Self::Cancelled(_)
        )
    }
}

/// See the module. One batch is written while the next one fills.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// What fills until the batch before is written.
    next: Vec<(Entry, Continuation)>,
    /// What follows the entries that are being written, in their order; `None` while none are.
    writing: Option<Vec<Continuation>>,
    /// Whether somebody waits for one of those that fill.
    is_awaited: bool,
    /// Since when nobody does, though there are some.
    alone_since: Option<Duration>,
    /// How far sources have been read, each with what comes in with it: the end of the next batch. There are few sources.
    cursors: Vec<Cursor>,
}

impl Batch {
    pub(super) fn append(&mut self, entry: Entry, continuation: Continuation) {
        self.is_awaited |= !entry.is_lazy() || !matches!(continuation, Continuation::Nothing);
        self.next.push((entry, continuation));
    }

    /// A source has been read so far with what was appended before: the last position is written at the end of the batch, so that it
    /// is in no commit without the events before it.
    pub(super) fn advance_to(&mut self, cursor: Cursor) {
        match self.cursors.iter_mut().find(|known| known.source() == cursor.source()) {
            Some(known) => *known = cursor,
            None => self.cursors.push(cursor),
        }
    }

    /// The entries to write, if there are any and none are being written. Those that nobody waits for are let wait a while.
    pub(super) fn take(&mut self, now: Duration) -> Option<Vec<Entry>> {
        if self.is_empty() || self.writing.is_some() {
            return None;
        }
        if !self.is_awaited && now < *self.alone_since.get_or_insert(now) + COMPANY {
            return None;
        }
        self.take_at_once()
    }

    /// When those that nobody waits for have waited long enough.
    pub(super) fn next_look(&self) -> Option<Duration> {
        self.alone_since.filter(|_| self.writing.is_none()).map(|since| since + COMPANY)
    }

    /// The entries to write, if there are any and none are being written, no matter who waits for them.
    pub(super) fn take_at_once(&mut self) -> Option<Vec<Entry>> {
        if self.is_empty() || self.writing.is_some() {
            return None;
        }
        (self.is_awaited, self.alone_since) = (false, None);
        for cursor in self.cursors.drain(..) {
            let (source, position) = cursor.into_parts();
            self.next.push((Entry::Cursor { source, position }, Continuation::Nothing));
        }
        let (entries, continuations) = self.next.drain(..).unzip();
        self.next.shrink_to(KEPT);
        self.writing = Some(continuations);
        Some(entries)
    }

    /// The entries that were taken, each with its answer and with what follows.
    ///
    /// # Errors
    ///
    /// When these are not as many as were taken.
    pub(super) fn written(
        &mut self,
        Written(written): Written,
    ) -> Result<impl Iterator<Item = (Continuation, Entry, Answer)> + use<>> {
        let continuations = self.writing.take().unwrap_or_default();
        if continuations.len() != written.len() {
            return Err(wrong_answer());
        }
        // By their places, since what follows is nothing for a journal to carry, and it hands the entries back in their order.
        Ok(continuations.into_iter().zip(written).map(|(then, (entry, answer))| (then, entry, answer)))
    }

    /// Whether the journal has answered all that it was told, and was told all.
    pub(super) fn is_written(&self) -> bool {
        self.is_empty() && self.writing.is_none()
    }

    /// Whether a bot that stops need not wait for what follows.
    pub(super) fn can_be_left(&self) -> bool {
        self.continuations().all(Continuation::can_be_left)
    }

    /// Events of which the journal has not said that it has them.
    pub(super) fn unwritten_events(&self) -> usize {
        self.continuations().filter(|then| matches!(then, Continuation::Accepted { .. })).count()
    }

    fn is_empty(&self) -> bool {
        self.next.is_empty() && self.cursors.is_empty()
    }

    fn continuations(&self) -> impl Iterator<Item = &Continuation> {
        self.writing.iter().flatten().chain(self.next.iter().map(|(_, continuation)| continuation))
    }
}

/// The journal breaks its contract: nothing that it says can be relied on.
pub(super) fn wrong_answer() -> Error {
    Error::new("the journal answered something else than it was asked")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{EventEntry, ReplyEntry};
    use crate::reply::SendKey;

    fn taken(count: u64) -> (Batch, Vec<Entry>) {
        let mut batch = Batch::default();
        (0..count).for_each(|sequence| {
            batch.append(Entry::Event(sequence, EventEntry::Done), Continuation::Start(sequence));
        });
        let entries = batch.take(Duration::ZERO).expect("there is something to write");
        (batch, entries)
    }

    #[test]
    fn each_entry_comes_back_with_its_own_answer_and_what_follows() {
        let (mut batch, entries) = taken(3);
        let answered = entries.into_iter().zip((0..3).map(Answer::Count)).collect();
        let written = batch.written(Written(answered)).expect("as many as were taken");
        let together = written.map(|one| match one {
            (Continuation::Start(then), Entry::Event(sequence, EventEntry::Done), Answer::Count(count)) => {
                (then, sequence, count)
            }
            other => panic!("{other:?}"),
        });
        assert_eq!(together.collect::<Vec<_>>(), [(0, 0, 0), (1, 1, 1), (2, 2, 2)]);
        assert!(batch.is_written());
    }

    #[test]
    fn an_answer_too_many_or_too_few_is_an_error() {
        for count in [1, 3] {
            let (mut batch, _entries) = taken(2);
            let answered = |sequence| (Entry::Event(sequence, EventEntry::Done), Answer::Noted);
            let written = Written((0..count).map(answered).collect());
            assert!(batch.written(written).is_err(), "{count} answers to two entries");
        }
        let written = Written(vec![(Entry::Event(1, EventEntry::Done), Answer::Noted)]);
        assert!(Batch::default().written(written).is_err(), "nothing was asked");
    }

    #[test]
    fn one_batch_is_written_while_the_next_one_fills() {
        let (mut batch, _entries) = taken(1);
        batch.append(Entry::Event(7, EventEntry::Done), Continuation::Nothing);
        assert!(batch.take(Duration::ZERO).is_none() && !batch.is_written());
    }

    #[test]
    fn what_nobody_waits_for_waits_a_moment_for_company() {
        let sent = || Entry::Reply(SendKey { sequence: 1, index: 0 }, ReplyEntry::Sent { id: None });
        let (mut batch, start) = (Batch::default(), Duration::from_secs(9));
        batch.append(sent(), Continuation::Nothing);
        assert!(batch.take(start).is_none());
        assert_eq!(batch.next_look(), Some(start + COMPANY));
        assert!(batch.take(start + COMPANY / 2).is_none());
        assert_eq!(batch.take(start + COMPANY).expect("it has waited").len(), 1);
        let written = Written(vec![(sent(), Answer::Noted)]);
        assert_eq!(batch.written(written).expect("as many as were taken").count(), 1);

        batch.append(sent(), Continuation::Nothing);
        assert!(batch.take(start).is_none());
        batch.append(Entry::Event(2, EventEntry::Done), Continuation::Nothing);
        assert_eq!(batch.take(start).expect("company has come").len(), 2);
        assert_eq!(batch.next_look(), None);
    }
}
