//! The call that blocks a thread right now: its thread writes it, the watchdog reads it, and neither waits for the other.

use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU64, AtomicUsize, Ordering, fence};
use std::time::Duration;

use crate::clock::Moment;
use crate::hook;
use crate::report::Class;
use crate::sys::stack::{self, Stack};

/// A number for something that begins to keep a thread: higher than all before it.
pub(crate) fn incident() -> u64 {
    static INCIDENTS: AtomicU64 = AtomicU64::new(1);
    INCIDENTS.fetch_add(1, Ordering::Relaxed)
}

/// A call that has not returned yet.
#[derive(Clone, Debug)]
pub(crate) struct Ongoing {
    pub(crate) number: u64,
    pub(crate) symbol: &'static str,
    pub(crate) class: Class,
    pub(crate) since: Moment,
    /// What the stack is remembered by; zero where none was taken.
    pub(crate) key: u64,
    /// How many addresses of it there are.
    pub(crate) length: usize,
}

/// Where a thread notes its call.
#[derive(Debug)]
pub(crate) struct CallCell {
    /// Zero while nothing blocks, and while the rest is being written.
    number: AtomicU64,
    symbol: AtomicU16,
    class: AtomicU8,
    since: AtomicU64,
    key: AtomicU64,
    length: AtomicUsize,
    addresses: Box<[AtomicUsize]>,
}

impl CallCell {
    pub(crate) fn new() -> Self {
        let (number, since, key) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        let (symbol, class, length) = (AtomicU16::new(0), AtomicU8::new(0), AtomicUsize::new(0));
        Self { number, symbol, class, since, key, length, addresses: stack::unwritten(stack::MOST) }
    }

    /// The call begins. Only its own thread says so.
    pub(crate) fn begin(&self, number: u64, call: &hook::Call, since: Moment, key: u64, stack: &Stack) {
        self.number.store(0, Ordering::Relaxed);
        // A reader that sees any of what follows also sees the zero, and does not take it for the earlier call's.
        fence(Ordering::Release);
        self.symbol.store(hook::number_of(call.symbol), Ordering::Relaxed);
        self.class.store(call.class.number(), Ordering::Relaxed);
        self.since.store(since.nanos(), Ordering::Relaxed);
        self.key.store(key, Ordering::Relaxed);
        self.length.store(stack::write(stack.addresses(), &self.addresses), Ordering::Relaxed);
        self.number.store(number, Ordering::Release);
    }

    /// The call has returned. Only its own thread says so.
    pub(crate) fn end(&self) -> Option<Ongoing> {
        let call = self.now();
        self.number.store(0, Ordering::Release);
        call
    }

    pub(crate) fn number(&self) -> Option<u64> {
        Some(self.number.load(Ordering::Acquire)).filter(|number| *number > 0)
    }

    pub(crate) fn now(&self) -> Option<Ongoing> {
        let number = self.number()?;
        let call = Ongoing {
            number,
            symbol: hook::symbol(self.symbol.load(Ordering::Relaxed)),
            class: Class::of(self.class.load(Ordering::Relaxed)),
            since: Moment::from_nanos(self.since.load(Ordering::Relaxed)),
            key: self.key.load(Ordering::Relaxed),
            length: self.length.load(Ordering::Relaxed),
        };
        self.is_still(number).then_some(call)
    }

    /// The stack of a call, innermost first; `None` when it has returned meanwhile.
    pub(crate) fn stack(&self, call: &Ongoing) -> Option<Vec<usize>> {
        let stack = stack::read(&self.addresses, call.length);
        self.is_still(call.number).then_some(stack)
    }

    /// Copies the stack of the call that has just ended. Only its own thread may ask.
    pub(crate) fn copy(&self, length: usize, into: &[AtomicUsize]) -> usize {
        let pairs = self.addresses.iter().zip(into).take(length);
        pairs.map(|(from, to)| to.store(from.load(Ordering::Relaxed), Ordering::Relaxed)).count()
    }

    /// Whether all that was read before belongs to this call.
    fn is_still(&self, number: u64) -> bool {
        fence(Ordering::Acquire);
        self.number.load(Ordering::Relaxed) == number
    }
}

/// What a poll's deep stacks were, since a poll may make thousands of calls from the depth of one recursion, and following
/// each stack to its end would take more time than the calls do. Read and written by one thread only.
#[derive(Debug, Default)]
pub(crate) struct DeepStacks {
    poll: AtomicU64,
    /// How many were followed to their end.
    count: AtomicU64,
    /// The last one: its inner end, and its key.
    inner_end: AtomicU64,
    key: AtomicU64,
}

impl DeepStacks {
    /// A stack deeper than this costs more than the call.
    const DEEP: usize = 128;
    /// This many of a poll are followed in any case.
    const FOLLOWED: u64 = 64;

