//! Looks at one thread from outside, again and again, and finds what keeps it.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::{LASTING, Watch};
use crate::book::incident;
use crate::capture::Capture;
use crate::report::Class;
use crate::reporter::Finding;
use crate::slot::{CommandId, Ongoing, Relief, Role, Slot, is_polling};
use crate::sys::{self, ThreadState};

/// CPU time of one poll after which others get a thread more.
const CROWDED_AFTER: Duration = Duration::from_millis(4);
/// A call that has not returned after this time is reported before its end.
const STILL: Duration = Duration::from_secs(1);
/// Where nothing but time can be seen, a poll that lasts longer is reported.
const LATE: Duration = Duration::from_millis(100);
/// Stacks taken of a poll that keeps a core busy.
const SAMPLES: usize = 3;

/// A slot, and what the watchdog remembers of it.
pub(super) struct Watched {
    pub(super) slot: Weak<Slot>,
    pub(super) sequence: u64,
    /// When this number was first seen, and the thread's CPU time then.
    since: Instant,
    cpu: Option<Duration>,
    /// The CPU time at the last look, and for how many looks it has stood still in the kernel.
    last_cpu: Option<Duration>,
    looks_asleep: u32,
    /// The successor of this poll's thread, where it was sent before anything was found.
    relief: Option<Arc<Relief>>,
    /// What was found in this poll, without the help of the hook.
    incident: Option<Incident>,
    /// The call that was reported before its end: its number, and whether that has been said aloud.
    begun: Option<(u64, bool)>,
}

struct Incident {
    number: u64,
    command: CommandId,
    role: Role,
    class: Class,
    stacks: Vec<Arc<[usize]>>,
    /// How often a stack was asked for.
    tries: usize,
    relief: Option<Arc<Relief>>,
    told: Option<Duration>,
    poll: u64,
}

impl Watched {
    pub(super) fn new(slot: &Arc<Slot>) -> Self {
        Self {
            slot: Arc::downgrade(slot),
            sequence: slot.sequence(),
            since: Instant::now(),
            cpu: None,
            last_cpu: None,
            looks_asleep: 0,
            relief: None,
            incident: None,
            begun: None,
        }
    }

    pub(super) fn look(&mut self, slot: &Slot, watch: &Watch, capture: &mut Capture) {
        let sequence = slot.sequence();
        if sequence != self.sequence {
            self.finish(watch);
            let cpu = if is_polling(sequence) { sys::cpu_time_of(slot.thread) } else { None };
            (self.sequence, self.since, self.cpu, self.last_cpu) = (sequence, Instant::now(), cpu, cpu);
            self.looks_asleep = 0;
            return;
        }
        if !is_polling(sequence) {
            return;
        }
        match slot.call() {
            Some(call) => self.look_at_call(slot, &call, watch, capture),
            None => self.look_at_thread(slot, watch, capture),
        }
    }

    /// The hook has seen it coming; what is left is to say so if it lasts.
    fn look_at_call(&mut self, slot: &Slot, call: &Ongoing, watch: &Watch, capture: &mut Capture) {
        let elapsed = call.since.elapsed();
        if elapsed < LASTING {
            return;
        }
        if call.relief.get().is_none()
            && let Some(relief) = watch.relieve(slot)
        {
            // The first one stays.
            let _first = call.relief.set(relief);
        }
        let relief = call.relief.get().cloned();
        let (is_known, was_told) =
            self.begun.map_or((false, false), |(number, told)| (number == call.number, told));
        let is_told = elapsed >= STILL;
        if is_known && (was_told || !is_told) {
            return;
        }
        let mut stack = Arc::clone(&call.addresses);
        if stack.is_empty() && slot.role != Role::Quarantine {
            let still = || slot.call().is_some_and(|now| now.number == call.number);
            let Some(taken) = capture.take(slot.thread, still) else { return };
            stack = Arc::from(taken.addresses);
        }
        self.begun = Some((call.number, is_told));
        watch.reporter.find(Finding {
            incident: call.number,
            poll: slot.poll(),
            command: slot.command(),
            role: slot.role,
            symbol: Some(call.symbol),
            class: call.class,
            stacks: vec![stack],
            elapsed,
            is_over: false,
            relief,
        });
    }

    /// No call was seen: the thread is busy, or asleep in the kernel by a way of its own.
    fn look_at_thread(&mut self, slot: &Slot, watch: &Watch, capture: &mut Capture) {
        let cpu = sys::cpu_time_of(slot.thread);
        let used = cpu.zip(self.cpu).map(|(now, then)| now.saturating_sub(then)).unwrap_or_default();
        let stood_still = cpu.is_some() && cpu == self.last_cpu;
        self.last_cpu = cpu;
        if let Some(incident) = &mut self.incident {
            let elapsed = if incident.class.is_busy() { used } else { self.since.elapsed() };
            return incident.look(slot, watch, capture, self.sequence, elapsed);
        }
        if stood_still && sys::state_of(slot.thread).is_some_and(ThreadState::is_asleep) {
            self.looks_asleep += 1;
            self.relieve(slot, watch);
            if self.looks_asleep >= 2 {
                self.found_asleep(slot, watch, capture);
            }
            return;
        }
        if cpu.is_none() {
            return self.look_at_time(slot, watch);
        }
        self.looks_asleep = 0;
        // A guest polls many tasks under one number: its CPU time is nobody's in particular.
        let is_one_poll = slot.role != Role::Guest || slot.command() != 0;
        if !is_one_poll || used < CROWDED_AFTER.min(watch.busy_after) {
            return;
        }
        self.relieve(slot, watch);
        if used < watch.busy_after {
            return;
        }
        let mut incident = Incident::new(Class::Compute, slot, Vec::new(), self.relief.take());
        incident.look(slot, watch, capture, self.sequence, used);
        self.incident = Some(incident);
    }

