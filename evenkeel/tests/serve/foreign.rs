//! Code that is not ours panics, or blocks, where nobody expects it: that costs one event, and the bot goes on.

use std::convert::Infallible;
use std::fmt;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use evenkeel::journal::{DeadFilter, Reason};
use evenkeel::offload::offload;
use evenkeel::transport::{Inbox, SendError, Sent, Start};
use evenkeel::{
    App, Attachment, Bot, Context, Conversation, Event, FromEvent, IntoReply, Job, Message, Next, Outbound,
    Rejection, Reply, Result, Router, Sender, State, Transport, from_fn,
};
use evenkeel_guard::Executor;
use serde::Serialize;
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::line::{Far, line, line_with};
use crate::ping;

/// Panics in one of the places in which a value of the author's is looked at.
#[derive(Clone, Copy, Debug)]
enum Trap {
    Display,
    Source,
    Drop,
    /// In `Display`, and once more in `Drop`.
    Both,
}

#[derive(Debug)]
struct BadError(Trap);

impl fmt::Display for BadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Trap::Display | Trap::Both => panic!("in Display"),
            _ => f.write_str("bad"),
        }
    }
}

impl std::error::Error for BadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self.0 {
            Trap::Source => panic!("in source"),
            _ => None,
        }
    }
}

impl Drop for BadError {
    fn drop(&mut self) {
        // Should this be while another panic unwinds, the process ends.
        assert!(!matches!(self.0, Trap::Drop | Trap::Both), "in Drop");
    }
}

/// What a panic may carry: it panics once more when it is dropped, and so does what that carries.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        std::panic::panic_any(Bomb);
    }
}

fn explodes() {
    std::panic::panic_any(Bomb);
}

/// An error that names itself as its cause.
#[derive(Debug)]
struct Circle;

impl fmt::Display for Circle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("round")
    }
}

impl std::error::Error for Circle {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self)
    }
}

fn fails(trap: Trap) -> Router {
    Router::new().command("!trap", move || async move { Err::<(), _>(BadError(trap)) })
}

/// Panics whenever it is written.
struct Unwritable;

impl Serialize for Unwritable {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        panic!("in Serialize")
    }
}

impl<'de> serde::Deserialize<'de> for Unwritable {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        panic!("in Deserialize")
    }
}

async fn keeps(cx: Context) -> Result<()> {
    cx.step("a step", async { Ok(Unwritable) }).await?;
    Ok(())
}

struct Unextractable;

impl<S: Sync> FromEvent<S> for Unextractable {
    async fn from_event(_: &Context, _: &S) -> Result<Self, Rejection> {
        panic!("in from_event")
    }
}

struct Unspeakable;

impl IntoReply for Unspeakable {
    fn into_reply(self) -> Reply {
        panic!("in into_reply")
    }
}

/// A state that can be cloned when the bot is built, and not for a handler of `!trap`.
struct Uncloneable(Arc<AtomicUsize>);

impl Clone for Uncloneable {
    fn clone(&self) -> Self {
        assert_eq!(self.0.load(Ordering::SeqCst), 0, "in Clone");
        Self(Arc::clone(&self.0))
    }
}

/// A layer whose service panics before or when it is called.
#[derive(Clone, Copy)]
struct BadLayer {
    when_ready: bool,
}

#[derive(Clone)]
struct BadService<S>(BadLayer, S);

impl<S> tower::Layer<S> for BadLayer {
    type Service = BadService<S>;

    fn layer(&self, inner: S) -> BadService<S> {
        BadService(*self, inner)
    }
}

impl<S, R> tower::Service<R> for BadService<S>
where
    S: tower::Service<R, Error = Infallible>,
{
    type Response = S::Response;
    type Error = Infallible;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut std::task::Context<'_>) -> Poll<Result<(), Infallible>> {
        assert!(!self.0.when_ready, "in poll_ready");
        self.1.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> S::Future {
        assert!(self.0.when_ready, "in call");
        self.1.call(request)
    }
}

async fn bad_from_fn(event: Event, next: Next) -> Reply {
    match event.text() {
        Some("!trap") => panic!("in a layer"),
        _ => next.run(event).await,
    }
}

fn nothing() -> Router {
    Router::new().command("!trap", async || ())
}

