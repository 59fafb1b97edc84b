//! What is said outside of any event. Time is paused where the bot shares the runtime of its test.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use evenkeel::capability::Capabilities;
use evenkeel::handle::{BotEnded, ConversationHandle, Handle, Promised};
use evenkeel::job::Waiting;
use evenkeel::journal::memory::MemoryJournal;
use evenkeel::journal::{DeadFilter, Entry, Journal, Recovered, Written};
use evenkeel::offload::blocking;
use evenkeel::sandbox::Sandbox;
use evenkeel::schedule::Schedule;
use evenkeel::transport::Sent;
use evenkeel::{Bot, Context, Conversation, Event, Job, Reply, Result, Router, State, testing};
use futures_util::FutureExt;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::drain::Kept;
use crate::line::{Far, line, line_with};

fn alice() -> Conversation {
    Conversation::direct("alice")
}

fn texts(far: &mut Far) -> Vec<String> {
    std::iter::from_fn(|| far.replies.try_recv().ok().map(|(_, text)| text)).collect()
}

/// A bot that runs on this runtime until it is told to stop.
fn begun<J: Journal>(
    journal: J,
    far: &mut Option<Far>,
) -> (Handle, JoinHandle<Result<()>>, oneshot::Sender<()>) {
    let (transport, other) = line();
    *far = Some(other);
    let (stop, stopped) = oneshot::channel::<()>();
    let bot =
        Bot::new(Router::new().command("!ping", async || "pong")).transport(transport).with_journal(journal);
    let bot = bot.with_shutdown(async { drop(stopped.await) });
    (bot.handle(), tokio::spawn(bot.on_this_runtime().serve()), stop)
}

#[tokio::test(start_paused = true)]
async fn what_is_said_is_sent_and_known_by_its_number() {
    let mut far = None;
    let (handle, _bot, _stop) = begun(MemoryJournal::default(), &mut far);
    let mut far = far.unwrap();
    let crew = handle.to(&Conversation::group("crew"));
    assert_eq!(crew.send("hello").await.unwrap(), Promised::New(1));
    assert_eq!(far.reply().await, ("crew".into(), "hello".into()));
    assert_eq!(crew.send("").await.unwrap(), Promised::Nothing);
    assert_eq!(crew.send("again").await.unwrap(), Promised::New(2));
    assert_eq!(far.reply().await.1, "again");
}

/// A journal that writes what was said once it is let.
struct Held {
    journal: MemoryJournal,
    let_go: Arc<Notify>,
    holds: Arc<AtomicBool>,
}

impl Journal for Held {
    type Writing = Pin<Box<dyn Future<Output = Result<Written>> + Send>>;

    async fn recover(&mut self) -> Result<Recovered> {
        self.journal.recover().await
    }

    fn write(&mut self, batch: Vec<Entry>) -> Self::Writing {
        let is_held = self.holds.load(Ordering::Relaxed)
            && batch.iter().any(|entry| matches!(entry, Entry::Say { .. }));
        let (written, let_go) = (self.journal.write(batch), Arc::clone(&self.let_go));
        Box::pin(async move {
            if is_held {
                let_go.notified().await;
            }
            written.await
        })
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_promised_or_sent_before_it_is_written() {
    let (let_go, holds) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(true)));
    let journal = Held { journal: MemoryJournal::default(), let_go: Arc::clone(&let_go), holds };
    let mut far = None;
    let (handle, _bot, _stop) = begun(journal, &mut far);
    let mut far = far.unwrap();
    let mut sending = handle.to(&alice()).send("hello").into_future();
    sleep(Duration::from_secs(1)).await;
    assert!(matches!(futures_util::poll!(&mut sending), Poll::Pending));
    sleep(Duration::from_secs(1)).await;
    assert!(matches!(futures_util::poll!(&mut sending), Poll::Pending) && far.replies.try_recv().is_err());
    let_go.notify_one();
    assert_eq!(sending.await.unwrap(), Promised::New(1));
    assert_eq!(far.reply().await.1, "hello");
}

