//! One WebSocket: frames in, pings out, and a word whenever one should think differently of it.

use std::ops::ControlFlow;
use std::time::Duration;

use evenkeel::transport::Inbox;
use futures_util::{SinkExt, StreamExt};
use hyper_util::rt::TokioIo;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

use crate::api::Stream;
use crate::config::Timings;
use crate::envelope::{Parsed, Reader};

/// How long a line is still read after it was replaced: what was on its way arrives, and the server has certainly begun
/// to write to the other one, which it may do a moment after it answers there.
const LINGER: Duration = Duration::from_secs(1);

pub(super) type Socket = WebSocketStream<TokioIo<Stream>>;

/// A connection that is read.
pub(super) struct Line {
    /// Tells it from every other one of this receiver.
    pub(super) id: u64,
    socket: Socket,
    last_heard: Instant,
    next_ping: Instant,
    /// When the oldest ping was sent that nothing has followed.
    unanswered: Option<Instant>,
    is_suspect: bool,
    /// Something was heard on it.
    is_proven: bool,
    /// The receiver holds the other end, and fires or drops it once the line has been replaced.
    replaced: oneshot::Receiver<()>,
    /// When to stop reading, once it was replaced.
    last_call: Option<Instant>,
}

/// What has become of a line.
#[derive(Debug)]
pub(super) enum Turn {
    /// Something was heard, for the first time or after it was suspect.
    Good,
    /// A ping was not answered in time: perhaps nobody is there.
    Suspect,
    /// It is over.
    Ended {
        why: &'static str,
        /// What came before this moment was read.
        until: Instant,
    },
}

impl Line {
    pub(super) fn new(id: u64, socket: Socket) -> (Self, oneshot::Sender<()>) {
        let (replace, replaced) = oneshot::channel();
        let now = Instant::now();
        let line = Self {
            id,
            socket,
            last_heard: now,
            next_ping: now,
            unanswered: None,
            is_suspect: false,
            is_proven: false,
            replaced,
            last_call: None,
        };
        (line, replace)
    }

    /// Reads until something is to be said of the line.
    pub(super) async fn read(&mut self, inbox: &Inbox, reader: Reader<'_>, timings: &Timings) -> Turn {
        let mut alarm = std::pin::pin!(sleep_until(self.deadline(timings)));
        loop {
            tokio::select! {
                // Frames first: the server drops what is not read. All arms are cancel safe: `next` keeps half a frame
                // in the socket, a timer is a timer, and a channel keeps its word.
                biased;
                frame = self.socket.next() => {
                    if let ControlFlow::Break(why) = hand_over(frame, inbox, reader) {
                        return self.ended(why);
                    }
                    self.last_heard = Instant::now();
                    self.unanswered = None;
                    if self.is_suspect || !self.is_proven {
                        (self.is_suspect, self.is_proven) = (false, true);
                        return Turn::Good;
                    }
                }
                () = alarm.as_mut() => {
                    if let Some(turn) = self.ring(timings).await {
                        return turn;
                    }
                    alarm.as_mut().reset(self.deadline(timings));
                }
                _ = &mut self.replaced, if self.last_call.is_none() => {
                    self.last_call = Some(Instant::now() + LINGER);
                    alarm.as_mut().reset(self.deadline(timings));
                }
            }
        }
    }

    /// When to look next, whatever is heard until then.
    fn deadline(&self, timings: &Timings) -> Instant {
        let doubt = self.unanswered.filter(|_| !self.is_suspect).map(|since| since + timings.doubt());
        let given_up = self.last_heard + timings.idle;
        [doubt, self.last_call].into_iter().flatten().fold(self.next_ping.min(given_up), Instant::min)
    }

    /// Does what is due now.
    async fn ring(&mut self, timings: &Timings) -> Option<Turn> {
        let now = Instant::now();
        if self.last_call.is_some_and(|last_call| now >= last_call) {
            return Some(self.ended("it was replaced"));
        }
        if now >= self.last_heard + timings.idle {
            return Some(self.ended("nothing was heard, not even an answer to a ping"));
        }
        if now >= self.next_ping {
            self.next_ping = now + timings.ping;
            self.unanswered.get_or_insert(now);
            // A full socket buffer must not keep the reader from reading for ever.
            let ping = self.socket.send(Message::Ping(Bytes::new()));
            if !matches!(timeout(timings.doubt(), ping).await, Ok(Ok(()))) {
                return Some(self.ended("a ping could not be sent"));
            }
        }
        let is_overdue = self.unanswered.is_some_and(|since| now >= since + timings.doubt());
        if is_overdue && !self.is_suspect {
            self.is_suspect = true;
            return Some(Turn::Suspect);
        }
        None
    }

    /// A line that answered its last ping was read until now; of another one nobody knows more than when it was heard.
    fn ended(&self, why: &'static str) -> Turn {
        let until = if self.unanswered.is_some() { self.last_heard } else { Instant::now() };
        Turn::Ended { why, until }
    }
}

fn hand_over(
    frame: Option<Result<Message, Error>>,
    inbox: &Inbox,
    reader: Reader<'_>,
) -> ControlFlow<&'static str> {
    match frame {
        Some(Ok(Message::Text(text))) => {
            let parsed = reader.read(&text);
            // Before the event: by the time that somebody is known to have been heard, it is kept who that is.
            reader.account.keep(inbox);
            match parsed {
                // A full inbox has counted and logged the refusal.
                Parsed::Event(event) => drop(inbox.push(event)),
                Parsed::Nothing => {}
                Parsed::Undeliverable(why) => inbox.undeliverable(why),
            }
        }
        Some(Ok(Message::Binary(_))) => inbox.undeliverable("a binary frame"),
        Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
        Some(Ok(Message::Close(_))) => return ControlFlow::Break("the server closed it"),
        Some(Err(Error::Capacity(_))) => {
            inbox.undeliverable("a frame beyond 64 MiB");
            return ControlFlow::Break("a frame was too large");
        }
        Some(Err(Error::Utf8(_))) => {
            inbox.undeliverable("a text frame that is not UTF-8");
            return ControlFlow::Break("a frame was not UTF-8");
        }
        Some(Err(_)) => return ControlFlow::Break("it broke"),
        None => return ControlFlow::Break("it ended"),
    }
    ControlFlow::Continue(())
}
