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
mod network;
mod notices;
mod stranded;
mod ending;
mod recovering;
mod saying;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::batch::Continuation;
use super::delivery::{Delivery, Origin, is_best_effort};
use super::effects::Effects;
use super::port::{Now, Output, Policy, ReplyCounters};
use super::request::Confirmation;
use super::timers::{Key, Timer, key};
use crate::error::Error;
use crate::journal::{CompletedEffect, Entry, ReplyEntry};
use crate::reply::Outbound;
use crate::reserved;
use brake::{Brake, Weight};
use network::Network;
use notices::Notices;
pub(super) use saying::Kept;
use saying::Saying;

/// While this many replies of a network are not sent, nothing more is taken that is said there outside of any event.
const ROOM_OUTSIDE: usize = 65_536;

/// See the module.
#[derive(Debug)]
pub(super) struct Deliveries {
    /// Few: each is found by looking at all.
    networks: Vec<Network>,
    /// Replies of events that are not done, and the handlers that wait to hear of them.
    outstanding: HashMap<Key, Vec<Confirmation>>,
    /// Replies that wait to be sent again, with their conversations held up.
    postponed: HashMap<Key, Delivery>,
    notices: Notices,
    has_brake: bool,
    brake: Brake,
    saying: Saying,
    /// Dead letters of networks on which the bot is not.
    nowhere: u64,
}

impl Deliveries {
    pub(super) fn new(policy: Policy) -> Self {
        Self {
            networks: policy.networks.into_iter().map(Network::new).collect(),
            outstanding: HashMap::new(),
            postponed: HashMap::new(),
            notices: Notices::default(),
            has_brake: policy.has_brake,
            brake: Brake::default(),
            saying: Saying::default(),
            nowhere: 0,
        }
    }

    /// Whether the bot is on the network of this name in the record.
    pub(super) fn is_on(&self, network: &str) -> bool {
        self.network(network).is_some()
    }

    fn network(&self, key: &str) -> Option<&Network> {
        self.networks.iter().find(|network| *network.policy().key == *key)
    }

    fn network_mut(&mut self, key: &str) -> Option<&mut Network> {
        self.networks.iter_mut().find(|network| *network.policy().key == *key)
    }

