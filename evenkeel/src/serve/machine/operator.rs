//! What the operator wants of dead letters and of jobs.

use tokio::sync::oneshot;

use super::{After, Machine};
use crate::journal::{Entry, Replayed};
use crate::operator::OperatorCommand;

impl Machine {
    pub(super) fn wished(&mut self, wish: OperatorCommand) {
        let now_ms = self.now.wall_ms;
        match wish {
            OperatorCommand::List(filter, answer) => {
                self.enter(Entry::ListDead(filter), After::Listed(answer))
            }
            OperatorCommand::Count(filter, answer) => {
                self.enter(Entry::CountDead(filter), After::Counted(answer))
            }
            OperatorCommand::Replay(filter, told) => {
                self.enter(Entry::Replay { filter, now_ms }, After::Replayed(Some(told)));
            }
            OperatorCommand::Discard(filter, told) => {
                self.enter(Entry::Discard(filter), After::Discarded(told))
            }
            OperatorCommand::Jobs { conversation, after, limit, answer } => {
                self.enter(Entry::Jobs { conversation, after, limit }, After::JobsListed(answer));
            }
            OperatorCommand::Cancel(name, told) => {
                self.enter(Entry::Cancel { name, conversation: None }, After::Cancelled(told));
            }
            OperatorCommand::Adopt => self.enter(Entry::Adopt, After::Replayed(None)),
        }
    }

    pub(super) fn replayed(&mut self, replayed: Replayed, told: Option<oneshot::Sender<u64>>) {
        let Replayed { events, letters, anew, unparked, discarded } = replayed;
        let count = (events.len() + letters.len() + anew.len() + unparked.len()) as u64;
        unparked.into_iter().for_each(|sequence| self.unpark(sequence, true));
        discarded.into_iter().for_each(|sequence| self.unpark(sequence, false));
        for event in events {
            let sequence = event.sequence;
            self.take_up(event);
            if let Some(held) = self.held.get_mut(&sequence) {
                held.is_replayed = true;
            }
        }
        letters.into_iter().for_each(|letter| self.take_up_letter(letter));
        if let Some(told) = told {
            // Whoever asked may have gone.
            let _heard = told.send(count);
        }
    }
}
