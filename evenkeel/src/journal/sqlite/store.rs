//! The store on a file.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use rusqlite::Connection;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep_until};

use super::division::Division;
use super::schema::{PROBE, VERSION};
use super::session::Session;
use super::{dead, read};
use crate::error::{Error, Result};
use crate::guarantee::Durability;
use crate::journal::record::AdminCommand;
use crate::journal::store::{
    Batch, Changed, Claims, Committed, Due, EffectKind, Epoch, EventId, Intake, JobFilter, JobKey, Loaded,
    NewRow, Partition, Parts, Reader, Scope, Store, Sync,
};
use crate::journal::{Dead, DeadFilter, DeadId, Job};
use crate::offload::Pool;
use crate::sqlite::content::natural;
use crate::sqlite::lock::Lock;
use crate::sqlite::open::Location;
use crate::sqlite::writer::Writer;

/// How often the file is looked at for what other processes have left in it.
const LOOK: Duration = Duration::from_secs(1);

/// This many read beside the owner at once; others queue.
const READERS: usize = 2;

/// Keeps rows in one file of SQLite. One process owns all of it.
pub struct SqliteStore {
    writer: Writer<Session>,
    /// The threads of those who read beside it.
    readers: Pool,
    durability: Durability,
    /// Whether commands may wait, as far as this process knows.
    has_commands: bool,
    /// When that is looked at next; `None` while nobody waits for it.
    next_look: Option<Instant>,
    /// Let go of after the file is closed; `None` where somebody else holds it.
    _lock: Option<Lock>,
}

impl SqliteStore {
    pub(super) fn new(writer: Writer<Session>, durability: Durability) -> Self {
        let readers = Pool::new(READERS);
        Self { writer, readers, durability, has_commands: true, next_look: None, _lock: None }
    }

    /// Keeps others out of the file for as long as it lives.
    pub(super) fn with_lock(self, lock: Lock) -> Self {
        Self { _lock: Some(lock), ..self }
    }

    /// Reads on the thread that writes: nothing comes in between.
    async fn read<T>(&mut self, question: impl Fn(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        self.writer.ask(|session| question(session.connection()))
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
        let division = self.writer.ask(|session| Division::load(session.connection()))?;
        division.check(&self.writer.place().path)?;
        self.writer.ask(Session::claim)?;
        self.has_commands = true;
        self.writer.ask(|session| {
            let gained = vec![(Partition::WHOLE, session.counters().epoch)];
            let cursors = read::cursors(session.connection())?;
            let (jobs, replies) = read::unnamed(session.connection())?;
            if jobs + replies > 0 {
                tracing::error!(
                    jobs,
                    replies,
                    "what has no time or no number in the journal is left as it is"
                );
            }
            Ok(Claims { gained, lost: Vec::new(), cursors, latest_ms: session.counters().latest_ms })
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
            read::load(session.connection(), after, limit).map(Loaded::Read)
        })
    }

    async fn commit(&mut self, batch: &Batch<'_>) -> Result<Committed> {
        let with_work = batch.work.iter().flat_map(|work| &work.intake);
        let is_command = |intake: &Intake<'_>| matches!(intake.row, NewRow::Command(_));
        self.has_commands |= batch.intake.iter().chain(with_work).any(is_command);
        let start = std::time::Instant::now();
        let committed = self.writer.commit(|session| session.commit(batch))?;
        let work = batch.work.iter().map(|work| work.changes.len() + work.intake.len()).sum::<usize>();
        let health = self.writer.health();
        health.wrote(batch.intake.len() + work, start.elapsed());
        match batch.sync {
            Sync::Full => health.synced(),
            Sync::Lazy => health.unsynced(),
        }
        Ok(committed)
    }

    fn settle(&mut self) {
        self.writer.settle();
    }

    fn tidy(&mut self) -> bool {
        self.writer.tidy(&[Session::sort, Session::forget_outcomes, Session::read_seen])
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
        let (place, threads) = (self.writer.place().clone(), self.readers.clone());
        Ok(SqliteReader { place, connection: None, threads })
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

/// Reads a file beside the process that writes it, on a thread of its own where there is a tokio runtime.
pub struct SqliteReader {
    place: Location,
    /// `None` before the first question, and after one that nobody waited for.
    connection: Option<Connection>,
    threads: Pool,
}

impl SqliteReader {
    /// Opens the file.
    pub(super) fn open(place: Location) -> Result<Self> {
        let connection = Some(place.open_beside(PROBE)?);
        Ok(Self { place, connection, threads: Pool::new(1) })
    }

    /// Leaves commands for the owner, on the disk when it returns, and says their numbers.
    pub(super) fn leave(&mut self, commands: &[AdminCommand]) -> Result<Vec<u64>> {
        if self.ask(|connection| {
            connection.pragma_query_value(None, "user_version", |row| row.get::<_, i32>(0))
        })? < VERSION
        {
            return Err(Error::new("the bot that has the journal open is of an earlier version")
                .with_hint("restart the bot with the version of this command, then try again"));
        }
        self.ask(|connection| {
            let transaction = connection.transaction()?;
            let insert = |command: &AdminCommand| {
                transaction.execute("INSERT INTO command(body) VALUES (?1)", [&command.to_bytes()[..]])?;
                Ok(natural(transaction.last_insert_rowid()))
            };
            let numbers = commands.iter().map(insert).collect::<rusqlite::Result<_>>()?;
            transaction.commit()?;
            Ok(numbers)
        })
    }

    /// Reads on the caller's own thread.
    pub(super) fn ask<T>(
        &mut self,
        question: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(self.place.open_beside(PROBE)?),
        };
        question(connection).map_err(|error| self.place.explain(&error))
    }

    async fn read<T: Send + 'static>(
        &mut self,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        if Handle::try_current().is_err() {
            return self.ask(|connection| question(connection));
        }
        let (place, threads) = (self.place.clone(), self.threads.clone());
        let mut reader = Self { place, connection: self.connection.take(), threads };
        let reading = self.threads.run(move || {
            let answer = reader.ask(|connection| question(connection));
            (reader.connection, answer)
        });
        let (connection, answer) = reading.await?;
        self.connection = connection;
        answer
    }
}

impl fmt::Debug for SqliteReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteReader").finish_non_exhaustive()
    }
}

