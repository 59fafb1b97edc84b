//! Looks at one thread from outside, again and again, and finds what keeps it.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::observing::strikes;
use super::{Answer, LASTING, Watch};
use crate::call::{Ongoing, incident};
use crate::capture::Capture;
use crate::clock::Moment;
use crate::findings::{Finding, Sight, Stacks};
use crate::registry::Standing;
use crate::report::Class;
use crate::slot::{CommandId, Role, Slot, is_polling};
use crate::sys::stack::Stack;
use crate::sys::{self, ThreadState};

/// CPU time of one poll after which others get a thread more.
const CROWDED_AFTER: Duration = Duration::from_millis(4);
/// A call that has not returned after this time is reported before its end.
const STILL: Duration = Duration::from_secs(1);
/// A wait that may be one for a lock counts from here on, until its stack has been looked into.
const LONG: Duration = Duration::from_millis(5);
/// Where nothing but time can be seen, a poll that lasts longer is reported.
const LATE: Duration = Duration::from_millis(100);
/// Stacks taken of a poll that keeps a core busy.
const SAMPLES: usize = 3;

/// A slot, and what the watchdog remembers of it.
pub(super) struct Watched {
    pub(super) slot: Weak<Slot>,
    pub(super) sequence: u64,
    /// When this number was first seen, and the thread's CPU time then.
    since: Moment,
    cpu: Option<Duration>,
    /// The CPU time at the last look, and for how many looks it has stood still in the kernel.
    last_cpu: Option<Duration>,
    looks_asleep: u32,
    /// The number under which a successor of this poll's thread was called before anything was found.
    replaced: Option<u64>,
    /// What was found in this poll, without the help of the hook.
    incident: Option<Incident>,
    /// The call that was reported before its end: its number, and whether that has been said aloud.
    begun: Option<(u64, bool)>,
    /// Whether a call is under way that has not lasted long so far.
    pub(super) has_young_call: bool,
    /// Whether a worker that has its place does not come back from a poll.
    pub(super) is_kept: bool,
}

struct Incident {
    number: u64,
    command: CommandId,
    role: Role,
    class: Class,
    stacks: Vec<Arc<[usize]>>,
    /// How often a stack was asked for.
    tries: usize,
    /// The number under which a successor was called.
    replaced: Option<u64>,
    told: Option<Duration>,
    poll: u64,
}

impl Watched {
    pub(super) fn new(slot: &Arc<Slot>) -> Self {
        Self {
            slot: Arc::downgrade(slot),
            sequence: slot.sequence(),
            since: Moment::now(),
            cpu: None,
            last_cpu: None,
            looks_asleep: 0,
            replaced: None,
            incident: None,
            begun: None,
            has_young_call: false,
            is_kept: false,
        }
    }

    pub(super) fn look(&mut self, slot: &Arc<Slot>, watch: &Watch, capture: &mut Capture) {
        (self.has_young_call, self.is_kept) = (false, false);
        let sequence = slot.sequence();
        if sequence != self.sequence {
            self.finish(Some(slot), watch);
            // Noted a moment too late.
            slot.lasted().into_iter().for_each(|command| watch.registry.comes_off(command));
            let cpu = if is_polling(sequence) { sys::cpu_time_of(slot.thread) } else { None };
            (self.sequence, self.since, self.cpu, self.last_cpu) = (sequence, Moment::now(), cpu, cpu);
            self.looks_asleep = 0;
            return;
        }
        if !is_polling(sequence) {
            return;
        }
        self.is_kept = self.since.elapsed() >= STILL;
        match slot.call.now() {
            Some(call) => self.look_at_call(slot, &call, watch, capture),
            None => self.look_at_thread(slot, watch, capture),
        }
    }

    /// The hook has seen it coming; what is left is to say so if it lasts.
    fn look_at_call(&mut self, slot: &Arc<Slot>, call: &Ongoing, watch: &Watch, capture: &mut Capture) {
        let elapsed = call.since.elapsed();
        if elapsed < LASTING {
            self.has_young_call = true;
            return;
        }
        // One that has a successor already is left as it is; one that found none finds one now, perhaps.
        let _answer = watch.replace(slot, call.number, call.since);
        let sight = watch.reporter.findings().known.look(call.key);
        if sight == Sight::Allowed {
            return;
        }
        if slot.role == Role::Worker {
            watch.registry.doubt(slot.command());
            if call.class == Class::Contention && slot.lasts(slot.command()) {
                watch.registry.sticks(slot.command());
            }
        }
        let is_certain = strikes(call.class, sight);
        if slot.role == Role::Worker && (is_certain || call.class == Class::Contention && elapsed >= LONG) {
            watch.registry.strike(slot.command(), Standing::Blocking, call.number);
        }
        let (is_known, was_told) =
            self.begun.map_or((false, false), |(number, told)| (number == call.number, told));
        let is_told = elapsed >= STILL;
        if is_known && (was_told || !is_told) {
            return;
        }
        let Some(stacks) = stack_of(slot, call, sight, capture) else { return };
        self.begun = Some((call.number, is_told));
        watch.reporter.find(Finding {
            incident: call.number,
            poll: slot.poll(),
            command: slot.command(),
            role: slot.role,
            symbol: Some(call.symbol),
            class: call.class,
            stacks,
            elapsed,
            is_over: false,
            taken_over: slot.replacement.taken(call.number),
            is_excused: false,
        });
    }

