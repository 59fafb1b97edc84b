//! The sandbox in a browser: people on the left, the chat in the middle, the running bot on the right.

mod story;

use std::convert::Infallible;
use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

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

use super::{Changes, Sandbox, Scene};
use crate::console::{
    BotHandles, Keys, Limits, Refusal, SCRIPT, STYLE, Token, asset, event, gone, guard, listen, looks, page,
    program, serve, shared, url,
};
use crate::error::{Error, Result};
use crate::event::{Attachment, MessageId};
use crate::operator::{DeadLetters, Jobs};
use crate::reply::{Draft, File, Quoting};
use crate::status::Status;
use crate::transport::Inbox;

pub use story::{Sign, Step};

/// The largest JSON body: the longest text, with every character escaped.
const LIMIT_JSON_BYTES: usize = 512 << 10;
/// The largest uploaded file.
const LIMIT_UPLOAD_BYTES: usize = 8 << 20;
/// How many files one message from the page carries.
const LIMIT_FILES: usize = 10;

/// A page at which people talk to the bot and watch it run.
///
/// It answers nobody who does not have the token in its address, which is new for each page: the browser exchanges it for a
/// cookie, and programs send it as `Authorization: Bearer`. It answers this computer only: it binds to loopback addresses,
/// and no other web site can read from it or post to it through the visitor's browser.
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
    token: Token,
    name: String,
    chips: Vec<String>,
    story: Vec<Step>,
}

impl Page {
    /// Takes the address, so that a busy port is an error before anything else starts. Port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// When the address is not of this computer alone, is in use, or is none.
    pub fn bind(address: &str) -> Result<Self> {
        let (listener, address) = listen("the page", address)?;
        let chips = vec!["!help".to_owned(), "!ping".to_owned()];
        Ok(Self { listener, address, token: Token::random()?, name: program(), chips, story: Vec::new() })
    }

    /// Calls the bot by this name in the page's title; by that of its program unless told.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the texts that the page offers to a first-time visitor; a click sends one.
    #[must_use]
    pub fn with_chips(mut self, chips: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.chips = chips.into_iter().map(Into::into).collect();
        self
    }

    /// Leads anyone who is here for the first time step by step through what the bot shows. Each step ticks itself off.
    #[must_use]
    pub fn with_story(mut self, steps: impl IntoIterator<Item = Step>) -> Self {
        self.story = steps.into_iter().collect();
        self
    }

    /// Where to point the browser, with the token.
    pub fn url(&self) -> String {
        url(self.address, &self.token)
    }

    /// Serves until it is dropped. Connections end with it: they watch the sender that this future owns.
    pub(super) async fn serve(&self, sandbox: Sandbox, inbox: &Inbox) -> Result<()> {
        let listener = tokio::net::TcpListener::from_std(self.listener.try_clone()?)?;
        let (_running, stopped) = watch::channel(());
        let handles = handles(inbox)
            .ok_or_else(|| Error::new("the page of the sandbox needs a bot that it can show"))?;
        let (name, chips) = (self.name.as_str().into(), self.chips.as_slice().into());
        let story = self.story.as_slice().into();
        let room = Room { sandbox, handles: handles.clone(), name, chips, story, stopped };
        let keys = Keys::new([self.token.clone()], STRANGER)?;
        match serve(listener, router(room, handles, keys), Limits::default()).await {}
    }
}

/// What the page shows of the bot behind an inbox.
fn handles(inbox: &Inbox) -> Option<BotHandles> {
    Some(BotHandles {
        status: inbox.handle::<Status>()?.clone(),
        letters: inbox.handle::<DeadLetters>()?.clone(),
        jobs: inbox.handle::<Jobs>()?.clone(),
    })
}

/// What somebody without the token reads: no file has it.
const STRANGER: &str =
    "this page needs the address that the bot has printed or logged at its start, with its token\n";

/// What the handlers of the page work with.
#[derive(Clone)]
struct Room {
    sandbox: Sandbox,
    handles: BotHandles,
    /// What the bot is called.
    name: Arc<str>,
    chips: Arc<[String]>,
    story: Arc<[Step]>,
    /// Ends the streams; `Page::serve` holds the sender.
    stopped: watch::Receiver<()>,
}

