//! The sandbox in a browser: people on the left, the chat in the middle, the running bot on the right.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Json, Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::{Stream, StreamExt, stream};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::{Changes, Sandbox, Scene};
use crate::error::{Error, Result};
use crate::event::{Attachment, MessageId};
use crate::operator::{DeadLetters, Jobs};
use crate::reply::{Draft, File, Quoting};
use crate::status::Status;
use crate::transport::Inbox;

mod gate;
mod operator;

/// The largest JSON body: the longest text, with every character escaped.
const LIMIT_JSON_BYTES: usize = 512 << 10;
/// The largest uploaded file.
const LIMIT_UPLOAD_BYTES: usize = 8 << 20;
/// How many files one message from the page carries.
const LIMIT_FILES: usize = 10;
/// How often the state of the bot is looked at.
const STATUS_EVERY: Duration = Duration::from_millis(500);

/// A page at which people talk to the bot and watch it run.
///
/// It answers this computer only: it binds to loopback addresses, and no other web site can read from it or post to
/// it through the visitor's browser.
///
/// ```no_run
/// use evenkeel::sandbox::{Page, Sandbox};
///
/// let page = Page::bind("127.0.0.1:4242")?.with_chips(["!help", "!ping"]);
/// println!("open {}", page.url());
/// let sandbox = Sandbox::new().with_page(page); // served for as long as the bot runs
/// # Ok::<(), evenkeel::Error>(())
/// ```
#[derive(Debug)]
pub struct Page {
    listener: TcpListener,
    address: SocketAddr,
    chips: Vec<String>,
}

impl Page {
    /// Takes the address, so that a busy port is an error before anything else starts. Port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// When the address is not of this computer alone, is in use, or is none.
    pub fn bind(address: &str) -> Result<Self> {
        let addresses = address.to_socket_addrs().map_err(|error| {
            Error::from(error)
                .context(format!("`{address}` is no address for the page"))
                .with_hint("write it like `127.0.0.1:4242`")
        })?;
        let addresses: Vec<SocketAddr> = addresses.collect();
        if let Some(open) = addresses.iter().find(|address| !address.ip().is_loopback()) {
            return Err(Error::config(format!(
                "the page asks for no password, so it does not listen on {open}"
            ))
            .with_hint(format!(
                "use `127.0.0.1:{port}`, and `ssh -L {port}:127.0.0.1:{port}` from elsewhere",
                port = open.port()
            )));
        }
        let listener = TcpListener::bind(&*addresses).map_err(|error| busy(address, error))?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            address: listener.local_addr()?,
            listener,
            chips: vec!["!help".to_owned(), "!ping".to_owned()],
        })
    }

    /// Sets the texts that the page offers to a first-time visitor; a click sends one.
    #[must_use]
    pub fn with_chips(mut self, chips: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.chips = chips.into_iter().map(Into::into).collect();
        self
    }

    /// Where to point the browser.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Serves until it is dropped. Connections end with it: they watch the sender that this future owns.
    pub(super) async fn serve(&self, sandbox: Sandbox, inbox: &Inbox) -> Result<()> {
        let listener = tokio::net::TcpListener::from_std(self.listener.try_clone()?)?;
        let (_running, stopped) = watch::channel(());
        let desk = Desk {
            sandbox,
            status: inbox.status().clone(),
            letters: inbox.dead_letters().clone(),
            jobs: inbox.jobs().clone(),
            chips: self.chips.as_slice().into(),
            stopped: stopped.clone(),
        };
        let until = gone(stopped);
        axum::serve(listener, router(desk))
            .with_graceful_shutdown(until)
            .await
            .map_err(|error| Error::from(error).context("serving the page"))
    }
}

fn busy(address: &str, error: std::io::Error) -> Error {
    let is_busy = error.kind() == std::io::ErrorKind::AddrInUse;
    let error = Error::from(error).context(format!("the page cannot listen on {address}"));
    if is_busy {
        return error.with_hint(
            "another program listens there, perhaps this bot in another window: stop it, or use port `0` for a free one",
        );
    }
    error.with_hint("try `127.0.0.1:0`")
}

/// Resolves once the sender is dropped; nothing is ever sent.
async fn gone(mut stopped: watch::Receiver<()>) {
    while stopped.changed().await.is_ok() {}
}

