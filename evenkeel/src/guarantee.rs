//! What a bot promises with its transport and its journal, and what it cannot.
//!
//! The texts stand here, unless a journal of another kind brings its own: `evenkeel doctor` prints them for the bot that is set up, and the guide on
//! [operating](crate::docs::operating) has the same table, which a test compares with this one.
//!
//! ```
//! use evenkeel::guarantee::{Durability, Guarantees, OnUnknown, DeliveryMode};
//!
//! let delivery_mode = DeliveryMode::AcknowledgedAfterCommit { how: "a queue".into() };
//! let promised = Guarantees::new(&delivery_mode, true, &Durability::file("evenkeel.db"), OnUnknown::Dead);
//! assert!(promised.to_string().contains("while the bot is away"));
//! ```

mod promise;
mod durability;

use std::fmt;
use std::time::Duration;

use serde::Serialize;

pub use durability::Durability;
pub use promise::{Promise, Row};

/// How events come in, and what becomes of those that come while nobody reads.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeliveryMode {
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

/// The guarantees in force, as rows of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Guarantees {
    rows: Vec<Row>,
}

impl Guarantees {
    /// Puts together what a transport ([`delivery_mode`](crate::Transport::delivery_mode),
    /// [`is_idempotent`](crate::Transport::is_idempotent)), a journal and an author say.
    pub fn new(
        delivery_mode: &DeliveryMode,
        is_idempotent: bool,
        durability: &Durability,
        on_unknown: OnUnknown,
    ) -> Self {
        let Durability { acceptance, process_end, power_cut, repeated, side_effects, jobs, record, .. } =
            durability.clone();
        let rows = vec![
            receiving(delivery_mode).about("receiving"),
            away(delivery_mode).about(AWAY),
            acceptance.about(ACCEPTANCE),
            process_end.about("kill -9 or a crash"),
            power_cut.about("a power cut"),
            repeated.about(REPEATED),
            order().about("order"),
            side_effects.about("what a handler does elsewhere"),
            unknown(is_idempotent, on_unknown).about("replies of unknown outcome"),
            jobs.about("jobs"),
            record.about("the record itself"),
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

fn receiving(delivery_mode: &DeliveryMode) -> Promise {
    match delivery_mode {
        DeliveryMode::AtMostOnceWhileConnected { how, connections: 0 | 1 } => Promise::kept(
            format!("{how}, one connection"),
            "a connection that does not answer is read until another one has proven itself; one that breaks is replaced \
             at once, and the log says for how long nobody read",
        ),
        DeliveryMode::AtMostOnceWhileConnected { how, connections } => Promise::kept(
            format!("{how}, {connections} connections at all times"),
            "one of them may break without a gap; the journal takes one of the copies",
        ),
        DeliveryMode::AcknowledgedAfterCommit { how } | DeliveryMode::KeptInMemory { how } => Promise::kept(
            how.clone(),
            "an event is acknowledged once the journal has it, and offered again before",
        ),
        DeliveryMode::ReplayedFrom { how, .. } => Promise::kept(
            how.clone(),
            "the network sends again what came after the last event that the journal has",
        ),
    }
}

fn away(delivery_mode: &DeliveryMode) -> Promise {
    match delivery_mode {
        DeliveryMode::AtMostOnceWhileConnected { .. } => Promise::limit(
            "lost, for nobody keeps what comes while nobody is connected",
            "the network forgets what it has delivered, read or not: restart quickly, and run the bot near the server",
        ),
        DeliveryMode::AcknowledgedAfterCommit { .. } => Promise::kept(
            "kept by the network until the bot is back",
            "what is not acknowledged is still there",
        ),
        DeliveryMode::KeptInMemory { .. } => Promise::limit(
            "kept until a bot takes it, and lost when the process ends before",
            "this network is in the memory of a process: of what people wrote, only what was accepted outlives it",
        ),
        DeliveryMode::ReplayedFrom { kept: span, .. } => Promise::limit(
            format!("sent again if the bot is back within {} s", span.as_secs()),
            "the network keeps no more than that",
        ),
    }
}

fn order() -> Promise {
    Promise::kept(
        "kept within a conversation, for events and for replies",
        "a conversation has one lane, in which retries wait too; conversations run beside each other; dead letters that \
         are replayed come last",
    )
}

fn unknown(is_idempotent: bool, on_unknown: OnUnknown) -> Promise {
    if is_idempotent {
        let why = "the network knows the key of a reply that it has taken";
        return Promise::kept("sent again, and taken once", why);
    }
    match on_unknown {
        OnUnknown::Dead => Promise::limit(
            "`on_unknown = dead`: not repeated; kept as a dead letter",
            "the network cannot tell a repetition: the reply may be missing until a person decides, and is never doubled",
        ),
        OnUnknown::Resend => Promise::limit(
            "`on_unknown = resend`: sent again, three times at most; then kept as a dead letter",
            "the network cannot tell a repetition: the reply may arrive each time",
        ),
        OnUnknown::Drop => Promise::limit(
            "`on_unknown = drop`: counted and forgotten",
            "the network cannot tell a repetition: the reply may be missing, and is never doubled",
        ),
    }
}

#[cfg(test)]
mod tests;
