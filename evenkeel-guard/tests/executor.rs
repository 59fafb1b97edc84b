//! What the executor promises, seen from outside. No test asks the wall clock: what is to happen is waited for, and the test
//! runner's own limit ends a wait that never does.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "executor/ending.rs"]
mod ending;
// What is promised of calls that are seen before they block.
#[cfg(all(feature = "hook", target_os = "linux", target_env = "gnu"))]
#[path = "executor/pressure.rs"]
mod pressure;

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use evenkeel_guard::{Busy, Class, Executor, Label, Options, Report, RunError, block_in_place, enter};
use tokio::runtime::Runtime;
use tokio::sync::Notify;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        thread::yield_now();
    }
}

/// Waits until a report satisfies `wanted`.
fn report(executor: &Executor, wanted: impl Fn(&Report) -> bool) -> Report {
    loop {
        if let Some(report) = executor.reports().into_iter().find(&wanted) {
            return report;
        }
        thread::yield_now();
    }
}

/// Spawns futures that block until the sender is dropped; answers when all of them do.
fn block(executor: &Executor, label: &Label, count: usize) -> Vec<mpsc::Sender<()>> {
    let (begun, begins) = mpsc::channel();
    let senders = (0..count).map(|_| {
        let (release, released) = mpsc::channel::<()>();
        let begun = begun.clone();
        let blocks = async move {
            begun.send(()).unwrap();
            released.recv().unwrap_or(());
        };
        executor.spawn(label, blocks).detach();
        release
    });
    let senders: Vec<_> = senders.collect();
    begins.iter().take(count).count();
    senders
}

fn thread_name() -> String {
    thread::current().name().unwrap_or_default().to_owned()
}

/// Runs `probe` on the executor and hands over what it says.
fn ask<T: Send + 'static>(
    executor: &Executor,
    label: &Label,
    probe: impl Future<Output = T> + Send + 'static,
) -> T {
    let (answer, answered) = mpsc::channel();
    executor.spawn(label, async move { answer.send(probe.await).unwrap() }).detach();
    answered.recv().unwrap()
}

/// Lets a command sleep until it is caught: at once where calls are seen, else when the watchdog has looked in time.
fn catch(executor: &Executor, label: &Label) {
    while executor.quarantined().iter().all(|one| one.name != label.name()) {
        ask(executor, label, async { thread::sleep(Duration::from_millis(20)) });
        executor.failures();
    }
}

