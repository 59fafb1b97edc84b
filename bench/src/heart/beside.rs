//! The same bots beside a process that keeps every core busy, and whether anything of it stays when it has ended.

use std::io;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::Plan;
use super::disk::Disk;
use super::medians::{median, ratios};
use super::quiet::Quiet;
use crate::contender::{Contender, Keeps};
use crate::signal;
use crate::signal::run::{Stage, WARM_UP_MESSAGES};

/// What the ratio to the loop has to be at least, as a share of what it is without the load.
const LEAST_SHARE: f64 = 0.8;
const PHASES: [&str; 3] = ["before", "beside", "after"];

/// Computes on every core until it is killed: the hidden command `busy`.
pub(crate) fn busy() -> io::Result<()> {
    let cores = std::thread::available_parallelism()?.get();
    let spin = || {
        let mut sum = 0_u64;
        loop {
            sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(1));
        }
    };
    (1..cores).for_each(|_| drop(std::thread::spawn(spin)));
    spin()
}

/// A process that computes; dropping it ends it.
struct Busy(Child);

impl Busy {
    fn start() -> io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?);
        let busy = Self(child.arg("busy").stdin(Stdio::null()).spawn()?);
        // Until the system has seen that it takes all it can.
        std::thread::sleep(Duration::from_millis(500));
        Ok(busy)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Prints rates before, beside and after the load, of one process each of the bot and of the loop.
pub(super) fn run(plan: &Plan) -> io::Result<()> {
    let mut disk = Disk::new()?;
    let load = plan.load();
    let contenders = [plan.hand_loop()?, plan.bot()?.with_journal(Keeps::OnDisk)];
    // By contender and phase, a rate for each repeat.
    let (mut rates, mut quiet) = (<[[Vec<f64>; 3]; 2]>::default(), Quiet::default());
    for _ in 0..plan.repeats {
        disk.settle()?;
        let round = quiet.play(plan, || round(&load, &contenders))?;
        disk.measure()?;
        for (rates, of_round) in rates.iter_mut().zip(round) {
            rates.iter_mut().zip(of_round).for_each(|(rates, rate)| rates.push(rate));
        }
    }
    println!(
        "\nbeside a process that keeps all cores busy, {} outstanding; {}; {}{}",
        load.outstanding,
        plan.medians(),
        disk.heading(),
        quiet.note()
    );
    println!("{:>14} {:>9} {:>12} {:>8}", "", "loop", "on the disk", "ratio");
    let [hand_loop, ours] = &rates;
    let share: Vec<Vec<f64>> = hand_loop.iter().zip(ours).map(|(other, ours)| ratios(ours, other)).collect();
    for (phase, name) in PHASES.iter().enumerate() {
        println!(
            "{name:>14} {:>9.0} {:>12.0} {:>8.2}",
            median(&hand_loop[phase]),
            median(&ours[phase]),
            median(&share[phase])
        );
    }
    let kept = median(&ratios(&share[1], &share[0]));
    let word = if kept >= LEAST_SHARE { "met" } else { "MISSED" };
    println!("  the ratio beside it over that without: {kept:.2} (at least {LEAST_SHARE}: {word})");
    println!("  the bot's rate after it over that before: {:.2}", median(&ratios(&ours[2], &ours[0])));
    println!("  the ratio after it over that before: {:.2}", median(&ratios(&share[2], &share[0])));
    Ok(())
}

/// Rates of each contender, all of whose phases are those of one process.
fn round(load: &signal::Plan, contenders: &[Contender; 2]) -> io::Result<[[f64; 3]; 2]> {
    let mut stages = Vec::new();
    for contender in contenders {
        let mut stage = Stage::start(load, contender)?;
        stage.warm_up(WARM_UP_MESSAGES.min(load.messages))?;
        stages.push(stage);
    }
    let mut rates = [[0.0; 3]; 2];
    for (phase, name) in PHASES.iter().enumerate() {
        let _busy = (*name == "beside").then(Busy::start).transpose()?;
        for (stage, rates) in stages.iter_mut().zip(&mut rates) {
            rates[phase] = stage.drive(load.messages)?.per_second;
        }
    }
    Ok(rates)
}
