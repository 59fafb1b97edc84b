//! The guard among other people's crates: what blocks is found, with its line; what does not is left alone.
//!
//! A program and no test, since `cargo test` ignores `panic = "abort"`. `run.sh` builds and runs it in every profile that
//! the guard's README names.
#![allow(clippy::unwrap_used, reason = "rows show handlers as people write them")]

mod row;
mod host;
mod debug;
mod judge;
mod server;
#[cfg(feature = "large")]
mod database_server;
mod rows;
mod table;
mod load;
mod harmless;
mod suite;
#[cfg(feature = "large")]
mod samples;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use lexopt::prelude::*;

use judge::Lines;

const USAGE: &str = "\
field rows [--lines exact|names|labels] [--debug FILE] [--only TEXT] [--mode MODE,..]   every row once in every mode
field harmless --polls N [--seed S] [--slice I/N]                     harmless rows on a loaded machine
field suite [--runs N]                                                a suite of 16 threads under strict
field samples [--only TEXT]                                           what was once wrong
field list                                                            the table";

/// What the command line says.
#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) lines: Lines,
    /// The file with the debug information of this program, where it was stripped.
    pub(crate) debug: Option<PathBuf>,
    pub(crate) only: String,
    pub(crate) mode: String,
    pub(crate) polls: u64,
    pub(crate) seed: u64,
    pub(crate) slice: (u64, u64),
    pub(crate) runs: u32,
    /// Rows that have run already.
    pub(crate) skip: usize,
    pub(crate) length: Duration,
}

fn main() -> ExitCode {
    let code = match arguments() {
        Ok((command, arguments)) => run(&command, &arguments),
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            ExitCode::from(2)
        }
    };
    // What is in it is of no more use; a folder that is gone is what is wanted.
    let _gone = std::fs::remove_dir_all(row::folder());
    code
}

fn run(command: &str, arguments: &Arguments) -> ExitCode {
    let is_well = match command {
        "rows" => table::run(arguments),
        "rows-here" => table::run_here(arguments),
        "harmless" => harmless::run(arguments),
        "suite" => suite::run(arguments),
        "suite-once" => suite::once(arguments),
        #[cfg(feature = "large")]
        "samples" => samples::run(arguments),
        #[cfg(feature = "large")]
        "sample" => samples::one(arguments),
        "busy" => load::be_busy(arguments),
        "list" => table::list(),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn arguments() -> Result<(String, Arguments), lexopt::Error> {
    let mut command = String::new();
    let mut arguments = Arguments {
        lines: Lines::Exact,
        debug: None,
        only: String::new(),
        mode: String::new(),
        polls: 300_000,
        seed: 1,
        slice: (1, 1),
        runs: 200,
        skip: 0,
        length: Duration::from_secs(60),
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("lines") => {
                let word = parser.value()?.string()?;
                let found = Lines::ALL.into_iter().find(|lines| lines.word() == word);
                arguments.lines = found.ok_or("lines are exact, names or labels")?;
            }
            Long("debug") => arguments.debug = Some(parser.value()?.into()),
            Long("only") => arguments.only = parser.value()?.string()?,
            Long("mode") => arguments.mode = parser.value()?.string()?,
            Long("polls") => arguments.polls = parser.value()?.parse()?,
            Long("seed") => arguments.seed = parser.value()?.parse()?,
            Long("skip") => arguments.skip = parser.value()?.parse()?,
            Long("runs") => arguments.runs = parser.value()?.parse()?,
            Long("seconds") => arguments.length = Duration::from_secs(parser.value()?.parse()?),
            Long("slice") => {
                let text = parser.value()?.string()?;
                let slice =
                    text.split_once('/').and_then(|(one, all)| Some((one.parse().ok()?, all.parse().ok()?)));
                let is_whole = |(one, all): &(u64, u64)| (1..=*all).contains(one);
                arguments.slice = slice.filter(is_whole).ok_or("a slice is like 3/10")?;
            }
            Value(word) if command.is_empty() => command = word.string()?,
            other => return Err(other.unexpected()),
        }
    }
    Ok((command, arguments))
}
