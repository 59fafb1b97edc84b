//! A contender: a child process that reads its addresses from the environment.

pub(crate) mod floor;
pub(crate) mod hand_loop;
pub(crate) mod steady;
mod process;

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

pub(crate) use process::{Process, Switches};

/// The account that all contenders answer for.
pub(crate) const BOT: &str = evenkeel_signal::standin::people::BOT;

/// In the order in which they run.
pub(crate) const NAMES: [&str; 3] = ["loop", "floor", "evenkeel"];

/// A program to measure.
#[derive(Clone, Debug)]
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    program: PathBuf,
    argument: Option<&'static str>,
    settings: Vec<(&'static str, OsString)>,
    keeps: Keeps,
    /// What starts the program, with its arguments; empty without it.
    under: Vec<OsString>,
    is_quiet: bool,
}

/// Where a bot keeps its journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Keeps {
    /// As `EVENKEEL_JOURNAL` of the benchmark says; on the disk without it.
    #[default]
    AsTold,
    /// In a file beside this program: what is often mounted for temporary files syncs nothing.
    OnDisk,
    /// In a file that is memory.
    OnTmpfs,
    Nothing,
}

/// A folder whose files are memory, on every Linux.
const TMPFS: &str = "/dev/shm";

impl Contender {
    /// Returns the contenders of those names that exist on this machine, and what is missing of the others.
    pub(crate) fn find(names: &[&'static str], evenkeel: &Path) -> io::Result<(Vec<Self>, Vec<String>)> {
        let own = std::env::current_exe()?;
        let new = |name, program: &Path, argument| {
            let program = program.to_owned();
            Self {
                name,
                program,
                argument,
                settings: Vec::new(),
                keeps: Keeps::AsTold,
                under: Vec::new(),
                is_quiet: false,
            }
        };
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for &name in names {
            match name {
                "loop" => found.push(new(name, &own, Some("contender-loop"))),
                "steady" => found.push(new(name, &own, Some("contender-steady"))),
                "floor" => found.push(new(name, &own, Some("contender-floor"))),
                _ if evenkeel.is_file() => found.push(new(name, evenkeel, None)),
                _ => missing.push(format!("{name} is left out: there is no {}", evenkeel.display())),
            }
        }
        Ok((found, missing))
    }

    /// Sets a variable of the environment.
    pub(crate) fn with_setting(mut self, name: &'static str, value: impl AsRef<OsStr>) -> Self {
        self.settings.push((name, value.as_ref().to_owned()));
        self
    }

    /// Says where the journal is.
    pub(crate) fn with_journal(mut self, keeps: Keeps) -> Self {
        self.keeps = keeps;
        self
    }

    /// Starts the program by another one, which has to become it.
    pub(crate) fn under(mut self, command: Vec<OsString>) -> Self {
        self.under = command;
        self
    }

    /// Throws away what the program logs: hundreds of reports are expected where hundreds of handlers block.
    pub(crate) fn quiet(mut self) -> Self {
        self.is_quiet = true;
        self
    }

    /// Starts the program against the server at `address`, a host and a port.
    pub(crate) fn start(&self, address: &str) -> io::Result<Running> {
        let journal = Journal::new(self.keeps)?;
        let file = journal.0.join("journal.db").into();
        let chosen = match self.keeps {
            Keeps::AsTold => std::env::var_os("EVENKEEL_JOURNAL").unwrap_or(file),
            Keeps::OnDisk | Keeps::OnTmpfs => file,
            Keeps::Nothing => "memory".into(),
        };
        let mut words = self.under.iter().map(OsString::as_os_str).chain([self.program.as_os_str()]);
        let child = Command::new(words.next().unwrap_or_default())
            .args(words)
            .args(self.argument)
            .env("EVENKEEL_JOURNAL", chosen)
            .env("SIGNAL_PHONE_NUMBER", BOT)
            .env("SIGNAL_SERVICE_URL", address)
            .env("SIGNAL_API_URL", format!("http://{address}"))
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(if self.is_quiet { Stdio::null() } else { Stdio::inherit() })
            .spawn()?;
        Ok(Running { child, _journal: journal })
    }
}

/// Returns where cargo puts the example that is measured: beside this very program.
pub(crate) fn example() -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    own.with_file_name("signal_bench")
}

/// A started contender; dropping it kills the process and waits for it.
pub(crate) struct Running {
    child: Child,
    /// Goes after the process.
    _journal: Journal,
}

/// A folder for the journal of one process.
struct Journal(PathBuf);

impl Journal {
    fn new(keeps: Keeps) -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let (process, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = match keeps {
            Keeps::OnTmpfs => tmpfs()?.join(format!("evenkeel-bench-{process}-{count}")),
            _ => disk()?.join(format!("journal-{process}-{count}")),
        };
        std::fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }
}

/// Returns the folder in which journals on the disk are.
pub(crate) fn disk() -> io::Result<PathBuf> {
    let own = std::env::current_exe()?;
    Ok(own.parent().map(Path::to_owned).unwrap_or_default())
}

fn tmpfs() -> io::Result<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let is_memory = mounts.lines().any(|line| {
        let mut words = line.split(' ').skip(1);
        (words.next(), words.next()) == (Some(TMPFS), Some("tmpfs"))
    });
    let missing = || io::Error::other(format!("`{TMPFS}` is no tmpfs: `mount -t tmpfs tmpfs {TMPFS}`"));
    is_memory.then(|| TMPFS.into()).ok_or_else(missing)
}

impl Drop for Journal {
    fn drop(&mut self) {
        // A folder that stays takes room, and nothing else.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Running {
    /// Returns the process, which outlives nothing: it may have ended.
    pub(crate) fn process(&self) -> Process {
        Process(self.child.id())
    }

    /// Returns whether the process has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if it has ended and was waited for already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The addresses that a contender finds in its environment.
pub(crate) struct Addresses {
    /// Host and port.
    pub(crate) service: String,
    /// Base of the API, with its scheme.
    pub(crate) api: String,
    /// The bot's own number.
    pub(crate) number: String,
}

impl Addresses {
    pub(crate) fn from_env() -> io::Result<Self> {
        let read = |name: &str| {
            std::env::var(name)
                .map_err(|_| io::Error::other(format!("`{name}` is not set: the benchmark sets it")))
        };
        Ok(Self {
            service: read("SIGNAL_SERVICE_URL")?,
            api: read("SIGNAL_API_URL")?,
            number: read("SIGNAL_PHONE_NUMBER")?,
        })
    }
}
