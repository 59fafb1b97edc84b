//! Bots that stop while their journal does not answer, or with something left. Time is paused, but for the last test.

use std::future::pending;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use evenkeel::journal::memory::MemoryJournal;
use evenkeel::journal::sqlite::SqliteJournal;
use evenkeel::journal::{Entry, Journal, Query, Recovered, Written};
use evenkeel::transport::SendError;
use evenkeel::{Bot, Error, Result, Router};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};

use crate::home::Home;
use crate::line::{Far, Line, line, line_with};

const DRAIN: Duration = Duration::from_secs(25);
/// What the journal has beyond the drain, as the guide says.
const GRACE: Duration = Duration::from_secs(1);
/// No test takes so long, unless it hangs.
const HANG: Duration = Duration::from_secs(120);

/// What a journal does not do any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stuck {
    Recovering,
    Writing,
    /// It answers with an error in place of an answer.
    Failing,
    Closing,
    Never,
}

/// A journal that gets stuck once it is told to.
struct Mute {
    kept: MemoryJournal,
    stuck: Stuck,
    is_stuck: Arc<AtomicBool>,
    /// Its end waits until the other side is gone, if there is one.
    end: Option<Mutex<Receiver<()>>>,
}

impl Mute {
    fn new(stuck: Stuck) -> (Self, Arc<AtomicBool>) {
        let is_stuck = Arc::new(AtomicBool::new(false));
        (Self { kept: MemoryJournal::default(), stuck, is_stuck: Arc::clone(&is_stuck), end: None }, is_stuck)
    }

    fn is(&self, stuck: Stuck) -> bool {
        self.stuck == stuck && self.is_stuck.load(Ordering::Relaxed)
    }
}

impl Drop for Mute {
    fn drop(&mut self) {
        if let Some(end) = &self.end {
            assert!(end.lock().unwrap().recv().is_err());
        }
    }
}

impl Journal for Mute {
    type Writing = Pin<Box<dyn Future<Output = Result<Written>> + Send>>;

    async fn recover(&mut self) -> Result<Recovered> {
        match self.is(Stuck::Recovering) {
            true => pending().await,
            false => self.kept.recover().await,
        }
    }

    fn write(&mut self, batch: Vec<Entry>) -> Self::Writing {
        // What is asked at the start, and whose it is, it answers still.
        let is_of_start = |entry: &Entry| match entry {
            Entry::Query(Query::Recall { .. }) => true,
            Entry::Remember { conversation, .. } => conversation.is_empty(),
            _ => false,
        };
        if batch.iter().all(is_of_start) {
            return Box::pin(self.kept.write(batch));
        }
        if self.is(Stuck::Writing) {
            return Box::pin(pending());
        }
        if self.is(Stuck::Failing) {
            return Box::pin(async { Err(Error::new("the disk is gone")) });
        }
        Box::pin(self.kept.write(batch))
    }

    async fn close(self) {
        if self.is(Stuck::Closing) {
            pending::<()>().await;
        }
    }
}

fn app() -> Router<()> {
    Router::new().command("!ping", async || "pong").command("!hang", async || pending::<()>().await)
}

/// A running bot whose journal has just got stuck.
struct Stage {
    bot: tokio::task::JoinHandle<Result<()>>,
    far: Far,
    stop: oneshot::Sender<()>,
}

async fn stage(stuck: Stuck) -> Stage {
    let (journal, is_stuck) = Mute::new(stuck);
    let (transport, mut far) = line();
    let (stop, stopped) = oneshot::channel::<()>();
    let bot = Bot::new(app()).transport(transport).with_journal(journal).with_drain(DRAIN);
    let status = bot.status();
    let bot = tokio::spawn(bot.with_shutdown(async { drop(stopped.await) }).on_this_runtime().serve());
    far.say("alice", "!ping");
    assert_eq!(far.reply().await.1, "pong");
    status.idle().await;
    is_stuck.store(true, Ordering::Relaxed);
    Stage { bot, far, stop }
}

/// Three events, of which one is being written and two wait for that.
async fn three_events(far: &mut Far) {
    for (who, text) in [("alice", "!hang"), ("alice", "!ping"), ("bob", "!ping")] {
        far.say(who, text);
        sleep(Duration::from_millis(100)).await;
    }
}

const LOST: &str = "0 handlers were still running, 3 events were waiting, 0 replies were not sent; the journal did not \
                    answer: 3 events were not certain to be in it, and may be lost, and the next start takes up what it has";

