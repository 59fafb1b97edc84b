//! The WebSocket: reads, parses and hands over, and comes back whenever it is lost.
//!
//! The server drops every frame for which nobody is ready to read at that moment. So nothing here ever waits for the
//! bot, and a lost connection is replaced at once; what came in between is gone, and the log says how long it was.

use std::ops::ControlFlow;
use std::time::Duration;

use evenkeel::transport::Inbox;
use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::api::{Connector, Stream};
use crate::backoff::Backoff;
use crate::config::Timings;
use crate::envelope::{Parsed, Reader};

/// A long message with many attachments has some 10 KiB; a frame beyond this is no message.
const FRAME_LIMIT_BYTES: usize = 64 << 20;
/// A connection that held for so long was a good one: the next loss is answered at once.
const STABLE: Duration = Duration::from_secs(10);

type Socket = WebSocketStream<TokioIo<Stream>>;
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a connection ended, and when something was last heard on it.
struct Ended {
    why: &'static str,
    last_heard: Instant,
}

/// The receiving half of a `Signal`.
pub(crate) struct Receiver<'a> {
    pub(crate) connector: &'a Connector,
    /// Such as `ws://localhost:8080/v1/receive/%2B15550100000`.
    pub(crate) url: &'a str,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) timings: &'a Timings,
    pub(crate) reader: Reader<'a>,
}

impl Receiver<'_> {
    /// Receives for ever.
    pub(crate) async fn run(&self, inbox: &Inbox, mut backoff: Backoff<'_>) {
        let mut deaf_since: Option<Instant> = None;
        loop {
            match self.connect().await {
                Ok(socket) => {
                    connected(deaf_since);
                    let since = Instant::now();
                    let ended = self.read(socket, inbox).await;
                    tracing::warn!(why = ended.why, "the connection to the Signal server was lost");
                    deaf_since = Some(ended.last_heard);
                    if since.elapsed() >= STABLE {
                        backoff.reset();
                    }
                }
                Err(error) => {
                    let seconds = deaf_since.get_or_insert_with(Instant::now).elapsed().as_secs();
                    tracing::warn!(error, deaf_for_seconds = seconds, "no connection to the Signal server");
                }
            }
            sleep(backoff.next()).await;
        }
    }

    async fn connect(&self) -> Result<Socket, String> {
        let attempt = timeout(self.timings.connect, self.upgrade());
        match attempt.await {
            Ok(Ok(socket)) => Ok(socket),
            Ok(Err(error)) => Err(told(&*error)),
            Err(_) => Err("no answer in time".to_owned()),
        }
    }

    async fn upgrade(&self) -> Result<Socket, BoxError> {
        let mut request = self.url.into_client_request()?;
        request.headers_mut().extend(self.headers.clone());
        let stream = TokioIo::new(self.connector.connect().await?);
        let config = WebSocketConfig::default()
            .read_buffer_size(64 << 10)
            .max_message_size(Some(FRAME_LIMIT_BYTES))
            .max_frame_size(Some(FRAME_LIMIT_BYTES));
        let (socket, _) = client_async_with_config(request, stream, Some(config)).await?;
        Ok(socket)
    }

    /// Reads until the connection ends or has been silent for too long.
    async fn read(&self, mut socket: Socket, inbox: &Inbox) -> Ended {
        let mut last_heard = Instant::now();
        let mut next_ping = last_heard + self.timings.ping;
        let mut alarm = std::pin::pin!(sleep_until(next_ping.min(last_heard + self.timings.idle)));
        let why = loop {
            tokio::select! {
                // Frames first: the server drops what is not read. Both arms are cancel safe: `next` keeps half a
                // frame in the socket, and a timer is a timer.
                biased;
                frame = socket.next() => {
                    last_heard = Instant::now();
                    if let ControlFlow::Break(why) = self.frame(frame, inbox) {
                        break why;
                    }
                }
                () = alarm.as_mut() => {
                    let now = Instant::now();
                    if now >= last_heard + self.timings.idle {
                        break "nothing was heard, not even an answer to a ping";
                    }
                    if now >= next_ping {
                        next_ping = now + self.timings.ping;
                        // A full socket buffer must not keep the reader from reading for ever.
                        let ping = socket.send(Message::Ping(Bytes::new()));
                        if !matches!(timeout(self.timings.ping, ping).await, Ok(Ok(()))) {
                            break "a ping could not be sent";
                        }
                    }
                    alarm.as_mut().reset(next_ping.min(last_heard + self.timings.idle));
                }
            }
        };
        Ended { why, last_heard }
    }

    fn frame(&self, frame: Option<Result<Message, Error>>, inbox: &Inbox) -> ControlFlow<&'static str> {
        match frame {
            Some(Ok(Message::Text(text))) => match self.reader.read(&text) {
                // A full inbox has counted and logged the refusal.
                Parsed::Event(event) => drop(inbox.push(event)),
                Parsed::Nothing => {}
                Parsed::Undeliverable(why) => inbox.undeliverable(why),
            },
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
}

fn connected(deaf_since: Option<Instant>) {
    match deaf_since {
        None => tracing::info!("connected to the Signal server"),
        Some(since) => {
            let gap_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
            tracing::warn!(
                gap_ms,
                "connected to the Signal server again; what was sent in between may be lost"
            );
        }
    }
}

/// Says what went wrong without URL and headers.
fn told(error: &(dyn std::error::Error + 'static)) -> String {
    if let Some(Error::Http(response)) = error.downcast_ref::<Error>() {
        let hint = match response.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ": check `SIGNAL_API_TOKEN`",
            StatusCode::BAD_REQUEST => ": only a server with `MODE=json-rpc` has WebSockets",
            _ => "",
        };
        return format!("the server answered {}{hint}", response.status());
    }
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
