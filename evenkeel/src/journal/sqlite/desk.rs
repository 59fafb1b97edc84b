//! Dead letters and jobs from another process, beside a bot that runs.

use std::fmt;
use std::marker::PhantomData;
use std::path::PathBuf;

use super::SqliteOptions;
use super::dead::{self, Teller};
use super::open::Place;
use super::store::{Class, Store};
use super::{job, lock};
use crate::error::{Error, Result};
use crate::journal::{Answer, Dead, DeadFilter, Job, Replayed};

/// What a journal keeps for an operator, beside a bot that may have it open: its [`DeadLetters`], or its [`Jobs`].
///
/// Looking changes nothing. Each change is one transaction, on the disk when it returns.
pub struct Desk<T> {
    store: Store,
    place: Place,
    /// Which of it is worked on here.
    what: PhantomData<fn() -> T>,
}

/// The dead letters of a journal that may be in use by a bot: for `evenkeel dead`, and for programs of your own.
///
/// A running bot takes up what is replayed or discarded with its next [`Entry::Adopt`](crate::journal::Entry::Adopt).
///
/// ```no_run
/// use evenkeel::journal::{DeadFilter, sqlite::DeadLetters};
///
/// # fn example() -> evenkeel::Result<()> {
/// let letters = DeadLetters::open("evenkeel.db")?;
/// for dead in letters.list(&DeadFilter::default())? {
///     println!("{} was given up: {}", dead.id, dead.reason);
/// }
/// # Ok(()) }
/// ```
pub type DeadLetters = Desk<Dead>;

/// The jobs of a journal that may be in use by a bot: for `evenkeel jobs`, and for programs of your own.
///
/// A running bot needs no telling of what is cancelled: it asks the journal before it fires a job.
///
/// ```no_run
/// use evenkeel::journal::sqlite::Jobs;
///
/// # fn example() -> evenkeel::Result<()> {
/// let mut jobs = Jobs::open("evenkeel.db")?;
/// for job in jobs.list(None, None, 100)? {
///     println!("{} is due at {} ms", job.name, job.due_ms);
/// }
/// assert!(jobs.cancel("17.1")?);
/// # Ok(()) }
/// ```
pub type Jobs = Desk<Job>;

impl<T> fmt::Debug for Desk<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").finish_non_exhaustive()
    }
}

impl<T> Desk<T> {
    /// Opens a journal that is there.
    ///
    /// # Errors
    ///
    /// As [`SqliteOptions::open`], and when there is no such file.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        Self::open_with(path, SqliteOptions::new())
    }

    /// Opens a journal that is there, with a key for example.
    ///
    /// # Errors
    ///
    /// As [`Desk::open`].
    pub fn open_with(path: impl Into<PathBuf>, options: SqliteOptions) -> Result<Self> {
        let place = Place::new(path.into(), options);
        if !place.path.exists() {
            return Err(Error::config(format!("there is no journal {}", place.path.display()))
                .with_hint("name the file that the bot writes"));
        }
        place.check()?;
        Ok(Self { store: place.open_beside()?, place, what: PhantomData })
    }

    /// Whether a bot has the journal open at this moment.
    pub fn is_in_use(&self) -> bool {
        lock::is_held(&self.place.path)
    }

    fn read<R>(&self, work: impl FnOnce(&Store) -> rusqlite::Result<R>) -> Result<R> {
        work(&self.store).map_err(|error| self.place.explain(&error))
    }

    fn transaction<R>(&mut self, work: impl FnOnce(&mut Store) -> rusqlite::Result<R>) -> Result<R> {
        let store = &mut self.store;
        let done = store.begin(Class::Full).and_then(|()| {
            let done = work(store)?;
            store.keep()?;
            store.commit()?;
            Ok(done)
        });
        done.map_err(|error| {
            // Without a transaction there is nothing to take back.
            let _ = self.store.connection.execute_batch("ROLLBACK");
            self.place.explain(&error)
        })
    }
}

impl Desk<Dead> {
    /// The dead letters that are meant, the oldest first. A long list is better asked for in pages, by
    /// [`DeadFilter::after`] and [`DeadFilter::limit`].
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn list(&self, filter: &DeadFilter) -> Result<Vec<Dead>> {
        self.read(|store| dead::list(&store.connection, filter))
    }

    /// How many dead letters are meant.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn count(&self, filter: &DeadFilter) -> Result<u64> {
        self.read(|store| dead::count(&store.connection, filter))
    }

    /// Gives those that are meant another chance, at the end of their lanes, as [`Entry::Replay`](crate::journal::Entry::Replay)
    /// says; `now_ms` is the present time, in milliseconds since 1970. What cannot be read stays where it is.
    ///
    /// # Errors
    ///
    /// When the file cannot be written; then nothing has changed.
    pub fn replay(&mut self, filter: &DeadFilter, now_ms: u64) -> Result<Replayed> {
        self.transaction(|store| {
            store.saw(now_ms);
            dead::replay(store, filter, Teller::Operator)
        })
    }

    /// Forgets those that are meant for good, and says how many there were.
    ///
    /// # Errors
    ///
    /// When the file cannot be written; then nothing has changed.
    pub fn discard(&mut self, filter: &DeadFilter) -> Result<u64> {
        self.transaction(|store| dead::discard(store, filter, Teller::Operator).map(|(count, _)| count))
    }
}

impl Desk<Job> {
    /// At most `limit` jobs, the earliest first: of the conversation with this id, or of all; those after a job, given by
    /// its due time and number, or from the first. [`Waiting::read`](crate::job::Waiting::read) says what they will call.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn list(
        &self,
        conversation: Option<&str>,
        after: Option<(u64, u64)>,
        limit: usize,
    ) -> Result<Vec<Job>> {
        let answer = self.read(|store| job::list(store, conversation, after, u64::MAX, limit))?;
        Ok(if let Answer::Due { jobs, .. } = answer { jobs } else { Vec::new() })
    }

    /// Forgets the job of this name, and says whether there was one. One that has been fired already goes on.
    ///
    /// # Errors
    ///
    /// When the file cannot be written; then nothing has changed.
    pub fn cancel(&mut self, name: &str) -> Result<bool> {
        self.transaction(|store| job::cancel(store, name, None).map(|count| count > 0))
    }
}
