//! Every row once in every mode, and what came of it as a table.
//!
//! The rows run in a process of their own, so that one that ends its process, or hangs, is a row that is wrong.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::Arguments;
use crate::host::{Mode, unwatched};
use crate::judge::{Build, Lines, Outcome, judge};
use crate::row::Row;
use crate::rows;

/// Longer than any row takes in any mode, on a busy machine.
const HANGS: Duration = Duration::from_secs(180);
/// Begins a line by which the process of the rows tells what came of one of them.
const TOLD: &str = "told\t";
/// Stands for the ends of lines within one.
const BREAK: char = '\u{1f}';

/// What was found in one mode.
#[derive(Default)]
struct Sum {
    blocking: usize,
    found: usize,
    lines: (usize, usize),
    harmless: usize,
    silent: usize,
    wrong: usize,
}

impl Sum {
    fn add(&mut self, row: &Row, outcome: &Outcome) {
        let (all, good) = if row.is_harmless() {
            (&mut self.harmless, &mut self.silent)
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
        println!("{:<9} {}", if row.is_harmless() { "harmless" } else { "blocks" }, row.title());
    }
    let harmless = rows.iter().filter(|row| row.is_harmless()).count();
    println!(
        "{} rows: {} block, {harmless} do not; {} crates",
        rows.len(),
        rows.len() - harmless,
        packages.len()
    );
    true
}

fn rows_and_modes(arguments: &Arguments) -> (Vec<Row>, Vec<Mode>) {
    let rows = rows::all().into_iter().filter(|row| row.title().contains(&arguments.only)).collect();
    // `strict` is for tests, which unwind, and whose programs have names.
    let has_tests = cfg!(panic = "unwind") && arguments.lines != Lines::Labels;
    let modes = Mode::ALL.into_iter().filter(|mode| mode.is_in(&arguments.mode));
    let modes = modes.filter(|mode| has_tests || *mode != Mode::Strict).collect();
    (rows, modes)
}

/// Runs the rows from the first that is left on, and says of each what came of it.
pub(crate) fn run_here(arguments: &Arguments) -> bool {
    // The failures of `strict` are read, not shown.
    std::panic::set_hook(Box::new(|_| ()));
    let (rows, modes) = rows_and_modes(arguments);
    let build = Build { lines: arguments.lines, debug: arguments.debug.clone() };
    for (number, row) in rows.iter().enumerate().skip(arguments.skip) {
        let value = unwatched(row);
        for mode in modes.iter().filter(|mode| mode.admits(row)) {
            crate::row::take_lines();
            let seen = mode.run(row);
            let outcome = judge(row, *mode, &seen, value.as_deref(), &build);
            println!("{TOLD}{number}\t{}\t{}", mode.word(), outcome.written());
        }
    }
    true
}

pub(crate) fn run(arguments: &Arguments) -> bool {
    let began = Instant::now();
    let (rows, modes) = rows_and_modes(arguments);
    let mut outcomes: Vec<Vec<Option<Outcome>>> =
        rows.iter().map(|_| modes.iter().map(|_| None).collect()).collect();
    let mut shown = 0;
    while shown < rows.len() {
        let mut place = (shown, 0);
        let end = process(arguments, shown, |number, mode, outcome| {
            let at = modes.iter().position(|one| one.word() == mode).expect("a mode of this program");
            place = (number, at);
            outcomes[number][at] = Some(outcome);
            while shown < number {
                show(&rows[shown], &modes, &outcomes[shown]);
                shown += 1;
            }
        });
        if let Some(end) = end {
            let (row, mode) = next(&rows, &modes, place, &outcomes);
            outcomes[row][mode] = Some(Outcome { problems: vec![end], ..Outcome::default() });
            shown = shown.max(row);
        }
        show(&rows[shown], &modes, &outcomes[shown]);
        shown += 1;
    }
    told(&rows, &modes, &outcomes, began)
}

/// The row and mode that ended the process: the one after the last that was told.
fn next(
    rows: &[Row],
    modes: &[Mode],
    last: (usize, usize),
    outcomes: &[Vec<Option<Outcome>>],
) -> (usize, usize) {
    let places = (last.0..rows.len()).flat_map(|row| (0..modes.len()).map(move |mode| (row, mode)));
    let mut after = places.skip_while(|place| *place < last);
    let is_next =
        |(row, mode): &(usize, usize)| outcomes[*row][*mode].is_none() && modes[*mode].admits(&rows[*row]);
    after.find(is_next).unwrap_or(last)
}

/// Runs the rows in a process of their own. Answers how it ended, when that was not well.
fn process(arguments: &Arguments, skip: usize, mut told: impl FnMut(usize, &str, Outcome)) -> Option<String> {
    let program = std::env::current_exe().expect("the path of this program");
    let mut child = Command::new(program)
        // What it leaves goes with this process's own.
        .env("TMPDIR", crate::row::folder())
        .args(["rows-here", "--skip", &skip.to_string(), "--lines", arguments.lines.word()])
        .args(["--only", &arguments.only, "--mode", &arguments.mode])
        .args(arguments.debug.iter().flat_map(|file| ["--debug".as_ref(), file.as_os_str()]))
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program starts once more");
    let lines = lines_of(child.stdout.take().expect("it is a pipe"));
    while let Ok(line) = lines.recv_timeout(HANGS) {
        let mut parts = line.strip_prefix(TOLD).unwrap_or_default().splitn(3, '\t');
        let number = parts.next().and_then(|number| number.parse().ok());
        if let (Some(number), Some(mode), Some(outcome)) =
            (number, parts.next(), parts.next().and_then(Outcome::read))
        {
            told(number, mode, outcome);
        }
    }
    // It has ended, or says nothing any more.
    let is_hanging = matches!(child.try_wait(), Ok(None)) && {
        thread::sleep(Duration::from_secs(1));
        matches!(child.try_wait(), Ok(None))
    };
    if is_hanging {
        child.kill().expect("it is this process's child");
    }
    let status = child.wait().expect("it is this process's child");
    (!status.success())
        .then(|| if is_hanging { "it hangs".to_owned() } else { format!("its process ended: {status}") })
}

/// Lines as they come; ends with the process that writes them.
fn lines_of(output: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (told, lines) = channel();
    thread::spawn(move || {
        BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| told.send(line))
    });
    lines
}

