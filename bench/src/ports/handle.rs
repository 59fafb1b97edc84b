//! What threads beside a bot have its handle say, durable when each call returns, and sent.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use evenkeel::handle::{Handle, Promised};
use evenkeel::journal::sqlite::SqliteJournal;
use evenkeel::transport::{Inbox, SendError, Sent};
use evenkeel::{Bot, Conversation, Outbound, Result, Router, Transport};
use tokio::sync::oneshot;

use super::Folder;

const THREADS: usize = 8;
/// So much is said by one call.
const BATCH: usize = 250;
/// Calls of each thread.
const CALLS: usize = 200;
const ALL: usize = THREADS * CALLS * BATCH;
/// Conversations of each thread.
const CONVERSATIONS: usize = 100;
/// What a second should have.
const BAR: f64 = 50_000.0;
const REPEATS: usize = 3;
/// All of it has arrived by then.
const PATIENCE: Duration = Duration::from_secs(60);

/// A network that takes whatever it is given, and counts it.
struct Sink(Arc<AtomicUsize>);

impl Transport for Sink {
    fn name(&self) -> &'static str {
        "sink"
    }

    async fn receive(&self, _: Inbox) -> Result<()> {
        std::future::pending().await
    }

    async fn send(&self, _: &Outbound) -> Result<Sent, SendError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(Sent::done())
    }

    fn is_idempotent(&self) -> bool {
        true
    }
}

/// How long it took until all was promised, and until all had arrived; and how much was not new.
struct Taken {
    promised: Duration,
    arrived: Duration,
    odd: usize,
}

/// Prints how much is said in a second.
///
/// # Errors
///
/// When a bot does not run, or anything is lost or doubled.
pub(super) fn run() -> io::Result<()> {
    println!(
        "{THREADS} threads, {CALLS} calls each of {BATCH} messages with ids, on the disk of the temporary folder"
    );
    println!("\n| | durable sends/s | arrived/s | lost | doubled |\n|---|---:|---:|---:|---:|");
    let mut rates = Vec::new();
    for number in 1..=REPEATS {
        let arrived = Arc::new(AtomicUsize::new(0));
        let taken = once(number, &arrived)?;
        let rate = |time: Duration| ALL as f64 / time.as_secs_f64();
        let count = arrived.load(Ordering::Relaxed);
        let (lost, doubled) = (ALL.saturating_sub(count), count.saturating_sub(ALL));
        println!(
            "| {number} | {:.0} | {:.0} | {lost} | {doubled} |",
            rate(taken.promised),
            rate(taken.arrived)
        );
        if lost + doubled + taken.odd > 0 {
            return Err(io::Error::other(format!("{} calls said that something was not new", taken.odd)));
        }
        rates.push(rate(taken.promised));
    }
    rates.sort_unstable_by(f64::total_cmp);
    let median = super::quantile(&rates, 0.5);
    println!("\nmedian of {REPEATS}: {median:.0} durable sends/s (bar {BAR:.0}: {:.2} of it)", median / BAR);
    Ok(())
}

fn once(number: usize, arrived: &Arc<AtomicUsize>) -> io::Result<Taken> {
    let folder = Folder::new("handle")?;
    let failed = |error: evenkeel::Error| io::Error::other(error.chain());
    let journal = SqliteJournal::open(folder.0.join("handle.db")).map_err(failed)?;
    let (stop, stopped) = oneshot::channel::<()>();
    let bot = Bot::new(Router::new()).transport(Sink(Arc::clone(arrived))).with_journal(journal);
    let bot = bot.with_shutdown(async { drop(stopped.await) });
    let handle = bot.handle();
    let bot = std::thread::spawn(move || bot.run());
    // It runs once this has an answer.
    handle.send_all([]).wait().map_err(failed)?;
    let start = Instant::now();
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let handle = handle.clone();
            std::thread::spawn(move || say(&handle, number, thread))
        })
        .collect();
    let mut odd = 0;
    for thread in threads {
        let said = thread.join().map_err(|_| io::Error::other("a thread panicked"))?;
        odd += said.map_err(failed)?;
    }
    let promised = start.elapsed();
    while arrived.load(Ordering::Relaxed) < ALL && start.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(1));
    }
    let all = start.elapsed();
    drop(stop);
    bot.join().map_err(|_| io::Error::other("the bot panicked"))?.map_err(failed)?;
    Ok(Taken { promised, arrived: all, odd })
}

/// Says the share of one thread; answers how much of it was not new.
fn say(handle: &Handle, number: usize, thread: usize) -> Result<usize> {
    let conversations: Vec<_> =
        (0..CONVERSATIONS).map(|one| handle.to(&Conversation::direct(format!("{thread} {one}")))).collect();
    let mut odd = 0;
    for call in 0..CALLS {
        let all = conversations.iter().cycle().take(BATCH).enumerate().map(|(at, conversation)| {
            conversation.send(format!("{call} {at}")).with_id(format!("{number} {thread} {call} {at}"))
        });
        let promised = handle.send_all(all).wait()?;
        odd += promised.iter().filter(|one| !matches!(one, Promised::New(_))).count();
    }
    Ok(odd)
}
