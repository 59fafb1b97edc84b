//! One row: a handler out of other people's code, and what the guard has to say of it.

use std::fmt::Debug;
use std::fs;
use std::future::Future;
use std::hint::black_box;
use std::panic::Location;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering::SeqCst};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use evenkeel_guard::Class;

/// What a handler gives back, as text, so that two runs can be compared.
pub(crate) type Handler = Pin<Box<dyn Future<Output = String> + Send>>;

pub(crate) const SHORT: Duration = Duration::from_millis(2);

/// CPU time that counts as busy by any standard: a strict test of a debug build bears 100 ms.
const BUSY: Duration = Duration::from_millis(if cfg!(debug_assertions) { 160 } else { 60 });

pub(crate) struct Row {
    pub(crate) package: &'static str,
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) place: Place,
    make: Box<dyn Fn() -> Handler + Send + Sync>,
}

pub(crate) enum Kind {
    /// There is a report of `class`; others are of that class or of those `beside`.
    Blocks { class: Class, beside: &'static [Class] },
    /// Nothing is reported.
    Harmless,
}

/// Where a handler can run at all.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Anywhere,
    /// It panics on a thread of a tokio runtime, watched or not.
    OutsideTokio,
    /// Only a clock tells it from what is harmless, and a test goes by no clock.
    OutsideTests,
}

/// Marks the author's line: the call is made here. Has to fit on one line.
macro_rules! here {
    ($call:expr) => {{
        $crate::row::note(file!(), line!());
        $call
    }};
}
pub(crate) use here;

pub(crate) fn blocks<R>(
    package: &'static str,
    name: &'static str,
    class: Class,
    make: impl Fn() -> R + Send + Sync + 'static,
) -> Row
where
    R: Future + Send + 'static,
    R::Output: Debug,
{
    row(package, name, Kind::Blocks { class, beside: &[] }, make)
}

pub(crate) fn harmless<R>(
    package: &'static str,
    name: &'static str,
    make: impl Fn() -> R + Send + Sync + 'static,
) -> Row
where
    R: Future + Send + 'static,
    R::Output: Debug,
{
    row(package, name, Kind::Harmless, make)
}

fn row<R>(
    package: &'static str,
    name: &'static str,
    kind: Kind,
    make: impl Fn() -> R + Send + Sync + 'static,
) -> Row
where
    R: Future + Send + 'static,
    R::Output: Debug,
{
    let make = Box::new(move || -> Handler {
        let handler = make();
        Box::pin(async move { format!("{:?}", handler.await) })
    });
    Row { package, name, kind, place: Place::Anywhere, make }
}

impl Row {
    /// Classes that other calls of the same handler may have.
    pub(crate) fn beside(mut self, classes: &'static [Class]) -> Self {
        if let Kind::Blocks { beside, .. } = &mut self.kind {
            *beside = classes;
        }
        self
    }

    pub(crate) fn outside_tokio(mut self) -> Self {
        self.place = Place::OutsideTokio;
        self
    }

    pub(crate) fn outside_tests(mut self) -> Self {
        self.place = Place::OutsideTests;
        self
    }

    /// Prepares what the handler needs, unwatched, and makes it. A runtime has to be entered.
    pub(crate) fn handler(&self) -> Handler {
        (self.make)()
    }

    pub(crate) fn title(&self) -> String {
        format!("{}: {}", self.package, self.name)
    }

    pub(crate) fn is_harmless(&self) -> bool {
        matches!(self.kind, Kind::Harmless)
    }
}

/// The lines from which the running row makes its calls.
static LINES: Mutex<Vec<(&str, u32)>> = Mutex::new(Vec::new());

/// Whether lines are noted: in a crowd of handlers they would only be a lock for all of them.
static ARE_NOTED: AtomicBool = AtomicBool::new(false);

pub(crate) fn note(file: &'static str, line: u32) {
    if !ARE_NOTED.load(SeqCst) {
        return;
    }
    let mut lines = of(&LINES);
    if !lines.contains(&(file, line)) {
        lines.push((file, line));
    }
}

/// The lines noted since the last time; from the first time on.
pub(crate) fn take_lines() -> Vec<(&'static str, u32)> {
    ARE_NOTED.store(true, SeqCst);
    std::mem::take(&mut of(&LINES))
}

