//! What a stack tells of a wait: which `.await` of the author's, and what is awaited there.

use super::Wait;
use crate::frame::name::readable;
use crate::frame::poll::called;
use crate::frame::{Origin, is_in, origin};
use crate::report::Frame;

/// How many frames a wait shows.
const SHOWN: usize = 8;

/// What only passes a poll on to the future inside it.
const PASSING: &[&str] = &[
    "__rust*",
    "alloc",
    "async_stream",
    "core",
    "evenkeel_guard",
    "futures_core",
    "futures_lite",
    "futures_util",
    "pin_project*",
    "std",
    "tokio::future",
    "tokio::macros",
    "tokio::task::coop",
    "tokio::task::task_local",
    "tokio::time::timeout",
    "tokio_stream",
    "tokio_util::future",
    "tokio_util::either",
    "tower",
    "tracing",
];

/// Private modules of tokio and futures, and the door through which a program names what is inside.
const DOORS: &[(&str, &str)] = &[
    ("tokio::sync::mpsc::bounded::", "tokio::sync::mpsc::"),
    ("tokio::sync::mpsc::unbounded::Unbounded", "tokio::sync::mpsc::Unbounded"),
    ("tokio::sync::mutex::", "tokio::sync::"),
    ("tokio::sync::rwlock::", "tokio::sync::"),
    ("tokio::sync::semaphore::", "tokio::sync::"),
    ("tokio::sync::barrier::", "tokio::sync::"),
    ("tokio::sync::once_cell::", "tokio::sync::"),
    ("tokio::sync::notify::Notified", "tokio::sync::Notify::notified"),
    ("tokio::runtime::task::join::", "tokio::task::"),
    ("tokio::task::join_set::JoinSet::poll_join_next", "tokio::task::JoinSet::join_next"),
    ("tokio::task::join_set::", "tokio::task::"),
    ("tokio::time::sleep::Sleep", "tokio::time::sleep"),
    ("tokio::time::interval::Interval::poll_tick", "tokio::time::Interval::tick"),
    ("tokio::time::interval::", "tokio::time::"),
    ("tokio::net::tcp::stream::", "tokio::net::"),
    ("tokio::net::tcp::listener::", "tokio::net::"),
    ("tokio::net::udp::", "tokio::net::"),
    ("tokio::net::unix::stream::", "tokio::net::"),
    ("tokio::net::unix::listener::", "tokio::net::"),
    ("futures_util::stream::futures_unordered::", "futures::stream::"),
    ("futures_util::future::join_all::JoinAll", "futures::future::join_all"),
    ("futures_util::future::", "futures::future::"),
    ("futures_util::stream::", "futures::stream::"),
    ("futures_channel::", "futures::channel::"),
];

/// The same where line tables alone have lost the type: what of a module has to wait.
const MODULES: &[(&str, &str)] = &[
    ("tokio::sync::mpsc::unbounded", "tokio::sync::mpsc::UnboundedReceiver::recv"),
    ("tokio::sync::oneshot", "tokio::sync::oneshot::Receiver"),
    ("tokio::sync::broadcast", "tokio::sync::broadcast::Receiver::recv"),
    ("tokio::sync::watch", "tokio::sync::watch::Receiver::changed"),
    ("tokio::sync::mpsc::chan::Rx::recv", "tokio::sync::mpsc::Receiver::recv"),
    ("tokio::sync::batch_semaphore::Acquire", "tokio::sync, a lock or a permit"),
    ("tokio::sync::mutex", "tokio::sync::Mutex::lock"),
    ("tokio::sync::rwlock", "tokio::sync::RwLock"),
    ("tokio::sync::semaphore", "tokio::sync::Semaphore::acquire"),
    ("tokio::sync::notify", "tokio::sync::Notify::notified"),
    ("tokio::sync::barrier", "tokio::sync::Barrier::wait"),
    ("tokio::sync::once_cell", "tokio::sync::OnceCell::get_or_init"),
    ("tokio::runtime::task::join", "tokio::task::JoinHandle"),
    ("tokio::task::join_set", "tokio::task::JoinSet::join_next"),
    ("tokio::time::interval", "tokio::time::Interval::tick"),
    ("tokio::net::tcp::listener", "tokio::net::TcpListener::accept"),
    ("tokio::net::tcp::stream", "tokio::net::TcpStream"),
    ("tokio::net::udp", "tokio::net::UdpSocket"),
    ("tokio::process", "tokio::process::Child::wait"),
    ("futures::stream::futures_unordered", "futures::stream::FuturesUnordered"),
];

