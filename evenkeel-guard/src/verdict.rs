//! Judges what a poll was caught doing: whether it may, what it is called, whose line it is, what to write instead.

use crate::advice::{Words, advise};
use crate::allow::Allow;
use crate::frame::{Origin, called, crate_of, is_executor, is_in, origin, polled, readable};
use crate::report::{Class, Frame};

/// How many frames a report shows.
const SHOWN: usize = 8;
/// How many of them lie between the author's line and the call.
const SHOWN_BELOW: usize = 3;

/// How a program gets the lines of its release build into reports.
pub(crate) const LINES_HINT: &str =
    "for files and lines, set `debug = \"line-tables-only\"` under `[profile.release]`";

/// What is known of a poll that blocks or runs long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Evidence<'a> {
    /// The call as the C library names it; `None` for work on the CPU.
    pub(crate) symbol: Option<&'static str>,
    pub(crate) class: Class,
    /// The whole stack, innermost first.
    pub(crate) frames: &'a [Frame],
}

/// What is to be said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) is_allowed: bool,
    /// The class of the evidence, or the one that its frames show.
    pub(crate) class: Class,
    /// The call by the name that its author knows.
    pub(crate) call: String,
    /// The author's innermost frame: the line to change. `None` without line tables.
    pub(crate) author: Option<Frame>,
    /// From just below the author's frame outwards. Without line tables, the frames whose crate is not known.
    pub(crate) path: Vec<Frame>,
    pub(crate) advice: String,
}

/// Judges one piece of evidence.
pub(crate) fn judge(evidence: &Evidence<'_>, allow: &Allow, words: &Words) -> Verdict {
    let Evidence { symbol, class: seen, frames } = *evidence;
    // Whoever runs the runtime did not call what a task of it calls.
    let frames = polled(frames);
    let evidence = &Evidence { symbol, class: seen, frames };
    let class = refined(seen, frames);
    // A list may name the class that the hook saw as well as the one that the report says.
    let is_allowed = allow.covers(symbol, class, frames)
        || allow.covers(symbol, seen, frames)
        || seen == Class::Unknown && is_for_memory(frames);
    Verdict {
        is_allowed,
        class,
        call: call(evidence, class),
        author: frames.iter().find(|frame| origin(frame) == Origin::Author).cloned(),
        path: path(frames),
        advice: advise(class, symbol, frames, words),
    }
}

/// Whether a report would gain from line tables: there are frames, and none with a line of the author's.
pub(crate) fn lacks_lines(verdict: &Verdict) -> bool {
    verdict.author.as_ref().is_none_or(|frame| frame.line.is_none())
}

