//! The WebSockets: one is read at all times, and another one is opened beside it before it is given up.
//!
//! The server drops every frame for which nobody is ready to read at that moment. So nothing here ever waits for the
//! bot, a lost connection is replaced at once, and one that does not answer is read on until its successor has proven
//! itself. Both then bring the same frames: they become events of the same id, which the journal takes once. What came
//! while nobody read is gone; how long that was is counted and logged.
//!
//! `line` is one socket, and `coverage` adds up when somebody was reading.

mod coverage;
mod line;

use std::time::Duration;

use evenkeel::backoff::Pauses;
use evenkeel::transport::Inbox;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, SinkExt, StreamExt};
use http::{HeaderMap, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

use self::coverage::Coverage;
use self::line::{Line, Socket, Turn};
use crate::api::Connector;
use crate::config::Timings;
use crate::envelope::Reader;

/// A long message with many attachments has some 10 KiB; a frame beyond this is no message.
const FRAME_LIMIT_BYTES: usize = 64 << 20;
/// A connection that held for so long was a good one: the next loss is answered at once.
const STABLE: Duration = Duration::from_secs(1);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The receiving half of a `Signal`.
pub(crate) struct Receiver<'a> {
    pub(crate) connector: &'a Connector,
    /// Such as `ws://localhost:8080/v1/receive/%2B15550100000`.
    pub(crate) url: &'a str,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) timings: &'a Timings,
    pub(crate) reader: Reader<'a>,
    /// How many good connections there should be at all times.
    pub(crate) sockets: usize,
}

/// What is known of a line while it is being read.
struct LineState {
    id: u64,
    since: Instant,
    /// Something was heard on it since it was opened, or since it was suspect.
    is_good: bool,
    is_suspect: bool,
    /// Tells the line that it was replaced; `None` once it has.
    replace: Option<oneshot::Sender<()>>,
}

/// The connections of one receiver.
struct Lines<'a> {
    reading: FuturesUnordered<BoxFuture<'a, (Line, Turn)>>,
    /// The oldest first.
    states: Vec<LineState>,
    coverage: Coverage,
    next_id: u64,
    wanted: usize,
}

impl<'a> Receiver<'a> {
    /// Receives for ever.
    pub(crate) async fn run(&'a self, inbox: &'a Inbox, mut pauses: Pauses<impl FnMut() -> f64>) {
        let mut lines = Lines::new(self.sockets);
        let mut attempt: Option<BoxFuture<'_, Result<Socket, String>>> = None;
        let mut failures = 0_u64;
        loop {
            if !lines.is_short() {
                attempt = None;
            } else if attempt.is_none() {
                let pause = pauses.next().unwrap_or_default();
                attempt = Some(sleep(pause).then(|()| self.connect()).boxed());
            }
            let connecting = async {
                match &mut attempt {
                    Some(attempt) => attempt.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // Both arms are cancel safe: what is half done stays in `reading` and in `attempt`.
                biased;
                Some((line, turn)) = lines.reading.next() => {
                    let held = match turn {
                        Turn::Ended { why, until } => lines.ended(&line, why, until, inbox),
                        Turn::Good | Turn::Suspect => {
                            let held = lines.turned(line.id, &turn);
                            lines.reading.push(self.read(line, inbox));
                            held
                        }
                    };
                    if held >= STABLE {
                        pauses.reset();
                    }
                }
                outcome = connecting => {
                    attempt = None;
                    match outcome {
                        Ok(socket) => {
                            failures = 0;
                            let line = lines.opened(socket, inbox);
                            lines.reading.push(self.read(line, inbox));
                        }
                        Err(error) => {
                            failures += 1;
                            lines.failed(&error, failures);
                        }
                    }
                }
            }
        }
    }

    /// Opens a connection, waits until it answers, and closes it: how long that took.
    pub(crate) async fn measure(&self) -> Result<Duration, String> {
        let start = Instant::now();
        let mut socket = self.connect().await?;
        let answer = async {
            socket.send(Message::Ping(Bytes::new())).await?;
            socket.next().await.transpose()
        };
        match timeout(self.timings.connect, answer).await {
            Ok(Ok(Some(_))) => Ok(start.elapsed()),
            Ok(Ok(None)) => Err("the server closed it".to_owned()),
            Ok(Err(error)) => Err(told(&error)),
            Err(_) => Err("no answer to a ping".to_owned()),
        }
    }

    fn read(&'a self, mut line: Line, inbox: &'a Inbox) -> BoxFuture<'a, (Line, Turn)> {
        async move {
            let turn = line.read(inbox, self.reader, self.timings).await;
            (line, turn)
        }
        .boxed()
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
}

impl Lines<'_> {
    fn new(wanted: usize) -> Self {
        let (reading, states, coverage) = (FuturesUnordered::new(), Vec::new(), Coverage::default());
        Self { reading, states, coverage, next_id: 0, wanted }
    }

