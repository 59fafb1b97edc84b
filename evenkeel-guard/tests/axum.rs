//! The layer for axum: labels, quarantine and answers. `programs/` has it in a server with clients.

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::extract::{FromRequestParts, Path, Request, State};
use axum::http::{Method, StatusCode, header::RETRY_AFTER, request::Parts};
use axum::response::Response;
use axum::routing::{any, get};
use evenkeel_guard::{Executor, Options};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::Notify;
use tower_service::Service;

async fn nap() -> &'static str {
    std::thread::sleep(Duration::from_millis(20));
    "slept"
}

async fn ask(app: &Router, method: Method, path: &str) -> Response {
    let request = Request::builder().method(method).uri(path).body(Body::empty()).expect("a request");
    let mut app = app.clone();
    app.call(request).await.unwrap_or_else(|never: Infallible| match never {})
}

async fn text(answer: Response) -> String {
    let bytes = to_bytes(answer.into_body(), 1 << 20).await.expect("a whole body");
    String::from_utf8(bytes.to_vec()).expect("text")
}

fn executor(options: &Options) -> Executor {
    Executor::with(Handle::current(), options)
}

/// Waits for what happens on other threads.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let waits = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waits)
        .await
        .unwrap_or_else(|_| panic!("{what} never came"));
}

fn names(executor: &Executor) -> Vec<String> {
    executor.quarantined().into_iter().map(|quarantined| quarantined.name).collect()
}

#[tokio::test]
async fn one_bad_handler_quarantines_one_route_and_method() {
    let executor = executor(&Options::default().with_workers(2));
    let inner = Router::new().route("/{id}/nap", get(nap).post(|| async { "posted" }));
    let app = Router::new()
        .nest("/users", inner)
        .route("/ping", get(|| async { "pong" }))
        .layer(evenkeel_guard::axum::layer(&executor));
    for id in 0..3 {
        assert_eq!(text(ask(&app, Method::GET, &format!("/users/{id}/nap")).await).await, "slept");
    }
    until("the strike", || !names(&executor).is_empty()).await;
    assert_eq!(text(ask(&app, Method::POST, "/users/1/nap").await).await, "posted");
    assert_eq!(text(ask(&app, Method::GET, "/ping").await).await, "pong");
    assert_eq!(names(&executor), ["GET /users/{id}/nap"]);
}

#[tokio::test]
async fn what_no_route_matches_shares_one_label() {
    let executor = executor(&Options::default());
    let app = Router::<()>::new().fallback(nap).layer(evenkeel_guard::axum::layer(&executor));
    for path in ["/a", "/b", "/c/d"] {
        assert_eq!(text(ask(&app, Method::GET, path).await).await, "slept");
    }
    until("the strike", || !names(&executor).is_empty()).await;
    assert_eq!(names(&executor), ["not found"]);
}

#[tokio::test]
async fn methods_that_a_client_makes_up_share_one_label() {
    let executor = executor(&Options::default());
    let app = Router::<()>::new().route("/", any(nap)).layer(evenkeel_guard::axum::layer(&executor));
    for method in ["BREW", "WHEN"] {
        let method = Method::from_bytes(method.as_bytes()).expect("a token");
        assert_eq!(text(ask(&app, method, "/").await).await, "slept");
    }
    until("the strike", || !names(&executor).is_empty()).await;
    assert_eq!(names(&executor), ["OTHER /"]);
}

#[tokio::test]
async fn a_handler_that_panics_answers_500_and_the_others_live() {
    let executor = executor(&Options::default());
    let boom = || async {
        if executor_lives() {
            panic!("on purpose")
        }
    };
    let app = Router::<()>::new()
        .route("/boom", get(boom))
        .route("/ping", get(|| async { "pong" }))
        .route_layer(evenkeel_guard::axum::layer(&executor));
    for _ in 0..3 {
        assert_eq!(ask(&app, Method::GET, "/boom").await.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(text(ask(&app, Method::GET, "/ping").await).await, "pong");
    }
}

/// So that the compiler does not know how the handler ends.
fn executor_lives() -> bool {
    std::hint::black_box(true)
}

#[tokio::test]
async fn a_route_whose_queue_is_full_answers_503_and_says_when_to_try_again() {
    let executor = executor(&Options::default().with_quarantine(1, 1).with_queue(1));
    let app = Router::<()>::new()
        .route("/nap", get(|| async { std::thread::sleep(Duration::from_millis(300)) }))
        .route("/ping", get(|| async { "pong" }))
        .layer(evenkeel_guard::axum::layer(&executor));
    assert_eq!(ask(&app, Method::GET, "/nap").await.status(), StatusCode::OK);
    until("the strike", || !names(&executor).is_empty()).await;
    let asked: Vec<_> = (0..8)
        .map(|_| {
            let app = app.clone();
            tokio::spawn(async move { ask(&app, Method::GET, "/nap").await })
        })
        .collect();
    let mut refused = 0;
    for asked in asked {
        let answer = asked.await.expect("an answer");
        if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
            assert_eq!(answer.headers()[RETRY_AFTER], "1");
            refused += 1;
        }
    }
    assert!(refused > 0, "eight at once, one thread, a queue for one");
    assert_eq!(text(ask(&app, Method::GET, "/ping").await).await, "pong");
}

