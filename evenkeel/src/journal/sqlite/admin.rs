//! Dead letters and jobs from another process, beside a bot that runs or while none does.
//!
//! While nobody has the journal open, this process owns it for a moment, and does what is wanted by the same rules as the bot
//! would. Otherwise it leaves a command, which the bot executes.

use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use super::store::{SqliteReader, SqliteStore};
use super::{SqliteOptions, dead, read};
use crate::error::{Error, Result};
use crate::journal::record::{AdminCommand, Outcome, Record, at_once};
use crate::journal::store::JobFilter;
use crate::journal::{Dead, DeadFilter, Job};
use crate::sqlite::health::Health;
use crate::sqlite::lock::{self, Lock};
use crate::sqlite::open::Location;
use crate::sqlite::writer::Writer;

/// For so long a running bot is waited for: it looks once a second.
const PATIENCE: Duration = Duration::from_secs(3);

/// How often is looked whether it has done what it was told.
const LOOK: Duration = Duration::from_millis(20);

/// What a journal keeps for an operator, beside a bot that may have it open: its [`DeadLetterAdmin`], or its [`JobAdmin`].
///
/// Looking changes nothing. Each change is one transaction, on the disk when it returns.
pub struct AdminHandle<T> {
    reader: RefCell<SqliteReader>,
    place: Location,
    options: SqliteOptions,
    /// Which of it is worked on here.
    what: PhantomData<fn() -> T>,
}

/// The dead letters of a journal that may be in use by a bot: for `evenkeel dead`, and for programs of your own.
///
/// A running bot is left a command, and executes it within a second.
///
/// ```no_run
/// use evenkeel::journal::{DeadFilter, sqlite::DeadLetterAdmin};
///
/// # fn example() -> evenkeel::Result<()> {
/// let letters = DeadLetterAdmin::open("evenkeel.db")?;
/// for dead in letters.list(&DeadFilter::default())? {
///     println!("{} was given up: {}", dead.id, dead.reason);
/// }
/// # Ok(()) }
/// ```
pub type DeadLetterAdmin = AdminHandle<Dead>;

/// The jobs of a journal that may be in use by a bot: for `evenkeel jobs`, and for programs of your own.
///
/// A running bot is left a command, and executes it within a second.
///
/// ```no_run
/// use evenkeel::journal::sqlite::JobAdmin;
///
/// # fn example() -> evenkeel::Result<()> {
/// let mut jobs = JobAdmin::open("evenkeel.db")?;
/// for job in jobs.list(None, None, 100)? {
///     println!("{} is due at {} ms", job.name, job.due_ms);
/// }
/// assert!(jobs.cancel("17.1")?.cancelled);
/// # Ok(()) }
/// ```
pub type JobAdmin = AdminHandle<Job>;

impl<T> fmt::Debug for AdminHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminHandle").finish_non_exhaustive()
    }
}

impl<T> AdminHandle<T> {
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
    /// As [`AdminHandle::open`].
    pub fn open_with(path: impl Into<PathBuf>, options: SqliteOptions) -> Result<Self> {
        let place = options.place(path.into());
        if !place.path.exists() {
            return Err(Error::config(format!("there is no journal {}", place.path.display()))
                .with_hint("name the file that the bot writes"));
        }
        place.check()?;
        let reader = RefCell::new(SqliteReader::open(place.clone())?);
        Ok(Self { reader, place, options, what: PhantomData })
    }

    /// Whether a bot has the journal open at this moment.
    pub fn is_in_use(&self) -> bool {
        lock::is_held(&self.place.path)
    }

    /// Executes commands in order, or has the bot execute them that has the journal open, and hands each its outcome.
    fn execute(&mut self, commands: &[AdminCommand], mut each: impl FnMut(usize, Outcome)) -> Result<()> {
        match Lock::try_take(&self.place.path)? {
            Some(lock) => {
                let done = self.own(commands, each);
                drop(lock);
                done
            }
            None => {
                let numbers = self.reader.get_mut().leave(commands)?;
                let until = Instant::now() + PATIENCE;
                numbers.into_iter().enumerate().try_for_each(|(at, number)| {
                    each(at, self.wait(number, until)?);
                    Ok(())
                })
            }
        }
    }

