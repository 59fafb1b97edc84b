//! Why a call in a child process has no result.

use std::fmt;
use std::io;
use std::time::Duration;

/// Why a function in a child process gave no result.
#[derive(Debug)]
pub struct IsolateError(Box<Kind>);

#[derive(Debug)]
#[cfg_attr(
    not(all(target_os = "linux", target_env = "gnu", target_pointer_width = "64")),
    expect(dead_code, reason = "there are no children")
)]
pub(super) enum Kind {
    Timeout(Duration),
    Panic(String),
    Signal {
        signal: i32,
        /// The limit that was in force, in bytes.
        memory: Option<u64>,
    },
    /// The function ended its process.
    Exit(i32),
    /// The argument cannot be written, or not read again.
    Argument(String),
    /// The same for the result.
    Result(String),
    /// Its limit, in bytes.
    ArgumentTooLarge(u64),
    ResultTooLarge(u64),
    Start(io::Error),
    /// There is no result, and no status either.
    Lost(io::Error),
    /// The child could not set its own limit.
    Memory(String),
    /// The status of a child that did not get as far as the function.
    Refused(i32),
    /// What stands in the way of any child for this function.
    Obstacle(&'static str),
    ShutDown,
}

impl IsolateError {
    pub(super) fn shut_down() -> Self {
        Kind::ShutDown.into()
    }

    /// Whether the time was up.
    pub fn is_timeout(&self) -> bool {
        matches!(*self.0, Kind::Timeout(_))
    }

    /// The message of the panic, if the function panicked.
    ///
    /// So did, perhaps, code of the argument or the result that `serde` called.
    pub fn panic(&self) -> Option<&str> {
        match &*self.0 {
            Kind::Panic(message) => Some(message),
            _ => None,
        }
    }

    /// Whether a signal ended the child before its time was up: an abort, a segmentation fault, out of memory.
    pub fn is_killed(&self) -> bool {
        self.signal().is_some()
    }

    /// The number of the signal that ended the child before its time was up.
    pub fn signal(&self) -> Option<i32> {
        match *self.0 {
            Kind::Signal { signal, .. } => Some(signal),
            _ => None,
        }
    }

    /// The status with which the function ended its process, if it did not return.
    pub fn exit_status(&self) -> Option<i32> {
        match *self.0 {
            Kind::Exit(status) => Some(status),
            _ => None,
        }
    }

    /// Whether the function was never called: no child could be started for it, or the runtime shut down.
    pub fn is_unstarted(&self) -> bool {
        matches!(
            *self.0,
            Kind::Start(_) | Kind::Memory(_) | Kind::Refused(_) | Kind::Obstacle(_) | Kind::ShutDown
        )
    }

    /// Whether the argument or the result could not be written or not be read.
    pub fn is_unreadable(&self) -> bool {
        matches!(*self.0, Kind::Argument(_) | Kind::Result(_))
    }

    /// Whether the argument or the result is larger than its limit. The function was not called, or its result is lost.
    pub fn is_too_large(&self) -> bool {
        matches!(*self.0, Kind::ArgumentTooLarge(_) | Kind::ResultTooLarge(_))
    }
}

impl From<Kind> for IsolateError {
    fn from(kind: Kind) -> Self {
        Self(Box::new(kind))
    }
}

impl fmt::Display for IsolateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Kind::Timeout(timeout) => write!(
                f,
                "the isolated function did not return within {timeout:?} and was killed: give it less to do, or \
                 more time with `.timeout(..)`"
            ),
            Kind::Panic(message) => write!(f, "the isolated function panicked: {message}"),
            Kind::Signal { signal, memory } => killed(*signal, *memory, f),
            Kind::Exit(status) => write!(
                f,
                "the isolated function ended its process with status {status}: it has to return, without \
                 `std::process::exit`"
            ),
            Kind::Argument(problem) => write!(
                f,
                "the argument of the isolated function does not pass through `serde` and back: {problem}"
            ),
            Kind::Result(problem) => write!(
                f,
                "the result of the isolated function does not pass through `serde` and back: {problem}"
            ),
            Kind::ArgumentTooLarge(limit) => write!(
                f,
                "the argument of the isolated function takes more than {limit} bytes: pass less, or allow more with \
                 `.argument_limit(..)`"
            ),
            Kind::ResultTooLarge(limit) => write!(
                f,
                "the result of the isolated function takes more than {limit} bytes: return less, or allow more with \
                 `.result_limit(..)`"
            ),
            Kind::Refused(status) => write!(
                f,
                "the child process for the isolated function ended with status {status} before it called it: \
                 standard error says why"
            ),
            Kind::Start(_) => f.write_str("no child process could be started for the isolated function"),
            Kind::Lost(_) => f.write_str(
                "the isolated function gave no result, and its process cannot be waited for: nothing else in the \
                 program may wait for it, and SIGCHLD must not be ignored",
            ),
            Kind::Memory(problem) => {
                write!(f, "the memory of the isolated function could not be limited: {problem}")
            }
            Kind::Obstacle(obstacle) => write!(f, "the function cannot be isolated: {obstacle}"),
            Kind::ShutDown => {
                f.write_str("the isolated function was not called because the runtime shut down")
            }
        }
    }
}

fn killed(signal: i32, memory: Option<u64>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    // The numbers are the same on all that `sys::process` is for.
    let (name, cause) = match signal {
        4 => (" (SIGILL)", "an invalid instruction, or a deliberate trap"),
        6 => (" (SIGABRT)", "it aborted; standard error may say why"),
        7 => (" (SIGBUS)", "it used memory that is not there"),
        8 => (" (SIGFPE)", "it divided by zero outside Rust"),
        9 => (
            " (SIGKILL)",
            "somebody killed it, perhaps because the machine has too little memory; or it closed files not its own",
        ),
        11 => (" (SIGSEGV)", "it used memory that is not its own, or its stack overflowed"),
        _ => ("", "somebody sent it"),
    };
    write!(f, "signal {signal}{name} ended the isolated function: {cause}")?;
    match memory {
        Some(limit) => write!(f, "; if it ran out of memory, raise `.memory({limit})`"),
        None => Ok(()),
    }
}

impl std::error::Error for IsolateError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &*self.0 {
            Kind::Start(error) | Kind::Lost(error) => Some(error),
            _ => None,
        }
    }
}
