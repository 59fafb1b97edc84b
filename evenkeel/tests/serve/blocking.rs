//! Plain functions as handlers, in a pool.

#![allow(clippy::needless_pass_by_value, reason = "a handler owns its arguments")]

use std::sync::{Arc, Mutex, mpsc};
use std::thread::ThreadId;
use std::time::Duration;

use evenkeel::offload::{Pool, blocking, offload};
use evenkeel::{
    Args, Bot, Context, Conversation, Error, Event, FromRef, Next, Reaction, Reply, Rest, Result, Router,
    State, Text, Trigger, from_fn, testing,
};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::line::line;

fn echo(Rest(text): Rest) -> String {
    format!("[{text}]")
}

fn whole(Text(text): Text) -> String {
    text
}

fn thank(Reaction { emoji, .. }: Reaction) -> String {
    format!("thanks for the {emoji}")
}

#[tokio::test(start_paused = true)]
async fn every_trigger_takes_a_plain_function() {
    let pool = Pool::new(1);
    let app = Router::new()
        .command("!echo", blocking(echo))
        .exact("good bot", offload(whole))
        .regex("^b+$", pool.run(whole))
        .route(Trigger::command("!say").alias("!tell"), blocking(echo))
        .nest("!deep", Router::new().command("echo", blocking(echo)))
        .on(Event::reaction, blocking(thank))
        .fallback(blocking(|Text(text): Text| format!("what is {text}")));
    let mut chat = testing::chat(app);
    for (said, answer) in [
        ("!echo a b", "[a b]"),
        ("Good bot", "Good bot"),
        ("bbb", "bbb"),
        ("!tell me", "[me]"),
        ("!deep echo c", "[c]"),
        ("this", "what is this"),
    ] {
        assert_eq!(chat.say(said).await, [answer]);
    }
    assert_eq!(chat.react("❤️").await, ["thanks for the ❤️"]);
    assert_eq!(pool.waited().count, 1);
}

#[tokio::test(start_paused = true)]
async fn it_takes_and_gives_what_other_handlers_do() {
    #[derive(Clone)]
    struct Db(Arc<Mutex<Vec<String>>>);
    #[derive(Clone)]
    struct All {
        db: Db,
    }
    impl FromRef<All> for Db {
        fn from_ref(all: &All) -> Self {
            all.db.clone()
        }
    }
    fn note(
        cx: Context,
        State(Db(rows)): State<Db>,
        Args((item, count)): Args<(String, usize)>,
    ) -> Result<Reply> {
        if count == 0 {
            return Err(cx.misuse("none at all?"));
        }
        let mut rows = rows.lock().unwrap();
        rows.extend(std::iter::repeat_n(item, count));
        cx.react("👍");
        cx.reply(format!("{} now", rows.len()));
        Ok(Reply::text("noted").and("bye"))
    }
    let trigger = Trigger::command("!note").usage("!note <item> <count>");
    let state = All { db: Db(Arc::default()) };
    let mut chat = testing::chat(Router::new().route(trigger, blocking(note)).with_state(state));
    let replies = chat.say("!note milk 2").await;
    assert_eq!(replies, ["2 now", "noted", "bye"], "what it promised leaves first");
    assert_eq!(replies.reactions(), ["👍"]);
    assert_eq!(chat.say("!note milk 0").await, ["none at all?\nUsage: !note <item> <count>"]);
    assert!(chat.say("!note milk").await.text().contains("Usage"), "arguments are refused as ever");
    assert_eq!(chat.snapshot().await.failed, 0);
}

