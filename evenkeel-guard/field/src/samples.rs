//! What was once wrong, each in a process of its own: handlers as people sent them.

use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use evenkeel_guard::{Allow, Class, Executor, Guard, Label, Options, Report, findings, watch, watch_with};
use tokio::runtime::Builder;

use crate::Arguments;
use crate::host::runtime_builder;
use crate::judge::is_at;
use crate::load::Load;
use crate::row::{SHORT, file, here, scratch, take_lines};

/// What is wrong, or nothing.
type Sample = fn() -> Result<(), String>;

/// A sample that takes longer hangs.
const HANGS: Duration = Duration::from_secs(240);
const TOLD_WITHIN: Duration = Duration::from_secs(15);

const SAMPLES: &[(&str, Sample)] = &[
    ("2 the three lines of the readme", three_lines),
    ("2 the same, named", three_lines_named),
    ("2 the same, on an executor", three_lines_on),
    ("3 an allowed function, watched", allowed_watched),
    ("3 an allowed function, on workers", allowed_on_workers),
    ("3 an allowed function, in quarantine", allowed_in_quarantine),
    ("3 an allowed module and an allowed closure", allowed_module),
    ("4 calls of the C library by their own names", own_names),
    ("5 flume from a plain thread, 500 items, 20 times", flume_strict),
    ("5 the same under load, on workers", flume_workers),
    ("6 tokio::fs::read of 8 MB under load", big_reads),
    ("6 the same, strict", big_reads_strict),
    ("11 a panic with a backtrace", panics),
    ("11 a panic with a backtrace, in quarantine and strict", panics_elsewhere),
    ("16 advice for sqlx closing its pool", sqlx_advice),
    ("16 advice never names what is used", advice_of_clients),
];

pub(crate) fn run(arguments: &Arguments) -> bool {
    let mut wrong = 0;
    let program = std::env::current_exe().expect("the path of this program");
    for (name, _) in SAMPLES.iter().filter(|(name, _)| name.contains(&arguments.only)) {
        let mut child = Command::new(&program)
            .args(["sample", "--only", name])
            .env("RUST_BACKTRACE", "1")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
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
        let is_right = status.ends_with(": 0");
        wrong += u32::from(!is_right);
        println!("{} {name} ({status})", if is_right { "+" } else { "X" });
        text.lines().for_each(|line| println!("    {line}"));
    }
    println!("{wrong} samples are wrong");
    wrong == 0
}

pub(crate) fn one(arguments: &Arguments) -> bool {
    let found = SAMPLES.iter().find(|(name, _)| *name == arguments.only);
    let Some((_, sample)) = found else { return false };
    // From here on lines are noted.
    let _none = take_lines();
    let result = sample();
    if let Err(problem) = &result {
        println!("{problem}");
    }
    result.is_ok()
}

