//! A network that acknowledges: lines of text over one TCP connection to anyone who measures.
//!
//! ```text
//! in   offer ID CONVERSATION TEXT     answered by `ok ID` once the journal has it, or `no ID`
//! out  say KEY CONVERSATION TEXT      answered by `got KEY`: until then nobody knows whether it arrived
//! ```
//!
//! Where the bot says things by itself, the network knows each KEY for ever and takes it once: what comes twice there was said twice.
//!
//! Or, where it is told so, one that acknowledges nothing and is read from a position on, as a gateway is:
//!
//! ```text
//! out  from POSITION                  the first line: what comes then
//! in   at POSITION offer ID CONVERSATION TEXT      the position is that behind it; `ok ID` is for anyone who looks on
//! ```

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use evenkeel::transport::{Inbox, SendError, Sent, Start};
use evenkeel::{
    Action, Conversation, Cursor, Error, Event, Message, MessageId, Outbound, Result, Sender, Transport,
};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::outside::Outside;

/// The variable that holds the address to connect to; without it, the bot is on Signal.
pub(crate) const ADDRESS: &str = "BENCH_LINES";
/// The variable that makes it a network that is read from a position on. With the value `hasty` the position is told before what
/// comes with it is handed over: a mistake, which has to be seen.
pub(crate) const REPLAYED: &str = "BENCH_REPLAYED";

/// The connection, made when the bot opens and never made again.
pub(crate) struct Lines {
    address: String,
    /// Taken by `receive`.
    reading: Mutex<Option<OwnedReadHalf>>,
    /// `None` until the bot has opened.
    writing: Arc<tokio::sync::Mutex<Option<OwnedWriteHalf>>>,
    /// Who waits for `got`; the receiving loop tells them.
    waiting: Mutex<HashMap<String, oneshot::Sender<()>>>,
    acknowledges: Acknowledges,
    /// Who says what comes in, where nobody handles it.
    outside: Option<Outside>,
    /// What of it is kept; taken by `receive`.
    kept: Mutex<Option<UnboundedReceiver<String>>>,
}

/// How the network knows what need not come again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Acknowledges {
    /// It is told of each message.
    Each,
    /// It is told once, from where to begin.
    Position,
    /// The same, and what is told is wrong.
    PositionTooSoon,
}

impl Lines {
    pub(crate) fn new(address: String) -> Self {
        let acknowledges = match std::env::var(REPLAYED).as_deref() {
            Ok("hasty") => Acknowledges::PositionTooSoon,
            Ok(_) => Acknowledges::Position,
            Err(_) => Acknowledges::Each,
        };
        let (reading, writing, waiting) = (Mutex::default(), Arc::default(), Mutex::default());
        let (outside, kept) = (None, Mutex::default());
        Self { address, reading, writing, waiting, acknowledges, outside, kept }
    }

    /// Has what comes in said, in place of handled.
    pub(crate) fn with_outside(mut self, outside: Option<(Outside, UnboundedReceiver<String>)>) -> Self {
        let (outside, kept) = outside.unzip();
        (self.outside, self.kept) = (outside, Mutex::new(kept));
        self
    }

