//! Attempts begin and end.

use evenkeel_guard::Label;

use crate::engine::Engine;
use crate::engine::attempt::{Ending, Failure, HandlerOutcome};
use crate::engine::batch::Continuation;
use crate::engine::delivery::Delivery;
use crate::engine::port::{Ended, Output};
use crate::event::Event;
use crate::journal::{CompletedEffect, Entry, EventEntry};
use crate::reply::Outbound;

impl Engine {
    /// An event has its lane. It begins, unless too many replies wait in its conversation.
    pub(in crate::engine) fn has_lane(&mut self, sequence: u64) {
        let conversation = self.attempts.begins_in(sequence);
        // A handler that was waiting for a person goes on.
        if conversation.is_none_or(|conversation| self.deliveries.has_room_in(conversation)) {
            self.begin(sequence);
        } else {
            self.attempts.set_aside(sequence, self.now);
        }
    }

    /// An event has its lane: its handler goes on, or it is offered to those who wait there, or its next attempt begins.
    pub(super) fn begin(&mut self, sequence: u64) {
        if let Some(answer) = self.attempts.resume(sequence) {
            self.write_beginning(sequence, Continuation::GoOn(sequence, answer));
        } else if !self.offer(sequence) {
            self.attempt(sequence);
        }
    }

    /// The next attempt of an event that has its lane is written down, and then begins.
    pub(in crate::engine) fn attempt(&mut self, sequence: u64) {
        self.write_beginning(sequence, Continuation::Start(sequence));
    }

    /// Writes down that an event has a handler from now on, and goes on with this once the journal has it. A crash probe has to
    /// wait for that until the one before it is cleared.
    pub(super) fn write_beginning(&mut self, sequence: u64, continuation: Continuation) {
        match self.attempts.crashes(sequence) {
            None => {}
            Some(0) => self.effects.append_then(Entry::Event(sequence, EventEntry::Begin), continuation),
            Some(_) => self.probation.queue(sequence, continuation),
        }
    }

    /// The journal has the beginning of an attempt.
    pub(in crate::engine) fn start(&mut self, sequence: u64) {
        if self.is_draining {
            return self.attempts.give_back(sequence, &mut self.effects);
        }
        if self.is_held {
            return self.held.push(sequence);
        }
        let Some(attempt) = self.attempts.start(sequence, self.now) else { return };
        self.effects.output(Output::Start(attempt));
        self.runs(sequence);
    }

    /// A handler runs from now on: should it be a crash probe, its time counts.
    pub(super) fn runs(&mut self, sequence: u64) {
        let crashes = self.attempts.crashes(sequence).unwrap_or_default();
        self.probation.runs(sequence, crashes, self.now, &mut self.effects);
    }

    /// A handler is done.
    pub(in crate::engine) fn finished(&mut self, outcome: HandlerOutcome) {
        let HandlerOutcome { sequence, outbound, changes, ending, command } = outcome;
        self.probation.ends(sequence);
        self.stop_waiting(sequence);
        // What it promised is not kept: its event was done when it was cancelled.
        if self.attempts.end_cancelled(sequence, self.now) || !self.attempts.has_handler(sequence) {
            return;
        }
        match ending {
            Ending::Done => self.succeeded(sequence, outbound, changes, command.as_ref()),
            Ending::Expired => {
                let event = self.attempts.expire(sequence, self.now, &mut self.effects);
                self.release(event, Ended::Silent);
            }
            Ending::Failed(failure) => self.failed(sequence, failure, outbound, command.as_ref()),
            // The bot is ending: the event keeps its place for the next start.
            Ending::CutShort(_) if self.is_draining => self.attempts.give_back(sequence, &mut self.effects),
            // Nobody would ever take it up again, and its lane would wait for ever.
            Ending::CutShort(failure) => self.failed(sequence, failure, outbound, None),
        }
    }

    /// What was promised is written together with the end of the event.
    fn succeeded(
        &mut self,
        sequence: u64,
        outbound: Vec<Outbound>,
        changes: Vec<Entry>,
        command: Option<&Label>,
    ) {
        let command: Box<str> = command.map_or("", Label::name).into();
        let mut ended = Ended::Silent;
        for outbound in self.deliveries.with_keys_of_their_own(outbound) {
            let delivery = Delivery::new(outbound, command.clone());
            let origin = self.attempts.origin(delivery.outbound.key.sequence);
            let is_answer = delivery.outbound.is_answer();
            let is_promised = self.deliveries.promise_once(delivery, origin, self.now, &mut self.effects);
            ended = ended.with(is_answer && is_promised);
        }
        for change in changes {
            self.jobs.promise(change, &mut self.effects);
        }
        let event = self.attempts.complete(sequence, self.now, &mut self.effects);
        self.release(event, ended);
    }

    /// An attempt failed: another one follows, or the event is given up.
    fn failed(&mut self, sequence: u64, failure: Failure, apology: Vec<Outbound>, command: Option<&Label>) {
        if self.attempts.retry(sequence, &failure, command, self.now, &mut self.effects) {
            return;
        }
        let name = command.map_or("", Label::name);
        let mut ended = Ended::Silent;
        if !apology.is_empty() && self.may_apologize(sequence) {
            for outbound in apology {
                ended = ended.with(outbound.is_answer());
                // Should the operator replay a parked event, the next apology has another key.
                self.attempts.note(sequence, CompletedEffect::DeadLettered { index: outbound.key.index });
                self.promise(Delivery::new(outbound, name.into()));
            }
        }
        let event = self.attempts.give_up(sequence, failure, name, self.now, &mut self.effects);
        self.release(event, ended);
    }

    fn may_apologize(&mut self, sequence: u64) -> bool {
        let Some(event) = self.attempts.apologizes_for(sequence) else { return false };
        let (conversation, text) = (event.conversation().key(), event.text().unwrap_or_default());
        self.deliveries.may_apologize(conversation, text, self.now)
    }

    /// An event, if there was one, is gone from memory.
    pub(super) fn release(&mut self, event: Option<Event>, ended: Ended) {
        let Some(event) = event else { return };
        if let Some(token) = event.token() {
            self.effects.output(Output::Ended(event.conversation().clone(), token.clone(), ended));
        }
        self.budget.release(event);
    }
}
