use axum::body::{Body, to_bytes};
use axum::http::{Method, Request};
use tower::ServiceExt;

use super::*;
use crate::operator::Operator;
use crate::status::{Question, Status};

mod operator;

const BEARER: &str = "Bearer 0123456789abcdef0123456789abcdef";

fn token() -> Token {
    Token::read(BEARER.trim_start_matches("Bearer ")).unwrap()
}

fn page() -> (Router, Sandbox, watch::Sender<()>) {
    let (status, _) = Status::new();
    page_of(status, Operator::new().0)
}

fn page_of(status: Status, operator: Operator) -> (Router, Sandbox, watch::Sender<()>) {
    let sandbox = Sandbox::new();
    let (running, stopped) = watch::channel(());
    let chips = ["!ping".to_owned()].into();
    let Operator { letters, jobs } = operator;
    let handles = BotHandles { status, letters, jobs };
    let room = Room {
        sandbox: sandbox.clone(),
        handles: handles.clone(),
        name: "demo".into(),
        chips,
        story: [].into(),
        stopped,
    };
    (
        router(
            room,
            handles,
            Keys::new([Page::bind("127.0.0.1:0").unwrap().token, token()], STRANGER).unwrap(),
        ),
        sandbox,
        running,
    )
}

/// A request as a browser on the page sends it, but for `headers`.
fn request(method: Method, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path).body(body.into()).unwrap();
    let usual = [("host", "127.0.0.1:4242"), ("content-type", "application/json"), ("authorization", BEARER)];
    for (name, value) in usual.iter().chain(headers) {
        let name = axum::http::HeaderName::from_bytes(name.as_bytes()).unwrap();
        request.headers_mut().insert(name, HeaderValue::from_str(value).unwrap());
    }
    request
}

async fn get_status(path: &str, headers: &[(&str, &str)]) -> u16 {
    let (router, ..) = page();
    router.oneshot(request(Method::GET, path, headers, "")).await.unwrap().status().as_u16()
}

const HELLO: &str = r#"{"person":"alice","conversation":"alice","text":"hi"}"#;

async fn say_status(headers: &[(&str, &str)]) -> u16 {
    let (router, sandbox, _running) = page();
    let response = router.oneshot(request(Method::POST, "/api/say", headers, HELLO)).await.unwrap();
    let status = response.status().as_u16();
    assert_eq!(status == 200, !sandbox.watch().0.entries.is_empty(), "a refused post does nothing");
    status
}

#[tokio::test]
async fn a_name_that_was_pointed_here_is_refused() {
    for host in
        ["evil.example", "evil.example:4242", "127.0.0.1.evil.example", "localhost.evil", "", "0.0.0.0:4242"]
    {
        assert_eq!(get_status("/", &[("host", host)]).await, 403, "{host}");
        assert_eq!(get_status("/api/stream", &[("host", host)]).await, 403, "{host}");
    }
    for host in ["localhost:9000", "LOCALHOST", "127.0.0.1", "127.0.0.2:1", "[::1]:4242"] {
        assert_eq!(get_status("/", &[("host", host)]).await, 200, "{host}");
    }
}

#[tokio::test]
async fn other_sites_can_neither_post_nor_read() {
    assert_eq!(say_status(&[("origin", "http://evil.example")]).await, 403);
    assert_eq!(say_status(&[("origin", "null")]).await, 403);
    assert_eq!(say_status(&[("origin", "http://127.0.0.1:1")]).await, 403, "another port is another site");
    assert_eq!(say_status(&[("origin", "https://127.0.0.1:4242")]).await, 403);
    assert_eq!(say_status(&[("sec-fetch-site", "cross-site")]).await, 403);
    assert_eq!(say_status(&[("sec-fetch-site", "same-site")]).await, 403);
    assert_eq!(say_status(&[("content-type", "text/plain")]).await, 415, "what a form can post");
    assert_eq!(
        say_status(&[("origin", "http://127.0.0.1:4242"), ("sec-fetch-site", "same-origin")]).await,
        200
    );
    assert_eq!(get_status("/api/stream", &[("sec-fetch-site", "cross-site")]).await, 403);
    assert_eq!(get_status("/files/1", &[("sec-fetch-site", "same-site")]).await, 403);
    let link = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")];
    assert_eq!(get_status("/", &link).await, 200, "a link to the page is harmless");
    assert_eq!(get_status("/files/1", &link).await, 403);
}

