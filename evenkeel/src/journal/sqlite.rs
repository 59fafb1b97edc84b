//! The journal on a file: one process, one commit for all that waits.

mod schema;
mod counters;
mod retention;
mod seen;
mod read;
mod dead;
mod effect;
mod outcomes;
mod division;
mod session;
mod store;
mod look;
mod warning;
mod admin;

use std::fmt;
use std::future::{Future, Ready, ready};
use std::path::PathBuf;

use super::Entry;
use super::record::{Record, at_once};
use super::store::Store as _;
use super::whole::recover_whole;
use super::{Interrupt, Journal, Recovered, Written};
use crate::config::Secret;
use crate::error::Result;
use crate::guarantee::Durability;
use crate::sqlite::disk;
use crate::sqlite::lock::Lock;
use crate::sqlite::open::Location;
use crate::sqlite::writer::Writer;
use retention::Retention;
use schema::LAYOUT;

pub use crate::sqlite::health::{Health, Stats};
pub use admin::{AdminHandle, DeadLetterAdmin, JobAdmin};
pub use look::Summary;
pub use store::{SqliteReader, SqliteStore};
pub use warning::Warning;

/// How a [`SqliteJournal`] is opened.
#[derive(Debug, Clone)]
#[must_use]
pub struct SqliteOptions {
    key: Option<Secret>,
    retention: Retention,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { key: None, retention: Retention { hours: 30 * 24, rows: 5_000_000, young: 32_768 } }
    }
}

impl SqliteOptions {
    /// Remembers events for 30 days, and five million of them at most; no key.
    pub fn new() -> Self {
        Self::default()
    }

    /// Encrypts the file; needs the feature `sqlcipher`. Sixty-four hexadecimal digits are the key itself, anything else
    /// is a passphrase, from which one is derived at every opening.
    pub fn key(mut self, key: Secret) -> Self {
        self.key = Some(key);
        self
    }

    /// Sets for how long an event is known again when it is delivered once more, in days.
    pub fn remember_days(mut self, days: u32) -> Self {
        self.retention.hours = i64::from(days) * 24;
        self
    }

    /// Sets how many events are known again, about 30 bytes each; beyond, the oldest hours are forgotten.
    pub fn remember_events(mut self, events: u32) -> Self {
        self.retention.rows = i64::from(events);
        self
    }

    fn place(&self, path: PathBuf) -> Location {
        Location::new(path, self.key.clone(), LAYOUT)
    }

    /// What a journal in this file, opened so, keeps.
    pub fn durability(&self, path: impl Into<PathBuf>) -> Durability {
        let Retention { hours, rows, .. } = self.retention;
        let path = path.into();
        let is_volatile = matches!(disk::kind_of(&path), disk::Kind::Memory(_));
        let is_encrypted = cfg!(feature = "sqlcipher") && self.key.is_some();
        let durability = if is_encrypted { Durability::encrypted_file(path) } else { Durability::file(path) };
        let durability = durability.with_window(u32::try_from(hours / 24).ok(), rows.unsigned_abs());
        if is_volatile { durability.with_file_in_memory() } else { durability }
    }

    /// Opens the file, and makes it and its folder if they are not there.
    ///
    /// # Errors
    ///
    /// When the file is none of ours, was written by a newer version, cannot be written, is on a network or a full disk, is
    /// in use by another process, or does not open with the key. Nothing is touched then, and the hint says what to do.
    pub fn open(self, path: impl Into<PathBuf>) -> Result<SqliteJournal> {
        let (store, health, lock) = self.open_locked(path.into())?;
        let durability = store.durability();
        Ok(SqliteJournal { record: Record::new(store), health, durability, is_settled: true, _lock: lock })
    }

