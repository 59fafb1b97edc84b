//! Threads that block and threads that run, looked at from outside, again and again.

use std::hint::black_box;
use std::io::{ErrorKind, Read};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::time::Duration;

use super::*;
use crate::sys;

const REPEATS: u32 = if cfg!(debug_assertions) { 60 } else { 200 };
/// A thread that runs answers only while it has a core, and a loaded machine may give it none for a while.
const MOST_SILENCES: u32 = 20_000;

/// How long scenarios sleep. A loaded machine may need longer than that for one look.
fn briefly() -> Duration {
    Duration::from_millis(BRIEFLY_MS.load(Ordering::Relaxed))
}

/// How often scenarios that run do their work, for the same reason.
fn rounds() -> u64 {
    BRIEFLY_MS.load(Ordering::Relaxed) / SHORTEST_MS
}

static BRIEFLY_MS: AtomicU64 = AtomicU64::new(SHORTEST_MS);
const SHORTEST_MS: u64 = 3;
const LONGEST_MS: u64 = 1_000;
/// After this many looks for which a scenario did not last long enough, it lasts twice as long.
const MISSES: u32 = 50;

/// What the watching side knows of the thread it looks at.
#[derive(Default)]
struct Watched {
    /// Odd while the scenario runs.
    sequence: AtomicU64,
    /// The lines between which the scenario's function is.
    first_line: AtomicU32,
    last_line: AtomicU32,
    stop: AtomicBool,
    interrupted_calls: AtomicU64,
}

impl Watched {
    /// Says that the scenario's function spends its time from the line before this one to this many after it.
    fn expect_lines(&self, here: u32, after: u32) {
        self.first_line.store(here - 1, Ordering::Relaxed);
        self.last_line.store(here + after, Ordering::Relaxed);
    }

    /// Whether the thread is where the scenario wants it to be looked at.
    fn is_there(&self, sequence: u64) -> bool {
        sequence % 2 == 1 && self.last_line.load(Ordering::Relaxed) > 0
    }

    fn count_interruption(&self, outcome: &std::io::Result<usize>) {
        let is_interruption = outcome.as_ref().is_err_and(|error| error.kind() == ErrorKind::Interrupted);
        self.interrupted_calls.fetch_add(is_interruption.into(), Ordering::Relaxed);
    }

    fn is_between(&self, line: u32) -> bool {
        (self.first_line.load(Ordering::Relaxed)..=self.last_line.load(Ordering::Relaxed)).contains(&line)
    }
}

type Scenario = fn(&Watched);

#[inline(never)]
fn repeat_the_scenario(scenario: Scenario, watched: &Watched) {
    while !watched.stop.load(Ordering::Acquire) {
        watched.sequence.fetch_add(1, Ordering::AcqRel);
        black_box(scenario)(watched);
        watched.sequence.fetch_add(1, Ordering::AcqRel);
    }
}

#[derive(Debug, Default)]
struct Counters {
    right: u32,
    wrong: u32,
    /// No answer, or half of one, although the thread was where it was before.
    none: u32,
    asleep: u32,
    running: u32,
}

fn next_random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}

/// Whether a function is the scenario's. Line tables name a function without its path.
fn is_of(function: &str, name: &str) -> bool {
    function == name || function.ends_with(&format!("tests::{name}"))
}

/// Whether a path names the expected line, perhaps in a closure, then the scenario's function, and then the
/// one that called it.
///
/// A thread that runs although it mostly sleeps is on its way to the line or back from it.
fn is_right(taken: &Taken, name: &str, sleeps: bool, watched: &Watched) -> Result<(), String> {
    let is_on_its_way = sleeps && taken.state == ThreadState::Running;
    let mut seen = String::new();
    let (mut has_line, mut has_function, mut has_caller) = (false, false, false);
    for &address in &taken.addresses {
        backtrace::resolve(address as *mut _, |symbol| {
            let function = symbol.name().map(|name| format!("{name:#}")).unwrap_or_default();
            let line = symbol.lineno().unwrap_or_default();
            let is_here = symbol.filename().is_some_and(|file| file.ends_with("capture/tests.rs"));
            // The compiler gives some instructions no line.
            let is_nowhere = is_on_its_way || taken.state == ThreadState::Running && line == 0;
            has_line |= is_here && (watched.is_between(line) || is_nowhere && is_of(&function, name));
            has_function |= has_line && is_here && is_of(&function, name);
            has_caller |= has_function && function.ends_with("repeat_the_scenario");
            seen += &format!("{address:#x} {function} {line}\n");
        });
    }
    has_caller.then_some(()).ok_or_else(|| format!("{:?} {:?}\n{seen}", taken.state, taken.system_call))
}

