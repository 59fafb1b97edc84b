//! Threads for commands that were caught: many for those that sleep in a call, few and niced for those that compute.

mod shares;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::{Pool, Post, Work, run, timed};
use crate::call::incident;
use crate::crew::{Crew, Member};
use crate::options::Options;
use crate::registry::Standing;
use crate::slot::{CommandId, Role};
use crate::sys;
use shares::Shares;

/// Idle threads that a part of the quarantine keeps.
const IDLE: usize = 8;

pub(crate) struct Quarantine {
    blocking: QuarantinePool,
    compute: QuarantinePool,
    busy_after: Duration,
}

/// One part of the quarantine.
struct QuarantinePool {
    crew: Crew<Work>,
    shares: Shares<Work>,
    threads: AtomicUsize,
    /// Threads that poll nothing: while there is one, nobody is hired.
    free: AtomicUsize,
    most_threads: usize,
}

impl Quarantine {
    pub(crate) fn new(options: &Options) -> Self {
        let new = |most_threads| QuarantinePool {
            crew: Crew::new(),
            shares: Shares::new(most_threads, options.quarantine_queue),
            threads: AtomicUsize::new(0),
            free: AtomicUsize::new(0),
            most_threads,
        };
        let (blocking, compute) = (new(options.quarantine_threads), new(options.compute_threads));
        Self { blocking, compute, busy_after: options.busy_after }
    }

    /// Queues work, and sees to it that there is a thread. Answers the work once the quarantine is closed.
    pub(crate) fn push(&self, pool: &Arc<Pool>, standing: Standing, work: Work) -> Option<Work> {
        let part = self.part(standing);
        part.shares.comes(work.metadata().command());
        let refused = part.crew.push(work);
        // Later threads are hired by those that are there, so that anyone who pushes is not held up.
        if part.threads.load(Ordering::Relaxed) == 0 {
            part.hire(pool, standing);
        }
        refused
    }

    /// Whether one more invocation of a command would wait behind too many.
    pub(crate) fn is_full(&self, command: CommandId, standing: Standing) -> bool {
        self.part(standing).shares.is_full(command)
    }

    pub(crate) fn waiting(&self) -> usize {
        self.blocking.shares.waiting() + self.compute.shares.waiting()
    }

    /// Hires for work that waits although a thread would be allowed: the system or the limit refused it before. And sends on
    /// what was put aside for a command that was pardoned meanwhile, or is of the other kind, and what nobody waits for any more.
    pub(crate) fn tick(&self, pool: &Arc<Pool>) {
        let registry = &pool.watch().registry;
        for standing in [Standing::Blocking, Standing::Compute] {
            let part = self.part(standing);
            let waits = |command, work: &Work| {
                registry.standing(command) == standing && !work.metadata().is_abandoned()
            };
            for work in part.shares.take_strays(waits) {
                pool.push(work);
            }
            if part.is_stranded() && !part.crew.is_closed() {
                part.hire(pool, standing);
            }
        }
    }

    pub(crate) fn close(&self) {
        for part in [&self.blocking, &self.compute] {
            part.crew.close();
            drop(part.shares.take_all());
        }
    }

    fn part(&self, standing: Standing) -> &QuarantinePool {
        if standing == Standing::Compute { &self.compute } else { &self.blocking }
    }

    /// The life of a thread in quarantine.
    pub(crate) fn work(&self, pool: &Arc<Pool>, standing: Standing) {
        let (part, member, watch) = (self.part(standing), Member::here(), pool.watch());
        let slot = pool.show(Role::Quarantine, None);
        if standing == Standing::Compute {
            sys::lower_priority(slot.thread, sys::Priority::Lowest);
        }
        let mut next = None;
        while let Some(work) = next.take().or_else(|| part.next(&member, || watch.wake())) {
            let command = work.metadata().command();
            if watch.registry.standing(command) != standing {
                // Pardoned, or found to be of the other kind, while it was waiting here.
                part.shares.goes(command);
                pool.push(work);
                continue;
            }
            let only_ends = work.metadata().is_abandoned();
            let Some(work) = part.shares.begin(command, work, only_ends) else { continue };
            // Somebody has to be there for the next one: this one may be gone for long.
            if part.free.load(Ordering::Relaxed) == 0 {
                part.hire(pool, standing);
            }
            let begun = incident();
            let used = timed(|| slot.polling(command, || run(work)));
            next = part.shares.end(command);
            let was_busy = used >= self.busy_after;
            if was_busy && standing == Standing::Blocking && !slot.was_excused() {
                watch.registry.confirm(command, Standing::Compute, begun);
            }
            // The reporter takes it back when a call in this poll was an offence.
            if watch.registry.polled(command, !was_busy) {
                watch.live.paroles.fetch_add(1, Ordering::Relaxed);
            }
        }
        part.threads.fetch_sub(1, Ordering::Relaxed);
    }
}

impl QuarantinePool {
    fn hire(&self, pool: &Arc<Pool>, standing: Standing) {
        let threads = self.threads.fetch_add(1, Ordering::Relaxed);
        let post = Post::Quarantine { standing, is_first: threads == 0 };
        if threads >= self.most_threads || !pool.hire(post) {
            self.threads.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The next work for a thread of this part; `None` once the part is closed, or has enough idle threads.
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
