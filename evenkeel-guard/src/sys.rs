//! What the kernel says of this process's threads, and what only `unsafe` code can ask.
//!
//! Every door is safe, and gives `None`, `false` or nothing where the platform cannot tell.

#![allow(unsafe_code)]

use std::time::Duration;

pub(crate) mod process;
pub(crate) mod stack;
mod waker;
#[cfg(target_os = "linux")]
mod threads;
#[cfg(not(target_os = "linux"))]
#[path = "sys/elsewhere.rs"]
mod threads;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod raw;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod memory;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod interrupt;

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(crate) use interrupt::{Registers, interrupt, is_copying};
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(crate) use memory::{Module, can_read_memory, is_refused, module_changes, modules, read_memory};
#[cfg(all(test, target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(crate) use raw::sleep_without_libc;
#[cfg(target_os = "linux")]
pub(crate) use threads::{Status, read_about};
pub(crate) use waker::listening;

/// Names a thread of this process as the kernel does. The kernel gives the number to another thread, sooner
/// or later, once this one has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ThreadId(u32);

impl ThreadId {
    pub(crate) fn number(self) -> u32 {
        self.0
    }
}

/// Whether a system call of this number waits for a lock.
pub(crate) fn is_wait_for_lock(system_call: u64) -> bool {
    #[cfg(target_os = "linux")]
    return u64::try_from(libc::SYS_futex) == Ok(system_call);
    #[cfg(not(target_os = "linux"))]
    return system_call == u64::MAX;
}

/// Whether a system call of this number is for memory or for a new thread: where it waits, it waits for what the kernel and the
/// other threads of the process do to the same tables.
#[cfg(target_os = "linux")]
pub(crate) fn is_for_memory(system_call: u64) -> bool {
    const CALLS: [libc::c_long; 8] = [
        libc::SYS_brk,
        libc::SYS_clone,
        libc::SYS_clone3,
        libc::SYS_madvise,
        libc::SYS_mmap,
        libc::SYS_mprotect,
        libc::SYS_mremap,
        libc::SYS_munmap,
    ];
    CALLS.iter().any(|&call| u64::try_from(call) == Ok(system_call))
}

/// What a thread does, as the scheduler sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only Linux is asked"))]
pub(crate) enum ThreadState {
    /// On a core, or waiting for one.
    Running,
    /// Waiting in the kernel until something happens.
    Asleep,
    /// Waiting in the kernel in a way that no signal ends: a disk, most often.
    Uninterruptible,
    /// Held by `SIGSTOP` or by a debugger.
    Stopped,
    /// Ended.
    Gone,
}

impl ThreadState {
    /// Whether it waits in the kernel.
    pub(crate) fn is_asleep(self) -> bool {
        matches!(self, Self::Asleep | Self::Uninterruptible)
    }
}

/// The calling thread. Costs a system call; a thread does well to remember it.
pub(crate) fn current_thread() -> ThreadId {
    ThreadId(threads::current())
}

/// The thread's state, or `None` where the platform cannot tell.
pub(crate) fn state_of(thread: ThreadId) -> Option<ThreadState> {
    threads::state_of(thread.0)
}

/// The time that the thread has spent on a core; `None` once it is gone.
pub(crate) fn cpu_time_of(thread: ThreadId) -> Option<Duration> {
    threads::cpu_time_of(thread.0)
}

/// The time that the calling thread has spent on a core.
pub(crate) fn cpu_time_here() -> Option<Duration> {
    threads::cpu_time_here()
}

/// What the kernel refuses of all that is needed to look at threads.
pub(crate) fn refused() -> Vec<&'static str> {
    threads::refused()
}

/// How far other threads go first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Priority {
    /// Less than half of what another thread gets, beside it on one core.
    Low,
    /// As good as nothing beside another thread.
    Lowest,
}

/// Lets other threads go first. Without privileges nobody can take this back.
pub(crate) fn lower_priority(thread: ThreadId, to: Priority) -> bool {
    let nice = match to {
        Priority::Low => 4,
        Priority::Lowest => 19,
    };
    threads::lower_priority(thread.0, nice)
}

/// Gives memory that was freed back to the system, where the allocator is known to keep it.
pub(crate) fn give_memory_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: malloc_trim takes a number and locks what it needs.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Writes the return addresses of the calling thread's stack, innermost first, and says how many there are.
/// No address past the slice's end is looked at.
///
/// Takes no lock and allocates nothing where the C library finds unwind tables without one (glibc 2.35 and
/// later). The slice is the caller's, so that it need not lie on a stack that stays in use for long.
pub(crate) fn addresses_here(into: &mut [usize]) -> usize {
    let mut count = 0;
    if into.is_empty() {
        return count;
    }
    let note = |frame: &backtrace::Frame| {
        // The unwinder may end with a frame that has no address.
        let address = frame.ip() as usize;
        if address != 0 {
            into[count] = address;
            count += 1;
        }
        address != 0 && count < into.len()
    };
    // SAFETY: the unwinder itself may run on several threads at once; the lock that is left out guards
    // symbolisation, which this does not do.
    #[cfg(target_os = "linux")]
    unsafe {
        backtrace::trace_unsynchronized(note);
    }
    #[cfg(not(target_os = "linux"))]
    backtrace::trace(note);
    count
}

#[cfg(test)]
mod tests;