/// All of these panic for `!trap`, by whatever is in their names.
fn traps() -> Vec<(&'static str, App)> {
    fn filter(event: &Event) -> Option<&Event> {
        assert_ne!(event.text(), Some("!trap"), "in a filter");
        None
    }
    fn explosive(event: &Event) -> Option<&Event> {
        if event.text() == Some("!trap") {
            explodes();
        }
        None
    }
    let cloned = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&cloned);
    let state = Router::<Uncloneable>::new().command("!trap", async |_: State<Uncloneable>| ());
    let state = state.command("!ping", ping).with_state(Uncloneable(cloned));
    counted.store(1, Ordering::SeqCst);
    let plain = |router: Router| router.command("!ping", ping).with_state(());
    vec![
        ("a filter", plain(Router::new().on(filter, async || ()))),
        ("what a panic carries", plain(Router::new().command("!trap", async || explodes()))),
        ("what a filter's panic carries", plain(Router::new().on(explosive, async || ()))),
        ("what offloaded work's panic carries", plain(Router::new().command("!trap", offload(explodes)))),
        ("Display", plain(fails(Trap::Display))),
        ("source", plain(fails(Trap::Source))),
        ("Drop", plain(fails(Trap::Drop))),
        ("Display and Drop", plain(fails(Trap::Both))),
        ("Serialize", plain(Router::new().command("!trap", keeps))),
        ("an extractor", plain(Router::new().command("!trap", async |_: Unextractable| ()))),
        ("into_reply", plain(Router::new().command("!trap", async || Unspeakable))),
        ("Clone", state),
        ("poll_ready", plain(nothing().layer(BadLayer { when_ready: true }))),
        ("call", plain(nothing().layer(BadLayer { when_ready: false }))),
        ("from_fn", plain(nothing().layer(from_fn(bad_from_fn)))),
    ]
}

#[tokio::test(start_paused = true)]
async fn whatever_panics_costs_one_event_and_its_conversation_goes_on() {
    for (name, app) in traps() {
        let (transport, mut far) = line();
        let bot = Bot::new(app).transport(transport).in_memory();
        let (status, letters) = (bot.status(), bot.dead_letters());
        let bot = tokio::spawn(bot.on_this_runtime().serve());
        far.say("alice", "!trap");
        far.say("alice", "!ping 1");
        // Layers cover `!ping`, too.
        let is_layer = ["poll_ready", "call"].contains(&name);
        let mut reply = far.reply().await.1;
        if reply.starts_with("Sorry") && !is_layer {
            reply = far.reply().await.1;
        }
        assert!(reply == "pong 1" || is_layer, "{name}: {reply}");
        status.idle().await;
        let dead = letters.list(DeadFilter::default()).await.expect(name);
        assert_eq!(dead.len(), 1 + usize::from(is_layer), "{name}: {dead:?}");
        assert_eq!(dead[0].reason, Reason::Panicked, "{name}");
        assert!(dead[0].error.contains("panicked"), "{name}: {}", dead[0].error);
        drop(far.hang_up());
        bot.await.expect(name).expect(name);
    }
}

#[tokio::test(start_paused = true)]
async fn a_predicate_that_panics_costs_the_event_that_waits_and_not_the_one_that_it_saw() {
    async fn waits(cx: Context) -> Result<()> {
        cx.wait_for(|_| panic!("in a predicate"), Duration::from_secs(60)).await?;
        Ok(())
    }
    let (transport, mut far) = line();
    let app = Router::new().command("!wait", waits).command("!ping", ping);
    let bot = Bot::new(app).transport(transport).in_memory();
    let letters = bot.dead_letters();
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    far.say("alice", "!wait");
    far.say("alice", "!ping 1");
    let mut replies = [far.reply().await.1, far.reply().await.1];
    replies.sort();
    assert!(replies[0].starts_with("Sorry") && replies[1] == "pong 1", "{replies:?}");
    assert_eq!(letters.list(DeadFilter::default()).await.expect("the bot runs").len(), 1);
    drop(far.hang_up());
    bot.await.expect("no panic").expect("nothing is lost");
}

