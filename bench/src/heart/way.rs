//! What one message costs on its way: commits, syncs, calls of the system, and how often a thread gives its core away.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use super::disk::{Counted, Disk};
use super::medians::median;
use super::quiet::Quiet;
use super::strace::Strace;
use super::{Plan, open_loop};
use crate::contender::{Contender, Keeps, Process, Switches};
use crate::signal::run::{Stage, WARM_UP_MESSAGES};

/// Messages per second of the open loop.
const RATE: u32 = 500;
const TIME: Duration = Duration::from_secs(6);
const KINDS: [(&str, Keeps); 2] = [("in memory", Keeps::Nothing), ("on the disk", Keeps::OnDisk)];
/// As the columns are printed.
const COLUMNS: [&str; 5] = ["commits", "syncs", "pwrite", "fcntl", "futex"];

/// For each message, by what is counted.
type Counts = BTreeMap<String, f64>;

/// How the messages come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Load {
    Open,
    Closed,
}

/// Prints both loads for both kinds of a bot.
///
/// # Errors
///
/// Without strace, which counts the calls that a library cannot see.
pub(super) fn run(plan: &Plan) -> io::Result<()> {
    if !plan.is_short {
        Strace::is_there()?;
    }
    let (mut disk, mut quiet) = (Disk::new()?, Quiet::default());
    println!("\nthe way of a message: for each one, {}", plan.medians());
    print!("{:>16} {:>12}", "", "");
    COLUMNS.iter().for_each(|name| print!(" {name:>8}"));
    println!("  switches of threads, voluntary + involuntary");
    for (name, load) in [("500/s", Load::Open), ("64 outstanding", Load::Closed)] {
        for (kind, keeps) in KINDS {
            let bot = plan.bot()?.with_journal(keeps);
            let mut runs = Vec::new();
            for _ in 0..plan.repeats {
                disk.settle()?;
                let mut counts = quiet.play(plan, || load.counted(plan, &disk, &bot))?;
                if !plan.is_short {
                    // What the tracer takes of the cores would be taken for somebody else's; counts hardly mind noise.
                    counts.insert("futex".to_owned(), load.futexes(plan, &disk, &bot)?);
                }
                runs.push(counts);
            }
            row(name, kind, &runs);
        }
    }
    disk.measure()?;
    println!("  {}{}", disk.heading(), quiet.note());
    if plan.is_short {
        println!("  futex calls are not counted in the short form");
    }
    Ok(())
}

impl Load {
    /// Counts with a library, which costs next to nothing.
    fn counted(self, plan: &Plan, disk: &Disk, bot: &Contender) -> io::Result<Counts> {
        let (bot, counted) = Counted::new(disk, bot)?;
        let look = |process: Process| look(process, &counted);
        let (messages, [before, after]) = match self {
            Self::Open => {
                let time = if plan.is_short { Duration::from_secs(1) } else { TIME };
                let (figures, looks) = open_loop::play(&bot, RATE, time, look)?;
                (figures.healthy, looks.ok_or_else(|| io::Error::other("no message was due"))?)
            }
            Self::Closed => {
                let load = plan.load();
                let mut stage = Stage::start(&load, &bot)?;
                stage.warm_up(WARM_UP_MESSAGES.min(load.messages))?;
                let before = look(stage.process());
                stage.drive(load.messages)?;
                (load.messages, [before, look(stage.process())])
            }
        };
        let (before, after) = (before?, after?);
        let since = |(name, count): (&String, &u64)| {
            let count = count.saturating_sub(before.get(name).copied().unwrap_or_default());
            (name.clone(), count as f64 / messages as f64)
        };
        Ok(after.iter().map(since).collect())
    }

    /// Counts the calls of two runs, one of them longer: their difference leaves out what a run costs once.
    fn futexes(self, plan: &Plan, disk: &Disk, bot: &Contender) -> io::Result<f64> {
        let [few, many] = [1, 4].map(|times| self.traced(plan, disk, bot, times));
        let ((few_calls, few), (many_calls, many)) = (few?, many?);
        Ok((many_calls as f64 - few_calls as f64) / (many - few) as f64)
    }

    /// Returns the calls of one run, and its messages.
    fn traced(self, plan: &Plan, disk: &Disk, bot: &Contender, times: u32) -> io::Result<(u64, usize)> {
        let strace = Strace::new(disk.folder(), "futex");
        let bot = bot.clone().under(strace.command());
        let messages = match self {
            Self::Open => {
                let (figures, _) = open_loop::play(&bot, RATE, TIME / 4 * times, |_| ())?;
                figures.healthy
            }
            Self::Closed => {
                let load = plan.load();
                let messages = load.messages / 16 * times as usize;
                let mut stage = Stage::start(&load, &bot)?;
                stage.warm_up(WARM_UP_MESSAGES)?;
                stage.drive(messages)?;
                messages
            }
        };
        Ok((strace.calls()?, messages))
    }
}

/// All counts of a process until now: calls by their names, switches by `=` and the thread's name, involuntary ones by `~`.
fn look(process: Process, counted: &Counted) -> io::Result<BTreeMap<String, u64>> {
    let calls = counted.read()?.map(|(name, count)| (name.to_owned(), count));
    let switches = process.switches()?.into_iter().flat_map(|(name, Switches { voluntary, involuntary })| {
        [(format!("={name}"), voluntary), (format!("~{name}"), involuntary)]
    });
    Ok(calls.chain(switches).collect())
}

fn row(name: &str, kind: &str, runs: &[Counts]) {
    let of = |what: &str| -> f64 {
        median(&runs.iter().map(|run| run.get(what).copied().unwrap_or_default()).collect::<Vec<_>>())
    };
    let threads: BTreeSet<&str> =
        runs.iter().flat_map(BTreeMap::keys).filter_map(|name| name.strip_prefix('=')).collect();
    let switches = |mark: char, thread: &str| of(&format!("{mark}{thread}"));
    let all = |mark: char| threads.iter().map(|thread| switches(mark, thread)).sum::<f64>();
    print!("{name:>16} {kind:>12}");
    COLUMNS.iter().for_each(|column| print!(" {:>8.2}", of(column)));
    print!("  {:.2} + {:.2}:", all('='), all('~'));
    for thread in threads {
        let (waits, interruptions) = (switches('=', thread), switches('~', thread));
        if waits + interruptions >= 0.01 {
            print!(" {thread} {waits:.2} + {interruptions:.2};");
        }
    }
    println!();
}
