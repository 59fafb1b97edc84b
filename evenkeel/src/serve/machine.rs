//! What is decided about events and replies: a state machine that does no I/O and reads no clock.
//!
//! It is told what happened ([`Input`]) and answers with what is to be done ([`Output`]) and with a batch for the
//! journal. An effect that a journal entry stands for, such as starting a handler or sending a reply, becomes an output
//! only once the journal has answered that entry.
//!
//! ```text
//! accepted -> running -> done                       promised -> sending -> sent
//!               |  \-> waiting (for a person)                     |-> not sent -> postponed -> sending
//!               |-> retry -> running                              |-> refused, given up -> dead
//!               \-> dead, parked                                  \-> unknown -> dead | sent again | dropped
//! ```

mod alarms;
mod arriving;
mod asking;
mod brake;
mod failing;
mod following;
mod held;
mod jobs;
mod leaving;
mod letters;
mod notices;
mod operator;
mod pressure;
mod recovery;
mod room;
mod suspects;
mod throttle;
mod waiting;
mod words;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use std::vec::Drain;

use super::lane::Lanes;
use super::outbox::Letter;
use crate::engine::{Attempt, Ending, HandlerOutcome};
use crate::error::Result;
use crate::event::Event;
use crate::journal::Entry;
use alarms::{Alarm, Alarms, Key};
use brake::Brake;
use following::After;
use held::{Held, Place};
pub(super) use leaving::Left;
use notices::Notices;
use pressure::Pressed;
use room::Room;
use suspects::Suspects;
use throttle::Throttle;
use waiting::{Offering, Waiter};
pub(super) use words::{Input, Now, Output, Policy, Tally};

/// Handlers running at once, those that hang not counted; more conversations than that wait their turn.
const HANDLERS: usize = 10_000;
/// Handlers running at once in all.
const HANDLERS_BOUND: usize = 40_000;
/// So many times as many sends as the transport wants at once may be on their way, if most of them hang.
const SENDS_BOUND: usize = 32;

/// See the module.
pub(super) struct Machine {
    policy: Policy,
    lanes: Lanes<u64>,
    held: HashMap<u64, Held>,
    outbox: Lanes<Letter>,
    /// Replies of events that are not done, and the handlers that wait to hear of them.
    outstanding: HashMap<Key, Vec<crate::engine::Confirmation>>,
    /// Replies that wait to be sent again, with their lanes held up.
    postponed: HashMap<Key, Letter>,
    notices: Notices,
    /// Events that have their lanes and wait until fewer replies wait in their conversations.
    pressed: Pressed,
    /// Those of the postponed whose time has come, which go before others once the network lets the account send.
    due_again: VecDeque<Key>,
    throttle: Throttle,
    batch: Vec<Entry>,
    after: Vec<After>,
    /// What follows the batch that is being written.
    following: Option<Vec<After>>,
    alarms: Alarms,
    /// Handlers that wait for people, by lane, whoever began first first.
    waiters: HashMap<Arc<str>, VecDeque<Waiter>>,
    /// Events that are being offered to them.
    offering: HashMap<u64, Offering>,
    suspects: Suspects,
    parked: HashSet<u64>,
    /// Events that will be tried again and have left their lanes meanwhile.
    resting: usize,
    /// How many events of a lane are on their way to the journal without having taken the lane: whoever comes after
    /// them must not take it either.
    arriving: HashMap<Arc<str>, usize>,
    pub(super) tally: Tally,
    /// When the next job is due, in milliseconds since 1970.
    next_job_ms: Option<u64>,
    /// Whether the journal has been asked what is due.
    is_asking: bool,
    room: Room,
    brake: Brake,
    now: Now,
    outputs: Vec<Output>,
    is_draining: bool,
}

impl Machine {
    pub(super) fn new(policy: Policy) -> Self {
        Self {
            alarms: Alarms::new(policy.seed),
            lanes: Lanes::new(HANDLERS, HANDLERS_BOUND),
            held: HashMap::new(),
            outbox: Lanes::new(policy.sends, policy.sends.saturating_mul(SENDS_BOUND)),
            outstanding: HashMap::new(),
            postponed: HashMap::new(),
            notices: Notices::default(),
            pressed: Pressed::default(),
            due_again: VecDeque::new(),
            throttle: Throttle::default(),
            batch: Vec::new(),
            after: Vec::new(),
            following: None,
            waiters: HashMap::new(),
            offering: HashMap::new(),
            suspects: Suspects::default(),
            parked: HashSet::new(),
            resting: 0,
            arriving: HashMap::new(),
            tally: Tally::default(),
            next_job_ms: None,
            is_asking: false,
            room: Room::default(),
            brake: Brake::default(),
            now: Now::default(),
            outputs: Vec::new(),
            is_draining: false,
            policy,
        }
    }

