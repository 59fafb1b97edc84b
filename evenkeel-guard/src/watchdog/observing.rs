//! Observes each call that blocks a watched thread, on that thread. Nothing here allocates, frees or locks: see `hook`.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Once};
use std::time::Duration;

use super::{Answer, LASTING, Watch};
use crate::call::{Ongoing, incident};
use crate::clock::{self, Moment};
use crate::findings::{Finding, Sight, Stacks, key};
use crate::hook;
use crate::registry::Standing;
use crate::report::{Class, Label};
use crate::slot::{Admission, CommandId, PollObserver, Role, Slot, each_here};
use crate::sys::stack::{self, Stack};

/// A wait for another thread that is shorter than this is not looked into.
const BRIEF: Duration = Duration::from_micros(100);
/// This many calls of one command may keep threads at once, before it is caught for that alone.
const MOST_STUCK: u32 = 32;

/// Whether blocking calls are seen before they block, in this program and on this system. Found out by making one.
pub fn sees_calls() -> bool {
    clock::start();
    hook::install(&OBSERVING);
    hook::works()
}

/// Says once in a program what the guard cannot do there.
pub(super) fn start() {
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        if !sees_calls() {
            tracing::info!(
                target: "evenkeel::guard",
                "blocking calls are not seen before they block in this program (that takes Linux with glibc, linked \
                 dynamically, and the feature `hook`): they are found by looking at the threads, milliseconds later"
            );
        }
    });
}

/// Observes every call on every thread, and passes it to the watcher of the thread.
struct Observing;

static OBSERVING: Observing = Observing;

impl hook::CallObserver for Observing {
    fn before(&self, call: &hook::Call) {
        each_here(|here| here.observer.before(&here.slot, call));
    }

    fn after(&self, call: &hook::Call) {
        each_here(|here| here.observer.after(&here.slot, call));
    }
}

impl Watch {
    /// What is known to last, or keeps too many threads, has its consequences at once.
    fn strike_early(&self, slot: &Slot, call: &hook::Call, number: u64, key: u64, stack: &Stack) {
        let (command, class) = (slot.command(), call.class);
        let is_crowd = self.registry.sticks(command) > MOST_STUCK;
        let lasts = call.at_least.is_some_and(|length| length >= LASTING);
        if !(lasts || is_crowd) || !strikes(class, self.reporter.findings().known.look(key)) {
            return;
        }
        self.registry.strike(command, Standing::Blocking, number);
        let finding = Finding { is_over: false, ..finding(slot, number, call.symbol, class, LASTING) };
        self.find_at(finding, key, |sheet| stack::write(stack.addresses(), sheet));
    }

    /// A call has returned, and is judged by what is known of its stack.
    fn ended(
        &self,
        slot: &Slot,
        call: &Ongoing,
        elapsed: Duration,
        write: impl FnOnce(&[AtomicUsize]) -> usize,
    ) {
        let sight = self.reporter.findings().known.look(call.key);
        if sight == Sight::Allowed {
            slot.excuse();
            return self.registry.withdraw(slot.command(), call.number);
        }
        if slot.role == Role::Worker && elapsed >= LASTING && strikes(call.class, sight) {
            self.registry.strike(slot.command(), Standing::Blocking, call.number);
        }
        self.find_at(finding(slot, call.number, call.symbol, call.class, elapsed), call.key, write);
    }

    /// Passes a finding on with its stack, which is written down if nobody has seen it before.
    fn find_at(&self, mut finding: Finding, key: u64, write: impl FnOnce(&[AtomicUsize]) -> usize) {
        match self.reporter.findings().keep(key, write) {
            Some(stacks) => {
                finding.stacks = stacks;
                self.reporter.find(finding);
            }
            None => self.reporter.overlook(&finding),
        }
        self.wake();
    }
}

/// Takes the stack of a call, and answers what it is remembered by.
fn taken(slot: &Slot, call: &hook::Call, stack: &mut Stack) -> u64 {
    let poll = slot.poll();
    let (inner_end, depth) = stack.take(call.mark, |inner_end| slot.deep.key(poll, inner_end).is_some());
    if let Some(key) = slot.deep.key(poll, inner_end) {
        return key;
    }
    let key = key(call.symbol, call.class, slot.role, stack);
    slot.deep.note(poll, depth, inner_end, key);
    key
}

