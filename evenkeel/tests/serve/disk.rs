//! A disk that stands still under a journal that blocks, whose driver has a thread of its own: time is real. And one that is slow, under a
//! paused clock.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use evenkeel::journal::memory::MemoryJournal;
use evenkeel::journal::{Entry, Interrupt, Journal, Recovered, Written};
use evenkeel::status::Status;
use evenkeel::{Bot, Result, Router};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::line::{Far, line};

/// A journal that is kept, as far as the bot knows, and blocks for as long as its disk stands still.
struct Halting {
    kept: MemoryJournal,
    is_still: Arc<AtomicBool>,
    /// Told when a batch begins to wait.
    waits: mpsc::UnboundedSender<()>,
    goes_on: Mutex<Receiver<()>>,
    interrupted: mpsc::UnboundedSender<()>,
}

impl Journal for Halting {
    type Writing = <MemoryJournal as Journal>::Writing;

    fn blocks(&self) -> bool {
        true
    }

    fn interrupt(&self) -> Interrupt {
        let interrupted = self.interrupted.clone();
        Box::new(move || interrupted.send(()).unwrap_or_default())
    }

    async fn recover(&mut self) -> Result<Recovered> {
        self.kept.recover().await
    }

    fn write(&mut self, batch: Vec<Entry>) -> Self::Writing {
        if self.is_still.load(Ordering::Relaxed)
            && batch.iter().any(|one| matches!(one, Entry::Accept { .. }))
        {
            self.waits.send(()).unwrap();
            // It ends when the test says so, or is over.
            let _ = self.goes_on.lock().unwrap().recv();
        }
        self.kept.write(batch)
    }
}

/// A bot that has answered once, and whose disk stands still with one event; two more have come since.
struct Stage {
    bot: JoinHandle<Result<()>>,
    far: Far,
    status: Status,
    stop: oneshot::Sender<()>,
    is_still: Arc<AtomicBool>,
    go_on: Sender<()>,
    interrupted: mpsc::UnboundedReceiver<()>,
}

async fn stage(drain: Duration) -> Stage {
    let (transport, mut far) = line();
    let (stop, stopped) = oneshot::channel::<()>();
    let ((waits, mut waiting), (interrupt, interrupted)) =
        (mpsc::unbounded_channel(), mpsc::unbounded_channel());
    let (go_on, goes_on) = channel();
    let is_still = Arc::new(AtomicBool::new(false));
    let (kept, goes_on) = (MemoryJournal::default(), Mutex::new(goes_on));
    let journal = Halting { kept, is_still: Arc::clone(&is_still), waits, goes_on, interrupted: interrupt };
    let app = Router::new().command("!ping", async || "pong");
    let bot = Bot::new(app).transport(transport).with_journal(journal).with_drain(drain);
    let status = bot.status();
    let bot = tokio::spawn(bot.with_shutdown(async { drop(stopped.await) }).on_this_runtime().serve());
    far.say("alice", "!ping");
    assert_eq!(far.reply().await.1, "pong");
    status.idle().await;
    is_still.store(true, Ordering::Relaxed);
    far.say("alice", "!ping");
    waiting.recv().await.expect("it is being written");
    far.say("bob", "!ping");
    far.say("carol", "!ping");
    Stage { bot, far, status, stop, is_still, go_on, interrupted }
}

#[tokio::test]
async fn a_disk_that_stands_still_holds_up_no_answer_and_no_stop() {
    let Stage { bot, far, status, stop, go_on, mut interrupted, .. } = stage(Duration::ZERO).await;
    let snapshot = status.snapshot().await.expect("it answers");
    assert_eq!((snapshot.accepted, snapshot.handled, snapshot.sent), (1, 1, 1));
    stop.send(()).unwrap();
    let left = bot.await.unwrap().expect_err("three events are in memory only").to_string();
    let expected = "stopped at the deadline: 0 handlers were still running, 3 events were waiting, 0 replies were not sent; the \
                    journal did not answer: 3 events were not certain to be in it, and may be lost, and the next start takes up \
                    what it has";
    assert_eq!(left, expected);
    interrupted.recv().await.expect("it is told that nobody waits any longer");
    drop((far, go_on));
}

