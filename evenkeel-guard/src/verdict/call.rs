//! What to call a call: by the name that its author knows.

use crate::frame::name::readable;
use crate::frame::poll::called;
use crate::frame::{Origin, has_path, is_in_any, origin};
use crate::report::{Class, Frame};

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
    // Of `Lines`, `Split` or `Bytes`: without its type it is nobody's name, and what it calls has one.
    "std::io::next",
    "std::io::*read_byte",
];

pub(super) fn is_plumbing(frame: &Frame) -> bool {
    frame.function.is_none() || is_in_any(frame, PLUMBING)
}

/// Whether a part of the library that mostly passes calls on does work of its own here.
fn is_work(frame: &&Frame) -> bool {
    is_in_any(frame, &["alloc", "core::slice", "core::str", "core::fmt"])
}

/// Functions of the library that are one and the same to the machine, under the name that the debug information gives.
/// The linker has put them together, and no stack tells which was meant.
const MERGED: &[(&str, &str)] = &[
    ("std::net::UdpSocket::recv", "std::net::TcpStream::read, UdpSocket::recv or UnixDatagram::recv"),
    ("std::net::UdpSocket::send", "std::net::TcpStream::write, UdpSocket::send or UnixDatagram::send"),
];

/// What the library's functions for a file are called outside of it; it has pipes read and written by the same ones.
fn opened(class: Class, function: &str) -> Option<String> {
    let verb = function.strip_prefix("std::sys::fs::unix::File::")?;
    Some(match (class, verb) {
        (Class::Wait, "read") => {
            "std::io::PipeReader::read, ChildStdout::read or ChildStderr::read".to_owned()
        }
        (Class::Wait, "write") => "std::io::PipeWriter::write or ChildStdin::write".to_owned(),
        _ => format!("std::fs::File::{verb}"),
    })
}

/// What the author called, else the symbol, else the class in words.
pub(super) fn name(symbol: Option<&str>, class: Class, frames: &[Frame]) -> String {
    let called = called(frames);
    let is_known =
        |frame: &&Frame| matches!(origin(frame), Origin::Standard | Origin::Dependency | Origin::Runtime);
    // Without line tables, the author's functions cannot be told from a dependency's: the library's outermost call
    // before the first of either is the author's, or the dependency's, and in any case true.
    let is_told = frames.iter().any(|frame| origin(frame) == Origin::Author);
    let called = if is_told { called } else { library(called) };
    let known = called.iter().rev().filter(is_known).filter(|frame| has_path(frame));
    let outermost = known.clone().find(|frame| !is_plumbing(frame)).or_else(|| known.clone().find(is_work));
    match (outermost, symbol) {
        (Some(frame), _) => {
            let name = readable(frame.function.as_deref().unwrap_or_default());
            // The library's generic functions leave their work to one that is named `inner`.
            let name = name.strip_suffix("::inner").unwrap_or(&name);
            let merged = MERGED.iter().find(|(one, _)| *one == name);
            opened(class, name).unwrap_or_else(|| merged.map_or(name, |(_, all)| all).to_owned())
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
