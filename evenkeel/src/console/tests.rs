use axum::body::{Body, to_bytes};
use axum::http::Request;
use tower::ServiceExt;

use super::*;
use crate::operator::Operator;

fn console() -> (Router, watch::Sender<()>) {
    let ((status, _), (Operator { letters, jobs }, _)) = (Status::new(), Operator::new());
    let (serving, stopped) = watch::channel(());
    let about = About { transport: "pigeons", greeting: "two of them".to_owned() };
    let window = Window { about, status: status.clone(), stopped };
    (router(window, Desk { status, letters, jobs }), serving)
}

async fn get_from(host: &str, path: &str) -> Response {
    let request = Request::builder().uri(path).header("host", host).body(Body::empty()).unwrap();
    let (console, _serving) = console();
    console.oneshot(request).await.unwrap()
}

#[tokio::test]
async fn what_the_console_needs_is_there() {
    let mut asked = vec!["/".to_owned()];
    let mut count = 0;
    while let Some(path) = asked.pop() {
        let response = get_from("localhost", &path).await;
        assert_eq!(response.status(), 200, "{path}");
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        let text = std::str::from_utf8(&body).unwrap();
        let named = text.split('"').filter(|part| part.ends_with(".css") || part.ends_with(".js"));
        asked.extend(named.map(|name| format!("/{}", name.trim_start_matches(['.', '/']))));
        count += 1;
    }
    assert!(count >= 6, "the page names its parts: {count}");
}

#[tokio::test]
async fn the_console_answers_this_computer_alone() {
    for path in ["/", "/api/stream", "/api/dead", "/api/jobs", "/api/guarantees", "/api/dead/export"] {
        assert_eq!(get_from("evil.example", path).await.status(), 403, "{path}");
    }
    let error = Console::bind("0.0.0.0:0").unwrap_err();
    assert!(error.is_config() && error.to_string().contains("the console"), "{error}");
    assert!(error.hint().unwrap().contains("ssh -L"));
    assert!(Console::bind("nonsense").is_err());
    let first = Console::bind("127.0.0.1:0").unwrap();
    let error = Console::bind(first.url().trim_start_matches("http://").trim_end_matches('/')).unwrap_err();
    assert!(error.hint().unwrap().contains("another program"));
}

#[tokio::test]
async fn the_stream_says_which_bot_it_is_and_ends_with_the_console() {
    let (console, serving) = console();
    let request =
        Request::builder().uri("/api/stream").header("host", "localhost").body(Body::empty()).unwrap();
    let mut events = console.oneshot(request).await.unwrap().into_body().into_data_stream();
    let about = events.next().await.unwrap().unwrap();
    let about = std::str::from_utf8(&about).unwrap();
    assert!(about.starts_with("event: about\n") && about.contains("two of them"), "{about}");
    drop(serving);
    assert!(events.next().await.is_none());
}
