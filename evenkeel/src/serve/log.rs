//! The log on standard error: anyone who logs never waits for its reader, and never fails because of it.
//!
//! A thread of its own writes. What it cannot write, because the reader is gone, does not read, or the disk of the file is
//! full, is lost and counted, and the log says how much once it works again.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use super::levels::Levels;
use super::panics::{self, PanicObserver};
use super::shown::Shown;
use crate::error::{Error, Result};

/// How much may wait to be written; beyond it, lines are lost.
const WAITING_BYTES: usize = 1 << 20;
/// How long the end of the process waits for what is not written yet.
const LAST: Duration = Duration::from_secs(1);
/// Between two tries on a standard error that takes nothing and does not wait either.
const PAUSE: Duration = Duration::from_millis(20);

/// Standard error belongs to the process, and so does this.
static LOST: AtomicU64 = AtomicU64::new(0);

/// How many lines could not be written, since the start of the process.
pub(super) fn lost_lines() -> u64 {
    LOST.load(Relaxed)
}

/// Logs to standard error until it is dropped, which writes what is left; `None` where the program has set up logging before.
pub(super) fn start(text: Option<&str>) -> Result<Option<Log>> {
    let levels = Levels::new(text.unwrap_or("info")).map_err(Error::config)?;
    let log = Log(Arc::default());
    let is_coloured = io::stderr().is_terminal();
    let writer = Shown { to: Lines(Arc::clone(&log.0)), is_coloured };
    let format = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(is_coloured);
    // Its complaint about a line that cannot be written would go to standard error as well, and panic.
    let format = format.log_internal_errors(false).with_filter(levels.filter());
    // The program's own subscriber, if there is one, stays.
    if tracing_subscriber::registry().with(format).try_init().is_err() {
        return Ok(None);
    }
    let shared = Arc::clone(&log.0);
    let writing = std::thread::Builder::new().name("evenkeel-log".to_owned());
    let writer = Writer { out: standard_error(), lost: 0, is_torn: false, why: None };
    let started = writing.spawn(move || writer.run(&shared));
    started.map_err(|error| Error::from(error).context("cannot start the log's thread"))?;
    panics::tell(Arc::clone(&log.0));
    Ok(Some(log))
}

/// Standard error, without the lock of std's: others that write there must not wait for the log's reader.
fn standard_error() -> Box<dyn Write + Send> {
    #[cfg(unix)]
    if let Ok(own) = std::os::fd::AsFd::as_fd(&io::stderr()).try_clone_to_owned() {
        return Box::new(std::fs::File::from(own));
    }
    Box::new(io::stderr())
}

/// The end that the bot holds. The thread ends with the process: what handlers log that outlive the bot is written, too.
#[derive(Debug)]
pub(super) struct Log(Arc<Shared>);

impl Drop for Log {
    fn drop(&mut self) {
        self.0.write_soon();
        self.0.is_closed.store(true, Relaxed);
    }
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    /// The writer waits for it.
    filled: Condvar,
    /// Anyone who ends the process waits for it.
    written: Condvar,
    /// Whether the bot has ended, and standard error is the program's own again.
    is_closed: AtomicBool,
}

/// Whole lines. Held for a copy, never while anything is written.
#[derive(Debug, Default)]
struct Queue {
    bytes: Vec<u8>,
    /// Lines that found no room since the writer last looked.
    lost: u64,
    is_writing: bool,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, line: &[u8]) {
        let mut queue = self.queue();
        if queue.bytes.len() + line.len() > WAITING_BYTES {
            queue.lost += 1;
            LOST.fetch_add(1, Relaxed);
            return;
        }
        queue.bytes.extend_from_slice(line);
        self.filled.notify_one();
    }
}

impl PanicObserver for Arc<Shared> {
    fn is_open(&self) -> bool {
        !self.is_closed.load(Relaxed)
    }

    fn observe(&self, line: &str) {
        // The queue takes everything.
        let _taken = Shown { to: &**self, is_coloured: false }.write_all(line.as_bytes());
    }

    fn write_soon(&self) {
        let is_busy = |queue: &mut Queue| queue.is_writing || !queue.bytes.is_empty();
        drop(self.written.wait_timeout_while(self.queue(), LAST, is_busy));
    }
}

/// What `tracing` writes into: one call for one line.
struct Lines(Arc<Shared>);

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Shared;

    fn make_writer(&'a self) -> Self::Writer {
        &self.0
    }
}