#[tokio::test(start_paused = true)]
async fn what_was_promised_outlives_a_kill() {
    let journal = Kept::default();
    let (transport, _far) = line_with(Duration::from_secs(3600), Box::new(|_| Ok(Sent::done())));
    let bot = Bot::new(Router::new()).transport(transport).with_journal(journal.clone());
    let handle = bot.handle();
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    let here = handle.to(&alice());
    here.send("on its way").await.unwrap();
    here.send(Reply::text("one").and("two")).await.unwrap();
    bot.abort();
    assert!(bot.await.unwrap_err().is_cancelled());

    let mut far = None;
    let (handle, _bot, _stop) = begun(journal, &mut far);
    let mut far = far.unwrap();
    handle.to(&alice()).send("three").await.unwrap();
    for text in ["one", "two", "three"] {
        assert_eq!(far.reply().await.1, text);
    }
    // Nobody knows whether the first one has arrived.
    let dead = handle.dead_letters().list(DeadFilter::default()).await.unwrap();
    assert_eq!((dead.len(), &*dead[0].command), (1, "handle"));
    assert_eq!(handle.dead_letters().replay(DeadFilter::default()).await, Some(1));
    assert_eq!(far.reply().await.1, "on its way");
}

#[tokio::test(start_paused = true)]
async fn an_id_happens_once_whatever_it_says_and_over_restarts() {
    let journal = Kept::default();
    let mut far = None;
    let (handle, bot, stop) = begun(journal.clone(), &mut far);
    let mut first = far.take().unwrap();
    let said = |handle: &Handle, text: &'static str| handle.to(&alice()).send(text).with_id("17");
    assert_eq!(said(&handle, "once").await.unwrap(), Promised::New(1));
    assert_eq!(said(&handle, "twice").await.unwrap(), Promised::Known);
    let longer = handle.to(&Conversation::group("crew")).send(Reply::text("a").and("b")).with_id("17");
    assert_eq!(longer.await.unwrap(), Promised::Known);
    let both = [said(&handle, "x").with_id("18"), said(&handle, "y").with_id("18"), said(&handle, "z")];
    let promised = handle.send_all(both).await.unwrap();
    assert_eq!(promised, [Promised::New(2), Promised::Known, Promised::Known]);
    // An event of that id is another thing.
    first.repeat("17", "alice", "!ping");
    for text in ["once", "x", "pong"] {
        assert_eq!(first.reply().await.1, text);
    }
    stop.send(()).unwrap();
    bot.await.unwrap().unwrap();
    assert_eq!(texts(&mut first), [""; 0]);

    let (handle, _bot, _stop) = begun(journal, &mut far);
    assert_eq!(said(&handle, "after a restart").await.unwrap(), Promised::Known);
    handle.to(&alice()).send("last").await.unwrap();
    assert_eq!(far.unwrap().reply().await.1, "last");
}

#[tokio::test(start_paused = true)]
async fn a_conversation_hears_all_in_the_order_in_which_it_was_promised() {
    async fn count(State(handle): State<Handle>, event: Event) -> Result<&'static str> {
        for text in ["one", "two"] {
            handle.to(event.conversation()).send(text).await?;
        }
        handle.to(event.conversation()).send(Reply::text("three").and("four")).await?;
        Ok("five")
    }
    // The router wants its state before there is a bot.
    let (transport, mut far) = line_with(Duration::from_millis(5), Box::new(|_| Ok(Sent::done())));
    let handles = Arc::new(std::sync::OnceLock::new());
    let of_bot = Arc::clone(&handles);
    let counting = move |event: Event| {
        let handle: Handle = of_bot.get().cloned().expect("it is there before the bot runs");
        count(State(handle), event)
    };
    let bot = Bot::new(Router::new().command("!count", counting)).transport(transport).in_memory();
    let handle = handles.get_or_init(|| bot.handle()).clone();
    let _bot = tokio::spawn(bot.on_this_runtime().serve());
    far.say("alice", "!count");
    for text in ["one", "two", "three", "four", "five"] {
        assert_eq!(far.reply().await.1, text);
    }
    // Said one after the other, without waiting for the answers.
    let all = (0..300).map(|n| handle.to(&alice()).send(n.to_string()).into_future());
    let all = futures_util::future::join_all(all).await;
    assert!(all.into_iter().all(|one| one.is_ok()));
    for n in 0..300 {
        assert_eq!(far.reply().await.1, n.to_string());
    }
}

#[tokio::test(start_paused = true)]
async fn many_at_once_are_all_kept_or_none() {
    let mut far = None;
    let (handle, _bot, _stop) = begun(MemoryJournal::default(), &mut far);
    let mut far = far.unwrap();
    let to = |n: usize| handle.to(&Conversation::direct(format!("person {n}"))).send("hello");
    let error = handle.send_all((0..1_001).map(to)).await.unwrap_err();
    assert!(error.to_string().starts_with("1001 at once are too many"), "{error}");
    let broken = [to(1), handle.to(&alice()).send(Err::<(), _>(evenkeel::Error::new("no report today")))];
    assert_eq!(handle.send_all(broken).await.unwrap_err().to_string(), "no report today");
    let (other, _far) = line();
    let other = Bot::new(Router::new()).transport(other).in_memory();
    let foreign = [to(1), other.handle().to(&alice()).send("hello")];
    let error = handle.send_all(foreign).await.unwrap_err().to_string();
    assert!(error.starts_with("one of these is for another bot"), "{error}");
    assert_eq!(handle.send_all((0..1_000).map(to)).await.unwrap().len(), 1_000);
    for _ in 0..1_000 {
        assert_eq!(far.reply().await.1, "hello");
    }
    assert!(far.replies.try_recv().is_err(), "what was refused was not sent");
}

