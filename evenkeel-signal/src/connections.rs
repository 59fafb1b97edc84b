//! How many connections to the server there may be at once.
//!
//! What hangs keeps its connection until it is given up. So the limit of messages is far beyond what a server that works
//! needs (that is `Transport::sends_at_once`), and what else is asked of the server has connections of its own.

use tokio::sync::Semaphore;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Something that is to be delivered, and what is asked at the start.
    Message,
    /// A typing indicator.
    Notice,
    Download,
}

/// Where the system does not say how many files a process may have open.
const OPEN_FILES: usize = 1_024;

#[derive(Debug)]
pub(crate) struct Connections {
    messages: Semaphore,
    notices: Semaphore,
    downloads: Semaphore,
}

impl Connections {
    /// As many as the process may have files open: half of these for messages, an eighth for downloads, a 32nd for notices.
    pub(crate) fn new() -> Self {
        let files = open_files().unwrap_or(OPEN_FILES);
        Self {
            messages: Semaphore::new((files / 2).clamp(64, 4_096)),
            notices: Semaphore::new((files / 32).clamp(16, 128)),
            downloads: Semaphore::new((files / 8).clamp(16, 512)),
        }
    }

    pub(crate) fn of(&self, purpose: Purpose) -> &Semaphore {
        match purpose {
            Purpose::Message => &self.messages,
            Purpose::Notice => &self.notices,
            Purpose::Download => &self.downloads,
        }
    }
}

fn open_files() -> Option<usize> {
    soft_limit(&std::fs::read_to_string("/proc/self/limits").ok()?)
}

/// The soft limit of open files. Source: `proc(5)`, `/proc/pid/limits`.
fn soft_limit(limits: &str) -> Option<usize> {
    let rest = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_open_files_is_read_where_the_system_tells_it() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max processes             63401                63401                processes \n\
                      Max open files            1024                 524288               files     \n";
        assert_eq!(soft_limit(limits), Some(1_024));
        assert_eq!(soft_limit(&limits.replace("1024 ", "unlimited ")), None);
        assert_eq!(soft_limit(""), None);
    }

    #[test]
    fn what_is_not_a_message_takes_no_connection_of_messages() {
        let connections = Connections::new();
        let before = connections.of(Purpose::Message).available_permits();
        assert!(before >= 64);
        for purpose in [Purpose::Notice, Purpose::Download] {
            let all = u32::try_from(connections.of(purpose).available_permits()).unwrap();
            let _taken = connections.of(purpose).try_acquire_many(all).unwrap();
            assert_eq!(connections.of(Purpose::Message).available_permits(), before);
        }
    }
}