/// What the handlers of the page work with.
#[derive(Clone)]
struct Desk {
    sandbox: Sandbox,
    status: Status,
    letters: DeadLetters,
    jobs: Jobs,
    chips: Arc<[String]>,
    /// Ends the streams; `Page::serve` holds the sender.
    stopped: watch::Receiver<()>,
}

fn router(desk: Desk) -> Router {
    let upload = post(upload).layer(DefaultBodyLimit::max(LIMIT_UPLOAD_BYTES));
    Router::new()
        .route("/", get(|| async { asset("text/html; charset=utf-8", include_str!("page/page.html")) }))
        .route("/page.css", get(|| async { asset("text/css; charset=utf-8", include_str!("page/page.css")) }))
        .route("/page.js", get(|| async { asset(SCRIPT, include_str!("page/page.js")) }))
        .route("/parts.js", get(|| async { asset(SCRIPT, include_str!("page/parts.js")) }))
        .route("/operator.js", get(|| async { asset(SCRIPT, include_str!("page/operator.js")) }))
        .route("/icon.svg", get(|| async { asset("image/svg+xml", include_str!("page/icon.svg")) }))
        .route("/api/stream", get(follow))
        .route("/api/say", post(say))
        .route("/api/react", post(react))
        .route("/api/edit", post(edit))
        .route("/api/delete", post(delete))
        .route("/api/typing", post(typing))
        .route("/api/pardon", post(pardon))
        .merge(operator::routes())
        .route("/files/{id}", get(file))
        .layer(DefaultBodyLimit::max(LIMIT_JSON_BYTES))
        .route("/api/file", upload)
        .layer(axum::middleware::from_fn(gate::guard))
        .with_state(desk)
}

const SCRIPT: &str = "text/javascript; charset=utf-8";

fn asset(content_type: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, content_type)], text).into_response()
}

/// What people do on the page.
#[derive(Deserialize)]
struct Say {
    person: String,
    conversation: String,
    text: String,
    quote: Option<MessageId>,
    /// Names that `/api/file` gave out.
    #[serde(default)]
    files: Vec<String>,
}

async fn say(State(desk): State<Desk>, Json(say): Json<Say>) -> Result<Json<MessageId>, Refusal> {
    if say.files.len() > LIMIT_FILES {
        return Err(Error::new(format!("a message carries at most {LIMIT_FILES} files")).into());
    }
    let id = desk.sandbox.change(|state| {
        let described =
            |id: &String| state.files.attachment(id).ok_or("the file is not there any more; attach it again");
        let files: Vec<Attachment> = say.files.iter().map(described).collect::<Result<_, _>>()?;
        let quote = match &say.quote {
            Some(target) => Quoting::Message(state.quote(target)?),
            None => Quoting::Nothing,
        };
        let draft = Draft { text: say.text, quote, ..Draft::default() };
        state.post_as(&say.person, &say.conversation, draft, files)
    })?;
    Ok(Json(id))
}

#[derive(Deserialize)]
struct React {
    person: String,
    message: MessageId,
    emoji: String,
    is_removed: bool,
}

