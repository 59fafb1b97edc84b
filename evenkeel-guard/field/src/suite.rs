//! A test suite with 16 threads under strict, again and again: what is harmless must never fail one.

use std::collections::HashMap;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use evenkeel_guard::{Executor, Label, Report};

use crate::Arguments;
use crate::host::runtime_builder;
use crate::rows;

/// As many as `cargo test` has on a machine with 16 cores.
const THREADS: usize = 16;
/// A suite that takes longer hangs.
const HANGS: Duration = Duration::from_secs(300);
const FAILED: &str = "FAILED ";

/// One suite after the other, each in a process of its own, as test programs are.
pub(crate) fn run(arguments: &Arguments) -> bool {
    let began = Instant::now();
    let mut failed = HashMap::<String, u32>::new();
    let mut wrong = 0;
    for number in 1..=arguments.runs {
        let failures = suite(arguments);
        wrong += u32::from(!failures.is_empty());
        for failure in failures {
            println!("run {number}: {failure}");
            *failed.entry(failure.split('|').next().unwrap_or_default().to_owned()).or_default() += 1;
        }
    }
    failed.iter().for_each(|(name, times)| println!("{times} times: {name}"));
    let (runs, seconds) = (arguments.runs, began.elapsed().as_secs_f64());
    println!("{runs} runs of a suite with {THREADS} threads, {wrong} with false failures; {seconds:.0} s");
    wrong == 0
}

fn suite(arguments: &Arguments) -> Vec<String> {
    let program = std::env::current_exe().expect("the path of this program");
    let mut child = Command::new(program)
        // What it leaves goes with this process's own.
        .env("TMPDIR", crate::row::folder())
        .args(["suite-once", "--only", &arguments.only])
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program starts once more");
    let mut stdout = child.stdout.take().expect("it is a pipe");
    let reader = thread::spawn(move || std::io::read_to_string(&mut stdout).unwrap_or_default());
    let began = Instant::now();
    let status = loop {
        match child.try_wait().expect("it is this process's child") {
            Some(status) => break status.to_string(),
            None if began.elapsed() > HANGS => {
                child.kill().expect("it is this process's child");
                break "hangs".to_owned();
            }
            None => thread::sleep(Duration::from_millis(10)),
        }
    };
    let text = reader.join().expect("reading does not panic");
    let mut failures: Vec<_> =
        text.lines().filter_map(|line| line.strip_prefix(FAILED)).map(str::to_owned).collect();
    if failures.is_empty() && !status.ends_with(": 0") {
        failures.push(format!("the suite | {status}"));
    }
    failures
}

/// Every harmless row once, as a test with a runtime of its own, 16 at a time.
pub(crate) fn once(arguments: &Arguments) -> bool {
    let rows =
        rows::all().into_iter().filter(|row| row.is_harmless() && row.title().contains(&arguments.only));
    let rows: Vec<_> = rows.collect();
    // What a test waits for that finds another one starting a server is no false failure.
    crate::server::start_all();
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(0));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(row) = rows.get(next.fetch_add(1, SeqCst)) {
                    let failures = test(|| row.handler());
                    failures
                        .iter()
                        .for_each(|report| println!("{FAILED}{}| {}", row.title(), on_one_line(report)));
                    *failed.lock().expect("nobody panics with it") += failures.len();
                }
            });
        }
    });
    failed.into_inner().expect("nobody panics with it") == 0
}

/// A strict executor on a runtime of its own says what would have failed, where `strict` would panic.
pub(crate) fn test<F: Future<Output = String> + Send + 'static>(handler: impl FnOnce() -> F) -> Vec<Report> {
    let runtime = runtime_builder().build().expect("a runtime");
    let _inside = runtime.enter();
    let executor = Executor::strict(runtime.handle().clone());
    let handler = handler();
    // Whether it panics is the table's matter.
    let _value = runtime.block_on(executor.run(Label::new("test"), handler));
    executor.failures()
}

fn on_one_line(report: &Report) -> String {
    let path: Vec<_> = report.path.iter().map(ToString::to_string).collect();
    format!("[{}] {report} | {}", report.class.word(), path.join(" <- "))
}
