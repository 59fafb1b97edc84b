//! The record of events, replies and jobs: what was accepted is answered or accounted for.
//!
//! A journal is told what happened as a list of [`Entry`] and answers each with an [`Answer`]. When an event is tried again,
//! given up or done is decided in `engine`, by state machines that do no I/O. What that means for what is kept is decided in
//! `rules`, once, for the running bot and for commands beside it. A [`store`](store::Store) decides nothing: it keeps rows.
//!
//! ```text
//! entries -> Record (rules) -> changes, intake -> Store (memory, a file, one of your own)
//! ```

pub(crate) mod owner;
mod left;
mod listing;
mod id;
mod body;
mod content;
mod given_up;
mod bare;
mod planned;
mod row;
mod effect;
mod entry;
mod rules;
pub mod store;
mod record;
mod whole;
mod owned;
pub mod memory;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(feature = "conformance")]
pub mod conformance;
mod default;

use std::borrow::Cow;
use std::future::Future;

use bytes::Bytes;

use crate::error::Result;
use crate::guarantee::Durability;
use crate::reserved;
use crate::schedule::LONGEST_WAIT;

pub use bare::BareDead;
pub use default::{DefaultJournal, Place};
pub use entry::{Acceptance, Answer, Entry, EventEntry, OperatorEntry, Query, ReplyEntry, Said};
pub use given_up::{Dead, DeadFilter, DeadId, Reason, Replayed};
pub use left::{CompletedEffect, Page, PendingEvent, PendingReply};
pub use listing::Listing;
pub use owned::StoreJournal;
pub use planned::{Job, NewJob};
pub use record::{Outcome, Record};

/// A record of what was accepted, what was promised, and what was kept.
///
/// `serve` hands it one batch at a time and collects the next while it is being written, so that a journal that syncs
/// to disk commits in groups without knowing it.
pub trait Journal: Send + 'static {
    /// A batch being written. Dropping it leaves open whether it was.
    type Writing: Future<Output = Result<Written>> + Send + 'static;

    /// What an earlier run left unfinished, all of it. Called once, before anything else.
    ///
    /// # Errors
    ///
    /// When the record cannot be read; the bot does not start.
    fn recover(&mut self) -> impl Future<Output = Result<Recovered>> + Send;

    /// The same for a bot that begins before all of it is read, and never has all of it in memory: answers what has to be known
    /// first, which is all parked events. [`Recovered::has_more`] says that [`Query::Load`] answers the rest, page by page and by
    /// number. Called in place of [`Journal::recover`]; a journal that keeps little need not have it, and answers all at once.
    ///
    /// # Errors
    ///
    /// As [`Journal::recover`].
    fn recover_in_pages(&mut self) -> impl Future<Output = Result<Recovered>> + Send {
        self.recover()
    }

    /// Writes the entries in one transaction, in order, and hands them back with an answer to each. An entry may name an
    /// event whose number an earlier batch was answered with. A [`Query`] is answered when all else is written,
    /// or later, by a [`Listing`] that is read once it is awaited; each [`OperatorEntry`] is a transaction of its own.
    ///
    /// It returns once the batch is as durable as its entries ask for ([`Entry::is_lazy`]); until then nothing of it
    /// is promised to anybody.
    ///
    /// # Errors
    ///
    /// When nothing of the batch is certain to be kept, and trying again has not helped; the bot stops.
    fn write(&mut self, batch: Vec<Entry>) -> Self::Writing;

    /// Whether the record outlives the process, so that a bot that stops may leave work to the next start.
    fn is_kept(&self) -> bool {
        true
    }

    /// Whether a batch costs something beside what is in it, such as a sync, so that one fewer is worth some milliseconds to what nobody
    /// waits for.
    fn gathers(&self) -> bool {
        self.is_kept()
    }

    /// Whether anyone who asks does the work: the futures are ready at once, and a disk is waited for before that. A bot gives such a
    /// journal a thread, together with the engine; it never waits for one on a thread with anything else to do.
    fn blocks(&self) -> bool {
        false
    }

    /// Does a little of what can wait; whether there is more of it. A bot calls it while there is nothing to write, of a journal
    /// that [blocks](Self::blocks).
    fn tidy(&mut self) -> bool {
        false
    }

    /// What makes a journal give up that waits for better times, such as room on its disk: called when a bot ends that does not want
    /// to wait any longer.
    fn interrupt(&self) -> Interrupt {
        Box::new(|| {})
    }

    /// Whether another process may put something into the record, so that [`OperatorEntry::Adopt`] is worth asking.
    fn is_shared(&self) -> bool {
        false
    }

    /// What it keeps, and how, for the table of [`Guarantees`](crate::guarantee::Guarantees). Say no more than what holds:
    /// unless told, it is taken for one in memory that knows no event again.
    fn durability(&self) -> Durability {
        Durability::memory(0)
    }

    /// Puts the record in order for the next start, after the last batch was answered. The bot waits for it, but at most for the
    /// rest of its drain and a second, and not beyond another request to stop: then the future is dropped on a thread of its own.
    fn close(self) -> impl Future<Output = ()> + Send
    where
        Self: Sized,
    {
        async {}
    }
}

