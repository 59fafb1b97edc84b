//! What may block: the list of calls that are right where they are.

use std::env;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use strsim::levenshtein;

use crate::frame::is_in;
use crate::frame::poll::polled;
use crate::report::{Class, Frame};

/// Every class with the name that lists use, which is also its name in JSON.
pub(crate) const CLASSES: &[(&str, Class)] = &[
    ("sleep", Class::Sleep),
    ("file", Class::File),
    ("network", Class::Network),
    ("lookup", Class::Lookup),
    ("process", Class::Process),
    ("join", Class::Join),
    ("wait", Class::Wait),
    ("contention", Class::Contention),
    ("input", Class::Input),
    ("output", Class::Output),
    ("compute", Class::Compute),
    ("always_ready", Class::AlwaysReady),
    ("unknown", Class::Unknown),
];

/// What is right to block, with the reason.
const BUILT_IN: &[(&str, &str)] = &[
    // It starts the process within the poll, on purpose; the waiting is asynchronous.
    ("*", "tokio::process"),
    // The thread's place was given to another before the call.
    ("*", "tokio::task::block_in_place"),
    ("*", "tokio::runtime::scheduler::*block_in_place"),
    ("*", "evenkeel_guard::block_in_place"),
    ("*", "evenkeel_guard::*::block_in_place"),
    // A panic that prints itself, and reads the program's debug information for its backtrace.
    ("*", "std::panicking::default_hook"),
    ("*", "std::panicking::panic_with_hook"),
    ("*", "std::panicking::rust_panic_with_hook"),
    // Not all of `std::sys::backtrace`: every thread begins in there.
    ("*", "std::sys::backtrace::BacktraceLock"),
    ("*", "std::backtrace::Backtrace"),
    ("*", "std::backtrace_rs"),
    ("file", "backtrace::symbolize"),
    // The time zone: a small file, read once and then kept.
    ("file", "chrono::offset::local"),
    ("file", "jiff::tz"),
    ("file", "time::sys::local_offset_at"),
    ("file", "iana_time_zone"),
    // The limits of the control group: two small files that are no real files.
    ("file", "std::thread::available_parallelism"),
    ("file", "num_cpus"),
    // Random numbers, where the kernel has them in a file only.
    ("file", "getrandom"),
    ("file", "std::sys::random"),
];

/// A list of calls that may block where they are.
///
/// An entry says *what* and *where*. *What* is a call as the C library names it (`statx`), a class of calls (`file`),
/// or `*` for any. *Where* is the path of a function, of a module or of a crate, or a source file, with or without a
/// line: the entry covers what is called from there, however deep. What polls the future does not count, nor what
/// started that. In *where*, `*` stands for any text.
///
/// The classes are `sleep`, `file`, `network`, `lookup`, `process`, `join`, `wait`, `contention`, `input`, `output`,
/// `compute`, `always_ready` and `unknown`.
///
/// The default list has what no program can help and what is short for certain: how `tokio::process` starts a process,
/// `tokio::task::block_in_place`, a panic that prints itself, the files of time zones and processor limits.
///
/// # Names in a release build
///
/// With full debug information, and with `debug = "limited"`, every function has its name. With
/// `debug = "line-tables-only"`, code that was compiled into its caller has lost its path, and an `async fn` its name,
/// too. They are put together again from the types that called it, and from the source file where that lies at the
/// path it was compiled from and is not younger than the program. Where there is neither (the program was built on
/// another machine), name the file: `file@src/config.rs`, or one line of it: `file@src/config.rs:12`, which is how a
/// report names the place. So does an `async fn` that a `macro_rules!` has made: its name stands in no source. A crate may then be named by its folder: begin *where* with `*::`. A stripped program has no
/// names and no lines, unless its debug information lies beside it.
///
/// ```
/// use evenkeel_guard::Allow;
///
/// let allow = Allow::default().with("statx", "shop::config").with_text("open64@*::load, file@legacy");
/// assert_eq!(allow.to_string(), "statx@shop::config, open64@*::load, file@legacy");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allow {
    is_built_in: bool,
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    what: String,
    /// A function's path or a file; `None` where a text had no `@`.
    path: Option<String>,
    /// Whether it has covered something, in any clone of the list.
    is_used: Arc<AtomicBool>,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        (&self.what, &self.path) == (&other.what, &other.path)
    }
}

