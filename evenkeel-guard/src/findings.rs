//! What was found, on its way from the thread that finds it to the one that looks into it.
//!
//! Who finds may be in the middle of an allocation, so nothing here allocates, frees or locks on its side: a queue with a fixed
//! number of places, a fixed number of sheets for stacks that nobody has seen yet, and a table of those that are known.

mod known;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::Duration;

use concurrent_queue::ConcurrentQueue;

use crate::report::Class;
use crate::slot::{CommandId, Role};
use crate::sys::stack;
use known::Claim;
pub(crate) use known::{Known, Sight, key};

/// Findings that may wait to be looked into.
const WAITING: usize = 2048;
/// Stacks that nobody has seen before and that may wait. Each is written to the queue once.
const SHEETS: usize = 128;
/// Who waits for the reader looks after this time whether there is still one.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// How often a test lets others run before it takes a full queue for one that stays full.
const PATIENCE: u32 = 100_000;

/// Something that kept a thread.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    /// The same for all findings of one call, higher than that of any earlier one.
    pub(crate) incident: u64,
    /// The same for all calls of one poll.
    pub(crate) poll: u64,
    pub(crate) command: CommandId,
    pub(crate) role: Role,
    pub(crate) symbol: Option<&'static str>,
    pub(crate) class: Class,
    pub(crate) stacks: Stacks,
    pub(crate) elapsed: Duration,
    pub(crate) is_over: bool,
    /// How long the others waited for a successor; `None` where none has come.
    pub(crate) taken_over: Option<Duration>,
    /// Whether something else in the same poll was right where it is.
    pub(crate) is_excused: bool,
}

/// Where a thing was found.
#[derive(Clone, Debug)]
pub(crate) enum Stacks {
    /// No stack was taken.
    None,
    /// One that was seen before, under this key.
    Known(u64),
    /// One that lies on a sheet.
    Sheet { key: u64, sheet: u16, length: u16 },
    /// One stack, or several of one poll at different moments. Innermost address first.
    Taken(Vec<Arc<[usize]>>),
}

pub(crate) enum Message {
    Finding(Finding),
    /// Answered when all before it is done.
    Flush(SyncSender<()>),
}

pub(crate) struct Findings {
    queue: ConcurrentQueue<Message>,
    sheets: Box<[AtomicUsize]>,
    free: ConcurrentQueue<u16>,
    pub(crate) known: Known,
    /// Set by the reader before it sleeps, cleared by who wakes it.
    is_waiting: AtomicBool,
    is_closed: AtomicBool,
    reader: OnceLock<Thread>,
}

impl Findings {
    pub(crate) fn new() -> Arc<Self> {
        let free = ConcurrentQueue::bounded(SHEETS);
        for sheet in 0..SHEETS as u16 {
            // As many as there is room for.
            let _free = free.push(sheet);
        }
        Arc::new(Self {
            queue: ConcurrentQueue::bounded(WAITING),
            sheets: stack::unwritten(SHEETS * stack::MOST),
            free,
            known: Known::new(),
            is_waiting: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            reader: OnceLock::new(),
        })
    }

    /// What a finding says of a stack: a new one is written on a sheet. `None` where there is none left.
    pub(crate) fn keep(&self, key: u64, write: impl FnOnce(&[AtomicUsize]) -> usize) -> Option<Stacks> {
        if self.known.claim(key) == Claim::Known {
            return Some(Stacks::Known(key));
        }
        let Ok(sheet) = self.free.pop() else {
            self.known.forget(key);
            return None;
        };
        let length = write(self.sheet(sheet)) as u16;
        Some(Stacks::Sheet { key, sheet, length })
    }

    /// Queues a finding, and wakes the reader. Answers the finding where there is no room: then nobody looks into it.
    pub(crate) fn push(&self, finding: Finding) -> Result<(), Finding> {
        let mut waits = if finding.role == Role::Strict { PATIENCE } else { 0 };
        let mut message = Message::Finding(finding);
        while let Err(refused) = self.queue.push(message) {
            message = refused.into_inner();
            if waits == 0 || self.is_closed() {
                return self.take_back(message);
            }
            waits -= 1;
            self.wake();
            thread::yield_now();
        }
        self.wake();
        Ok(())
    }

    /// Its stack, if it was new, is new again.
    fn take_back(&self, message: Message) -> Result<(), Finding> {
        let Message::Finding(finding) = message else { return Ok(()) };
        if let Stacks::Sheet { key, sheet, .. } = finding.stacks {
            self.known.forget(key);
            let _free = self.free.push(sheet);
        }
        Err(finding)
    }