#[tokio::test(start_paused = true)]
async fn what_the_network_cannot_carry_is_an_error_with_the_authors_line() {
    let sandbox = Sandbox::new().with_capabilities(Capabilities::default().without_reactions());
    let bot = Bot::new(Router::new()).transport(sandbox).in_memory();
    let handle = bot.handle();
    let _bot = tokio::spawn(bot.on_this_runtime().serve());
    let reaction = Reply::react(evenkeel::MessageId::new("1"), "👍");
    let line = line!() + 1;
    let error = handle.to(&alice()).send(reaction).await.unwrap_err();
    assert_eq!(
        (error.to_string().as_str(), error.location().line()),
        ("this network has no reactions", line)
    );
}

#[test]
fn a_thread_that_is_not_async_waits_and_so_does_a_runtime_of_others() {
    let (transport, mut far) = line();
    let (stop, stopped) = oneshot::channel::<()>();
    let bot =
        Bot::new(Router::new()).transport(transport).in_memory().with_shutdown(async { drop(stopped.await) });
    let handle = bot.handle();
    // It begins before the bot does.
    let early = std::thread::spawn({
        let handle = handle.clone();
        move || handle.to(&alice()).send("early").with_id("early").wait()
    });
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let too_early = runtime.block_on(async { handle.to(&alice()).send("too early").wait() }).unwrap_err();
    assert!(too_early.to_string().contains("does not run yet"), "{too_early}");
    let bot = std::thread::spawn(move || bot.run());
    assert_eq!(early.join().unwrap().unwrap(), Promised::New(1));
    assert_eq!(far.replies.blocking_recv().unwrap().1, "early");
    let all = || [handle.to(&alice()).send("early").with_id("early"), handle.to(&alice()).send("late")];
    assert_eq!(handle.send_all(all()).wait().unwrap(), [Promised::Known, Promised::New(2)]);
    assert_eq!(far.replies.blocking_recv().unwrap().1, "late");
    let inside = runtime.block_on(async { handle.to(&alice()).send("inside").wait() });
    assert_eq!(inside.unwrap(), Promised::New(3));
    stop.send(()).unwrap();
    bot.join().unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn beside_the_bot_only_what_may_block_waits() {
    let handles = Arc::new(std::sync::OnceLock::new());
    let of_bot = Arc::clone(&handles);
    let tell = move |event: Event| -> Result<&'static str> {
        let handle: &Handle = of_bot.get().expect("it is there before the bot runs");
        handle.to(event.conversation()).send("from a thread").wait()?;
        Ok("returned")
    };
    let (transport, mut far) = line();
    let bot = Bot::new(Router::new().command("!tell", blocking(tell))).transport(transport).in_memory();
    let handle = handles.get_or_init(|| bot.handle()).clone();
    let _bot = tokio::spawn(bot.on_this_runtime().serve());
    far.say("alice", "!tell");
    assert_eq!(far.reply().await.1, "from a thread");
    assert_eq!(far.reply().await.1, "returned");
    let error = handle.to(&alice()).send("for ever").wait().unwrap_err();
    assert!(error.to_string().contains("may run on this very thread"), "{error}");
    assert_eq!(handle.to(&alice()).send("awaited").await.unwrap(), Promised::New(3));
}

#[tokio::test(start_paused = true)]
async fn a_bot_that_has_ended_says_what_became_of_it() {
    let ended = |error: evenkeel::Error| error.find::<BotEnded>().copied();
    let (transport, _far) = line();
    let never = Bot::new(Router::new()).transport(transport).in_memory();
    let handle = never.handle();
    drop(never);
    let error = handle.to(&alice()).send("hello").await.unwrap_err();
    assert_eq!(ended(error), Some(BotEnded::NothingKept));

    let mut far = None;
    let (handle, bot, stop) = begun(MemoryJournal::default(), &mut far);
    handle.to(&alice()).send("hello").await.unwrap();
    stop.send(()).unwrap();
    bot.await.unwrap().unwrap();
    let error = handle.to(&alice()).send("hello").await.unwrap_err();
    assert_eq!(ended(error), Some(BotEnded::NothingKept));

    let (let_go, holds) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(true)));
    let journal = Held { journal: MemoryJournal::default(), let_go, holds };
    let (handle, bot, _stop) = begun(journal, &mut far);
    let sending = tokio::spawn(handle.to(&alice()).send("hello").into_future());
    sleep(Duration::from_secs(1)).await;
    bot.abort();
    let error = sending.await.unwrap().unwrap_err();
    assert!(error.hint().is_some_and(|hint| hint.contains("with_id")));
    assert_eq!(ended(error), Some(BotEnded::Unknown));
}