async fn react(State(desk): State<Desk>, Json(react): Json<React>) -> Result<StatusCode, Refusal> {
    let React { person, message, emoji, is_removed } = react;
    desk.sandbox.change(|state| state.react_as(&person, &message, &emoji, is_removed))?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct Change {
    person: String,
    message: MessageId,
    text: String,
}

async fn edit(State(desk): State<Desk>, Json(change): Json<Change>) -> Result<StatusCode, Refusal> {
    desk.sandbox.edit(&change.person, &change.message, change.text)?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct Delete {
    person: String,
    message: MessageId,
}

async fn delete(State(desk): State<Desk>, Json(delete): Json<Delete>) -> Result<StatusCode, Refusal> {
    desk.sandbox.delete(&delete.person, &delete.message)?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct Typing {
    person: String,
    conversation: String,
    is_started: bool,
}

async fn typing(State(desk): State<Desk>, Json(typing): Json<Typing>) -> Result<StatusCode, Refusal> {
    let Typing { person, conversation, is_started } = typing;
    desk.sandbox.change(|state| state.type_as(&person, &conversation, is_started))?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct Pardon {
    /// The command as the quarantine lists it.
    name: String,
}

/// Lets a command go from quarantine, and answers how many of this name there were.
async fn pardon(State(desk): State<Desk>, Json(pardon): Json<Pardon>) -> Result<Json<usize>, Refusal> {
    let pardoned = desk.status.pardon(pardon.name).await;
    let pardoned =
        pardoned.ok_or_else(|| Error::new("the bot has stopped: its quarantine is gone with it"))?;
    Ok(Json(pardoned))
}

#[derive(Deserialize)]
struct Upload {
    name: String,
    content_type: String,
}

/// Takes the bytes of a file; `/api/say` sends it. A body of this type cannot be posted by another site's form.
async fn upload(
    State(desk): State<Desk>,
    Query(upload): Query<Upload>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Json<Arc<str>>, Refusal> {
    if headers.get(header::CONTENT_TYPE).is_none_or(|kind| kind != "application/octet-stream") {
        return Err(Error::new("a file is posted as `application/octet-stream`").into());
    }
    if upload.name.len() > 255 || upload.content_type.len() > 255 {
        return Err(Error::new("the name or the type of the file is too long").into());
    }
    // A copy of its own: `bytes` may be a slice of a larger buffer.
    let bytes = Bytes::copy_from_slice(&bytes);
    let file = File::new(upload.name, upload.content_type, bytes);
    let attachment = desk.sandbox.change(|state| state.keep(file))?;
    Ok(Json(attachment.id))
}

/// The types that a browser shows without running anything in them.
const SHOWN: [&str; 5] = ["image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"];

async fn file(State(desk): State<Desk>, Path(id): Path<String>) -> Response {
    let Some(file) = desk.sandbox.file(&id) else {
        return (StatusCode::NOT_FOUND, "the file is not there any more").into_response();
    };
    let shown = SHOWN.iter().find(|shown| **shown == file.content_type);
    let content_type = shown.copied().unwrap_or("application/octet-stream");
    let disposition = if shown.is_some() { "inline" } else { "attachment" };
    let disposition = format!("{disposition}; filename*=UTF-8''{}", percent(&file.name));
    let disposition = HeaderValue::from_str(&disposition)
        .expect("percent-encoded names are letters, digits and a few signs of ASCII");
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
        (header::CONTENT_DISPOSITION, disposition),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox")),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=3600")),
    ];
    (headers, file.bytes).into_response()
}

/// The form of RFC 8187 for names in headers.
fn percent(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// What was asked for cannot be done; the page shows why.
struct Refusal(Error);

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (StatusCode::UNPROCESSABLE_ENTITY, self.0.chain()).into_response()
    }
}

/// Everything there is, then every change, with the state of the bot in between.
async fn follow(State(desk): State<Desk>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let stopped = Box::pin(gone(desk.stopped.clone()));
    let statuses = statuses(desk.status.clone());
    let both = stream::select(changes(desk), statuses).map(Ok);
    Sse::new(both.take_until(stopped)).keep_alive(KeepAlive::default())
}

/// The first thing a page hears, and what it hears again when it was too slow.
#[derive(Serialize)]
struct Opening<'a> {
    #[serde(flatten)]
    scene: Scene,
    chips: &'a [String],
}

fn changes(desk: Desk) -> impl Stream<Item = Event> {
    stream::unfold((desk, None::<Changes>), |(desk, reader)| async move {
        if let Some(mut reader) = reader
            && let Ok(change) = reader.next().await
        {
            return Some((event("change", &change), (desk, Some(reader))));
        }
        let (scene, reader) = desk.sandbox.watch();
        let opening = Opening { scene, chips: &desk.chips };
        Some((event("scene", &opening), (desk, Some(reader))))
    })
}

/// The state of the bot whenever it has changed. Stays silent once the bot has stopped.
fn statuses(status: Status) -> impl Stream<Item = Event> {
    let mut tick = interval(STATUS_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    stream::unfold((status, tick, String::new()), |(status, mut tick, last)| async move {
        loop {
            tick.tick().await;
            let mut snapshot = status.snapshot().await?;
            let told = event("status", &snapshot);
            // The page lets ages grow by itself.
            snapshot.quarantined.iter_mut().for_each(|inside| inside.since = Duration::ZERO);
            let now = json(&snapshot);
            if now != last {
                return Some((told, (status, tick, now)));
            }
        }
    })
}

fn event(name: &str, data: &impl Serialize) -> Event {
    Event::default().event(name).data(json(data))
}

fn json(data: &impl Serialize) -> String {
    serde_json::to_string(data).expect("what the page is told has string keys and cannot fail to serialize")
}

#[cfg(test)]
mod tests;
