//! The threads of one executor: workers that poll from one shared queue, spares, and the quarantine.
//!
//! No thread has a queue of its own and none drives timers or sockets, so nothing is stranded on a stuck one.

mod quarantine;
mod supply;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use async_task::Runnable;
use concurrent_queue::ConcurrentQueue;
use tokio::runtime::Handle;

use crate::counters::Counters;
use crate::crew::{Crew, Member};
use crate::options::Options;
use crate::registry::{First, Standing};
use crate::slot::{CommandId, Here, PollObserver, Role, Slot, renamed, set_here};
use crate::watchdog::Watch;
use quarantine::Quarantine;
use supply::{Supply, Wanted};

/// Spares that are ready before anything happens.
pub(super) const READY: usize = 4;
/// Of what was held back, so much is looked at again after each poll that has shown something: more would mostly be held back again.
const RELEASED: usize = 8;
/// Spares that are kept once they have been needed.
const SPARES: usize = 8;

/// A task that is ready to be polled, with the number of its command.
pub(crate) type Work = Runnable<Arc<Tag>>;

/// The command of one task, which the task itself writes while it is polled, and whether anybody still waits for it.
#[derive(Debug)]
pub(crate) struct Tag {
    command: AtomicU32,
    is_abandoned: AtomicBool,
}

impl Tag {
    pub(crate) fn new(command: CommandId) -> Arc<Self> {
        Arc::new(Self { command: AtomicU32::new(command), is_abandoned: AtomicBool::new(false) })
    }

    #[inline]
    pub(crate) fn command(&self) -> CommandId {
        self.command.load(Ordering::Relaxed)
    }

    /// Its owner let go of it: all that is left to do is to drop its future.
    pub(crate) fn abandon(&self) {
        self.is_abandoned.store(true, Ordering::Relaxed);
    }

    fn is_abandoned(&self) -> bool {
        self.is_abandoned.load(Ordering::Relaxed)
    }

    /// The task goes on as another command.
    #[inline]
    pub(crate) fn note(&self, renamed: Option<CommandId>) {
        if let Some(command) = renamed {
            self.command.store(command, Ordering::Relaxed);
        }
    }
}

pub(crate) struct Pool {
    crew: Crew<Work>,
    quarantine: Quarantine,
    /// Work of commands that have to show first that they return. Looked at again when one of them has, and on each tick.
    held_back: ConcurrentQueue<Work>,
    supply: Arc<Supply>,
    runtime: Handle,
    most_threads: usize,
    watch: Arc<Watch>,
}

impl Pool {
    pub(crate) fn start(runtime: Handle, options: &Options) -> Arc<Self> {
        // The watchdog runs from here on, and finds the pool once it is whole.
        let pool = Arc::new_cyclic(|pool| Self {
            crew: Crew::new(),
            quarantine: Quarantine::new(options),
            held_back: ConcurrentQueue::unbounded(),
            supply: Supply::new(),
            runtime,
            most_threads: options.threads.max(options.workers + 3),
            watch: Watch::start(options, Role::Worker, supply::Threads(Weak::clone(pool))),
        });
        for _ in 0..options.workers {
            pool.hire(Post::Worker(None));
        }
        for _ in 0..READY {
            pool.hire(Post::Spare);
        }
        supply::start(&pool);
        pool
    }

    pub(crate) fn watch(&self) -> &Arc<Watch> {
        &self.watch
    }

    /// Queues work where its command belongs, and wakes a thread. Lock-free: the wire thread calls this. Only the first
    /// work for quarantine starts a thread.
    pub(crate) fn push(self: &Arc<Self>, work: Work) {
        let (registry, command) = (&self.watch().registry, work.metadata().command());
        // A closed pool drops what comes after its end, and with it the future.
        drop(if registry.is_clean(command) {
            self.crew.push(work)
        } else {
            // Pardoned in between, it is polled there once and comes back.
            self.quarantine.push(self, registry.standing(command), work)
        });
    }

    /// Queues anew what was held back, the oldest first; whether there was any.
    fn release(self: &Arc<Self>, most: usize) -> bool {
        // No more than there is now: it may be held back once more.
        let count = self.held_back.len().min(most);
        for work in (0..count).map_while(|_| self.held_back.pop().ok()) {
            self.push(work);
        }
        count > 0
    }

    /// Lets the threads go once they have returned from what they poll. Stuck ones stay behind.
    pub(crate) fn close(&self) {
        self.crew.close();
        while self.held_back.pop().is_ok() {}
        self.quarantine.close();
        self.supply.close();
        self.watch().stop();
    }

    pub(crate) fn counters(&self) -> Counters {
        let mut counters = self.watch().counters();
        counters.spares = self.crew.spares();
        counters.waiting_in_quarantine = self.quarantine.waiting();
        counters
    }

