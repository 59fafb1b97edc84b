//! One contender, one run, its figures.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use evenkeel_signal::standin::Standin;
use evenkeel_signal::standin::options::{Options, Recording};

use super::Plan;
use super::load::{Load, Outcome};
use crate::contender::{Contender, Running};

/// How long a contender may take to connect, and may go without a reply.
const PATIENCE: Duration = Duration::from_secs(10);
/// After this long without work, memory is what it is at rest.
const REST: Duration = Duration::from_millis(500);
/// Messages before the clock starts: connections, allocator and branch predictor are warm by then.
const WARM_UP_MESSAGES: usize = 2_000;

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

    let stalled = || io::Error::other(format!("{} has stopped answering", contender.name));
    let drive = |running: &mut Running, messages: usize| {
        load.drive(&standin, messages, plan.outstanding, PATIENCE, || running.has_ended()).ok_or_else(stalled)
    };
    drive(&mut running, WARM_UP_MESSAGES.min(plan.messages))?;
    let (cpu, start) = (running.process().cpu_time()?, Instant::now());
    let outcome = drive(&mut running, plan.messages)?;
    let elapsed = start.elapsed();
    // The answer to the last send is still under way; what it costs belongs to the run.
    std::thread::sleep(Duration::from_millis(50));
    let cpu = running.process().cpu_time()?.saturating_sub(cpu);

    let mut figures = figures(outcome);
    figures.per_second = plan.messages as f64 / elapsed.as_secs_f64();
    figures.cpu_micros = cpu.as_secs_f64() * 1e6 / plan.messages as f64;
    figures.idle_bytes = idle_bytes;
    figures.final_bytes = running.process().resident_bytes()?;
    figures.dropped = standin.transcript().dropped;
    Ok(figures)
}

pub(super) fn wait_for_socket(standin: &Standin, running: &mut Running, name: &str) -> io::Result<()> {
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