/// Looks at a thread that goes through the scenario again and again, then at last ends it.
fn check(
    name: &str,
    scenario: Scenario,
    sleeps: bool,
    counts: fn(&Taken) -> bool,
    finish: impl FnOnce(),
) -> Counters {
    /// Only one thread of a process can be interrupted at a time.
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let watched = Arc::new(Watched::default());
    let (tell, told) = mpsc::channel();
    let there = Arc::clone(&watched);
    let thread = std::thread::spawn(move || {
        tell.send(sys::current_thread()).unwrap();
        repeat_the_scenario(scenario, &there);
    });
    let id = told.recv().unwrap();
    let (mut capture, mut counters, mut seed, mut misses) = (Capture::new(), Counters::default(), 0x5EED, 0);
    BRIEFLY_MS.store(SHORTEST_MS, Ordering::Relaxed);
    while counters.right + counters.wrong < REPEATS && counters.none < MOST_SILENCES {
        for _ in 0..next_random(&mut seed) % 1000 {
            std::hint::spin_loop();
        }
        let sequence = watched.sequence.load(Ordering::Acquire);
        if !watched.is_there(sequence) {
            assert!(!thread.is_finished(), "{name}: its thread has ended");
            std::thread::yield_now();
            continue;
        }
        let still = || watched.sequence.load(Ordering::Acquire) == sequence;
        let Some(taken) = capture.take(id, still) else {
            counters.none += u32::from(still());
            misses += u32::from(!still());
            if misses == MISSES {
                misses = 0;
                let longer = BRIEFLY_MS.load(Ordering::Relaxed) * 2;
                assert!(
                    longer <= LONGEST_MS,
                    "{name}: {MISSES} looks took longer than the scenario, {:?}",
                    briefly()
                );
                BRIEFLY_MS.store(longer, Ordering::Relaxed);
            }
            continue;
        };
        if !counts(&taken) {
            counters.none += 1;
            continue;
        }
        counters.asleep += u32::from(taken.state != ThreadState::Running);
        counters.running += u32::from(taken.state == ThreadState::Running);
        match is_right(&taken, name, sleeps, &watched) {
            Ok(()) => counters.right += 1,
            Err(seen) => {
                counters.wrong += 1;
                println!("{name} is not in\n{seen}");
            }
        }
    }
    watched.stop.store(true, Ordering::Release);
    finish();
    thread.join().unwrap();
    println!("{name}: {counters:?}");
    // A thread that is seen to run may have gone to sleep before the signal comes, on a loaded machine.
    let interrupted = watched.interrupted_calls.load(Ordering::Relaxed);
    assert!(interrupted <= u64::from(REPEATS / 20), "{name}: {interrupted} calls were interrupted");
    assert_eq!((counters.right, counters.wrong), (REPEATS, 0), "{name}: {counters:?}");
    counters
}

fn check_asleep(name: &str, scenario: Scenario) {
    let counters = check(name, scenario, true, |_| true, || ());
    assert!(counters.asleep > REPEATS / 2, "{name}: {counters:?}");
}

fn check_running(name: &str, scenario: Scenario) {
    let counters = check(name, scenario, false, |_| true, || ());
    assert!(counters.running > REPEATS / 2, "{name}: {counters:?}");
}

#[inline(never)]
fn sleeps(watched: &Watched) {
    watched.expect_lines(line!(), 1);
    std::thread::sleep(briefly());
    black_box(watched); // what comes last may be a jump, which leaves no frame
}

#[test]
fn sleep_is_named() {
    check_asleep("sleeps", sleeps);
}

#[inline(never)]
fn sleeps_without_libc(watched: &Watched) {
    watched.expect_lines(line!(), 1);
    sys::sleep_without_libc(briefly());
}

#[test]
fn a_sleep_that_goes_around_the_c_library_is_named() {
    check_asleep("sleeps_without_libc", sleeps_without_libc);
}

#[inline(never)]
fn waits_for_a_condition(watched: &Watched) {
    let (lock, condition) = (Mutex::new(()), Condvar::new());
    let guard = lock.lock().unwrap();
    watched.expect_lines(line!(), 1);
    drop(condition.wait_timeout(guard, briefly()));
}

