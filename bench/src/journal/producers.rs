//! How many messages a second the journal on a file takes, from few who write and from many.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use evenkeel::journal::{Entry, Journal};

use super::{FOR, accept, bots, cpu_time, follow, in_folder, open, recover, syncs, used_bytes};

/// Runs what concerns many producers only, several times, and prints the medians.
pub(crate) fn run(counts: &[u64], repeats: usize) -> io::Result<()> {
    in_folder(|folder| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        println!("\ndurable messages, as in `journal`; medians of {repeats}");
        heading();
        for producers in counts {
            let mut rates = Vec::new();
            for repeat in 0..repeats {
                let path = folder.join(format!("rate-{producers}-{repeat}.db"));
                rates.push(runtime.block_on(throughput(&path, *producers))?);
            }
            rates.sort_unstable_by(|one, other| one.per_second.total_cmp(&other.per_second));
            rates.get(repeats / 2).into_iter().for_each(Rate::print);
        }
        Ok(())
    })
}

/// Half of the producers wait in the batch that is written, half in the one that is collected, as in a running bot.
pub(super) async fn throughput(path: &Path, producers: u64) -> io::Result<Rate> {
    let mut journal = open(path)?;
    recover(&mut journal).await?;
    let empty = used_bytes(path)?;
    let health = journal.health();
    let groups = producers.min(2);
    let mut number = 0;
    let mut messages = 0;
    let mut flying = VecDeque::new();
    let fill = |next: &mut Vec<Entry>, number: &mut u64| {
        next.extend((0..producers / groups).map(|at| accept(*number + at, true)));
        *number += producers / groups;
    };
    for _ in 0..groups {
        let mut next = Vec::new();
        fill(&mut next, &mut number);
        flying.push_back(journal.write(next));
    }
    let (start, cpu) = (Instant::now(), cpu_time());
    while let Some(writing) = flying.pop_front() {
        let written = writing.await.map_err(|error| bots::told(&error))?;
        let mut next = Vec::with_capacity(written.0.len());
        messages += follow(&written, &mut next);
        if start.elapsed() < FOR {
            fill(&mut next, &mut number);
        }
        if !next.is_empty() {
            flying.push_back(journal.write(next));
        }
    }
    let (wall, cpu) = (start.elapsed(), cpu_time() - cpu);
    journal.close().await;
    let stats = health.stats();
    let per_message = |what: Duration| what.as_secs_f64() * 1e6 / messages as f64;
    Ok(Rate {
        producers,
        per_second: messages as f64 / wall.as_secs_f64(),
        syncs: syncs(&stats) as f64 / messages as f64,
        cpu_micros: per_message(cpu),
        writer_micros: per_message(stats.busy),
        left_bytes: used_bytes(path)?.saturating_sub(empty) as f64 / messages as f64,
        log_mib: stats.wal_peak_bytes as f64 / f64::from(1 << 20),
    })
}

/// What came of some producers; all but the rate and the log for each message.
pub(super) struct Rate {
    producers: u64,
    per_second: f64,
    syncs: f64,
    cpu_micros: f64,
    writer_micros: f64,
    left_bytes: f64,
    log_mib: f64,
}

pub(super) fn heading() {
    println!(
        "{:>10} {:>10} {:>12} {:>12} {:>12} {:>12} {:>10}",
        "producers", "msgs/s", "syncs/msg", "CPU us/msg", "writer us", "bytes left", "WAL MiB"
    );
}

impl Rate {
    pub(super) fn print(&self) {
        println!(
            "{:>10} {:>10.0} {:>12.4} {:>12.1} {:>12.1} {:>12.1} {:>10.1}",
            self.producers,
            self.per_second,
            self.syncs,
            self.cpu_micros,
            self.writer_micros,
            self.left_bytes,
            self.log_mib,
        );
    }
}
