//! A function of this program, called in another process of the same program.
//!
//! The child executes `/proc/self/exe` again: the kernel keeps that file even when it was replaced on disk. A
//! constructor of this module runs before `main`, sees the mark in the environment, calls the function and ends
//! the process, so `main` is never reached and the program has nothing to prepare. A function travels as its
//! distance from the start of the program, which is the same in both processes; only the start is random.
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
use std::fs::File;
use std::hint::black_box;
use std::io::{self, Read, Write};
use std::mem::transmute;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::ptr::{null_mut, with_exposed_provenance};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use self::image::Image;

mod image;

/// Marks a child: the constructor that is meant, since a program may hold several versions of this crate, and the
/// id of the parent.
const MARK: &str = "EVENKEEL_ISOLATE";

/// Statuses of a child that did not get as far as the function; "software" and "no permission" of `sysexits.h`.
const BROKEN: c_int = 70;
const REFUSED: c_int = 77;

type Constructor = extern "C" fn(c_int, *const *const c_char, *const *const c_char);

/// Linkers keep this section whole; `Entry::of` names the static, so that its object file is linked at all.
#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: Constructor = before_main;

/// Whether the constructor has run in this process. If it has not, it would not in a child, which would then start
/// `main` a second time.
static HAS_RUN: AtomicBool = AtomicBool::new(false);

/// What a child does once it has its function. It need not return: the process ends behind it.
pub(crate) trait Serve<A, T> {
    /// `socket` leads to the parent, which has written the bytes of the entry and may write more.
    fn serve(socket: UnixStream, function: fn(A) -> T);
}

/// Where a child begins. All three are distances from the start of the program.
#[derive(Debug)]
pub(crate) struct Entry {
    constructor: usize,
    trampoline: usize,
    function: usize,
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
}

impl Entry {
    pub(crate) fn of<A, T, S: Serve<A, T>>(function: fn(A) -> T) -> Result<Self, Obstacle> {
        let constructor = *black_box(&CONSTRUCTOR);
        if !HAS_RUN.load(Ordering::Relaxed) {
            return Err(Obstacle::NoConstructor);
        }
        if is_privileged() {
            return Err(Obstacle::Privileged);
        }
        let distance = |address| Image::of_program().distance(address).ok_or(Obstacle::Library);
        let trampoline: Trampoline = trampoline::<A, T, S>;
        Ok(Self {
            constructor: distance(constructor as usize)?,
            trampoline: distance(trampoline as usize)?,
            function: distance(function as usize)?,
        })
    }

    /// The variable that has to be in the child's environment, and its value.
    pub(crate) fn mark(&self) -> (&'static str, String) {
        (MARK, format!("{:x}.{}", self.constructor, std::process::id()))
    }

    /// The first bytes that the child has to find on its standard input, a socket.
    pub(crate) fn to_bytes(&self) -> [u8; 16] {
        let both = (self.trampoline as u128) << 64 | self.function as u128;
        both.to_le_bytes()
    }

    fn addresses(bytes: [u8; 16]) -> Option<(usize, usize)> {
        let both = u128::from_le_bytes(bytes);
        let address = |distance: u128| Image::of_program().address(distance as u64 as usize);
        Some((address(both >> 64)?, address(both)?))
    }
}

type Trampoline = fn(UnixStream, usize);

fn trampoline<A, T, S: Serve<A, T>>(socket: UnixStream, function: usize) {
    // SAFETY: `Entry::of` pairs this instance with the address of an `fn(A) -> T`.
    let function = unsafe { transmute::<*const (), fn(A) -> T>(with_exposed_provenance(function)) };
    S::serve(socket, function);
}

extern "C" fn before_main(count: c_int, arguments: *const *const c_char, environment: *const *const c_char) {
    HAS_RUN.store(true, Ordering::Relaxed);
    let Some(parent) = marked_by() else { return };
    // SAFETY: no other thread runs before `main`.
    unsafe { std::env::remove_var(MARK) };
    if is_privileged() {
        leave(REFUSED);
    }
    die_with(parent);
    // SAFETY: no handler is installed that could be called.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
    let Ok(socket) = take_stdin() else { leave(BROKEN) };
    for constructor in Image::of_program().constructors_after(before_main) {
        constructor(count, arguments, environment);
    }
    leave(if serve(socket).is_some() { 0 } else { BROKEN });
}

/// The id of the parent, if this process is a child that is meant for this constructor.
fn marked_by() -> Option<u32> {
    let mark = std::env::var_os(MARK)?;
    let (constructor, parent) = mark.to_str()?.split_once('.')?;
    let constructor = usize::from_str_radix(constructor, 16).ok()?;
    let is_mine = Image::of_program().distance(before_main as *const () as usize) == Some(constructor);
    parent.parse().ok().filter(|_| is_mine)
}

/// Whether the program has its rights from its file. The loader does not trust the environment then either.
fn is_privileged() -> bool {
    // SAFETY: it only reads what the kernel has left on the stack.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// Has the kernel kill this process when the thread that started it ends; that thread lives until it has waited.
fn die_with(parent: u32) {
    // SAFETY: the option takes a number and no address.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    // SAFETY: the option copies from a string that ends in a zero.
    unsafe { libc::prctl(libc::PR_SET_NAME, c"isolate".as_ptr()) };
    // A parent that died before the first call gives no signal any more.
    if std::os::unix::process::parent_id() != parent {
        leave(REFUSED);
    }
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

fn serve(mut socket: UnixStream) -> Option<()> {
    let mut bytes = [0; 16];
    socket.read_exact(&mut bytes).ok()?;
    let (trampoline, function) = Entry::addresses(bytes)?;
    // SAFETY: the parent is the same program, and took the address of a `Trampoline`.
    let trampoline = unsafe { transmute::<*const (), Trampoline>(with_exposed_provenance(trampoline)) };
    trampoline(socket, function);
    Some(())
}

/// Writes out what Rust and C code has printed and the process still holds.
pub(crate) fn flush() {
    // The file may be closed; whoever prints does not hear of it either.
    let _ = io::stdout().flush();
    // SAFETY: null stands for all files.
    unsafe { libc::fflush(null_mut()) };
}

/// Ends this process at once, without destructors and whatever else is due at an exit.
pub(crate) fn leave(status: c_int) -> ! {
    // SAFETY: it takes a number and does not return.
    unsafe { libc::_exit(status) }
}

/// Lets this process map so many more bytes than it does now.
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

/// Kills a process group. The caller has not yet waited for the process that leads it, else its id may be another's.
pub(crate) fn kill_group(leader: u32) {
    // Without a leader, -0 and -1 would stand for this group and for everybody.
    let Some(group) = i32::try_from(leader).ok().filter(|leader| *leader > 1) else { return };
    // SAFETY: it takes two numbers.
    unsafe { libc::kill(-group, libc::SIGKILL) };
}
