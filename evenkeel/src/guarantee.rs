//! What a bot promises with its transport and its journal, and what it cannot.
//!
//! The texts stand here and nowhere else: `evenkeel doctor` prints them for the bot that is set up, and the guide on
//! [operating](crate::docs::operating) has the same table, which a test compares with this one.
//!
//! ```
//! use evenkeel::guarantee::{Guarantees, Keeping, OnUnknown, Reception};
//!
//! let reception = Reception::AcknowledgedAfterCommit { how: "a queue".into() };
//! let promised = Guarantees::new(&reception, true, &Keeping::sqlite("evenkeel.db"), OnUnknown::Dead);
//! assert!(promised.to_string().contains("while the bot is away"));
//! ```

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

/// How events come in, and what becomes of those that come while nobody reads.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reception {
    /// The network forgets what it has delivered, whether or not somebody read it.
    AtMostOnceWhileConnected {
        /// By what means, in a few words.
        how: String,
        /// How many connections are read at all times.
        connections: usize,
    },
    /// The network keeps an event until it is told that the journal has it.
    AcknowledgedAfterCommit {
        /// By what means, in a few words.
        how: String,
    },
    /// The same, by a network that is in the memory of a process and ends with it.
    KeptInMemory {
        /// By what means, in a few words.
        how: String,
    },
    /// The network sends again what came after the last event that the journal has.
    ReplayedFrom {
        /// By what means, in a few words.
        how: String,
        /// For how long it keeps an event.
        kept: Duration,
    },
}

/// What a journal says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keeping {
    /// Where it keeps its record.
    pub kind: Kind,
    /// Whether an event is on the disk before it counts as accepted.
    pub is_synced: bool,
    /// For how many days an event is known again; `None` without such a limit.
    pub known_days: Option<u32>,
    /// How many events are known again.
    pub known_rows: u64,
    /// Whether the record is encrypted.
    pub is_encrypted: bool,
}

/// Where a journal keeps its record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// In memory, until the process ends.
    Memory,
    /// In an SQLite file.
    Sqlite(PathBuf),
    /// In an SQLite file on a file system in memory, such as tmpfs: it outlives the process, and not the system.
    Volatile(PathBuf),
}

impl Keeping {
    /// A journal in memory that knows the newest `known_rows` events again.
    pub fn memory(known_rows: u64) -> Self {
        Self { kind: Kind::Memory, is_synced: false, known_days: None, known_rows, is_encrypted: false }
    }

    /// A journal in an SQLite file with its usual settings.
    pub fn sqlite(path: impl Into<PathBuf>) -> Self {
        let kind = Kind::Sqlite(path.into());
        Self { kind, is_synced: true, known_days: Some(30), known_rows: 5_000_000, is_encrypted: false }
    }

    /// The file in which it keeps its record, if it is in one.
    pub fn path(&self) -> Option<&std::path::Path> {
        match &self.kind {
            Kind::Sqlite(path) | Kind::Volatile(path) => Some(path),
            Kind::Memory => None,
        }
    }

    fn is_memory(&self) -> bool {
        self.kind == Kind::Memory
    }

    fn is_volatile(&self) -> bool {
        matches!(self.kind, Kind::Volatile(_))
    }
}

/// What is done with a reply of which nobody knows whether it arrived, if the network cannot tell a repetition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnUnknown {
    /// It becomes a dead letter: a person decides.
    #[default]
    Dead,
    /// It is sent again, and may arrive twice.
    Resend,
    /// It is counted and forgotten, and may be missing.
    Drop,
}

impl OnUnknown {
    /// The word that settings use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Dead => "dead",
            Self::Resend => "resend",
            Self::Drop => "drop",
        }
    }
}

/// What the rows of a summary are about.
const AWAY: &str = "while the bot is away";
const ACCEPTANCE: &str = "acceptance";
const REPEATED: &str = "the same event again";

/// One promise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Row {
    /// What it is about.
    pub what: &'static str,
    /// What happens.
    pub promise: String,
    /// Why so, and what follows from it.
    pub why: &'static str,
    /// Whether something may be lost or repeated here: the operator should know.
    pub is_limit: bool,
}

/// The guarantees in force, as rows of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Guarantees {
    rows: Vec<Row>,
}

