//! The transport against the stand-in: what is promised while the server is at its worst.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, which clippy does not see")]

use std::future::pending;
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use evenkeel::config::Config;
use evenkeel::retry::is_transient;
use evenkeel::transport::{Collected, Inbox, Outcome, SendError, Sent, Start};
use evenkeel::{
    Action, Attachment, Bot, Conversation, DownloadError, Event, File, IntoReply, MessageId, Outbound, Reply,
    Router, SendKey, Sender, Text, Transport,
};
use evenkeel_signal::standin::Standin;
use evenkeel_signal::standin::answer::{Answer, Failure, Route};
use evenkeel_signal::standin::options::{Mode, Options, SendShape};
use evenkeel_signal::standin::people::{BOT, Group, Person};
use evenkeel_signal::{RateLimited, Signal};
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::task::JoinHandle;

fn standin() -> Standin {
    Standin::start(Options::default()).unwrap()
}

fn signal(standin: &Standin) -> Signal {
    Signal::new(BOT, &standin.url()).unwrap().with_random(|| 0.0)
}

/// Receives until dropped.
struct Receiving(JoinHandle<()>);

impl Drop for Receiving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn receive(signal: Signal) -> (Collected, Receiving) {
    let (inbox, collected) = Inbox::collecting();
    let task = tokio::spawn(async move { signal.receive(inbox).await.unwrap() });
    (collected, Receiving(task))
}

async fn connected(standin: &Standin, signal: Signal) -> (Collected, Receiving) {
    let receiving = receive(signal);
    standin.wait_for_sockets(1).await;
    receiving
}

async fn next(collected: &mut Collected) -> Event {
    collected.next().await.unwrap()
}

fn outbound(conversation: Conversation, reply: impl IntoReply) -> Outbound {
    let reply = reply.into_reply();
    let action = reply.actions().first().unwrap().clone();
    let key = SendKey { sequence: 1, index: 0 };
    Outbound::new(conversation, action, key)
}

fn to_alice(reply: impl IntoReply) -> Outbound {
    outbound(Conversation::direct(Person::alice().uuid), reply)
}

async fn send(signal: &Signal, reply: impl IntoReply) -> Result<Sent, SendError> {
    signal.send(&to_alice(reply)).await
}

async fn outcome(standin: &Standin, answer: Answer) -> Outcome {
    standin.answer_next(Route::Send, [answer]);
    let error = send(&signal(standin), "secret words").await.unwrap_err();
    let told = format!("{error} {error:?}");
    assert!(!told.contains("5550100") && !told.contains("secret"), "{told}");
    error.outcome()
}

#[tokio::test]
async fn direct_and_group_messages_arrive_in_order() {
    let standin = standin();
    let (mut inbox, _receiving) = connected(&standin, signal(&standin)).await;
    let at = standin.say(&Person::alice(), "one");
    standin.say_in_group(&Person::bob(), &Group::test(), "two");
    let (one, two) = (next(&mut inbox).await, next(&mut inbox).await);
    assert_eq!((one.text(), two.text()), (Some("one"), Some("two")));
    assert_eq!(one.conversation(), &Conversation::direct(Person::alice().uuid));
    assert_eq!(one.sender(), &Sender::known_as(Person::alice().uuid, Some("Alice"), Some("+15550100001")));
    assert_eq!(one.sent(), Some(UNIX_EPOCH + Duration::from_millis(at as u64)));
    assert_eq!(two.conversation(), &Conversation::group(Group::test().internal_id));
}

#[tokio::test]
async fn a_reply_to_a_group_uses_the_id_that_the_server_takes() {
    let standin = standin();
    let signal = signal(&standin);
    let to = Conversation::group(Group::test().internal_id);
    let sent = signal.send(&outbound(to, "hello")).await.unwrap();
    let arrived = standin.wait_for_sends(1).await.remove(0);
    assert_eq!(arrived.recipients, [Group::test().rest_id()]);
    assert_eq!((arrived.number.as_str(), arrived.message.as_str()), (BOT, "hello"));
    assert_eq!(arrived.notify_self, None);
    assert_eq!(sent.id.unwrap(), MessageId::new(format!("{}/self", arrived.timestamp)));
}

#[tokio::test]
async fn garbage_is_counted_and_the_next_message_arrives() {
    let standin = standin();
    let (mut inbox, _receiving) = connected(&standin, signal(&standin)).await;
    for garbage in ["", "nonsense", "[]", "{\"envelope\":7}", "\u{0}"] {
        standin.frame(BOT, garbage);
    }
    standin.binary_frame(&b"\xff\x00"[..]);
    standin.error_frame("out of order");
    standin.say(&Person::alice(), "still there");
    assert_eq!(next(&mut inbox).await.text(), Some("still there"));
    assert_eq!(inbox.undeliverable(), 7);
}

#[tokio::test]
async fn a_large_frame_is_no_reason_to_hang_up() {
    let standin = standin();
    let (mut inbox, _receiving) = connected(&standin, signal(&standin)).await;
    standin.say(&Person::alice(), &"x".repeat(3 << 20));
    assert_eq!(next(&mut inbox).await.text().unwrap().len(), 3 << 20);
    assert_eq!(standin.transcript().sockets_opened, 1);
}

#[tokio::test]
async fn a_lost_connection_is_replaced() {
    let standin = standin();
    let (mut inbox, _receiving) = connected(&standin, signal(&standin)).await;
    for attempt in 2..4 {
        standin.cut_sockets();
        standin.wait_for(|so_far| so_far.sockets_opened == attempt && so_far.sockets == 1).await;
        standin.say(&Person::alice(), "again");
        assert_eq!(next(&mut inbox).await.text(), Some("again"));
    }
}