    /// Takes note of what happened.
    ///
    /// # Errors
    ///
    /// When the journal answered something else than it was asked.
    pub(super) fn step(&mut self, input: Input, now: Now) -> Result<()> {
        self.now = now;
        match input {
            Input::Arrived(arrival) => self.arrived(arrival),
            Input::Written(written) => self.written(written)?,
            Input::Finished(finished) => self.finished(finished),
            Input::Asked(ask) => self.asked(ask),
            Input::Delivered(letter, result) => self.delivered(letter, result),
            Input::Notified(result) => self.notified(result),
            Input::Ticked => {}
            Input::Operator(wish) => self.wished(wish),
        }
        Ok(())
    }

    /// What is to be done now, in order: takes the place of what is in `outputs`, whose memory is used again. Lets everything
    /// go whose turn has come.
    pub(super) fn outputs(&mut self, outputs: &mut Vec<Output>) {
        self.ring();
        self.look_for_jobs();
        self.advance();
        outputs.clear();
        std::mem::swap(&mut self.outputs, outputs);
    }

    /// A batch for the journal, if there is anything to write and nothing is being written.
    pub(super) fn batch(&mut self) -> Option<Vec<Entry>> {
        if self.following.is_some() || self.batch.is_empty() {
            return None;
        }
        let capacity = self.after.len();
        self.following = Some(std::mem::replace(&mut self.after, Vec::with_capacity(capacity)));
        Some(std::mem::replace(&mut self.batch, Vec::with_capacity(capacity)))
    }

    fn enter(&mut self, entry: Entry, after: After) {
        self.batch.push(entry);
        self.after.push(after);
    }

    /// Begins with whatever has its turn.
    fn advance(&mut self) {
        let now = self.now.elapsed;
        while self.has_room()
            && let Some((lane, sequence)) = self.lanes.next(now)
        {
            if !self.wants_lane(sequence) {
                self.lanes.finish(&lane, now);
            } else if !self.waits_for_replies(sequence) {
                self.begin(sequence);
            }
        }
        self.next_suspect();
        self.send_what_may_go();
    }

    /// Whether an event still has a use for its turn: a handler that asked for it and then went on beside its lane has
    /// none.
    fn wants_lane(&self, sequence: u64) -> bool {
        self.held.get(&sequence).is_some_and(|held| match held.place {
            Place::Queued => true,
            Place::Waiting => held.resumes.is_some(),
            Place::Running | Place::Loose => false,
        })
    }

    /// An event has its lane: its attempt is written down, and then begins.
    fn begin(&mut self, sequence: u64) {
        if self.resume(sequence) || self.offer(sequence) {
            return;
        }
        self.attempt(sequence);
    }

    fn start(&mut self, sequence: u64) {
        if self.is_draining {
            return self.give_back(sequence);
        }
        let Some(held) = self.held.get_mut(&sequence) else { return };
        held.attempts += 1;
        (held.place, held.is_no_answer) = (Place::Running, true);
        let (event, attempt, facts) = (held.event.clone(), held.attempts, held.facts.clone());
        let (is_replayed, now_ms) = (held.is_replayed, self.now.wall_ms);
        self.outputs.push(Output::Start(Attempt {
            event,
            sequence,
            number: attempt,
            is_replayed,
            facts,
            now_ms,
        }));
        self.runs(sequence);
    }

