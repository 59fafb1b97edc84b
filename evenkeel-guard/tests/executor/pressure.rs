//! Many handlers that block at once, for ever, or deep in a recursion.

use std::fs::File;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use evenkeel_guard::{Allow, Class, Executor, Label, Options, RunError, Task, watch};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use super::{ask, block, catch, report, runtime, thread_name, until};

/// Handlers of one command that never return, asked for as a service would; counts those that are refused.
fn endless(
    executor: &Executor,
    runtime: &tokio::runtime::Runtime,
    name: &str,
    count: usize,
) -> Arc<AtomicUsize> {
    let refused = Arc::<AtomicUsize>::default();
    for _ in 0..count {
        let (executor, refused, label) = (executor.clone(), Arc::clone(&refused), Label::new(name));
        runtime.spawn(async move {
            let never = async {
                loop {
                    thread::park();
                }
            };
            if executor.run::<()>(label, never).await == Err(RunError::Busy) {
                refused.fetch_add(1, SeqCst);
            }
        });
    }
    refused
}

#[test]
fn a_thousand_handlers_that_never_return_take_nothing_from_the_others() {
    let runtime = runtime();
    let options = Options::default().with_workers(2).with_quarantine(16, 1).with_queue(100);
    let executor = Executor::with(runtime.handle().clone(), &options);
    let early = endless(&executor, &runtime, "endless", 1000);
    until(|| executor.quarantined().iter().any(|one| one.name == "endless"));
    until(|| executor.counters().waiting_in_quarantine >= 100);
    // What came before it was caught was taken; what comes now is refused.
    let late = endless(&executor, &runtime, "endless", 1000);
    until(|| early.load(SeqCst) + late.load(SeqCst) >= 1000);
    for _ in 0..100 {
        assert_eq!(ask(&executor, &Label::new("ping"), async { thread_name() }), "evenkeel-worker");
    }
    let counters = executor.counters();
    assert!(counters.threads < 64, "{counters:?}");
    assert_eq!(counters.overlooked, 0, "{counters:?}");
}

#[test]
fn what_is_caught_later_finds_a_thread_though_others_keep_all_they_get() {
    let runtime = runtime();
    let options = Options::default().with_workers(2).with_quarantine(16, 1).with_queue(20);
    let executor = Executor::with(runtime.handle().clone(), &options);
    for name in ["first", "second"] {
        endless(&executor, &runtime, name, 200);
    }
    until(|| executor.quarantined().len() == 2);
    let nap = || async {
        thread::sleep(Duration::from_millis(2));
        thread_name()
    };
    let label = Label::new("nap");
    let mut last = String::new();
    while last != "evenkeel-quarantine" {
        last = ask(&executor, &label, nap());
    }
}

#[test]
fn many_different_commands_that_never_return_leave_threads_to_the_others() {
    let runtime = runtime();
    let options = Options::default().with_workers(16).with_quarantine(16, 1).with_threads(200);
    let executor = Executor::with(runtime.handle().clone(), &options);
    for number in 0..60 {
        let name = format!("endless {number}");
        endless(&executor, &runtime, &name, 40);
        until(|| executor.quarantined().iter().any(|one| one.name == name));
        let worker = ask(&executor, &Label::new(format!("ping {number}")), async { thread_name() });
        assert_eq!(worker, "evenkeel-worker", "after {number}: {:?}", executor.counters());
    }
    let counters = executor.counters();
    assert!(counters.threads < 200, "{counters:?}");
}

#[test]
fn when_no_thread_is_left_others_are_refused_until_one_comes_back() {
    let runtime = runtime();
    let options = Options::default().with_workers(2).with_quarantine(1, 1).with_threads(8);
    let executor = Executor::with(runtime.handle().clone(), &options);
    let mut ends = Vec::new();
    for number in 0..20 {
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let waits = async move {
            let _end = ended.recv();
        };
        executor.spawn(&Label::new(format!("endless {number}")), waits).detach();
        ends.push(end);
    }
    let ping = || runtime.block_on(executor.run(Label::new("ping"), async {}));
    // Until then it may have been taken, and waits.
    until(|| executor.counters().not_taken_over > 0);
    let refused = || {
        let asked = async {
            tokio::time::timeout(Duration::from_millis(20), executor.run(Label::new("ping"), async {})).await
        };
        runtime.block_on(asked) == Ok(Err(RunError::Busy))
    };
    until(refused);
    drop(ends);
    until(|| ping() == Ok(()));
}

