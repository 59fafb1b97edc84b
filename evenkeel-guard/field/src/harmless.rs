//! All harmless rows, beside twice as many busy processes as there are cores, until enough polls have passed.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use evenkeel_guard::{Class, Executor, Label, Report, watch};
use tokio::runtime::Runtime;

use crate::Arguments;
use crate::host::{Mode, runtime_builder};
use crate::load::Load;
use crate::row::{Handler, Row};
use crate::{rows, suite};

/// Handlers at a time in each mode.
const TASKS: u64 = 8;
/// Longer than any slice may take.
const AT_MOST: Duration = Duration::from_secs(20 * 60);

/// Counts the polls of a handler.
struct Counted(Handler, &'static AtomicU64);

static POLLS: AtomicU64 = AtomicU64::new(0);
/// Tasks that have ended well; a handler that panics ends its task.
static ENDED: AtomicU64 = AtomicU64::new(0);

impl Future for Counted {
    type Output = String;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<String> {
        let Self(future, polls) = self.get_mut();
        polls.fetch_add(1, Relaxed);
        future.as_mut().poll(cx)
    }
}

/// What was said although nothing was wrong.
#[derive(Default)]
struct Wrong {
    reports: Vec<(Mode, Report)>,
    /// Waits for a lock below what has consequences.
    short_waits: u64,
    strikes: u64,
    failures: u64,
}

pub(crate) fn run(arguments: &Arguments) -> bool {
    let (slice, slices) = arguments.slice;
    let (enough, seed) = (arguments.polls / slices, arguments.seed.wrapping_mul(100) + slice);
    let began = Instant::now();
    println!("slice {slice} of {slices}: {enough} polls of harmless rows, seed {seed}");
    let rows: Arc<[Row]> = rows::all()
        .into_iter()
        .filter(|row| row.is_harmless() && row.title().contains(&arguments.only))
        .collect();
    let load = Load::start(seed, AT_MOST);
    let modes = Mode::ALL.into_iter().filter(|mode| mode.is_in(&arguments.mode));
    let modes: Vec<_> = modes.collect();
    let mut wrong = Wrong::default();
    for (number, mode) in modes.iter().enumerate() {
        // Each mode has its share, one after the other: together they would be one another's load.
        let end = enough * (number as u64 + 1) / modes.len() as u64;
        let (time, before) = (Instant::now(), POLLS.load(Relaxed));
        let rounds = Rounds { rows: Arc::clone(&rows), end, until: began + AT_MOST, seed };
        ENDED.store(0, Relaxed);
        in_mode(*mode, &rounds, &mut wrong);
        if *mode != Mode::Strict && ENDED.load(Relaxed) < TASKS {
            println!("FALSE {}: a handler has panicked", mode.word());
            wrong.failures += 1;
        }
        println!(
            "{:<12}{:>10} polls in {:.0} s",
            mode.word(),
            POLLS.load(Relaxed) - before,
            time.elapsed().as_secs_f64()
        );
    }
    drop(load);
    told(&wrong, enough, began)
}

/// Runs harmless rows by turns until enough polls have passed.
#[derive(Clone)]
struct Rounds {
    rows: Arc<[Row]>,
    end: u64,
    until: Instant,
    seed: u64,
}

impl Rounds {
    fn is_over(&self) -> bool {
        POLLS.load(Relaxed) >= self.end || Instant::now() >= self.until
    }

    /// What is prepared for a handler may block, so a thread that nobody watches does it.
    async fn go(self, task: u64) {
        let mut random = fastrand::Rng::with_seed(self.seed ^ task);
        while !self.is_over() {
            let (number, rows) = (random.usize(..self.rows.len()), Arc::clone(&self.rows));
            let handler = tokio::task::spawn_blocking(move || rows[number].handler()).await;
            Counted(handler.expect("a row prepares without panic"), &POLLS).await;
        }
        ENDED.fetch_add(1, Relaxed);
    }
}

fn in_mode(mode: Mode, rounds: &Rounds, wrong: &mut Wrong) {
    let mut builder = runtime_builder();
    let guard = matches!(mode, Mode::Watch | Mode::Named).then(|| watch(&mut builder));
    let runtime = builder.build().expect("a runtime");
    let inside = runtime.enter();
    match (mode, guard) {
        (Mode::Workers, _) => {
            on_executor(&Executor::threads(runtime.handle().clone(), 2), mode, rounds, wrong)
        }
        (Mode::Quarantine, _) => in_quarantine(&runtime, rounds, wrong),
        (Mode::On, _) => on_executor(&Executor::on(runtime.handle().clone()), mode, rounds, wrong),
        (Mode::Watch | Mode::Named, Some(guard)) => {
            let label = Label::new("harmless");
            let tasks: Vec<_> = (0..TASKS)
                .map(|task| match mode {
                    Mode::Named => runtime.spawn(guard.named(&label, rounds.clone().go(task))),
                    _ => runtime.spawn(rounds.clone().go(task)),
                })
                .collect();
            wait(|| tasks.iter().all(tokio::task::JoinHandle::is_finished));
            // What was found last is still being looked into.
            thread::sleep(Duration::from_secs(1));
            wrong.add(mode, guard.reports());
        }
        _ => strictly(rounds, wrong),
    }
    drop(inside);
    runtime.shutdown_timeout(Duration::from_secs(5));
}

fn on_executor(executor: &Executor, mode: Mode, rounds: &Rounds, wrong: &mut Wrong) {
    let label = Label::new("harmless");
    let spawn = |task| executor.spawn(&label, rounds.clone().go(task));
    let tasks: Vec<_> = (0..TASKS).map(spawn).collect();
    wait(|| tasks.iter().all(evenkeel_guard::Task::is_finished));
    let _failures = executor.failures();
    wrong.strikes += executor.counters().strikes;
    wrong.add(mode, executor.reports());
}

fn in_quarantine(runtime: &Runtime, rounds: &Rounds, wrong: &mut Wrong) {
    let executor = Executor::threads(runtime.handle().clone(), 2);
    let label = Label::new("harmless");
    executor.spawn(&label, async { thread::sleep(Duration::from_millis(5)) }).detach();
    wait(|| !executor.quarantined().is_empty());
    let _failures = executor.failures();
    let before = executor.reports();
    let tasks: Vec<_> = (0..TASKS).map(|task| executor.spawn(&label, rounds.clone().go(task))).collect();
    wait(|| tasks.iter().all(evenkeel_guard::Task::is_finished));
    let _failures = executor.failures();
    wrong.strikes += executor.counters().strikes.saturating_sub(1);
    let mut reports = executor.reports();
    reports.retain(|report| before.iter().all(|old| old.number != report.number));
    wrong.add(Mode::Quarantine, reports);
}

/// Each handler by itself, as a test would have it, on as many threads as there are tasks elsewhere.
fn strictly(rounds: &Rounds, wrong: &mut Wrong) {
    let failures: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..TASKS).map(|task| scope.spawn(move || tests(rounds, task))).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().expect("a test that panics ends its task"))
            .collect()
    });
    wrong.failures += failures.len() as u64;
    wrong.reports.extend(failures.into_iter().map(|report| (Mode::Strict, report)));
}

