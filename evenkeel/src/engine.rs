//! What happens next to events, replies and jobs: a state machine that does no I/O and reads no clock.
//!
//! It is told what happened ([`Input`]) and answers with what is to be done ([`Output`]) and with a batch for the
//! journal. An effect that a journal entry stands for, such as starting a handler or sending a reply, becomes an output
//! only once the journal has answered that entry.
//!
//! The engine is made of parts. Each is a state machine of its own that keeps its state to itself, knows no other part, and
//! answers with [`Effects`](effects::Effects) and with what the others have to hear. An [`Engine`] holds one of each and keeps no more
//! state than the moment; what one part says is passed to the next in [`steps`].
//!
//! | part | what it knows |
//! |---|---|
//! | [`Attempts`] | events that are not done: their lanes, their attempts, what rests or is parked |
//! | [`Waits`] | handlers that wait for people, and what they are offered |
//! | [`Probation`] | events during which the process ended, which begin one at a time |
//! | [`Deliveries`] | replies that are not sent, and what holds them up |
//! | [`Jobs`] | when the next job is due |
//! | [`UnknownJobs`] | which jobs have functions that the bot has not |
//! | [`Loading`] | how much of what an earlier run left is here, and what waits for the rest |
//! | [`MemoryBudget`] | what events take of the memory |
//! | [`Crowded`] | what handles say where too much waits |
//! | [`Concurrency`] | which events do not wait for their conversation |

mod attempt;
mod request;
mod job;
mod functions;
mod outside;
mod crowded;
mod delivery;
mod port;
mod slots;
mod ready;
mod concurrency;
mod lanes;
mod jitter;
mod timers;
mod batch;
mod effects;
mod attempts;
mod waits;
mod probation;
mod deliveries;
mod jobs;
mod unknown;
mod loading;
mod budget;
mod steps;

use std::time::Duration;
use std::vec::Drain;

use crate::error::Result;
use crate::event::Event;
use crate::journal::Entry;
pub(crate) use attempt::{APOLOGY, Attempt, Ending, Failure, HandlerOutcome, free_index};
use attempts::Attempts;
use budget::MemoryBudget;
use concurrency::Concurrency;
pub(crate) use concurrency::IsConcurrent;
use crowded::Crowded;
use deliveries::Deliveries;
pub(crate) use delivery::Delivery;
use effects::Collected;
pub(crate) use functions::JobFunctions;
pub(crate) use job::{Again, JobBody};
use jobs::Jobs;
use loading::Loading;
pub(crate) use loading::NameCommand;
pub(crate) use outside::{Due, OutsideRequest, Planned, Saying, Told};
pub(crate) use port::{Ended, Input, Load, NetworkPolicy, Now, Output, Policy, Remaining, ReplyCounters};
use probation::Probation;
pub(crate) use request::{Asked, Download, HandlerRequest, HandlerRequests, Offer};
pub(crate) use slots::Slots;
use timers::Timer;
use unknown::UnknownJobs;
use waits::Waits;

/// See the module.
#[derive(Debug)]
pub(crate) struct Engine {
    attempts: Attempts,
    waits: Waits,
    probation: Probation,
    deliveries: Deliveries,
    jobs: Jobs,
    unknown: UnknownJobs,
    loading: Loading,
    budget: MemoryBudget,
    concurrency: Concurrency,
    crowded: Crowded,
    /// What the parts have said and nobody has taken yet.
    effects: Collected,
    /// The moment of the last step.
    now: Now,
    is_draining: bool,
    /// Whether no handler may start yet.
    is_held: bool,
    /// Those that had their turn meanwhile.
    held: Vec<u64>,
    gathers: bool,
}

impl Engine {
    pub(crate) fn new(policy: Policy) -> Self {
        Self {
            attempts: Attempts::new(policy.seed),
            waits: Waits::default(),
            probation: Probation::default(),
            budget: MemoryBudget::new(policy.recovered_bytes),
            gathers: policy.gathers,
            jobs: Jobs::new(policy.is_clock_steady),
            deliveries: Deliveries::new(policy),
            unknown: UnknownJobs::default(),
            loading: Loading::default(),
            concurrency: Concurrency::default(),
            crowded: Crowded::default(),
            effects: Collected::default(),
            now: Now::default(),
            is_draining: false,
            is_held: false,
            held: Vec::new(),
        }
    }

    /// Lets the events run at once that this says not to wait for their conversation; `None` where there are no such.
    pub(crate) fn with_concurrency(mut self, is_concurrent: Option<IsConcurrent>) -> Self {
        self.concurrency = Concurrency::new(is_concurrent);
        self
    }