impl Write for &Shared {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.add(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes lines to where they can be read.
struct Writer<W> {
    out: W,
    /// Lines that are not told of yet.
    lost: u64,
    /// Whether the last line was written in part.
    is_torn: bool,
    /// The last error.
    why: Option<ErrorKind>,
}

impl<W: Write> Writer<W> {
    fn run(mut self, shared: &Shared) {
        loop {
            let is_idle = |queue: &mut Queue| queue.bytes.is_empty();
            let waiting = shared.filled.wait_while(shared.queue(), is_idle);
            let mut queue = waiting.unwrap_or_else(PoisonError::into_inner);
            let (bytes, lost) = (std::mem::take(&mut queue.bytes), std::mem::take(&mut queue.lost));
            queue.is_writing = true;
            drop(queue);
            self.write(&bytes);
            // They came when no more found room behind these.
            self.lost += lost;
            self.tell();
            shared.queue().is_writing = false;
            shared.written.notify_all();
        }
    }

    /// Writes whole lines, after a word about those that are missing before them.
    fn write(&mut self, lines: &[u8]) {
        self.tell();
        // While it cannot be said that lines are missing, none is written that would hide it.
        let written = if self.lost > 0 { Err(0) } else { self.put(lines) };
        if let Err(written) = written {
            let left = lines.get(written..).unwrap_or_default();
            let lost = left.iter().filter(|byte| **byte == b'\n').count() as u64;
            self.lost += lost;
            LOST.fetch_add(lost, Relaxed);
        }
    }

    /// Says how many lines are missing, if it can.
    fn tell(&mut self) {
        if self.lost == 0 || self.is_torn && self.put(b"\n").is_err() {
            return;
        }
        if self.put(self.missing().as_bytes()).is_ok() {
            (self.lost, self.why) = (0, None);
        }
    }

    fn missing(&self) -> String {
        let (now, lost) = (jiff::Timestamp::now(), self.lost);
        let lines = if lost == 1 { "line is" } else { "lines are" };
        let why = self.why.map_or_else(|| "nobody read them in time".to_owned(), |why| why.to_string());
        format!("{now:.6}  WARN evenkeel::log: {lost} {lines} missing here: {why}\n")
    }

    /// Writes all of it, or says how much was written. Waits where the other end takes its time.
    fn put(&mut self, mut bytes: &[u8]) -> Result<(), usize> {
        let whole = bytes.len();
        while !bytes.is_empty() {
            match self.out.write(bytes) {
                Ok(0) => self.why = Some(ErrorKind::WriteZero),
                Ok(count) => {
                    self.is_torn = bytes.get(count - 1) != Some(&b'\n');
                    bytes = bytes.get(count..).unwrap_or_default();
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    std::thread::sleep(PAUSE);
                    continue;
                }
                Err(error) => self.why = Some(error.kind()),
            }
            return Err(whole - bytes.len());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader that takes this many bytes, and then is as it is told to be.
    #[derive(Default)]
    struct Reader {
        read: Vec<u8>,
        room: usize,
        errors: Vec<ErrorKind>,
    }

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes.len().min(self.room);
            if count == 0 {
                return Err(self.errors.pop().unwrap_or(ErrorKind::BrokenPipe).into());
            }
            self.room -= count;
            self.read.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn writer(room: usize) -> Writer<Reader> {
        Writer { out: Reader { room, ..Reader::default() }, lost: 0, is_torn: false, why: None }
    }

    fn read(writer: &Writer<Reader>) -> Vec<&str> {
        std::str::from_utf8(&writer.out.read).unwrap().lines().collect()
    }

    #[test]
    fn lines_that_nobody_reads_are_lost_and_counted_and_told_of() {
        let mut writer = writer(4);
        writer.write(b"one\ntwo\nthree\n");
        writer.write(b"four\n");
        assert_eq!((read(&writer), writer.lost), (vec!["one"], 3));
        writer.out.room = 1_000;
        writer.write(b"five\n");
        let lines = read(&writer);
        assert!(lines[1].ends_with("WARN evenkeel::log: 3 lines are missing here: broken pipe"), "{lines:?}");
        assert_eq!((lines.len(), lines[2], writer.lost), (3, "five", 0));
    }

    #[test]
    fn a_line_that_was_torn_ends_before_the_next_begins() {
        let mut writer = writer(6);
        writer.out.errors = vec![ErrorKind::StorageFull];
        writer.write(b"one\ntwo\n");
        writer.out.room = 1_000;
        writer.write(b"three\n");
        let lines = read(&writer);
        assert_eq!((lines[0], lines[1], lines[3]), ("one", "tw", "three"));
        assert!(lines[2].ends_with("1 line is missing here: no storage space"), "{lines:?}");
    }

    #[test]
    fn what_asks_to_try_again_loses_nothing() {
        let mut writer = writer(0);
        writer.out.errors = vec![ErrorKind::BrokenPipe, ErrorKind::Interrupted, ErrorKind::WouldBlock];
        assert_eq!(writer.put(b"one\n"), Err(0));
        assert!(writer.out.errors.is_empty(), "both were tried again");
    }

    #[test]
    fn a_thread_that_logs_waits_for_nobody() {
        let (shared, line) = (Shared::default(), [b'x'; 1 << 10]);
        let before = lost_lines();
        for _ in 0..WAITING_BYTES / line.len() + 3 {
            (&shared).write_all(&line).unwrap();
        }
        let queue = shared.queue();
        assert_eq!((queue.lost, queue.bytes.len()), (3, WAITING_BYTES));
        assert!(lost_lines() >= before + 3);
    }
}
