//! Runs every interleaving of how batches get to the journal's writer and answers back, `src/journal/sqlite/handover.rs`,
//! under loom. In each model whoever waits is told something, and what was said to be written was written, in order.
//!
//! `cargo test --release -p evenkeel --test loom`; `LOOM_MAX_PREEMPTIONS` bounds how often a thread is interrupted (2 here,
//! the bound under which nearly all mistakes of this kind show).

#![allow(dead_code, unreachable_pub, reason = "the hand-over is compiled anew, against loom's primitives")]

#[path = "../src/journal/sqlite/handover.rs"]
mod handover;

/// loom's primitives in place of those of `src/journal/sqlite/sync.rs`.
mod sync {
    pub(crate) use loom::sync::{Arc, atomic};

    use std::collections::VecDeque;
    use std::sync::PoisonError;

    use loom::sync::{Condvar, Mutex, MutexGuard};

    /// A value that threads wait for.
    struct Watched<T> {
        value: Mutex<T>,
        changed: Condvar,
    }

    impl<T> Watched<T> {
        fn new(value: T) -> Arc<Self> {
            Arc::new(Self { value: Mutex::new(value), changed: Condvar::new() })
        }

        /// A model that plays a panic takes locks while it unwinds.
        fn lock(&self) -> MutexGuard<'_, T> {
            self.value.lock().unwrap_or_else(PoisonError::into_inner)
        }

        fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
            let result = change(&mut self.lock());
            self.changed.notify_all();
            result
        }

        /// Waits until there is something to take.
        fn take<R>(&self, mut take: impl FnMut(&mut T) -> Option<R>) -> R {
            let mut value = self.lock();
            loop {
                if let Some(taken) = take(&mut value) {
                    return taken;
                }
                value = self.changed.wait(value).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// A bounded channel with one sender: loom's own wakes nobody when the sender is dropped.
    pub(crate) mod mpsc {
        use super::*;
        pub(crate) use std::sync::mpsc::{RecvError, RecvTimeoutError};

        struct Queue<T> {
            items: VecDeque<T>,
            places: usize,
            is_sent_to: bool,
            is_read: bool,
        }

        pub(crate) struct SyncSender<T>(Arc<Watched<Queue<T>>>);
        pub(crate) struct Receiver<T>(Arc<Watched<Queue<T>>>);

        pub(crate) fn sync_channel<T>(places: usize) -> (SyncSender<T>, Receiver<T>) {
            let queue = Queue { items: VecDeque::new(), places, is_sent_to: true, is_read: true };
            let queue = Watched::new(queue);
            (SyncSender(Arc::clone(&queue)), Receiver(queue))
        }

        impl<T> SyncSender<T> {
            pub(crate) fn try_send(&self, item: T) -> Result<(), T> {
                self.0.change(|queue| {
                    if !queue.is_read || queue.items.len() == queue.places {
                        return Err(item);
                    }
                    queue.items.push_back(item);
                    Ok(())
                })
            }
        }

        impl<T> Drop for SyncSender<T> {
            fn drop(&mut self) {
                self.0.change(|queue| queue.is_sent_to = false);
            }
        }

        impl<T> Queue<T> {
            fn next(&mut self) -> Option<Result<T, RecvError>> {
                let item = self.items.pop_front().map(Ok);
                item.or_else(|| (!self.is_sent_to).then_some(Err(RecvError)))
            }
        }

        impl<T> Receiver<T> {
            pub(crate) fn recv(&self) -> Result<T, RecvError> {
                self.0.take(Queue::next)
            }

            /// The time is up whenever there is nothing: the model has every interleaving, and so every length of time.
            pub(crate) fn recv_timeout(&self, _: std::time::Duration) -> Result<T, RecvTimeoutError> {
                let next = self.0.lock().next();
                match next {
                    Some(next) => next.map_err(|_| RecvTimeoutError::Disconnected),
                    None => Err(RecvTimeoutError::Timeout),
                }
            }
        }

        /// What is left goes with the receiver, as in std: `what_waits_in_a_queue_goes_with_its_reader` asks it.
        impl<T> Drop for Receiver<T> {
            fn drop(&mut self) {
                let left = self.0.change(|queue| {
                    queue.is_read = false;
                    std::mem::take(&mut queue.items)
                });
                drop(left);
            }
        }
    }

    /// As tokio's, but whoever waits blocks.
    pub(crate) mod oneshot {
        use super::*;

        enum State<T> {
            Open,
            Sent(T),
            Gone,
        }

        pub(crate) struct Sender<T>(Arc<Watched<State<T>>>);
        pub(crate) struct Receiver<T>(Arc<Watched<State<T>>>);

        pub(crate) fn channel<T>() -> (Sender<T>, Receiver<T>) {
            let state = Watched::new(State::Open);
            (Sender(Arc::clone(&state)), Receiver(state))
        }

        impl<T> Sender<T> {
            pub(crate) fn send(self, value: T) -> Result<(), T> {
                self.0.change(|state| match state {
                    State::Open => {
                        *state = State::Sent(value);
                        Ok(())
                    }
                    State::Sent(_) | State::Gone => Err(value),
                })
            }
        }

        impl<T> Drop for Sender<T> {
            fn drop(&mut self) {
                self.0.change(|state| {
                    if let State::Open = state {
                        *state = State::Gone;
                    }
                });
            }
        }

        impl<T> Receiver<T> {
            /// The answer; `None` if there is none and never will be.
            pub(crate) fn wait(self) -> Option<T> {
                self.0.take(|state| match std::mem::replace(state, State::Gone) {
                    State::Open => {
                        *state = State::Open;
                        None
                    }
                    State::Sent(value) => Some(Some(value)),
                    State::Gone => Some(None),
                })
            }
        }
    }

    /// loom's threads, which may end by a panic without ending the model.
    pub(crate) mod thread {
        use std::io;
        use std::panic::{AssertUnwindSafe, catch_unwind};

        pub(crate) use loom::thread::{JoinHandle, spawn};

        pub(crate) struct Builder(loom::thread::Builder);

        impl Builder {
            pub(crate) fn new() -> Self {
                Self(loom::thread::Builder::new())
            }

            pub(crate) fn name(self, name: String) -> Self {
                Self(self.0.name(name))
            }

            pub(crate) fn spawn(self, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
                self.0.spawn(|| drop(catch_unwind(AssertUnwindSafe(run))))
            }
        }
    }
}

use std::sync::{Arc, Mutex};

use handover::{Handover, Work};
use sync::oneshot::Receiver;
use sync::thread;

/// Stands for the file: batches are numbers, and each is answered with how many there were before it.
struct Book {
    /// What was done, in order. No primitive of loom's: who reads it has waited for the writer.
    done: Arc<Mutex<Vec<Done>>>,
    /// The batch that ends the writer.
    poison: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Done {
    Wrote(u32),
    Closed,
}
use Done::{Closed, Wrote};

impl Book {
    fn note(&self, what: Done) -> usize {
        let mut done = self.done.lock().expect("nobody panics here");
        done.push(what);
        done.len()
    }
}

impl Work for Book {
    type Batch = u32;
    type Written = usize;
    type Recovered = usize;

    fn recover(&mut self) -> usize {
        self.done.lock().expect("nobody panics here").len()
    }

    fn write(&mut self, batch: u32) -> usize {
        if self.poison == Some(batch) {
            // As a panic, but the hook prints nothing.
            std::panic::resume_unwind(Box::new("poison"));
        }
        self.note(Wrote(batch))
    }

    fn settle(&mut self) {}

    fn tidy(&mut self) -> bool {
        false
    }

    fn close(&mut self) {
        self.note(Closed);
    }
}

struct Model {
    handover: Handover<Book>,
    done: Arc<Mutex<Vec<Done>>>,
}

impl Model {
    fn new(places: usize, poison: Option<u32>) -> Self {
        let done = Arc::default();
        let book = Book { done: Arc::clone(&done), poison };
        Self { handover: Handover::start("writer", places, book).expect("loom has threads"), done }
    }

    /// Hands batches over, and has a thread wait for them: which of them were written, and as what.
    fn write(&self, batches: std::ops::Range<u32>) -> thread::JoinHandle<Vec<Option<usize>>> {
        let answers: Vec<_> = batches.map(|batch| self.handover.write(batch)).collect();
        thread::spawn(|| answers.into_iter().map(Receiver::wait).collect())
    }

    /// Drops the journal: nothing happens afterwards.
    fn end(self) -> Vec<Done> {
        let Self { handover, done } = self;
        drop(handover);
        done.lock().expect("nobody panics here").clone()
    }
}

fn model(run: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(2));
    builder.check(run);
}

fn heard(waiter: thread::JoinHandle<Vec<Option<usize>>>) -> Vec<Option<usize>> {
    waiter.join().expect("whoever waits hears something")
}

#[test]
fn each_batch_is_answered_once_and_in_order() {
    model(|| {
        let model = Model::new(8, None);
        assert_eq!(model.handover.recover().wait(), Some(0));
        let early = model.write(0..2);
        // Those come while the writer writes, tidies up, sleeps, or has been woken: they are taken all the same.
        let late: Vec<_> = (2..4).map(|batch| model.handover.write(batch)).collect();
        let late: Vec<_> = late.into_iter().map(Receiver::wait).collect();
        assert_eq!(late, [Some(3), Some(4)]);
        assert_eq!(heard(early), [Some(1), Some(2)]);
        assert_eq!(model.end(), [Wrote(0), Wrote(1), Wrote(2), Wrote(3)]);
    });
}

/// What a full queue refuses is not written, and whoever waits for it is told.
#[test]
fn a_full_queue_refuses_aloud() {
    model(|| {
        let model = Model::new(1, None);
        let waiter = model.write(0..3);
        let answers = heard(waiter);
        let written: Vec<_> = (0..3).zip(&answers).filter(|(_, answer)| answer.is_some()).collect();
        let said: Vec<_> = written.iter().filter_map(|(_, answer)| **answer).collect();
        assert_eq!(said, (1..=written.len()).collect::<Vec<_>>(), "in order");
        let expected: Vec<_> = written.iter().map(|(batch, _)| Wrote(*batch)).collect();
        assert_eq!(model.end(), expected);
        assert!(answers[0].is_some(), "there was room for the first");
    });
}

#[test]
fn closing_is_answered_after_all_before_it_however_full_the_queue_is() {
    model(|| {
        let mut model = Model::new(2, None);
        let waiter = model.write(0..2);
        let closed = model.handover.close().expect("it is closed once");
        assert_eq!(closed.wait(), Some(()));
        assert_eq!(*model.done.lock().expect("nobody panics here"), [Wrote(0), Wrote(1), Closed]);
        assert_eq!(heard(waiter), [Some(1), Some(2)]);
        assert_eq!(model.handover.write(2).wait(), None, "nothing comes after the end");
        assert_eq!(model.end(), [Wrote(0), Wrote(1), Closed]);
    });
}

/// The owner goes away while somebody waits for what was handed over.
#[test]
fn dropping_waits_for_what_was_handed_over_and_leaves_nobody_waiting() {
    model(|| {
        let model = Model::new(3, None);
        let waiter = model.write(0..2);
        // Nobody waits for this one.
        drop(model.handover.write(2));
        assert_eq!(model.end(), [Wrote(0), Wrote(1), Wrote(2)], "written, and not closed");
        assert_eq!(heard(waiter), [Some(1), Some(2)]);
    });
}

/// The writer ends in the middle: what it had, what waited and what comes later is answered, with nothing.
#[test]
fn a_writer_that_panics_leaves_nobody_waiting() {
    model(|| {
        let mut model = Model::new(8, Some(1));
        let waiter = model.write(0..3);
        let later = model.handover.write(3);
        let closed = model.handover.close().expect("it is closed once");
        assert_eq!(closed.wait(), None);
        assert_eq!(later.wait(), None);
        assert_eq!(heard(waiter), [Some(1), None, None]);
        assert_eq!(model.end(), [Wrote(0)]);
    });
}

/// What the models take for granted of the queue that the journal has in truth.
#[test]
fn what_waits_in_a_queue_goes_with_its_reader() {
    let waiting = Arc::new(());
    let (sender, receiver) = std::sync::mpsc::sync_channel(2);
    sender.try_send(Arc::clone(&waiting)).expect("there is room");
    drop(receiver);
    assert_eq!(Arc::strong_count(&waiting), 1, "dropped although a sender is left");
    assert!(sender.try_send(Arc::clone(&waiting)).is_err());
    assert_eq!(Arc::strong_count(&waiting), 1);
}
