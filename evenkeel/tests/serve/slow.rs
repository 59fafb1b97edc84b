//! What hangs holds up only itself: sends, typing indicators, downloads. Time is paused.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use evenkeel::journal::DeadFilter;
use evenkeel::transport::{Inbox, SendError, Sent};
use evenkeel::{
    Action, App, Args, Attachment, Bot, Context, Conversation, Event, Outbound, Result, Router, Transport,
};
use tokio::time::{Instant, timeout};

use crate::line::{Far, Line, line};

/// A line on which sends and downloads hang where the name of the conversation or of the file begins with `void`.
struct Slow {
    line: Line,
    /// Typing indicators hang.
    is_typing_void: bool,
    under_way: Arc<AtomicU32>,
}

impl Transport for Slow {
    fn name(&self) -> &'static str {
        "slow"
    }

    async fn receive(&self, inbox: Inbox) -> Result<()> {
        self.line.receive(inbox).await
    }

    async fn send(&self, outbound: &Outbound) -> Result<Sent, SendError> {
        let is_typing = matches!(outbound.action, Action::Typing { .. });
        if outbound.conversation.id().starts_with("void") || is_typing && self.is_typing_void {
            self.under_way.fetch_add(1, Ordering::Relaxed);
            pending::<()>().await;
        }
        self.line.send(outbound).await
    }

    async fn download(&self, attachment: &Attachment, _: usize) -> Result<Bytes> {
        if attachment.id.starts_with("void") {
            pending::<()>().await;
        }
        Ok(Bytes::from_static(b"file"))
    }
}

async fn fetch(cx: Context, event: Event) -> Result<String> {
    let mut file = event.message().unwrap().clone().attachments;
    let bytes = cx.download(&file.remove(0)).await?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

async fn type_first(cx: Context) -> &'static str {
    cx.typing();
    tokio::time::sleep(Duration::from_millis(100)).await;
    "typed"
}

async fn react_first(cx: Context) -> &'static str {
    cx.react("👍");
    "reacted"
}

fn app() -> App {
    Router::new()
        .command("!ping", async || "pong")
        .command("!type", type_first)
        .command("!react", react_first)
        .on(|event: &Event| event.message().filter(|message| !message.attachments.is_empty()), fetch)
        .with_state(())
}

struct Stage {
    far: Far,
    bot: tokio::task::JoinHandle<Result<()>>,
    under_way: Arc<AtomicU32>,
}

fn stage(is_typing_void: bool) -> Stage {
    let (line, far) = line();
    let under_way = Arc::new(AtomicU32::new(0));
    let slow = Slow { line, is_typing_void, under_way: Arc::clone(&under_way) };
    let bot = tokio::spawn(
        Bot::new(app()).transport(slow).in_memory().with_drain(Duration::ZERO).on_this_runtime().serve(),
    );
    Stage { far, bot, under_way }
}

impl Stage {
    /// How long somebody waits for an answer.
    async fn ping(&mut self, who: &str, text: &str, answer: &str) -> Duration {
        let began = Instant::now();
        self.far.say(who, text);
        let reply = timeout(Duration::from_secs(3600), self.far.reply()).await.expect("an answer");
        assert_eq!(reply, (who.into(), answer.into()));
        began.elapsed()
    }

    fn end(self) {
        self.bot.abort();
    }
}

/// Where this many sends hang, an answer elsewhere takes no longer than `first`; the next none.
async fn check_sends(hanging: u32, first: Duration) {
    let mut stage = stage(false);
    for n in 0..hanging {
        stage.far.say(&format!("void-{n}"), "!ping");
    }
    let took = stage.ping("alice", "!ping", "pong").await;
    assert!(took <= first, "{hanging} hang: {took:?}");
    assert_eq!(stage.under_way.load(Ordering::Relaxed), hanging, "each of them was begun");
    let took = stage.ping("bob", "!ping", "pong").await;
    assert!(took <= Duration::from_millis(250), "{hanging} hang: {took:?}");
    stage.end();
}