    /// No call was seen: the thread is busy, or asleep in the kernel by a way of its own.
    fn look_at_thread(&mut self, slot: &Arc<Slot>, watch: &Watch, capture: &mut Capture) {
        let cpu = sys::cpu_time_of(slot.thread);
        let used = cpu.zip(self.cpu).map(|(now, then)| now.saturating_sub(then)).unwrap_or_default();
        // Where the kernel does not tell a thread's time, its state has to do.
        let (stood_still, looks) = (cpu == self.last_cpu, if cpu.is_some() { 2 } else { 4 });
        self.last_cpu = cpu;
        if let Some(incident) = &mut self.incident {
            let elapsed = if incident.class.is_busy() { used } else { self.since.elapsed() };
            return incident.look(slot, watch, capture, self.sequence, elapsed);
        }
        let state = if stood_still { sys::state_of(slot.thread) } else { None };
        if state.is_some_and(ThreadState::is_asleep) {
            self.looks_asleep += 1;
            self.replace(slot, watch);
            if self.looks_asleep >= looks {
                self.found_asleep(slot, watch, capture);
            }
            return;
        }
        if cpu.is_none() && state.is_none() {
            return self.look_at_time(slot, watch);
        }
        self.looks_asleep = 0;
        // A guest polls many tasks under one number: its CPU time is nobody's in particular.
        let is_one_poll = slot.role != Role::Guest || slot.command() != 0;
        if !is_one_poll || used < CROWDED_AFTER.min(watch.busy_after) {
            return;
        }
        self.replace(slot, watch);
        if used < watch.busy_after {
            return;
        }
        let mut incident =
            Incident::new(Class::Compute, slot, self.sequence, Vec::new(), self.replaced.take());
        incident.look(slot, watch, capture, self.sequence, used);
        self.incident = Some(incident);
    }

    fn replace(&mut self, slot: &Arc<Slot>, watch: &Watch) {
        let number = incident();
        if watch.replace(slot, number, self.since) == Answer::Asked {
            self.replaced = Some(number);
        }
    }

    /// The platform tells neither what a thread does nor how much it computes: what is left is how long it takes.
    fn look_at_time(&mut self, slot: &Arc<Slot>, watch: &Watch) {
        let elapsed = self.since.elapsed();
        if elapsed < watch.busy_after || slot.role == Role::Strict {
            return;
        }
        self.replace(slot, watch);
        // A guest polls many tasks under one number.
        if elapsed < LATE || slot.role == Role::Guest && slot.command() == 0 {
            return;
        }
        let mut incident =
            Incident::new(Class::Unknown, slot, self.sequence, Vec::new(), self.replaced.take());
        incident.tell(Some(slot), watch, elapsed, false);
        self.incident = Some(incident);
    }

    fn found_asleep(&mut self, slot: &Arc<Slot>, watch: &Watch, capture: &mut Capture) {
        let sequence = self.sequence;
        let taken = capture.take(slot.thread, || slot.sequence() == sequence && slot.call.number().is_none());
        // Waiting for memory is not a call, and nobody's fault.
        let (class, stacks) = match taken.and_then(|taken| taken.system_call.map(|call| (taken, call))) {
            // The hook sees the program's own waits for a lock; this one is inside the C library, its allocator mostly.
            Some((taken, call)) if sys::is_wait_for_lock(call) => {
                (Class::Contention, vec![collapsed(taken.addresses)])
            }
            Some((taken, _)) => (Class::Unknown, vec![collapsed(taken.addresses)]),
            None if Capture::is_refused() && self.since.elapsed() >= LONG => (Class::Unknown, Vec::new()),
            None => return,
        };
        let mut incident = Incident::new(class, slot, sequence, stacks, self.replaced.take());
        incident.tell(Some(slot), watch, self.since.elapsed(), false);
        self.incident = Some(incident);
    }

