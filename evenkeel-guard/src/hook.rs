//! Sees each libc call that is about to block its thread, and tells a [`CallObserver`] before and after.
//!
//! On Linux with glibc this crate defines the blocking functions of libc itself, under their own names. The
//! linker binds every caller of the program to these wrappers: std, C code that is linked in, and shared
//! objects, since the program also exports the names. A wrapper forwards to the next definition that
//! `dlsym(RTLD_NEXT, ..)` finds. Raw system calls by inline assembly do not pass here, nor do static programs.
//!
//! Policy lives elsewhere. The room tells only on threads whose flag [`watch`] has set, and only what it
//! expects to block: a read from a socket in blocking mode, not from one in non-blocking mode. The flag is
//! off while the observer runs and while the real call runs, so that nested calls are not told. A wrapper on a
//! thread that is not watched costs four instructions. On a watched one, a call on a descriptor costs one
//! `fcntl` more, also where it turns out to be in non-blocking mode: a cache of those would go stale with each
//! `fclose` inside libc, and the next owner of the number would not be told of.
//!
//! Not seen, besides: what libc does by itself outside the wrapped functions, such as writing a full C stream; and
//! `dlopen`, which asks by its return address who calls it, and would search where this crate's caller may not.
//!
//! Who calls may be an allocator that waits for its own lock, or a signal handler. So nothing on the way of a call
//! allocates, frees or takes a lock, and no thread-local is made there: neither in this room nor in an observer.

#![allow(unsafe_code, reason = "this room and `sys` are the two that may")]
#![cfg_attr(
    not(all(feature = "hook", target_os = "linux", target_env = "gnu")),
    allow(dead_code, reason = "nothing is told where nothing is wrapped")
)]

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::time::Duration;

use crate::report::Class;
use crate::sys::stack::Mark;

#[cfg(all(
    feature = "hook",
    target_os = "linux",
    target_env = "gnu",
    not(target_feature = "crt-static"),
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod linked;

/// Elsewhere nothing is wrapped, and nothing is ever told.
#[cfg(not(all(
    feature = "hook",
    target_os = "linux",
    target_env = "gnu",
    not(target_feature = "crt-static"),
    any(target_arch = "x86_64", target_arch = "aarch64")
)))]
mod linked {
    pub(super) fn bind() {}

    pub(super) fn symbols() -> impl Iterator<Item = &'static str> {
        std::iter::empty()
    }
    pub(super) fn take(_times: u64, _is_wrapped: bool) {}
}

/// One call that is about to block its thread.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    /// The libc function, `clock_nanosleep` for example.
    pub symbol: &'static str,
    /// What it waits for. A futex is always [`Class::Contention`]: only the stack says more.
    pub class: Class,
    /// The least time that it takes, where the arguments say so: a sleep, or a timeout with nothing to wait for.
    pub at_least: Option<Duration>,
    /// Where its caller's stack begins.
    pub mark: Mark,
}

/// Told of each call, on the thread that makes it.
///
/// Both run with the thread's flag off. Neither may allocate, free or lock: the caller may be the allocator, and hold any
/// lock of it. A panic is caught and forgotten.
pub(crate) trait CallObserver: Sync + 'static {
    /// The call is about to be made.
    fn before(&self, call: &Call);

    /// The call has returned, well or with an error. Not told in the child of a `fork`.
    fn after(&self, call: &Call);
}

struct Installed {
    observer: &'static dyn CallObserver,
    works: bool,
}

static INSTALLED: OnceLock<Installed> = OnceLock::new();
/// All symbols in order, once an observer is there.
static SYMBOLS: OnceLock<Vec<&'static str>> = OnceLock::new();

thread_local! {
    // Const-initialised and without a destructor: one store or load, also while the thread ends.
    static IS_WATCHED: Cell<bool> = const { Cell::new(false) };
    /// Whether a wrapper ran on this thread under a set flag before any observer was there.
    static WAS_SEEN: Cell<bool> = const { Cell::new(false) };
}

/// Names the observer, and answers [`works`]. The first one stays.
pub(crate) fn install(observer: &'static dyn CallObserver) -> bool {
    let installed = INSTALLED.get_or_init(|| {
        // Bound here, so that no wrapper has to look for its function in a signal handler or a forked child.
        linked::bind();
        SYMBOLS.get_or_init(|| {
            let mut symbols: Vec<_> = symbols().collect();
            symbols.sort_unstable();
            symbols
        });
        Installed { observer, works: probe() }
    });
    installed.works
}

/// Whether a sleep in a fake poll was seen when the observer was installed; `false` before that.
pub(crate) fn works() -> bool {
    INSTALLED.get().is_some_and(|installed| installed.works)
}

/// Whether calls of this thread are told.
#[inline(always)]
pub(crate) fn is_watching() -> bool {
    IS_WATCHED.get()
}

/// Sets whether calls of this thread are told, and answers what was set before.
#[inline(always)]
pub(crate) fn watch(on: bool) -> bool {
    IS_WATCHED.replace(on)
}

/// Every function that is wrapped.
pub(crate) fn symbols() -> impl Iterator<Item = &'static str> {
    linked::symbols()
}

/// The number of a symbol, by which an atomic can name it. Those that nobody wraps share one.
pub(crate) fn number_of(symbol: &str) -> u16 {
    let known = SYMBOLS.get().map_or(&[][..], Vec::as_slice);
    known.binary_search(&symbol).map_or(u16::MAX, |at| at as u16)
}

/// The symbol of a number.
pub(crate) fn symbol(number: u16) -> &'static str {
    SYMBOLS.get().and_then(|known| known.get(usize::from(number)).copied()).unwrap_or("a system call")
}

/// For measurements: makes a short call so often, through its wrapper or past it.
pub(crate) fn measured_call(times: u64, is_wrapped: bool) {
    linked::take(times, is_wrapped);
}

/// Sleeps for a nanosecond as a poll would, and answers whether a wrapper saw it.
fn probe() -> bool {
    WAS_SEEN.set(false);
    let was = watch(true);
    std::thread::sleep(Duration::from_nanos(1));
    watch(was);
    WAS_SEEN.get()
}

/// Tells the observer, if there is one; the caller has put the flag off.
pub(super) fn tell(verb: fn(&dyn CallObserver, &Call), call: &Call) {
    let Some(Installed { observer, .. }) = INSTALLED.get() else { return WAS_SEEN.set(true) };
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| verb(*observer, call))) {
        // Dropping it could panic again, and above stands a C caller.
        std::mem::forget(panic);
    }
}

#[cfg(test)]
mod tests;
