//! The child: reads the argument, calls the function, writes what came of it.

use std::any::Any;
use std::os::unix::net::UnixStream;
use std::panic::{self, AssertUnwindSafe, catch_unwind};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::wire::{self, Answer, Request, Unwritten};
use crate::sys::process::{self, Serve};

/// So much of what a panic says goes back, in bytes.
const LONGEST_TEXT: usize = 16 * 1024;

pub(super) struct Child;

impl<A: DeserializeOwned, T: Serialize> Serve<A, T> for Child {
    fn serve(mut socket: UnixStream, function: impl Fn(A) -> T) {
        // Without a request the parent is gone, or going.
        let Ok(request) = wire::read_request(&mut socket) else { return };
        if cfg!(panic = "abort") {
            tell_of_panics(&socket);
        }
        let work = || work(function, request);
        let (answer, bytes) = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(panicked);
        say(&mut socket, answer, &bytes);
    }
}

fn work<A: DeserializeOwned, T: Serialize>(function: impl Fn(A) -> T, request: Request) -> (Answer, Vec<u8>) {
    let Request { memory, result_limit, argument } = request;
    if let Some(limit) = memory
        && let Err(error) = process::limit_memory(limit)
    {
        return (Answer::Memory, error.to_string().into_bytes());
    }
    let value = match wire::decode(&argument) {
        Ok(value) => value,
        Err(problem) => return (Answer::Argument, problem.into_bytes()),
    };
    drop(argument);
    match wire::encode(&function(value), result_limit) {
        Ok(bytes) => (Answer::Value, bytes),
        Err(Unwritten::TooLarge) => (Answer::TooLarge, Vec::new()),
        Err(Unwritten::Unfit(problem)) => (Answer::Result, problem.into_bytes()),
    }
}

fn panicked(panic: Box<dyn Any + Send>) -> (Answer, Vec<u8>) {
    let text = message(&*panic);
    // Dropping what it carries may panic as well, and the answer is still to be written.
    std::mem::forget(panic);
    (Answer::Panic, text.into_bytes())
}

/// What a panic says.
pub(super) fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a value that is not text").to_owned()
}

/// Writes the answer last: the parent kills the child when it has it.
fn say(socket: &mut UnixStream, answer: Answer, bytes: &[u8]) {
    process::flush();
    let is_text = !matches!(answer, Answer::Value | Answer::TooLarge);
    let bytes = if is_text { bytes.get(..LONGEST_TEXT).unwrap_or(bytes) } else { bytes };
    // The parent may be gone, and there is nobody else to tell.
    let _ = wire::write_answer(socket, answer, bytes);
}

/// In a program whose panics abort, nothing can be caught, so the hook has to tell the parent.
fn tell_of_panics(socket: &UnixStream) {
    // Without it, the parent learns of the abort only.
    let Ok(socket) = socket.try_clone() else { return };
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        usual(panic);
        if let Ok(mut socket) = socket.try_clone() {
            say(&mut socket, Answer::Panic, message(panic.payload()).as_bytes());
        }
    }));
}
