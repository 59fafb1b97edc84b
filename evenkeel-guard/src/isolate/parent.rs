//! The parent: starts a child, asks, waits, and leaves none behind.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{self, Command, ExitStatus};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use super::Limits;
use super::child::{Child, message};
use super::error::{IsolateError, Kind};
use super::wire::{self, Answer, Timed};
use crate::sys::process::{Entry, Obstacle, kill_group};

/// Calls the function in a child and tells the result. Returns when the child is gone, which may be later.
pub(super) fn call<A, T>(
    function: fn(A) -> T,
    argument: A,
    limits: Limits,
    leash: &Leash,
    tell: oneshot::Sender<Result<T, IsolateError>>,
) where
    A: Serialize + DeserializeOwned,
    T: Serialize + DeserializeOwned,
{
    let mut tied = None;
    let work = || ask(function, argument, limits, leash, &mut tied);
    let panicked = |panic: Box<_>| {
        let text = message(&*panic);
        // Dropping what it carries may panic as well.
        std::mem::forget(panic);
        Err(Kind::Panic(text).into())
    };
    let result = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(panicked);
    // Nobody listens when the caller has dropped the future.
    let _ = tell.send(result);
    // Only now: a child that the kernel cannot kill yet must not hold up its caller.
    drop(tied);
}

fn ask<'a, A, T>(
    function: fn(A) -> T,
    argument: A,
    limits: Limits,
    leash: &'a Leash,
    tied: &mut Option<Tied<'a>>,
) -> Result<T, IsolateError>
where
    A: Serialize + DeserializeOwned,
    T: Serialize + DeserializeOwned,
{
    if leash.has_let_go() {
        return Err(IsolateError::shut_down());
    }
    let entry = Entry::of::<A, T, Child>(function).map_err(|obstacle| Kind::Obstacle(reason(obstacle)))?;
    let bytes = wire::encode(&argument).map_err(Kind::Argument)?;
    drop(argument);
    let (child, socket) = start(&entry).map_err(Kind::Start)?;
    let tied = tied.insert(leash.tie(child));
    let mut socket = Timed::new(&socket, limits.timeout);
    let (answer, bytes) = match exchange(&mut socket, &entry, limits.memory, &bytes) {
        Ok(answer) => answer,
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            tied.kill();
            return Err(Kind::Timeout(limits.timeout).into());
        }
        // The child's end of the socket is closed: it has died, for how it did was settled before.
        Err(_) => return Err(death(tied.end().map_err(Kind::Lost)?, limits.memory).into()),
    };
    // The result is whole, however the child ended.
    let _ = tied.end();
    let text = || String::from_utf8_lossy(&bytes).into_owned();
    let kind = match answer {
        Answer::Value => return wire::decode(&bytes).map_err(|problem| Kind::Result(problem).into()),
        Answer::Panic => Kind::Panic(text()),
        Answer::Argument => Kind::Argument(text()),
        Answer::Result => Kind::Result(text()),
        Answer::Memory => Kind::Memory(text()),
    };
    Err(kind.into())
}

fn start(entry: &Entry) -> io::Result<(process::Child, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    let (ours, theirs) = (past_standard(ours.into())?, past_standard(theirs.into())?);
    let printed = printed()?;
    let (name, value) = entry.mark();
    let mut command = Command::new("/proc/self/exe");
    command.env(name, value).process_group(0);
    command.stdin(theirs).stdout(printed.try_clone()?).stderr(printed);
    if let Some(name) = std::env::args_os().next() {
        command.arg0(name);
    }
    // For those who look at the list of processes.
    command.arg("(isolated function)");
    // The command is dropped here, and with it our copy of the child's end.
    Ok((command.spawn()?, ours.into()))
}

/// Where all goes that is printed in the child, so that none of it gets between the answer.
fn printed() -> io::Result<OwnedFd> {
    let error = io::stderr().as_fd().try_clone_to_owned();
    error.or_else(|_| past_standard(File::options().write(true).open("/dev/null")?.into()))
}

/// Out of the place of a standard file, which a program that has closed its own gives to the next file it opens. In
/// the child it would be overwritten, or be printed to.
fn past_standard(file: OwnedFd) -> io::Result<OwnedFd> {
    let is_standard = file.as_raw_fd() <= 2;
    // A clone never takes one of those places.
    if is_standard { file.try_clone() } else { Ok(file) }
}

/// The child reads all before it writes, so neither waits for the other.
fn exchange(
    socket: &mut Timed<'_>,
    entry: &Entry,
    memory: Option<u64>,
    argument: &[u8],
) -> io::Result<(Answer, Vec<u8>)> {
    io::Write::write_all(socket, &entry.to_bytes())?;
    wire::write_request(socket, memory, argument)?;
    wire::read_answer(socket)
}

fn death(status: ExitStatus, memory: Option<u64>) -> Kind {
    match status.signal() {
        Some(signal) => Kind::Signal { signal, memory },
        None => Kind::Exit(status.code().unwrap_or_default()),
    }
}

fn reason(obstacle: Obstacle) -> &'static str {
    match obstacle {
        Obstacle::NoConstructor => {
            "the program was linked without the constructor of `evenkeel-guard`; keep the section `.init_array`"
        }
        Obstacle::Library => {
            "it, or `evenkeel-guard`, is part of a shared library; link both into the program itself"
        }
        Obstacle::Privileged => {
            "the program has rights of its file (set-user-id or capabilities); give them to who starts it"
        }
    }
}

/// Lets the caller's thread kill the child that another thread waits for.
#[derive(Debug, Default)]
pub(super) struct Leash(Mutex<Holds>);

#[derive(Debug, Default)]
enum Holds {
    #[default]
    Nothing,
    /// A process group whose leader has not been waited for, so that its id cannot be another's.
    Group(u32),
    /// Nothing any more: the caller has gone.
    LetGo,
}

impl Leash {
    /// Kills the child, and the one that is perhaps just being started.
    pub(super) fn let_go(&self) {
        self.kill_and_hold(Holds::LetGo);
    }

    fn has_let_go(&self) -> bool {
        matches!(*self.0.lock().unwrap_or_else(PoisonError::into_inner), Holds::LetGo)
    }

    fn tie(&self, child: process::Child) -> Tied<'_> {
        let mut holds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match *holds {
            Holds::LetGo => kill_group(child.id()),
            Holds::Nothing | Holds::Group(_) => *holds = Holds::Group(child.id()),
        }
        drop(holds);
        Tied { leash: self, child }
    }

    fn kill_and_hold(&self, next: Holds) {
        let mut holds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Holds::Group(leader) = *holds {
            kill_group(leader);
        }
        *holds = next;
    }
}

/// A child that is killed and waited for, at the latest when dropped.
struct Tied<'a> {
    leash: &'a Leash,
    child: process::Child,
}

impl Tied<'_> {
    /// Kills the child with what it has started. It may take a moment to die.
    fn kill(&self) {
        let holds = self.leash.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Holds::Group(leader) = *holds {
            kill_group(leader);
        }
    }

    /// The same, and waits for its death. One that has ended already keeps its status.
    fn end(&mut self) -> io::Result<ExitStatus> {
        // The id is no longer ours to kill once somebody has waited.
        self.leash.kill_and_hold(Holds::Nothing);
        self.child.wait()
    }
}

impl Drop for Tied<'_> {
    fn drop(&mut self) {
        // It fails if somebody else in this process waits for all children; then the child is gone as well.
        let _ = self.end();
    }
}
