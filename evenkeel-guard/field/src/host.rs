//! The ways in which a program can have its handlers watched, each running a row.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use evenkeel_guard::{Executor, Guard, Label, Options, Report, findings, strict, watch};
use tokio::runtime::{Builder, Runtime};

use crate::row::{Handler, Kind, Place, Row};

/// Longer than any row takes on a slow machine.
const HANGS: Duration = Duration::from_secs(60);
/// Reading the line tables of a large debug build takes seconds the first time.
const TOLD_WITHIN: Duration = Duration::from_secs(if cfg!(debug_assertions) { 15 } else { 10 });

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Workers,
    Quarantine,
    Watch,
    Named,
    On,
    Strict,
}

/// What came of a row.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The handler's result, or what became of it instead.
    pub(crate) value: Option<String>,
    pub(crate) reports: Vec<Report>,
    /// Calls that were added to a report that was there before; only in quarantine.
    pub(crate) counted: u64,
    pub(crate) strikes: u64,
    /// What `strict` said as it failed.
    pub(crate) failure: Option<String>,
}

impl Mode {
    pub(crate) const ALL: [Self; 6] =
        [Self::Workers, Self::Quarantine, Self::Watch, Self::Named, Self::On, Self::Strict];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Workers => "workers",
            Self::Quarantine => "quarantine",
            Self::Watch => "watch",
            Self::Named => "named",
            Self::On => "on",
            Self::Strict => "strict",
        }
    }

    /// Whether a list such as `workers,strict` has this; an empty one has all.
    pub(crate) fn is_in(self, list: &str) -> bool {
        list.is_empty() || list.split(',').any(|word| word == self.word())
    }

    /// Whether a row can run here, and the guard promises to see it.
    pub(crate) fn admits(self, row: &Row) -> bool {
        let is_on_tokio = matches!(self, Self::Watch | Self::Named | Self::On);
        // Which poll keeps a core busy is known of polls that are watched one by one.
        let is_busy = matches!(row.kind, Kind::Blocks { class, .. } if class.is_busy());
        match row.place {
            Place::OutsideTokio if is_on_tokio => false,
            Place::OutsideTests if self == Self::Strict => false,
            _ => !(self == Self::Watch && is_busy),
        }
    }

    pub(crate) fn run(self, row: &Row) -> Seen {
        let mut builder = runtime_builder();
        let guard = matches!(self, Self::Watch | Self::Named).then(|| watch(&mut builder));
        let runtime = builder.build().expect("a runtime");
        let seen = {
            let _inside = runtime.enter();
            match (self, guard) {
                (Self::Workers, _) => workers(&runtime, row),
                (Self::Quarantine, _) => quarantine(&runtime, row),
                (Self::Watch, Some(guard)) => watched(&runtime, &guard, row),
                (Self::Named, Some(guard)) => named(&runtime, &guard, row),
                (Self::On, _) => on(&runtime, row),
                _ => strictly(&runtime, row),
            }
        };
        // A row that hangs must not keep the next from running.
        runtime.shutdown_timeout(Duration::from_secs(1));
        seen
    }
}

/// The value of a row where nobody watches.
pub(crate) fn unwatched(row: &Row) -> Option<String> {
    let runtime = runtime_builder().build().expect("a runtime");
    let (future, value) = {
        let _inside = runtime.enter();
        carried(row.handler())
    };
    if row.place == Place::OutsideTokio {
        let handle = runtime.handle().clone();
        thread::spawn(move || {
            let _inside = handle.enter();
            futures::executor::block_on(future);
        });
    } else {
        runtime.spawn(future);
    }
    let value = result(&value);
    runtime.shutdown_timeout(Duration::from_secs(1));
    value
}

pub(crate) fn runtime_builder() -> Builder {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).enable_all();
    builder
}

/// A handler whose result can be waited for on a plain thread.
fn carried(handler: Handler) -> (impl Future<Output = ()> + Send, Receiver<String>) {
    let (done, value) = channel();
    let future = async move {
        let result = handler.await;
        // The waiter may have given up.
        let _taken = done.send(result);
    };
    (future, value)
}

