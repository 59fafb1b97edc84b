//! A function of this program, called in another process of the same program.
//!
//! The child executes `/proc/self/exe` again: the kernel keeps that file even when it was replaced on disk. A
//! constructor of this module runs before `main`, sees the mark in the environment, makes sure of its parent, calls the
//! function and ends the process, so `main` is never reached and the program has nothing to prepare. A function travels
//! as the place of its `Record` in the program's file, which is the same in both processes; only the start is random.
//!
//! What is different before `main`, and what is done about it:
//! - The loader's locks are free: glibc calls the constructors of a program, unlike those of its libraries, after
//!   the loader is done. Threads, `dlopen` and name look-ups work.
//! - Constructors that are linked behind this one have not run. They are run first.
//! - The environment and, with glibc, the arguments are there.
//! - The runtime of std has not begun. It would ignore SIGPIPE, which is done here; open missing standard files,
//!   which the parent has done; call the first thread `main`; and print a message when a stack overflows, which is
//!   missed: the child dies of SIGSEGV without words.

#![cfg(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64"))]
#![allow(unsafe_code)]

use std::ffi::{c_char, c_int};
use std::fmt;
use std::fs::File;
use std::hint::black_box;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::parent_id;
use std::ptr::null_mut;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use self::image::Image;
use self::keeper::{END, die_with, split};
use self::proof::{can_be_looked_at, check_parent};
use self::record::trampoline_at;

pub(crate) use self::record::Record;

mod image;
mod record;
mod proof;
mod keeper;

/// Marks a child: the constructor that is meant, since a program may hold several versions of this crate.
const MARK: &str = "EVENKEEL_ISOLATE";

/// The first byte of a child that has made sure of its parent and is about to serve.
pub(crate) const READY: u8 = 0xE7;

/// Statuses of a child that did not get as far as the function; "software" and "no permission" of `sysexits.h`.
pub(crate) const BROKEN: c_int = 70;
pub(crate) const REFUSED: c_int = 77;

pub(super) type Constructor = extern "C" fn(c_int, *const *const c_char, *const *const c_char);

/// Linkers keep this section whole; `Entry::of` names the static, so that its object file is linked at all.
#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: Constructor = before_main;

/// Whether the constructor has run in this process. If it has not, it would not in a child, which would then start
/// `main` a second time.
static HAS_RUN: AtomicBool = AtomicBool::new(false);

/// What a child does once it has its function. It need not return: the process ends behind it.
pub(crate) trait Serve<A, T> {
    /// `socket` leads to the parent, which has written the bytes of the entry, and may write more.
    fn serve(socket: UnixStream, function: impl Fn(A) -> T);
}

/// Where a child begins: distances from the start of the program.
#[derive(Debug)]
pub(crate) struct Entry {
    constructor: usize,
    record: usize,
}

/// Why a function cannot be called in a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// The constructor did not run.
    NoConstructor,
    /// The function is not part of the program's own file.
    Library,
    /// The program runs with more rights than who started it, so it must not trust its environment.
    Privileged,
    /// No child could make sure of its parent.
    Undumpable,
}

impl Entry {
    pub(crate) fn of(record: &'static Record) -> Result<Self, Obstacle> {
        let constructor = *black_box(&CONSTRUCTOR);
        if !HAS_RUN.load(Ordering::Relaxed) {
            return Err(Obstacle::NoConstructor);
        }
        if is_privileged() {
            return Err(Obstacle::Privileged);
        }
        if !can_be_looked_at() {
            return Err(Obstacle::Undumpable);
        }
        let constructor = Image::of_program().distance(constructor as usize).ok_or(Obstacle::Library)?;
        Ok(Self { constructor, record: record.distance().ok_or(Obstacle::Library)? })
    }

    /// The variable that has to be in the child's environment, and its value.
    pub(crate) fn mark(&self) -> (&'static str, String) {
        (MARK, format!("{:x}", self.constructor))
    }

    /// The first bytes that the child has to find on its standard input, a socket.
    pub(crate) fn to_bytes(&self) -> [u8; 8] {
        (self.record as u64).to_le_bytes()
    }
}

extern "C" fn before_main(count: c_int, arguments: *const *const c_char, environment: *const *const c_char) {
    HAS_RUN.store(true, Ordering::Relaxed);
    if !is_marked() {
        return;
    }
    // SAFETY: no other thread runs before `main`.
    unsafe { std::env::remove_var(MARK) };
    if is_privileged() {
        refuse("this program has rights of its file");
    }
    die_with(parent_id(), END, c"isolate-keeper");
    if let Err(doubt) = check_parent(io::stdin().as_fd()) {
        refuse(doubt);
    }
    close_from(libc::STDERR_FILENO + 1);
    let mut socket = take_stdin().unwrap_or_else(|error| give_up("no place for its socket", &error));
    let mut record = [0; 8];
    if socket.read_exact(&mut record).is_err() {
        // The parent is gone, or going.
        leave(BROKEN);
    }
    let trampoline = usize::try_from(u64::from_le_bytes(record)).ok().and_then(trampoline_at);
    let Some(trampoline) = trampoline else { refuse("what is asked for is no isolated function") };
    // SAFETY: no handler is installed that could be called.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    split().unwrap_or_else(|error| give_up("no second process", &error));
    for constructor in Image::of_program().constructors_after(before_main) {
        constructor(count, arguments, environment);
    }
    if socket.write_all(&[READY]).is_ok() {
        trampoline(socket);
    }
    leave(0);
}

