//! Where a thread shows what it polls: the thread writes, the watchdog reads.
//!
//! A poll costs its thread six plain stores and three loads, no clock and no read-modify-write.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::call::{CallCell, DeepStacks, Replacement};
use crate::crew::Member;
use crate::hook;
use crate::sys::{self, Priority, ThreadId};

/// This many polls that panicked are remembered of a thread.
const PANICS: usize = 8;

/// The number of a command in the registry of its executor.
pub(crate) type CommandId = u32;

/// What a thread is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Polls whatever comes, and has to be replaced when it blocks.
    Worker,
    /// Polls commands that were caught blocking: it may block.
    Quarantine,
    /// A thread of somebody else's runtime: seen, but not to be replaced.
    Guest,
    /// A test.
    Strict,
}

/// One thread, as the watchdog sees it.
#[derive(Debug)]
pub(crate) struct Slot {
    /// Odd while a poll is running; each poll adds two.
    sequence: AtomicU64,
    command: AtomicU32,
    pub(crate) thread: ThreadId,
    pub(crate) role: Role,
    /// Whose place is to be filled; a worker has one, nobody else.
    pub(crate) member: Option<Arc<Member>>,
    /// Set when the watchdog has given the thread the lowest priority, which it cannot give back.
    is_lowered: AtomicBool,
    /// The call that is blocking the thread right now, if the hook saw it coming.
    pub(crate) call: CallCell,
    pub(crate) deep: DeepStacks,
    pub(crate) replacement: Replacement,
    /// The command whose wait for a lock was found to last, until the wait is over; zero otherwise.
    lasting: AtomicU32,
    /// The last poll in which something was found to be right where it is.
    excused_poll: AtomicU64,
    /// The last polls that panicked, as far as a call was seen meanwhile: the watchdog hears of each that is long before this many
    /// others could have been.
    panicked_polls: [AtomicU64; PANICS],
    panics: AtomicUsize,
}

thread_local! {
    /// The command that the future which is being polled has become, until its task has taken note; zero otherwise.
    static RENAMED: Cell<CommandId> = const { Cell::new(0) };
    /// What this thread is to the guard.
    static HERE: RefCell<Option<Here>> = const { RefCell::new(None) };
}

/// A thread, and the guard that watches it.
#[derive(Clone)]
pub(crate) struct Here {
    pub(crate) slot: Arc<Slot>,
    pub(crate) observer: Arc<dyn PollObserver>,
    /// Another guard that watches the same thread.
    pub(crate) other: Option<Arc<Here>>,
}

/// Who is told of a call that blocks a watched thread. Told on that thread, with the hook deaf, and under its rules: no
/// allocation and no lock on the way of a call.
pub(crate) trait PollObserver: Send + Sync {
    /// Before the call.
    fn before(&self, slot: &Arc<Slot>, call: &hook::Call);
    /// After it.
    fn after(&self, slot: &Arc<Slot>, call: &hook::Call);
    /// The thread is about to block, and says so: it is relieved and not reported.
    fn excuse(&self, slot: &Arc<Slot>);
    /// The number of a label in the registry.
    fn command(&self, label: &crate::report::Label) -> CommandId;
    /// Whether the command may run on this thread; if not, its task has to be scheduled anew. `is_new` says that its task was
    /// something else until now.
    fn admits(&self, slot: &Slot, command: CommandId, is_new: bool) -> Admission;
}

/// Where a command may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    Here,
    Elsewhere,
    /// It belongs in quarantine, and the queue in front of it is full.
    Full,
}

impl Slot {
    /// The slot of the calling thread.
    pub(crate) fn here(role: Role, member: Option<Arc<Member>>) -> Arc<Self> {
        let (sequence, command) = (AtomicU64::new(0), AtomicU32::new(0));
        let thread = sys::current_thread();
        Arc::new(Self {
            sequence,
            command,
            thread,
            role,
            member,
            is_lowered: AtomicBool::new(false),
            call: CallCell::new(),
            deep: DeepStacks::default(),
            replacement: Replacement::default(),
            lasting: AtomicU32::new(0),
            excused_poll: AtomicU64::new(0),
            panicked_polls: [const { AtomicU64::new(0) }; PANICS],
            panics: AtomicUsize::new(0),
        })
    }

