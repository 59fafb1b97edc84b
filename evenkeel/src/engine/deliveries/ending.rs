//! How sends end, and what becomes of the replies.

use std::sync::Arc;
use std::time::Duration;

use super::Deliveries;
use super::network::Network;
use crate::backoff::Backoff;
use crate::engine::delivery::{Delivery, Settled};
use crate::engine::effects::Effects;
use crate::engine::port::{Now, Output, ReplyCounters};
use crate::engine::timers::{Key, Timer, key};
use crate::error::Error;
use crate::guarantee::OnUnknown;
use crate::journal::{CompletedEffect, Dead, DeadId, Entry, Reason, ReplyEntry};
use crate::reply::{Outbound, SendKey};
use crate::reserved;
use crate::transport::{Limit, Outcome, SendError, Sent};

/// How often an action that certainly did not happen is tried, with a pause that doubles from half a second to
/// thirty: three and a half minutes in all, longer than a server takes to restart.
const TRIES: u32 = 13;
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));
/// An action that may have happened, and that the author wants repeated although it may happen twice, is repeated after each of these
/// pauses and no more: each time may be one more that the person reads.
const UNKNOWN_PAUSES: [Duration; 3] =
    [Duration::from_secs(5), Duration::from_secs(30), Duration::from_secs(120)];
/// What the network does not want before this is given up: its conversation would wait as long.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

impl Deliveries {
    /// A send has ended. `is_pending` says whether the event of the reply is not done. Answers nothing when the reply is sent
    /// again.
    pub(in crate::engine) fn delivered(
        &mut self,
        mut delivery: Delivery,
        result: Result<Sent, SendError>,
        is_pending: bool,
        now: Now,
        effects: &mut Effects,
    ) -> Option<Settled> {
        delivery.attempts += 1;
        let limit = result.as_ref().err().and_then(SendError::limit);
        let network = delivery.outbound.conversation.clone();
        self.throttle_after(network.network(), Some(key(delivery.outbound.key)), limit, now, effects);
        let error = match result {
            Ok(sent) => return Some(self.sent(&delivery, sent, now, effects)),
            Err(error) => error,
        };
        if error.outcome() == Outcome::Unknown {
            self.count(&delivery.outbound, |counters| counters.unknown += 1);
            delivery.unknowns += 1;
        }
        let Some(pause) = self.pause(&delivery, &error) else {
            return Some(self.give_up(delivery, &error, is_pending, now, effects));
        };
        self.hold_back(delivery, pause, now, effects);
        None
    }

    /// After which pause a reply is sent again, if it is.
    fn pause(&self, delivery: &Delivery, error: &SendError) -> Option<Duration> {
        let wait = error.retry_after();
        if delivery.attempts >= TRIES || wait.is_some_and(|wait| wait > LONGEST_WAIT) {
            return None;
        }
        let usual = wait.unwrap_or(BACKOFF.after(delivery.attempts));
        let policy = self.network(delivery.outbound.conversation.network())?.policy();
        match error.outcome() {
            Outcome::NotSent(_) => Some(usual),
            Outcome::Unknown if policy.is_idempotent => Some(usual),
            Outcome::Unknown if policy.may_resend() => {
                let pause = *UNKNOWN_PAUSES.get(delivery.unknowns as usize - 1)?;
                wait.max(Some(pause))
            }
            Outcome::Unknown | Outcome::Refused => None,
        }
    }

    fn sent(
        &mut self,
        delivery: &Delivery,
        Sent { id, .. }: Sent,
        now: Now,
        effects: &mut Effects,
    ) -> Settled {
        let (send_key, conversation) = (delivery.outbound.key, delivery.outbound.conversation.shared_key());
        self.count(&delivery.outbound, |counters| counters.sent += 1);
        self.leaves_outbox(&conversation, now, effects);
        effects.append(Entry::Reply(send_key, ReplyEntry::Sent { id: id.clone() }));
        for answer in self.outstanding.remove(&key(send_key)).unwrap_or_default() {
            // A handler that no longer waits has dropped the other end.
            let _heard = answer.send(Ok(id.clone()));
        }
        let fact = Some(CompletedEffect::Sent { index: send_key.index, id });
        Settled { sequence: send_key.sequence, fact, conversation }
    }