#[tokio::test(start_paused = true)]
async fn sends_that_hang_in_64_conversations_hold_no_other_conversation_up() {
    check_sends(64, Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn sends_that_hang_in_more_conversations_than_there_are_slots_hold_others_up_for_a_moment() {
    check_sends(255, Duration::ZERO).await;
    check_sends(300, Duration::from_millis(500)).await;
    check_sends(1_000, Duration::from_millis(1_500)).await;
    check_sends(5_000, Duration::from_secs(6)).await;
}

#[tokio::test(start_paused = true)]
async fn at_the_bound_of_all_sends_the_next_one_waits_for_a_deadline() {
    let mut stage = stage(false);
    for n in 0..10_000 {
        stage.far.say(&format!("void-{n}"), "!ping");
    }
    let took = stage.ping("alice", "!ping", "pong").await;
    assert!(took > Duration::from_secs(100) && took < Duration::from_secs(130), "{took:?}");
    stage.end();
}

#[tokio::test(start_paused = true)]
async fn a_typing_indicator_that_hangs_holds_no_reply_up() {
    let mut stage = stage(true);
    let took = stage.ping("alice", "!type", "typed").await;
    assert_eq!(took, Duration::from_millis(100), "what its handler took");
    for n in 0..300 {
        stage.far.say(&format!("person {n}"), "!type");
    }
    for _ in 0..300 {
        assert_eq!(stage.far.reply().await.1, "typed");
    }
    assert_eq!(stage.ping("bob", "!ping", "pong").await, Duration::ZERO);
    stage.end();
}

#[tokio::test(start_paused = true)]
async fn a_typing_indicator_that_hangs_holds_no_stop_up() {
    async fn only_type(cx: Context) {
        cx.typing();
    }
    let (line, mut far) = line();
    let slow = Slow { line, is_typing_void: true, under_way: Arc::default() };
    let router = Router::new().command("!type", only_type).command("!ping", async || "pong");
    let bot = tokio::spawn(Bot::new(router).transport(slow).in_memory().on_this_runtime().serve());
    far.say("alice", "!type");
    far.say("bob", "!ping");
    assert_eq!(far.reply().await.1, "pong");
    let began = Instant::now();
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_typing_indicator_waits_for_the_reply_before_it_and_not_for_the_one_behind() {
    async fn twice(cx: Context) -> &'static str {
        let mut sent = Box::pin(cx.reply_now("first"));
        assert!(futures_util::poll!(&mut sent).is_pending(), "it is on its way");
        cx.typing();
        let _sent = sent.await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        cx.typing();
        "second"
    }
    let mut stage = stage(false);
    let router = Router::new().command("!twice", twice);
    let (line, far) = line();
    stage.bot.abort();
    stage.bot = tokio::spawn(Bot::new(router).transport(line).in_memory().on_this_runtime().serve());
    stage.far = far;
    stage.far.say("alice", "!twice");
    let mut texts = Vec::new();
    for _ in 0..4 {
        texts.push(stage.far.reply().await.1);
    }
    let typing = "Typing { is_started: true }";
    assert_eq!(texts, ["first", typing, typing, "second"]);
    stage.end();
}

#[tokio::test(start_paused = true)]
async fn an_action_that_hangs_holds_up_its_own_conversation_only() {
    let mut stage = stage(false);
    for n in 0..100 {
        stage.far.say(&format!("void-{n}"), "!react");
    }
    assert_eq!(stage.ping("alice", "!ping", "pong").await, Duration::ZERO);
    stage.end();
}

/// Somebody sends a file.
fn send_file(far: &mut Far, who: &str, file: &str) {
    let mut message = evenkeel::Message::text(format!("file of {who}"), "");
    message.attachments.push(Attachment {
        id: file.into(),
        name: None,
        content_type: "text/plain".into(),
        size_bytes: None,
    });
    far.post(who, message);
}

#[tokio::test(start_paused = true)]
async fn downloads_that_hang_hold_up_no_reply_and_no_other_download_for_long() {
    for hanging in [63, 100, 300] {
        let mut stage = stage(false);
        for n in 0..hanging {
            send_file(&mut stage.far, &format!("person {n}"), &format!("void-{n}"));
        }
        assert_eq!(stage.ping("alice", "!ping", "pong").await, Duration::ZERO);
        let began = Instant::now();
        send_file(&mut stage.far, "bob", "picture");
        assert_eq!(stage.far.reply().await, ("bob".into(), "file".into()));
        assert!(began.elapsed() <= Duration::from_millis(1_500), "{hanging}: {:?}", began.elapsed());
        stage.end();
    }
}

#[tokio::test(start_paused = true)]
async fn replies_that_wait_in_one_conversation_stop_its_own_handlers_only() {
    let mut stage = stage(false);
    // Each of these is handled at once, and its reply waits for the one that hangs.
    for _ in 0..3_000 {
        stage.far.say("void", "!ping");
    }
    let status = stage.ping("alice", "!ping", "pong").await;
    assert_eq!(status, Duration::ZERO);
    stage.end();
}

#[tokio::test(start_paused = true)]
async fn one_handler_fills_no_outbox() {
    async fn promises(cx: Context, Args((count, places)): Args<(u32, u32)>) {
        for number in 0..count {
            cx.send(&Conversation::direct(format!("void {}", number % places)), number.to_string());
        }
    }
    let (transport, mut far) = line();
    let app = Router::new().command("!many", promises).command("!ping", async || "pong");
    let bot = Bot::new(app.with_state(())).transport(transport).in_memory();
    let letters = bot.dead_letters();
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    far.say("alice", "!many 1001 1");
    assert!(far.reply().await.1.starts_with("Sorry"));
    far.say("bob", "!many 10001 100");
    assert!(far.reply().await.1.starts_with("Sorry"));
    let dead = letters.list(DeadFilter::default()).await.expect("the bot runs");
    assert!(
        dead[0].error.starts_with("1001 replies of one event in one conversation are"),
        "{}",
        dead[0].error
    );
    assert!(dead[1].error.starts_with("10001 replies of one event are too many"), "{}", dead[1].error);
    for (count, places) in [(1_000, 1), (10_000, 10)] {
        far.say("carol", &format!("!many {count} {places}"));
        for _ in 0..count {
            assert!(far.reply().await.0.starts_with("void"));
        }
    }
    drop(far.hang_up());
    bot.await.expect("no panic").expect("nothing is lost");
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_is_still_on_its_way_takes_no_later_ones_place() {
    async fn impatient(cx: Context) -> Result<&'static str> {
        if cx.is_first_attempt() {
            // It gives up on the answer, not on the reply.
            let _late = timeout(Duration::from_millis(10), cx.reply_now("one moment")).await;
            return Err(evenkeel::Error::new("not yet").transient());
        }
        Ok("done")
    }
    let keys = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&keys);
    let sent = Box::new(move |outbound: &Outbound| {
        seen.lock().unwrap().push(outbound.key.index);
        Ok(Sent::message(evenkeel::MessageId::new("sent")))
    });
    let (transport, mut far) = crate::line::line_with(Duration::from_secs(20), sent);
    let bot =
        Bot::new(Router::new().command("!go", impatient).with_state(())).transport(transport).in_memory();
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    far.say("alice", "!go");
    assert_eq!(far.reply().await.1, "one moment");
    assert_eq!(far.reply().await.1, "done");
    drop(far.hang_up());
    bot.await.expect("no panic").expect("nothing is lost");
    assert_eq!(*keys.lock().unwrap(), [0, 1], "a journal keeps one of each key");
}
