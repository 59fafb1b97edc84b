//! What is kept of an event and of a reply.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};

use crate::event::{Event, MessageId};
use crate::journal::{PendingLetter, Reason};
use crate::reply::Outbound;

/// The ids of the last events, as hashes.
pub(super) struct Seen {
    window: usize,
    members: HashSet<u64>,
    /// The members, oldest first.
    order: VecDeque<u64>,
    /// Seeded per process, so that nobody can make two ids collide on purpose.
    hasher: RandomState,
}

pub(super) struct EventRecord {
    pub(super) event: Event,
    pub(super) stage: EventStage,
    pub(super) attempts: u32,
    pub(super) crashes: u32,
    pub(super) has_begun: bool,
    pub(super) due_ms: u64,
}

pub(super) enum EventStage {
    Ready,
    Running,
    Suspended,
    /// Given up, or parked if that is the reason.
    Dead(Death),
}

pub(super) struct LetterRecord {
    pub(super) outbound: Outbound,
    pub(super) command: String,
    pub(super) stage: LetterStage,
    pub(super) attempts: u32,
    pub(super) due_ms: u64,
}

pub(super) enum LetterStage {
    Pending,
    Sending,
    Sent(Option<MessageId>),
    Dead(Death),
    /// It was dead, and is replayed or discarded: the fact is left for the next attempt of its event.
    Decided,
}

#[derive(Clone)]
pub(super) struct Death {
    pub(super) reason: Reason,
    pub(super) error: String,
    pub(super) command: String,
    pub(super) at_ms: u64,
}

impl Seen {
    pub(super) fn window(&self) -> usize {
        self.window
    }

    pub(super) fn new(window: usize) -> Self {
        let (members, order, hasher) = (HashSet::new(), VecDeque::new(), RandomState::new());
        Self { window, members, order, hasher }
    }

    /// Whether it is new.
    pub(super) fn add(&mut self, id: &str) -> bool {
        let hash = self.hasher.hash_one(id);
        if !self.members.insert(hash) {
            return false;
        }
        self.order.push_back(hash);
        if self.order.len() > self.window
            && let Some(oldest) = self.order.pop_front()
        {
            self.members.remove(&oldest);
        }
        true
    }
}

impl EventRecord {
    /// What was suspended goes on; anything else begins another attempt.
    pub(super) fn begin(&mut self) {
        if !matches!(self.stage, EventStage::Suspended) {
            self.attempts += 1;
        }
        self.stage = EventStage::Running;
        self.has_begun = true;
    }

    /// The attempt was cut short through no fault of its own, and does not count.
    pub(super) fn give_back(&mut self) {
        self.stage = EventStage::Ready;
        self.attempts = self.attempts.saturating_sub(1);
    }
}

impl LetterRecord {
    pub(super) fn pending(&self) -> Option<PendingLetter> {
        let is_unknown = match self.stage {
            LetterStage::Pending => false,
            LetterStage::Sending => true,
            LetterStage::Sent(_) | LetterStage::Dead(_) | LetterStage::Decided => return None,
        };
        let (attempts, due_ms) = (self.attempts, self.due_ms);
        let (outbound, command) = (self.outbound.clone(), self.command.clone());
        Some(PendingLetter { outbound, command, is_unknown, attempts, due_ms })
    }
}
