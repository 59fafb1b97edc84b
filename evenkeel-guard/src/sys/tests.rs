use std::hint::black_box;
use std::sync::mpsc;

use super::*;

#[test]
fn current_thread_names_each_thread_differently() {
    let here = current_thread();
    assert_eq!(here, current_thread());
    let there = std::thread::spawn(current_thread).join().unwrap();
    assert_ne!(here, there);
}

#[cfg(target_os = "linux")]
#[test]
fn state_is_read_after_the_last_bracket_of_a_name() {
    let check = |line: &str, state| assert_eq!(threads::parse_state(line.as_bytes()), state, "{line}");
    check("7 (worker) R 1 7", Some(ThreadState::Running));
    check("7 (a) R (b) S 1 7", Some(ThreadState::Asleep));
    check("7 () D) D", Some(ThreadState::Uninterruptible));
    check("7 (worker) t 1", Some(ThreadState::Stopped));
    check("7 (worker) Z 1", Some(ThreadState::Gone));
    check("7 (worker)", None);
    check("7 (worker) ?", None);
    check("", None);
}

#[cfg(target_os = "linux")]
#[test]
fn a_thread_is_seen_to_run_to_sleep_and_to_end() {
    let (stop, stopped) = mpsc::channel::<()>();
    let (tell, told) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        tell.send(current_thread()).unwrap();
        stopped.recv().unwrap_err();
    });
    let id = told.recv().unwrap();
    while state_of(id) != Some(ThreadState::Asleep) {
        std::thread::yield_now();
    }
    assert_eq!(state_of(current_thread()), Some(ThreadState::Running));
    assert!(cpu_time_of(id).is_some());
    drop(stop);
    thread.join().unwrap();
    while state_of(id) != Some(ThreadState::Gone) {
        std::thread::yield_now();
    }
    assert_eq!(cpu_time_of(id), None);
    assert!(!lower_priority(id, Priority::Lowest));
}

#[cfg(target_os = "linux")]
#[test]
fn cpu_time_grows_with_work_and_is_the_same_from_both_sides() {
    let before = cpu_time_here().unwrap();
    let mut from_outside = cpu_time_of(current_thread()).unwrap();
    assert!(from_outside >= before);
    while from_outside < before + Duration::from_millis(2) {
        black_box((0..1000).sum::<u64>());
        from_outside = cpu_time_of(current_thread()).unwrap();
    }
    assert!(cpu_time_here().unwrap() >= from_outside);
}

#[cfg(target_os = "linux")]
#[test]
fn priority_can_be_lowered_from_outside() {
    let (stop, stopped) = mpsc::channel::<()>();
    let (tell, told) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        tell.send(current_thread()).unwrap();
        stopped.recv().unwrap_err();
    });
    let id = told.recv().unwrap();
    assert!(lower_priority(id, Priority::Lowest));
    let mut line = [0; 512];
    let length = read_about(id, "stat", &mut line).unwrap();
    let line = String::from_utf8_lossy(&line[..length]).into_owned();
    // The name and the number are fields 2 and 19.
    let nice = line.rsplit(')').next().unwrap().split_whitespace().nth(19 - 3);
    assert_eq!(nice, Some("19"), "{line}");
    drop(stop);
    thread.join().unwrap();
}

#[inline(never)]
fn outer(into: &mut [usize]) -> usize {
    black_box(addresses_here(black_box(into)))
}

#[test]
fn addresses_here_hold_the_callers_function() {
    let mut addresses = [0; 128];
    let count = outer(&mut addresses);
    let mut names = Vec::new();
    for &address in &addresses[..count] {
        backtrace::resolve(address as *mut _, |symbol| {
            names.extend(symbol.name().map(|name| format!("{name:#}")));
        });
    }
    assert!(names.iter().any(|name| name.ends_with("outer")), "{names:#?}");
}

#[test]
fn addresses_here_never_write_past_their_slice() {
    assert_eq!(outer(&mut []), 0);
    let mut few = [0; 3];
    assert_eq!(outer(&mut few), 3);
    assert!(few.iter().all(|&address| address != 0));
}

/// Paints the stack below this function, calls, and looks how deep the paint is gone.
#[cfg(target_os = "linux")]
#[inline(never)]
fn stack_touched_by(call: impl FnOnce()) -> usize {
    use std::os::unix::fs::FileExt;
    const DEPTH: usize = 64 * 1024;
    // What the painting itself needs of the stack.
    const NEAR: usize = 1024;
    let memory = std::fs::File::options().read(true).write(true).open("/proc/self/mem").unwrap();
    let paint = vec![0xA5_u8; DEPTH - NEAR];
    let here = (&raw const memory) as usize - DEPTH;
    memory.write_all_at(&paint, here as u64).unwrap();
    call();
    let mut after = paint;
    memory.read_exact_at(&mut after, here as u64).unwrap();
    DEPTH - after.iter().position(|&byte| byte != 0xA5).unwrap_or(after.len())
}