/// I1: as many workers as before, however many are stuck.
#[test]
fn places_stay_filled_while_handlers_block() {
    let runtime = runtime();
    for workers in [1, 2, 4] {
        let executor = Executor::threads(runtime.handle().clone(), workers);
        let stuck = block(&executor, &Label::new("stuck").general(), 20);
        // Each waits, in the way of a spinning thread, until as many run at the same moment.
        let (at_once, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        for _ in 0..workers {
            let (at_once, done) = (Arc::clone(&at_once), Arc::clone(&done));
            let meets = async move {
                at_once.fetch_add(1, SeqCst);
                until(|| at_once.load(SeqCst) >= workers);
                done.fetch_add(1, SeqCst);
            };
            executor.spawn(&Label::new("healthy").general(), meets).detach();
        }
        until(|| done.load(SeqCst) == workers);
        drop(stuck);
    }
}

/// I2: a future is polled by one thread at a time, whatever becomes of the thread.
#[test]
fn a_future_is_polled_by_one_thread_at_a_time() {
    let runtime = runtime();
    let executor = Executor::threads(runtime.handle().clone(), 4);
    let tasks = (0..50).map(|number: u64| {
        let (inside, wake) = (AtomicBool::new(false), Arc::new(Notify::new()));
        let waker = Arc::clone(&wake);
        let from_outside = thread::spawn(move || (0..200).for_each(|_| waker.notify_one()));
        let mut polls = 0u64;
        let future = std::future::poll_fn(move |cx| {
            assert!(!inside.swap(true, SeqCst), "two threads at once");
            polls += 1;
            cx.waker().wake_by_ref();
            if (polls + number).is_multiple_of(16) {
                thread::sleep(Duration::from_micros(50));
            }
            inside.store(false, SeqCst);
            if polls < 100 { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
        });
        let _woken_too = wake;
        (from_outside, executor.run(Label::new(format!("task {number}")), future))
    });
    for (from_outside, task) in tasks.collect::<Vec<_>>() {
        assert_eq!(runtime.block_on(task), Ok(()), "a panic inside means two at once");
        from_outside.join().unwrap();
    }
}

/// I4: where a command runs, before it was caught and after.
#[test]
fn what_was_caught_runs_in_quarantine_and_nothing_else_does() {
    let runtime = runtime();
    let executor = Executor::threads(runtime.handle().clone(), 2);
    let (bad, good) = (Label::new("!weather"), Label::new("!ping"));
    assert_eq!(ask(&executor, &bad, async { thread_name() }), "evenkeel-worker");
    catch(&executor, &bad);
    for _ in 0..50 {
        assert_eq!(ask(&executor, &bad, async { thread_name() }), "evenkeel-quarantine");
        assert_eq!(ask(&executor, &good, async { thread_name() }), "evenkeel-worker");
    }
    let inside = executor.quarantined();
    assert_eq!((inside.len(), inside[0].name.as_str(), inside[0].strikes), (1, "!weather", 1));
    // Wherever it is woken from, and although it began under another name.
    let names = async move {
        let before = thread_name();
        enter(bad).await.unwrap();
        let after = thread_name();
        tokio::time::sleep(Duration::from_millis(1)).await;
        [before, after, thread_name()]
    };
    let expected = ["evenkeel-worker", "evenkeel-quarantine", "evenkeel-quarantine"];
    assert_eq!(ask(&executor, &Label::new("message").general(), names), expected);
}

#[test]
fn a_pardon_and_a_parole_bring_it_back_to_the_workers() {
    let runtime = runtime();
    let options = Options::default().with_workers(1).with_parole(Duration::ZERO, 5);
    let executor = Executor::with(runtime.handle().clone(), &options);
    let label = Label::new("!weather");
    let offend = || catch(&executor, &label);
    let is_back = || ask(&executor, &label, async { thread_name() }) == "evenkeel-worker";
    offend();
    until(is_back);
    offend();
    assert!(executor.quarantined()[0].is_permanent, "the second time is for good");
    assert!((0..20).all(|_| !is_back()));
    assert_eq!((executor.pardon("!other"), executor.pardon("!weather")), (0, 1));
    assert!(is_back());
}

#[test]
fn what_computes_goes_to_few_threads_and_others_go_on() {
    let runtime = runtime();
    let options = Options::default().with_workers(2).with_quarantine(4, 1);
    let executor = Executor::with(runtime.handle().clone(), &options);
    let stop = Arc::new(AtomicBool::new(false));
    for _ in 0..4 {
        let stop = Arc::clone(&stop);
        executor.spawn(&Label::new("!prime"), async move { until(|| stop.load(SeqCst)) }).detach();
    }
    until(|| executor.quarantined().iter().any(|inside| inside.is_compute));
    for _ in 0..100 {
        ask(&executor, &Label::new("!ping"), async { tokio::time::sleep(Duration::from_millis(1)).await });
    }
    stop.store(true, SeqCst);
    let found = report(&executor, |report| report.is_over && report.name == "!prime");
    assert_eq!(found.class, Class::Compute);
}

/// I5: nobody waits for a thread that is stuck.
#[test]
fn the_end_does_not_wait_for_a_stuck_thread() {
    let runtime = runtime();
    let executor = Executor::threads(runtime.handle().clone(), 2);
    let stuck = block(&executor, &Label::new("stuck"), 3);
    drop(executor);
    drop(stuck);
}

/// I6: a task that is dropped ends at its next `.await`, also when it is stuck meanwhile.
#[test]
fn a_stuck_task_is_cancelled_at_its_next_await() {
    let runtime = runtime();
    let executor = Executor::threads(runtime.handle().clone(), 1);
    let (release, released) = mpsc::channel::<()>();
    let (begun, begins) = mpsc::channel();
    let (held, is_dropped) = mpsc::channel::<()>();
    let task = executor.spawn(&Label::new("stuck"), async move {
        let _held = held;
        begun.send(()).unwrap();
        released.recv().unwrap_or(());
        std::future::pending::<()>().await;
    });
    begins.recv().unwrap();
    drop(task);
    assert!(
        matches!(is_dropped.try_recv(), Err(mpsc::TryRecvError::Empty)),
        "a poll cannot be ended from outside"
    );
    drop(release);
    assert!(is_dropped.recv().is_err(), "the future is gone, and what it held with it");
}

/// I7: beyond the cap the caught ones queue, then are refused; the others do not notice.
#[test]
fn beyond_the_cap_the_caught_queue_and_are_refused() {
    let runtime = runtime();
    let options = Options::default().with_workers(2).with_threads(12).with_quarantine(4, 1).with_queue(3);
    let executor = Executor::with(runtime.handle().clone(), &options);
    let bad = Label::new("!weather");
    catch(&executor, &bad);
    let (release, released) = mpsc::channel::<()>();
    let released = Arc::new(std::sync::Mutex::new(released));
    let running = Arc::new(AtomicUsize::new(0));
    let invoke = || {
        let (bad, released, running) = (bad.clone(), Arc::clone(&released), Arc::clone(&running));
        async move {
            enter(bad).await?;
            running.fetch_add(1, SeqCst);
            released.lock().unwrap().recv().unwrap_or(());
            Ok::<(), Busy>(())
        }
    };
    let message = Label::new("message").general();
    let start = || {
        let (answer, answered) = mpsc::channel();
        let invocation = invoke();
        executor.spawn(&message, async move { answer.send(invocation.await).unwrap() }).detach();
        answered
    };
    let inside: Vec<_> = (0..2).map(|_| start()).collect();
    until(|| running.load(SeqCst) == 2);
    let waiting: Vec<_> = (1..=3)
        .map(|count| {
            let answered = start();
            until(|| executor.counters().waiting_in_quarantine == count);
            answered
        })
        .collect();
    assert_eq!(start().recv().unwrap(), Err(Busy));
    assert_eq!(runtime.block_on(executor.run(bad.clone(), async {})), Err(RunError::Busy));
    assert_eq!(executor.counters().busy, 2);
    assert_eq!(ask(&executor, &Label::new("!ping"), async { thread_name() }), "evenkeel-worker");
    drop(release);
    for answered in inside.into_iter().chain(waiting) {
        assert_eq!(answered.recv().unwrap(), Ok(()), "what was taken is done");
    }
}

#[test]
fn more_stuck_than_threads_lose_nothing() {
    let runtime = runtime();
    let options = Options::default().with_workers(2).with_threads(6);
    let executor = Executor::with(runtime.handle().clone(), &options);
    let (done, is_done) = mpsc::channel();
    for number in 0..40 {
        let done = done.clone();
        let sleeps = async move {
            thread::sleep(Duration::from_millis(5));
            tokio::time::sleep(Duration::from_millis(1)).await;
            done.send(()).unwrap();
        };
        executor.spawn(&Label::new(format!("sleeper {number}")), sleeps).detach();
    }
    drop(done);
    assert_eq!(is_done.iter().count(), 40);
}

#[test]
fn a_stuck_handler_is_named_and_again_when_it_returns() {
    let runtime = runtime();
    for executor in [Executor::threads(runtime.handle().clone(), 1), Executor::on(runtime.handle().clone())] {
        let (release, released) = mpsc::channel::<()>();
        let task = executor.spawn(&Label::new("!freeze"), async move { released.recv().unwrap_or(()) });
        let first = report(&executor, |report| report.name == "!freeze");
        assert!(!first.is_over, "{first}");
        assert!(first.file.ends_with("executor.rs"), "{}", first.file);
        drop(release);
        let last = report(&executor, |report| report.is_over);
        assert_eq!((last.number, last.times), (first.number, 1));
        assert_eq!(executor.reports().len(), 1, "one place, one entry");
        drop(task);
    }
}

#[test]
fn what_is_declared_is_taken_over_and_not_reported() {
    let runtime = runtime();
    let executor = Executor::threads(runtime.handle().clone(), 1);
    let label = Label::new("!export");
    let (release, released) = mpsc::channel::<()>();
    let task = executor.spawn(&label, async move { block_in_place(|| released.recv().unwrap_or(())) });
    ask(&executor, &Label::new("!ping"), async {});
    drop((release, task));
    ask(&executor, &label, async { block_in_place(|| thread::sleep(Duration::from_millis(20))) });
    assert_eq!(executor.failures().len(), 0, "{:?}", executor.reports());
    assert_eq!(block_in_place(thread_name), thread_name(), "outside it is a call like others");
}

#[test]
fn a_new_label_is_the_one_reported() {
    let runtime = runtime();
    let executor = Executor::threads(runtime.handle().clone(), 1);
    let (release, released) = mpsc::channel::<()>();
    let task = executor.spawn(&Label::new("message"), async move {
        enter(Label::new("!late")).await.unwrap();
        released.recv().unwrap_or(());
    });
    report(&executor, |report| report.name == "!late");
    drop((release, task));
}

#[test]
fn a_panic_ends_its_own_future_only() {
    let runtime = runtime();
    let executor = Executor::threads(runtime.handle().clone(), 1);
    let label = Label::new("bad");
    assert_eq!(
        runtime.block_on(executor.run(label, async { panic!("on purpose") })),
        Err::<(), _>(RunError::Ended)
    );
    assert_eq!(runtime.block_on(executor.run(Label::new("good"), async { 7 })), Ok(7));
}

#[test]
fn dropping_a_task_cancels_it_at_its_next_await() {
    let runtime = runtime();
    let handle = || runtime.handle().clone();
    for executor in [Executor::threads(handle(), 1), Executor::on(handle()), Executor::unwatched(handle())] {
        let (held, is_dropped) = mpsc::channel::<()>();
        let task = executor.spawn(&Label::new("patient"), async move {
            let _held = held;
            std::future::pending::<()>().await;
        });
        drop(task);
        assert!(is_dropped.recv().is_err(), "the future is gone, and what it held with it");
    }
}

#[test]
fn nothing_is_left_in_the_queue_under_contention() {
    let runtime = runtime();
    let executor = Executor::threads(runtime.handle().clone(), 2);
    let (done, is_done) = mpsc::channel();
    for _ in 0..20_000 {
        let done = done.clone();
        let yields = async move {
            tokio::task::yield_now().await;
            done.send(()).unwrap();
        };
        executor.spawn(&Label::new("short"), yields).detach();
    }
    drop(done);
    assert_eq!(is_done.iter().count(), 20_000);
}

#[test]
fn a_poll_within_a_poll_is_watched_like_one() {
    thread_local!(static DEPTH: Cell<u32> = const { Cell::new(0) });
    let runtime = runtime();
    let (outer, inner) = (Executor::on(runtime.handle().clone()), Executor::on(runtime.handle().clone()));
    let within = async move {
        DEPTH.set(1);
        let answer =
            tokio::spawn(async move { inner.run(Label::new("inner"), async { 1 }).await }).await.unwrap();
        answer.map(|one| one + 1)
    };
    assert_eq!(runtime.block_on(outer.run(Label::new("outer"), within)), Ok(Ok(2)));
}
