//! What the guard adds to a poll, in instructions: a count, so that the machine's mood does not matter.

use std::io;
use std::process::Command;
use std::time::{Duration, Instant};

use evenkeel_guard::cost;

use crate::bound::Bounds;

/// Polls of the two counted runs; their difference leaves out what a run costs once.
const POLLS: [u64; 2] = [10_000, 60_000];
/// Polls of a timed run, and how many of them the best is taken of.
const TIMED: (u64, usize) = (2_000_000, 15);

/// What the guard may add to a poll, and to a call of the C library on a thread that nobody watches.
const POLL_INSTRUCTIONS: f64 = 100.0;
const CALL_INSTRUCTIONS: f64 = 20.0;
/// A guarded poll, as a multiple of a bare one.
const POLL_RATIO: f64 = 3.0;

/// Which loop a child of the benchmark runs under valgrind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loop {
    Bare,
    Guarded,
    BareCall,
    WrappedCall,
}

impl Loop {
    pub(crate) fn run(self, times: u64) {
        match self {
            Self::Bare => cost::bare(times),
            Self::Guarded => cost::guarded(times),
            Self::BareCall => cost::bare_call(times),
            Self::WrappedCall => cost::wrapped_call(times),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Guarded => "guarded",
            Self::BareCall => "bare-call",
            Self::WrappedCall => "wrapped-call",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Bare, Self::Guarded, Self::BareCall, Self::WrappedCall]
            .into_iter()
            .find(|one| one.name() == name)
    }
}

/// Counts and times the loops.
///
/// # Errors
///
/// When a figure exceeds its bound. Without valgrind nothing is counted, which is said and is no error.
pub(crate) fn run() -> io::Result<()> {
    let mut bounds = Bounds::default();
    let has_valgrind =
        Command::new("valgrind").arg("--version").output().is_ok_and(|said| said.status.success());
    let counted = if has_valgrind { Some(count(&mut bounds)?) } else { None };
    let (mut best_bare, mut best_guarded) = (Duration::MAX, Duration::MAX);
    for _ in 0..TIMED.1 {
        best_bare = best_bare.min(timed(Loop::Bare));
        best_guarded = best_guarded.min(timed(Loop::Guarded));
    }
    let nanos = |best: Duration| best.as_secs_f64() * 1e9 / TIMED.0 as f64;
    let (bare_ns, guarded_ns) = (nanos(best_bare), nanos(best_guarded));
    let ratio = guarded_ns / bare_ns;
    println!(
        "time of one poll, best of {}: {bare_ns:.2} ns bare, {guarded_ns:.2} ns guarded, a ratio of {ratio:.2} ({})",
        TIMED.1,
        bounds.most("time of a guarded poll over that of a bare one", ratio, POLL_RATIO)
    );
    match counted {
        Some(guarded) => {
            println!(
                "this machine did {:.1} instructions in a nanosecond of the guarded loop",
                guarded / guarded_ns
            );
        }
        None => println!("instructions were not counted: `valgrind` does not start; install it"),
    }
    bounds.verdict()
}

/// Prints what the guard adds in instructions; answers those of a guarded poll.
fn count(bounds: &mut Bounds) -> io::Result<f64> {
    let (bare, guarded) = (instructions(Loop::Bare)?, instructions(Loop::Guarded)?);
    let added = guarded - bare;
    println!(
        "instructions of one poll: {bare:.1} bare, {guarded:.1} guarded: the guard adds {added:.1} ({})",
        bounds.most("instructions that the guard adds to a poll", added, POLL_INSTRUCTIONS)
    );
    let (bare, wrapped) = (instructions(Loop::BareCall)?, instructions(Loop::WrappedCall)?);
    let added = wrapped - bare;
    println!(
        "instructions of a call on an unwatched thread: {bare:.1} bare, {wrapped:.1} wrapped: {added:.1} more ({})",
        bounds.most("instructions that a wrapper adds on an unwatched thread", added, CALL_INSTRUCTIONS)
    );
    Ok(guarded)
}

fn timed(which: Loop) -> Duration {
    let start = Instant::now();
    which.run(TIMED.0);
    start.elapsed()
}

/// Instructions of one round of a loop, by valgrind.
fn instructions(which: Loop) -> io::Result<f64> {
    let [few, many] = POLLS;
    let (few_counted, many_counted) = (counted(which, few)?, counted(which, many)?);
    Ok((many_counted - few_counted) as f64 / (many - few) as f64)
}

fn counted(which: Loop, polls: u64) -> io::Result<u64> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    let child = valgrind.arg(std::env::current_exe()?).args(["poll-loop", which.name(), &polls.to_string()]);
    let output = child.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said.lines().find_map(|line| line.split_once("Collected :"));
    let count = line.and_then(|(_, count)| count.trim().parse().ok());
    count.ok_or_else(|| io::Error::other(format!("valgrind counted nothing: {said}")))
}
