//! What the guard does in the worst cases, and what it costs where nothing blocks.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use evenkeel_guard::{Executor, Label, Options, RunError, cost};
use tokio::runtime::Runtime;

use crate::bound::Bounds;

/// Commands that are caught, one after the other, of each kind.
const CAUGHT: usize = 500;
/// Handlers that never return.
const ENDLESS: usize = 1000;
/// Of a wrapped call and a bare one; the best of this many runs.
const CALLS: (u64, usize) = (5_000_000, 15);

/// A wrapped call on a thread that nobody watches, as a multiple of a bare one.
const CALL_RATIO: f64 = 3.0;
/// CPU time of an idle executor, in the kernel's ticks; this many seconds are looked at.
const IDLE: (u64, u64) = (3, 10);
const BYTES_PER_COMMAND: u64 = 768;
/// Beside handlers that never return: threads, which is the executor's own limit, and memory.
const MOST_THREADS: usize = 512;
const ENDLESS_MIB: f64 = 40.0;
/// Until the line tables that were read for a report are put away again, at the latest.
const PUT_AWAY: Duration = Duration::from_secs(10);
/// Between two looks at what is in quarantine, which is added to what is measured.
const BETWEEN_LOOKS: Duration = Duration::from_micros(20);
/// Until a sleep is in quarantine, until a read is, and until a ping is answered: the 99th of a hundred, in milliseconds.
const SLEEP_MS: f64 = 1.0;
const READ_MS: f64 = 5.0;
const PING_MS: f64 = 2.0;

/// Prints each figure beside its bound.
///
/// # Errors
///
/// When a count or a ratio exceeds it; with `is_strict`, when a latency does.
pub(crate) fn run(endless: Duration, is_strict: bool) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let mut bounds = Bounds::new(is_strict);
    wrapped_call(&mut bounds);
    idle(&runtime, &mut bounds)?;
    // Before anything is found: the line tables that are read for a report come and go.
    commands(&runtime, &mut bounds)?;
    strikes(&runtime, &mut bounds)?;
    endless_handlers(&runtime, endless, &mut bounds)?;
    bounds.verdict()
}

/// A call of the C library on a thread that nobody watches.
fn wrapped_call(bounds: &mut Bounds) {
    let best = |call: fn(u64)| {
        let times = (0..CALLS.1).map(|_| {
            let start = Instant::now();
            call(CALLS.0);
            start.elapsed()
        });
        times.min().unwrap_or_default().as_secs_f64() * 1e9 / CALLS.0 as f64
    };
    let (bare, wrapped) = (best(cost::bare_call), best(cost::wrapped_call));
    let ratio = wrapped / bare;
    println!(
        "a call on an unwatched thread: {bare:.2} ns bare, {wrapped:.2} ns wrapped, a ratio of {ratio:.2} ({})",
        bounds.most(
            "time of a wrapped call on an unwatched thread over that of a bare one",
            ratio,
            CALL_RATIO
        )
    );
}

/// CPU time of a guard that has nothing to do.
fn idle(runtime: &Runtime, bounds: &mut Bounds) -> io::Result<()> {
    let (most, seconds) = IDLE;
    let executor = Executor::threads(runtime.handle().clone(), 2);
    thread::sleep(Duration::from_secs(1));
    let before = cpu_ticks()?;
    thread::sleep(Duration::from_secs(seconds));
    let ticks = cpu_ticks()? - before;
    println!(
        "an idle executor used {ticks} clock ticks (of 1/100 s) of CPU in {seconds} s ({})",
        bounds.most("clock ticks of an idle executor", ticks, most)
    );
    drop(executor);
    Ok(())
}

/// From a call until its command is in quarantine.
fn strikes(runtime: &Runtime, bounds: &mut Bounds) -> io::Result<()> {
    let executor = Executor::threads(runtime.handle().clone(), 2);
    let times = caught(&executor, || thread::sleep(Duration::from_millis(20)))?;
    println!(
        "from a sleep of 20 ms until its command is in quarantine: {times} (p99 {})",
        bounds.latency_ms("p99 until a sleep is in quarantine", millis(times.p99), SLEEP_MS)
    );
    let times = caught(&executor, read_slowly)?;
    println!(
        "from a read that waits 20 ms: {times} (a call of unknown length counts after 1 ms; p99 {})",
        bounds.latency_ms("p99 until a read is in quarantine", millis(times.p99), READ_MS)
    );
    Ok(())
}

/// Reads what comes after 20 ms. What goes wrong makes the read short, and the figure long.
fn read_slowly() {
    let exchange = || -> io::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let mut reader = TcpStream::connect(listener.local_addr()?)?;
        let (mut writer, _) = listener.accept()?;
        let writing = thread::spawn(move || {
            thread::sleep(Duration::from_millis(20));
            writer.write_all(b"x")
        });
        reader.read_exact(&mut [0])?;
        drop(writing);
        Ok(())
    };
    let _short = exchange();
}