/// Paths that tell what a thread waits for, each with its class; the first that fits a frame counts.
const WAITS: &[(&str, Class)] = &[
    ("std::io::stdio::Stdin*", Class::Input),
    ("std::io::stdio::stdin", Class::Input),
    ("std::io::stdio", Class::Output),
    ("std::thread::join_handle", Class::Join),
    ("std::thread::scoped", Class::Join),
    ("std::thread::lifecycle", Class::Join),
    ("*::block_on", Class::Wait),
    ("tokio::*::blocking_recv", Class::Wait),
    ("tokio::*::blocking_send", Class::Wait),
    ("tokio::*::blocking_lock", Class::Contention),
    ("tokio::*::blocking_read", Class::Contention),
    ("tokio::*::blocking_write", Class::Contention),
    ("std::sync::mpsc", Class::Wait),
    ("std::sync::mpmc", Class::Wait),
    ("std::sync::*condvar", Class::Wait),
    ("std::sync::barrier", Class::Wait),
    ("std::sync::*once*", Class::Wait),
    ("std::sync::lazy_lock", Class::Wait),
    ("std::thread::park*", Class::Wait),
    ("std::thread::thread", Class::Wait),
    ("std::sys::sync::condvar", Class::Wait),
    ("std::sys::sync::once", Class::Wait),
    ("std::sys::sync::thread_parking", Class::Wait),
    ("crossbeam_channel", Class::Wait),
    ("crossbeam_utils::sync", Class::Wait),
    ("flume", Class::Wait),
    ("kanal", Class::Wait),
    ("async_channel", Class::Wait),
    ("rayon_core", Class::Wait),
    ("futures_executor", Class::Wait),
    ("pollster", Class::Wait),
    ("parking_lot::condvar", Class::Wait),
    ("std::sync::*mutex", Class::Contention),
    ("std::sync::*rwlock", Class::Contention),
    ("std::sync::reentrant_lock", Class::Contention),
    ("std::sys::sync::mutex", Class::Contention),
    ("std::sys::sync::rwlock", Class::Contention),
    ("parking_lot", Class::Contention),
    ("lock_api", Class::Contention),
    ("dashmap", Class::Contention),
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

/// What the memory allocator is called, by C and by Rust.
const ALLOCATOR: &[&str] = &[
    "malloc",
    "calloc",
    "realloc",
    "free",
    "cfree",
    "posix_memalign",
    "*libc_malloc",
    "*libc_calloc",
    "*libc_realloc",
    "*libc_free",
    "_int_malloc*",
    "_int_free*",
    "_int_realloc",
    "*__rust_alloc*",
    "*__rust_dealloc",
    "*__rust_realloc",
    "alloc::alloc",
    "std::alloc",
    "std::sys::alloc",
];

/// Whether the innermost function with a name is the allocator's: its own lock was held by a thread that the machine had
/// put aside. That is nobody's fault, and not to be avoided.
fn is_for_memory(frames: &[Frame]) -> bool {
    let named = frames.iter().take_while(|frame| origin(frame) != Origin::Author);
    let innermost = named.take_while(|frame| !has_path(frame) || is_allocator(frame));
    innermost.into_iter().any(is_allocator)
}

fn is_allocator(frame: &Frame) -> bool {
    ALLOCATOR.iter().any(|path| is_in(frame, path))
}

/// The class that the frames show, where the call alone does not tell.
fn refined(class: Class, frames: &[Frame]) -> Class {
    let called = called(frames);
    match class {
        Class::Unknown => shown(WAITS, called).or_else(|| shown(UNSEEN, called)).unwrap_or(class),
        Class::Contention | Class::Wait => shown(WAITS, called).unwrap_or(class),
        Class::Network if called.iter().any(is_lookup) => Class::Lookup,
        Class::Compute if called.iter().rev().find(|frame| !is_plumbing(frame)).is_some_and(is_readiness) => {
            Class::AlwaysReady
        }
        _ => class,
    }
}

/// The outermost frame tells: a condition variable takes a lock inside, and a channel parks its thread.
fn shown(paths: &[(&str, Class)], called: &[Frame]) -> Option<Class> {
    called.iter().rev().find_map(|frame| {
        let found = paths.iter().find(|(path, _)| is_in(frame, path));
        found.map(|(_, class)| *class)
    })
}

fn is_lookup(frame: &Frame) -> bool {
    LOOKUPS.iter().any(|path| is_in(frame, path))
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

/// Parts of the library that only pass a call on.
const PLUMBING: &[&str] = &[
    "__rustc",
    "core",
    "alloc",
    "std::panic",
    "std::panicking::catch_unwind",
    "std::thread::local",
    "std::sys::backtrace",
    "std::ops",
    "std::sys::helpers",
    "std::sys::pal",
    "std::io::impls",
    "std::io::default_read_exact",
    "std::io::default_read_to_end",
    "std::io::default_write_fmt",
];

fn is_plumbing(frame: &Frame) -> bool {
    frame.function.is_none() || PLUMBING.iter().any(|path| is_in(frame, path))
}

/// Whether a part of the library that mostly passes calls on does work of its own here.
fn is_work(frame: &&Frame) -> bool {
    ["alloc", "core::slice", "core::str", "core::fmt"].iter().any(|path| is_in(frame, path))
}

/// Functions of the library that are one and the same to the machine, under the name that the debug information gives.
/// The linker has put them together, and no stack tells which was meant.
const MERGED: &[(&str, &str)] = &[
    ("std::net::UdpSocket::recv", "std::net::TcpStream::read or UdpSocket::recv"),
    ("std::net::UdpSocket::send", "std::net::TcpStream::write or UdpSocket::send"),
];

/// What the author called, else the symbol, else the class in words.
fn call(evidence: &Evidence<'_>, class: Class) -> String {
    let called = called(evidence.frames);
    let is_known =
        |frame: &&Frame| matches!(origin(frame), Origin::Standard | Origin::Dependency | Origin::Runtime);
    // Without line tables, the author's functions cannot be told from a dependency's: the library's outermost call
    // before the first of either is the author's, or the dependency's, and in any case true.
    let is_told = evidence.frames.iter().any(|frame| origin(frame) == Origin::Author);
    let called = if is_told { called } else { library(called) };
    let known = called.iter().rev().filter(is_known).filter(|frame| has_path(frame));
    let outermost = known.clone().find(|frame| !is_plumbing(frame)).or_else(|| known.clone().find(is_work));
    match (outermost, evidence.symbol) {
        (Some(frame), _) => {
            let name = readable(frame.function.as_deref().unwrap_or_default());
            // The library's generic functions leave their work to one that is named `inner`.
            let name = name.strip_suffix("::inner").unwrap_or(&name);
            let merged = MERGED.iter().find(|(one, _)| *one == name);
            merged.map_or(name, |(_, both)| both).to_owned()
        }
        (None, Some(symbol)) => symbol.to_owned(),
        (None, None) => in_words(class).to_owned(),
    }
}

/// The frames up to the first whose crate nobody knows; the symbol's own frame, which has no path, is none.
fn library(called: &[Frame]) -> &[Frame] {
    let end = called.iter().position(|frame| origin(frame) == Origin::Unknown && has_path(frame));
    &called[..end.unwrap_or(called.len())]
}

fn has_path(frame: &Frame) -> bool {
    frame.function.as_deref().is_some_and(|function| readable(function).contains("::"))
}

fn in_words(class: Class) -> &'static str {
    match class {
        Class::Sleep => "a sleep",
        Class::File => "work with a file",
        Class::Network => "a network connection",
        Class::Lookup => "the lookup of a name",
        Class::Process => "another process",
        Class::Join => "the end of a thread",
        Class::Wait => "another thread",
        Class::Contention => "a lock",
        Class::Input => "standard input",
        Class::Output => "standard output",
        Class::Compute => "work on the CPU",
        Class::AlwaysReady => "a loop that is always ready",
        Class::Unknown => "a call that sleeps",
    }
}

/// A few frames below the author's innermost, then all of the author's up to the executor.
fn path(frames: &[Frame]) -> Vec<Frame> {
    let inside = |frame: &&Frame| !is_executor(frame);
    let Some(author) = frames.iter().position(|frame| origin(frame) == Origin::Author) else {
        let unknown = frames.iter().take_while(inside).filter(|frame| origin(frame) == Origin::Unknown);
        return unknown.filter(|frame| has_path(frame)).take(SHOWN).cloned().collect();
    };
    let below = called(frames).iter().rev().filter(|frame| has_path(frame) && !is_plumbing(frame));
    let below = below.filter(|frame| !is_in(frame, "std::sys"));
    let mut path: Vec<_> = below.take(SHOWN_BELOW).cloned().collect();
    path.reverse();
    let own = frames[author..].iter().take_while(inside).filter(|frame| origin(frame) == Origin::Author);
    path.extend(own.cloned());
    path.dedup();
    path.truncate(SHOWN);
    path
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{frame, frames};

    use Class::*;

    /// A name, the symbol, its class, the class and the call that are expected, and the frames.
    type Seen = (&'static str, Option<&'static str>, Class, Class, &'static str, &'static str);

    /// What was called, without what lies above the author: shortened captures of std 1.95 and the crates named. Composed
    /// are those of `dns_lookup`, `bcrypt`, `rustix`, the standard output's lock and the lock inside a channel.
    /// Debug builds name functions in full; in release builds `qualified` has put the paths before.
    const SEEN: &[Seen] = &[
        ("a file read, debug", Some("open64"), File, File, "std::fs::read",
            "<std::sys::fs::unix::File>::open_c::{closure#0} | std/src/sys/fs/unix.rs:1358
             std::sys::pal::unix::cvt_r::<i32, <std::sys::fs::unix::File>::open_c::{closure#0}> | std/src/sys/pal/unix/mod.rs:255
             <std::fs::File>::open::<&std::path::Path> | std/src/fs.rs:571
             std::fs::read::inner | std/src/fs.rs:343
             std::fs::read | std/src/fs.rs:349"),
        ("a file read, release", Some("open64"), File, File, "std::fs::read",
            "<std::fs::File>::open::<&std::path::Path> | std/src/fs.rs:571
             std::fs::read::inner | std/src/fs.rs:343
             std::fs::read<&str> | std/src/fs.rs:349"),
        ("a file opened, release", Some("open64"), File, File, "std::fs::File::open",
            "<std::fs::OpenOptions>::_open | std/src/fs.rs:1920
             std::fs::open<&std::path::Path> | std/src/fs.rs:1916
             std::fs::open<&str> | std/src/fs.rs:571"),
        ("a file created and written", Some("open64"), File, File, "std::fs::write",
            "<std::fs::File>::create::<&std::path::Path> | std/src/fs.rs:639
             std::fs::write::inner | std/src/fs.rs:422
             std::fs::write<&str, &str> | std/src/fs.rs:424"),
        ("metadata", Some("statx"), File, File, "std::fs::metadata",
            "std::sys::fs::unix::try_statx | std/src/sys/fs/unix.rs:184
             <std::sys::fs::unix::stat as core::ops::function::Fn<(&core::ffi::c_str::CStr,)>>::call | core/src/ops/function.rs:79
             std::sys::helpers::small_c_string::run_path_with_cstr::<std::sys::fs::unix::FileAttr> | std/src/sys/helpers/small_c_string.rs:18
             std::sys::fs::metadata | std/src/sys/fs/mod.rs:112
             std::fs::metadata | std/src/fs.rs:2738"),
        ("metadata within a map", Some("statx"), File, File, "std::fs::metadata",
            "std::fs::metadata | std/src/fs.rs:2738
             core::ops::function::FnMut::call_mut | core/src/ops/function.rs:166
             core::iter::adapters::map::map_fold::{{closure}} | core/src/iter/adapters/map.rs:88
             <core::iter::adapters::map::Map<I,F> as core::iter::traits::iterator::Iterator>::fold | core/src/iter/adapters/map.rs:128
             core::iter::traits::iterator::Iterator::count | core/src/iter/traits/iterator.rs:229"),
        ("exists, release", Some("statx"), File, File, "std::path::exists",
            "std::fs::metadata<&std::path::Path> | std/src/fs.rs:2738
             std::path::exists | std/src/path.rs:3444"),
        ("a folder", Some("opendir"), File, File, "std::fs::read_dir",
            "std::sys::fs::unix::readdir::{closure#0} | std/src/sys/fs/unix.rs:2066
             std::sys::fs::read_dir | std/src/sys/fs/mod.rs:68
             std::fs::read_dir<&str> | std/src/fs.rs:3312"),
        ("walkdir, debug", Some("statx"), File, File, "walkdir::IntoIter::next",
            "std::fs::symlink_metadata | std/src/fs.rs:2773
             walkdir::dent::DirEntry::from_path | walkdir-2.5.0/src/dent.rs:263
             <walkdir::IntoIter as core::iter::traits::iterator::Iterator>::next | walkdir-2.5.0/src/lib.rs:694
             core::iter::traits::iterator::Iterator::count | core/src/iter/traits/iterator.rs:229"),
        ("walkdir, release", Some("statx"), File, File, "walkdir::next",
            "std::fs::symlink_metadata<&std::path::PathBuf> | std/src/fs.rs:2773
             walkdir::dent::from_path | walkdir-2.5.0/src/dent.rs:263
             walkdir::next | walkdir-2.5.0/src/lib.rs:694
             core::iter::traits::iterator::fold<walkdir::IntoIter> | core/src/iter/traits/iterator.rs:2646"),
        ("sleep", Some("clock_nanosleep"), Sleep, Sleep, "std::thread::sleep",
            "std::sys::thread::unix::sleep | std/src/sys/thread/unix.rs:579
             std::thread::functions::sleep | std/src/thread/functions.rs:289"),
        ("connect, debug", Some("connect"), Network, Network, "std::net::TcpStream::connect",
            "<std::sys::net::connection::socket::TcpStream>::connect::inner | std/src/sys/net/connection/socket/mod.rs:371
             core::ops::function::FnMut::call_mut | core/src/ops/function.rs:166
             std::sys::net::connection::each_addr | std/src/sys/net/connection/mod.rs:51
             std::sys::net::connection::socket::TcpStream::connect | std/src/sys/net/connection/socket/mod.rs:367
             std::net::tcp::TcpStream::connect | std/src/net/tcp.rs:169"),
        ("connect, release", Some("connect"), Network, Network, "std::net::TcpStream::connect",
            "<std::sys::net::connection::socket::unix::Socket>::connect | std/src/sys/net/connection/socket/unix.rs:152
             std::sys::net::connection::socket::connect<(&str, u16)> | std/src/sys/net/connection/socket/mod.rs:367
             std::net::tcp::connect<(&str, u16)> | std/src/net/tcp.rs:169"),
        ("a name looked up", Some("getaddrinfo"), Lookup, Lookup, "std::net::ToSocketAddrs::to_socket_addrs",
            "std::sys::net::connection::socket::lookup_host | std/src/sys/net/connection/socket/mod.rs:345
             std::net::socket_addr::lookup_host | std/src/net/socket_addr.rs:193
             <(&str, u16) as std::net::socket_addr::ToSocketAddrs>::to_socket_addrs | std/src/net/socket_addr.rs:210"),
        ("a connection to a name server", Some("connect"), Network, Lookup, "dns_lookup::lookup_host",
            "dns_lookup::addrinfo::getaddrinfo | dns-lookup-3.0.0/src/addrinfo.rs:9
             dns_lookup::lookup_host | dns-lookup-3.0.0/src/lib.rs:9"),
        ("a process", Some("open64"), Process, Process, "std::process::Command::output",
            "<std::sys::process::unix::common::Command>::spawn | std/src/sys/process/unix/unix.rs:71
             std::sys::process::output | std/src/sys/process/mod.rs:49
             <std::process::Command>::output | std/src/process.rs:1083"),
        ("join, debug", Some("pthread_join"), Join, Join, "std::thread::JoinHandle::join",
            "<std::sys::thread::unix::Thread>::join | std/src/sys/thread/unix.rs:126
             std::thread::lifecycle::JoinInner<T>::join | std/src/thread/lifecycle.rs:241
             std::thread::join_handle::JoinHandle<T>::join | std/src/thread/join_handle.rs:150"),
        ("join, release", Some("pthread_join"), Join, Join, "std::thread::JoinHandle::join",
            "std::thread::lifecycle::join<()> | std/src/thread/lifecycle.rs:241
             std::thread::join_handle::join<()> | std/src/thread/join_handle.rs:150"),
        ("scoped threads", Some("syscall"), Contention, Join, "std::thread::scope",
            "std::sys::pal::unix::futex::futex_wait | std/src/sys/pal/unix/futex.rs:73
             <std::thread::thread::Thread>::park | std/src/thread/thread.rs:121
             std::thread::scoped::scope | std/src/thread/scoped.rs:163"),
        ("a channel, debug", Some("syscall"), Contention, Wait, "std::sync::mpsc::Receiver::recv",
            "<std::sys::sync::thread_parking::futex::Parker>::park | std/src/sys/sync/thread_parking/futex.rs:55
             std::sync::mpmc::context::Context::wait_until | std/src/sync/mpmc/context.rs:143
             std::thread::local::LocalKey<T>::try_with | std/src/thread/local.rs:513
             std::sync::mpsc::Receiver<T>::recv | std/src/sync/mpsc.rs:849"),
        ("a channel, release", Some("syscall"), Contention, Wait, "std::sync::mpsc::recv",
            "std::sys::pal::unix::futex::futex_wait | std/src/sys/pal/unix/futex.rs:73
             std::sync::mpmc::recv<i32> | std/src/sync/mpmc/mod.rs:985
             std::sync::mpsc::recv<i32> | std/src/sync/mpsc.rs:849"),
        ("the lock inside a channel", Some("syscall"), Contention, Wait, "std::sync::mpsc::Receiver::recv",
            "<std::sys::sync::mutex::futex::Mutex>::lock_contended | std/src/sys/sync/mutex/futex.rs:61
             std::sync::poison::mutex::Mutex<T>::lock | std/src/sync/poison/mutex.rs:492
             std::sync::mpsc::Receiver<T>::recv | std/src/sync/mpsc.rs:849"),
        ("a condition variable", Some("syscall"), Contention, Wait, "std::sync::Condvar::wait",
            "<std::sys::sync::condvar::futex::Condvar>::wait | std/src/sys/sync/condvar/futex.rs:33
             std::sync::poison::condvar::wait<bool> | std/src/sync/poison/condvar.rs:128"),
        ("a barrier", Some("syscall"), Contention, Wait, "std::sync::Barrier::wait",
            "<std::sync::nonpoison::condvar::Condvar>::wait::<std::sync::barrier::BarrierState> | std/src/sync/nonpoison/condvar.rs:126
             <std::sync::barrier::Barrier>::wait | std/src/sync/barrier.rs:128"),
        ("park", Some("syscall"), Contention, Wait, "std::thread::park",
            "<std::thread::thread::Thread>::park | std/src/thread/thread.rs:121
             std::thread::functions::park | std/src/thread/functions.rs:529"),
        ("a cell that another thread fills", Some("syscall"), Contention, Wait, "std::sync::OnceLock::get_or_init",
            "<std::sys::sync::once::futex::Once>::call | std/src/sys/sync/once/futex.rs:200
             std::sync::once::Once::call_once_force | std/src/sync/once.rs:219
             std::sync::once_lock::OnceLock<T>::get_or_init | std/src/sync/once_lock.rs:321"),
        ("a lock, debug", Some("syscall"), Contention, Contention, "std::sync::Mutex::lock",
            "<std::sys::sync::mutex::futex::Mutex>::lock_contended | std/src/sys/sync/mutex/futex.rs:61
             std::sys::sync::mutex::futex::Mutex::lock | std/src/sys/sync/mutex/futex.rs:33
             std::sync::poison::mutex::Mutex<T>::lock | std/src/sync/poison/mutex.rs:492"),
        ("a lock, release", Some("syscall"), Contention, Contention, "std::sync::Mutex::lock",
            "std::sys::sync::mutex::futex::lock | std/src/sys/sync/mutex/futex.rs:33
             std::sync::poison::mutex::lock<core::option::Option<i32>> | std/src/sync/poison/mutex.rs:492"),
        ("a lock for reading", Some("syscall"), Contention, Contention, "std::sync::RwLock::read",
            "<std::sys::sync::rwlock::futex::RwLock>::read_contended | std/src/sys/sync/rwlock/futex.rs:156
             std::sync::poison::rwlock::read<i32> | std/src/sync/poison/rwlock.rs:410"),
        ("parking_lot", Some("syscall"), Contention, Contention, "lock_api::mutex::Mutex::lock",
            "parking_lot_core::parking_lot::park | parking_lot_core-0.9.12/src/parking_lot.rs:600
             <parking_lot::raw_mutex::RawMutex as lock_api::mutex::RawMutex>::lock | parking_lot-0.12.5/src/raw_mutex.rs:72
             lock_api::mutex::Mutex<R,T>::lock | lock_api-0.4.14/src/mutex.rs:213"),
        ("crossbeam", Some("syscall"), Contention, Wait, "crossbeam_channel::channel::recv",
            "std::thread::functions::park | std/src/thread/functions.rs:529
             crossbeam_channel::context::wait_until | crossbeam-channel-0.5.17/src/context.rs:162
             crossbeam_channel::channel::recv<i32> | crossbeam-channel-0.5.17/src/channel.rs:820"),
        ("flume", Some("syscall"), Contention, Wait, "flume::Receiver::recv",
            "std::thread::functions::park | std/src/thread/functions.rs:529
             flume::signal::SyncSignal::wait | flume-0.11.1/src/signal.rs:31
             flume::Receiver<T>::recv | flume-0.11.1/src/lib.rs:906"),
        ("block_on of futures", Some("syscall"), Contention, Wait, "futures::executor::block_on",
            "std::thread::functions::park | std/src/thread/functions.rs:529
             futures_executor::local_pool::run_executor | futures-executor-0.3.34/src/local_pool.rs:85
             futures_executor::local_pool::block_on | futures-executor-0.3.34/src/local_pool.rs:315"),
        ("block_on of tokio", Some("syscall"), Contention, Wait, "tokio::runtime::Handle::block_on",
            "parking_lot::condvar::Condvar::wait | parking_lot-0.12.5/src/condvar.rs:256
             tokio::runtime::park::CachedParkThread::block_on | tokio-1.54.1/src/runtime/park.rs:380
             tokio::runtime::handle::Handle::block_on | tokio-1.54.1/src/runtime/handle.rs:347"),
        ("tokio's blocking_recv", Some("syscall"), Contention, Wait, "tokio::sync::mpsc::bounded::blocking_recv",
            "tokio::runtime::park::park | tokio-1.54.1/src/runtime/park.rs:117
             tokio::future::block_on::block_on<T> | tokio-1.54.1/src/future/block_on.rs:12
             tokio::sync::mpsc::bounded::blocking_recv<i32> | tokio-1.54.1/src/sync/mpsc/bounded.rs:425"),
        ("the lock of standard output", Some("syscall"), Contention, Output, "std::io::_print",
            "<std::sys::sync::mutex::futex::Mutex>::lock_contended | std/src/sys/sync/mutex/futex.rs:61
             <std::io::stdio::Stdout as std::io::Write>::write_fmt | std/src/io/stdio.rs:834
             std::io::stdio::_print | std/src/io/stdio.rs:1165"),
        ("standard input", Some("read"), Input, Input, "std::io::Stdin::read_line",
            "<std::io::stdio::StdinRaw as std::io::Read>::read_buf | std/src/io/stdio.rs:104
             <std::io::stdio::Stdin>::read_line | std/src/io/stdio.rs:412"),
        ("ureq, release", Some("connect"), Network, Network, "ureq::request::call",
            "std::net::tcp::connect<core::net::socket_addr::SocketAddr> | std/src/net/tcp.rs:169
             ureq::pool::run_connector | ureq-3.5.1/src/pool.rs:75
             ureq::request::call | ureq-3.5.1/src/request.rs:471"),
        ("rusqlite with C inside", Some("open64"), File, File, "rusqlite::Connection::open",
            "robust_open | libsqlite3-sys-0.35.0/sqlite3/sqlite3.c:39567
             sqlite3_open_v2 | libsqlite3-sys-0.35.0/sqlite3/sqlite3.c:186249
             rusqlite::inner_connection::InnerConnection::open_with_flags | rusqlite-0.37.0/src/inner_connection.rs:91
             rusqlite::Connection::open | rusqlite-0.37.0/src/lib.rs:416"),
        ("a spin", None, Compute, Compute, "work on the CPU", "core::hint::black_box<u64> | core/src/hint.rs:491"),
        ("nothing below the author", None, Compute, Compute, "work on the CPU", ""),
        ("a sort", None, Compute, Compute, "slice::sort",
            "core::slice::sort::stable::quicksort::quicksort | core/src/slice/sort/stable/quicksort.rs:65
             alloc::slice::<impl [T]>::sort | alloc/src/slice.rs:210"),
        ("a password", None, Compute, Compute, "bcrypt::hash",
            "blowfish::Blowfish::expand | blowfish-0.9.1/src/lib.rs:9
             bcrypt::hash | bcrypt-0.17.0/src/lib.rs:9"),
        ("a loop over tokio's channel, debug", None, Compute, AlwaysReady, "tokio::sync::mpsc::unbounded::UnboundedReceiver::recv",
            "tokio::sync::mpsc::unbounded::UnboundedReceiver<T>::recv::{{closure}} | tokio-1.54.1/src/sync/mpsc/unbounded.rs:182"),
        ("a loop over tokio's channel, release", None, Compute, AlwaysReady, "tokio::sync::mpsc::unbounded",
            "tokio::sync::mpsc::unbounded::{async_fn#0}<u64> | tokio-1.54.1/src/sync/mpsc/unbounded.rs:182"),
        ("a loop over a stream", None, Compute, AlwaysReady, "futures_util::stream::stream::next::Next::poll",
            "<futures_util::stream::iter::Iter<I> as futures_core::stream::Stream>::poll_next | futures-util-0.3.34/src/stream/iter.rs:59
             <futures_util::stream::stream::next::Next<St> as core::future::future::Future>::poll | futures-util-0.3.34/src/stream/stream/next.rs:32"),
        ("sending without await", None, Compute, Compute, "tokio::sync::mpsc::unbounded::UnboundedSender::send",
            "tokio::sync::mpsc::block::Block<T>::write | tokio-1.54.1/src/sync/mpsc/block.rs:212
             tokio::sync::mpsc::unbounded::UnboundedSender<T>::send | tokio-1.54.1/src/sync/mpsc/unbounded.rs:564"),
        ("a raw system call", None, Unknown, File, "rustix::fs::fsync", "rustix::fs::fsync | rustix-1.0.0/src/fs/sync.rs:9"),
        ("a sleep in the kernel that nothing explains", None, Unknown, Unknown, "a call that sleeps", ""),
    ];

    const ABOVE: &str = "bot::cmd::load | src/cmd.rs:10
         bot::cmd::run::{{closure}} | src/cmd.rs:21
         <tokio::time::timeout::Timeout<T> as core::future::future::Future>::poll | tokio-1.54.1/src/time/timeout.rs:3
         bot::cmd::handler::{{closure}} | src/cmd.rs:40
         async_task::raw::RawTask<F,T,S,M>::run | async-task-4.7.1/src/raw.rs:557
         bot::main | src/main.rs:83";

    fn judged(symbol: Option<&'static str>, class: Class, stack: &str) -> Verdict {
        judge(&Evidence { symbol, class, frames: &frames(stack) }, &Allow::default(), &Words::tokio())
    }

    #[test]
    fn a_wait_for_the_allocators_own_lock_is_nobodys_fault() {
        let free = "futex_wait | ./nptl/../sysdeps/nptl/futex-internal.h:146
                    __GI___lll_lock_wait_private | ./nptl/lowlevellock.c:34
                    _int_free | ./malloc/malloc.c:4572
                    __GI___libc_free | ./malloc/malloc.c:3385
                    alloc::sync::drop<bot::Cat> | alloc/src/sync.rs:2854
                    bot::run | src/run.rs:3";
        for (stack, expected) in [
            (free.to_owned(), true),
            (free.replace("_int_free", "other").replace("__GI___libc_free", "free"), true),
            (free.replace("_int_free", "other").replace("__GI___libc_free", "sqlite3_step"), false),
            ("rustix::thread::nanosleep\nbot::run | src/run.rs:3".to_owned(), false),
        ] {
            let stack = frames(&stack);
            let evidence = Evidence { symbol: None, class: Unknown, frames: &stack };
            let verdict = judge(&evidence, &Allow::default(), &Words::tokio());
            assert_eq!(verdict.is_allowed, expected, "{stack:#?}");
        }
    }

    #[test]
    fn whoever_runs_the_runtime_is_not_the_author_of_what_its_tasks_call() {
        let stack = "std::sys::sync::mutex::futex::Mutex::lock_contended | std/src/sys/sync/mutex/futex.rs:61
                     tokio::runtime::blocking::pool::Spawner::spawn_task | tokio-1.54.1/src/runtime/blocking/pool.rs:3
                     tokio::runtime::task::core::Core<F, S>::poll | tokio-1.54.1/src/runtime/task/core.rs:365
                     tokio::runtime::runtime::Runtime::block_on | tokio-1.54.1/src/runtime/runtime.rs:348
                     bot::main | src/main.rs:3";
        let verdict = judged(None, Class::Contention, stack);
        assert_eq!((verdict.class, verdict.author), (Class::Contention, None));
        let wakes = "std::sys::sync::mutex::futex::Mutex::lock_contended | std/src/sys/sync/mutex/futex.rs:61
                     tokio::runtime::task::waker::wake_by_ref | tokio-1.54.1/src/runtime/task/waker.rs:3
                     bot::tell | src/tell.rs:9
                     tokio::runtime::task::core::Core<F, S>::poll | tokio-1.54.1/src/runtime/task/core.rs:365";
        assert_eq!(judged(None, Class::Contention, wakes).author, Some(frame("bot::tell | src/tell.rs:9")));
    }

    #[test]
    fn every_blocking_call_has_its_class_its_name_and_the_authors_line() {
        assert!(SEEN.len() >= 30);
        for (name, symbol, class, refined, call, below) in SEEN {
            let verdict = judged(*symbol, *class, &format!("{below}\n{ABOVE}"));
            assert_eq!((verdict.class, &*verdict.call), (*refined, *call), "{name}");
            assert_eq!(verdict.author, Some(frame("bot::cmd::load | src/cmd.rs:10")), "{name}");
            let own: Vec<_> = verdict.path.iter().filter(|frame| origin(frame) == Origin::Author).collect();
            let lines: Vec<_> = own.iter().filter_map(|frame| frame.line).collect();
            assert_eq!(lines, [10, 21, 40], "{name}: through the time limit, and not to `main`");
            assert!(
                verdict.path.len() <= SHOWN_BELOW + 3 && !verdict.is_allowed,
                "{name}: {:?}",
                verdict.path
            );
            assert!(verdict.advice.contains('`') && !lacks_lines(&verdict), "{name}: {}", verdict.advice);
        }
    }

    #[test]
    fn the_hooks_own_frames_are_not_shown() {
        let hook = "backtrace::backtrace::trace | backtrace-0.3.77/src/backtrace/mod.rs:53
                    evenkeel_guard::hook::open64 | evenkeel-guard/src/hook.rs:34
                    std::fs::read | std/src/fs.rs:349";
        let verdict = judged(Some("open64"), File, &format!("{hook}\n{ABOVE}"));
        assert_eq!(verdict.call, "std::fs::read");
        assert_eq!(verdict.path[0], frame("std::fs::read | std/src/fs.rs:349"));
        assert_eq!(verdict.advice.split(';').next(), Some("use `tokio::fs::read(..).await`"));
    }

    #[test]
    fn a_path_is_short_and_keeps_the_authors_innermost_frames() {
        let deep: String = (1..40).map(|line| format!("\nbot::walk | src/walk.rs:{line}")).collect();
        let verdict = judged(Some("open64"), File, &format!("std::fs::read | std/src/fs.rs:349{deep}"));
        assert_eq!(verdict.path.len(), SHOWN);
        assert_eq!(verdict.path[1].line, Some(1));
    }

    #[test]
    fn without_line_tables_names_are_kept_and_no_author_is_claimed() {
        let stack = "open64\n<std::fs::File>::open::<&std::path::Path> | std/src/fs.rs:571
                     std::fs::read::inner | std/src/fs.rs:343\nbot::cmd::load\nbot::cmd::run::{{closure}}
                     async_task::raw::RawTask<F,T,S,M>::run\nbot::main";
        let verdict = judged(Some("open64"), File, stack);
        assert_eq!((verdict.author.as_ref(), &*verdict.call), (None, "std::fs::read"));
        assert_eq!(verdict.path, frames("bot::cmd::load\nbot::cmd::run::{{closure}}"));
        assert!(lacks_lines(&verdict) && LINES_HINT.contains("line-tables-only"));
        let client =
            judged(Some("connect"), Network, "std::net::tcp::TcpStream::connect\nureq::run::run\nbot::run");
        assert!(client.advice.starts_with("use `reqwest::Client`"), "{}", client.advice);
    }

    #[test]
    fn without_symbols_the_call_and_the_class_are_left() {
        let verdict = judged(Some("getaddrinfo"), Lookup, "?\n?\n?");
        assert_eq!((&*verdict.call, verdict.author, verdict.path), ("getaddrinfo", None, Vec::new()));
        assert_eq!(judged(None, Compute, "").call, "work on the CPU");
    }

    #[test]
    fn what_is_allowed_is_judged_by_the_whole_stack_and_by_either_class() {
        let start = "<std::process::Command>::spawn | std/src/process.rs:1054
                     tokio::process::spawn | tokio-1.54.1/src/process/mod.rs:865";
        assert!(judged(Some("posix_spawnp"), Process, &format!("{start}\n{ABOVE}")).is_allowed);
        let channel = frames(&format!("std::sync::mpsc::recv<i32> | std/src/sync/mpsc.rs:849\n{ABOVE}"));
        let evidence = Evidence { symbol: Some("syscall"), class: Contention, frames: &channel };
        for (what, expected) in [("wait", true), ("contention", true), ("syscall", true), ("join", false)] {
            let allow = Allow::nothing().with(what, "bot::cmd");
            assert_eq!(judge(&evidence, &allow, &Words::tokio()).is_allowed, expected, "{what}");
        }
    }

    #[test]
    fn a_real_stack_is_judged_by_its_innermost_author() {
        let mut addresses = Vec::new();
        let line = line!() + 1;
        backtrace::trace(|frame| {
            addresses.push(crate::stack::Address::returned_to(frame.ip().addr()));
            true
        });
        let stack = crate::stack::Symbols::new().resolve(&addresses);
        let evidence = Evidence { symbol: Some("open64"), class: File, frames: &stack };
        let verdict = judge(&evidence, &Allow::default(), &Words::tokio());
        let found = verdict.author.map(|frame| (frame.file, frame.line));
        // Without its module's name, which only full debug information has, a test of this crate is the guard's own.
        let expected = cfg!(debug_assertions).then(|| (Some("src/verdict.rs".to_owned()), Some(line)));
        assert_eq!(found, expected);
    }
}
