//! What a thread waits for, and whose it is.

use super::call::is_plumbing;
use crate::frame::poll::{called, heard, is_executor};
use crate::frame::{Origin, crate_of, has_path, is_in, is_in_any, origin};
use crate::report::{Class, Frame};

/// Where a thread waits for a lock, and for nothing else.
const LOCKS: &[&str] = &[
    "std::sys::sync::mutex",
    "std::sys::sync::rwlock",
    "std::sync::*mutex",
    "std::sync::*rwlock",
    "std::sync::reentrant_lock",
    "parking_lot::raw_mutex",
    "parking_lot::raw_rwlock",
    "parking_lot::raw_fair_mutex",
    // What guards a parking lot's own queues, also for anyone who wakes another.
    "parking_lot_core::word_lock",
    "parking_lot::*mutex",
    "parking_lot::*rwlock",
    "lock_api",
    "dashmap",
    "scc",
    "spin",
    "*pthread_mutex_*lock",
    "*pthread_rwlock_*lock",
    "*lll_lock_wait*",
];

/// Paths that tell what else a thread waits for, each with its class; the first that fits a frame counts.
const WAITS: &[(&str, Class)] = &[
    ("std::io::stdio::Stdin*", Class::Input),
    ("std::io::stdio::stdin", Class::Input),
    ("std::io::stdio", Class::Output),
    ("std::thread::join_handle", Class::Join),
    ("std::thread::scoped", Class::Join),
    // Not all of the module: a thread is started in there, too.
    ("std::thread::lifecycle::*join", Class::Join),
    // Locks that let their thread sleep by parking it.
    ("async_lock::mutex", Class::Contention),
    ("async_lock::rwlock", Class::Contention),
    ("async_lock::*_blocking", Class::Contention),
    ("scc", Class::Contention),
    ("dashmap", Class::Contention),
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
    ("parking_lot::once", Class::Wait),
    ("once_cell", Class::Wait),
    // A connection with a timeout is waited for by `poll`.
    ("std::net", Class::Network),
    ("std::os::unix::net", Class::Network),
    ("std::sys::net", Class::Network),
    ("socket2", Class::Network),
];

/// Crates whose locks are those of their callers.
const LOCK_CRATES: &[&str] = &["parking_lot", "parking_lot_core", "lock_api", "dashmap", "scc", "spin"];

/// Parts of the standard library that have locks of their own, which their callers do not see.
const WITH_LOCKS: &[&str] = &[
    "std::sync::mpsc",
    "std::sync::mpmc",
    "std::sync::barrier",
    "std::thread",
    "std::io::stdio",
    "std::env",
    "std::process",
    "std::panicking",
    "std::backtrace",
];

/// By what an author asks something asynchronous to block.
const ASKED: &[&str] = &[
    "tokio::*::block_on",
    "tokio::*::blocking_recv",
    "tokio::*::blocking_send",
    "tokio::*::blocking_lock",
    "tokio::*::blocking_read",
    "tokio::*::blocking_write",
    "async_lock::*_blocking",
    "event_listener_strategy::wait",
    "tokio::runtime::runtime",
    "tokio::runtime::blocking::shutdown",
];

/// Whether a sleep is how a lock waits for its turn.
pub(super) fn is_backing_off(called: &[Frame]) -> bool {
    called.iter().any(|frame| is_in_any(frame, LOCKS))
}

/// The class of a wait, by the frames of what was called.
///
/// The innermost frame that waits tells a lock from everything else: a channel takes locks inside, and so does what is
/// asked with `.await`. What else it is, the outermost tells: a channel parks its thread, and so does a scope of threads.
pub(super) fn class(called: &[Frame]) -> Option<Class> {
    let is_wait = |frame: &Frame| WAITS.iter().any(|(path, _)| is_in(frame, path));
    let innermost = called.iter().find(|frame| is_in_any(frame, LOCKS) || is_wait(frame))?;
    if !is_in_any(innermost, LOCKS) {
        return outermost(WAITS, called);
    }
    // Standard output takes its lock for as long as it writes.
    let stream = called.iter().find_map(|frame| {
        WAITS.iter().find(|(path, _)| path.starts_with("std::io::stdio") && is_in(frame, path))
    });
    Some(stream.map_or(Class::Contention, |(_, class)| *class))
}

/// The class of the outermost frame that has one.
pub(super) fn outermost(paths: &[(&str, Class)], called: &[Frame]) -> Option<Class> {
    called.iter().rev().find_map(|frame| {
        let found = paths.iter().find(|(path, _)| is_in(frame, path));
        found.map(|(_, class)| *class)
    })
}

/// Whose lock, or whose sleep, it is: the innermost frame tells that is neither of the standard library nor of a crate
/// with locks for others. What the standard library keeps for itself is [`Origin::Standard`].
pub(super) fn owner(frames: &[Frame]) -> Origin {
    let is_passing = |frame: &&Frame| {
        let is_lock = crate_of(frame).is_some_and(|name| LOCK_CRATES.contains(&&*name));
        is_lock || origin(frame) == Origin::Standard || !has_path(frame) && frame.file.is_none()
    };
    let inner = frames.iter().take_while(is_passing).count();
    let Some(frame) = frames.get(inner) else { return Origin::Unknown };
    if frame.file.is_none() && is_executor(frame) {
        // Without line tables the author's own code may have been compiled into what polls it.
        return Origin::Unknown;
    }
    let is_kept = |frame: &Frame| is_in_any(frame, WITH_LOCKS) && !is_plumbing(frame);
    match origin(frame) {
        Origin::Author if frames[..inner].iter().any(is_kept) => Origin::Standard,
        owner => owner,
    }
}

/// Whether the author asked for a call that blocks.
pub(super) fn is_asked(frames: &[Frame]) -> bool {
    called(frames).iter().any(|frame| is_in_any(frame, ASKED))
}

/// Whether a lock, or a sleep of which nothing more is known, is inside what runs futures: its queues, its threads, its
/// timers. That is nobody's fault, unless the author asked for a call that blocks.
pub(super) fn is_runtimes_own(class: Class, frames: &[Frame]) -> bool {
    matches!(class, Class::Contention | Class::Unknown)
        && owner(heard(frames)) == Origin::Runtime
        && !is_asked(frames)
}
