//! Every ratio that Evenkeel claims, printed by one command, side by side with the loop one would write by hand.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "printing the table is what the program is for")]

mod bound;
mod preload;
mod random;
mod contender;
mod signal;
mod journal;
mod kills;
mod heart;
mod ports;
mod router;
mod poll;
mod memory;
mod start;
mod rescue;
mod guard;
mod arguments;

use std::process::ExitCode;
use std::time::Duration;

use arguments::Command;

fn main() -> ExitCode {
    let command = match arguments::parse(std::env::args_os()) {
        Ok(command) => command,
        Err(message) => {
            eprintln!("evenkeel-bench: {message} (try `--help`)");
            return ExitCode::from(2);
        }
    };
    let done = match command {
        Command::Help => {
            print!("{}", arguments::HELP);
            Ok(())
        }
        Command::Router => {
            router::run();
            Ok(())
        }
        Command::Start => start::run(),
        Command::Journal => journal::run(),
        Command::Memory => memory::run(),
        Command::Poll => poll::run(),
        Command::Rescue => rescue::run(),
        Command::Guard(seconds, is_strict) => guard::run(Duration::from_secs(seconds), is_strict),
        Command::Heart(plan) => heart::run(&plan),
        Command::Sync(folder) => heart::disk::print(&folder),
        Command::Busy => heart::beside::busy(),
        Command::Kills(plan) => kills::run(&plan),
        Command::Ports(only) => ports::run(&only),
        Command::Planted => kills::planted::run(),
        Command::PollLoop(which, polls) => {
            which.run(polls);
            Ok(())
        }
        Command::Signal(plan) => signal::run(&plan),
        Command::Freeze(plan) => signal::freeze::run(&plan),
        Command::HandLoop => contender::hand_loop::run(),
        Command::Steady => contender::steady::run(),
        Command::Floor => contender::floor::run(),
        Command::Standin(address) => signal::serve(address),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("evenkeel-bench: {error}");
            ExitCode::FAILURE
        }
    }
}
