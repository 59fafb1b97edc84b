//! What running handlers ask for.

use super::following::After;
use super::{Machine, Output, jobs};
use crate::engine::HandlerRequest;
use crate::journal::{Entry, Fact};

impl Machine {
    pub(super) fn asked(&mut self, ask: HandlerRequest) {
        match ask {
            HandlerRequest::Act { outbound, command, answer } => self.act(outbound, command, answer),
            HandlerRequest::Step { sequence, name, value, answer } => {
                if let Some(held) = self.held.get_mut(&sequence) {
                    held.facts.push(Fact::Step { name: name.clone(), value: value.clone() });
                }
                self.enter(Entry::Step { sequence, name, value }, After::Kept(answer));
            }
            HandlerRequest::Recall { conversation, name, answer } => {
                self.enter(Entry::Recall { conversation, name }, After::Recalled(answer));
            }
            HandlerRequest::Jobs { conversation, answer } => {
                let entry =
                    Entry::Jobs { conversation: Some(conversation), after: None, limit: jobs::LISTED };
                self.enter(entry, After::JobsListed(answer));
            }
            HandlerRequest::Wait { sequence, offers } => self.waits(sequence, offers),
            HandlerRequest::Pass { event, by } => self.passed(event, by),
            HandlerRequest::Take { event, by, name, value, answer } => {
                self.taken(event, by, name, value, answer)
            }
            HandlerRequest::Rejoin { sequence, answer } => self.rejoins(sequence, answer),
            HandlerRequest::Leave { sequence } => self.leaves(sequence),
            other @ HandlerRequest::Download { .. } => self.outputs.push(Output::Request(other)),
        }
    }
}
