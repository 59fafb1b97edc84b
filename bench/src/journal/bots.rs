//! The journal inside a whole bot: the first handler after a restart, jobs on time.

use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use evenkeel::config::Config;
use evenkeel::journal::Journal;
use evenkeel::transport::{FreshIds, Inbox, SendError, Sent};
use evenkeel::{
    Bot, Context, Conversation, Event, Job, Message, MessageId, Outbound, Result, Router, Sender, Transport,
};

use super::percentiles;
use crate::random::Random;

/// Jobs that become due while it is measured, within this many milliseconds.
const DUE: usize = 2_000;
const DUE_WITHIN_MS: u64 = 5_000;
const SEED: u64 = 7;

/// A network on which one person writes at most one message.
struct Person {
    text: Option<&'static str>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Transport for Person {
    fn name(&self) -> &'static str {
        "person"
    }

    async fn receive(&self, inbox: Inbox) -> Result<()> {
        if let Some(text) = self.text {
            let (who, id) = ("+15550000000", FreshIds::new().fresh());
            let message = Message::text(id.clone(), text);
            let event = Event::new(id, Conversation::direct(who), Sender::new(who), message);
            // The journal is there, and the bot stops when it is told to.
            let _accepted = inbox.accept(event).await;
        }
        std::future::pending().await
    }

    async fn send(&self, outbound: &Outbound) -> Result<Sent, SendError> {
        let id = format!("{}.{}", outbound.key.sequence, outbound.key.index);
        Ok(Sent::message(MessageId::new(id)))
    }
}

/// Runs a bot with its own threads until `until` returns.
fn run<R>(
    person: Person,
    journal: impl Journal,
    app: Router,
    until: impl FnOnce() -> io::Result<R>,
) -> io::Result<R> {
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let quiet = Config::from_pairs([("EVENKEEL_LOG", "warn")]);
    let bot =
        Bot::new(app).transport(person).with_journal(journal).with_shutdown(async { drop(stopped.await) });
    let bot = bot.with_settings(&quiet).map_err(|error| told(&error))?;
    let bot = std::thread::spawn(move || bot.run().map_err(|error| told(&error)));
    let done = until();
    drop(stop);
    bot.join().map_err(|_| io::Error::other("the bot panicked"))??;
    done
}

/// The framework's errors as this program's.
pub(crate) fn told(error: &evenkeel::Error) -> io::Error {
    io::Error::other(error.to_string())
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
    run(Person { text: None }, super::open(path)?, app, || {
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
    run(Person { text: Some("!plan") }, super::open(path)?, app, || {
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
