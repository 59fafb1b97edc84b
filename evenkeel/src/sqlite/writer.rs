//! The connection that writes: after a failure it is opened anew, and nothing is taken for written that may not be.

use std::borrow::Borrow;
use std::collections::VecDeque;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};

use super::disk;
use super::health::Health;
use super::open::{Location, checkpoint, keep_log};
use crate::error::{Error, Result};

/// The pages of the file, and the frames of its log, which have a header.
const FRAME_BYTES: i64 = 4096 + 24;

/// The log is moved into the file from here on when there is nothing else to do,
const TIDY_BYTES: i64 = 1 << 20;

/// and from here on in any case;
const FULL_BYTES: i64 = 8 << 20;

/// here a reader holds it up, and is waited for.
const LONG_BYTES: i64 = 16 << 20;

/// A full disk and a lock of another program are tried again after this time; so is whatever else has failed.
const PAUSE: Duration = Duration::from_secs(1);

/// This many failures in [`FAILURES_WITHIN`] are too many, unless the disk is full or another program has a lock.
const FAILURES: usize = 3;
const FAILURES_WITHIN: Duration = Duration::from_secs(60);

/// A connection that writes, with what is known of its file.
pub(crate) trait Session: Borrow<Connection> + Sized {
    /// What it is opened with.
    type Options;
    /// What differs after each commit that must not be made twice.
    type Mark: PartialEq;

    fn open(connection: Connection, options: &Self::Options) -> rusqlite::Result<Self>;

    fn mark(&self) -> Self::Mark;

    /// Gives back a few pages that hold nothing any more; whether there were any. The file gets shorter with the next checkpoint.
    fn shrink(&mut self) -> rusqlite::Result<bool>;
}

/// Why something was not written.
pub(crate) struct Failure<M, T> {
    pub(crate) error: rusqlite::Error,
    /// A commit may fail and be in the file all the same: then this is its mark, and its answer.
    pub(crate) done: Option<Box<(M, T)>>,
}

impl<M, T> From<rusqlite::Error> for Failure<M, T> {
    fn from(error: rusqlite::Error) -> Self {
        Self { error, done: None }
    }
}

/// The connection that writes, for as long as there is one.
pub(crate) struct Writer<S: Session> {
    place: Location,
    options: S::Options,
    /// `None` after a failure that could not be mended.
    session: Option<S>,
    health: Health,
    failures: VecDeque<Instant>,
    /// Whether pages were given back since the last time that there were none.
    has_shrunk: bool,
    /// Which file it is, and when that was last looked at; `None` once it is known to be another one.
    file: Option<(disk::Identity, Instant)>,
}

impl<S: Session> Writer<S> {
    pub(crate) fn open(place: Location, options: S::Options, health: Health) -> Result<Self> {
        let session = place.open(|connection| S::open(connection, &options))?;
        let file = disk::identity(&place.path).map(|file| (file, Instant::now()));
        let failures = VecDeque::new();
        Ok(Self { place, options, session: Some(session), health, failures, has_shrunk: false, file })
    }

    pub(crate) fn place(&self) -> &Location {
        &self.place
    }

    pub(crate) fn health(&self) -> &Health {
        &self.health
    }

    /// Writes until it is certain to be in the file.
    pub(crate) fn commit<T>(
        &mut self,
        write: impl FnMut(&mut S) -> Result<T, Failure<S::Mark, T>>,
    ) -> Result<T> {
        let written = self.run(write)?;
        self.look_at_file();
        Ok(written)
    }

    /// Asks what can be asked twice.
    pub(crate) fn ask<T>(&mut self, question: impl Fn(&mut S) -> rusqlite::Result<T>) -> Result<T> {
        self.run(|session| question(session).map_err(Failure::from))
    }

    fn run<T>(&mut self, mut work: impl FnMut(&mut S) -> Result<T, Failure<S::Mark, T>>) -> Result<T> {
        let session = self.session.as_mut().ok_or_else(ended)?;
        work(session).or_else(|failure| self.mend(failure, work))
    }

    /// Does what follows a batch.
    pub(crate) fn settle(&mut self) {
        self.checkpoint(FULL_BYTES);
    }

    /// Does a little of what can wait, the first of these that has something to do; whether there is more.
    pub(crate) fn tidy(&mut self, works: &[fn(&mut S) -> rusqlite::Result<bool>]) -> bool {
        self.checkpoint(TIDY_BYTES);
        works.iter().any(|work| self.a_little(*work)) || self.shrink()
    }

    pub(crate) fn close(&mut self) {
        let Some(session) = self.session.take() else { return };
        let connection: &Connection = session.borrow();
        // Closing it takes the empty log away.
        let done = checkpoint(connection, "TRUNCATE").and_then(|_| keep_log(connection, false));
        if let Err(error) = done {
            // Nothing is lost by that: the next start reads the log.
            tracing::warn!(path = %self.place.path.display(), %error, "the journal's log stays as it is");
        }
    }

    /// Notices, and says once, that somebody has taken the file away: it is written all the same, and nobody finds it.
    fn look_at_file(&mut self) {
        let Some((file, looked)) = &mut self.file else { return };
        if looked.elapsed() < PAUSE {
            return;
        }
        *looked = Instant::now();
        if disk::identity(&self.place.path).as_ref() != Some(file) {
            self.file = None;
            self.health.removed();
            tracing::error!(
                path = %self.place.path.display(),
                "the file of the journal was removed or replaced: the next start will know nothing of what happens now; \
                 stop the bot with SIGTERM, look after the file, and start again"
            );
        }
    }

