//! The parent: starts a child, asks, waits, and leaves none behind.

use std::ffi::OsStr;
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

use super::child::{Child, message};
use super::error::{IsolateError, Kind};
use super::wire::{self, Answer, Request, Timed, Unwritten};
use super::{Environment, Settings};
use crate::sys::process::{BROKEN, Entry, Obstacle, READY, REFUSED, Record, end_keeper};

/// A function that can be called in a child.
#[derive(Debug, Clone, Copy)]
pub(super) struct Function(&'static Record);

impl Function {
    pub(super) fn of<F, A, T>(function: F) -> Self
    where
        F: Fn(A) -> T + Copy + 'static,
        A: DeserializeOwned,
        T: Serialize,
    {
        Self(Record::of::<F, A, T, Child>(function))
    }
}

/// Calls the function in a child and tells the result. Returns when the child is gone, which may be later.
pub(super) fn call<A, T>(
    function: Function,
    argument: A,
    settings: &Settings,
    leash: &Leash,
    tell: oneshot::Sender<Result<T, IsolateError>>,
) where
    A: Serialize + DeserializeOwned,
    T: Serialize + DeserializeOwned,
{
    let mut tied = None;
    let work = || ask(function, argument, settings, leash, &mut tied);
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
    function: Function,
    argument: A,
    settings: &Settings,
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
    let entry = Entry::of(function.0).map_err(|obstacle| Kind::Obstacle(reason(obstacle)))?;
    let argument = encode_argument(argument, settings.argument_limit)?;
    let Settings { memory, result_limit, .. } = *settings;
    let request = Request { memory, result_limit, argument };
    let (child, socket) = start(&entry, &settings.environment).map_err(Kind::Start)?;
    let tied = tied.insert(leash.tie(child));
    let mut socket = Timed::new(&socket, settings.timeout);
    let mut has_begun = false;
    let (answer, bytes) = match exchange(&mut socket, &entry, &request, &mut has_begun) {
        Ok(answer) => answer,
        Err(error) if error.kind() == io::ErrorKind::TimedOut => {
            tied.kill();
            return Err(Kind::Timeout(settings.timeout).into());
        }
        // The child's end of the socket is closed: it has died, for how it did was settled before.
        Err(_) => return Err(death(tied.end().map_err(Kind::Lost)?, memory, has_begun).into()),
    };
    // The result is whole, however the child ended. What it has started ends now.
    let _ = tied.end();
    read(answer, &bytes, result_limit)
}

fn encode_argument<A: Serialize>(argument: A, limit: u64) -> Result<Vec<u8>, Kind> {
    wire::encode(&argument, limit).map_err(|problem| match problem {
        Unwritten::TooLarge => Kind::ArgumentTooLarge(limit),
        Unwritten::Unfit(problem) => Kind::Argument(problem),
    })
}

fn read<T: DeserializeOwned>(answer: Answer, bytes: &[u8], result_limit: u64) -> Result<T, IsolateError> {
    let text = || String::from_utf8_lossy(bytes).into_owned();
    let kind = match answer {
        Answer::Value => return wire::decode(bytes).map_err(|problem| Kind::Result(problem).into()),
        Answer::Panic => Kind::Panic(text()),
        Answer::Argument => Kind::Argument(text()),
        Answer::Result => Kind::Result(text()),
        Answer::Memory => Kind::Memory(text()),
        Answer::TooLarge => Kind::ResultTooLarge(result_limit),
    };
    Err(kind.into())
}

fn start(entry: &Entry, environment: &Environment) -> io::Result<(process::Child, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    let (ours, theirs) = (past_standard(ours.into())?, past_standard(theirs.into())?);
    let printed = printed()?;
    let mut command = Command::new("/proc/self/exe");
    if !environment.inherits_all {
        command.env_clear();
        command.envs(std::env::vars_os().filter(|(name, _)| is_kept(name)));
    }
    command.envs(environment.added.iter().map(|(name, value)| (name, value)));
    let (name, value) = entry.mark();
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

/// Whether a variable of the parent's goes to the child. None of these holds a secret.
fn is_kept(name: &OsStr) -> bool {
    const KEPT: [&str; 9] = [
        "PATH",
        "HOME",
        "LANG",
        "TZ",
        "TMPDIR",
        "RUST_BACKTRACE",
        "RUST_LIB_BACKTRACE",
        // Without these two, a program may not find its libraries, or what their names are translated to.
        "LD_LIBRARY_PATH",
        "LANGUAGE",
    ];
    name.to_str().is_some_and(|name| KEPT.contains(&name) || name.starts_with("LC_"))
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

/// The child reads all before it answers, so neither waits for the other.
fn exchange(
    socket: &mut Timed<'_>,
    entry: &Entry,
    request: &Request,
    has_begun: &mut bool,
) -> io::Result<(Answer, Vec<u8>)> {
    io::Write::write_all(socket, &entry.to_bytes())?;
    wire::write_request(socket, request)?;
    let mut first = [0];
    io::Read::read_exact(socket, &mut first)?;
    *has_begun = first == [READY];
    wire::read_answer(socket, request.result_limit)
}

fn death(status: ExitStatus, memory: Option<u64>, has_begun: bool) -> Kind {
    match (status.signal(), status.code().unwrap_or_default()) {
        (Some(signal), _) => Kind::Signal { signal, memory },
        (None, status @ (BROKEN | REFUSED)) if !has_begun => Kind::Refused(status),
        (None, status) => Kind::Exit(status),
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
        Obstacle::Undumpable => {
            "the program is not dumpable, as one that has changed its user, and so a child cannot make sure of its \
             parent; call `prctl(PR_SET_DUMPABLE, 1)` after the change"
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
    /// A keeper that has not been waited for, so that its id cannot be another's.
    Keeper(u32),
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
            Holds::LetGo => end_keeper(child.id()),
            Holds::Nothing | Holds::Keeper(_) => *holds = Holds::Keeper(child.id()),
        }
        drop(holds);
        Tied { leash: self, child }
    }

    fn kill_and_hold(&self, next: Holds) {
        let mut holds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Holds::Keeper(keeper) = *holds {
            end_keeper(keeper);
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
        if let Holds::Keeper(keeper) = *holds {
            end_keeper(keeper);
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
