//! Who works, who waits, and how a place is handed over: the protocol of the pool, without the pool.
//!
//! Members take work from one queue. A member that finds none waits in `idle`. A member whose place was given away
//! waits in `spares` once it is back. `tests/loom.rs` runs every interleaving of this file.

use crate::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering, fence};
use crate::sync::thread::{self, Thread};
use crate::sync::{Arc, Queue, YIELDS, queue, queue_of};

/// The queue, and those who are waiting.
pub(crate) struct Crew<T> {
    queue: Queue<T>,
    /// Members that found nothing to do. An entry may be stale; `Member::waits` tells.
    idle: Queue<Arc<Member>>,
    /// Members beyond the wanted number, parked until a place is to be filled. Never stale until the crew is closed. With a
    /// bound, since taking from it must not free.
    spares: Queue<Arc<Member>>,
    /// Members that were woken and have not looked into the queue yet: while there is one, nobody else is woken.
    searching: AtomicUsize,
    is_closed: AtomicBool,
}

/// The member has its place.
const HELD: u8 = 0;
/// Somebody is looking for a successor. The member has its place still.
const CLAIMED: u8 = 1;
/// A successor has been called: the member steps aside at the end of the poll in which it sees this.
const GIVEN: u8 = 2;

/// The member waits for nothing, or has been claimed.
const AT_WORK: u8 = 0;
/// It waits for work, and anyone who claims it counts it as searching.
const IDLE: u8 = 1;
/// It waits for a place.
const SPARE: u8 = 2;

/// Members that may stand by at a time.
const STANDING_BY: usize = 256;

/// One thread of the crew.
#[derive(Debug)]
pub(crate) struct Member {
    thread: Thread,
    /// What it waits for, until somebody claims it: `AT_WORK`, `IDLE` or `SPARE`.
    waits: AtomicU8,
    /// Who has this member's place: `HELD`, `CLAIMED` or `GIVEN`.
    place: AtomicU8,
}

impl Member {
    /// The calling thread as a member.
    pub(crate) fn here() -> Arc<Self> {
        let (waits, place) = (AtomicU8::new(AT_WORK), AtomicU8::new(HELD));
        Arc::new(Self { thread: thread::current(), waits, place })
    }

    /// Claims the right to look for a successor: true for exactly one caller, until the member is back.
    pub(crate) fn claim_place(&self) -> bool {
        self.place.compare_exchange(HELD, CLAIMED, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// A successor has been called. Only after [`Member::claim_place`].
    pub(crate) fn give_place(&self) {
        self.place.store(GIVEN, Ordering::Release);
    }

    /// There is no successor, so the member keeps its place. Only after [`Member::claim_place`].
    pub(crate) fn keep_place(&self) {
        self.place.store(HELD, Ordering::Release);
    }

    /// Whether another has this member's place. A plain load: the member asks after every poll.
    ///
    /// A place given away right after this load is seen after the next poll; until then the crew has one more.
    pub(crate) fn is_relieved(&self) -> bool {
        self.place.load(Ordering::Relaxed) == GIVEN
    }

    /// Claims a member that waits for this: true for exactly one caller. A stale entry of another wait claims nobody.
    fn claim(&self, waits: u8) -> bool {
        self.waits.compare_exchange(waits, AT_WORK, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }
}

impl<T> Crew<T> {
    pub(crate) fn new() -> Self {
        let (searching, is_closed) = (AtomicUsize::new(0), AtomicBool::new(false));
        Self { queue: queue(), idle: queue(), spares: queue_of(STANDING_BY), searching, is_closed }
    }

    /// Queues work and wakes a member if one is idle. Lock-free. Answers the work once the crew is closed.
    pub(crate) fn push(&self, work: T) -> Option<T> {
        if self.is_closed() {
            return Some(work);
        }
        // An unbounded queue refuses only when closed, and this one is never closed.
        let _taken = self.queue.push(work);
        self.wake_one();
        if self.is_closed() {
            // Closed meanwhile, and perhaps emptied before this came in.
            self.empty();
        }
        None
    }

    /// The next piece of work, waiting for it; `None` once the crew is closed. `woken` runs after each wait.
    pub(crate) fn next(&self, member: &Arc<Member>, woken: impl Fn()) -> Option<T> {
        let mut yields = 0;
        while !self.is_closed() {
            if let Ok(work) = self.queue.pop() {
                return Some(self.pass_on(work));
            }
            // Work comes in bursts: letting others run for a moment costs less than sleeping and being woken.
            if yields != YIELDS {
                yields += 1;
                thread::yield_now();
                continue;
            }
            yields = 0;
            member.waits.store(IDLE, Ordering::SeqCst);
            let _announced = self.idle.push(Arc::clone(member));
            fence(Ordering::SeqCst);
            if let Ok(work) = self.queue.pop() {
                if !member.claim(IDLE) {
                    // Somebody has claimed this member meanwhile and counts on its search.
                    self.searching.fetch_sub(1, Ordering::SeqCst);
                }
                return Some(self.pass_on(work));
            }
            self.wait(member);
            self.searching.fetch_sub(1, Ordering::SeqCst);
            woken();
        }
        None
    }

    /// Sends a spare into a place. Answers false when there is none. Neither allocates nor frees nor locks: who blocks calls
    /// this, and may be an allocator.
    pub(crate) fn call_spare(&self) -> bool {
        !self.is_closed() && self.wake_from(&self.spares, SPARE)
    }

    /// Waits as a spare until a place is to be filled; false once the crew is closed, or has spares enough.
    pub(crate) fn stand_by(&self, member: &Arc<Member>) -> bool {
        member.keep_place();
        member.waits.store(SPARE, Ordering::SeqCst);
        if self.spares.push(Arc::clone(member)).is_err() {
            return false;
        }
        self.wait(member);
        !self.is_closed()
    }

    /// How many spares are ready.
    pub(crate) fn spares(&self) -> usize {
        self.spares.len()
    }

    /// How much work waits.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Lets the members go once they are back, and drops the work that nobody will do any more.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        while self.wake_from(&self.idle, IDLE) || self.wake_from(&self.spares, SPARE) {}
        self.empty();
    }

    /// Drops what nobody will do any more. Dropping work may push other work.
    fn empty(&self) {
        while self.queue.pop().is_ok() {}
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst)
    }

    fn wake_one(&self) {
        loop {
            // Pairs with the fences in `next`: either this sees the idle member or that sees the work. A member that
            // is searching looks again after it has ceased to be counted.
            fence(Ordering::SeqCst);
            if self.searching.load(Ordering::SeqCst) > 0 || self.idle.is_empty() {
                return;
            }
            self.searching.fetch_add(1, Ordering::SeqCst);
            if self.wake_from(&self.idle, IDLE) {
                return;
            }
            // The entries were stale. Anyone who pushed meanwhile has relied on this search, so look once more.
            self.searching.fetch_sub(1, Ordering::SeqCst);
            fence(Ordering::SeqCst);
            if self.queue.is_empty() {
                return;
            }
        }
    }

    fn wake_from(&self, waiting: &Queue<Arc<Member>>, waits: u8) -> bool {
        while let Ok(member) = waiting.pop() {
            if member.claim(waits) {
                member.thread.unpark();
                return true;
            }
        }
        false
    }

    /// Wakes another member if there is more: somebody's wake-up may have been spent on this one.
    fn pass_on(&self, work: T) -> T {
        if !self.queue.is_empty() {
            self.wake_one();
        }
        work
    }

    fn wait(&self, member: &Member) {
        while member.waits.load(Ordering::Acquire) != AT_WORK && !self.is_closed() {
            thread::park();
        }
    }
}