    /// Does again what has failed, on a new connection, until it is certain to be in the file.
    fn mend<T>(
        &mut self,
        mut failure: Failure<S::Mark, T>,
        mut again: impl FnMut(&mut S) -> Result<T, Failure<S::Mark, T>>,
    ) -> Result<T> {
        // The answer of a commit that failed: should it be in the file all the same, it holds.
        let mut pending = None;
        loop {
            // Before the connection is closed, which may empty the log.
            let is_limited = self.is_limited(&failure.error);
            // Nothing that this connection believes to be written is to be trusted.
            self.session = None;
            pending = failure.done.take().or(pending);
            self.note(&failure.error, is_limited)?;
            let written = self.reopen().map_err(Failure::from).and_then(|session| {
                let session = self.session.insert(session);
                match pending.take() {
                    Some(done) if session.mark() == done.0 => Ok(done.1),
                    _ => again(session),
                }
            });
            match written {
                Ok(written) => {
                    self.health.mended();
                    tracing::info!(path = %self.place.path.display(), "the journal is written again");
                    return Ok(written);
                }
                Err(next) => failure = next,
            }
        }
    }

    fn reopen(&self) -> rusqlite::Result<S> {
        self.place.reopen(|connection| S::open(connection, &self.options))
    }

    /// Whether a file of the journal may not grow any more. SQLite has no word of its own for that.
    fn is_limited(&self, error: &rusqlite::Error) -> bool {
        error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure) && disk::is_at_limit(&self.place.path)
    }

    /// Counts a failure and waits a while, or gives up.
    fn note(&mut self, error: &rusqlite::Error, is_limited: bool) -> Result<()> {
        let path = self.place.path.display();
        let is_full = error.sqlite_error_code() == Some(ErrorCode::DiskFull) || is_limited;
        let is_taken =
            matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked));
        if self.health.failed(error.to_string()) {
            if is_limited {
                tracing::error!(%path, "the journal may not grow (`ulimit -f`, `LimitFSIZE=`): the bot waits for a higher limit");
            } else if is_full {
                tracing::error!(%path, "the disk of the journal is full: the bot waits for room");
            } else if is_taken {
                tracing::error!(%path, "another program keeps the journal for itself: the bot waits until it ends");
            } else {
                tracing::error!(%path, %error, "the journal could not be written: it is opened again");
            }
        }
        let now = Instant::now();
        self.failures.retain(|failure| now.duration_since(*failure) < FAILURES_WITHIN);
        if !is_full && !is_taken {
            self.failures.push_back(now);
        }
        let is_damaged = error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt);
        if self.health.is_closing() || is_damaged || self.failures.len() >= FAILURES {
            return Err(self.place.explain(error));
        }
        if is_full || is_taken || self.failures.len() > 1 {
            self.pause();
        }
        Ok(())
    }

    /// Waits, but not for longer than the journal is wanted.
    fn pause(&self) {
        let until = Instant::now() + PAUSE;
        while Instant::now() < until && !self.health.is_closing() {
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Moves the log into the file if it is longer than this. A failure here has lost nothing: the log is still there,
    /// and the connection is given up for a new one with the next batch.
    fn checkpoint(&mut self, from_bytes: i64) {
        let Some(session) = &self.session else { return };
        let start = Instant::now();
        let connection: &Connection = session.borrow();
        let done = frames(connection).and_then(|(frames, moved)| {
            let bytes = frames * FRAME_BYTES;
            self.health.wal(u64::try_from(bytes).unwrap_or(0));
            if (frames - moved) * FRAME_BYTES < from_bytes {
                return Ok(());
            }
            self.health.checkpointed();
            let is_done = checkpoint(connection, "PASSIVE")?;
            if !is_done && bytes > LONG_BYTES {
                checkpoint(connection, "TRUNCATE")?;
            }
            Ok(())
        });
        self.health.busy(start.elapsed());
        if let Err(error) = done {
            self.replace(error);
        }
    }

    /// Gives back some of what the file does not need; whether there may be more.
    fn shrink(&mut self) -> bool {
        let has_shrunk = self.a_little(S::shrink);
        self.has_shrunk |= has_shrunk;
        if !has_shrunk && std::mem::take(&mut self.has_shrunk) {
            // Only now does the file get shorter by what is in the log.
            self.checkpoint(1);
        }
        has_shrunk
    }

    /// Does some of what can wait; whether there is more of it.
    fn a_little(&mut self, work: fn(&mut S) -> rusqlite::Result<bool>) -> bool {
        let Some(session) = &mut self.session else { return false };
        let start = Instant::now();
        let done = work(session);
        self.health.busy(start.elapsed());
        done.unwrap_or_else(|error| {
            self.replace(error);
            false
        })
    }

    /// Opens the file again, for as long as that is worth trying.
    fn replace(&mut self, mut error: rusqlite::Error) {
        let mut is_limited = self.is_limited(&error);
        self.session = None;
        while let Ok(()) = self.note(&error, is_limited) {
            match self.reopen() {
                Ok(session) => {
                    self.session = Some(session);
                    self.health.mended();
                    return;
                }
                Err(next) => {
                    is_limited = self.is_limited(&next);
                    error = next;
                }
            }
        }
    }
}

/// Frames in the write-ahead log, and how many of them are in the file itself.
fn frames(connection: &Connection) -> rusqlite::Result<(i64, i64)> {
    let mut statement = connection.prepare_cached("PRAGMA wal_checkpoint(NOOP)")?;
    statement.query_row([], |row| Ok((row.get(1)?, row.get(2)?)))
}

fn ended() -> Error {
    Error::new("the journal has failed and takes nothing more")
        .with_hint("look at the disk, then start the bot again")
}
