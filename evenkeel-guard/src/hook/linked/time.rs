//! Sleeps, and waits for descriptors and signals.

use std::ffi::{c_int, c_uint};
use std::time::Duration;

use libc::{epoll_event, fd_set, nfds_t, pollfd, sigset_t, timespec, timeval};

use super::super::Class::Wait;
use super::look::{always, milliseconds, sleeps, span, span_of_timeval, span_until, waits};

wrap! {
    nanosleep(request: *const timespec, rest: *mut timespec) -> c_int => sleeps(span(request));
    clock_nanosleep(clock: c_int, flags: c_int, request: *const timespec, rest: *mut timespec) -> c_int
        => sleeps(span_until(clock, flags, request)), absent libc::ENOSYS;
    usleep(micros: c_uint) -> c_int => sleeps(Some(Duration::from_micros(micros.into())));
    thrd_sleep(request: *const timespec, rest: *mut timespec) -> c_int => sleeps(span(request));
    sleep(seconds: c_uint) -> c_uint => sleeps(Some(Duration::from_secs(seconds.into())));

    poll(fds: *mut pollfd, count: nfds_t, timeout: c_int) -> c_int => waits(count == 0, milliseconds(timeout));
    __poll_chk(fds: *mut pollfd, count: nfds_t, timeout: c_int, size: usize) -> c_int
        => waits(count == 0, milliseconds(timeout));
    ppoll(fds: *mut pollfd, count: nfds_t, timeout: *const timespec, mask: *const sigset_t) -> c_int
        => waits(count == 0, span(timeout));
    __ppoll_chk(fds: *mut pollfd, count: nfds_t, timeout: *const timespec, mask: *const sigset_t, size: usize)
        -> c_int => waits(count == 0, span(timeout));
    select(count: c_int, read: *mut fd_set, write: *mut fd_set, other: *mut fd_set, timeout: *mut timeval)
        -> c_int => waits(count == 0, span_of_timeval(timeout));
    pselect(count: c_int, read: *mut fd_set, write: *mut fd_set, other: *mut fd_set, timeout: *const timespec,
        mask: *const sigset_t) -> c_int => waits(count == 0, span(timeout));
    epoll_wait(fd: c_int, events: *mut epoll_event, room: c_int, timeout: c_int) -> c_int
        => waits(false, milliseconds(timeout));
    epoll_pwait(fd: c_int, events: *mut epoll_event, room: c_int, timeout: c_int, mask: *const sigset_t) -> c_int
        => waits(false, milliseconds(timeout));
    epoll_pwait2(fd: c_int, events: *mut epoll_event, room: c_int, timeout: *const timespec,
        mask: *const sigset_t) -> c_int => waits(false, span(timeout));

    sigwait(set: *const sigset_t, signal: *mut c_int) -> c_int => always(Wait), absent libc::ENOSYS;
    sigwaitinfo(set: *const sigset_t, about: *mut libc::siginfo_t) -> c_int => always(Wait);
    sigtimedwait(set: *const sigset_t, about: *mut libc::siginfo_t, timeout: *const timespec) -> c_int
        => waits(false, span(timeout));
    pause() -> c_int => always(Wait);
}