/// What each stack tells, once. Stacks without a line of the author's say nothing where others have one.
pub(super) fn waits(stacks: &[Vec<Frame>]) -> Vec<Wait> {
    let mut waits: Vec<Wait> = Vec::new();
    let has_author = |frames: &[Frame]| frames.iter().any(|frame| origin(frame) == Origin::Author);
    let is_any = stacks.iter().any(|frames| has_author(frames));
    for frames in stacks.iter().filter(|frames| !is_any || has_author(frames)) {
        let wait = wait(frames);
        if !waits.contains(&wait) && wait != Wait::default() {
            waits.push(wait);
        }
    }
    let (clocks, others): (Vec<_>, Vec<_>) = waits.into_iter().partition(|wait| wait.call == TIMEOUT);
    // The clock of a timeout is no news beside what it limits.
    let is_alone = |clock: &Wait| !others.iter().any(|wait| wait.path.ends_with(&clock.path));
    let alone: Vec<_> = clocks.into_iter().filter(is_alone).collect();
    others.into_iter().chain(alone).collect()
}

/// What a wait for nothing but a timeout's own clock is called.
const TIMEOUT: &str = "tokio::time::timeout";

fn wait(frames: &[Frame]) -> Wait {
    let authors = |frame: &&Frame| origin(frame) == Origin::Author;
    let mut path: Vec<_> = frames.iter().filter(authors).cloned().collect();
    if path.is_empty() {
        let unknown = |frame: &&Frame| origin(frame) == Origin::Unknown && has_path(frame);
        path = frames.iter().filter(unknown).cloned().collect();
    }
    path.dedup();
    path.truncate(SHOWN);
    let called = called(frames);
    let call = leaf(called).or_else(|| path.first().and_then(name)).unwrap_or_default();
    Wait { call, path }
}

/// What the author awaits, as far as somebody else wrote it.
fn leaf(called: &[Frame]) -> Option<String> {
    let is_known = |frame: &&Frame| origin(frame) != Origin::Unknown && has_path(frame);
    let outermost = called.iter().rev().filter(is_known).find(|frame| !is_passing(frame));
    let Some(outermost) = outermost else {
        // A set of futures asks those that were woken, so it is what has to wait itself.
        let sets = called.iter().filter(is_known).filter(|frame| is_in(frame, "futures_util"));
        return sets.filter(|frame| is_poll(frame)).find_map(name);
    };
    let is_clock = is_in(outermost, "tokio::time::sleep");
    if is_clock && called.iter().any(|frame| is_in(frame, "tokio::time::timeout")) {
        return Some(TIMEOUT.to_owned());
    }
    let name = name(outermost)?;
    // Line tables alone do not tell the two ends of a channel.
    let is_receiver = || called.iter().any(|frame| is_in(frame, "tokio::sync::mpsc::chan*recv"));
    match &*name {
        "tokio::sync::mpsc::bounded" if is_receiver() => Some("tokio::sync::mpsc::Receiver::recv".to_owned()),
        "tokio::sync::mpsc::bounded" => Some("tokio::sync::mpsc::Sender::send".to_owned()),
        _ => Some(name),
    }
}

