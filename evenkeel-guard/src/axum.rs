//! A layer for axum: each route under a label of its own, so that one bad handler puts one route in quarantine.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::panic::Location;
use std::pin::Pin;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::task::{Context, Poll, ready};

use ::axum::body::{Body, Bytes, HttpBody};
use ::axum::extract::{MatchedPath, Request};
use ::axum::http::{Method, StatusCode, header::RETRY_AFTER};
use ::axum::response::{IntoResponse, Response};
use http_body::Frame;
use tokio::sync::mpsc;
use tower_layer::Layer;
use tower_service::Service;

use crate::executor::{Executor, RunError, Task};
use crate::report::Label;

/// What no route matches.
const NOT_FOUND: &str = "not found";
/// Seconds after which a client may try again what was refused.
const RETRY_SECONDS: &str = "1";
/// The methods that have a label of their own; all others share one for each route.
const METHODS: [Method; 8] = [
    Method::GET,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::HEAD,
    Method::OPTIONS,
    Method::CONNECT,
];
/// Frames of a streamed body that are made before the client has taken the ones before.
const AHEAD: usize = 1;

/// Runs the handlers behind it on `executor`, each route and method under its own label: `GET /users/{id}`.
///
/// For `Router::layer` and `Router::route_layer`; everything inside runs on the executor: extractors, inner layers, the
/// handler, and a body that is streamed (one whose length is not known beforehand; one frame is made ahead). What no
/// route matches shares the label `not found`. A route in quarantine with a full queue answers 503 with `Retry-After`,
/// a handler that panics 500. A client that goes away cancels its handler at the next `.await`. A streamed body is spawned,
/// and waits in quarantine without a bound.
///
/// The line of each label is that of the call of `layer`: in a program without line tables a report points there, and names
/// the route.
///
/// What a handler gives to `tokio::spawn`, a WebSocket's `on_upgrade` included, runs on the runtime:
/// [`watch`](crate::watch) sees it there.
///
/// ```
/// use axum::{Router, routing::get};
/// use evenkeel_guard::Executor;
///
/// let runtime = tokio::runtime::Runtime::new()?;
/// let executor = Executor::threads(runtime.handle().clone(), 2);
/// let app = Router::<()>::new().route("/ping", get(|| async { "pong" })).layer(evenkeel_guard::axum::layer(&executor));
/// # drop(app); Ok::<(), std::io::Error>(())
/// ```
#[track_caller]
pub fn layer(executor: &Executor) -> Guarded {
    Guarded { executor: executor.clone(), routes: Arc::new(Routes::new(Location::caller())) }
}

/// The layer of [`layer()`].
#[derive(Clone, Debug)]
pub struct Guarded {
    executor: Executor,
    routes: Arc<Routes>,
}

/// A service whose calls run on an executor.
#[derive(Clone, Debug)]
pub struct GuardedService<S> {
    inner: S,
    guarded: Guarded,
}

impl<S> Layer<S> for Guarded {
    type Service = GuardedService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        GuardedService { inner, guarded: self.clone() }
    }
}

impl<S> Service<Request> for GuardedService<S>
where
    S: Service<Request> + Clone + Send + 'static,
    S::Response: IntoResponse,
    S::Error: Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        // The one that said that it is ready; its clone need not be.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let Guarded { executor, routes } = self.guarded.clone();
        let label = routes.label(&request);
        Box::pin(async move {
            let (on, under) = (executor.clone(), label.clone());
            let handler = async move {
                let answer = inner.call(request).await?;
                Ok(answer.into_response().map(|body| streamed(body, &on, &under)))
            };
            executor.run(label, handler).await.unwrap_or_else(|error| Ok(refusal(error)))
        })
    }
}

fn refusal(error: RunError) -> Response {
    match error {
        RunError::Busy => {
            let later = [(RETRY_AFTER, RETRY_SECONDS)];
            (StatusCode::SERVICE_UNAVAILABLE, later, "busy, try again later\n").into_response()
        }
        RunError::Ended => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// One label for each route and method. Bounded, as routes and methods are; what a client makes up has none.
#[derive(Debug)]
struct Routes {
    location: &'static Location<'static>,
    paths: RwLock<HashMap<Box<str>, Arc<ByMethod>>>,
    not_found: Label,
}

/// The last one is for all methods that are not in [`METHODS`].
type ByMethod = [OnceLock<Label>; METHODS.len() + 1];

impl Routes {
    fn new(location: &'static Location<'static>) -> Self {
        Self { location, paths: RwLock::default(), not_found: Label::at(NOT_FOUND, location) }
    }

    fn label(&self, request: &Request) -> Label {
        let Some(path) = request.extensions().get::<MatchedPath>() else { return self.not_found.clone() };
        let number = METHODS.iter().position(|method| method == request.method()).unwrap_or(METHODS.len());
        let method = METHODS.get(number).map_or("OTHER", Method::as_str);
        let by_method = self.of_path(path.as_str());
        by_method[number]
            .get_or_init(|| Label::at(format!("{method} {}", path.as_str()), self.location))
            .clone()
    }

    fn of_path(&self, path: &str) -> Arc<ByMethod> {
        let known = self.paths.read().unwrap_or_else(PoisonError::into_inner).get(path).cloned();
        known.unwrap_or_else(|| {
            let mut paths = self.paths.write().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(paths.entry(path.into()).or_default())
        })
    }
}

/// Has a body whose length is not known beforehand made on the executor: its stream is the author's code, too.
fn streamed(mut body: Body, executor: &Executor, label: &Label) -> Body {
    if body.is_end_stream() || body.size_hint().exact().is_some() {
        return body;
    }
    let (made, frames) = mpsc::channel(AHEAD);
    let task = executor.spawn(label, async move {
        loop {
            let frame = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
            let is_last = frame.is_none();
            // A client that has gone away drops the other end, and with it this task.
            if made.send(frame).await.is_err() || is_last {
                return;
            }
        }
    });
    Body::new(Streamed { frames, is_over: false, _task: task })
}

/// The frames of a body that is made elsewhere. The last thing in the channel is `None`, unless the stream has panicked.
struct Streamed {
    frames: mpsc::Receiver<Option<Result<Frame<Bytes>, ::axum::Error>>>,
    is_over: bool,
    /// Dropped with the body, it ends the stream.
    _task: Task,
}

impl HttpBody for Streamed {
    type Data = Bytes;
    type Error = ::axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ::axum::Error>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let frame =
            ready!(self.frames.poll_recv(cx)).unwrap_or_else(|| Some(Err(::axum::Error::new(Broken))));
        self.is_over = !matches!(frame, Some(Ok(_)));
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.is_over
    }
}

/// The stream of a body has panicked, or its executor has ended: the client must not take what it has for all.
#[derive(Debug)]
struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the stream of this body panicked, or its executor has ended")
    }
}

impl Error for Broken {}
