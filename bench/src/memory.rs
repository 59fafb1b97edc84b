//! What a bot keeps of conversations that it has seen and that are idle again.

use std::io;

use crate::contender::Contender;
use crate::signal::run::once;
use crate::signal::{Plan, scenario};

const SEEN: usize = 1_000_000;
const FEW: usize = 1_000;

/// Sends as many messages to a bot from a million people as to another one from a thousand, and compares.
pub(crate) fn run() -> io::Result<()> {
    let mut plan = Plan::of(&scenario::PING);
    plan.messages = SEEN;
    let (found, missing) = Contender::find(&["evenkeel"], &plan.evenkeel)?;
    let Some(bot) = found.first() else { return Err(io::Error::other(missing.join(", "))) };
    let mut ends = [0.0; 2];
    for (conversations, end) in [FEW, SEEN].into_iter().zip(&mut ends) {
        plan.conversations = conversations;
        let figures = once(&plan, bot)?;
        *end = figures.final_bytes as f64;
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        println!(
            "{SEEN} messages of {conversations} conversations: {:.1} MiB idle at start, {:.1} MiB at the end",
            mib(figures.idle_bytes),
            mib(figures.final_bytes),
        );
    }
    println!("kept for each idle conversation: {:.1} bytes", (ends[1] - ends[0]) / (SEEN - FEW) as f64);
    Ok(())
}
