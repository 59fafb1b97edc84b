//! What outlives failures, pauses and restarts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use evenkeel::journal::DeadFilter;
use evenkeel::journal::sqlite::SqliteJournal;
use evenkeel::retry::Retry;
use evenkeel::{Bot, Context, Error, Job, Result, Router, State, Trigger};

use crate::line::line;

type Count = Arc<AtomicU32>;

async fn later(cx: Context) -> Result<()> {
    cx.defer(ring, ())?;
    Ok(())
}

async fn ring(_: Job<()>) -> &'static str {
    "ring"
}

#[tokio::test(start_paused = true)]
async fn a_job_and_a_replay_leave_room_for_what_comes_after() {
    let (transport, mut far) = line();
    let bot = Bot::new(transport, Router::new().command("!later", later).job(ring)).in_memory();
    let bot = tokio::spawn(bot.serve());
    for _ in 0..3 {
        far.say("alice", "!later");
        assert_eq!(far.reply().await.1, "ring");
    }
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_apology_is_not_taken_for_what_a_replay_sends() {
    async fn once(cx: Context, State(count): State<Count>) -> Result<()> {
        if count.fetch_add(1, Ordering::Relaxed) == 0 {
            return Err(Error::new("on purpose"));
        }
        cx.reply_now("at last").await?;
        Ok(())
    }
    let (transport, mut far) = line();
    let bot = Bot::new(transport, Router::new().command("!once", once).with_state(Count::default()));
    let bot = bot.in_memory();
    let dead = bot.dead_letters();
    let bot = tokio::spawn(bot.serve());
    far.say("alice", "!once");
    assert!(far.reply().await.1.starts_with("Sorry"));
    assert_eq!(dead.replay(DeadFilter::default()).await, Some(1));
    assert_eq!(far.reply().await.1, "at last");
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_parked_event_holds_its_conversation_until_it_is_replayed() {
    async fn once(State(count): State<Count>) -> Result<&'static str> {
        match count.fetch_add(1, Ordering::Relaxed) {
            0 => Err(Error::new("on purpose")),
            _ => Ok("at last"),
        }
    }
    async fn ping() -> &'static str {
        "pong"
    }
    let (transport, mut far) = line();
    let app =
        Router::new().route(Trigger::command("!once").retry(Retry::park()), once).command("!ping", ping);
    let bot = Bot::new(transport, app.with_state(Count::default())).in_memory();
    let dead = bot.dead_letters();
    let bot = tokio::spawn(bot.serve());
    far.say("alice", "!once");
    far.say("alice", "!ping");
    assert!(far.reply().await.1.starts_with("Sorry"));
    far.say("bob", "!ping");
    assert_eq!(far.reply().await, ("bob".into(), "pong".into()));
    assert_eq!(dead.replay(DeadFilter::default()).await, Some(1));
    assert_eq!(far.reply().await.1, "at last");
    assert_eq!(far.reply().await.1, "pong");
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_question_survives_a_restart_and_is_asked_once() {
    async fn weather(cx: Context, State(count): State<Count>) -> Result<String> {
        let step = async { Ok(count.fetch_add(1, Ordering::Relaxed)) };
        let before = cx.step("count", step).await?;
        let city = cx.ask("which city?").await?;
        Ok(format!("sunny in {city}, {before}"))
    }
    let folder = std::env::temp_dir().join(format!("evenkeel-durable-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("question.db");
    let app = Router::new().command("!weather", weather).with_state(Count::default());
    let (transport, mut far) = line();
    let journal = SqliteJournal::open(&file).unwrap();
    let bot = tokio::spawn(Bot::new(transport, app.clone()).with_journal(journal).serve());
    far.repeat("1", "alice", "!weather");
    assert_eq!(far.reply().await.1, "which city?");
    drop(far.hang_up());
    tokio::time::timeout(Duration::from_secs(60), bot).await.unwrap().unwrap().unwrap();
    let (transport, mut far) = line();
    let journal = SqliteJournal::open(&file).unwrap();
    let bot = tokio::spawn(Bot::new(transport, app).with_journal(journal).serve());
    far.repeat("2", "alice", "Oslo");
    assert_eq!(far.reply().await.1, "sunny in Oslo, 0", "and not asked again");
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
    std::fs::remove_dir_all(folder).unwrap();
}
