//! One contender, one run, its figures.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use evenkeel_signal::standin::Standin;
use evenkeel_signal::standin::options::{Options, Recording};

use super::Plan;
use super::load::{Load, Outcome};
use crate::contender::{Contender, Process, Running};

/// How long a contender may take to connect, and may go without a reply.
const PATIENCE: Duration = Duration::from_secs(10);
/// After this long without work, memory is what it is at rest.
const REST: Duration = Duration::from_millis(500);
/// Messages before the clock starts: connections, allocator and branch predictor are warm by then, and the journal's log is
/// written over what is there, for it has been round once (8 MiB).
pub(crate) const WARM_UP_MESSAGES: usize = 10_000;

/// What one run showed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) per_second: f64,
    /// CPU time of the contender alone.
    pub(crate) cpu_micros: f64,
    pub(crate) median: Duration,
    pub(crate) p99: Duration,
    pub(crate) slowest: Duration,
    pub(crate) idle_bytes: u64,
    pub(crate) final_bytes: u64,
    pub(crate) out_of_order: usize,
    pub(crate) wrong: usize,
    /// Frames that the server lost because the contender did not read.
    pub(crate) dropped: u64,
}

/// Starts `contender` against a stand-in of its own, drives it through the plan and ends both.
pub(crate) fn once(plan: &Plan, contender: &Contender) -> io::Result<Figures> {
    let mut stage = Stage::start(plan, contender)?;
    stage.warm_up(WARM_UP_MESSAGES.min(plan.messages))?;
    stage.drive(plan.messages)
}

/// A contender and a stand-in of its own, which wait for each other: as many messages are outstanding as planned.
pub(crate) struct Stage {
    name: &'static str,
    outstanding: usize,
    idle_bytes: u64,
    load: Arc<Load>,
    /// Ends before the stand-in.
    running: Running,
    standin: Standin,
}

impl Stage {
    pub(crate) fn start(plan: &Plan, contender: &Contender) -> io::Result<Self> {
        let load = Arc::new(Load::new(plan));
        let replies = Arc::clone(&load);
        let options = Options::default()
            .with_recording(Recording::Counts)
            .on_send(move |switchboard, sent| replies.reply(switchboard, sent));
        let standin = Standin::start(options)?;
        let mut running = contender.start(&standin.address().to_string())?;
        wait_for_socket(&standin, &mut running, contender.name)?;
        std::thread::sleep(REST);
        let idle_bytes = running.process().resident_bytes()?;
        let (name, outstanding) = (contender.name, plan.outstanding);
        Ok(Self { name, outstanding, idle_bytes, load, running, standin })
    }

    pub(crate) fn process(&self) -> Process {
        self.running.process()
    }

    /// Sends messages that nobody measures.
    pub(crate) fn warm_up(&mut self, messages: usize) -> io::Result<()> {
        self.exchange(messages).map(drop)
    }

    /// Sends `messages` and waits for all replies.
    pub(crate) fn drive(&mut self, messages: usize) -> io::Result<Figures> {
        let process = self.process();
        let (cpu, start) = (process.cpu_time()?, Instant::now());
        let outcome = self.exchange(messages)?;
        let elapsed = start.elapsed();
        // The answer to the last send is still under way; what it costs belongs to the run.
        std::thread::sleep(Duration::from_millis(50));
        let cpu = process.cpu_time()?.saturating_sub(cpu);

        let mut figures = figures(outcome);
        figures.per_second = messages as f64 / elapsed.as_secs_f64();
        figures.cpu_micros = cpu.as_secs_f64() * 1e6 / messages as f64;
        figures.idle_bytes = self.idle_bytes;
        figures.final_bytes = process.resident_bytes()?;
        figures.dropped = self.standin.transcript().dropped;
        Ok(figures)
    }

    fn exchange(&mut self, messages: usize) -> io::Result<Outcome> {
        let Self { name, outstanding, load, running, standin, .. } = self;
        let outcome = load.drive(standin, messages, *outstanding, PATIENCE, || running.has_ended());
        outcome.ok_or_else(|| io::Error::other(format!("{name} has stopped answering")))
    }
}

pub(crate) fn wait_for_socket(standin: &Standin, running: &mut Running, name: &str) -> io::Result<()> {
    let start = Instant::now();
    while standin.transcript().sockets == 0 {
        if running.has_ended() {
            return Err(io::Error::other(format!("{name} has ended before it connected")));
        }
        if start.elapsed() > PATIENCE {
            return Err(io::Error::other(format!("{name} has not connected within {PATIENCE:?}")));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn figures(outcome: Outcome) -> Figures {
    let Outcome { mut latencies, out_of_order, wrong, .. } = outcome;
    latencies.sort_unstable();
    let at = |share: f64| {
        let index = (latencies.len() as f64 * share) as usize;
        latencies.get(index.min(latencies.len().saturating_sub(1))).copied().unwrap_or_default()
    };
    Figures { median: at(0.5), p99: at(0.99), slowest: at(1.0), out_of_order, wrong, ..Figures::default() }
}
