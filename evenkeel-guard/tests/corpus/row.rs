//! One row: what runs, and what the guard has to say of it.

use std::fs;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use evenkeel_guard::{Class, Executor, Label, Options, Report, findings};
use tokio::runtime::Runtime;

use crate::children;

pub(crate) type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;

pub(crate) struct Row {
    pub(crate) number: u8,
    pub(crate) name: &'static str,
    pub(crate) by: By,
    pub(crate) verdict: Verdict,
    /// Prepares what the row needs, and makes the future that is judged.
    pub(crate) future: fn() -> Boxed,
}

/// Who judges.
#[derive(Clone, Copy)]
pub(crate) enum By {
    Strict,
    /// The same in a process of its own.
    Child,
    /// The executor with threads of its own; again and again until there is a report, where there has to be one.
    Threads,
}

#[derive(Clone, Copy)]
pub(crate) enum Verdict {
    /// There is a report of this class, whose call contains this text; other reports are of the classes `beside`.
    Blocks { class: Class, call: &'static str, beside: &'static [Class] },
    /// There is no report.
    Fine,
    /// There may be reports, none of which fails a strict test.
    Gray,
}

#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) problem: Option<String>,
    pub(crate) told: String,
    pub(crate) reports: usize,
    pub(crate) right_lines: usize,
}

/// The lines from which the running row makes its calls.
static LINES: Mutex<Vec<(&str, u32, u32)>> = Mutex::new(Vec::new());
/// Ends loops that end by nothing else.
pub(crate) static STOP: AtomicBool = AtomicBool::new(false);
/// What a row has found wrong by itself.
static WRONG: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The rows and the load of the other test would disturb each other: both would be about the machine then.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    of(&ALONE)
}

fn of<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The row makes its calls between these two lines.
pub(crate) fn note(file: &'static str, from: u32, to: u32) {
    of(&LINES).push((file, from, to));
}

/// For what a row promises besides its verdict.
pub(crate) fn expect(claim: bool, otherwise: impl FnOnce() -> String) {
    if !claim {
        of(&WRONG).push(otherwise());
    }
}

pub(crate) fn blocks(class: Class, call: &'static str) -> Verdict {
    Verdict::Blocks { class, call, beside: &[] }
}

pub(crate) fn strict(number: u8, name: &'static str, verdict: Verdict, future: fn() -> Boxed) -> Row {
    Row { number, name, by: By::Strict, verdict, future }
}

pub(crate) fn threads(number: u8, name: &'static str, verdict: Verdict, future: fn() -> Boxed) -> Row {
    Row { number, name, by: By::Threads, verdict, future }
}

pub(crate) fn in_child(number: u8, name: &'static str, verdict: Verdict, future: fn() -> Boxed) -> Row {
    Row { number, name, by: By::Child, verdict, future }
}

pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// A file or folder of this process alone, with a name that no other has.
pub(crate) fn scratch(name: &str) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder =
            PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("corpus-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    });
    folder.join(format!("{}-{name}", COUNT.fetch_add(1, SeqCst)))
}

pub(crate) fn file(bytes: usize) -> PathBuf {
    let path = scratch("file");
    fs::write(&path, vec![b'x'; bytes]).unwrap();
    path
}

/// The number that the system knows the calling thread by.
pub(crate) fn thread_id() -> i32 {
    rustix::thread::gettid().as_raw_pid()
}

/// Calls back from another thread once the thread sleeps in a futex.
pub(crate) fn once_asleep(thread_id: i32, then: impl FnOnce() + Send + 'static) {
    let seen = move || {
        let state = fs::read_to_string(format!("/proc/self/task/{thread_id}/stat")).unwrap_or_default();
        let state = state.rsplit(')').next().unwrap_or_default();
        state.trim_start().starts_with('S')
    };
    thread::spawn(move || {
        // A page that is being read in, or the allocator's lock, is over by the second look.
        while !(seen() && seen() && seen()) {
            thread::yield_now();
        }
        then();
    });
}

impl Row {
    pub(crate) fn run(&self) -> Outcome {
        if matches!(self.by, By::Child) { children::outcome_of(self.name) } else { self.run_here() }
    }

    pub(crate) fn run_here(&self) -> Outcome {
        of(&LINES).clear();
        of(&WRONG).clear();
        STOP.store(false, SeqCst);
        let reports = match self.by {
            By::Strict | By::Child => self.strictly(),
            By::Threads => self.on_threads(),
        };
        self.judge(&reports)
    }

