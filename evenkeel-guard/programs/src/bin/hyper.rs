//! A service on hyper alone: its author finds the handler, and gives each its label.
//!
//! `cargo run --release --bin hyper`

use std::convert::Infallible;
use std::error::Error;
use std::sync::{Arc, Condvar, Mutex};

use bytes::Bytes;
use evenkeel_guard::{Executor, Label, RunError};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

type Answer = Response<Full<Bytes>>;

/// What the handlers share, and a label for each, made once.
struct Service {
    executor: Executor,
    is_open: Mutex<bool>,
    opens: Condvar,
    ping: Label,
    hold: Label,
    release: Label,
    length: Label,
    not_found: Label,
}

impl Service {
    fn new(executor: Executor) -> Self {
        Self {
            executor,
            is_open: Mutex::default(),
            opens: Condvar::new(),
            ping: Label::new("GET /ping"),
            hold: Label::new("GET /hold"),
            release: Label::new("POST /release"),
            length: Label::new("POST /length"),
            not_found: Label::new("not found"),
        }
    }

    fn label(&self, request: &Request<Incoming>) -> Label {
        let label = match (request.method(), request.uri().path()) {
            (&Method::GET, "/ping") => &self.ping,
            (&Method::GET, "/hold") => &self.hold,
            (&Method::POST, "/release") => &self.release,
            (&Method::POST, "/length") => &self.length,
            _ => &self.not_found,
        };
        label.clone()
    }

    /// All that is behind the label runs on the executor, reading the request's body included.
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        match (request.method(), request.uri().path()) {
            (&Method::GET, "/ping") => text(StatusCode::OK, "pong\n"),
            (&Method::GET, "/hold") => self.held(),
            (&Method::POST, "/release") => self.released(),
            (&Method::POST, "/length") => match request.into_body().collect().await {
                Ok(body) => text(StatusCode::OK, format!("{}\n", body.to_bytes().len())),
                Err(error) => text(StatusCode::BAD_REQUEST, format!("{error}\n")),
            },
            _ => text(StatusCode::NOT_FOUND, "nothing here\n"),
        }
    }

    /// The mistake.
    fn held(&self) -> Answer {
        let closed = self.is_open.lock().expect("no holder panics");
        drop(self.opens.wait_while(closed, |is_open| !*is_open)); // held here
        text(StatusCode::OK, "held\n")
    }

    fn released(&self) -> Answer {
        *self.is_open.lock().expect("no holder panics") = true;
        self.opens.notify_all();
        text(StatusCode::OK, "released\n")
    }
}

fn text(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(text.into()));
    *answer.status_mut() = status;
    answer
}

async fn guarded(service: Arc<Service>, request: Request<Incoming>) -> Result<Answer, Infallible> {
    let label = service.label(&request);
    let answer = service.executor.run(label, Arc::clone(&service).answer(request)).await;
    Ok(answer.unwrap_or_else(|error| match error {
        RunError::Busy => text(StatusCode::SERVICE_UNAVAILABLE, "busy, try again later\n"),
        _ => text(StatusCode::INTERNAL_SERVER_ERROR, "that did not work\n"),
    }))
}

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_ansi(false).with_writer(std::io::stderr).init();
    let executor = Executor::threads(tokio::runtime::Handle::current(), 2);
    let service = Arc::new(Service::new(executor));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        let service = Arc::clone(&service);
        tokio::spawn(async move {
            let answers = service_fn(move |request| guarded(Arc::clone(&service), request));
            // A client that goes away in the middle is its own affair.
            let _ended = http1::Builder::new().serve_connection(TokioIo::new(stream), answers).await;
        });
    }
}
