//! One command with everything in it: a shared rate limit, a circuit breaker, an HTTP call, a reply, and work that is
//! done elsewhere because it keeps a processor busy.
//!
//! `WEATHER_URL` names the service; it answers `GET /weather/<city>` with `{"summary": "..", "readings": [..]}`.

use evenkeel::offload::offload;
use evenkeel::sandbox::{Page, Sandbox};
use evenkeel::{App, Captures, Context, Result, Router, State};
use serde::Deserialize;

#[derive(Clone)]
pub(crate) struct Service(pub(crate) String);

#[derive(Deserialize)]
struct City {
    city: String,
}

#[derive(Deserialize)]
struct Report {
    summary: String,
    readings: Vec<f64>,
}

async fn weather(
    cx: Context,
    State(Service(base)): State<Service>,
    Captures(City { city }): Captures<City>,
) -> Result<String> {
    let url = format!("{base}/weather/{}", city.replace(' ', "%20"));
    let report: Report = cx
        .breaker("weather_api")
        .call(async || {
            cx.rate_limit().await;
            Ok(cx.http().get(&url).send().await?.error_for_status()?.json().await?)
        })
        .await?;
    let average = offload(move || expensive_calculation(&report.readings)).await?;
    Ok(format!("{city}: {}, {average:.1} degrees on average", report.summary))
}

/// Stands for anything that computes for long.
fn expensive_calculation(readings: &[f64]) -> f64 {
    readings.iter().sum::<f64>() / readings.len().max(1) as f64
}

pub(crate) fn app(service: Service) -> App {
    Router::new().regex(r"^!weather (?P<city>[\w .-]{1,64})$", weather).with_state(service)
}

fn main() -> Result<()> {
    let service = std::env::var("WEATHER_URL").unwrap_or_else(|_| "http://127.0.0.1:9000".into());
    evenkeel::run(Sandbox::new().with_page(Page::bind("127.0.0.1:0")?), app(Service(service)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use evenkeel::retry::Retry;
    use evenkeel::testing::chat;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::{Service, app};

    /// Answers every request with `answer`, and counts them.
    async fn service(answer: &'static str) -> (Service, Arc<AtomicU32>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let requests = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&requests);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                let mut request = [0; 4096];
                let _read = stream.read(&mut request).await.expect("a request");
                count.fetch_add(1, Ordering::Relaxed);
                stream.write_all(answer.as_bytes()).await.expect("still connected");
            }
        });
        (Service(url), requests)
    }

    const SUNNY: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 40\r\n\r\n{\"summary\":\"sunny\",\"readings\":[20,22.0]}";
    const BROKEN: &str = "HTTP/1.1 500 Oh No\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

    #[tokio::test]
    async fn the_weather_is_told() {
        let (service, _) = service(SUNNY).await;
        let mut chat = chat(app(service));
        assert_eq!(chat.say("!weather Oslo").await, ["Oslo: sunny, 21.0 degrees on average"]);
    }

    #[tokio::test]
    async fn a_broken_service_is_left_alone_after_five_failures() {
        let (service, requests) = service(BROKEN).await;
        // One attempt each: what a breaker lets through again after half a minute is not what this is about.
        let mut chat = chat(app(service).with_retry(Retry::never()));
        assert_eq!(chat.say("!weather Oslo").await, ["Sorry, something went wrong. It has been logged."]);
        for _ in 0..7 {
            // The next apology of a conversation comes after a minute.
            assert!(chat.say("!weather Oslo").await.is_empty());
        }
        assert_eq!(requests.load(Ordering::Relaxed), 5);
    }
}