impl Eq for Entry {}

impl Default for Allow {
    /// What is right in every program.
    fn default() -> Self {
        Self { is_built_in: true, entries: Vec::new() }
    }
}

impl Allow {
    /// A list with nothing in it, not even what the default list has.
    #[must_use]
    pub fn nothing() -> Self {
        Self { is_built_in: false, entries: Vec::new() }
    }

    /// Adds an entry: what may be called, and from where.
    ///
    /// An entry that names no call and no class is an error when the list comes into force, not here.
    #[must_use]
    pub fn with(mut self, what: impl Into<String>, path: impl Into<String>) -> Self {
        let trimmed = |text: String| text.trim().to_owned();
        // The compiler's own names have no `r#` before `r#type`.
        let path = trimmed(path.into()).replace("r#", "");
        self.entries.push(Entry::new(trimmed(what.into()), Some(path)));
        self
    }

    /// Adds entries from a text such as an environment variable.
    ///
    /// *Shape*: `"statx@shop::config, open64@*::load, file@legacy"`. An empty text adds nothing. What is malformed is
    /// an error when the list comes into force, not here.
    #[must_use]
    pub fn with_text(self, text: &str) -> Self {
        if text.trim().is_empty() {
            return self;
        }
        text.split(',').fold(self, |mut allow, entry| match entry.split_once('@') {
            Some((what, path)) => allow.with(what, path),
            None => {
                allow.entries.push(Entry::new(entry.trim().to_owned(), None));
                allow
            }
        })
    }

    /// Finds every entry that can cover nothing. `symbols` are the calls that the guard sees.
    ///
    /// # Errors
    ///
    /// When an entry has no `@`, nothing behind it, or something before it that is neither a call nor a class.
    pub(crate) fn check(&self, symbols: &[&str]) -> Result<(), AllowError> {
        let problems: Vec<_> = self.entries.iter().filter_map(|entry| entry.problem(symbols)).collect();
        if problems.is_empty() { Ok(()) } else { Err(AllowError { problems }) }
    }

    /// Whether a call is right where it is. `frames` are those of the call, innermost first.
    pub(crate) fn covers(&self, symbol: Option<&str>, class: Class, frames: &[Frame]) -> bool {
        let frames = polled(frames);
        let is_built_in = self.is_built_in
            && BUILT_IN.iter().any(|(what, path)| is_what(what, symbol, class) && is_from(path, frames));
        // Each that fits is used, not only the first.
        let fitting = self.entries.iter().filter(|entry| entry.covers(symbol, class, frames));
        fitting.fold(is_built_in, |_, entry| entry.note_use())
    }

    /// The entries that have covered nothing so far, in this list and in all its clones.
    pub(crate) fn unused(&self) -> Vec<String> {
        let unused = self.entries.iter().filter(|entry| !entry.is_used.load(Ordering::Relaxed));
        unused.map(ToString::to_string).collect()
    }
}

impl Entry {
    fn new(what: String, path: Option<String>) -> Self {
        Self { what, path, is_used: Arc::default() }
    }

    fn note_use(&self) -> bool {
        // Relaxed: nothing else is read by it.
        self.is_used.store(true, Ordering::Relaxed);
        true
    }

    fn covers(&self, symbol: Option<&str>, class: Class, frames: &[Frame]) -> bool {
        let path = self.path.as_deref().filter(|path| !path.is_empty());
        path.is_some_and(|path| is_what(&self.what, symbol, class) && is_from(path, frames))
    }