#[tokio::test(start_paused = true)]
async fn a_journal_that_does_not_answer_holds_a_stop_up_no_longer_than_the_drain() {
    let Stage { bot, mut far, stop } = stage(Stuck::Writing).await;
    three_events(&mut far).await;
    let began = Instant::now();
    stop.send(()).unwrap();
    let left =
        timeout(HANG, bot).await.expect("it ends").unwrap().expect_err("three events are in memory only");
    assert_eq!(left.to_string(), format!("stopped at the deadline: {LOST}"));
    assert!(left.hint().is_some_and(|hint| hint.contains("disk")), "{left:?}");
    let elapsed = began.elapsed();
    assert!(elapsed >= DRAIN && elapsed <= DRAIN + GRACE + Duration::from_millis(1), "{elapsed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_second_request_to_stop_ends_a_bot_whose_journal_does_not_answer() {
    let Stage { bot, mut far, stop } = stage(Stuck::Writing).await;
    three_events(&mut far).await;
    // The first: the network is closed for good.
    drop(far.hang_up());
    sleep(Duration::from_secs(3)).await;
    let began = Instant::now();
    stop.send(()).unwrap();
    let left =
        timeout(HANG, bot).await.expect("it ends").unwrap().expect_err("three events are in memory only");
    assert_eq!(left.to_string(), format!("stopped at once: {LOST}"));
    assert!(began.elapsed() <= GRACE + Duration::from_millis(1), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_request_to_stop_during_the_last_batch_ends_at_once() {
    let Stage { bot, mut far, stop } = stage(Stuck::Writing).await;
    three_events(&mut far).await;
    drop(far.hang_up());
    sleep(DRAIN + GRACE / 2).await;
    let began = Instant::now();
    stop.send(()).unwrap();
    let left =
        timeout(HANG, bot).await.expect("it ends").unwrap().expect_err("three events are in memory only");
    assert_eq!(left.to_string(), format!("stopped at the deadline: {LOST}"));
    assert!(began.elapsed() <= Duration::from_millis(1), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_does_not_close_is_left_behind_and_loses_nothing() {
    for is_asked_twice in [false, true] {
        let Stage { bot, far, stop } = stage(Stuck::Closing).await;
        let began = Instant::now();
        drop(far.hang_up());
        sleep(Duration::from_secs(3)).await;
        if is_asked_twice {
            stop.send(()).unwrap();
        }
        timeout(HANG, bot).await.expect("it ends").unwrap().expect("all was written");
        let allowed = if is_asked_twice { Duration::from_secs(3) } else { DRAIN };
        assert!(began.elapsed() <= allowed + Duration::from_millis(1), "{:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_request_to_stop_counts_what_was_cut_short_and_what_waits() {
    let Stage { bot, mut far, stop } = stage(Stuck::Never).await;
    far.say("alice", "!hang");
    sleep(Duration::from_secs(1)).await;
    far.say("alice", "!ping");
    drop(far.hang_up());
    sleep(Duration::from_secs(1)).await;
    stop.send(()).unwrap();
    let left = timeout(HANG, bot).await.expect("it ends").unwrap().expect_err("a handler was cut short");
    assert_eq!(
        left.to_string(),
        "stopped at once: 1 handler was still running, 1 event was waiting, 0 replies were not sent; the journal has it, \
         and the next start takes it up"
    );
}

/// The bot ends although its journal does not: on a thread of its own, so that a bot that hangs is seen to.
fn check_end(stuck: Stuck) -> Result<()> {
    let (end, ends) = channel();
    let (told, tells): (Sender<Result<()>>, _) = channel();
    std::thread::spawn(move || {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let ended = runtime.block_on(async {
            let (mut journal, is_stuck) = Mute::new(stuck);
            journal.end = Some(Mutex::new(ends));
            is_stuck.store(true, Ordering::Relaxed);
            let (transport, mut far) = line();
            far.say("alice", "!ping");
            let shutdown = sleep(Duration::from_secs(1));
            Bot::new(app())
                .transport(transport)
                .with_journal(journal)
                .with_drain(DRAIN)
                .with_shutdown(shutdown)
                .on_this_runtime()
                .serve()
                .await
        });
        let _heard = told.send(ended);
    });
    let ended = tells.recv_timeout(HANG);
    drop(end);
    match ended {
        Ok(ended) => ended,
        Err(RecvTimeoutError::Timeout) => panic!("{stuck:?}: the bot waits for its journal"),
        Err(RecvTimeoutError::Disconnected) => panic!("{stuck:?}: the bot panicked"),
    }
}

#[test]
fn a_journal_that_cannot_be_dropped_keeps_no_bot_that_begins() {
    check_end(Stuck::Recovering).expect("it had not begun");
}

#[test]
fn a_journal_that_neither_answers_nor_can_be_dropped_keeps_no_bot() {
    let left = check_end(Stuck::Writing).expect_err("an event is in memory only").to_string();
    let counted = "stopped at the deadline: 0 handlers were still running, 1 event was waiting";
    assert!(left.starts_with(counted), "{left}");
}

#[test]
fn a_journal_that_fails_and_cannot_be_dropped_keeps_no_bot() {
    assert_eq!(check_end(Stuck::Failing).expect_err("it failed").to_string(), "the disk is gone");
}

#[test]
fn a_journal_that_neither_closes_nor_can_be_dropped_keeps_no_bot() {
    check_end(Stuck::Closing).expect("all was written");
}

/// A line on which nobody listens.
fn dead_line() -> (Line, Far) {
    line_with(Duration::ZERO, Box::new(|_| Err(SendError::not_sent("nobody listens"))))
}

#[tokio::test(start_paused = true)]
async fn replies_that_wait_at_a_stop_are_a_failure_only_where_nothing_keeps_them() {
    for is_kept in [true, false] {
        let (transport, mut far) = dead_line();
        let (stop, stopped) = oneshot::channel::<()>();
        let bot = Bot::new(app()).transport(transport).with_drain(Duration::from_secs(1));
        let bot = bot.with_shutdown(async { drop(stopped.await) });
        let bot = match is_kept {
            true => tokio::spawn(bot.with_journal(Mute::new(Stuck::Never).0).on_this_runtime().serve()),
            false => tokio::spawn(bot.in_memory().on_this_runtime().serve()),
        };
        far.say("alice", "!ping");
        far.say("bob", "!ping");
        sleep(Duration::from_secs(1)).await;
        stop.send(()).unwrap();
        let ended = timeout(HANG, bot).await.expect("it ends").unwrap();
        match is_kept {
            true => ended.expect("the journal has them"),
            false => assert_eq!(
                ended.expect_err("they are lost").to_string(),
                "stopped at the deadline: 0 handlers were still running, 0 events were waiting, 2 replies were not \
                 sent; the journal keeps nothing, so all of that is lost"
            ),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_that_another_program_keeps_locked_keeps_no_bot() {
    for is_asked_twice in [false, true] {
        let home = Home::new(if is_asked_twice { "locked-twice" } else { "locked-once" });
        let journal = SqliteJournal::open(home.file()).unwrap();
        let health = journal.health();
        let (transport, mut far) = line();
        let (stop, stopped) = oneshot::channel::<()>();
        let drain = if is_asked_twice { Duration::from_secs(3600) } else { Duration::ZERO };
        let bot = Bot::new(app()).transport(transport).with_journal(journal).with_drain(drain);
        let status = bot.status();
        let bot = tokio::spawn(bot.with_shutdown(async { drop(stopped.await) }).on_this_runtime().serve());
        far.say("alice", "!ping");
        assert_eq!(far.reply().await.1, "pong");
        status.idle().await;
        let other = rusqlite::Connection::open(home.file()).unwrap();
        other.busy_timeout(HANG).unwrap();
        other.execute_batch("BEGIN EXCLUSIVE").unwrap();
        far.say("alice", "!ping");
        timeout(HANG, async {
            while !health.stats().is_failing {
                sleep(Duration::from_millis(20)).await;
            }
        })
        .await
        .expect("the writer sees the lock");
        if is_asked_twice {
            drop(far.hang_up());
            while status.snapshot().await.is_some_and(|snapshot| !snapshot.is_draining) {
                sleep(Duration::from_millis(20)).await;
            }
        }
        stop.send(()).unwrap();
        let left = timeout(HANG, bot).await.expect("it ends").unwrap().expect_err("it is in memory only");
        let left = left.to_string();
        assert!(left.contains("1 event was waiting") && left.contains("1 event was not certain"), "{left}");
        drop(other);
        // Left behind as it was, it lets go of the file once it can.
        timeout(HANG, async {
            while SqliteJournal::open(home.file()).is_err() {
                sleep(Duration::from_millis(20)).await;
            }
        })
        .await
        .expect("the writer ends");
    }
}
