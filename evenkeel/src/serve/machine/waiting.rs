//! Handlers that wait for people, and the conversations that go on meanwhile.
//!
//! A waiting handler has given its lane back. Each event that gets the lane is offered to those who wait there, one after
//! another; whoever takes it goes on in that event's place.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::{After, Machine, Place};
use crate::engine::Offer;
use crate::journal::{Entry, Fact};

/// Handlers that may wait for people at once,
const WAITERS: usize = 10_000;
/// and of one conversation.
const WAITERS_EACH: usize = 100;

/// A handler that waits.
#[derive(Debug)]
pub(super) struct Waiter {
    sequence: u64,
    offers: mpsc::UnboundedSender<Offer>,
}

/// An event that is being offered.
#[derive(Debug)]
pub(super) struct Offering {
    /// Who has been asked and has not said yet.
    asked: u64,
    /// Who is asked next.
    left: VecDeque<u64>,
}

impl Machine {
    /// A handler waits from now on.
    pub(super) fn waits(&mut self, sequence: u64, offers: mpsc::UnboundedSender<Offer>) {
        let is_full = self.waiters.values().map(VecDeque::len).sum::<usize>() >= WAITERS;
        let Some(held) = self.held.get_mut(&sequence).filter(|held| held.place.is_running()) else { return };
        let waiting_here = self.waiters.get(&held.lane).map_or(0, VecDeque::len);
        if is_full || waiting_here >= WAITERS_EACH {
            return; // The handler hears of it by the end of its channel.
        }
        let (lane, had_lane) = (Arc::clone(&held.lane), held.place == Place::Running);
        held.place = Place::Waiting;
        self.waiters.entry(Arc::clone(&lane)).or_default().push_back(Waiter { sequence, offers });
        self.enter(Entry::Suspend { sequence }, After::Nothing);
        self.suspects.is_over(sequence);
        if had_lane {
            self.lanes.finish(&lane, self.now.elapsed);
        }
    }

    /// Offers an event, which has its lane, to those who wait there. Answers false when nobody does.
    pub(super) fn offer(&mut self, sequence: u64) -> bool {
        let Some(held) = self.held.get(&sequence).filter(|held| !held.is_no_answer) else { return false };
        let Some(waiters) = self.waiters.get(&held.lane) else { return false };
        let left = waiters.iter().map(|waiter| waiter.sequence).collect();
        self.offer_next(sequence, left)
    }

    fn offer_next(&mut self, sequence: u64, mut left: VecDeque<u64>) -> bool {
        let Some(held) = self.held.get_mut(&sequence) else { return false };
        while let Some(asked) = left.pop_front() {
            let waiters = self.waiters.get(&held.lane);
            let waiter = waiters.and_then(|waiters| waiters.iter().find(|waiter| waiter.sequence == asked));
            let offer = Offer { sequence, event: held.event.clone() };
            if waiter.is_some_and(|waiter| waiter.offers.send(offer).is_ok()) {
                self.offering.insert(sequence, Offering { asked, left });
                return true;
            }
        }
        held.is_no_answer = true;
        false
    }

    /// Whoever was asked does not want the event.
    pub(super) fn passed(&mut self, event: u64, by: u64) {
        let Some(offering) = self.offering.remove(&event) else { return };
        if offering.asked != by {
            self.offering.insert(event, offering);
        } else if !self.offer_next(event, offering.left) {
            self.begin(event);
        }
    }

    /// Whoever was asked takes the event: it is done, and they go on in its place.
    pub(super) fn taken(
        &mut self,
        event: u64,
        by: u64,
        name: String,
        value: Bytes,
        answer: oneshot::Sender<()>,
    ) {
        if self.offering.get(&event).is_none_or(|offering| offering.asked != by) {
            return; // Too late; the handler hears of it by the end of its channel.
        }
        self.offering.remove(&event);
        self.remove_waiter(by);
        let Some(held) = self.held.get_mut(&by) else { return };
        held.place = Place::Running;
        held.facts.push(Fact::Step { name: name.clone(), value: value.clone() });
        self.tally.handled += 1;
        self.forget(event);
        self.enter(Entry::Step { sequence: by, name, value }, After::Nothing);
        self.enter(Entry::Done { sequence: event }, After::Nothing);
        self.go_on(by, answer);
    }

    /// A handler has waited long enough: it goes on when its conversation has time for it.
    pub(super) fn rejoins(&mut self, sequence: u64, answer: oneshot::Sender<()>) {
        self.ceases(sequence);
        let Some(held) = self.held.get_mut(&sequence) else { return };
        if held.place != Place::Waiting {
            // There was no room to wait, so it never gave its lane away. It may have ceased to listen.
            let _heard = answer.send(());
            return;
        }
        held.resumes = Some(answer);
        let lane = Arc::clone(&held.lane);
        self.lanes.push(lane, sequence);
    }

    /// Goes on with a handler that has waited long enough and now has its lane. Answers false when this is another event.
    pub(super) fn resume(&mut self, sequence: u64) -> bool {
        let Some(held) = self.held.get_mut(&sequence) else { return false };
        let Some(answer) = held.resumes.take() else { return false };
        held.place = Place::Running;
        self.go_on(sequence, answer);
        true
    }

    /// A handler ceased to wait by itself: it runs beside its lane, unless it has that already. Should the process end,
    /// it may be at fault again.
    pub(super) fn leaves(&mut self, sequence: u64) {
        self.ceases(sequence);
        let Some(held) = self.held.get_mut(&sequence) else { return };
        let was_waiting = held.place == Place::Waiting;
        if was_waiting {
            (held.place, held.resumes) = (Place::Loose, None);
        }
        if self.suspects.forget(sequence) || was_waiting {
            self.slips(sequence);
            self.enter(Entry::Begin { sequence }, After::Nothing);
        }
    }

    /// Nobody waits under this number any more; what was offered to them goes to the next.
    pub(super) fn ceases(&mut self, sequence: u64) {
        self.remove_waiter(sequence);
        let offered = self.offering.iter().find(|(_, offering)| offering.asked == sequence);
        if let Some(event) = offered.map(|(event, _)| *event) {
            self.passed(event, sequence);
        }
    }

    fn remove_waiter(&mut self, sequence: u64) {
        let Some(lane) = self.held.get(&sequence).map(|held| &held.lane) else { return };
        if let Some(waiters) = self.waiters.get_mut(lane) {
            waiters.retain(|waiter| waiter.sequence != sequence);
            if waiters.is_empty() {
                self.waiters.remove(lane);
            }
        }
    }
}
