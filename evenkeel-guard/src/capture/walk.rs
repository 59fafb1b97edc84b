//! Follows a copied stack from its registers outward.
//!
//! The kernel gives no frame pointer for a thread that sleeps. Most functions can be left without it; where
//! one cannot, its frame record is searched on the stack: two words, the second of which must be an address
//! after a call. The record is the right one if the call goes to the function at hand and the path from there
//! ends where threads begin.

use framehop::{Error, FrameAddress, UnwindRegsNative, Unwinder};

use super::machine::{self, Target};
use super::tables::{Cache, Tables};
use crate::sys::Registers;

/// Deeper paths lose their outer end.
pub(super) const MOST_FRAMES: usize = 256;

/// This many frame records are tried before the best so far is taken.
const MOST_TRIES: usize = 512;

/// The [`rank`] of a path that begins with a call of the right function, and does not get lost.
const CERTAIN: u8 = 4;

/// Stands for a frame pointer that is not known: no address, and not zero, which would say "outermost".
const UNKNOWN: u64 = 1;

/// A copy of a stack's inner end.
pub(super) struct Stack {
    pub(super) start: u64,
    pub(super) bytes: Vec<u8>,
}

impl Stack {
    const EMPTY: Self = Self { start: 0, bytes: Vec::new() };

    /// What lies further out than this is not of the same stack.
    fn limit(&self) -> u64 {
        self.start.saturating_add(1 << 30)
    }

    pub(super) fn end(&self) -> u64 {
        self.start.saturating_add(self.bytes.len() as u64)
    }

    fn word(&self, at: u64) -> Result<u64, ()> {
        let offset = usize::try_from(at.checked_sub(self.start).ok_or(())?).map_err(drop)?;
        let word = self.bytes.get(offset..).and_then(<[u8]>::first_chunk::<8>).ok_or(())?;
        Ok(u64::from_le_bytes(*word))
    }
}

/// How a path ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    /// At something that makes no sense.
    Lost,
    /// At the end of the copy.
    Copied,
    /// After [`MOST_FRAMES`].
    Full,
    /// Where threads begin.
    Root,
}

/// A path, innermost first: the program counter, then return addresses.
#[derive(Clone, Debug)]
pub(super) struct Path {
    pub(super) addresses: Vec<u64>,
    pub(super) end: End,
}

/// What may be a caller's frame.
struct Record {
    registers: Registers,
    target: Target,
}

impl Record {
    /// Reads two words as a frame record: the caller's frame pointer, and the address to return to.
    fn read(tables: &Tables, stack: &Stack, at: u64) -> Option<Self> {
        let (frame_pointer, link) = (stack.word(at).ok()?, stack.word(at + 8).ok()?);
        if !tables.is_code(link) {
            return None;
        }
        let target = machine::call_before(link)?;
        let registers = Registers { program_counter: link, stack_pointer: at + 16, frame_pointer, link };
        Some(Self { registers, target })
    }
}

/// Follows stacks with one set of tables.
pub(super) struct Walk<'a> {
    pub(super) tables: &'a Tables,
    pub(super) cache: &'a mut Cache,
    pub(super) stack: &'a Stack,
}