#[test]
fn a_new_command_that_takes_long_is_held_back_for_a_moment_only() {
    let runtime = runtime();
    let executor = Executor::with(runtime.handle().clone(), &Options::default().with_workers(2));
    let (label, running) = (Label::new("slow"), Arc::<AtomicUsize>::default());
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let ended = Arc::new(std::sync::Mutex::new(ended));
    for _ in 0..6 {
        let (running, ended) = (Arc::clone(&running), Arc::clone(&ended));
        let waits = async move {
            running.fetch_add(1, SeqCst);
            evenkeel_guard::block_in_place(|| drop(ended.lock().map(|ended| ended.recv())));
        };
        executor.spawn(&label, waits).detach();
    }
    until(|| running.load(SeqCst) == 6);
    drop(end);
}

#[test]
fn what_is_allowed_is_caught_at_most_until_it_has_been_looked_into() {
    let runtime = runtime();
    let allow =
        Allow::default().with("sleep", "*::what_is_allowed_is_caught_at_most_until_it_has_been_looked_into");
    let options = Options::default().with_workers(2).with_allow(allow).unwrap();
    let executor = Executor::with(runtime.handle().clone(), &options);
    let label = Label::new("nap");
    for _ in 0..20 {
        ask(&executor, &label, async { thread::sleep(Duration::from_millis(2)) });
        assert!(executor.failures().is_empty());
        assert!(executor.quarantined().is_empty());
    }
    assert_eq!(executor.counters().strikes, 0);
}

#[test]
fn what_was_put_aside_in_quarantine_runs_when_its_command_is_pardoned() {
    let runtime = runtime();
    let options = Options::default().with_workers(2).with_quarantine(2, 1);
    let executor = Executor::with(runtime.handle().clone(), &options);
    let [label, other] = ["!weather", "!other"].map(Label::new);
    catch(&executor, &label);
    catch(&executor, &other);
    // It has one of the two threads, and keeps it; what comes next is put aside.
    let release = block(&executor, &label, 1);
    let (answer, answered) = std::sync::mpsc::channel();
    executor.spawn(&label, async move { answer.send(thread_name()).unwrap() }).detach();
    // What comes behind it in the queue has its turn once it has been put aside.
    assert_eq!(ask(&executor, &other, async { thread_name() }), "evenkeel-quarantine");
    assert_eq!(executor.counters().waiting_in_quarantine, 1);
    assert_eq!(executor.pardon("!weather"), 1);
    assert_eq!(answered.recv().unwrap(), "evenkeel-worker", "while the other is stuck");
    drop(release);
}

/// Two threads of quarantine, one of which `!endless` keeps; eight more of it wait.
fn endless_in_quarantine() -> (Runtime, Executor, Label, Vec<Task>, Vec<std::sync::mpsc::Sender<()>>) {
    let runtime = runtime();
    let options = Options::default().with_workers(2).with_quarantine(2, 1).with_queue(8);
    let executor = Executor::with(runtime.handle().clone(), &options);
    let label = Label::new("!endless");
    catch(&executor, &label);
    let release = block(&executor, &label, 1);
    let tasks = (0..8).map(|_| executor.spawn(&label, std::future::pending())).collect();
    until(|| executor.counters().waiting_in_quarantine == 8);
    (runtime, executor, label, tasks, release)
}

#[test]
fn who_has_gone_waits_for_no_thread() {
    let (runtime, executor, label, tasks, release) = endless_in_quarantine();
    let refused = runtime.block_on(executor.run(label, async {}));
    assert_eq!(refused, Err(RunError::Busy));
    drop(tasks);
    until(|| executor.counters().waiting_in_quarantine == 0);
    drop(release);
}

