//! A bot that was told to stop takes what comes for the next start, until it ends. Time is paused.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use evenkeel::journal::memory::MemoryJournal;
use evenkeel::journal::{Entry, Journal, Recovered};
use evenkeel::transport::{Inbox, SendError, Sent};
use evenkeel::{Bot, Conversation, Event, Message, Outbound, Result, Router, Sender, Transport};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout};

use crate::line::line;

const DRAIN: Duration = Duration::from_secs(25);

/// A journal that outlives its bot, and no file: the clock of these tests would not wait for a disk.
#[derive(Clone, Default)]
pub(crate) struct Kept(Arc<Mutex<MemoryJournal>>);

impl Journal for Kept {
    type Writing = <MemoryJournal as Journal>::Writing;

    async fn recover(&mut self) -> Result<Recovered> {
        let mut journal = std::mem::take(&mut *self.0.lock().unwrap());
        let recovered = journal.recover().await;
        *self.0.lock().unwrap() = journal;
        recovered
    }

    fn write(&mut self, batch: Vec<Entry>) -> Self::Writing {
        self.0.lock().unwrap().write(batch)
    }
}

fn app() -> Router<()> {
    Router::new()
        .command("!ping", async || "pong")
        .command("!slow", async || {
            sleep(Duration::from_secs(5)).await;
            "done"
        })
        .command("!hang", async || std::future::pending::<()>().await)
}

#[tokio::test(start_paused = true)]
async fn what_comes_during_the_drain_is_answered_after_the_next_start() {
    let journal = Kept::default();
    let (transport, mut far) = line();
    let (stop, stopped) = oneshot::channel::<()>();
    let bot = Bot::new(app()).transport(transport).with_journal(journal.clone());
    let bot = bot.with_drain(DRAIN).with_shutdown(async { drop(stopped.await) });
    let status = bot.status();
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    far.say("alice", "!slow");
    while status.snapshot().await.is_none_or(|snapshot| snapshot.running == 0) {
        tokio::task::yield_now().await;
    }
    stop.send(()).unwrap();
    while status.snapshot().await.is_some_and(|snapshot| !snapshot.is_draining) {
        tokio::task::yield_now().await;
    }
    for who in ["alice", "bob", "carol"] {
        far.say(who, "!ping");
    }
    assert_eq!(far.reply().await, ("alice".into(), "done".into()), "what runs is finished");
    timeout(DRAIN, bot).await.expect("nothing is left to do").unwrap().expect("the journal has the rest");
    assert!(far.replies.try_recv().is_err(), "nothing new was begun");

    let (transport, mut far) = line();
    let bot = Bot::new(app()).transport(transport).with_journal(journal.clone());
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    let mut answered = Vec::new();
    for _ in 0..3 {
        answered.push(far.reply().await);
    }
    answered.sort();
    assert_eq!(answered, ["alice", "bob", "carol"].map(|who| (who.to_owned(), "pong".to_owned())));
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
}

/// A network on which people never cease to write, and which counts what was acknowledged.
struct Stream {
    accepted: Arc<AtomicU64>,
    /// Hears of each reply.
    replies: mpsc::UnboundedSender<String>,
    first: &'static str,
}

impl Transport for Stream {
    fn name(&self) -> &'static str {
        // The one that comes after it on the same journal.
        "line"
    }

    async fn receive(&self, inbox: Inbox) -> Result<()> {
        for number in 0_u64.. {
            let text = if number == 0 { self.first } else { "!ping" };
            let (id, who) = (number.to_string(), format!("person {number}"));
            let event =
                Event::new(&*id, Conversation::direct(&*who), Sender::new(&*who), Message::text(&*id, text));
            if inbox.accept(event).await.is_ok() {
                self.accepted.fetch_add(1, Ordering::Relaxed);
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    async fn send(&self, outbound: &Outbound) -> Result<Sent, SendError> {
        let _heard = self.replies.send(outbound.conversation.id().to_owned());
        Ok(Sent::done())
    }
}

/// Stops a bot for which `first` came first, while others write. Returns how long that took, and how it ended.
async fn check_stream(first: &'static str) -> (Duration, Result<()>) {
    let journal = Kept::default();
    let accepted = Arc::new(AtomicU64::new(0));
    let (replies, mut replied) = mpsc::unbounded_channel();
    let transport = Stream { accepted: Arc::clone(&accepted), replies, first };
    let (stop, stopped) = oneshot::channel::<()>();
    let bot = Bot::new(app()).transport(transport).with_journal(journal.clone());
    let bot = bot.with_drain(DRAIN).with_shutdown(async { drop(stopped.await) });
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    assert!(replied.recv().await.is_some());
    sleep(Duration::from_millis(50)).await;
    let began = Instant::now();
    stop.send(()).unwrap();
    let ended = timeout(DRAIN * 2, bot).await.expect("the stream does not keep it").unwrap();
    let took = began.elapsed();
    // All that was acknowledged is in the journal: what was not answered is there at the next start.
    let mut answered = 0;
    while replied.try_recv().is_ok() {
        answered += 1;
    }
    let (transport, mut far) = line();
    let again = Bot::new(app()).transport(transport).with_journal(journal.clone());
    let again = tokio::spawn(again.with_drain(Duration::ZERO).on_this_runtime().serve());
    let acknowledged = accepted.load(Ordering::Relaxed);
    // The one whose reply was waited for, and the first one where it hangs.
    let not_counted = 1 + u64::from(first == "!hang");
    for _ in answered + not_counted..acknowledged {
        timeout(DRAIN, far.reply()).await.expect("what was acknowledged is durable");
    }
    drop(far.hang_up());
    let _ended = again.await;
    (took, ended)
}

#[tokio::test(start_paused = true)]
async fn a_stop_is_not_prolonged_by_people_who_go_on_writing() {
    let (took, ended) = check_stream("!ping").await;
    ended.expect("nothing is lost");
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn what_comes_while_a_handler_is_finished_is_kept_and_the_stop_ends_with_the_handler() {
    let (took, ended) = check_stream("!slow").await;
    ended.expect("nothing is lost");
    assert!(took > Duration::from_secs(4) && took < Duration::from_secs(6), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_the_drain_holds_whatever_comes() {
    let (took, ended) = check_stream("!hang").await;
    let ended = ended.expect_err("a handler was cut short").to_string();
    assert!(ended.starts_with("stopped at the deadline: 1 handler was still running"), "{ended}");
    assert!(took >= DRAIN && took <= DRAIN + Duration::from_secs(2), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_journal_in_memory_takes_nothing_more_once_the_bot_stops() {
    let (transport, mut far) = line();
    let (stop, stopped) = oneshot::channel::<()>();
    let bot = Bot::new(app()).transport(transport).in_memory().with_drain(DRAIN);
    let status = bot.status();
    let bot = tokio::spawn(bot.with_shutdown(async { drop(stopped.await) }).on_this_runtime().serve());
    far.say("alice", "!slow");
    sleep(Duration::from_secs(1)).await;
    stop.send(()).unwrap();
    sleep(Duration::from_secs(1)).await;
    far.say("bob", "!ping");
    sleep(Duration::from_secs(1)).await;
    assert_eq!(status.snapshot().await.unwrap().accepted, 1);
    assert_eq!(far.reply().await, ("alice".into(), "done".into()));
    bot.await.unwrap().expect("all was finished");
}