    /// Whether this is a worker that was not replaced.
    pub(crate) fn has_place(&self) -> bool {
        self.member.as_ref().is_some_and(|member| !member.is_relieved())
    }

    /// The watchdog finds that a wait lasts. Answers whether that is new.
    pub(crate) fn lasts(&self, command: CommandId) -> bool {
        self.lasting.swap(command, Ordering::AcqRel) == 0
    }

    /// Whatever lasted is over: answers whose it was.
    pub(crate) fn lasted(&self) -> Option<CommandId> {
        if self.lasting.load(Ordering::Relaxed) == 0 {
            return None;
        }
        Some(self.lasting.swap(0, Ordering::AcqRel)).filter(|command| *command != 0)
    }

    /// Polls with the slot showing `command`: the whole cost of the guard, for a thread that does nothing else. `poll`
    /// must not unwind.
    #[inline]
    pub(crate) fn polling<T>(&self, command: CommandId, poll: impl FnOnce() -> T) -> T {
        self.command.store(command, Ordering::Relaxed);
        // Only this thread writes the number, so it needs no read-modify-write. Release, so that the watchdog that
        // sees the odd number also sees the command.
        let sequence = self.sequence.load(Ordering::Relaxed);
        self.sequence.store(sequence + 1, Ordering::Release);
        hook::watch(true);
        let result = poll();
        hook::watch(false);
        self.sequence.store(sequence + 2, Ordering::Release);
        result
    }

    /// The same inside another poll of the same thread, and for polls that may unwind.
    pub(crate) fn polling_within<T>(&self, command: CommandId, poll: impl FnOnce() -> T) -> T {
        let outer = self.command.swap(command, Ordering::Relaxed);
        let sequence = self.sequence.load(Ordering::Relaxed);
        // Odd in any case, and another one than before.
        self.sequence.store((sequence + 1) | 1, Ordering::Release);
        let _within = Within { slot: self, sequence, outer, was_watching: hook::watch(true) };
        poll()
    }

    /// Runs what may block, in the middle of a poll: until it returns, the thread counts as one that polls nothing.
    pub(crate) fn outside<T>(&self, call: impl FnOnce() -> T) -> T {
        let sequence = self.sequence.load(Ordering::Relaxed);
        self.sequence.store(sequence + (sequence & 1), Ordering::Release);
        let _outside = Outside { slot: self, sequence, was_watching: hook::watch(false) };
        call()
    }

    /// Begins a poll that ends elsewhere, on the same thread.
    pub(crate) fn begin(&self) {
        let sequence = self.sequence.load(Ordering::Relaxed) | 1;
        self.sequence.store(sequence, Ordering::Release);
        hook::watch(true);
    }

    /// Ends it. Harmless when none was begun.
    pub(crate) fn end(&self) {
        hook::watch(false);
        let sequence = self.sequence.load(Ordering::Relaxed);
        self.sequence.store(sequence + (sequence & 1), Ordering::Release);
    }

    pub(crate) fn sequence(&self) -> u64 {
        self.sequence.load(Ordering::Acquire)
    }

    /// Tells this poll from all others.
    pub(crate) fn poll(&self) -> u64 {
        self.poll_of(self.sequence())
    }

    /// The number of the poll that the thread is in while its sequence number is this.
    pub(crate) fn poll_of(&self, sequence: u64) -> u64 {
        (u64::from(self.thread.number()) << 40) ^ sequence
    }

    pub(crate) fn command(&self) -> CommandId {
        self.command.load(Ordering::Relaxed)
    }

    /// Whether another thread has this one's place.
    #[inline]
    pub(crate) fn is_relieved(&self) -> bool {
        self.member.as_ref().is_some_and(|member| member.is_relieved())
    }

    /// Gives the thread the lowest priority: its place is taken, and it keeps a core busy.
    pub(crate) fn lower(&self) {
        let is_lowered = sys::lower_priority(self.thread, Priority::Lowest);
        self.is_lowered.store(is_lowered, Ordering::Release);
    }

    pub(crate) fn is_lowered(&self) -> bool {
        self.is_lowered.load(Ordering::Acquire)
    }