/// Waits until there are reports, or for long enough.
fn some(mut reports: impl FnMut() -> Vec<Report>) -> Vec<Report> {
    let began = Instant::now();
    loop {
        let told = reports();
        if !told.is_empty() || began.elapsed() >= TOLD_WITHIN {
            return told;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn listed(reports: &[Report]) -> String {
    reports.iter().map(|report| format!("\n[{}] {report}", report.class.word())).collect()
}

fn silent(reports: &[Report]) -> Result<(), String> {
    if reports.is_empty() { Ok(()) } else { Err(format!("false reports: {}", listed(reports))) }
}

fn is_sleep(reports: &[Report]) -> Result<(), String> {
    let lines = take_lines();
    let is_right = |report: &Report| {
        report.class == Class::Sleep && report.is_exact && lines.iter().any(|line| is_at(report, *line))
    };
    match reports {
        [report] if is_right(report) => Ok(()),
        _ => Err(format!("not one report of a sleep at {lines:?}: {}", listed(reports))),
    }
}

async fn blocks_after_a_while() {
    tokio::time::sleep(Duration::from_millis(5)).await;
    here!(thread::sleep(Duration::from_millis(300)));
}

fn three_lines() -> Result<(), String> {
    let mut builder = Builder::new_multi_thread();
    let guard = watch(builder.enable_all());
    let runtime = builder.build().unwrap();
    runtime.block_on(async { tokio::spawn(blocks_after_a_while()).await }).unwrap();
    is_sleep(&some(|| guard.reports()))
}

fn three_lines_named() -> Result<(), String> {
    let mut builder = Builder::new_multi_thread();
    let guard = watch(builder.enable_all());
    let runtime = builder.build().unwrap();
    let future = guard.named(&Label::new("nap"), blocks_after_a_while());
    runtime.block_on(async { tokio::spawn(future).await }).unwrap();
    is_sleep(&some(|| guard.reports()))
}

fn three_lines_on() -> Result<(), String> {
    let runtime = runtime_builder().build().unwrap();
    let executor = Executor::on(runtime.handle().clone());
    let task = executor.run(Label::new("nap"), blocks_after_a_while());
    runtime.block_on(task).unwrap();
    is_sleep(&some(|| executor.reports()))
}

async fn load_config(path: &std::path::Path) -> usize {
    tokio::task::yield_now().await;
    std::fs::read(path).unwrap().len()
}

fn allowing(what: &str, path: &str) -> Options {
    Options::default().with_allow(Allow::default().with(what, path)).unwrap()
}

/// Something that is not allowed, after what is: when it is reported, all before it has been looked into.
fn and_nothing_else(reports: Vec<Report>) -> Result<(), String> {
    let (last, others): (Vec<_>, Vec<_>) =
        reports.into_iter().partition(|report| report.class == Class::Sleep);
    if last.is_empty() {
        return Err("the sleep that comes after it was not reported".to_owned());
    }
    silent(&others)
}

async fn allowed_then_not(path: std::path::PathBuf) {
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(load_config(&path).await, 4096);
    thread::sleep(SHORT);
}

fn allowed_watched() -> Result<(), String> {
    let mut builder = runtime_builder();
    let guard: Guard = watch_with(&mut builder, &allowing("file", "*::load_config"));
    let runtime = builder.build().unwrap();
    let path = file(4096);
    runtime.block_on(async { tokio::spawn(allowed_then_not(path)).await }).unwrap();
    and_nothing_else(some(|| guard.reports()))
}

fn allowed_on_workers() -> Result<(), String> {
    let runtime = runtime_builder().build().unwrap();
    let executor = Executor::with(runtime.handle().clone(), &allowing("file", "*::load_config"));
    runtime.block_on(executor.run(Label::new("config"), allowed_then_not(file(4096)))).unwrap();
    let _failures = executor.failures();
    and_nothing_else(executor.reports())
}

fn allowed_in_quarantine() -> Result<(), String> {
    let runtime = runtime_builder().build().unwrap();
    let executor = Executor::with(runtime.handle().clone(), &allowing("file", "*::load_config"));
    let label = Label::new("config");
    runtime.block_on(executor.run(label.clone(), async { thread::sleep(SHORT) })).unwrap();
    let began = Instant::now();
    while executor.quarantined().is_empty() && began.elapsed() < TOLD_WITHIN {
        thread::sleep(Duration::from_millis(1));
    }
    for _ in 0..20 {
        runtime.block_on(executor.run(label.clone(), allowed_then_not(file(4096)))).unwrap();
    }
    let _failures = executor.failures();
    and_nothing_else(executor.reports())
}

mod config {
    use std::path::Path;

    pub(super) fn load(path: &Path) -> usize {
        let read = || std::fs::read(path).unwrap().len();
        read()
    }

    pub(super) struct Settings(pub(super) usize);

    impl Settings {
        pub(super) async fn of(path: &Path) -> Self {
            Self(std::fs::read(path).unwrap().len())
        }
    }
}

fn allowed_module() -> Result<(), String> {
    let runtime = runtime_builder().build().unwrap();
    let options = allowing("file", "*::config");
    let handler = |path: std::path::PathBuf| async move {
        assert_eq!(config::load(&path), config::Settings::of(&path).await.0);
        thread::sleep(SHORT);
    };
    let executor = Executor::with(runtime.handle().clone(), &options);
    runtime.block_on(executor.run(Label::new("config"), handler(file(4096)))).unwrap();
    let _failures = executor.failures();
    and_nothing_else(executor.reports())?;
    let (_, reports) = runtime.block_on(findings(options, handler(file(4096))));
    and_nothing_else(reports)
}

fn own_names() -> Result<(), String> {
    // SAFETY: each call gets what it asks for: no pointer, or one to something that outlives it.
    let calls: [(&str, fn()); 6] = [
        ("usleep", || _ = unsafe { libc::usleep(5000) }),
        ("poll", || _ = unsafe { libc::poll(std::ptr::null_mut(), 0, 5) }),
        ("select", || {
            let (none, mut length) = (std::ptr::null_mut(), libc::timeval { tv_sec: 0, tv_usec: 5000 });
            unsafe { libc::select(0, none, none, none, &mut length) };
        }),
        ("nanosleep", || {
            let length = libc::timespec { tv_sec: 0, tv_nsec: 5_000_000 };
            unsafe { libc::nanosleep(&length, std::ptr::null_mut()) };
        }),
        ("flock", || {
            use std::os::fd::AsRawFd;
            let opened = std::fs::File::open("/proc/self/exe").unwrap();
            unsafe { libc::flock(opened.as_raw_fd(), libc::LOCK_SH) };
        }),
        ("waitpid", || {
            let child = Command::new("true").spawn().unwrap();
            unsafe { libc::waitpid(child.id() as i32, std::ptr::null_mut(), 0) };
        }),
    ];
    let runtime = runtime_builder().build().unwrap();
    let mut problems = String::new();
    for (name, call) in calls {
        let (_, reports) =
            runtime.block_on(findings(Options::default().with_strictness(), async move { call() }));
        if !reports.iter().any(|report| report.call == name) {
            problems += &format!("no report calls it {name}: {}\n", listed(&reports));
        }
        let is_own = |report: &&Report| {
            let paths = report.path.iter().map(ToString::to_string);
            paths.chain([report.call.clone()]).any(|text| text.contains("evenkeel_guard"))
        };
        if let Some(report) = reports.iter().find(is_own) {
            problems += &format!("a frame of the guard's in {report}\n");
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

async fn flume_from_a_thread() {
    let (tx, rx) = flume::bounded(1);
    thread::spawn(move || (0..500).for_each(|number| tx.send(number).unwrap()));
    for number in 0..500 {
        assert_eq!(rx.recv_async().await, Ok(number));
    }
}

fn flume_strict() -> Result<(), String> {
    let _load = Load::start(5, HANGS);
    let runtime = runtime_builder().build().unwrap();
    let mut failures = Vec::new();
    for _ in 0..20 {
        let executor = Executor::strict(runtime.handle().clone());
        runtime.block_on(executor.run(Label::new("flume"), flume_from_a_thread())).unwrap();
        failures.extend(executor.failures());
    }
    silent(&failures)
}

fn flume_workers() -> Result<(), String> {
    let _load = Load::start(5, HANGS);
    let runtime = runtime_builder().build().unwrap();
    let executor = Executor::threads(runtime.handle().clone(), 2);
    for _ in 0..20 {
        runtime.block_on(executor.run(Label::new("flume"), flume_from_a_thread())).unwrap();
    }
    let failures = executor.failures();
    let strikes = executor.counters().strikes;
    silent(&failures)?;
    if strikes == 0 { Ok(()) } else { Err(format!("{strikes} false strikes")) }
}

/// Some thousand polls that read a file of 8 MB by tokio's own pool.
async fn reads(path: std::path::PathBuf) {
    for _ in 0..150 {
        assert_eq!(tokio::fs::read(&path).await.unwrap().len(), 8 << 20);
        for _ in 0..60 {
            tokio::task::yield_now().await;
        }
    }
}

fn big_reads() -> Result<(), String> {
    let _load = Load::start(6, HANGS);
    let runtime = runtime_builder().build().unwrap();
    let executor = Executor::threads(runtime.handle().clone(), 2);
    let path = file(8 << 20);
    runtime.block_on(executor.run(Label::new("read"), reads(path))).unwrap();
    let failures = executor.failures();
    let strikes = executor.counters().strikes;
    silent(&failures)?;
    if strikes == 0 { Ok(()) } else { Err(format!("{strikes} false strikes")) }
}

fn big_reads_strict() -> Result<(), String> {
    let _load = Load::start(6, HANGS);
    let runtime = runtime_builder().build().unwrap();
    let executor = Executor::strict(runtime.handle().clone());
    let path = file(8 << 20);
    runtime.block_on(executor.run(Label::new("read"), reads(path))).unwrap();
    silent(&executor.failures())
}

async fn panic() {
    tokio::task::yield_now().await;
    assert_eq!(1 + 1, 3, "a handler that is wrong");
}

/// Where a panic ends the program, there is nothing to be seen of it.
const IS_THE_END: bool = cfg!(panic = "abort");

fn panics() -> Result<(), String> {
    if IS_THE_END {
        return Ok(());
    }
    let runtime = runtime_builder().build().unwrap();
    let executor = Executor::threads(runtime.handle().clone(), 2);
    for number in 0..12 {
        let label = Label::new(format!("panics {number}"));
        let _ended = runtime.block_on(executor.run(label, panic()));
    }
    // The watchdog may look a little later.
    thread::sleep(Duration::from_millis(100));
    let _failures = executor.failures();
    silent(&executor.reports())?;
    if executor.quarantined().is_empty() { Ok(()) } else { Err("in quarantine".to_owned()) }
}

fn panics_elsewhere() -> Result<(), String> {
    if IS_THE_END {
        return Ok(());
    }
    let mut builder = runtime_builder();
    let guard = watch(&mut builder);
    let runtime = builder.build().unwrap();
    let named = runtime.spawn(guard.named(&Label::new("panics"), panic()));
    let _panicked = runtime.block_on(named);
    let executor = Executor::strict(runtime.handle().clone());
    let _ended = runtime.block_on(executor.run(Label::new("panics"), panic()));
    silent(&executor.failures())?;
    thread::sleep(Duration::from_millis(200));
    silent(&guard.reports())
}

fn sqlx_advice() -> Result<(), String> {
    let runtime = runtime_builder().build().unwrap();
    let executor = Executor::threads(runtime.handle().clone(), 2);
    let url = format!("sqlite://{}?mode=rwc", scratch("sqlx").display());
    let pool = runtime.block_on(sqlx::SqlitePool::connect(&url)).unwrap();
    runtime.block_on(executor.run(Label::new("close"), async move { pool.close().await })).unwrap();
    let _failures = executor.failures();
    let names_it = |report: &&Report| report.advice.contains("`sqlx`");
    let reports = executor.reports();
    reports.iter().find(names_it).map_or(Ok(()), |report| Err(format!("{report}: {}", report.advice)))
}

/// Clients that are asynchronous themselves and block in one of their calls.
fn advice_of_clients() -> Result<(), String> {
    let runtime = runtime_builder().build().unwrap();
    let executor = Executor::threads(runtime.handle().clone(), 2);
    let (done, is_done) = channel();
    let handler = async move {
        let (tx, rx) = flume::bounded::<u32>(1);
        let _late = rx.recv_timeout(SHORT);
        drop(tx);
        let (tx, rx) = async_channel::bounded::<u32>(1);
        thread::spawn(move || {
            thread::sleep(SHORT);
            drop(tx);
        });
        let _closed = rx.recv_blocking();
        done.send(()).unwrap();
    };
    executor.spawn(&Label::new("clients"), handler).detach();
    is_done.recv().unwrap();
    let _failures = executor.failures();
    let reports = executor.reports();
    if reports.len() < 2 {
        return Err(format!("two calls block: {}", listed(&reports)));
    }
    let wrong = reports
        .iter()
        .find(|report| report.call.starts_with("flume") && report.advice.contains("use `flume`"));
    wrong.map_or(Ok(()), |report| Err(format!("{report}: {}", report.advice)))
}
