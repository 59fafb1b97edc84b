//! What the guard says of a poll that took too long.

use std::fmt;
use std::panic::Location;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde::{Serialize, Serializer};

/// Names what a future does, and where the author asked for it. Cloning is cheap.
///
/// Labels of one name and one line are one command: what one of their futures does counts for all of them.
#[derive(Clone, Debug)]
pub struct Label(Arc<Named>);

#[derive(Debug)]
struct Named {
    name: Box<str>,
    location: &'static Location<'static>,
    is_general: bool,
    /// The number of the book that asked first, and the label's number in it.
    number: OnceLock<(u64, u32)>,
}

impl Label {
    /// A name, with the caller's line.
    #[track_caller]
    pub fn new(name: impl Into<Box<str>>) -> Self {
        Self::at(name, Location::caller())
    }

    /// A name, with a line noted earlier.
    pub fn at(name: impl Into<Box<str>>, location: &'static Location<'static>) -> Self {
        let (name, number) = (name.into(), OnceLock::new());
        Self(Arc::new(Named { name, location, is_general: false, number }))
    }

    /// The same label for work that is everybody's, such as finding out which command is meant: it is reported when it
    /// blocks, and never put in quarantine.
    #[must_use]
    pub fn general(self) -> Self {
        let (name, location) = (self.0.name.clone(), self.0.location);
        Self(Arc::new(Named { name, location, is_general: true, number: OnceLock::new() }))
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The author's line.
    pub fn location(&self) -> &'static Location<'static> {
        self.0.location
    }

    /// Whether both are clones of one label.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    pub(crate) fn is_general(&self) -> bool {
        self.0.is_general
    }

    pub(crate) fn number(&self) -> Option<(u64, u32)> {
        self.0.number.get().copied()
    }

    /// The first book to ask is answered faster from then on; the others look the label up.
    pub(crate) fn remember(&self, number: (u64, u32)) {
        let _first = self.0.number.set(number);
    }
}

/// What kind of work keeps a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Class {
    /// `std::thread::sleep` and its kin.
    Sleep,
    /// Files, their metadata and directories.
    File,
    /// Sockets in blocking mode.
    Network,
    /// Looking up the address of a name, or a user or group of the system.
    Lookup,
    /// Starting another process, waiting for it, or for what it says.
    Process,
    /// Waiting for a thread to end.
    Join,
    /// Waiting for another thread, or for the other end of a pipe: a channel, a condition variable, `park`, `block_on`.
    Wait,
    /// Waiting for a lock that somebody else holds.
    Contention,
    /// Reading standard input.
    Input,
    /// Writing to a standard output that takes no more, or that another thread has locked.
    Output,
    /// Keeping a core busy.
    Compute,
    /// A loop whose `.await`s are always ready, so that it never lets go of the thread.
    AlwaysReady,
    /// Asleep in the kernel by a way that the guard does not see coming.
    Unknown,
}

/// One step of a call path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub struct Frame {
    /// The demangled path of the function, without hash; `None` where the program has no symbols.
    pub function: Option<String>,
    /// The source file, where the program has line tables.
    pub file: Option<String>,
    /// The line of that file.
    pub line: Option<u32>,
    #[serde(skip)]
    pub(crate) claim: Claim,
}

/// What the program itself says of a frame's crate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Claim {
    #[default]
    None,
    /// It is the framework's: [`Options::with_runtime_crates`](crate::Options::with_runtime_crates).
    Runtime,
    /// The label was made in it under which the frame is found.
    Author,
}