    /// Whether another one should be opened. A server that answers no pings makes every line suspect; twice as many as
    /// are wanted is the most that it gets.
    fn is_short(&self) -> bool {
        let current = self.states.iter().filter(|state| state.replace.is_some());
        let trusted = current.clone().filter(|state| !state.is_suspect);
        trusted.count() < self.wanted && current.count() < 2 * self.wanted
    }

    fn opened(&mut self, socket: Socket, inbox: &Inbox) -> Line {
        let (id, since) = (self.next_id, Instant::now());
        self.next_id += 1;
        let (line, replace) = Line::new(id, socket);
        tracing::info!(sockets = self.states.len() + 1, "connected to the Signal server");
        tell(self.coverage.opened(id, since), inbox);
        self.states.push(LineState { id, since, is_good: false, is_suspect: false, replace: Some(replace) });
        line
    }

    fn failed(&mut self, error: &str, failures: u64) {
        let seconds = self.coverage.failed(Instant::now()).as_secs();
        // Powers of two: a server that is away for a day should not fill the disk with log lines.
        if failures.is_power_of_two() {
            tracing::warn!(error, failures, deaf_for_seconds = seconds, "no connection to the Signal server");
        }
    }

    /// Returns for how long the line has been open.
    fn turned(&mut self, id: u64, turn: &Turn) -> Duration {
        let Some(state) = self.states.iter_mut().find(|state| state.id == id) else { return Duration::ZERO };
        state.is_suspect = matches!(turn, Turn::Suspect);
        state.is_good = !state.is_suspect;
        if state.is_suspect && state.replace.is_some() {
            tracing::warn!(
                "the Signal server does not answer a ping: opening another connection beside this one"
            );
        }
        let held = state.since.elapsed();
        self.replace_surplus();
        held
    }

    /// Once enough are good, the newest of them stay, and everything else goes: it is read a little longer.
    fn replace_surplus(&mut self) {
        let current = self.states.iter().rev().filter(|state| state.replace.is_some());
        let good = current.filter(|state| state.is_good);
        let kept: Vec<u64> = good.take(self.wanted).map(|state| state.id).collect();
        if kept.len() < self.wanted {
            return;
        }
        for state in self.states.iter_mut().filter(|state| !kept.contains(&state.id)) {
            // A line that has just ended does not hear it.
            let _ = state.replace.take().map(|replace| replace.send(()));
        }
    }

    /// Returns how long the line was open.
    fn ended(&mut self, line: &Line, why: &str, until: Instant, inbox: &Inbox) -> Duration {
        let index = self.states.iter().position(|state| state.id == line.id);
        let state = index.map(|index| self.states.remove(index));
        if state.as_ref().is_some_and(|state| state.replace.is_some()) {
            tracing::warn!(why, "a connection to the Signal server was lost");
        } else {
            tracing::debug!(why, "a connection to the Signal server has ended");
        }
        tell(self.coverage.ended(line.id, until), inbox);
        state.map_or(Duration::ZERO, |state| state.since.elapsed())
    }
}

fn tell(gap: Option<Duration>, inbox: &Inbox) {
    let Some(gap) = gap else { return };
    inbox.gap(gap);
    let (gap_ms, seconds) = (u64::try_from(gap.as_millis()).unwrap_or(u64::MAX), gap.as_secs_f64());
    tracing::warn!(gap_ms, "no reader for {seconds:.3} s: what came meanwhile is lost upstream");
}

/// Says what went wrong without URL and headers.
fn told(error: &(dyn std::error::Error + 'static)) -> String {
    if let Some(Error::Http(response)) = error.downcast_ref::<Error>() {
        let hint = match response.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ": check `SIGNAL_API_TOKEN`",
            status if status.is_redirection() || status.is_success() => {
                ": that is a proxy in its place, check `SIGNAL_API_TOKEN` and `SIGNAL_API_URL`"
            }
            StatusCode::BAD_REQUEST => ": only a server with `MODE=json-rpc` has WebSockets",
            _ => "",
        };
        return format!("the server answered {}{hint}", response.status());
    }
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let line = cause.to_string();
        // The library repeats some sources in its own message; once is enough.
        if !text.ends_with(&line) {
            text = format!("{text}: {line}");
        }
        source = cause.source();
    }
    text
}
