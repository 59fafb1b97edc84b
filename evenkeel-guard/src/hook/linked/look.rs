//! Finds out, from the arguments of a call, whether it will wait and for what.
//!
//! The libc functions called here are themselves wrapped; the flag is off meanwhile.

use std::ffi::{c_char, c_int};
use std::time::Duration;

use libc::{FILE, timespec, timeval};

use super::super::Class;

/// What a call waits for and its least length, or `None` if it will not wait.
pub(super) type Finding = Option<(Class, Option<Duration>)>;

pub(super) fn always(class: Class) -> Finding {
    Some((class, None))
}

pub(super) fn when(claim: bool, class: Class) -> Finding {
    claim.then_some((class, None))
}

/// A sleep; one without length does not wait.
pub(super) fn sleeps(length: Option<Duration>) -> Finding {
    length.filter(|length| !length.is_zero()).map(|length| (Class::Sleep, Some(length)))
}

/// A wait for events with a timeout, `None` for ever. With nothing to wait for it is a sleep.
pub(super) fn waits(nothing: bool, timeout: Option<Duration>) -> Finding {
    match timeout {
        Some(timeout) if timeout.is_zero() => None,
        Some(timeout) if nothing => sleeps(Some(timeout)),
        _ => always(Class::Wait),
    }
}

/// `None` for a null pointer. What the kernel refuses counts as no time at all.
pub(super) unsafe fn span(at: *const timespec) -> Option<Duration> {
    // SAFETY: the caller of the libc function passes a valid pointer or null.
    let timespec { tv_sec, tv_nsec } = *unsafe { at.as_ref() }?;
    let (Ok(seconds), Ok(nanos)) = (u64::try_from(tv_sec), u32::try_from(tv_nsec)) else {
        return Some(Duration::ZERO);
    };
    Some(if nanos < 1_000_000_000 { Duration::new(seconds, nanos) } else { Duration::ZERO })
}

/// As [`span`], for a `timeval`.
pub(super) unsafe fn span_of_timeval(at: *const timeval) -> Option<Duration> {
    // SAFETY: the caller of the libc function passes a valid pointer or null.
    let timeval { tv_sec, tv_usec } = *unsafe { at.as_ref() }?;
    let (Ok(seconds), Ok(micros)) = (u64::try_from(tv_sec), u64::try_from(tv_usec)) else {
        return Some(Duration::ZERO);
    };
    Some(Duration::from_secs(seconds).saturating_add(Duration::from_micros(micros)))
}

/// A timeout in milliseconds; a negative one is for ever.
pub(super) fn milliseconds(timeout: c_int) -> Option<Duration> {
    u64::try_from(timeout).ok().map(Duration::from_millis)
}

/// The length of a `clock_nanosleep`, which may name a point in time.
pub(super) unsafe fn span_until(clock: c_int, flags: c_int, request: *const timespec) -> Option<Duration> {
    // SAFETY: the caller of the libc function passes a valid pointer or null.
    let request = unsafe { span(request) }?;
    if flags & libc::TIMER_ABSTIME == 0 {
        return Some(request);
    }
    let mut now = timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is ours to write.
    let known = unsafe { libc::clock_gettime(clock, &raw mut now) } == 0;
    // SAFETY: `now` is ours to read.
    let now = unsafe { span(&raw const now) }.filter(|_| known);
    Some(request.saturating_sub(now.unwrap_or(request)))
}

/// The kind of a descriptor in blocking mode (its `S_IFMT` bits); `None` in non-blocking mode, or if not open.
fn blocking_kind(fd: c_int) -> Option<libc::mode_t> {
    // SAFETY: any number may be asked about.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
    if flags < 0 || flags & libc::O_NONBLOCK != 0 {
        return None;
    }
    // SAFETY: all zeros is a valid `stat`.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: `stat` is ours to write.
    let known = unsafe { libc::fstat(fd, &raw mut stat) } == 0;
    known.then_some(stat.st_mode & libc::S_IFMT)
}

/// The kinds without name, event and timer descriptors for example, have no type bits.
const NAMELESS: libc::mode_t = 0;

fn class_of(kind: libc::mode_t) -> Class {
    match kind {
        libc::S_IFSOCK => Class::Network,
        // What comes through a pipe is not on a disk: somebody has to write it, or to read.
        libc::S_IFIFO | NAMELESS => Class::Wait,
        _ => Class::File,
    }
}

/// Reading from a descriptor.
pub(super) fn reads(fd: c_int) -> Finding {
    let kind = blocking_kind(fd)?;
    always(if fd == libc::STDIN_FILENO { Class::Input } else { class_of(kind) })
}

/// Writing to a descriptor. The standard outputs count only when they take no more now, and an event
/// descriptor never: its counter would have to be full.
pub(super) fn writes(fd: c_int) -> Finding {
    if fd == libc::STDOUT_FILENO || fd == libc::STDERR_FILENO {
        return when(!takes_more(fd) && blocking_kind(fd).is_some(), Class::Output);
    }
    let kind = blocking_kind(fd)?;
    when(kind != NAMELESS, class_of(kind))
}

fn takes_more(fd: c_int) -> bool {
    let mut asked = libc::pollfd { fd, events: libc::POLLOUT, revents: 0 };
    // SAFETY: `asked` is one entry, and ours to write.
    unsafe { libc::poll(&raw mut asked, 1, 0) != 0 }
}

/// A call on a socket that has no flags of its own.
pub(super) fn connects(fd: c_int) -> Finding {
    blocking_kind(fd).and_then(|_| always(Class::Network))
}

/// A transfer by a socket, with flags.
pub(super) fn transfers(fd: c_int, flags: c_int) -> Finding {
    if flags & libc::MSG_DONTWAIT != 0 { None } else { connects(fd) }
}

/// Reading from a C stream. Those of the standard outputs are never read from.
pub(super) unsafe fn reads_stream(stream: *mut FILE) -> Finding {
    if stream.is_null() {
        return None;
    }
    // SAFETY: the caller of the libc function passes an open stream.
    match unsafe { libc::fileno(stream) } {
        libc::STDOUT_FILENO | libc::STDERR_FILENO => None,
        // A stream in memory has -1, which `reads` knows as not open.
        fd => reads(fd),
    }
}

/// Asking about a path; an open descriptor (an empty path) answers without walking one.
pub(super) unsafe fn asks(path: *const c_char, flags: c_int) -> Finding {
    // SAFETY: the caller of the libc function passes a string or null.
    let is_empty = path.is_null() || unsafe { *path } == 0;
    when(!(is_empty && flags & libc::AT_EMPTY_PATH != 0), Class::File)
}