    fn one(&mut self, command: AdminCommand) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        self.execute(&[command], |_, done| outcome = done)?;
        Ok(outcome)
    }

    /// Owns the journal for a moment. What comes again is left to the next start.
    fn own(&self, commands: &[AdminCommand], mut each: impl FnMut(usize, Outcome)) -> Result<()> {
        let durability = self.options.durability(&self.place.path);
        let writer = Writer::open(self.place.clone(), self.options.retention, Health::default())?;
        let mut record = Record::new(SqliteStore::new(writer, durability));
        at_once(record.claim())?;
        commands.iter().enumerate().try_for_each(|(at, command)| {
            let (_, outcome) = at_once(record.obey(command, None))?;
            each(at, outcome);
            Ok(())
        })
    }

    /// Waits for what becomes of a command that was left.
    fn wait(&mut self, number: u64, until: Instant) -> Result<Outcome> {
        loop {
            if let Some(outcome) =
                self.reader.get_mut().ask(|connection| read::outcome(connection, number))?
            {
                return serde_json::from_str(&outcome).map_err(|_| {
                    Error::new("the bot could not read the command")
                        .with_hint("restart the bot with the version of this command")
                });
            }
            if Instant::now() >= until {
                return Ok(Outcome { is_waiting: true, ..Outcome::default() });
            }
            thread::sleep(LOOK);
        }
    }
}

impl AdminHandle<Dead> {
    /// The dead letters that are meant, the oldest first. A long list is better asked for in pages, by
    /// [`DeadFilter::after`] and [`DeadFilter::limit`].
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn list(&self, filter: &DeadFilter) -> Result<Vec<Dead>> {
        self.reader.borrow_mut().ask(|connection| dead::list(connection, filter))
    }

    /// How many dead letters are meant.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn count(&self, filter: &DeadFilter) -> Result<u64> {
        let names = self.reader.borrow_mut().ask(|connection| dead::names(connection, filter));
        names.map(|names| names.len() as u64)
    }

    /// Gives those that are meant another chance, at the end of their lanes, as [`OperatorEntry::Replay`](crate::journal::OperatorEntry::Replay)
    /// says; `now_ms` is the present time, in milliseconds since 1970. What cannot be read stays where it is. Blocks for three
    /// seconds at most while a running bot does it.
    ///
    /// # Errors
    ///
    /// When the file cannot be written; then nothing has changed.
    pub fn replay(&mut self, filter: &DeadFilter, now_ms: u64) -> Result<Outcome> {
        self.one(AdminCommand::Replay { filter: filter.clone(), now_ms })
    }

    /// As [`DeadLetterAdmin::replay`] with each of these filters, one after the other: `each` is told the place of a filter and
    /// what became of it. A running bot is waited for once.
    ///
    /// # Errors
    ///
    /// When the file cannot be written; then nothing has changed beside what was told.
    pub fn replay_each(
        &mut self,
        filters: &[DeadFilter],
        now_ms: u64,
        each: impl FnMut(usize, Outcome),
    ) -> Result<()> {
        let command = |filter: &DeadFilter| AdminCommand::Replay { filter: filter.clone(), now_ms };
        self.execute(&filters.iter().map(command).collect::<Vec<_>>(), each)
    }

    /// Forgets those that are meant for good. Blocks as [`DeadLetterAdmin::replay`].
    ///
    /// # Errors
    ///
    /// When the file cannot be written; then nothing has changed.
    pub fn discard(&mut self, filter: &DeadFilter) -> Result<Outcome> {
        self.one(AdminCommand::Discard { filter: filter.clone() })
    }

    /// As [`DeadLetterAdmin::discard`] with each of these filters; see [`DeadLetterAdmin::replay_each`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn discard_each(&mut self, filters: &[DeadFilter], each: impl FnMut(usize, Outcome)) -> Result<()> {
        let command = |filter: &DeadFilter| AdminCommand::Discard { filter: filter.clone() };
        self.execute(&filters.iter().map(command).collect::<Vec<_>>(), each)
    }
}

impl AdminHandle<Job> {
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
        let which = JobFilter { partition: None, conversation, after, until_ms: u64::MAX, limit };
        self.reader.borrow_mut().ask(|connection| read::jobs(connection, &which)).map(|(jobs, _)| jobs)
    }

    /// Forgets the job of this name; [`Outcome::cancelled`] says whether there was one. One that has been fired already goes on.
    /// Blocks as [`DeadLetterAdmin::replay`].
    ///
    /// # Errors
    ///
    /// When the file cannot be written; then nothing has changed.
    pub fn cancel(&mut self, name: &str) -> Result<Outcome> {
        self.one(AdminCommand::Cancel { job: name.to_owned() })
    }
}
