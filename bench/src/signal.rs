//! Contenders against the Signal stand-in, in turn, and the medians.

mod words;
mod load;
pub(crate) mod run;
pub(crate) mod scenario;
pub(crate) mod freeze;
mod table;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use evenkeel_signal::standin::Standin;
use evenkeel_signal::standin::options::{Options, Recording};

use crate::contender::{self, Contender};
use run::Figures;
use scenario::Scenario;

/// One invocation of the benchmark.
pub(crate) struct Plan {
    pub(crate) scenario: &'static Scenario,
    pub(crate) messages: usize,
    pub(crate) conversations: usize,
    pub(crate) outstanding: usize,
    pub(crate) repeats: usize,
    /// Contenders to run; empty means all.
    pub(crate) only: Vec<String>,
    /// The bot that is measured.
    pub(crate) evenkeel: PathBuf,
}

impl Plan {
    /// Returns the defaults of `scenario`.
    pub(crate) fn of(scenario: &'static Scenario) -> Self {
        Self {
            scenario,
            messages: scenario.messages,
            conversations: scenario.conversations,
            outstanding: scenario.outstanding,
            repeats: scenario.repeats,
            only: Vec::new(),
            evenkeel: contender::example(),
        }
    }

    fn names(&self) -> Vec<&'static str> {
        let wanted = |name: &&str| self.only.is_empty() || self.only.iter().any(|only| only == name);
        self.scenario.contenders.iter().copied().filter(wanted).collect()
    }
}

/// Runs every contender `repeats` times, A B C A B C, so that a slow minute of the machine hits them all.
pub(crate) fn run(plan: &Plan) -> io::Result<()> {
    let (contenders, missing) = Contender::find(&plan.names(), &plan.evenkeel)?;
    table::heading(plan);
    for line in &missing {
        println!("  {line}");
    }
    if contenders.is_empty() {
        return Err(io::Error::other("there is no contender to run"));
    }
    let mut figures: Vec<Vec<Figures>> = vec![Vec::new(); contenders.len()];
    for _ in 0..plan.repeats {
        for (contender, figures) in contenders.iter().zip(&mut figures) {
            let run = run::once(plan, contender)?;
            table::line(contender.name, &run);
            figures.push(run);
        }
    }
    let medians: Vec<_> = contenders.iter().map(|contender| contender.name).zip(figures).collect();
    table::medians(&medians);
    Ok(())
}

/// Serves the stand-in alone, for trying a bot by hand, and prints what the bot sends.
pub(crate) fn serve(address: SocketAddr) -> io::Result<()> {
    let options = Options::default()
        .with_address(address)
        .with_recording(Recording::Counts)
        .on_send(|_, sent| println!("to {}: {}", sent.recipients.join(", "), sent.message));
    let standin = Standin::start(options)?;
    println!("listening on {}; each line is said by Alice", standin.url());
    for line in io::stdin().lines() {
        standin.say(&evenkeel_signal::standin::people::Person::alice(), &line?);
    }
    // Without a terminal, serve until killed.
    loop {
        std::thread::park();
    }
}