#[test]
fn a_wait_for_a_condition_is_named() {
    check_asleep("waits_for_a_condition", waits_for_a_condition);
}

#[inline(never)]
fn waits_for_a_message(watched: &Watched) {
    let (_tell, told) = mpsc::channel::<()>();
    watched.expect_lines(line!(), 1);
    let _ = told.recv_timeout(briefly());
}

#[test]
fn a_wait_for_a_message_is_named() {
    check_asleep("waits_for_a_message", waits_for_a_message);
}

#[inline(never)]
fn parks(watched: &Watched) {
    watched.expect_lines(line!(), 1);
    std::thread::park_timeout(briefly());
    black_box(watched);
}

#[test]
fn a_parked_thread_is_named() {
    check_asleep("parks", parks);
}

#[inline(never)]
fn joins_a_thread(watched: &Watched) {
    watched.expect_lines(line!(), 1);
    std::thread::spawn(|| std::thread::sleep(briefly())).join().unwrap();
}

#[test]
fn a_join_is_named() {
    check_asleep("joins_a_thread", joins_a_thread);
}

thread_local! {
    /// Two ends of a connection on which nothing is ever written.
    static SILENT: (TcpStream, TcpStream) = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (near, listener.accept().unwrap().0)
    };
    static SILENT_DATAGRAMS: UdpSocket = UdpSocket::bind("127.0.0.1:0").unwrap();
}

#[inline(never)]
fn reads_with_a_timeout(watched: &Watched) {
    SILENT.with(|(near, _far)| {
        let mut near = near;
        near.set_read_timeout(Some(briefly())).unwrap();
        watched.expect_lines(line!(), 1);
        let outcome = near.read(&mut [0; 16]);
        watched.count_interruption(&outcome);
    });
}

#[test]
fn a_read_with_a_timeout_is_named_and_not_interrupted() {
    check_asleep("reads_with_a_timeout", reads_with_a_timeout);
}

#[inline(never)]
fn receives_a_datagram(watched: &Watched) {
    SILENT_DATAGRAMS.with(|socket| {
        socket.set_read_timeout(Some(briefly())).unwrap();
        watched.expect_lines(line!(), 1);
        let outcome = socket.recv_from(&mut [0; 16]).map(|(length, _)| length);
        watched.count_interruption(&outcome);
    });
}

#[test]
fn a_wait_for_a_datagram_is_named_and_not_interrupted() {
    check_asleep("receives_a_datagram", receives_a_datagram);
}

/// A listener whose queue is full.
static CROWDED: Mutex<Option<(TcpListener, Vec<TcpStream>)>> = Mutex::new(None);

#[inline(never)]
fn connects(watched: &Watched) {
    let address = CROWDED.lock().unwrap().as_ref().map(|(listener, _)| listener.local_addr().unwrap());
    let Some(address) = address else { return };
    watched.expect_lines(line!(), 1);
    drop(TcpStream::connect(address));
}

#[test]
fn a_connect_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(100)).ok();
    let queue: Vec<_> = std::iter::from_fn(connect).collect();
    *CROWDED.lock().unwrap() = Some((listener, queue));
    let counters = check("connects", connects, true, |_| true, || *CROWDED.lock().unwrap() = None);
    assert!(counters.asleep > REPEATS / 2, "{counters:?}");
}

#[inline(never)]
fn recurses(depth: u32) -> u32 {
    if depth == 0 {
        std::thread::sleep(briefly());
        return 0;
    }
    black_box(recurses(black_box(depth - 1))) + 1
}

#[inline(never)]
fn sleeps_deep_down(watched: &Watched) {
    watched.expect_lines(line!(), 1);
    black_box(recurses(200));
}

#[test]
fn a_sleep_below_many_frames_is_named() {
    check_asleep("sleeps_deep_down", sleeps_deep_down);
}

#[inline(never)]
fn sleeps_in_a_large_frame() {
    let mut large = [1_u8; 300_000];
    black_box(&mut large);
    // A copy of all this takes longer than a short sleep, without optimisation.
    std::thread::sleep(briefly() * 8);
    black_box(&mut large);
}

#[inline(never)]
fn sleeps_below_a_large_frame(watched: &Watched) {
    watched.expect_lines(line!(), 1);
    sleeps_in_a_large_frame();
    black_box(watched);
}

