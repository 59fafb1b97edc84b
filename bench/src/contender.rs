//! Whoever answers: a child process that reads its addresses from the environment.

pub(crate) mod floor;
pub(crate) mod hand_loop;

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

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
}

impl Contender {
    /// Returns the contenders of those names that exist on this machine, and what is missing of the others.
    pub(crate) fn find(names: &[&'static str], evenkeel: &Path) -> io::Result<(Vec<Self>, Vec<String>)> {
        let own = std::env::current_exe()?;
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for &name in names {
            match name {
                "loop" => found.push(Self { name, program: own.clone(), argument: Some("contender-loop") }),
                "floor" => found.push(Self { name, program: own.clone(), argument: Some("contender-floor") }),
                _ if evenkeel.is_file() => {
                    found.push(Self { name, program: evenkeel.to_owned(), argument: None });
                }
                _ => missing.push(format!("{name} is left out: there is no {}", evenkeel.display())),
            }
        }
        Ok((found, missing))
    }

    /// Starts the program against the server at `address`, a host and a port.
    pub(crate) fn start(&self, address: &str) -> io::Result<Running> {
        let child = Command::new(&self.program)
            .args(self.argument)
            .env("SIGNAL_PHONE_NUMBER", BOT)
            .env("SIGNAL_SERVICE_URL", address)
            .env("SIGNAL_API_URL", format!("http://{address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        Ok(Running { child })
    }
}

/// Returns where cargo puts the example that is measured: beside this very program.
pub(crate) fn example() -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    own.with_file_name("examples").join("signal_bench")
}

/// A started contender; dropping it kills the process and waits for it.
pub(crate) struct Running {
    child: Child,
}

impl Running {
    /// Returns the CPU time that the process has used, all threads together, in steps of 10 ms.
    pub(crate) fn cpu_time(&self) -> io::Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name of the program is in parentheses and may have spaces, so count from behind it.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let ticks = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok());
        // USER_HZ, which is 100 for user space on every Linux.
        Ok(Duration::from_millis(ticks.sum::<u64>() * 10))
    }

    /// Returns the resident memory in bytes.
    pub(crate) fn resident_bytes(&self) -> io::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        let kibibytes = line.trim().trim_end_matches(" kB").parse::<u64>();
        kibibytes.map(|kibibytes| kibibytes * 1024).map_err(|_| io::Error::other("no VmRSS in /proc"))
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
