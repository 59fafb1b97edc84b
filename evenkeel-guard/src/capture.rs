//! The call path of another thread of this process, taken from outside.
//!
//! A thread that sleeps in the kernel is not disturbed: the kernel says where its stack pointer and its program
//! counter are, and copies its stack. A signal would make some of its system calls fail, a read with
//! `SO_RCVTIMEO` for one. A thread that runs is interrupted for as long as it takes to copy registers and
//! stack. In both cases the path is followed afterwards, on the caller's thread.
//!
//! Works on Linux, x86-64 and aarch64 (the latter was written from its manuals, and has not been run). Gives
//! `None` elsewhere, and where `/proc` says too little.

use std::sync::Once;

use crate::sys::{self, ThreadId, ThreadState};

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod machine;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod tables;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod walk;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod native;
#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
#[path = "capture/elsewhere.rs"]
mod native;

/// Takes call paths, and keeps what that needs: the unwind tables of all modules, read at first use.
pub(crate) struct Capture(native::Capture);

/// What a thread was doing.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    #[cfg_attr(not(test), expect(dead_code, reason = "tests tell the two ways apart"))]
    pub(crate) state: ThreadState,
    /// The number of the system call that the thread sleeps in, unless it only waits for memory.
    pub(crate) system_call: Option<u64>,
    /// Innermost first. Each is the address *after* the instruction it speaks of, as a return address is.
    pub(crate) addresses: Vec<usize>,
}

impl Capture {
    pub(crate) fn new() -> Self {
        Self(native::Capture::new())
    }

    /// The path of a thread, if `still` holds before and after: the caller knows what shows that the thread
    /// has not gone on to something else.
    ///
    /// `None` for a thread that is gone, that changes too quickly, or that got no core to answer from in a few
    /// milliseconds. Asking again is fine. A path may lack its outer end: past 256 frames, past 256 KiB of a
    /// running thread's stack or 1 MiB of a sleeping one's, or if the thread woke during a second copy.
    pub(crate) fn take(&mut self, thread: ThreadId, still: impl Fn() -> bool) -> Option<Taken> {
        // A program may install its filter at any time.
        if Self::is_refused() {
            tell_of_refusals();
            return None;
        }
        self.0.take(thread, &still)
    }

    /// Whether the kernel does not let this process read its own stacks.
    pub(crate) fn is_refused() -> bool {
        native::is_refused()
    }
}

/// Says once in a program what a filter of system calls takes from it.
pub(crate) fn tell_of_refusals() {
    static TOLD: Once = Once::new();
    if TOLD.is_completed() {
        return;
    }
    let mut refused = sys::refused();
    if !native::can_read_memory() {
        refused.push("process_vm_readv");
    }
    if refused.is_empty() {
        return;
    }
    TOLD.call_once(|| {
        tracing::warn!(
            target: "evenkeel::guard",
            "the kernel refuses {}, by a filter of system calls perhaps: calls are seen before they block as ever; what is \
             found by looking at threads comes later, or without its line",
            refused.join(", ")
        );
    });
}

#[cfg(test)]
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod tests;