/// How long it takes to catch commands that make a call each.
///
/// Who looks sleeps in between and is woken by nobody: one that spins, or that the command wakes, takes the core of the thread
/// that it measures.
fn caught(executor: &Executor, call: fn()) -> io::Result<Quantiles> {
    let mut times = Vec::with_capacity(CAUGHT);
    for number in 0..CAUGHT {
        let name = format!("command {number} at {:?}", Instant::now());
        let begun = Arc::new(OnceLock::new());
        let begins = Arc::clone(&begun);
        let work = async move {
            // Set here only.
            let _first = begins.set(Instant::now());
            call();
        };
        executor.spawn(&Label::new(name.clone()), work).detach();
        while !executor.quarantined().iter().any(|one| one.name == name) {
            thread::sleep(BETWEEN_LOOKS);
        }
        let start = begun.get().ok_or_else(|| io::Error::other("in quarantine before it began"))?;
        times.push(start.elapsed());
        executor.pardon(&name);
    }
    Ok(Quantiles::of(times))
}

/// What each command takes of memory that was polled and has gone.
fn commands(runtime: &Runtime, bounds: &mut Bounds) -> io::Result<()> {
    let executor = Executor::threads(runtime.handle().clone(), 2);
    let poll =
        |number: usize| runtime.block_on(executor.run(Label::new(format!("!command{number}")), async {}));
    for number in 0..100 {
        let _known = poll(number);
    }
    let before = resident_bytes()?;
    for number in 100..4000 {
        let _known = poll(number);
    }
    let bytes = resident_bytes()?.saturating_sub(before) / 3900;
    println!(
        "memory per command: {bytes} bytes ({})",
        bounds.most("bytes of memory per command", bytes, BYTES_PER_COMMAND)
    );
    Ok(())
}

/// Pings beside handlers that never return.
fn endless_handlers(runtime: &Runtime, lasts: Duration, bounds: &mut Bounds) -> io::Result<()> {
    let executor = Executor::with(runtime.handle().clone(), &Options::default().with_workers(2));
    let refused = never_return(runtime, &executor);
    let (mut times, start) = (Vec::new(), Instant::now());
    let mut early = None;
    while start.elapsed() < lasts {
        let asked = Instant::now();
        let answer = runtime.block_on(executor.run(Label::new("ping"), async { thread::current().id() }));
        answer.map_err(io::Error::other)?;
        times.push(asked.elapsed());
        if early.is_none() && start.elapsed() > lasts / 10 {
            early = Some((executor.counters().threads, resident_bytes()?));
        }
        thread::sleep(Duration::from_millis(1));
    }
    let (early_threads, early_bytes) = early.unwrap_or_default();
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let ended = Instant::now();
    while mib(resident_bytes()?) > ENDLESS_MIB && ended.elapsed() < PUT_AWAY {
        thread::sleep(Duration::from_millis(100));
    }
    let (threads, early_mib, late_mib) =
        (executor.counters().threads, mib(early_bytes), mib(resident_bytes()?));
    let times = Quantiles::of(times);
    println!(
        "pings beside {ENDLESS} endless handlers of one command for {} s: {times} (p99 {})",
        lasts.as_secs(),
        bounds.latency_ms("p99 of pings beside endless handlers", millis(times.p99), PING_MS)
    );
    println!(
        "after a tenth of the time: {early_threads} threads, {early_mib:.1} MiB, line tables included; at the end:"
    );
    println!(
        "  {threads} threads ({})",
        bounds.most("threads beside endless handlers", threads, MOST_THREADS)
    );
    println!("  {late_mib:.1} MiB ({})", bounds.most("MiB beside endless handlers", late_mib, ENDLESS_MIB));
    let refused = refused.load(Ordering::Relaxed);
    println!("  {refused} refused ({})", bounds.most("endless handlers that were refused", refused, 0));
    Ok(())
}

/// Starts handlers that never return; counts those that are refused.
fn never_return(runtime: &Runtime, executor: &Executor) -> Arc<AtomicUsize> {
    let refused = Arc::new(AtomicUsize::new(0));
    for _ in 0..ENDLESS {
        let (executor, refused) = (executor.clone(), Arc::clone(&refused));
        runtime.spawn(async move {
            let endless = async {
                loop {
                    thread::park();
                }
            };
            let answer: Result<(), RunError> = executor.run(Label::new("endless"), endless).await;
            if answer == Err(RunError::Busy) {
                refused.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    refused
}

struct Quantiles {
    p50: Duration,
    p99: Duration,
    max: Duration,
}

impl Quantiles {
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at =
            |share: usize| times.get((times.len() * share / 100).min(times.len().saturating_sub(1))).copied();
        let [p50, p99, max] = [50, 99, 100].map(|share| at(share).unwrap_or_default());
        Self { p50, p99, max }
    }
}

impl std::fmt::Display for Quantiles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "p50 {:.3} ms, p99 {:.3} ms, max {:.3} ms",
            millis(self.p50),
            millis(self.p99),
            millis(self.max)
        )
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// User and system time of this process, in the kernel's ticks.
fn cpu_ticks() -> io::Result<u64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let fields: Vec<u64> =
        after_name.split_whitespace().skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    Ok(fields.iter().sum())
}

fn resident_bytes() -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.strip_suffix("kB"));
    Ok(line.and_then(|kib| kib.trim().parse::<u64>().ok()).unwrap_or_default() * 1024)
}