    fn give_up(
        &mut self,
        delivery: Delivery,
        error: &SendError,
        is_pending: bool,
        now: Now,
        effects: &mut Effects,
    ) -> Settled {
        let Delivery { outbound, command, attempts, .. } = delivery;
        let (send_key, conversation) = (outbound.key, outbound.conversation.shared_key());
        let is_unknown = error.outcome() == Outcome::Unknown;
        self.count(&outbound, |counters| counters.not_sent += u64::from(!is_unknown));
        self.leaves_outbox(&conversation, now, effects);
        // What could be done by sending again has been done: the handler's own attempts add nothing to it.
        let told = || Error::from(error.clone()).permanent().with_retry_after(error.retry_after());
        let chain = told().chain();
        let answers = self.outstanding.remove(&key(send_key)).unwrap_or_default();
        let heard = answers.into_iter().filter_map(|answer| answer.send(Err(told())).ok());
        let is_heard = heard.count() > 0;
        let policy = self.network(outbound.conversation.network()).map(Network::policy);
        let drops = policy.is_some_and(|policy| policy.on_unknown == OnUnknown::Drop);
        let fact = if is_unknown && drops {
            // The author wants it so.
            forget(send_key, is_pending, effects)
        } else if is_heard && !is_unknown {
            // The handler knows.
            effects.append(Entry::Reply(send_key, ReplyEntry::Drop));
            None
        } else {
            let reason = reason(error);
            tracing::error!(%reason, error = chain, "a reply was not delivered");
            Some(self.dead_letter(outbound, reason, chain, (&command, attempts), now, effects))
        };
        Settled { sequence: send_key.sequence, fact, conversation }
    }

    /// A reply becomes a dead letter, and its author is told. Answers what later attempts of its event have to know.
    pub(super) fn dead_letter(
        &mut self,
        outbound: Outbound,
        reason: Reason,
        error: String,
        (command, attempts): (&str, u32),
        now: Now,
        effects: &mut Effects,
    ) -> CompletedEffect {
        self.count(&outbound, |counters| counters.dead += 1);
        let (key, now_ms) = (outbound.key, now.wall_ms);
        let dead = Dead {
            id: DeadId::Reply(key.sequence, key.index),
            reason,
            error: error.clone(),
            command: command.to_owned(),
            conversation: outbound.conversation.key().to_owned(),
            attempts,
            at_ms: now_ms,
            content: outbound.into(),
        };
        effects.output(Output::Died(Box::new(dead)));
        effects.append(Entry::Reply(
            key,
            ReplyEntry::DeadLetter { reason, error, command: command.to_owned(), now_ms },
        ));
        CompletedEffect::DeadLettered { index: key.index }
    }

    /// Counts what became of a reply.
    pub(super) fn count(&mut self, outbound: &Outbound, count: impl FnOnce(&mut ReplyCounters)) {
        match self.network_mut(outbound.conversation.network()) {
            Some(network) => network.count(count),
            None => self.nowhere += 1,
        }
    }

    /// A reply is sent or given up: the next one of its conversation may leave, or the notice that waited for it.
    pub(super) fn leaves_outbox(&mut self, conversation: &Arc<str>, now: Now, effects: &mut Effects) {
        let Some(network) = self.network_mut(reserved::split(conversation).0) else { return };
        network.finish(conversation, now);
        let (is_free, is_open) = (network.is_free(conversation), network.is_open());
        if self.notices.is_empty() || !is_free {
            return;
        }
        let notice = self.notices.take(conversation, now.elapsed);
        if let Some(notice) = notice.filter(|_| is_open) {
            effects.output(Output::Notify(notice));
        }
    }

    /// A notice has ended. It is neither kept nor tried again, but a limit that it has met holds for all that is sent.
    pub(in crate::engine) fn notified(
        &mut self,
        network: &str,
        result: Result<Sent, SendError>,
        now: Now,
        effects: &mut Effects,
    ) {
        self.throttle_after(network, None, result.as_ref().err().and_then(SendError::limit), now, effects);
        let Some(network) = self.network_mut(network) else { return };
        network.count(|counters| match result.map_err(|error| error.outcome()) {
            Ok(_) => counters.sent += 1,
            Err(Outcome::Unknown) => counters.unknown += 1,
            Err(Outcome::NotSent(_) | Outcome::Refused) => counters.not_sent += 1,
        });
    }

    /// Takes note of how an action ended that may have met a limit; `None` is one that nothing waits for.
    fn throttle_after(
        &mut self,
        network: &str,
        key: Option<Key>,
        limit: Option<Limit>,
        now: Now,
        effects: &mut Effects,
    ) {
        let Some(network) = self.network_mut(network) else { return };
        if let Some(until) = network.ended(key, limit, now) {
            effects.set_timer(until, Timer::Throttled);
        }
    }
}

/// A reply that may have arrived is forgotten; while its event is not done, a later attempt must not repeat it. Answers what it
/// has to know for that.
pub(super) fn forget(key: SendKey, is_pending: bool, effects: &mut Effects) -> Option<CompletedEffect> {
    if !is_pending {
        effects.append(Entry::Reply(key, ReplyEntry::Drop));
        return None;
    }
    effects.append(Entry::Reply(key, ReplyEntry::Sent { id: None }));
    Some(CompletedEffect::DeadLettered { index: key.index })
}

fn reason(error: &SendError) -> Reason {
    match error.outcome() {
        // The operator who replays it has to know that it may arrive twice.
        Outcome::Unknown => Reason::Unknown,
        _ if error.is_rate_limited() => Reason::RateLimited,
        Outcome::NotSent(_) => Reason::NotSent,
        Outcome::Refused => Reason::Refused,
    }
}
