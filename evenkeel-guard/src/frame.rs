//! Reads frames: whose code one is, and what its author would call it.
//!
//! Names come in three shapes. Crates built by a stable compiler have `bot::run::{{closure}}`. The standard library
//! has `<std::fs::File>::open::<&str>`. Where a release build has line tables and nothing more, functions have no
//! path at all, only `run<bot::Job>` or `{async_fn#0}`; [`qualified`] then takes the path from the file.

use crate::report::Frame;

/// Whose code a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The program that is being watched: where something can be changed.
    Author,
    /// A package from a registry, a repository or a `vendor` folder.
    Dependency,
    /// The standard library, or the C library below it.
    Standard,
    /// What polls futures, and the guard itself.
    Runtime,
    /// Nothing tells: no file, and the name of some crate or none.
    Unknown,
}

/// The crates that polling goes through. [`is_house`] adds the guard's own.
const RUNTIME: &[&str] = &["async_task", "backtrace", "mio", "tokio", "tokio_util"];
/// Programs among the guard's own crates: their handlers are like anybody's.
const PROGRAMS: &[&str] = &["evenkeel_bench", "evenkeel_cli", "evenkeel_examples"];
/// The crates that come with the compiler.
const STANDARD: &[&str] =
    &["alloc", "backtrace", "core", "panic_abort", "panic_unwind", "proc_macro", "std", "test", "unwind"];
/// Folders of which each file is a crate.
const ONE_FILE_EACH: &[&str] = &["examples", "tests", "benches", "bin"];

