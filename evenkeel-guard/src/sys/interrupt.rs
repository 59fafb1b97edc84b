//! Interrupts a running thread for as long as it takes to copy its registers and the inner end of its stack.
//!
//! One thread at a time, in the whole process. The handler and the one who asks share [`ASKED`], which says
//! whose turn it is; what the handler writes to is static, so that a signal that comes late finds nothing to
//! do, and nothing that was freed.

use std::cell::UnsafeCell;
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::memory::Pages;
use super::threads::signals_of;
use super::{ThreadId, raw};

/// The registers from which a stack can be followed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Registers {
    pub(crate) program_counter: u64,
    pub(crate) stack_pointer: u64,
    pub(crate) frame_pointer: u64,
    /// Where the innermost function returns to, on aarch64.
    #[cfg_attr(target_arch = "x86_64", expect(dead_code, reason = "the stack holds it there"))]
    pub(crate) link: u64,
}

/// At most this much of the stack is copied, which bounds how long the thread is held.
const MOST_BYTES: usize = 256 * 1024;
/// With one more, since a stack pointer lies anywhere in its page.
const MOST_PAGES: usize = MOST_BYTES / 4096 + 1;

/// A thread on a core answers in microseconds. One that waits for a core can take any time; it is given up
/// after this long, so that the one who asks stays on time.
const PATIENCE: Duration = Duration::from_millis(4);

/// Nobody asks.
const IDLE: u64 = 0;
/// The handler copies, on the thread in the lower half. A number without an upper half, other than [`IDLE`], is the
/// thread that is asked.
const COPYING: u64 = 1 << 32;
/// The copy is complete; it belongs to the one who asked, who goes back to [`IDLE`].
const DONE: u64 = 2 << 32;
/// Nobody waits for the copy any more; the handler, on the thread in the lower half, goes back to [`IDLE`].
const ABANDONED: u64 = 3 << 32;

static ASKED: AtomicU64 = AtomicU64::new(IDLE);
static COPY: Copied = Copied {
    registers: [const { AtomicU64::new(0) }; 4],
    length: AtomicUsize::new(0),
    pages: UnsafeCell::new(Pages::new()),
    bytes: UnsafeCell::new([0; MOST_BYTES]),
};

struct Copied {
    registers: [AtomicU64; 4],
    length: AtomicUsize,
    /// Not on the handler's stack, which may be a small one of its own.
    pages: UnsafeCell<Pages<MOST_PAGES>>,
    bytes: UnsafeCell<[u8; MOST_BYTES]>,
}

// SAFETY: `bytes` and `pages` are touched only by the handler that moved `ASKED` to `COPYING`, and then `bytes` by
// the one who read `DONE` there.
unsafe impl Sync for Copied {}

/// Interrupts a thread, gives its registers, and puts its stack from the stack pointer on into `stack`.
///
/// The thread should run: a thread that sleeps in the kernel could see its system call fail. `None` if it
/// does not answer in time, if another thread is being interrupted, or where no signal is free.
pub(crate) fn interrupt(thread: ThreadId, stack: &mut Vec<u8>) -> Option<Registers> {
    static SIGNAL: OnceLock<Option<libc::c_int>> = OnceLock::new();
    let signal = (*SIGNAL.get_or_init(install))?;
    ASKED.compare_exchange(IDLE, thread.0.into(), Ordering::AcqRel, Ordering::Relaxed).ok()?;
    if !(send(thread, signal) && wait()) {
        return give_up(thread);
    }
    let length = COPY.length.load(Ordering::Relaxed).min(MOST_BYTES);
    stack.resize(length, 0);
    // SAFETY: `DONE` was read, so the bytes belong to this thread until it stores `IDLE`.
    unsafe { ptr::copy_nonoverlapping(COPY.bytes.get().cast::<u8>(), stack.as_mut_ptr(), length) };
    let [program_counter, stack_pointer, frame_pointer, link] =
        COPY.registers.each_ref().map(|register| register.load(Ordering::Relaxed));
    ASKED.store(IDLE, Ordering::Release);
    Some(Registers { program_counter, stack_pointer, frame_pointer, link })
}

/// Has the signal reach a thread, unless one is on its way already. Never more than one: a thread that does not take it
/// would gather them, up to the limit that all programs of its user share.
fn send(thread: ThreadId, signal: libc::c_int) -> bool {
    let Some(signals) = signals_of(thread) else { return false };
    if signals.is_blocked(signal) {
        return false;
    }
    // One that an earlier question has left behind is an answer to this one.
    if signals.is_pending(signal) {
        return true;
    }
    let (process, thread) = (libc::c_long::from(std::process::id()), libc::c_long::from(thread.0));
    // SAFETY: tgkill takes numbers only.
    unsafe { libc::syscall(libc::SYS_tgkill, process, thread, signal) == 0 }
}

