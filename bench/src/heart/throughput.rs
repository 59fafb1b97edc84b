//! How many messages a bot answers when some always wait, beside the loop that keeps nothing.

use std::io;

use super::Plan;
use super::disk::Disk;
use super::medians::{median, ratios};
use super::quiet::Quiet;
use crate::contender::{Contender, Keeps};
use crate::signal::run::{Figures, once};

/// The kinds of a contender, in the order in which they run.
const KINDS: [(&str, Keeps); 4] = [
    ("loop", Keeps::Nothing),
    ("in memory", Keeps::Nothing),
    ("on tmpfs", Keeps::OnTmpfs),
    ("on the disk", Keeps::OnDisk),
];
const LOOP: usize = 0;
const MEMORY: usize = 1;
const TMPFS: usize = 2;
const DISK: usize = 3;
const OUTSTANDING: [usize; 2] = [64, 1_024];

/// Prints the figures and their ratios, with 64 and 1,024 messages outstanding.
pub(super) fn run(plan: &Plan) -> io::Result<()> {
    for outstanding in OUTSTANDING {
        measure(plan, outstanding)?;
    }
    Ok(())
}

fn measure(plan: &Plan, outstanding: usize) -> io::Result<()> {
    let mut load = plan.load();
    load.outstanding = outstanding;
    let (bot, hand_loop, mut disk) = (plan.bot()?, plan.hand_loop()?, Disk::new()?);
    let contenders: Vec<Contender> = KINDS
        .into_iter()
        .map(|(name, keeps)| if name == "loop" { &hand_loop } else { &bot }.clone().with_journal(keeps))
        .collect();
    let (mut runs, mut quiet) = (<[Vec<Figures>; 4]>::default(), Quiet::default());
    for _ in 0..plan.repeats {
        for (contender, runs) in contenders.iter().zip(&mut runs) {
            disk.settle()?;
            runs.push(quiet.play(plan, || once(&load, contender))?);
        }
    }
    disk.measure()?;
    println!("\n{outstanding} messages outstanding; {}; {}{}", plan.medians(), disk.heading(), quiet.note());
    println!("{:>14} {:>9} {:>9} {:>9} {:>9}", "", "msgs/s", "CPU us", "p50 ms", "p99 ms");
    for ((name, _), runs) in KINDS.iter().zip(&runs) {
        let of = |figure: fn(&Figures) -> f64| median(&runs.iter().map(figure).collect::<Vec<_>>());
        println!(
            "{name:>14} {:>9.0} {:>9.1} {:>9.2} {:>9.2}",
            of(|run| run.per_second),
            of(|run| run.cpu_micros),
            of(|run| run.median.as_secs_f64() * 1e3),
            of(|run| run.p99.as_secs_f64() * 1e3),
        );
    }
    for (what, ours, other, figure) in [
        ("messages/s, on the disk over the loop", DISK, LOOP, rate as fn(&Figures) -> f64),
        ("messages/s, on tmpfs over in memory", TMPFS, MEMORY, rate),
        ("messages/s, in memory over the loop", MEMORY, LOOP, rate),
        ("CPU of a message, on the disk over in memory", DISK, MEMORY, |run| run.cpu_micros),
    ] {
        let figures = |at: usize| runs[at].iter().map(figure).collect::<Vec<_>>();
        let ratios = ratios(&figures(ours), &figures(other));
        println!("  {what}: {:.2} ({})", median(&ratios), spread(&ratios));
    }
    Ok(())
}

fn rate(run: &Figures) -> f64 {
    run.per_second
}

/// The least and the largest of several runs.
fn spread(ratios: &[f64]) -> String {
    let (least, most) =
        ratios.iter().fold((f64::MAX, 0.0_f64), |(least, most), one| (least.min(*one), most.max(*one)));
    format!("{least:.2} to {most:.2}")
}
