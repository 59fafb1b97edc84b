//! Events that were accepted and are not done: in which lane each of them runs or waits, and how often it was tried.
//!
//! ```text
//! accepted -> running -> done
//!               |  \-> waiting (for a person) -> running
//!               |-> resting -> running
//!               |-> cancelled
//!               \-> dead, parked
//! ```

mod in_flight;
mod failing;
mod cancelling;
mod waiting;
mod recovering;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::attempt::Attempt;
use super::delivery::Origin;
use super::effects::Effects;
use super::jitter::Jitter;
use super::lanes::Lanes;
use super::port::{EventCounters, Now};
use crate::event::Event;
use crate::journal::{CompletedEffect, Entry, EventEntry};
use crate::reserved;
use in_flight::{InFlight, Stage};

/// Handlers running at once, those that hang not counted; more conversations than that wait their turn.
const HANDLERS: usize = 10_000;
/// Handlers running at once in all.
const HANDLERS_BOUND: usize = 40_000;
/// Concurrent commands of one conversation running at once; further ones wait for one of these.
pub(super) const CONCURRENT: usize = 16;

/// See the module.
#[derive(Debug)]
pub(super) struct Attempts {
    in_flight: HashMap<u64, InFlight>,
    lanes: Lanes<u64>,
    /// How many events of a lane are on their way to the journal without having taken the lane: what comes after them must
    /// not take it either.
    arriving: HashMap<Arc<str>, usize>,
    /// Handlers that were cancelled and are not gone, though their events are done, each with the lane that it keeps until then.
    cancelled: HashMap<u64, Option<Arc<str>>>,
    /// Events that keep their lanes until the operator decides.
    parked: HashSet<u64>,
    /// Events that will be tried again and have left their lanes meanwhile.
    resting: usize,
    /// Events that have their lanes and wait until fewer replies wait, by conversation. Each such conversation has replies
    /// that will end one way or the other; the last of them lets everything go that is kept here.
    set_aside: HashMap<Arc<str>, Vec<u64>>,
    /// Events that came in while something that goes before them may not be loaded, in order; `None` once all is.
    newcomers: Option<Vec<u64>>,
    jitter: Jitter,
    counters: EventCounters,
}