/// The same questions, over whichever connection. A reader takes them to another thread.
macro_rules! reads {
    () => {
        async fn parts(&mut self, id: EventId) -> Result<Parts> {
            self.read(move |connection| read::parts(connection, id)).await
        }

        async fn dead(&mut self, filter: &DeadFilter) -> Result<Vec<Dead>> {
            let filter = filter.clone();
            self.read(move |connection| dead::list(connection, &filter)).await
        }

        async fn dead_names(&mut self, filter: &DeadFilter) -> Result<Vec<DeadId>> {
            let filter = filter.clone();
            self.read(move |connection| dead::names(connection, &filter)).await
        }

        async fn job(&mut self, key: JobKey<'_>) -> Result<Option<Job>> {
            match key {
                JobKey::Id(id) => self.read(move |connection| read::job(connection, JobKey::Id(id))).await,
                JobKey::Name(name) => {
                    let name = name.to_owned();
                    self.read(move |connection| read::job(connection, JobKey::Name(&name))).await
                }
            }
        }

        async fn jobs(&mut self, which: &JobFilter<'_>) -> Result<Due> {
            let JobFilter { partition, conversation, after, until_ms, limit } = *which;
            let conversation = conversation.map(str::to_owned);
            self.read(move |connection| {
                let conversation = conversation.as_deref();
                read::jobs(connection, &JobFilter { partition, conversation, after, until_ms, limit })
            })
            .await
        }

        async fn value(&mut self, scope: &Scope<'_>, name: &str) -> Result<Option<Bytes>> {
            let (scope, name) = (scope.clone().into_owned(), name.to_owned());
            self.read(move |connection| read::value(connection, &scope, &name)).await
        }

        async fn values(&mut self, scope: &Scope<'_>) -> Result<Vec<(String, Bytes)>> {
            let scope = scope.clone().into_owned();
            self.read(move |connection| read::values(connection, &scope)).await
        }

        async fn outcome(&mut self, command: u64) -> Result<Option<String>> {
            self.read(move |connection| read::outcome(connection, command)).await
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
        let commands = self.read(read::commands).await?;
        // They wait until they have an outcome.
        self.has_commands = !commands.is_empty();
        Ok(commands)
    }
}

impl Reader for SqliteReader {
    reads!();

    async fn commands(&mut self) -> Result<Vec<(u64, Bytes)>> {
        self.read(read::commands).await
    }
}