/// One place that blocks: what is polled there, where, how, and what to write instead.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// Counts the places of one executor.
    pub number: u64,
    /// What was being polled.
    pub name: String,
    /// What kind of blocking it is.
    pub class: Class,
    /// The call, as the author knows it: `std::fs::read`. The system's own name where nothing better is known.
    pub call: String,
    /// The author's file: where the call is made, or, without line tables, where the future got its name. Empty where that is not
    /// known and the future has no name.
    pub file: String,
    /// The line of that file; zero where that is empty.
    pub line: u32,
    /// Whether file and line are those of the call.
    pub is_exact: bool,
    /// From the call outwards to the author's function.
    pub path: Vec<Frame>,
    /// How long it lasted the last time, or has lasted so far, in seconds. CPU time where a core was kept busy.
    #[serde(rename = "seconds", serialize_with = "as_seconds")]
    pub elapsed: Duration,
    /// Whether it has ended.
    pub is_over: bool,
    /// How often it happened.
    pub times: u64,
    /// How long the others had to wait until another thread polled them, in seconds; `None` where nothing took over.
    #[serde(rename = "taken_over_seconds", serialize_with = "as_some_seconds")]
    pub taken_over: Option<Duration>,
    /// How often what was being polled was put in quarantine because it blocks.
    pub strikes: u32,
    /// What to write instead.
    pub advice: String,
    /// Where a program without lines does it: `shop+0x1a2b3`, a file's name and an address as the file counts them,
    /// innermost first. `evenkeel lines FILE ADDRESS` names their lines, given the debug information of that build.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// The build that the addresses are of, as the linker named it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build_id: Option<String>,
    /// Whether it is a wait for a lock that the author never sees: one inside a channel, or in a dependency.
    #[serde(skip)]
    pub(crate) is_inner_lock: bool,
}

pub(crate) fn as_seconds<S: Serializer>(elapsed: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(elapsed.as_secs_f64())
}

fn as_some_seconds<S: Serializer>(elapsed: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    elapsed.map(|elapsed| elapsed.as_secs_f64()).serialize(serializer)
}

impl Class {
    /// The word for it in logs, metrics and lists.
    pub fn word(self) -> &'static str {
        match self {
            Self::Sleep => "sleep",
            Self::File => "file",
            Self::Network => "network",
            Self::Lookup => "lookup",
            Self::Process => "process",
            Self::Join => "join",
            Self::Wait => "wait",
            Self::Contention => "contention",
            Self::Input => "input",
            Self::Output => "output",
            Self::Compute => "compute",
            Self::AlwaysReady => "always_ready",
            Self::Unknown => "unknown",
        }
    }

    /// Every class.
    pub const ALL: [Self; 13] = [
        Self::Sleep,
        Self::File,
        Self::Network,
        Self::Lookup,
        Self::Process,
        Self::Join,
        Self::Wait,
        Self::Contention,
        Self::Input,
        Self::Output,
        Self::Compute,
        Self::AlwaysReady,
        Self::Unknown,
    ];

    /// Its place among all.
    pub(crate) fn number(self) -> u8 {
        Self::ALL.iter().position(|class| *class == self).map_or(u8::MAX, |at| at as u8)
    }

    /// The class of a number; one that is nobody's is that of [`Class::Unknown`].
    pub(crate) fn of(number: u8) -> Self {
        Self::ALL.get(usize::from(number)).copied().unwrap_or(Self::Unknown)
    }

    /// Whether the thread is busy, and not asleep.
    pub fn is_busy(self) -> bool {
        matches!(self, Self::Compute | Self::AlwaysReady)
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What the compiler made of an `async fn` or a closure is the function around it, to its author.
        let mut rest = self.function.as_deref().unwrap_or("?");
        while let Some((before, made)) = rest.split_once("::{") {
            f.write_str(before)?;
            rest = made.trim_start_matches(|letter| letter != '}').trim_start_matches('}');
        }
        f.write_str(rest)?;
        match (&self.file, self.line) {
            (Some(file), Some(line)) => write!(f, " ({file}:{line})"),
            (Some(file), None) => write!(f, " ({file})"),
            _ => Ok(()),
        }
    }
}

impl Report {
    /// The author's part of the path, from the line that calls outwards.
    pub(crate) fn callers(&self) -> &[Frame] {
        let is_here =
            |frame: &Frame| frame.line == Some(self.line) && frame.file.as_ref() == Some(&self.file);
        let start = self.path.iter().position(is_here).unwrap_or(self.path.len());
        &self.path[start..]
    }

