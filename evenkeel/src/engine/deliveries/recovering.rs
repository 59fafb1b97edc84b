//! Replies that an earlier run left, or that the operator replays.

use super::Deliveries;
use super::ending::forget;
use super::network::Network;
use crate::engine::attempt::APOLOGY;
use crate::engine::delivery::Delivery;
use crate::engine::effects::Effects;
use crate::engine::port::Now;
use crate::engine::timers::{Timer, key};
use crate::guarantee::OnUnknown;
use crate::journal::{CompletedEffect, PendingReply, Reason};
use crate::reply::{Outbound, SendKey};

impl Deliveries {
    /// Takes a reply up where it was. `is_pending` says whether its event is not done; answers what later attempts of that have
    /// to know.
    pub(in crate::engine) fn take_up(
        &mut self,
        pending: PendingReply,
        is_pending: bool,
        now: Now,
        effects: &mut Effects,
    ) -> Option<CompletedEffect> {
        let PendingReply { outbound, command, is_unknown, attempts, due_ms } = pending;
        let Some(network) = self.network_mut(outbound.conversation.network()) else {
            return Some(self.leave_stranded(outbound, (&command, attempts), now, effects));
        };
        let (may_resend, is_idempotent) = (network.policy().may_resend(), network.policy().is_idempotent);
        if is_unknown {
            network.count(|counters| counters.unknown += 1);
            if !may_resend {
                return self.leave_unknown(outbound, (&command, attempts), is_pending, now, effects);
            }
        }
        let (lane, wait) = (outbound.conversation.shared_key(), now.until(due_ms));
        // How many of them were unknown is not kept: all of them may have been.
        let unknowns = if is_idempotent { 0 } else { attempts.max(is_unknown.into()) };
        let delivery = Delivery { outbound, command: command.into(), attempts, unknowns, held_until: None };
        let SendKey { sequence, index } = delivery.outbound.key;
        // An apology was promised by an attempt that gave up; anything else by one that comes again, and is not to send it again.
        let fact = (is_pending && index >= APOLOGY).then_some(CompletedEffect::DeadLettered { index });
        if is_pending && fact.is_none() {
            self.outstanding.insert((sequence, index), Vec::new());
        }
        let network = self.network_mut(delivery.outbound.conversation.network());
        if !wait.is_zero() && network.is_some_and(|network| network.hold(&lane)) {
            let key = key(delivery.outbound.key);
            effects.set_timer(now.elapsed + wait, Timer::Resend(key));
            self.postponed.insert(key, delivery);
        } else {
            self.push(lane, delivery);
        }
        fact
    }

    /// A reply may have arrived, and is not to be sent again.
    fn leave_unknown(
        &mut self,
        outbound: Outbound,
        (command, attempts): (&str, u32),
        is_pending: bool,
        now: Now,
        effects: &mut Effects,
    ) -> Option<CompletedEffect> {
        let policy = self.network(outbound.conversation.network()).map(Network::policy);
        if policy.is_some_and(|policy| policy.on_unknown == OnUnknown::Drop) {
            return forget(outbound.key, is_pending, effects);
        }
        let error = "the process ended while this was being sent".to_owned();
        Some(self.dead_letter(outbound, Reason::Unknown, error, (command, attempts), now, effects))
    }
}