/// Makes a journal give up, from any thread.
pub type Interrupt = Box<dyn Fn() + Send>;

/// A batch that was written: its entries in their order, handed back so that nothing needs copying, each with its answer.
#[derive(Debug)]
pub struct Written(pub Vec<(Entry, Answer)>);

impl Written {
    /// The answers alone, in the order of the entries.
    pub fn into_answers(self) -> Vec<Answer> {
        self.0.into_iter().map(|(_, answer)| answer).collect()
    }
}

/// What an earlier run left unfinished.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Recovered {
    /// Events that were accepted and not done, by number.
    pub events: Vec<PendingEvent>,
    /// Replies that were promised and not sent, by key.
    pub replies: Vec<PendingReply>,
    /// When the next job is due, in milliseconds since 1970; `None` without jobs.
    pub next_job_ms: Option<u64>,
    /// The latest time that this record has seen, in milliseconds since 1970: a clock behind it was set back. A time that is
    /// told later and lies before it by more than [`LONGEST_WAIT`] takes its place: it was wrong.
    pub latest_ms: u64,
    /// The values of [`TRANSPORT`], by name.
    pub kept: Vec<(String, Bytes)>,
    /// How far each source has been read, by its name: as the last [`Entry::Cursor`] of it said.
    pub cursors: Vec<(String, Bytes)>,
    /// Whether there is more, which [`Query::Load`] asks for.
    pub has_more: bool,
}

/// The conversation in which a transport keeps what it wants to have again at its next start. No network has one of this name.
pub const TRANSPORT: &str = reserved::TRANSPORT;

/// A name in a record as people read it: those of our own begin with a mark that nobody can type. `schedule my_bot::sweep` is
/// the job that is a schedule of the router's, `discord:42` the conversation `42` of a network beside the primary one.
pub fn title(name: &str) -> Cow<'_, str> {
    reserved::shown(name)
}

/// The names in a record that people read as this [title]: of `discord:42`, a conversation with this id on the primary network, and the
/// conversation `42` on the network `discord`. More than one of them may be there.
pub fn titled(title: &str) -> Vec<String> {
    reserved::titled(title)
}

/// Whether a job of this name is a schedule of the router's, which each start of the bot plans again.
pub fn is_schedule(job: &str) -> bool {
    reserved::is_schedule(job)
}

/// The latest time in a record once it has heard of this one.
pub(crate) fn latest(known_ms: u64, now_ms: u64) -> u64 {
    let wait_ms = LONGEST_WAIT.as_secs() * 1_000;
    if now_ms.saturating_add(wait_ms) < known_ms { now_ms } else { known_ms.max(now_ms) }
}
