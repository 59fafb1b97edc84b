//! The command line.

mod heart;
mod kills;
mod ports;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use lexopt::prelude::*;

use crate::contender::Keeps;
use crate::poll::Loop;
use crate::signal::Plan;
use crate::signal::freeze;
use crate::signal::scenario::{self, Scenario};

/// The answer to `--help`.
pub(crate) const HELP: &str = "\
Measures Evenkeel beside the loop that one would write by hand.

Usage: evenkeel-bench signal [SCENARIO] [OPTIONS]
       evenkeel-bench router                  what it costs to find a command among many
       evenkeel-bench start                   from the start of a bot to its first answer
       evenkeel-bench poll                    what the guard adds to a poll and to a call, in instructions
       evenkeel-bench rescue                  how long the others wait when a handler blocks
       evenkeel-bench guard [OPTIONS]         strikes, endless handlers, a wrapped call, an idle guard, memory
       evenkeel-bench memory                  what a bot keeps of a million idle conversations
       evenkeel-bench journal                 what the record on a file costs, beside a bare sync of the same disk
       evenkeel-bench heart [PART] [OPTIONS]  what the record costs in time, in work and in memory, beside its bars
       evenkeel-bench ports [PART]            deadlines while everything else stands still, `serve` beside `run`, a handle
       evenkeel-bench kills [OPTIONS]         kill -9 at random moments: what is lost, reordered, answered twice
       evenkeel-bench planted                 bugs in a model of the bot, and whether the checker of `kills` sees them
       evenkeel-bench standin [ADDRESS]       the server alone, until it is killed

Scenarios:
  ping    throughput, CPU and latency of `!ping TOKEN` over many conversations (the default)
  order   random handler delays; counts replies out of order within a conversation

Scenarios of handlers that block, by the clock, whatever is answered; pings beside the same bot at its best:
  block-1       500 messages/s, 1 % of them block for 200 ms
  block-5       the same, 5 %
  freeze        16 handlers freeze for 5 s at once, with 200 pings/s: the longest silence
  asleep        200 handlers sleep for 1 s at once
  hogs          2 handlers per core compute for 1 s of CPU at once
  driver        one handler at a time waits for a timer and blocks for 1 s, on an idle bot
  guard         throughput of `!ping` with EVENKEEL_GUARD=full and off, in turn
  guard-idle    CPU of a bot that does nothing, with both
  stuck-memory  resident memory for each of 200 handlers that are stuck
  nothing-freezes   all of these in one run, and the table

Options:
  --repeats N          runs of each contender, in turn
  --messages N         messages in each run (ping, order)
  --conversations N    how many people write (ping, order)
  --outstanding N      how many messages wait for their reply at any time (ping, order)
  --seconds N          how long block-1 and block-5 last (20; 10 within nothing-freezes)
  --short              a few seconds, Evenkeel alone: whether it works, no figures (block-1 and all below it)
  --log                show what the bots log, which is a lot (block-1 and all below it)
  --only NAME          run this contender alone (loop, floor, evenkeel); may be repeated
  --evenkeel PATH      the bot to measure, in place of `signal_bench`

Options of `guard`:
  --seconds N          how long others are asked beside endless handlers (60)
  --strict             fail for a latency that is too long, too: for a machine that does nothing else

`poll` and `guard` fail, and name the figure, when a count or a ratio exceeds the bound that is printed beside it.

Parts of `heart`, which run in this order (all of them: half an hour). A sync of the disk is printed beside each; a run beside
which others took more than 15 % of the cores is played again, and else marked NOISY:
  latency      open loop at 20 to 3,000 messages/s, in memory, on the disk, with 5 ms added to each sync
  throughput   64 and 1,024 messages outstanding: the loop, in memory, on tmpfs, on the disk
  beside       the same beside a process that keeps all cores busy, and after it
  way          commits, syncs, calls of the system and context switches for each message (wants `strace`)
  freeze       the longest silence when 16 handlers block, pings when 1 % and 5 % do, on the disk
  producers    durable messages from 32 and 1,000 producers
  recovery     100,000 pending events: from the start of the process to the first handler
  memory       a bot at rest, with a fresh journal and with one that knows 5 million messages again
  keys         a key that comes again and a new one, in a journal that knows a million messages again

Options of `heart`:
  --repeats N          runs of which the median is taken (3; `recovery` takes 5)
  --messages N         messages of each run of `throughput`, `beside` and `way` (150000)
  --short              a minute, without strace: whether it works, no figures
  --evenkeel PATH      as above

