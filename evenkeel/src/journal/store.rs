//! What a store has to do: keep rows, and hand them back. It decides nothing.
//!
//! A store has two doors. *Intake* is open to any process: events, jobs and commands come in by it, and the store gives each
//! its number, or says that it knows it already. *Work* is the owner's: rows put, marked and deleted whole, under the
//! [`Epoch`] in which it owns their partition. One that has lost it is told so, and changes nothing.
//!
//! The feature `conformance` brings these promises as a suite that any store can run, `journal::conformance`.

use std::borrow::Cow;
use std::future::Future;

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::guarantee::Durability;

pub use super::body::Body;
pub use super::effect::{Effect, EffectKind};
pub use super::id::{Epoch, EventId, Partition, ReplyId, Scope};
pub use super::row::{
    Change, DeadRow, Death, Due, EventRow, EventStage, EventState, JobKey, Key, Mark, NewRow, Parts,
    ReplyRow, ReplyStage, ReplyState, Row,
};
use super::{Dead, DeadFilter, DeadId, Job};

/// Something that comes in, to any partition.
#[derive(Debug, Clone)]
pub struct Intake<'a> {
    /// The conversation that it belongs to, by id; empty for none. It lives in the partition of this one: a reply or a job in that of
    /// its destination, whose owner sends or starts it, and a command in that of no conversation, whose owner executes it.
    pub conversation: Cow<'a, str>,
    /// By what an event or a reply is known when it comes once more: the store keeps a hash of it, for as long as it promises.
    /// `None` for what is always new, and for jobs, which are known by their names, and commands.
    pub dedupe: Option<Cow<'a, str>>,
    /// What it is.
    pub row: NewRow<'a>,
}

/// What became of something that came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It has this number: that of an [`EventId`], a job or a command.
    New(u64),
    /// It is known. Of a job this is the number, of an event or a reply 0.
    Known(u64),
}

/// What the owner of a partition has to have written, all of it or nothing: the effect, the changes, and then the intake.
#[derive(Debug)]
pub struct Work<'a> {
    /// Whose rows these are.
    pub partition: Partition,
    /// Since when it is the owner's.
    pub epoch: Epoch,
    /// In order.
    pub changes: Vec<Change<'a>>,
    /// What comes in with it, perhaps to other partitions: a job that is due becomes an event.
    pub intake: Vec<Intake<'a>>,
    /// What the author has written with it. Effects of other works may be run before.
    pub effect: Option<Effect>,
}

/// What became of it.
#[derive(Debug)]
pub enum Verdict {
    /// It is kept, and so is what came in with it.
    Kept(Vec<Taken>),
    /// Somebody else owns the partition: nothing of it is.
    Fenced,
    /// Its effect has failed: nothing of it is. All else in the batch is as if this work had not been there.
    EffectFailed(Error),
}

/// No two errors are the same.
impl PartialEq for Verdict {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Kept(own), Self::Kept(other)) => own == other,
            (Self::Fenced, Self::Fenced) => true,
            _ => false,
        }
    }
}

/// How much a batch has to survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// The end of the process. It becomes as durable as the rest with the next batch that is.
    Lazy,
    /// A power cut.
    Full,
}

/// What is committed at once. Each work is atomic, and so is `intake` with `cursors`; all of it may be one transaction.
#[derive(Debug)]
pub struct Batch<'a> {
    /// How far each source has been read: it is written with the events, or after them. It has no epoch: where two processes read one
    /// source, the last one to say how far wins, and what is read once more by that is known by its dedupe key.
    pub cursors: Vec<(&'a str, Bytes)>,
    /// What comes in.
    pub intake: Vec<Intake<'a>>,
    /// What its owners change.
    pub work: Vec<Work<'a>>,
    /// The present time, in milliseconds since 1970; `None` where it is not newly known. It says how old what is known is.
    pub now_ms: Option<u64>,
    /// How durable all of it has to be when the answer comes.
    pub sync: Sync,
}

/// What became of a batch.
#[derive(Debug, PartialEq)]
pub struct Committed {
    /// One answer for each that came in.
    pub intake: Vec<Taken>,
    /// One for each work.
    pub work: Vec<Verdict>,
}

/// What was not done in a partition.
#[derive(Debug)]
pub enum Loaded {
    /// A page of it, by number: each event with all that hangs on it.
    Read(Vec<(EventId, Parts)>),
    /// Somebody else owns the partition.
    Fenced,
}

/// What a process owns. A store begins with the default, and sets what it knows.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Claims {
    /// Partitions that are its own from now on.
    pub gained: Vec<(Partition, Epoch)>,
    /// Partitions that are its own no more.
    pub lost: Vec<Partition>,
    /// How far each source has been read, by its name.
    pub cursors: Vec<(String, Bytes)>,
    /// The [`Batch::now_ms`] that the store was told last, be it earlier than one before.
    pub latest_ms: u64,
}

/// What another process may have put into a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Changed {
    /// Something came in to this partition.
    Intake(Partition),
    /// [`Store::claim`] may gain or lose partitions.
    Claims,
    /// [`Reader::commands`] may have one.
    Command,
}