    /// The poll that was watched has ended, and perhaps its thread.
    pub(super) fn finish(&mut self, slot: Option<&Slot>, watch: &Watch) {
        (self.begun, self.replaced) = (None, None);
        if let Some(mut incident) = self.incident.take() {
            let used = self.last_cpu.zip(self.cpu).map(|(now, then)| now.saturating_sub(then));
            let elapsed =
                if incident.class.is_busy() { used.unwrap_or_default() } else { self.since.elapsed() };
            incident.tell(slot, watch, elapsed, true);
        }
    }
}

/// The stack of a call: what is remembered of it, what its thread has noted, or what is seen from outside.
fn stack_of(slot: &Slot, call: &Ongoing, sight: Sight, capture: &mut Capture) -> Option<Stacks> {
    if matches!(sight, Sight::Judged(_) | Sight::Pending) {
        return Some(Stacks::Known(call.key));
    }
    if call.length > 0 {
        return Some(Stacks::Taken(vec![slot.call.stack(call)?.into()]));
    }
    let still = || slot.call.number() == Some(call.number);
    let taken = capture.take(slot.thread, still)?;
    Some(Stacks::Taken(vec![collapsed(taken.addresses)]))
}

/// A recursion is one stack at any depth.
fn collapsed(addresses: Vec<usize>) -> Arc<[usize]> {
    Arc::from(Stack::of(addresses).addresses())
}

impl Incident {
    /// In the poll of this number, which may have ended by now.
    fn new(
        class: Class,
        slot: &Slot,
        sequence: u64,
        stacks: Vec<Arc<[usize]>>,
        replaced: Option<u64>,
    ) -> Self {
        let (number, command, poll) = (incident(), slot.command(), slot.poll_of(sequence));
        Self { number, command, role: slot.role, class, stacks, tries: 0, replaced, told: None, poll }
    }

    /// Looks again at a poll that is being watched: another stack, and a word if it does not end.
    fn look(
        &mut self,
        slot: &Arc<Slot>,
        watch: &Watch,
        capture: &mut Capture,
        sequence: u64,
        elapsed: Duration,
    ) {
        if self.replaced.is_none() && watch.replace(slot, self.number, Moment::now()) == Answer::Asked {
            self.replaced = Some(self.number);
        }
        if self.class.is_busy() {
            self.sample(slot, capture, sequence);
            let is_seen = !self.stacks.is_empty() || self.tries >= SAMPLES;
            if is_seen && self.told.is_none() {
                self.tell(Some(slot), watch, elapsed, false);
            }
            // One that could not be relieved has to go on at full speed. One of low priority hardly answers. And one that
            // prints a panic, which its stack tells, holds locks that others wait for.
            let is_judged = (elapsed >= STILL && !slot.is_excused(self.poll))
                || watch.registry.is_confirmed(self.command);
            if is_seen && is_judged && slot.is_relieved() && !slot.is_lowered() {
                slot.lower();
            }
        }
        if elapsed >= STILL && self.told.is_none_or(|told| told < STILL) {
            self.tell(Some(slot), watch, elapsed, false);
        }
    }

    fn sample(&mut self, slot: &Slot, capture: &mut Capture, sequence: u64) {
        if self.tries >= 2 * SAMPLES || self.stacks.len() >= SAMPLES {
            return;
        }
        self.tries += 1;
        let taken = capture.take(slot.thread, || slot.sequence() == sequence);
        self.stacks.extend(taken.map(|taken| collapsed(taken.addresses)));
    }

    fn tell(&mut self, slot: Option<&Slot>, watch: &Watch, elapsed: Duration, is_over: bool) {
        self.told = Some(elapsed);
        let is_excused = slot.is_some_and(|slot| slot.is_excused(self.poll));
        // A wait for a lock may be the allocator's, which is nobody's fault: only the stack tells.
        if self.role == Role::Worker && self.class != Class::Contention && !is_excused && elapsed >= LASTING {
            let standing = if self.class.is_busy() { Standing::Compute } else { Standing::Blocking };
            watch.registry.strike(self.command, standing, self.number);
        }
        watch.reporter.find(Finding {
            incident: self.number,
            poll: self.poll,
            command: self.command,
            role: self.role,
            symbol: None,
            class: self.class,
            stacks: if self.stacks.is_empty() { Stacks::None } else { Stacks::Taken(self.stacks.clone()) },
            elapsed,
            is_over,
            taken_over: slot.zip(self.replaced).and_then(|(slot, number)| slot.replacement.taken(number)),
            is_excused,
        });
    }
}
