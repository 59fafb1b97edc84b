use std::net::SocketAddr;

use axum::routing::{get, post};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::console::{Keys, Token, guard};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const LIMITS: Limits =
    Limits { connections: 8, head: Duration::from_secs(10), unread: Duration::from_secs(20) };

/// A page with something small, something that takes a body, and something that never ends. Time is paused: it passes while
/// nobody has anything to do.
async fn page() -> SocketAddr {
    let endless = || async {
        let pages = futures_util::stream::repeat_with(|| Ok::<_, Infallible>(vec![b'x'; 64 << 10]));
        axum::body::Body::from_stream(pages)
    };
    let router = Router::new()
        .route("/", get(|| async { "hello" }))
        .route("/body", post(|body: String| async move { body }))
        .route("/endless", get(endless))
        .layer(axum::middleware::from_fn_with_state(Keys::new(Token::read(TOKEN), "").unwrap(), guard));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // Ends with the test's runtime.
    tokio::spawn(async move { match serve(listener, router, LIMITS).await {} });
    address
}

async fn say(address: SocketAddr, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

fn head(line: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: 127.0.0.1:4243\r\nAuthorization: Bearer {TOKEN}\r\n")
}

/// Everything until the other side ends the connection.
async fn rest(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    // A connection that was ended in the middle says so, and that is an end.
    let _ended = stream.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn is_answered(address: SocketAddr) {
    let answer = rest(say(address, &format!("{}Connection: close\r\n\r\n", head("GET /"))).await).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("hello"), "{answer}");
}

/// How many of these the other side has not ended.
fn open(streams: &[TcpStream]) -> usize {
    let is_open = |stream: &&TcpStream| loop {
        match stream.try_read(&mut [0; 1 << 12]) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        }
    };
    streams.iter().filter(is_open).count()
}

/// Lets the page do everything it can without time passing.
async fn settled() {
    for _ in 0..2_000 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn strangers_take_no_more_than_the_limit_and_nobody_elses_place() {
    let address = page().await;
    for (what, text) in [
        ("idle", String::new()),
        ("half a head", "GET / HTTP/1.1\r\nHost: 127.0".to_owned()),
        (
            "half a body",
            "POST /body HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\nhalf".to_owned(),
        ),
        ("a stream", "GET /endless HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".to_owned()),
    ] {
        let mut streams = Vec::new();
        for _ in 0..200 {
            // One that was ended meanwhile may say so while it is written to.
            let mut stream = TcpStream::connect(address).await.unwrap();
            let _ended = stream.write_all(text.as_bytes()).await;
            streams.push(stream);
        }
        settled().await;
        is_answered(address).await;
        settled().await;
        let open = open(&streams);
        assert!(open <= LIMITS.connections, "{what}: {open} of 200");
    }
}

#[tokio::test(start_paused = true)]
async fn what_sends_no_whole_head_ends_in_time() {
    let address = page().await;
    for text in ["", "GET / HT", "GET / HTTP/1.1\r\nX: ", "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n"] {
        let since = tokio::time::Instant::now();
        rest(say(address, text).await).await;
        assert!(since.elapsed() >= LIMITS.head && since.elapsed() < 2 * LIMITS.head, "{text:?}");
    }
    // One letter every five seconds is not enough either.
    let (mut stream, since) = (say(address, "GET / HTTP/1.1\r\n").await, tokio::time::Instant::now());
    while stream.write_all(b"X").await.is_ok() && since.elapsed() < 4 * LIMITS.head {
        sleep(Duration::from_secs(5)).await;
    }
    assert!(since.elapsed() < 4 * LIMITS.head);
    is_answered(address).await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_to_its_end_is_given_up() {
    let address = page().await;
    for body in ["Content-Length: 100\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"] {
        let since = tokio::time::Instant::now();
        let answer = rest(say(address, &format!("{}{body}", head("POST /body"))).await).await;
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        assert!(since.elapsed() <= Duration::from_secs(60), "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_visitor_that_reads_nothing_is_dropped() {
    let address = page().await;
    let request = format!("{}\r\n", head("GET /endless"));
    let mut streams = Vec::new();
    for _ in 0..LIMITS.connections {
        streams.push(say(address, &request).await);
    }
    settled().await;
    // All places are taken by visitors with the token: a newcomer is not let in,
    assert_eq!(rest(say(address, &format!("{}\r\n", head("GET /"))).await).await, "");
    // until those that read nothing are dropped.
    sleep(2 * LIMITS.unread).await;
    settled().await;
    is_answered(address).await;
}