#[test]
fn a_crowd_before_one_command_refuses_no_other() {
    let (runtime, executor, label, _tasks, release) = endless_in_quarantine();
    // What is spawned is not refused: far more than four full queues wait.
    let _crowd: Vec<_> = (0..200).map(|_| executor.spawn(&label, std::future::pending())).collect();
    let other = Label::new("!other");
    catch(&executor, &other);
    assert_eq!(runtime.block_on(executor.run(other, async { 7 })), Ok(7));
    drop(release);
}

/// Reads a byte at each depth, as a parser does that reads from a file without a buffer.
#[inline(never)]
fn nested(file: &mut File, depth: usize) -> usize {
    let mut byte = [0];
    let read = file.read(&mut byte).unwrap_or(0);
    if depth == 0 { read } else { read + nested(file, depth - 1) }
}

#[test]
fn a_recursion_is_one_place_however_deep() {
    let runtime = runtime();
    let executor = Executor::threads(runtime.handle().clone(), 2);
    let path =
        std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("nested-{}", std::process::id()));
    std::fs::write(&path, vec![b'x'; 4096]).unwrap();
    let mut file = File::open(&path).unwrap();
    let read = ask(&executor, &Label::new("parse"), async move { nested(&mut file, 1000) });
    assert_eq!(read, 1001);
    executor.failures();
    let reports = executor.reports();
    let places = reports.iter().filter(|report| report.class == Class::File).count();
    assert_eq!(places, 1, "{reports:#?}");
    assert_eq!(executor.counters().overlooked, 0);
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn the_others_waited_from_the_beginning_of_the_call() {
    let runtime = runtime();
    let executor = Executor::threads(runtime.handle().clone(), 2);
    let lock = Arc::new(std::sync::Mutex::new(()));
    // A lock is not given a successor before the watchdog has looked: the report says how long that took.
    let held = lock.lock().unwrap();
    let (waits, is_done) = oneshot::channel();
    let taken = Arc::clone(&lock);
    let waiting = async move {
        drop(taken.lock());
        let _told = waits.send(());
    };
    executor.spawn(&Label::new("waits"), waiting).detach();
    let found = report(&executor, |report| report.taken_over.is_some());
    drop(held);
    runtime.block_on(is_done).unwrap();
    assert!(found.taken_over.unwrap() >= Duration::from_millis(1), "{found:?}");
}

#[test]
fn two_guards_of_one_builder_watch_side_by_side() {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all();
    let guards = [watch(&mut builder), watch(&mut builder), watch(&mut builder)];
    let runtime = builder.build().unwrap();
    // Where calls are not seen, a sleep is found when the watchdog has looked in time.
    while guards.iter().any(|guard| guard.reports().is_empty()) {
        let blocks = runtime.spawn(async {
            tokio::time::sleep(Duration::from_millis(5)).await;
            thread::sleep(Duration::from_millis(20));
        });
        runtime.block_on(blocks).unwrap();
        guards.iter().for_each(|guard| drop(guard.failures()));
    }
    for guard in &guards {
        assert_eq!(guard.reports().len(), 1);
    }
}

/// A sleep that goes around the C library.
#[cfg(target_os = "linux")]
async fn raw_nap() -> String {
    let time = rustix::thread::Timespec { tv_sec: 0, tv_nsec: 60_000_000 };
    let _rest = rustix::thread::nanosleep(&time);
    thread_name()
}

#[cfg(target_os = "linux")]
#[test]
fn what_no_hook_sees_is_found_in_quarantine_too() {
    let runtime = runtime();
    let executor = Executor::threads(runtime.handle().clone(), 2);
    let label = Label::new("nap");
    while ask(&executor, &label, raw_nap()) != "evenkeel-quarantine" {}
    executor.failures();
    let times = |executor: &Executor| executor.reports().iter().map(|report| report.times).sum::<u64>();
    let before = times(&executor);
    while times(&executor) < before + 2 {
        assert_eq!(ask(&executor, &label, raw_nap()), "evenkeel-quarantine");
        executor.failures();
    }
}
