//! Where in a stack the poll of a task begins, and what the task's author called.

use super::{Origin, crate_of, has_path, is_house, is_in, is_in_any, origin};
use crate::report::Frame;

/// What polls a task of a tokio runtime, in every shape that a build leaves of it: inlined calls have names where there
/// are line tables, and the function that the task's table points to has one wherever there are symbols.
const TASKS: &[&str] = &[
    "async_task::raw::run",
    "async_task::raw::RawTask::run",
    "tokio::runtime::task::core",
    "tokio::runtime::task::raw::poll",
    "tokio::runtime::task::harness::*poll*",
];

/// What begins the poll of a future that is no task.
const ROOTS: &[&str] =
    &["tokio::*::block_on", "tokio::*::block_on_inner", "tokio::task::local", "evenkeel_guard::guest"];

/// What a tokio runtime runs on threads of its own, whether a call that blocks or the loop of a worker.
///
/// Not all of the pool: anyone who asks it for a thread, or ends it, is in there, too.
const OWN: &[&str] = &[
    "tokio::runtime::blocking::task",
    "tokio::runtime::blocking::pool::*run",
    "tokio::runtime::blocking::pool::*run_worker",
];

/// Whether a frame belongs to what polls tasks: outside of it nothing concerns the author of this one.
pub(crate) fn is_executor(frame: &Frame) -> bool {
    const EXECUTORS: &[&str] = &["async_task", "tokio::runtime::task", "tokio::runtime::scheduler"];
    let name = crate_of(frame).unwrap_or_default();
    is_house(frame, &name) && origin(frame) == Origin::Runtime || is_in_any(frame, EXECUTORS)
}

/// The frames inside the innermost poll of a task. What wakes a task is no poll.
pub(crate) fn polled(frames: &[Frame]) -> &[Frame] {
    &frames[..frames.iter().position(|frame| is_in_any(frame, TASKS)).unwrap_or(frames.len())]
}

/// Whether a thread of a tokio runtime polls a future at this moment, by its stack. Otherwise it does the runtime's own
/// work, or that of `spawn_blocking`, which is run by threads that may have been workers before.
///
/// A program without names of its own says nothing of that, and excuses nothing.
pub(crate) fn polls_a_future(frames: &[Frame]) -> bool {
    if !frames.iter().any(|frame| frame.function.as_deref().is_some_and(|function| function.contains("::"))) {
        return true;
    }
    // What a worker does is itself a blocking task of the runtime: what comes first, from inside, decides. But without
    // line tables a task and a blocking task begin with the same names, and only who runs them tells.
    let mut frames = frames.iter();
    while let Some(frame) = frames.next() {
        if is_in_any(frame, OWN) {
            return false;
        }
        if is_in_any(frame, TASKS) {
            let runner = frames.find(|frame| is_in(frame, "tokio") && !is_in(frame, "tokio::runtime::task"));
            return !runner.is_some_and(|frame| is_in_any(frame, OWN));
        }
        if is_in_any(frame, ROOTS) {
            return true;
        }
    }
    false
}

/// Where a panic is printed, or unwinds the stack.
const PANIC: &[&str] = &[
    "std::panicking::default_hook",
    "std::panicking::*panic_with_hook",
    "std::panicking::rust_panic*",
    "std::panicking::begin_panic*",
    "std::panicking::panic_handler",
    "std::panicking::catch_unwind::cleanup",
    "std::sys::backtrace::BacktraceLock",
    "std::backtrace_rs",
    "panic_unwind",
    "*rust_start_panic",
    "*rust_panic_cleanup",
    "*rust_begin_unwind",
    "_Unwind_*",
];

/// Whether a stack lies within a panic: in its message, in its backtrace, or in the unwinding.
pub(crate) fn is_panicking(frames: &[Frame]) -> bool {
    polled(frames).iter().any(|frame| is_in_any(frame, PANIC))
}

/// The frames of what the author called: all inside the innermost frame of the author's, without those of the guard
/// that hears of the call.
///
/// Where no frame is known to be the author's, all up to the executor.
pub(crate) fn called(frames: &[Frame]) -> &[Frame] {
    let frames = heard(frames);
    let author = frames.iter().position(|frame| origin(frame) == Origin::Author);
    let end = author.or_else(|| frames.iter().position(is_executor)).unwrap_or(frames.len());
    let frames = &frames[..end];
    if author.is_some() { frames } else { in_root(frames) }
}

/// The frames inside the future that a thread was told to run, of a program without lines; all where the thread waits for
/// the future, since that is then what was called.
fn in_root(frames: &[Frame]) -> &[Frame] {
    const WAITING: &[&str] =
        &["tokio::runtime::park", "parking_lot", "parking_lot_core", "std::sys::sync", "std::thread"];
    let Some(root) = frames.iter().position(|frame| is_in_any(frame, ROOTS)) else { return frames };
    let inside = &frames[..root];
    let sleeps = |frame: &Frame| is_in_any(frame, &["std::thread::sleep*", "std::thread::functions::sleep*"]);
    let is_waiting = inside.iter().any(|frame| is_in_any(frame, WAITING) && !sleeps(frame));
    if is_waiting || !inside.iter().any(has_path) { frames } else { inside }
}

