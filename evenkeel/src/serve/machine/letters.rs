//! What becomes of replies.

use std::time::Duration;

use super::alarms::{Alarm, key};
use super::brake::Weight;
use super::{After, Machine, Output};
use crate::engine::Confirmation;
use crate::error::Error;
use crate::guarantee::OnUnknown;
use crate::journal::{Dead, DeadId, Entry, Fact, Reason};
use crate::reply::{Outbound, SendKey};
use crate::serve::outbox::{Letter, is_best_effort};
use crate::transport::{Outcome, SendError, Sent};

/// How often an action that certainly did not happen is tried, with a pause that doubles from half a second to
/// thirty: three and a half minutes in all, longer than a server takes to restart.
const TRIES: u32 = 13;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// An action that may have happened, and that the author wants repeated although it may happen twice, is repeated after each of these
/// pauses and no more: each time may be one more that the person reads.
const UNKNOWN_PAUSES: [Duration; 3] =
    [Duration::from_secs(5), Duration::from_secs(30), Duration::from_secs(120)];
/// What the network does not want before this is given up: its conversation would wait as long.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

impl Machine {
    /// A reply that is in nobody's way leaves as soon as it is written down; others wait for their turn.
    pub(super) fn promise(&mut self, mut letter: Letter) {
        letter.held_until = match self.weigh(&letter.outbound) {
            Weight::Free => None,
            Weight::Held(pause) | Weight::Waits(pause) => Some(self.now.elapsed + pause),
        };
        self.keep(letter);
    }

    /// The same for what nobody waits to hear of: where the brake makes the same wait already, it is not said once more.
    pub(super) fn promise_once(&mut self, mut letter: Letter) {
        match self.weigh(&letter.outbound) {
            Weight::Free => {}
            Weight::Held(pause) => letter.held_until = Some(self.now.elapsed + pause),
            Weight::Waits(_) => return,
        }
        self.keep(letter);
    }

    fn keep(&mut self, letter: Letter) {
        let lane = letter.outbound.conversation.shared_id();
        if letter.is_best_effort() {
            // One that waits for the end of a limit would be a lie.
            if self.throttle.is_open() {
                self.notify(lane, letter);
            }
            return;
        }
        self.notices.forget(&lane);
        let may_begin = letter.held_until.is_none() && self.throttle.is_open();
        let begins = may_begin && self.outbox.start(&lane, self.now.elapsed);
        if begins {
            let Letter { outbound, command, .. } = letter;
            let name = command.to_string();
            self.enter(Entry::Promise { outbound, command: name, begins }, After::SendPromised(command));
        } else {
            let (outbound, command) = (letter.outbound.clone(), letter.command.to_string());
            self.enter(Entry::Promise { outbound, command, begins }, After::Nothing);
            self.outbox.push(lane, letter);
        }
    }

    /// A reply has its lane.
    pub(super) fn send(&mut self, mut letter: Letter) {
        if let Some(until) = letter.held_until.take().filter(|until| *until > self.now.elapsed) {
            return self.hold_back(letter, until.saturating_sub(self.now.elapsed));
        }
        self.throttle.begins(key(letter.outbound.key));
        // Where a repetition would be read twice and is not wanted, a power cut must not undo this.
        let is_lazy = self.policy.may_resend();
        self.enter(Entry::Sending { key: letter.outbound.key, is_lazy }, After::Send(Box::new(letter)));
    }

