//! The journal of a bot whose author chose none: a file, unless the operator says otherwise.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::memory::MemoryJournal;
#[cfg(feature = "sqlite")]
use super::sqlite::{DeadLetterAdmin, JobAdmin, SqliteJournal, SqliteOptions, Summary, Warning};
use super::{Entry, Interrupt, Journal, Recovered, Written};
use crate::config::{Secret, Settings};
use crate::error::{Error, Result};
use crate::guarantee::Durability;

/// The file, where nobody says otherwise.
const FILE: &str = "evenkeel.db";

/// Where a bot keeps its record: `EVENKEEL_JOURNAL` and `EVENKEEL_JOURNAL_KEY`.
#[derive(Clone, Debug)]
pub struct Place {
    /// `None` for memory.
    path: Option<PathBuf>,
    key: Option<Secret>,
}

impl Default for Place {
    fn default() -> Self {
        Self { path: cfg!(feature = "sqlite").then(|| FILE.into()), key: None }
    }
}

impl Place {
    /// Reads the settings.
    pub fn read(settings: &mut Settings<'_>) -> Self {
        let path = settings.optional("EVENKEEL_JOURNAL", "/var/lib/bot/evenkeel.db", |path| match path {
            "" => Err("must be the path of a file, or `memory`"),
            path if path.ends_with(['/', '\\']) => {
                Err("names a folder: name a file in it, for example `evenkeel.db`")
            }
            path if path.eq_ignore_ascii_case("memory") => Ok(None),
            _ if !cfg!(feature = "sqlite") => Err("must be `memory`: this bot was built without `sqlite`"),
            path => Ok(Some(PathBuf::from(path))),
        });
        let key = settings.secret("EVENKEEL_JOURNAL_KEY");
        Self { path: path.unwrap_or_else(|| Self::default().path), key }
    }

    /// The file; `None` for memory.
    pub fn path(&self) -> Option<&std::path::Path> {
        self.path.as_deref()
    }

    /// What a journal there keeps; nothing is opened for it.
    pub fn durability(&self) -> Durability {
        match &self.path {
            #[cfg(feature = "sqlite")]
            Some(path) => options(self.key.clone()).durability(path),
            _ => MemoryJournal::default().durability(),
        }
    }

    /// Another file, with the same key.
    #[must_use]
    pub fn with_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Opens the dead letters of the journal there, beside a bot that may be running. Blocks while the file is read.
    ///
    /// # Errors
    ///
    /// As [`DeadLetterAdmin::open`], and when the place is memory.
    #[cfg(feature = "sqlite")]
    pub fn dead_letters(self) -> Result<DeadLetterAdmin> {
        let path = self.path.ok_or_else(unshared)?;
        DeadLetterAdmin::open_with(path, options(self.key))
    }

    /// Opens the jobs of the journal there, beside a bot that may be running. Blocks while the file is read.
    ///
    /// # Errors
    ///
    /// As [`JobAdmin::open`], and when the place is memory.
    #[cfg(feature = "sqlite")]
    pub fn jobs(self) -> Result<JobAdmin> {
        let path = self.path.ok_or_else(unshared)?;
        JobAdmin::open_with(path, options(self.key))
    }

    /// Looks at what is there, beside a bot that may be running, and changes nothing: `None` where there is no file yet, and
    /// for memory. Blocks while the file is read.
    ///
    /// # Errors
    ///
    /// As [`Place::open`], where that can be known without opening; but a file that is in use is none.
    #[cfg(feature = "sqlite")]
    pub fn look(&self) -> Result<Option<Summary>> {
        match &self.path {
            Some(path) => options(self.key.clone()).look(path),
            None if self.key.is_some() => Err(keyless()),
            None => Ok(None),
        }
    }

    /// What speaks against the place, as the log says at the start; nothing is opened for it.
    #[cfg(feature = "sqlite")]
    pub fn warnings(&self) -> Vec<Warning> {
        self.path.as_ref().map_or_else(Vec::new, |path| options(self.key.clone()).warnings(path))
    }

    /// Opens the journal there. Blocks while the file is read.
    ///
    /// # Errors
    ///
    /// As [`SqliteOptions::open`].
    pub fn open(self) -> Result<DefaultJournal> {
        match self.path {
            #[cfg(feature = "sqlite")]
            Some(path) => {
                let file = path.display().to_string();
                let journal = options(self.key).open(path)?;
                tracing::info!(file, "the journal is open");
                Ok(DefaultJournal(Kind::Sqlite(Box::new(journal))))
            }
            #[cfg(not(feature = "sqlite"))]
            Some(_) => Err(Error::config("this bot was built without `sqlite`")),
            None if self.key.is_some() => Err(keyless()),
            None => {
                tracing::warn!(
                    "the journal is in memory: what was accepted and not answered is lost with the process"
                );
                Ok(DefaultJournal(Kind::Memory(Box::default())))
            }
        }
    }
}

