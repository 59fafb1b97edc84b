//! What outlives failures, pauses and restarts.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use evenkeel::Outbound;
use evenkeel::journal::sqlite::SqliteJournal;
use evenkeel::journal::{Dead, DeadFilter, Reason};
use evenkeel::retry::Retry;
use evenkeel::transport::{SendError, Sent};
use evenkeel::{Action, Bot, Context, Error, Job, Result, Router, State, Trigger};
use tokio::sync::{Notify, mpsc};

use crate::line::{line, line_with};

type Count = Arc<AtomicU32>;

async fn later(cx: Context) -> Result<()> {
    cx.defer(ring, ())?;
    Ok(())
}

async fn ping() -> &'static str {
    "pong"
}

async fn ring(_: Job<()>) -> &'static str {
    "ring"
}

#[tokio::test(start_paused = true)]
async fn a_job_and_a_replay_leave_room_for_what_comes_after() {
    let (transport, mut far) = line();
    let bot = Bot::new(Router::new().command("!later", later).job(ring)).transport(transport).in_memory();
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    for _ in 0..3 {
        far.say("alice", "!later");
        assert_eq!(far.reply().await.1, "ring");
    }
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
}

async fn plan(cx: Context) -> Result<()> {
    cx.defer(hold, ("x".repeat(8_192),))?;
    Ok(())
}

async fn hold(cx: Context, State(end): State<Arc<Notify>>, _: Job<(String,)>) -> Result<()> {
    cx.reply_now("begun").await?;
    end.notified().await;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_job_takes_room_from_what_comes_in_until_it_is_done() {
    for is_done in [true, false] {
        let (transport, mut far) = line();
        let end = Arc::new(Notify::new());
        let app = Router::new().command("!plan", plan).command("!ping", ping).job(hold);
        let bot = Bot::new(app.with_state(Arc::clone(&end)))
            .transport(transport)
            .in_memory()
            .with_backlog_bytes(4_096);
        let status = bot.status();
        let bot = tokio::spawn(bot.on_this_runtime().serve());
        far.say("alice", "!plan");
        assert_eq!(far.reply().await.1, "begun");
        if is_done {
            end.notify_one();
            status.idle().await;
            far.say("alice", "!ping");
            assert_eq!(far.reply().await.1, "pong");
            drop(far.hang_up());
            bot.await.unwrap().unwrap();
        } else {
            // This transport gives up when it is refused, and its bot then waits for the job.
            far.say("alice", "!ping");
            while status.snapshot().await.unwrap().refused == 0 {
                assert!(far.replies.try_recv().is_err(), "there was no room");
                tokio::task::yield_now().await;
            }
            end.notify_one();
            assert_eq!(bot.await.unwrap().unwrap_err().to_string(), "the inbox is full");
        }
    }
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
    let bot =
        Bot::new(Router::new().command("!once", once).with_state(Count::default())).transport(transport);
    let bot = bot.in_memory();
    let dead = bot.dead_letters();
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    far.say("alice", "!once");
    assert!(far.reply().await.1.starts_with("Sorry"));
    assert_eq!(dead.replay(DeadFilter::default()).await, Some(1));
    assert_eq!(far.reply().await.1, "at last");
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
}

/// Fails the first time, in a way that may pass.
async fn flaky(State(count): State<Count>) -> Result<&'static str> {
    match count.fetch_add(1, Ordering::Relaxed) {
        0 => Err(Error::new("on purpose").transient()),
        _ => Ok("at last"),
    }
}

/// Two replies to one who wrote to a handler that fails once and then to another, at once.
async fn order(retry: Retry) -> [String; 2] {
    let (transport, mut far) = line();
    let app = Router::new().route(Trigger::command("!flaky").retry(retry), flaky).command("!ping", ping);
    let bot = tokio::spawn(
        Bot::new(app.with_state(Count::default())).transport(transport).in_memory().on_this_runtime().serve(),
    );
    far.say("alice", "!flaky");
    far.say("alice", "!ping");
    let replies = [far.reply().await.1, far.reply().await.1];
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
    replies
}

#[tokio::test(start_paused = true)]
async fn a_failure_holds_its_conversation_up_unless_its_order_is_relaxed() {
    assert_eq!(order(Retry::strict()).await, ["at last", "pong"]);
    assert_eq!(order(Retry::park()).await, ["at last", "pong"]);
    assert_eq!(order(Retry::relaxed()).await, ["pong", "at last"]);
}