impl Guarantees {
    /// Puts together what a transport ([`reception`](crate::Transport::reception),
    /// [`resends_safely`](crate::Transport::resends_safely)), a journal and an author say.
    pub fn new(
        reception: &Reception,
        resends_safely: bool,
        keeping: &Keeping,
        on_unknown: OnUnknown,
    ) -> Self {
        let rows = vec![
            receiving(reception),
            away(reception),
            acceptance(keeping),
            process_end(keeping),
            power_cut(keeping),
            repeated(keeping),
            order(),
            handled_twice(keeping),
            unknown(resends_safely, on_unknown),
            jobs(keeping),
            secrecy(keeping),
        ];
        Self { rows }
    }

    /// The rows, in the order in which a message meets them.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The promises that differ most from bot to bot, on one line: what is lost while the bot is away, when an event counts
    /// as accepted, and how long it is known again.
    pub fn summary(&self) -> String {
        let told = self.rows.iter().filter(|row| [AWAY, ACCEPTANCE, REPEATED].contains(&row.what));
        let told: Vec<String> = told.map(|row| format!("{}: {}", row.what, row.promise)).collect();
        told.join(" | ")
    }
}

/// The name of each promise, what happens, and why, below each other.
impl fmt::Display for Guarantees {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.rows.iter().map(|row| row.what.len()).max().unwrap_or(0);
        for Row { what, promise, why, .. } in &self.rows {
            writeln!(f, "{what:<width$}  {promise}")?;
            writeln!(f, "{:width$}  ({why})", "")?;
        }
        Ok(())
    }
}

/// A row of which nothing bad is to be said.
fn kept(what: &'static str, promise: impl Into<String>, why: &'static str) -> Row {
    Row { what, promise: promise.into(), why, is_limit: false }
}

fn limit(what: &'static str, promise: impl Into<String>, why: &'static str) -> Row {
    Row { what, promise: promise.into(), why, is_limit: true }
}

fn receiving(reception: &Reception) -> Row {
    let what = "receiving";
    match reception {
        Reception::AtMostOnceWhileConnected { how, connections: 0 | 1 } => kept(
            what,
            format!("{how}, one connection"),
            "a connection that does not answer is read until another one has proven itself; one that breaks is replaced \
             at once, and the log says for how long nobody read",
        ),
        Reception::AtMostOnceWhileConnected { how, connections } => kept(
            what,
            format!("{how}, {connections} connections at all times"),
            "one of them may break without a gap; the journal takes one of the copies",
        ),
        Reception::AcknowledgedAfterCommit { how } | Reception::KeptInMemory { how } => kept(
            what,
            how.clone(),
            "an event is acknowledged once the journal has it, and offered again before",
        ),
        Reception::ReplayedFrom { how, .. } => {
            kept(what, how.clone(), "how far the bot has read is written together with the events")
        }
    }
}

fn away(reception: &Reception) -> Row {
    let what = AWAY;
    match reception {
        Reception::AtMostOnceWhileConnected { .. } => limit(
            what,
            "lost, for nobody keeps what comes while nobody is connected",
            "the network forgets what it has delivered, read or not: restart quickly, and run the bot near the server",
        ),
        Reception::AcknowledgedAfterCommit { .. } => {
            kept(what, "kept by the network until the bot is back", "what is not acknowledged is still there")
        }
        Reception::KeptInMemory { .. } => limit(
            what,
            "kept until a bot takes it, and lost when the process ends before",
            "this network is in the memory of a process: of what people wrote, only what was accepted outlives it",
        ),
        Reception::ReplayedFrom { kept: span, .. } => limit(
            what,
            format!("sent again if the bot is back within {} s", span.as_secs()),
            "the network keeps no more than that",
        ),
    }
}

fn acceptance(keeping: &Keeping) -> Row {
    let what = ACCEPTANCE;
    match (keeping.is_memory(), keeping.is_synced) {
        (true, _) => limit(
            what,
            "in memory",
            "there is no record: `EVENKEEL_JOURNAL` names a file in which to keep one",
        ),
        (false, _) if keeping.is_volatile() => limit(
            what,
            "in a file in memory before it counts as accepted",
            "no disk has it: `EVENKEEL_JOURNAL` names a file on one",
        ),
        (false, true) => kept(
            what,
            "on the disk (fsync) before it counts as accepted",
            "no handler runs and nothing is acknowledged before; events that come together share one fsync",
        ),
        (false, false) => limit(
            what,
            "written, and not synced, before it counts as accepted",
            "the operating system has it, the disk perhaps not yet",
        ),
    }
}