    /// The innermost address, and what to type for the lines of all.
    fn tell_addresses(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((file, _)) = self.addresses.first().and_then(|address| address.split_once('+')) else {
            return Ok(());
        };
        write!(f, ", at {}", self.addresses[0])?;
        if let Some(build_id) = &self.build_id {
            write!(f, " of build {build_id}")?;
        }
        write!(f, " (`evenkeel lines {file}.debug")?;
        let same = self.addresses.iter().filter_map(|address| address.split_once('+'));
        for (_, address) in same.filter(|(other, _)| *other == file) {
            write!(f, " {address}")?;
        }
        f.write_str("` names the lines)")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, call, file, line, elapsed, times, .. } = self;
        let verb = match (self.class.is_busy(), self.is_over) {
            (false, true) => "blocked its thread for",
            (false, false) => "has been blocking its thread for",
            (true, true) => "kept its thread busy for",
            (true, false) => "has been keeping its thread busy for",
        };
        write!(f, "`{name}` {verb} {} ms", Millis(*elapsed))?;
        if !call.is_empty() {
            write!(f, " in {call}")?;
        }
        if self.callers().is_empty() && !file.is_empty() {
            let place = if self.is_exact { "at" } else { "somewhere in what is named at" };
            write!(f, " {place} {file}:{line}")?;
        }
        if !self.is_exact {
            self.tell_addresses(f)?;
        }
        for frame in self.callers() {
            write!(f, " <- {frame}")?;
        }
        match self.taken_over {
            Some(wait) => write!(f, "; the others went on after {} ms", Millis(wait))?,
            None if self.strikes > 0 => f.write_str("; it has threads of its own, so nobody waited")?,
            None => f.write_str("; nothing took its place, so others waited")?,
        }
        if *times > 1 {
            write!(f, "; {times} times so far")?;
        }
        if self.strikes > 0 {
            write!(f, "; in quarantine (strike {})", self.strikes)?;
        }
        write!(f, "; {}", self.advice)
    }
}

/// Milliseconds with as many decimals as matter.
struct Millis(Duration);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_secs_f64() * 1e3;
        let places = if millis < 1.0 {
            3
        } else if millis < 10.0 {
            1
        } else {
            0
        };
        write!(f, "{millis:.places$}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report {
            number: 1,
            name: "/nap".into(),
            class: Class::Sleep,
            call: "clock_nanosleep".into(),
            file: "src/main.rs".into(),
            line: 3,
            is_exact: false,
            path: Vec::new(),
            elapsed: Duration::from_millis(500),
            is_over: true,
            times: 1,
            taken_over: None,
            strikes: 0,
            advice: "use `tokio::time::sleep(duration).await`".into(),
            addresses: vec!["shop+0x1a2b3".into(), "libfoo.so+0x5".into(), "shop+0x77".into()],
            build_id: Some("ab12".into()),
            is_inner_lock: false,
        }
    }

    #[test]
    fn without_lines_a_report_says_how_to_get_them() {
        let text = report().to_string();
        let expected = "in clock_nanosleep somewhere in what is named at src/main.rs:3, at shop+0x1a2b3 of build ab12 \
                        (`evenkeel lines shop.debug 0x1a2b3 0x77` names the lines); nothing took its place";
        assert!(text.contains(expected), "{text}");
        let nameless = Report { file: String::new(), line: 0, ..report() }.to_string();
        assert!(nameless.contains("in clock_nanosleep, at shop+0x1a2b3 of build ab12"), "{nameless}");
        let exact = Report { is_exact: true, ..report() }.to_string();
        assert!(!exact.contains("0x1a2b3"), "{exact}");
    }

    #[test]
    fn what_the_compiler_made_is_shown_as_the_function_around_it() {
        for (function, expected) in [
            ("bot::run::{{closure}}", "bot::run"),
            ("bot::run::{{closure}}::{{closure}}", "bot::run"),
            ("bot::load_config::{async_fn#0}", "bot::load_config"),
            ("bot::Store::load::{async_block#0}<&str>", "bot::Store::load<&str>"),
            ("bot::{impl#0}::load", "bot::load"),
            ("bot::run", "bot::run"),
            ("{async_fn#0}", "{async_fn#0}"),
            ("bot::{", "bot"),
        ] {
            let frame = Frame { function: Some(function.to_owned()), ..Frame::default() };
            assert_eq!(frame.to_string(), expected, "{function}");
        }
    }
}
