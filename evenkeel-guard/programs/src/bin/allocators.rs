//! Makes and drops vectors on watched threads, under whatever allocator the program was built with or is preloaded.
//!
//! `cargo run --release --features jemalloc --bin allocators -- --seconds 25 --setup small`
//!
//! An allocator's own locks pass through the wrappers of the guard: what the guard does there must not allocate. Where
//! it does, this program hangs or dies within seconds. And no wait for them is the fault of a task. It ends with 0 after
//! its time, with 2 when nothing has moved for long, with 3 when a task that only makes vectors was reported, and
//! otherwise as whatever has killed it says. `allocators.sh` runs every set-up and prints a table.

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use evenkeel_guard::{Executor, Label, Options, Report, findings, watch};
use fastrand::Rng;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[cfg(feature = "tcmalloc")]
#[global_allocator]
static ALLOCATOR: tcmalloc_better::TCMalloc = tcmalloc_better::TCMalloc;

/// Vectors that one task holds at a time.
const HELD: usize = 256;
/// Vectors that are replaced between two `.await`s.
const REPLACED: usize = 64;
/// Reports that are kept, and printed at the end.
const SHOWN: usize = 4;
/// Nothing has moved for so long, or for so much of the time that is asked for: hung. A machine that is busy with
/// something else moves a little, but one run in a thousand waits for its turn longer than another.
const HUNG: Duration = Duration::from_secs(10);
const HUNG_OF: u32 = 20;

/// What the tasks do, and where.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Setup {
    /// Vectors of up to 512 bytes, on `Executor::threads`.
    Small,
    /// Up to a megabyte, so that memory goes back to the kernel and comes from it.
    Large,
    /// Small ones, while threads start and end: their caches go back to the allocator.
    Threads,
    /// Small ones between calls that block: each is found, told and put in quarantine.
    Blocking,
    /// Small and blocking ones on a tokio runtime that is watched.
    Watch,
    /// Small and blocking ones in strict mode, a new watch again and again.
    Strict,
}

impl Setup {
    /// Whether its tasks do nothing that could be told of.
    fn is_harmless(self) -> bool {
        matches!(self, Self::Small | Self::Threads)
    }
}

impl FromStr for Setup {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        Ok(match word {
            "small" => Self::Small,
            "large" => Self::Large,
            "threads" => Self::Threads,
            "blocking" => Self::Blocking,
            "watch" => Self::Watch,
            "strict" => Self::Strict,
            _ => return Err(format!("no set-up `{word}`: small, large, threads, blocking, watch, strict")),
        })
    }
}

/// What the command line asks for.
struct Arguments {
    setup: Setup,
    duration: Duration,
    tasks: usize,
    workers: usize,
    seed: u64,
    /// The same without the guard: what fails then is not the guard's.
    is_unwatched: bool,
}

impl Arguments {
    fn parse() -> Result<Self, Box<dyn Error>> {
        use lexopt::prelude::*;
        let (duration, seed) = (Duration::from_secs(25), fastrand::u64(..));
        let mut arguments =
            Self { setup: Setup::Small, duration, tasks: 8, workers: 4, seed, is_unwatched: false };
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("setup") => arguments.setup = parser.value()?.parse()?,
                Long("seconds") => arguments.duration = Duration::from_secs(parser.value()?.parse()?),
                Long("tasks") => arguments.tasks = parser.value()?.parse()?,
                Long("workers") => arguments.workers = parser.value()?.parse()?,
                Long("seed") => arguments.seed = parser.value()?.parse()?,
                Long("unwatched") => arguments.is_unwatched = true,
                _ => return Err(argument.unexpected().into()),
            }
        }
        Ok(arguments)
    }
}

/// What was done; the watching thread reads it without a lock.
#[derive(Default)]
struct Done {
    vectors: AtomicU64,
    polls: AtomicU64,
    threads: AtomicU64,
    blocking: AtomicU64,
}

/// What was reported.
#[derive(Default)]
struct Told {
    places: usize,
    /// Some of them. A long run has more than memory is for.
    some: Vec<Report>,
    strikes: u64,
}

