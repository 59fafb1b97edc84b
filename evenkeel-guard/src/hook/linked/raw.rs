//! `syscall`, by the number that it is given.

use std::ffi::{c_char, c_int, c_long};
use std::sync::atomic::{AtomicU32, Ordering};

use libc::timespec;
#[cfg(target_arch = "x86_64")]
use libc::timeval;

use super::super::Class::{Contention, File, Process, Wait};
#[cfg(target_arch = "x86_64")]
use super::look::span_of_timeval;
use super::look::{
    Finding, always, asks, connects, milliseconds, reads, sleeps, span, span_until, transfers, waits, when,
    writes,
};
use super::queue::operates;

/// Absent from some versions of the libc crate; the same number on every architecture.
const FUTEX_WAITV: c_long = 449;
const IO_URING_ENTER_GETEVENTS: c_long = 1;

/// A futex whose word has changed meanwhile does not wait.
unsafe fn futex(word: *const u32, operation: c_int, expected: u32) -> Finding {
    let operation = operation & !(libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME);
    if !matches!(operation, libc::FUTEX_WAIT | libc::FUTEX_WAIT_BITSET)
        || word.is_null()
        || !word.is_aligned()
    {
        return None;
    }
    // SAFETY: the caller of `syscall` passes a futex, which is read as an atomic by everybody.
    let now = unsafe { AtomicU32::from_ptr(word.cast_mut()) }.load(Ordering::Relaxed);
    when(now == expected, Contention)
}

/// Whether a call goes to a file system, whatever its arguments.
fn is_of_files(number: c_long) -> bool {
    #[cfg(target_arch = "x86_64")]
    if matches!(
        number,
        libc::SYS_open
            | libc::SYS_creat
            | libc::SYS_stat
            | libc::SYS_lstat
            | libc::SYS_access
            | libc::SYS_unlink
            | libc::SYS_rename
            | libc::SYS_mkdir
            | libc::SYS_rmdir
            | libc::SYS_link
            | libc::SYS_symlink
            | libc::SYS_readlink
            | libc::SYS_chmod
            | libc::SYS_chown
            | libc::SYS_lchown
            | libc::SYS_getdents
            | libc::SYS_mknod
    ) {
        return true;
    }
    matches!(
        number,
        libc::SYS_openat
            | libc::SYS_openat2
            | libc::SYS_renameat2
            | libc::SYS_fsync
            | libc::SYS_fdatasync
            | libc::SYS_syncfs
            | libc::SYS_unlinkat
            | libc::SYS_mkdirat
            | libc::SYS_mknodat
            | libc::SYS_linkat
            | libc::SYS_symlinkat
            | libc::SYS_readlinkat
            | libc::SYS_faccessat
            | libc::SYS_faccessat2
            | libc::SYS_fchmod
            | libc::SYS_fchmodat
            | libc::SYS_fchmodat2
            | libc::SYS_fchown
            | libc::SYS_fchownat
            | libc::SYS_utimensat
            | libc::SYS_ftruncate
            | libc::SYS_fallocate
            | libc::SYS_getdents64
            | libc::SYS_truncate
            | libc::SYS_statfs
            | libc::SYS_sync
            | libc::SYS_name_to_handle_at
            | libc::SYS_copy_file_range
    )
}