fn process_end(keeping: &Keeping) -> Row {
    let what = "kill -9 or a crash";
    if keeping.is_memory() {
        let why = "stop the bot with SIGTERM: it then finishes what it has begun";
        return limit(what, "what was accepted and not answered is lost, with replies and jobs", why);
    }
    kept(
        what,
        "no accepted event, promised reply or job is lost",
        "the next start takes them up again where they were, each at its place in its conversation",
    )
}

fn power_cut(keeping: &Keeping) -> Row {
    let what = "a power cut";
    match (keeping.is_memory(), keeping.is_synced) {
        (true, _) => limit(what, "as kill -9", "there is no record"),
        (false, _) if keeping.is_volatile() => {
            limit(what, "loses all of it, and so does a reboot", "the file is on a file system in memory")
        }
        (false, true) => limit(
            what,
            "as kill -9; but a reply that was postponed, and sent just before, may be sent twice",
            "marks are on the disk with the next event or end of one, not at once: that an attempt began, that a reply is \
             being sent again, that it was sent",
        ),
        (false, false) => limit(
            what,
            "may undo the last moments before it",
            "nothing is synced before the operating system gets round to it",
        ),
    }
}

fn repeated(keeping: &Keeping) -> Row {
    let what = REPEATED;
    let rows = thousands(keeping.known_rows);
    match (keeping.is_memory(), keeping.known_days) {
        (true, _) => limit(
            what,
            format!("handled once, among the newest {rows} since the start"),
            "a restart forgets which events came",
        ),
        (false, Some(days)) => kept(
            what,
            format!("handled once, within {days} days and the newest {rows}"),
            "what is older is forgotten, so that the file does not grow for ever",
        ),
        (false, None) => kept(
            what,
            format!("handled once, among the newest {rows}"),
            "what is older is forgotten, so that the file does not grow for ever",
        ),
    }
}

fn order() -> Row {
    kept(
        "order",
        "kept within a conversation, for events and for replies",
        "a conversation has one lane, in which retries wait too; conversations run beside each other; dead letters that \
         are replayed come last",
    )
}

fn handled_twice(keeping: &Keeping) -> Row {
    let what = "what a handler does elsewhere";
    if keeping.is_memory() {
        let why = "a restart does not know that the handler had begun";
        return limit(what, "may be half done when the process ends", why);
    }
    limit(
        what,
        "may be repeated when a handler fails or the process ends in the middle of it",
        "the event is handled again; replies are not doubled by that, and `cx.step` keeps the result of a part",
    )
}

fn unknown(resends_safely: bool, on_unknown: OnUnknown) -> Row {
    let what = "replies of unknown outcome";
    if resends_safely {
        let why = "the network knows the key of a reply that it has taken";
        return kept(what, "sent again, and taken once", why);
    }
    match on_unknown {
        OnUnknown::Dead => limit(
            what,
            "`on_unknown = dead`: not repeated; kept as a dead letter",
            "the network cannot tell a repetition: the reply may be missing until a person decides, and is never doubled",
        ),
        OnUnknown::Resend => limit(
            what,
            "`on_unknown = resend`: sent again, three times at most; then kept as a dead letter",
            "the network cannot tell a repetition: the reply may arrive each time",
        ),
        OnUnknown::Drop => limit(
            what,
            "`on_unknown = drop`: counted and forgotten",
            "the network cannot tell a repetition: the reply may be missing, and is never doubled",
        ),
    }
}

fn jobs(keeping: &Keeping) -> Row {
    let what = "jobs";
    if keeping.is_memory() {
        return limit(what, "gone when the process ends", "there is no record");
    }
    kept(
        what,
        "kept; one that was due while the bot was away runs once, late",
        "`fire_once` is the default for missed times; a schedule may say `skip` or `fire_all`",
    )
}

fn secrecy(keeping: &Keeping) -> Row {
    let what = "the record itself";
    match (&keeping.kind, keeping.is_encrypted) {
        (Kind::Memory, _) => kept(what, "leaves no trace", "nothing is written"),
        (Kind::Sqlite(path) | Kind::Volatile(path), true) => {
            kept(what, format!("`{}`, encrypted", path.display()), "it cannot be read without its key")
        }
        (Kind::Sqlite(path) | Kind::Volatile(path), false) => limit(
            what,
            format!("`{}`, not encrypted", path.display()),
            "it holds the texts of events that are not done and of dead letters: whoever reads the file reads them",
        ),
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
mod tests;