/// Asks for a pardon: the answer, and the names that the bot was told to pardon.
async fn pardon(headers: &[(&str, &str)]) -> (u16, Vec<String>) {
    let (status, mut questions) = Status::new();
    let (router, ..) = page_of(status, Operator::new().0);
    let bot = async {
        let mut names = Vec::new();
        while let Some(Question::Pardon(name, answer)) = questions.recv().await {
            names.push(name);
            answer.send(1).unwrap();
        }
        names
    };
    let asked = router.oneshot(request(Method::POST, "/api/pardon", headers, r#"{"name":"!freeze"}"#));
    let (response, names) = tokio::join!(asked, bot);
    (response.unwrap().status().as_u16(), names)
}

#[tokio::test]
async fn a_pardon_is_the_pages_own_to_give() {
    assert_eq!(pardon(&[]).await, (200, vec!["!freeze".to_owned()]));
    let nobody = Vec::<String>::new();
    for foreign in [("origin", "http://evil.example"), ("origin", "null"), ("sec-fetch-site", "cross-site")] {
        assert_eq!(pardon(&[foreign]).await, (403, nobody.clone()), "{foreign:?}");
    }
    assert_eq!(pardon(&[("host", "evil.example")]).await, (403, nobody.clone()));
    assert_eq!(pardon(&[("content-type", "text/plain")]).await, (415, nobody), "what a form can post");
    let (router, ..) = page();
    let late = request(Method::POST, "/api/pardon", &[], r#"{"name":"!freeze"}"#);
    assert_eq!(router.oneshot(late).await.unwrap().status(), 422, "a bot that has stopped");
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    for (path, host) in
        [("/", "localhost"), ("/page.js", "localhost"), ("/none", "localhost"), ("/", "evil.example")]
    {
        let (router, ..) = page();
        let response = router.oneshot(request(Method::GET, path, &[("host", host)], "")).await.unwrap();
        let headers = response.headers();
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["referrer-policy"], "no-referrer");
        let rules = headers["content-security-policy"].to_str().unwrap();
        assert!(rules.starts_with("default-src 'none'") && !rules.contains("unsafe"), "{rules}");
        assert!(!headers.contains_key("access-control-allow-origin"));
    }
}

async fn upload_file(router: &Router, content_type: &str, bytes: Vec<u8>) -> Result<String, u16> {
    let path = format!("/api/file?name=%C3%BC%22.svg&content_type={content_type}");
    let kind = [("content-type", "application/octet-stream")];
    let response = router.clone().oneshot(request(Method::POST, &path, &kind, bytes)).await.unwrap();
    if response.status() != 200 {
        return Err(response.status().as_u16());
    }
    let body = to_bytes(response.into_body(), 1000).await.unwrap();
    Ok(serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn nobodys_file_runs_on_the_page() {
    let (router, ..) = page();
    let cases = [
        ("image/png", "image/png", "inline"),
        ("image/svg%2Bxml", "application/octet-stream", "attachment"),
        ("text/html", "application/octet-stream", "attachment"),
        ("text/javascript", "application/octet-stream", "attachment"),
    ];
    for (claimed, served, disposition) in cases {
        let id = upload_file(&router, claimed, b"<script>".to_vec()).await.unwrap();
        let get = request(Method::GET, &format!("/files/{id}"), &[], "");
        let response = router.clone().oneshot(get).await.unwrap();
        let headers = response.headers();
        assert_eq!(headers["content-type"], served);
        let expected = format!("{disposition}; filename*=UTF-8''%C3%BC%22.svg");
        assert_eq!(headers["content-disposition"], expected);
        assert_eq!(headers["content-security-policy"], "default-src 'none'; sandbox");
        assert_eq!(headers["x-content-type-options"], "nosniff");
    }
}

#[tokio::test]
async fn bodies_are_bounded() {
    let (router, ..) = page();
    assert!(upload_file(&router, "image/png", vec![0; 8 << 20]).await.is_ok());
    assert_eq!(upload_file(&router, "image/png", vec![0; (8 << 20) + 1]).await, Err(413));
    let long = format!(r#"{{"person":"alice","conversation":"alice","text":"{}"}}"#, "x".repeat(600 << 10));
    let response = router.oneshot(request(Method::POST, "/api/say", &[], long)).await.unwrap();
    assert_eq!(response.status(), 413);
}

#[tokio::test]
async fn a_file_goes_out_with_the_message_that_names_it() {
    let (router, sandbox, _running) = page();
    let id = upload_file(&router, "image/png", vec![1, 2]).await.unwrap();
    let body = format!(r#"{{"person":"bob","conversation":"crew","text":"","files":["{id}"]}}"#);
    let response = router.clone().oneshot(request(Method::POST, "/api/say", &[], body)).await.unwrap();
    assert_eq!(response.status(), 200);
    let (scene, _) = sandbox.watch();
    assert_eq!(&*scene.entries[0].message.attachments[0].id, id);
    let body = r#"{"person":"bob","conversation":"crew","text":"","files":["file-none"]}"#;
    let response = router.oneshot(request(Method::POST, "/api/say", &[], body)).await.unwrap();
    assert_eq!(response.status(), 422);
}

#[tokio::test]
async fn the_stream_begins_with_everything_and_ends_with_the_server() {
    let (router, sandbox, running) = page();
    sandbox.say("alice", "alice", "before").unwrap();
    let response = router.oneshot(request(Method::GET, "/api/stream", &[], "")).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut events = response.into_body().into_data_stream();
    let scene = events.next().await.unwrap().unwrap();
    let scene = std::str::from_utf8(&scene).unwrap();
    assert!(
        scene.starts_with("event: scene\n") && scene.contains("before") && scene.contains("!ping"),
        "{scene}"
    );
    sandbox.say("alice", "alice", "after").unwrap();
    let change = events.next().await.unwrap().unwrap();
    assert!(std::str::from_utf8(&change).unwrap().starts_with("event: change\n"));
    drop(running);
    assert!(events.next().await.is_none());
}

#[test]
fn a_busy_port_is_named_with_a_way_out() {
    let first = Page::bind("127.0.0.1:0").unwrap();
    let address = first.address.to_string();
    let error = Page::bind(&address).unwrap_err();
    assert!(error.chain().contains(&address), "{}", error.chain());
    assert!(error.hint().unwrap().contains("another program"));
}

#[test]
fn the_page_is_for_this_computer_alone() {
    let error = Page::bind("0.0.0.0:0").unwrap_err();
    assert!(error.is_config() && error.hint().is_some());
    assert!(Page::bind("nonsense").is_err());
}
