//! What the operator sees of a running bot, and does with it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use evenkeel::guarantee::{DeliveryMode, Guarantees};
use evenkeel::job::Waiting;
use evenkeel::journal::memory::MemoryJournal;
use evenkeel::journal::sqlite::SqliteOptions;
use evenkeel::journal::{Entry, Journal, Recovered, Written};
use evenkeel::sandbox::Sandbox;
use evenkeel::transport::{Inbox, SendError, Sent};
use evenkeel::{Args, Bot, Context, Job, Outbound, Result, Router, Transport};
use tokio::sync::Notify;

use crate::line::line;

async fn remind(cx: Context, Args(minutes): Args<u64>) -> Result<&'static str> {
    cx.after(Duration::from_secs(60 * minutes), ring, (minutes,))?;
    Ok("I will")
}

async fn ring(Job((minutes,)): Job<(u64,)>) -> String {
    format!("ring {minutes}")
}

async fn sweep(_: Job<()>) {}

/// The system's clock does not pause with tokio's.
fn paused_clock() -> impl Fn() -> SystemTime + Send {
    let began = tokio::time::Instant::now();
    move || UNIX_EPOCH + Duration::from_secs(1_700_000_000) + began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn the_operator_lists_and_cancels_the_jobs_of_all_conversations() {
    let (transport, mut far) = line();
    let app = Router::new().command("!remind", remind).job(ring);
    let app = app.schedule("daily 03:00 Europe/Berlin", sweep).with_state(());
    let bot = Bot::new(app).transport(transport).in_memory().with_clock(paused_clock());
    let jobs = bot.jobs();
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    for (who, minutes) in [("alice", 1), ("bob", 2), ("alice", 3)] {
        far.say(who, &format!("!remind {minutes}"));
        assert_eq!(far.reply().await.1, "I will");
    }
    let all = jobs.list(None, None, 100).await.unwrap();
    let of: Vec<&str> = all.iter().map(|job| job.conversation.trim_start_matches('\0')).collect();
    assert_eq!(of, ["alice", "bob", "alice", "schedules"]);
    let schedule = Waiting::read(&all[3]).unwrap();
    assert_eq!(schedule.schedule.as_deref(), Some("daily 03:00 Europe/Berlin"));
    assert_eq!(Waiting::read(&all[0]).unwrap().schedule, None);
    assert_eq!(jobs.list(Some("alice"), None, 100).await.unwrap(), [all[0].clone(), all[2].clone()]);
    assert_eq!(jobs.list(None, Some((all[0].due_ms, all[0].id)), 1).await.unwrap(), [all[1].clone()]);

    assert_eq!(jobs.cancel(&all[1].name).await, Some(true), "Bob's");
    assert_eq!(jobs.cancel(&all[1].name).await, Some(false), "it is gone");
    assert_eq!(far.reply().await, ("alice".into(), "ring 1".into()));
    assert_eq!(far.reply().await, ("alice".into(), "ring 3".into()), "and not Bob's in between");
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
    assert_eq!(jobs.list(None, None, 100).await, None);
    assert_eq!(jobs.cancel("none").await, None);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_reading_of_the_clock_moves_no_job() {
    let (transport, far) = line();
    let app = Router::new().schedule("daily 03:00 Europe/Berlin", sweep).with_state(());
    let ahead = Arc::new(AtomicU64::new(0));
    let (clock, set) = (paused_clock(), Arc::clone(&ahead));
    let clock = move || clock() + Duration::from_millis(set.load(Ordering::Relaxed));
    let bot = Bot::new(app).transport(transport).in_memory().with_clock(clock);
    let jobs = bot.jobs();
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    let due_ms = async || jobs.list(None, None, 1).await.unwrap()[0].due_ms;
    let before = due_ms().await;
    let three_days_ms = 3 * 24 * 3_600_000;
    for wrong_ms in [three_days_ms, 20 * 365 * 24 * 3_600_000] {
        ahead.store(wrong_ms, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(30)).await;
        ahead.store(0, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(due_ms().await, before, "{wrong_ms} for half a minute");
    }
    ahead.store(three_days_ms, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(90)).await;
    assert_eq!(due_ms().await, before + three_days_ms, "what stays is followed");
    ahead.store(0, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(90)).await;
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
}

fn promise(guarantees: &Guarantees, what: &str) -> String {
    guarantees.rows().iter().find(|row| row.what == what).unwrap().promise.clone()
}

#[tokio::test]
async fn a_bot_knows_what_it_promises_with_its_transport_and_its_journal() {
    let ping = || Router::new().command("!ping", async || "pong");
    let (transport, far) = line();
    let bot = Bot::new(ping()).transport(transport).in_memory();
    let status = bot.status();
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    let promised = status.guarantees().await.unwrap();
    assert_eq!(promise(&promised, "receiving"), "line, one connection", "what the transport says");
    assert_eq!(promise(&promised, "acceptance"), "in memory");
    assert_eq!(
        promise(&promised, "the same event again"),
        "handled once, among the newest 65,536 since the start"
    );
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
    assert_eq!(status.guarantees().await, None);

    let folder = std::env::temp_dir().join(format!("evenkeel-promises-{}", std::process::id()));
    let options = SqliteOptions::new().remember_days(7).remember_events(1000);
    let journal = options.open(folder.join("promises.db")).unwrap();
    let (transport, far) = line();
    let bot = Bot::new(ping()).transport(transport).with_journal(journal);
    let status = bot.status();
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    let promised = status.guarantees().await.unwrap();
    assert_eq!(promise(&promised, "acceptance"), "on the disk (fsync) before it counts as accepted");
    assert_eq!(
        promise(&promised, "the same event again"),
        "handled once, within 7 days and the newest 1,000"
    );
    assert!(promise(&promised, "the record itself").ends_with("promises.db`, not encrypted"));
    assert_eq!(
        promised.summary(),
        "while the bot is away: lost, for nobody keeps what comes while nobody is connected | acceptance: on the disk (fsync) \
         before it counts as accepted | the same event again: handled once, within 7 days and the newest 1,000"
    );
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
    std::fs::remove_dir_all(folder).unwrap();
}

/// A journal on a disk that is full from some moment on.
struct Filling(MemoryJournal, Arc<AtomicBool>);

impl Journal for Filling {
    type Writing = Pin<Box<dyn Future<Output = Result<Written>> + Send>>;

    async fn recover(&mut self) -> Result<Recovered> {
        self.0.recover().await
    }

    fn write(&mut self, batch: Vec<Entry>) -> Self::Writing {
        if self.1.load(Ordering::Relaxed) {
            return Box::pin(std::future::pending());
        }
        Box::pin(self.0.write(batch))
    }
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_does_not_answer_is_told_of() {
    let (transport, mut far) = line();
    let app = Router::new().command("!ping", async || "pong");
    let is_full = Arc::new(AtomicBool::new(false));
    let bot = Bot::new(app)
        .transport(transport)
        .with_journal(Filling(MemoryJournal::default(), Arc::clone(&is_full)));
    let status = bot.status();
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    far.say("alice", "!ping");
    assert_eq!(far.reply().await.1, "pong");
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(status.snapshot().await.unwrap().stalled, Duration::ZERO, "there is nothing to be written");
    is_full.store(true, Ordering::Relaxed);
    far.say("alice", "!ping");
    tokio::time::sleep(Duration::from_secs(10)).await;
    let stalled = status.snapshot().await.unwrap().stalled;
    assert!(stalled >= Duration::from_secs(9), "{stalled:?}");
    bot.abort();
}

#[tokio::test]
async fn the_sandbox_promises_nothing_beyond_its_process() {
    let bot =
        Bot::new(Router::new()).transport(Sandbox::new()).in_memory().with_shutdown(std::future::pending());
    let status = bot.status();
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    let promised = status.guarantees().await.unwrap();
    let away = promise(&promised, "while the bot is away");
    assert_eq!(away, "kept until a bot takes it, and lost when the process ends before");
    assert!(promised.summary().contains(&away), "the line of the log has it, too");
    bot.abort();
}

/// A network that nobody read for two seconds in all.
struct Gappy(Arc<Notify>);

impl Transport for Gappy {
    fn name(&self) -> &'static str {
        "gappy"
    }

    async fn receive(&self, inbox: Inbox) -> Result<()> {
        inbox.gap(Duration::from_millis(1_500));
        inbox.gap(Duration::from_millis(500));
        self.0.notify_one();
        std::future::pending().await
    }

    async fn send(&self, _: &Outbound) -> Result<Sent, SendError> {
        Ok(Sent::done())
    }

    fn delivery_mode(&self) -> DeliveryMode {
        DeliveryMode::AtMostOnceWhileConnected { how: "a string".into(), connections: 2 }
    }
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_counts_the_times_in_which_nobody_read() {
    let told = Arc::new(Notify::new());
    let bot = Bot::new(Router::new())
        .transport(Gappy(Arc::clone(&told)))
        .in_memory()
        .with_shutdown(std::future::pending());
    let status = bot.status();
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    told.notified().await;
    let snapshot = status.snapshot().await.unwrap();
    assert_eq!((snapshot.gaps.count, snapshot.gaps.total), (2, Duration::from_secs(2)));
    let written = serde_json::to_value(&snapshot).unwrap();
    assert_eq!(written["gaps"], serde_json::json!({ "count": 2, "total_seconds": 2.0 }));
    bot.abort();
}