/// The calls that libc itself has a function for, and that someone makes by number.
unsafe fn finding(number: c_long, a: [c_long; 5]) -> Finding {
    let fd = a[0] as c_int;
    match number {
        // SAFETY: the caller of `syscall` passes the arguments of a futex call.
        libc::SYS_futex => unsafe { futex(a[0] as *const u32, a[1] as c_int, a[2] as u32) },
        FUTEX_WAITV => always(Contention),
        // SAFETY: the caller of `syscall` passes a valid time.
        libc::SYS_nanosleep => sleeps(unsafe { span(a[0] as *const timespec) }),
        libc::SYS_clock_nanosleep => {
            // SAFETY: the caller of `syscall` passes a valid time.
            sleeps(unsafe { span_until(fd, a[1] as c_int, a[2] as *const timespec) })
        }
        libc::SYS_read | libc::SYS_readv | libc::SYS_pread64 | libc::SYS_preadv => reads(fd),
        libc::SYS_write | libc::SYS_writev | libc::SYS_pwrite64 | libc::SYS_pwritev => writes(fd),
        // SAFETY: the caller of `syscall` passes a path.
        libc::SYS_statx => unsafe { asks(a[1] as *const c_char, a[2] as c_int) },
        libc::SYS_connect | libc::SYS_accept | libc::SYS_accept4 => connects(fd),
        libc::SYS_recvfrom | libc::SYS_sendto => transfers(fd, a[3] as c_int),
        libc::SYS_recvmsg | libc::SYS_sendmsg => transfers(fd, a[2] as c_int),
        libc::SYS_wait4 => when(a[2] as c_int & libc::WNOHANG == 0, Process),
        libc::SYS_waitid => when(a[3] as c_int & libc::WNOHANG == 0, Process),
        libc::SYS_io_uring_enter => when(a[2] > 0 && a[3] & IO_URING_ENTER_GETEVENTS != 0, Wait),
        libc::SYS_flock => when(a[1] as c_int & libc::LOCK_NB == 0, File),
        // SAFETY: the caller of `syscall` passes a valid time or null.
        libc::SYS_rt_sigtimedwait => waits(false, unsafe { span(a[2] as *const timespec) }),
        libc::SYS_msgsnd => when(a[3] as c_int & libc::IPC_NOWAIT == 0, Wait),
        libc::SYS_msgrcv => when(a[4] as c_int & libc::IPC_NOWAIT == 0, Wait),
        // SAFETY: the caller of `syscall` passes as many operations as it says.
        libc::SYS_semop | libc::SYS_semtimedop => unsafe {
            operates(a[1] as *const libc::sembuf, a[2] as usize)
        },
        libc::SYS_mq_timedsend | libc::SYS_mq_timedreceive => reads(fd).map(|_| (Wait, None)),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the caller of `syscall` passes a path.
        libc::SYS_newfstatat => unsafe { asks(a[1] as *const c_char, a[3] as c_int) },
        _ if is_of_files(number) => always(File),
        // SAFETY: the caller of `syscall` passes the arguments of a wait for events.
        _ => unsafe { events(number, a) },
    }
}

/// Waits for descriptors. The first generation of these has no number on newer architectures.
unsafe fn events(number: c_long, a: [c_long; 5]) -> Finding {
    match number {
        #[cfg(target_arch = "x86_64")]
        libc::SYS_poll => waits(a[1] == 0, milliseconds(a[2] as c_int)),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the caller of `syscall` passes a valid time or null.
        libc::SYS_select => waits(a[0] == 0, unsafe { span_of_timeval(a[4] as *const timeval) }),
        #[cfg(target_arch = "x86_64")]
        libc::SYS_epoll_wait => waits(false, milliseconds(a[3] as c_int)),
        libc::SYS_epoll_pwait => waits(false, milliseconds(a[3] as c_int)),
        // SAFETY: the caller of `syscall` passes a valid time or null.
        libc::SYS_epoll_pwait2 => waits(false, unsafe { span(a[3] as *const timespec) }),
        // SAFETY: the caller of `syscall` passes a valid time or null.
        libc::SYS_ppoll => waits(a[1] == 0, unsafe { span(a[2] as *const timespec) }),
        // SAFETY: the caller of `syscall` passes a valid time or null.
        libc::SYS_pselect6 => waits(a[0] == 0, unsafe { span(a[4] as *const timespec) }),
        _ => None,
    }
}

/// Whether the call may answer twice, with zero in a child.
fn forks(number: c_long) -> bool {
    #[cfg(target_arch = "x86_64")]
    if number == libc::SYS_fork {
        return true;
    }
    number == libc::SYS_clone || number == libc::SYS_clone3
}

wrap! {
    syscall(number: c_long, a: c_long, b: c_long, c: c_long, d: c_long, e: c_long, f: c_long) -> c_long
        => finding(number, [a, b, c, d, e]), child |answer| answer == 0 && forks(number);
}
