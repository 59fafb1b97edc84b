//! What the executor promises, seen from outside. No test asks the wall clock.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::mpsc;
use std::time::Duration;

use evenkeel_guard::{Executor, Label, Report, relabel};
use tokio::runtime::Runtime;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// Waits until a report satisfies `wanted`; the test runner's own limit ends a wait that never does.
fn report(executor: &Executor, wanted: impl Fn(&Report) -> bool) -> Report {
    loop {
        if let Some(report) = executor.reports().into_iter().find(&wanted) {
            return report;
        }
        std::thread::yield_now();
    }
}

#[test]
fn others_go_on_while_every_worker_is_stuck() {
    let runtime = runtime();
    let executor = Executor::threads(runtime.handle().clone(), 2);
    let (release, released) = (0..5).map(|_| mpsc::channel::<()>()).collect::<(Vec<_>, Vec<_>)>();
    let stuck: Vec<_> = released
        .into_iter()
        .map(|released| executor.spawn(Label::new("stuck"), async move { released.recv().unwrap_or(()) }))
        .collect();
    for _ in 0..100 {
        let (done, is_done) = mpsc::channel();
        let task = executor.spawn(Label::new("healthy"), async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            done.send(()).unwrap();
        });
        is_done.recv().unwrap();
        task.detach();
    }
    drop(release);
    drop(stuck);
}

#[test]
fn a_stuck_handler_is_named_with_the_authors_line_and_again_when_it_returns() {
    let runtime = runtime();
    for executor in [Executor::threads(runtime.handle().clone(), 1), Executor::on(runtime.handle().clone())] {
        let (release, released) = mpsc::channel::<()>();
        let (label, line) = (Label::new("!freeze"), line!());
        let task = executor.spawn(label, async move { released.recv().unwrap_or(()) });
        let first = report(&executor, |report| report.name == "!freeze");
        assert_eq!((first.line, first.is_over), (line, false), "{first}");
        assert!(first.file.ends_with("executor.rs"), "{}", first.file);
        drop(release);
        let last = report(&executor, |report| report.is_over);
        assert_eq!(last.number, first.number);
        assert_eq!(executor.reports().len(), 1, "one poll, one entry");
        drop(task);
    }
}

#[test]
fn a_new_label_is_the_one_reported() {
    let runtime = runtime();
    let executor = Executor::threads(runtime.handle().clone(), 1);
    let (release, released) = mpsc::channel::<()>();
    let task = executor.spawn(Label::new("message"), async move {
        relabel(Label::new("!late"));
        released.recv().unwrap_or(());
    });
    report(&executor, |report| report.name == "!late");
    drop((release, task));
}

#[test]
fn a_panic_ends_its_own_future_only() {
    let runtime = runtime();
    let executor = Executor::threads(runtime.handle().clone(), 1);
    executor.spawn(Label::new("bad"), async { panic!("on purpose") }).detach();
    let (done, is_done) = mpsc::channel();
    executor.spawn(Label::new("good"), async move { done.send(()).unwrap() }).detach();
    is_done.recv().unwrap();
}

#[test]
fn dropping_a_task_cancels_it_at_its_next_await() {
    let runtime = runtime();
    for executor in
        [Executor::threads(runtime.handle().clone(), 1), Executor::unwatched(runtime.handle().clone())]
    {
        let (held, is_dropped) = mpsc::channel::<()>();
        let task = executor.spawn(Label::new("patient"), async move {
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
        executor.spawn(Label::new("short"), yields).detach();
    }
    drop(done);
    assert_eq!(is_done.iter().count(), 20_000);
}