/// What a file's path says about who wrote it.
#[derive(Debug, PartialEq, Eq)]
enum Home<'a> {
    /// From the library's folder on, `std/src/fs.rs`.
    Library(&'a str),
    /// A crate that the standard library was built with, from its folder on.
    LibraryPart(&'a str),
    /// From the package's folder on, `tokio-1.48.0/src/fs.rs`.
    Package(&'a str),
    /// A repository's name, its revision (empty where the path is short already) and the path inside.
    Checkout(&'a str, &'a str, &'a str),
    /// A copied package, from its folder on.
    Vendored(&'a str),
    /// The C library.
    C,
    /// None of these, so the author's own.
    Own,
}

impl<'a> Home<'a> {
    /// Understands paths as debug information has them, and as [`shortened`] leaves them.
    fn of(file: &'a str) -> Self {
        if let Some((before, inside)) = file.split_once("/library/")
            && (before.starts_with("/rustc/") || before.ends_with("/rustlib/src/rust"))
        {
            return Self::Library(inside);
        }
        if let Some(inside) = file.strip_prefix("/rust/deps/").or_else(|| file.strip_prefix("std/deps/")) {
            return Self::LibraryPart(inside);
        }
        if let Some(inside) = after(file, "/registry/src/").and_then(|rest| Some(rest.split_once('/')?.1)) {
            return Self::Package(inside);
        }
        if let Some(rest) = after(file, "/git/checkouts/") {
            let mut parts = rest.splitn(3, '/');
            let (name, revision) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            let name = name.rsplit_once('-').map_or(name, |(name, _)| name);
            return Self::Checkout(name, revision, parts.next().unwrap_or_default());
        }
        let first = file.split('/').next().unwrap_or_default();
        if is_library(file) {
            Self::Library(file)
        } else if is_versioned(first) {
            Self::Package(file)
        } else if let Some((name, _)) = first.split_once('@') {
            Self::Checkout(name, "", &file[first.len()..])
        } else if is_c(file) {
            Self::C
        } else if let Some(inside) = after(file, "vendor/").filter(|inside| inside.contains("/src/")) {
            Self::Vendored(inside)
        } else {
            Self::Own
        }
    }
}

fn after<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    text.split_once(mark).map(|(_, rest)| rest)
}

/// Whether a short path lies in one of the compiler's crates.
fn is_library(file: &str) -> bool {
    let Some((first, rest)) = file.split_once('/') else { return false };
    STANDARD.contains(&first) && rest.starts_with("src/")
}

/// Whether a folder is named like `tokio-1.48.0`.
fn is_versioned(folder: &str) -> bool {
    name_and_version(folder).is_some()
}

fn name_and_version(folder: &str) -> Option<(&str, &str)> {
    let dashes = folder.match_indices('-');
    dashes.map(|(at, _)| (&folder[..at], &folder[at + 1..])).find(|(_, version)| {
        let numbers = version.split(['-', '+']).next().unwrap_or_default().split('.');
        let are_numbers = numbers.clone().all(|part| part.parse::<u64>().is_ok());
        are_numbers && numbers.count() == 3
    })
}

/// The C library's own files have paths from its build, such as `./nptl/futex-internal.c`.
fn is_c(file: &str) -> bool {
    let is_source = [".c", ".h", ".S"].iter().any(|ending| file.ends_with(ending));
    is_source && (file.starts_with("./") || file.starts_with("../sysdeps") || file.contains("glibc"))
}

/// The path as a reader wants it: from the current folder, the package or the standard library on.
///
/// A path of the author's that would then look like somebody else's keeps a `./` before it.
pub(crate) fn shortened(file: &str, folder: Option<&str>) -> String {
    let file = file.replace('\\', "/");
    match Home::of(&file) {
        Home::Library(inside) | Home::Package(inside) => inside.to_owned(),
        Home::LibraryPart(inside) => format!("std/deps/{inside}"),
        Home::Checkout(_, "", _) | Home::C | Home::Vendored(_) => from_folder(&file, folder).to_owned(),
        Home::Checkout(name, revision, inside) => format!("{name}@{revision}/{inside}"),
        Home::Own => {
            let own = from_folder(&file, folder);
            if matches!(Home::of(own), Home::Own) { own.to_owned() } else { format!("./{own}") }
        }
    }
}

fn from_folder<'a>(file: &'a str, folder: Option<&str>) -> &'a str {
    let inside = folder.and_then(|folder| file.strip_prefix(folder)?.strip_prefix('/'));
    inside.unwrap_or(file)
}

/// The crate that a file belongs to, where its path says so.
fn crate_of_file(file: &str) -> Option<String> {
    let folder = match Home::of(file) {
        Home::Library(inside) | Home::Vendored(inside) => inside.split('/').next()?,
        Home::Package(inside) => name_and_version(inside.split('/').next()?)?.0,
        Home::LibraryPart(_) => "std",
        Home::C => return None,
        Home::Checkout(name, _, inside) => folder_above_source(inside).unwrap_or(name),
        Home::Own => crate_of_own_file(file)?,
    };
    let folder = name_and_version(folder).map_or(folder, |(name, _)| name);
    Some(folder.replace('-', "_"))
}

fn crate_of_own_file(file: &str) -> Option<&str> {
    let (folder, name) = file.rsplit_once('/')?;
    let last = folder.rsplit('/').next()?;
    if ONE_FILE_EACH.contains(&last) { name.strip_suffix(".rs") } else { folder_above_source(file) }
}

/// `bot` of `work/bot/src/run.rs`: the folder of a package is mostly named like it.
fn folder_above_source(file: &str) -> Option<&str> {
    let (above, _) = file.rsplit_once("/src/")?;
    above.rsplit('/').next().filter(|folder| !folder.is_empty() && *folder != ".")
}

/// Adds the path to a function that has none, from the file it is in.
///
/// *Shape*: `read<&str>` in `std/src/fs.rs` becomes `std::fs::read<&str>`. A type's name is lost for good:
/// `File::open` becomes `std::fs::open`. Where the crate's folder is unknown the path begins with `crate`.
pub(crate) fn qualified(function: &str, file: &str) -> String {
    let Some(path) = file.strip_suffix(".rs").filter(|_| is_bare(function)) else {
        return function.to_owned();
    };
    let mut segments = vec![crate_of_file(file).unwrap_or_else(|| "crate".to_owned())];
    let inside = path.rsplit_once("/src/").map(|(_, inside)| inside).or_else(|| path.strip_prefix("src/"));
    let modules = inside.filter(|inside| !inside.starts_with("bin/")).unwrap_or_default().split('/');
    let modules = modules.filter(|module| !matches!(*module, "" | ".." | "lib" | "main" | "mod"));
    segments.extend(modules.map(str::to_owned));
    segments.push(function.to_owned());
    segments.join("::")
}

/// Whether a name has no path before it.
fn is_bare(function: &str) -> bool {
    !function.is_empty() && !function.starts_with('<') && segments(function).len() == 1
}

/// The parts of a path between `::` that are not inside brackets.
fn segments(path: &str) -> Vec<&str> {
    let (mut start, mut parts) = (0, Vec::new());
    for at in outside_brackets(path) {
        if at >= start && path.as_bytes()[at..].starts_with(b"::") {
            parts.push(&path[start..at]);
            start = at + 2;
        }
    }
    parts.push(&path[start..]);
    parts
}

/// The offsets of the bytes that are in no bracket.
fn outside_brackets(path: &str) -> impl Iterator<Item = usize> {
    let (bytes, mut depth) = (path.as_bytes(), 0_usize);
    (0..bytes.len()).filter(move |at| {
        match bytes[*at] {
            b'<' | b'(' | b'[' | b'{' => depth += 1,
            // The arrow of `fn() -> u32` closes nothing.
            b'>' if *at > 0 && bytes[at - 1] == b'-' => {}
            b'>' | b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => return depth == 0,
        }
        false
    })
}

/// The path of a function without closures, async bodies, type arguments and `as Trait`.
///
/// Of `<Type as Trait>::f` it is `Type::f`, or `Trait::f` where the type has no path of its own.
pub(crate) fn plain(function: &str) -> String {
    let mut names = Vec::new();
    for (index, segment) in segments(function).into_iter().enumerate() {
        if index == 0 && segment.starts_with('<') {
            names.push(plain_of_bracket(segment));
        } else {
            names.push(segment.split(['<', '{']).next().unwrap_or_default().trim().to_owned());
        }
    }
    names.retain(|name| !name.is_empty());
    names.join("::")
}

fn plain_of_bracket(bracket: &str) -> String {
    let inside = bracket.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')).unwrap_or_default();
    let middle = outside_brackets(inside).find(|at| inside.as_bytes()[*at..].starts_with(b" as "));
    let (subject, trait_) = match middle {
        Some(at) => (&inside[..at], Some(&inside[at + 4..])),
        None => (inside, None),
    };
    let subject = without_reference(subject);
    let is_path = subject.starts_with(|first: char| first.is_alphabetic() || first == '_' || first == '<')
        && segments(subject).len() > 1;
    match trait_ {
        Some(trait_) if !is_path => plain(trait_),
        _ => plain(subject),
    }
}

fn without_reference(mut subject: &str) -> &str {
    const MARKS: &[&str] = &["&", "*const ", "*mut ", "mut ", "dyn "];
    while let Some(rest) = MARKS.iter().find_map(|mark| subject.strip_prefix(mark)) {
        subject = rest;
    }
    subject
}

/// Private modules of the standard library and of tokio, and the door through which a program names what is inside.
///
/// A door that ends in a type stands for the module's functions whose type is lost.
const DOORS: &[(&str, &str)] = &[
    ("std::thread::functions", "std::thread"),
    ("std::thread::scoped", "std::thread"),
    ("std::thread::thread", "std::thread::Thread"),
    ("std::thread::join_handle", "std::thread::JoinHandle"),
    ("std::thread::local", "std::thread::LocalKey"),
    ("std::sync::poison::mutex", "std::sync::Mutex"),
    ("std::sync::poison::rwlock", "std::sync::RwLock"),
    ("std::sync::poison::condvar", "std::sync::Condvar"),
    ("std::sync::poison::once", "std::sync::Once"),
    ("std::sync::once", "std::sync::Once"),
    ("std::sync::once_lock", "std::sync::OnceLock"),
    ("std::sync::lazy_lock", "std::sync::LazyLock"),
    ("std::sync::barrier", "std::sync::Barrier"),
    ("std::net::tcp", "std::net::TcpStream"),
    ("std::net::udp", "std::net::UdpSocket"),
    ("std::net::socket_addr", "std::net::ToSocketAddrs"),
    ("std::io::stdio", "std::io"),
    ("std::io::error", "std::io"),
    ("std::fs::open", "std::fs::File::open"),
    ("std::fs::create", "std::fs::File::create"),
    ("alloc::slice", "slice"),
    ("core::slice", "slice"),
    ("tokio::runtime::handle", "tokio::runtime::Handle"),
    ("tokio::runtime::runtime", "tokio::runtime::Runtime"),
    ("tokio::task::blocking", "tokio::task"),
    ("futures_executor::local_pool", "futures::executor"),
];

/// The name that an author knows a function by, for people.
///
/// *Shape*: `std::thread::functions::sleep` becomes `std::thread::sleep`, `bot::run::{{closure}}` becomes `bot::run`.
/// All type arguments are left out. A name with nothing else in it stays as it is.
pub(crate) fn readable(function: &str) -> String {
    let plain = plain(function);
    if plain.is_empty() {
        return function.to_owned();
    }
    let door = DOORS.iter().find_map(|(module, door)| through(module, door, &plain));
    door.unwrap_or(plain)
}

fn through(module: &str, door: &str, plain: &str) -> Option<String> {
    let inside = plain.strip_prefix(module)?;
    let Some(inside) = inside.strip_prefix("::") else {
        return inside.is_empty().then(|| door.to_owned());
    };
    let (parent, last) = door.rsplit_once("::").unwrap_or(("", door));
    let is_type = |name: &str| name.starts_with(char::is_uppercase);
    if !is_type(last) || !is_type(inside) {
        return Some(format!("{door}::{inside}"));
    }
    Some(format!("{parent}::{inside}"))
}

/// The crate of a frame: by its file where that says so, else by the function's path.
pub(crate) fn crate_of(frame: &Frame) -> Option<String> {
    frame.file.as_deref().and_then(crate_of_file).or_else(|| crate_of_function(frame))
}

fn crate_of_function(frame: &Frame) -> Option<String> {
    let plain = plain(frame.function.as_deref()?);
    plain.split_once("::").map(|(name, _)| name.to_owned())
}

/// Whose code a frame is. The file decides, since a dependency's generic function is compiled into the author's crate.
pub(crate) fn origin(frame: &Frame) -> Origin {
    let name = crate_of(frame).unwrap_or_default();
    let is_runtime = is_house(&name) || RUNTIME.contains(&&*name);
    let Some(file) = frame.file.as_deref() else {
        let is_standard = STANDARD.contains(&&*name) && !is_runtime;
        return if is_runtime {
            Origin::Runtime
        } else if is_standard {
            Origin::Standard
        } else {
            Origin::Unknown
        };
    };
    match Home::of(file) {
        Home::Library(_) | Home::LibraryPart(_) | Home::C => Origin::Standard,
        Home::Own if is_house(&name) && !is_unit_test(frame) => Origin::Runtime,
        Home::Own => Origin::Author,
        _ if is_runtime => Origin::Runtime,
        // A program among the guard's crates, installed from a registry.
        _ if PROGRAMS.contains(&&*name) => Origin::Author,
        _ => Origin::Dependency,
    }
}

/// Whether a crate is one of the guard's own and no program.
fn is_house(name: &str) -> bool {
    (name == "evenkeel" || name.starts_with("evenkeel_")) && !PROGRAMS.contains(&name)
}

fn is_unit_test(frame: &Frame) -> bool {
    frame.function.as_deref().is_some_and(|function| segments(function).contains(&"tests"))
}

/// Whether a frame's function is `path`, or lies in it. `*` stands for any text.
///
/// Both the function's own path and the one that authors know it by count.
pub(crate) fn is_in(frame: &Frame, path: &str) -> bool {
    let Some(function) = frame.function.as_deref() else { return false };
    matches(path, &plain(function)) || matches(path, &readable(function))
}

fn matches(pattern: &str, path: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return path.strip_prefix(pattern).is_some_and(ends_segment);
    };
    let Some(tail) = path.strip_prefix(first) else { return false };
    let starts = tail.char_indices().map(|(at, _)| at).chain([tail.len()]);
    let mut tails = starts.map(|at| &tail[at..]);
    tails.any(|tail| matches(rest, tail))
}

