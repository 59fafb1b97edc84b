//! System calls without the C library: in a signal handler nothing else is sure to be safe to call, and a
//! wrapper of the C library may be one that this crate itself has put there.

use std::arch::asm;

/// Calls the kernel; the result is its answer, or an error number below zero.
///
/// # Safety
/// The arguments must be right for the call.
pub(super) unsafe fn system_call(number: libc::c_long, arguments: [usize; 6]) -> isize {
    let [a, b, c, d, e, f] = arguments;
    let answer: isize;
    // SAFETY: these are the registers of the kernel's calling convention, and the caller vouches for the rest.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => answer,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
            options(nostack)
        );
    }
    // SAFETY: these are the registers of the kernel's calling convention, and the caller vouches for the rest.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") a => answer,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e, in("x5") f,
            options(nostack)
        );
    }
    answer
}

/// The calling thread. The number is the kernel's, also in a process that was forked without the C library.
pub(super) fn current_thread() -> usize {
    // SAFETY: gettid takes no argument.
    let thread = unsafe { system_call(libc::SYS_gettid, [0; 6]) };
    usize::try_from(thread).unwrap_or_default()
}

/// Sleeps by the bare instruction, as code does that goes around the C library.
#[cfg(test)]
#[inline(always)]
pub(crate) fn sleep_without_libc(time: std::time::Duration) {
    let time = libc::timespec { tv_sec: 0, tv_nsec: time.subsec_nanos().into() };
    // SAFETY: the time outlives the call, and the kernel is asked for no rest.
    unsafe { system_call(libc::SYS_nanosleep, [&raw const time as usize, 0, 0, 0, 0, 0]) };
}
