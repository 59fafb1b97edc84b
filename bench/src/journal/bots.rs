//! The journal inside a whole bot: syncs for each message, latency, the first handler after a restart, jobs on time.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use evenkeel::config::Config;
use evenkeel::journal::Journal;
use evenkeel::journal::memory::MemoryJournal;
use evenkeel::transport::{FreshIds, Inbox, SendError, Sent};
use evenkeel::{
    Bot, Context, Conversation, Event, Job, Message, MessageId, Outbound, Result, Router, Sender, Transport,
};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::percentiles;
use crate::random::Random;

/// How long messages are offered, and how much of that passes before it counts.
const FOR: Duration = Duration::from_secs(6);
const WARM: Duration = Duration::from_secs(1);
const PEOPLE: u64 = 1_000;
/// Jobs that become due while it is measured, within so many milliseconds.
const DUE: usize = 2_000;
const DUE_WITHIN_MS: u64 = 5_000;
const SEED: u64 = 7;

/// A network on which many people write, each their share of a rate, whether they are answered or not.
struct Crowd {
    ids: FreshIds,
    /// For each message that is to be written, how long after the first.
    plan: Vec<Duration>,
    text: &'static str,
    seen: Arc<Seen>,
}

/// What the crowd has noticed.
#[derive(Default)]
struct Seen {
    /// When each message was written.
    written: Mutex<Vec<Instant>>,
    /// How long each took to be accepted,
    accepted: Mutex<Vec<Duration>>,
    /// and to be answered.
    answered: Mutex<Vec<Duration>>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Crowd {
    fn new(plan: Vec<Duration>, text: &'static str) -> Self {
        Self { ids: FreshIds::new(), plan, text, seen: Arc::default() }
    }

    fn event(&self, number: usize) -> Event {
        let (who, id) = (format!("+1555{:07}", number as u64 % PEOPLE), self.ids.fresh());
        let message = Message::text(id.clone(), self.text);
        // Which message an answer belongs to is known by the conversation, where it is the only one under way.
        Event::new(id, Conversation::direct(who.clone()), Sender::new(who), message)
    }
}

impl Transport for Crowd {
    fn name(&self) -> &'static str {
        "crowd"
    }

    async fn receive(&self, inbox: Inbox) -> Result<()> {
        let mut accepting = FuturesUnordered::new();
        let (start, mut number) = (Instant::now(), 0);
        loop {
            while self.plan.get(number).is_some_and(|due| start.elapsed() >= *due) {
                let (event, at, inbox) = (self.event(number), Instant::now(), inbox.clone());
                locked(&self.seen.written).push(at);
                accepting.push(async move {
                    let accepted = inbox.accept(event).await;
                    (at, accepted)
                });
                number += 1;
            }
            let next = self.plan.get(number).map(|due| tokio::time::Instant::from_std(start + *due));
            let far = tokio::time::Instant::now() + Duration::from_secs(3600);
            tokio::select! {
                Some((at, accepted)) = accepting.next(), if !accepting.is_empty() => {
                    if accepted.is_ok() {
                        locked(&self.seen.accepted).push(at.elapsed());
                    }
                }
                () = tokio::time::sleep_until(next.unwrap_or(far)) => {}
            }
        }
    }

    async fn send(&self, outbound: &Outbound) -> Result<Sent, SendError> {
        let written = locked(&self.seen.written);
        // The messages of one person come in turn, and are answered in turn.
        let person = outbound.conversation.id().trim_start_matches("+1555").parse().unwrap_or(0);
        let last = written.iter().skip(person).step_by(PEOPLE as usize).next_back();
        if let Some(at) = last {
            locked(&self.seen.answered).push(at.elapsed());
        }
        drop(written);
        let id = format!("{}.{}", outbound.key.sequence, outbound.key.index);
        Ok(Sent::message(MessageId::new(id)))
    }
}

/// Runs a bot with its own threads until `until` returns.
fn run<R>(
    crowd: Crowd,
    journal: impl Journal,
    app: Router,
    until: impl FnOnce(&Seen) -> io::Result<R>,
) -> io::Result<R> {
    let seen = Arc::clone(&crowd.seen);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let quiet = Config::from_pairs([("EVENKEEL_LOG", "warn")]);
    let bot = Bot::new(crowd, app).with_journal(journal).with_shutdown(async { drop(stopped.await) });
    let bot = bot.with_settings(&quiet).map_err(|error| told(&error))?;
    let bot = std::thread::spawn(move || bot.run().map_err(|error| told(&error)));
    let done = until(&seen);
    drop(stop);
    bot.join().map_err(|_| io::Error::other("the bot panicked"))??;
    done
}

/// The framework's errors as this program's.
pub(super) fn told(error: &evenkeel::Error) -> io::Error {
    io::Error::other(error.to_string())
}

async fn ping() -> &'static str {
    "pong"
}

