//! `serve` inside a runtime of one thread whose own tasks block it, beside `run`.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use evenkeel::transport::{Inbox, SendError, Sent};
use evenkeel::{Bot, Conversation, Event, Message, Outbound, Result, Router, Sender, Transport};

use super::quantile;

const PINGS: usize = 2_000;
/// Between two of them.
const PAUSE: Duration = Duration::from_millis(2);
/// How long each task of the program's own blocks the thread of its runtime.
const BLOCKS: Duration = Duration::from_millis(200);
/// How much later an answer may be, of a hundred the slowest.
const LATER: Duration = Duration::from_millis(1);
const REPEATS: usize = 3;

/// A network on which somebody asks one thing after another, and measures how long each answer takes.
#[derive(Clone, Default)]
struct Patient(Arc<Mutex<Asked>>);

#[derive(Default)]
struct Asked {
    at: Vec<Instant>,
    took: Vec<Duration>,
}

impl Patient {
    fn asked(&self) -> std::sync::MutexGuard<'_, Asked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Transport for Patient {
    fn name(&self) -> &'static str {
        "patient"
    }

    async fn receive(&self, inbox: Inbox) -> Result<()> {
        for n in 0..PINGS {
            tokio::time::sleep(PAUSE).await;
            let message = Message::text(n.to_string(), "!ping");
            let event =
                Event::new(n.to_string(), Conversation::direct(n.to_string()), Sender::new("a"), message);
            self.asked().at.push(Instant::now());
            // There is room for it.
            let _taken = inbox.push(event);
        }
        std::future::pending().await
    }

    async fn send(&self, outbound: &Outbound) -> Result<Sent, SendError> {
        let now = Instant::now();
        let mut asked = self.asked();
        let at = outbound.conversation.id().parse().ok().and_then(|n: usize| asked.at.get(n).copied());
        asked.took.extend(at.map(|at| now - at));
        Ok(Sent::done())
    }
}

async fn answered(patient: Patient) {
    while patient.asked().took.len() < PINGS {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn bot(patient: &Patient) -> Bot<evenkeel::journal::memory::MemoryJournal> {
    let app = Router::new().command("!ping", async || "pong");
    Bot::new(app).transport(patient.clone()).in_memory().with_shutdown(answered(patient.clone()))
}

/// On threads of its own, as the whole program.
fn run_alone() -> io::Result<Vec<Duration>> {
    let patient = Patient::default();
    bot(&patient).run().map_err(|error| io::Error::other(error.to_string()))?;
    Ok(sorted(&patient))
}

/// Inside a runtime of one thread, one task of which blocks it nearly all the time.
fn serve_beside() -> io::Result<Vec<Duration>> {
    let patient = Patient::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let blocking = tokio::spawn(async {
            loop {
                std::thread::sleep(BLOCKS);
                tokio::task::yield_now().await;
            }
        });
        let served = bot(&patient).serve().await.map_err(|error| io::Error::other(error.to_string()));
        blocking.abort();
        served
    })?;
    Ok(sorted(&patient))
}

fn sorted(patient: &Patient) -> Vec<Duration> {
    let mut took = std::mem::take(&mut patient.asked().took);
    took.sort_unstable();
    took
}

/// Prints how long answers take.
///
/// # Errors
///
/// When a bot does not run.
pub(super) fn run() -> io::Result<()> {
    println!(
        "{PINGS} pings, one each {PAUSE:?}; a task of the program's own blocks its runtime for {BLOCKS:?} again and again"
    );
    println!("\n| | p50 | p99 |\n|---|---:|---:|");
    let mut later = Vec::new();
    for _ in 0..REPEATS {
        let (alone, beside) = (run_alone()?, serve_beside()?);
        line("`run`", &alone);
        line("`serve`", &beside);
        later.push(quantile(&beside, 0.99).saturating_sub(quantile(&alone, 0.99)));
    }
    later.sort_unstable();
    println!(
        "\n`serve` later than `run`, p99, median of {REPEATS}: {:.2} ms (bar {} ms)",
        ms(quantile(&later, 0.5)),
        LATER.as_millis()
    );
    Ok(())
}

fn line(name: &str, took: &[Duration]) {
    println!("| {name} | {:.2} ms | {:.2} ms |", ms(quantile(took, 0.5)), ms(quantile(took, 0.99)));
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