Options of `kills`:
  --rounds N           how often the bot is killed (200)
  --short              20 rounds
  --seed N             which moments, messages and conversations (1)
  --rate N             messages per second while the bot is there (1000)
  --conversations N    how many people write (50)
  --send-ms N          how long a send takes, over lines (10)
  --signal             over the Signal stand-in, which acknowledges nothing, in place of lines over TCP
  --replayed           over lines that nobody acknowledges: the network keeps all, and the bot reads on from its cursor
  --hasty              the same with a cursor that is kept before its events, which has to lose messages
  --handle             over lines that threads beside the bot have its handle say, each under an id: nothing is handled,
                       and the network drops what comes under a key that it knows, so that no answer may come twice
  --nameless           the same without ids, which has to say things twice
  --power              each end is a power cut: what was not synced is gone, or there in part
  --lie                the same on a disk that swallows each sync, which has to lose messages: else the loop is blind
  --full               the disk of the journal is full again and again, for a second or two
  --abort              some messages end the process whenever they are handled: they end as dead letters
  --memory             EVENKEEL_JOURNAL=memory, which has to lose messages: else the loop is blind
  --log                show what the bots log
  --steady             a bot of 200 lines that keeps its word, in place of Evenkeel: the loop has to be content
  --mistake NAME       the same bot with a mistake, such as `forget-sent`: the loop has to complain
  --evenkeel PATH      as above

Examples:
  cargo run --release -p evenkeel-bench -- signal
  cargo run --release -p evenkeel-bench -- signal ping --messages 1000000 --repeats 5
  cargo run --release -p evenkeel-bench -- signal order --conversations 1 --messages 20000
  cargo run --release -p evenkeel-bench -- signal block-1 --seconds 20 --repeats 5
  cargo run --release -p evenkeel-bench -- signal freeze --only evenkeel
  cargo run --release -p evenkeel-bench -- signal guard --repeats 15
  cargo run --release -p evenkeel-bench -- signal nothing-freezes
  cargo run --release -p evenkeel-bench -- signal nothing-freezes --short
  cargo run --release -p evenkeel-bench -- heart
  cargo run --release -p evenkeel-bench -- heart latency way --repeats 5

Build the bot first: cargo build --release -p evenkeel-examples --bin signal_bench
";

/// What to do.
pub(crate) enum Command {
    Help,
    Signal(Plan),
    Freeze(freeze::Plan),
    Router,
    Start,
    Memory,
    Journal,
    Poll,
    Rescue,
    /// For this many seconds, and whether latencies have to be met.
    Guard(u64, bool),
    Heart(crate::heart::Plan),
    Kills(crate::kills::Plan),
    Planted,
    /// All of them if none is named.
    Ports(Vec<crate::ports::Part>),
    /// Hidden: what `poll` runs under valgrind.
    PollLoop(Loop, u64),
    Standin(SocketAddr),
    /// Hidden: what a sync takes in that folder.
    Sync(PathBuf),
    /// Hidden: keeps all cores busy.
    Busy,
    /// Hidden: the contender `loop`, as a child of the benchmark.
    HandLoop,
    /// Hidden: the contender `steady`, as a child of the benchmark.
    Steady,
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
            "poll" => alone(&mut parser, Command::Poll),
            "rescue" => alone(&mut parser, Command::Rescue),
            "guard" => guard(&mut parser),
            "kills" => kills::read(&mut parser),
            "heart" => heart::read(&mut parser),
            "ports" => ports::read(&mut parser),
            "planted" => alone(&mut parser, Command::Planted),
            "poll-loop" => poll_loop(&mut parser),
            "journal" => alone(&mut parser, Command::Journal),
            "memory" => alone(&mut parser, Command::Memory),
            "standin" => standin(&mut parser),
            "sync" => Ok(Command::Sync(PathBuf::from(parser.value()?))),
            "busy" => Ok(Command::Busy),
            "contender-loop" => Ok(Command::HandLoop),
            "contender-steady" => Ok(Command::Steady),
            "contender-floor" => Ok(Command::Floor),
            other => Err(format!("there is no command `{other}`").into()),
        },
        Some(other) => Err(other.unexpected()),
    }
}

fn poll_loop(parser: &mut lexopt::Parser) -> Result<Command, lexopt::Error> {
    let name = parser.value()?.string()?;
    let which = Loop::named(&name).ok_or_else(|| format!("there is no loop `{name}`"))?;
    Ok(Command::PollLoop(which, parser.value()?.parse()?))
}

fn guard(parser: &mut lexopt::Parser) -> Result<Command, lexopt::Error> {
    let (mut seconds, mut is_strict) = (60, false);
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(Command::Help),
            Long("seconds") => seconds = positive(parser, "seconds")? as u64,
            Long("strict") => is_strict = true,
            other => return Err(other.unexpected()),
        }
    }
    Ok(Command::Guard(seconds, is_strict))
}

/// A command without options.
fn alone(parser: &mut lexopt::Parser, command: Command) -> Result<Command, lexopt::Error> {
    match parser.next()? {
        None => Ok(command),
        Some(Short('h') | Long("help")) => Ok(Command::Help),
        Some(other) => Err(other.unexpected()),
    }
}

