//! One network: what is to be sent there, and what holds it up.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::throttle::Throttle;
use crate::engine::delivery::Delivery;
use crate::engine::lanes::Lanes;
use crate::engine::port::{NetworkPolicy, Now, ReplyCounters};
use crate::engine::timers::Key;
use crate::transport::Limit;

/// If most sends hang, this many times the number that the transport wants at once may be on their way.
const SENDS_BOUND: usize = 32;
/// Replies that may wait in one conversation before its handlers wait, too.
const REPLIES_EACH: usize = 1_024;
/// Beyond this many in all, only conversations in which none waits go on.
const REPLIES: usize = 65_536;
/// Beyond this many in all, nothing starts.
const REPLIES_BOUND: usize = 2 * REPLIES;

/// See the module.
#[derive(Debug)]
pub(super) struct Network {
    policy: NetworkPolicy,
    /// Replies in order; the ones at the heads of their conversations are being sent, or are postponed.
    outbox: Lanes<Delivery>,
    /// Those of the postponed whose time has come, which go before others once the network lets the account send.
    due_again: VecDeque<Key>,
    throttle: Throttle,
    counters: ReplyCounters,
}

impl Network {
    pub(super) fn new(policy: NetworkPolicy) -> Self {
        Self {
            outbox: Lanes::new(policy.sends, policy.sends.saturating_mul(SENDS_BOUND)),
            due_again: VecDeque::new(),
            throttle: Throttle::default(),
            counters: ReplyCounters::default(),
            policy,
        }
    }

    pub(super) fn policy(&self) -> &NetworkPolicy {
        &self.policy
    }

    /// From now on something can be sent.
    pub(super) fn open(&mut self) {
        self.policy.is_open = true;
    }

    /// Whether nothing is known that keeps a reply from being sent.
    pub(super) fn is_open(&self) -> bool {
        self.policy.is_open && self.throttle.is_open()
    }

    /// An action that nothing goes before takes its conversation, if it may begin now. Answers whether it did.
    pub(super) fn start(&mut self, lane: &Arc<str>, now: Now) -> bool {
        self.is_open() && self.outbox.start(lane, now.elapsed)
    }

    /// A reply waits at the end of its conversation.
    pub(super) fn push(&mut self, lane: Arc<str>, delivery: Delivery) {
        self.outbox.push(lane, delivery);
    }

    /// The same of one that is postponed, where nothing goes before it. Answers whether that is so.
    pub(super) fn hold(&mut self, lane: &Arc<str>) -> bool {
        self.outbox.hold(lane)
    }

    /// The reply at the head of a conversation is postponed, and keeps its place.
    pub(super) fn rest(&mut self, lane: &Arc<str>, now: Now) {
        self.outbox.rest(lane, now.elapsed);
    }

    /// The pause of a postponed reply is over.
    pub(super) fn is_due(&mut self, key: Key) {
        self.due_again.push_back(key);
    }

    /// The next reply that has its turn, as far as the network lets the account send: one whose pause is over, or the head of a
    /// conversation.
    pub(super) fn next(&mut self, postponed: &mut HashMap<Key, Delivery>, now: Now) -> Option<Delivery> {
        while self.allows(now) {
            let Some(key) = self.due_again.pop_front() else {
                return self.outbox.next(now.elapsed).map(|(_, delivery)| delivery);
            };
            if let Some(delivery) = postponed.remove(&key) {
                self.outbox.wake(&delivery.outbound.conversation.shared_key(), now.elapsed);
                return Some(delivery);
            }
        }
        None
    }

    /// A reply leaves.
    pub(super) fn begins(&mut self, key: Key) {
        self.throttle.begins(key);
    }

    /// An action has ended, and met a limit or did not; see [`Throttle::ended`].
    pub(super) fn ended(&mut self, key: Option<Key>, limit: Option<Limit>, now: Now) -> Option<Duration> {
        self.throttle.ended(key, limit, now.elapsed)
    }

    /// The reply at the head of a conversation is sent or given up.
    pub(super) fn finish(&mut self, lane: &Arc<str>, now: Now) {
        self.outbox.finish(lane, now.elapsed);
    }

    /// Whether no reply waits in a conversation, or is on its way.
    pub(super) fn is_free(&self, lane: &str) -> bool {
        self.outbox.is_free(lane)
    }

    /// How many replies are not sent.
    pub(super) fn len(&self) -> usize {
        self.outbox.len()
    }

    /// Whether all replies are sent or given up.
    pub(super) fn is_empty(&self) -> bool {
        self.outbox.is_empty()
    }

    /// How many of them are on their way or postponed.
    pub(super) fn running(&self) -> usize {
        self.outbox.running()
    }

    /// When there may be a slot for another send although nothing has ended. There is none while the network limits the
    /// account, nor while one that is on its way looks whether it still does.
    pub(super) fn next_look(&self, now: Now) -> Option<Duration> {
        self.outbox.next_look().filter(|_| self.allows(now))
    }

    pub(super) fn counters(&self) -> ReplyCounters {
        self.counters
    }

    pub(super) fn count(&mut self, count: impl FnOnce(&mut ReplyCounters)) {
        count(&mut self.counters);
    }

    /// Whether an action may begin now.
    fn allows(&self, now: Now) -> bool {
        self.policy.is_open && self.throttle.allows(now.elapsed)
    }

    /// Whether so few replies wait that handlers may start.
    pub(super) fn has_room(&self) -> bool {
        self.outbox.len() < REPLIES_BOUND
    }

    /// Whether something may start whose replies go to this conversation.
    pub(super) fn has_room_in(&self, conversation: &str) -> bool {
        if self.outbox.len() >= REPLIES {
            return self.outbox.is_free(conversation);
        }
        self.outbox.behind(conversation) < REPLIES_EACH
    }
}
