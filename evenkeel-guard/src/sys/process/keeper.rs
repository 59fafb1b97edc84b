//! The process between the parent and the function's: it ends when either does, and all that was started with it.
//!
//! The kernel hands processes whose parent has died to the nearest ancestor that asks for them, which the keeper is. So
//! whatever the function has started, and whatever that has, is below the keeper for as long as it lives, wherever its
//! group and its session are. The keeper kills its own children, gets theirs in exchange, and is done when it has none:
//! it never kills by a number that could have become another's, for a dead child's stays taken until it is waited for.

use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::process::parent_id;
use std::ptr::null_mut;
use std::thread::sleep;
use std::time::Duration;

use super::{BROKEN, close_from, leave};

/// Tells a keeper to end. Nobody ignores it, as some do SIGTERM: what a parent ignores, its children ignore, too.
pub(super) const END: libc::c_int = libc::SIGVTALRM;

/// So often the keeper tries to kill who belongs to somebody else, a millisecond apart, before it leaves them.
const MOST_TRIES: u32 = 100;

/// Splits this process in two. Returns in the one that is to call the function; the other is its keeper.
pub(super) fn split() -> io::Result<()> {
    let keeper = std::process::id();
    // SAFETY: it takes two numbers.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
    // SAFETY: the option takes a number.
    if unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) } < 0 {
        return Err(io::Error::last_os_error());
    }
    let usual = block_all();
    // SAFETY: before `main` this is the only thread, so that nothing is left half done in the copy.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            die_with(keeper, libc::SIGKILL, c"isolate");
            // SAFETY: it takes two numbers, which stand for this process.
            unsafe { libc::setpgid(0, 0) };
            set_mask(&usual);
            Ok(())
        }
        function => keep(function),
    }
}

/// Has the kernel send a signal to this process when the thread that started it ends, and names it.
pub(super) fn die_with(parent: u32, signal: libc::c_int, name: &std::ffi::CStr) {
    // SAFETY: the option takes a number and no address.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, signal) };
    // SAFETY: the option copies from a string that ends in a zero.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
    // A parent that died before the first call gives no signal any more.
    if parent_id() != parent {
        leave(BROKEN);
    }
}

fn keep(function: libc::pid_t) -> ! {
    // The parent, and anyone who reads what is printed, see the end of their files when the function's process ends.
    close_from(0);
    let mut status = wait_for_the_end(function);
    end_all(function, &mut status);
    leave_like(status.unwrap_or_default())
}

/// Waits until the function's process has ended, and gives its status, or until the parent has, or has had enough.
fn wait_for_the_end(function: libc::pid_t) -> Option<libc::c_int> {
    let set = set_of(&[libc::SIGCHLD, END]);
    loop {
        // SAFETY: the set is a local, and the kernel is asked for no details.
        if unsafe { libc::sigwaitinfo(&raw const set, null_mut()) } == END {
            return None;
        }
        // One signal may stand for several deaths.
        while let Some((process, status)) = wait_for_any(libc::WNOHANG) {
            if process == function {
                return Some(status);
            }
        }
    }
}

/// Kills all children, those that become children thereby, and so on.
fn end_all(function: libc::pid_t, status: &mut Option<libc::c_int>) {
    let mut tries = 0;
    while tries < MOST_TRIES {
        // SAFETY: it takes two numbers.
        let kill = |child: &libc::pid_t| unsafe { libc::kill(*child, libc::SIGKILL) } == 0;
        let is_any_hit = children().iter().filter(|child| kill(child)).count() > 0;
        tries = if is_any_hit { 0 } else { tries + 1 };
        // Who was hit dies soon, unless a disk holds him up.
        let mut ended = wait_for_any(if is_any_hit { 0 } else { libc::WNOHANG });
        while let Some((process, how)) = ended {
            if process == function {
                *status = Some(how);
            }
            ended = wait_for_any(libc::WNOHANG);
        }
        if has_no_children() {
            return;
        }
        if !is_any_hit {
            sleep(Duration::from_millis(1));
        }
    }
}

fn wait_for_any(options: libc::c_int) -> Option<(libc::pid_t, libc::c_int)> {
    let mut status = 0;
    // SAFETY: the status is a local.
    let process = unsafe { libc::waitpid(-1, &raw mut status, options) };
    (process > 0).then_some((process, status))
}

fn has_no_children() -> bool {
    // SAFETY: a null pointer asks for no details.
    let outcome =
        unsafe { libc::waitid(libc::P_ALL, 0, null_mut(), libc::WEXITED | libc::WNOHANG | libc::WNOWAIT) };
    outcome < 0
}

/// The children of this process. The list may lack one that is just becoming a child, or just ending.
fn children() -> Vec<libc::pid_t> {
    let own = std::process::id();
    let list = fs::read_to_string(format!("/proc/self/task/{own}/children"));
    // Kernels may be built without that list.
    let Ok(list) = list else { return search_children(own) };
    list.split_ascii_whitespace().filter_map(|process| process.parse().ok()).collect()
}

fn search_children(own: u32) -> Vec<libc::pid_t> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter(|process| parent_of(*process) == Some(own)).collect()
}

fn parent_of(process: libc::pid_t) -> Option<u32> {
    let line = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name may hold brackets and spaces; the state and the parent come behind it.
    line.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

/// Ends as another process has, so that the parent learns of it.
fn leave_like(status: libc::c_int) -> ! {
    if !libc::WIFSIGNALED(status) {
        leave(libc::WEXITSTATUS(status));
    }
    let signal = libc::WTERMSIG(status);
    let no_core = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the limit is a local. The one who died has left what there is to see.
    unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const no_core) };
    // SAFETY: both calls take numbers.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
    set_mask(&set_of(&[]));
    leave(BROKEN)
}

fn block_all() -> libc::sigset_t {
    let (mut all, mut usual) = (MaybeUninit::uninit(), MaybeUninit::uninit());
    // SAFETY: both are locals, which the calls fill.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, all.as_ptr(), usual.as_mut_ptr());
        usual.assume_init()
    }
}

fn set_mask(mask: &libc::sigset_t) {
    // SAFETY: the mask is borrowed for the call.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, mask, null_mut()) };
}

fn set_of(signals: &[libc::c_int]) -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: the set is a local, which the first call fills.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in signals {
            libc::sigaddset(set.as_mut_ptr(), *signal);
        }
        set.assume_init()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_are_found_with_and_without_the_kernels_list() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let number = libc::pid_t::try_from(child.id()).unwrap();
        assert!(search_children(std::process::id()).contains(&number));
        assert_eq!(parent_of(number), Some(std::process::id()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!search_children(std::process::id()).contains(&number));
    }
}