    /// A handler wants something done at once. What an earlier attempt did or began is not done again.
    pub(super) fn act(&mut self, outbound: Outbound, command: Box<str>, answer: Option<Confirmation>) {
        if is_best_effort(&outbound.action) {
            return self.promise(Letter::new(outbound, command));
        }
        let index = outbound.key.index;
        let facts = self.held.get(&outbound.key.sequence).map(|held| &held.facts[..]);
        let known = facts.unwrap_or_default().iter().find_map(|fact| match fact {
            Fact::Sent { index: sent, id } if *sent == index => Some(Ok(id.clone())),
            Fact::Buried { index: buried } if *buried == index => Some(Err(Error::new(
                "an earlier attempt sent this reply, and nobody knows whether it arrived",
            ))),
            _ => None,
        });
        match (known, answer) {
            // The handler may have stopped waiting.
            (Some(known), Some(answer)) => drop(answer.send(known)),
            (Some(_), None) => {}
            (None, answer) => {
                if let Some(waiting) = self.outstanding.get_mut(&key(outbound.key)) {
                    return waiting.extend(answer);
                }
                self.outstanding.insert(key(outbound.key), answer.into_iter().collect());
                self.promise(Letter::new(outbound, command));
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

    /// A send has ended.
    pub(super) fn delivered(&mut self, mut letter: Letter, result: Result<Sent, SendError>) {
        letter.attempts += 1;
        let limit = result.as_ref().err().and_then(SendError::limit);
        self.throttle_after(Some(key(letter.outbound.key)), limit);
        let error = match result {
            Ok(sent) => return self.sent(letter, sent),
            Err(error) => error,
        };
        if error.outcome() == Outcome::Unknown {
            self.tally.unknown += 1;
            letter.unknowns += 1;
        }
        let is_too_late = error.retry_after().is_some_and(|wait| wait > LONGEST_WAIT);
        let may_try = letter.attempts < TRIES && !is_too_late;
        match error.outcome() {
            Outcome::NotSent(_) if may_try => self.postpone(letter, error.retry_after()),
            Outcome::Unknown if may_try && self.policy.resends_safely => {
                self.postpone(letter, error.retry_after());
            }
            Outcome::Unknown if may_try && self.policy.may_resend() => {
                match UNKNOWN_PAUSES.get(letter.unknowns as usize - 1) {
                    Some(pause) => self.postpone(letter, Some(*pause).max(error.retry_after())),
                    None => self.give_up(letter, &error),
                }
            }
            _ => self.give_up(letter, &error),
        }
    }

    fn sent(&mut self, letter: Letter, Sent { id, .. }: Sent) {
        let outbound = letter.outbound;
        self.tally.sent += 1;
        self.leaves_outbox(&outbound.conversation.shared_id());
        let key = outbound.key;
        if let Some(held) = self.held.get_mut(&key.sequence) {
            held.facts.push(Fact::Sent { index: key.index, id: id.clone() });
        }
        self.enter(Entry::Sent { key, id: id.clone() }, After::Nothing);
        for answer in self.outstanding.remove(&super::alarms::key(key)).unwrap_or_default() {
            // A handler that no longer waits has dropped the other end.
            let _heard = answer.send(Ok(id.clone()));
        }
    }

    /// The reply keeps its lane, so that none overtakes it, and is tried again.
    fn postpone(&mut self, letter: Letter, wait: Option<Duration>) {
        let doubled = FIRST_PAUSE * (1 << letter.attempts.saturating_sub(1).min(8));
        self.hold_back(letter, wait.unwrap_or(doubled.min(LONGEST_PAUSE)));
    }

    fn hold_back(&mut self, letter: Letter, wait: Duration) {
        let send_key = letter.outbound.key;
        let due_ms = self.now.due_ms(wait);
        self.enter(Entry::Postpone { key: send_key, due_ms }, After::Nothing);
        self.outbox.rest(&letter.outbound.conversation.shared_id(), self.now.elapsed);
        self.alarms.set(self.now.elapsed.saturating_add(wait), Alarm::Resend(key(send_key)));
        self.postponed.insert(key(send_key), letter);
    }

    fn give_up(&mut self, letter: Letter, error: &SendError) {
        let is_unknown = error.outcome() == Outcome::Unknown;
        self.tally.not_sent += u64::from(!is_unknown);
        self.leaves_outbox(&letter.outbound.conversation.shared_id());
        let reason = match error.outcome() {
            // Whoever replays it has to know that it may arrive twice.
            Outcome::Unknown => Reason::Unknown,
            _ if error.is_rate_limited() => Reason::RateLimited,
            Outcome::NotSent(_) => Reason::NotSent,
            Outcome::Refused => Reason::Refused,
        };
        let Letter { outbound, command, attempts, .. } = letter;
        // What could be done by sending again has been done: the handler's own attempts add nothing to it.
        let told = || Error::from(error.clone()).lasting().with_retry_after(error.retry_after());
        let chain = told().chain();
        let answers = self.outstanding.remove(&key(outbound.key)).unwrap_or_default();
        let heard = answers.into_iter().filter_map(|answer| answer.send(Err(told())).ok());
        let is_heard = heard.count() > 0;
        let is_dropped = is_unknown && self.policy.on_unknown == OnUnknown::Drop;
        if is_dropped {
            // The author wants it so.
            return self.forget_letter(outbound.key);
        }
        if is_heard && !is_unknown {
            // The handler knows.
            self.enter(Entry::Drop { key: outbound.key }, After::Nothing);
            return;
        }
        tracing::error!(%reason, error = chain, "a reply was not delivered");
        self.bury_letter(outbound, reason, chain, &command, attempts);
    }

    /// A reply that may have arrived is forgotten; while its event is not done, a later attempt must not repeat it.
    pub(super) fn forget_letter(&mut self, key: SendKey) {
        let Some(held) = self.held.get_mut(&key.sequence) else {
            return self.enter(Entry::Drop { key }, After::Nothing);
        };
        held.facts.push(Fact::Buried { index: key.index });
        self.enter(Entry::Sent { key, id: None }, After::Nothing);
    }

    pub(super) fn bury_letter(
        &mut self,
        outbound: Outbound,
        reason: Reason,
        error: String,
        command: &str,
        attempts: u32,
    ) {
        self.tally.dead += 1;
        let (key, now_ms) = (outbound.key, self.now.wall_ms);
        if let Some(held) = self.held.get_mut(&key.sequence) {
            held.facts.push(Fact::Buried { index: key.index });
        }
        let dead = Dead {
            id: DeadId::Reply(key.sequence, key.index),
            reason,
            error: error.clone(),
            command: command.to_owned(),
            conversation: outbound.conversation.id().to_owned(),
            attempts,
            at_ms: now_ms,
            content: outbound.into(),
        };
        self.outputs.push(Output::Died(Box::new(dead)));
        let command = command.to_owned();
        self.enter(Entry::BuryReply { key, reason, error, command, now_ms }, After::Nothing);
    }
}