impl Told {
    fn add(&mut self, reports: Vec<Report>) {
        self.places += reports.len();
        let room = SHOWN.saturating_sub(self.some.len());
        self.some.extend(reports.into_iter().take(room));
    }
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments = Arguments::parse()?;
    let Arguments { setup, duration, seed, .. } = arguments;
    println!("seed {seed}, set-up {setup:?}, {} tasks, {} workers", arguments.tasks, arguments.workers);
    let done = Arc::<Done>::default();
    let watched = Arc::clone(&done);
    std::thread::spawn(move || notice_a_hang(&watched, HUNG.max(duration / HUNG_OF)));
    let ends = Instant::now() + duration;
    let told = match setup {
        Setup::Watch => on_tokio(&arguments, &done, ends)?,
        Setup::Strict => strictly(&arguments, &done, ends)?,
        _ => on_threads(&arguments, &done, ends)?,
    };
    let Done { vectors, polls, threads, blocking } = &*done;
    let [vectors, polls, threads, blocking] =
        [vectors, polls, threads, blocking].map(|count| count.load(Ordering::Relaxed));
    println!("{vectors} vectors in {polls} polls, {threads} threads, {blocking} blocking calls");
    println!("{} places reported, {} strikes", told.places, told.strikes);
    for report in &told.some {
        println!("  {report}");
    }
    Ok(if setup.is_harmless() && told.places > 0 { ExitCode::from(3) } else { ExitCode::SUCCESS })
}

/// Ends the program when nothing moves. The allocator may be what is stuck: so this thread does not use it.
fn notice_a_hang(done: &Done, hung: Duration) {
    const SAID: &[u8] =
        b"hung: no vector for long. `gdb -p PID -ex 'thread apply all backtrace'` in time shows where\n";
    let (mut seen, mut since) = (0, Instant::now());
    loop {
        std::thread::sleep(Duration::from_millis(250));
        let now = done.vectors.load(Ordering::Relaxed);
        if now != seen {
            (seen, since) = (now, Instant::now());
        } else if since.elapsed() > hung {
            let _said = std::io::stderr().write_all(SAID);
            std::process::exit(2);
        }
    }
}

fn runtime(workers: usize) -> std::io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(workers).enable_all().build()
}

fn on_threads(arguments: &Arguments, done: &Arc<Done>, ends: Instant) -> Result<Told, Box<dyn Error>> {
    let workers = arguments.workers;
    let runtime = runtime(if arguments.is_unwatched { workers } else { 1 })?;
    let executor = if arguments.is_unwatched {
        Executor::unwatched(runtime.handle().clone())
    } else {
        Executor::with(runtime.handle().clone(), &Options::default().with_workers(workers))
    };
    let tasks = tasks(arguments, done, ends);
    let (finished, seen) = std::sync::mpsc::channel();
    let count = tasks.len();
    for (label, task) in tasks {
        let finished = finished.clone();
        let task = async move {
            task.run().await;
            let _main_waits = finished.send(());
        };
        executor.spawn(&label, task).detach();
    }
    if arguments.setup == Setup::Threads {
        start_and_end_threads(done, ends);
    }
    for _ in 0..count {
        seen.recv()?;
    }
    let mut told = Told { strikes: executor.counters().strikes, ..Told::default() };
    told.add(executor.reports());
    Ok(told)
}

fn on_tokio(arguments: &Arguments, done: &Arc<Done>, ends: Instant) -> Result<Told, Box<dyn Error>> {
    let mut builder = Builder::new_multi_thread();
    let guard = watch(builder.worker_threads(arguments.workers).enable_all());
    let runtime = builder.build()?;
    let tasks = tasks(arguments, done, ends).into_iter().map(|(label, task)| guard.named(&label, task.run()));
    let tasks: Vec<_> = tasks.map(|task| runtime.spawn(task)).collect();
    for task in tasks {
        runtime.block_on(task)?;
    }
    let mut told = Told::default();
    told.add(guard.reports());
    Ok(told)
}

/// Each task in a short strict run of its own, and then again: so does a test suite.
fn strictly(arguments: &Arguments, done: &Arc<Done>, ends: Instant) -> Result<Told, Box<dyn Error>> {
    let runtime = runtime(arguments.workers)?;
    let mut told = Told::default();
    while Instant::now() < ends {
        let soon = ends.min(Instant::now() + Duration::from_millis(200));
        let tasks: Vec<_> = tasks(arguments, done, soon)
            .into_iter()
            .map(|(_, task)| runtime.spawn(findings(Options::default().with_strictness(), task.run())))
            .collect();
        for task in tasks {
            told.add(runtime.block_on(task)?.1);
        }
    }
    Ok(told)
}

