//! Every row once in every mode, and what came of it as a table.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::Arguments;
use crate::host::{Mode, unwatched};
use crate::judge::{Outcome, judge};
use crate::row::Row;
use crate::rows;

/// What was found in one mode.
#[derive(Default)]
struct Sum {
    blocking: usize,
    found: usize,
    lines: (usize, usize),
    innocent: usize,
    silent: usize,
    wrong: usize,
}

impl Sum {
    fn add(&mut self, row: &Row, outcome: &Outcome) {
        let (all, good) = if row.is_innocent() {
            (&mut self.innocent, &mut self.silent)
        } else {
            (&mut self.blocking, &mut self.found)
        };
        *all += 1;
        *good += usize::from(outcome.is_found);
        self.lines = (self.lines.0 + outcome.lines.0, self.lines.1 + outcome.lines.1);
        self.wrong += usize::from(!outcome.problems.is_empty());
    }
}

pub(crate) fn list() -> bool {
    let rows = rows::all();
    let packages: BTreeSet<_> = rows.iter().map(|row| row.package).collect();
    for row in &rows {
        println!("{:<9} {}", if row.is_innocent() { "innocent" } else { "blocks" }, row.title());
    }
    let innocent = rows.iter().filter(|row| row.is_innocent()).count();
    println!(
        "{} rows: {} block, {innocent} do not; {} crates",
        rows.len(),
        rows.len() - innocent,
        packages.len()
    );
    true
}

pub(crate) fn run(arguments: &Arguments) -> bool {
    let began = Instant::now();
    // The failures of `strict` are read, not shown.
    std::panic::set_hook(Box::new(|_| ()));
    let rows: Vec<_> = rows::all().into_iter().filter(|row| row.title().contains(&arguments.only)).collect();
    let modes: Vec<_> = Mode::ALL.into_iter().filter(|mode| mode.word().contains(&arguments.mode)).collect();
    let mut sums: Vec<_> = modes.iter().map(|_| Sum::default()).collect();
    for row in &rows {
        let value = unwatched(row);
        let mut marks = String::new();
        let mut problems = Vec::new();
        for (mode, sum) in modes.iter().zip(&mut sums) {
            if !mode.admits(row) {
                marks.push_str(" -");
                continue;
            }
            crate::row::take_lines();
            let seen = mode.run(row);
            let outcome = judge(row, *mode, &seen, value.as_deref(), arguments.lines);
            marks.push_str(if outcome.problems.is_empty() { " +" } else { " X" });
            problems.extend(outcome.problems.iter().map(|problem| format!("    {}: {problem}", mode.word())));
            sum.add(row, &outcome);
        }
        println!("{marks}  {}", row.title());
        problems.iter().for_each(|problem| println!("{problem}"));
    }
    told(&modes, &sums, began)
}

fn told(modes: &[Mode], sums: &[Sum], began: Instant) -> bool {
    println!("\n{:<12}{:>16}{:>16}{:>16}{:>8}", "mode", "found", "right lines", "silent", "wrong");
    for (mode, sum) in modes.iter().zip(sums) {
        let of = |good: usize, all: usize| format!("{good} of {all}");
        let (found, silent) = (of(sum.found, sum.blocking), of(sum.silent, sum.innocent));
        let lines = of(sum.lines.1, sum.lines.0);
        println!("{:<12}{found:>16}{lines:>16}{silent:>16}{:>8}", mode.word(), sum.wrong);
    }
    let total = |of: fn(&Sum) -> usize| sums.iter().map(of).sum::<usize>();
    let (blocking, found, wrong) =
        (total(|sum| sum.blocking), total(|sum| sum.found), total(|sum| sum.wrong));
    let (lines, right) = (total(|sum| sum.lines.0), total(|sum| sum.lines.1));
    let percent = |good: usize, all: usize| 100.0 * good as f64 / all.max(1) as f64;
    println!(
        "recall {:.2} % ({found} of {blocking}), right line {:.2} % ({right} of {lines}), wrong {wrong}; {:.0} s",
        percent(found, blocking),
        percent(right, lines),
        began.elapsed().as_secs_f64()
    );
    wrong == 0
}
