//! Captures on Linux: who is asked, how often, and when an answer counts.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::Taken;
use super::tables::{Cache, Tables};
use super::walk::{End, Path, Stack, Walk};
use crate::sys::{self, ThreadId, ThreadState};

/// A thread that changes between looks is looked at again so often.
const MOST_LOOKS: usize = 8;

/// Longer than what leads up to most system calls.
const MOMENT: Duration = Duration::from_micros(100);

/// So much of a sleeping thread's stack is copied, the next amount if the path goes on past the one before: a
/// large frame, or a deep recursion.
const COPIES: [usize; 3] = [64 * 1024, 256 * 1024, 1024 * 1024];

pub(super) struct Capture {
    tables: Option<Tables>,
    cache: Cache,
    stack: Stack,
}

pub(super) use crate::sys::{can_read_memory, is_refused};

impl Capture {
    pub(super) fn new() -> Self {
        Self { tables: None, cache: Cache::new(), stack: Stack { start: 0, bytes: Vec::new() } }
    }

    pub(super) fn take(&mut self, thread: ThreadId, still: &dyn Fn() -> bool) -> Option<Taken> {
        if !self.tables.as_ref().is_some_and(Tables::are_current) {
            self.tables = Some(Tables::new());
        }
        // Tables that contradict themselves could make the unwinder panic, and the caller must go on.
        let taken = catch_unwind(AssertUnwindSafe(|| self.look(thread, still))).ok().flatten();
        // A large copy is rare, and not worth keeping room for.
        self.stack.bytes.clear();
        self.stack.bytes.shrink_to(COPIES[0]);
        taken
    }

    fn look(&mut self, thread: ThreadId, still: &dyn Fn() -> bool) -> Option<Taken> {
        let mut cut = None;
        for _ in 0..MOST_LOOKS {
            if !still() {
                return None;
            }
            let state = sys::state_of(thread)?;
            let taken = match state {
                ThreadState::Gone => return None,
                // One that does not answer in time has no core now; a second wait would be too long.
                ThreadState::Running if is_busy(thread) => Some(self.running(thread)?),
                ThreadState::Running => None,
                ThreadState::Asleep | ThreadState::Uninterruptible | ThreadState::Stopped => {
                    self.asleep(thread, state)
                }
            };
            match taken {
                Some((taken, Extent::Whole)) if still() => return Some(taken),
                Some((taken, Extent::Cut)) if still() => cut = Some(taken),
                _ => {}
            }
        }
        cut
    }

    fn running(&mut self, thread: ThreadId) -> Option<(Taken, Extent)> {
        let registers = sys::interrupt(thread, &mut self.stack.bytes)?;
        self.stack.start = registers.stack_pointer;
        let mut path = self.walk()?.awake(&registers);
        // The program counter is the one address that is not yet behind its instruction.
        if let Some(first) = path.addresses.first_mut() {
            *first += 1;
        }
        Some((taken(ThreadState::Running, None, path), Extent::Whole))
    }

    fn asleep(&mut self, thread: ThreadId, state: ThreadState) -> Option<(Taken, Extent)> {
        let place = WaitPoint::of(thread)?;
        // Asked before and not in time, it may be answering now, and sleep there for a page of memory.
        if sys::is_copying(thread) {
            return None;
        }
        let (stack_pointer, program_counter) = place.registers()?;
        self.stack.start = stack_pointer;
        let mut best = None;
        for most in COPIES {
            self.stack.bytes.resize(most, 0);
            let length = sys::read_memory(self.stack.start, &mut self.stack.bytes);
            self.stack.bytes.truncate(length);
            // The copy counts only if the thread slept in one place all the while.
            if WaitPoint::of(thread).as_ref() != Some(&place) {
                break;
            }
            let path = self.walk()?.asleep(program_counter, stack_pointer);
            let goes_on = path.end == End::Copied && length == most;
            let taken = taken(state, place.system_call(), path);
            if !goes_on || Some(&most) == COPIES.last() {
                return Some((taken, Extent::Whole));
            }
            best = Some((taken, Extent::Cut));
        }
        best
    }

    fn walk(&mut self) -> Option<Walk<'_>> {
        Some(Walk { tables: self.tables.as_ref()?, cache: &mut self.cache, stack: &self.stack })
    }
}

