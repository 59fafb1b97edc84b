//! Handlers that wait for ever. Time is paused.

use std::sync::atomic::AtomicBool;
use std::time::UNIX_EPOCH;

use evenkeel::Trigger;
use evenkeel::journal::{DeadFilter, Reason};
use evenkeel::retry::Retry;
use evenkeel_guard::Executor;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::*;
use crate::home::soon;

const SECOND: Duration = Duration::from_secs(1);
const SORRY: &str = "Sorry, that took too long. It has been logged.";

/// The line of this file that ends with a mark.
fn marked(mark: &str) -> usize {
    let text = include_str!("overdue.rs");
    text.lines().position(|line| line.ends_with(mark)).unwrap() + 1
}

/// Waits for an order that never comes.
async fn order(_keep: mpsc::Sender<u32>, mut orders: mpsc::Receiver<u32>) -> Option<u32> {
    orders.recv().await // NEVER
}

async fn hang() -> String {
    let (keep, orders) = mpsc::channel(1);
    format!("{:?}", order(keep, orders).await) // OUTER
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_waits_for_ever_ends_after_five_minutes_and_its_line_is_told() {
    let (transport, mut far) = line();
    let app = Router::new().command("!hang", hang).command("!ping", ping);
    let bot = Bot::new(app).transport(transport).in_memory();
    let letters = bot.dead_letters();
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    let began = Instant::now();
    far.say("alice", "!hang");
    far.say("alice", "!ping 1");
    assert_eq!(soon(far.reply()).await, ("alice".into(), SORRY.into()));
    assert_eq!(began.elapsed().as_secs(), 300);
    assert_eq!(soon(far.reply()).await.1, "pong 1", "the conversation goes on");
    let dead = letters.list(DeadFilter::default()).await.unwrap();
    assert_eq!(
        (dead.len(), dead[0].reason, &*dead[0].command, dead[0].attempts),
        (1, Reason::Failed, "!hang", 1)
    );
    let (inner, outer) = (marked("// NEVER"), marked("// OUTER"));
    let error = &dead[0].error;
    for part in [
        "it took longer than its limit of 300s: it waits at ".to_owned(),
        format!("overdue.rs:{inner} in tokio::sync::mpsc::Receiver::recv <- serve::overdue::order ("),
        format!("overdue.rs:{outer})"),
    ] {
        assert!(error.contains(&part), "no {part:?} in {error:?}");
    }
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_nearest_limit_counts() {
    async fn never() {
        pending::<()>().await;
    }
    let inner = Router::new().command("b", never).route(Trigger::command("c").within(3 * SECOND), never);
    let router = Router::new()
        .command("!a", never)
        .nest("!in", inner.within(7 * SECOND))
        .merge(Router::new().command("!m", never).within(5 * SECOND))
        .merge(Router::new().command("!n", never))
        .fallback(never)
        .within(11 * SECOND);
    let app = router.with_state(());
    for (text, seconds) in [("!a", 11), ("!in b", 7), ("!in c", 3), ("!m", 5), ("!n", 11), ("anything", 11)] {
        check_limit(app.clone(), text, seconds).await;
    }
    let app = Router::new().command("!a", never).route(Trigger::command("!b").within(2 * SECOND), never);
    let app = app.with_state(()).with_handler_limit(13 * SECOND);
    check_limit(app.clone(), "!a", 13).await;
    check_limit(app, "!b", 2).await;
}

async fn check_limit(app: App, text: &str, seconds: u64) {
    let (transport, mut far) = line();
    let bot = tokio::spawn(Bot::new(app).transport(transport).in_memory().on_this_runtime().serve());
    let began = Instant::now();
    far.say("alice", text);
    assert_eq!(soon(far.reply()).await.1, SORRY);
    assert_eq!(began.elapsed().as_secs(), seconds, "{text}");
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn time_in_which_it_waits_for_people_does_not_count() {
    async fn weather(cx: Context) -> Result<String> {
        sleep(6 * SECOND).await;
        let city = cx.ask("which city?").within(Duration::from_secs(3600)).await?;
        sleep(3 * SECOND).await;
        let day = cx.ask("which day?").within(Duration::from_secs(3600)).await?;
        if day == "never" {
            pending::<()>().await;
        }
        Ok(format!("sunny in {city} on {day}"))
    }
    let (transport, mut far) = line();
    let trigger = Trigger::command("!weather").within(10 * SECOND);
    let app = Router::new().route(trigger, weather).with_state(());
    let bot = tokio::spawn(Bot::new(app).transport(transport).in_memory().on_this_runtime().serve());
    for (day, reply) in [("Monday", "sunny in Oslo on Monday"), ("never", SORRY)] {
        far.say("alice", "!weather");
        assert_eq!(soon(far.reply()).await.1, "which city?");
        sleep(Duration::from_secs(1800)).await;
        far.say("alice", "Oslo");
        assert_eq!(soon(far.reply()).await.1, "which day?");
        sleep(Duration::from_secs(1800)).await;
        let answered = Instant::now();
        far.say("alice", day);
        assert_eq!(soon(far.reply()).await.1, reply);
        assert!(
            answered.elapsed() <= SECOND + SECOND / 100,
            "one of ten seconds was left: {:?}",
            answered.elapsed()
        );
    }
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_and_kept_stays_and_what_was_promised_does_not() {
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let paid = move |cx: Context| {
        let runs = Arc::clone(&counted);
        async move {
            cx.reply("never said");
            cx.reply_now("one moment").await?;
            let receipt = cx.step("pay", async { Ok(runs.fetch_add(1, Ordering::Relaxed)) }).await?;
            if cx.is_first_attempt() {
                pending::<()>().await;
            }
            Ok::<_, Error>(format!("receipt {receipt}"))
        }
    };
    let (transport, mut far) = line();
    let trigger = Trigger::command("!pay").within(10 * SECOND);
    let bot = Bot::new(Router::new().route(trigger, paid)).transport(transport).in_memory();
    let letters = bot.dead_letters();
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    far.say("alice", "!pay");
    assert_eq!(soon(far.reply()).await.1, "one moment");
    assert_eq!(soon(far.reply()).await.1, SORRY);
    assert_eq!(letters.replay(DeadFilter::default()).await, Some(1));
    assert_eq!(soon(far.reply()).await.1, "never said", "this time it is");
    assert_eq!(soon(far.reply()).await.1, "receipt 0");
    assert_eq!(runs.load(Ordering::Relaxed), 1, "the step is not taken twice");
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn it_is_dropped_where_it_waits_and_tried_again_only_where_any_error_is() {
    struct Told(Arc<AtomicU32>);
    impl Drop for Told {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    for (retry, attempts) in [(Retry::strict(), 1), (Retry::strict().for_any_error(), 4), (Retry::never(), 1)]
    {
        let dropped = Arc::new(AtomicU32::new(0));
        let told = Arc::clone(&dropped);
        let never = move || {
            let told = Told(Arc::clone(&told));
            async move {
                let _told = told;
                pending::<()>().await;
            }
        };
        let (transport, mut far) = line();
        let trigger = Trigger::command("!hang").within(10 * SECOND).retry(retry);
        let bot = tokio::spawn(
            Bot::new(Router::new().route(trigger, never))
                .transport(transport)
                .in_memory()
                .on_this_runtime()
                .serve(),
        );
        far.say("alice", "!hang");
        assert_eq!(soon(far.reply()).await.1, SORRY);
        assert_eq!(dropped.load(Ordering::Relaxed), attempts);
        drop(far.hang_up());
        bot.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_panics_when_it_is_dropped_costs_its_event_only() {
    struct Rude;
    impl Drop for Rude {
        fn drop(&mut self) {
            assert!(std::thread::panicking(), "I will not go");
        }
    }
    async fn rude() {
        let _rude = Rude;
        pending::<()>().await;
    }
    let (transport, mut far) = line();
    let app = Router::new().route(Trigger::command("!rude").within(SECOND), rude).command("!ping", ping);
    let bot = tokio::spawn(Bot::new(app).transport(transport).in_memory().on_this_runtime().serve());
    far.say("alice", "!rude");
    far.say("alice", "!ping 1");
    assert!(soon(far.reply()).await.1.starts_with("Sorry"));
    assert_eq!(soon(far.reply()).await.1, "pong 1");
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
}

static IS_DONE: AtomicBool = AtomicBool::new(false);

async fn nightly() {
    sleep(Duration::from_secs(7200)).await;
    IS_DONE.store(true, Ordering::Relaxed);
}

#[tokio::test(start_paused = true)]
async fn what_comes_of_a_schedule_takes_as_long_as_it_likes_unless_told() {
    let (transport, far) = line();
    let app = Router::new().schedule("every 24h", nightly).with_state(());
    let began = Instant::now();
    let clock = move || UNIX_EPOCH + Duration::from_secs(1_767_268_800) + began.elapsed();
    let bot = tokio::spawn(
        Bot::new(app).transport(transport).in_memory().with_clock(clock).on_this_runtime().serve(),
    );
    sleep(Duration::from_secs(27 * 3600)).await;
    assert!(IS_DONE.load(Ordering::Relaxed));
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn on_demand_the_operator_sees_where_slow_handlers_wait() {
    let (transport, mut far) = line();
    let app = Router::new().command("!hang", hang).command("!ask", async |cx: Context| cx.ask("well?").await);
    let bot = Bot::new(app).transport(transport).in_memory();
    let status = bot.status();
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    far.say("alice", "!hang");
    far.say("bob", "!ask");
    assert_eq!(soon(far.reply()).await.1, "well?");
    sleep(2 * SECOND).await;
    assert_eq!(status.slow_handlers(5 * SECOND).await.unwrap().len(), 0);
    sleep(10 * SECOND).await;
    let slow = status.slow_handlers(5 * SECOND).await.unwrap();
    let (inner, outer) = (marked("// NEVER"), marked("// OUTER"));
    let hang = slow.iter().find(|slow| slow.command == "!hang").unwrap();
    assert!(hang.running >= 12 * SECOND && !hang.is_unhurried, "{hang:?}");
    for part in
        [format!("overdue.rs:{inner} in tokio::sync::mpsc::Receiver::recv"), format!("overdue.rs:{outer})")]
    {
        assert!(hang.waits.len() == 1 && hang.waits[0].contains(&part), "no {part:?} in {hang:?}");
    }
    let ask = slow.iter().find(|slow| slow.command == "!ask").unwrap();
    assert!(ask.is_unhurried, "{ask:?}");
    assert_eq!(slow.len(), 2);
    bot.abort();
}

#[test]
fn one_that_blocks_its_thread_ends_when_it_comes_back_and_its_reply_counts() {
    async fn block() -> &'static str {
        std::thread::sleep(Duration::from_millis(300));
        "late"
    }
    async fn block_and_wait() -> &'static str {
        std::thread::sleep(Duration::from_millis(300));
        pending().await
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let executor = Executor::threads(runtime.handle().clone(), 2);
    runtime.block_on(async {
        let (transport, mut far) = line();
        let app = Router::new()
            .command("!block", block)
            .command("!wait", block_and_wait)
            .command("!ping", ping)
            .within(Duration::from_millis(50));
        let bot = tokio::spawn(
            Bot::new(app).transport(transport).in_memory().with_executor(executor).on_this_runtime().serve(),
        );
        far.say("alice", "!block");
        assert_eq!(far.reply().await.1, "late");
        far.say("alice", "!wait");
        far.say("alice", "!ping 1");
        assert_eq!(far.reply().await.1, SORRY);
        assert_eq!(far.reply().await.1, "pong 1");
        drop(far.hang_up());
        bot.await.unwrap().unwrap();
    });
}

#[tokio::test(start_paused = true)]
async fn a_test_sees_the_limit_as_people_do() {
    let app = Router::new().route(Trigger::command("!hang").within(60 * SECOND), hang).command("!ping", ping);
    let mut chat = evenkeel::testing::chat(app);
    assert_eq!(chat.say("!hang").await, [SORRY]);
    assert_eq!(chat.say("!ping 1").await, ["pong 1"]);
}