#[tokio::test]
async fn a_restarted_server_is_found_again() {
    let first = standin();
    let (address, url) = (first.address(), first.url());
    let signal = Signal::new(BOT, &url).unwrap().with_random(|| 0.0);
    let (mut inbox, _receiving) = connected(&first, signal).await;
    first.shutdown();
    let second = Standin::start(Options::default().with_address(address)).unwrap();
    second.wait_for_sockets(1).await;
    second.say(&Person::alice(), "welcome back");
    assert_eq!(next(&mut inbox).await.text(), Some("welcome back"));
}

#[tokio::test]
async fn a_half_open_connection_is_noticed_and_replaced() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = listener.local_addr().unwrap().to_string();
    let impatient = Signal::new(BOT, &url)
        .unwrap()
        .with_ping_interval(Duration::from_millis(5))
        .with_idle_timeout(Duration::from_millis(20));
    let (mut inbox, _receiving) = receive(impatient);
    // The first socket stays open and silent, and answers no ping: only our own patience ends it.
    let (stream, _) = listener.accept().await.unwrap();
    let _silent = tokio_tungstenite::accept_async(stream).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
    let frame = json!({"envelope": {"sourceUuid": Person::alice().uuid, "timestamp": 1, "dataMessage": {"message": "hello?"}}});
    socket.send(frame.to_string().into()).await.unwrap();
    assert_eq!(next(&mut inbox).await.text(), Some("hello?"));
}

#[tokio::test]
async fn a_quiet_connection_is_pinged() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = listener.local_addr().unwrap().to_string();
    let signal = Signal::new(BOT, &url).unwrap();
    let (_inbox, _receiving) = receive(signal.with_ping_interval(Duration::from_millis(5)));
    let (stream, _) = listener.accept().await.unwrap();
    let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
    for _ in 0..3 {
        assert!(socket.next().await.unwrap().unwrap().is_ping());
    }
}

#[tokio::test]
async fn both_shapes_of_success_name_the_message() {
    let standin = standin();
    let signal = signal(&standin);
    for shape in [SendShape::Released, SendShape::Master] {
        standin.set_send_shape(shape);
        let sent = send(&signal, "hi").await.unwrap();
        let at = standin.transcript().sent.last().unwrap().timestamp;
        assert_eq!(sent.id.unwrap().as_str(), format!("{at}/self"), "{shape:?}");
    }
    standin.answer_next(Route::Send, [Answer::Status(201, "fine".into())]);
    assert_eq!(send(&signal, "hi").await.unwrap(), Sent::done());
}

#[tokio::test]
async fn a_draft_arrives_with_everything_in_it() {
    let standin = standin();
    let bob = Sender::known_as(Person::bob().uuid, Some("Bob"), None::<&str>);
    let mut asked = evenkeel::Message::text(format!("77/{}", Person::alice().uuid), "shall I?");
    asked.mentions.clear();
    let reply = Reply::styled("👋 ")
        .mention(&bob)
        .push(" **yes**")
        .with_file(File::new("../a;b.txt", "text/plain", "hello"))
        .quoting_message(&asked, None);
    send(&signal(&standin), reply).await.unwrap();
    let sent = standin.wait_for_sends(1).await.remove(0);
    assert_eq!(sent.message, "👋 \u{fffc} **yes**");
    assert_eq!(sent.text_mode.as_deref(), Some("styled"));
    assert_eq!((sent.mentions[0].start, sent.mentions[0].length), (3, 1));
    assert_eq!(sent.mentions[0].author, Person::bob().uuid);
    assert_eq!(sent.base64_attachments, ["data:text/plain;filename=ab.txt;base64,aGVsbG8="]);
    assert_eq!(sent.quote_timestamp, Some(77));
    assert_eq!(sent.quote_author, Some(Person::alice().uuid));
    assert_eq!(sent.quote_message.as_deref(), Some("shall I?"));
}

#[tokio::test]
async fn edits_reactions_typing_and_deletions_reach_their_endpoints() {
    let standin = standin();
    let signal = signal(&standin);
    let alice = Person::alice().uuid;
    let theirs = MessageId::new(format!("77/{alice}"));
    let ours = MessageId::new("78/self");
    assert_eq!(send(&signal, Reply::edit(ours.clone(), "better")).await.unwrap(), Sent::done());
    send(&signal, Reply::react(theirs.clone(), "👍")).await.unwrap();
    let undo = Action::React { target: ours.clone(), emoji: "👍".into(), is_removed: true };
    send(&signal, Reply::act(undo)).await.unwrap();
    send(&signal, Reply::delete(ours)).await.unwrap();
    for is_started in [true, false] {
        send(&signal, Reply::act(Action::Typing { is_started })).await.unwrap();
    }
    let requests = standin.transcript().requests;
    let seen: Vec<_> = requests
        .iter()
        .skip(1)
        .map(|request| (request.method.as_str(), request.path.as_str(), request.status))
        .collect();
    let number = "%2B15550100000";
    assert_eq!(standin.transcript().sent[0].edit_timestamp, Some(78));
    assert_eq!(
        seen,
        [
            ("POST", &*format!("/v1/reactions/{number}"), Some(204)),
            ("DELETE", &*format!("/v1/reactions/{number}"), Some(204)),
            ("DELETE", &*format!("/v1/remote-delete/{number}"), Some(201)),
            ("PUT", &*format!("/v1/typing-indicator/{number}"), Some(204)),
            ("DELETE", &*format!("/v1/typing-indicator/{number}"), Some(204)),
        ]
    );
    let reaction = json!({"recipient": alice, "reaction": "👍", "target_author": alice, "timestamp": 77});
    assert_eq!(requests[1].body.as_ref(), Some(&reaction));
    assert_eq!(requests[2].body.as_ref().unwrap()["target_author"], BOT);
}

