//! Replies that were promised and are not sent, in the order of their conversations.
//!
//! ```text
//! promised -> sending -> sent
//!               |-> not sent -> postponed -> sending
//!               |-> refused, given up -> dead
//!               \-> unknown -> dead | sent again | dropped
//! ```

mod brake;
mod throttle;
mod notices;
mod ending;
mod recovering;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::batch::Continuation;
use super::delivery::{Delivery, Origin, is_best_effort};
use super::effects::Effects;
use super::lanes::Lanes;
use super::port::{Now, Output, Policy, ReplyCounters};
use super::request::Confirmation;
use super::timers::{Key, Timer, key};
use crate::error::Error;
use crate::journal::{CompletedEffect, Entry, ReplyEntry};
use crate::reply::Outbound;
use brake::{Brake, Weight};
use notices::Notices;
use throttle::Throttle;

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
pub(super) struct Deliveries {
    policy: Policy,
    /// Replies in order; the ones at the heads of their conversations are being sent, or are postponed.
    outbox: Lanes<Delivery>,
    /// Replies of events that are not done, and the handlers that wait to hear of them.
    outstanding: HashMap<Key, Vec<Confirmation>>,
    /// Replies that wait to be sent again, with their conversations held up.
    postponed: HashMap<Key, Delivery>,
    /// Those of the postponed whose time has come, which go before others once the network lets the account send.
    due_again: VecDeque<Key>,
    throttle: Throttle,
    notices: Notices,
    brake: Brake,
    counters: ReplyCounters,
}

impl Deliveries {
    pub(super) fn new(policy: Policy) -> Self {
        Self {
            outbox: Lanes::new(policy.sends, policy.sends.saturating_mul(SENDS_BOUND)),
            outstanding: HashMap::new(),
            postponed: HashMap::new(),
            due_again: VecDeque::new(),
            throttle: Throttle::default(),
            notices: Notices::default(),
            brake: Brake::default(),
            counters: ReplyCounters::default(),
            policy,
        }
    }

    /// A reply that is in nobody's way leaves as soon as it is written down; others wait for their turn.
    pub(super) fn promise(
        &mut self,
        mut delivery: Delivery,
        origin: Option<Origin<'_>>,
        now: Now,
        effects: &mut Effects,
    ) {
        delivery.held_until = match self.weigh(&delivery.outbound, origin, now) {
            Weight::Free => None,
            Weight::Held(pause) | Weight::Waits(pause) => Some(now.elapsed + pause),
        };
        self.keep(delivery, now, effects);
    }

    /// The same for what nobody waits to hear of: where the brake makes the same wait already, it is not said once more. Answers whether
    /// it is.
    pub(super) fn promise_once(
        &mut self,
        mut delivery: Delivery,
        origin: Option<Origin<'_>>,
        now: Now,
        effects: &mut Effects,
    ) -> bool {
        match self.weigh(&delivery.outbound, origin, now) {
            Weight::Free => {}
            Weight::Held(pause) => delivery.held_until = Some(now.elapsed + pause),
            Weight::Waits(_) => return false,
        }
        self.keep(delivery, now, effects);
        true
    }

    /// What becomes of a reply, if it is one of too many. What a job says comes by the clock, and is no answer.
    fn weigh(&mut self, outbound: &Outbound, origin: Option<Origin<'_>>, now: Now) -> Weight {
        let asker = origin.and_then(|origin| origin.asker).filter(|_| self.policy.has_brake);
        let Some((asker, asked)) = asker else { return Weight::Free };
        self.brake.weigh(outbound, asker, asked, now.elapsed)
    }

    fn keep(&mut self, delivery: Delivery, now: Now, effects: &mut Effects) {
        let lane = delivery.outbound.conversation.shared_id();
        if is_best_effort(&delivery.outbound.action) {
            // One that waits for the end of a limit would be a lie.
            if self.throttle.is_open() {
                self.notify(lane, delivery, now, effects);
            }
            return;
        }
        self.notices.forget(&lane);
        let may_begin = delivery.held_until.is_none() && self.throttle.is_open();
        let begins = may_begin && self.outbox.start(&lane, now.elapsed);
        if begins {
            let Delivery { outbound, command, .. } = delivery;
            let promise = Entry::Promise { outbound, command: command.to_string(), begins };
            effects.append_then(promise, Continuation::SendPromised(command));
        } else {
            let (outbound, command) = (delivery.outbound.clone(), delivery.command.to_string());
            effects.append(Entry::Promise { outbound, command, begins });
            self.outbox.push(lane, delivery);
        }
    }

    /// Begins with a best-effort action, or keeps it until the replies before it have left.
    fn notify(&mut self, conversation: Arc<str>, notice: Delivery, now: Now, effects: &mut Effects) {
        match self.outbox.is_free(&conversation) {
            true => effects.output(Output::Notify(notice)),
            false => self.notices.keep(conversation, notice, now.elapsed),
        }
    }

