//! Replies that pile up hold up the handlers of their own conversation first.

use std::collections::HashMap;
use std::sync::Arc;

use super::Machine;

/// Replies that may wait in one conversation before its handlers wait, too.
const REPLIES_EACH: usize = 1_024;
/// Beyond so many in all, only conversations in which none waits go on.
const REPLIES: usize = 65_536;
/// Beyond so many in all, nothing starts.
const REPLIES_BOUND: usize = 2 * REPLIES;

/// Events that have their lanes and wait until fewer replies wait, by conversation. Each such conversation has replies that
/// will end one way or the other; the last of them lets everything go that is kept here.
#[derive(Debug, Default)]
pub(super) struct Pressed(HashMap<Arc<str>, Vec<u64>>);

impl Machine {
    /// Whether anything may start.
    pub(super) fn has_room(&self) -> bool {
        self.outbox.len() < REPLIES_BOUND && !self.is_draining
    }

    /// Whether something may start whose replies go to this conversation.
    pub(super) fn has_room_in(&self, conversation: &str) -> bool {
        if self.outbox.len() >= REPLIES {
            return self.outbox.is_free(conversation);
        }
        self.outbox.behind(conversation) < REPLIES_EACH
    }

    /// Puts an event aside that has its lane, if too many replies wait in its conversation.
    pub(super) fn waits_for_replies(&mut self, sequence: u64) -> bool {
        let Some(held) = self.held.get(&sequence) else { return false };
        let conversation = held.event.conversation();
        // A handler that was waiting for a person goes on.
        if held.resumes.is_some() || self.has_room_in(conversation.id()) {
            return false;
        }
        self.pressed.0.entry(conversation.shared_id()).or_default().push(sequence);
        self.lanes.rest(&held.lane, self.now.elapsed);
        true
    }

    /// A reply is sent or given up: the next one of its conversation may leave, and handlers may start there.
    pub(super) fn leaves_outbox(&mut self, conversation: &Arc<str>) {
        self.outbox.finish(conversation, self.now.elapsed);
        self.notify_late(conversation);
        if !self.pressed.0.contains_key(conversation) || !self.has_room_in(conversation) || self.is_draining {
            return;
        }
        for sequence in self.pressed.0.remove(conversation).unwrap_or_default() {
            self.wake(sequence);
            self.begin(sequence);
        }
    }

    /// An event that has its lane goes on.
    pub(super) fn wake(&mut self, sequence: u64) {
        if let Some(held) = self.held.get(&sequence) {
            self.lanes.wake(&held.lane, self.now.elapsed);
        }
    }
}
