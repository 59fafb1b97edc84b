//! How the journal is, for anyone who shows it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How a journal is. Cloning is cheap; all clones show the same.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<Gauges>);

#[derive(Debug, Default)]
struct Gauges {
    batches: AtomicU64,
    entries: AtomicU64,
    full_commits: AtomicU64,
    normal_commits: AtomicU64,
    checkpoints: AtomicU64,
    failures: AtomicU64,
    wal_bytes: AtomicU64,
    wal_peak_bytes: AtomicU64,
    busy_micros: AtomicU64,
    is_failing: AtomicBool,
    is_removed: AtomicBool,
    /// Set once by the journal; the writer stops trying again.
    is_closing: AtomicBool,
    last_error: Mutex<Option<String>>,
}

/// What a journal has done, and whether it can.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Batches that were written.
    pub batches: u64,
    /// Entries in them.
    pub entries: u64,
    /// Commits that waited for the disk: one sync each.
    pub full_commits: u64,
    /// Commits that did not.
    pub normal_commits: u64,
    /// How often the write-ahead log was moved into the file: two syncs each.
    pub checkpoints: u64,
    /// Writes that failed and were tried again.
    pub failures: u64,
    /// The present length of the write-ahead log.
    pub wal_bytes: u64,
    /// The longest that it has been.
    pub wal_peak_bytes: u64,
    /// How long the writer has worked.
    pub busy: Duration,
    /// Whether nothing can be written at present.
    pub is_failing: bool,
    /// Whether the file was removed or replaced meanwhile: what is written is lost with the process.
    pub is_removed: bool,
    /// The last error of the disk or of SQLite, if there was one.
    pub last_error: Option<String>,
}

impl Health {
    /// Reads all of it.
    pub fn stats(&self) -> Stats {
        let gauges = &*self.0;
        Stats {
            batches: gauges.batches.load(Relaxed),
            entries: gauges.entries.load(Relaxed),
            full_commits: gauges.full_commits.load(Relaxed),
            normal_commits: gauges.normal_commits.load(Relaxed),
            checkpoints: gauges.checkpoints.load(Relaxed),
            failures: gauges.failures.load(Relaxed),
            wal_bytes: gauges.wal_bytes.load(Relaxed),
            wal_peak_bytes: gauges.wal_peak_bytes.load(Relaxed),
            busy: Duration::from_micros(gauges.busy_micros.load(Relaxed)),
            is_failing: gauges.is_failing.load(Relaxed),
            is_removed: gauges.is_removed.load(Relaxed),
            last_error: gauges.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// A batch was written.
    pub(crate) fn wrote(&self, entries: usize, busy: Duration) {
        self.0.batches.fetch_add(1, Relaxed);
        self.0.entries.fetch_add(entries as u64, Relaxed);
        self.busy(busy);
    }

    /// It waited for the disk.
    pub(crate) fn synced(&self) {
        self.0.full_commits.fetch_add(1, Relaxed);
    }

    /// It did not.
    pub(crate) fn unsynced(&self) {
        self.0.normal_commits.fetch_add(1, Relaxed);
    }

    pub(crate) fn busy(&self, busy: Duration) {
        self.0.busy_micros.fetch_add(u64::try_from(busy.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    pub(crate) fn checkpointed(&self) {
        self.0.checkpoints.fetch_add(1, Relaxed);
    }

    pub(crate) fn wal(&self, bytes: u64) {
        self.0.wal_bytes.store(bytes, Relaxed);
        self.0.wal_peak_bytes.fetch_max(bytes, Relaxed);
    }

    /// Whether this is the first failure in a row.
    pub(crate) fn failed(&self, error: String) -> bool {
        self.0.failures.fetch_add(1, Relaxed);
        *self.0.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        !self.0.is_failing.swap(true, Relaxed)
    }

    pub(crate) fn mended(&self) {
        self.0.is_failing.store(false, Relaxed);
    }

    /// The file was taken away.
    pub(crate) fn removed(&self) {
        self.0.is_removed.store(true, Relaxed);
    }

    pub(crate) fn stop_trying(&self) {
        self.0.is_closing.store(true, Relaxed);
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.0.is_closing.load(Relaxed)
    }
}
