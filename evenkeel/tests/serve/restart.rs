//! What outlives the end of the process: a bot ends, in either way, and begins again on its file.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use evenkeel::job::Repeat;
use evenkeel::journal::{DeadFilter, Entry, Journal, NewJob, Reason, sqlite};
use evenkeel::retry::Retry;
use evenkeel::schedule::Misfire;
use evenkeel::transport::{SendError, Sent};
use evenkeel::{
    App, Context, Conversation, Dialogue, Error, Event, Job, Outbound, Result, Router, State, Text, Trigger,
};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::advance;

use crate::home::{BEGAN_MS, End, Home, soon};
use crate::line::line_with;

type Count = Arc<AtomicU32>;

const HOUR: Duration = Duration::from_secs(3600);
const HOUR_MS: u64 = 3_600_000;

async fn ping() -> &'static str {
    "pong"
}

async fn survey(cx: Context) -> Result<String> {
    cx.reply_now("how many?").await?;
    let is_number = |event: &Event| event.text().is_some_and(|text| text.parse::<u32>().is_ok());
    let answer = cx.wait_for(is_number, HOUR).await?;
    let answer = answer.text().unwrap_or_default().to_owned();
    if answer == "0" && cx.attempt() == 1 {
        cx.reply_now("none?").await?;
        std::future::pending::<()>().await;
    }
    Ok(format!("{answer}, on attempt {}", cx.attempt()))
}

#[tokio::test(start_paused = true)]
async fn what_a_handler_waits_for_may_come_after_a_restart() {
    for end in [End::Stop, End::Kill] {
        let home = Home::new("wait");
        let app = Router::new().command("!survey", survey).command("!ping", ping).with_state(());
        let mut bot = home.start(app.clone());
        bot.say("alice", "!survey");
        assert_eq!(bot.hears().await, "how many?");
        bot.say("alice", "!ping");
        assert_eq!(bot.hears().await, "pong", "the conversation goes on");
        for _ in 0..5 {
            bot.end(end).await;
            bot = home.start(app.clone());
            bot.say("alice", "!ping");
            assert_eq!(bot.hears().await, "pong", "it is not asked again");
        }
        bot.say("alice", "7");
        assert_eq!(bot.hears().await, "7, on attempt 1", "to wait is no failure ({end:?})");
        bot.end(end).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_not_waited_for_again() {
    let home = Home::new("answer");
    let app = Router::new().command("!survey", survey).with_state(());
    let mut bot = home.start(app.clone());
    bot.say("alice", "!survey");
    assert_eq!(bot.hears().await, "how many?");
    bot.say("alice", "0");
    assert_eq!(bot.hears().await, "none?");
    bot.end(End::Kill).await;
    let mut bot = home.start(app);
    assert_eq!(bot.hears().await, "0, on attempt 2");
    bot.end(End::Stop).await;
}

#[derive(Serialize, Deserialize)]
enum Order {
    WhichSize,
    WhereTo { size: String },
}

async fn order(mut dialogue: Dialogue<Order>) -> Result<&'static str> {
    dialogue.set(Order::WhichSize)?;
    Ok("which size?")
}

async fn filled(mut dialogue: Dialogue<Order>, Text(text): Text) -> Result<String> {
    match dialogue.take() {
        None => Ok("say !order".into()),
        Some(Order::WhichSize) => {
            dialogue.set(Order::WhereTo { size: text })?;
            Ok("where to?".into())
        }
        Some(Order::WhereTo { size }) => Ok(format!("{size}, to {text}")),
    }
}

#[tokio::test(start_paused = true)]
async fn a_form_is_filled_in_over_restarts() {
    for end in [End::Stop, End::Kill] {
        let home = Home::new("form");
        let app = Router::new().command("!order", order).fallback(filled).with_state(());
        let talk = [
            ("alice", "!order", "which size?"),
            ("alice", "large", "where to?"),
            ("bob", "large", "say !order"),
            ("alice", "Main Street", "large, to Main Street"),
            ("alice", "hello", "say !order"),
        ];
        for (who, text, reply) in talk {
            let mut bot = home.start(app.clone());
            bot.say(who, text);
            assert_eq!(bot.hears().await, reply, "{end:?}");
            bot.end(end).await;
        }
    }
}

async fn later(cx: Context) -> Result<&'static str> {
    cx.after(HOUR, ring, ("after".to_owned(),))?;
    cx.at(UNIX_EPOCH + Duration::from_millis(BEGAN_MS) + 3 * HOUR, ring, ("at".to_owned(),))?;
    Ok("planned")
}