    fn problem(&self, symbols: &[&str]) -> Option<String> {
        let what = &self.what;
        if self.path.is_none() {
            let hint = "an entry is `what@where`, such as `file@shop::config`";
            return Some(if what.is_empty() {
                format!("an empty entry: {hint}")
            } else {
                format!("`{self}`: {hint}")
            });
        }
        let is_empty = self.path.as_deref().is_some_and(str::is_empty);
        if is_empty {
            return Some(format!("`{self}`: say after the `@` from where, such as `{what}@shop::config`"));
        }
        let classes = CLASSES.iter().map(|(name, _)| *name);
        let valid: Vec<_> = classes.chain(["*"]).chain(symbols.iter().copied()).collect();
        if valid.contains(&&**what) {
            return None;
        }
        let near: Vec<_> =
            valid.iter().filter(|name| is_near(name, what)).map(|name| format!("`{name}`")).collect();
        let guess = if near.is_empty() { String::new() } else { format!("; near it: {}", near.join(", ")) };
        let valid = valid.join(" ");
        Some(format!(
            "`{self}`: no call and no class is named `{what}`{guess}; before the `@` may stand: {valid}"
        ))
    }
}

fn is_what(what: &str, symbol: Option<&str>, class: Class) -> bool {
    what == "*" || Some(what) == symbol || CLASSES.contains(&(what, class))
}

fn is_from(path: &str, frames: &[Frame]) -> bool {
    match as_file(path) {
        Some((file, line)) => frames.iter().any(|frame| is_at(frame, file, line)),
        None => frames.iter().any(|frame| is_in(frame, path)),
    }
}

/// `src/config.rs` and 12 of `src/config.rs:12`; `None` for the path of a function.
fn as_file(path: &str) -> Option<(&str, Option<u32>)> {
    let (file, line) = match path.rsplit_once(':') {
        Some((file, line)) => (file, Some(line.parse().ok()?)),
        None => (path, None),
    };
    file.ends_with(".rs").then_some((file, line))
}

/// Whether a frame is of a file, or of that line of it. The file may be named from any of its folders on.
fn is_at(frame: &Frame, file: &str, line: Option<u32>) -> bool {
    let Some(known) = frame.file.as_deref() else { return false };
    let is_file = |known: &str| {
        let folders = known.match_indices('/').map(|(at, _)| &known[at + 1..]);
        folders.chain([known]).any(|known| fits(file, known))
    };
    // Files are short from the folder on in which the program was started.
    let from_root =
        || env::current_dir().is_ok_and(|folder| is_file(&format!("{}/{known}", folder.display())));
    line.is_none_or(|line| frame.line == Some(line)) && (is_file(known) || from_root())
}

/// Whether a text is what a pattern says, in which `*` stands for any text.
fn fits(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(tail) = text.strip_prefix(first) else { return false };
    let starts = tail.char_indices().map(|(at, _)| at).chain([tail.len()]);
    let mut starts = starts;
    starts.any(|at| fits(rest, &tail[at..]))
}

/// Whether a reader may have meant one name by the other: two slips of the finger, or one is the other's beginning.
fn is_near(name: &str, meant: &str) -> bool {
    let (name, meant) = (name.to_lowercase(), meant.to_lowercase());
    let is_beginning =
        meant.len() > 2 && (name.starts_with(&meant) || name.len() > 2 && meant.starts_with(&name));
    is_beginning || levenshtein(&name, &meant) <= (meant.chars().count() / 3).min(2)
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "{}@{path}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

/// The entries that were added, as [`Allow::with_text`] reads them.
impl fmt::Display for Allow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, entry) in self.entries.iter().enumerate() {
            write!(f, "{}{entry}", if index > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}

/// Entries of an [`Allow`] that can cover nothing: each is named, with what may stand in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowError {
    problems: Vec<String>,
}

impl fmt::Display for AllowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the list of what may block: {}", self.problems.join("; "))
    }
}