impl Walk<'_> {
    /// The path from registers that are all known.
    pub(super) fn awake(&mut self, registers: &Registers) -> Path {
        self.follow(vec![registers.program_counter], *registers).0
    }

    /// The path of a thread whose frame pointer is not known.
    pub(super) fn asleep(&mut self, program_counter: u64, stack_pointer: u64) -> Path {
        let link = 0;
        let registers = Registers { program_counter, stack_pointer, frame_pointer: UNKNOWN, link };
        let (inner, stopped_at) = self.follow(vec![program_counter], registers);
        match stopped_at {
            Some(stack_pointer) => self.search(&inner, stack_pointer),
            _ => inner,
        }
    }

    /// Goes on from a path that needs a frame pointer, above a stack pointer.
    fn search(&mut self, inner: &Path, stack_pointer: u64) -> Path {
        // A return address may already lie behind its function, if that one never gets control back.
        let last = *inner.addresses.last().expect("every path has its first address");
        let function = self.tables.function(last - u64::from(inner.addresses.len() > 1));
        let function = function.map(|range| range.start);
        let (inner_length, mut best, mut best_rank) = (inner.addresses.len(), inner.clone(), 0);
        let candidates = (stack_pointer..self.stack.end().saturating_sub(15)).step_by(8);
        let (tables, stack) = (self.tables, self.stack);
        let candidates = candidates.filter_map(|at| Record::read(tables, stack, at));
        for record in candidates.take(MOST_TRIES) {
            let mut addresses = inner.addresses.clone();
            addresses.push(record.registers.program_counter);
            let (path, _) = self.follow(addresses, record.registers);
            let rank = self.rank(&path, inner_length, record.target, function);
            if rank > best_rank {
                (best, best_rank) = (path, rank);
            }
            if best_rank >= CERTAIN {
                break;
            }
        }
        best
    }

    /// How much speaks for a path, past its inner part; zero if something speaks against it.
    fn rank(&self, path: &Path, inner: usize, target: Target, function: Option<u64>) -> u8 {
        let mut outer = path.addresses[inner..].iter();
        if path.end == End::Lost || outer.any(|&address| machine::call_before(address).is_none()) {
            return 0;
        }
        let fit = match (target, function) {
            (Target::Known(target), Some(function)) if self.leads_to(target, function) => 3,
            (Target::Unknown, _) => 1,
            (Target::Known(_), _) => 0,
        };
        1 + fit + u8::from(path.end == End::Root)
    }

    /// Whether a call of one function may be found in another: what was called may have jumped on.
    fn leads_to(&self, target: u64, function: u64) -> bool {
        let jumps_on = || machine::jumps_to(self.tables.function(target)?, function).then_some(());
        target == function || jumps_on().is_some()
    }

    /// Goes from frame to frame. The second value is the stack pointer at which an unknown frame pointer was
    /// needed, if one was.
    fn follow(&mut self, mut addresses: Vec<u64>, from: Registers) -> (Path, Option<u64>) {
        let mut registers = machine::registers(&from);
        let mut stack_pointer = from.stack_pointer;
        let end = loop {
            let last = *addresses.last().expect("callers give the first address");
            let frame = match addresses.len() {
                1 => FrameAddress::from_instruction_pointer(last),
                _ => FrameAddress::from_return_address(last).expect("zero ends the path below"),
            };
            let mut missed = false;
            match self.step(frame, &mut registers, &mut missed) {
                // The unwinder may have found an answer all the same, but only by guessing.
                _ if missed => break End::Copied,
                Ok(Some(address)) if address != 0 && registers.sp() >= stack_pointer => {
                    stack_pointer = registers.sp();
                    addresses.push(address);
                }
                Ok(None) if self.is_root(frame) => break End::Root,
                Ok(_) | Err(_) => break End::Lost,
            }
            if addresses.len() >= MOST_FRAMES {
                break End::Full;
            }
        };
        let needs_pointer = end < End::Full && machine::frame_pointer(&registers) == UNKNOWN;
        (Path { addresses, end }, needs_pointer.then_some(stack_pointer))
    }

    /// Goes to the caller. `missed` tells whether that needed a word past the end of the copy.
    fn step(
        &mut self,
        frame: FrameAddress,
        registers: &mut UnwindRegsNative,
        missed: &mut bool,
    ) -> Result<Option<u64>, Error> {
        let (stack, mut failed) = (self.stack, false);
        let mut read = |at| {
            let word = stack.word(at);
            failed |= word.is_err();
            *missed |= word.is_err() && (stack.end().saturating_sub(7)..stack.limit()).contains(&at);
            word
        };
        let outcome = self.tables.unwinder.unwind_frame(frame, registers, self.cache, &mut read);
        // After a failure the cache may hold a makeshift rule for this address, which would be used again.
        if failed {
            *self.cache = Cache::new();
        }
        outcome
    }

    /// Whether the tables say that a function has no caller. Other ways to find an end depend on what the
    /// stack holds; with a stack that cannot be read, only this one is left.
    fn is_root(&mut self, frame: FrameAddress) -> bool {
        let nowhere =
            Registers { program_counter: 1, stack_pointer: 8, frame_pointer: UNKNOWN, link: UNKNOWN };
        let mut registers = machine::registers(&nowhere);
        let mut walk = Walk { stack: &Stack::EMPTY, tables: self.tables, cache: self.cache };
        walk.step(frame, &mut registers, &mut false) == Ok(None)
    }
}
