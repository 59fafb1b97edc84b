//! One command with everything in it: a shared rate limit, a circuit breaker, an HTTP call, a reply, and work that is
//! done elsewhere because it keeps a processor busy.
//!
//! `WEATHER_URL` names the service; it answers `GET /weather/<city>` with `{"summary": "..", "readings": [..]}`.

use evenkeel::offload::offload;
use evenkeel::sandbox::{Page, Sandbox};
use evenkeel::{App, Captures, Context, Result, Router, State};
use serde::Deserialize;

#[derive(Clone)]
struct Service(String);

#[derive(Deserialize)]
struct City {
    city: String,
}

#[derive(Deserialize)]
struct Report {
    summary: String,
    readings: Vec<f64>,
}

async fn weather(cx: Context, service: State<Service>, Captures(City { city }): Captures<City>) -> Result<String> {
    let url = format!("{}/weather/{}", service.0.0, city.replace(' ', "%20"));
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

fn app(service: Service) -> App {
    Router::new().regex(r"^!weather (?P<city>[\w .-]{1,64})$", weather).with_state(service)
}

fn main() -> Result<()> {
    let service = std::env::var("WEATHER_URL").unwrap_or_else(|_| "http://127.0.0.1:9000".into());
    evenkeel::run(Sandbox::new().with_page(Page::bind("127.0.0.1:0")?), app(Service(service)))
}

#[cfg(test)]
mod tests {
    use evenkeel::testing::chat;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::{Service, app};

    /// Answers each request with the next of these; then nobody listens any more.
    async fn service(answers: Vec<&'static str>) -> Service {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        tokio::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                let mut request = [0; 4096];
                let _read = stream.read(&mut request).await.expect("a request");
                stream.write_all(answer.as_bytes()).await.expect("still connected");
            }
        });
        Service(url)
    }

    const SUNNY: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 40\r\n\r\n{\"summary\":\"sunny\",\"readings\":[20,22.0]}";
    const BROKEN: &str = "HTTP/1.1 500 Oh No\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

    #[tokio::test]
    async fn the_weather_is_told() {
        let mut chat = chat(app(service(vec![SUNNY]).await));
        assert_eq!(chat.say("!weather Oslo").await, ["Oslo: sunny, 21.0 degrees on average"]);
    }

    #[tokio::test]
    async fn a_broken_service_is_not_asked_again() {
        // Five failures open the breaker; the sixth call does not reach the service, which could tell.
        let mut chat = chat(app(service(vec![BROKEN; 5]).await));
        for _ in 0..6 {
            let reply = chat.say("!weather Oslo").await;
            assert_eq!(reply, ["Sorry, something went wrong. It has been logged."]);
        }
    }
}