#[tokio::test(start_paused = true)]
async fn what_is_said_while_the_bot_stops_is_kept_and_sent_then_or_by_the_next_start() {
    let journal = Kept::default();
    let (transport, mut far) = line_with(Duration::from_secs(2), Box::new(|_| Ok(Sent::done())));
    let app = Router::new().command("!slow", async || {
        sleep(Duration::from_secs(5)).await;
        "done"
    });
    let (stop, stopped) = oneshot::channel::<()>();
    let bot =
        Bot::new(app).transport(transport).with_journal(journal.clone()).with_drain(Duration::from_secs(10));
    let bot = bot.with_shutdown(async { drop(stopped.await) });
    let handle = bot.handle();
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    far.say("alice", "!slow");
    sleep(Duration::from_secs(1)).await;
    stop.send(()).unwrap();
    sleep(Duration::from_secs(1)).await;
    let bob = handle.to(&Conversation::direct("bob"));
    for n in 0..7 {
        assert!(matches!(bob.send(n.to_string()).await.unwrap(), Promised::New(_)));
    }
    let ended = bot.await.unwrap();
    let sent: Vec<_> = std::iter::from_fn(|| far.replies.try_recv().ok()).map(|(_, text)| text).collect();
    // What is on its way at the deadline nobody knows: that is an error, and one dead letter.
    assert_eq!(sent.iter().filter(|text| *text != "done").count(), 4, "{sent:?}, {ended:?}");
    let mut far = None;
    let (handle, _bot, _stop) = begun(journal, &mut far);
    let mut far = far.unwrap();
    assert_eq!(far.reply().await, ("bob".into(), "5".into()));
    assert_eq!(far.reply().await, ("bob".into(), "6".into()));
    assert_eq!(handle.dead_letters().count(DeadFilter::default()).await, Some(1));
}

/// Says one thing each millisecond until the bot has ended, and answers how much of it was kept.
async fn goes_on(here: ConversationHandle) -> usize {
    for n in 0.. {
        if let Err(error) = here.send(n.to_string()).await {
            assert_eq!(error.find(), Some(&BotEnded::NothingKept));
            return n;
        }
        sleep(Duration::from_millis(1)).await;
    }
    unreachable!("a bot ends")
}