#[tokio::test]
async fn a_failed_send_says_whether_it_may_have_happened() {
    let standin = standin();
    let refused = |text: &str| Answer::Refused(text.into());
    let not_sent = Outcome::NotSent(None);
    for (answer, expected) in [
        (Answer::untrusted(), Outcome::Refused),
        (refused("The user +15550100001 is not registered."), Outcome::Refused),
        (refused("Specified account does not exist"), not_sent),
        (refused("Failed to send message: secret words"), Outcome::Unknown),
        (Answer::RateLimited(vec!["ae19341a-839a".into()]), Outcome::Refused),
        (Answer::RateLimited(vec![String::new()]), Outcome::Unknown),
        (Answer::Status(502, "<html>".into()), not_sent),
        (Answer::Status(503, "upstream connect error".into()), not_sent),
        (Answer::Status(502, r#"{"error":"no upstream"}"#.into()), not_sent),
        (Answer::Status(421, "".into()), not_sent),
        (Answer::Status(425, r#"{"error":"too early"}"#.into()), not_sent),
        (Answer::Status(425, "<html>".into()), not_sent),
        (Answer::Status(422, "{}".into()), Outcome::Refused),
        (Answer::Status(501, "".into()), Outcome::Refused),
        (Answer::Status(511, "<html>".into()), Outcome::Refused),
        (Answer::Status(504, "<html>".into()), Outcome::Unknown),
        (Answer::Status(500, "{}".into()), Outcome::Unknown),
        (Answer::Status(408, "".into()), Outcome::Unknown),
        (Answer::Status(401, "{}".into()), Outcome::Refused),
        (Answer::Close, Outcome::Unknown),
        (Answer::Status(500, "x".repeat(2 << 20)), Outcome::Unknown),
    ] {
        assert_eq!(outcome(&standin, answer.clone()).await, expected, "{answer:?}");
    }
}

async fn limited(body: &str) -> (SendError, RateLimited) {
    let standin = standin();
    standin.answer_next(Route::Send, [Answer::Status(429, body.into())]);
    let error = send(&signal(&standin), "hi").await.unwrap_err();
    assert!(error.is_rate_limited(), "{body}");
    let cause = std::error::Error::source(&error).unwrap().downcast_ref::<RateLimited>().unwrap().clone();
    (error, cause)
}

#[tokio::test]
async fn a_rate_limit_hands_its_challenges_and_its_time_on() {
    let (error, cause) = limited(r#"{"challenge_tokens":["ae19341a","b"],"retryAfterSeconds":3600}"#).await;
    assert_eq!(
        (error.outcome(), &cause.tokens[..]),
        (Outcome::Refused, &["ae19341a".into(), "b".into()][..])
    );
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3600)));
    let told = evenkeel::Error::from(error);
    assert!(
        told.chain().contains("challenge token `ae19341a` `b`"),
        "the operator needs it: {}",
        told.chain()
    );
    assert_eq!(told.find::<RateLimited>(), Some(&cause));
    for body in ["", "<html>", "[]", r#"{"challenge_tokens":7}"#, r#"{"challenge_tokens":[""]}"#] {
        let (error, cause) = limited(body).await;
        assert_eq!(
            (error.outcome(), cause.tokens.len(), error.retry_after()),
            (Outcome::Unknown, 0, None),
            "{body}"
        );
    }
    let (_, cause) =
        limited("{\"challenge_tokens\":[\"a`\\n\\u001b[31mb\"],\"retry_after_seconds\":-1}").await;
    assert!(cause.to_string().ends_with("token `a[31mb`"), "nothing that moves a cursor: {cause}");
}

#[tokio::test]
async fn a_success_is_one_with_any_body_but_a_page() {
    let standin = standin();
    let signal = signal(&standin);
    for (status, body) in
        [(201, ""), (201, "{}"), (200, "OK"), (201, "{\"timestamp\":"), (202, "null"), (204, "")]
    {
        standin.answer_next(Route::Send, [Answer::Status(status, body.into())]);
        assert_eq!(send(&signal, "hi").await.unwrap(), Sent::done(), "{status} {body}");
    }
    standin.answer_next(Route::Send, [Answer::Status(200, "<html>log in</html>".into())]);
    assert_eq!(send(&signal, "hi").await.unwrap_err().outcome(), Outcome::Refused);
    let error = send(&signal, Reply::edit(MessageId::unknown(), "better")).await.unwrap_err();
    assert!(error.to_string().contains("did not name the message"), "{error}");
}

#[tokio::test]
async fn a_download_says_why_it_failed() {
    let standin = Standin::start(Options::default().with_attachment("a", vec![7; 100])).unwrap();
    let signal = signal(&standin).with_request_timeout(Duration::from_millis(200));
    let file = Attachment { id: "a".into(), name: None, content_type: "image/png".into(), size_bytes: None };
    for (answer, status, may_pass) in [
        (Answer::Status(503, String::new()), Some(503), true),
        (Answer::Status(429, String::new()), Some(429), true),
        (Answer::Status(408, String::new()), Some(408), true),
        (Answer::Status(404, "{}".into()), Some(404), false),
        (Answer::Close, None, true),
        (Answer::Hang, None, true),
    ] {
        standin.answer_next(Route::Attachments, [answer.clone()]);
        let error = signal.download(&file, 100).await.unwrap_err();
        let cause = error.find::<DownloadError>().unwrap();
        assert_eq!((cause.status(), is_transient(&error)), (status, may_pass), "{answer:?}");
        assert_eq!(cause.is_timeout(), answer == Answer::Hang);
    }
    let error = signal.download(&file, 99).await.unwrap_err();
    assert!(error.find::<DownloadError>().unwrap().is_too_large() && !is_transient(&error));
    standin.shutdown();
    let error = signal.download(&file, 100).await.unwrap_err();
    assert!(error.find::<DownloadError>().unwrap().is_connection() && is_transient(&error));
}

#[tokio::test]
async fn what_is_not_the_file_is_not_taken_for_it() {
    let standin = Standin::start(Options::default().with_attachment("a", b"{\"a\":1}\n".to_vec())).unwrap();
    let signal = signal(&standin);
    let content_type = "application/json".to_owned();
    let file = Attachment { id: "a".into(), name: None, content_type, size_bytes: Some(8) };
    assert_eq!(signal.download(&file, 100).await.unwrap().len(), 8);
    for (status, body, is_page) in [
        (200, "<!-- x -->\n<!DOCTYPE html>", true),
        (200, "<head><title>Login", true),
        (200, "{\"error\":\"login required\"}", false),
        (200, "{\"a\":", false),
        (200, "", false),
        (204, "", false),
    ] {
        standin.answer_next(Route::Attachments, [Answer::Status(status, body.into())]);
        let error = signal.download(&file, 100).await.unwrap_err();
        let cause = error.find::<DownloadError>().unwrap();
        assert_eq!((cause.is_page(), cause.is_wrong_length()), (is_page, !is_page), "{body}");
        assert_eq!(is_transient(&error), !is_page, "{body}");
        assert_eq!(error.chain().contains("web page"), is_page, "{}", error.chain());
    }
}

/// Answers each connection with the same bytes, and closes it.
fn raw_server(answer: &'static str) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut chunk = [0; 65_536];
            let _read = stream.read(&mut chunk).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    url
}

#[tokio::test]
async fn the_time_in_the_head_of_an_answer_is_kept() {
    let busy = "HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let signal = Signal::new(BOT, &raw_server(busy)).unwrap();
    let file = Attachment { id: "a".into(), name: None, content_type: "a/b".into(), size_bytes: None };
    let wait = Some(Duration::from_secs(7));
    assert_eq!(signal.download(&file, 100).await.unwrap_err().retry_after(), wait);
    assert_eq!(send(&signal, "hi").await.unwrap_err().outcome(), Outcome::NotSent(wait));
    let limited = "HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let signal = Signal::new(BOT, &raw_server(limited)).unwrap();
    assert_eq!(send(&signal, "hi").await.unwrap_err().retry_after(), wait);
    let short = "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhalf of it";
    let signal = Signal::new(BOT, &raw_server(short)).unwrap();
    let error = signal.download(&file, 100).await.unwrap_err();
    assert!(is_transient(&error) && error.find::<DownloadError>().unwrap().is_connection(), "{error:?}");
}

#[tokio::test]
async fn an_answer_whose_body_breaks_off_is_what_its_status_says() {
    let cut = |head: &str, body: &str| {
        let length = if head.contains("chunked") { "" } else { "Content-Length: 50\r\n" };
        &*format!("HTTP/1.1 {head}\r\n{length}\r\n{body}").leak()
    };
    let not_sent = |wait| Err(Outcome::NotSent(wait));
    for (head, body, expected) in [
        ("201 Created", "{\"timest", Ok(())),
        ("201 Created", "", Ok(())),
        ("200 OK\r\nTransfer-Encoding: chunked", "50\r\n{\"timest", Ok(())),
        ("201 Created\r\nTransfer-Encoding: chunked", "no length\r\n", Ok(())),
        ("503 Busy", "{\"err", not_sent(None)),
        ("503 Busy\r\nRetry-After: 7", "", not_sent(Some(Duration::from_secs(7)))),
        ("502 Bad Gateway", "<html>", not_sent(None)),
        ("401 Unauthorized", "{\"err", Err(Outcome::Refused)),
        ("413 Too Large", "", Err(Outcome::Refused)),
        ("500 Oh", "{\"err", Err(Outcome::Unknown)),
        ("400 Bad Request", "{\"err", Err(Outcome::Unknown)),
        ("200 OK\r\nTransfer-Encoding: chunked", "50\r\n<!DOCTYPE ht", Err(Outcome::Refused)),
        ("200 OK\r\nContent-Type: text/html", "", Err(Outcome::Refused)),
    ] {
        let signal = Signal::new(BOT, &raw_server(cut(head, body))).unwrap();
        let outcome = send(&signal, "hi").await.map(drop).map_err(|error| error.outcome());
        assert_eq!(outcome, expected, "{head} {body}");
        let reaction = send(&signal, Reply::react(MessageId::new("7/a"), "x")).await;
        assert_eq!(reaction.is_ok(), expected.is_ok(), "{head}");
    }
}

/// Answers each connection with the same bytes, and never closes it.
fn endless_server(answer: String) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _read = stream.read(&mut [0; 65_536]).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            held.push(stream);
        }
    });
    url
}