    /// From now on something can be sent on this network.
    pub(super) fn opened(&mut self, network: &str) {
        if let Some(network) = self.network_mut(network) {
            network.open();
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
        let asker = origin.and_then(|origin| origin.asker).filter(|_| self.has_brake);
        let Some((asker, asked)) = asker else { return Weight::Free };
        self.brake.weigh(outbound, asker, asked, now.elapsed)
    }

    fn keep(&mut self, delivery: Delivery, now: Now, effects: &mut Effects) {
        let lane = delivery.outbound.conversation.shared_key();
        let is_notice = is_best_effort(&delivery.outbound.action);
        let Some(network) = self.network_mut(delivery.outbound.conversation.network()) else {
            if !is_notice {
                self.strand(delivery, now, effects);
            }
            return;
        };
        if is_notice {
            // One that waits for the end of a limit would be a lie.
            if network.is_open() {
                match network.is_free(&lane) {
                    true => effects.output(Output::Notify(delivery)),
                    // It waits until the replies before it have left.
                    false => self.notices.keep(lane, delivery, now.elapsed),
                }
            }
            return;
        }
        let begins = delivery.held_until.is_none() && network.start(&lane, now);
        self.notices.forget(&lane);
        if begins {
            let Delivery { outbound, command, .. } = delivery;
            let promise = Entry::Promise { outbound, command: command.to_string(), begins };
            effects.append_then(promise, Continuation::SendPromised(command));
        } else {
            let (outbound, command) = (delivery.outbound.clone(), delivery.command.to_string());
            effects.append(Entry::Promise { outbound, command, begins });
            self.push(lane, delivery);
        }
    }

    /// A reply waits for its turn.
    fn push(&mut self, lane: Arc<str>, delivery: Delivery) {
        if let Some(network) = self.network_mut(delivery.outbound.conversation.network()) {
            network.push(lane, delivery);
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
        let Some(delivery) = self.postponed.get(&key) else { return };
        let network = delivery.outbound.conversation.clone();
        if let Some(network) = self.network_mut(network.network()) {
            network.is_due(key);
        }
    }

    /// Sends what has its turn, as far as its network lets the account send.
    pub(super) fn advance(&mut self, now: Now, effects: &mut Effects) {
        for index in 0..self.networks.len() {
            while let Some(network) = self.networks.get_mut(index)
                && let Some(delivery) = network.next(&mut self.postponed, now)
            {
                self.send(delivery, index, now, effects);
            }
        }
    }

    /// A reply has its turn.
    fn send(&mut self, mut delivery: Delivery, index: usize, now: Now, effects: &mut Effects) {
        if let Some(until) = delivery.held_until.take().filter(|until| *until > now.elapsed) {
            return self.hold_back(delivery, until.saturating_sub(now.elapsed), now, effects);
        }
        let Some(network) = self.networks.get_mut(index) else { return };
        network.begins(key(delivery.outbound.key));
        // Where a repetition would be read twice and is not wanted, a power cut must not undo this.
        let is_lazy = network.policy().may_resend();
        let sending = Entry::Reply(delivery.outbound.key, ReplyEntry::Sending { is_lazy });
        effects.append_then(sending, Continuation::Send(Box::new(delivery)));
    }

    /// A reply keeps its place, so that none overtakes it, and is sent after a pause.
    fn hold_back(&mut self, delivery: Delivery, wait: Duration, now: Now, effects: &mut Effects) {
        let send_key = delivery.outbound.key;
        effects.append(Entry::Reply(send_key, ReplyEntry::Postpone { due_ms: now.due_ms(wait) }));
        let conversation = &delivery.outbound.conversation;
        if let Some(network) = self.network_mut(conversation.network()) {
            network.rest(&conversation.shared_key(), now);
        }
        effects.set_timer(now.elapsed.saturating_add(wait), Timer::Resend(key(send_key)));
        self.postponed.insert(key(send_key), delivery);
    }

    /// Whether so few replies wait on some network that handlers may start.
    pub(super) fn has_room(&self) -> bool {
        self.networks.iter().any(Network::has_room)
    }

    /// Whether so few wait on this one; where the bot is not, none wait.
    pub(super) fn has_room_on(&self, network: &str) -> bool {
        self.network(network).is_none_or(Network::has_room)
    }

    /// Whether something may start whose replies go to this conversation.
    pub(super) fn has_room_in(&self, conversation: &str) -> bool {
        let (network, _) = reserved::split(conversation);
        self.network(network).is_none_or(|network| network.has_room_in(conversation))
    }

    /// For how much more there is room that is said outside of any event, on the network with the most of it.
    pub(super) fn room_outside(&self) -> usize {
        let least = self.networks.iter().map(Network::len).min().unwrap_or_default();
        ROOM_OUTSIDE.saturating_sub(least + self.saying.len())
    }

    /// Whether there is room on this network; on one where the bot is not, what is said is a dead letter at once.
    pub(super) fn has_room_outside(&self, network: &str) -> bool {
        self.len_on(network) < ROOM_OUTSIDE
    }

    /// How many replies are not sent.
    pub(super) fn len(&self) -> usize {
        self.networks.iter().map(Network::len).sum()
    }

    /// How many of them are to be sent on this network.
    pub(super) fn len_on(&self, network: &str) -> usize {
        self.network(network).map_or(0, Network::len)
    }

    /// Whether all replies are sent or given up.
    pub(super) fn is_empty(&self) -> bool {
        self.networks.iter().all(Network::is_empty)
    }

    /// Whether a reply is on its way.
    pub(super) fn is_sending(&self) -> bool {
        let running: usize = self.networks.iter().map(Network::running).sum();
        running > self.postponed.len()
    }

    /// When there may be a slot for another send although nothing has ended.
    pub(super) fn next_look(&self, now: Now) -> Option<Duration> {
        self.networks.iter().filter_map(|network| network.next_look(now)).min()
    }

    /// Apologies that were withheld, and replies that had to wait because they looked like a loop.
    pub(super) fn braked(&self) -> u64 {
        self.brake.braked()
    }

    /// What became of the replies of all networks.
    pub(super) fn counters(&self) -> ReplyCounters {
        let nowhere = ReplyCounters { dead: self.nowhere, ..ReplyCounters::default() };
        self.networks.iter().fold(nowhere, |sum, network| sum.with(network.counters()))
    }

    /// The same of one.
    pub(super) fn counters_on(&self, network: &str) -> ReplyCounters {
        self.network(network).map(Network::counters).unwrap_or_default()
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