    /// A handler wants something done at once. What an earlier attempt did or began is not done again.
    pub(super) fn act(
        &mut self,
        outbound: Outbound,
        command: Box<str>,
        answer: Option<Confirmation>,
        origin: Option<Origin<'_>>,
        now: Now,
        effects: &mut Effects,
    ) {
        let name = key(outbound.key);
        if is_best_effort(&outbound.action) {
            return self.promise(Delivery::new(outbound, command), origin, now, effects);
        }
        match (known(origin, outbound.key.index), answer) {
            // The handler may have stopped waiting.
            (Some(known), Some(answer)) => drop(answer.send(known)),
            (Some(_), None) => {}
            (None, answer) => {
                if let Some(waiting) = self.outstanding.get_mut(&name) {
                    return waiting.extend(answer);
                }
                self.outstanding.insert(name, answer.into_iter().collect());
                self.promise(Delivery::new(outbound, command), origin, now, effects);
            }
        }
    }

    /// What an attempt promises at its end, under keys that no reply has which an earlier attempt sent at once and which is still
    /// on its way: the journal would take one for the other.
    pub(super) fn with_keys_of_their_own(&self, mut outbound: Vec<Outbound>) -> Vec<Outbound> {
        if outbound.iter().any(|one| self.outstanding.contains_key(&key(one.key))) {
            let (sequence, first) = outbound.first().map_or((0, 0), |one| key(one.key));
            let on_their_way = self.outstanding.keys().filter(|key| key.0 == sequence);
            let free = on_their_way.map(|key| key.1 + 1).max().unwrap_or(0).max(first);
            outbound.iter_mut().zip(free..).for_each(|(one, index)| one.key.index = index);
        }
        outbound
    }

    /// Whether a conversation may be apologized to for something that was written there.
    pub(super) fn may_apologize(&mut self, conversation: &str, text: &str, now: Now) -> bool {
        self.brake.may_apologize(conversation, text, now.elapsed)
    }

    /// A pause is over: the reply is sent again once the network lets the account send.
    pub(super) fn resend(&mut self, key: Key) {
        self.due_again.push_back(key);
    }

    /// Sends what has its turn, as far as the network lets the account send.
    pub(super) fn advance(&mut self, now: Now, effects: &mut Effects) {
        while self.throttle.allows(now.elapsed) {
            if let Some(key) = self.due_again.pop_front() {
                if let Some(delivery) = self.postponed.remove(&key) {
                    self.outbox.wake(&delivery.outbound.conversation.shared_id(), now.elapsed);
                    self.send(delivery, now, effects);
                }
                continue;
            }
            let Some((_, delivery)) = self.outbox.next(now.elapsed) else { return };
            self.send(delivery, now, effects);
        }
    }

    /// A reply has its turn.
    fn send(&mut self, mut delivery: Delivery, now: Now, effects: &mut Effects) {
        if let Some(until) = delivery.held_until.take().filter(|until| *until > now.elapsed) {
            return self.hold_back(delivery, until.saturating_sub(now.elapsed), now, effects);
        }
        self.throttle.begins(key(delivery.outbound.key));
        // Where a repetition would be read twice and is not wanted, a power cut must not undo this.
        let sending =
            Entry::Reply(delivery.outbound.key, ReplyEntry::Sending { is_lazy: self.policy.may_resend() });
        effects.append_then(sending, Continuation::Send(Box::new(delivery)));
    }

    /// A reply keeps its place, so that none overtakes it, and is sent after a pause.
    fn hold_back(&mut self, delivery: Delivery, wait: Duration, now: Now, effects: &mut Effects) {
        let send_key = delivery.outbound.key;
        effects.append(Entry::Reply(send_key, ReplyEntry::Postpone { due_ms: now.due_ms(wait) }));
        self.outbox.rest(&delivery.outbound.conversation.shared_id(), now.elapsed);
        effects.set_timer(now.elapsed.saturating_add(wait), Timer::Resend(key(send_key)));
        self.postponed.insert(key(send_key), delivery);
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

    /// How many replies are not sent.
    pub(super) fn len(&self) -> usize {
        self.outbox.len()
    }

    /// Whether all replies are sent or given up.
    pub(super) fn is_empty(&self) -> bool {
        self.outbox.is_empty()
    }

    /// Whether a reply is on its way.
    pub(super) fn is_sending(&self) -> bool {
        self.outbox.running() > self.postponed.len()
    }

    /// When there may be a slot for another send although nothing has ended. There is none while the network limits the
    /// account, nor while one that is on its way looks whether it still does.
    pub(super) fn next_look(&self, now: Now) -> Option<Duration> {
        self.outbox.next_look().filter(|_| self.throttle.allows(now.elapsed))
    }

    /// Apologies that were withheld, and replies that had to wait because they looked like a loop.
    pub(super) fn braked(&self) -> u64 {
        self.brake.braked()
    }

    pub(super) fn counters(&self) -> ReplyCounters {
        self.counters
    }
}

/// What became of an action in an earlier attempt.
fn known(
    origin: Option<Origin<'_>>,
    index: u32,
) -> Option<crate::error::Result<Option<crate::event::MessageId>>> {
    origin?.facts.iter().find_map(|fact| match fact {
        CompletedEffect::Sent { index: sent, id } if *sent == index => Some(Ok(id.clone())),
        CompletedEffect::DeadLettered { index: dead } if *dead == index => {
            Some(Err(Error::new("an earlier attempt sent this reply, and nobody knows whether it arrived")))
        }
        _ => None,
    })
}