/// `None` when it panicked.
fn result(value: &Receiver<String>) -> Option<String> {
    match value.recv_timeout(HANGS) {
        Ok(value) => Some(value),
        Err(RecvTimeoutError::Timeout) => Some("still running after a minute".to_owned()),
        Err(RecvTimeoutError::Disconnected) => None,
    }
}

/// Asks for the reports until what has to be there is.
fn told(row: &Row, mut reports: impl FnMut() -> Vec<Report>) -> Vec<Report> {
    let began = Instant::now();
    let Kind::Blocks { class, .. } = row.kind else {
        thread::sleep(Duration::from_millis(20));
        return reports();
    };
    loop {
        let told = reports();
        if told.iter().any(|report| report.class == class && report.is_over) || began.elapsed() >= TOLD_WITHIN
        {
            return told;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn workers(runtime: &Runtime, row: &Row) -> Seen {
    let executor = Executor::threads(runtime.handle().clone(), 2);
    on_executor(&executor, &Label::new("row"), row)
}

fn on(runtime: &Runtime, row: &Row) -> Seen {
    let executor = Executor::on(runtime.handle().clone());
    on_executor(&executor, &Label::new("row"), row)
}

fn on_executor(executor: &Executor, label: &Label, row: &Row) -> Seen {
    let (future, value) = carried(row.handler());
    executor.spawn(label, future).detach();
    let value = result(&value);
    let reports = told(row, || {
        let _failures = executor.failures();
        executor.reports()
    });
    Seen { value, reports, strikes: executor.counters().strikes, ..Seen::default() }
}

fn quarantine(runtime: &Runtime, row: &Row) -> Seen {
    let executor = Executor::threads(runtime.handle().clone(), 2);
    let label = Label::new("row");
    let began = Instant::now();
    executor.spawn(&label, async { thread::sleep(Duration::from_millis(5)) }).detach();
    while executor.quarantined().is_empty() && began.elapsed() < TOLD_WITHIN {
        thread::sleep(Duration::from_millis(1));
    }
    let _failures = executor.failures();
    let before = executor.reports();
    let times = |reports: &[Report]| {
        let old = reports.iter().filter(|report| before.iter().any(|old| old.number == report.number));
        old.map(|report| report.times).sum::<u64>()
    };
    let mut seen = on_executor(&executor, &label, row);
    seen.counted = times(&seen.reports).saturating_sub(times(&before));
    seen.strikes -= 1;
    seen.reports.retain(|report| before.iter().all(|old| old.number != report.number));
    seen
}

fn watched(runtime: &Runtime, guard: &Guard, row: &Row) -> Seen {
    let (future, value) = carried(row.handler());
    runtime.spawn(async {
        // A thread of the runtime is watched from its first wake-up on.
        tokio::time::sleep(Duration::from_millis(5)).await;
        future.await;
    });
    let value = result(&value);
    Seen { value, reports: told(row, || guard.reports()), ..Seen::default() }
}

fn named(runtime: &Runtime, guard: &Guard, row: &Row) -> Seen {
    let (future, value) = carried(row.handler());
    runtime.spawn(guard.named(&Label::new("row"), future));
    let value = result(&value);
    Seen { value, reports: told(row, || guard.reports()), ..Seen::default() }
}

fn strictly(runtime: &Runtime, row: &Row) -> Seen {
    let (value, reports) =
        block_on(runtime, row, findings(Options::default().with_strictness(), row.handler()));
    let failure = catch_unwind(AssertUnwindSafe(|| block_on(runtime, row, strict(row.handler())))).err();
    let failure = failure.map(|failure| match failure.downcast::<String>() {
        Ok(text) => *text,
        Err(_) => "a panic of its own".to_owned(),
    });
    Seen { value: Some(value), reports, failure, ..Seen::default() }
}

fn block_on<F: Future>(runtime: &Runtime, row: &Row, future: F) -> F::Output {
    if row.place == Place::OutsideTokio {
        let _inside = runtime.enter();
        futures::executor::block_on(future)
    } else {
        runtime.block_on(future)
    }
}