#[tokio::test(start_paused = true)]
async fn a_stop_is_not_prolonged_by_those_who_go_on_speaking() {
    let journal = Kept::default();
    // A send takes longer than the pause between two things that are said: something is always on its way.
    let (transport, mut far) = line_with(Duration::from_millis(3), Box::new(|_| Ok(Sent::done())));
    let (stop, stopped) = oneshot::channel::<()>();
    let bot = Bot::new(Router::new()).transport(transport).with_journal(journal);
    let bot = bot.with_shutdown(async { drop(stopped.await) });
    let handle = bot.handle();
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    let people = ["alice", "bob", "carol"];
    let speaking = people.map(|who| tokio::spawn(goes_on(handle.to(&Conversation::direct(who)))));
    sleep(Duration::from_millis(100)).await;
    let began = Instant::now();
    stop.send(()).unwrap();
    bot.await.unwrap().expect("all that was kept is sent");
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    let mut heard: HashMap<String, Vec<String>> = HashMap::new();
    while let Ok((who, text)) = far.replies.try_recv() {
        heard.entry(who).or_default().push(text);
    }
    for (who, speaking) in people.into_iter().zip(speaking) {
        let kept = speaking.await.unwrap();
        assert_eq!(
            heard[who],
            (0..kept).map(|n| n.to_string()).collect::<Vec<_>>(),
            "{who} heard all that was kept"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn when_too_much_is_not_sent_the_next_call_waits_and_nothing_is_dropped() {
    const MOST: usize = 65_536;
    let is_open = Arc::new(AtomicBool::new(false));
    let (transport, mut far) = {
        let is_open = Arc::clone(&is_open);
        let refuse = move || evenkeel::transport::SendError::not_sent("not yet");
        line_with(
            Duration::ZERO,
            Box::new(move |_| if is_open.load(Ordering::Relaxed) { Ok(Sent::done()) } else { Err(refuse()) }),
        )
    };
    let bot = Bot::new(Router::new()).transport(transport).in_memory();
    let (handle, status) = (bot.handle(), bot.status());
    let _bot = tokio::spawn(bot.on_this_runtime().serve());
    let said = |from: usize| {
        let here = handle.to(&alice());
        handle.send_all((from..from + 1_000).map(|n| here.send(n.to_string()))).into_future()
    };
    for from in (0..MOST).step_by(1_000) {
        assert_eq!(said(from).await.unwrap().len(), 1_000);
    }
    let mut one_more = said(MOST.next_multiple_of(1_000));
    for _ in 0..1_000 {
        assert!((&mut one_more).now_or_never().is_none(), "there is no room");
        tokio::task::yield_now().await;
    }
    assert_eq!(status.snapshot().await.unwrap().outbox, 66_000);
    is_open.store(true, Ordering::Relaxed);
    assert_eq!(one_more.await.unwrap().len(), 1_000);
    for n in 0..67_000 {
        assert_eq!(far.reply().await.1, n.to_string());
    }
}

async fn ring(Job((what,)): Job<(String,)>) -> String {
    format!("time for {what}")
}

async fn tick(cx: Context, _: Job<()>) -> String {
    format!("tick in {}", cx.event().conversation().id())
}

fn alarms() -> Router<()> {
    async fn mine(cx: Context) -> Result<String> {
        Ok(cx.jobs().await?.len().to_string())
    }
    Router::new().job(ring).job(tick).command("!jobs", mine)
}

#[tokio::test(start_paused = true)]
async fn jobs_are_planned_from_outside_and_outlive_restarts() {
    let mut chat = testing::chat(alarms());
    let handle = chat.handle();
    let (crew, here) = (handle.to(&Conversation::group("crew")), handle.to(&alice()));
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    here.defer(ring, ("now".to_owned(),)).await.unwrap();
    assert_eq!(chat.advance(minutes(0)).await, ["time for now"]);
    let tea = crew.after(minutes(10), ring, ("tea".to_owned(),)).await.unwrap();
    let every = crew.repeat("every 30m".parse::<Schedule>().unwrap(), tick, ()).await.unwrap();
    assert_ne!(tea, every);
    // What waits under an id gives way to the next one.
    for (pause, what) in [(20, "cake"), (15, "bread")] {
        here.after(minutes(pause), ring, (what.to_owned(),)).with_id("oven").await.unwrap();
    }
    let listed = |jobs: Vec<Waiting>| jobs.into_iter().map(|job| job.id).collect::<Vec<_>>();
    assert_eq!(listed(crew.jobs().await.unwrap()), [tea.clone(), every.clone()]);
    assert_eq!(chat.say("!jobs").await, ["1"]);
    assert!(!here.cancel(&tea).await.unwrap(), "it is the crew's");
    chat.restart().await;
    assert_eq!(chat.advance(minutes(10)).await, ["time for tea"]);
    assert_eq!(chat.advance(minutes(10)).await, ["time for bread"]);
    assert_eq!(chat.advance(minutes(15)).await, ["tick in crew"]);
    assert!(crew.cancel(&every).await.unwrap());
    assert!(!crew.cancel(&every).await.unwrap());
    assert_eq!(listed(crew.jobs().await.unwrap()), []);
    assert!(chat.advance(minutes(60)).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_planned_is_told_with_the_authors_line() {
    async fn unknown(_: Job<()>) {}
    let chat = testing::chat(alarms());
    let here = chat.handle().to(&alice());
    let error = here.defer(unknown, ()).await.unwrap_err();
    assert_eq!(error.location().line(), line!() - 1);
    assert!(error.to_string().contains("is not a job of this bot"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_handle_of_a_chat_goes_on_with_the_next_bot() {
    let mut chat = testing::chat(alarms());
    let handle = chat.handle();
    let said = |id: &str| handle.to(&alice()).send("hello").with_id(id);
    said("1").await.unwrap();
    assert_eq!(chat.replies().await, ["hello"]);
    chat.kill().await;
    assert_eq!((said("1").await.unwrap(), said("2").await.unwrap()), (Promised::Known, Promised::New(2)));
    assert_eq!(chat.replies().await, ["hello"]);
    assert_eq!(handle.status().snapshot().await.unwrap().sent, 1, "since the restart");
    assert_eq!(handle.jobs().list(None, None, 10).await.unwrap(), []);
    drop(chat);
    let error = said("3").await.unwrap_err();
    assert!(error.find::<BotEnded>().is_some(), "{error}");
}
