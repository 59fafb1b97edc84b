//! Strict mode as a user writes it: a test that blocks fails, and says where and what to write instead.

#![cfg(all(feature = "hook", target_os = "linux", target_env = "gnu", not(target_feature = "crt-static")))]
#![cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]

use std::cell::Cell;
use std::fs;
use std::hint::black_box;
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use evenkeel_guard::{Executor, Options, findings, strict};
use tokio::runtime::Runtime;

/// Waits as it should.
async fn fetch() -> u32 {
    tokio::time::sleep(Duration::from_millis(1)).await;
    tokio::task::spawn_blocking(|| thread::sleep(Duration::from_millis(1))).await.map_or(0, |()| 7)
}

/// The line of the first call below.
const FIRST: u32 = line!() + 3;
/// Blocks in two places, each for next to no time.
async fn load() -> usize {
    thread::sleep(Duration::from_nanos(1));
    fs::metadata("Cargo.toml").map_or(0, |file| file.len() as usize)
}

#[tokio::test]
async fn a_test_that_awaits_passes() {
    assert_eq!(strict(fetch()).await, 7);
}

/// The line of `strict` below.
const TEST: u32 = line!() + 4;
/// What the failed test prints.
fn failure() -> String {
    let runtime = Runtime::new().expect("threads are there");
    let failed = catch_unwind(AssertUnwindSafe(|| runtime.block_on(strict(load()))));
    let panic = failed.expect_err("the verdict on what blocks");
    *panic.downcast::<String>().expect("a panic with a text")
}

#[test]
fn a_test_that_blocks_fails_with_every_line_and_what_to_write_instead() {
    let (name, file, first, second) =
        ("a_test_that_blocks_fails_with_every_line_and_what_to_write_instead", file!(), FIRST, FIRST + 1);
    let expected = format!(
        "2 places block in the test at {file}:{TEST}; no other future is polled meanwhile:

1. std::thread::sleep at tests/strict.rs:{first} in `{name}`
   use `tokio::time::sleep(duration).await`

2. std::fs::metadata at tests/strict.rs:{second} in `{name}`
   use `tokio::fs::metadata(..).await`; put several steps into one `tokio::task::spawn_blocking(move || ..).await`; \
read what never changes once, at start-up
"
    );
    assert_eq!(failure(), expected);
}

#[test]
fn a_test_that_fails_by_itself_keeps_its_own_failure() {
    let fails = async {
        load().await;
        panic!("this is wrong");
    };
    let runtime = Runtime::new().expect("threads are there");
    let failed = catch_unwind(AssertUnwindSafe(|| runtime.block_on(strict(fails))));
    let panic = failed.expect_err("the future's own panic");
    assert_eq!(panic.downcast_ref(), Some(&"this is wrong"));
}

#[test]
fn the_verdict_is_the_same_while_every_core_is_busy() {
    let quiet = failure();
    let is_over = AtomicBool::new(false);
    let busy = thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| while !black_box(is_over.load(Ordering::Relaxed)) {});
        }
        let busy = failure();
        is_over.store(true, Ordering::Relaxed);
        busy
    });
    assert_eq!(quiet, busy);
}

#[test]
fn the_guard_is_no_finding_of_its_own() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (found, reports) = runtime.block_on(findings(Options::default(), async {
        let runtime = tokio::runtime::Handle::current();
        let threads = Executor::threads(runtime.clone(), 1);
        let ((), within) = findings(Options::default(), async {}).await;
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        drop((threads, Executor::on(runtime), evenkeel_guard::watch(&mut builder)));
        within
    }));
    assert!(found.is_empty() && reports.is_empty(), "{found:#?} {reports:#?}");
}

thread_local! {
    /// Whether panics of this thread are printed as `RUST_BACKTRACE=1` has them printed in a program with much debug information.
    static PRINTS_LONG: Cell<bool> = const { Cell::new(false) };
}

/// Has the panics of such threads look into a file, and take a while.
fn print_panics() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if PRINTS_LONG.get() {
            black_box(fs::metadata("Cargo.toml").is_ok());
            computes();
        } else {
            before(info);
        }
    }));
}

/// A little longer than a poll may keep a core here: too short for the watchdog, which would see what it is.
fn computes() {
    let start = std::time::Instant::now();
    while start.elapsed() < BUSY + BUSY / 10 {
        black_box(());
    }
}

const BUSY: Duration = Duration::from_millis(50);

#[test]
fn a_panic_that_was_caught_excuses_its_poll_however_long_it_was_printed_and_no_other_poll() {
    print_panics();
    PRINTS_LONG.set(true);
    let options = || Options::default().with_busy_after(BUSY);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let panics = async {
        for _ in 0..5 {
            assert!(catch_unwind(|| panic!("this is meant")).is_err());
            tokio::task::yield_now().await;
        }
    };
    let ((), reports) = runtime.block_on(findings(options(), panics));
    PRINTS_LONG.set(false);
    assert!(reports.is_empty(), "{reports:#?}");
    let later = async {
        tokio::task::yield_now().await;
        // On a loaded machine it has a part of the time only.
        (0..10).for_each(|_| computes());
        tokio::task::yield_now().await;
    };
    let ((), reports) = runtime.block_on(findings(options(), later));
    assert_eq!(reports.len(), 1, "{reports:#?}");
}
