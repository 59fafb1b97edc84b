//! Threads that poll from one shared queue, and spares that take the place of a stuck one.
//!
//! No thread has a queue of its own and none drives timers or sockets, so nothing is stranded on a stuck one.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::thread::{self, Thread};

use async_task::Runnable;
use concurrent_queue::ConcurrentQueue;
use tokio::runtime::Handle;

use crate::watch::{Name, Slot, Watch};

/// Threads in all, stuck ones included; beyond that a stuck thread is not replaced.
const THREADS: usize = 256;
/// How often a worker without work lets other threads run before it sleeps.
const YIELDS: u32 = 4;
/// Threads kept ready to take over.
const SPARES: usize = 8;

pub(crate) type Work = Runnable<Arc<Name>>;

pub(crate) struct Pool {
    queue: ConcurrentQueue<Work>,
    /// Workers that found nothing to do. An entry may be stale; `Worker::is_waiting` tells.
    idle: ConcurrentQueue<Arc<Worker>>,
    /// Workers beyond the wanted number, parked until one gets stuck.
    spares: ConcurrentQueue<Arc<Worker>>,
    /// Workers that were woken and have not looked into the queue yet: while there is one, nobody else is woken.
    searching: AtomicUsize,
    /// All threads, whatever they are doing.
    threads: AtomicUsize,
    is_closed: AtomicBool,
    runtime: Handle,
    watch: OnceLock<Arc<Watch>>,
}

struct Worker {
    thread: OnceLock<Thread>,
    slot: Arc<Slot>,
    /// True from going idle (or spare) until somebody claims the worker.
    is_waiting: AtomicBool,
}

impl Pool {
    pub(crate) fn start(runtime: Handle, wanted: usize) -> Arc<Self> {
        let pool = Arc::new(Self {
            queue: ConcurrentQueue::unbounded(),
            idle: ConcurrentQueue::unbounded(),
            spares: ConcurrentQueue::unbounded(),
            searching: AtomicUsize::new(0),
            threads: AtomicUsize::new(0),
            is_closed: AtomicBool::new(false),
            runtime,
            watch: OnceLock::new(),
        });
        let weak = Arc::downgrade(&pool);
        let watch = Watch::start(move || weak.upgrade().is_some_and(|pool| pool.replace()));
        let _first = pool.watch.set(watch);
        for _ in 0..wanted {
            pool.hire();
        }
        pool
    }

    pub(crate) fn watch(&self) -> Option<&Arc<Watch>> {
        self.watch.get()
    }

    /// Queues work and wakes a worker if one is idle. Lock-free: the wire thread calls this.
    pub(crate) fn push(&self, work: Work) {
        if self.is_closed.load(Ordering::SeqCst) {
            return; // Dropping the work drops its future.
        }
        // An unbounded queue refuses only when closed, and this one is never closed.
        let _taken = self.queue.push(work);
        self.wake_one();
    }

