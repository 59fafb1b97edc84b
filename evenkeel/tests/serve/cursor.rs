//! Sources that are read from a position on: nothing of theirs is lost or doubled, however often the bot is killed. Time is paused.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use evenkeel::transport::{Inbox, SendError, Sent};
use evenkeel::{
    Action, Conversation, Cursor, Event, Message, Outbound, Result, Router, Sender, Text, Transport,
};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::home::Home;

/// A stream of events that anyone may read from a position on, and what was said on it.
#[derive(Clone, Default)]
struct Stream(Arc<Mutex<Far>>);

#[derive(Default)]
struct Far {
    /// How many events there are: the positions in front of them count from 0.
    count: usize,
    /// From where each reader began.
    began: Vec<usize>,
    /// By event, the numbers under which it was answered: one that was sent again has that of the first time.
    answers: BTreeMap<String, BTreeSet<u64>>,
}

/// A reader of it; with a mistake, one that tells how far it is before it hands over.
struct Reader {
    stream: Stream,
    /// Says how far it has read before it hands over what it has read.
    is_hasty: bool,
    /// Where to read when there is nothing more: two sources, one event each in turn.
    sources: usize,
}

impl Transport for Reader {
    fn name(&self) -> &'static str {
        "stream"
    }

    async fn receive(&self, inbox: Inbox) -> Result<()> {
        let mut at: Vec<usize> = (0..self.sources)
            .map(|source| {
                let kept = inbox.cursor_of(&source.to_string());
                kept.map_or(0, |kept| std::str::from_utf8(&kept).unwrap().parse().unwrap())
            })
            .collect();
        self.stream.0.lock().unwrap().began.extend(&at);
        let mut waiting = JoinSet::new();
        loop {
            let count = self.stream.0.lock().unwrap().count;
            for (source, at) in at.iter_mut().enumerate() {
                while *at < count {
                    let (text, cursor) = (format!("{source}-{at}"), (*at + 1).to_string());
                    let cursor = Cursor::of(source.to_string(), cursor);
                    let message = Message::text(text.clone(), text.clone());
                    let who = Conversation::direct(format!("{}", *at % 7));
                    let mut event = Event::new(text, who, Sender::new("alice"), message);
                    if self.is_hasty {
                        inbox.advance(cursor);
                        sleep(Duration::from_millis(3)).await;
                    } else {
                        event = event.with_cursor(cursor);
                    }
                    let inbox = inbox.clone();
                    let mut accepted = Box::pin(async move { inbox.accept(event).await.map(drop) });
                    // The first poll hands it over, in its place.
                    if poll_fn(|cx| Poll::Ready(Pin::as_mut(&mut accepted).poll(cx))).await.is_pending() {
                        waiting.spawn(accepted);
                    }
                    *at += 1;
                }
            }
            while waiting.try_join_next().is_some() {}
            sleep(Duration::from_millis(1)).await;
        }
    }

    async fn send(&self, outbound: &Outbound) -> Result<Sent, SendError> {
        let Action::Send(draft) = &outbound.action else { return Err(SendError::refused("only texts")) };
        let mut far = self.stream.0.lock().unwrap();
        far.answers.entry(draft.text.clone()).or_default().insert(outbound.key.sequence);
        Ok(Sent::done())
    }

    fn is_idempotent(&self) -> bool {
        true
    }
}

/// Kills the bot again and again while events come. Answers how many were lost and how many came in twice, and how
/// often a reader began further on than at the start.
async fn killed(seed: u64, is_hasty: bool) -> (usize, usize, usize) {
    let home = Home::new(&format!("cursor-{seed}-{is_hasty}"));
    let (stream, mut random, sources) = (Stream::default(), seed, 2);
    let mut next = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        random >> 33
    };
    let app = || Router::new().fallback(async |Text(text): Text| text).with_state(());
    for _ in 0..20 {
        let reader = Reader { stream: stream.clone(), is_hasty, sources };
        let bot = tokio::spawn(home.any(reader, app()).on_this_runtime().serve());
        for _ in 0..next() % 8 {
            stream.0.lock().unwrap().count += usize::try_from(next() % 5).unwrap();
            sleep(Duration::from_micros(next() % 4_000)).await;
        }
        bot.abort();
        assert!(bot.await.unwrap_err().is_cancelled());
    }
    let last = tokio::spawn(
        home.any(Reader { stream: stream.clone(), is_hasty, sources }, app()).on_this_runtime().serve(),
    );
    sleep(Duration::from_secs(2)).await;
    last.abort();
    let _ended = last.await;
    let far = stream.0.lock().unwrap();
    let lost = sources * far.count - far.answers.len();
    // Who reads from the start each time would do it as well.
    let advanced = far.began.iter().filter(|at| **at > 0).count();
    (lost, far.answers.values().filter(|numbers| numbers.len() > 1).count(), advanced)
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_read_from_its_cursor_loses_nothing_over_kills() {
    for seed in 0..4 {
        let (lost, doubled, advanced) = killed(seed, false).await;
        assert_eq!((lost, doubled), (0, 0), "seed {seed}");
        assert!(advanced > 10, "seed {seed}: a reader goes on where the one before it was, {advanced}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cursor_before_its_events_loses_some() {
    let mut lost = 0;
    for seed in 0..4 {
        lost += killed(seed, true).await.0;
    }
    assert!(lost > 0, "the test above could not see it");
}

#[tokio::test(start_paused = true)]
async fn nothing_behind_a_refused_event_is_passed_until_it_has_come_again() {
    let (inbox, mut collected) = Inbox::collecting();
    let event = |id: &str, text: &str| {
        let message = Message::text(id, text);
        Event::new(id, Conversation::direct("alice"), Sender::new("alice"), message)
            .with_cursor(Cursor::new(id.to_owned()))
    };
    let most = "a".repeat(40 << 20);
    inbox.push(event("1", &most)).unwrap();
    assert!(!inbox.push(event("2", &most)).unwrap_err().is_too_large(), "there is no room for two");
    inbox.push(event("3", "small")).unwrap();
    assert_eq!(inbox.cursor().as_deref(), Some(&b"1"[..]), "2 would be lost");
    assert_eq!(collected.next().await.unwrap().id(), "1");
    assert_eq!(collected.next().await.unwrap().id(), "3");
    assert_eq!(collected.cursors(), [(String::new(), "1".into())]);
    inbox.push(event("2", "small")).unwrap();
    inbox.push(event("4", "small")).unwrap();
    assert_eq!(inbox.cursor().as_deref(), Some(&b"4"[..]));
    assert!(inbox.push(event("5", &"a".repeat(65 << 20))).unwrap_err().is_too_large());
    assert_eq!(inbox.cursor().as_deref(), Some(&b"5"[..]), "it will never be taken");
    inbox.advance(Cursor::new("9"));
    assert_eq!(inbox.cursor().as_deref(), Some(&b"9"[..]));
    drop(inbox.clone());
    drop(inbox);
    while collected.next().await.is_some() {}
    assert_eq!(collected.cursors(), [(String::new(), "9".into())]);
}
