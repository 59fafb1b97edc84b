//! Calls that are made without a function of the C library, counted by `strace`.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long strace may take to write its table once the bot has ended.
const PATIENCE: Duration = Duration::from_secs(10);

/// One traced process.
pub(super) struct Strace {
    call: &'static str,
    table: PathBuf,
}

impl Strace {
    /// # Errors
    ///
    /// When it does not start.
    pub(super) fn is_there() -> io::Result<()> {
        let started = Command::new("strace").arg("--version").stdout(Stdio::null()).status();
        let missing = |error| {
            let hint = "install it: `apt-get install strace`";
            io::Error::other(format!("cannot run `strace`, which counts futex calls: {error}; {hint}"))
        };
        started.map(drop).map_err(missing)
    }

    /// Its table will be in `folder`.
    pub(super) fn new(folder: &Path, call: &'static str) -> Self {
        let table = folder.join("strace");
        // What an earlier run left would be taken for this one's.
        let _ = fs::remove_file(&table);
        Self { call, table }
    }

    /// The program is to be started by this. It stays our own child, so that killing it ends both; other calls than the one
    /// that is counted run as fast as ever.
    pub(super) fn command(&self) -> Vec<OsString> {
        let mut words: Vec<OsString> = ["strace", "-D", "-f", "-c", "--seccomp-bpf"].map(Into::into).into();
        words.extend(["-e".into(), format!("trace={}", self.call).into(), "-o".into()]);
        words.push(self.table.clone().into());
        words
    }

    /// Returns how often the process has made the call; it has to have ended.
    pub(super) fn calls(&self) -> io::Result<u64> {
        let start = Instant::now();
        loop {
            let text = fs::read_to_string(&self.table).unwrap_or_default();
            if text.contains("total") {
                return Ok(calls(&text, self.call));
            }
            if start.elapsed() > PATIENCE {
                return Err(io::Error::other(format!("strace has counted nothing: `{text}`")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Reads the fourth column, of the calls, in the line of a call.
fn calls(table: &str, call: &str) -> u64 {
    let line = table.lines().find(|line| line.split_whitespace().next_back() == Some(call));
    line.and_then(|line| line.split_whitespace().nth(3)?.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calls_are_the_fourth_column() {
        let table = "% time     seconds  usecs/call     calls    errors syscall\n\
                     ------ ----------- ----------- --------- --------- ----------------\n\
                     100.00    0.001234           1      1234        56 futex\n\
                     ------ ----------- ----------- --------- --------- ----------------\n\
                     100.00    0.001234           1      1234        56 total\n";
        assert_eq!((calls(table, "futex"), calls(table, "read")), (1234, 0));
    }
}
