//! What a running bot promises, seen from its transport. Time is paused.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod alike;
mod apart;
mod asking;
mod blocking;
mod concurrent;
mod cursor;
mod disk;
mod drain;
mod durable;
mod ending;
mod foreign;
mod guard;
mod handle;
mod home;
mod hooks;
mod later;
mod line;
mod networks;
mod operator;
mod opted;
mod overdue;
mod pages;
mod prompt;
mod refused;
mod restart;
mod slow;
mod specs;
mod stuck;
mod unasked;
mod waiting;

use std::collections::HashMap;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use evenkeel::journal::memory::MemoryJournal;
use evenkeel::journal::{Entry, Journal, PendingEvent, PendingReply, Recovered};
use evenkeel::transport::{SendError, Sent};
use evenkeel::{
    App, Args, Bot, Context, Conversation, Error, Event, Message, Outbound, Reply, Rest, Result, Router,
    SendKey, Sender,
};
use futures_util::FutureExt;
use line::{line, line_with};
use tokio::sync::oneshot;
use tokio::time::sleep;

async fn ping(Rest(token): Rest) -> String {
    format!("pong {token}")
}

fn app() -> App {
    Router::new().command("!ping", ping).with_state(())
}

#[tokio::test(start_paused = true)]
async fn a_message_is_answered_in_its_conversation() {
    let (transport, mut far) = line();
    let bot = tokio::spawn(Bot::new(app()).transport(transport).in_memory().on_this_runtime().serve());
    far.say("alice", "!ping 1");
    far.say("bob", "!ping 2");
    assert_eq!(far.reply().await, ("alice".into(), "pong 1".into()));
    assert_eq!(far.reply().await, ("bob".into(), "pong 2".into()));
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn replies_keep_order_within_a_conversation() {
    async fn dawdle(Args((ms, n)): Args<(u64, u64)>) -> String {
        sleep(Duration::from_millis(ms)).await;
        n.to_string()
    }
    let (transport, mut far) = line();
    let bot = tokio::spawn(
        Bot::new(Router::new().command("!x", dawdle))
            .transport(transport)
            .in_memory()
            .on_this_runtime()
            .serve(),
    );
    let mut seed: u64 = 42; // printed by a failure through the values themselves
    for n in 0..500 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        far.say(&format!("person {}", seed >> 60), &format!("!x {} {n}", seed >> 32 & 7));
    }
    let mut last: HashMap<String, u64> = HashMap::new();
    for _ in 0..500 {
        let (who, text) = far.reply().await;
        let n = text.parse().unwrap();
        assert!(last.insert(who, n).is_none_or(|before| before < n));
    }
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stuck_handler_delays_only_its_own_conversation() {
    async fn hang() {
        pending::<()>().await;
    }
    let (transport, mut far) = line();
    let app = Router::new().command("!hang", hang).command("!ping", ping);
    let bot = tokio::spawn(
        Bot::new(app)
            .transport(transport)
            .in_memory()
            .with_drain(Duration::from_secs(1))
            .on_this_runtime()
            .serve(),
    );
    far.say("alice", "!hang");
    far.say("alice", "!ping never");
    far.say("bob", "!ping now");
    assert_eq!(far.reply().await, ("bob".into(), "pong now".into()));
    drop(far.hang_up());
    let left = bot.await.unwrap().unwrap_err();
    assert_eq!(
        left.to_string(),
        "stopped at the deadline: 1 handler was still running, 1 event was waiting, 0 replies were not sent; \
         the journal keeps nothing, so all of that is lost"
    );
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_one_failed_event() {
    async fn bad() -> &'static str {
        panic!("on purpose")
    }
    let (transport, mut far) = line();
    let bot =
        Bot::new(Router::new().command("!bad", bad).command("!ping", ping)).transport(transport).in_memory();
    let status = bot.status();
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    far.say("alice", "!bad");
    far.say("alice", "!ping 1");
    assert!(far.reply().await.1.starts_with("Sorry"));
    assert_eq!(far.reply().await.1, "pong 1");
    status.idle().await;
    let snapshot = status.snapshot().await.unwrap();
    assert_eq!((snapshot.accepted, snapshot.failed, snapshot.handled, snapshot.sent), (2, 1, 1, 2));
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_repeated_delivery_is_handled_once() {
    let (transport, far) = line();
    let bot = Bot::new(app()).transport(transport).in_memory();
    let status = bot.status();
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    for _ in 0..3 {
        far.repeat("same", "alice", "!ping");
    }
    // `idle` may be asked before the transport has handed anything over: the first reply says that it has.
    let mut far = far;
    far.reply().await;
    status.idle().await;
    let snapshot = status.snapshot().await.unwrap();
    assert_eq!((snapshot.accepted, snapshot.duplicates), (1, 2));
    assert!(far.replies.try_recv().is_err());
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_a_failing_handler_promised_is_not_sent() {
    async fn half(cx: Context) -> Result<()> {
        cx.reply("half an answer");
        Err(Error::for_user("no such city"))?
    }
    async fn broken(cx: Context) -> Result<()> {
        cx.reply("half an answer");
        Err(std::io::Error::other("password=hunter2"))?
    }
    let (transport, mut far) = line();
    let app = Router::new().command("!half", half).command("!broken", broken);
    let bot = tokio::spawn(Bot::new(app).transport(transport).in_memory().on_this_runtime().serve());
    far.say("alice", "!broken");
    far.say("alice", "!half");
    assert_eq!(far.reply().await.1, "Sorry, something went wrong. It has been logged.");
    assert_eq!(far.reply().await.1, "half an answer", "what is told is a reply, not a failure");
    assert_eq!(far.reply().await.1, "no such city");
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn reply_now_leaves_before_the_handler_ends() {
    async fn slow(cx: Context) -> Result<&'static str> {
        cx.reply("later");
        cx.reply_now("at once").await?;
        sleep(Duration::from_secs(60)).await;
        Ok("at last")
    }
    let (transport, mut far) = line();
    let bot = tokio::spawn(
        Bot::new(Router::new().command("!slow", slow))
            .transport(transport)
            .in_memory()
            .on_this_runtime()
            .serve(),
    );
    far.say("alice", "!slow");
    for text in ["at once", "later", "at last"] {
        assert_eq!(far.reply().await.1, text);
    }
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_left_at_once_arrives_before_what_was_returned() {
    async fn busy(cx: Context) -> &'static str {
        cx.typing();
        // Polled once and dropped: it is on its way all the same.
        let _gone = cx.reply_now("first").now_or_never();
        "second"
    }
    let (transport, mut far) = line();
    far.say("alice", "!busy");
    let mut replies = far.hang_up();
    // The source ends at once, so that the drain, too, has to wait for what was asked.
    Bot::new(Router::new().command("!busy", busy))
        .transport(transport)
        .in_memory()
        .on_this_runtime()
        .serve()
        .await
        .unwrap();
    let mut texts = Vec::new();
    while let Ok((_, text)) = replies.try_recv() {
        texts.push(text);
    }
    assert_eq!(texts, ["Typing { is_started: true }", "first", "second"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_not_sent_is_tried_again_in_order_and_what_may_have_been_sent_is_not() {
    let tries = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&tries);
    let (transport, mut far) = line_with(
        Duration::ZERO,
        Box::new(move |_| match count.fetch_add(1, Ordering::Relaxed) {
            0 | 1 => Err(SendError::not_sent("nobody there")),
            2 => Ok(Sent::done()),
            3 => Err(SendError::unknown("no answer")),
            4 => Err(SendError::refused("no such person")),
            _ => Ok(Sent::done()),
        }),
    );
    let bot = Bot::new(app()).transport(transport).in_memory();
    let status = bot.status();
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    for n in 1..=4 {
        far.say("alice", &format!("!ping {n}"));
    }
    assert_eq!(far.reply().await.1, "pong 1", "after two failures, and before the others");
    assert_eq!(far.reply().await.1, "pong 4", "2 is unknown, 3 refused");
    status.idle().await;
    let snapshot = status.snapshot().await.unwrap();
    assert_eq!((snapshot.sent, snapshot.unknown, snapshot.not_sent), (2, 1, 1));
    assert_eq!(tries.load(Ordering::Relaxed), 6);
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stop_drains_what_was_accepted() {
    async fn slow() -> &'static str {
        sleep(Duration::from_secs(5)).await;
        "done"
    }
    let (transport, mut far) = line_with(Duration::from_secs(1), Box::new(|_| Ok(Sent::done())));
    let (stop, stopped) = oneshot::channel::<()>();
    let bot = Bot::new(Router::new().command("!slow", slow)).transport(transport).in_memory();
    let (bot, status) = (bot.with_shutdown(async { drop(stopped.await) }), ());
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    far.say("alice", "!slow");
    far.say("alice", "!slow");
    sleep(Duration::from_secs(1)).await;
    stop.send(status).unwrap();
    bot.await.unwrap().expect("everything was finished before the deadline");
    assert_eq!(far.reply().await.1, "done");
    assert_eq!(far.reply().await.1, "done");
}

/// A journal that has kept what an earlier run left unfinished.
#[derive(Default)]
struct Kept(MemoryJournal);

impl Journal for Kept {
    type Writing = <MemoryJournal as Journal>::Writing;

    async fn recover(&mut self) -> Result<Recovered> {
        let mut recovered = Recovered::default();
        let what = Message::text("0", "!ping kept");
        let event = Event::new("0", Conversation::direct("alice"), Sender::new("alice"), what);
        let (attempts, crashes, has_begun, due_ms, is_parked, facts) = (1, 1, true, 0, false, Vec::new());
        let pending =
            PendingEvent { sequence: 100, event, attempts, crashes, has_begun, due_ms, is_parked, facts };
        recovered.events.push(pending);
        let draft = Reply::text("promised").actions()[0].clone();
        let key = SendKey { sequence: 0, index: 0 };
        let outbound = Outbound::new(Conversation::direct("bob"), draft, key);
        recovered.replies.push(PendingReply {
            outbound,
            command: String::new(),
            is_unknown: false,
            attempts: 0,
            due_ms: 0,
        });
        Ok(recovered)
    }

    fn write(&mut self, batch: Vec<Entry>) -> Self::Writing {
        self.0.write(batch)
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_run_left_is_taken_up_first() {
    let (transport, mut far) = line();
    let bot = Bot::new(app()).transport(transport).with_journal(Kept::default());
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    assert_eq!(far.reply().await, ("bob".into(), "promised".into()));
    assert_eq!(far.reply().await, ("alice".into(), "pong kept".into()));
    far.say("alice", "!ping new");
    assert_eq!(far.reply().await.1, "pong new", "the room of the kept event was counted and given back");
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_full_inbox_refuses_and_counts() {
    let (transport, mut far) = line();
    let bot = Bot::new(app()).transport(transport).in_memory().with_backlog_bytes(1);
    let status = bot.status();
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    // Asked before: the transport of this test gives up at the first refusal, which ends the bot.
    let before = status.snapshot().await.unwrap();
    assert_eq!(before.refused, 0);
    far.say("alice", "!ping");
    let error = bot.await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), "the inbox is full");
}

#[test]
fn a_bot_serves_inside_a_current_thread_runtime_and_runs_on_its_own() {
    let (transport, far) = line();
    drop(far.hang_up());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(Bot::new(app()).transport(transport).in_memory().on_this_runtime().serve()).unwrap();
    let (transport, mut far) = line();
    far.say("alice", "!ping 1");
    let mut replies = far.hang_up();
    Bot::new(app()).transport(transport).in_memory().run().unwrap();
    assert_eq!(replies.try_recv().unwrap().1, "pong 1");
}

#[test]
#[should_panic(expected = "call `serve(..).await` here")]
fn run_inside_a_runtime_says_what_to_call_instead() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (transport, _far) = line();
    runtime.block_on(async { Bot::new(app()).transport(transport).in_memory().run() }).unwrap();
}

#[test]
fn the_wire_never_waits_for_a_handler_that_blocks() {
    async fn block() {
        std::thread::sleep(Duration::from_secs(3600));
    }
    let (transport, mut far) = line();
    let (stop, stopped) = oneshot::channel::<()>();
    let bot = Bot::new(Router::new().command("!block", block).command("!ping", ping))
        .transport(transport)
        .in_memory();
    let bot = bot.with_shutdown(async { drop(stopped.await) }).with_drain(Duration::ZERO);
    let bot = std::thread::spawn(move || bot.run());
    for n in 0..8 {
        far.say(&format!("stuck {n}"), "!block");
    }
    for n in 0..100 {
        far.say("alice", &format!("!ping {n}"));
        assert_eq!(far.replies.blocking_recv().unwrap().1, format!("pong {n}"));
    }
    stop.send(()).unwrap();
    let left = bot.join().unwrap().unwrap_err().to_string();
    assert!(left.contains("8 handlers were still running"), "{left}");
}