    /// Lets the threads go once they have returned from what they poll. Stuck ones stay behind.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        while self.wake_from(&self.idle) || self.wake_from(&self.spares) {}
        if let Some(watch) = self.watch() {
            watch.stop();
        }
        // Queued work holds what its futures hold; nobody will poll it any more.
        while self.queue.pop().is_ok() {}
    }

    fn wake_one(&self) {
        loop {
            // Pairs with the fences in `Worker::next`: either this sees the idle worker or that sees the work. A
            // worker that is searching looks again after it has ceased to be counted.
            fence(Ordering::SeqCst);
            if self.searching.load(Ordering::SeqCst) > 0 || self.idle.is_empty() {
                return;
            }
            self.searching.fetch_add(1, Ordering::SeqCst);
            if self.wake_from(&self.idle) {
                return;
            }
            // The entries were stale. Whoever pushed meanwhile has relied on this search, so look once more.
            self.searching.fetch_sub(1, Ordering::SeqCst);
            fence(Ordering::SeqCst);
            if self.queue.is_empty() {
                return;
            }
        }
    }

    fn wake_from(&self, waiting: &ConcurrentQueue<Arc<Worker>>) -> bool {
        while let Ok(worker) = waiting.pop() {
            if worker.is_waiting.swap(false, Ordering::AcqRel) {
                if let Some(thread) = worker.thread.get() {
                    thread.unpark();
                }
                return true;
            }
        }
        false
    }

    /// Gives a stuck worker a successor: a spare, or else a new thread.
    fn replace(self: &Arc<Self>) -> bool {
        if self.is_closed.load(Ordering::Relaxed) {
            return false;
        }
        if self.wake_from(&self.spares) {
            return true;
        }
        self.threads.load(Ordering::Relaxed) < THREADS && self.hire()
    }

    fn hire(self: &Arc<Self>) -> bool {
        let slot = Arc::new(Slot::default());
        let worker = Arc::new(Worker { thread: OnceLock::new(), slot, is_waiting: AtomicBool::new(false) });
        if let Some(watch) = self.watch() {
            watch.add(&worker.slot);
        }
        let pool = Arc::clone(self);
        self.threads.fetch_add(1, Ordering::Relaxed);
        let name = thread::Builder::new().name("evenkeel-worker".into());
        let hired = name.spawn(move || worker.run(&pool));
        if let Err(error) = &hired {
            self.threads.fetch_sub(1, Ordering::Relaxed);
            tracing::error!(%error, "the system gives no more threads");
        }
        hired.is_ok()
    }
}

impl Worker {
    fn run(self: &Arc<Self>, pool: &Pool) {
        let _thread = self.thread.set(thread::current());
        let _runtime = pool.runtime.enter();
        while let Some(work) = self.next(pool) {
            let name = Arc::clone(work.metadata());
            let was_replaced = self.slot.polling(&name, || {
                // A panic ends this future only; the task has dropped it by the time it gets here.
                let _caught = catch_unwind(AssertUnwindSafe(|| work.run()));
            });
            if was_replaced && !self.step_aside(pool) {
                break;
            }
        }
        pool.threads.fetch_sub(1, Ordering::Relaxed);
    }

    /// The next piece of work; `None` once the pool is closed.
    fn next(self: &Arc<Self>, pool: &Pool) -> Option<Work> {
        let mut yields = 0;
        while !pool.is_closed.load(Ordering::SeqCst) {
            if let Ok(work) = pool.queue.pop() {
                return Some(Self::pass_on(pool, work));
            }
            // Work comes in bursts: letting others run for a moment costs less than sleeping and being woken.
            if yields < YIELDS {
                yields += 1;
                thread::yield_now();
                continue;
            }
            yields = 0;
            self.is_waiting.store(true, Ordering::SeqCst);
            let _announced = pool.idle.push(Arc::clone(self));
            fence(Ordering::SeqCst);
            if let Ok(work) = pool.queue.pop() {
                if !self.is_waiting.swap(false, Ordering::SeqCst) {
                    // Somebody has claimed this worker meanwhile and counts on its search.
                    pool.searching.fetch_sub(1, Ordering::SeqCst);
                }
                return Some(Self::pass_on(pool, work));
            }
            self.wait(pool);
            pool.searching.fetch_sub(1, Ordering::SeqCst);
        }
        None
    }

    /// Wakes another worker if there is more: somebody's wake-up may have been spent on this one.
    fn pass_on(pool: &Pool, work: Work) -> Work {
        if !pool.queue.is_empty() {
            pool.wake_one();
        }
        work
    }

    /// A successor has this worker's place: wait as a spare. Answers whether it was called back.
    fn step_aside(self: &Arc<Self>, pool: &Pool) -> bool {
        if pool.spares.len() >= SPARES {
            return false;
        }
        self.is_waiting.store(true, Ordering::SeqCst);
        let _announced = pool.spares.push(Arc::clone(self));
        self.wait(pool);
        !pool.is_closed.load(Ordering::SeqCst)
    }

    fn wait(&self, pool: &Pool) {
        while self.is_waiting.load(Ordering::Acquire) && !pool.is_closed.load(Ordering::SeqCst) {
            thread::park();
        }
    }
}
