//! The store on a file.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use rusqlite::Connection;
use tokio::time::{Instant, sleep_until};

use super::content::natural;
use super::lock::Lock;
use super::open::Place;
use super::schema::VERSION;
use super::session::Session;
use super::writer::Writer;
use super::{dead, read};
use crate::error::{Error, Result};
use crate::guarantee::Durability;
use crate::journal::record::OperatorCommand;
use crate::journal::store::{
    Batch, Changed, Claims, Committed, Due, EffectKind, Epoch, EventId, Intake, JobFilter, JobKey, Loaded,
    NewRow, Partition, Parts, Reader, Scope, Store,
};
use crate::journal::{Dead, DeadFilter, DeadId, Job};

/// How often the file is looked at for what other processes have left in it.
const LOOK: Duration = Duration::from_secs(1);

/// Keeps rows in one file of SQLite. One process owns all of it.
pub struct SqliteStore {
    writer: Writer,
    durability: Durability,
    /// Whether commands may wait, as far as this process knows.
    has_commands: bool,
    /// When that is looked at next; `None` while nobody waits for it.
    next_look: Option<Instant>,
    /// Let go of after the file is closed; `None` where somebody else holds it.
    _lock: Option<Lock>,
}

impl SqliteStore {
    pub(super) fn new(writer: Writer, durability: Durability) -> Self {
        Self { writer, durability, has_commands: true, next_look: None, _lock: None }
    }

    /// Keeps others out of the file for as long as it lives.
    pub(super) fn with_lock(self, lock: Lock) -> Self {
        Self { _lock: Some(lock), ..self }
    }

    fn read<T>(&mut self, question: impl Fn(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        self.writer.ask(|session| question(&session.connection))
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").finish_non_exhaustive()
    }
}

impl Store for SqliteStore {
    type Reader = SqliteReader;

    async fn claim(&mut self) -> Result<Claims> {
        self.writer.ask(Session::claim)?;
        self.has_commands = true;
        self.writer.ask(|session| {
            let gained = vec![(Partition::WHOLE, session.counters.epoch)];
            let cursors = read::cursors(&session.connection)?;
            let (jobs, replies) = read::unnamed(&session.connection)?;
            if jobs + replies > 0 {
                tracing::error!(
                    jobs,
                    replies,
                    "what has no time or no number in the journal is left as it is"
                );
            }
            Ok(Claims { gained, lost: Vec::new(), cursors, latest_ms: session.counters.latest_ms })
        })
    }

    async fn load(
        &mut self,
        partition: Partition,
        epoch: Epoch,
        after: Option<EventId>,
        limit: usize,
    ) -> Result<Loaded> {
        self.writer.ask(|session| {
            if !session.owns(partition, epoch) {
                return Ok(Loaded::Fenced);
            }
            read::load(&session.connection, after, limit).map(Loaded::Read)
        })
    }

    async fn commit(&mut self, batch: &Batch<'_>) -> Result<Committed> {
        let with_work = batch.work.iter().flat_map(|work| &work.intake);
        let is_command = |intake: &Intake<'_>| matches!(intake.row, NewRow::Command(_));
        self.has_commands |= batch.intake.iter().chain(with_work).any(is_command);
        self.writer.commit(batch)
    }

    fn settle(&mut self) {
        self.writer.settle();
    }

    fn tidy(&mut self) -> bool {
        self.writer.tidy()
    }

    /// Other processes leave commands, and nothing else.
    async fn changed(&mut self) -> Result<Changed> {
        loop {
            sleep_until(*self.next_look.get_or_insert_with(|| Instant::now() + LOOK)).await;
            self.next_look = None;
            if self.writer.ask(Session::is_changed)? {
                self.has_commands = true;
                return Ok(Changed::Command);
            }
        }
    }

    fn reader(&self) -> Result<SqliteReader> {
        SqliteReader::open(self.writer.place().clone())
    }

    fn durability(&self) -> Durability {
        self.durability.clone()
    }

    fn runs(&self, kind: EffectKind) -> bool {
        kind == EffectKind::of::<Connection>()
    }

    /// `evenkeel dead` leaves commands in the file of a running bot.
    fn is_shared(&self) -> bool {
        true
    }

    async fn close(mut self) {
        self.writer.close();
    }
}

/// Reads a file beside the process that writes it.
pub struct SqliteReader {
    place: Place,
    connection: Connection,
}

impl SqliteReader {
    pub(super) fn open(place: Place) -> Result<Self> {
        let connection = place.open_beside()?;
        Ok(Self { place, connection })
    }

    /// Leaves commands for the owner, on the disk when it returns, and says their numbers.
    pub(super) fn leave(&mut self, commands: &[OperatorCommand]) -> Result<Vec<u64>> {
        let version = self.connection.pragma_query_value(None, "user_version", |row| row.get::<_, i32>(0));
        if version.map_err(|error| self.place.explain(&error))? < VERSION {
            return Err(Error::new("the bot that has the journal open is of an earlier version")
                .with_hint("restart the bot with the version of this command, then try again"));
        }
        let written = self.connection.transaction().and_then(|transaction| {
            let insert = |command: &OperatorCommand| {
                transaction.execute("INSERT INTO command(body) VALUES (?1)", [&command.to_bytes()[..]])?;
                Ok(natural(transaction.last_insert_rowid()))
            };
            let numbers = commands.iter().map(insert).collect::<rusqlite::Result<_>>()?;
            transaction.commit()?;
            Ok(numbers)
        });
        written.map_err(|error| self.place.explain(&error))
    }

    fn read<T>(&mut self, question: impl Fn(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        question(&self.connection).map_err(|error| self.place.explain(&error))
    }
}

impl fmt::Debug for SqliteReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteReader").finish_non_exhaustive()
    }
}

/// The same questions, over whichever connection.
macro_rules! reads {
    () => {
        async fn parts(&mut self, id: EventId) -> Result<Parts> {
            self.read(|connection| read::parts(connection, id))
        }

        async fn dead(&mut self, filter: &DeadFilter) -> Result<Vec<Dead>> {
            self.read(|connection| dead::list(connection, filter))
        }

        async fn dead_names(&mut self, filter: &DeadFilter) -> Result<Vec<DeadId>> {
            self.read(|connection| dead::names(connection, filter))
        }

        async fn job(&mut self, key: JobKey<'_>) -> Result<Option<Job>> {
            self.read(|connection| read::job(connection, key))
        }

        async fn jobs(&mut self, which: &JobFilter<'_>) -> Result<Due> {
            self.read(|connection| read::jobs(connection, which))
        }

        async fn value(&mut self, scope: &Scope<'_>, name: &str) -> Result<Option<Bytes>> {
            self.read(|connection| read::value(connection, scope, name))
        }

        async fn values(&mut self, scope: &Scope<'_>) -> Result<Vec<(String, Bytes)>> {
            self.read(|connection| read::values(connection, scope))
        }

        async fn outcome(&mut self, command: u64) -> Result<Option<String>> {
            self.read(|connection| read::outcome(connection, command))
        }
    };
}

impl Reader for SqliteStore {
    reads!();

    async fn commands(&mut self) -> Result<Vec<(u64, Bytes)>> {
        self.has_commands |= self.writer.ask(Session::is_changed)?;
        if !self.has_commands {
            return Ok(Vec::new());
        }
        let commands = self.read(read::commands)?;
        // They wait until they have an outcome.
        self.has_commands = !commands.is_empty();
        Ok(commands)
    }
}

impl Reader for SqliteReader {
    reads!();

    async fn commands(&mut self) -> Result<Vec<(u64, Bytes)>> {
        self.read(read::commands)
    }
}
