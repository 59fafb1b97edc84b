//! Messages and semaphores between processes: POSIX queues, and those of System V.

use std::ffi::{c_char, c_int, c_long, c_uint, c_void};

use libc::{mqd_t, sembuf, size_t, timespec};

use super::super::Class::Wait;
use super::look::{Finding, reads, when};

/// A call of System V, which waits unless its flags say not to.
fn unless_it_only_tries(flags: c_int) -> Finding {
    when(flags & libc::IPC_NOWAIT == 0, Wait)
}

/// Operations on semaphores: one that must not wait ends them all at once.
pub(super) unsafe fn operates(operations: *const sembuf, count: size_t) -> Finding {
    if operations.is_null() {
        return None;
    }
    // SAFETY: the caller of the libc function passes as many operations as it says.
    let operations = unsafe { std::slice::from_raw_parts(operations, count) };
    let waits =
        operations.iter().any(|one| one.sem_op <= 0 && c_int::from(one.sem_flg) & libc::IPC_NOWAIT == 0);
    when(waits, Wait)
}

/// A queue is a descriptor, which has its mode like others.
fn passes(queue: mqd_t) -> Finding {
    reads(queue).map(|_| (Wait, None))
}

wrap! {
    mq_send(queue: mqd_t, message: *const c_char, length: size_t, priority: c_uint) -> c_int => passes(queue);
    mq_timedsend(queue: mqd_t, message: *const c_char, length: size_t, priority: c_uint, until: *const timespec)
        -> c_int => passes(queue);
    mq_receive(queue: mqd_t, into: *mut c_char, length: size_t, priority: *mut c_uint) -> isize => passes(queue);
    mq_timedreceive(queue: mqd_t, into: *mut c_char, length: size_t, priority: *mut c_uint, until: *const timespec)
        -> isize => passes(queue);
    msgsnd(queue: c_int, message: *const c_void, size: size_t, flags: c_int) -> c_int
        => unless_it_only_tries(flags);
    msgrcv(queue: c_int, into: *mut c_void, size: size_t, kind: c_long, flags: c_int) -> isize
        => unless_it_only_tries(flags);
    semop(set: c_int, operations: *mut sembuf, count: size_t) -> c_int => operates(operations, count);
    semtimedop(set: c_int, operations: *mut sembuf, count: size_t, longest: *const timespec) -> c_int
        => operates(operations, count);
}
