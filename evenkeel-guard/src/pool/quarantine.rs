//! Threads for commands that were caught: many for those that sleep in a call, few and niced for those that compute.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::{Pool, Post, Work, run, timed};
use crate::book::{Standing, incident};
use crate::crew::{Crew, Member};
use crate::options::Options;
use crate::slot::Role;
use crate::sys;

/// Idle threads that a part of the quarantine keeps.
const IDLE: usize = 8;

pub(crate) struct Quarantine {
    blocking: Ward,
    compute: Ward,
    busy_after: Duration,
}

/// One part of the quarantine.
struct Ward {
    crew: Crew<Work>,
    threads: AtomicUsize,
    /// Threads that poll nothing: while there is one, nobody is hired.
    free: AtomicUsize,
    most_threads: usize,
}

impl Quarantine {
    pub(crate) fn new(options: &Options) -> Self {
        let count = || AtomicUsize::new(0);
        let ward = |most_threads| Ward { crew: Crew::new(), threads: count(), free: count(), most_threads };
        let (blocking, compute) = (ward(options.quarantine_threads), ward(options.compute_threads));
        Self { blocking, compute, busy_after: options.busy_after }
    }

    /// Queues work, and sees to it that there is a thread. Answers the work once the quarantine is closed.
    pub(crate) fn push(&self, pool: &Arc<Pool>, standing: Standing, work: Work) -> Option<Work> {
        let ward = self.ward(standing);
        let refused = ward.crew.push(work);
        // Later threads are hired by those that are there, so that whoever pushes is not held up.
        if ward.threads.load(Ordering::Relaxed) == 0 {
            ward.hire(pool, standing);
        }
        refused
    }

    pub(crate) fn waiting(&self, standing: Standing) -> usize {
        self.ward(standing).crew.waiting()
    }

    pub(crate) fn waiting_in_all(&self) -> usize {
        self.blocking.crew.waiting() + self.compute.crew.waiting()
    }

    /// Hires for work that waits although a thread would be allowed: the system or the limit refused it before.
    pub(crate) fn tend(&self, pool: &Arc<Pool>) {
        for standing in [Standing::Blocking, Standing::Compute] {
            let ward = self.ward(standing);
            if ward.is_stranded() && !ward.crew.is_closed() {
                ward.hire(pool, standing);
            }
        }
    }

    pub(crate) fn close(&self) {
        self.blocking.crew.close();
        self.compute.crew.close();
    }

    fn ward(&self, standing: Standing) -> &Ward {
        if standing == Standing::Compute { &self.compute } else { &self.blocking }
    }

    /// The life of a thread in quarantine.
    pub(crate) fn work(&self, pool: &Arc<Pool>, standing: Standing) {
        let (ward, member, watch) = (self.ward(standing), Member::here(), pool.watch());
        let slot = pool.show(Role::Quarantine, None);
        if standing == Standing::Compute {
            sys::lower_priority(slot.thread);
        }
        while let Some(work) = ward.next(&member, || watch.wake()) {
            let command = work.metadata().command();
            if watch.book.standing(command) != standing {
                // Pardoned, or found to be of the other kind, while it was waiting here.
                pool.push(work);
                continue;
            }
            // Somebody has to be there for the next one: this one may be gone for long.
            if ward.free.load(Ordering::Relaxed) == 0 {
                ward.hire(pool, standing);
            }
            let begun = incident();
            let used = timed(|| slot.polling(command, || run(work)));
            let was_busy = used >= self.busy_after;
            if was_busy && standing == Standing::Blocking {
                watch.book.strike(command, Standing::Compute, begun);
            }
            // The reporter takes it back when a call in this poll was an offence.
            if watch.book.polled(command, !was_busy) {
                watch.tally.paroles.fetch_add(1, Ordering::Relaxed);
            }
        }
        ward.threads.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Ward {
    fn hire(&self, pool: &Arc<Pool>, standing: Standing) {
        let threads = self.threads.fetch_add(1, Ordering::Relaxed);
        let post = Post::Quarantine { standing, is_first: threads == 0 };
        if threads >= self.most_threads || !pool.hire(post) {
            self.threads.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The next work for a thread of this ward; `None` once the ward is closed, or has enough idle threads.
    fn next(&self, member: &Arc<Member>, woken: impl Fn()) -> Option<Work> {
        let free = self.free.fetch_add(1, Ordering::Relaxed);
        let work = if free < IDLE { self.crew.next(member, woken) } else { None };
        self.free.fetch_sub(1, Ordering::Relaxed);
        work
    }

    fn is_stranded(&self) -> bool {
        self.crew.waiting() > 0 && self.free.load(Ordering::Relaxed) == 0
    }
}
