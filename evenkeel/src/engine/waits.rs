//! Handlers that wait for people, and the events that are offered to them.
//!
//! A waiting handler has given its lane back. Each event that gets the lane is offered to those who wait there, one after
//! another; the one that takes it goes on in that event's place.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use tokio::sync::mpsc;

use super::request::Offer;
use crate::event::Event;

/// Handlers that may wait for people at once,
const WAITERS: usize = 10_000;
/// and of one conversation.
const WAITERS_EACH: usize = 100;

/// A handler that waits.
#[derive(Debug)]
struct Waiter {
    sequence: u64,
    offers: mpsc::UnboundedSender<Offer>,
}

/// An event that is being offered.
#[derive(Debug)]
struct Offering {
    /// The handler that has been asked and has not answered yet.
    asked: u64,
    /// Those that are asked next.
    left: VecDeque<u64>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Waits {
    /// By lane, the one that began first first.
    waiters: HashMap<Arc<str>, VecDeque<Waiter>>,
    /// By event.
    offering: HashMap<u64, Offering>,
}

impl Waits {
    /// Whether anybody waits in a lane.
    pub(super) fn is_awaited(&self, lane: &str) -> bool {
        self.waiters.contains_key(lane)
    }

    /// A handler waits from now on. Answers false when too many wait; the handler hears of it by the end of its channel.
    pub(super) fn wait(
        &mut self,
        sequence: u64,
        lane: Arc<str>,
        offers: mpsc::UnboundedSender<Offer>,
    ) -> bool {
        let waiting_here = self.waiters.get(&lane).map_or(0, VecDeque::len);
        let waiting = self.waiters.values().map(VecDeque::len).sum::<usize>();
        if waiting >= WAITERS || waiting_here >= WAITERS_EACH {
            return false;
        }
        self.waiters.entry(lane).or_default().push_back(Waiter { sequence, offers });
        true
    }

    /// Offers an event, which has its lane, to those who wait there. Answers false when none of them is left.
    pub(super) fn offer(&mut self, sequence: u64, event: &Event, lane: &str) -> bool {
        let waiters = self.waiters.get(lane).into_iter().flatten();
        let left = waiters.map(|waiter| waiter.sequence).collect();
        self.offer_next(sequence, event, lane, left)
    }

    fn offer_next(&mut self, sequence: u64, event: &Event, lane: &str, mut left: VecDeque<u64>) -> bool {
        let waiters = self.waiters.get(lane);
        while let Some(asked) = left.pop_front() {
            let waiter = waiters.and_then(|waiters| waiters.iter().find(|waiter| waiter.sequence == asked));
            let offer = Offer { sequence, event: event.clone() };
            if waiter.is_some_and(|waiter| waiter.offers.send(offer).is_ok()) {
                self.offering.insert(sequence, Offering { asked, left });
                return true;
            }
        }
        false
    }

    /// The handler that was asked does not want the event, which is offered to the next one, if it still has its lane. Answers
    /// false when nobody is left who may want it.
    pub(super) fn pass(&mut self, sequence: u64, by: u64, event: Option<(&Event, &Arc<str>)>) -> bool {
        match self.offering.remove(&sequence) {
            // It was taken, or is offered to another.
            None => true,
            Some(offering) if offering.asked != by => {
                self.offering.insert(sequence, offering);
                true
            }
            Some(Offering { left, .. }) => {
                event.is_some_and(|(event, lane)| self.offer_next(sequence, event, lane, left))
            }
        }
    }

    /// The handler that was asked takes the event, and waits no more. Answers false when that comes too late; the handler hears
    /// of it by the end of its channel.
    pub(super) fn take(&mut self, sequence: u64, by: u64, lane: Option<&Arc<str>>) -> bool {
        if self.offering.get(&sequence).is_none_or(|offering| offering.asked != by) {
            return false;
        }
        self.offering.remove(&sequence);
        self.remove_waiter(by, lane);
        true
    }

    /// A handler waits no more. Answers the event that it was asked about, if it was: that goes to the next one.
    pub(super) fn stop(&mut self, sequence: u64, lane: Option<&Arc<str>>) -> Option<u64> {
        self.remove_waiter(sequence, lane);
        let offered = self.offering.iter().find(|(_, offering)| offering.asked == sequence);
        offered.map(|(event, _)| *event)
    }

    fn remove_waiter(&mut self, sequence: u64, lane: Option<&Arc<str>>) {
        let Some(lane) = lane else { return };
        if let Some(waiters) = self.waiters.get_mut(lane) {
            waiters.retain(|waiter| waiter.sequence != sequence);
            if waiters.is_empty() {
                self.waiters.remove(lane);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Conversation, Message, Sender};

    fn event() -> Event {
        Event::new("7", Conversation::direct("alice"), Sender::new("alice"), Message::text("7", "blue"))
    }

    #[test]
    fn an_event_is_offered_to_one_handler_after_another_and_taken_once() {
        let (mut waits, lane, event) = (Waits::default(), Arc::<str>::from("alice"), event());
        let (first, mut heard) = mpsc::unbounded_channel();
        let (second, mut heard_second) = mpsc::unbounded_channel();
        assert!(waits.wait(1, Arc::clone(&lane), first) && waits.wait(2, Arc::clone(&lane), second));
        assert!(waits.offer(7, &event, &lane));
        assert!(heard.try_recv().is_ok() && heard_second.try_recv().is_err(), "one at a time");
        assert!(!waits.take(7, 2, Some(&lane)), "it was not asked");
        assert!(waits.pass(7, 1, Some((&event, &lane))), "the second one is asked");
        assert_eq!(heard_second.try_recv().map(|offer| offer.sequence), Ok(7));
        assert!(waits.take(7, 2, Some(&lane)) && !waits.take(7, 2, Some(&lane)));
        assert!(waits.is_awaited(&lane), "the first one waits on");
        assert_eq!(waits.stop(1, Some(&lane)), None);
        assert!(!waits.is_awaited(&lane));
    }

    #[test]
    fn what_was_offered_to_a_handler_that_stops_waiting_goes_to_the_next() {
        let (mut waits, lane, event) = (Waits::default(), Arc::<str>::from("alice"), event());
        let (offers, _heard) = mpsc::unbounded_channel();
        assert!(waits.wait(1, Arc::clone(&lane), offers) && waits.offer(7, &event, &lane));
        assert_eq!(waits.stop(1, Some(&lane)), Some(7));
        assert!(!waits.pass(7, 1, Some((&event, &lane))), "nobody is left who may want it");
    }

    #[test]
    fn beyond_the_bound_a_conversation_has_no_more_that_wait() {
        let (mut waits, lane) = (Waits::default(), Arc::<str>::from("alice"));
        for sequence in 0..WAITERS_EACH as u64 {
            assert!(waits.wait(sequence, Arc::clone(&lane), mpsc::unbounded_channel().0));
        }
        assert!(!waits.wait(1_000, Arc::clone(&lane), mpsc::unbounded_channel().0));
        assert!(waits.wait(1_000, Arc::from("bob"), mpsc::unbounded_channel().0));
    }
}