/// Keeps rows. One process may own all of it, as with a file; or several share it by partitions.
///
/// Whatever fails with an error has failed for good: a store that can mend itself does so before it answers. A future that is
/// dropped leaves open whether the batch was written.
pub trait Store: Reader {
    /// Reads what an operator wants to see beside the owner, without standing in its way.
    type Reader: Reader;

    /// Says which partitions are this process's. Called at the start, and whenever [`Verdict::Fenced`] or [`Loaded::Fenced`] came.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    fn claim(&mut self) -> impl Future<Output = Result<Claims>> + Send;

    /// What is not done in a partition of one's own, by number: events that are not dead, and replies that are not sent, each with
    /// all that hangs on it. At most `limit`, after this one.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    fn load(
        &mut self,
        partition: Partition,
        epoch: Epoch,
        after: Option<EventId>,
        limit: usize,
    ) -> impl Future<Output = Result<Loaded>> + Send;

    /// Writes a batch.
    ///
    /// # Errors
    ///
    /// When nothing of it is certain to be kept, and trying again has not helped.
    fn commit(&mut self, batch: &Batch<'_>) -> impl Future<Output = Result<Committed>> + Send;

    /// Does what has to follow a batch, once the waiter has been told.
    fn settle(&mut self) {}

    /// Does a little of what can wait; whether there is more of it.
    fn tidy(&mut self) -> bool {
        false
    }

    /// Waits until another process may have put something in. It is a hint, which may come late, for nothing or not at all: anyone who
    /// depends on what it tells of asks for that now and then all the same. Without it, it waits for ever.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    ///
    /// # Cancel safety
    ///
    /// Dropping it loses no hint, and delays none: anyone who waits once more goes on waiting.
    fn changed(&mut self) -> impl Future<Output = Result<Changed>> + Send {
        std::future::pending()
    }

    /// A reader beside the owner.
    ///
    /// # Errors
    ///
    /// When the store cannot be opened once more.
    fn reader(&self) -> Result<Self::Reader>;

    /// What it keeps, and how.
    fn durability(&self) -> Durability;

    /// Whether it runs effects of this kind. It is asked at the start: a bot that has others does not begin with it, and the effect of a
    /// work that it does not know fails.
    fn runs(&self, kind: EffectKind) -> bool {
        let _none = kind;
        false
    }

    /// Whether what is in it outlives the process.
    fn is_kept(&self) -> bool {
        true
    }

    /// Whether another process may put something in.
    fn is_shared(&self) -> bool {
        false
    }

    /// Puts it in order for the next start.
    fn close(self) -> impl Future<Output = ()> + Send
    where
        Self: Sized,
    {
        async {}
    }
}

/// Reads what is committed.
///
/// # Errors
///
/// Each of its questions fails when the store cannot be read.
pub trait Reader: Send + 'static {
    /// An event with all that hangs on it.
    fn parts(&mut self, id: EventId) -> impl Future<Output = Result<Parts>> + Send;

    /// Dead letters, the oldest first.
    fn dead(&mut self, filter: &DeadFilter) -> impl Future<Output = Result<Vec<Dead>>> + Send;

    /// The names of dead letters, the oldest first.
    fn dead_names(&mut self, filter: &DeadFilter) -> impl Future<Output = Result<Vec<DeadId>>> + Send;

    /// A job.
    fn job(&mut self, key: JobKey<'_>) -> impl Future<Output = Result<Option<Job>>> + Send;

    /// Jobs, the earliest first: those of a conversation or all, after one of them (its time and number), due until this time;
    /// and when the first one is due that is not among them.
    fn jobs(&mut self, which: &JobFilter<'_>) -> impl Future<Output = Result<Due>> + Send;

    /// A value.
    fn value(&mut self, scope: &Scope<'_>, name: &str) -> impl Future<Output = Result<Option<Bytes>>> + Send;

    /// All values of one scope, by name.
    fn values(&mut self, scope: &Scope<'_>) -> impl Future<Output = Result<Vec<(String, Bytes)>>> + Send;

    /// Commands of the operator's that nobody has executed, by number.
    fn commands(&mut self) -> impl Future<Output = Result<Vec<(u64, Bytes)>>> + Send;

    /// What became of a command: `None` while it waits, and once the store has forgotten it, two minutes after its outcome or later.
    fn outcome(&mut self, command: u64) -> impl Future<Output = Result<Option<String>>> + Send;
}

/// Which jobs are meant.
#[derive(Debug, Clone, Copy)]
pub struct JobFilter<'a> {
    /// Those of this partition; `None` for all. An owner asks for its own: what is due in another is another's to do.
    pub partition: Option<Partition>,
    /// Those of the conversation with this id; `None` for all.
    pub conversation: Option<&'a str>,
    /// After this one (its due time and number); `None` begins with the first.
    pub after: Option<(u64, u64)>,
    /// Due at this time or before, in milliseconds since 1970.
    pub until_ms: u64,
    /// At most this many.
    pub limit: usize,
}
