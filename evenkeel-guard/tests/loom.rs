//! Runs every interleaving of the hand-over protocol, `src/crew.rs`, under loom. Each model ends with nothing lost, nothing
//! done twice, and as many members at work as there are places.
//!
//! `cargo test -p evenkeel-guard --test loom`; `LOOM_MAX_PREEMPTIONS` bounds how often a thread is interrupted (2
//! here, the bound under which nearly all mistakes of this kind show).

#![allow(dead_code, reason = "the crew is compiled anew, against loom's primitives")]

#[path = "../src/crew.rs"]
mod crew;

/// loom's primitives in place of those of `src/sync.rs`.
mod sync {
    pub(crate) use loom::sync::{Arc, atomic};
    pub(crate) use loom::thread;

    use std::collections::VecDeque;

    use loom::sync::Mutex;

    /// None: each would spend one of the interruptions that the bound allows.
    pub(crate) const YIELDS: u32 = 0;

    /// As `concurrent_queue::ConcurrentQueue`, of which loom knows nothing.
    #[derive(Debug)]
    pub(crate) struct Queue<T>(Mutex<VecDeque<T>>);

    pub(crate) fn queue_of<T>(_most: usize) -> Queue<T> {
        queue()
    }

    pub(crate) fn queue<T>() -> Queue<T> {
        Queue(Mutex::new(VecDeque::new()))
    }

    impl<T> Queue<T> {
        pub(crate) fn push(&self, value: T) -> Result<(), T> {
            self.0.lock().expect("no panics").push_back(value);
            Ok(())
        }

        pub(crate) fn pop(&self) -> Result<T, ()> {
            self.0.lock().expect("no panics").pop_front().ok_or(())
        }

        pub(crate) fn len(&self) -> usize {
            self.0.lock().expect("no panics").len()
        }

        pub(crate) fn is_empty(&self) -> bool {
            self.len() == 0
        }
    }
}

use crew::{Crew, Member};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use loom::thread;

/// Work in a model: counts itself when it is done, and may be a call that blocks until somebody else has worked.
struct Job(Arc<AtomicUsize>);

impl Job {
    fn run(self) {
        self.0.fetch_add(1, SeqCst);
    }
}

fn model(run: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(2));
    builder.check(run);
}

/// A worker that does `count` pieces of work, or ends when the crew is closed.
fn work(crew: &Crew<Job>, count: usize) {
    let member = Member::here();
    for _ in 0..count {
        let Some(job) = crew.next(&member, || {}) else { return };
        job.run();
    }
}

#[test]
fn work_that_is_pushed_while_a_member_falls_asleep_is_found() {
    model(|| {
        let (crew, done) = (Arc::new(Crew::new()), Arc::new(AtomicUsize::new(0)));
        let worker = thread::spawn({
            let crew = Arc::clone(&crew);
            move || work(&crew, 2)
        });
        for _ in 0..2 {
            assert!(crew.push(Job(Arc::clone(&done))).is_none());
        }
        worker.join().expect("the worker has found both");
        assert_eq!(done.load(SeqCst), 2);
    });
}

#[test]
fn two_members_and_two_pushers_lose_nothing() {
    model(|| {
        let (crew, done) = (Arc::new(Crew::new()), Arc::new(AtomicUsize::new(0)));
        let spawn = |run: fn(&Crew<Job>, &Arc<AtomicUsize>)| {
            let (crew, done) = (Arc::clone(&crew), Arc::clone(&done));
            thread::spawn(move || run(&crew, &done))
        };
        let workers = [spawn(|crew, _| work(crew, 1)), spawn(|crew, _| work(crew, 1))];
        let pusher = spawn(|crew, done| assert!(crew.push(Job(Arc::clone(done))).is_none()));
        assert!(crew.push(Job(Arc::clone(&done))).is_none());
        for thread in workers.into_iter().chain([pusher]) {
            thread.join().expect("each worker finds one");
        }
        assert_eq!(done.load(SeqCst), 2);
    });
}

#[test]
fn a_place_is_filled_once_by_the_call_or_by_the_watchdog() {
    model(|| {
        let member = Member::here();
        let filled = Arc::new(AtomicUsize::new(0));
        let watchdog = thread::spawn({
            let (member, filled) = (Arc::clone(&member), Arc::clone(&filled));
            move || {
                if member.claim_place() {
                    filled.fetch_add(1, SeqCst);
                }
            }
        });
        if member.claim_place() {
            filled.fetch_add(1, SeqCst);
        }
        watchdog.join().expect("no panics");
        assert_eq!(filled.load(SeqCst), 1);
        assert!(!member.is_relieved(), "a claim alone changes nothing for the member");
    });
}