/// Whether the copy is there in time.
fn wait() -> bool {
    let start = Instant::now();
    let mut rounds = 0_u32;
    while ASKED.load(Ordering::Acquire) != DONE {
        if start.elapsed() > PATIENCE {
            return false;
        }
        // An answer takes some tens of microseconds where there are cores enough; else this one is given away.
        rounds += 1;
        if rounds < 1000 {
            std::hint::spin_loop();
        } else {
            std::thread::sleep(Duration::from_micros(20));
        }
    }
    true
}

/// Whether a thread is copying its stack for somebody, in time or too late: where it is then says nothing of it.
pub(crate) fn is_copying(thread: ThreadId) -> bool {
    let number = u64::from(thread.0);
    [COPYING | number, ABANDONED | number].contains(&ASKED.load(Ordering::Acquire))
}

/// Leaves `ASKED` so that the next one that has a turn ends it: a handler that has begun goes on to its end.
fn give_up(thread: ThreadId) -> Option<Registers> {
    let number = u64::from(thread.0);
    for (found, left) in [(number, IDLE), (COPYING | number, ABANDONED | number), (DONE, IDLE)] {
        if ASKED.compare_exchange(found, left, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            break;
        }
    }
    None
}

/// Puts the handler on the first real-time signal, from the fifth on, that is nobody's.
fn install() -> Option<libc::c_int> {
    (libc::SIGRTMIN() + 5..=libc::SIGRTMAX()).find(|&signal| handle(signal))
}

fn handle(signal: libc::c_int) -> bool {
    let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut c_void) = copy;
    // SAFETY: all of the structure's fields may be zero.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = handler as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART | libc::SA_ONSTACK;
    // SAFETY: as above.
    let mut before: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    // SAFETY: a null pointer asks without changing anything.
    let asked = unsafe { libc::sigaction(signal, ptr::null(), &raw mut before) };
    // SAFETY: the handler does only what a handler may, and the structures are locals.
    asked == 0
        && before.sa_sigaction == libc::SIG_DFL
        && unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) } == 0
}

/// The handler. It calls nothing but the kernel, takes no lock, and leaves `errno` alone.
extern "C" fn copy(_signal: libc::c_int, _info: *mut libc::siginfo_t, context: *mut c_void) {
    let here = raw::current_thread() as u64;
    // A signal that comes late finds another number here, or none.
    let copying = COPYING | here;
    if ASKED.compare_exchange(here, copying, Ordering::Acquire, Ordering::Relaxed).is_err() {
        return;
    }
    // SAFETY: the kernel passes the interrupted context to a handler with `SA_SIGINFO`.
    let registers = registers(unsafe { &*context.cast::<libc::ucontext_t>() });
    let [_, stack_pointer, _, _] = registers;
    let bytes = COPY.bytes.get().cast::<u8>();
    // SAFETY: the room is this handler's since it wrote `COPYING`.
    let pages = unsafe { &mut *COPY.pages.get() };
    // SAFETY: so are the bytes, and there are `MOST_BYTES` of them.
    let length = unsafe { pages.copy(stack_pointer as usize, bytes, MOST_BYTES) };
    COPY.length.store(length, Ordering::Relaxed);
    for (to, from) in COPY.registers.iter().zip(registers) {
        to.store(from, Ordering::Relaxed);
    }
    if ASKED.compare_exchange(copying, DONE, Ordering::Release, Ordering::Relaxed).is_err() {
        ASKED.store(IDLE, Ordering::Release);
    }
}

/// Program counter, stack pointer, frame pointer, link.
#[cfg(target_arch = "x86_64")]
fn registers(context: &libc::ucontext_t) -> [u64; 4] {
    let register = |index: libc::c_int| context.uc_mcontext.gregs[index as usize] as u64;
    [register(libc::REG_RIP), register(libc::REG_RSP), register(libc::REG_RBP), 0]
}

/// Program counter, stack pointer, frame pointer (x29), link (x30).
#[cfg(target_arch = "aarch64")]
fn registers(context: &libc::ucontext_t) -> [u64; 4] {
    let machine = &context.uc_mcontext;
    [machine.pc, machine.sp, machine.regs[29], machine.regs[30]]
}
