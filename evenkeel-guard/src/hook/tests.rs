use std::cell::RefCell;

use super::*;

thread_local! {
    static HEARD: RefCell<Vec<Call>> = const { RefCell::new(Vec::new()) };
    static OPEN: Cell<usize> = const { Cell::new(0) };
    static BEFORE: Cell<fn()> = const { Cell::new(|| ()) };
    static AFTER: Cell<fn()> = const { Cell::new(|| ()) };
}

/// Notes per thread, since all tests share one process and the first observer stays.
struct Notebook;

impl CallObserver for Notebook {
    fn before(&self, call: &Call) {
        assert!(!is_watching(), "the flag is off while the observer runs");
        OPEN.set(OPEN.get() + 1);
        HEARD.with_borrow_mut(|heard| heard.push(*call));
        BEFORE.get()();
    }

    fn after(&self, _: &Call) {
        OPEN.set(OPEN.get() - 1);
        AFTER.get()();
    }
}

/// What was told while `work` ran as a poll would.
pub(super) fn heard<T>(work: impl FnOnce() -> T) -> (Vec<Call>, T) {
    install(&Notebook);
    HEARD.take();
    let was = watch(true);
    let answer = work();
    assert!(watch(was), "a wrapper puts the flag back on");
    assert_eq!(OPEN.get(), 0, "before and after pair");
    (HEARD.take(), answer)
}

/// Sets what runs inside `before` on this thread.
pub(super) fn before(work: fn()) {
    BEFORE.set(work);
}

/// Sets what runs inside `after` on this thread.
pub(super) fn after(work: fn()) {
    AFTER.set(work);
}

#[test]
fn the_flag_answers_what_it_was() {
    assert!(!watch(true));
    assert!(is_watching());
    assert!(watch(false));
    assert!(!is_watching());
}

#[test]
fn the_flag_is_of_one_thread() {
    watch(true);
    let other = std::thread::spawn(is_watching);
    watch(false);
    assert!(!other.join().expect("the thread only reads its flag"));
}

#[test]
fn it_works_where_something_is_wrapped() {
    let is_wrapped = symbols().next().is_some();
    assert_eq!(install(&Notebook), is_wrapped);
    assert_eq!(works(), is_wrapped);
    assert_eq!(install(&Notebook), is_wrapped, "a second time changes nothing");
}

#[test]
fn a_thread_may_end_with_its_flag_on() {
    install(&Notebook);
    struct Sleepy;
    impl Drop for Sleepy {
        fn drop(&mut self) {
            std::thread::sleep(Duration::from_nanos(1));
        }
    }
    thread_local! { static LAST: Sleepy = const { Sleepy }; }
    let thread = std::thread::spawn(|| {
        LAST.with(|_| ());
        watch(true);
    });
    thread.join().expect("it ends well");
}