#[tokio::test]
async fn an_answer_whose_body_never_ends_or_is_too_large_is_what_its_status_says() {
    let endless = |status| format!("HTTP/1.1 {status}\r\nContent-Length: 50\r\n\r\n{{\"timest");
    let patience = Duration::from_millis(500);
    let signal = |answer| Signal::new(BOT, &endless_server(answer)).unwrap().with_request_timeout(patience);
    assert_eq!(send(&signal(endless("201 Created")), "hi").await.unwrap(), Sent::done());
    let error = send(&signal(endless("503 Busy")), "hi").await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotSent(None));
    let file = Attachment { id: "a".into(), name: None, content_type: "a/b".into(), size_bytes: None };
    let error = signal(endless("200 OK")).download(&file, 100).await.unwrap_err();
    assert!(error.find::<DownloadError>().unwrap().is_timeout(), "{error:?}");
    let error = signal(endless("404 Not Found")).download(&file, 100).await.unwrap_err();
    assert_eq!(error.find::<DownloadError>().unwrap().status(), Some(404));
    let standin = standin();
    standin.answer_next(Route::Send, [Answer::Status(201, "x".repeat(2 << 20))]);
    assert_eq!(send(&self::signal(&standin), "hi").await.unwrap(), Sent::done());
}

#[tokio::test]
async fn an_answer_that_never_comes_is_an_unknown_outcome() {
    let standin = standin();
    standin.answer_next(Route::Send, [Answer::Hang]);
    let signal = signal(&standin).with_request_timeout(Duration::from_millis(50));
    let error = send(&signal, "hi").await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Unknown);
}