/// The heart of it: a worker blocks for ever, and what was queued behind it is done by the spare.
#[test]
fn a_spare_does_the_work_behind_a_worker_that_never_comes_back() {
    model(|| {
        let (crew, done) = (Arc::new(Crew::new()), Arc::new(AtomicUsize::new(0)));
        let spare = thread::spawn({
            let crew = Arc::clone(&crew);
            move || {
                let member = Member::here();
                if crew.stand_by(&member) {
                    work(&crew, 1);
                    true
                } else {
                    false
                }
            }
        });
        // This thread is the worker: it is about to block, calls the spare, and never comes back.
        let member = Member::here();
        assert!(member.claim_place());
        let was_called = crew.call_spare();
        member.give_place();
        assert!(crew.push(Job(Arc::clone(&done))).is_none());
        if !was_called {
            // There was no spare yet; the pool would hire, here the late one is let go.
            member.keep_place();
            crew.close();
        }
        assert_eq!(spare.join().expect("no panics"), was_called);
        assert_eq!(done.load(SeqCst), usize::from(was_called));
    });
}

/// The poll ends while the watchdog sends a successor: for each place given away one member leaves, at once or after its
/// next poll, and the one that was called runs.
#[test]
fn places_stay_as_many_as_they_were_when_the_call_returns_at_the_same_moment() {
    model(|| {
        let crew: Arc<Crew<Job>> = Arc::new(Crew::new());
        let worker = Member::here();
        let spare = thread::spawn({
            let crew = Arc::clone(&crew);
            move || crew.stand_by(&Member::here())
        });
        let watchdog = thread::spawn({
            let (crew, worker) = (Arc::clone(&crew), Arc::clone(&worker));
            move || {
                assert!(worker.claim_place());
                let was_filled = crew.call_spare();
                if was_filled {
                    worker.give_place();
                } else {
                    worker.keep_place();
                }
                was_filled
            }
        });
        let seen_at_once = worker.is_relieved();
        let was_filled = watchdog.join().expect("no panics");
        let seen_later = worker.is_relieved();
        assert!(seen_later || !was_filled, "a place was given away and nobody leaves");
        assert!(was_filled || !seen_at_once && !seen_later, "somebody leaves whose place was not filled");
        if !was_filled {
            crew.close();
        }
        assert_eq!(spare.join().expect("no panics"), was_filled);
    });
}

/// A member that announced itself idle and then found work leaves its announcement behind. Anyone who finds that later must
/// not take the member, by then a spare, for an idle one.
#[test]
fn a_spare_is_not_woken_for_work() {
    model(|| {
        let (crew, done) = (Arc::new(Crew::<Job>::new()), Arc::new(AtomicUsize::new(0)));
        let member = thread::spawn({
            let crew = Arc::clone(&crew);
            move || {
                let member = Member::here();
                crew.next(&member, || {}).expect("it is closed later").run();
                crew.stand_by(&member)
            }
        });
        let pusher = thread::spawn({
            let (crew, done) = (Arc::clone(&crew), Arc::clone(&done));
            move || (0..2).for_each(|_| assert!(crew.push(Job(Arc::clone(&done))).is_none()))
        });
        pusher.join().expect("no panics");
        while done.load(SeqCst) == 0 {
            thread::yield_now();
        }
        // Were the spare counted as searching, nobody would be woken for this one.
        work(&crew, 1);
        crew.close();
        assert!(!member.join().expect("no panics"), "nobody called a spare");
        assert_eq!(done.load(SeqCst), 2);
    });
}

#[test]
fn closing_lets_everybody_go() {
    model(|| {
        let crew: Arc<Crew<Job>> = Arc::new(Crew::new());
        let worker = thread::spawn({
            let crew = Arc::clone(&crew);
            move || work(&crew, 1)
        });
        let spare = thread::spawn({
            let crew = Arc::clone(&crew);
            move || assert!(!crew.stand_by(&Member::here()))
        });
        crew.close();
        worker.join().expect("no panics");
        spare.join().expect("no panics");
    });
}
