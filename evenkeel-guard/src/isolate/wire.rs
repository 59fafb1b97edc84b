//! What parent and child say to each other. Both are the same program, so there are no versions.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// How a child answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// With the encoded result.
    Value = 1,
    /// The others with a text: what the panic said, and what is wrong with the argument, the result or the limit.
    Panic,
    Argument,
    Result,
    Memory,
}

const ANSWERS: [Answer; 5] = [Answer::Value, Answer::Panic, Answer::Argument, Answer::Result, Answer::Memory];

/// Names fields, so that types with optional or flattened fields come back as they went.
pub(super) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, String> {
    rmp_serde::to_vec_named(value).map_err(|error| error.to_string())
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    rmp_serde::from_slice(bytes).map_err(|error| error.to_string())
}

pub(super) fn write_request(to: &mut impl Write, memory: Option<u64>, argument: &[u8]) -> io::Result<()> {
    to.write_all(&memory.unwrap_or(u64::MAX).to_le_bytes())?;
    write_bytes(to, argument)
}

/// The limit of memory, and the argument.
pub(super) fn read_request(from: &mut impl Read) -> io::Result<(Option<u64>, Vec<u8>)> {
    let memory = read_number(from)?;
    Ok((Some(memory).filter(|limit| *limit != u64::MAX), read_bytes(from)?))
}

pub(super) fn write_answer(to: &mut impl Write, answer: Answer, bytes: &[u8]) -> io::Result<()> {
    to.write_all(&[answer as u8])?;
    write_bytes(to, bytes)
}

pub(super) fn read_answer(from: &mut impl Read) -> io::Result<(Answer, Vec<u8>)> {
    let mut number = [0];
    from.read_exact(&mut number)?;
    let answer = ANSWERS.into_iter().find(|answer| *answer as u8 == number[0]);
    let answer = answer.ok_or(io::ErrorKind::InvalidData)?;
    Ok((answer, read_bytes(from)?))
}

fn write_bytes(to: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    to.write_all(&(bytes.len() as u64).to_le_bytes())?;
    to.write_all(bytes)
}

fn read_bytes(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let length = read_number(from)?;
    // Grows with what comes, so that a child gone wild cannot have the parent reserve what it never sends.
    let mut bytes = Vec::new();
    from.take(length).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == length { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn read_number(from: &mut impl Read) -> io::Result<u64> {
    let mut bytes = [0; 8];
    from.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

/// A socket that gives an error of kind `TimedOut` once the time is up.
pub(super) struct Timed<'a> {
    socket: &'a UnixStream,
    /// `None` where the clock does not reach so far.
    deadline: Option<Instant>,
}

impl<'a> Timed<'a> {
    pub(super) fn new(socket: &'a UnixStream, timeout: Duration) -> Self {
        Self { socket, deadline: Instant::now().checked_add(timeout) }
    }

    fn left(&self) -> io::Result<Option<Duration>> {
        let Some(deadline) = self.deadline else { return Ok(None) };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }

    /// Asks again after a time-out of the socket, which may be a little early, and after a signal.
    fn until_late(&self, mut step: impl FnMut(Option<Duration>) -> io::Result<usize>) -> io::Result<usize> {
        loop {
            match step(self.left()?) {
                Err(error) if is_passing(&error) => {}
                done => return done,
            }
        }
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

impl Read for Timed<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let mut socket = self.socket;
        self.until_late(|left| {
            socket.set_read_timeout(left)?;
            socket.read(bytes)
        })
    }
}

impl Write for Timed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut socket = self.socket;
        self.until_late(|left| {
            socket.set_write_timeout(left)?;
            socket.write(bytes)
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_can_be_read() {
        for memory in [None, Some(0), Some(7)] {
            let mut bytes = Vec::new();
            write_request(&mut bytes, memory, b"argument").unwrap();
            assert_eq!(read_request(&mut bytes.as_slice()).unwrap(), (memory, b"argument".to_vec()));
        }
        for answer in ANSWERS {
            let mut bytes = Vec::new();
            write_answer(&mut bytes, answer, b"result").unwrap();
            assert_eq!(read_answer(&mut bytes.as_slice()).unwrap(), (answer, b"result".to_vec()));
            bytes.pop();
            read_answer(&mut bytes.as_slice()).unwrap_err();
        }
    }

    #[test]
    fn a_socket_without_an_answer_times_out() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let mut timed = Timed::new(&ours, Duration::from_millis(1));
        assert_eq!(read_answer(&mut timed).unwrap_err().kind(), io::ErrorKind::TimedOut);
        let much = vec![0; 1 << 22];
        let mut timed = Timed::new(&ours, Duration::from_millis(1));
        assert_eq!(write_request(&mut timed, None, &much).unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
