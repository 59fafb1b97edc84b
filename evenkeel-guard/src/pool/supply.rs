//! Finds a successor for a worker that is about to block.
//!
//! Who blocks may be in the middle of an allocation: it calls a spare that is ready, or leaves word and goes on. A thread of its own
//! starts new ones.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::thread::{self, Thread};
use std::time::Duration;

use concurrent_queue::ConcurrentQueue;

use super::{Pool, Post, READY};
use crate::clock::Moment;
use crate::registry::Standing;
use crate::slot::{CommandId, Slot};
use crate::watchdog::{Answer, ThreadSupply};

/// Workers that may wait for a successor; more than there are threads.
const WAITING: usize = 1024;

/// Threads that what was caught leaves to the others.
const KEPT: usize = 16;

/// Who waits for a new thread, and whom that thread answers.
struct Waiting {
    slot: Arc<Slot>,
    wanted: Wanted,
}

/// A worker whose place is to be filled.
#[derive(Clone)]
pub(crate) struct Wanted {
    slot: Arc<Slot>,
    incident: u64,
    since: Moment,
}

impl Wanted {
    /// The successor runs. Answers how long the others have waited.
    pub(super) fn answer(&self) -> Duration {
        let elapsed = self.since.elapsed();
        self.slot.replacement.note(self.incident, elapsed);
        elapsed
    }
}

pub(super) struct Supply {
    /// Whose place the next spare takes that was called.
    called: ConcurrentQueue<Wanted>,
    /// Who found no spare.
    waiting: ConcurrentQueue<Waiting>,
    /// Spares that were started and do not stand by yet.
    pub(super) rising: AtomicUsize,
    thread: OnceLock<Thread>,
    has_work: AtomicBool,
    is_closed: AtomicBool,
}

impl Supply {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            called: ConcurrentQueue::bounded(WAITING),
            waiting: ConcurrentQueue::bounded(WAITING),
            rising: AtomicUsize::new(0),
            thread: OnceLock::new(),
            has_work: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
        })
    }

    /// For a spare that was called: in whose place.
    pub(super) fn next(&self) -> Option<Wanted> {
        self.called.pop().ok()
    }

    pub(super) fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        self.wake();
    }

    fn wake(&self) {
        if !self.has_work.swap(true, Ordering::SeqCst)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }
}

/// The pool as the watch sees it; the pool holds the watch.
pub(super) struct Threads(pub(super) Weak<Pool>);

impl ThreadSupply for Threads {
    fn replace(&self, slot: &Arc<Slot>, incident: u64, since: Moment) -> Answer {
        self.0.upgrade().map_or(Answer::Nobody, |pool| pool.replace(slot, incident, since))
    }

    fn is_full(&self, command: CommandId, standing: Standing) -> bool {
        self.0.upgrade().is_some_and(|pool| pool.quarantine.is_full(command, standing))
    }

    fn tick(&self) -> bool {
        let Some(pool) = self.0.upgrade() else { return false };
        pool.quarantine.tick(&pool);
        pool.release(usize::MAX)
    }
}

impl Pool {
    /// Calls a successor for a worker: a spare, or else a new thread. Neither allocates nor frees nor locks. Called by the worker
    /// itself right before it blocks, or by the watchdog.
    fn replace(&self, slot: &Arc<Slot>, incident: u64, since: Moment) -> Answer {
        let Some(member) = &slot.member else { return Answer::Nobody };
        if self.crew.is_closed() {
            return Answer::Nobody;
        }
        if !member.claim_place() {
            return Answer::OnItsWay;
        }
        slot.replacement.ask(incident);
        let mut wanted = Wanted { slot: Arc::clone(slot), incident, since };
        if self.supply.called.push(wanted.clone()).is_ok() {
            if self.crew.call_spare() {
                member.give_place();
                if self.crew.spares() < READY {
                    self.supply.wake();
                }
                return Answer::Asked;
            }
            // This one, or another's: then the spare that is on its way to the other answers this one, and a new thread the other.
            wanted = self.supply.called.pop().unwrap_or(wanted);
        }
        if self.supply.waiting.push(Waiting { slot: Arc::clone(slot), wanted }).is_err() {
            self.refuse(slot);
            return Answer::Nobody;
        }
        self.supply.wake();
        Answer::Asked
    }

    /// There is no thread for it, so the worker keeps its place.
    fn refuse(&self, slot: &Slot) {
        self.watch().live.not_taken_over.fetch_add(1, Ordering::Relaxed);
        if let Some(member) = &slot.member {
            member.keep_place();
        }
    }

    /// Starts the threads that are wanted, and spares for the next ones.
    fn supply(self: &Arc<Self>) {
        while let Ok(Waiting { slot, wanted }) = self.supply.waiting.pop() {
            let Some(member) = &slot.member else { continue };
            if self.has_room_for(&slot) && self.hire(Post::Worker(Some(wanted))) {
                member.give_place();
            } else {
                self.refuse(&slot);
            }
        }
        while self.crew.spares() + self.supply.rising.load(Ordering::SeqCst) < READY && self.hire(Post::Spare)
        {
        }
    }

    /// The last places are kept for commands that were not caught.
    fn has_room_for(&self, slot: &Slot) -> bool {
        let threads = self.watch().live.threads.load(Ordering::Relaxed);
        threads + KEPT < self.most_threads || self.watch().registry.is_clean(slot.command())
    }
}

/// Starts the thread that starts threads. It holds the pool only while it does so.
pub(super) fn start(pool: &Arc<Pool>) {
    let (weak, supply) = (Arc::downgrade(pool), Arc::clone(&pool.supply));
    let started = thread::Builder::new().name("evenkeel-supply".into()).spawn(move || {
        while !supply.is_closed.load(Ordering::SeqCst) {
            if supply.has_work.swap(false, Ordering::SeqCst) {
                let Some(pool) = weak.upgrade() else { return };
                pool.supply();
            } else {
                thread::park();
            }
        }
    });
    match started {
        Ok(thread) => drop(pool.supply.thread.set(thread.thread().clone())),
        Err(error) => {
            tracing::error!(%error, "blocked threads are not replaced: the system gives no more threads");
        }
    }
}