fn is_passing(frame: &Frame) -> bool {
    // What a macro of tokio's writes is in the author's function.
    let is_macro = frame.file.as_deref().is_some_and(|file| file.contains("/src/macros/"));
    is_macro || PASSING.iter().any(|path| is_in(frame, path))
}

fn is_poll(frame: &Frame) -> bool {
    let last = frame.function.as_deref().map(readable);
    last.is_some_and(|name| name.rsplit("::").next().is_some_and(|last| last.starts_with("poll")))
}

fn has_path(frame: &Frame) -> bool {
    frame.function.as_deref().is_some_and(|function| readable(function).contains("::"))
}

/// The name under which an author knows a future or an async function.
fn name(frame: &Frame) -> Option<String> {
    let name = readable(frame.function.as_deref()?);
    let name = ["::poll_next", "::poll"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
    if let Some(inside) = name.strip_prefix("tokio::io::util::") {
        return Some(of_io(inside));
    }
    let door = DOORS.iter().find_map(|(module, door)| Some(format!("{door}{}", name.strip_prefix(module)?)));
    let name = door.unwrap_or_else(|| name.to_owned());
    let whole = MODULES.iter().find(|(module, _)| *module == name);
    Some(whole.map_or(name, |(_, whole)| (*whole).to_owned()))
}

/// `read::Read` is what `AsyncReadExt::read` gives: each method has a module of its name.
fn of_io(inside: &str) -> String {
    let method = inside.split("::").next().unwrap_or_default();
    let of = match method {
        "read_line" | "read_until" | "lines" | "split" | "fill_buf" => "AsyncBufReadExt::",
        _ if method.starts_with("read") => "AsyncReadExt::",
        _ if method.starts_with("write") || matches!(method, "flush" | "shutdown") => "AsyncWriteExt::",
        _ => "",
    };
    format!("tokio::io::{of}{method}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::frames;

    fn stacks(texts: &[&str]) -> Vec<Wait> {
        waits(&texts.iter().map(|text| frames(text)).collect::<Vec<_>>())
    }

    const AUTHOR: &str = "bot::cmd::order::{{closure}} | src/cmd.rs:41";
    const OUTER: &str = "bot::run::{{closure}} | src/main.rs:7";

    #[test]
    fn a_leaf_is_named_alike_with_all_symbols_and_with_line_tables_alone() {
        for (below, expected) in [
            (
                "tokio::sync::mpsc::chan::Rx<T,S>::recv | tokio-1.54.1/src/sync/mpsc/chan.rs:300
                 <core::future::poll_fn::PollFn<F> as core::future::future::Future>::poll | core/src/future/poll_fn.rs:151
                 tokio::sync::mpsc::bounded::Receiver<T>::recv::{{closure}} | tokio-1.54.1/src/sync/mpsc/bounded.rs:245",
                "tokio::sync::mpsc::Receiver::recv",
            ),
            (
                "tokio::sync::mpsc::chan::recv<u32> | tokio-1.54.1/src/sync/mpsc/chan.rs:300
                 core::future::poll_fn::poll<u32> | core/src/future/poll_fn.rs:151
                 tokio::sync::mpsc::bounded::{async_fn#0}<u32> | tokio-1.54.1/src/sync/mpsc/bounded.rs:245",
                "tokio::sync::mpsc::Receiver::recv",
            ),
            (
                "tokio::sync::batch_semaphore::poll | tokio-1.54.1/src/sync/batch_semaphore.rs:653
                 tokio::sync::mpsc::bounded::{async_fn#0}<u32> | tokio-1.54.1/src/sync/mpsc/bounded.rs:1200",
                "tokio::sync::mpsc::Sender::send",
            ),
            ("<tokio::time::sleep::Sleep as core::future::future::Future>::poll | tokio-1.54.1/src/time/sleep.rs:457", "tokio::time::sleep"),
            ("tokio::time::sleep::poll | tokio-1.54.1/src/time/sleep.rs:457", "tokio::time::sleep"),
            (
                "<tokio::net::tcp::stream::TcpStream as tokio::io::async_read::AsyncRead>::poll_read | tokio-1.54.1/src/net/tcp/stream.rs:1
                 <tokio::io::util::read::Read<R> as core::future::future::Future>::poll | tokio-1.54.1/src/io/util/read.rs:52",
                "tokio::io::AsyncReadExt::read",
            ),
            ("tokio::io::util::write_all::poll<tokio::net::TcpStream> | tokio-1.54.1/src/io/util/write_all.rs:40", "tokio::io::AsyncWriteExt::write_all"),
            ("tokio::io::util::read_line::poll<R> | tokio-1.54.1/src/io/util/read_line.rs:40", "tokio::io::AsyncBufReadExt::read_line"),
            (
                "reqwest::async_impl::client::PendingRequest::poll | reqwest-0.13.5/src/async_impl/client.rs:3
                 reqwest::get::{{closure}} | reqwest-0.13.5/src/lib.rs:381",
                "reqwest::get",
            ),
        ] {
            let found = stacks(&[&format!("{below}\n{AUTHOR}\n{OUTER}")]);
            let told: Vec<_> = found.iter().map(ToString::to_string).collect();
            let path = "bot::cmd::order (src/cmd.rs:41) <- bot::run (src/main.rs:7)";
            assert_eq!(told, [format!("at src/cmd.rs:41 in {expected} <- {path}")]);
        }
    }

    #[test]
    fn a_wait_is_told_once_and_none_without_a_line_beside_those_with_one() {
        let receiver = format!(
            "<tokio::sync::oneshot::Receiver<T> as core::future::future::Future>::poll | tokio-1.54.1/src/sync/oneshot.rs:1\n{AUTHOR}"
        );
        let clock = "tokio::time::sleep::Sleep::poll_elapsed | tokio-1.54.1/src/time/sleep.rs:1";
        let found = stacks(&[&receiver, clock, &receiver]);
        assert_eq!(
            found.iter().map(|wait| &*wait.call).collect::<Vec<_>>(),
            ["tokio::sync::oneshot::Receiver"]
        );
        assert_eq!(stacks(&[clock]).len(), 1, "better than nothing");
        assert_eq!(stacks(&["?", "? | ?"]), [], "a program without symbols says nothing");
    }

    #[test]
    fn without_lines_the_functions_of_unknown_crates_are_told() {
        let text = "tokio::sync::mpsc::chan::Rx<T,S>::recv\nbot::cmd::order::{{closure}}\nasync_task::raw::RawTask<F,T,S,M>::run";
        let told: Vec<_> = stacks(&[text]).iter().map(ToString::to_string).collect();
        assert_eq!(told, ["in tokio::sync::mpsc::Receiver::recv <- bot::cmd::order"]);
    }

    #[test]
    fn the_clock_of_a_timeout_is_told_only_where_nothing_else_is() {
        let author = "bot::cmd::order::{{closure}} | src/cmd.rs:41";
        let clock = format!(
            "tokio::time::sleep::Sleep::poll_elapsed | tokio-1.54.1/src/time/sleep.rs:431
             <tokio::time::timeout::Timeout<T> as core::future::future::Future>::poll | tokio-1.54.1/src/time/timeout.rs:221
             {author}"
        );
        let lock = format!(
            "tokio::sync::mutex::Mutex<T>::lock::{{{{closure}}}} | tokio-1.54.1/src/sync/mutex.rs:455\n{author}"
        );
        let calls = |waits: Vec<Wait>| waits.into_iter().map(|wait| wait.call).collect::<Vec<_>>();
        assert_eq!(calls(stacks(&[&lock, &clock])), ["tokio::sync::Mutex::lock"]);
        assert_eq!(calls(stacks(&[&clock])), ["tokio::time::timeout"]);
    }
}