    /// Starts a thread, unless there are too many.
    pub(crate) fn hire(self: &Arc<Self>, post: Post) -> bool {
        let threads = &self.watch().live.threads;
        let is_needed = matches!(post, Post::Quarantine { is_first: true, .. });
        if threads.fetch_add(1, Ordering::Relaxed) >= self.most_threads && !is_needed {
            threads.fetch_sub(1, Ordering::Relaxed);
            return false;
        }
        let is_spare = matches!(post, Post::Spare);
        self.supply.rising.fetch_add(usize::from(is_spare), Ordering::SeqCst);
        let pool = Arc::clone(self);
        let name = match post {
            Post::Quarantine { .. } => "evenkeel-quarantine",
            _ => "evenkeel-worker",
        };
        let hired = thread::Builder::new().name(name.into()).spawn(move || pool.employ(post));
        if let Err(error) = &hired {
            threads.fetch_sub(1, Ordering::Relaxed);
            self.supply.rising.fetch_sub(usize::from(is_spare), Ordering::SeqCst);
            tracing::error!(%error, "the system gives no more threads");
        }
        hired.is_ok()
    }

    /// The life of one thread.
    fn employ(self: Arc<Self>, post: Post) {
        let runtime = self.runtime.clone();
        let _runtime = runtime.enter();
        match post {
            Post::Worker(wanted) => self.work(true, wanted),
            Post::Spare => {
                self.supply.rising.fetch_sub(1, Ordering::SeqCst);
                self.work(false, None);
            }
            Post::Quarantine { standing, .. } => self.quarantine.work(&self, standing),
        }
        self.watch().live.threads.fetch_sub(1, Ordering::Relaxed);
    }

    /// Shows the calling thread to the watchdog.
    pub(crate) fn show(&self, role: Role, member: Option<Arc<Member>>) -> Arc<Slot> {
        let slot = Slot::here(role, member);
        let observer: Arc<dyn PollObserver> = Arc::clone(self.watch()) as _;
        set_here(Some(Here { slot: Arc::clone(&slot), observer, other: None }));
        self.watch().add(&slot);
        slot
    }

    fn work(self: &Arc<Self>, mut has_place: bool, mut wanted: Option<Wanted>) {
        let member = Member::here();
        let slot = self.show(Role::Worker, Some(Arc::clone(&member)));
        let watch = Arc::clone(self.watch());
        let registry = Arc::clone(&watch.registry);
        loop {
            if !has_place {
                if !self.crew.stand_by(&member) {
                    return;
                }
                wanted = self.supply.next();
                // One whose priority was lowered while it stood by cannot raise it again: another goes in its place.
                if slot.is_lowered() && self.hire(Post::Worker(wanted.clone())) {
                    return;
                }
                has_place = true;
            }
            if let Some(wanted) = wanted.take() {
                watch.live.took_over(wanted.answer());
                watch.wake();
            }
            let Some(work) = self.crew.next(&member, || watch.wake()) else { return };
            let command = work.metadata().command();
            if !registry.is_clean(command) {
                // Caught while it was waiting here.
                self.push(work);
                continue;
            }
            let first = registry.begins(command);
            if first == First::Later {
                // An unbounded queue refuses only when closed, and this one is never closed.
                let _taken = self.held_back.push(work);
                watch.wake();
                continue;
            }
            slot.polling(command, || run(work));
            if first == First::Yes {
                let most = if registry.ended(command) { usize::MAX } else { RELEASED };
                self.release(most);
            }
            if member.is_relieved() {
                // A thread whose priority was lowered cannot raise it again.
                if slot.is_lowered() || self.crew.spares() >= SPARES {
                    return;
                }
                has_place = false;
            }
        }
    }
}

/// What a new thread is hired for.
pub(crate) enum Post {
    /// A place among the workers, for somebody who waits to be replaced or from the start.
    Worker(Option<Wanted>),
    Spare,
    /// The first thread of each part has a place beyond the limit, so that nothing waits for ever.
    Quarantine {
        standing: Standing,
        is_first: bool,
    },
}

/// Polls once. A panic ends this future only; the task has dropped it by the time it gets here.
#[inline]
pub(crate) fn run(work: Work) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| work.run())) {
        // Dropping what it carries may panic as well, and this is the worker's own thread.
        std::mem::forget(panic);
        // What the future had become ends with it, and is not the next one's.
        let _forgotten = renamed();
    }
}

/// Work goes to a pool for as long as there is one.
pub(crate) fn schedule(pool: &Arc<Pool>) -> impl Fn(Work) + Send + Sync + 'static {
    let pool: Weak<Pool> = Arc::downgrade(pool);
    move |work| {
        if let Some(pool) = pool.upgrade() {
            pool.push(work);
        }
    }
}

/// How much CPU time the calling thread used for `poll`.
pub(crate) fn timed(poll: impl FnOnce()) -> Duration {
    let before = crate::sys::cpu_time_here();
    poll();
    let after = crate::sys::cpu_time_here();
    after.zip(before).map(|(after, before)| after.saturating_sub(before)).unwrap_or_default()
}
