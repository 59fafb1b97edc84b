//! The figures of the bot's heart: what its record costs in time, in work and in memory, each beside what it is measured by.

mod medians;
pub(crate) mod disk;
mod quiet;
mod open_loop;
pub(crate) mod beside;
mod keys;
mod latency;
mod memory;
mod recovery;
mod strace;
mod throughput;
mod way;

use std::io;
use std::path::{Path, PathBuf};

use crate::contender::{self, Contender};
use crate::signal::freeze;
use crate::signal::{self, scenario};

/// What a part is called, and what it runs.
struct Part {
    name: &'static str,
    run: fn(&Plan) -> io::Result<()>,
}

/// In the order in which they run.
static PARTS: [Part; 9] = [
    Part { name: "latency", run: latency::run },
    Part { name: "throughput", run: throughput::run },
    Part { name: "beside", run: beside::run },
    Part { name: "way", run: way::run },
    Part { name: "freeze", run: blocked },
    Part { name: "producers", run: producers },
    Part { name: "recovery", run: recovery::run },
    Part { name: "memory", run: memory::run },
    Part { name: "keys", run: keys::run },
];

/// One invocation.
pub(crate) struct Plan {
    /// Parts to run; empty means all.
    pub(crate) only: Vec<&'static str>,
    pub(crate) repeats: usize,
    pub(crate) messages: usize,
    /// A minute in all: whether it works, and no figures.
    pub(crate) is_short: bool,
    pub(crate) evenkeel: PathBuf,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            only: Vec::new(),
            repeats: 3,
            messages: 150_000,
            is_short: false,
            evenkeel: contender::example(),
        }
    }
}

impl Plan {
    /// Becomes the short form.
    pub(crate) fn shorten(&mut self) {
        (self.is_short, self.repeats, self.messages) = (true, 1, 4_000);
    }

    fn bot(&self) -> io::Result<Contender> {
        found("evenkeel", &self.evenkeel).map(Contender::quiet)
    }

    fn hand_loop(&self) -> io::Result<Contender> {
        found("loop", &self.evenkeel)
    }

    /// `!ping` with 64 messages outstanding.
    fn load(&self) -> signal::Plan {
        let mut load = signal::Plan::of(&scenario::PING);
        load.messages = self.messages;
        load
    }

    /// What is printed beside each table.
    fn medians(&self) -> String {
        if self.is_short {
            "the short form, no figures".to_owned()
        } else {
            format!("medians of {}", self.repeats)
        }
    }
}

fn found(name: &'static str, evenkeel: &Path) -> io::Result<Contender> {
    let (found, missing) = Contender::find(&[name], evenkeel)?;
    found.into_iter().next().ok_or_else(|| io::Error::other(missing.join(", ")))
}

/// Returns the part as it is known here.
pub(crate) fn find(name: &str) -> Option<&'static str> {
    PARTS.iter().map(|part| part.name).find(|known| *known == name)
}

/// Runs the parts in turn.
///
/// # Errors
///
/// When a bot does not run, or a tool is missing. A bar that is missed is printed and no error: it is a time by the clock.
pub(crate) fn run(plan: &Plan) -> io::Result<()> {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let disk = contender::disk()?;
    println!("heart: {cores} cores, journals in {}", disk.display());
    let is_wanted = |part: &&Part| plan.only.is_empty() || plan.only.contains(&part.name);
    PARTS.iter().filter(is_wanted).try_for_each(|part| (part.run)(plan))
}

/// Handlers that block, over bots whose journal is on the disk.
fn blocked(plan: &Plan) -> io::Result<()> {
    // `signal nothing-freezes --short` is the short form of it.
    if plan.is_short {
        return Ok(());
    }
    let mut disk = disk::Disk::new()?;
    for name in ["freeze", "block-1", "block-5"] {
        disk.settle()?;
        println!();
        freeze::run(&freeze::Plan {
            name,
            seconds: None,
            repeats: Some(plan.repeats),
            is_short: false,
            is_logged: false,
            keeps: contender::Keeps::OnDisk,
            only: vec!["evenkeel".to_owned()],
            evenkeel: plan.evenkeel.clone(),
        })?;
    }
    disk.measure()?;
    println!("{}", disk.heading());
    Ok(())
}

fn producers(plan: &Plan) -> io::Result<()> {
    let mut disk = disk::Disk::new()?;
    disk.settle()?;
    let counts = if plan.is_short { &[32][..] } else { &[32, 1_000] };
    crate::journal::producers::run(counts, plan.repeats)?;
    disk.measure()?;
    println!("  {}", disk.heading());
    Ok(())
}
