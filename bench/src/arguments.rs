//! The command line.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use lexopt::prelude::*;

use crate::signal::Plan;
use crate::signal::scenario::{self, Scenario};

/// The answer to `--help`.
pub(crate) const HELP: &str = "\
Measures Evenkeel beside the loop that one would write by hand.

Usage: evenkeel-bench signal [SCENARIO] [OPTIONS]
       evenkeel-bench router                  what it costs to find a command among many
       evenkeel-bench start                   from the start of a bot to its first answer
       evenkeel-bench memory                  what a bot keeps of a million idle conversations
       evenkeel-bench standin [ADDRESS]       the server alone, until it is killed

Scenarios:
  ping    throughput, CPU and latency of `!ping TOKEN` over many conversations (the default)
  order   random handler delays; counts replies out of order within a conversation

Options:
  --messages N         messages in each run
  --conversations N    how many people write
  --outstanding N      how many messages wait for their reply at any time
  --repeats N          runs of each contender, in turn
  --only NAME          run this contender alone (loop, floor, evenkeel); may be repeated
  --evenkeel PATH      the bot to measure, in place of the example `signal_bench`

Examples:
  cargo run --release -p evenkeel-bench -- signal
  cargo run --release -p evenkeel-bench -- signal ping --messages 1000000 --repeats 5
  cargo run --release -p evenkeel-bench -- signal order --conversations 1 --messages 20000

Build the bot first: cargo build --release -p evenkeel-examples --example signal_bench
";

/// What to do.
pub(crate) enum Command {
    Help,
    Signal(Plan),
    Router,
    Start,
    Memory,
    Standin(SocketAddr),
    /// Hidden: the contender `loop`, as a child of the benchmark.
    HandLoop,
    /// Hidden: the contender `floor`, as a child of the benchmark.
    Floor,
}

/// Reads the command line; an error is one line for the user.
pub(crate) fn parse(line: impl IntoIterator<Item = OsString>) -> Result<Command, lexopt::Error> {
    let mut parser = lexopt::Parser::from_iter(line);
    match parser.next()? {
        None | Some(Short('h') | Long("help")) => Ok(Command::Help),
        Some(Value(word)) => match word.string()?.as_str() {
            "signal" => signal(&mut parser),
            "router" => alone(&mut parser, Command::Router),
            "start" => alone(&mut parser, Command::Start),
            "memory" => alone(&mut parser, Command::Memory),
            "standin" => standin(&mut parser),
            "contender-loop" => Ok(Command::HandLoop),
            "contender-floor" => Ok(Command::Floor),
            other => Err(format!("there is no command `{other}`").into()),
        },
        Some(other) => Err(other.unexpected()),
    }
}

/// A command without options.
fn alone(parser: &mut lexopt::Parser, command: Command) -> Result<Command, lexopt::Error> {
    match parser.next()? {
        None => Ok(command),
        Some(Short('h') | Long("help")) => Ok(Command::Help),
        Some(other) => Err(other.unexpected()),
    }
}

/// What an option does to the defaults of a scenario.
type Change = Box<dyn FnOnce(&mut Plan)>;

fn signal(parser: &mut lexopt::Parser) -> Result<Command, lexopt::Error> {
    let mut scenario: Option<&'static Scenario> = None;
    let mut change: Vec<Change> = Vec::new();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(Command::Help),
            Long("messages") => {
                let messages = positive(parser, "--messages")?;
                change.push(Box::new(move |plan| plan.messages = messages));
            }
            Long("conversations") => {
                let conversations = positive(parser, "--conversations")?;
                change.push(Box::new(move |plan| plan.conversations = conversations));
            }
            Long("outstanding") => {
                let outstanding = positive(parser, "--outstanding")?;
                change.push(Box::new(move |plan| plan.outstanding = outstanding));
            }
            Long("repeats") => {
                let repeats = positive(parser, "--repeats")?;
                change.push(Box::new(move |plan| plan.repeats = repeats));
            }
            Long("only") => {
                let name = parser.value()?.string()?;
                if !crate::contender::NAMES.contains(&name.as_str()) {
                    return Err(format!("there is no contender `{name}`").into());
                }
                change.push(Box::new(move |plan| plan.only.push(name)));
            }
            Long("evenkeel") => {
                let path = PathBuf::from(parser.value()?);
                change.push(Box::new(move |plan| plan.evenkeel = path));
            }
            Value(word) if scenario.is_none() => {
                let word = word.string()?;
                let found = scenario::ALL.iter().find(|scenario| scenario.name == word);
                scenario = Some(found.ok_or_else(|| format!("there is no scenario `{word}`"))?);
            }
            other => return Err(other.unexpected()),
        }
    }
    // Only now is the scenario known, whose defaults the options change.
    let mut plan = Plan::of(scenario.unwrap_or(&scenario::PING));
    change.into_iter().for_each(|change| change(&mut plan));
    Ok(Command::Signal(plan))
}

fn standin(parser: &mut lexopt::Parser) -> Result<Command, lexopt::Error> {
    match parser.next()? {
        None => Ok(Command::Standin(SocketAddr::from(([127, 0, 0, 1], 8080)))),
        Some(Short('h') | Long("help")) => Ok(Command::Help),
        Some(Value(address)) => Ok(Command::Standin(address.parse()?)),
        Some(other) => Err(other.unexpected()),
    }
}

fn positive(parser: &mut lexopt::Parser, name: &str) -> Result<usize, lexopt::Error> {
    let value = parser.value()?.string()?;
    match value.replace('_', "").parse() {
        Ok(number @ 1..) => Ok(number),
        _ => Err(format!("`{name}` wants a whole number from 1, not `{value}`").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str) -> Result<Plan, String> {
        match parse(line.split(' ').map(OsString::from)) {
            Ok(Command::Signal(plan)) => Ok(plan),
            Ok(_) => Err("another command".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn options_change_the_scenarios_defaults_wherever_they_stand() {
        let plan = check("bench signal --messages 1_000 order --repeats 2").unwrap();
        assert_eq!((plan.scenario.name, plan.messages, plan.repeats), ("order", 1_000, 2));
        assert_eq!(plan.conversations, scenario::ORDER.conversations);
    }

    #[test]
    fn bad_arguments_are_named() {
        for (line, part) in [
            ("bench signal --messages none", "`--messages` wants a whole number from 1, not `none`"),
            ("bench signal --repeats 0", "`--repeats` wants"),
            ("bench signal chess", "no scenario `chess`"),
            ("bench signal --only chess", "no contender `chess`"),
            ("bench chess", "no command `chess`"),
            ("bench --chess", "--chess"),
        ] {
            let error = check(line).err().unwrap();
            assert!(error.contains(part), "{line}: {error}");
        }
    }
}