impl Outcome {
    /// As one line, for the process that sums up.
    fn written(&self) -> String {
        let problems = self.problems.join("\n").replace('\n', &BREAK.to_string());
        format!("{}\t{}\t{}\t{problems}", self.is_found, self.lines.0, self.lines.1)
    }

    fn read(line: &str) -> Option<Self> {
        let mut parts = line.splitn(4, '\t');
        let is_found = parts.next()? == "true";
        let lines = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let problems = parts.next()?.split(BREAK).filter(|problem| !problem.is_empty()).map(str::to_owned);
        Some(Self { is_found, lines, problems: problems.collect() })
    }
}

fn show(row: &Row, modes: &[Mode], outcomes: &[Option<Outcome>]) {
    let mark = |outcome: &Option<Outcome>| match outcome {
        None => " -",
        Some(outcome) if outcome.problems.is_empty() => " +",
        Some(_) => " X",
    };
    println!("{}  {}", outcomes.iter().map(mark).collect::<String>(), row.title());
    for (mode, outcome) in modes.iter().zip(outcomes) {
        let problems = outcome.iter().flat_map(|outcome| &outcome.problems);
        problems.for_each(|problem| println!("    {}: {problem}", mode.word()));
    }
}

fn told(rows: &[Row], modes: &[Mode], outcomes: &[Vec<Option<Outcome>>], began: Instant) -> bool {
    let mut sums: Vec<_> = modes.iter().map(|_| Sum::default()).collect();
    for (row, outcomes) in rows.iter().zip(outcomes) {
        let each = sums.iter_mut().zip(outcomes);
        each.for_each(|(sum, outcome)| outcome.iter().for_each(|outcome| sum.add(row, outcome)));
    }
    println!("\n{:<12}{:>16}{:>16}{:>16}{:>8}", "mode", "found", "right lines", "silent", "wrong");
    for (mode, sum) in modes.iter().zip(&sums) {
        let of = |good: usize, all: usize| format!("{good} of {all}");
        let (found, silent) = (of(sum.found, sum.blocking), of(sum.silent, sum.harmless));
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
