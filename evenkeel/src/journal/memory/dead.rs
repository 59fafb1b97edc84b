//! Dead letters: listed, given another chance, forgotten.

use super::MemoryJournal;
use super::record::{Death, EventStage, LetterRecord, LetterStage};
use crate::journal::content::Content;
use crate::journal::{Answer, Dead, DeadFilter, DeadId, Reason, Replayed};
use crate::reply::{Outbound, SendKey};

impl MemoryJournal {
    /// The names of the dead letters that are meant, in order.
    pub(super) fn dead(&self, filter: &DeadFilter) -> Vec<DeadId> {
        let events = self.events.iter().filter_map(|(sequence, record)| {
            let EventStage::Dead(death) = &record.stage else { return None };
            Some((DeadId::Event(*sequence), death, record.event.conversation().id()))
        });
        let letters = self.letters.iter().filter_map(|((sequence, index), record)| {
            let LetterStage::Dead(death) = &record.stage else { return None };
            Some((DeadId::Reply(*sequence, *index), death, record.outbound.conversation.id()))
        });
        let meant = events.chain(letters).filter(|(id, death, conversation)| {
            filter.id.is_none_or(|wanted| wanted == *id)
                && filter.command.as_ref().is_none_or(|wanted| *wanted == death.command)
                && filter.reason.is_none_or(|wanted| wanted == death.reason)
                && filter.conversation.as_ref().is_none_or(|wanted| wanted == conversation)
                && filter.after.is_none_or(|after| after < *id)
        });
        meant.map(|(id, ..)| id).take(filter.limit.unwrap_or(usize::MAX)).collect()
    }

    pub(super) fn show(&self, id: DeadId) -> Option<Dead> {
        let (death, conversation, attempts, content) = match id {
            DeadId::Event(sequence) => {
                let record = self.events.get(&sequence)?;
                let EventStage::Dead(death) = &record.stage else { return None };
                let conversation = record.event.conversation().id();
                (death, conversation, record.attempts, record.event.clone().into())
            }
            DeadId::Reply(sequence, index) => {
                let record = self.letters.get(&(sequence, index))?;
                let LetterStage::Dead(death) = &record.stage else { return None };
                let conversation = record.outbound.conversation.id();
                (death, conversation, record.attempts, Content::from(record.outbound.clone()))
            }
        };
        let Death { reason, error, command, at_ms } = death.clone();
        let conversation = conversation.to_owned();
        Some(Dead { id, reason, error, command, conversation, attempts, at_ms, content })
    }

    pub(super) fn replay(&mut self, filter: &DeadFilter) -> Replayed {
        let mut replayed = Replayed::default();
        for id in self.dead(filter) {
            match id {
                DeadId::Event(sequence) => self.replay_event(sequence, &mut replayed),
                DeadId::Reply(sequence, index) => self.replay_letter((sequence, index), &mut replayed),
            }
        }
        replayed
    }

    fn replay_event(&mut self, sequence: u64, replayed: &mut Replayed) {
        let Some(mut record) = self.events.remove(&sequence) else { return };
        let is_parked = matches!(&record.stage, EventStage::Dead(death) if death.reason == Reason::Parked);
        record.stage = EventStage::Ready;
        (record.attempts, record.crashes, record.due_ms) = (0, 0, 0);
        if is_parked {
            self.events.insert(sequence, record);
            replayed.unparked.push(sequence);
            return;
        }
        self.last += 1;
        let number = self.last;
        for (name, value) in self.take_steps(sequence) {
            self.steps.insert((number, name), value);
        }
        for (index, mut letter) in self.take_sent(sequence) {
            letter.outbound.key.sequence = number;
            self.letters.insert((number, index), letter);
        }
        for index in self.take_dead(sequence) {
            replayed.anew.push(DeadId::Reply(sequence, index));
        }
        self.events.insert(number, record);
        replayed.events.extend(self.pending_event(number));
    }

    /// Takes the dead replies of an event, and says which they were.
    fn take_dead(&mut self, sequence: u64) -> Vec<u32> {
        let of_event = self.letters.range((sequence, 0)..=(sequence, u32::MAX));
        let dead = of_event.filter(|(_, record)| matches!(record.stage, LetterStage::Dead(_)));
        let indices: Vec<u32> = dead.map(|((_, index), _)| *index).collect();
        for index in &indices {
            self.letters.remove(&(sequence, *index));
        }
        indices
    }

    fn replay_letter(&mut self, key: (u64, u32), replayed: &mut Replayed) {
        let Some(mut record) = self.letters.remove(&key) else { return };
        self.decide(key, &record.outbound);
        self.last += 1;
        record.outbound.key = SendKey { sequence: self.last, index: 0 };
        record.stage = LetterStage::Pending;
        (record.attempts, record.due_ms) = (0, 0);
        replayed.letters.extend(record.pending());
        self.letters.insert((self.last, 0), record);
    }

    /// A dead reply was taken away. While its event is not done or dead, its next attempt has to know.
    fn decide(&mut self, key: (u64, u32), outbound: &Outbound) {
        let is_awaited = self.events.get(&key.0).is_some_and(|record| match &record.stage {
            EventStage::Dead(death) => death.reason == Reason::Parked,
            _ => true,
        });
        if is_awaited {
            let (outbound, command, stage) = (outbound.clone(), String::new(), LetterStage::Decided);
            self.letters.insert(key, LetterRecord { outbound, command, stage, attempts: 0, due_ms: 0 });
        }
    }

    pub(super) fn discard(&mut self, filter: &DeadFilter) -> Answer {
        let meant = self.dead(filter);
        let count = meant.len() as u64;
        let mut unparked = Vec::new();
        for id in meant {
            match id {
                DeadId::Event(sequence) => {
                    let stage = self.events.get(&sequence).map(|record| &record.stage);
                    if matches!(stage, Some(EventStage::Dead(death)) if death.reason == Reason::Parked) {
                        unparked.push(sequence);
                    }
                    self.forget_event(sequence);
                }
                DeadId::Reply(sequence, index) => {
                    if let Some(record) = self.letters.remove(&(sequence, index)) {
                        self.decide((sequence, index), &record.outbound);
                    }
                }
            }
        }
        Answer::Discarded { count, unparked }
    }
}