fn of<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Calls again and again, until this thread has been busy for long: as often as that takes, which the first run of a row
/// finds out. No clock is asked meanwhile: the look from outside would mostly find the thread there.
#[track_caller]
pub(crate) fn spin<T>(mut call: impl FnMut() -> T) -> T {
    static ROUNDS: Mutex<Vec<(&Location<'_>, u32)>> = Mutex::new(Vec::new());
    let here = Location::caller();
    let known = of(&ROUNDS).iter().find(|(location, _)| *location == here).map(|(_, rounds)| *rounds);
    if let Some(rounds) = known {
        (1..rounds).for_each(|_| drop(black_box(call())));
        return call();
    }
    let (end, mut rounds) = (cpu_time() + BUSY, 1);
    while cpu_time() < end {
        black_box(call());
        rounds += 1;
    }
    of(&ROUNDS).push((here, rounds));
    call()
}

pub(crate) fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// A folder of this process alone, which `main` removes.
pub(crate) fn folder() -> &'static PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = std::env::temp_dir().join(format!("field-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder for scratch files");
        folder
    })
}

/// A path in it that no other row has.
pub(crate) fn scratch(name: &str) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    folder().join(format!("{}-{name}", COUNT.fetch_add(1, SeqCst)))
}

pub(crate) fn file(bytes: usize) -> PathBuf {
    let path = scratch("file");
    fs::write(&path, vec![b'x'; bytes]).expect("a scratch file");
    path
}

/// Tells a waiting thread that the handler's thread goes to sleep from now on.
pub(crate) struct Arm(Arc<AtomicI32>);

impl Arm {
    pub(crate) fn here(&self) {
        self.0.store(gettid(), SeqCst);
    }
}

fn gettid() -> i32 {
    rustix::thread::gettid().as_raw_pid()
}

/// Does something once the handler has said that it is about to sleep, and does. Ends with the handler.
pub(crate) fn once_asleep(then: impl FnOnce() + Send + 'static) -> Arm {
    let thread = Arc::<AtomicI32>::default();
    let armed = Arc::downgrade(&thread);
    thread::spawn(move || {
        if wait_for_sleep(&armed) {
            then();
        }
    });
    Arm(thread)
}

/// Another thread calls `hold` with something to wait for; by the time this returns it is waiting.
pub(crate) fn while_held(hold: impl FnOnce(&dyn Fn()) + Send + 'static) -> Arm {
    held_until(|armed| _ = wait_for_sleep(armed), hold)
}

/// The same for a handler that does not sleep meanwhile: until it has been busy for long.
pub(crate) fn while_busy(hold: impl FnOnce(&dyn Fn()) + Send + 'static) -> Arm {
    held_until(wait_for_work, hold)
}

fn held_until(until: fn(&Weak<AtomicI32>), hold: impl FnOnce(&dyn Fn()) + Send + 'static) -> Arm {
    let thread = Arc::<AtomicI32>::default();
    let armed = Arc::downgrade(&thread);
    let (holds, is_held) = sync_channel(1);
    thread::spawn(move || {
        hold(&|| {
            // The other end waits for this below.
            let _told = holds.send(());
            until(&armed);
        });
    });
    // A holder that is gone holds nothing; then the row is not found, and says so.
    let _held = is_held.recv();
    Arm(thread)
}

/// Whether the thread has begun to sleep; not when its handler ended first.
fn wait_for_sleep(armed: &Weak<AtomicI32>) -> bool {
    let mut looks = 0;
    loop {
        thread::sleep(Duration::from_millis(1));
        let Some(thread) = armed.upgrade().map(|thread| thread.load(SeqCst)) else { return false };
        if thread != 0 {
            looks = if is_asleep(thread) { looks + 1 } else { 0 };
        }
        // A page that is being read in is over by the next look.
        if looks == 6 {
            return true;
        }
    }
}

fn wait_for_work(armed: &Weak<AtomicI32>) {
    let mut began = None;
    while let Some(thread) = armed.upgrade().map(|thread| thread.load(SeqCst)) {
        if thread != 0 {
            let used = cpu_time_of(thread);
            if used >= *began.get_or_insert(used) + BUSY * 2 {
                return;
            }
        }
        thread::sleep(Duration::from_millis(1));
    }
}

fn cpu_time_of(thread: i32) -> Duration {
    let text = fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0))
}

fn is_asleep(thread: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/self/task/{thread}/stat")).unwrap_or_default();
    stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('S')
}