fn router(room: Room, handles: BotHandles, keys: Keys) -> Router {
    let front = || async { page(include_str!("page/top.html"), include_str!("page/bottom.html")) };
    let upload = post(upload).layer(DefaultBodyLimit::max(LIMIT_UPLOAD_BYTES));
    Router::new()
        .route("/", get(front))
        .route("/page.css", get(|| async { asset(STYLE, include_str!("page/page.css")) }))
        .route("/page.js", get(|| async { asset(SCRIPT, include_str!("page/page.js")) }))
        .route("/story.js", get(|| async { asset(SCRIPT, include_str!("page/story.js")) }))
        .route("/api/stream", get(follow))
        .route("/api/say", post(say))
        .route("/api/react", post(react))
        .route("/api/edit", post(edit))
        .route("/api/delete", post(delete))
        .route("/api/typing", post(typing))
        .route("/files/{id}", get(file))
        .layer(DefaultBodyLimit::max(LIMIT_JSON_BYTES))
        .route("/api/file", upload)
        .with_state(room)
        .merge(shared(handles))
        .layer(axum::middleware::from_fn_with_state(keys, guard))
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

async fn say(State(room): State<Room>, Json(say): Json<Say>) -> Result<Json<MessageId>, Refusal> {
    if say.files.len() > LIMIT_FILES {
        return Err(Error::new(format!("a message carries at most {LIMIT_FILES} files")).into());
    }
    let id = room.sandbox.change(|state| {
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

async fn react(State(room): State<Room>, Json(react): Json<React>) -> Result<StatusCode, Refusal> {
    let React { person, message, emoji, is_removed } = react;
    room.sandbox.change(|state| state.react_as(&person, &message, &emoji, is_removed))?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct Change {
    person: String,
    message: MessageId,
    text: String,
}

async fn edit(State(room): State<Room>, Json(change): Json<Change>) -> Result<StatusCode, Refusal> {
    room.sandbox.edit(&change.person, &change.message, change.text)?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct Delete {
    person: String,
    message: MessageId,
}

async fn delete(State(room): State<Room>, Json(delete): Json<Delete>) -> Result<StatusCode, Refusal> {
    room.sandbox.delete(&delete.person, &delete.message)?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct Typing {
    person: String,
    conversation: String,
    is_started: bool,
}

async fn typing(State(room): State<Room>, Json(typing): Json<Typing>) -> Result<StatusCode, Refusal> {
    let Typing { person, conversation, is_started } = typing;
    room.sandbox.change(|state| state.type_as(&person, &conversation, is_started))?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct Upload {
    name: String,
    content_type: String,
}

/// Takes the bytes of a file; `/api/say` sends it. A body of this type cannot be posted by another site's form.
async fn upload(
    State(room): State<Room>,
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
    let attachment = room.sandbox.change(|state| state.keep(file))?;
    Ok(Json(attachment.id))
}

/// The types that a browser shows without running anything in them.
const SHOWN: [&str; 5] = ["image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"];

async fn file(State(room): State<Room>, Path(id): Path<String>) -> Response {
    let Some(file) = room.sandbox.file(&id) else {
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

/// Everything there is, then every change, with the state of the bot in between.
async fn follow(State(room): State<Room>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let stopped = Box::pin(gone(room.stopped.clone()));
    let looks = looks(&room.handles);
    let both = stream::select(changes(room), looks).map(Ok);
    Sse::new(both.take_until(stopped)).keep_alive(KeepAlive::default())
}

/// The first thing a page hears, and what it hears again when it was too slow.
#[derive(Serialize)]
struct Opening<'a> {
    #[serde(flatten)]
    scene: Scene,
    name: &'a str,
    chips: &'a [String],
    story: &'a [Step],
}

fn changes(room: Room) -> impl Stream<Item = Event> {
    stream::unfold((room, None::<Changes>), |(room, reader)| async move {
        if let Some(mut reader) = reader
            && let Ok(change) = reader.next().await
        {
            return Some((event("change", &change), (room, Some(reader))));
        }
        let (scene, reader) = room.sandbox.watch();
        let opening = Opening { scene, name: &room.name, chips: &room.chips, story: &room.story };
        Some((event("scene", &opening), (room, Some(reader))))
    })
}

#[cfg(test)]
mod tests;