/// A bot whose `!bad` fails, with a hook that is told.
fn with_hook<F>(hook: impl Fn() -> F + Send + Sync + 'static) -> App
where
    F: Future<Output = ()> + Send + 'static,
{
    async fn bad() -> Result<()> {
        Err(evenkeel::Error::new("on purpose"))
    }
    Router::new().command("!bad", bad).command("!ping", ping).with_state(()).on_dead(move |_| hook())
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_panics_ends_nothing() {
    let early = with_hook(|| {
        if true {
            panic!("before its future");
        }
        async {}
    });
    let late = with_hook(|| async { panic!("in its future") });
    for app in [early, late] {
        let (transport, mut far) = line();
        let bot = Bot::new(app).transport(transport).in_memory();
        let (letters, status) = (bot.dead_letters(), bot.status());
        let bot = tokio::spawn(bot.on_this_runtime().serve());
        far.say("alice", "!bad");
        assert!(far.reply().await.1.starts_with("Sorry"));
        far.say("alice", "!ping 1");
        assert_eq!(far.reply().await.1, "pong 1");
        status.idle().await;
        assert_eq!(letters.list(DeadFilter::default()).await.expect("the bot runs").len(), 1);
        drop(far.hang_up());
        bot.await.expect("no panic").expect("nothing is lost");
    }
}

async fn ring(_: Job<()>) -> &'static str {
    "ring"
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_panics_stops_no_bot_and_no_job() {
    async fn remind(cx: Context) -> Result<&'static str> {
        cx.after(Duration::from_secs(60), ring, ())?;
        Ok("I will")
    }
    for good in [0, 1, 5] {
        let (transport, mut far) = line();
        let (count, began) = (AtomicU64::new(0), tokio::time::Instant::now());
        let clock = move || {
            assert!(count.fetch_add(1, Ordering::SeqCst) < good, "in the clock");
            UNIX_EPOCH + Duration::from_secs(1_700_000_000) + began.elapsed()
        };
        let app = Router::new().command("!remind", remind).job(ring);
        let bot = tokio::spawn(
            Bot::new(app).transport(transport).in_memory().with_clock(clock).on_this_runtime().serve(),
        );
        far.say("alice", "!remind");
        assert_eq!(far.reply().await.1, "I will");
        assert_eq!(far.reply().await.1, "ring", "{good} good readings");
        drop(far.hang_up());
        bot.await.expect("no panic").expect("nothing is lost");
    }
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_future_that_panics_stops_the_bot() {
    let (transport, mut far) = line();
    let (tell, told) = oneshot::channel::<()>();
    let bot = Bot::new(Router::new().command("!ping", ping)).transport(transport).in_memory();
    let bot = bot.with_shutdown(async {
        drop(told.await);
        panic!("in the shutdown");
    });
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    far.say("alice", "!ping 1");
    assert_eq!(far.reply().await.1, "pong 1");
    drop(tell);
    bot.await.expect("no panic").expect("it stops as if it had been told to");
}

#[tokio::test(start_paused = true)]
async fn a_send_that_panics_is_of_unknown_outcome_and_the_bot_goes_on() {
    let answer = |outbound: &Outbound| {
        assert_ne!(outbound.conversation.id(), "alice", "in a send");
        Ok(Sent::done())
    };
    let (transport, mut far) = line_with(Duration::ZERO, Box::new(answer));
    let bot = Bot::new(Router::new().command("!ping", ping)).transport(transport).in_memory();
    let letters = bot.dead_letters();
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    far.say("alice", "!ping 1");
    far.say("bob", "!ping 2");
    assert_eq!(far.reply().await.1, "pong 2");
    let dead = letters.list(DeadFilter::default()).await.expect("the bot runs");
    assert_eq!(dead.iter().map(|dead| dead.reason).collect::<Vec<_>>(), [Reason::Unknown]);
    drop(far.hang_up());
    bot.await.expect("no panic").expect("nothing is lost");
}

#[tokio::test(start_paused = true)]
async fn an_error_that_is_its_own_cause_is_told_once() {
    let (transport, mut far) = line();
    let app = Router::new().command("!trap", async || Err::<(), _>(Circle)).command("!ping", ping);
    let bot = Bot::new(app).transport(transport).in_memory();
    let letters = bot.dead_letters();
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    far.say("alice", "!trap");
    far.say("alice", "!ping 1");
    assert!(far.reply().await.1.starts_with("Sorry"));
    assert_eq!(far.reply().await.1, "pong 1");
    let dead = letters.list(DeadFilter::default()).await.expect("the bot runs");
    assert_eq!(dead.iter().map(|dead| &*dead.error).collect::<Vec<_>>(), ["round"]);
    drop(far.hang_up());
    bot.await.expect("no panic").expect("nothing is lost");
}

/// A network whose every part is a trap: what it says of itself, its errors, and its futures when they are dropped.
struct Rude(Shaky);

/// Waits for ever, and panics when it is let go.
struct Clinging(Bomb);

impl Transport for Rude {
    fn name(&self) -> &'static str {
        "rude"
    }

    fn send_deadline(&self) -> Duration {
        explodes();
        Duration::MAX
    }

    async fn receive(&self, inbox: Inbox) -> Result<()> {
        while let Some(text) = self.0.incoming.lock().await.recv().await {
            if text == "panic" {
                explodes();
            }
            let what = Message::text(&*text, "!ping 1");
            let event = Event::new(&*text, Conversation::direct(&*text), Sender::new(&*text), what);
            drop(inbox.push(event));
        }
        Ok(())
    }

    async fn send(&self, outbound: &Outbound) -> Result<Sent, SendError> {
        match outbound.conversation.id() {
            "bomb" => explodes(),
            "cling" => {
                let _held = Clinging(Bomb);
                pending::<()>().await;
            }
            "circle" => return Err(SendError::refused("no").caused_by(Circle)),
            other => drop(self.0.replies.send(other.to_owned())),
        }
        Ok(Sent::done())
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_a_transport_does_costs_one_action() {
    let (shaky, says, mut heard) = shaky(true);
    let bot = Bot::new(Router::new().command("!ping", ping)).transport(Rude(shaky)).in_memory();
    let (letters, status) = (bot.dead_letters(), bot.status());
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    for text in ["bomb", "panic", "circle", "cling", "panic", "alice"] {
        says.send(text.to_owned()).unwrap();
    }
    assert_eq!(heard.recv().await.as_deref(), Some("alice"));
    status.idle().await;
    let mut dead = letters.list(DeadFilter::default()).await.expect("the bot runs");
    dead.sort_by(|one, other| one.error.cmp(&other.error));
    let told: Vec<_> = dead.iter().map(|dead| (dead.reason, &*dead.error)).collect();
    assert_eq!(
        told,
        [
            (Reason::Refused, "no: round"),
            (Reason::Unknown, "sending did not end within 120s"),
            (Reason::Unknown, "the transport panicked: without a message"),
        ]
    );
    says.send("bob".to_owned()).unwrap();
    assert_eq!(heard.recv().await.as_deref(), Some("bob"));
    drop(says);
    bot.await.expect("no panic").expect("the source has ended");
}

/// A network that panics while it is read: at every event called `panic`, or at once.
struct Shaky {
    incoming: Mutex<mpsc::UnboundedReceiver<String>>,
    replies: mpsc::UnboundedSender<String>,
    opens: bool,
}

fn shaky(opens: bool) -> (Shaky, mpsc::UnboundedSender<String>, mpsc::UnboundedReceiver<String>) {
    let (says, incoming) = mpsc::unbounded_channel();
    let (replies, heard) = mpsc::unbounded_channel();
    (Shaky { incoming: Mutex::new(incoming), replies, opens }, says, heard)
}

impl Transport for Shaky {
    fn name(&self) -> &'static str {
        "shaky"
    }

    async fn open(&self, _: &Start<'_>) -> Result<String> {
        assert!(self.opens, "in open");
        Ok(String::new())
    }

    async fn receive(&self, inbox: Inbox) -> Result<()> {
        while let Some(text) = self.incoming.lock().await.recv().await {
            assert_ne!(text, "panic", "in receive");
            let what = Message::text(&*text, &*text);
            let event = Event::new(&*text, Conversation::direct("alice"), Sender::new("alice"), what);
            drop(inbox.push(event));
        }
        Ok(())
    }

    async fn send(&self, outbound: &Outbound) -> Result<Sent, SendError> {
        let _heard = self.replies.send(format!("{:?}", outbound.key.sequence));
        Ok(Sent::done())
    }

    async fn download(&self, _: &Attachment, _: usize) -> Result<Bytes> {
        panic!("in download")
    }
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_panics_while_it_reads_is_started_again() {
    let (transport, says, mut heard) = shaky(true);
    let bot = Bot::new(Router::new().command("!ping", ping)).transport(transport).in_memory();
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    for text in ["!ping 1", "panic", "!ping 2", "panic", "panic", "!ping 3"] {
        says.send(text.to_owned()).unwrap();
    }
    for number in ["1", "2", "3"] {
        assert_eq!(heard.recv().await.as_deref(), Some(number));
    }
    drop(says);
    bot.await.expect("no panic").expect("the source has ended");
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_only_panics_ends_the_bot_with_an_error() {
    let (transport, says, _heard) = shaky(true);
    let bot = tokio::spawn(
        Bot::new(Router::new().command("!ping", ping))
            .transport(transport)
            .in_memory()
            .on_this_runtime()
            .serve(),
    );
    for _ in 0..5 {
        says.send("panic".to_owned()).unwrap();
    }
    let error = bot.await.expect("no panic").expect_err("it is given up");
    assert!(error.to_string().starts_with("the shaky transport panicked: "), "{error}");
    let (transport, _says, _heard) = shaky(false);
    let error = Bot::new(Router::new())
        .transport(transport)
        .in_memory()
        .on_this_runtime()
        .serve()
        .await
        .expect_err("it did not start");
    assert!(error.chain().contains("panicked"), "{}", error.chain());
}

#[tokio::test(start_paused = true)]
async fn attempts_that_an_executor_drops_become_dead_letters() {
    // Anyone who spawns on a runtime that has ended gets the future dropped at once.
    let other = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let executor = Executor::on(other.handle().clone());
    other.shutdown_background();
    let (transport, mut far) = line();
    let bot = Bot::new(Router::new().command("!ping", ping))
        .transport(transport)
        .in_memory()
        .with_executor(executor);
    let (letters, status) = (bot.dead_letters(), bot.status());
    let bot = tokio::spawn(bot.with_shutdown(pending()).on_this_runtime().serve());
    far.say("alice", "!ping 1");
    far.say("alice", "!ping 2");
    let dead = loop {
        tokio::time::sleep(Duration::from_secs(60)).await;
        match letters.list(DeadFilter::default()).await {
            Some(dead) if dead.len() == 2 => break dead,
            Some(_) => {}
            None => panic!("the bot has ended"),
        }
    };
    assert!(dead.iter().all(|dead| dead.error.contains("dropped before its end")), "{dead:?}");
    assert_eq!(status.snapshot().await.unwrap().running, 0);
    bot.abort();
}

// What blocks does so on real threads; what is to happen is waited for, and no test asks how long it took.

/// Runs a bot on threads of its own.
fn running(bot: impl FnOnce() -> Result<()> + Send + 'static) -> std::thread::JoinHandle<Result<()>> {
    std::thread::spawn(bot)
}

fn answers(far: &mut Far) {
    far.say("bob", "!ping 1");
    loop {
        let (who, text) = far.replies.blocking_recv().expect("the bot runs");
        if who == "bob" {
            assert_eq!(text, "pong 1");
            return;
        }
    }
}

#[test]
fn a_hook_that_blocks_holds_up_nobody_else() {
    let (transport, mut far) = line();
    let (freed, frozen) = std::sync::mpsc::channel::<()>();
    let (stop, stopped) = oneshot::channel::<()>();
    let frozen = std::sync::Mutex::new(frozen);
    // In its first lines, before there is a future.
    let app = with_hook(move || {
        let _freed = frozen.lock().unwrap().recv();
        async {}
    });
    let bot = running(|| {
        Bot::new(app).transport(transport).in_memory().with_shutdown(async { drop(stopped.await) }).run()
    });
    far.say("alice", "!bad");
    answers(&mut far);
    drop(freed);
    drop(stop);
    bot.join().unwrap().unwrap();
}

#[test]
fn a_shutdown_future_or_a_clock_that_blocks_holds_up_nobody() {
    let (transport, mut far) = line();
    let (freed, frozen) = std::sync::mpsc::channel::<()>();
    let (go, stuck) = std::sync::mpsc::channel::<()>();
    let bot = running(move || {
        let bot = Bot::new(Router::new().command("!ping", ping)).transport(transport).in_memory();
        let bot = bot.with_shutdown(async move { frozen.recv().unwrap_or_default() });
        bot.with_clock(move || {
            stuck.recv().unwrap_or_default();
            UNIX_EPOCH + Duration::from_secs(1_700_000_000)
        })
        .run()
    });
    answers(&mut far);
    drop((go, freed));
    bot.join().unwrap().unwrap();
}

/// A state that takes its time, or panics, when the bot lets it go.
struct Sticky(std::sync::mpsc::Receiver<()>, bool);

impl Drop for Sticky {
    fn drop(&mut self) {
        let _freed = self.0.recv();
        assert!(!self.1, "in the state's Drop");
    }
}

#[test]
fn a_state_that_blocks_or_panics_when_it_is_dropped_keeps_no_bot_from_ending() {
    for panics in [false, true] {
        let (freed, frozen) = std::sync::mpsc::channel::<()>();
        let state = Arc::new(std::sync::Mutex::new(Sticky(frozen, panics)));
        let app = Router::new().command("!ping", ping).with_state(state);
        let (transport, mut far) = line();
        let (stop, stopped) = oneshot::channel::<()>();
        let bot = running(|| {
            Bot::new(app).transport(transport).in_memory().with_shutdown(async { drop(stopped.await) }).run()
        });
        answers(&mut far);
        drop(stop);
        // One that panics does so at once; the other one is stuck for as long as the test looks.
        let stuck = (!panics).then_some(freed);
        bot.join().expect("no panic").expect("nothing is lost");
        drop(stuck);
    }
}
