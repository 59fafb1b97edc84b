//! The console of a running bot: what blocks, what waits, what was given up, what is planned and what is promised, in the
//! browser.

mod token;
mod kept;
mod visits;
mod gate;
mod panels;

use std::convert::Infallible;
use std::io::IsTerminal;
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::{Stream, StreamExt, stream};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::error::{Error, Result};
use crate::operator::{DeadLetters, Jobs};
use crate::status::Status;

pub(crate) use gate::{Keys, guard};
use kept::Kept;
pub(crate) use token::Token;
pub(crate) use visits::{Limits, serve};

/// How often the state of the bot is looked at.
const STATUS_EVERY: Duration = Duration::from_millis(500);
/// How long a console of this computer is waited for.
const CONNECTED: Duration = Duration::from_secs(2);
/// The largest body that the panels are sent.
const LIMIT_BODY_BYTES: usize = 64 << 10;

/// A page at which the operator watches a running bot, decides about dead letters and cancels jobs. Any bot may have one:
/// [`Bot::with_console`](crate::Bot::with_console), or `EVENKEEL_CONSOLE=127.0.0.1:4243` in its settings.
///
/// It answers nobody who does not have the token in its address, which the browser exchanges for a cookie of this run of the
/// bot; programs send it as `Authorization: Bearer`. The token is kept in a file beside the journal, for its owner alone: `evenkeel.db.console`.
///
/// It answers this computer only: it binds to loopback addresses, and no other web site can read from it or post to it
/// through the operator's browser. It has a thread to itself, so that neither the bot nor its handlers wait for it, and 64
/// connections at most.
///
/// ```no_run
/// use evenkeel::{Bot, Router, console::Console, sandbox::Sandbox};
///
/// # fn main() -> evenkeel::Result<()> {
/// let console = Console::bind("127.0.0.1:4243")?;
/// println!("open {}", console.url());
/// Bot::new(Router::new()).transport(Sandbox::new()).with_console(console).run()
/// # }
/// ```
#[derive(Debug)]
pub struct Console {
    listener: TcpListener,
    address: SocketAddr,
    token: Token,
}

impl Console {
    /// Takes the address, so that a busy port is an error before anything else starts. Port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// When the address is not of this computer alone, is in use, or is none.
    pub fn bind(address: &str) -> Result<Self> {
        let (listener, address) = listen("the console", address)?;
        Ok(Self { listener, address, token: Token::random()? })
    }

    /// Where to point the browser, with a token that is good for as long as this console is there.
    pub fn url(&self) -> String {
        url(self.address, &self.token)
    }

    /// The address, with its token, of the console of the bot that runs on this journal. Blocks while it looks.
    ///
    /// # Errors
    ///
    /// When no bot on this journal has a console now, or when the file that says so may be somebody else's.
    pub fn find(journal: &Path) -> Result<String> {
        let none = |what: &str| {
            Error::config(format!("{what} {}", journal.display())).with_hint(
                "start the bot with `EVENKEEL_CONSOLE=127.0.0.1:4243`; it has to be built with the feature `page`",
            )
        };
        let Some(Kept { token, address }) = kept::read(&kept::beside(journal))? else {
            return Err(none("there is no console of a bot on the journal"));
        };
        match address {
            // Nothing is sent: anyone who listens there may be another program by now.
            Some(address) if TcpStream::connect_timeout(&address, CONNECTED).is_ok() => {
                Ok(url(address, &token))
            }
            _ => Err(none("no console is open of a bot on the journal")),
        }
    }

    /// Serves the console of a bot, if it has one.
    pub(crate) fn start(
        console: Option<Self>,
        about: About,
        handles: BotHandles,
        journal: Option<&Path>,
    ) -> Result<Option<Serving>> {
        if let (None, Some(journal)) = (&console, journal) {
            Self::forget(journal);
        }
        console.map(|console| console.serve(about, handles, journal)).transpose()
    }

    /// Takes the address out of the file of a journal whose bot has no console.
    fn forget(journal: &Path) {
        if let Err(error) = kept::forget_address(&kept::beside(journal)) {
            tracing::warn!("the address of an earlier console stays: {}", error.chain());
        }
    }