fn tests(rounds: &Rounds, task: u64) -> Vec<Report> {
    let mut random = fastrand::Rng::with_seed(rounds.seed ^ task);
    let mut failures = Vec::new();
    while !rounds.is_over() {
        let row = &rounds.rows[random.usize(..rounds.rows.len())];
        failures.extend(suite::test(|| Counted(row.handler(), &POLLS)));
    }
    failures
}

impl Wrong {
    fn add(&mut self, mode: Mode, reports: Vec<Report>) {
        for report in reports {
            // A lock is now and then held by a thread that the machine has put aside.
            if report.class == Class::Contention
                && (report.elapsed < Duration::from_millis(5) || report.times < 3)
            {
                self.short_waits += report.times;
            } else {
                self.reports.push((mode, report));
            }
        }
    }
}

fn wait(is_done: impl Fn() -> bool) {
    while !is_done() {
        thread::sleep(Duration::from_millis(20));
    }
}

fn told(wrong: &Wrong, enough: u64, began: Instant) -> bool {
    let mut told = HashMap::<_, (u64, &Report)>::new();
    for (mode, report) in &wrong.reports {
        let place = (mode.word(), report.class.word(), &report.call, &report.file, report.line);
        told.entry(place).or_insert((0, report)).0 += 1;
    }
    for ((mode, class, ..), (times, report)) in &told {
        println!("FALSE {mode}, {times} times [{class}] {report}");
        report.path.iter().for_each(|frame| println!("    {frame}"));
    }
    let polls = POLLS.load(Relaxed);
    let Wrong { reports, short_waits, strikes, failures } = wrong;
    println!(
        "{polls} polls, {} false reports, {strikes} false strikes, {failures} false failures of strict, \
         {short_waits} short waits for a lock; {:.0} s",
        reports.len(),
        began.elapsed().as_secs_f64()
    );
    let is_whole = polls >= enough;
    if !is_whole {
        println!("not enough polls in {} minutes: take smaller slices", AT_MOST.as_secs() / 60);
    }
    is_whole && reports.is_empty() && *strikes == 0 && *failures == 0
}