#[test]
fn a_sleep_below_a_large_frame_is_named() {
    // Of a thread that runs, only so much is copied as does not hold it up. A thread that wakes before the
    // second, larger copy leaves the first one: what is inside of the large frame.
    let is_whole = |taken: &Taken| {
        let mut ends_there = false;
        let outermost = *taken.addresses.last().expect("a path has at least where the thread is");
        backtrace::resolve(outermost as *mut _, |symbol| {
            let function = symbol.name().map(|name| format!("{name:#}")).unwrap_or_default();
            ends_there |= is_of(&function, "sleeps_in_a_large_frame");
        });
        taken.state != ThreadState::Running && !ends_there
    };
    check("sleeps_below_a_large_frame", sleeps_below_a_large_frame, true, is_whole, || ());
}

#[inline(never)]
fn spins(watched: &Watched) {
    watched.expect_lines(line!(), 4);
    for number in 0..1_000_000 * rounds() {
        black_box(number);
    }
}

#[test]
fn a_tight_loop_is_named() {
    check_running("spins", spins);
}

#[inline(never)]
fn copies(watched: &Watched) {
    watched.expect_lines(line!(), 6);
    let (from, mut to) = (vec![1_u8; 100_000], vec![0; 100_000]);
    for _ in 0..300 * rounds() {
        to.copy_from_slice(black_box(&from));
    }
    black_box(&mut to);
}

#[test]
fn a_loop_that_copies_is_named() {
    check_running("copies", copies);
}

#[inline(never)]
fn allocates(watched: &Watched) {
    watched.expect_lines(line!(), 4);
    for number in 0..10_000 * rounds() {
        black_box(vec![0_u8; number as usize % 10_000]);
    }
}

#[test]
fn a_loop_that_allocates_is_named() {
    check_running("allocates", allocates);
}

#[inline(never)]
fn sorts(watched: &Watched) {
    watched.expect_lines(line!(), 8);
    let (mut seed, count) = (7, if cfg!(debug_assertions) { 10_000 } else { 50_000 });
    for _ in 0..rounds() {
        let mut numbers = vec![0; count];
        numbers.fill_with(|| next_random(&mut seed));
        numbers.sort();
        black_box(&numbers);
    }
}

#[test]
fn a_sort_is_named() {
    check_running("sorts", sorts);
}

#[inline(never)]
fn reads_the_clock(watched: &Watched) {
    watched.expect_lines(line!(), 4);
    for _ in 0..20_000 * rounds() {
        black_box(std::time::Instant::now());
    }
}

#[test]
fn a_loop_that_reads_the_clock_is_named() {
    check_running("reads_the_clock", reads_the_clock);
}

#[test]
fn a_thread_that_is_gone_gives_nothing() {
    let id = std::thread::spawn(sys::current_thread).join().unwrap();
    assert!(Capture::new().take(id, || true).is_none());
}

#[test]
fn a_thread_that_went_on_gives_nothing() {
    let (tell, told) = mpsc::channel();
    let (stop, stopped) = mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        tell.send(sys::current_thread()).unwrap();
        stopped.recv().unwrap_err();
    });
    assert!(Capture::new().take(told.recv().unwrap(), || false).is_none());
    drop(stop);
    thread.join().unwrap();
}

#[test]
fn every_return_address_follows_a_call() {
    let mut addresses = [0; 128];
    let count = sys::addresses_here(&mut addresses);
    let tables = tables::Tables::new();
    let addresses = &addresses[..count];
    for &address in &addresses[1..] {
        assert!(tables.is_code(address as u64), "{address:#x}");
        assert!(machine::call_before(address as u64).is_some(), "{address:#x}");
        let function = tables.function(address as u64 - 1).unwrap();
        assert!(function.contains(&(address as u64 - 1)), "{address:#x} {function:x?}");
    }
    assert!(machine::call_before(addresses.as_ptr() as u64).is_none());
}

#[test]
fn memory_that_is_not_mapped_gives_nothing() {
    let mut bytes = [0; 16];
    assert_eq!(sys::read_memory(0, &mut bytes), 0);
    assert_eq!(sys::read_memory(u64::MAX - 8, &mut bytes), 0);
    let here = *b"sixteen bytes...";
    assert_eq!(sys::read_memory(here.as_ptr() as u64, &mut bytes), 16);
    assert_eq!(bytes, here);
}
