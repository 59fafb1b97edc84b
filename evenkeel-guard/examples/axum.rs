//! An axum server whose handlers cannot hold each other up.
//!
//! `cargo run --release -p evenkeel-guard --features axum --example axum -- 3000`, then `curl localhost:3000/nap` beside `curl localhost:3000/ping`.
//! The log names the line that blocks. `/stock/nap` is the same handler where it is only watched: on stock tokio.

#![allow(clippy::print_stdout, reason = "anyone who asked for port 0 has to learn which it is")]

use std::error::Error;
use std::time::Duration;

use axum::{Json, Router, routing::get};
use evenkeel_guard::Executor;
use tokio::net::TcpListener;
use tokio::runtime::Builder;

async fn ping() -> &'static str {
    "pong\n"
}

#[cfg(test)]
const THE_MISTAKE: u32 = line!();

/// The mistake.
async fn nap() -> &'static str {
    std::thread::sleep(Duration::from_millis(500));
    "slept\n"
}

fn app(executor: &Executor) -> Router {
    let found = executor.clone();
    let reports = async move || Json(found.reports());
    Router::new()
        .route("/ping", get(ping))
        .route("/nap", get(nap))
        .layer(evenkeel_guard::axum::layer(executor))
        .route("/stock/nap", get(nap))
        .route("/reports", get(reports))
}

fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let port: u16 = std::env::args().nth(1).map_or(Ok(0), |port| port.parse())?;

    let mut builder = Builder::new_multi_thread();
    // Names what blocks the runtime's own threads.
    let _guard = evenkeel_guard::watch(builder.enable_all());
    let runtime = builder.build()?;
    // And these threads are replaced when they block.
    let executor = Executor::threads(runtime.handle().clone(), 2);

    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        println!("http://{}", listener.local_addr()?);
        axum::serve(listener, app(&executor)).await?;
        Ok(())
    })
}

#[cfg(test)]
async fn get_from(address: std::net::SocketAddr, path: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("the server listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("the server reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("the server answers in text");
    answer
}

#[test]
fn the_server_answers_and_both_guards_name_the_line_that_blocks() {
    let mut builder = Builder::new_multi_thread();
    let guard = evenkeel_guard::watch(builder.worker_threads(2).enable_all());
    let runtime = builder.build().expect("threads are there");
    let executor = Executor::threads(runtime.handle().clone(), 2);
    let (mut on_stock, mut on_threads) = (guard.subscribe(), executor.subscribe());
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let app = app(&executor);
    runtime.spawn(async { axum::serve(listener, app).await });
    runtime.block_on(async {
        for (path, answer) in [("/ping", "pong\n"), ("/nap", "slept\n"), ("/stock/nap", "slept\n")] {
            assert!(get_from(address, path).await.ends_with(answer), "{path}");
        }
        let report = on_threads.next().await.expect("the executor lives");
        assert_eq!(
            (&*report.name, &*report.call, report.line),
            ("GET /nap", "std::thread::sleep", THE_MISTAKE + 4),
            "{report}"
        );
        let report = on_stock.next().await.expect("the runtime lives");
        assert_eq!((&*report.call, report.line), ("std::thread::sleep", THE_MISTAKE + 4), "{report}");
        assert!(get_from(address, "/reports").await.contains(r#""name":"GET /nap""#));
    });
}
