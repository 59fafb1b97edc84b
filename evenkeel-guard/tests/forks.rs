//! What a process that a handler starts, with or without `execve`, gets to see of its parent, and what the guard does to
//! a handler that takes no signals.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]
#![cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]

use std::hint::black_box;
use std::io::Write;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use evenkeel_guard::{Class, Executor, Label};
use tokio::runtime::Runtime;

/// Keeps the calling thread's core busy for so much of its own time.
fn compute(time: Duration) {
    let used = || rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let until = Duration::try_from(used()).unwrap() + time;
    while Duration::try_from(used()).unwrap() < until {
        black_box((0..1000).sum::<u64>());
    }
}

/// An executor that has looked at a busy thread, with all that it opens for that. One thread at a time is busy, each with a
/// name of its own: those in quarantine hardly get on where the machine is busy.
fn executor_that_has_looked(runtime: &Runtime) -> Executor {
    let executor = Executor::threads(runtime.handle().clone(), 1);
    for number in 0.. {
        let (tell, told) = std::sync::mpsc::channel();
        let busy = async move {
            compute(Duration::from_millis(20));
            tell.send(()).unwrap();
        };
        executor.spawn(&Label::new(format!("busy {number}")), busy).detach();
        told.recv().unwrap();
        if executor.reports().iter().any(|report| report.class == Class::Compute) {
            break;
        }
    }
    executor
}

/// Runs a future on the executor, and gives what it gives.
fn ask<T: Send + 'static>(executor: &Executor, future: impl Future<Output = T> + Send + 'static) -> T {
    let (tell, told) = std::sync::mpsc::channel();
    executor.spawn(&Label::new("asked"), async move { tell.send(future.await).unwrap() }).detach();
    told.recv().unwrap()
}

static SECRET: AtomicU64 = AtomicU64::new(0);
const WRITTEN_LATER: u64 = 0x5EC2_E75E_C2E7;

/// The forked child. It calls nothing but the kernel, for another thread may have held any lock when it was made.
fn look_through_all_descriptors(parent_is_ready: i32) -> i32 {
    const NOBODY: libc::c_long = 65534;
    let mut found = 0_u64;
    // SAFETY: a program without the right to do so stays who it is.
    unsafe { libc::syscall(libc::SYS_setgid, NOBODY) };
    // SAFETY: as above.
    unsafe { libc::syscall(libc::SYS_setuid, NOBODY) };
    // SAFETY: the bytes are a local's.
    if unsafe { libc::syscall(libc::SYS_read, parent_is_ready, &raw mut found, 1) } != 1 {
        return 2;
    }
    for descriptor in 0..4096 {
        found = 0;
        // SAFETY: the bytes are a local's.
        unsafe { libc::syscall(libc::SYS_pread64, descriptor, &raw mut found, 8, SECRET.as_ptr()) };
        if found == WRITTEN_LATER {
            return 1;
        }
    }
    0
}

/// Forks, lets the child wait until the secret is written, and gives the child's status.
fn fork_and_write_a_secret() -> i32 {
    let (ready, mut tell_ready) = std::io::pipe().unwrap();
    // SAFETY: the child calls nothing that another thread could have locked.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let status = look_through_all_descriptors(ready.as_raw_fd());
        // SAFETY: it takes a number and does not return.
        unsafe { libc::_exit(status) };
    }
    SECRET.store(WRITTEN_LATER, Ordering::SeqCst);
    tell_ready.write_all(&[1]).unwrap();
    let mut status = 0;
    // SAFETY: the status is a local.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert!(libc::WIFEXITED(status), "{status}");
    libc::WEXITSTATUS(status)
}

#[test]
fn a_forked_child_that_gave_up_its_rights_cannot_read_its_parent() {
    let runtime = Runtime::new().unwrap();
    let executor = executor_that_has_looked(&runtime);
    // The handler's own thread is watched, and a child of it would tell the guard of its calls.
    let status = ask(&executor, async { std::thread::spawn(fork_and_write_a_secret).join().unwrap() });
    assert_ne!(status, 1, "a descriptor gives the parent's memory away");
    assert_eq!(status, 0);
}

#[test]
fn a_program_that_a_handler_starts_gets_no_file_of_the_guards() {
    let list = || {
        let output = Command::new("ls").args(["-1", "/proc/self/fd"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let without = list();
    let runtime = Runtime::new().unwrap();
    let executor = executor_that_has_looked(&runtime);
    assert_eq!(ask(&executor, async move { list() }), without);
}

#[test]
fn memory_is_not_kept_open() {
    let runtime = Runtime::new().unwrap();
    let _executor = executor_that_has_looked(&runtime);
    for file in std::fs::read_dir("/proc/self/fd").unwrap() {
        let link = std::fs::read_link(file.unwrap().path()).unwrap_or_default();
        assert!(!link.ends_with("mem"), "{link:?}");
    }
}

/// All signals that queue up instead of coming once.
fn real_time_signals() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: the set is a local, which is emptied before it is used.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in libc::SIGRTMIN()..=libc::SIGRTMAX() {
            libc::sigaddset(set.as_mut_ptr(), signal);
        }
        set.assume_init()
    }
}

/// Computes on a thread that takes no signals, and says how many have come meanwhile.
fn compute_without_signals() -> usize {
    let (set, mut before) = (real_time_signals(), MaybeUninit::uninit());
    // SAFETY: the sets are locals.
    unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, before.as_mut_ptr()) };
    compute(Duration::from_millis(200));
    let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel reads two locals, and is asked for no details.
    let next = || unsafe { libc::sigtimedwait(&raw const set, null_mut(), &raw const at_once) };
    let pending = std::iter::repeat_with(next).take_while(|&signal| signal > 0).count();
    // SAFETY: the kernel has filled it above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), null_mut()) };
    pending
}

#[test]
fn a_handler_that_blocks_all_signals_gathers_none() {
    let runtime = Runtime::new().unwrap();
    let executor = executor_that_has_looked(&runtime);
    let pending = ask(&executor, async { compute_without_signals() });
    assert!(pending <= 1, "{pending} signals wait for a thread that takes none");
}

/// Has the kernel refuse a system call to this thread and all that it starts.
fn refuse(call: libc::c_long) {
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let filter = [
        step((libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16, 0, 0, 0),
        step((libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16, 0, 1, u32::try_from(call).unwrap()),
        step((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        step((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    // SAFETY: it takes numbers only.
    assert_eq!(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }, 0);
    // SAFETY: the kernel copies the filter.
    assert_eq!(
        unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) },
        0
    );
}

/// Runs on its own: a filter cannot be taken back.
#[test]
fn a_kernel_that_refuses_calls_is_told_of_in_one_line() {
    const AGAIN: &str = "EVENKEEL_TEST_AGAIN";
    if std::env::var_os(AGAIN).is_none() {
        let mut again = Command::new(std::env::current_exe().unwrap());
        again.args(["--exact", "a_kernel_that_refuses_calls_is_told_of_in_one_line", "--nocapture"]);
        let output = again.env(AGAIN, "1").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        assert_eq!(
            said.matches("the kernel refuses tgkill, setpriority, process_vm_readv,").count(),
            1,
            "{said}"
        );
        assert_eq!(said.matches("the kernel").count(), 1, "{said}");
        return;
    }
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    for call in [libc::SYS_process_vm_readv, libc::SYS_tgkill, libc::SYS_setpriority] {
        refuse(call);
    }
    let runtime = Runtime::new().unwrap();
    for _ in 0..2 {
        drop(executor_that_has_looked(&runtime));
    }
}