async fn now(cx: Context) -> Result<()> {
    cx.defer(ring, ("hesitant".to_owned(),))?;
    Ok(())
}

async fn ring(cx: Context, Job((text,)): Job<(String,)>) -> Result<String> {
    if text == "hesitant" && cx.attempt() == 1 {
        cx.reply_now("begun").await?;
        std::future::pending::<()>().await;
    }
    Ok(text)
}

#[tokio::test(start_paused = true)]
async fn jobs_come_once_however_often_the_bot_is_restarted() {
    for end in [End::Stop, End::Kill] {
        let home = Home::new("jobs");
        let app = Router::new().command("!later", later).command("!ping", ping).job(ring).with_state(());
        let mut bot = home.start(app.clone());
        bot.say("alice", "!later");
        assert_eq!(bot.hears().await, "planned");
        bot.end(end).await;
        advance(2 * HOUR).await;
        let mut bot = home.start(app.clone());
        assert_eq!(bot.hears().await, "after", "late, since the bot was away");
        bot.end(end).await;
        let mut bot = home.start(app.clone());
        assert_eq!(bot.hears().await, "at");
        let due_ms = BEGAN_MS + 3 * HOUR_MS;
        assert!((due_ms..due_ms + 2_000).contains(&home.now_ms()), "{}", home.now_ms());
        bot.end(end).await;
        advance(24 * HOUR).await;
        let mut bot = home.start(app);
        bot.say("alice", "!ping");
        assert_eq!(bot.hears().await, "pong", "nothing comes twice ({end:?})");
        bot.end(end).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_deferred_runs_again_when_the_process_ended_in_it() {
    let home = Home::new("defer");
    let app = Router::new().command("!now", now).job(ring).with_state(());
    let mut bot = home.start(app.clone());
    bot.say("alice", "!now");
    assert_eq!(bot.hears().await, "begun");
    bot.end(End::Kill).await;
    let mut bot = home.start(app);
    assert_eq!(bot.hears().await, "hesitant", "and has not begun to answer again");
    bot.end(End::Stop).await;
}

/// Says for which hour after the beginning it came.
async fn tick(cx: Context) {
    let due = cx.event().job().expect("a job").due();
    let since =
        due.duration_since(UNIX_EPOCH + Duration::from_millis(BEGAN_MS)).expect("after the beginning");
    cx.send(&Conversation::direct("alice"), (since.as_secs() / 3_600).to_string());
}

#[tokio::test(start_paused = true)]
async fn missed_firings_are_made_up_for_as_the_author_chose() {
    let cases: [(Misfire, &[&str]); 4] = [
        (Misfire::FireOnce, &["5", "6", "7"]),
        (Misfire::Skip, &["6", "7"]),
        (Misfire::FireAll { most: 2 }, &["4", "5", "6", "7"]),
        (Misfire::FireAll { most: 100 }, &["2", "3", "4", "5", "6", "7"]),
    ];
    for (misfire, hours) in cases {
        for end in [End::Stop, End::Kill] {
            let home = Home::new("misfire");
            let hourly = Repeat::new("every 1h".parse().unwrap()).with_misfire(misfire);
            let app: App = Router::new().schedule_with(hourly, tick).with_state(());
            let mut bot = home.start(app.clone());
            assert_eq!(bot.hears().await, "1");
            bot.end(end).await;
            advance(4 * HOUR + HOUR / 2).await;
            let mut bot = home.start(app);
            for hour in hours {
                assert_eq!(bot.hears().await, *hour, "{misfire:?} {end:?}");
            }
            bot.end(end).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_ends_the_process_is_given_up_and_its_author_is_told_once() {
    async fn crash(cx: Context, State(begun): State<mpsc::UnboundedSender<u32>>) {
        begun.send(cx.attempt()).unwrap();
        std::future::pending::<()>().await;
    }
    let home = Home::new("poison");
    let (begun, mut attempts) = mpsc::unbounded_channel();
    let (told, mut deaths) = mpsc::unbounded_channel();
    let app = Router::new().command("!crash", crash).command("!ping", ping).with_state(begun);
    let app = app.on_dead(move |dead| {
        told.send((dead.id.to_string(), dead.reason)).unwrap();
        async {}
    });
    let bot = home.start(app.clone());
    bot.say("alice", "!crash");
    assert_eq!(soon(attempts.recv()).await, Some(1));
    bot.end(End::Kill).await;
    for attempt in [2, 3] {
        let bot = home.start(app.clone());
        assert_eq!(soon(attempts.recv()).await, Some(attempt));
        bot.end(End::Kill).await;
    }
    let mut bot = home.start(app.clone());
    assert!(bot.hears().await.starts_with("Sorry"), "Alice is told as well");
    bot.end(End::Stop).await;
    for _ in 0..2 {
        let mut bot = home.start(app.clone());
        bot.say("alice", "!ping");
        assert_eq!(bot.hears().await, "pong", "the conversation goes on without it");
        bot.end(End::Stop).await;
    }
    drop(app);
    assert_eq!(soon(deaths.recv()).await, Some(("1".to_owned(), Reason::Poison)));
    assert_eq!(deaths.recv().await, None, "once");
    assert_eq!(attempts.recv().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_parked_event_holds_its_conversation_over_a_restart() {
    async fn once(State(count): State<Count>) -> Result<&'static str> {
        match count.fetch_add(1, Ordering::Relaxed) {
            0 => Err(Error::new("on purpose")),
            _ => Ok("at last"),
        }
    }
    let home = Home::new("park");
    let app =
        Router::new().route(Trigger::command("!once").retry(Retry::park()), once).command("!ping", ping);
    let app = app.with_state(Count::default());
    let mut bot = home.start(app.clone());
    bot.say("alice", "!once");
    assert!(bot.hears().await.starts_with("Sorry"));
    bot.end(End::Kill).await;
    let mut bot = home.start(app);
    bot.say("alice", "!ping");
    bot.say("bob", "!ping");
    assert_eq!(bot.far.reply().await, ("bob".into(), "pong".into()), "alice has to wait");
    assert_eq!(bot.dead.replay(DeadFilter::default()).await, Some(1));
    assert_eq!(bot.far.reply().await, ("alice".into(), "at last".into()));
    assert_eq!(bot.far.reply().await, ("alice".into(), "pong".into()));
    bot.end(End::Stop).await;
}

async fn buy(cx: Context) -> Result<String> {
    Ok(format!("{} bought", cx.ask("what?").await?))
}

/// Fails once.
async fn fragile(State(count): State<Count>) -> Result<&'static str> {
    match count.fetch_add(1, Ordering::Relaxed) {
        0 => Err(Error::new("on purpose").transient()),
        _ => Ok("mended"),
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_tried_again_answers_nobodys_question() {
    for end in [None, Some(End::Stop), Some(End::Kill)] {
        let home = Home::new("again");
        let fragile = Trigger::command("!fragile").retry(Retry::relaxed());
        let app = Router::new().route(fragile, self::fragile).command("!buy", buy);
        let app = app.with_state(Count::default());
        let mut bot = home.start(app.clone());
        bot.say("alice", "!fragile");
        bot.say("alice", "!buy");
        assert_eq!(bot.hears().await, "what?");
        if let Some(end) = end {
            bot.end(end).await;
            bot = home.start(app);
        }
        assert_eq!(bot.hears().await, "mended", "{end:?}");
        bot.say("alice", "tea");
        assert_eq!(bot.hears().await, "tea bought");
        bot.end(End::Stop).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_replayed_answers_nobodys_question() {
    for end in [None, Some(End::Stop), Some(End::Kill)] {
        let home = Home::new("replayed");
        let fragile = Trigger::command("!fragile").retry(Retry::never());
        let app = Router::new().route(fragile, self::fragile).command("!buy", buy);
        let app = app.with_state(Count::default());
        let mut bot = home.start(app.clone());
        bot.say("alice", "!fragile");
        assert!(bot.hears().await.starts_with("Sorry"));
        bot.say("alice", "!buy");
        assert_eq!(bot.hears().await, "what?");
        if let Some(end) = end {
            bot.end(end).await;
            let mut dead = sqlite::DeadLetterAdmin::open(home.file()).unwrap();
            assert_eq!(dead.replay(&DeadFilter::default(), home.now_ms()).unwrap().events, 1);
            bot = home.start(app);
        } else {
            assert_eq!(soon(bot.dead.replay(DeadFilter::default())).await, Some(1));
        }
        assert_eq!(bot.hears().await, "mended", "{end:?}");
        bot.say("alice", "tea");
        assert_eq!(bot.hears().await, "tea bought");
        bot.end(End::Stop).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_hangs_after_a_crash_holds_up_nobody_else() {
    async fn hang(cx: Context) -> Result<()> {
        cx.reply_now("I hang").await?;
        std::future::pending().await
    }
    async fn slow(cx: Context) -> Result<&'static str> {
        if cx.attempt() == 1 {
            cx.reply_now("I take long").await?;
            std::future::pending::<()>().await;
        }
        Ok("done")
    }
    let home = Home::new("hang");
    let app = Router::new().command("!hang", hang).command("!slow", slow).with_state(());
    let mut bot = home.start(app.clone());
    bot.say("alice", "!hang");
    assert_eq!(bot.hears().await, "I hang");
    for who in ["bob", "carol"] {
        bot.say(who, "!slow");
        assert_eq!(bot.hears().await, "I take long");
    }
    bot.end(End::Kill).await;
    let mut bot = home.start(app);
    for _ in 0..2 {
        assert_eq!(bot.hears().await, "done");
    }
    bot.end(End::Kill).await;
}

#[tokio::test(start_paused = true)]
async fn a_bot_that_stops_waits_for_no_pause() {
    async fn stubborn() -> Result<()> {
        Err(Error::new("on purpose").transient())
    }
    let home = Home::new("pause");
    let down = Arc::new(AtomicU32::new(1));
    let is_down = Arc::clone(&down);
    let network = move |_: &Outbound| match is_down.load(Ordering::Relaxed) {
        0 => Ok(Sent::done()),
        _ => Err(SendError::not_sent("nobody listens")),
    };
    // It is never given up: pauses are random, and its apology could come first.
    let retry = Retry::strict().with_attempts(u32::MAX).within(Duration::MAX);
    let stubborn = Router::new().route(Trigger::command("!stubborn").retry(retry), stubborn);
    let app = stubborn.command("!ping", ping).with_state(());
    let (transport, far) = line_with(Duration::ZERO, Box::new(network));
    let bot = home.bot(transport, app.clone());
    let status = bot.status();
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    far.repeat("1", "alice", "!stubborn");
    far.repeat("2", "bob", "!ping");
    while soon(status.snapshot()).await.is_none_or(|told| told.retried == 0 || told.outbox == 0) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let began = tokio::time::Instant::now();
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
    down.store(0, Ordering::Relaxed);
    let mut bot = home.start(app);
    assert_eq!(bot.hears().await, "pong", "what the network did not take is sent by the next start");
    bot.end(End::Kill).await;
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_is_given_up_names_its_command_after_a_restart_and_a_replay() {
    let home = Home::new("named");
    let app = Router::new().command("!ping", ping).with_state(());
    let down = |_: &Outbound| Err(SendError::not_sent("nobody listens"));
    let (transport, far) = line_with(Duration::ZERO, Box::new(down));
    let bot = home.bot(transport, app.clone());
    let status = bot.status();
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    far.repeat("1", "alice", "!ping");
    while soon(status.snapshot()).await.is_none_or(|told| told.outbox == 0) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    bot.abort();
    assert!(bot.await.unwrap_err().is_cancelled());

    let refused = |_: &Outbound| Err(SendError::refused("no such person"));
    let (transport, _far) = line_with(Duration::ZERO, Box::new(refused));
    let bot = home.bot(transport, app);
    let letters = bot.dead_letters();
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    for time in ["recovered", "replayed"] {
        let mut dead = Vec::new();
        while dead.is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
            dead = soon(letters.list(DeadFilter::default())).await.unwrap();
        }
        let told: Vec<_> = dead.iter().map(|one| (one.reason, &*one.command)).collect();
        assert_eq!(told, [(Reason::Refused, "!ping")], "{time}");
        assert_eq!(soon(letters.replay(DeadFilter::default())).await, Some(1));
    }
    bot.abort();
}

#[tokio::test(start_paused = true)]
async fn a_job_that_cannot_be_read_stays_for_a_version_that_can() {
    let home = Home::new("unreadable");
    let mut journal = sqlite::SqliteJournal::open(home.file()).unwrap();
    journal.recover().await.unwrap();
    let (name, conversation) = ("tea".to_owned(), "alice".to_owned());
    let job = NewJob { name, conversation, due_ms: 1, body: "{\"zone\":".into(), keeps_due: false };
    journal.write(vec![Entry::Schedule(job)]).await.unwrap();
    journal.close().await;
    for _ in 0..2 {
        let mut bot = home.start(Router::new().command("!ping", ping).with_state(()));
        advance(2 * HOUR).await;
        bot.say("alice", "!ping");
        assert_eq!(bot.hears().await, "pong");
        bot.end(End::Stop).await;
        let kept = sqlite::JobAdmin::open(home.file()).unwrap().list(None, None, 9).unwrap();
        assert_eq!(kept.len(), 1);
        assert!(kept[0].name == "tea" && kept[0].due_ms > home.now_ms(), "it is looked at again later");
    }
}