impl Attempts {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            in_flight: HashMap::new(),
            lanes: Lanes::new(HANDLERS, HANDLERS_BOUND),
            arriving: HashMap::new(),
            cancelled: HashMap::new(),
            parked: HashSet::new(),
            resting: 0,
            set_aside: HashMap::new(),
            newcomers: None,
            jitter: Jitter::new(seed),
            counters: EventCounters::default(),
        }
    }

    /// A lane for an event that does not wait for its conversation: an idle one if there is one, else that with the least in it.
    pub(super) fn concurrent_lane(&self, conversation: &str) -> Arc<str> {
        let lanes = (0..CONCURRENT).map(|number| Arc::from(reserved::concurrent_lane(conversation, number)));
        let len = |lane: &Arc<str>| self.lanes.len_of(lane) + self.arriving.get(lane).copied().unwrap_or(0);
        lanes.min_by_key(len).unwrap_or_else(|| Arc::from(conversation))
    }

    /// An event comes in. If it may begin, it takes an idle lane at once, so that its beginning is written together with it.
    /// Answers whether it did.
    pub(super) fn arrive(&mut self, lane: &Arc<str>, may_begin: bool, now: Now) -> bool {
        let begins = may_begin && !self.arriving.contains_key(lane) && self.lanes.start(lane, now.elapsed);
        if !begins {
            *self.arriving.entry(Arc::clone(lane)).or_default() += 1;
        }
        begins
    }

    /// The journal has an event, which waits for its lane unless it has taken it.
    pub(super) fn accept(&mut self, sequence: u64, event: Event, lane: Arc<str>, begins: bool, now: Now) {
        self.counters.accepted += 1;
        if !begins {
            self.has_arrived(&lane);
            self.queue(Arc::clone(&lane), sequence);
        }
        self.insert(sequence, InFlight::new(event, lane, Vec::new(), now.elapsed));
    }

    /// The journal has no use for an event, which gives its lane back.
    pub(super) fn refuse(&mut self, lane: &Arc<str>, begins: bool, now: Now) {
        match begins {
            true => self.lanes.finish(lane, now.elapsed),
            false => self.has_arrived(lane),
        }
    }

    /// The journal knows an event already.
    pub(super) fn refuse_duplicate(&mut self, lane: &Arc<str>, begins: bool, now: Now) {
        self.counters.duplicates += 1;
        self.refuse(lane, begins, now);
    }

    /// The journal has answered an event that did not take its lane.
    fn has_arrived(&mut self, lane: &Arc<str>) {
        if let Some(count) = self.arriving.get_mut(lane) {
            *count -= 1;
            if *count == 0 {
                self.arriving.remove(lane);
            }
        }
    }

    /// A new event waits at the end of its lane, or until it is known what goes before it there.
    fn queue(&mut self, lane: Arc<str>, sequence: u64) {
        match &mut self.newcomers {
            Some(newcomers) => newcomers.push(sequence),
            None => self.lanes.push(lane, sequence),
        }
    }

    fn insert(&mut self, sequence: u64, event: InFlight) -> &mut InFlight {
        self.in_flight.entry(sequence).insert_entry(event).into_mut()
    }

    /// The next event that has its lane, of a network that may go on.
    pub(super) fn next(&mut self, now: Now, may_go_on: impl Fn(&str) -> bool) -> Option<u64> {
        loop {
            let (lane, sequence) = self.lanes.next_of(now.elapsed, &may_go_on)?;
            if self.wants_lane(sequence) {
                return Some(sequence);
            }
            self.lanes.finish(&lane, now.elapsed);
        }
    }

    /// Whether an event still has a use for its turn: a handler that asked for it and then went on beside its lane has
    /// none.
    fn wants_lane(&self, sequence: u64) -> bool {
        self.in_flight.get(&sequence).is_some_and(|in_flight| match in_flight.stage {
            Stage::Queued => true,
            Stage::Waiting => in_flight.resumes.is_some(),
            Stage::Running | Stage::Beside => false,
        })
    }

    /// The next attempt to handle an event begins.
    pub(super) fn start(&mut self, sequence: u64, now: Now) -> Option<Attempt> {
        let in_flight = self.in_flight.get_mut(&sequence)?;
        in_flight.attempts += 1;
        (in_flight.stage, in_flight.is_no_answer) = (Stage::Running, true);
        let has_begun = std::mem::replace(&mut in_flight.has_begun, true);
        let (event, facts, number) = (in_flight.event.clone(), in_flight.facts.clone(), in_flight.attempts);
        Some(Attempt {
            event,
            sequence,
            number,
            has_begun,
            is_replayed: in_flight.is_replayed,
            facts,
            now_ms: now.wall_ms,
        })
    }

    /// An attempt was cut short, and does not count.
    pub(super) fn give_back(&mut self, sequence: u64, effects: &mut Effects) {
        if let Some(in_flight) = self.in_flight.get_mut(&sequence) {
            in_flight.stage = Stage::Queued;
        }
        effects.append(Entry::Event(sequence, EventEntry::Return));
    }

    /// An event is done. It is gone from here, and its lane goes on.
    pub(super) fn complete(&mut self, sequence: u64, now: Now, effects: &mut Effects) -> Option<Event> {
        self.counters.handled += 1;
        effects.append(Entry::Event(sequence, EventEntry::Done));
        self.let_go(sequence, now)
    }

    /// An event was too old when its turn came, and is done.
    pub(super) fn expire(&mut self, sequence: u64, now: Now, effects: &mut Effects) -> Option<Event> {
        self.counters.expired += 1;
        self.complete(sequence, now, effects)
    }

    /// An event is done or dead: its lane goes on.
    fn let_go(&mut self, sequence: u64, now: Now) -> Option<Event> {
        let in_flight = self.in_flight.remove(&sequence)?;
        if in_flight.stage.has_lane() {
            self.lanes.finish(&in_flight.lane, now.elapsed);
        }
        Some(in_flight.event)
    }

    /// An event that has its lane waits until fewer replies wait in its conversation.
    pub(super) fn set_aside(&mut self, sequence: u64, now: Now) {
        if let Some(in_flight) = self.in_flight.get(&sequence) {
            let conversation = in_flight.event.conversation().shared_key();
            self.set_aside.entry(conversation).or_default().push(sequence);
            self.lanes.rest(&in_flight.lane, now.elapsed);
        }
    }

    /// Whether events of this conversation were set aside.
    pub(super) fn has_set_aside(&self, conversation: &str) -> bool {
        self.set_aside.contains_key(conversation)
    }

    /// Takes the events of a conversation that were set aside; each of them goes on by [`Self::wake`].
    pub(super) fn take_set_aside(&mut self, conversation: &str) -> Vec<u64> {
        self.set_aside.remove(conversation).unwrap_or_default()
    }

    /// An event that has its lane goes on.
    pub(super) fn wake(&mut self, sequence: u64, now: Now) {
        if let Some(in_flight) = self.in_flight.get(&sequence) {
            self.lanes.wake(&in_flight.lane, now.elapsed);
        }
    }

    /// Keeps for later attempts what one has done.
    pub(super) fn note(&mut self, sequence: u64, fact: CompletedEffect) {
        if let Some(in_flight) = self.in_flight.get_mut(&sequence) {
            in_flight.facts.push(fact);
        }
    }

    pub(super) fn contains(&self, sequence: u64) -> bool {
        self.in_flight.contains_key(&sequence)
    }

    /// How often the process ended in the middle of an event.
    pub(super) fn crashes(&self, sequence: u64) -> Option<u32> {
        self.in_flight.get(&sequence).map(|in_flight| in_flight.crashes)
    }

    /// How often an event was tried, and when it came in or was taken up.
    pub(super) fn tried(&self, sequence: u64) -> Option<(u32, Duration)> {
        self.in_flight.get(&sequence).map(|in_flight| (in_flight.attempts, in_flight.since))
    }

    pub(super) fn lane(&self, sequence: u64) -> Option<&Arc<str>> {
        self.in_flight.get(&sequence).map(|in_flight| &in_flight.lane)
    }

    /// What those have to know who send the replies of an event.
    pub(super) fn origin(&self, sequence: u64) -> Option<Origin<'_>> {
        let InFlight { event, since, facts, .. } = self.in_flight.get(&sequence)?;
        let who = (event.conversation().network(), event.sender().id());
        let asker = event.job().is_none().then_some((who, *since));
        Some(Origin { facts, asker })
    }

    /// The conversation in which an event that has its lane will have replies; nothing for a handler that goes on.
    pub(super) fn begins_in(&self, sequence: u64) -> Option<&str> {
        let in_flight = self.in_flight.get(&sequence).filter(|in_flight| in_flight.resumes.is_none())?;
        Some(in_flight.event.conversation().key())
    }

    /// Whether a handler runs for this event, or waits for somebody.
    pub(super) fn has_handler(&self, sequence: u64) -> bool {
        self.in_flight.get(&sequence).is_some_and(|in_flight| in_flight.stage != Stage::Queued)
    }

    /// Whether a lane has nothing to do.
    pub(super) fn is_free(&self, lane: &str) -> bool {
        self.lanes.is_free(lane)
    }

    /// When there may be a slot for another handler although nothing has ended.
    pub(super) fn next_look(&self) -> Option<Duration> {
        self.lanes.next_look()
    }

    /// How many lanes run, without those that wait for the operator, and how many events wait for theirs.
    pub(super) fn load(&self) -> (usize, usize) {
        let waiting = self.lanes.waiting() + self.newcomers.as_ref().map_or(0, Vec::len);
        (self.lanes.running() - self.parked.len(), waiting)
    }

    /// Whether nothing that is here runs or may begin.
    pub(super) fn is_stuck(&self) -> bool {
        self.lanes.is_at_rest()
    }

    /// Whether nothing is left but what waits for the operator.
    pub(super) fn is_idle(&self) -> bool {
        self.lanes.len() + self.resting == self.parked.len()
    }

    /// The events whose handlers run, in order.
    pub(super) fn running(&self) -> Vec<u64> {
        let running = self.in_flight.iter().filter(|(_, in_flight)| in_flight.stage.is_running());
        let mut running: Vec<_> = running.map(|(sequence, _)| *sequence).collect();
        running.sort_unstable();
        running
    }

    /// Whether any handler runs.
    pub(super) fn has_running(&self) -> bool {
        self.in_flight.values().any(|in_flight| in_flight.stage.is_running())
    }

    /// Events that wait neither for a person nor for the operator.
    pub(super) fn open(&self) -> usize {
        self.in_flight
            .values()
            .filter(|in_flight| in_flight.stage != Stage::Waiting && !in_flight.is_parked)
            .count()
    }

    pub(super) fn counters(&self) -> EventCounters {
        self.counters
    }
}