/// The frames from the call on that the guard heard of. What lies inside is the guard's: how it takes the stack, and
/// what the standard library does for it.
pub(crate) fn heard(frames: &[Frame]) -> &[Frame] {
    let author = frames.iter().position(|frame| origin(frame) == Origin::Author).unwrap_or(frames.len());
    let hooked = frames[..author].iter().rposition(is_hook);
    let frames = &frames[hooked.map_or(0, |at| at + 1)..];
    let is_ours = |frame: &&Frame| {
        let name = crate_of(frame);
        matches!(name.as_deref(), Some("evenkeel_guard" | "backtrace")) && origin(frame) == Origin::Runtime
    };
    &frames[frames.iter().take_while(is_ours).count()..]
}

/// Whether a frame is a wrapper of a libc function, or what it calls. Outside of the room nothing calls these by name.
fn is_hook(frame: &Frame) -> bool {
    let is_room = |file: &str| file.contains("/hook/linked") || file.contains("/src/hook.rs");
    let is_named = is_in(frame, "evenkeel_guard::hook");
    let is_there =
        crate_of(frame).as_deref() == Some("evenkeel_guard") && frame.file.as_deref().is_some_and(is_room);
    (is_named || is_there) && origin(frame) != Origin::Author
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::frames;

    /// What runs the threads of a runtime, by its symbols alone: calls that were inlined have no names.
    const THREAD: &str = "tokio::runtime::task::raw::poll
        tokio::runtime::blocking::pool::Inner::run
        std::sys::backtrace::__rust_begin_short_backtrace\nstart_thread\nclone3";

    #[test]
    fn a_runtimes_thread_polls_in_every_profile_or_does_something_else() {
        let worker = format!("tokio::runtime::scheduler::multi_thread::worker::run\n{THREAD}");
        let inlined = "tokio::runtime::blocking::task::poll<bot::run::{closure_env#0}, ()> | tokio-1.54.1/src/runtime/blocking/task.rs:42
            tokio::loom::std::unsafe_cell::with_mut<()> | tokio-1.54.1/src/loom/std/unsafe_cell.rs:16
            tokio::runtime::task::core::poll<tokio::runtime::blocking::task::BlockingTask<()>> | tokio-1.54.1/src/runtime/task/core.rs:369";
        for (name, stack, expected) in [
            ("line tables", "tokio::runtime::task::core::poll<bot::nap::{async_fn_env#0}, ()> | tokio-1.54.1/src/runtime/task/core.rs:369".to_owned(), true),
            ("debug", "<tokio::runtime::task::core::Core<T,S>>::poll".to_owned(), true),
            ("symbols", format!("tokio::runtime::task::raw::poll\ntokio::runtime::scheduler::multi_thread::worker::Context::run_task\n{worker}"), true),
            (
                "who asks for a thread",
                format!("tokio::runtime::blocking::pool::Spawner::spawn_task\ntokio::runtime::task::raw::poll\ntokio::runtime::scheduler::multi_thread::worker::Context::run_task\n{worker}"),
                true,
            ),
            ("a local set", format!("tokio::runtime::task::raw::poll\ntokio::task::local::LocalSet::tick\n{worker}"), true),
            ("the root", "tokio::runtime::context::blocking::BlockingRegionGuard::block_on\nbot::main".to_owned(), true),
            ("the root, by line tables", "tokio::runtime::park::block_on<bot::main::{async_block_env#0}> | tokio-1.54.1/src/runtime/park.rs:376".to_owned(), true),
            ("a guest's", "<evenkeel_guard::guest::Guest<F> as core::future::future::Future>::poll".to_owned(), true),
            ("no names of its own", "?\n?\nstart_thread\nclone3".to_owned(), true),
            ("nothing", String::new(), true),
            ("the worker's own work", format!("std::sys::sync::mutex::futex::Mutex::lock_contended\n{worker}"), false),
            ("spawn_blocking", format!("std::thread::sleep\n{THREAD}"), false),
            ("spawn_blocking, by line tables", format!("bot::run::{{closure#0}} | src/run.rs:3\n{inlined}\n{THREAD}"), false),
            ("a thread of another kind", "std::thread::sleep\nbot::main".to_owned(), false),
        ] {
            assert_eq!(polls_a_future(&frames(&stack)), expected, "{name}");
        }
    }

    #[test]
    fn what_the_author_called_ends_at_the_authors_frame() {
        let stack = frames(
            "backtrace::backtrace::trace | backtrace-0.3.77/src/backtrace/mod.rs:53
             evenkeel_guard::hook::open64 | evenkeel-guard/src/hook.rs:3
             std::fs::read | std/src/fs.rs:3
             bot::run | src/run.rs:3
             async_task::raw::run | async-task-4.7.1/src/raw.rs:3",
        );
        assert_eq!(called(&stack), &stack[2..3]);
        let root = frames("std::thread::sleep\ntokio::runtime::runtime::Runtime::block_on\nbot::main");
        assert_eq!(called(&root), &root[..1]);
        let wait =
            frames("tokio::runtime::park::Inner::park\ntokio::runtime::handle::Handle::block_on\nbot::run");
        assert_eq!(called(&wait), &wait[..]);
        let bare = frames("std::fs::read\nbot::run\nasync_task::raw::run\nmain");
        assert_eq!(called(&bare), &bare[..2]);
        assert_eq!(called(&[]), &[]);
    }
}
