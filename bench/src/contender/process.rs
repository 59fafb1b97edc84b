//! A process as the kernel sees it, through `/proc`.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// A process that is running; once it has ended, each question is an error.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process(pub(crate) u32);

/// How often threads have given a core away: by waiting, and by being interrupted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Switches {
    pub(crate) voluntary: u64,
    pub(crate) involuntary: u64,
}

impl Process {
    fn file(self, name: &str) -> PathBuf {
        format!("/proc/{}/{name}", self.0).into()
    }

    /// Returns the CPU time that the process has used, all threads together, in steps of 10 ms.
    pub(crate) fn cpu_time(self) -> io::Result<Duration> {
        let stat = fs::read_to_string(self.file("stat"))?;
        // The name of the program is in parentheses and may have spaces, so count from behind it.
        let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
        let ticks = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok());
        // USER_HZ, which is 100 for user space on every Linux.
        Ok(Duration::from_millis(ticks.sum::<u64>() * 10))
    }

    /// Returns the resident memory in bytes.
    pub(crate) fn resident_bytes(self) -> io::Result<u64> {
        let status = fs::read_to_string(self.file("status"))?;
        kibibytes(&status, "VmRSS").ok_or_else(|| io::Error::other("no VmRSS in /proc"))
    }

    /// Returns the resident memory in bytes, counted page by page: the counter in `status` lags.
    pub(crate) fn resident_bytes_exact(self) -> io::Result<u64> {
        let Ok(text) = fs::read_to_string(self.file("smaps_rollup")) else {
            return self.resident_bytes();
        };
        kibibytes(&text, "Rss").ok_or_else(|| io::Error::other("no Rss in smaps_rollup"))
    }

    /// Returns the CPU time of each thread that is alive, to the nanosecond, by its id.
    pub(crate) fn thread_times(self) -> io::Result<HashMap<OsString, Duration>> {
        let mut times = HashMap::new();
        for thread in fs::read_dir(self.file("task"))? {
            let thread = thread?;
            // A thread may end between the listing and the reading.
            let Ok(text) = fs::read_to_string(thread.path().join("schedstat")) else { continue };
            let nanos = text.split_whitespace().next().and_then(|field| field.parse().ok());
            times.insert(thread.file_name(), Duration::from_nanos(nanos.unwrap_or_default()));
        }
        Ok(times)
    }

    /// Returns how often the threads that are alive have given their core away, by their names.
    pub(crate) fn switches(self) -> io::Result<BTreeMap<String, Switches>> {
        let mut switches = BTreeMap::<String, Switches>::new();
        for thread in fs::read_dir(self.file("task"))? {
            let Ok(status) = fs::read_to_string(thread?.path().join("status")) else { continue };
            let count = |name| field(&status, name).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
            let name = field(&status, "Name").unwrap_or_default().to_owned();
            let of_name = switches.entry(name).or_default();
            of_name.voluntary += count("voluntary_ctxt_switches");
            of_name.involuntary += count("nonvoluntary_ctxt_switches");
        }
        Ok(switches)
    }
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.map(str::trim)
}

fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let kibibytes = field(text, name)?.trim_end_matches(" kB").parse::<u64>().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_sees_its_own_threads_and_its_memory() {
        let own = Process(std::process::id());
        assert!(own.resident_bytes_exact().unwrap() > 0);
        let switches = own.switches().unwrap();
        assert!(switches.values().any(|of_name| of_name.voluntary > 0), "{switches:?}");
        assert!(Process(0).cpu_time().is_err());
    }

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let status =
            "Name:\tbot one\nVmRSS:\t  12 kB\nvoluntary_ctxt_switches:\t3\nnonvoluntary_ctxt_switches:\t4\n";
        assert_eq!(field(status, "Name"), Some("bot one"));
        assert_eq!(field(status, "voluntary_ctxt_switches"), Some("3"));
        assert_eq!(kibibytes(status, "VmRSS"), Some(12 * 1024));
        assert_eq!(kibibytes(status, "Rss"), None);
    }
}
