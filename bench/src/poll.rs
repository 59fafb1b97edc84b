//! What the guard adds to a poll, in instructions: a count, so that the machine's mood does not matter.

use std::io;
use std::process::Command;
use std::time::{Duration, Instant};

use evenkeel_guard::cost;

/// Polls of the two counted runs; their difference leaves out what a run costs once.
const POLLS: [u64; 2] = [10_000, 60_000];
/// Polls of a timed run, and how many of them the best is taken of.
const TIMED: (u64, usize) = (2_000_000, 15);

/// Which loop a child of the benchmark runs under valgrind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loop {
    Bare,
    Guarded,
}

impl Loop {
    pub(crate) fn run(self, polls: u64) {
        match self {
            Self::Bare => cost::bare(polls),
            Self::Guarded => cost::guarded(polls),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Guarded => "guarded",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Bare, Self::Guarded].into_iter().find(|one| one.name() == name)
    }
}

/// Counts and times both loops.
pub(crate) fn run() -> io::Result<()> {
    let (bare, guarded) = (instructions(Loop::Bare)?, instructions(Loop::Guarded)?);
    println!(
        "instructions of one poll: {bare:.1} bare, {guarded:.1} guarded: the guard adds {:.1}",
        guarded - bare
    );
    let (mut best_bare, mut best_guarded) = (Duration::MAX, Duration::MAX);
    for _ in 0..TIMED.1 {
        best_bare = best_bare.min(timed(Loop::Bare));
        best_guarded = best_guarded.min(timed(Loop::Guarded));
    }
    let nanos = |best: Duration| best.as_secs_f64() * 1e9 / TIMED.0 as f64;
    let (bare_ns, guarded_ns) = (nanos(best_bare), nanos(best_guarded));
    println!(
        "time of one poll, best of {}: {bare_ns:.2} ns bare, {guarded_ns:.2} ns guarded: {:.2} ns more",
        TIMED.1,
        guarded_ns - bare_ns
    );
    println!("this machine did {:.1} instructions in a nanosecond of the guarded loop", guarded / guarded_ns);
    Ok(())
}

fn timed(which: Loop) -> Duration {
    let start = Instant::now();
    which.run(TIMED.0);
    start.elapsed()
}

/// Instructions of one poll, by valgrind.
fn instructions(which: Loop) -> io::Result<f64> {
    let [few, many] = POLLS;
    let (few_counted, many_counted) = (counted(which, few)?, counted(which, many)?);
    Ok((many_counted - few_counted) as f64 / (many - few) as f64)
}

fn counted(which: Loop, polls: u64) -> io::Result<u64> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    let child = valgrind.arg(std::env::current_exe()?).args(["poll-loop", which.name(), &polls.to_string()]);
    let output = child.output().map_err(|error| {
        io::Error::other(format!(
            "valgrind counts the instructions, and does not start ({error}): install `valgrind`"
        ))
    })?;
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said.lines().find_map(|line| line.split_once("Collected :"));
    let count = line.and_then(|(_, count)| count.trim().parse().ok());
    count.ok_or_else(|| io::Error::other(format!("valgrind counted nothing: {said}")))
}
