//! What running handlers ask for.

use super::following::After;
use super::{Machine, Output, jobs};
use crate::context::Ask;
use crate::journal::{Entry, Fact};

impl Machine {
    pub(super) fn asked(&mut self, ask: Ask) {
        match ask {
            Ask::Act { outbound, command, answer } => self.act(outbound, command, answer),
            Ask::Step { sequence, name, value, answer } => {
                if let Some(held) = self.held.get_mut(&sequence) {
                    held.facts.push(Fact::Step { name: name.clone(), value: value.clone() });
                }
                self.enter(Entry::Step { sequence, name, value }, After::Kept(answer));
            }
            Ask::Recall { conversation, name, answer } => {
                self.enter(Entry::Recall { conversation, name }, After::Recalled(answer));
            }
            Ask::Jobs { conversation, answer } => {
                let entry =
                    Entry::Jobs { conversation: Some(conversation), after: None, limit: jobs::LISTED };
                self.enter(entry, After::JobsListed(answer));
            }
            Ask::Wait { sequence, offers } => self.waits(sequence, offers),
            Ask::Pass { event, by } => self.passed(event, by),
            Ask::Take { event, by, name, value, answer } => self.taken(event, by, name, value, answer),
            Ask::Rejoin { sequence, answer } => self.rejoins(sequence, answer),
            Ask::Leave { sequence } => self.leaves(sequence),
            other @ Ask::Download { .. } => self.outputs.push(Output::Ask(other)),
        }
    }
}
