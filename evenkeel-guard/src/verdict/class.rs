//! The class that a stack shows, where the call alone does not tell.

use super::call::is_plumbing;
use super::waits;
use crate::frame::name::readable;
use crate::frame::poll::{called, heard};
use crate::frame::{Origin, crate_of, has_path, is_in, is_in_any, origin};
use crate::report::{Class, Frame};

/// Names of functions below which a network call looks a name up.
const LOOKUPS: &[&str] = &[
    "std::net::socket_addr",
    "std::sys::net::*::lookup_host",
    "*::to_socket_addrs",
    "*::lookup_host",
    "dns_lookup",
    "hickory_resolver",
    "trust_dns_resolver",
];

/// The same for a call that the guard did not see coming, which may be any.
const UNSEEN: &[(&str, Class)] = &[
    ("std::fs", Class::File),
    ("std::net", Class::Network),
    ("std::process", Class::Process),
    ("std::thread::sleep", Class::Sleep),
    ("rustix::fs", Class::File),
    ("rustix::net", Class::Network),
    ("rustix::thread", Class::Sleep),
];

/// Where a future's own readiness is asked for; what is sampled there is no calculation.
const READY: &[&str] = &[
    "tokio::sync",
    "tokio::time",
    "tokio::task::coop",
    "tokio::task::yield_now",
    "tokio_stream",
    "futures_util",
    "futures_core",
    "futures_channel",
    "async_channel",
    "async_broadcast",
    "flume::async",
];

/// The class that the frames show, where the call alone does not tell.
pub(super) fn refined(class: Class, symbol: Option<&str>, frames: &[Frame]) -> Class {
    let called = called(frames);
    match class {
        // Starting a process opens files and waits on a socket or a pipe for how it went; what it says is read from pipes.
        Class::Network | Class::File | Class::Wait
            if called.iter().any(|frame| is_in(frame, "std::process")) =>
        {
            Class::Process
        }
        Class::Contention if symbol == Some("syscall") && is_authors_own(frames) => Class::Wait,
        Class::Unknown => waits::class(called).or_else(|| waits::outermost(UNSEEN, called)).unwrap_or(class),
        Class::Contention | Class::Wait => waits::class(called).unwrap_or(class),
        Class::Sleep if waits::is_backing_off(called) => Class::Contention,
        Class::Network if called.iter().any(is_lookup) => Class::Lookup,
        Class::Compute if called.iter().rev().find(|frame| !is_plumbing(frame)).is_some_and(is_readiness) => {
            Class::AlwaysReady
        }
        _ => class,
    }
}

/// Whether the author makes the call, with nothing between: what is waited for is then the author's, too.
fn is_authors_own(frames: &[Frame]) -> bool {
    let outside = heard(frames).iter().find(|frame| has_path(frame) || frame.file.is_some());
    outside.is_some_and(|frame| origin(frame) == Origin::Author)
}

fn is_lookup(frame: &Frame) -> bool {
    is_in_any(frame, LOOKUPS)
}

/// Whether a frame asks a future or a channel whether it is ready. Sending and locking without `.await` is none of it.
fn is_readiness(frame: &Frame) -> bool {
    const ASKING: &[&str] =
        &["poll", "recv", "next", "changed", "notified", "acquire", "tick", "consume_budget"];
    let Some(function) = frame.function.as_deref() else { return false };
    let last = readable(function);
    let last = last.rsplit("::").next().unwrap_or_default();
    let is_body = function.contains("{async_") || function.ends_with("{{closure}}");
    let is_asking = is_body || ASKING.iter().any(|name| last.contains(name));
    let is_own = matches!(last, "poll_recv" | "poll_next" | "poll_next_unpin");
    is_own
        || is_asking
            && READY.iter().any(|path| is_in(frame, path) || crate_of(frame).as_deref() == Some(path))
}

/// What memory allocators are called, by C, C++ and Rust, and what those that take the place of the system's call themselves.
const ALLOCATOR: &[&str] = &[
    "malloc",
    "calloc",
    "realloc",
    "free",
    "cfree",
    "posix_memalign",
    "aligned_alloc",
    "memalign",
    "mallocx",
    "rallocx",
    "dallocx",
    "sdallocx",
    "operator new*",
    "operator delete*",
    "*libc_malloc",
    "*libc_calloc",
    "*libc_realloc",
    "*libc_free",
    "_int_malloc*",
    "_int_free*",
    "_int_realloc",
    "_rjem_*",
    "je_*",
    "*jemalloc*",
    "mi_*",
    "_mi_*",
    "*mimalloc*",
    "tc_*alloc*",
    "tc_*align*",
    "tc_free*",
    "tc_new*",
    "tc_delete*",
    "*tcmalloc*",
    "*TCMalloc*",
    "*snmalloc*",
    "rpmalloc*",
    "rpfree",
    "*__rust_alloc*",
    "*__rust_dealloc",
    "*__rust_realloc",
    "alloc::alloc",
    "std::alloc",
    "std::sys::alloc",
];

/// Whether memory is being asked for or given back: a lock of the allocator's own was held by a thread that the machine had
/// put aside. That is nobody's fault, and not to be avoided. No allocator calls its caller, so all below one is its own.
pub(super) fn is_for_memory(frames: &[Frame]) -> bool {
    frames.iter().take_while(|frame| origin(frame) != Origin::Author).any(is_allocator)
}

fn is_allocator(frame: &Frame) -> bool {
    // Most frames have none of these in their names, and are not compared with each.
    const PARTS: &[&str] = &["alloc", "free", "jem", "je_", "mi_", "tc_", "memalign", "operator "];
    let may_be = |function: &str| PARTS.iter().any(|part| function.contains(part));
    frame.function.as_deref().is_some_and(may_be) && is_in_any(frame, ALLOCATOR)
}
