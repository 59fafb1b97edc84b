//! What a journal promises of its record.

use std::path::{Path, PathBuf};

use super::promise::Promise;

/// What a journal promises of the record that it keeps.
///
/// [`memory`](Self::memory) and [`file`](Self::file) are the journals of this crate. One of another kind begins with
/// [`disk`](Self::disk) and says what differs in its own words:
///
/// ```
/// use evenkeel::guarantee::{Durability, Promise};
///
/// let record = Promise::limit("a database at `db.example.org`", "anyone who may read its tables reads the texts");
/// let power_cut = Promise::kept("as kill -9", "two other machines have what was accepted");
/// let replicated = Durability::disk(record).with_window(Some(7), 1_000_000).with_power_cut(power_cut);
/// assert_eq!(replicated.path(), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Durability {
    pub(super) acceptance: Promise,
    pub(super) process_end: Promise,
    pub(super) power_cut: Promise,
    pub(super) repeated: Promise,
    pub(super) side_effects: Promise,
    pub(super) jobs: Promise,
    pub(super) record: Promise,
    path: Option<PathBuf>,
}

impl Durability {
    /// A record in memory that knows the newest `known_rows` events again.
    pub fn memory(known_rows: u64) -> Self {
        let rows = thousands(known_rows);
        Self {
            acceptance: Promise::limit(
                "in memory",
                "there is no record: `EVENKEEL_JOURNAL` names a file in which to keep one",
            ),
            process_end: Promise::limit(
                "what was accepted and not answered is lost, with replies and jobs",
                "stop the bot with SIGTERM: it then finishes what it has begun",
            ),
            power_cut: Promise::limit("as kill -9", "there is no record"),
            repeated: Promise::limit(
                format!("handled once, among the newest {rows} since the start"),
                "a restart forgets which events came",
            ),
            side_effects: Promise::limit(
                "may be half done when the process ends",
                "a restart does not know that the handler had begun",
            ),
            jobs: Promise::limit("gone when the process ends", "there is no record"),
            record: Promise::kept("leaves no trace", "nothing is written"),
            path: None,
        }
    }

    /// A record on a disk, where what is accepted is synced. `record` says where it is, and who may read it.
    pub fn disk(record: Promise) -> Self {
        Self {
            acceptance: Promise::kept(
                "on the disk (fsync) before it counts as accepted",
                "no handler runs and nothing is acknowledged before; events that come together share one fsync",
            ),
            process_end: Promise::kept(
                "no accepted event, promised reply or job is lost",
                "the next start takes them up again where they were, each at its place in its conversation",
            ),
            power_cut: Promise::limit(
                "as kill -9; but a reply that was postponed, and sent just before, may be sent twice",
                "marks are on the disk with the next event or end of one, not at once: that an attempt began, that a reply \
                 is being sent again, that it was sent",
            ),
            repeated: Promise::kept(
                "handled once",
                "what came is known again for as long as the record has it",
            ),
            side_effects: Promise::limit(
                "may be repeated when a handler fails or the process ends in the middle of it",
                "the event is handled again; replies are not doubled by that, and `cx.step` keeps the result of a part",
            ),
            jobs: Promise::kept(
                "kept; one that was due while the bot was away runs once, late",
                "`fire_once` is the default for missed times; a schedule may say `skip` or `fire_all`",
            ),
            record,
            path: None,
        }
    }

    /// A record in a file on a disk, which everybody reads who may read the file.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let record = Promise::limit(
            format!("`{}`, not encrypted", path.display()),
            "it holds the texts of events that are not done and of dead letters: anyone who reads the file reads them",
        );
        Self { path: Some(path), ..Self::disk(record) }
    }

    /// The same with a file that cannot be read without its key.
    pub fn encrypted_file(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let record =
            Promise::kept(format!("`{}`, encrypted", path.display()), "it cannot be read without its key");
        Self { path: Some(path), ..Self::disk(record) }
    }

    /// The file is on a file system in memory, such as tmpfs: it outlives the process, and not the system.
    #[must_use]
    pub fn with_file_in_memory(self) -> Self {
        let acceptance = Promise::limit(
            "in a file in memory before it counts as accepted",
            "no disk has it: `EVENKEEL_JOURNAL` names a file on one",
        );
        let power_cut =
            Promise::limit("loses all of it, and so does a reboot", "the file is on a file system in memory");
        self.with_acceptance(acceptance).with_power_cut(power_cut)
    }

    /// What is accepted is written, and synced when the operating system gets round to it.
    #[must_use]
    pub fn without_sync(self) -> Self {
        let acceptance = Promise::limit(
            "written, and not synced, before it counts as accepted",
            "the operating system has it, the disk perhaps not yet",
        );
        let power_cut = Promise::limit(
            "may undo the last moments before it",
            "nothing is synced before the operating system gets round to it",
        );
        self.with_acceptance(acceptance).with_power_cut(power_cut)
    }

    /// An event is known again within this many days, and among this many.
    #[must_use]
    pub fn with_window(self, days: Option<u32>, rows: u64) -> Self {
        let rows = thousands(rows);
        let text = match days {
            Some(days) => format!("handled once, within {days} days and the newest {rows}"),
            None => format!("handled once, among the newest {rows}"),
        };
        self.with_repeated(Promise::kept(
            text,
            "what is older is forgotten, so that the file does not grow for ever",
        ))
    }

    /// What has happened to an event when it counts as accepted.
    #[must_use]
    pub fn with_acceptance(mut self, promise: Promise) -> Self {
        self.acceptance = promise;
        self
    }

    /// What an end of the process in the middle of everything loses.
    #[must_use]
    pub fn with_process_end(mut self, promise: Promise) -> Self {
        self.process_end = promise;
        self
    }

    /// What an end of the machine in the middle of everything loses.
    #[must_use]
    pub fn with_power_cut(mut self, promise: Promise) -> Self {
        self.power_cut = promise;
        self
    }

    /// What happens to an event that the network delivers again.
    #[must_use]
    pub fn with_repeated(mut self, promise: Promise) -> Self {
        self.repeated = promise;
        self
    }

    /// What happens to jobs that are due while no bot runs.
    #[must_use]
    pub fn with_jobs(mut self, promise: Promise) -> Self {
        self.jobs = promise;
        self
    }

    /// The file in which the record is, if it is in one.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }
}

/// `5,000,000` for 5000000.
fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::thousands;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        let grouped = [0, 7, 999, 1_000, 65_536, 5_000_000].map(thousands);
        assert_eq!(grouped, ["0", "7", "999", "1,000", "65,536", "5,000,000"]);
    }
}