#[cfg(feature = "sqlite")]
fn options(key: Option<Secret>) -> SqliteOptions {
    let options = SqliteOptions::new();
    match key {
        Some(key) => options.key(key),
        None => options,
    }
}

fn keyless() -> Error {
    Error::config("`EVENKEEL_JOURNAL_KEY` is set, and the journal is in memory")
        .with_hint("set `EVENKEEL_JOURNAL` to the path of a file, or take the key away")
}

#[cfg(feature = "sqlite")]
fn unshared() -> Error {
    Error::config("a journal in memory is seen by nobody but its bot")
        .with_hint("set `EVENKEEL_JOURNAL` to the path of a file")
}

/// A journal in a file or in memory, as the operator chose.
#[derive(Debug)]
pub struct DefaultJournal(Kind);

#[derive(Debug)]
enum Kind {
    Memory(Box<MemoryJournal>),
    #[cfg(feature = "sqlite")]
    Sqlite(Box<SqliteJournal>),
}

impl Journal for DefaultJournal {
    type Writing = Writing;

    async fn recover(&mut self) -> Result<Recovered> {
        match &mut self.0 {
            Kind::Memory(journal) => journal.recover().await,
            #[cfg(feature = "sqlite")]
            Kind::Sqlite(journal) => journal.recover().await,
        }
    }

    async fn recover_in_pages(&mut self) -> Result<Recovered> {
        match &mut self.0 {
            Kind::Memory(journal) => journal.recover_in_pages().await,
            #[cfg(feature = "sqlite")]
            Kind::Sqlite(journal) => journal.recover_in_pages().await,
        }
    }

    fn write(&mut self, batch: Vec<Entry>) -> Writing {
        Writing(match &mut self.0 {
            Kind::Memory(journal) => Either::Memory(journal.write(batch)),
            #[cfg(feature = "sqlite")]
            Kind::Sqlite(journal) => Either::Sqlite(journal.write(batch)),
        })
    }

    fn is_kept(&self) -> bool {
        match &self.0 {
            Kind::Memory(journal) => journal.is_kept(),
            #[cfg(feature = "sqlite")]
            Kind::Sqlite(journal) => journal.is_kept(),
        }
    }

    fn blocks(&self) -> bool {
        match &self.0 {
            Kind::Memory(journal) => journal.blocks(),
            #[cfg(feature = "sqlite")]
            Kind::Sqlite(journal) => journal.blocks(),
        }
    }

    fn tidy(&mut self) -> bool {
        match &mut self.0 {
            Kind::Memory(journal) => journal.tidy(),
            #[cfg(feature = "sqlite")]
            Kind::Sqlite(journal) => journal.tidy(),
        }
    }

    fn interrupt(&self) -> Interrupt {
        match &self.0 {
            Kind::Memory(journal) => journal.interrupt(),
            #[cfg(feature = "sqlite")]
            Kind::Sqlite(journal) => journal.interrupt(),
        }
    }

    fn is_shared(&self) -> bool {
        match &self.0 {
            Kind::Memory(journal) => journal.is_shared(),
            #[cfg(feature = "sqlite")]
            Kind::Sqlite(journal) => journal.is_shared(),
        }
    }

    fn durability(&self) -> Durability {
        match &self.0 {
            Kind::Memory(journal) => journal.durability(),
            #[cfg(feature = "sqlite")]
            Kind::Sqlite(journal) => journal.durability(),
        }
    }

    async fn close(self) {
        match self.0 {
            Kind::Memory(journal) => journal.close().await,
            #[cfg(feature = "sqlite")]
            Kind::Sqlite(journal) => journal.close().await,
        }
    }
}

/// A batch on its way into a [`DefaultJournal`].
#[derive(Debug)]
#[must_use = "whether the batch is written shows only here"]
pub struct Writing(Either);

#[derive(Debug)]
enum Either {
    Memory(<MemoryJournal as Journal>::Writing),
    #[cfg(feature = "sqlite")]
    Sqlite(<SqliteJournal as Journal>::Writing),
}

impl Future for Writing {
    type Output = Result<Written>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Either::Memory(writing) => Pin::new(writing).poll(cx),
            #[cfg(feature = "sqlite")]
            Either::Sqlite(writing) => Pin::new(writing).poll(cx),
        }
    }
}