    /// Something was right where it is, in the poll that is running.
    pub(crate) fn excuse(&self) {
        self.excused_poll.store(self.poll(), Ordering::Relaxed);
    }

    /// Whether that was in the poll that has ended last. Only its own thread asks.
    pub(crate) fn was_excused(&self) -> bool {
        self.is_excused(self.poll_of(self.sequence() - 1))
    }

    pub(crate) fn is_excused(&self, poll: u64) -> bool {
        self.excused_poll.load(Ordering::Relaxed) == poll || self.has_panicked(poll)
    }

    /// The poll that is running panics.
    pub(crate) fn panics(&self) {
        let (poll, count) = (self.poll(), self.panics.load(Ordering::Relaxed));
        // Only this thread writes these. A panic makes many calls while it prints itself.
        if self.panicked_polls[count % PANICS].load(Ordering::Relaxed) != poll {
            self.panicked_polls[(count + 1) % PANICS].store(poll, Ordering::Relaxed);
            self.panics.store(count + 1, Ordering::Relaxed);
        }
    }

    /// Whether a poll is one of the last that panicked. To print that takes long where there is much debug information.
    pub(crate) fn has_panicked(&self, poll: u64) -> bool {
        self.panicked_polls.iter().any(|panicked| panicked.load(Ordering::Relaxed) == poll)
    }
}

/// Whether a sequence number says that a poll is running.
pub(crate) fn is_polling(sequence: u64) -> bool {
    !sequence.is_multiple_of(2)
}

/// A poll within a poll; ends also when it unwinds.
struct Within<'a> {
    slot: &'a Slot,
    sequence: u64,
    outer: CommandId,
    was_watching: bool,
}

impl Drop for Within<'_> {
    fn drop(&mut self) {
        hook::watch(self.was_watching);
        let sequence = ((self.sequence + 1) | 1) + 1;
        self.slot.sequence.store(sequence + (self.sequence & 1), Ordering::Release);
        self.slot.command.store(self.outer, Ordering::Relaxed);
    }
}

/// The middle of a poll, in which the thread is not watched.
struct Outside<'a> {
    slot: &'a Slot,
    sequence: u64,
    was_watching: bool,
}

impl Drop for Outside<'_> {
    fn drop(&mut self) {
        hook::watch(self.was_watching);
        // Odd again if it was, and another number: what follows is timed anew.
        let sequence = self.sequence + 2 * (self.sequence & 1);
        self.slot.sequence.store(sequence, Ordering::Release);
    }
}

/// What the future that was polled has become, if that is something new; the task has to take note.
#[inline]
pub(crate) fn renamed() -> Option<CommandId> {
    let renamed = RENAMED.get();
    if renamed == 0 {
        return None;
    }
    RENAMED.set(0);
    Some(renamed)
}

/// What this thread is to the guard, if anything.
pub(crate) fn here() -> Option<Here> {
    // A thread that is ending has no thread-locals any more, and nothing to be told.
    HERE.try_with(|here| here.try_borrow().ok()?.clone()).ok().flatten()
}

/// Tells each guard that watches this thread. Clones nothing, so that nothing can be freed on the way.
pub(crate) fn each_here(tell: impl Fn(&Here)) {
    let told = |here: &RefCell<Option<Here>>| {
        let Ok(here) = here.try_borrow() else { return };
        let mut next = here.as_ref();
        while let Some(here) = next {
            tell(here);
            next = here.other.as_deref();
        }
    };
    // A thread that is ending has no thread-locals any more, and nothing to be told.
    let _told = HERE.try_with(told);
}

/// Makes this thread known, until told otherwise. Answers what it was before.
pub(crate) fn set_here(here: Option<Here>) -> Option<Here> {
    HERE.try_with(|place| place.replace(here)).ok().flatten()
}

/// Gives the future that is being polled on this thread another label.
pub(crate) fn rename(here: &Here, command: CommandId) {
    if here.slot.command() == 0 {
        return; // A thread of a runtime between named tasks: nobody would take note.
    }
    RENAMED.set(command);
    here.slot.command.store(command, Ordering::Relaxed);
}

/// The data stays whole when a holder panics: each section assigns and nothing else.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
