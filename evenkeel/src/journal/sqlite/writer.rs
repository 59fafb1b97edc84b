//! What the thread that owns the connection does.

use std::collections::VecDeque;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::ErrorCode;

use super::apply::{self, Failure};
use super::disk;
use super::handover::Work;
use super::health::Health;
use super::open::Place;
use super::recover::recover;
use super::store::Store;
use crate::error::{Error, Result};
use crate::journal::{Answer, Entry};
use crate::journal::{Recovered, Written};

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

/// So many failures in [`FAILURES_WITHIN`] are too many, unless the disk is full or another program has a lock.
const FAILURES: usize = 3;
const FAILURES_WITHIN: Duration = Duration::from_secs(60);

/// The writer's work, and what it works on.
pub(super) struct Writer {
    place: Place,
    /// `None` after a failure that could not be mended.
    store: Option<Store>,
    health: Health,
    failures: VecDeque<Instant>,
    /// Whether pages were given back since the last time that there were none.
    has_shrunk: bool,
    /// Which file the journal is in, and when that was last looked at; `None` once it is known to be another one.
    file: Option<(disk::Identity, Instant)>,
}

impl Work for Writer {
    type Batch = Vec<Entry>;
    type Written = Result<Written>;
    type Recovered = Result<Recovered>;

    fn recover(&mut self) -> Result<Recovered> {
        let store = self.store.as_mut().ok_or_else(ended)?;
        recover(store).map_err(|error| self.place.explain(&error))
    }

    fn write(&mut self, batch: Vec<Entry>) -> Result<Written> {
        let start = Instant::now();
        let store = self.store.as_mut().ok_or_else(ended)?;
        let before = store.counters.batch;
        let (answers, class) = match apply::write(store, &batch) {
            Ok(written) => written,
            Err(failure) => (self.mend(&batch, before, failure)?, None),
        };
        self.health.wrote(batch.len(), class, start.elapsed());
        self.look_at_file();
        Ok(Written { batch, answers })
    }

    fn settle(&mut self) {
        self.checkpoint(FULL_BYTES);
    }

    fn tidy(&mut self) -> bool {
        self.checkpoint(TIDY_BYTES);
        self.shrink()
    }

    fn close(&mut self) {
        let Some(store) = self.store.take() else { return };
        let done = store.checkpoint("TRUNCATE").and_then(|_| store.tidy_on_close());
        if let Err(error) = done {
            // Nothing is lost by that: the next start reads the log.
            tracing::warn!(path = %self.place.path.display(), %error, "the journal's log stays as it is");
        }
    }
}

impl Writer {
    pub(super) fn new(place: Place, store: Store, health: Health) -> Self {
        let file = disk::identity(&place.path).map(|file| (file, Instant::now()));
        let failures = VecDeque::new();
        Self { place, store: Some(store), health, failures, has_shrunk: false, file }
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

    /// Writes a batch that failed, on a new connection, until it is certain to be in the file.
    fn mend(&mut self, batch: &[Entry], before: u64, mut failure: Failure) -> Result<Vec<Answer>> {
        // The answers of a commit that failed: should it be in the file all the same, they hold.
        let mut pending = None;
        loop {
            // Before the connection is closed, which may empty the log.
            let is_limited = self.is_limited(&failure.error);
            // Nothing that this connection believes to be written is to be trusted.
            self.store = None;
            pending = failure.answers.take().or(pending);
            self.note(&failure.error, is_limited)?;
            let written = self.place.reopen().map_err(Failure::from).and_then(|store| {
                let store = self.store.insert(store);
                match pending.take() {
                    Some(answers) if store.counters.batch > before => Ok(answers),
                    _ => apply::write(store, batch).map(|(answers, _)| answers),
                }
            });
            match written {
                Ok(answers) => {
                    self.health.mended();
                    tracing::info!(path = %self.place.path.display(), "the journal is written again");
                    return Ok(answers);
                }
                Err(next) => failure = next,
            }
        }
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
        let Some(store) = &self.store else { return };
        let start = Instant::now();
        let done = store.frames().and_then(|(frames, moved)| {
            let bytes = frames * FRAME_BYTES;
            self.health.wal(u64::try_from(bytes).unwrap_or(0));
            if (frames - moved) * FRAME_BYTES < from_bytes {
                return Ok(());
            }
            self.health.checkpointed();
            let is_done = store.checkpoint("PASSIVE")?;
            if !is_done && bytes > LONG_BYTES {
                store.checkpoint("TRUNCATE")?;
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
        let Some(store) = &mut self.store else { return false };
        let start = Instant::now();
        let done = store.shrink();
        self.health.busy(start.elapsed());
        match done {
            Ok(has_shrunk) => {
                self.has_shrunk |= has_shrunk;
                if !has_shrunk && std::mem::take(&mut self.has_shrunk) {
                    // Only now does the file get shorter by what is in the log.
                    self.checkpoint(1);
                }
                has_shrunk
            }
            Err(error) => {
                self.replace(error);
                false
            }
        }
    }

    /// Opens the file again, for as long as that is worth trying.
    fn replace(&mut self, mut error: rusqlite::Error) {
        let mut is_limited = self.is_limited(&error);
        self.store = None;
        while let Ok(()) = self.note(&error, is_limited) {
            match self.place.reopen() {
                Ok(store) => {
                    self.store = Some(store);
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

fn ended() -> Error {
    Error::new("the journal has failed and takes nothing more")
        .with_hint("look at the disk, then start the bot again")
}