fn ends_segment(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with("::")
}

/// Whether a frame belongs to what polls tasks: outside of it nothing concerns the author of this one.
pub(crate) fn is_executor(frame: &Frame) -> bool {
    const EXECUTORS: &[&str] = &["async_task", "tokio::runtime::task", "tokio::runtime::scheduler"];
    let name = crate_of(frame).unwrap_or_default();
    is_house(&name) && origin(frame) == Origin::Runtime || EXECUTORS.iter().any(|path| is_in(frame, path))
}

/// The frames inside the innermost poll of a task. What wakes a task is no poll.
pub(crate) fn polled(frames: &[Frame]) -> &[Frame] {
    let is_task = |frame: &Frame| {
        is_in(frame, "async_task::raw::RawTask::run") || is_in(frame, "tokio::runtime::task::core")
    };
    &frames[..frames.iter().position(is_task).unwrap_or(frames.len())]
}

/// The frames of what the author called: all inside the innermost frame of the author's.
///
/// Where no frame is known to be the author's, all up to the executor.
pub(crate) fn called(frames: &[Frame]) -> &[Frame] {
    let is_ours = |frame: &&Frame| {
        let name = crate_of(frame);
        matches!(name.as_deref(), Some("evenkeel_guard" | "backtrace")) && origin(frame) == Origin::Runtime
    };
    let hooked = frames.iter().take_while(is_ours).count();
    let frames = &frames[hooked..];
    let author = frames.iter().position(|frame| origin(frame) == Origin::Author);
    let end = author.or_else(|| frames.iter().position(is_executor)).unwrap_or(frames.len());
    &frames[..end]
}