#[tokio::test]
async fn a_server_that_is_not_there_has_not_sent_anything() {
    let gone = standin();
    let signal = signal(&gone);
    gone.shutdown();
    let error = send(&signal, "hi").await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::NotSent(None));
}

/// Answers one send on each connection, closes it, and says so: after that the end of the stream has arrived.
fn closing_server() -> (String, tokio::sync::mpsc::UnboundedReceiver<()>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = listener.local_addr().unwrap().to_string();
    let (closed, is_closed) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"}") {
                let mut chunk = [0; 4096];
                let length = stream.read(&mut chunk).unwrap();
                request.extend_from_slice(&chunk[..length]);
            }
            stream
                .write_all(b"HTTP/1.1 201 Created\r\nContent-Length: 17\r\n\r\n{\"timestamp\":\"7\"}")
                .unwrap();
            drop(stream);
            if closed.send(()).is_err() {
                return;
            }
        }
    });
    (url, is_closed)
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_costs_no_message() {
    let (url, mut is_closed) = closing_server();
    let signal = Signal::new(BOT, &url).unwrap();
    for _ in 0..3 {
        assert_eq!(send(&signal, "hi").await.unwrap().id, Some(MessageId::new("7/self")));
        is_closed.recv().await.unwrap();
        // The runtime looks at its sockets before it comes back here.
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn sends_at_once_share_connections_and_all_arrive() {
    let standin = standin();
    let signal = Arc::new(signal(&standin));
    let sends: Vec<_> = (0..200)
        .map(|n| {
            let signal = Arc::clone(&signal);
            tokio::spawn(async move { send(&signal, n.to_string()).await.unwrap() })
        })
        .collect();
    for sending in sends {
        sending.await.unwrap();
    }
    assert_eq!(standin.transcript().send_count, 200);
}

#[tokio::test]
async fn some_of_a_group_is_a_success_and_the_only_person_is_not() {
    let standin = standin();
    let failure = |reason: &str| Failure {
        number: Some("+15550100002".into()),
        uuid: Person::bob().uuid,
        reason: reason.into(),
    };
    let signal = signal(&standin);
    standin.answer_next(Route::Send, [Answer::Partial(vec![failure("IDENTITY_FAILURE")])]);
    let to = Conversation::group(Group::test().internal_id);
    assert!(signal.send(&outbound(to, "hi")).await.unwrap().id.is_some());
    for (reason, expected) in [("IDENTITY_FAILURE", Outcome::Refused), ("NETWORK_FAILURE", Outcome::Unknown)]
    {
        let answer = Answer::Partial(vec![failure(reason)]);
        assert_eq!(outcome(&standin, answer).await, expected, "{reason}");
    }
}

#[tokio::test]
async fn opening_tells_versions_and_mode() {
    let standin = standin();
    let told = signal(&standin).open(&Start::default()).await.unwrap();
    assert_eq!(told, format!("signal-cli-rest-api 0.100 at {}, mode json-rpc", standin.url()));
}

async fn opening_fails(options: Options, answers: &[(Route, Answer)], expected: &str, hint: &str) {
    let standin = Standin::start(options).unwrap();
    for (route, answer) in answers {
        standin.answer_always(*route, answer.clone());
    }
    let error = signal(&standin).with_token("hunter2").open(&Start::default()).await.unwrap_err();
    let told = format!("{error:?}");
    assert!(error.to_string().contains(expected), "{told}");
    assert!(error.hint().unwrap().contains(hint), "{told}");
    assert!(!told.contains("+1555") && !told.contains("hunter2"), "{told}");
}

#[tokio::test]
async fn opening_explains_what_has_to_be_changed() {
    let usual = Options::default;
    opening_fails(usual().with_mode(Mode::Normal), &[], "runs in mode `normal`", "`MODE=json-rpc`").await;
    opening_fails(
        usual().with_account("+15550100009"),
        &[],
        "does not have the bot's account: it has one",
        "`SIGNAL_PHONE_NUMBER`",
    )
    .await;
    let locked = (Route::About, Answer::Status(401, "{}".into()));
    opening_fails(usual(), &[locked], "refused the credentials", "`SIGNAL_API_TOKEN`").await;
}

#[tokio::test]
async fn opening_goes_on_where_a_server_emulates_only_a_part() {
    let standin = standin();
    standin.answer_always(Route::About, Answer::Status(404, "404 page not found".into()));
    standin.answer_always(Route::Accounts, Answer::Status(404, "404 page not found".into()));
    assert!(signal(&standin).open(&Start::default()).await.unwrap().contains("does not say what it is"));
}

#[tokio::test]
async fn opening_names_a_server_that_is_not_there() {
    let gone = standin();
    let address = gone.address();
    gone.shutdown();
    let signal = Signal::new(BOT, &format!("http://ann:hunter2@{address}/x")).unwrap();
    let told = format!("{:?} {signal:?}", signal.open(&Start::default()).await.unwrap_err());
    assert!(told.starts_with(&format!("the Signal server at http://{address}/x does not answer")), "{told}");
    assert!(told.contains("hint: check that `signal-cli-rest-api` is running"), "{told}");
    assert!(!told.contains("hunter2"), "{told}");
}

#[tokio::test]
async fn the_token_goes_with_requests_and_with_the_websocket() {
    let standin = standin();
    let url = standin.url();
    let config = Config::from_pairs([
        ("SIGNAL_PHONE_NUMBER", BOT),
        ("SIGNAL_SERVICE_URL", &url),
        ("SIGNAL_API_TOKEN", "hunter2"),
    ]);
    let signal = Signal::from_config(&config).unwrap().with_header("X-Room", "7");
    signal.open(&Start::default()).await.unwrap();
    send(&signal, "hi").await.unwrap();
    assert!(!format!("{signal:?} {config:?}").contains("hunter2"));
    let _receiving = connected(&standin, signal).await;
    let requests = standin.transcript().requests;
    assert_eq!(requests.len(), 4);
    for request in requests {
        assert_eq!(request.header("authorization"), Some("Bearer hunter2"), "{}", request.path);
        assert_eq!(request.header("x-room"), Some("7"));
    }
}

#[test]
fn missing_settings_are_told_at_once() {
    for token in ["hunter2ä$$", "hunter2\u{200b}", "“hunter2”"] {
        let wrong = Config::from_pairs([
            ("SIGNAL_PHONE_NUMBER", BOT),
            ("SIGNAL_API_URL", "localhost:1"),
            ("SIGNAL_API_TOKEN", token),
        ]);
        let told = format!("{:?}", Signal::from_config(&wrong).unwrap_err());
        assert!(told.contains("`SIGNAL_API_TOKEN`") && told.contains("signs of ASCII"), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
    let config = Config::from_pairs([("SIGNAL_API_TOKEN", "hunter2\nx")]);
    let error = Signal::from_config(&config).unwrap_err();
    assert_eq!(
        error.to_string(),
        "3 settings are missing or wrong: `SIGNAL_PHONE_NUMBER` is missing; `SIGNAL_API_URL` is missing (or \
         `SIGNAL_SERVICE_URL`: either is enough); `SIGNAL_API_TOKEN` from the environment: must be letters, digits and \
         signs of ASCII (no accents, no control characters, no line breaks), for example `s3cr3t`"
    );
    let wrong =
        Config::from_pairs([("SIGNAL_PHONE_NUMBER", "12"), ("SIGNAL_API_URL", "gopher://u:hunter2@x")]);
    let told = format!("{:?}", Signal::from_config(&wrong).unwrap_err());
    assert!(told.starts_with("2 settings") && !told.contains("hunter2"), "{told}");
}

#[tokio::test]
async fn a_file_is_downloaded_up_to_its_limit() {
    let options = Options::default().with_attachment("a b.png", vec![7; 100]);
    let standin = Standin::start(options).unwrap();
    let signal = signal(&standin);
    let mut file =
        Attachment { id: "a b.png".into(), name: None, content_type: "image/png".into(), size_bytes: None };
    assert_eq!(&signal.download(&file, 100).await.unwrap()[..], [7; 100]);
    assert!(signal.download(&file, 99).await.is_err());
    file.id = "../v1/about".into();
    assert!(signal.download(&file, 1 << 20).await.is_err());
    file.id = "..".into();
    assert!(signal.download(&file, 1 << 20).await.is_err());
}

/// What a server sends to the other devices of an account: here to the bot itself, before it answers the request.
fn copy_of(text: &str, timestamp: i64) -> serde_json::Value {
    serde_json::json!({
        "source": BOT, "sourceNumber": BOT, "sourceDevice": 2, "timestamp": timestamp,
        "syncMessage": { "sentMessage": {
            "destination": BOT, "destinationNumber": BOT, "timestamp": timestamp, "message": text,
        } },
    })
}

#[tokio::test]
async fn what_the_bot_sent_itself_is_never_answered_and_what_its_owner_notes_is() {
    let options = Options::default().on_send(|switchboard, sent| {
        let copy = copy_of(&sent.message, sent.timestamp);
        switchboard.deliver(&copy);
        // Once more, as a server does that delivers at least once.
        switchboard.deliver(&copy);
    });
    let standin = Standin::start(options).unwrap();
    // It answers whatever it reads with a command.
    let app = Router::new().fallback(async |Text(text): Text| format!("!again {}", text.len()));
    let transport = signal(&standin);
    let bot = tokio::spawn(Bot::new(app).transport(transport).in_memory().with_shutdown(pending()).serve());
    standin.wait_for_sockets(1).await;
    for text in ["a", "note", "third one"] {
        standin.deliver(&copy_of(text, standin.timestamp()));
    }
    standin.say(&Person::alice(), "last");
    let sent = standin.wait_for_sends(4).await;
    let mut texts: Vec<_> = sent.iter().map(|sent| sent.message.clone()).collect();
    texts.sort();
    assert_eq!(texts, ["!again 1", "!again 4", "!again 4", "!again 9"]);
    bot.abort();
}

fn with_files(count: usize, bytes: usize) -> Reply {
    let file = || File::new("a.bin", "application/x-a", vec![0; bytes]);
    (0..count).fold(Reply::text("here"), |reply, _| reply.with_file(file()))
}

#[tokio::test]
async fn what_signal_cannot_carry_at_once_comes_in_several_messages_or_is_refused() {
    let standin = standin();
    let app = Router::new()
        .command("!long", async || "a word ".repeat(10_000))
        .command("!whole", async || "a word ".repeat(9_000))
        .command("!files", async || with_files(32, 1))
        .command("!large", async || with_files(1, 102_224_513));
    let bot = Bot::new(app).transport(signal(&standin)).in_memory().with_shutdown(pending());
    let bot = tokio::spawn(bot.serve());
    standin.wait_for_sockets(1).await;
    standin.say(&Person::alice(), "!long");
    let sent = standin.wait_for_sends(2).await;
    let lengths: Vec<_> = sent.iter().map(|sent| sent.message.len()).collect();
    assert!(lengths.len() == 2 && lengths.iter().all(|length| *length <= 65_536), "{lengths:?}");
    standin.say(&Person::alice(), "!whole");
    let whole = &standin.wait_for_sends(3).await[2];
    assert_eq!(whole.message.len(), 9_000 * 7, "signal-cli makes a file of it");
    standin.say(&Person::alice(), "!files");
    let counts = standin.wait_for_sends(5).await;
    let counts: Vec<_> = counts[3..].iter().map(|sent| sent.base64_attachments.len()).collect();
    assert_eq!(counts, [31, 1]);
    standin.say(&Person::alice(), "!large");
    let sent = standin.wait_for_sends(6).await;
    assert_eq!(sent[5].message, "Sorry, that file is too large to send here.");
    bot.abort();
}

/// A folder that is gone with the test.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("evenkeel-signal-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn journal(&self) -> evenkeel::journal::sqlite::SqliteJournal {
        evenkeel::journal::sqlite::SqliteJournal::open(self.0.join("evenkeel.db")).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A bot that obeys Alice, whom it knows by `id`, and nobody else.
async fn obeys_alice(standin: &Standin, folder: &Folder, id: &str) -> Bot<impl evenkeel::journal::Journal> {
    let trigger = evenkeel::Trigger::command("!stop").senders([id]);
    let app = Router::new().route(trigger, async || "stopped").fallback(async || "who are you?");
    let bot = Bot::new(app).transport(signal(standin)).with_journal(folder.journal());
    bot.with_shutdown(pending())
}

#[tokio::test]
async fn who_is_who_is_known_over_restarts() {
    let (alice, number) = (Person::alice(), Person::alice().number.unwrap());
    let by_number = json!({"source": number, "sourceNumber": number, "sourceUuid": null});
    let by_uuid = json!({"source": alice.uuid, "sourceNumber": null, "sourceUuid": alice.uuid});
    for (listed, later) in [(&*number, by_uuid), (&*alice.uuid, by_number)] {
        let (standin, folder) = (standin(), Folder::new(&listed[..8]));
        for run in 1..=3 {
            let bot = tokio::spawn(obeys_alice(&standin, &folder, listed).await.serve());
            standin.wait_for_sockets(1).await;
            if run == 1 {
                standin.say(&alice, "!stop");
            } else {
                let timestamp = standin.timestamp();
                let mut envelope = json!({
                    "sourceName": "Alice", "sourceDevice": 1, "timestamp": timestamp,
                    "dataMessage": {"timestamp": timestamp, "message": "!stop"},
                });
                envelope.as_object_mut().unwrap().extend(later.as_object().unwrap().clone());
                standin.deliver(&envelope);
            }
            let sent = standin.wait_for_sends(run).await;
            assert_eq!(sent[run - 1].message, "stopped", "{listed} in run {run}");
            assert_eq!(sent[run - 1].recipients, [&*alice.uuid], "one conversation in all runs");
            bot.abort();
            let _ended = bot.await;
            // Its threads end by themselves, and its socket with them: the next one is not to be taken for it.
            standin.wait_for_sockets(0).await;
        }
    }
}

#[tokio::test]
async fn a_note_to_self_is_known_by_the_uuid_alone_in_a_later_run() {
    let own = "99999999-9999-4999-8999-999999999999";
    let (standin, folder) = (standin(), Folder::new("self"));
    for run in 1..=2 {
        let bot = tokio::spawn(obeys_alice(&standin, &folder, own).await.serve());
        standin.wait_for_sockets(1).await;
        let timestamp = standin.timestamp();
        // The first names the bot by both; the second by its uuid.
        let number = (run == 1).then_some(BOT);
        let sent = json!({
            "destinationNumber": number, "destinationUuid": own, "timestamp": timestamp, "message": "!stop",
        });
        standin.deliver(&json!({
            "source": number.unwrap_or(own), "sourceNumber": number, "sourceUuid": own, "sourceDevice": 2,
            "timestamp": timestamp, "syncMessage": {"sentMessage": sent},
        }));
        assert_eq!(standin.wait_for_sends(run).await[run - 1].message, "stopped", "run {run}");
        bot.abort();
        let _ended = bot.await;
        // Its threads end by themselves, and its socket with them: the next one is not to be taken for it.
        standin.wait_for_sockets(0).await;
    }
}

/// A bot on the stand-in, which answers `!ping`; `stop` ends it.
struct Running {
    bot: JoinHandle<evenkeel::Result<()>>,
    stop: tokio::sync::oneshot::Sender<()>,
    /// Lets `!slow` end.
    release: tokio::sync::watch::Sender<bool>,
    status: evenkeel::status::Status,
}

fn run(signal: Signal, journal: impl evenkeel::journal::Journal) -> Running {
    async fn fetch(cx: evenkeel::Context, event: Event) -> evenkeel::Result<String> {
        let file = event.message().and_then(|message| message.attachments.first().cloned());
        let bytes = cx.download(&file.ok_or_else(|| evenkeel::Error::new("no file"))?).await?;
        Ok(format!("{} bytes", bytes.len()))
    }
    let (release, released) = tokio::sync::watch::channel(false);
    let slow = move || {
        let mut released = released.clone();
        async move {
            let _until = released.wait_for(|is_released| *is_released).await;
            "done"
        }
    };
    let router = evenkeel::Router::new()
        .command("!ping", async || "pong")
        .command("!slow", slow)
        .command("!type", async |cx: evenkeel::Context| {
            cx.typing();
            "typed"
        })
        .on(|event: &Event| event.message().filter(|message| !message.attachments.is_empty()), fetch);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let bot = evenkeel::Bot::new(router).transport(signal).with_journal(journal);
    let bot = bot.with_shutdown(async { drop(stopped.await) }).with_drain(Duration::from_secs(30));
    let status = bot.status();
    Running { bot: tokio::spawn(bot.serve()), stop, release, status }
}

/// A person of this number in a crowd.
fn somebody(number: usize) -> Person {
    Person { uuid: format!("00000000-0000-4000-8000-{number:012}"), number: None, name: "x".into() }
}

/// Where this many of these hang in as many conversations, `!ping` is answered in another one while they do: none of them ever
/// ends.
async fn check_hanging(route: Route, hanging: usize, what: impl Fn(&Standin, &Person)) {
    let standin = standin();
    let signal = signal(&standin).with_request_timeout(Duration::from_secs(36_000));
    let running = run(signal, evenkeel::journal::memory::MemoryJournal::default());
    standin.wait_for_sockets(1).await;
    standin.answer_next(route, (0..hanging).map(|_| Answer::Hang));
    for number in 0..hanging {
        what(&standin, &somebody(number));
    }
    // All of them are with the server before the other one comes.
    standin.wait_for(|so_far| so_far.requests.len() >= hanging).await;
    standin.say(&Person::alice(), "!ping");
    standin.wait_for(|so_far| so_far.sent.iter().any(is_pong_to_alice)).await;
    running.bot.abort();
}

fn is_pong_to_alice(sent: &evenkeel_signal::standin::transcript::Sent) -> bool {
    sent.recipients == [Person::alice().uuid] && sent.message == "pong"
}

#[tokio::test]
async fn sends_that_hang_hold_up_no_send_elsewhere() {
    for hanging in [64, 150] {
        check_hanging(Route::Send, hanging, |standin, who| _ = standin.say(who, "!ping")).await;
    }
}

#[tokio::test]
async fn typing_indicators_that_hang_hold_up_no_reply() {
    check_hanging(Route::Typing, 64, |standin, who| _ = standin.say(who, "!type")).await;
}

#[tokio::test]
async fn downloads_that_hang_hold_up_no_reply() {
    let file = |standin: &Standin, who: &Person| {
        let timestamp = standin.timestamp();
        let message =
            json!({"timestamp": timestamp, "attachments": [{"id": "picture", "contentType": "image/png"}]});
        let envelope = json!({"sourceUuid": who.uuid, "timestamp": timestamp, "dataMessage": message});
        standin.frame(BOT, json!({"envelope": envelope, "account": BOT}).to_string());
    };
    check_hanging(Route::Attachments, 100, file).await;
}

/// A journal that outlives its bot.
#[derive(Clone, Default)]
struct Kept(Arc<std::sync::Mutex<evenkeel::journal::memory::MemoryJournal>>);

impl evenkeel::journal::Journal for Kept {
    type Writing = <evenkeel::journal::memory::MemoryJournal as evenkeel::journal::Journal>::Writing;

    async fn recover(&mut self) -> evenkeel::Result<evenkeel::journal::Recovered> {
        let mut journal = std::mem::take(&mut *self.0.lock().unwrap());
        let recovered = journal.recover().await;
        *self.0.lock().unwrap() = journal;
        recovered
    }

    fn write(&mut self, batch: Vec<evenkeel::journal::Entry>) -> Self::Writing {
        self.0.lock().unwrap().write(batch)
    }
}

#[tokio::test]
async fn the_socket_stays_open_while_a_bot_stops_and_what_comes_is_answered_after_the_next_start() {
    let (standin, journal) = (standin(), Kept::default());
    let running = run(signal(&standin), journal.clone());
    standin.wait_for_sockets(1).await;
    standin.say(&Person::bob(), "!slow");
    while running.status.snapshot().await.unwrap().running == 0 {
        tokio::task::yield_now().await;
    }
    running.stop.send(()).unwrap();
    while !running.status.snapshot().await.unwrap().is_draining {
        tokio::task::yield_now().await;
    }
    standin.say(&Person::alice(), "!ping");
    while running.status.snapshot().await.unwrap().accepted < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(standin.transcript().sockets, 1, "it is read until the end");
    running.release.send(true).unwrap();
    running.bot.await.unwrap().expect("the journal has what is left");
    assert!(!standin.transcript().sent.iter().any(is_pong_to_alice), "nothing new was begun");
    let again = run(signal(&standin), journal);
    standin.wait_for(|so_far| so_far.sent.iter().any(is_pong_to_alice)).await;
    again.bot.abort();
}
