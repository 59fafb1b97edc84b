//! Whether the machine did anything else meanwhile: then a figure is taken again, and else it is marked.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use super::Plan;

/// What others may take of all cores during a run; the kernel's own work for the bot looks like theirs.
const MOST: f64 = 0.15;
/// So often a run is played again.
const TRIES: usize = 3;
/// For this many seconds in all quiet moments are waited for; then each run is played once, whatever happens beside it.
const PATIENCE: u32 = 60;

/// The noise of several runs.
pub(super) struct Quiet {
    /// The largest share of the cores that others took during a run that counts.
    worst: f64,
    /// Seconds left to wait.
    patience: u32,
}

impl Default for Quiet {
    fn default() -> Self {
        Self { worst: 0.0, patience: PATIENCE }
    }
}

impl Quiet {
    /// Plays a run once others are quiet, and again if they were not so throughout: the quietest run counts.
    pub(super) fn play<T>(&mut self, plan: &Plan, mut run: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        if plan.is_short {
            return run();
        }
        let tries = if self.patience > 0 { TRIES } else { 1 };
        let (share, outcome) = quietest(tries, || {
            self.wait()?;
            let before = Moment::now()?;
            let outcome = run()?;
            Ok((before.others()?, outcome))
        })?;
        self.worst = self.worst.max(share);
        Ok(outcome)
    }

    fn wait(&mut self) -> io::Result<()> {
        while self.patience > 0 {
            let before = Moment::now()?;
            std::thread::sleep(Duration::from_secs(1));
            if before.others()? <= MOST / 2.0 {
                break;
            }
            self.patience -= 1;
        }
        Ok(())
    }

    /// What to print beside figures that are noisy all the same; else nothing.
    pub(super) fn note(&self) -> String {
        let is_noisy = self.worst > MOST;
        if is_noisy {
            format!("; NOISY: others took {:.0} % of the cores", self.worst * 100.0)
        } else {
            String::new()
        }
    }
}

/// The run with the smallest share of others; the first whose share is small enough ends it.
fn quietest<T>(tries: usize, mut play: impl FnMut() -> io::Result<(f64, T)>) -> io::Result<(f64, T)> {
    let mut best = play()?;
    for _ in 1..tries {
        if best.0 <= MOST {
            break;
        }
        let again = play()?;
        if again.0 < best.0 {
            best = again;
        }
    }
    Ok(best)
}

/// What the cores have done until a moment, in ticks of 10 ms.
struct Moment {
    at: Instant,
    all: u64,
    /// This process, and those that it has started and that have ended.
    ours: u64,
}

impl Moment {
    fn now() -> io::Result<Self> {
        let stat = fs::read_to_string("/proc/stat")?;
        // User, nice, system, idle, waiting for a disk, interrupts, soft interrupts, taken by the host.
        let fields = numbers(stat.lines().next().unwrap_or_default());
        let all = [0, 1, 2, 5, 6, 7].iter().filter_map(|at| fields.get(*at)).sum();
        let own = fs::read_to_string("/proc/self/stat")?;
        let behind_name = own.rsplit_once(')').map_or("", |(_, fields)| fields);
        let ours = numbers(behind_name).iter().skip(10).take(4).sum();
        Ok(Self { at: Instant::now(), all, ours })
    }

    /// The share of all cores that others have taken since.
    fn others(&self) -> io::Result<f64> {
        let now = Self::now()?;
        let cores = std::thread::available_parallelism()?.get() as f64;
        let ticks = (now.all - self.all) as f64 - (now.ours - self.ours) as f64;
        Ok(ticks.max(0.0) / 100.0 / (now.at - self.at).as_secs_f64() / cores)
    }
}

/// The numbers of a line, without what is none.
fn numbers(line: &str) -> Vec<u64> {
    line.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(shares: &[f64]) -> (f64, usize) {
        let mut played = 0;
        let play = || {
            played += 1;
            Ok((shares[played - 1], played))
        };
        quietest(3, play).unwrap()
    }

    #[test]
    fn the_first_quiet_run_counts_and_else_the_quietest() {
        assert_eq!(check(&[0.1]), (0.1, 1));
        assert_eq!(check(&[0.5, 0.1]), (0.1, 2));
        assert_eq!(check(&[0.5, 0.3, 0.4]), (0.3, 2));
    }

    #[test]
    fn noise_is_told_where_there_was_any() {
        assert_eq!(Quiet { worst: MOST, patience: 0 }.note(), "");
        assert_eq!(Quiet { worst: 0.5, patience: 0 }.note(), "; NOISY: others took 50 % of the cores");
    }
}
