//! A proxy in front of the server that does not let the bot through: wrong token, login page, address that has moved. Its
//! answers are bytes on a TCP socket, no server's.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, which clippy does not see")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use evenkeel::transport::{Inbox, Outcome, SendError, Start};
use evenkeel::{Action, Conversation, MessageId, Outbound, Reply, SendKey, Transport};
use evenkeel_signal::Signal;

const BOT: &str = "+15550100000";
const TOKEN: &str = "hunter2";

/// What a proxy may say in place of the server, and what of it has to be in the line that the operator reads.
const ANSWERS: &[(&str, &str)] = &[
    (
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"bots\"\r\nContent-Length: 13\r\n\r\nUnauthorized\n",
        "401",
    ),
    (
        "HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\nContent-Length: 22\r\n\r\n<html>Forbidden</html>",
        "403",
    ),
    ("HTTP/1.1 302 Found\r\nLocation: https://login.example/?to=secret\r\nContent-Length: 0\r\n\r\n", "302"),
    (
        "HTTP/1.1 301 Moved Permanently\r\nLocation: https://signal.example/\r\nContent-Length: 0\r\n\r\n",
        "301",
    ),
    (
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 37\r\n\r\n\n<!doctype html><title>Log in</title>\n",
        "200",
    ),
    (
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 22\r\n\r\n\u{feff}<html>secret</html>",
        "200",
    ),
];

/// The first lines of the requests that came.
#[derive(Clone, Default)]
struct Requests(Arc<Mutex<Vec<String>>>);

impl Requests {
    fn seen(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// Reads one request; `None` at the end of the connection.
fn request(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut first = String::new();
    stream.read_line(&mut first).ok().filter(|length| *length > 0)?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok().filter(|length| *length > 0)?;
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(bytes) = line.strip_prefix("content-length: ") {
            length = bytes.parse().unwrap();
        }
    }
    stream.read_exact(&mut vec![0; length]).ok()?;
    Some(first.trim_end().to_owned())
}

/// Answers every request on every connection like this. Its threads end with the test's process.
fn proxy(answer: &'static str) -> (Signal, Requests) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = listener.local_addr().unwrap().to_string();
    let requests = Requests::default();
    let seen = requests.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut writer, seen) = (stream.unwrap(), seen.clone());
            let mut reader = BufReader::new(writer.try_clone().unwrap());
            std::thread::spawn(move || {
                while let Some(first) = request(&mut reader) {
                    seen.0.lock().unwrap().push(first);
                    if writer.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (Signal::new(BOT, &url).unwrap().with_token(TOKEN).with_random(|| 0.0), requests)
}

/// Nothing that is read by an operator has this in it.
fn check_discreet(told: &str) {
    for secret in [TOKEN, "secret", "5550100", "login.example"] {
        assert!(!told.contains(secret), "{secret} in {told}");
    }
    assert!(!told.contains('\n'), "one line: {told}");
}

#[tokio::test]
async fn a_bot_that_is_not_let_through_does_not_start_and_says_what_to_do() {
    for (answer, status) in ANSWERS {
        let (signal, requests) = proxy(answer);
        let error = signal.open(&Start::default()).await.expect_err(answer);
        let (text, hint) = (error.to_string(), error.hint().expect("it says what to do").to_owned());
        assert!(error.is_config() && text.contains(status), "{text}");
        assert!(hint.contains("`SIGNAL_API_TOKEN`"), "{hint}");
        check_discreet(&format!("{text} {hint}"));
        assert_eq!(requests.seen().len(), 2, "nothing is asked again: {:?}", requests.seen());
    }
}

#[tokio::test]
async fn a_reply_that_is_not_let_through_is_refused_and_sent_once() {
    let target = || MessageId::new("7/6e1f0c5a-0000-4000-8000-000000000001");
    let actions: [fn(MessageId) -> Action; 4] = [
        |_| Reply::text("secret words").actions()[0].clone(),
        |target| {
            let Action::Send(draft) = Reply::text("secret words").actions()[0].clone() else {
                panic!("a text")
            };
            Action::Edit { target, draft }
        },
        |target| Action::React { target, emoji: "👍".into(), is_removed: false },
        |target| Action::Delete { target },
    ];
    for (answer, status) in ANSWERS {
        for action in actions {
            let (signal, requests) = proxy(answer);
            let outbound = Outbound::new(
                Conversation::direct("6e1f0c5a-0000-4000-8000-000000000001"),
                action(target()),
                SendKey { sequence: 1, index: 0 },
            );
            let error: SendError = signal.send(&outbound).await.expect_err(answer);
            assert_eq!(error.outcome(), Outcome::Refused, "{error}: the server has not seen it");
            let text = error.to_string();
            assert!(text.contains("check `SIGNAL_API_TOKEN`"), "{status}: {text}");
            check_discreet(&text);
            assert_eq!(requests.seen().len(), 1, "{:?}", requests.seen());
        }
    }
}

#[tokio::test]
async fn a_websocket_that_is_not_let_through_says_what_to_do() {
    for (answer, status) in ANSWERS {
        let (signal, requests) = proxy(answer);
        let text = signal.measure_reconnect().await.expect_err(answer).to_string();
        assert!(text.contains(status) && text.contains("check `SIGNAL_API_TOKEN`"), "{text}");
        check_discreet(&text);
        assert_eq!(requests.seen().len(), 1, "{:?}", requests.seen());
    }
}

/// A proxy whose token was changed while the bot runs: the bot goes on trying, and slows down.
#[tokio::test]
async fn receiving_goes_on_trying_where_it_is_not_let_through() {
    for (answer, _) in ANSWERS {
        let (signal, requests) = proxy(answer);
        let (inbox, _collected) = Inbox::collecting();
        let receiving = tokio::spawn(async move { signal.receive(inbox).await });
        while requests.seen().len() < 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(!receiving.is_finished(), "{answer}");
        receiving.abort();
    }
}
