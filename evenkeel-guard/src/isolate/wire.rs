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
    /// Without anything: the result is larger than the parent allows.
    TooLarge,
}

const ANSWERS: [Answer; 6] =
    [Answer::Value, Answer::Panic, Answer::Argument, Answer::Result, Answer::Memory, Answer::TooLarge];

/// What the parent asks for, behind the entry.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// In bytes.
    pub(super) memory: Option<u64>,
    /// In bytes, of the encoded result.
    pub(super) result_limit: u64,
    pub(super) argument: Vec<u8>,
}

/// Why a value could not be written.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unwritten {
    TooLarge,
    Unfit(String),
}

/// Takes bytes up to a limit.
struct Bounded {
    bytes: Vec<u8>,
    limit: u64,
    is_full: bool,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if (self.bytes.len() + bytes.len()) as u64 > self.limit {
            self.is_full = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Names fields, so that types with optional or flattened fields come back as they went. No more bytes than the limit
/// are ever held.
pub(super) fn encode<T: Serialize>(value: &T, limit: u64) -> Result<Vec<u8>, Unwritten> {
    let mut bounded = Bounded { bytes: Vec::new(), limit, is_full: false };
    match rmp_serde::encode::write_named(&mut bounded, value) {
        // A type may take no notice of the error.
        _ if bounded.is_full => Err(Unwritten::TooLarge),
        Ok(()) => Ok(bounded.bytes),
        Err(error) => Err(Unwritten::Unfit(error.to_string())),
    }
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    rmp_serde::from_slice(bytes).map_err(|error| error.to_string())
}

pub(super) fn write_request(to: &mut impl Write, request: &Request) -> io::Result<()> {
    to.write_all(&request.memory.unwrap_or(u64::MAX).to_le_bytes())?;
    to.write_all(&request.result_limit.to_le_bytes())?;
    write_bytes(to, &request.argument)
}

pub(super) fn read_request(from: &mut impl Read) -> io::Result<Request> {
    let memory = Some(read_number(from)?).filter(|limit| *limit != u64::MAX);
    let result_limit = read_number(from)?;
    Ok(Request { memory, result_limit, argument: read_bytes(from, u64::MAX)? })
}

pub(super) fn write_answer(to: &mut impl Write, answer: Answer, bytes: &[u8]) -> io::Result<()> {
    to.write_all(&[answer as u8])?;
    write_bytes(to, bytes)
}

/// Believes the child nothing: not that a result keeps to the limit, and not that a text is short.
pub(super) fn read_answer(from: &mut impl Read, result_limit: u64) -> io::Result<(Answer, Vec<u8>)> {
    const LONGEST_TEXT: u64 = 64 * 1024;
    let mut number = [0];
    from.read_exact(&mut number)?;
    let answer = ANSWERS.into_iter().find(|answer| *answer as u8 == number[0]);
    let answer = answer.ok_or(io::ErrorKind::InvalidData)?;
    let limit = if answer == Answer::Value { result_limit } else { LONGEST_TEXT };
    match read_bytes(from, limit) {
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Ok((Answer::TooLarge, Vec::new())),
        bytes => Ok((answer, bytes?)),
    }
}

fn write_bytes(to: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    to.write_all(&(bytes.len() as u64).to_le_bytes())?;
    to.write_all(bytes)
}

fn read_bytes(from: &mut impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let length = read_number(from)?;
    if length > limit {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
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

    fn request(memory: Option<u64>, argument: Vec<u8>) -> Request {
        Request { memory, result_limit: 9, argument }
    }

    #[test]
    fn what_is_written_can_be_read() {
        for memory in [None, Some(0), Some(7)] {
            let (mut bytes, request) = (Vec::new(), request(memory, b"argument".to_vec()));
            write_request(&mut bytes, &request).unwrap();
            assert_eq!(read_request(&mut bytes.as_slice()).unwrap(), request);
        }
        for answer in ANSWERS {
            let mut bytes = Vec::new();
            write_answer(&mut bytes, answer, b"result").unwrap();
            assert_eq!(read_answer(&mut bytes.as_slice(), 6).unwrap(), (answer, b"result".to_vec()));
            bytes.pop();
            read_answer(&mut bytes.as_slice(), 6).unwrap_err();
        }
    }

    #[test]
    fn nothing_beyond_a_limit_is_written_or_read() {
        assert_eq!(encode(&"four", 5), Ok(b"\xA4four".to_vec()));
        assert_eq!(encode(&"four", 4), Err(Unwritten::TooLarge));
        assert_eq!(encode(&(), 0), Err(Unwritten::TooLarge));
        let mut bytes = Vec::new();
        write_answer(&mut bytes, Answer::Value, b"result").unwrap();
        assert_eq!(read_answer(&mut bytes.as_slice(), 5).unwrap(), (Answer::TooLarge, Vec::new()));
        // A child gone wild may say any length, of a text as well.
        for answer in [Answer::Value, Answer::Panic] {
            let mut bytes = vec![answer as u8];
            bytes.extend(u64::MAX.to_le_bytes());
            assert_eq!(read_answer(&mut bytes.as_slice(), 5).unwrap().0, Answer::TooLarge);
        }
    }

    #[test]
    fn a_socket_without_an_answer_times_out() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let mut timed = Timed::new(&ours, Duration::from_millis(1));
        assert_eq!(read_answer(&mut timed, 9).unwrap_err().kind(), io::ErrorKind::TimedOut);
        let much = request(None, vec![0; 1 << 22]);
        let mut timed = Timed::new(&ours, Duration::from_millis(1));
        assert_eq!(write_request(&mut timed, &much).unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