/// Keeps one short-lived thread after another busy with vectors, some of which end on another thread.
fn start_and_end_threads(done: &Arc<Done>, ends: Instant) {
    while Instant::now() < ends {
        let threads: Vec<_> = (0..4)
            .map(|seed| {
                let done = Arc::clone(done);
                std::thread::spawn(move || {
                    let mut rng = Rng::with_seed(seed);
                    let vectors: Vec<_> = (0..HELD).map(|_| vector(&mut rng, 512)).collect();
                    done.vectors.fetch_add(HELD as u64, Ordering::Relaxed);
                    done.threads.fetch_add(1, Ordering::Relaxed);
                    vectors
                })
            })
            .collect();
        for thread in threads {
            drop(thread.join());
        }
    }
}

/// Each task hands some of its vectors to the next one, so that they end on another thread than they began on.
fn tasks(arguments: &Arguments, done: &Arc<Done>, ends: Instant) -> Vec<(Label, Churn)> {
    let count = arguments.tasks;
    let mut ways: Vec<_> = (0..count).map(|_| mpsc::channel(64)).map(|(tx, rx)| (tx, Some(rx))).collect();
    let shared = Arc::<Mutex<u64>>::default();
    (0..count)
        .map(|n| {
            let next = ways[(n + 1) % count].0.clone();
            let from = ways[n].1.take().expect("each is taken once");
            let rng = Rng::with_seed(arguments.seed.wrapping_add(n as u64));
            let (setup, done, shared) = (arguments.setup, Arc::clone(done), Arc::clone(&shared));
            (Label::new(format!("task {n}")), Churn { setup, rng, next, from, shared, done, ends })
        })
        .collect()
}

/// One task.
struct Churn {
    setup: Setup,
    rng: Rng,
    next: mpsc::Sender<Vec<u8>>,
    from: mpsc::Receiver<Vec<u8>>,
    shared: Arc<Mutex<u64>>,
    done: Arc<Done>,
    ends: Instant,
}

impl Churn {
    async fn run(mut self) {
        let longest = if self.setup == Setup::Large { 1 << 20 } else { 512 };
        let held = if self.setup == Setup::Large { 16 } else { HELD };
        let mut vectors: Vec<Vec<u8>> = vec![Vec::new(); held];
        while Instant::now() < self.ends {
            for _ in 0..REPLACED {
                let place = self.rng.usize(..held);
                vectors[place] = vector(&mut self.rng, longest);
            }
            let place = self.rng.usize(..held);
            // A full way keeps what it has, and this one is dropped here.
            let _full = self.next.try_send(std::mem::take(&mut vectors[place]));
            drop(self.from.try_recv());
            self.done.vectors.fetch_add(REPLACED as u64, Ordering::Relaxed);
            self.done.polls.fetch_add(1, Ordering::Relaxed);
            if matches!(self.setup, Setup::Blocking | Setup::Watch | Setup::Strict) && self.rng.u8(..) < 8 {
                self.block();
            }
            tokio::task::yield_now().await;
        }
    }

    /// Blocks as handlers do.
    fn block(&mut self) {
        self.done.blocking.fetch_add(1, Ordering::Relaxed);
        match self.rng.u8(..4) {
            0 => std::thread::sleep(Duration::from_micros(self.rng.u64(1..3000))),
            1 => drop(std::fs::read("/proc/self/status")),
            2 => drop(std::fs::metadata("/etc/hosts")),
            _ => {
                let mut shared = self.shared.lock().expect("no holder panics");
                *shared += 1;
                std::thread::sleep(Duration::from_micros(self.rng.u64(1..500)));
            }
        }
    }
}

/// A vector of a random length, touched at both ends.
fn vector(rng: &mut Rng, longest: usize) -> Vec<u8> {
    let mut vector = Vec::with_capacity(rng.usize(1..=longest));
    vector.resize(vector.capacity(), 1);
    std::hint::black_box(vector)
}
