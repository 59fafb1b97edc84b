//! What was typed becomes what is to be done, or one line that says what to type instead.

mod operator;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use lexopt::{Arg, Parser, ValueExt};

use crate::help::{COMMANDS, Topic};
use crate::nearest::nearest;
use crate::terminal::Misuse;

pub(crate) use operator::{Chosen, DeadAction, JobAction};

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Help(Topic),
    Version,
    Demo(DemoOptions),
    Standin { listen: Option<SocketAddr> },
    New { name: String, directory: Option<PathBuf> },
    Doctor,
    Dead { journal: Option<PathBuf>, action: DeadAction },
    Jobs { journal: Option<PathBuf>, action: JobAction },
    Console { journal: Option<PathBuf> },
    Lines { file: PathBuf, addresses: Vec<u64> },
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct DemoOptions {
    /// `None` leaves the choice to the demo.
    pub(crate) listen: Option<String>,
    pub(crate) is_browser_unwanted: bool,
}

pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, Misuse> {
    let mut parser = Parser::from_args(arguments);
    match next(&mut parser, Topic::Everything)? {
        None | Some(Arg::Short('h') | Arg::Long("help")) => Ok(Command::Help(Topic::Everything)),
        Some(Arg::Short('V') | Arg::Long("version")) => Ok(Command::Version),
        Some(Arg::Value(name)) => match name.to_string_lossy().as_ref() {
            "demo" => demo(&mut parser),
            "new" => new(&mut parser),
            "doctor" => doctor(&mut parser),
            "dead" => operator::dead(&mut parser),
            "jobs" => operator::jobs(&mut parser),
            "console" => console(&mut parser),
            "lines" => lines(&mut parser),
            "help" => help(&mut parser),
            other => Err(unknown_command(other)),
        },
        Some(option) => Err(unknown(&option, &["--help", "--version"], Topic::Everything)),
    }
}

fn help(parser: &mut Parser) -> Result<Command, Misuse> {
    match next(parser, Topic::Everything)? {
        None | Some(Arg::Short('h') | Arg::Long("help")) => Ok(Command::Help(Topic::Everything)),
        Some(Arg::Value(name)) => {
            let name = name.to_string_lossy();
            Topic::of(&name).map(Command::Help).ok_or_else(|| unknown_command(&name))
        }
        Some(option) => Err(unknown(&option, &["--help"], Topic::Everything)),
    }
}

fn demo(parser: &mut Parser) -> Result<Command, Misuse> {
    let topic = Topic::Demo;
    let (mut options, mut standin) = (DemoOptions::default(), None);
    while let Some(argument) = next(parser, topic)? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help(topic)),
            Arg::Long("listen") => options.listen = Some(text(parser, "--listen 127.0.0.1:8787")?),
            Arg::Long("no-open") => options.is_browser_unwanted = true,
            Arg::Long("standin") => standin = Some(address(parser)?),
            other => return Err(unknown(&other, &["--listen", "--no-open", "--standin", "--help"], topic)),
        }
    }
    match standin {
        None => Ok(Command::Demo(options)),
        Some(None) if options.listen.is_some() => Err(Misuse(
            "with `--standin` there is no page: write `--standin ADDRESS:PORT` in place of `--listen`".into(),
        )),
        Some(listen) => Ok(Command::Standin { listen }),
    }
}

fn new(parser: &mut Parser) -> Result<Command, Misuse> {
    let topic = Topic::New;
    let (mut name, mut directory) = (None, None);
    while let Some(argument) = next(parser, topic)? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help(topic)),
            Arg::Long("path") => directory = Some(PathBuf::from(text(parser, "--path bots/my-bot")?)),
            Arg::Value(value) if name.is_none() => name = Some(value.to_string_lossy().into_owned()),
            other => return Err(unknown(&other, &["--path", "--help"], topic)),
        }
    }
    let name = name.ok_or_else(|| Misuse("the project needs a name: type `evenkeel new my-bot`".into()))?;
    Ok(Command::New { name, directory })
}

fn doctor(parser: &mut Parser) -> Result<Command, Misuse> {
    match next(parser, Topic::Doctor)? {
        None => Ok(Command::Doctor),
        Some(Arg::Short('h') | Arg::Long("help")) => Ok(Command::Help(Topic::Doctor)),
        Some(other) => Err(unknown(&other, &["--help"], Topic::Doctor)),
    }
}

fn console(parser: &mut Parser) -> Result<Command, Misuse> {
    let (topic, mut journal) = (Topic::Console, None);
    while let Some(argument) = next(parser, topic)? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help(topic)),
            Arg::Long("journal") => journal = Some(PathBuf::from(text(parser, "--journal evenkeel.db")?)),
            other => return Err(unknown(&other, &["--journal", "--help"], topic)),
        }
    }
    Ok(Command::Console { journal })
}

fn lines(parser: &mut Parser) -> Result<Command, Misuse> {
    let (topic, mut file, mut addresses) = (Topic::Lines, None, Vec::new());
    while let Some(argument) = next(parser, topic)? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help(topic)),
            Arg::Value(value) if file.is_none() => file = Some(PathBuf::from(value)),
            Arg::Value(value) => addresses.push(code_address(&value.to_string_lossy())?),
            other => return Err(unknown(&other, &["--help"], topic)),
        }
    }
    match file {
        Some(file) if !addresses.is_empty() => Ok(Command::Lines { file, addresses }),
        _ => Err(Misuse("a file and an address are needed: type `evenkeel lines shop.debug 0x1a2b3`".into())),
    }
}

