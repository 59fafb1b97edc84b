//! A disk with a page cache, and the tables of a journal on it.
//!
//! A killed process leaves what it has written; a power cut leaves what was synced.

use std::collections::{BTreeMap, HashSet};

use super::super::history::{Fates, Unknown};
use super::message::Script;

/// The name of a reply: the event's number and which of its replies it is.
pub(super) type Key = (u64, u8);

/// One change of the tables.
#[derive(Clone, Debug)]
pub(super) enum Row {
    Accept {
        sequence: u64,
        script: Script,
    },
    Seen {
        message: u64,
    },
    Begin {
        sequence: u64,
    },
    /// The attempt is over, and another one follows.
    Rest {
        sequence: u64,
    },
    /// The process ended during the attempt.
    Crash {
        sequence: u64,
    },
    Done {
        sequence: u64,
    },
    DeadLetter {
        sequence: u64,
    },
    /// A dead letter vanishes.
    Forget {
        sequence: u64,
    },
    Promise {
        key: Key,
        letter: Letter,
    },
    Sending {
        key: Key,
    },
    /// The reply was sent or given up.
    Gone {
        key: Key,
    },
}

/// An event that is not done.
#[derive(Clone, Debug)]
pub(super) struct Accepted {
    pub(super) script: Script,
    pub(super) attempts: u32,
    pub(super) crashes: u32,
    pub(super) is_running: bool,
    pub(super) is_dead: bool,
}

/// A reply that was promised.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    pub(super) message: u64,
    pub(super) conversation: u32,
    pub(super) run: u64,
    pub(super) unknown: Unknown,
    pub(super) is_sending: bool,
}

/// What a reader of the file sees.
#[derive(Clone, Debug, Default)]
pub(super) struct Tables {
    pub(super) events: BTreeMap<u64, Accepted>,
    pub(super) letters: BTreeMap<Key, Letter>,
    pub(super) seen: HashSet<u64>,
    pub(super) last_sequence: u64,
}

/// All transactions in order, and how many of them a power cut leaves.
#[derive(Debug, Default)]
pub(super) struct Disk {
    written: Vec<Vec<Row>>,
    synced: usize,
    tables: Tables,
}

impl Disk {
    pub(super) fn tables(&self) -> &Tables {
        &self.tables
    }

    /// Writes one transaction, which a power cut may still undo.
    pub(super) fn write(&mut self, rows: Vec<Row>) {
        rows.iter().for_each(|row| self.tables.apply(row));
        self.written.push(rows);
    }

    pub(super) fn sync(&mut self) {
        self.synced = self.written.len();
    }

    pub(super) fn cut_power(&mut self) {
        self.written.truncate(self.synced);
        self.tables = Tables::default();
        let rows = self.written.iter().flatten();
        rows.for_each(|row| self.tables.apply(row));
    }

    /// What is not done, by message.
    pub(super) fn fates(&self) -> Fates {
        let events = self.tables.events.values();
        let (dead, pending): (Vec<_>, Vec<_>) = events.partition(|event| event.is_dead);
        let letters = self.tables.letters.values().map(|letter| letter.message);
        Fates {
            pending: pending.iter().map(|event| event.script.message).chain(letters).collect(),
            dead: dead.iter().map(|event| event.script.message).collect(),
        }
    }
}

impl Tables {
    fn apply(&mut self, row: &Row) {
        match row {
            Row::Accept { sequence, script } => {
                let (script, attempts, crashes) = (script.clone(), 0, 0);
                let event = Accepted { script, attempts, crashes, is_running: false, is_dead: false };
                self.events.insert(*sequence, event);
                self.last_sequence = self.last_sequence.max(*sequence);
            }
            Row::Seen { message } => {
                self.seen.insert(*message);
            }
            Row::Begin { sequence } => self.change(*sequence, |event| {
                event.attempts += 1;
                event.is_running = true;
            }),
            Row::Rest { sequence } => self.change(*sequence, |event| event.is_running = false),
            Row::Crash { sequence } => self.change(*sequence, |event| {
                event.crashes += 1;
                event.is_running = false;
            }),
            Row::DeadLetter { sequence } => self.change(*sequence, |event| event.is_dead = true),
            Row::Done { sequence } | Row::Forget { sequence } => {
                self.events.remove(sequence);
            }
            Row::Promise { key, letter } => {
                self.letters.insert(*key, letter.clone());
            }
            Row::Sending { key } => {
                if let Some(letter) = self.letters.get_mut(key) {
                    letter.is_sending = true;
                }
            }
            Row::Gone { key } => {
                self.letters.remove(key);
            }
        }
    }

    fn change(&mut self, sequence: u64, change: impl FnOnce(&mut Accepted)) {
        if let Some(event) = self.events.get_mut(&sequence) {
            change(event);
        }
    }
}