/// The options of `signal`, which may stand before the scenario whose defaults they change.
#[derive(Default)]
struct Options {
    numbers: Vec<(&'static str, usize)>,
    only: Vec<String>,
    evenkeel: Option<PathBuf>,
    flags: Vec<&'static str>,
}

/// All options that take a number.
const NUMBERS: [&str; 5] = ["messages", "conversations", "outstanding", "repeats", "seconds"];
const FLAGS: [&str; 2] = ["short", "log"];

fn signal(parser: &mut lexopt::Parser) -> Result<Command, lexopt::Error> {
    let (mut word, mut options) = (None, Options::default());
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(Command::Help),
            Long("only") => {
                let name = parser.value()?.string()?;
                if !crate::contender::NAMES.contains(&name.as_str()) {
                    return Err(format!("there is no contender `{name}`").into());
                }
                options.only.push(name);
            }
            Long("evenkeel") => options.evenkeel = Some(PathBuf::from(parser.value()?)),
            Long(name) => {
                let known = |known: &&&str| **known == name;
                let (number, flag) = (NUMBERS.iter().find(known), FLAGS.iter().find(known));
                match (number, flag) {
                    (Some(number), _) => options.numbers.push((number, positive(parser, number)?)),
                    (_, Some(flag)) => options.flags.push(flag),
                    _ => return Err(Long(name).unexpected()),
                }
            }
            Value(value) if word.is_none() => word = Some(value.string()?),
            other => return Err(other.unexpected()),
        }
    }
    let word = word.unwrap_or_else(|| scenario::PING.name.to_owned());
    if let Some(found) = scenario::ALL.iter().find(|scenario| scenario.name == word) {
        return options.closed_loop(found).map(Command::Signal);
    }
    let name = freeze::find(&word).ok_or_else(|| format!("there is no scenario `{word}`"))?;
    options.freeze(name).map(Command::Freeze)
}

impl Options {
    fn closed_loop(self, scenario: &'static Scenario) -> Result<Plan, lexopt::Error> {
        let mut plan = Plan::of(scenario);
        for (option, number) in self.numbers {
            match option {
                "messages" => plan.messages = number,
                "conversations" => plan.conversations = number,
                "outstanding" => plan.outstanding = number,
                "repeats" => plan.repeats = number,
                _ => return Err(foreign(option, scenario.name)),
            }
        }
        if let Some(flag) = self.flags.first() {
            return Err(foreign(flag, scenario.name));
        }
        plan.only = self.only;
        plan.evenkeel = self.evenkeel.unwrap_or(plan.evenkeel);
        Ok(plan)
    }

    fn freeze(self, name: &'static str) -> Result<freeze::Plan, lexopt::Error> {
        let (mut seconds, mut repeats) = (None, None);
        for (option, number) in self.numbers {
            match option {
                "seconds" if freeze::is_steady(name) => seconds = Some(number),
                "repeats" => repeats = Some(number),
                _ => return Err(foreign(option, name)),
            }
        }
        Ok(freeze::Plan {
            name,
            seconds,
            repeats,
            is_short: self.flags.contains(&"short"),
            is_logged: self.flags.contains(&"log"),
            keeps: Keeps::AsTold,
            only: self.only,
            evenkeel: self.evenkeel.unwrap_or_else(crate::contender::example),
        })
    }
}

fn foreign(option: &str, scenario: &str) -> lexopt::Error {
    format!("`--{option}` is not for `{scenario}`").into()
}

fn standin(parser: &mut lexopt::Parser) -> Result<Command, lexopt::Error> {
    match parser.next()? {
        None => Ok(Command::Standin(SocketAddr::from(([127, 0, 0, 1], 8080)))),
        Some(Short('h') | Long("help")) => Ok(Command::Help),
        Some(Value(address)) => Ok(Command::Standin(address.parse()?)),
        Some(other) => Err(other.unexpected()),
    }
}

pub(super) fn positive(parser: &mut lexopt::Parser, name: &str) -> Result<usize, lexopt::Error> {
    let value = parser.value()?.string()?;
    match value.replace('_', "").parse() {
        Ok(number @ 1..) => Ok(number),
        _ => Err(format!("`--{name}` wants a whole number from 1, not `{value}`").into()),
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
            ("bench signal ping --seconds 3", "`--seconds` is not for `ping`"),
            ("bench signal order --short", "`--short` is not for `order`"),
            ("bench signal hogs --seconds 3", "`--seconds` is not for `hogs`"),
            ("bench signal hogs --messages 3", "`--messages` is not for `hogs`"),
            ("bench signal --quick", "--quick"),
            ("bench guard --seconds 0", "`--seconds` wants"),
            ("bench guard --quick", "--quick"),
            ("bench heart lungs", "`heart` has no part `lungs`"),
            ("bench heart --repeats 0", "`--repeats` wants"),
            ("bench kills --rounds 0", "`--rounds` wants"),
            ("bench kills --mistake none", "no mistake `none`"),
            ("bench kills --signal --steady", "not Signal"),
            ("bench kills --replayed --steady", "none that are read from a position"),
            ("bench kills --handle --steady", "no handle"),
            ("bench kills --handle --abort", "ends no process"),
            ("bench ports harbour", "`ports` has no part `harbour`"),
            ("bench kills --abort --steady", "never aborts"),
            ("bench chess", "no command `chess`"),
            ("bench --chess", "--chess"),
        ] {
            let error = check(line).err().unwrap();
            assert!(error.contains(part), "{line}: {error}");
        }
    }
}
