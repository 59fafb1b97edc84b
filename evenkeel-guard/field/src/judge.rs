//! Judges what the guard said of a row.

use std::path::PathBuf;
use std::time::Duration;

use evenkeel_guard::{Class, Report};

use crate::debug::leads_to;
use crate::host::{Mode, Seen};
use crate::row::{Kind, Row};

/// A wait for a lock that is shorter has no consequences.
const SHORT_WAIT: Duration = Duration::from_millis(5);

/// What the build has to tell lines from addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lines {
    /// Each report has the line of the call.
    Exact,
    /// Functions have names, and no lines.
    Names,
    /// Neither: a report has the line of its label.
    Labels,
}

impl Lines {
    pub(crate) const ALL: [Self; 3] = [Self::Exact, Self::Names, Self::Labels];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Names => "names",
            Self::Labels => "labels",
        }
    }
}

/// What is known of the program that runs.
#[derive(Debug)]
pub(crate) struct Build {
    pub(crate) lines: Lines,
    /// The file that has its debug information, where it has none itself.
    pub(crate) debug: Option<PathBuf>,
}

#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// What is wrong, one line each; empty when all is as promised.
    pub(crate) problems: Vec<String>,
    pub(crate) is_found: bool,
    /// Reports whose line counts, and those whose line is right.
    pub(crate) lines: (usize, usize),
}

pub(crate) fn judge(row: &Row, mode: Mode, seen: &Seen, value: Option<&str>, build: &Build) -> Outcome {
    let mut outcome = match row.kind {
        Kind::Harmless => harmless(seen, mode),
        Kind::Blocks { class, beside } => blocking(seen, class, beside, build, mode),
    };
    if value.is_none() {
        outcome.problems.push("it panics where nobody watches".to_owned());
    }
    if seen.value.as_deref() != value {
        outcome.problems.push(format!("the value is {:?} instead of {value:?}", seen.value));
    }
    if !outcome.problems.is_empty() {
        outcome.problems.extend(seen.reports.iter().map(described));
    }
    outcome
}

fn harmless(seen: &Seen, mode: Mode) -> Outcome {
    // `findings` has every wait for a lock, and what `strict` says is what counts.
    let is_short_wait =
        |report: &&Report| report.class == Class::Contention && (mode == Mode::Strict || report.times < 3);
    let mut problems: Vec<_> =
        seen.reports.iter().filter(|report| !is_short_wait(report)).map(false_report).collect();
    if seen.strikes > 0 {
        problems.push("a false strike".to_owned());
    }
    problems.extend(seen.failure.as_ref().map(|failure| format!("a false failure of strict: {failure}")));
    crate::row::take_lines();
    Outcome { is_found: problems.is_empty(), problems, lines: (0, 0) }
}

fn false_report(report: &Report) -> String {
    format!("a false report of {}", report.class.word())
}

fn blocking(seen: &Seen, class: Class, beside: &[Class], build: &Build, mode: Mode) -> Outcome {
    let noted = crate::row::take_lines();
    let Seen { counted, failure, .. } = seen;
    let reports = telling(&seen.reports, class);
    let is_class =
        |report: &Report, class: Class| report.class == class || is_alike(report.class, class, build.lines);
    // In quarantine a call that is short is counted, and no stack is taken.
    let is_found = reports.iter().any(|report| is_class(report, class)) || *counted > 0;
    let mut problems = Vec::new();
    if !is_found {
        problems.push(format!("no report of {}", class.word()));
    }
    let is_other = |report: &&Report| !beside.iter().chain([&class]).any(|class| is_class(report, *class));
    problems.extend(
        reports.iter().copied().filter(is_other).map(|report| format!("{} besides", report.class.word())),
    );
    let lines = judged_lines(&reports, &noted, build, mode);
    if lines.1 < lines.0 {
        problems.push(format!("the line is one of {noted:?}"));
    }
    let has_to_fail = mode == Mode::Strict && cfg!(panic = "unwind") && class != Class::Contention;
    if has_to_fail && failure.as_ref().is_none_or(|text| !text.contains("block")) {
        problems.push(format!("strict said {failure:?}"));
    }
    Outcome { problems, is_found, lines }
}

/// Of how many reports the line counts, and of how many it is right.
fn judged_lines(reports: &[&Report], noted: &[(&str, u32)], build: &Build, mode: Mode) -> (usize, usize) {
    let is_right = |report: &&&Report| match (build.lines, &build.debug) {
        (Lines::Exact, _) => report.is_exact && noted.iter().any(|noted| is_at(report, *noted)),
        (_, Some(file)) => leads_to(report, file, noted),
        _ => true,
    };
    // Of a call in quarantine that is over at once, no stack is taken.
    let has_stack = |report: &&&Report| match build.lines {
        Lines::Exact => mode != Mode::Quarantine || report.is_exact,
        _ => build.debug.is_some() && !report.addresses.is_empty(),
    };
    let judged = reports.iter().filter(has_stack);
    (judged.clone().count(), judged.filter(is_right).count())
}

/// The reports that say something about the handler.
fn telling(reports: &[Report], class: Class) -> Vec<&Report> {
    // What ends the handler's wait may hold a lock of the same channel a little longer.
    let is_short_wait = |report: &Report| {
        class != Class::Contention && report.class == Class::Contention && report.elapsed < SHORT_WAIT
    };
    // Of a busy poll there may be the bare fact and a look at it; then the look tells.
    let is_looked_at = reports.iter().any(|report| report.class.is_busy() && report.is_exact);
    let is_bare = |report: &Report| is_looked_at && report.class.is_busy() && !report.is_exact;
    reports.iter().filter(|report| !is_short_wait(report) && !is_bare(report)).collect()
}

/// Whether a report names this line. Both paths begin somewhere else: that of the report where the program was started.
pub(crate) fn is_at(report: &Report, (file, line): (&str, u32)) -> bool {
    (report.file.ends_with(file) || file.ends_with(&report.file)) && report.line == line
}

/// Without names of functions, a wait is a wait: the system has one call for all of them.
fn is_alike(seen: Class, expected: Class, lines: Lines) -> bool {
    const WAITS: &[Class] = &[Class::Wait, Class::Contention, Class::Join];
    const SOCKETS: &[Class] = &[Class::Lookup, Class::Network];
    let both = |group: &[Class]| group.contains(&seen) && group.contains(&expected);
    let is_busy = seen.is_busy() && expected.is_busy();
    lines == Lines::Labels && (both(WAITS) || both(SOCKETS) || is_busy || seen == Class::Unknown)
}

fn described(report: &Report) -> String {
    let frames = report.path.iter().map(|frame| format!("\n        {frame}")).collect::<String>();
    format!("  [{}] {report}{frames}", report.class.word())
}
