//! The figures as text.

use std::time::Duration;

use super::Plan;
use super::run::Figures;

/// Says what is measured, so that a pasted table explains itself.
pub(super) fn heading(plan: &Plan) {
    println!(
        "signal {}: {} messages, {} conversations, {} outstanding, {} runs each, {} cores",
        plan.scenario.name,
        plan.messages,
        plan.conversations,
        plan.outstanding,
        plan.repeats,
        std::thread::available_parallelism().map_or(0, usize::from),
    );
    println!(
        "  {:<10} {:>10} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>6} {:>6}",
        "", "msgs/s", "CPU us", "p50", "p99", "max", "idle MB", "end MB", "disorder", "wrong", "lost"
    );
}

/// Prints one run.
pub(super) fn line(name: &str, figures: &Figures) {
    println!(
        "  {name:<10} {:>10.0} {:>9.1} {:>9} {:>9} {:>9} {:>9.1} {:>9.1} {:>9} {:>6} {:>6}",
        figures.per_second,
        figures.cpu_micros,
        milliseconds(figures.median),
        milliseconds(figures.p99),
        milliseconds(figures.slowest),
        mebibytes(figures.idle_bytes),
        mebibytes(figures.final_bytes),
        figures.out_of_order,
        figures.wrong,
        figures.dropped,
    );
}

/// Prints the medians of all contenders, and Evenkeel beside each of the others.
pub(super) fn medians(runs: &[(&str, Vec<Figures>)]) {
    println!("medians");
    let medians: Vec<(&str, Figures)> =
        runs.iter().map(|(name, runs)| (*name, median_figures(runs))).collect();
    for (name, figures) in &medians {
        line(name, figures);
    }
    // Without Evenkeel itself, the loop takes its place, so that the rest can be checked.
    let ours = ["evenkeel", "loop"].iter().find_map(|name| medians.iter().find(|(known, _)| known == name));
    let Some((ours, figures)) = ours else { return };
    for (name, other) in medians.iter().filter(|(name, _)| name != ours) {
        println!(
            "  {ours}/{name}: {:.2} of the messages/s, {:.2} of the CPU, {:.2} of the p99",
            figures.per_second / other.per_second,
            figures.cpu_micros / other.cpu_micros,
            figures.p99.as_secs_f64() / other.p99.as_secs_f64(),
        );
    }
}

fn median_figures(runs: &[Figures]) -> Figures {
    Figures {
        per_second: median(runs, |run| run.per_second),
        cpu_micros: median(runs, |run| run.cpu_micros),
        median: Duration::from_secs_f64(median(runs, |run| run.median.as_secs_f64())),
        p99: Duration::from_secs_f64(median(runs, |run| run.p99.as_secs_f64())),
        slowest: Duration::from_secs_f64(median(runs, |run| run.slowest.as_secs_f64())),
        idle_bytes: median(runs, |run| run.idle_bytes as f64) as u64,
        final_bytes: median(runs, |run| run.final_bytes as f64) as u64,
        // A promise broken once is broken: these are the worst of the runs.
        out_of_order: runs.iter().map(|run| run.out_of_order).max().unwrap_or(0),
        wrong: runs.iter().map(|run| run.wrong).max().unwrap_or(0),
        dropped: runs.iter().map(|run| run.dropped).max().unwrap_or(0),
    }
}

fn median(runs: &[Figures], figure: impl Fn(&Figures) -> f64) -> f64 {
    let mut figures: Vec<f64> = runs.iter().map(figure).collect();
    figures.sort_unstable_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

fn milliseconds(duration: Duration) -> String {
    format!("{:.2}ms", duration.as_secs_f64() * 1e3)
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}
