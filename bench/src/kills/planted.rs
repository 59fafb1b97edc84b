//! Bugs planted in a model of the bot: whether the checker would notice.
//!
//! The model is a bot in small, on a disk with a page cache. It draws every step from its seed, so a play can be had
//! again. Without a bug it has to pass; each bug has to be caught, or the checker is blind to it.

mod bug;
mod message;
mod disk;
mod writer;
mod bot;
mod play;

use std::io;

use super::history::Findings;
use bug::Bug;

/// A bug is caught within this many seeds, or it is not caught.
const SEEDS: u64 = 200;

/// How a bug fared.
struct Caught {
    about: &'static str,
    bug: Bug,
    /// The first seed that caught it, and what was found.
    first: Option<(u64, Findings)>,
    seeds: u64,
}

/// Plays the model without and with each bug, and prints the table.
///
/// # Errors
///
/// When the model is not clean without a bug, or a bug is not caught.
pub(crate) fn run() -> io::Result<()> {
    println!("a model of the bot, {SEEDS} seeds each, killed and without power at any step\n");
    if let Some((seed, findings)) = blemish(SEEDS * 10) {
        let found: Vec<String> = findings.violations.iter().map(ToString::to_string).collect();
        return Err(io::Error::other(format!("seed {seed} without a bug: {}", found.join(", "))));
    }
    println!("without a bug: {} of {} seeds are clean\n", SEEDS * 10, SEEDS * 10);
    println!("| planted bug | what it does | caught by seed | in how many of {SEEDS} | found as |");
    println!("|---|---|---|---|---|");
    let caught: Vec<Caught> = bug::ALL.iter().map(|(bug, about)| hunt(*bug, about)).collect();
    for Caught { about, bug, first, seeds } in &caught {
        let (seed, words) = match first {
            Some((seed, findings)) => (seed.to_string(), words(findings)),
            None => ("never".to_owned(), String::new()),
        };
        println!("| {bug:?} | {about} | {seed} | {seeds} | {words} |");
    }
    let count = caught.iter().filter(|one| one.first.is_some()).count();
    println!("\n{count} of {} are caught", caught.len());
    if count < caught.len() {
        return Err(io::Error::other("the checker is blind to a bug"));
    }
    Ok(())
}

/// Returns the first seed that is not clean without a bug.
fn blemish(seeds: u64) -> Option<(u64, Findings)> {
    (0..seeds).map(|seed| (seed, play::play(seed, None))).find(|(_, findings)| !findings.is_clean())
}

fn hunt(bug: Bug, about: &'static str) -> Caught {
    let mut caught = Caught { about, bug, first: None, seeds: 0 };
    for seed in 0..SEEDS {
        let findings = play::play(seed, Some(bug));
        if !findings.is_clean() {
            caught.seeds += 1;
            caught.first.get_or_insert((seed, findings));
        }
    }
    caught
}

fn words(findings: &Findings) -> String {
    let mut words: Vec<_> = findings.counts.iter().map(|(word, count)| format!("{count} {word}")).collect();
    words.sort_unstable();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bot_without_a_bug_is_clean() {
        let blemish = blemish(SEEDS);
        assert!(blemish.is_none(), "{blemish:#?}");
    }

    #[test]
    fn each_planted_bug_is_caught() {
        for (bug, about) in bug::ALL {
            assert!(hunt(bug, about).first.is_some(), "{bug:?}, seeds 0 to {SEEDS}: {about}");
        }
    }
}