/// How long messages took, in milliseconds at the median and the 99th percentile.
struct Took {
    accepted: [f64; 3],
    answered: [f64; 3],
}

/// Offers a rate to a bot on a file and to one in memory, and prints what the file cost.
pub(super) fn rate(folder: &Path, per_second: u32) -> io::Result<()> {
    let syncs = || super::bare_syncs(&folder.join("sync"), WARM);
    let mut bare = syncs()?;
    let journal = super::open(&folder.join(format!("bot-{per_second}.db")))?;
    let health = journal.health();
    let (before, count, kept) = offer(per_second, journal, || health.vitals())?;
    let after = health.vitals();
    bare.extend(syncs()?);
    let sync_ms = percentiles(bare)[0];
    let (_, _, in_memory) = offer(per_second, MemoryJournal::default(), || ())?;
    let more = kept.answered[0] - in_memory.answered[0];
    println!(
        "{per_second:>10} {:>10.2} {:>10.1} {:>8.2} / {:>6.2} {:>8.2} / {:>6.2} {:>8.2} / {:>6.2} {sync_ms:>8.2} {more:>8.2} {:>8.1}",
        (super::syncs(&after) - super::syncs(&before)) as f64 / count as f64,
        (after.busy - before.busy).as_secs_f64() * 1e6 / count as f64,
        kept.accepted[0],
        kept.accepted[1],
        kept.answered[0],
        kept.answered[1],
        in_memory.answered[0],
        in_memory.answered[1],
        more / sync_ms,
    );
    Ok(())
}

/// Runs a bot and offers it a rate. Answers what `look` saw when it was warm, and how many messages came after that.
fn offer<V>(per_second: u32, journal: impl Journal, look: impl Fn() -> V) -> io::Result<(V, usize, Took)> {
    let total = per_second * FOR.as_secs() as u32;
    let plan = (0..total).map(|number| Duration::from_secs(1) * number / per_second).collect();
    let app = Router::new().command("!ping", ping);
    run(Crowd::new(plan, "!ping"), journal, app, |seen| {
        std::thread::sleep(WARM);
        let (vitals, warm) = (look(), locked(&seen.written).len());
        let deadline = Instant::now() + FOR * 6;
        while locked(&seen.answered).len() < total as usize {
            if Instant::now() > deadline {
                return Err(io::Error::other("not all were answered"));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let of_these = |all: &Mutex<Vec<Duration>>| percentiles(locked(all).split_off(warm));
        let took = Took { accepted: of_these(&seen.accepted), answered: of_these(&seen.answered) };
        Ok((vitals, total as usize - warm, took))
    })
}

/// From the opening of a journal with work left to the first handler that runs.
pub(super) fn first_handler(path: &Path) -> io::Result<()> {
    let (tell, told) = mpsc::sync_channel(1);
    let start = Instant::now();
    let handler = move || {
        // Only the first one matters.
        let _first = tell.try_send(start.elapsed());
        async {}
    };
    let app = Router::new().fallback(handler);
    let mut first = Duration::ZERO;
    run(Crowd::new(Vec::new(), ""), super::open(path)?, app, |_| {
        first = told.recv_timeout(Duration::from_secs(60)).map_err(io::Error::other)?;
        Ok(())
    })?;
    println!("  from opening it to the first handler of a bot: {:.0} ms", first.as_secs_f64() * 1e3);
    Ok(())
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(0)
}

/// How late jobs come, in a file that holds many more.
pub(super) fn on_time(path: &Path) -> io::Result<()> {
    static LATE: Mutex<Vec<Duration>> = Mutex::new(Vec::new());
    async fn ring(Job((due_ms,)): Job<(u64,)>) {
        locked(&LATE).push(Duration::from_millis(now_ms().saturating_sub(due_ms)));
    }
    async fn plan(cx: Context) -> Result<()> {
        let mut random = Random(SEED);
        for _ in 0..DUE {
            // Some time is left for writing all of them down.
            let due_ms = now_ms() + 2_000 + random.below(DUE_WITHIN_MS);
            cx.at(UNIX_EPOCH + Duration::from_millis(due_ms), ring, (due_ms,))?;
        }
        Ok(())
    }
    let app = Router::new().command("!plan", plan).job(ring);
    run(Crowd::new(vec![Duration::ZERO], "!plan"), super::open(path)?, app, |_| {
        let deadline = Instant::now() + Duration::from_millis(DUE_WITHIN_MS * 6);
        while locked(&LATE).len() < DUE {
            if Instant::now() > deadline {
                return Err(io::Error::other(format!("{} of {DUE} jobs were done", locked(&LATE).len())));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    })?;
    let late = percentiles(std::mem::take(&mut locked(&LATE)));
    println!(
        "  {DUE} due within {DUE_WITHIN_MS} ms beside them: p50 / p99 / max {:.0} / {:.0} / {:.0} ms late (seed {SEED})",
        late[0], late[1], late[2]
    );
    Ok(())
}