#[tokio::test]
async fn what_came_while_the_disk_stood_still_is_answered_when_it_goes_on() {
    let Stage { bot, mut far, stop, is_still, go_on, .. } = stage(Duration::from_secs(3600)).await;
    is_still.store(false, Ordering::Relaxed);
    go_on.send(()).unwrap();
    let mut answered = Vec::new();
    for _ in 0..3 {
        answered.push(far.reply().await.0);
    }
    answered.sort();
    assert_eq!(answered, ["alice", "bob", "carol"]);
    stop.send(()).unwrap();
    bot.await.unwrap().expect("nothing is left");
}

#[tokio::test]
async fn a_bot_that_is_dropped_lets_its_thread_and_its_journal_go() {
    let Stage { bot, go_on, mut interrupted, .. } = stage(Duration::from_secs(3600)).await;
    // Dropping waits for the batch at hand.
    drop(go_on);
    bot.abort();
    assert!(bot.await.unwrap_err().is_cancelled());
    interrupted.recv().await.expect("interrupted");
    assert_eq!(interrupted.recv().await, None, "the journal is gone");
}

/// A journal that takes its time for each batch, in milliseconds.
#[derive(Default)]
struct Slow(MemoryJournal, Arc<AtomicU64>);

const BATCH: Duration = Duration::from_millis(8);

impl Slow {
    fn new(batch: Duration) -> Self {
        let slow = Self::default();
        slow.takes(batch);
        slow
    }

    fn takes(&self, batch: Duration) {
        self.1.store(batch.as_millis() as u64, Ordering::Relaxed);
    }
}

impl Journal for Slow {
    type Writing = Pin<Box<dyn Future<Output = Result<Written>> + Send>>;

    async fn recover(&mut self) -> Result<Recovered> {
        self.0.recover().await
    }

    fn write(&mut self, batch: Vec<Entry>) -> Self::Writing {
        let (writing, takes) = (self.0.write(batch), self.1.load(Ordering::Relaxed));
        Box::pin(async move {
            sleep(Duration::from_millis(takes)).await;
            writing.await
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_quick_handler_waits_for_no_batch_that_began_while_it_ran() {
    let (transport, mut far) = line();
    let bot = Bot::new(Router::new().command("!ping", async || "pong")).transport(transport);
    let bot = bot.with_journal(Slow::new(BATCH));
    let status = bot.status();
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    far.say("alice", "!ping");
    assert_eq!(far.reply().await.0, "alice");
    status.idle().await;
    let began = Instant::now();
    far.say("alice", "!ping");
    sleep(BATCH / 2).await;
    // It fills the batch that follows while the first one is written.
    far.say("bob", "!ping");
    assert_eq!(far.reply().await.0, "alice");
    assert_eq!(began.elapsed(), 2 * BATCH, "one batch for the event, and one for its end");
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn after_a_disk_that_stood_still_a_handler_that_hangs_holds_nobody_up() {
    let (transport, mut far) = line();
    let router = Router::new().command("!ping", async || "pong").command("!hang", std::future::pending::<()>);
    let journal = Slow::default();
    let disk = Slow(MemoryJournal::default(), Arc::clone(&journal.1));
    let bot = Bot::new(router).transport(transport).with_journal(journal);
    let status = bot.status();
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    status.idle().await;
    disk.takes(Duration::from_secs(60));
    far.say("alice", "!hang");
    sleep(Duration::from_secs(59)).await;
    disk.takes(Duration::ZERO);
    sleep(Duration::from_millis(1_001)).await;
    // The handler has just begun, after a batch of a minute.
    let began = Instant::now();
    far.say("bob", "!ping");
    assert_eq!(far.reply().await.0, "bob");
    assert!(began.elapsed() <= Duration::from_millis(5), "{:?}", began.elapsed());
    bot.abort();
}