    /// Opens the store in the file alone, on the caller's own thread: for tests of stores. A bot has a [`SqliteJournal`].
    ///
    /// Its futures block while the file is written, and are ready at once.
    ///
    /// # Errors
    ///
    /// As [`SqliteOptions::open`].
    pub fn open_store(self, path: impl Into<PathBuf>) -> Result<SqliteStore> {
        let (store, _, lock) = self.open_locked(path.into())?;
        Ok(store.with_lock(lock))
    }

    fn open_locked(self, path: PathBuf) -> Result<(SqliteStore, Health, Lock)> {
        let durability = self.durability(&path);
        let place = self.place(path);
        place.check()?;
        place.make_folder()?;
        place.check()?;
        let lock = Lock::take(&place.path)?;
        let health = Health::default();
        let writer = match Writer::open(place.clone(), self.retention, health.clone()) {
            Ok(writer) => writer,
            Err(error) => {
                lock.withdraw();
                return Err(error);
            }
        };
        for Warning { text, fix, is_grave } in warning::of(&place) {
            if is_grave {
                tracing::error!("{text}; {fix}");
            } else {
                tracing::warn!("{text}; {fix}");
            }
        }
        Ok((SqliteStore::new(writer, durability), health, lock))
    }
}

/// Keeps everything in one file of SQLite.
///
/// A batch is one transaction. If it holds anything that is not [lazy](Entry::is_lazy), it is on the disk when its answers
/// come: one sync for all of it.
///
/// It [blocks](Journal::blocks): anyone who calls it waits for the disk, and its futures are ready at once. A bot calls it on a thread
/// that does nothing else.
///
/// ```
/// # async fn example() -> evenkeel::Result<()> {
/// use evenkeel::journal::{Journal, sqlite::SqliteJournal};
///
/// let mut journal = SqliteJournal::open("bot/journal.db")?;
/// let left = journal.recover().await?;
/// println!("{} events are not done", left.events.len());
/// # Ok(()) }
/// ```
pub struct SqliteJournal {
    record: Record<SqliteStore>,
    health: Health,
    durability: Durability,
    /// Whether that was done which has to follow a batch.
    is_settled: bool,
    /// Let go of after the file is closed.
    _lock: Lock,
}

impl SqliteJournal {
    /// Opens the file, and makes it and its folder if they are not there; see [`SqliteOptions`] for more.
    ///
    /// # Errors
    ///
    /// As [`SqliteOptions::open`].
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        SqliteOptions::new().open(path)
    }

    /// Does what has to follow a batch: by now those know who waited for it.
    fn settle(&mut self) {
        if !std::mem::replace(&mut self.is_settled, true) {
            self.record.store_mut().settle();
        }
    }

    /// How it is, for as long as anybody wants to know.
    pub fn health(&self) -> Health {
        self.health.clone()
    }
}

impl fmt::Debug for SqliteJournal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteJournal").finish_non_exhaustive()
    }
}

impl Journal for SqliteJournal {
    type Writing = Ready<Result<Written>>;

    fn blocks(&self) -> bool {
        true
    }

    fn interrupt(&self) -> Interrupt {
        let health = self.health.clone();
        Box::new(move || health.stop_trying())
    }

    /// `evenkeel dead` writes into the file of a running bot.
    fn is_shared(&self) -> bool {
        true
    }

    fn durability(&self) -> Durability {
        self.durability.clone()
    }

    fn recover(&mut self) -> impl Future<Output = Result<Recovered>> + Send {
        recover_whole(self)
    }

    fn recover_in_pages(&mut self) -> impl Future<Output = Result<Recovered>> + Send {
        self.record.start()
    }

    fn write(&mut self, batch: Vec<Entry>) -> Ready<Result<Written>> {
        self.settle();
        let written = at_once(self.record.append(batch));
        self.is_settled = false;
        ready(written)
    }

    fn tidy(&mut self) -> bool {
        self.settle();
        self.record.store_mut().tidy()
    }

    async fn close(self) {
        self.health.stop_trying();
        self.record.into_store().close().await;
    }
}
