//! The figures as text.

use std::time::Duration;

use super::run::Outcome;
use super::{Plan, Trouble};

/// Says what is done, so that a pasted table explains itself.
pub(super) fn heading(plan: &Plan) {
    let Plan { rounds, seed, rate, conversations, network, trouble, is_forgetful, .. } = plan;
    let journal = if *is_forgetful { "in memory" } else { "in a file" };
    let what = ended_by(*trouble);
    println!(
        "{what} over {network:?}: {rounds} rounds, seed {seed}, {rate} messages/s while the bot is there, \
         {conversations} conversations, the journal {journal}"
    );
}

fn ended_by(trouble: Trouble) -> &'static str {
    match trouble {
        Trouble::Kill => "SIGKILL",
        Trouble::Power => "power cuts",
        Trouble::Lie => "power cuts, each sync swallowed,",
        Trouble::Full => "SIGKILL, with a disk that fills up,",
        Trouble::Abort => "poisoned messages",
    }
}

/// Prints the outcome as Markdown, and the first violations.
pub(super) fn table(outcome: &Outcome) {
    let Outcome { rounds, findings, first_answers, silent_lives, strange, full, elapsed } = outcome;
    let not_allowed = findings.count("duplicated") + findings.count("changed");
    let rows = [
        ("rounds", rounds.to_string()),
        ("ends of the process", findings.kills.to_string()),
        ("lives in which the disk was full", full.to_string()),
        ("messages offered", findings.offered.to_string()),
        ("accepted", findings.acknowledged.to_string()),
        ("answered in full", findings.answered.to_string()),
        ("still pending", findings.pending.to_string()),
        ("dead letters", findings.dead.to_string()),
        ("of these, never ended the process", findings.harmless.to_string()),
        ("**accepted and lost**", (findings.count("lost") + findings.count("half")).to_string()),
        ("of these, half answered", findings.count("half").to_string()),
        ("**reordered**", findings.count("reordered").to_string()),
        ("**duplicates that are not allowed**", not_allowed.to_string()),
        ("duplicates that were under way at a kill", findings.repeated.to_string()),
        ("**answers to nothing**", findings.count("unoffered").to_string()),
        ("answers without a name, such as apologies", strange.to_string()),
        ("lost upstream, never accepted", findings.upstream.to_string()),
        ("start to first answer, median", milliseconds(first_answers, 0.5)),
        ("start to first answer, longest", milliseconds(first_answers, 1.0)),
        ("lives that ended before the first answer", silent_lives.to_string()),
        ("took", format!("{:.0} s", elapsed.as_secs_f64())),
    ];
    println!("\n| | |\n|---|---:|");
    for (what, figure) in rows {
        println!("| {what} | {figure} |");
    }
    if !findings.is_clean() {
        println!("\nthe first violations:");
        findings.violations.iter().for_each(|violation| println!("  {violation}"));
    }
}

fn milliseconds(sorted: &[Duration], share: f64) -> String {
    let at = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or("-".to_owned(), |time| format!("{:.0} ms", time.as_secs_f64() * 1e3))
}
