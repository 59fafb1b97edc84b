//! Pings on one network, without and with a flood on another network of the same bot.

use std::io;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use evenkeel::journal::Journal;
use evenkeel::journal::memory::MemoryJournal;
use evenkeel::journal::sqlite::SqliteJournal;
use evenkeel::transport::{Inbox, SendError, Sent};
use evenkeel::{Bot, Conversation, Event, Message, Outbound, Result, Router, Sender, Transport};
use tokio::sync::{Notify, oneshot};

use super::{Folder, quantile};

const FLOOD: usize = 20_000;
/// Conversations of the flood.
const CONVERSATIONS: usize = 1_000;
/// As much as a socket gives at once.
const CHUNK: usize = 64;
const FLOODS: usize = 5;
/// Pings before the first flood, and between two pings.
const QUIET: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(2);
/// How much later a ping may be answered in a flood.
const BAR_MS: f64 = 2.0;
/// A flood that takes longer has lost something.
const PATIENCE: Duration = Duration::from_secs(60);

/// A network on which one person asks, and waits for the answer.
#[derive(Clone, Default)]
struct Calm(Arc<Pings>);

#[derive(Default)]
struct Pings {
    answered: Notify,
    /// Which of the times are taken now.
    weather: AtomicUsize,
    times: [Mutex<Vec<Duration>>; 3],
}

/// Nothing else goes on,
const QUIET_TIMES: usize = 0;
/// the other network is flooded,
const FLOOD_TIMES: usize = 1;
/// or every core is busy with something else: what the machine alone does to a ping.
const BUSY_TIMES: usize = 2;

impl Transport for Calm {
    fn name(&self) -> &'static str {
        "calm"
    }

    async fn receive(&self, inbox: Inbox) -> Result<()> {
        for n in 0_u64.. {
            let id = n.to_string();
            let began = Instant::now();
            let weather = self.0.weather.load(Ordering::Relaxed);
            let message = Message::text(id.clone(), "!ping");
            let event = Event::new(id, Conversation::direct("alice"), Sender::new("alice"), message);
            if inbox.push(event).is_err() {
                break;
            }
            self.0.answered.notified().await;
            let times = &self.0.times[weather];
            times.lock().unwrap_or_else(PoisonError::into_inner).push(began.elapsed());
            tokio::time::sleep(PAUSE).await;
        }
        std::future::pending().await
    }

    async fn send(&self, _: &Outbound) -> Result<Sent, SendError> {
        self.0.answered.notify_one();
        Ok(Sent::done())
    }
}

/// A network on which very many ask at once.
#[derive(Clone, Default)]
struct Flooded(Arc<Flood>);

#[derive(Default)]
struct Flood {
    begins: Notify,
    answered: AtomicUsize,
}

impl Transport for Flooded {
    fn name(&self) -> &'static str {
        "flooded"
    }

    async fn receive(&self, inbox: Inbox) -> Result<()> {
        for flood in 0.. {
            self.0.begins.notified().await;
            for n in 0..FLOOD {
                let id = format!("{flood}.{n}");
                let who = format!("person {}", n % CONVERSATIONS);
                let message = Message::text(id.clone(), "!ping");
                // There is room for all of them.
                let _taken =
                    inbox.push(Event::new(id, Conversation::direct(who.clone()), Sender::new(who), message));
                if n % CHUNK == CHUNK - 1 {
                    tokio::task::yield_now().await;
                }
            }
        }
        Ok(())
    }

    async fn send(&self, _: &Outbound) -> Result<Sent, SendError> {
        self.0.answered.fetch_add(1, Ordering::Relaxed);
        Ok(Sent::done())
    }
}

/// Prints how long a ping takes on one network, without and with a flood on the other.
///
/// # Errors
///
/// When the bot does not run, or an event of the flood is not answered.
pub(super) fn run() -> io::Result<()> {
    println!(
        "{FLOODS} floods of {FLOOD} events on one network; pings one after another, {PAUSE:?} apart, on the other"
    );
    println!(
        "\n| journal | pings | p50 | p99 | in floods | p50 | p99 | later, p99 | bar | p99, cores busy | flood/s |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
    );
    once("in memory", MemoryJournal::default())?;
    let folder = Folder::new("isolation")?;
    let journal = SqliteJournal::open(folder.0.join("evenkeel.db"));
    once("on the disk", journal.map_err(|error| io::Error::other(error.chain()))?)
}

fn once(name: &str, journal: impl Journal) -> io::Result<()> {
    let (calm, flooded) = (Calm::default(), Flooded::default());
    let (stop, stopped) = oneshot::channel::<()>();
    let app = Router::new().command("!ping", async || "pong").with_state(()).without_loop_brake();
    let bot = Bot::new(app);
    let bot = bot.transport(calm.clone()).transport(flooded.clone()).with_journal(journal);
    let bot = bot.with_shutdown(async { drop(stopped.await) });
    let bot = std::thread::spawn(move || bot.run());
    std::thread::sleep(QUIET);
    let mut took = Duration::ZERO;
    for flood in 1..=FLOODS {
        calm.0.weather.store(FLOOD_TIMES, Ordering::Relaxed);
        let began = Instant::now();
        flooded.0.begins.notify_one();
        while flooded.0.answered.load(Ordering::Relaxed) < flood * FLOOD && began.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(1));
        }
        took += began.elapsed();
        calm.0.weather.store(QUIET_TIMES, Ordering::Relaxed);
        std::thread::sleep(QUIET / 6);
    }
    calm.0.weather.store(BUSY_TIMES, Ordering::Relaxed);
    keep_busy(QUIET);
    drop(stop);
    let ended = bot.join().map_err(|_| io::Error::other("the bot panicked"))?;
    ended.map_err(|error| io::Error::other(error.chain()))?;
    let answered = flooded.0.answered.load(Ordering::Relaxed);
    if answered != FLOODS * FLOOD {
        return Err(io::Error::other(format!("{answered} of {} events were answered", FLOODS * FLOOD)));
    }
    let times = |all: &Mutex<Vec<Duration>>| {
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner).clone();
        all.sort_unstable();
        let ms = |share| quantile(&all, share).as_secs_f64() * 1e3;
        (all.len(), ms(0.5), ms(0.99))
    };
    let [(quiet, p50, p99), (in_flood, in_p50, in_p99), (_, _, busy_p99)] =
        calm.0.times.each_ref().map(times);
    let later = in_p99 - p99;
    println!(
        "| {name} | {quiet} | {p50:.2} ms | {p99:.2} ms | {in_flood} | {in_p50:.2} ms | {in_p99:.2} ms | \
         {later:.2} ms | {BAR_MS} ms{} | {busy_p99:.2} ms | {:.0} |",
        if later <= BAR_MS { "" } else { ": MISSED" },
        (FLOODS * FLOOD) as f64 / took.as_secs_f64()
    );
    Ok(())
}

/// Keeps every core busy for so long.
fn keep_busy(time: Duration) {
    let cores = std::thread::available_parallelism().map_or(2, NonZero::get);
    let until = Instant::now() + time;
    let busy = || {
        while Instant::now() < until {
            std::hint::spin_loop();
        }
    };
    std::thread::scope(|threads| (0..cores).for_each(|_| drop(threads.spawn(busy))));
}