#[cfg(target_os = "linux")]
#[test]
fn addresses_here_touch_little_stack() {
    let mut addresses = [0; 128];
    outer(&mut addresses); // the loader binds symbols at the first call
    let touched = std::thread::spawn(move || {
        stack_touched_by(|| {
            black_box(outer(&mut addresses));
        })
    })
    .join()
    .unwrap();
    println!("addresses_here touches {touched} bytes of stack");
    assert!(touched <= 8 * 1024, "{touched} bytes");
}

/// Maps this many pages, of which the one at `gap` cannot be read.
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
fn pages_with_a_gap(pages: usize, gap: usize) -> u64 {
    const PAGE: usize = 64 * 1024;
    let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: the kernel chooses a place that nobody uses.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), pages * PAGE, access, flags, -1, 0) };
    assert_ne!(start, libc::MAP_FAILED);
    // SAFETY: the page is one of those above, and is not used.
    assert_eq!(unsafe { libc::mprotect(start.wrapping_byte_add(gap * PAGE), PAGE, libc::PROT_NONE) }, 0);
    start as u64
}

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
#[test]
fn a_copy_of_memory_ends_where_it_cannot_be_read() {
    const PAGE: usize = 64 * 1024;
    let start = pages_with_a_gap(9, 8);
    for (offset, asked) in [(0, 9 * PAGE), (1, 9 * PAGE), (PAGE + 5, 8 * PAGE), (8 * PAGE - 3, 16)] {
        let mut bytes = vec![1; asked];
        assert_eq!(read_memory(start + offset as u64, &mut bytes), 8 * PAGE - offset, "{offset} {asked}");
    }
    let mut bytes = vec![1; 6 * PAGE + 11];
    assert_eq!(read_memory(start + 7, &mut bytes), bytes.len());
    assert!(bytes.iter().all(|byte| *byte == 0));
    assert_eq!(read_memory(start + 8 * PAGE as u64, &mut bytes), 0);
    assert!(can_read_memory() && !is_refused());
}

/// The kernel's own little library, which has no file.
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
#[test]
fn the_kernels_library_can_be_read() {
    // SAFETY: it only reads what the kernel has left on the stack.
    let library = unsafe { libc::getauxval(libc::AT_SYSINFO_EHDR) };
    let mut bytes = [0; 4];
    assert_eq!(read_memory(library, &mut bytes), 4);
    assert_eq!(&bytes, b"\x7FELF");
}

/// Takes what is pending on the calling thread, which blocks it, and says how much it was.
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
fn take_pending_signals(set: &libc::sigset_t) -> usize {
    let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel is asked for no details, and reads two locals.
    let next = || unsafe { libc::sigtimedwait(set, std::ptr::null_mut(), &raw const at_once) };
    std::iter::repeat_with(next).take_while(|&signal| signal > 0).count()
}

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
#[test]
fn a_thread_that_takes_no_signal_is_sent_no_second_one() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    let stop = Arc::new(AtomicBool::new(false));
    let (tell, told) = mpsc::channel();
    let stopped = Arc::clone(&stop);
    let thread = std::thread::spawn(move || {
        let mut set = std::mem::MaybeUninit::uninit();
        // SAFETY: the set is a local, which is emptied first.
        let set = unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            for signal in libc::SIGRTMIN()..=libc::SIGRTMAX() {
                libc::sigaddset(set.as_mut_ptr(), signal);
            }
            libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
            set.assume_init()
        };
        tell.send(current_thread()).unwrap();
        while !stopped.load(Ordering::Relaxed) {
            std::hint::spin_loop();
        }
        take_pending_signals(&set)
    });
    let id = told.recv().unwrap();
    let mut stack = Vec::new();
    for _ in 0..100 {
        assert!(interrupt(id, &mut stack).is_none());
    }
    // SAFETY: tgkill takes numbers only.
    let outcome = unsafe { libc::syscall(libc::SYS_tgkill, std::process::id(), id.0, libc::SIGRTMIN() + 5) };
    assert_eq!(outcome, 0);
    for _ in 0..100 {
        assert!(interrupt(id, &mut stack).is_none());
    }
    stop.store(true, Ordering::Relaxed);
    assert_eq!(thread.join().unwrap(), 1, "only the one of this test");
}

#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
#[test]
fn a_signal_that_nobody_waits_for_changes_nothing() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    let stop = Arc::new(AtomicBool::new(false));
    let (tell, told) = mpsc::channel();
    let stopped = Arc::clone(&stop);
    let thread = std::thread::spawn(move || {
        tell.send(current_thread()).unwrap();
        while !stopped.load(Ordering::Relaxed) {
            std::hint::spin_loop();
        }
    });
    let id = told.recv().unwrap();
    let mut stack = Vec::new();
    // Another test of this process may be interrupting a thread just now.
    let mut ask = || while interrupt(id, &mut stack).is_none() {};
    ask();
    for _ in 0..100 {
        // SAFETY: tgkill takes numbers only.
        let outcome =
            unsafe { libc::syscall(libc::SYS_tgkill, std::process::id(), id.0, libc::SIGRTMIN() + 5) };
        assert_eq!(outcome, 0);
    }
    ask();
    stop.store(true, Ordering::Relaxed);
    thread.join().unwrap();
    assert!(interrupt(id, &mut stack).is_none());
}
