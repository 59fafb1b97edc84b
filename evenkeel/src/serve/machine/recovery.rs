//! What an earlier run left is taken up again, where it was.

use std::sync::Arc;
use std::time::Duration;

use super::alarms::{Alarm, key};
use super::{Machine, Now};
use crate::engine::{APOLOGY, free_index};
use crate::error::Error;
use crate::event::Event;
use crate::guarantee::OnUnknown;
use crate::journal::{Fact, PendingEvent, PendingLetter, Reason, Recovered};
use crate::reply::{Outbound, Reply, SendKey};
use crate::serve::outbox::Letter;

/// So often may the process end in the middle of one event; then the event is at fault.
const CRASHES: u32 = 3;

impl Machine {
    /// Begins with what an earlier run left. `command` is the name of whatever handles an event.
    pub(in crate::serve) fn recover(
        &mut self,
        recovered: Recovered,
        now: Now,
        command: &dyn Fn(&Event) -> String,
    ) {
        self.now = now;
        self.next_job_ms = recovered.next_job_ms;
        // A parked event keeps its lane, also from handlers before it that were waiting for somebody.
        let (parked, others): (Vec<_>, Vec<_>) =
            recovered.events.into_iter().partition(|event| event.is_parked);
        let mut apologies = Vec::new();
        for pending in parked.into_iter().chain(others) {
            if pending.crashes >= CRASHES && !pending.is_parked {
                let name = command(&pending.event);
                apologies.extend(self.poison(pending, &name));
            } else {
                self.take_up(pending);
            }
        }
        recovered.letters.into_iter().for_each(|letter| self.take_up_letter(letter));
        // After what was promised before.
        apologies.into_iter().for_each(|apology| self.promise(apology));
    }

    /// An event during which the process ended too often. What is to be said to whoever wrote it, if anybody did.
    fn poison(&mut self, pending: PendingEvent, command: &str) -> Option<Letter> {
        let PendingEvent { sequence, event, attempts, crashes, facts, .. } = pending;
        let conversation =
            event.message().filter(|_| !command.is_empty()).map(|_| event.conversation().clone());
        let (index, text) = (free_index(&facts).max(APOLOGY), event.text().unwrap_or_default().to_owned());
        self.tally.resumed += 1;
        self.room.take(&event);
        self.hold(sequence, event, facts).attempts = attempts;
        let error = format!("the process ended {crashes} times while this was being handled");
        tracing::error!(sequence, crashes, "an event was given up: {error}");
        self.bury(sequence, Reason::Poison, error.clone(), command);
        self.forget(sequence);
        let (mut actions, _) = Reply::failed(Error::new(error)).into_parts();
        let (conversation, action) = conversation.zip(actions.pop())?;
        if !self.brake.may_apologize(conversation.id(), &text, self.now.elapsed) {
            return None;
        }
        let outbound = Outbound { conversation, action, key: SendKey { sequence, index } };
        Some(Letter::new(outbound, command.into()))
    }

    pub(super) fn take_up(&mut self, pending: PendingEvent) {
        let PendingEvent { sequence, event, attempts, crashes, has_begun, due_ms, is_parked, facts } =
            pending;
        // A parked one is a dead letter until somebody replays it.
        self.tally.resumed += u64::from(!is_parked);
        self.room.take(&event);
        let held = self.hold(sequence, event, facts);
        (held.attempts, held.crashes, held.is_parked) = (attempts, crashes, is_parked);
        held.is_no_answer = has_begun;
        let lane = Arc::clone(&held.lane);
        if is_parked {
            self.parked.insert(sequence);
            // It was the head of its lane; nothing before it is left.
            self.lanes.hold(&lane);
            return;
        }
        let wait = Duration::from_millis(due_ms.saturating_sub(self.now.wall_ms));
        if !wait.is_zero() && self.lanes.hold(&lane) {
            self.alarms.set(self.now.elapsed + wait, Alarm::Retry(sequence));
        } else {
            // Behind another one, its place is worth more than its pause.
            self.lanes.push(lane, sequence);
        }
    }

    pub(super) fn take_up_letter(&mut self, pending: PendingLetter) {
        let PendingLetter { outbound, command, is_unknown, attempts, due_ms } = pending;
        let lane = outbound.conversation.shared_id();
        if is_unknown {
            self.tally.unknown += 1;
            if !self.policy.may_resend() {
                return self.leave_unknown(outbound, &command, attempts);
            }
        }
        let wait = Duration::from_millis(due_ms.saturating_sub(self.now.wall_ms));
        // How many of them were unknown is not kept: all of them may have been.
        let unknowns = if self.policy.resends_safely { 0 } else { attempts.max(is_unknown.into()) };
        let letter = Letter { outbound, command: command.into(), attempts, unknowns, held_until: None };
        let SendKey { sequence, index } = letter.outbound.key;
        match self.held.get_mut(&sequence) {
            // As in `failed`.
            Some(held) if index >= APOLOGY => held.facts.push(Fact::Buried { index }),
            // Its handler runs again, and is not to send it again.
            Some(_) => drop(self.outstanding.insert((sequence, index), Vec::new())),
            None => {}
        }
        if !wait.is_zero() && self.outbox.hold(&lane) {
            let key = key(letter.outbound.key);
            self.alarms.set(self.now.elapsed + wait, Alarm::Resend(key));
            self.postponed.insert(key, letter);
        } else {
            self.outbox.push(lane, letter);
        }
    }

    fn leave_unknown(&mut self, outbound: Outbound, command: &str, attempts: u32) {
        if self.policy.on_unknown == OnUnknown::Drop {
            return self.forget_letter(outbound.key);
        }
        let error = "the process ended while this was being sent".to_owned();
        self.bury_letter(outbound, Reason::Unknown, error, command, attempts);
    }
}
