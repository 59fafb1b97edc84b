//! What the author wants done at the start and at the end of a bot. Time is paused.

use std::future::pending;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use evenkeel::status::Status;
use evenkeel::transport::Sent;
use evenkeel::{App, Bot, Conversation, Error, Handle, Result, Router};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::drain::Kept;
use crate::line::{Far, line, line_with};

const DRAIN: Duration = Duration::from_secs(25);

struct Stage {
    far: Far,
    status: Status,
    stop: oneshot::Sender<()>,
    bot: JoinHandle<Result<()>>,
}

fn stage(app: App, journal: &Kept) -> Stage {
    let (transport, far) = line();
    let (stop, stopped) = oneshot::channel::<()>();
    let bot = Bot::new(app).transport(transport).with_journal(journal.clone()).with_drain(DRAIN);
    let bot = bot.with_shutdown(async { drop(stopped.await) });
    let status = bot.status();
    Stage { far, status, stop, bot: tokio::spawn(bot.on_this_runtime().serve()) }
}

fn app() -> App {
    Router::new().command("!ping", async || "pong").with_state(())
}

async fn say(handle: &Handle, text: &str) -> Result<()> {
    handle.to(&Conversation::direct("alice")).send(text.to_owned()).await.map(drop)
}

#[tokio::test(start_paused = true)]
async fn hooks_of_the_start_run_in_order_and_before_the_first_handler() {
    let go_on = Arc::new(Notify::new());
    let first = {
        let go_on = Arc::clone(&go_on);
        move |handle: Handle| {
            let go_on = Arc::clone(&go_on);
            async move {
                say(&handle, "first").await?;
                go_on.notified().await;
                Ok(())
            }
        }
    };
    let app = app().on_start(first).on_start(async |handle: Handle| say(&handle, "second").await);
    let Stage { mut far, status, stop, bot } = stage(app, &Kept::default());
    far.say("alice", "!ping");
    far.say("bob", "!ping");
    assert_eq!(far.reply().await, ("alice".into(), "first".into()));
    sleep(Duration::from_secs(10)).await;
    let snapshot = status.snapshot().await.unwrap();
    assert_eq!((snapshot.accepted, snapshot.handled, snapshot.running), (2, 0, 0), "they wait");
    go_on.notify_one();
    assert_eq!(far.reply().await, ("alice".into(), "second".into()));
    assert_eq!((far.reply().await.1, far.reply().await.1), ("pong".into(), "pong".into()));
    stop.send(()).unwrap();
    bot.await.unwrap().unwrap();
}

/// A bot whose hook ends like this does not start, and what it was told is handled by the next one.
async fn check_failing(app: App, line: u32, expected: &str) {
    let journal = Kept::default();
    let ended = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&ended);
    let app = app.on_stop(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        async { Ok(()) }
    });
    for _ in 0..4 {
        let Stage { mut far, bot, stop: _stop, .. } = stage(app.clone(), &journal);
        far.say("alice", "!ping");
        let error = bot.await.unwrap().unwrap_err().chain();
        let whole = format!("the hook `on_start` of evenkeel/tests/serve/hooks.rs:{line} {expected}");
        assert!(error.starts_with(&whole), "{error}");
        assert!(far.replies.try_recv().is_err(), "no handler has run");
    }
    assert_eq!(ended.load(Ordering::Relaxed), 0, "what has not begun is not ended");
    // One event: it has come four times, and was never begun.
    let Stage { mut far, stop, bot, .. } = stage(self::app(), &journal);
    assert_eq!(far.reply().await, ("alice".into(), "pong".into()));
    stop.send(()).unwrap();
    bot.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_fails_panics_or_takes_too_long_keeps_the_bot_from_starting() {
    let failing = app().on_start(async |_| Err(Error::new("no database")));
    check_failing(failing, line!() - 1, "failed: no database").await;
    let panicking = app().on_start(async |_| panic!("no luck"));
    check_failing(panicking, line!() - 1, "panicked: no luck").await;
    let early = app().on_start(|_| -> std::future::Ready<Result<()>> { panic!("no future") });
    check_failing(early, line!() - 1, "panicked: no future").await;
    let slow = app().on_start_within(Duration::from_secs(7), async |_| pending().await);
    let began = Instant::now();
    check_failing(slow, line!() - 2, "did not end within 7s").await;
    assert_eq!(began.elapsed().as_secs(), 4 * 7);
}

#[tokio::test(start_paused = true)]
async fn a_stop_during_the_start_waits_for_no_hook() {
    let app = app().on_start(async |_| pending().await).on_stop(async |_| panic!("it has not begun"));
    let Stage { mut far, stop, bot, .. } = stage(app, &Kept::default());
    far.say("alice", "!ping");
    sleep(Duration::from_secs(1)).await;
    let began = Instant::now();
    stop.send(()).unwrap();
    bot.await.unwrap().expect("what came in is kept");
    assert!(began.elapsed() < Duration::from_secs(1));
}