/// An extractor that blocks.
struct Session;

impl<S: Sync> FromRequestParts<S> for Session {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Infallible> {
        std::thread::sleep(Duration::from_millis(20));
        Ok(Self)
    }
}

#[tokio::test]
async fn an_extractor_that_blocks_counts_for_its_route_and_state_is_there() {
    let executor = executor(&Options::default());
    let mut reports = executor.subscribe();
    let answers = |State(greeting): State<&'static str>, Path(name): Path<String>, _: Session| async move {
        format!("{greeting} {name}")
    };
    let app = Router::new()
        .route("/hello/{name}", get(answers))
        .layer(evenkeel_guard::axum::layer(&executor))
        .with_state("hello");
    assert_eq!(text(ask(&app, Method::GET, "/hello/you").await).await, "hello you");
    let report = reports.next().await.expect("the executor lives");
    assert_eq!((&*report.name, &*report.call), ("GET /hello/{name}", "std::thread::sleep"));
}

/// Polls that end in a frame, and what a frame is made of is up to `make`.
struct Frames<F>(F);

impl<F: FnMut() -> Option<Bytes> + Unpin> HttpBody for Frames<F> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, axum::Error>>> {
        std::task::Poll::Ready((self.0)().map(|bytes| Ok(http_body::Frame::data(bytes))))
    }
}

fn streams(make: impl FnMut() -> Option<Bytes> + Send + Unpin + 'static) -> Body {
    Body::new(Frames(make))
}

#[tokio::test]
async fn a_streamed_body_runs_on_the_executor_too() {
    let executor = executor(&Options::default());
    let mut reports = executor.subscribe();
    let rows = || async {
        let mut rows = 0..3;
        streams(move || {
            let row = rows.next()?;
            std::thread::sleep(Duration::from_millis(5));
            Some(Bytes::from(format!("{row};")))
        })
    };
    let app = Router::<()>::new().route("/rows", get(rows)).layer(evenkeel_guard::axum::layer(&executor));
    assert_eq!(text(ask(&app, Method::GET, "/rows").await).await, "0;1;2;");
    let report = reports.next().await.expect("the executor lives");
    assert_eq!((&*report.name, &*report.call), ("GET /rows", "std::thread::sleep"));
}

#[tokio::test]
async fn a_stream_that_panics_breaks_off_and_does_not_look_whole() {
    let executor = executor(&Options::default());
    let rows = || async {
        let mut rows = 0..2;
        streams(move || Some(Bytes::from(format!("{};", rows.next().expect("on purpose")))))
    };
    let app = Router::<()>::new().route("/rows", get(rows)).layer(evenkeel_guard::axum::layer(&executor));
    let answer = ask(&app, Method::GET, "/rows").await;
    assert!(to_bytes(answer.into_body(), 1 << 20).await.is_err(), "what came is not all");
}

#[tokio::test]
async fn a_client_that_goes_away_cancels_its_handler_and_its_stream() {
    /// Counts what is dropped.
    struct Counts(Arc<AtomicU32>);
    impl Drop for Counts {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let executor = executor(&Options::default());
    let (dropped, begun) = (Arc::<AtomicU32>::default(), Arc::<Notify>::default());
    let (of_handler, of_stream, begins) = (Arc::clone(&dropped), Arc::clone(&dropped), Arc::clone(&begun));
    let waits = move || {
        let (counts, begins) = (Counts(Arc::clone(&of_handler)), Arc::clone(&begins));
        async move {
            begins.notify_one();
            std::future::pending::<()>().await;
            drop(counts);
        }
    };
    let endless = move || {
        let counts = Counts(Arc::clone(&of_stream));
        async move {
            streams(move || {
                let _held = &counts;
                Some(Bytes::from_static(b"more"))
            })
        }
    };
    let app = Router::<()>::new()
        .route("/waits", get(waits))
        .route("/endless", get(endless))
        .layer(evenkeel_guard::axum::layer(&executor));
    let mut asked = Box::pin(ask(&app, Method::GET, "/waits"));
    tokio::select! {
        _ = &mut asked => panic!("it waits for ever"),
        () = begun.notified() => {}
    }
    drop(asked);
    until("the end of the handler", || dropped.load(Ordering::SeqCst) == 1).await;

    let mut body = ask(&app, Method::GET, "/endless").await.into_body();
    let frame = poll_fn(|cx| std::pin::Pin::new(&mut body).poll_frame(cx)).await;
    assert!(frame.is_some_and(|frame| frame.is_ok()));
    drop(body);
    until("the end of the stream", || dropped.load(Ordering::SeqCst) == 2).await;
}

#[test]
fn a_server_without_its_executors_runtime_says_so() {
    let runtime = Runtime::new().expect("a runtime");
    let other = Runtime::new().expect("another");
    let executor = Executor::threads(other.handle().clone(), 1);
    let app = Router::<()>::new()
        .route("/timer", get(|| async { tokio::time::sleep(Duration::from_millis(1)).await }))
        .layer(evenkeel_guard::axum::layer(&executor));
    drop(other);
    let answer = runtime.block_on(ask(&app, Method::GET, "/timer"));
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
}
