//! A waker that says when it is cloned: a future that has to wait clones the one that it is polled with.

use std::mem::ManuallyDrop;
use std::task::{RawWaker, RawWakerVTable, Waker};

/// What the data of a listening waker points to. It is shared with whatever threads the waker is shown to.
struct Listening<'a> {
    real: &'a Waker,
    on_clone: &'a (dyn Fn() + Sync),
}

const TABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake, drop_nothing);

/// Calls `body` with a waker that wakes `real` and calls `on_clone` whenever it is cloned, on the thread that clones it.
///
/// What is cloned is `real`: nothing of this outlives the call, and the next poll finds the waker that it knows. It is
/// no waker that anybody has kept, so that one who compares before he clones, clones.
pub(crate) fn listening<T>(real: &Waker, on_clone: &(dyn Fn() + Sync), body: impl FnOnce(&Waker) -> T) -> T {
    let listening = Listening { real, on_clone };
    // SAFETY: the functions of the table treat the data as what it is, from any thread, and it lives until this returns,
    // which the waker does not outlive: it is only lent, for a lifetime that `body` cannot name in its result.
    let waker = unsafe { Waker::new((&raw const listening).cast(), &TABLE) };
    // Its end would do nothing; a clone is another waker, with an end of its own.
    let waker = ManuallyDrop::new(waker);
    body(&waker)
}

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: only `listening` makes wakers with this table, and its data lives while they are lent.
    let listening = unsafe { &*data.cast::<Listening<'_>>() };
    (listening.on_clone)();
    // Owned by the owner of the result.
    let real = ManuallyDrop::new(listening.real.clone());
    RawWaker::new(real.data(), real.vtable())
}

unsafe fn wake(data: *const ()) {
    // SAFETY: as in `clone`.
    let listening = unsafe { &*data.cast::<Listening<'_>>() };
    listening.real.wake_by_ref();
}

unsafe fn drop_nothing(_: *const ()) {}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    #[test]
    fn a_clone_is_the_real_waker_and_is_told_of() {
        let (count, clones) = (Arc::new(Count::default()), AtomicUsize::new(0));
        let real = Waker::from(Arc::clone(&count));
        let on_clone = || {
            clones.fetch_add(1, SeqCst);
        };
        let kept = listening(&real, &on_clone, |waker| {
            assert!(!waker.will_wake(&real) && !real.will_wake(waker), "anyone who compares clones");
            waker.wake_by_ref();
            let kept = waker.clone();
            assert!(kept.will_wake(&real), "the next poll finds the waker that it knows");
            let mut other = Waker::noop().clone();
            other.clone_from(waker);
            other.wake();
            kept
        });
        assert_eq!((clones.load(SeqCst), count.0.load(SeqCst)), (2, 2));
        drop(real);
        kept.wake_by_ref();
        assert_eq!((count.0.load(SeqCst), Arc::strong_count(&count)), (3, 2));
        kept.wake();
        assert_eq!(Arc::strong_count(&count), 1, "nothing is kept");
    }

    #[test]
    fn it_may_be_cloned_on_another_thread() {
        let (count, clones) = (Arc::new(Count::default()), AtomicUsize::new(0));
        let real = Waker::from(Arc::clone(&count));
        let on_clone = || {
            clones.fetch_add(1, SeqCst);
        };
        listening(&real, &on_clone, |waker| {
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        let clone = waker.clone();
                        clone.wake();
                    });
                }
            });
        });
        assert_eq!((clones.load(SeqCst), count.0.load(SeqCst)), (4, 4));
    }

    #[test]
    fn a_panic_while_it_is_lent_leaves_the_real_waker_whole() {
        let count = Arc::new(Count::default());
        let real = Waker::from(Arc::clone(&count));
        let body = || {
            listening(&real, &|| {}, |waker| {
                let kept = waker.clone();
                assert!(!kept.will_wake(&real), "on purpose");
            });
        };
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
        assert!(caught.is_err());
        real.wake();
        assert_eq!((count.0.load(SeqCst), Arc::strong_count(&count)), (1, 1));
    }
}