    /// The tokens that are good here; with a journal in a file, that of an earlier run is one of them.
    fn keys(&self, journal: Option<&Path>) -> (Vec<Token>, Told) {
        let own = self.token.clone();
        let Some(path) = journal.map(kept::beside) else { return (vec![own], Told::Log) };
        let found = kept::read(&path).unwrap_or_else(|error| {
            tracing::warn!("the console has a new token, since the old one may be known to others: {error}");
            None
        });
        let token = found.as_ref().map_or_else(|| own.clone(), |found| found.token.clone());
        let kept = Kept { token, address: Some(self.address) };
        if found.as_ref() != Some(&kept)
            && let Err(error) = kept::write(&path, &kept)
        {
            let hint = error.hint().unwrap_or("mend that, then start the bot again");
            tracing::warn!("the token of the console is not kept: {}; {hint}", error.chain());
            return (vec![own], Told::Nobody);
        }
        (vec![kept.token, own], Told::File)
    }

    /// Serves on a thread of its own until the answer is dropped.
    fn serve(self, about: About, handles: BotHandles, journal: Option<&Path>) -> Result<Serving> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (serving, stopped) = watch::channel(());
        let window = Window { about, handles: handles.clone(), stopped: stopped.clone() };
        let (tokens, told) = self.keys(journal);
        let address = told.line(self.address, &tokens[0], std::io::stderr().is_terminal());
        let keys = Keys::new(tokens, STRANGER)?;
        let thread = std::thread::Builder::new().name("evenkeel-console".to_owned());
        thread.spawn(move || {
            let served = runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(self.listener)?;
                tokio::select! {
                    // Anyone who is still connected does not hold it up.
                    () = gone(stopped) => Ok::<_, std::io::Error>(()),
                    never = serve(listener, router(window, handles, keys), Limits::default()) => match never {},
                }
            });
            if let Err(error) = served {
                tracing::error!(%error, "the console has ended; the bot goes on");
            }
        })?;
        tracing::info!("the console is at {address}");
        Ok(Serving { _until: serving })
    }
}

/// What the operator gets the address with the token from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// `evenkeel console` reads it from the file beside the journal.
    File,
    /// A journal in memory has no file beside it.
    Log,
    /// The file cannot be written.
    Nobody,
}

impl Told {
    /// What the log says. A log goes to more people than a journal does, but a terminal to one.
    fn line(self, address: SocketAddr, token: &Token, is_terminal: bool) -> String {
        match self {
            Self::File if !is_terminal => {
                format!("http://{address}/; `evenkeel console` prints its address with the token")
            }
            Self::Nobody if !is_terminal => {
                format!("http://{address}/; its token is told to nobody, since it could not be kept")
            }
            _ => url(address, token),
        }
    }
}

/// What somebody without the token reads.
const STRANGER: &str = "this page needs the address that the bot has printed, with its token; \
    `evenkeel console` prints that of a running bot\n";

/// The address that is printed.
pub(crate) fn url(address: SocketAddr, token: &Token) -> String {
    format!("http://{address}/?token={}", token.text())
}

/// Ends the console's thread when it is dropped.
#[derive(Debug)]
pub(crate) struct Serving {
    _until: watch::Sender<()>,
}

/// What the head of the console says.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct About {
    /// What the bot is called.
    pub(crate) name: String,
    /// Its networks, as the bot calls them.
    pub(crate) transport: String,
    /// What the transport said when it opened.
    pub(crate) greeting: String,
}

/// The name of this program, for a bot that was given none.
pub(crate) fn program() -> String {
    let path = std::env::current_exe().ok();
    let name = path.as_deref().and_then(Path::file_stem).map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_else(|| "bot".to_owned())
}

/// What the panels work with.
#[derive(Clone)]
pub(crate) struct BotHandles {
    pub(crate) status: Status,
    pub(crate) letters: DeadLetters,
    pub(crate) jobs: Jobs,
}

