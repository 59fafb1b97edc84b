//! Whether a child's parent is who it has to be.
//!
//! Environment and standard input come from the process that starts this one. What counts is what the kernel says: the socket
//! was made by the process that is the parent, as the same user, and that process executes the same file. Who can be
//! such a parent can have the program do anything anyway.

use std::fs::metadata;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::parent_id;

/// Makes sure of the parent at the other end of a socket, or says what speaks against it.
pub(super) fn check_parent(socket: BorrowedFd<'_>) -> Result<(), &'static str> {
    let peer = peer(socket).ok_or("standard input is no local socket")?;
    let parent = parent_id();
    if u32::try_from(peer.pid) != Ok(parent) {
        return Err("standard input does not lead to the process that started this one");
    }
    // SAFETY: geteuid takes no argument.
    if peer.uid != unsafe { libc::geteuid() } {
        return Err("another user started this process");
    }
    let (ours, theirs) = (file_of("self"), file_of(&parent.to_string()));
    if ours.is_none() || theirs.is_none() {
        return Err("`/proc` does not tell which program started this process");
    }
    if ours != theirs {
        return Err("another program started this process");
    }
    // Had the parent died, its number could have become another's.
    if parent_id() != parent {
        return Err("the process that started this one is gone");
    }
    Ok(())
}

fn peer(socket: BorrowedFd<'_>) -> Option<libc::ucred> {
    let mut peer = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut length = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the kernel writes as many bytes as there are.
    let outcome = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut peer).cast(),
            &raw mut length,
        )
    };
    (outcome == 0 && peer.pid > 0).then_some(peer)
}

/// The device and the number of the file that a process executes.
fn file_of(process: &str) -> Option<(u64, u64)> {
    let file = metadata(format!("/proc/{process}/exe")).ok()?;
    Some((file.dev(), file.ino()))
}

/// Whether a child could look at this process: one that is not dumpable shows its files to nobody but root.
pub(super) fn can_be_looked_at() -> bool {
    // SAFETY: the option takes no argument.
    let is_dumpable = unsafe { libc::prctl(libc::PR_GET_DUMPABLE) } == 1;
    // SAFETY: geteuid takes no argument.
    is_dumpable || unsafe { libc::geteuid() } == 0
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_socket_of_this_process_is_no_parents() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        assert_eq!(peer(ours.as_fd()).map(|peer| peer.pid.unsigned_abs()), Some(std::process::id()));
        assert!(check_parent(ours.as_fd()).unwrap_err().contains("does not lead to the process"));
    }

    #[test]
    fn what_is_no_local_socket_has_no_peer() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let near = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(check_parent(near.as_fd()).unwrap_err().contains("no local socket"));
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(check_parent(file.as_fd()).unwrap_err().contains("no local socket"));
    }
}
