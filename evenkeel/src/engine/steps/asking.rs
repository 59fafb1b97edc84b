//! What running handlers ask for.

use crate::engine::Engine;
use crate::engine::batch::Continuation;
use crate::engine::request::HandlerRequest;
use crate::journal::{CompletedEffect, Entry, EventEntry, Query};

/// Jobs that are listed at once.
const LISTED: usize = 1_000;

impl Engine {
    pub(in crate::engine) fn asked(&mut self, request: HandlerRequest) {
        // What one asks for that was cancelled, and has not come to its next `.await` yet, comes too late.
        if request.by().is_some_and(|by| self.attempts.is_cancelled(by)) {
            return;
        }
        match request {
            HandlerRequest::Act { outbound, command, answer } => self.act(outbound, command, answer),
            HandlerRequest::Step { sequence, name, value, answer } => {
                self.attempts
                    .note(sequence, CompletedEffect::Step { name: name.clone(), value: value.clone() });
                let step = Entry::Event(sequence, EventEntry::Step { name, value });
                self.effects.append_then(step, Continuation::StepKept(answer));
            }
            HandlerRequest::Recall { conversation, name, answer } => {
                let recall = Entry::Query(Query::Recall { conversation, name });
                self.effects.append_then(recall, Continuation::Recalled(answer));
            }
            HandlerRequest::Jobs { conversation, answer } => {
                let jobs = Entry::Query(Query::Jobs {
                    conversation: Some(conversation),
                    after: None,
                    limit: LISTED,
                });
                self.effects.append_then(jobs, Continuation::JobsListed(answer));
            }
            HandlerRequest::Wait { sequence, offers } => self.begin_waiting(sequence, offers),
            HandlerRequest::Pass { event, by } => self.pass(event, by),
            HandlerRequest::Take { event, by, name, value, answer } => {
                self.take(event, by, (name, value), answer);
            }
            HandlerRequest::Rejoin { sequence, answer } => self.rejoin(sequence, answer),
            HandlerRequest::Leave { sequence } => self.leave(sequence),
            HandlerRequest::CancelOthers { by, name, answer } => self.cancel_others(by, name, answer),
        }
    }
}