    fn relieve(&mut self, slot: &Slot, watch: &Watch) {
        if let Some(relief) = watch.relieve(slot) {
            self.relief = Some(relief);
        }
    }

    /// The platform tells neither what a thread does nor how much it computes: what is left is how long it takes.
    fn look_at_time(&mut self, slot: &Slot, watch: &Watch) {
        let elapsed = self.since.elapsed();
        if elapsed < watch.busy_after || slot.role == Role::Strict {
            return;
        }
        self.relieve(slot, watch);
        // A guest polls many tasks under one number.
        if elapsed < LATE || slot.role == Role::Guest && slot.command() == 0 {
            return;
        }
        let mut incident = Incident::new(Class::Unknown, slot, Vec::new(), self.relief.take());
        incident.tell(watch, elapsed, false);
        self.incident = Some(incident);
    }

    fn found_asleep(&mut self, slot: &Slot, watch: &Watch, capture: &mut Capture) {
        let sequence = self.sequence;
        let taken = capture.take(slot.thread, || slot.sequence() == sequence && slot.call().is_none());
        // Waiting for memory is not a call, and nobody's fault.
        let Some((taken, call)) = taken.and_then(|taken| taken.system_call.map(|call| (taken, call))) else {
            return;
        };
        // The hook sees the program's own waits for a lock; this one is inside the C library, its allocator mostly.
        let class = if sys::is_wait_for_lock(call) { Class::Contention } else { Class::Unknown };
        let stacks = vec![Arc::from(taken.addresses)];
        let mut incident = Incident::new(class, slot, stacks, self.relief.take());
        incident.tell(watch, self.since.elapsed(), false);
        self.incident = Some(incident);
    }

    /// The poll that was watched has ended, and perhaps its thread.
    pub(super) fn finish(&mut self, watch: &Watch) {
        (self.begun, self.relief) = (None, None);
        if let Some(mut incident) = self.incident.take() {
            let used = self.last_cpu.zip(self.cpu).map(|(now, then)| now.saturating_sub(then));
            let elapsed =
                if incident.class.is_busy() { used.unwrap_or_default() } else { self.since.elapsed() };
            incident.tell(watch, elapsed, true);
        }
    }
}

impl Incident {
    fn new(class: Class, slot: &Slot, stacks: Vec<Arc<[usize]>>, relief: Option<Arc<Relief>>) -> Self {
        let (number, command, poll) = (incident(), slot.command(), slot.poll());
        Self { number, command, role: slot.role, class, stacks, tries: 0, relief, told: None, poll }
    }

    /// Looks again at a poll that is being watched: another stack, and a word if it does not end.
    fn look(&mut self, slot: &Slot, watch: &Watch, capture: &mut Capture, sequence: u64, elapsed: Duration) {
        if self.relief.is_none() {
            self.relief = watch.relieve(slot);
        }
        if self.class.is_busy() {
            self.sample(slot, capture, sequence);
            let is_seen = !self.stacks.is_empty() || self.tries >= SAMPLES;
            if is_seen && self.told.is_none() {
                self.tell(watch, elapsed, false);
            }
            // One that could not be relieved has to go on at full speed. One of low priority hardly answers.
            if is_seen && slot.is_relieved() && !slot.is_lowered() {
                slot.lower();
            }
        }
        if elapsed >= STILL && self.told.is_none_or(|told| told < STILL) {
            self.tell(watch, elapsed, false);
        }
    }

    fn sample(&mut self, slot: &Slot, capture: &mut Capture, sequence: u64) {
        if self.tries >= 2 * SAMPLES || self.stacks.len() >= SAMPLES {
            return;
        }
        self.tries += 1;
        let taken = capture.take(slot.thread, || slot.sequence() == sequence);
        self.stacks.extend(taken.map(|taken| Arc::from(taken.addresses)));
    }

    fn tell(&mut self, watch: &Watch, elapsed: Duration, is_over: bool) {
        self.told = Some(elapsed);
        watch.reporter.find(Finding {
            incident: self.number,
            poll: self.poll,
            command: self.command,
            role: self.role,
            symbol: None,
            class: self.class,
            stacks: self.stacks.clone(),
            elapsed,
            is_over,
            relief: self.relief.clone(),
        });
    }
}