    /// Hands over what comes with a position. The network keeps all of it, and waits for nothing; but where the bot has no room it is
    /// offered again, in its place.
    async fn pass_on(&self, line: &str, inbox: &Inbox, accepting: &mut JoinSet<()>) {
        let parts = line.strip_prefix("at ").and_then(|rest| rest.split_once(' '));
        let read = parts.and_then(|(position, line)| Some((position, event(line)?)));
        let Some((position, (id, mut event))) = read else {
            return inbox.undeliverable("it has no position");
        };
        let cursor = Cursor::new(position.to_owned());
        if self.acknowledges == Acknowledges::PositionTooSoon {
            inbox.advance(cursor);
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        } else {
            event = event.with_cursor(cursor);
        }
        loop {
            let (inbox, event) = (inbox.clone(), event.clone());
            let mut accepted = Box::pin(async move { inbox.accept(event).await });
            match poll_fn(|cx| Poll::Ready(Pin::as_mut(&mut accepted).poll(cx))).await {
                Poll::Ready(Err(_)) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
                Poll::Ready(Ok(_)) => return,
                Poll::Pending => {
                    let writing = Arc::clone(&self.writing);
                    accepting.spawn(async move {
                        if accepted.await.is_ok() {
                            // Nobody waits for it.
                            let _written = write(&writing, format!("ok {id}\n")).await;
                        }
                    });
                    return;
                }
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<String, oneshot::Sender<()>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn write(writing: &tokio::sync::Mutex<Option<OwnedWriteHalf>>, line: String) -> std::io::Result<()> {
    match &mut *writing.lock().await {
        Some(half) => half.write_all(line.as_bytes()).await,
        None => Err(std::io::ErrorKind::NotConnected.into()),
    }
}

impl Transport for Lines {
    fn name(&self) -> &'static str {
        "lines"
    }

    async fn open(&self, _: &Start<'_>) -> Result<String> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let (reading, writing) = stream.into_split();
        *self.reading.lock().unwrap_or_else(PoisonError::into_inner) = Some(reading);
        *self.writing.lock().await = Some(writing);
        Ok(String::new())
    }

    async fn receive(&self, inbox: Inbox) -> Result<()> {
        let reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(reading) = reading else { return Err(Error::new("the bot has not opened")) };
        let mut lines = BufReader::new(reading).lines();
        if self.acknowledges != Acknowledges::Each {
            let position = inbox.cursor().unwrap_or_else(|| "0".into());
            write(&self.writing, format!("from {}\n", String::from_utf8_lossy(&position))).await?;
        }
        // Ends with this future.
        let mut accepting = JoinSet::new();
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut kept) = kept {
            let writing = Arc::clone(&self.writing);
            accepting.spawn(async move {
                while let Some(id) = kept.recv().await {
                    // If the connection broke, it will come again.
                    let _written = write(&writing, format!("ok {id}\n")).await;
                }
            });
        }
        while let Some(line) = lines.next_line().await? {
            while accepting.try_join_next().is_some() {}
            if let Some(key) = line.strip_prefix("got ") {
                if let Some(waiting) = self.waiting().remove(key) {
                    // Anyone who gave up waiting has dropped the other end.
                    let _heard = waiting.send(());
                }
                continue;
            }
            if self.acknowledges != Acknowledges::Each {
                self.pass_on(&line, &inbox, &mut accepting).await;
                continue;
            }
            let Some((id, event)) = event(&line) else {
                inbox.undeliverable("it is no offer");
                continue;
            };
            if let Some(outside) = &self.outside {
                outside.order(&id, event.conversation().id(), event.text().unwrap_or_default());
                continue;
            }
            let (inbox, writing) = (inbox.clone(), Arc::clone(&self.writing));
            let mut accepted = Box::pin(async move { inbox.accept(event).await });
            // The first poll hands it over: here, so that offers keep their order.
            let first = poll_fn(|cx| Poll::Ready(Pin::as_mut(&mut accepted).poll(cx))).await;
            accepting.spawn(async move {
                let acceptance = match first {
                    Poll::Ready(acceptance) => acceptance,
                    Poll::Pending => accepted.await,
                };
                let word = if acceptance.is_ok() { "ok" } else { "no" };
                // If the connection broke, the offer will come again.
                let _written = write(&writing, format!("{word} {id}\n")).await;
            });
        }
        Err(Error::new("the connection was closed"))
    }

    fn is_idempotent(&self) -> bool {
        self.outside.is_some()
    }

    async fn send(&self, outbound: &Outbound) -> Result<Sent, SendError> {
        let Action::Send(draft) = &outbound.action else {
            return Err(SendError::refused("this network carries plain texts only"));
        };
        let key = format!("{}.{}", outbound.key.sequence, outbound.key.index);
        let (arrived, has_arrived) = oneshot::channel();
        self.waiting().insert(key.clone(), arrived);
        let line = format!("say {key} {} {}\n", outbound.conversation.id(), draft.text.replace('\n', " "));
        let written = write(&self.writing, line).await;
        written.map_err(|error| SendError::unknown("the connection broke").caused_by(error))?;
        has_arrived.await.map_err(|error| SendError::unknown("nobody said `got`").caused_by(error))?;
        Ok(Sent::message(MessageId::new(key)))
    }
}

/// Reads `offer ID CONVERSATION TEXT`.
fn event(line: &str) -> Option<(String, Event)> {
    let (id, rest) = line.strip_prefix("offer ")?.split_once(' ')?;
    let (conversation, text) = rest.split_once(' ')?;
    let what = Message::text(id, text);
    let event = Event::new(id, Conversation::direct(conversation), Sender::new(conversation), what);
    Some((id.to_owned(), event))
}

#[test]
fn an_offer_has_an_id_a_conversation_and_a_text() {
    let (id, event) = event("offer 17 alice !ping a b").expect("an offer");
    assert_eq!((&*id, event.text()), ("17", Some("!ping a b")));
    assert!(super::lines::event("got 17.0").is_none());
    assert!(super::lines::event("offer 17 alice").is_none());
}

#[tokio::test]
async fn an_offer_is_acknowledged_and_answered() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let lines = Lines::new(listener.local_addr().expect("bound").to_string());
    let bot = tokio::spawn(evenkeel::Bot::new(super::app()).transport(lines).in_memory().serve());
    let (stream, _) = listener.accept().await.expect("the bot connects");
    let mut stream = BufReader::new(stream);
    for (offer, expected) in [
        ("offer 1 alice !ping x\n", &["ok 1\n", "say 1.0 alice pong x\n"][..]),
        (
            "got 1.0\noffer 1 alice !ping x\noffer 2 bob !ping y\n",
            &["ok 1\n", "ok 2\n", "say 2.0 bob pong y\n"],
        ),
    ] {
        stream.write_all(offer.as_bytes()).await.expect("connected");
        let mut answers = Vec::new();
        for _ in expected {
            let mut line = String::new();
            stream.read_line(&mut line).await.expect("connected");
            answers.push(line);
        }
        // What is acknowledged may be answered before.
        answers.sort_unstable();
        assert_eq!(answers, expected);
    }
    bot.abort();
}
