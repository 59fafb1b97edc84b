//! Reads frames: whose code one is, and what its author would call it.
//!
//! Names come in three shapes. Crates built by a stable compiler have `bot::run::{{closure}}`. The standard library
//! has `<std::fs::File>::open::<&str>`. Where a release build has line tables and nothing more, functions have no
//! path at all, only `run<bot::Job>` or `{async_fn#0}`; [`qualified`] then takes the path from the file.

pub(crate) mod name;
pub(crate) mod home;
pub(crate) mod poll;
pub(crate) mod claim;

use crate::report::{Claim, Frame};
use home::{Home, STANDARD, crate_of_file};
use name::{matches, plain, readable, segments};

/// Whose code a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The program that is being watched: where something can be changed.
    Author,
    /// A package from a registry, a repository or a `vendor` folder.
    Dependency,
    /// The standard library, or the C library below it.
    Standard,
    /// What polls futures, the guard itself, and what the program calls its framework.
    Runtime,
    /// Nothing tells: no file, and the name of some crate or none.
    Unknown,
}

/// The crates that polling goes through, no matter whose program it is.
const RUNTIME: &[&str] = &["async_task", "backtrace", "mio", "tokio", "tokio_util"];
/// The guard itself.
const GUARD: &str = "evenkeel_guard";

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
    let is_house = is_house(frame, &name);
    let is_runtime = is_house || RUNTIME.contains(&&*name);
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
        Home::Own if is_house && !is_unit_test(frame) => Origin::Runtime,
        Home::Own => Origin::Author,
        _ if is_runtime => Origin::Runtime,
        // A program that was installed from a registry.
        _ if frame.claim == Claim::Author => Origin::Author,
        _ => Origin::Dependency,
    }
}

/// Whether a frame is of the guard, or of the framework that uses it, whose source may lie beside the author's.
pub(super) fn is_house(frame: &Frame, crate_name: &str) -> bool {
    crate_name == GUARD || frame.claim == Claim::Runtime
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

/// Whether a frame's function is in one of several paths, as [`is_in`] has it.
pub(crate) fn is_in_any(frame: &Frame, paths: &[&str]) -> bool {
    paths.iter().any(|path| is_in(frame, path))
}

/// Whether a frame's function has a path before its name, which those of C do not.
pub(crate) fn has_path(frame: &Frame) -> bool {
    frame.function.as_deref().is_some_and(|function| readable(function).contains("::"))
}

/// For tests: a frame from `function | file:line`, each part of which may be `?`.
#[cfg(test)]
pub(crate) fn frame(text: &str) -> Frame {
    let known = |part: &str| (part != "?").then(|| part.to_owned());
    let (function, place) = text.split_once(" | ").unwrap_or((text, "?"));
    let (file, line) = place.rsplit_once(':').unwrap_or((place, ""));
    Frame { function: known(function), file: known(file), line: line.parse().ok(), ..Frame::default() }
}

/// For tests: frames from lines, innermost first.
#[cfg(test)]
pub(crate) fn frames(text: &str) -> Vec<Frame> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(frame).collect()
}

#[cfg(test)]
mod tests {
    use super::home::{qualified, shortened};
    use super::*;

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
            (
                "/code/target/release/build/a-sys-bbe442f86c8c0783/out/build/src/mutex.c",
                "target/release/build/a-sys-bbe442f86c8c0783/out/build/src/mutex.c",
                Dependency,
            ),
            (
                "/code/target/release/build/shop-bbe442f86c8c0783/out/shop.rs",
                "target/release/build/shop-bbe442f86c8c0783/out/shop.rs",
                Author,
            ),
            ("/code/src/out/build.c", "src/out/build.c", Author),
            ("/c/registry/src/index-1/tokio-1.54.1/src/fs/read.rs", "tokio-1.54.1/src/fs/read.rs", Runtime),
            ("/c/registry/src/index-1/async-task-4.7.1/src/raw.rs", "async-task-4.7.1/src/raw.rs", Runtime),
            (
                "/c/registry/src/index-1/evenkeel-guard-0.1.0/src/pool.rs",
                "evenkeel-guard-0.1.0/src/pool.rs",
                Runtime,
            ),
            ("/code/evenkeel-guard/src/pool.rs", "evenkeel-guard/src/pool.rs", Runtime),
            ("/code/evenkeel-guard/tests/pool.rs", "evenkeel-guard/tests/pool.rs", Author),
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
            ("<evenkeel_guard::pool::Job as core::future::Future>::poll", Origin::Runtime),
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
}