/// For tests: a frame from `function | file:line`, each part of which may be `?`.
#[cfg(test)]
pub(crate) fn frame(text: &str) -> Frame {
    let known = |part: &str| (part != "?").then(|| part.to_owned());
    let (function, place) = text.split_once(" | ").unwrap_or((text, "?"));
    let (file, line) = place.rsplit_once(':').unwrap_or((place, ""));
    Frame { function: known(function), file: known(file), line: line.parse().ok() }
}

/// For tests: frames from lines, innermost first.
#[cfg(test)]
pub(crate) fn frames(text: &str) -> Vec<Frame> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(frame).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_mangling_become_what_the_author_wrote() {
        for (name, expected) in [
            ("bot::cmd::run::{{closure}}", "bot::cmd::run"),
            ("bot::cmd::{async_fn#0}", "bot::cmd"),
            ("<bot::cmd::Disk as bot::cmd::Store>::load", "bot::cmd::Disk::load"),
            ("<F as bot::Handler<(A,)>>::call::{closure#0}", "bot::Handler::call"),
            ("std::fs::read::<&str>", "std::fs::read"),
            ("<std::fs::File>::open::<&std::path::Path>", "std::fs::File::open"),
            (
                "<(&str, u16) as std::net::socket_addr::ToSocketAddrs>::to_socket_addrs",
                "std::net::ToSocketAddrs::to_socket_addrs",
            ),
            ("<&mut std::io::stdio::StdinRaw as std::io::Read>::read_buf", "std::io::StdinRaw::read_buf"),
            (
                "<<std::sys::backtrace::BacktraceLock>::print::Shown as core::fmt::Display>::fmt",
                "std::sys::backtrace::BacktraceLock::print::Shown::fmt",
            ),
            ("std::thread::functions::sleep", "std::thread::sleep"),
            ("std::sync::poison::mutex::Mutex<T>::lock", "std::sync::Mutex::lock"),
            ("std::sync::poison::mutex::lock<core::option::Option<i32>>", "std::sync::Mutex::lock"),
            ("std::sync::poison::mutex::MutexGuard<T>::new", "std::sync::MutexGuard::new"),
            ("std::thread::join_handle::JoinHandle<T>::join", "std::thread::JoinHandle::join"),
            ("std::fs::open<&str>", "std::fs::File::open"),
            ("alloc::slice::<impl [T]>::sort", "slice::sort"),
            ("async_task::raw::RawTask<F,T,S,M>::run", "async_task::raw::RawTask::run"),
            (
                "core::ops::function::FnOnce<fn() -> bot::Out>::call_once",
                "core::ops::function::FnOnce::call_once",
            ),
            ("{async_fn#0}", "{async_fn#0}"),
            ("clock_nanosleep", "clock_nanosleep"),
            ("", ""),
        ] {
            assert_eq!(readable(name), expected, "{name}");
        }
    }

    #[test]
    fn functions_without_a_path_get_it_from_the_file() {
        for (function, file, expected) in [
            ("read<&str>", "/rustc/59807616e1/library/std/src/fs.rs", "std::fs::read<&str>"),
            ("connect", "/rustc/5980/library/std/src/sys/net/mod.rs", "std::sys::net::connect"),
            ("{async_fn#0}", "/code/my-bot/src/cmd.rs", "my_bot::cmd::{async_fn#0}"),
            ("main", "/code/my-bot/src/main.rs", "my_bot::main"),
            ("main", "/code/my-bot/src/bin/tool.rs", "tool::main"),
            ("answer", "/code/examples/01_hello.rs", "01_hello::answer"),
            ("load", "src/config/file.rs", "crate::config::file::load"),
            (
                "call",
                "/home/me/.cargo/registry/src/registry.example-0123456789abcdef/ureq-3.5.1/src/request.rs",
                "ureq::request::call",
            ),
            (
                "call",
                "/home/me/.cargo/git/checkouts/big-repo-0123456789abcdef/1a2b3c4/small-part/src/lib.rs",
                "small_part::call",
            ),
            ("unixOpen", "/x/registry/src/i/libsqlite3-sys-0.35.0/sqlite3/sqlite3.c", "unixOpen"),
            ("std::fs::read::inner", "/rustc/59807616e1/library/std/src/fs.rs", "std::fs::read::inner"),
            ("<std::fs::File>::open", "/rustc/59807616e1/library/std/src/fs.rs", "<std::fs::File>::open"),
        ] {
            assert_eq!(qualified(function, file), expected, "{function} in {file}");
        }
    }

    #[test]
    fn files_are_short_and_still_tell_whose_they_are() {
        use Origin::{Author, Dependency, Runtime, Standard};
        for (file, short, expected) in [
            ("/rustc/5980/library/std/src/fs.rs", "std/src/fs.rs", Standard),
            (
                "/rustc/5980/library/std/src/../../backtrace/src/lib.rs",
                "std/src/../../backtrace/src/lib.rs",
                Standard,
            ),
            (
                "/u/.rustup/toolchains/stable/lib/rustlib/src/rust/library/core/src/iter.rs",
                "core/src/iter.rs",
                Standard,
            ),
            ("/rust/deps/hashbrown-0.16.1/src/map.rs", "std/deps/hashbrown-0.16.1/src/map.rs", Standard),
            ("./nptl/pthread_join_common.c", "./nptl/pthread_join_common.c", Standard),
            ("/c/registry/src/index-1/ureq-3.5.1/src/request.rs", "ureq-3.5.1/src/request.rs", Dependency),
            (
                "/c/registry/src/index-1/openssl-src-300.5.4+3.5.4/src/lib.rs",
                "openssl-src-300.5.4+3.5.4/src/lib.rs",
                Dependency,
            ),
            ("C:\\c\\registry\\src\\index-1\\ureq-3.5.1\\src\\lib.rs", "ureq-3.5.1/src/lib.rs", Dependency),
            (
                "/c/git/checkouts/parts-01ab/1a2b3c4/part/src/lib.rs",
                "parts@1a2b3c4/part/src/lib.rs",
                Dependency,
            ),
            ("/code/vendor/ureq/src/lib.rs", "vendor/ureq/src/lib.rs", Dependency),
            ("/c/registry/src/index-1/tokio-1.54.1/src/fs/read.rs", "tokio-1.54.1/src/fs/read.rs", Runtime),
            ("/c/registry/src/index-1/async-task-4.7.1/src/raw.rs", "async-task-4.7.1/src/raw.rs", Runtime),
            (
                "/c/registry/src/index-1/evenkeel-guard-0.1.0/src/pool.rs",
                "evenkeel-guard-0.1.0/src/pool.rs",
                Runtime,
            ),
            (
                "/c/registry/src/index-1/evenkeel-cli-0.1.0/src/demo.rs",
                "evenkeel-cli-0.1.0/src/demo.rs",
                Author,
            ),
            ("/code/evenkeel/src/serve.rs", "evenkeel/src/serve.rs", Runtime),
            ("/code/evenkeel/tests/serve.rs", "evenkeel/tests/serve.rs", Author),
            ("/code/evenkeel-cli/src/demo/app.rs", "evenkeel-cli/src/demo/app.rs", Author),
            ("/code/examples/01_hello.rs", "examples/01_hello.rs", Author),
            ("/code/src/cmd.rs", "src/cmd.rs", Author),
            ("/code/core/src/cmd.rs", "./core/src/cmd.rs", Author),
            ("/elsewhere/shop/src/lib.rs", "/elsewhere/shop/src/lib.rs", Author),
        ] {
            let short_here = shortened(file, Some("/code"));
            assert_eq!(short_here, short);
            let here = |file: &str| frame(&format!("{} | {file}:1", qualified("f", file)));
            assert_eq!(origin(&here(&file.replace('\\', "/"))), expected, "{file}");
            assert_eq!(origin(&here(&short_here)), expected, "{short_here}");
            assert_eq!(shortened(&short_here, Some("/code")), short, "shortened twice");
        }
    }

    #[test]
    fn the_file_decides_before_the_name() {
        for (text, expected) in [
            ("std::fs::read | std/src/fs.rs:349", Origin::Standard),
            ("<evenkeel::serve::Job as core::future::Future>::poll", Origin::Runtime),
            ("<F as tokio::task::Work>::run", Origin::Runtime),
            ("core::iter::count", Origin::Standard),
            ("bot::run::{{closure}}", Origin::Unknown),
            ("?", Origin::Unknown),
            ("evenkeel_guard::pool::run | src/pool.rs:3", Origin::Runtime),
            ("evenkeel_guard::pool::tests::one | src/pool.rs:3", Origin::Author),
            ("bot::run::{{closure}} | src/run.rs:3", Origin::Author),
            ("rusqlite::Connection::with<bot::Row> | rusqlite-0.37.0/src/lib.rs:3", Origin::Dependency),
        ] {
            assert_eq!(origin(&frame(text)), expected, "{text}");
        }
    }

    #[test]
    fn a_path_covers_what_is_in_it_and_stars_stand_for_anything() {
        for (path, function, expected) in [
            ("bot::config", "bot::config::load", true),
            ("bot::config", "bot::config", true),
            ("bot::config", "bot::configure", false),
            ("bot::config", "<bot::config::File as Read>::read::{closure#0}", true),
            ("*::load", "bot::config::load::<u8>", true),
            ("*::load", "bot::config::loader", false),
            ("bot::*::load", "bot::config::load::{{closure}}", true),
            ("*config*", "bot::my_configuration::load", true),
            ("std::thread::sleep", "std::thread::functions::sleep", true),
            ("tokio::task::block_in_place", "tokio::task::blocking::block_in_place<F>", true),
        ] {
            assert_eq!(is_in(&frame(function), path), expected, "{path} of {function}");
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
        let bare = frames("std::fs::read\nbot::run\nasync_task::raw::run\nmain");
        assert_eq!(called(&bare), &bare[..2]);
        assert_eq!(called(&[]), &[]);
    }
}
