//! Tests: whatever blocks fails them, by a verdict that does not depend on how busy the machine is.

use std::collections::HashSet;
use std::fmt::Write;
use std::future::{Future, poll_fn};
use std::panic::Location;
use std::pin::pin;
use std::sync::Arc;

use crate::guest::Guests;
use crate::options::Options;
use crate::pool::Tag;
use crate::report::{Class, Label, Report};
use crate::slot::Role;

/// So often one place may wait for a lock in one test.
const WAITS: u64 = 3;

/// Polls `future` strictly: once it has ended, panics if it blocked, with every place that did, the line, and what to
/// write instead.
///
/// What counts is which calls were made, where, and how much CPU time a poll took (10 ms; 100 ms without optimization,
/// where code is slower): no clock on the wall is asked. A wait for a lock counts when one place has waited three times,
/// since a lock is now and then held by a thread that the machine has put aside. Tasks that the future spawns are not
/// seen; [`Executor::strict`](crate::Executor::strict) sees its own.
///
/// The message begins with the place where `strict` was called: the panic itself is raised in this crate, when the
/// future has ended. A future that panics fails the test with its own panic, and what blocked before is lost.
///
/// ```no_run
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(
/// evenkeel_guard::strict(async { std::thread::sleep(std::time::Duration::from_micros(1)) })
/// # );
/// ```
///
/// # Panics
///
/// When the future blocked; when it panics itself.
///
/// # Cancel safety
///
/// As the future's. What was found is not told then.
#[track_caller]
pub fn strict<F: Future>(future: F) -> impl Future<Output = F::Output> {
    strict_with(options(), future)
}

/// [`strict`], told in detail: what is allowed, and when a poll counts as busy.
///
/// # Panics
///
/// When the future blocked; when it panics itself.
///
/// # Cancel safety
///
/// As the future's. What was found is not told then.
#[track_caller]
pub fn strict_with<F: Future>(options: Options, future: F) -> impl Future<Output = F::Output> {
    let location = Location::caller();
    async move {
        let (output, reports) = watched(&options, Label::at(test_name(), location), future).await;
        let failures = failures(reports);
        let test = format!(" in the test at {}:{}", location.file(), location.line());
        assert!(failures.is_empty(), "{}", places(&failures, &test));
        output
    }
}

/// Polls `future` as [`strict`] does, and hands over what was found instead of panicking: short waits for a lock, too.
///
/// A poll that keeps a core busy is told at its line where that was seen, else once at the label's line, with `is_exact`
/// false. Where the future panics, what was found is lost.
///
/// # Cancel safety
///
/// As the future's.
#[track_caller]
pub fn findings<F: Future>(options: Options, future: F) -> impl Future<Output = (F::Output, Vec<Report>)> {
    let location = Location::caller();
    async move { watched(&options, Label::at(test_name(), location), future).await }
}

async fn watched<F: Future>(options: &Options, label: Label, future: F) -> (F::Output, Vec<Report>) {
    let guests = Guests::new(options, Role::Strict);
    let tag = Tag::new(guests.watch.registry.command(&label));
    let mut future = pin!(future);
    let output = poll_fn(|cx| guests.watching(&tag, || future.as_mut().poll(cx))).await;
    let watch = Arc::clone(&guests.watch);
    watch.reporter.flush();
    (output, without_doubles(watch.reporter.reports()))
}

/// What a strict executor goes by unless told.
pub(crate) fn options() -> Options {
    Options::default().with_strictness()
}

/// Those of the reports that have to fail a test.
pub(crate) fn failures(reports: Vec<Report>) -> Vec<Report> {
    let counts = |report: &Report| match report.class {
        // A lock that the author never sees cannot be held for too long by the author.
        Class::Contention => report.times >= WAITS && !report.is_inner_lock,
        Class::Output => report.times >= WAITS,
        _ => true,
    };
    without_doubles(reports).into_iter().filter(counts).collect()
}

/// A busy poll is told by its CPU time alone, and by the watchdog if that came in time. Where it has seen the line, the bare
/// fact is told already.
fn without_doubles(mut reports: Vec<Report>) -> Vec<Report> {
    let seen = reports.iter().filter(|report| report.class.is_busy() && report.is_exact);
    let seen: HashSet<String> = seen.map(|report| report.name.clone()).collect();
    reports
        .retain(|report| report.class != Class::Compute || report.is_exact || !seen.contains(&report.name));
    reports
}

/// Says all of [`Executor::failures`](crate::Executor::failures), for the person whose test has failed.
pub fn told(failures: &[Report]) -> String {
    places(failures, "")
}

/// The same; `of_what` says where they were found, after a space.
fn places(failures: &[Report], of_what: &str) -> String {
    let count =
        if failures.len() == 1 { "1 place blocks" } else { &format!("{} places block", failures.len()) };
    let mut text = format!("{count}{of_what}; no other future is polled meanwhile:\n");
    for (number, report) in failures.iter().enumerate() {
        let Report { name, call, file, line, times, advice, .. } = report;
        let often = if *times == 1 { String::new() } else { format!(", {times} times") };
        // Writing to a string does not fail.
        let _written = writeln!(text, "\n{}. {call} at {file}:{line} in `{name}`{often}", number + 1);
        for frame in report.callers().iter().skip(1) {
            let _written = writeln!(text, "     <- {frame}");
        }
        let _written = writeln!(text, "   {advice}");
    }
    text
}

fn test_name() -> String {
    let thread = std::thread::current();
    thread.name().filter(|name| *name != "main").unwrap_or("test").to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn report(name: &str, class: Class, is_exact: bool) -> Report {
        Report {
            number: 1,
            name: name.into(),
            class,
            call: "more than 10 ms of CPU time".into(),
            file: "src/main.rs".into(),
            line: 3,
            is_exact,
            path: Vec::new(),
            elapsed: Duration::from_millis(50),
            is_over: true,
            times: 1,
            taken_over: None,
            strikes: 0,
            advice: "compute elsewhere".into(),
            addresses: Vec::new(),
            build_id: None,
            is_inner_lock: false,
        }
    }

    #[test]
    fn a_busy_poll_whose_line_was_seen_is_told_once() {
        for seen in [Class::Compute, Class::AlwaysReady] {
            let reports = vec![
                report("a", Class::Compute, false),
                report("b", Class::Compute, false),
                report("a", seen, true),
            ];
            let left = without_doubles(reports);
            let left: Vec<_> = left.iter().map(|report| (&*report.name, report.is_exact)).collect();
            assert_eq!(left, [("b", false), ("a", true)], "{seen:?}");
        }
    }

    #[test]
    fn the_place_of_the_test_stands_in_the_first_line() {
        let failures = [report("a", Class::Sleep, true)];
        assert!(
            places(&failures, " in the test at a.rs:3")
                .starts_with("1 place blocks in the test at a.rs:3; no other")
        );
        assert!(told(&failures).starts_with("1 place blocks; no other"));
    }
}