#[tokio::test(start_paused = true)]
async fn the_author_is_told_once_of_what_was_given_up() {
    async fn broken() -> Result<()> {
        Err(std::io::Error::other("no such table").into())
    }
    async fn bad() {
        panic!("on purpose")
    }
    let (told, mut deaths) = mpsc::unbounded_channel();
    let app = Router::new().command("!broken", broken).command("!bad", bad).command("!flaky", flaky);
    let app = app.with_state(Count::default()).on_dead(move |dead| {
        told.send((dead.command, dead.reason, dead.error, dead.attempts)).unwrap();
        async {}
    });
    let refused = |outbound: &Outbound| match &outbound.action {
        Action::Send(draft) if draft.text == "at last" => Err(SendError::refused("no such person")),
        _ => Ok(Sent::done()),
    };
    let (transport, mut far) = line_with(Duration::ZERO, Box::new(refused));
    let bot = tokio::spawn(Bot::new(app).transport(transport).in_memory().on_this_runtime().serve());
    for text in ["!broken", "!bad", "!flaky"] {
        far.say("alice", text);
    }
    let mut told = Vec::new();
    for _ in 0..3 {
        told.push(deaths.recv().await.unwrap());
    }
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
    assert_eq!(deaths.recv().await, None, "once for each");
    let reasons: Vec<_> = told.iter().map(|(command, reason, ..)| (&**command, *reason)).collect();
    let expected = [("!broken", Reason::Failed), ("!bad", Reason::Panicked), ("!flaky", Reason::Refused)];
    assert_eq!(reasons, expected);
    assert_eq!((&*told[0].2, told[0].3), ("no such table", 1), "with the error and the attempts");
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_was_sent_at_once_names_its_command() {
    async fn now(cx: Context) {
        let _unknown = cx.reply_now("at once").await;
    }
    let (told, mut deaths) = mpsc::unbounded_channel();
    let app = Router::new().command("!now", now).with_state(()).on_dead(move |dead| {
        told.send((dead.command, dead.reason)).unwrap();
        async {}
    });
    let (transport, mut far) = line_with(Duration::ZERO, Box::new(|_| Err(SendError::unknown("no answer"))));
    let bot = tokio::spawn(Bot::new(app).transport(transport).in_memory().on_this_runtime().serve());
    far.say("alice", "!now");
    assert_eq!(deaths.recv().await, Some(("!now".to_owned(), Reason::Unknown)));
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_replay_of_an_event_and_of_its_reply_sends_the_reply_once() {
    async fn now(cx: Context, State(count): State<Count>) -> Result<()> {
        let _unknown = cx.reply_now("at once").await;
        match count.fetch_add(1, Ordering::Relaxed) {
            0 => Err(Error::new("on purpose")),
            _ => Ok(()),
        }
    }
    let (tried, mended) = (Count::default(), Count::default());
    let (tries, is_mended) = (Arc::clone(&tried), Arc::clone(&mended));
    let answer = move |outbound: &Outbound| match &outbound.action {
        Action::Send(draft) if draft.text == "at once" && is_mended.load(Ordering::Relaxed) == 0 => {
            tries.fetch_add(1, Ordering::Relaxed);
            Err(SendError::unknown("no answer"))
        }
        _ => Ok(Sent::done()),
    };
    let (transport, mut far) = line_with(Duration::ZERO, Box::new(answer));
    let app = Router::new().command("!now", now).command("!ping", ping).with_state(Count::default());
    let bot = Bot::new(app).transport(transport).in_memory();
    let dead = bot.dead_letters();
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    far.say("alice", "!now");
    assert!(far.reply().await.1.starts_with("Sorry"));
    let mut kinds: Vec<_> = dead.list(DeadFilter::default()).await.unwrap().iter().map(Dead::kind).collect();
    // The reply may have died a millisecond before its event.
    kinds.sort();
    assert_eq!((kinds, tried.load(Ordering::Relaxed)), (vec!["message".to_owned(), "reply".to_owned()], 1));
    mended.store(1, Ordering::Relaxed);
    assert_eq!(dead.replay(DeadFilter::default()).await, Some(2));
    assert_eq!(far.reply().await.1, "at once");
    far.say("alice", "!ping");
    assert_eq!(far.reply().await.1, "pong", "and not the same again");
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
    let (transport, mut far) = line();
    let app =
        Router::new().route(Trigger::command("!once").retry(Retry::park()), once).command("!ping", ping);
    let bot = Bot::new(app.with_state(Count::default())).transport(transport).in_memory();
    let dead = bot.dead_letters();
    let bot = tokio::spawn(bot.on_this_runtime().serve());
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
    let bot = tokio::spawn(
        Bot::new(app.clone()).transport(transport).with_journal(journal).on_this_runtime().serve(),
    );
    far.repeat("1", "alice", "!weather");
    assert_eq!(far.reply().await.1, "which city?");
    drop(far.hang_up());
    tokio::time::timeout(Duration::from_secs(60), bot).await.unwrap().unwrap().unwrap();
    let (transport, mut far) = line();
    let journal = SqliteJournal::open(&file).unwrap();
    let bot =
        tokio::spawn(Bot::new(app).transport(transport).with_journal(journal).on_this_runtime().serve());
    far.repeat("2", "alice", "Oslo");
    assert_eq!(far.reply().await.1, "sunny in Oslo, 0", "and not asked again");
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
    std::fs::remove_dir_all(folder).unwrap();
}

async fn unregistered(cx: Context) -> Result<&'static str> {
    cx.after(Duration::from_secs(1), ring, ())?;
    Ok("planned")
}

/// What is logged while `said` is answered by a bot with these commands.
async fn logged(router: Router, said: &str) -> String {
    let (lines, _logging) = crate::stuck::log();
    // Where another test has reached a place without a log, it would be silent here.
    tracing::callsite::rebuild_interest_cache();
    let mut chat = evenkeel::testing::chat(router);
    chat.say(said).await;
    let lines = lines.lock().unwrap().clone();
    String::from_utf8(lines).unwrap()
}

fn only<'a>(log: &'a str, level: &str) -> Vec<&'a str> {
    log.lines().filter(|line| line.contains(level) && line.contains("a handler failed")).collect()
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_followed_by_another_is_a_warning_that_says_when_and_the_last_is_an_error() {
    async fn never() -> Result<()> {
        Err(Error::new("on purpose").transient())
    }
    let thrice = Retry::strict().with_attempts(3).within(Duration::from_secs(600));
    let router = || Router::new().route(Trigger::command("!never").retry(thrice), never);
    let log = logged(router(), "!never").await;
    let (warned, failed) = (only(&log, "WARN"), only(&log, "ERROR"));
    assert_eq!((warned.len(), failed.len()), (2, 1), "{log}");
    assert!(warned[0].contains("tried again in 0.") && warned[0].contains(" s, attempt 2 of 3"), "{log}");
    assert!(warned[1].contains(" s, attempt 3 of 3"), "{log}");
    assert!(failed[0].contains("a handler failed, and is not tried again"), "{log}");
    assert!(log.contains("durable.rs:"), "each names the line of the author: {log}");
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_cannot_pass_is_one_error() {
    async fn wrong() -> Result<()> {
        Err(Error::new("on purpose").permanent())
    }
    async fn panics() {
        panic!("on purpose")
    }
    for (router, said) in [
        (Router::new().command("!wrong", wrong), "!wrong"),
        (Router::new().command("!panics", panics), "!panics"),
    ] {
        let log = logged(router, said).await;
        assert_eq!((only(&log, "WARN").len(), only(&log, "ERROR").len()), (0, 1), "{log}");
    }
}

#[tokio::test(start_paused = true)]
async fn planning_a_function_that_is_no_job_names_it_and_what_to_add() {
    let log = logged(Router::new().command("!plan", unregistered), "!plan").await;
    let failed = only(&log, "ERROR");
    assert_eq!((only(&log, "WARN").len(), failed.len()), (0, 1), "it does not pass by itself: {log}");
    assert!(failed[0].contains("::ring` was planned, and is not a job of this bot"), "{log}");
    assert!(failed[0].contains("add `.job(ring)` to the router"), "{log}");
    assert!(failed[0].contains("durable.rs:"), "the line of the call: {log}");
    let router = Router::new().command("!plan", unregistered).job(ring);
    let mut chat = evenkeel::testing::chat(router);
    assert_eq!(chat.say("!plan").await, ["planned"]);
}
