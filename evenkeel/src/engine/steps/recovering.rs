//! What an earlier run left is taken up again, where it was: all of it at once, or page by page.

use crate::engine::Engine;
use crate::engine::attempt::{APOLOGY, free_index};
use crate::engine::delivery::Delivery;
use crate::engine::loading::NameCommand;
use crate::engine::port::Now;
use crate::error::Error;
use crate::journal::store::EventId;
use crate::journal::{Page, PendingEvent, PendingReply, Reason, Recovered};
use crate::reply::{Outbound, Reply, SendKey};

/// So often may the process end in the middle of one event; then the event is at fault.
const CRASHES: u32 = 3;

impl Engine {
    /// Begins with what an earlier run left, or with that part of it that has to be known first. `name_command` names what
    /// handles an event.
    pub(crate) fn recover(&mut self, recovered: Recovered, now: Now, name_command: NameCommand) {
        self.now = now;
        self.jobs.expect(recovered.next_job_ms);
        self.loading.begin(name_command);
        self.attempts.hold_newcomers();
        let Recovered { events, replies, has_more, .. } = recovered;
        self.take_up_all(events, replies, has_more);
    }

    /// More of what an earlier run left has come.
    pub(super) fn loaded(&mut self, page: Page) {
        let Page { events, replies, has_more } = page;
        self.take_up_all(events, replies, has_more);
    }

    fn take_up_all(&mut self, events: Vec<PendingEvent>, replies: Vec<PendingReply>, has_more: bool) {
        let counts = (events.len(), replies.len());
        // A parked event keeps its lane, also from handlers before it that were waiting for somebody.
        let (parked, others): (Vec<_>, Vec<_>) = events.into_iter().partition(|event| event.is_parked);
        let mut apologies = Vec::new();
        for pending in parked.into_iter().chain(others) {
            if self.is_stranded(&pending) {
                self.strand(pending);
            } else if pending.crashes >= CRASHES && !pending.is_parked {
                let name = self.loading.command(&pending.event);
                apologies.extend(self.poison(pending, &name));
            } else {
                self.take_up(pending);
            }
        }
        replies.into_iter().for_each(|reply| self.take_up_reply(reply));
        // After what was promised before.
        apologies.into_iter().for_each(|apology| self.promise(apology));
        if let Some((replies, unparked)) = self.loading.taken_up(counts.0, counts.1, has_more) {
            self.take_up_replayed(replies, unparked);
            self.attempts.admit_newcomers();
        }
    }

    /// Whether the bot is not on the network from which an event came. A job is on none, and a parked event waits for the operator.
    fn is_stranded(&self, pending: &PendingEvent) -> bool {
        let network = pending.event.conversation().network();
        !pending.is_parked && !pending.event.is_job() && !self.deliveries.is_on(network)
    }

    /// Gives such an event up.
    fn strand(&mut self, pending: PendingEvent) {
        let (event, command) = (pending.event.clone(), self.loading.command(&pending.event));
        let network = event.conversation().network();
        let named = if network.is_empty() { "the primary network of its journal" } else { network };
        let error = format!("the bot was started without `{named}`, where this came in");
        tracing::error!(sequence = %EventId::from_bits(pending.sequence), "an event was given up: {error}");
        self.budget.take(&event);
        self.attempts.abandon(pending, (Reason::NoNetwork, error), &command, self.now, &mut self.effects);
        self.budget.release(event);
    }

    fn take_up(&mut self, pending: PendingEvent) {
        self.budget.take(&pending.event);
        // A parked one holds up its conversation, whatever its command has become since.
        let lane = if pending.is_parked { pending.event.lane() } else { self.lane_of(&pending.event) };
        self.attempts.take_up(pending, lane, self.now, &mut self.effects);
    }

    pub(super) fn take_up_reply(&mut self, pending: PendingReply) {
        let sequence = pending.outbound.key.sequence;
        let is_pending = self.attempts.contains(sequence);
        let fact = self.deliveries.take_up(pending, is_pending, self.now, &mut self.effects);
        if let Some(fact) = fact {
            self.attempts.note(sequence, fact);
        }
    }

    /// Gives an event up during which the process ended too often. Answers what is to be said to the person who wrote it, if
    /// somebody did.
    fn poison(&mut self, pending: PendingEvent, command: &str) -> Option<Delivery> {
        let (sequence, crashes, event) = (pending.sequence, pending.crashes, pending.event.clone());
        let index = free_index(&pending.facts).max(APOLOGY);
        let error = format!("the process ended {crashes} times while this was being handled");
        tracing::error!(sequence = %EventId::from_bits(sequence), crashes, "an event was given up: {error}");
        self.budget.take(&event);
        let why = (Reason::Poison, error.clone());
        self.attempts.abandon(pending, why, command, self.now, &mut self.effects);
        self.budget.release(event.clone());
        event.message().filter(|_| !command.is_empty())?;
        let (mut actions, _) = Reply::failed(Error::new(error)).into_parts();
        let (conversation, action) = (event.conversation().clone(), actions.pop()?);
        let text = event.text().unwrap_or_default();
        if !self.deliveries.may_apologize(conversation.key(), text, self.now) {
            return None;
        }
        let outbound = Outbound::new(conversation, action, SendKey { sequence, index });
        let outbound = outbound.with_token(event.token().cloned());
        Some(Delivery::new(outbound, command.into()))
    }
}
