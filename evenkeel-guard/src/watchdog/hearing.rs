//! Hears of each call that blocks a watched thread, on that thread.

use std::sync::{Arc, Once, OnceLock};
use std::time::{Duration, Instant};

use super::{LASTING, Watch};
use crate::book::{Standing, incident};
use crate::hook;
use crate::report::{Class, Label};
use crate::reporter::Finding;
use crate::slot::{Admission, CommandId, Ears, Ongoing, Relief, Role, Slot, here};
use crate::sys;

/// A wait for another thread that is shorter than this is not looked into.
const BRIEF: Duration = Duration::from_micros(100);
/// Frames of a stack that are looked at. On the stack of a blocked thread, 8 bytes each.
const FRAMES: usize = 128;

/// Whether blocking calls are seen before they block, in this program and on this system. Found out by making one.
pub fn sees_calls() -> bool {
    hook::install(&HEARING);
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

/// Hears every call on every thread, and passes it to whoever watches the thread.
struct Hearing;

static HEARING: Hearing = Hearing;

impl hook::Ears for Hearing {
    fn before(&self, call: &hook::Call) {
        if let Some(here) = here() {
            here.ears.before(&here.slot, call);
        }
    }

    fn after(&self, call: &hook::Call) {
        if let Some(here) = here() {
            here.ears.after(&here.slot, call);
        }
    }
}

impl Ears for Watch {
    fn before(&self, slot: &Slot, call: &hook::Call) {
        let since = Instant::now();
        // A wait for a lock is mostly over before a successor would run: the watchdog sends one if it lasts.
        let is_brief = call.class == Class::Contention;
        // After the first call of a poll the place is given away already, and nobody waits.
        let is_away = slot.role == Role::Worker && slot.is_relieved();
        let relief = match (is_brief, is_away) {
            (true, _) => None,
            (false, true) => Some(Relief::at_once()),
            (false, false) => self.relieve(slot),
        };
        let relief = Arc::new(relief.map_or_else(OnceLock::new, OnceLock::from));
        let takes_stack = !is_brief && slot.role != Role::Quarantine;
        let addresses = if takes_stack { stack_here() } else { Arc::from([]) };
        let (number, symbol, class) = (incident(), call.symbol, call.class);
        if slot.role == Role::Worker && call.at_least.is_some_and(|length| length >= LASTING) {
            // What is known to last has its consequences at once.
            let (stacks, relief) = (vec![Arc::clone(&addresses)], relief.get().cloned());
            let (command, role, elapsed) = (slot.command(), slot.role, LASTING);
            let (incident, poll, symbol) = (number, slot.poll(), Some(symbol));
            let is_over = false;
            self.reporter.find(Finding {
                incident,
                poll,
                command,
                role,
                symbol,
                class,
                stacks,
                elapsed,
                is_over,
                relief,
            });
        }
        slot.set_call(Some(Ongoing { number, symbol, class, since, addresses, relief }));
        self.wake();
    }

    fn after(&self, slot: &Slot, _: &hook::Call) {
        let Some(call) = slot.set_call(None) else { return };
        let elapsed = call.since.elapsed();
        let is_brief = call.class == Class::Contention;
        if is_brief && elapsed < BRIEF && slot.role != Role::Strict {
            return;
        }
        // In quarantine a call that lasted is looked into, to know whether it stands against the command; a short one
        // is only counted.
        let takes_stack = if slot.role == Role::Quarantine { elapsed >= LASTING } else { is_brief };
        let addresses = if takes_stack { stack_here() } else { call.addresses };
        self.reporter.find(Finding {
            incident: call.number,
            poll: slot.poll(),
            command: slot.command(),
            role: slot.role,
            symbol: Some(call.symbol),
            class: call.class,
            stacks: vec![addresses],
            elapsed,
            is_over: true,
            relief: call.relief.get().cloned(),
        });
    }

    fn excuse(&self, slot: &Slot) {
        self.relieve(slot);
    }

    fn command(&self, label: &Label) -> CommandId {
        self.book.command(label)
    }

    fn admits(&self, slot: &Slot, command: CommandId) -> Admission {
        let standing = self.book.standing(command);
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

/// The calling thread's stack, innermost first.
fn stack_here() -> Arc<[usize]> {
    let mut addresses = [0; FRAMES];
    let count = sys::addresses_here(&mut addresses);
    Arc::from(&addresses[..count])
}
