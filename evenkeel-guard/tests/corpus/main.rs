//! The corpus: what blocks and what does not, one row one verdict. The numbers are those of the design note.
//!
//! Most rows are judged strictly, which asks no clock. Those that the watchdog has to find run on
//! [`Executor::threads`](evenkeel_guard::Executor::threads) until it has; a wait that never ends is ended by the test
//! runner's own limit.
//!
//! Rows that are done in another way than the note says:
//! - 6, a helper in another crate: the helpers are in another module, and rows 26 to 28 block inside other crates.
//! - 25, a name that does not exist: one that no server has to be asked for.
//! - 47, memory that is touched for the first time: 4 MB instead of 16, which take a slow machine 10 ms of CPU time.
//! - 58, a C library that calls `usleep`: SQLite does while it waits for a lock of its own.
//! - 60, a virtual machine that is paused: not to be had in a test; the process is stopped and continued instead.

#![cfg(all(
    feature = "hook",
    target_os = "linux",
    target_env = "gnu",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

/// Marks the author's line of a row: the next call is made here.
macro_rules! here {
    ($call:expr) => {{
        $crate::row::note(file!(), line!(), line!());
        $call
    }};
}

mod row;
mod files;
mod network;
mod waits;
mod busy;
mod fine;
mod children;
mod background;

use row::{Row, Verdict};

fn rows() -> Vec<Row> {
    let mut rows = files::rows();
    rows.extend(network::rows());
    rows.extend(waits::rows());
    rows.extend(busy::rows());
    rows.extend(fine::rows());
    rows.extend(children::rows());
    rows.sort_by_key(|row| row.number);
    rows
}

#[test]
fn every_row_has_its_verdict() {
    let _alone = row::alone();
    let mut wrong = Vec::new();
    let (mut reports, mut right_lines, mut blocking, mut found) = (0, 0, 0, 0);
    for row in rows() {
        let outcome = row.run();
        reports += outcome.reports;
        right_lines += outcome.right_lines;
        if matches!(row.verdict, Verdict::Blocks { .. }) {
            blocking += 1;
            found += usize::from(outcome.problem.is_none());
        }
        eprintln!("{:>3} {:<52} {}", row.number, row.name, outcome.told);
        wrong.extend(outcome.problem.map(|problem| format!("{} {}: {problem}", row.number, row.name)));
    }
    let rows = rows().len();
    eprintln!("rows right: {} of {rows}; blocking rows found: {found} of {blocking}", rows - wrong.len());
    eprintln!("right lines: {right_lines} of {reports} that are told");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(right_lines * 100 >= reports * 99, "{right_lines} of {reports} lines are right");
}
