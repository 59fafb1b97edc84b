//! The `evenkeel` command: a bot to try, a project to start from, a look at what runs, a hand in its journal.
#![forbid(unsafe_code)]

mod nearest;
mod terminal;
mod help;
mod command;
mod demo;
mod standin;
mod new;
mod place;
mod table;
mod doctor;
mod dead;
mod jobs;
mod console;
mod lines;

use std::process::ExitCode;

use command::Command;
use terminal::{Failure, Misuse, complain, say};

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
        Command::Help(topic) => say(help::text(topic))?,
        Command::Version => say(&format!("evenkeel {}\n", env!("CARGO_PKG_VERSION")))?,
        Command::Demo(options) => demo::run(&options)?,
        Command::Standin { listen } => standin::run(listen)?,
        Command::New { name, directory } => new::run(&name, directory)?,
        Command::Doctor => return doctor::run(),
        Command::Dead { journal, action } => return dead::run(journal, action),
        Command::Console { journal } => return console::run(journal),
        Command::Lines { file, addresses } => return lines::run(&file, &addresses),
        Command::Jobs { journal, action } => return jobs::run(journal, action),
    }
    Ok(ExitCode::SUCCESS)
}