impl std::error::Error for AllowError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::frames;

    const SYMBOLS: &[&str] = &["open64", "openat64", "statx", "clock_nanosleep", "read"];

    #[track_caller]
    fn check(allow: &Allow, symbol: &'static str, class: Class, stack: &str, expected: bool) {
        assert_eq!(allow.covers(Some(symbol), class, &frames(stack)), expected, "{symbol} in {stack}");
    }

    #[test]
    fn the_default_list_covers_what_is_right_in_every_program() {
        let start = "<std::process::Command>::spawn | std/src/process.rs:1054
                     spawn | tokio-1.54.1/src/process/mod.rs:865";
        let start = start.replace("spawn | tokio", "tokio::process::spawn | tokio");
        let in_place = "std::thread::functions::sleep\ntokio::task::blocking::block_in_place<F, R>\nbot::run";
        let panic = "<std::fs::File>::open::<&str>\nstd::backtrace_rs::symbolize::gimli::resolve
                     std::panicking::default_hook\nstd::panicking::panic_with_hook";
        let allow = Allow::default();
        for (symbol, class, stack, expected) in [
            ("posix_spawnp", Class::Process, &*start, true),
            ("posix_spawnp", Class::Process, "<std::process::Command>::spawn\nbot::run", false),
            ("clock_nanosleep", Class::Sleep, in_place, true),
            ("clock_nanosleep", Class::Sleep, "std::thread::functions::sleep\nbot::block_in_place", false),
            (
                "clock_nanosleep",
                Class::Sleep,
                "std::thread::functions::sleep\nevenkeel_guard::pool::block_in_place",
                true,
            ),
            ("open64", Class::File, panic, true),
            ("open64", Class::File, "std::fs::read\nstd::panicking::catch_unwind::do_call", false),
            ("open64", Class::File, "std::fs::read\nchrono::offset::local::inner::offset\nbot::run", true),
            ("connect", Class::Network, "chrono::offset::local::inner::offset\nbot::run", false),
            (
                "open64",
                Class::File,
                "std::sys::thread::unix::cgroups::quota\nstd::thread::functions::available_parallelism",
                true,
            ),
            ("open64", Class::File, "std::fs::read\nbot::run", false),
        ] {
            check(&allow, symbol, class, stack, expected);
            check(&Allow::nothing(), symbol, class, stack, false);
        }
    }

    #[test]
    fn how_threads_begin_and_who_polls_covers_nothing() {
        let around = "async_task::raw::RawTask<F,T,S,M>::run\nshop::main
                      core::ops::function::FnOnce::call_once\nstd::sys::backtrace::__rust_begin_short_backtrace
                      std::panicking::catch_unwind::do_call\nstd::panic::catch_unwind\nstd::rt::lang_start_internal";
        let stack = format!("std::fs::read\nshop::prices::load\n{around}");
        check(&Allow::default(), "open64", Class::File, &stack, false);
        check(&Allow::nothing().with("*", "shop::main"), "open64", Class::File, &stack, false);
        check(&Allow::nothing().with("*", "shop::prices"), "open64", Class::File, &stack, true);
        // Without an executor, as on the thread that calls `Runtime::block_on`, the start is part of the stack.
        check(&Allow::default(), "open64", Class::File, &stack.replace("async_task", "other"), false);
    }

    #[test]
    fn an_entry_covers_what_it_names_and_no_more() {
        let stack = "<std::fs::File>::open::<&str>\nshop::config::load::{{closure}}\nshop::main";
        for (what, path, expected) in [
            ("open64", "shop::config", true),
            ("file", "shop::config::load", true),
            ("*", "shop", true),
            ("file", "*::load", true),
            ("statx", "shop::config", false),
            ("sleep", "shop::config", false),
            ("file", "shop::conf", false),
            ("file", "shop::prices", false),
            ("file", "", false),
        ] {
            check(&Allow::nothing().with(what, path), "open64", Class::File, stack, expected);
        }
        let unnamed = Allow::nothing().with("compute", "shop").covers(None, Class::Compute, &frames(stack));
        assert!(unnamed, "work on the CPU has no symbol");
        assert!(
            !Allow::default().with("*", "shop").covers(None, Class::Compute, &[]),
            "no frames, nothing covered"
        );
    }

    #[test]
    fn an_entry_may_name_a_file_and_a_line_of_it() {
        let stack = "std::fs::read<&str> | std/src/fs.rs:349
                     shop::{async_fn#0} | src/config.rs:12
                     shop::cmd::{async_block#0} | /code/shop/src/cmd/mod.rs:3";
        let here = env::current_dir().expect("tests have a folder");
        let here = here.file_name().and_then(|name| name.to_str()).expect("a folder with a name").to_owned();
        for (path, expected) in [
            ("src/config.rs", true),
            ("config.rs", true),
            ("src/config.rs:12", true),
            ("src/config.rs:13", false),
            ("src/con*.rs", true),
            ("src/config.rs:x", false),
            ("onfig.rs", false),
            ("other/src/config.rs", false),
            (&format!("{here}/src/config.rs"), true),
            ("shop/src/cmd/mod.rs:3", true),
            ("cmd/*.rs:3", true),
            ("/code/shop/src/cmd/mod.rs", true),
        ] {
            check(&Allow::nothing().with("file", path), "open64", Class::File, stack, expected);
        }
        let allow = Allow::nothing().with_text("file@src/config.rs:12");
        check(&allow, "open64", Class::File, stack, true);
        assert_eq!(allow.check(SYMBOLS), Ok(()));
    }

    #[test]
    fn an_entry_that_has_covered_nothing_is_known_in_every_clone() {
        let allow = Allow::default().with_text("file@shop::config, open64@shop, sleep@shop, file@other");
        let clone = allow.clone();
        assert_eq!(clone.unused().len(), 4);
        check(&allow, "open64", Class::File, "std::fs::read\nshop::config::load", true);
        assert_eq!(clone.unused(), ["sleep@shop", "file@other"]);
        assert_eq!(allow, Allow::default().with_text(&allow.to_string()), "use makes no other list");
    }

    #[test]
    fn a_text_has_entries_between_commas() {
        let text = " statx@shop::config ,open64@*::load,file @ legacy";
        let allow = Allow::default().with_text(text).with_text("").with_text("  ");
        let by_hand =
            Allow::default().with("statx", "shop::config").with("open64", "*::load").with("file", "legacy");
        assert_eq!(allow, by_hand);
        assert_eq!(Allow::default().with_text(&allow.to_string()), allow);
        assert_eq!(allow.check(SYMBOLS), Ok(()));
    }

    #[test]
    fn an_entry_that_can_cover_nothing_is_an_error_that_names_it() {
        for (text, part) in [
            (
                "statz@shop",
                "`statz@shop`: no call and no class is named `statz`; near it: `statx`; before the `@` may stand: sleep file",
            ),
            ("open@shop", "near it: `open64`, `openat64`"),
            ("fil@shop", "near it: `file`"),
            ("Sleep@shop", "near it: `sleep`"),
            ("teleport@shop", "is named `teleport`; before the `@` may stand: "),
            ("teleport@shop", " unknown * open64 openat64 statx clock_nanosleep read"),
            ("@shop", "no call and no class is named ``"),
            ("file@", "`file@`: say after the `@` from where, such as `file@shop::config`"),
            ("file", "`file`: an entry is `what@where`"),
            ("file@shop,", "an empty entry: an entry is `what@where`"),
        ] {
            let error = Allow::default().with_text(text).check(SYMBOLS).expect_err(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        let both =
            Allow::default().with_text("statz@shop, file@").check(SYMBOLS).expect_err("two").to_string();
        assert!(both.contains("`statz@shop`") && both.contains("`file@`"), "{both}");
    }

    #[test]
    fn every_class_has_its_name_and_the_default_list_is_valid() {
        for (name, class) in CLASSES {
            let words: String = format!("{class:?}").replace("AlwaysReady", "Always_ready").to_lowercase();
            assert_eq!(*name, words);
        }
        let built_in = BUILT_IN.iter().fold(Allow::nothing(), |allow, (what, path)| allow.with(*what, *path));
        assert_eq!(built_in.check(SYMBOLS), Ok(()));
    }
}
