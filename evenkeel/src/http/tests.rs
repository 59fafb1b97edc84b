//! The client against a small server on the loopback interface.
//!
//! Tests on sockets run on real time, since a paused clock jumps over waits for the network; none of them depends on
//! how long anything takes. Where time has to run out, it is paused, so that it does at once.

use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Barrier;
use tokio::task::{JoinHandle, JoinSet};

use super::*;

/// `"hello "` a thousand times, compressed.
const GZIP: [u8; 53] = [
    31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 237, 196, 49, 13, 0, 0, 8, 3, 48, 43, 152, 35, 225, 88, 130, 255, 15,
    17, 188, 237, 209, 233, 100, 107, 108, 219, 182, 109, 219, 182, 109, 219, 246, 227, 3, 193, 55, 12, 64,
    112, 23, 0, 0,
];

struct Server {
    url: String,
    shared: Arc<Shared>,
    /// Aborted on drop, and with it the connections, which it owns.
    accepting: JoinHandle<()>,
}

struct Shared {
    connections: AtomicUsize,
    inside: AtomicUsize,
    most_inside: AtomicUsize,
    /// Lets requests for `/pairs` through two by two.
    pairs: Barrier,
}

impl Server {
    async fn start() -> Self {
        let zero = || AtomicUsize::new(0);
        let (connections, inside, most_inside) = (zero(), zero(), zero());
        Self::start_with(Arc::new(Shared { connections, inside, most_inside, pairs: Barrier::new(2) })).await
    }

