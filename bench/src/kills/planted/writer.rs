//! The journal's writer: collects work, writes it as one transaction, syncs, answers.

use std::collections::VecDeque;

use super::disk::{Disk, Row};
use super::message::Script;

/// Something to write, and what follows once it is as durable as it asks for.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) what: What,
    /// A power cut may undo it.
    pub(super) is_lazy: bool,
    pub(super) then: Then,
}

/// What is written.
#[derive(Debug)]
pub(super) enum What {
    Rows(Vec<Row>),
    /// A message that is new unless it was seen; its number is found as it is written.
    Accept(Script),
    /// A message under a new number, whether or not it was seen, in place of the old number if it has one.
    Anew {
        script: Script,
        old: Option<u64>,
    },
}

/// What follows.
#[derive(Clone, Debug)]
pub(super) enum Then {
    Nothing,
    /// The message is acknowledged, and handled if it has a number.
    Accepted {
        script: Script,
        sequence: Option<u64>,
    },
    /// The handler runs.
    Begun {
        conversation: u32,
    },
    /// The lane goes on, and these replies leave.
    Done {
        conversation: u32,
        parcels: Vec<Parcel>,
    },
    /// The replies have to be written, too.
    Unpromised {
        conversation: u32,
        parcels: Vec<Parcel>,
    },
    /// The reply may be sent.
    Marked {
        conversation: u32,
    },
    /// The dead letter is gone and may come back.
    Forgotten {
        script: Script,
    },
}

/// A reply on its way.
#[derive(Clone, Debug)]
pub(super) struct Parcel {
    pub(super) key: super::disk::Key,
    pub(super) letter: super::disk::Letter,
    pub(super) stage: Stage,
}

/// How far a reply is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Waiting,
    Marking,
    Ready,
    Sent,
}

/// Everything here is gone with the process.
#[derive(Debug, Default)]
pub(super) struct Writer {
    queue: VecDeque<Work>,
    /// Written and not answered yet, with whether it has to be synced first.
    batch: Option<(Vec<Then>, bool)>,
}

impl Writer {
    pub(super) fn push(&mut self, what: What, is_lazy: bool, then: Then) {
        self.queue.push_back(Work { what, is_lazy, then });
    }

    pub(super) fn can_write(&self) -> bool {
        self.batch.is_none() && !self.queue.is_empty()
    }

    pub(super) fn can_answer(&self) -> bool {
        self.batch.is_some()
    }

    /// Writes at most this many works into the page cache.
    pub(super) fn write(&mut self, disk: &mut Disk, limit: usize) {
        let works: Vec<Work> = self.queue.drain(..limit.min(self.queue.len())).collect();
        let must_sync = works.iter().any(|work| !work.is_lazy);
        let (mut rows, mut thens) = (Vec::new(), Vec::new());
        let mut next = disk.tables().last_sequence + 1;
        for Work { what, mut then, .. } in works {
            let is_seen = |rows: &[Row], message: u64| {
                let before =
                    rows.iter().any(|row| matches!(row, Row::Seen { message: seen } if *seen == message));
                before || disk.tables().seen.contains(&message)
            };
            // Somebody else may have taken the dead letter away meanwhile, in this very batch even.
            let is_dead = |rows: &[Row], old: u64| {
                let taken = |row: &Row| matches!(row, Row::Forget { sequence } if *sequence == old);
                !rows.iter().any(taken) && disk.tables().events.get(&old).is_some_and(|event| event.is_dead)
            };
            match what {
                What::Rows(more) => rows.extend(more),
                What::Accept(script) if is_seen(&rows, script.message) => {}
                What::Accept(script) => {
                    rows.push(Row::Seen { message: script.message });
                    rows.push(Row::Accept { sequence: next, script });
                    then.number(&mut next);
                }
                What::Anew { script, old } => {
                    if old.is_some_and(|old| !is_dead(&rows, old)) {
                        continue;
                    }
                    rows.extend(old.map(|sequence| Row::Forget { sequence }));
                    rows.push(Row::Accept { sequence: next, script });
                    then.number(&mut next);
                }
            }
            thens.push(then);
        }
        disk.write(rows);
        self.batch = Some((thens, must_sync));
    }

    /// Syncs what has to be, and returns what follows.
    pub(super) fn answer(&mut self, disk: &mut Disk, may_sync: bool) -> Vec<Then> {
        let Some((thens, must_sync)) = self.batch.take() else { return Vec::new() };
        if must_sync && may_sync {
            disk.sync();
        }
        thens
    }
}

impl Then {
    fn number(&mut self, next: &mut u64) {
        if let Self::Accepted { sequence, .. } = self {
            *sequence = Some(*next);
        }
        *next += 1;
    }
}