    fn strictly(&self) -> Vec<Report> {
        let future = (self.future)();
        let options = Options::default().with_strictness();
        runtime().block_on(findings(options, future)).1
    }

    fn on_threads(&self) -> Vec<Report> {
        let runtime = runtime();
        let executor = Executor::threads(runtime.handle().clone(), 2);
        let label = Label::new(self.name);
        loop {
            let task = executor.spawn(&label, (self.future)());
            while !task.is_finished() && !self.is_settled(&executor.reports()) {
                thread::yield_now();
            }
            let is_settled = self.is_settled(&executor.reports());
            STOP.store(is_settled, SeqCst);
            while !task.is_finished() {
                thread::yield_now();
            }
            if is_settled || matches!(self.verdict, Verdict::Fine | Verdict::Gray) {
                break;
            }
        }
        let _failures = executor.failures();
        executor.reports()
    }

    /// Whether what has to be reported is, or something else has been found for long enough.
    fn is_settled(&self, reports: &[Report]) -> bool {
        let Verdict::Blocks { class, .. } = self.verdict else { return false };
        reports.iter().any(|report| report.class == class || report.elapsed >= Duration::from_secs(1))
    }

    fn judge(&self, reports: &[Report]) -> Outcome {
        let mut told: Vec<_> =
            reports.iter().map(|report| format!("{} {}", report.class.word(), report.call)).collect();
        if told.is_empty() {
            told.push("silent".to_owned());
        }
        let is_right = |report: &&Report| is_right_line(report);
        let right_lines = reports.iter().filter(is_right).count();
        let mut problems = of(&WRONG).clone();
        problems.extend(self.problem(reports));
        // A poll that ends while the watchdog looks has no line, and its report says so.
        let claims = |report: &&Report| report.is_exact || !matches!(self.by, By::Threads);
        let claimed = reports.iter().filter(claims).count();
        if right_lines < claimed && !matches!(self.verdict, Verdict::Gray) {
            let lines = format!("{:?}", of(&LINES));
            problems.push(format!("the line is one of {lines}"));
        }
        if !problems.is_empty() {
            problems.extend(reports.iter().map(|report| format!("\n    {report}\n    {:#?}", report.path)));
        }
        let (reports, right_lines) =
            if matches!(self.verdict, Verdict::Gray) { (0, 0) } else { (claimed, right_lines) };
        let problem = (!problems.is_empty()).then(|| problems.join("; "));
        let told = if problem.is_some() { format!("WRONG {}", told.join(", ")) } else { told.join(", ") };
        Outcome { problem, told, reports, right_lines }
    }

    fn problem(&self, reports: &[Report]) -> Option<String> {
        match self.verdict {
            Verdict::Blocks { class, call, beside } => {
                let is_seen =
                    reports.iter().any(|report| report.class == class && report.call.contains(call));
                let is_other = |report: &&Report| report.class != class && !beside.contains(&report.class);
                if !is_seen {
                    return Some(format!("no report of {class:?} in {call}"));
                }
                reports.iter().find(is_other).map(|report| format!("{:?} besides", report.class))
            }
            Verdict::Fine => (!reports.is_empty()).then(|| "it is fine".to_owned()),
            Verdict::Gray => {
                let fails = |report: &&Report| {
                    !matches!(report.class, Class::Contention | Class::Output) || report.times >= 3
                };
                reports.iter().find(fails).map(|_| "it would fail a strict test".to_owned())
            }
        }
    }
}

impl Outcome {
    pub(crate) fn wrong(problem: String) -> Self {
        Self { problem: Some(problem), told: "WRONG".to_owned(), reports: 0, right_lines: 0 }
    }

    /// As one line, for another process.
    pub(crate) fn written(&self) -> String {
        let Self { problem, told, reports, right_lines } = self;
        let problem = problem.as_deref().unwrap_or_default().replace('\n', " ");
        format!("{reports}\t{right_lines}\t{told}\t{problem}")
    }

    pub(crate) fn read(line: &str) -> Option<Self> {
        let mut parts = line.split('\t');
        let (reports, right_lines) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let (told, problem) = (parts.next()?.to_owned(), parts.next()?);
        let problem = Some(problem.to_owned()).filter(|problem| !problem.is_empty());
        Some(Self { problem, told, reports, right_lines })
    }
}

fn is_right_line(report: &Report) -> bool {
    let lines = of(&LINES);
    let fits = |(file, from, to): &(&str, u32, u32)| {
        file.ends_with(&report.file) && (*from..=*to).contains(&report.line)
    };
    report.is_exact && lines.iter().any(fits)
}