    /// A handler is done.
    fn finished(&mut self, finished: HandlerOutcome) {
        let HandlerOutcome { sequence, outbound, changes, ending, command } = finished;
        self.suspects.is_over(sequence);
        self.ceases(sequence);
        if self.held.get(&sequence).is_none_or(|held| held.place == Place::Queued) {
            return;
        }
        match ending {
            Ending::Done => {
                let command: Box<str> = command.as_ref().map_or("", |label| label.name()).into();
                self.tally.handled += 1;
                for outbound in self.with_keys_of_their_own(outbound) {
                    self.promise_once(Letter::new(outbound, command.clone()));
                }
                for change in changes {
                    self.change(change);
                }
                self.enter(Entry::Done { sequence }, After::Nothing);
                self.let_go(sequence);
            }
            Ending::Failed(failure) => self.failed(sequence, failure, outbound, command.as_ref()),
            // The bot is ending: the event keeps its place for the next start.
            Ending::CutShort(_) if self.is_draining => self.give_back(sequence),
            // Nobody would ever take it up again, and its lane would wait for ever.
            Ending::CutShort(failure) => self.failed(sequence, failure, outbound, None),
        }
    }

    /// The attempt was cut short, and does not count.
    fn give_back(&mut self, sequence: u64) {
        if let Some(held) = self.held.get_mut(&sequence) {
            held.place = Place::Queued;
        }
        self.enter(Entry::Return { sequence }, After::Nothing);
    }

    /// The event is done or dead: its lane goes on.
    fn let_go(&mut self, sequence: u64) {
        let Some(held) = self.forget(sequence) else { return };
        if !matches!(held.place, Place::Waiting | Place::Loose) {
            self.lanes.finish(&held.lane, self.now.elapsed);
        }
    }

    /// Which events entered memory beside the inbox, and which are done, since the last time.
    pub(super) fn room(&mut self) -> (Drain<'_, Event>, Drain<'_, Event>) {
        self.room.told()
    }

    /// When time alone will change something, if at all.
    pub(super) fn next_alarm(&self) -> Option<Duration> {
        let alarm = self.alarms.next();
        // Without room no handler starts, whatever slots there are.
        let handlers = self.lanes.next_look().filter(|_| self.has_room());
        // Nor does a send while the network limits the account, or after one that looks whether it still does.
        let sends = self.outbox.next_look().filter(|_| self.throttle.allows(self.now.elapsed));
        let looks = [alarm, self.next_look(), handlers, sends];
        looks.into_iter().flatten().min()
    }

    /// Takes nothing new up: what runs may finish.
    pub(super) fn drain(&mut self) {
        self.is_draining = true;
    }

    /// Running events, those that wait, and replies on their way.
    pub(super) fn load(&self) -> (usize, usize, usize) {
        (self.lanes.running() - self.parked.len(), self.lanes.waiting(), self.outbox.len())
    }

    /// Apologies that were withheld, and replies that had to wait because they looked like a loop.
    pub(super) fn braked(&self) -> u64 {
        self.brake.braked()
    }

    pub(super) fn held(&self, sequence: u64) -> Option<&Held> {
        self.held.get(&sequence)
    }

    /// Whether the journal has answered all that it was told, and was told all.
    pub(super) fn is_written(&self) -> bool {
        self.batch.is_empty() && self.following.is_none()
    }

    /// Whether nothing is left to do; while a bot stops, but for what is still to be written.
    pub(super) fn is_idle(&self) -> bool {
        if self.is_draining {
            // What waits is left to the next start: events, and replies that a network did not take. Where the end of
            // others is being written, or an event that has come in, nothing follows.
            let is_left = |after: &After| matches!(after, After::Accepted { .. } | After::Nothing);
            let is_sending = self.outbox.running() > self.postponed.len();
            return self.following.iter().flatten().chain(&self.after).all(is_left)
                && !is_sending
                && !self.held.values().any(|held| held.place.is_running());
        }
        self.is_written() && self.outbox.is_empty() && self.lanes.len() + self.resting == self.parked.len()
    }

    fn ring(&mut self) {
        while let Some(alarm) = self.alarms.due(self.now.elapsed) {
            match alarm {
                // A bot that stops leaves it to the next start.
                Alarm::Retry(_) if self.is_draining => {}
                Alarm::Retry(sequence) => {
                    self.wake(sequence);
                    self.attempt(sequence);
                }
                Alarm::Innocent(sequence) => self.acquit(sequence),
                Alarm::Rejoin(sequence) => {
                    self.resting -= 1;
                    if let Some(held) = self.held.get(&sequence) {
                        self.lanes.push(Arc::clone(&held.lane), sequence);
                    }
                }
                Alarm::Resend(key) => self.due_again.push_back(key),
                // What waits is looked at after each step.
                Alarm::Throttled => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
