//! What the operator wants of dead letters.

use tokio::sync::oneshot;

use super::{After, Machine};
use crate::dead::Wish;
use crate::journal::{Entry, Replayed};

impl Machine {
    pub(super) fn wished(&mut self, wish: Wish) {
        let now_ms = self.now.wall_ms;
        match wish {
            Wish::List(filter, answer) => self.enter(Entry::ListDead(filter), After::Listed(answer)),
            Wish::Replay(filter, told) => {
                self.enter(Entry::Replay { filter, now_ms }, After::Replayed(Some(told)));
            }
            Wish::Discard(filter, told) => self.enter(Entry::Discard(filter), After::Discarded(told)),
            Wish::Adopt => self.enter(Entry::Adopt, After::Replayed(None)),
        }
    }

    pub(super) fn replayed(&mut self, replayed: Replayed, told: Option<oneshot::Sender<u64>>) {
        let Replayed { events, letters, unparked, discarded } = replayed;
        let count = (events.len() + letters.len() + unparked.len()) as u64;
        unparked.into_iter().for_each(|sequence| self.unpark(sequence, true));
        discarded.into_iter().for_each(|sequence| self.unpark(sequence, false));
        for event in events {
            let sequence = event.sequence;
            self.take_up(event);
            if let Some(held) = self.held.get_mut(&sequence) {
                // The inbox does not count what is replayed.
                held.size_bytes = 0;
            }
        }
        letters.into_iter().for_each(|letter| self.take_up_letter(letter));
        if let Some(told) = told {
            // Whoever asked may have gone.
            let _heard = told.send(count);
        }
    }
}