    async fn start_with(shared: Arc<Shared>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let accepting = tokio::spawn({
            let shared = Arc::clone(&shared);
            async move {
                let mut connections = JoinSet::new();
                loop {
                    let (socket, _) = listener.accept().await.unwrap();
                    shared.connections.fetch_add(1, Ordering::Relaxed);
                    connections.spawn(serve(socket, Arc::clone(&shared)));
                }
            }
        });
        Self { url, shared, accepting }
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Answers the requests on one connection; ends with the connection.
async fn serve(socket: TcpStream, shared: Arc<Shared>) -> Option<()> {
    let mut socket = BufStream::new(socket);
    loop {
        let request = read(&mut socket).await?;
        let path = request.split([' ', '?']).nth(1)?;
        let answer = match path {
            "/hello" => answer("200 OK", "", b"hello"),
            "/json" => answer("200 OK", "", br#"{"degrees":21}"#),
            "/echo" => answer("200 OK", "", request.as_bytes()),
            "/missing" => answer("404 Not Found", "", b"no such thing"),
            "/gzip" => answer("200 OK", "content-encoding: gzip\r\n", &GZIP),
            "/redirect" => answer("302 Found", "location: /hello\r\n", b""),
            "/loop" => answer("302 Found", "location: /loop\r\n", b""),
            "/announced" => b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n".to_vec(),
            "/endless" => return endless(&mut socket).await,
            "/pairs" => pairs(&shared).await,
            "/stalled" => b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello".to_vec(),
            _ => std::future::pending().await,
        };
        socket.write_all(&answer).await.ok()?;
        socket.flush().await.ok()?;
    }
}

async fn read(socket: &mut BufStream<TcpStream>) -> Option<String> {
    let mut request = String::new();
    while !request.ends_with("\r\n\r\n") {
        let read = socket.read_line(&mut request).await.ok()?;
        if read == 0 {
            return None;
        }
    }
    let length = request.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    socket.read_exact(&mut body).await.ok()?;
    request.push_str(std::str::from_utf8(&body).unwrap());
    Some(request)
}

fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// Sends chunks until the client hangs up.
async fn endless(socket: &mut BufStream<TcpStream>) -> Option<()> {
    socket.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.ok()?;
    loop {
        socket.write_all(b"5\r\nhello\r\n").await.ok()?;
        socket.flush().await.ok()?;
    }
}

async fn pairs(shared: &Shared) -> Vec<u8> {
    let inside = shared.inside.fetch_add(1, Ordering::Relaxed) + 1;
    shared.most_inside.fetch_max(inside, Ordering::Relaxed);
    shared.pairs.wait().await;
    shared.inside.fetch_sub(1, Ordering::Relaxed);
    answer("200 OK", "", b"")
}

async fn text(request: Request) -> Result<String, Error> {
    request.send().await?.text().await
}

async fn echo(edit: impl FnOnce(Request) -> Request) -> String {
    let server = Server::start().await;
    text(edit(Client::default().post(server.url("/echo")))).await.unwrap()
}

async fn failure(path: &str, options: Options) -> Error {
    let server = Server::start().await;
    let client = Client::new(options);
    let error = text(client.get(server.url(path))).await.unwrap_err();
    assert_eq!(client.in_use(), 0);
    error
}

#[tokio::test]
async fn sends_what_was_put_together() {
    let echoed = echo(|request| request.header("x-city", "Oslo").query("q", "a b&c").bearer("t0ken")).await;
    assert!(echoed.starts_with("POST /echo?q=a+b%26c HTTP/1.1\r\n"), "{echoed}");
    for header in ["x-city: Oslo\r\n", "authorization: Bearer t0ken\r\n", "accept-encoding: gzip\r\n"] {
        assert!(echoed.contains(header), "{echoed}");
    }
    assert!(echoed.contains(concat!("user-agent: evenkeel/", env!("CARGO_PKG_VERSION"), "\r\n")), "{echoed}");
}

#[tokio::test]
async fn sends_json_forms_and_bytes() {
    let echoed = echo(|request| request.json(&serde_json::json!({"degrees": 21}))).await;
    assert!(echoed.contains("content-type: application/json\r\n"), "{echoed}");
    assert!(echoed.ends_with("\r\n\r\n{\"degrees\":21}"), "{echoed}");
    let echoed = echo(|request| request.form([("city", "Oslo"), ("unit", "°C")])).await;
    assert!(echoed.contains("content-type: application/x-www-form-urlencoded\r\n"), "{echoed}");
    assert!(echoed.ends_with("\r\n\r\ncity=Oslo&unit=%C2%B0C"), "{echoed}");
    let echoed = echo(|request| request.body("as it is").basic("anna", "secret")).await;
    assert!(echoed.contains("authorization: Basic YW5uYTpzZWNyZXQ=\r\n"), "{echoed}");
    assert!(echoed.ends_with("\r\n\r\nas it is"), "{echoed}");
}

#[tokio::test]
async fn reads_json_and_says_what_is_wrong_with_it() {
    let server = Server::start().await;
    let client = Client::default();
    let json: serde_json::Value = client.get(server.url("/json")).send().await.unwrap().json().await.unwrap();
    assert_eq!(json["degrees"], 21);
    let error = client.get(server.url("/hello")).send().await.unwrap().json::<u8>().await.unwrap_err();
    assert!(error.is_json());
    assert_eq!(error.source().unwrap().to_string(), "expected value at line 1 column 1");
}

#[tokio::test]
async fn connections_are_reused() {
    let server = Server::start().await;
    let client = Client::default();
    for _ in 0..3 {
        assert_eq!(text(client.clone().get(server.url("/hello"))).await.unwrap(), "hello");
    }
    assert_eq!(server.shared.connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn no_more_than_the_limit_per_host_are_under_way() {
    let server = Server::start().await;
    let client = Client::new(Options::default().with_per_host(2));
    let answers = join_all((0..12).map(|_| text(client.get(server.url("/pairs"))))).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(server.shared.most_inside.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn no_more_than_the_limit_are_under_way_in_all() {
    let first = Server::start().await;
    let second = Server::start_with(Arc::clone(&first.shared)).await;
    let client = Client::new(Options::default().with_limit(2));
    let requests =
        (0..6).flat_map(|_| [&first, &second]).map(|server| text(client.get(server.url("/pairs"))));
    assert!(join_all(requests).await.iter().all(Result::is_ok));
    assert_eq!(first.shared.most_inside.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_place_is_held_until_the_body_is_read_or_dropped() {
    let server = Server::start().await;
    let client = Client::default();
    let mut read = client.get(server.url("/hello")).send().await.unwrap();
    let dropped = client.get(server.url("/hello")).send().await.unwrap();
    assert_eq!(client.in_use(), 2);
    drop(dropped);
    assert_eq!(client.in_use(), 1);
    while read.chunk().await.unwrap().is_some() {}
    assert_eq!(client.in_use(), 0);
}

#[tokio::test]
async fn a_body_announced_too_large_is_not_read() {
    let error = failure("/announced", Options::default()).await;
    assert!(error.is_too_large());
    assert!(error.to_string().contains("larger than 10485760 bytes"), "{error}");
}

#[tokio::test]
async fn a_body_that_grows_too_large_is_cut_off() {
    assert!(failure("/endless", Options::default().with_response_limit_bytes(100_000)).await.is_too_large());
}

#[tokio::test]
async fn compressed_bodies_count_by_what_they_unfold_to() {
    let server = Server::start().await;
    let unfolded = text(Client::default().get(server.url("/gzip"))).await.unwrap();
    assert_eq!(unfolded, "hello ".repeat(1000));
    assert!(failure("/gzip", Options::default().with_response_limit_bytes(5999)).await.is_too_large());
}

#[tokio::test]
async fn a_status_is_an_error_only_on_request() {
    let server = Server::start().await;
    let answer = Client::default().get(server.url("/missing?key=s3cret")).send().await.unwrap();
    assert_eq!(answer.status(), 404);
    let error = answer.error_for_status().unwrap_err();
    assert_eq!(error.status().unwrap(), 404);
    assert_eq!(error.to_string(), format!("GET {}/missing: the server answered 404 Not Found", server.url));
}

#[tokio::test]
async fn redirects_are_followed_but_not_for_ever() {
    let server = Server::start().await;
    let answer = Client::default().get(server.url("/redirect")).send().await.unwrap();
    assert_eq!(answer.url(), server.url("/hello"));
    let error = failure("/loop", Options::default().with_redirects(3)).await;
    assert!(error.to_string().ends_with("a redirect was not followed"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_come_times_out() {
    let options = || Options::default().with_connect_timeout(Duration::MAX);
    assert!(failure("/never", options()).await.is_timeout());
    assert!(failure("/stalled", options()).await.is_timeout());
}

#[tokio::test(start_paused = true)]
async fn a_request_has_its_own_time() {
    let server = Server::start().await;
    let client =
        Client::new(Options::default().with_timeout(Duration::MAX).with_connect_timeout(Duration::MAX));
    let request = client.get(server.url("/never")).timeout(Duration::from_secs(1));
    assert!(text(request).await.unwrap_err().is_timeout());
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_place_times_out() {
    let client = Client::new(Options::default().with_per_host(1));
    let _taken = client.0.permits.acquire("localhost:80").await;
    let error = client.get("http://localhost/a").send().await.unwrap_err();
    assert!(error.is_timeout() && !error.is_connect());
    assert!(error.to_string().contains("too many other requests were under way for 30s"), "{error}");
}

#[tokio::test]
async fn a_closed_port_is_no_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = Client::default().get(format!("http://{address}")).send().await.unwrap_err();
    assert!(error.is_connect() && !error.is_timeout());
}

#[tokio::test]
async fn tls_works_without_a_provider_for_the_process() {
    let server = Server::start().await;
    let error =
        text(Client::default().get(server.url("/hello").replace("http:", "https:"))).await.unwrap_err();
    assert!(error.is_connect());
    assert!(rustls::crypto::CryptoProvider::get_default().is_none());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_sent_is_named_when_sending() {
    let client = Client::default();
    let check = async |request: Request, expected: &str| {
        let error = request.send().await.unwrap_err();
        assert!(error.is_invalid());
        assert_eq!(error.to_string(), expected);
    };
    check(client.get("weather?key=s3cret").query("a", "b"), "GET weather: the URL is not valid").await;
    check(client.get("ftp://example.com"), "GET ftp://example.com: the scheme of the URL is not valid").await;
    let request = client.put("http://example.com/a").header("city", "Oslo\n");
    check(request, "PUT http://example.com/a: the value of a header is not valid").await;
}