#[tokio::test(start_paused = true)]
async fn its_panics_and_errors_are_failed_events() {
    fn bad(cx: Context) {
        cx.reply("half an answer");
        panic!("on purpose");
    }
    fn broken(cx: Context) -> Result<()> {
        cx.reply("half an answer");
        Err(std::io::Error::other("password=hunter2"))?
    }
    let app = Router::new().command("!bad", blocking(bad)).command("!broken", offload(broken));
    let mut chat = testing::chat(app.command("!echo", blocking(echo)));
    for said in ["!bad", "!broken"] {
        assert_eq!(chat.say(said).await, ["Sorry, something went wrong. It has been logged."]);
        // One apology a minute is enough.
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    assert_eq!(chat.say("!echo still here").await, ["[still here]"]);
    let snapshot = chat.snapshot().await;
    assert_eq!((snapshot.handled, snapshot.failed), (1, 2));
    let echo = snapshot.commands.iter().find(|command| command.name == "!echo").unwrap();
    assert_eq!(echo.handled, 1, "it is counted by its name");
}

#[tokio::test(start_paused = true)]
async fn layers_run_around_it_and_it_runs_elsewhere() {
    async fn mark(event: Event, next: Next) -> Reply {
        next.run(event).await.push("!")
    }
    fn here(State(test): State<ThreadId>) -> &'static str {
        if std::thread::current().id() == test { "here" } else { "elsewhere" }
    }
    let app = Router::new().command("!where", blocking(here)).layer(from_fn(mark));
    let mut chat = testing::chat(app.with_state(std::thread::current().id()));
    assert_eq!(chat.say("!where").await, ["elsewhere!"]);
}

/// Lets one function say when it has begun, and end when it is told to.
#[derive(Clone)]
struct Gate(Arc<Mutex<Option<Ends>>>);

type Ends = (oneshot::Sender<()>, mpsc::Receiver<()>);

impl Gate {
    fn new() -> (Self, oneshot::Receiver<()>, mpsc::Sender<()>) {
        let (begin, begun) = oneshot::channel();
        let (end, ended) = mpsc::channel();
        (Self(Arc::new(Mutex::new(Some((begin, ended))))), begun, end)
    }

    fn pass(&self) {
        let (begin, ended) = self.0.lock().unwrap().take().expect("passed once");
        begin.send(()).unwrap();
        ended.recv().unwrap_err();
    }
}

#[tokio::test(start_paused = true)]
async fn it_keeps_its_own_conversation_waiting_and_no_other() {
    fn wait(State(gate): State<Gate>) -> &'static str {
        gate.pass();
        "waited"
    }
    let (gate, begun, end) = Gate::new();
    let (transport, mut far) = line();
    let app =
        Router::new().command("!wait", blocking(wait)).command("!echo", blocking(echo)).with_state(gate);
    let bot = tokio::spawn(Bot::new(app).transport(transport).in_memory().on_this_runtime().serve());
    far.say("alice", "!wait");
    begun.await.unwrap();
    far.say("alice", "!echo after it");
    far.say("bob", "!echo meanwhile");
    assert_eq!(far.reply().await, ("bob".into(), "[meanwhile]".into()));
    drop(end);
    assert_eq!(far.reply().await, ("alice".into(), "waited".into()));
    assert_eq!(far.reply().await, ("alice".into(), "[after it]".into()));
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_was_given_up_runs_on_and_is_not_heard() {
    fn wait(cx: Context, State(gate): State<Gate>) -> &'static str {
        gate.pass();
        cx.send(&Conversation::direct("bob"), "too late");
        "too late"
    }
    async fn impatient(event: Event, next: Next) -> Result<Reply> {
        let reply = timeout(Duration::from_secs(1), next.run(event)).await;
        reply.map_err(|_| Error::for_user("that takes too long"))
    }
    let (gate, begun, end) = Gate::new();
    let (transport, mut far) = line();
    let pool = Pool::new(1);
    let app = Router::new().command("!wait", pool.run(wait)).layer(from_fn(impatient)).with_state(gate);
    let bot = Bot::new(app).transport(transport).in_memory();
    let status = bot.status();
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    far.say("alice", "!wait");
    begun.await.unwrap();
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(far.reply().await, ("alice".into(), "that takes too long".into()));
    assert_eq!(pool.running(), 1, "nothing can stop it");
    drop(end);
    assert_eq!(pool.run(|| 7).await.unwrap(), 7, "its place is free once it has ended");
    status.idle().await;
    assert!(far.replies.try_recv().is_err());
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
}
