//! The `evenkeel` command: a bot to try, a project to start from, a look at what runs.
#![forbid(unsafe_code)]

mod nearest;
mod help;
mod command;
mod demo;
mod standin;
mod new;
mod doctor;

use std::io::{self, Write};
use std::process::ExitCode;

use command::{Command, Misuse};

/// How a run of the command ended, if not well.
enum Failure {
    /// What was typed cannot be done: one line, exit code 2.
    Misuse(Misuse),
    /// Something went wrong on the way: the causes and the hint, exit code 1.
    Failed(evenkeel::Error),
}

impl From<Misuse> for Failure {
    fn from(misuse: Misuse) -> Self {
        Self::Misuse(misuse)
    }
}

impl From<evenkeel::Error> for Failure {
    fn from(error: evenkeel::Error) -> Self {
        Self::Failed(error)
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(Failure::Misuse(Misuse(line))) => {
            complain(&line);
            ExitCode::from(2)
        }
        Err(Failure::Failed(error)) => {
            complain(&format!("{error:?}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode, Failure> {
    match command::parse(std::env::args_os().skip(1))? {
        Command::Help(topic) => say(help::text(topic)),
        Command::Version => say(&format!("evenkeel {}\n", env!("CARGO_PKG_VERSION"))),
        Command::Demo(options) => demo::run(&options)?,
        Command::Standin { listen } => standin::run(listen)?,
        Command::New { name, directory } => new::run(&name, directory)?,
        Command::Doctor => return doctor::run(),
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes to standard output and flushes, so that whoever reads through a pipe has it now.
fn say(text: &str) {
    let mut out = io::stdout().lock();
    // A reader that is gone (`evenkeel help | head -1`) has read what it wanted.
    let _gone = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn complain(line: &str) {
    // Without standard error there is nobody to tell.
    let _gone = writeln!(io::stderr(), "evenkeel: {line}");
}
