//! Threads by their kernel number: state, time and priority.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use super::{ThreadId, ThreadState};

pub(super) fn current() -> u32 {
    // SAFETY: gettid takes no argument and cannot fail.
    let id = unsafe { libc::syscall(libc::SYS_gettid) };
    u32::try_from(id).unwrap_or_default()
}

/// Reads one of the kernel's files about a thread, and says how much of the buffer it filled.
///
/// Opened anew each time: a file kept open would outlive its thread, and would be one more per thread.
pub(crate) fn read_about(thread: ThreadId, name: &str, into: &mut [u8]) -> io::Result<usize> {
    let mut path = [0; 48];
    let mut rest = &mut path[..];
    write!(rest, "/proc/self/task/{}/{name}", thread.0)?;
    let unused = rest.len();
    let path = str::from_utf8(&path[..path.len() - unused]).map_err(io::Error::other)?;
    File::open(path)?.read(into)
}

pub(super) fn state_of(thread: u32) -> Option<ThreadState> {
    // The state comes third, after a number and a name of at most 16 bytes.
    let mut line = [0; 64];
    match read_about(ThreadId(thread), "stat", &mut line) {
        Ok(length) => parse_state(&line[..length]),
        Err(error) if is_gone(&error) && Path::new("/proc/self/task").exists() => Some(ThreadState::Gone),
        Err(_) => None,
    }
}

/// A thread that ends while its file is read gives "no such process" instead of "no such file".
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

/// The letter after the last `)`: a name may hold brackets and spaces, and nothing after it does.
pub(super) fn parse_state(line: &[u8]) -> Option<ThreadState> {
    let end_of_name = line.iter().rposition(|&byte| byte == b')')?;
    match line.get(end_of_name + 2)? {
        b'R' => Some(ThreadState::Running),
        b'S' | b'I' => Some(ThreadState::Asleep),
        b'D' => Some(ThreadState::Uninterruptible),
        b'T' | b't' => Some(ThreadState::Stopped),
        b'Z' | b'X' | b'x' => Some(ThreadState::Gone),
        _ => None,
    }
}

/// What the kernel's file `status` says of a thread.
pub(crate) struct Status {
    text: [u8; 4096],
    length: usize,
}

impl Status {
    pub(crate) fn of(thread: ThreadId) -> Option<Self> {
        let mut text = [0; 4096];
        let length = read_about(thread, "status", &mut text).ok()?;
        Some(Self { text, length })
    }

    /// How often the thread has gone to sleep so far.
    pub(crate) fn sleeps(&self) -> Option<u64> {
        self.value("voluntary_ctxt_switches:")?.parse().ok()
    }

    /// A set of signals: the first is the lowest bit.
    fn set(&self, name: &str) -> Option<u64> {
        u64::from_str_radix(self.value(name)?, 16).ok()
    }

    fn value(&self, name: &str) -> Option<&str> {
        // The thread's name comes first, and may hold anything but the end of a line.
        let lines = self.text.get(..self.length)?.split(|byte| *byte == b'\n');
        let value = lines.filter_map(|line| line.strip_prefix(name.as_bytes())).next()?;
        Some(str::from_utf8(value).ok()?.trim())
    }
}

/// The signals that a thread does not take, and those that it is still to take.
pub(super) struct Signals {
    blocked: u64,
    pending: u64,
}

pub(super) fn signals_of(thread: ThreadId) -> Option<Signals> {
    let status = Status::of(thread)?;
    let pending = status.set("SigPnd:")? | status.set("ShdPnd:")?;
    Some(Signals { blocked: status.set("SigBlk:")?, pending })
}

impl Signals {
    pub(super) fn is_blocked(&self, signal: libc::c_int) -> bool {
        holds(self.blocked, signal)
    }

    pub(super) fn is_pending(&self, signal: libc::c_int) -> bool {
        holds(self.pending, signal)
    }
}

fn holds(set: u64, signal: libc::c_int) -> bool {
    let bit = u32::try_from(signal - 1).ok().and_then(|place| 1_u64.checked_shl(place));
    bit.is_some_and(|bit| set & bit != 0)
}

pub(super) fn cpu_time_of(thread: u32) -> Option<Duration> {
    /// The clock counts one thread (4), by what the scheduler measured (2).
    const SCHEDULED_TIME_OF_A_THREAD: i32 = 4 | 2;
    // Source: clock_getcpuclockid(3) and the kernel's posix-timers.h: the number, inverted, above three bits.
    let thread = i32::try_from(thread).ok().filter(|&thread| thread > 0)?;
    read_clock((!thread << 3) | SCHEDULED_TIME_OF_A_THREAD)
}

pub(super) fn cpu_time_here() -> Option<Duration> {
    read_clock(libc::CLOCK_THREAD_CPUTIME_ID)
}

fn read_clock(clock: libc::clockid_t) -> Option<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a local that nobody else sees.
    let outcome = unsafe { libc::clock_gettime(clock, &raw mut time) };
    let (seconds, nanoseconds) = (u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?);
    (outcome == 0).then(|| Duration::new(seconds, nanoseconds))
}

/// The calls that the kernel refuses, and that are needed to look at threads: each is made once so that it changes nothing.
pub(super) fn refused() -> Vec<&'static str> {
    let thread = current();
    let process = libc::c_long::from(std::process::id());
    // SAFETY: signal 0 is none; all are numbers.
    let can_signal = unsafe { libc::syscall(libc::SYS_tgkill, process, libc::c_long::from(thread), 0) } == 0;
    // SAFETY: it takes numbers only.
    let nice = unsafe { libc::getpriority(libc::PRIO_PROCESS as _, thread) };
    let calls = [
        ("tgkill", can_signal),
        ("setpriority", lower_priority(thread, nice)),
        ("clock_gettime", cpu_time_of(thread).is_some()),
        ("/proc/self/task", state_of(thread).is_some()),
    ];
    calls.into_iter().filter(|(_, works)| !works).map(|(call, _)| call).collect()
}

pub(super) fn lower_priority(thread: u32, nice: i32) -> bool {
    // SAFETY: setpriority takes numbers only.
    thread != 0 && unsafe { libc::setpriority(libc::PRIO_PROCESS as _, thread, nice) } == 0
}
