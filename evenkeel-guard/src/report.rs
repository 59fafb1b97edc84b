//! What the guard says of a poll that took too long.

use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, Serializer};

/// Names what a future does, and where the author asked for it. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Label(Arc<Named>);

#[derive(Debug)]
struct Named {
    name: Box<str>,
    location: &'static Location<'static>,
}

impl Label {
    /// A name, with the caller's line.
    #[track_caller]
    pub fn new(name: impl Into<Box<str>>) -> Self {
        Self::at(name, Location::caller())
    }

    /// A name, with a line noted earlier.
    pub fn at(name: impl Into<Box<str>>, location: &'static Location<'static>) -> Self {
        Self(Arc::new(Named { name: name.into(), location }))
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The author's line.
    pub fn location(&self) -> &'static Location<'static> {
        self.0.location
    }

    /// Whether both are clones of one label.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// What kind of work keeps a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Class {
    /// `std::thread::sleep` and its kin.
    Sleep,
    /// Files, their metadata and directories.
    File,
    /// Sockets in blocking mode.
    Network,
    /// Looking up the address of a name.
    Lookup,
    /// Starting another process, or waiting for it.
    Process,
    /// Waiting for a thread to end.
    Join,
    /// Waiting for another thread: a channel, a condition variable, `park`, `block_on`.
    Wait,
    /// Waiting for a lock that somebody else holds.
    Contention,
    /// Reading standard input.
    Input,
    /// Writing to a standard output that takes no more, or that another thread has locked.
    Output,
    /// Keeping a core busy.
    Compute,
    /// A loop whose `.await`s are always ready, so that it never lets go of the thread.
    AlwaysReady,
    /// Asleep in the kernel by a way that the guard does not see coming.
    Unknown,
}

/// One step of a call path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Frame {
    /// The demangled path of the function, without hash; `None` where the program has no symbols.
    pub function: Option<String>,
    /// The source file, where the program has line tables.
    pub file: Option<String>,
    /// The line of that file.
    pub line: Option<u32>,
}

/// A poll that kept its thread for too long.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// Counts the reports of one executor; the two reports of one poll share it.
    pub number: u64,
    /// What was being polled.
    pub name: String,
    /// The file in which the author asked for it.
    pub file: &'static str,
    /// The line of that file.
    pub line: u32,
    /// How long the poll has lasted, in seconds.
    #[serde(rename = "seconds", serialize_with = "as_seconds")]
    pub elapsed: Duration,
    /// Whether it has returned meanwhile.
    pub is_over: bool,
}

fn as_seconds<S: Serializer>(elapsed: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(elapsed.as_secs_f64())
}

impl Report {
    pub(crate) fn new(number: u64, label: &Label, elapsed: Duration, is_over: bool) -> Self {
        let location = label.location();
        let (file, line) = (location.file(), location.line());
        Self { number, name: label.name().to_owned(), file, line, elapsed, is_over }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, file, line, elapsed, is_over, .. } = self;
        let verb = if *is_over { "kept" } else { "has been keeping" };
        write!(
            f,
            "`{name}` ({file}:{line}) {verb} its thread for {} ms without an `.await`",
            elapsed.as_millis()
        )
    }
}
