//! Commands that do not wait for their conversation, and those that end others.

use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

use evenkeel::journal::DeadFilter;
use evenkeel::retry::Retry;
use evenkeel::{Job, State, Trigger, testing};
use tokio::sync::{Notify, Semaphore};

use super::*;
use crate::home::{End, Home, soon};

async fn status() -> &'static str {
    "all is well"
}

async fn stop(cx: Context) -> Result<String> {
    Ok(format!("stopped {}", cx.cancel_others().await?))
}

async fn ask(cx: Context) -> Result<String> {
    Ok(format!("hello {}", cx.ask("who?").await?))
}

async fn hang(cx: Context) -> Result<()> {
    cx.reply_now("begun").await?;
    cx.reply("promised");
    pending().await
}

async fn plan(cx: Context) -> Result<()> {
    cx.defer(work, ())?;
    Ok(())
}

async fn work(cx: Context, Job(()): Job<()>) -> Result<()> {
    hang(cx).await
}

async fn greet(cx: Context, Job(()): Job<()>) -> Result<String> {
    ask(cx).await
}

fn stopping() -> Router {
    Router::new()
        .route(Trigger::command("!status").concurrent(), status)
        .route(Trigger::command("!stop").concurrent(), stop)
        .route(Trigger::command("!who").concurrent(), ask)
        .command("!hang", hang)
        .command("!ask", ask)
        .command("!ping", ping)
}

