//! An axum service with everything that such a service has: state, nested routers, extractors, streams, a WebSocket.
//!
//! `cargo run --release --bin axum`. Two layers of the guard: `watch` names what blocks the runtime's own threads, and
//! the layer for axum runs each route on threads that are replaced when they block.

use std::convert::Infallible;
use std::error::Error;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::ws::{Message, WebSocketUpgrade};
use axum::extract::{FromRequestParts, Path, State};
use axum::http::{StatusCode, request::Parts};
use axum::response::Response;
use axum::response::sse::{Event, Sse};
use axum::routing::{get, post};
use axum::{Json, Router};
use evenkeel_guard::Executor;
use futures_util::stream::{self, Stream, StreamExt};
use tokio::net::TcpListener;
use tokio::runtime::Builder;

/// What keeps `/hold` until `/release` comes.
#[derive(Default)]
struct Gate {
    is_open: Mutex<bool>,
    opens: Condvar,
}

type Shared = State<Arc<Gate>>;

/// The mistake: it waits on its thread for what another request brings.
async fn hold(State(gate): Shared) -> &'static str {
    let closed = gate.is_open.lock().expect("no holder panics");
    drop(gate.opens.wait_while(closed, |is_open| !*is_open)); // held here
    "held\n"
}

async fn release(State(gate): Shared) -> &'static str {
    *gate.is_open.lock().expect("no holder panics") = true;
    gate.opens.notify_all();
    "released\n"
}

/// Who asks, from a file: an extractor that blocks.
struct Session(String);

impl<S: Sync> FromRequestParts<S> for Session {
    type Rejection = StatusCode;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, StatusCode> {
        std::thread::sleep(Duration::from_millis(2)); // looked up here
        Ok(Self("you".into()))
    }
}

async fn user(Session(session): Session, Path(id): Path<u32>) -> String {
    format!("user {id} for {session}\n")
}

async fn boom() -> &'static str {
    let none: Option<&str> = std::hint::black_box(None);
    none.expect("on purpose")
}

/// Rows that are made one by one, each of them on the thread.
async fn export() -> Body {
    let rows = stream::iter(0..3).map(|row| {
        std::thread::sleep(Duration::from_millis(2)); // made here
        Ok::<_, Infallible>(Bytes::from(format!("row {row}\n")))
    });
    Body::from_stream(rows)
}

/// Rows that break off in the middle.
async fn torn() -> Body {
    Body::from_stream(
        stream::iter([1, 0]).map(|row| Ok::<_, Infallible>(Bytes::from(format!("{}\n", 1 / row)))),
    )
}

async fn events() -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let ticks = stream::unfold(0, |tick| async move {
        tokio::time::sleep(Duration::from_millis(5)).await;
        (tick < 3).then(|| (Ok(Event::default().data(format!("tick {tick}"))), tick + 1))
    });
    Sse::new(ticks)
}

async fn echo(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|mut socket| async move {
        while let Some(Ok(Message::Text(text))) = socket.recv().await {
            if socket.send(Message::Text(text)).await.is_err() {
                return;
            }
        }
    })
}

/// A mistake where nobody takes over: `watch` names it.
async fn nap() -> &'static str {
    tokio::time::sleep(Duration::from_millis(5)).await;
    std::thread::sleep(Duration::from_millis(20)); // slept here
    "slept\n"
}

async fn length(body: Bytes) -> String {
    format!("{}\n", body.len())
}

async fn not_found() -> (StatusCode, &'static str) {
    (StatusCode::NOT_FOUND, "nothing here\n")
}

fn app(executor: &Executor) -> Router {
    let found = executor.clone();
    let reports = async move || Json(found.reports());
    let kept = executor.clone();
    let quarantined = async move || Json(kept.quarantined());
    Router::new()
        .route("/ping", get(|| async { "pong\n" }))
        .route("/hold", get(hold))
        .route("/release", post(release))
        .route("/boom", get(boom))
        .route("/export", get(export))
        .route("/torn", get(torn))
        .route("/events", get(events))
        .route("/echo", get(echo))
        .route("/length", post(length))
        .nest("/users", Router::new().route("/{id}", get(user)))
        .fallback(not_found)
        .layer(evenkeel_guard::axum::layer(executor))
        .route("/stock/nap", get(nap))
        .route("/reports", get(reports))
        .route("/quarantined", get(quarantined))
        .with_state(Arc::default())
}

fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_ansi(false).with_writer(std::io::stderr).init();
    let mut builder = Builder::new_multi_thread();
    let _guard = evenkeel_guard::watch(builder.worker_threads(2).enable_all());
    let runtime = builder.build()?;
    let executor = Executor::threads(runtime.handle().clone(), 2);
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("http://{}", listener.local_addr()?);
        axum::serve(listener, app(&executor)).await?;
        Ok(())
    })
}