/// Whether a call of this class, if it lasts, puts its command in quarantine before its stack was looked into.
pub(super) fn strikes(class: Class, sight: Sight) -> bool {
    let class = match sight {
        Sight::Allowed => return false,
        Sight::Judged(class) => class,
        Sight::New | Sight::Pending => class,
    };
    // Some waits for a lock are nobody's fault: only the stack tells.
    !matches!(class, Class::Contention | Class::Output)
}

fn finding(slot: &Slot, incident: u64, symbol: &'static str, class: Class, elapsed: Duration) -> Finding {
    Finding {
        incident,
        poll: slot.poll(),
        command: slot.command(),
        role: slot.role,
        symbol: Some(symbol),
        class,
        stacks: Stacks::None,
        elapsed,
        is_over: true,
        taken_over: slot.replacement.taken(incident),
        is_excused: false,
    }
}

impl PollObserver for Watch {
    fn before(&self, slot: &Arc<Slot>, call: &hook::Call) {
        if std::thread::panicking() {
            // A panic prints itself, and reads the program's debug information for that: no call of it counts, nor does the
            // time that it takes. The thread holds locks by which all panics are printed, so it has to go on. What a `Drop`
            // does while it unwinds is found by the watchdog, if it lasts.
            return slot.panics();
        }
        let (number, since, mut stack, mut stack_key) = (incident(), Moment::now(), Stack::new(), 0);
        // A wait for a lock is mostly over before a successor would run: the watchdog looks after those that last.
        if call.class != Class::Contention {
            if slot.role == Role::Worker && self.replace(slot, number, since) == Answer::OnItsWay {
                // After the first call of a poll the place is given away already, and nobody waits.
                slot.replacement.is_there(number);
            }
            stack_key = taken(slot, call, &mut stack);
        }
        slot.call.begin(number, call, since, stack_key, &stack);
        if slot.role == Role::Worker && stack_key != 0 {
            self.strike_early(slot, call, number, stack_key, &stack);
        }
        self.wake();
        if slot.role == Role::Worker && stack_key != 0 && call.at_least.is_none() {
            self.look_soon();
        }
    }

    fn after(&self, slot: &Arc<Slot>, call: &hook::Call) {
        let Some(ended) = slot.call.end() else { return };
        let (elapsed, is_brief) = (ended.since.elapsed(), ended.class == Class::Contention);
        if slot.role == Role::Worker {
            let kept = if is_brief { slot.lasted() } else { Some(slot.command()) };
            kept.into_iter().for_each(|command| self.registry.comes_off(command));
        }
        if !is_brief {
            return self.ended(slot, &ended, elapsed, |sheet| slot.call.copy(ended.length, sheet));
        }
        if elapsed >= BRIEF || slot.role == Role::Strict {
            let mut stack = Stack::new();
            let ended = Ongoing { key: taken(slot, call, &mut stack), ..ended };
            self.ended(slot, &ended, elapsed, |sheet| stack::write(stack.addresses(), sheet));
        }
    }

    fn excuse(&self, slot: &Arc<Slot>) {
        self.replace(slot, incident(), Moment::now());
    }

    fn command(&self, label: &Label) -> CommandId {
        self.registry.command(label)
    }

    fn admits(&self, slot: &Slot, command: CommandId, is_new: bool) -> Admission {
        let standing = self.registry.standing(command);
        if is_new
            && standing == Standing::Clean
            && slot.role == Role::Worker
            && !self.registry.is_proven(command)
        {
            // Where it is taken from the queue, it is counted.
            return Admission::Elsewhere;
        }
        // Where nothing is replaced, nothing is put away either.
        if standing == Standing::Clean || slot.role != Role::Worker {
            return Admission::Here;
        }
        if self.is_full(command) {
            return Admission::Full;
        }
        Admission::Elsewhere
    }
}