#[tokio::test(start_paused = true)]
async fn a_concurrent_command_does_not_wait_for_its_conversation() {
    async fn slow(State(end): State<Arc<Notify>>) -> &'static str {
        end.notified().await;
        "done"
    }
    let (transport, mut far) = line();
    let end = Arc::new(Notify::new());
    let status = Router::new().route(Trigger::command("!status").concurrent(), status);
    let app = status.command("!slow", slow).command("!ping", ping).with_state(Arc::clone(&end));
    let bot = tokio::spawn(Bot::new(app).transport(transport).in_memory().on_this_runtime().serve());
    far.say("alice", "!slow");
    far.say("alice", "!ping 1");
    far.say("alice", "!status");
    assert_eq!(soon(far.reply()).await.1, "all is well");
    assert!(far.replies.try_recv().is_err(), "the others wait for their turn");
    end.notify_one();
    assert_eq!(soon(far.reply()).await.1, "done");
    assert_eq!(soon(far.reply()).await.1, "pong 1");
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn sixteen_concurrent_commands_of_one_conversation_run_at_once() {
    type Held = Arc<(AtomicUsize, AtomicUsize, Semaphore)>;
    async fn hold(State(held): State<Held>) -> &'static str {
        let (running, most, end) = &*held;
        most.fetch_max(running.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        end.acquire().await.unwrap().forget();
        running.fetch_sub(1, Ordering::Relaxed);
        "done"
    }
    let (transport, mut far) = line();
    let held: Held = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0), Semaphore::new(0)));
    let app = Router::new().route(Trigger::exact("!hold").concurrent(), hold).with_state(Arc::clone(&held));
    let bot = Bot::new(app).transport(transport).in_memory().on_this_runtime();
    let status = bot.status();
    let bot = tokio::spawn(bot.serve());
    for _ in 0..40 {
        far.say("alice", "!hold");
    }
    far.say("bob", "!hold");
    let all_run = async {
        while status.snapshot().await.unwrap().running < 17 {
            sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(9), all_run).await.expect("17 at once");
    assert_eq!(status.snapshot().await.unwrap().waiting, 24);
    for _ in 0..41 {
        held.2.add_permits(1);
        soon(far.reply()).await;
    }
    assert_eq!(held.1.load(Ordering::Relaxed), 17, "16 of Alice's, and Bob's");
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_another_command_ends_is_done_and_its_conversation_goes_on() {
    let mut chat = testing::chat(stopping());
    chat.sandbox().say("alice", "alice", "!hang").unwrap();
    chat.sandbox().say("alice", "alice", "!ping 1").unwrap();
    chat.sandbox().say("bob", "bob", "!ask").unwrap();
    let replies = chat.say("!stop").await;
    assert_eq!(replies, ["begun", "who?", "stopped 1", "pong 1"], "what waits for its turn is left alone");
    assert_eq!(chat.say_as("bob", "Bob").await, ["hello Bob"], "so is another conversation");
    let snapshot = chat.snapshot().await;
    assert_eq!((snapshot.accepted, snapshot.handled, snapshot.cancelled), (5, 5, 1));
    assert_eq!((snapshot.failed, snapshot.dead, snapshot.retried), (0, 0, 0));
    assert_eq!(chat.say("!stop").await, ["stopped 0"]);
}

#[tokio::test(start_paused = true)]
async fn a_question_ends_that_another_command_cancels() {
    let app = stopping().fallback(async || "pardon?");
    let mut chat = testing::chat(app);
    assert_eq!(chat.say("!ask").await, ["who?"]);
    assert_eq!(chat.say("!stop").await, ["stopped 1"]);
    assert_eq!(chat.say("Alice").await, ["pardon?"], "nobody waits for that any more");
}

#[tokio::test(start_paused = true)]
async fn a_concurrent_command_that_asks_goes_on_in_turn_with_the_others() {
    let mut chat = testing::chat(stopping());
    assert_eq!(chat.say("!who").await, ["who?"]);
    assert_eq!(chat.say("!status").await, ["all is well"], "and answers nobody's question");
    assert_eq!(chat.say("Alice").await, ["hello Alice"]);
    assert_eq!(chat.say("!ping 1").await, ["pong 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_job_asks_where_people_write() {
    async fn plan(cx: Context) -> Result<()> {
        cx.defer(greet, ())?;
        Ok(())
    }
    let mut chat = testing::chat(stopping().command("!plan", plan).job(greet));
    assert_eq!(chat.say("!plan").await, ["who?"]);
    assert_eq!(chat.say("!ping 1").await, ["pong 1"]);
    assert_eq!(chat.say("Alice").await, ["hello Alice"]);
}

#[tokio::test(start_paused = true)]
async fn a_job_is_ended_in_its_conversation_as_well() {
    let app = stopping().command("!plan", plan).job(work).with_state(());
    let (transport, mut far) = line();
    let bot = tokio::spawn(Bot::new(app).transport(transport).in_memory().on_this_runtime().serve());
    far.say("alice", "!plan");
    assert_eq!(soon(far.reply()).await.1, "begun");
    far.say("alice", "!stop");
    assert_eq!(soon(far.reply()).await.1, "stopped 1");
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_was_cancelled_does_not_come_again_after_a_restart() {
    for end in [End::Stop, End::Kill] {
        let home = Home::new("cancelled");
        let mut bot = home.start(stopping().with_state(()));
        bot.say("alice", "!hang");
        assert_eq!(bot.hears().await, "begun");
        bot.say("alice", "!stop");
        assert_eq!(bot.hears().await, "stopped 1");
        bot.end(end).await;
        let mut bot = home.start(stopping().with_state(()));
        bot.say("alice", "!ping 1");
        assert_eq!(bot.hears().await, "pong 1", "{end:?}");
        bot.end(end).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_concurrent_command_of_an_earlier_run_waits_for_nobody() {
    async fn slow(cx: Context) -> Result<()> {
        if cx.attempt() == 1 {
            cx.reply_now("begun").await?;
        }
        pending().await
    }
    async fn check(cx: Context) -> Result<&'static str> {
        if cx.attempt() == 1 {
            cx.reply_now("checking").await?;
            pending::<()>().await;
        }
        Ok("all is well")
    }
    let home = Home::new("concurrent");
    let app = Router::new().command("!slow", slow).route(Trigger::command("!check").concurrent(), check);
    let app = app.with_state(());
    let mut bot = home.start(app.clone());
    bot.say("alice", "!slow");
    assert_eq!(bot.hears().await, "begun");
    bot.say("alice", "!check");
    assert_eq!(bot.hears().await, "checking");
    bot.end(End::Kill).await;
    // What may have ended the process is tried alone for a second, and then beside the next one.
    let mut bot = home.start(app);
    assert_eq!(bot.hears().await, "all is well");
    bot.end(End::Kill).await;
}

#[tokio::test(start_paused = true)]
async fn how_many_were_ended_is_the_same_in_each_attempt() {
    async fn hesitant(cx: Context) -> Result<String> {
        let count = cx.cancel_others().await?;
        if cx.attempt() == 1 {
            return Err(Error::new("on purpose").transient());
        }
        Ok(format!("{count}, then {}", cx.cancel_others().await?))
    }
    let hesitant =
        Router::new().route(Trigger::command("!stop").concurrent().retry(Retry::strict()), hesitant);
    let mut chat = testing::chat(hesitant.command("!hang", hang));
    chat.sandbox().say("alice", "alice", "!hang").unwrap();
    assert_eq!(chat.say("!stop").await, ["begun", "1, then 0"]);
}

#[tokio::test(start_paused = true)]
async fn a_concurrent_command_that_is_given_up_keeps_no_place() {
    async fn broken() -> Result<()> {
        Err(Error::new("on purpose"))
    }
    let broken = Router::new().route(Trigger::command("!broken").concurrent().retry(Retry::park()), broken);
    let mut chat = testing::chat(broken);
    for _ in 0..20 {
        soon(chat.say("!broken")).await;
    }
    let snapshot = chat.snapshot().await;
    assert_eq!((snapshot.dead, snapshot.waiting), (20, 0), "nothing waits for the operator");
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_the_operator_is_not_ended() {
    async fn once(State(count): State<Arc<AtomicUsize>>) -> Result<&'static str> {
        match count.fetch_add(1, Ordering::Relaxed) {
            0 => Err(Error::new("on purpose")),
            _ => Ok("at last"),
        }
    }
    let app = Router::new().route(Trigger::command("!stop").concurrent(), stop);
    let app = app.route(Trigger::command("!once").retry(Retry::park()), once).with_state(Arc::default());
    let (transport, mut far) = line();
    let bot = Bot::new(app).transport(transport).in_memory().on_this_runtime();
    let dead = bot.dead_letters();
    let bot = tokio::spawn(bot.serve());
    far.say("alice", "!once");
    assert!(soon(far.reply()).await.1.starts_with("Sorry"));
    far.say("alice", "!stop");
    assert_eq!(soon(far.reply()).await.1, "stopped 0");
    assert_eq!(dead.replay(DeadFilter::default()).await, Some(1));
    assert_eq!(soon(far.reply()).await.1, "at last");
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
}

/// With threads of its own: the handler keeps one of them until it is let go.
#[test]
fn a_handler_that_blocks_when_it_is_cancelled_keeps_its_conversation_until_it_is_gone() {
    type Gate = Arc<(Mutex<Vec<String>>, Mutex<Option<std::sync::mpsc::Receiver<()>>>)>;
    async fn block(cx: Context, State(gate): State<Gate>) {
        cx.reply("promised");
        let open = gate.1.lock().unwrap().take().unwrap();
        let _opened = cx.reply_now("blocking").await;
        open.recv().unwrap();
        gate.0.lock().unwrap().push("block".to_owned());
        tokio::task::yield_now().await;
        gate.0.lock().unwrap().push("it went on".to_owned());
    }
    async fn note(Rest(text): Rest, State(gate): State<Gate>) -> String {
        gate.0.lock().unwrap().push(text.clone());
        text
    }
    let (opens, open) = std::sync::mpsc::channel();
    let gate: Gate = Arc::new((Mutex::default(), Mutex::new(Some(open))));
    let stop = Router::new().route(Trigger::command("!stop").concurrent(), stop);
    let app = stop.command("!block", block).command("!note", note).with_state(Arc::clone(&gate));
    let (transport, mut far) = line();
    let bot = Bot::new(app).transport(transport).in_memory();
    let status = bot.status();
    let bot = std::thread::spawn(move || bot.run());
    far.say("alice", "!block");
    assert_eq!(far.replies.blocking_recv().unwrap().1, "blocking");
    far.say("alice", "!note after");
    far.say("alice", "!stop");
    assert_eq!(far.replies.blocking_recv().unwrap().1, "stopped 1", "nobody waits for the one that blocks");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let snapshot = runtime.block_on(status.snapshot()).unwrap();
    assert_eq!((snapshot.cancelled, snapshot.waiting), (1, 1), "the next one waits");
    opens.send(()).unwrap();
    assert_eq!(far.replies.blocking_recv().unwrap().1, "after", "what it had promised is not sent");
    assert_eq!(*gate.0.lock().unwrap(), ["block", "after"]);
    drop(far.hang_up());
    bot.join().unwrap().unwrap();
}