/// `0x1a2b3`, alone or behind the name of its file.
fn code_address(typed: &str) -> Result<u64, Misuse> {
    let number = typed.rsplit_once('+').map_or(typed, |(_, number)| number);
    let digits = number.strip_prefix("0x").unwrap_or(number);
    u64::from_str_radix(digits, 16).map_err(|_| {
        Misuse(format!("`{typed}` is no address: write it as a report has it, such as `0x1a2b3`"))
    })
}

pub(super) fn next(parser: &mut Parser, topic: Topic) -> Result<Option<Arg<'_>>, Misuse> {
    parser.next().map_err(|error| Misuse(format!("{error}: see `{}`", topic.invocation())))
}

pub(super) fn text(parser: &mut Parser, example: &str) -> Result<String, Misuse> {
    let value = parser.value().and_then(|value| value.string());
    value.map_err(|error| Misuse(format!("{error}: write `{example}`")))
}

/// The value of `--standin`, which may be missing.
fn address(parser: &mut Parser) -> Result<Option<SocketAddr>, Misuse> {
    let attached = parser.optional_value();
    let value = attached.or_else(|| {
        let mut rest = parser.raw_args().ok()?;
        rest.next_if(|next| !next.to_string_lossy().starts_with('-'))
    });
    let Some(value) = value else { return Ok(None) };
    let value = value.to_string_lossy();
    let address = value
        .parse()
        .map_err(|_| Misuse(format!("`{value}` is no address: write `--standin 127.0.0.1:8080`")));
    address.map(Some)
}

fn unknown_command(name: &str) -> Misuse {
    match nearest(name, COMMANDS) {
        Some(near) => Misuse(format!("there is no command `{name}`: did you mean `evenkeel {near}`?")),
        None => Misuse(format!("there is no command `{name}`: the commands are `{}`", COMMANDS.join("`, `"))),
    }
}

pub(super) fn unknown(argument: &Arg<'_>, known: &[&'static str], topic: Topic) -> Misuse {
    let (what, typed) = match argument {
        Arg::Short(letter) => ("option", format!("-{letter}")),
        Arg::Long(name) => ("option", format!("--{name}")),
        Arg::Value(value) => {
            return Misuse(format!(
                "`{}` is one word too many: see `{}`",
                value.display(),
                topic.invocation()
            ));
        }
    };
    match nearest(&typed, known.iter().copied()) {
        Some(near) => Misuse(format!("there is no {what} `{typed}`: did you mean `{near}`?")),
        None => Misuse(format!("there is no {what} `{typed}`: see `{}`", topic.invocation())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(line: &str) -> Result<Command, Misuse> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn what_is_typed_is_understood() {
        let demo = DemoOptions { listen: Some("[::1]:0".into()), is_browser_unwanted: true };
        let directory = Some(PathBuf::from("there"));
        for (line, command) in [
            ("", Command::Help(Topic::Everything)),
            ("help demo", Command::Help(Topic::Demo)),
            ("new --help", Command::Help(Topic::New)),
            ("-V", Command::Version),
            ("demo", Command::Demo(DemoOptions::default())),
            ("demo --no-open --listen [::1]:0", Command::Demo(demo)),
            ("demo --standin", Command::Standin { listen: None }),
            ("demo --standin 127.0.0.1:1 --no-open", Command::Standin { listen: "127.0.0.1:1".parse().ok() }),
            ("new shop --path there", Command::New { name: "shop".into(), directory }),
            ("doctor", Command::Doctor),
            ("console", Command::Console { journal: None }),
            ("console --journal a.db", Command::Console { journal: Some("a.db".into()) }),
            ("help console", Command::Help(Topic::Console)),
            (
                "lines a.debug 0x1F shop+0x20 30",
                Command::Lines { file: "a.debug".into(), addresses: vec![31, 32, 48] },
            ),
            ("lines --help", Command::Help(Topic::Lines)),
        ] {
            assert_eq!(typed(line), Ok(command), "{line}");
        }
    }

    #[test]
    fn what_is_not_understood_is_told_in_one_line_with_what_to_type() {
        for (line, says) in [
            ("dmeo", "there is no command `dmeo`: did you mean `evenkeel demo`?"),
            (
                "frobnicate",
                "there is no command `frobnicate`: the commands are `demo`, `new`, `doctor`, `dead`, `jobs`, `console`, `lines`, `help`",
            ),
            ("demo --lisen x", "there is no option `--lisen`: did you mean `--listen`?"),
            ("demo --standin here", "`here` is no address: write `--standin 127.0.0.1:8080`"),
            ("demo --listen", "missing argument for option '--listen': write `--listen 127.0.0.1:8787`"),
            ("demo now", "`now` is one word too many: see `evenkeel demo --help`"),
            ("new", "the project needs a name: type `evenkeel new my-bot`"),
            ("lines", "a file and an address are needed: type `evenkeel lines shop.debug 0x1a2b3`"),
            ("lines a.debug", "a file and an address are needed: type `evenkeel lines shop.debug 0x1a2b3`"),
            ("lines a.debug shop", "`shop` is no address: write it as a report has it, such as `0x1a2b3`"),
            ("console here", "`here` is one word too many: see `evenkeel console --help`"),
            ("console --jurnal x", "there is no option `--jurnal`: did you mean `--journal`?"),
            ("doctor --fast", "there is no option `--fast`: see `evenkeel doctor --help`"),
        ] {
            assert_eq!(typed(line), Err(Misuse(says.into())), "{line}");
        }
    }
}
