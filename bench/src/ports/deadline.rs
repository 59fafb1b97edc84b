//! Many events that want an answer in time, while every thread of the handlers blocks and each sync takes long.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use evenkeel::command::Deferral;
use evenkeel::journal::sqlite::SqliteJournal;
use evenkeel::journal::{Entry, Journal, Recovered};
use evenkeel::transport::{Inbox, SendError, Sent};
use evenkeel::{
    Answered, Bot, Conversation, Deadline, Event, Message, Outbound, ReplyToken, Result, Router, Sender,
    Transport,
};
use evenkeel_guard::Executor;

use super::{Folder, quantile};

const EVENTS: usize = 10_000;
const DUE: Duration = Duration::from_millis(300);
/// How long each sync takes.
const SYNC: Duration = Duration::from_millis(200);
/// Threads of the handlers, and how long each is blocked at the start.
const THREADS: usize = 2;
const BLOCKED: Duration = Duration::from_secs(2);
/// How late an announcement may be, on a machine with nothing else to do.
const LATE: Duration = Duration::from_millis(20);
/// All answers are there by then, or are not to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is seen of one event.
#[derive(Clone, Copy, Default)]
struct Seen {
    came: Option<Instant>,
    announced: Option<Instant>,
    announcements: u32,
    /// Answers that did not take the place of the announcement.
    beside: u32,
    answers: u32,
}

#[derive(Clone, Default)]
struct Far(Arc<Mutex<HashMap<String, Seen>>>);

impl Far {
    fn seen(&self) -> MutexGuard<'_, HashMap<String, Seen>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A network on which so many people say something at once.
struct Crowd(Far);

impl Transport for Crowd {
    fn name(&self) -> &'static str {
        "crowd"
    }

    async fn receive(&self, inbox: Inbox) -> Result<()> {
        // The first ones block every thread that handlers have.
        for n in 0..THREADS + EVENTS {
            let (id, text) = (n.to_string(), if n < THREADS { "!block" } else { "!ping" });
            if n == THREADS {
                // They begin once their batch is written.
                tokio::time::sleep(2 * SYNC).await;
            }
            let message = Message::text(id.clone(), text);
            let mut event =
                Event::new(id.clone(), Conversation::direct(id.clone()), Sender::new(id.clone()), message);
            if n >= THREADS {
                let deadline = Deadline::within(2 * DUE).with_margin(DUE).for_command("ping");
                event = event.with_token(ReplyToken::new(id.clone())).with_deadline(deadline);
                self.0.seen().insert(id, Seen { came: Some(Instant::now()), ..Seen::default() });
            }
            // There is room for them.
            let _taken = inbox.push(event);
        }
        std::future::pending().await
    }

    async fn send(&self, outbound: &Outbound) -> Result<Sent, SendError> {
        if let Some(token) = &outbound.token
            && let Some(seen) = self.0.seen().get_mut(token.as_str())
        {
            seen.answers += 1;
            seen.beside += u32::from(outbound.answered != Answered::Deferred && seen.announced.is_some());
        }
        Ok(Sent::done())
    }

    async fn defer(&self, token: &ReplyToken, _: Deferral) -> Result<(), SendError> {
        if let Some(seen) = self.0.seen().get_mut(token.as_str()) {
            seen.announced = Some(Instant::now());
            seen.announcements += 1;
        }
        Ok(())
    }
}

/// A journal on a file whose syncs take long.
struct Slow(SqliteJournal);

impl Journal for Slow {
    type Writing = <SqliteJournal as Journal>::Writing;

    fn recover(&mut self) -> impl Future<Output = Result<Recovered>> + Send {
        self.0.recover()
    }

    fn write(&mut self, batch: Vec<Entry>) -> Self::Writing {
        if !batch.iter().all(Entry::is_lazy) {
            std::thread::sleep(SYNC);
        }
        self.0.write(batch)
    }

    fn blocks(&self) -> bool {
        true
    }
}

/// Prints how late the network was told.
///
/// # Errors
///
/// When the bot does not run, or an event was not announced, or was answered twice.
pub(super) fn run() -> io::Result<()> {
    async fn block() {
        std::thread::sleep(BLOCKED);
    }
    let folder = Folder::new("deadline")?;
    let journal = SqliteJournal::open(folder.0.join("evenkeel.db"))
        .map_err(|error| io::Error::other(error.to_string()))?;
    let handlers =
        tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).enable_all().build()?;
    let (far, app) =
        (Far::default(), Router::new().command("!ping", async || "pong").command("!block", block));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let bot = Bot::new(app)
        .transport(Crowd(far.clone()))
        .with_journal(Slow(journal))
        // Without the guard, so that they block indeed.
        .with_executor(Executor::unwatched(handlers.handle().clone()))
        .with_shutdown(async move { drop(stopped.await) });
    let bot = std::thread::spawn(move || bot.run());
    let start = Instant::now();
    let is_done = || far.seen().values().filter(|seen| seen.answers > 0).count() == EVENTS;
    while !is_done() && start.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(20));
    }
    drop(stop);
    let ended = bot.join().map_err(|_| io::Error::other("the bot panicked"))?;
    ended.map_err(|error| io::Error::other(error.to_string()))?;
    handlers.shutdown_background();
    report(&far.seen())
}

fn report(seen: &HashMap<String, Seen>) -> io::Result<()> {
    let late = |seen: &Seen| Some(seen.announced?.saturating_duration_since(seen.came? + DUE));
    let mut lateness: Vec<_> = seen.values().filter_map(late).collect();
    lateness.sort_unstable();
    let ms = |share| quantile(&lateness, share).as_secs_f64() * 1e3;
    let count = |is: fn(&Seen) -> bool| seen.values().filter(|one| is(one)).count();
    let (silent, twice) = (
        count(|one| one.announced.is_none() && one.answers == 0),
        count(|one| one.announcements > 1 || one.answers > 1 || one.beside > 0),
    );
    println!(
        "{EVENTS} events due in {DUE:?}; {THREADS} threads of the handlers, all blocked for {BLOCKED:?}; {SYNC:?} for each sync"
    );
    println!("\n| | bar | seen |\n|---|---:|---:|");
    println!("| announced | | {} |", lateness.len());
    println!(
        "| late, p50 / p99 / longest | {} ms | {:.1} / {:.1} / {:.1} ms |",
        LATE.as_millis(),
        ms(0.5),
        ms(0.99),
        ms(1.0)
    );
    println!("| neither announced nor answered | 0 | {silent} |");
    println!("| announced or answered twice | 0 | {twice} |");
    println!("| answered after that | {EVENTS} | {} |", count(|one| one.answers == 1));
    if silent + twice > 0 || count(|one| one.answers == 1) != EVENTS {
        return Err(io::Error::other("an event has had no answer, or too many"));
    }
    Ok(())
}