/// Where nothing is kept, nobody takes up later what came in.
#[tokio::test(start_paused = true)]
async fn a_start_that_fails_or_is_stopped_in_memory_ends_at_once_too() {
    let failing = app().on_start(async |_| {
        sleep(Duration::from_secs(1)).await;
        Err(Error::new("no database"))
    });
    let hanging = app().on_start(async |_| pending().await);
    for (app, expected) in [(failing, "failed: no database"), (hanging, "1 event was waiting")] {
        let (transport, mut far) = line();
        let (stop, stopped) = oneshot::channel::<()>();
        let bot = Bot::new(app).transport(transport).in_memory().with_drain(DRAIN);
        let bot = tokio::spawn(bot.with_shutdown(async { drop(stopped.await) }).on_this_runtime().serve());
        far.say("alice", "!ping");
        let began = Instant::now();
        sleep(Duration::from_secs(2)).await;
        drop(stop);
        let error = bot.await.unwrap().unwrap_err().chain();
        assert!(error.contains(expected), "{error}");
        assert_eq!(began.elapsed().as_secs(), 2, "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_another_attempt_waits_for_the_hooks_too() {
    let journal = Kept::default();
    let tries = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&tries);
    let app = move || {
        let count = Arc::clone(&count);
        let trying = move || {
            let number = count.fetch_add(1, Ordering::Relaxed);
            async move {
                let not_yet = || Error::new("not yet").transient_after(Duration::from_secs(60));
                if number == 0 { Err(not_yet()) } else { Ok("tried again") }
            }
        };
        Router::new().command("!try", trying).with_state(())
    };
    let Stage { mut far, stop, bot, status } = stage(app(), &journal);
    far.say("alice", "!try");
    while status.snapshot().await.unwrap().retried == 0 {
        tokio::task::yield_now().await;
    }
    stop.send(()).unwrap();
    bot.await.unwrap().unwrap();
    let waiting = app().on_start_within(Duration::from_secs(600), async |_| {
        sleep(Duration::from_secs(300)).await;
        Ok(())
    });
    let Stage { mut far, stop, bot, .. } = stage(waiting, &journal);
    sleep(Duration::from_secs(200)).await;
    assert_eq!(tries.load(Ordering::Relaxed), 1, "its time has come, and that of the hook goes on");
    assert_eq!(far.reply().await.1, "tried again");
    stop.send(()).unwrap();
    bot.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn hooks_of_the_end_run_once_the_handlers_have_finished_and_what_they_say_is_sent() {
    let app = Router::new().command("!slow", async || {
        sleep(Duration::from_secs(5)).await;
        "done"
    });
    let app = app
        .with_state(())
        .on_stop(async |_| panic!("the next one has its turn all the same"))
        .on_stop_within(Duration::from_secs(2), async |_| pending().await)
        .on_stop(async |handle: Handle| say(&handle, "goodbye").await);
    let (transport, mut far) = line_with(Duration::from_secs(1), Box::new(|_| Ok(Sent::done())));
    let (stop, stopped) = oneshot::channel::<()>();
    // Nothing is kept: what is said now is sent now, or never.
    let bot = Bot::new(app).transport(transport).in_memory().with_drain(DRAIN);
    let bot = tokio::spawn(bot.with_shutdown(async { drop(stopped.await) }).on_this_runtime().serve());
    far.say("alice", "!slow");
    sleep(Duration::from_secs(1)).await;
    let began = Instant::now();
    stop.send(()).unwrap();
    bot.await.unwrap().unwrap();
    assert_eq!(began.elapsed().as_secs(), 4 + 2 + 1, "the handler, the hook that hangs, goodbye");
    assert_eq!((far.reply().await.1, far.reply().await.1), ("done".into(), "goodbye".into()));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_hangs_leaves_the_hooks_of_the_end_their_time() {
    let at = Arc::new(Mutex::new(None));
    let noted = Arc::clone(&at);
    let app = Router::new().command("!hang", async || pending::<()>().await).with_state(());
    let app = app.on_stop_within(Duration::from_secs(5), move |_| {
        *noted.lock().unwrap() = Some(Instant::now());
        pending()
    });
    let Stage { mut far, stop, bot, status } = stage(app, &Kept::default());
    far.say("alice", "!hang");
    while status.snapshot().await.unwrap().running == 0 {
        tokio::task::yield_now().await;
    }
    let began = Instant::now();
    stop.send(()).unwrap();
    let error = bot.await.unwrap().unwrap_err().to_string();
    assert!(error.starts_with("stopped at the deadline: 1 handler was still running"), "{error}");
    let at = at.lock().unwrap().expect("the hook has run");
    assert_eq!(at.duration_since(began).as_secs(), 20);
}

#[test]
fn hooks_run_beside_a_bot_with_threads_of_its_own() {
    let (transport, mut far) = line();
    let (stop, stopped) = oneshot::channel::<()>();
    let app = app()
        .on_start(async |handle: Handle| say(&handle, "hello").await)
        .on_stop(async |handle: Handle| say(&handle, "goodbye").await);
    let bot = Bot::new(app).transport(transport).in_memory().with_shutdown(async { drop(stopped.await) });
    let bot = std::thread::spawn(move || bot.run());
    assert_eq!(far.replies.blocking_recv().unwrap().1, "hello");
    far.say("alice", "!ping");
    assert_eq!(far.replies.blocking_recv().unwrap().1, "pong");
    stop.send(()).unwrap();
    bot.join().unwrap().unwrap();
    assert_eq!(far.replies.blocking_recv().unwrap().1, "goodbye");
}
