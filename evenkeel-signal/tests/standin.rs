//! Each wart of signal-cli-rest-api, proved on the stand-in with clients that are not ours.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, which clippy does not see")]

use std::time::Duration;

use evenkeel_signal::standin::Standin;
use evenkeel_signal::standin::answer::{Answer, Failure, Route};
use evenkeel_signal::standin::options::{Mode, Options, Recording, SendShape};
use evenkeel_signal::standin::people::{BOT, Group, Person};
use futures_util::{SinkExt, StreamExt};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

fn standin() -> Standin {
    Standin::start(Options::default()).unwrap()
}

async fn connect(standin: &Standin, number: &str) -> Socket {
    connect_async(format!("ws://{}/v1/receive/{number}", standin.address())).await.unwrap().0
}

/// The next text frame; pings are not the test's business.
async fn text(socket: &mut Socket) -> String {
    loop {
        match socket.next().await.unwrap().unwrap() {
            Message::Text(text) => return text.to_string(),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn frame(socket: &mut Socket) -> Value {
    serde_json::from_str(&text(socket).await).unwrap()
}

async fn call(standin: &Standin, method: Method, path: &str, body: Value) -> (StatusCode, String) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let url = format!("{}{path}", standin.url());
    let response = reqwest::Client::new().request(method, url).json(&body).send().await.unwrap();
    (response.status(), response.text().await.unwrap())
}

async fn get(standin: &Standin, path: &str) -> (StatusCode, String) {
    call(standin, Method::GET, path, Value::Null).await
}

fn message(recipient: &str, text: &str) -> Value {
    json!({"number": BOT, "recipients": [recipient], "message": text})
}

async fn send(standin: &Standin, recipient: &str, text: &str) -> (StatusCode, Value) {
    let (status, body) = call(standin, Method::POST, "/v2/send", message(recipient, text)).await;
    (status, serde_json::from_str(&body).unwrap())
}

/// Writes a send by hand and leaves the answer, if any, in the stream.
async fn send_by_hand(standin: &Standin) -> TcpStream {
    let body = message("+15550100001", "hello").to_string();
    let mut stream = TcpStream::connect(standin.address()).await.unwrap();
    let head = format!("POST /v2/send HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all((head + &body).as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn a_frame_that_nobody_reads_is_lost_and_counted() {
    let standin = standin();
    standin.say(&Person::alice(), "into the void");
    let mut socket = connect(&standin, BOT).await;
    standin.say(&Person::alice(), "hello");
    assert_eq!(frame(&mut socket).await["envelope"]["dataMessage"]["message"], "hello");
    let so_far = standin.transcript();
    assert_eq!((so_far.dropped, so_far.delivered), (1, 1));
}

#[tokio::test]
async fn a_slow_reader_loses_what_exceeds_the_slack() {
    let standin = Standin::start(Options::default().with_slack(1)).unwrap();
    let _socket = connect(&standin, BOT).await;
    // Larger than what the kernel holds for a client that does not read.
    let large = "x".repeat(16 * 1024 * 1024);
    for _ in 0..4 {
        standin.frame(BOT, large.clone());
    }
    assert!(standin.transcript().dropped > 0);
}

#[tokio::test]
async fn every_client_of_a_number_gets_every_frame() {
    let standin = standin();
    let (mut one, mut two) = (connect(&standin, BOT).await, connect(&standin, "%2B15550100000").await);
    let timestamp = standin.say(&Person::bob(), "hello");
    for socket in [&mut one, &mut two] {
        assert_eq!(frame(socket).await["envelope"]["timestamp"], timestamp);
    }
    assert_eq!(standin.transcript().delivered, 2);
}

#[tokio::test]
async fn an_unknown_number_is_upgraded_and_hears_nothing() {
    let standin = Standin::start(Options::default().with_ping_interval(Duration::from_millis(50))).unwrap();
    let mut stranger = connect(&standin, "+19990000000").await;
    standin.say(&Person::alice(), "hello");
    assert!(matches!(stranger.next().await, Some(Ok(Message::Ping(_)))));
    assert_eq!(standin.transcript().dropped, 1);
}

#[tokio::test]
async fn frames_are_those_of_the_wire_data() {
    let standin = Standin::start(Options::default().with_first_timestamp(1_767_225_600_000)).unwrap();
    let mut socket = connect(&standin, BOT).await;
    standin.say_in_group(&Person::alice(), &Group::test(), "!ping");
    let received = frame(&mut socket).await;
    assert_eq!(received["account"], BOT);
    assert_eq!(received["envelope"]["timestamp"], 1_767_225_600_000_i64);
    let group = &received["envelope"]["dataMessage"]["groupInfo"];
    assert_eq!(group["groupId"], "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=");
    standin.say(&Person::alice().without_number(), "!ping");
    let received = frame(&mut socket).await;
    assert_eq!(received["envelope"]["source"], Person::alice().uuid);
    assert_eq!(received["envelope"]["sourceNumber"], Value::Null);
}

#[tokio::test]
async fn garbage_and_error_frames_leave_the_socket_open() {
    let standin = standin();
    let mut socket = connect(&standin, BOT).await;
    standin.frame(BOT, "{not json");
    standin.binary_frame(vec![0, 159, 146, 150]);
    standin.error_frame("broken pipe");
    assert_eq!(text(&mut socket).await, "{not json");
    assert!(matches!(socket.next().await, Some(Ok(Message::Binary(_)))));
    assert_eq!(frame(&mut socket).await, json!({"error": "broken pipe"}));
    standin.wait_for_sockets(1).await;
}

#[tokio::test]
async fn pings_are_answered_and_long_client_frames_close_with_1009() {
    let standin = standin();
    let mut socket = connect(&standin, BOT).await;
    socket.send(Message::Ping("here".into())).await.unwrap();
    assert!(matches!(socket.next().await, Some(Ok(Message::Pong(echo))) if echo == "here"));
    socket.send(Message::text("x".repeat(512))).await.unwrap();
    socket.send(Message::text("x".repeat(513))).await.unwrap();
    let Some(Ok(Message::Close(Some(close)))) = socket.next().await else { panic!("not closed") };
    assert_eq!(close.code, CloseCode::Size);
    standin.wait_for_sockets(0).await;
}

#[tokio::test]
async fn a_cut_comes_without_a_close_frame() {
    let standin = standin();
    let mut socket = connect(&standin, BOT).await;
    standin.cut_sockets();
    assert!(matches!(socket.next().await, Some(Err(Error::Protocol(_) | Error::Io(_)))));
    standin.say(&Person::alice(), "too late");
    assert_eq!(standin.transcript().dropped, 1);
    let mut socket = connect(&standin, BOT).await;
    standin.say(&Person::alice(), "again");
    assert_eq!(frame(&mut socket).await["envelope"]["dataMessage"]["message"], "again");
}

#[tokio::test]
async fn frozen_it_is_silent_on_open_connections() {
    let standin = Standin::start(Options::default().with_ping_interval(Duration::from_millis(20))).unwrap();
    let mut socket = connect(&standin, BOT).await;
    standin.freeze();
    standin.say(&Person::alice(), "hello");
    socket.send(Message::Ping("here?".into())).await.unwrap();
    let mut request = send_by_hand(&standin).await;
    let mut answer = [0; 12];
    // A ping may have been on its way before the freeze.
    let silence = tokio::time::timeout(Duration::from_millis(200), async {
        tokio::select! {
            message = text(&mut socket) => message,
            _ = request.read(&mut answer) => "an answer".to_owned(),
        }
    });
    assert!(silence.await.is_err());
    standin.thaw();
    assert!(text(&mut socket).await.contains("hello"));
    request.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 201");
}

#[tokio::test]
async fn a_plain_get_of_receive_is_the_documented_400() {
    let standin = standin();
    let (status, body) = get(&standin, "/v1/receive/+15550100000").await;
    assert_eq!(status, 400);
    assert_eq!(
        body,
        "Bad Request\n{\"error\":\"websocket: the client is not using the websocket protocol: 'upgrade' token not \
         found in 'Connection' header\"}"
    );
}

#[tokio::test]
async fn other_modes_receive_by_get_and_only_once() {
    let standin = Standin::start(Options::default().with_mode(Mode::Native)).unwrap();
    assert!(get(&standin, "/v1/about").await.1.contains("\"mode\":\"native\""));
    standin.say(&Person::alice(), "one");
    standin.say(&Person::alice(), "two");
    let (status, body) = get(&standin, "/v1/receive/%2B15550100000?timeout=5&max_messages=1").await;
    let frames: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status.as_u16(), frames.as_array().unwrap().len()), (200, 1));
    assert!(get(&standin, "/v1/receive/+15550100000").await.1.contains("two"));
    assert_eq!(get(&standin, "/v1/receive/+15550100000?timeout=0").await.1, "[]");
    let (status, body) = get(&standin, "/v1/receive/+15550100000?timeout=soon").await;
    assert_eq!(status, 400);
    assert!(body.contains("Couldn't process request - timeout"));
}

#[tokio::test]
async fn the_small_endpoints_answer_as_documented() {
    let options = Options::default().with_group(Group::test()).with_attachment("a.png", *b"\x89PNG....");
    let standin = Standin::start(options).unwrap();
    let about: Value = serde_json::from_str(&get(&standin, "/v1/about").await.1).unwrap();
    assert_eq!((&about["mode"], &about["version"]), (&json!("json-rpc"), &json!("0.100")));
    assert_eq!(get(&standin, "/v1/health").await, (StatusCode::NO_CONTENT, String::new()));
    assert_eq!(get(&standin, "/v1/accounts").await.1, json!([BOT]).to_string());
    let groups: Value = serde_json::from_str(&get(&standin, "/v1/groups/+15550100000").await.1).unwrap();
    assert_eq!(groups[0]["id"], "group.QUFFQ0F3UUZCZ2NJQ1FvTERBME9EeEFSRWhNVUZSWVhHQmthR3h3ZEhoOD0=");
    assert_eq!(get(&standin, "/v1/attachments/a.png").await.0, 200);
    let (status, body) = get(&standin, "/v1/attachments/b.png").await;
    assert_eq!((status.as_u16(), body.contains("No attachment with that name found")), (404, true));
    assert_eq!(get(&standin, "/v1/nothing").await, (StatusCode::NOT_FOUND, "404 page not found".to_owned()));
}

#[tokio::test]
async fn reactions_typing_receipts_and_deletes_have_their_own_statuses() {
    let standin = standin();
    let body = json!({"recipient": "+15550100001", "reaction": "+", "target_author": "+15550100001",
                      "receipt_type": "read", "timestamp": 1});
    for (method, path, expected) in [
        (Method::PUT, "/v1/typing-indicator/+15550100000", 204),
        (Method::DELETE, "/v1/typing-indicator/+15550100000", 204),
        (Method::POST, "/v1/reactions/+15550100000", 204),
        (Method::DELETE, "/v1/reactions/+15550100000", 204),
        (Method::POST, "/v1/receipts/%2B15550100000", 204),
        (Method::DELETE, "/v1/remote-delete/+15550100000", 201),
    ] {
        assert_eq!(call(&standin, method, path, body.clone()).await.0, expected, "{path}");
    }
    let group = json!({"recipient": Group::test().rest_id(), "receipt_type": "read", "timestamp": 1});
    assert_eq!(call(&standin, Method::POST, "/v1/receipts/+15550100000", group).await.0, 400);
}

#[tokio::test]
async fn a_send_is_answered_in_the_shape_of_either_version() {
    let standin = Standin::start(Options::default().with_first_timestamp(1_767_225_600_000)).unwrap();
    let (status, body) = send(&standin, "+15550100001", "one").await;
    assert_eq!((status.as_u16(), body), (201, json!({"timestamp": "1767225600000"})));
    standin.set_send_shape(SendShape::Master);
    assert_eq!(send(&standin, "+15550100001", "two").await.1, json!([{"timestamp": "1767225600001"}]));
    let uuid = Person::bob().uuid;
    let failure = Failure { number: None, uuid: uuid.clone(), reason: "IDENTITY_FAILURE".to_owned() };
    standin.answer_next(Route::Send, [Answer::Partial(vec![failure])]);
    let (status, body) = send(&standin, &Group::test().rest_id(), "three").await;
    assert_eq!(status, 201);
    assert_eq!(body[0]["errors"]["recipients"], json!([{"uuid": uuid, "reason": "IDENTITY_FAILURE"}]));
    assert_eq!(standin.transcript().texts(), ["one", "two", "three"]);
}

#[tokio::test]
async fn an_internal_group_id_counts_as_a_username() {
    let standin = standin();
    let (status, body) = send(&standin, &Group::test().internal_id, "hello").await;
    assert_eq!((status.as_u16(), &body["error"]), (400, &json!("Username must contain a '.'")));
    assert!(standin.transcript().sent.is_empty());
}

#[tokio::test]
async fn sends_are_refused_with_the_texts_of_upstream() {
    let standin = standin();
    for (body, expected) in [
        (json!({"number": BOT}), "Couldn't process request - please provide at least one recipient"),
        (json!({"recipients": ["+1"]}), "Couldn't process request - please provide a valid number"),
        (json!({"number": "+1", "recipient": "+1"}), "Specified account does not exist"),
        (json!("text"), "Couldn't process request - invalid request"),
        (
            json!({"number": BOT, "recipients": ["+1"], "view_once": true}),
            "'view_once' can only be set for image attachments!",
        ),
        (
            json!({"number": BOT, "recipients": ["+1"], "link_preview": {"url": "https://a.b", "title": "A"}}),
            "Link Preview URL is missing in the message!",
        ),
    ] {
        let (status, text) = call(&standin, Method::POST, "/v2/send", body).await;
        let text: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((status.as_u16(), &text["error"]), (400, &json!(expected)));
    }
}

#[tokio::test]
async fn the_next_answers_go_before_the_standing_one() {
    let standin = standin();
    standin.answer_always(Route::Send, Answer::untrusted());
    standin.answer_next(Route::Send, [Answer::Usual, Answer::RateLimited(vec!["token".to_owned()])]);
    assert_eq!(send(&standin, "+15550100001", "1").await.0, 201);
    let (status, body) = send(&standin, "+15550100001", "2").await;
    assert_eq!((status.as_u16(), &body["challenge_tokens"]), (429, &json!(["token"])));
    let (status, body) = send(&standin, "+15550100001", "3").await;
    assert_eq!((status.as_u16(), body["error"].as_str().unwrap().contains("untrusted")), (400, true));
    standin.answer_always(Route::Send, Answer::Usual);
    assert_eq!(send(&standin, "+15550100001", "4").await.0, 201);
    // Refused or not, all four arrived: upstream may have sent them before it said no.
    assert_eq!(standin.transcript().texts(), ["1", "2", "3", "4"]);
}

#[tokio::test]
async fn a_send_can_hang_be_slow_or_lose_its_connection() {
    let standin = standin();
    let slow = Answer::Usual.after(Duration::from_millis(60));
    standin.answer_next(Route::Send, [Answer::Hang, Answer::Close, slow]);

    let mut hanging = send_by_hand(&standin).await;
    standin.wait_for_sends(1).await;
    let mut closed = send_by_hand(&standin).await;
    assert_eq!(closed.read(&mut [0; 1]).await.unwrap(), 0);

    let start = std::time::Instant::now();
    assert_eq!(send(&standin, "+15550100001", "slow").await.0, 201);
    assert!(start.elapsed() >= Duration::from_millis(60));

    let silence = tokio::time::timeout(Duration::from_millis(20), hanging.read(&mut [0; 1])).await;
    assert!(silence.is_err());
    let statuses: Vec<_> = standin.transcript().requests.iter().map(|request| request.status).collect();
    assert_eq!(statuses, [None, None, Some(201)]);
}

#[tokio::test]
async fn the_transcript_keeps_requests_in_order_with_bodies_and_headers() {
    let standin = standin();
    let typing = json!({"recipient": "+15550100001"});
    call(&standin, Method::PUT, "/v1/typing-indicator/+15550100000", typing.clone()).await;
    let mut reply = message("+15550100001", "hi");
    reply["quote_timestamp"] = json!(7);
    reply["mentions"] = json!([{"start": 0, "length": 1, "author": "+1"}]);
    reply["edit_timestamp"] = json!(8);
    call(&standin, Method::POST, "/v2/send", reply).await;
    let so_far = standin.wait_for(|so_far| so_far.request_count == 2).await;
    assert_eq!(so_far.requests[0].body, Some(typing));
    assert_eq!(so_far.requests[1].header("content-type"), Some("application/json"));
    assert_eq!(so_far.to("/v2/send").count(), 1);
    let sent = &so_far.sent[0];
    assert_eq!((sent.quote_timestamp, sent.edit_timestamp, sent.mentions.len()), (Some(7), Some(8), 1));
}

#[tokio::test]
async fn counting_alone_keeps_nothing_but_still_calls_back() {
    let options = Options::default().with_recording(Recording::Counts).on_send(|switchboard, sent| {
        switchboard.say(&Person::alice(), &format!("you said {}", sent.message));
    });
    let standin = Standin::start(options).unwrap();
    let mut socket = connect(&standin, BOT).await;
    send(&standin, "+15550100001", "hi").await;
    assert!(text(&mut socket).await.contains("you said hi"));
    let so_far = standin.transcript();
    assert_eq!((so_far.requests.len(), so_far.sent.len(), so_far.send_count), (0, 0, 1));
}

#[tokio::test]
#[should_panic(expected = "waited in vain")]
async fn waiting_in_vain_panics_in_real_time_with_what_happened() {
    let standin = Standin::start(Options::default().with_patience(Duration::from_millis(20))).unwrap();
    tokio::time::pause();
    standin.wait_for_sends(1).await;
}

#[tokio::test]
async fn dropping_it_closes_every_connection_and_frees_the_address() {
    let standin = standin();
    let address = standin.address();
    let mut socket = connect(&standin, BOT).await;
    let mut idle = TcpStream::connect(address).await.unwrap();
    drop(standin);
    assert!(!matches!(socket.next().await, Some(Ok(_))));
    assert!(!matches!(idle.read(&mut [0; 1]).await, Ok(1..)));
    let restarted = Standin::start(Options::default().with_address(address)).unwrap();
    assert_eq!(get(&restarted, "/v1/health").await.0, 204);
    restarted.shutdown();
}