    /// The key of a stack, if enough were followed in this poll and the last one had the same inner end.
    pub(crate) fn key(&self, poll: u64, inner_end: u64) -> Option<u64> {
        let is_known = self.poll.load(Ordering::Relaxed) == poll
            && self.count.load(Ordering::Relaxed) >= Self::FOLLOWED
            && self.inner_end.load(Ordering::Relaxed) == inner_end;
        is_known.then(|| self.key.load(Ordering::Relaxed))
    }

    /// A stack was followed to its end, over this many addresses.
    pub(crate) fn note(&self, poll: u64, depth: usize, inner_end: u64, key: u64) {
        if depth < Self::DEEP {
            return;
        }
        let before = if self.poll.swap(poll, Ordering::Relaxed) == poll {
            self.count.load(Ordering::Relaxed)
        } else {
            0
        };
        self.count.store(before + 1, Ordering::Relaxed);
        self.inner_end.store(inner_end, Ordering::Relaxed);
        self.key.store(key, Ordering::Relaxed);
    }
}

/// Who was asked to take a thread's place, and how long the others had to wait for it.
#[derive(Debug, Default)]
pub(crate) struct Replacement {
    /// For which incident the place was given; zero if for none yet.
    incident: AtomicU64,
    /// Nanoseconds; zero until somebody has the place.
    taken: AtomicU64,
}

impl Replacement {
    /// Somebody is being asked.
    pub(crate) fn ask(&self, incident: u64) {
        self.taken.store(0, Ordering::Relaxed);
        self.incident.store(incident, Ordering::Release);
    }

    /// Another has the place already, so nobody waits.
    pub(crate) fn is_there(&self, incident: u64) {
        self.incident.store(incident, Ordering::Relaxed);
        self.taken.store(1, Ordering::Release);
    }

    /// The successor runs, so long after the incident began.
    pub(crate) fn note(&self, incident: u64, elapsed: Duration) {
        if self.incident.load(Ordering::Acquire) == incident {
            let nanos = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
            self.taken.store(nanos.max(1), Ordering::Release);
        }
    }

    /// How long the others waited in this incident; `None` while nobody has taken over.
    pub(crate) fn taken(&self, incident: u64) -> Option<Duration> {
        let nanos = self.taken.load(Ordering::Acquire);
        (nanos > 0 && self.incident.load(Ordering::Relaxed) == incident).then(|| Duration::from_nanos(nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::stack::Mark;

    fn call(class: Class) -> hook::Call {
        hook::Call { symbol: "read", class, at_least: None, mark: Mark::default() }
    }

    #[test]
    fn a_call_is_read_whole_or_not_at_all() {
        let cell = CallCell::new();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in 1..20_000_u64 {
                    let length = 1 + number as usize % 40;
                    let stack = Stack::of((0..length).map(|at| number as usize * 1000 + at));
                    let class = if number % 2 == 0 { Class::File } else { Class::Network };
                    cell.begin(number, &call(class), Moment::from_nanos(number), number, &stack);
                    cell.end();
                }
                cell.begin(u64::MAX, &call(Class::Sleep), Moment::default(), 0, &Stack::new());
            });
            loop {
                let Some(call) = cell.now() else { continue };
                if call.number == u64::MAX {
                    return;
                }
                assert_eq!((call.since.nanos(), call.key), (call.number, call.number));
                assert_eq!(call.class == Class::File, call.number % 2 == 0);
                let Some(stack) = cell.stack(&call) else { continue };
                assert!(stack.iter().all(|address| *address as u64 / 1000 == call.number), "{stack:?}");
            }
        });
    }

    #[test]
    fn a_deep_stack_is_known_after_many_of_the_same_poll() {
        let deep = DeepStacks::default();
        (0..63).for_each(|_| deep.note(1, 1000, 7, 70));
        assert_eq!(deep.key(1, 7), None, "each is followed so far");
        deep.note(1, 1000, 7, 70);
        assert_eq!((deep.key(1, 7), deep.key(1, 8), deep.key(2, 7)), (Some(70), None, None));
        deep.note(1, 1000, 8, 80);
        assert_eq!((deep.key(1, 8), deep.key(1, 7)), (Some(80), None), "the last one");
        deep.note(1, 10, 9, 90);
        assert_eq!(deep.key(1, 9), None, "a short one is followed anyway");
        deep.note(2, 1000, 8, 80);
        assert_eq!(deep.key(2, 8), None, "another poll begins anew");
    }

    #[test]
    fn a_replacement_is_of_one_incident() {
        let replacement = Replacement::default();
        replacement.ask(7);
        assert_eq!(replacement.taken(7), None);
        replacement.note(6, Duration::from_millis(1));
        assert_eq!(replacement.taken(7), None, "of an earlier one");
        replacement.note(7, Duration::ZERO);
        assert!(replacement.taken(7).is_some());
        assert_eq!(replacement.taken(8), None);
    }
}