/// Whether another look could show more of a path.
enum Extent {
    Whole,
    Cut,
}

/// Whether a thread gets on with work that takes longer than a moment. One that is about to sleep, or that
/// waits for a core perhaps on its way to sleep, would find its system call interrupted.
fn is_busy(thread: ThreadId) -> bool {
    let before = (sleeps_of(thread), sys::cpu_time_of(thread));
    std::thread::sleep(MOMENT);
    let after = (sleeps_of(thread), sys::cpu_time_of(thread));
    before.0 == after.0 && before.1 < after.1 && sys::state_of(thread) == Some(ThreadState::Running)
}

/// How often a thread has gone to sleep so far.
fn sleeps_of(thread: ThreadId) -> Option<u64> {
    sys::Status::of(thread)?.sleeps()
}

fn taken(state: ThreadState, system_call: Option<u64>, path: Path) -> Taken {
    let addresses = path.addresses.into_iter().filter_map(|address| usize::try_from(address).ok()).collect();
    Taken { state, system_call, addresses }
}

/// Where a thread sleeps: the kernel's line about it, "number a b c d e f sp pc", or "-1 sp pc" if it sleeps
/// outside of a system call, for a page of memory. Of a thread that runs it says only so.
#[derive(PartialEq, Eq)]
struct WaitPoint {
    line: [u8; 256],
    length: usize,
}

impl WaitPoint {
    fn of(thread: ThreadId) -> Option<Self> {
        let mut line = [0; 256];
        let length = sys::read_about(thread, "syscall", &mut line).ok()?;
        Some(Self { line, length })
    }

    fn fields(&self) -> Option<impl DoubleEndedIterator<Item = &str>> {
        Some(str::from_utf8(self.line.get(..self.length)?).ok()?.split_ascii_whitespace())
    }

    /// The system call, if it is one that blocks. One for memory waits as a page does that is not there yet, unless it asks for a
    /// file to be read in at once.
    fn system_call(&self) -> Option<u64> {
        let mut fields = self.fields()?;
        let number = fields.next()?.parse().ok()?;
        let mut reads = || {
            let flags = u64::from_str_radix(fields.nth(3)?.strip_prefix("0x")?, 16).ok()?;
            Some(u64::try_from(libc::SYS_mmap) == Ok(number) && flags & libc::MAP_POPULATE as u64 != 0)
        };
        (!sys::is_for_memory(number) || reads() == Some(true)).then_some(number)
    }

    /// The stack pointer and the program counter.
    fn registers(&self) -> Option<(u64, u64)> {
        let mut fields =
            self.fields()?.rev().map(|field| u64::from_str_radix(field.strip_prefix("0x")?, 16).ok());
        let (program_counter, stack_pointer) = (fields.next()??, fields.next()??);
        (program_counter != 0).then_some((stack_pointer, program_counter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_for_memory_is_in_no_call_that_blocks() {
        let call = |text: String| {
            let mut line = [0; 256];
            line[..text.len()].copy_from_slice(text.as_bytes());
            WaitPoint { line, length: text.len() }.system_call()
        };
        let with = |number: libc::c_long, flags: libc::c_int| {
            call(format!("{number} 0x0 0x1000 0x3 {flags:#x} 0xffffffff 0x0 0x7ffe0000 0x7f000000\n"))
        };
        let private = libc::MAP_PRIVATE;
        for number in [libc::SYS_mmap, libc::SYS_munmap, libc::SYS_mprotect, libc::SYS_clone3, libc::SYS_brk]
        {
            assert_eq!(with(number, private), None, "{number}");
        }
        let reads = with(libc::SYS_mmap, private | libc::MAP_POPULATE);
        assert_eq!(reads, u64::try_from(libc::SYS_mmap).ok());
        assert_eq!(with(libc::SYS_madvise, libc::MAP_POPULATE), None, "its fourth argument is none");
        assert_eq!(with(libc::SYS_read, 0), u64::try_from(libc::SYS_read).ok());
        assert_eq!(call("-1 0x7ffe0000 0x7f000000\n".into()), None);
        assert_eq!(call("running\n".into()), None);
    }
}