/// Takes an address of this computer for a page.
pub(crate) fn listen(what: &str, address: &str) -> Result<(TcpListener, SocketAddr)> {
    let listener =
        TcpListener::bind(&*loopback(what, address)?).map_err(|error| busy(what, address, error))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Reads an address, which has to be of this computer alone.
pub(crate) fn loopback(what: &str, address: &str) -> Result<Vec<SocketAddr>> {
    let addresses = address.to_socket_addrs().map_err(|error| {
        Error::from(error)
            .context(format!("`{address}` is no address for {what}"))
            .with_hint("write it like `127.0.0.1:4242`")
    })?;
    let addresses: Vec<SocketAddr> = addresses.collect();
    let Some(open) = addresses.iter().find(|address| !address.ip().is_loopback()) else {
        return Ok(addresses);
    };
    let port = open.port();
    Err(Error::config(format!("{what} is for this computer alone, so it does not listen on {open}"))
        .with_hint(format!("use `127.0.0.1:{port}`, and `ssh -L {port}:127.0.0.1:{port}` from elsewhere")))
}

fn busy(what: &str, address: &str, error: std::io::Error) -> Error {
    let is_busy = error.kind() == std::io::ErrorKind::AddrInUse;
    let error = Error::from(error).context(format!("{what} cannot listen on {address}"));
    if is_busy {
        return error.with_hint(
            "another program listens there, perhaps this bot in another window: stop it, or use port `0` for a free one",
        );
    }
    error.with_hint("try `127.0.0.1:0`")
}

/// Resolves once the sender is dropped; nothing is ever sent.
pub(crate) async fn gone(mut stopped: watch::Receiver<()>) {
    while stopped.changed().await.is_ok() {}
}

/// What all pages that show a bot have: the panels with what belongs to them.
pub(crate) fn shared(handles: BotHandles) -> Router {
    Router::new()
        .route("/base.css", get(|| async { asset(STYLE, include_str!("console/web/base.css")) }))
        .route("/parts.js", get(|| async { asset(SCRIPT, include_str!("console/web/parts.js")) }))
        .route("/live.js", get(|| async { asset(SCRIPT, include_str!("console/web/live.js")) }))
        .route("/operator.js", get(|| async { asset(SCRIPT, include_str!("console/web/operator.js")) }))
        .route("/icon.svg", get(|| async { asset("image/svg+xml", include_str!("console/web/icon.svg")) }))
        .merge(panels::routes())
        .layer(DefaultBodyLimit::max(LIMIT_BODY_BYTES))
        .with_state(handles)
}

const HTML: &str = "text/html; charset=utf-8";
pub(crate) const STYLE: &str = "text/css; charset=utf-8";
pub(crate) const SCRIPT: &str = "text/javascript; charset=utf-8";
/// The tabs, between what is above and below them on a page.
const PANELS: &str = include_str!("console/web/panels.html");

pub(crate) fn asset(content_type: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, content_type)], text).into_response()
}

/// A page with the panels in it.
pub(crate) fn page(above: &str, below: &str) -> Response {
    ([(header::CONTENT_TYPE, HTML)], [above, PANELS, below].concat()).into_response()
}

/// What the stream of the console works with.
#[derive(Clone)]
struct Window {
    about: About,
    handles: BotHandles,
    stopped: watch::Receiver<()>,
}

fn router(window: Window, handles: BotHandles, keys: Keys) -> Router {
    let front =
        || async { page(include_str!("console/web/top.html"), include_str!("console/web/bottom.html")) };
    Router::new()
        .route("/", get(front))
        .route("/console.css", get(|| async { asset(STYLE, include_str!("console/web/console.css")) }))
        .route("/console.js", get(|| async { asset(SCRIPT, include_str!("console/web/console.js")) }))
        .route("/api/stream", get(follow))
        .with_state(window)
        .merge(shared(handles))
        .layer(axum::middleware::from_fn_with_state(keys, guard))
}

/// What the bot is, then its state whenever that has changed.
async fn follow(State(window): State<Window>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let about = stream::iter([event("about", &window.about)]);
    let both = about.chain(looks(&window.handles)).map(Ok);
    Sse::new(both.take_until(Box::pin(gone(window.stopped)))).keep_alive(KeepAlive::default())
}

/// What all pages hear of a bot whenever it has changed: its state, and how many dead letters wait.
pub(crate) fn looks(handles: &BotHandles) -> impl Stream<Item = Event> + use<> {
    let letters = panels::waiting_letters(handles.letters.clone()).map(|count| event("letters", &count));
    stream::select(statuses(handles.status.clone()), letters)
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

/// A message of a page's stream.
pub(crate) fn event(name: &str, data: &impl Serialize) -> Event {
    Event::default().event(name).data(json(data))
}

fn json(data: &impl Serialize) -> String {
    serde_json::to_string(data).expect("what the page is told has string keys and cannot fail to serialize")
}

/// What was asked for cannot be done; the page shows why.
pub(crate) struct Refusal(Error);

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

#[cfg(test)]
mod tests;