    /// Takes note of what happened.
    ///
    /// # Errors
    ///
    /// When the journal answered something else than it was asked.
    pub(crate) fn step(&mut self, input: Input, now: Now) -> Result<()> {
        self.now = now;
        match input {
            Input::Arrived(arrival) => self.arrived(arrival),
            Input::Written(written) => self.written(written)?,
            Input::Finished(outcome) => self.finished(outcome),
            Input::Asked(request) => self.asked(request),
            Input::Delivered(delivery, result) => self.delivered(delivery, result),
            Input::Notified(network, result) => {
                self.deliveries.notified(&network, result, now, &mut self.effects);
            }
            Input::Opened(network) => self.deliveries.opened(&network),
            Input::Ticked => {}
            Input::Operator(command) => self.commanded(command),
            Input::Outside(request) => self.asked_outside(request),
        }
        Ok(())
    }

    /// What is to be done now, in order: takes the place of what is in `outputs`, whose memory is used again. Lets everything
    /// go whose turn has come.
    pub(crate) fn outputs(&mut self, outputs: &mut Vec<Output>) {
        while let Some(timer) = self.effects.due_timer(self.now.elapsed) {
            self.rang(timer);
        }
        self.say_crowded();
        self.jobs.ask(self.has_room_for_jobs(), self.now, &mut self.effects);
        self.loading.ask(self.room_to_load(), &mut self.effects);
        while self.has_room() {
            let deliveries = &self.deliveries;
            let next = self.attempts.next(self.now, |network| deliveries.has_room_on(network));
            let Some(sequence) = next else { break };
            self.has_lane(sequence);
        }
        if !self.is_draining && !self.is_held {
            self.probation.advance(&mut self.effects);
        }
        self.deliveries.advance(self.now, &mut self.effects);
        self.effects.take_outputs(outputs);
    }

    /// A time has come.
    fn rang(&mut self, timer: Timer) {
        match timer {
            // A bot that stops leaves it to the next start.
            Timer::Retry(_) if self.is_draining => {}
            Timer::Retry(sequence) => {
                self.attempts.wake(sequence, self.now);
                self.attempt(sequence);
            }
            Timer::Rejoin(sequence) => self.attempts.rejoin_lane(sequence),
            Timer::Resend(key) => self.deliveries.resend(key),
            Timer::Cleared(sequence) => self.probation.clear(sequence, self.now),
            // What waits is looked at after each step.
            Timer::Throttled => {}
        }
    }

    /// A batch for the journal, if there is anything to write and nothing is being written. What nobody waits for is let wait
    /// a few milliseconds for company, unless the bot is about to stop.
    pub(crate) fn batch(&mut self) -> Option<Vec<Entry>> {
        let is_worth_it = self.gathers && !self.is_draining;
        if is_worth_it { self.effects.take_batch(self.now.elapsed) } else { self.last_batch() }
    }

    /// A batch for the journal of a bot that ends: everything that there is.
    pub(crate) fn last_batch(&mut self) -> Option<Vec<Entry>> {
        self.effects.take_last_batch()
    }

    /// Which events entered memory beside the inbox, and which are gone from it, since the last time.
    pub(crate) fn memory_changes(&mut self) -> (Drain<'_, Event>, Drain<'_, Event>) {
        self.budget.changes()
    }

    /// When time alone will change something, if at all.
    pub(crate) fn next_look(&self) -> Option<Duration> {
        // Without room no handler starts, whatever slots there are.
        let handlers = self.attempts.next_look().filter(|_| self.has_room());
        let jobs = self.jobs.next_look(self.has_room_for_jobs(), self.now);
        let (timer, batch) = (self.effects.next_timer(), self.effects.batch().next_look());
        let looks = [timer, batch, jobs, handlers, self.deliveries.next_look(self.now)];
        looks.into_iter().flatten().min()
    }

    /// Lets no handler start until it is told to.
    pub(crate) fn hold(&mut self) {
        self.is_held = true;
    }

    /// Lets handlers start.
    pub(crate) fn admit(&mut self) {
        self.is_held = false;
        for sequence in std::mem::take(&mut self.held) {
            self.start(sequence);
        }
    }

    /// Takes nothing new up: what runs may finish.
    pub(crate) fn drain(&mut self) {
        self.is_draining = true;
        for sequence in std::mem::take(&mut self.held) {
            self.start(sequence);
        }
    }

    /// Whether anything may start.
    fn has_room(&self) -> bool {
        self.may_load() && !self.is_held
    }

    /// Whether more of what an earlier run left may be read.
    fn may_load(&self) -> bool {
        self.deliveries.has_room() && !self.is_draining
    }

    fn has_room_for_jobs(&self) -> bool {
        self.has_room() && self.loading.is_over() && self.budget.allows_jobs()
    }

    /// For how many bytes of what an earlier run left there is room. Where nothing of what is here can end, waiting makes none.
    fn room_to_load(&self) -> usize {
        let left_bytes = self.budget.left_bytes();
        let is_stuck = || self.attempts.is_stuck() && self.deliveries.is_empty();
        match self.may_load() {
            true if left_bytes == 0 && is_stuck() => usize::MAX,
            true => left_bytes,
            false => 0,
        }
    }
}

#[cfg(test)]
mod tests;
