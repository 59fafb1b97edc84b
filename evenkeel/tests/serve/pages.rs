//! A bot that starts with much that waits works while it reads the rest, and may end in the middle of that. Time is paused.

use std::collections::HashMap;
use std::future::pending;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use evenkeel::journal::memory::MemoryJournal;
use evenkeel::journal::{Entry, Journal, Query, Recovered, Written};
use evenkeel::{Bot, Conversation, Error, Event, Message, Rest, Result, Router, Sender};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use crate::line::{Far, line};

/// Events that wait at the start, of three people in turn.
const WAITING: usize = 30;
const PEOPLE: [&str; 3] = ["alice", "bob", "carol"];
/// No test takes so long, unless it hangs.
const HANG: Duration = Duration::from_secs(600);

/// What becomes of a journal when it is asked for a page too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Fails,
    Hangs,
}

/// A journal that outlives its bot, and hands back one event at a time.
#[derive(Clone)]
struct Paged {
    kept: Arc<Mutex<MemoryJournal>>,
    /// How many pages it still has, and what happens then.
    pages: Option<(usize, End)>,
}

impl Paged {
    /// With events that wait.
    async fn filled() -> Self {
        let mut journal = MemoryJournal::default();
        let events = (0..WAITING).map(|number| {
            let (id, who) = (format!("old {number}"), PEOPLE[number % PEOPLE.len()]);
            let what = Message::text(&*id, format!("!ping {number}"));
            let event = Event::new(&*id, Conversation::direct(who), Sender::new(who), what);
            Entry::Accept { event, now_ms: 1, begins: false }
        });
        journal.write(events.collect()).await.unwrap();
        Self { kept: Arc::new(Mutex::new(journal)), pages: None }
    }

    fn with_end(&self, pages: usize, end: End) -> Self {
        Self { kept: Arc::clone(&self.kept), pages: Some((pages, end)) }
    }
}

impl Journal for Paged {
    type Writing = Pin<Box<dyn Future<Output = Result<Written>> + Send>>;

    async fn recover(&mut self) -> Result<Recovered> {
        unreachable!("it is asked for pages")
    }

    async fn recover_in_pages(&mut self) -> Result<Recovered> {
        let mut journal = std::mem::take(&mut *self.kept.lock().unwrap());
        let recovered = journal.recover_in_pages().await;
        *self.kept.lock().unwrap() = journal;
        recovered
    }

    fn write(&mut self, mut batch: Vec<Entry>) -> Self::Writing {
        let mut end = None;
        for entry in &mut batch {
            let Entry::Query(Query::Load { limit, .. }) = entry else { continue };
            *limit = 1;
            match &mut self.pages {
                Some((0, what)) => end = Some(*what),
                Some((pages, _)) => *pages -= 1,
                None => {}
            }
        }
        let writing = end.is_none().then(|| self.kept.lock().unwrap().write(batch));
        Box::pin(async move {
            // As a disk does, it lets others go on meanwhile.
            sleep(Duration::from_millis(1)).await;
            match (writing, end) {
                (Some(writing), _) => writing.await,
                (None, Some(End::Fails)) => Err(Error::new("the disk is gone")),
                (None, _) => pending().await,
            }
        })
    }
}

fn app() -> Router<()> {
    Router::new().command("!ping", async |Rest(token): Rest| format!("pong {token}"))
}

/// What was answered, by person and in order.
#[derive(Default)]
struct Heard(HashMap<String, Vec<String>>);

impl Heard {
    fn note(&mut self, (who, text): (String, String)) {
        self.0.entry(who).or_default().push(text);
    }

    fn drain(&mut self, far: &mut Far) {
        while let Ok(reply) = far.replies.try_recv() {
            self.note(reply);
        }
    }

    fn len(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    /// Each person has all answers, once and in order.
    fn check(&self, news: &[&str]) {
        for (at, who) in PEOPLE.iter().enumerate() {
            let old = (at..WAITING).step_by(PEOPLE.len()).map(|number| format!("pong {number}"));
            let new = news.iter().filter(|name| *name == who).map(|_| "pong new".to_owned());
            assert_eq!(self.0[*who], old.chain(new).collect::<Vec<_>>(), "{who}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_answers_while_it_reads_and_what_comes_waits_for_what_came_before() {
    let journal = Paged::filled().await;
    let (transport, mut far) = line();
    let bot =
        tokio::spawn(Bot::new(app()).transport(transport).with_journal(journal).on_this_runtime().serve());
    let mut heard = Heard::default();
    heard.note(far.reply().await);
    far.say("carol", "!ping new");
    far.say("alice", "!ping new");
    for _ in 0..WAITING + 1 {
        heard.note(timeout(HANG, far.reply()).await.expect("all are answered"));
    }
    heard.check(&["alice", "carol"]);
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_bot_that_is_told_to_stop_while_it_reads_leaves_the_rest_to_the_next_start() {
    let journal = Paged::filled().await;
    let (transport, mut far) = line();
    let (stop, stopped) = oneshot::channel::<()>();
    let bot = Bot::new(app()).transport(transport).with_journal(journal.clone());
    let bot = tokio::spawn(bot.with_shutdown(async { drop(stopped.await) }).on_this_runtime().serve());
    let mut heard = Heard::default();
    heard.note(far.reply().await);
    far.say("bob", "!ping new");
    sleep(Duration::from_millis(1)).await;
    stop.send(()).unwrap();
    timeout(HANG, bot).await.expect("it stops").unwrap().expect("the journal has the rest");
    heard.drain(&mut far);
    assert!(heard.len() < WAITING, "{} were answered", heard.len());

    let (transport, mut far) = line();
    let bot =
        tokio::spawn(Bot::new(app()).transport(transport).with_journal(journal).on_this_runtime().serve());
    while heard.len() < WAITING + 1 {
        heard.note(timeout(HANG, far.reply()).await.expect("all are answered"));
    }
    heard.check(&["bob"]);
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_bot_that_ends_while_it_reads_loses_nothing() {
    for end in [End::Fails, End::Hangs] {
        for pages in [0, 1, 7, WAITING] {
            let journal = Paged::filled().await;
            let (transport, mut far) = line();
            let bot = Bot::new(app()).transport(transport).with_journal(journal.with_end(pages, end));
            let bot = tokio::spawn(bot.on_this_runtime().serve());
            let mut heard = Heard::default();
            sleep(Duration::from_secs(1)).await;
            if end == End::Fails {
                let error = timeout(HANG, bot).await.expect("it ends").unwrap().unwrap_err();
                assert!(error.to_string().contains("the disk is gone"), "{error}");
            } else {
                bot.abort();
                assert!(bot.await.unwrap_err().is_cancelled(), "it waits for the journal");
            }
            heard.drain(&mut far);
            assert!(heard.len() <= pages);

            let (transport, mut far) = line();
            let bot = tokio::spawn(
                Bot::new(app()).transport(transport).with_journal(journal).on_this_runtime().serve(),
            );
            // What was about to be sent at the end may have been: nobody sends that again.
            while let Ok(reply) = timeout(HANG, far.reply()).await {
                heard.note(reply);
            }
            heard.check(&[]);
            drop(far.hang_up());
            bot.await.unwrap().unwrap();
        }
    }
}