/// Whether this process is a child that is meant for this constructor.
fn is_marked() -> bool {
    let Some(mark) = std::env::var_os(MARK) else { return false };
    let constructor = mark.to_str().and_then(|mark| usize::from_str_radix(mark, 16).ok());
    constructor.is_some() && Image::of_program().distance(before_main as *const () as usize) == constructor
}

/// Ends a process that was started as a child by somebody who must not.
fn refuse(reason: &str) -> ! {
    say(format_args!("started as a child of `isolate` (`{MARK}` is set), and refused: {reason}"));
    leave(REFUSED)
}

/// Ends a child that lacks something.
fn give_up(lack: &str, error: &io::Error) -> ! {
    say(format_args!("a child of `isolate` cannot begin, there is {lack}: {error}"));
    leave(BROKEN)
}

fn say(what: fmt::Arguments<'_>) {
    // There may be nobody to read it.
    let _ = writeln!(io::stderr(), "evenkeel-guard: {what}");
}

/// Closes all files from a number on. Those that the loader or a library has opened before are among them.
pub(super) fn close_from(first: RawFd) {
    let (from, to, flags) = (libc::c_long::from(first), libc::c_long::from(u32::MAX), 0_i64);
    // SAFETY: it takes numbers only, and nothing in this process uses a file yet.
    if unsafe { libc::syscall(libc::SYS_close_range, from, to, flags) } == 0 {
        return;
    }
    // Kernels before 5.9, and filters of system calls. The list is whole before the first is closed.
    let files = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let numbers = files.filter_map(|file| file.file_name().to_str()?.parse::<RawFd>().ok());
    for file in numbers.collect::<Vec<_>>() {
        if file >= first {
            // SAFETY: as above.
            unsafe { libc::close(file) };
        }
    }
}

/// Whether the program has its rights from its file. The loader does not trust the environment then either.
fn is_privileged() -> bool {
    // SAFETY: it only reads what the kernel has left on the stack.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// Moves standard input to a file of its own, which programs started from here do not get, and leaves an empty one.
fn take_stdin() -> io::Result<UnixStream> {
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    let empty = File::open("/dev/null")?;
    // SAFETY: the second file is one that nobody owns.
    if unsafe { libc::dup2(empty.as_raw_fd(), libc::STDIN_FILENO) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(socket.into())
}

/// Writes out what Rust and C code has printed and the process still holds.
pub(crate) fn flush() {
    // The file may be closed; anyone who prints does not hear of it either.
    let _ = io::stdout().flush();
    // SAFETY: null stands for all files.
    unsafe { libc::fflush(null_mut()) };
}

/// Ends this process at once, without destructors and whatever else is due at an exit.
pub(crate) fn leave(status: c_int) -> ! {
    // SAFETY: it takes a number and does not return.
    unsafe { libc::_exit(status) }
}

/// Lets this process map this many more bytes than it does now.
pub(crate) fn limit_memory(bytes: u64) -> io::Result<()> {
    let most = mapped()?.saturating_add(bytes);
    let limit = libc::rlimit { rlim_cur: most, rlim_max: most };
    // SAFETY: the limit outlives the call.
    if unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// The bytes of address space that this process has mapped.
fn mapped() -> io::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let kibibytes = status.lines().find_map(|line| line.strip_prefix("VmSize:")?.strip_suffix("kB"));
    let kibibytes = kibibytes.and_then(|text| text.trim().parse::<u64>().ok());
    kibibytes
        .map(|number| number * 1024)
        .ok_or_else(|| io::Error::other("`/proc/self/status` has no `VmSize`"))
}

/// Has a keeper end the function's process and all that was started there, and itself. The caller has not yet waited for
/// the keeper, else its number may be another's.
pub(crate) fn end_keeper(keeper: u32) {
    // 0 and what is below it would stand for groups.
    let Some(keeper) = i32::try_from(keeper).ok().filter(|keeper| *keeper > 1) else { return };
    // SAFETY: both take two numbers. A keeper that was stopped goes on, to its end.
    unsafe {
        libc::kill(keeper, END);
        libc::kill(keeper, libc::SIGCONT);
    }
}