    /// Waits until all that was pushed before has been looked into, or until nobody looks any more.
    pub(crate) fn flush(&self) {
        let (done, is_done) = sync_channel(1);
        let mut message = Message::Flush(done);
        while let Err(refused) = self.queue.push(message) {
            if self.is_closed() {
                return;
            }
            message = refused.into_inner();
            self.wake();
            thread::yield_now();
        }
        self.wake();
        // A reader that ends after this has come in answers nobody, and lets nobody know.
        while is_done.recv_timeout(LOOK_AGAIN) == Err(RecvTimeoutError::Timeout) && !self.is_closed() {}
    }

    /// The next message for the reader; it becomes `None` after so long without one, or once all is closed.
    pub(crate) fn next(&self, most: Option<Duration>) -> Option<Message> {
        self.reader.get_or_init(thread::current);
        loop {
            if let Ok(message) = self.queue.pop() {
                return Some(message);
            }
            self.is_waiting.store(true, Ordering::SeqCst);
            if let Ok(message) = self.queue.pop() {
                self.is_waiting.store(false, Ordering::SeqCst);
                return Some(message);
            }
            if self.is_closed() {
                return None;
            }
            match most {
                Some(most) => thread::park_timeout(most),
                None => thread::park(),
            }
            if self.is_waiting.swap(false, Ordering::SeqCst) && most.is_some() {
                return self.queue.pop().ok();
            }
        }
    }

    /// Reads a sheet, which is free from then on.
    pub(crate) fn read(&self, sheet: u16, length: u16) -> Arc<[usize]> {
        let stack = stack::read(self.sheet(sheet), length.into());
        // It came from there, so there is room.
        let _free = self.free.push(sheet);
        stack.into()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::SeqCst);
        if let Some(reader) = self.reader.get() {
            reader.unpark();
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::SeqCst)
    }

    fn wake(&self) {
        if self.is_waiting.load(Ordering::SeqCst)
            && self.is_waiting.swap(false, Ordering::SeqCst)
            && let Some(reader) = self.reader.get()
        {
            reader.unpark();
        }
    }

    fn sheet(&self, sheet: u16) -> &[AtomicUsize] {
        let start = usize::from(sheet) * stack::MOST;
        &self.sheets[start..start + stack::MOST]
    }
}

/// Closes the findings when their reader ends, also by a panic.
pub(crate) struct Reading(pub(crate) Arc<Findings>);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn finding(incident: u64, stacks: Stacks) -> Finding {
        Finding {
            incident,
            poll: 1,
            command: 2,
            role: Role::Worker,
            symbol: Some("read"),
            class: Class::File,
            stacks,
            elapsed: Duration::ZERO,
            is_over: true,
            taken_over: None,
            is_excused: false,
        }
    }

    #[test]
    fn a_stack_is_written_down_once() {
        let findings = Findings::new();
        let write = |sheet: &[AtomicUsize]| stack::write(&[1, 2, 3], sheet);
        let Some(Stacks::Sheet { key: 9, sheet, length }) = findings.keep(9, write) else {
            panic!("the first one is written")
        };
        assert!(matches!(findings.keep(9, write), Some(Stacks::Known(9))));
        assert_eq!(&*findings.read(sheet, length), [1, 2, 3]);
    }

    #[test]
    fn what_finds_no_room_is_refused_and_comes_anew_the_next_time() {
        let findings = Findings::new();
        for incident in 0..WAITING as u64 {
            assert!(findings.push(finding(incident, Stacks::None)).is_ok());
        }
        let stacks = findings.keep(9, |_| 0).expect("a sheet is free");
        assert!(findings.push(finding(0, stacks)).is_err());
        assert!(matches!(findings.keep(9, |_| 0), Some(Stacks::Sheet { .. })));
        for key in 10..10 + SHEETS as u64 {
            findings.keep(key, |_| 0);
        }
        assert!(findings.keep(1000, |_| 0).is_none(), "no sheet is left");
    }

    #[test]
    fn who_waits_for_a_reader_that_ends_goes_on() {
        let findings = Findings::new();
        let waiting = Arc::clone(&findings);
        let waits = thread::spawn(move || waiting.flush());
        while findings.is_empty() {
            thread::yield_now();
        }
        findings.close();
        waits.join().expect("it ends though nobody has answered");
        findings.flush();
    }

    #[test]
    fn a_reader_that_waits_is_woken() {
        let findings = Findings::new();
        let reader = Arc::clone(&findings);
        let reading = thread::spawn(move || {
            let mut seen = 0;
            while let Some(message) = reader.next(None) {
                match message {
                    Message::Finding(_) => seen += 1,
                    Message::Flush(done) => done.send(()).expect("somebody waits"),
                }
            }
            seen
        });
        for incident in 0..1000 {
            while findings.push(finding(incident, Stacks::None)).is_err() {
                thread::yield_now();
            }
        }
        findings.flush();
        findings.close();
        assert_eq!(reading.join().expect("the reader ends"), 1000);
    }
}
