//! How long an answer takes at a steady rate, whatever comes back: in memory, on the disk, and on one that is slower.

use std::io;
use std::time::Duration;

use super::disk::Disk;
use super::medians::median;
use super::quiet::Quiet;
use super::{Plan, open_loop};
use crate::contender::{Contender, Keeps};

/// Messages per second.
const RATES: [u32; 5] = [20, 100, 500, 1_000, 3_000];
/// What is added to each sync of the slower disk.
const MORE: Duration = Duration::from_millis(5);

/// What an answer may take beyond one in memory: this many syncs, and this many milliseconds.
const P50: (f64, f64) = (3.0, 0.3);
const P99: (f64, f64) = (6.0, 3.0);

/// A generator that was later than this says little about the bot.
const LATE_MS: f64 = 1.0;

/// Waits of one kind of bot at one rate, by run, in milliseconds.
#[derive(Default)]
struct Waits {
    p50: Vec<f64>,
    p99: Vec<f64>,
    unanswered: usize,
    /// Of the generator, at the 99th percentile of the worst run.
    lateness: f64,
}

impl Waits {
    fn play(&mut self, bot: &Contender, rate: u32, plan: &Plan, quiet: &mut Quiet) -> io::Result<()> {
        let play = || open_loop::play(bot, rate, length(rate, plan), |_| ());
        let (figures, _) = quiet.play(plan, play)?;
        self.p50.push(ms(figures.median.time));
        self.p99.push(ms(figures.p99.time));
        self.unanswered += figures.healthy_unanswered + figures.wrong;
        self.lateness = self.lateness.max(ms(figures.lateness_p99));
        Ok(())
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Enough for a p99 that more than three waits decide.
fn length(per_second: u32, plan: &Plan) -> Duration {
    match per_second {
        _ if plan.is_short => Duration::from_secs(1),
        ..100 => Duration::from_secs(20),
        _ => Duration::from_secs(6),
    }
}

/// Prints a row for each rate and disk.
pub(super) fn run(plan: &Plan) -> io::Result<()> {
    let bot = plan.bot()?;
    let in_memory = bot.clone().with_journal(Keeps::Nothing);
    println!(
        "\nlatency of `!ping`, open loop after a burst of 100, 1,000 people; ms, p50 / p99; {}",
        plan.medians()
    );
    println!(
        "bars: p50 in memory + {} syncs + {} ms, p99 in memory + {} syncs + {} ms",
        P50.0, P50.1, P99.0, P99.1
    );
    println!(
        "{:>8} {:>14} {:>9} {:>15} {:>15} {:>15}",
        "msgs/s", "syncs", "sync p50", "in memory", "on the disk", "bar"
    );
    let rates = if plan.is_short { &RATES[2..3] } else { &RATES };
    for &rate in rates {
        let mut disks = [("as they are", Disk::new()?), ("5 ms more each", Disk::slowed(MORE)?)];
        let mut quiet = Quiet::default();
        let (mut memory, mut kept) = (Waits::default(), [Waits::default(), Waits::default()]);
        for _ in 0..plan.repeats {
            memory.play(&in_memory, rate, plan, &mut quiet)?;
            for ((_, disk), waits) in disks.iter_mut().zip(&mut kept) {
                disk.settle()?;
                waits.play(&disk.under(&bot)?, rate, plan, &mut quiet)?;
                disk.measure()?;
            }
        }
        for ((name, disk), waits) in disks.iter().zip(&kept) {
            row(rate, name, disk, [&memory, waits], &quiet);
        }
    }
    Ok(())
}

fn row(rate: u32, name: &str, disk: &Disk, [memory, kept]: [&Waits; 2], quiet: &Quiet) {
    let sync_ms = disk.sync_ms();
    let bar = |memory: &[f64], (syncs, ms): (f64, f64)| median(memory) + syncs * sync_ms + ms;
    let bars = [bar(&memory.p50, P50), bar(&memory.p99, P99)];
    let ours = [median(&kept.p50), median(&kept.p99)];
    let word = |at: usize| if ours[at] <= bars[at] { "met" } else { "MISSED" };
    let verdict = disk.warning().unwrap_or_else(|| format!("p50 {}, p99 {}", word(0), word(1)));
    let (unanswered, lateness) = (memory.unanswered + kept.unanswered, memory.lateness.max(kept.lateness));
    let mut complaints = quiet.note();
    if unanswered > 0 {
        complaints += &format!("; {unanswered} without their answer");
    }
    if lateness > LATE_MS {
        complaints += &format!("; generator late, p99 {lateness:.1} ms");
    }
    let pair = |p50: f64, p99: f64| format!("{p50:.2} / {p99:.2}");
    println!(
        "{rate:>8} {name:>14} {sync_ms:>9.3} {:>15} {:>15} {:>15}  {verdict}{complaints}",
        pair(median(&memory.p50), median(&memory.p99)),
        pair(ours[0], ours[1]),
        pair(bars[0], bars[1]),
    );
}
