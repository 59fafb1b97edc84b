//! The axum service.

use std::net::Shutdown;

use tungstenite::Message;

use crate::line;
use crate::server::{Server, read};

const SOURCE: &str = include_str!("../../src/bin/axum.rs");

fn server() -> Server {
    Server::start(env!("CARGO_BIN_EXE_axum"))
}

#[test]
fn one_bad_route_blocks_the_others_go_on_and_the_log_names_route_and_line() {
    let server = server();
    // More than the executor has workers, and than the runtime has.
    let held: Vec<_> = (0..8).map(|_| server.send("GET", "/hold", b"")).collect();
    for _ in 0..20 {
        assert_eq!(server.get("/ping").body, "pong\n");
    }
    let place = format!("axum.rs:{}", line(SOURCE, "held here"));
    server.says(&["`GET /hold`", &place, "in quarantine"]);
    let quarantined = server.until("/quarantined", "GET /hold");
    assert_eq!(quarantined.body.matches("\"name\"").count(), 1, "{quarantined:?}");
    assert_eq!(server.post("/release", b"").body, "released\n");
    for held in held {
        assert_eq!(read(held).body, "held\n");
    }
    assert!(server.until("/reports", "GET /hold").body.contains("\"class\":\"wait\""));
}

#[test]
fn what_blocks_outside_the_layer_is_named_by_the_watch() {
    let server = server();
    assert_eq!(server.get("/stock/nap").body, "slept\n");
    server.says(&["std::thread::sleep", &format!("axum.rs:{}", line(SOURCE, "slept here")), "others waited"]);
}

#[test]
fn an_extractor_that_blocks_is_named_with_its_nested_route() {
    let server = server();
    assert_eq!(server.get("/users/7").body, "user 7 for you\n");
    server.says(&["`GET /users/{id}`", &format!("axum.rs:{}", line(SOURCE, "looked up here"))]);
}

#[test]
fn a_handler_that_panics_answers_500_and_the_others_live() {
    let server = server();
    for _ in 0..10 {
        assert_eq!(server.get("/boom").status, 500);
        assert_eq!(server.get("/ping").body, "pong\n");
    }
}

#[test]
fn a_stream_comes_whole_and_what_blocks_in_it_is_named() {
    let server = server();
    let answer = server.get("/export");
    assert_eq!((answer.body.as_str(), answer.is_whole), ("row 0\nrow 1\nrow 2\n", true));
    server.says(&["`GET /export`", &format!("axum.rs:{}", line(SOURCE, "made here"))]);
}

#[test]
fn a_stream_that_panics_does_not_look_whole() {
    let server = server();
    assert!(!server.get("/torn").is_whole);
    assert_eq!(server.get("/ping").body, "pong\n");
}

#[test]
fn events_and_sockets_go_through() {
    let server = server();
    let events = server.get("/events");
    assert!(events.head.contains("text/event-stream"), "{events:?}");
    assert_eq!(events.body.matches("data: tick").count(), 3, "{events:?}");

    let address = format!("ws://{}/echo", server.address());
    let (mut socket, answer) = tungstenite::client(address, server.connect()).expect("it upgrades");
    assert_eq!(answer.status(), 101);
    for text in ["one", "two"] {
        socket.send(Message::text(text)).expect("it reads");
        assert_eq!(socket.read().expect("it answers"), Message::text(text));
    }
}

#[test]
fn bodies_reach_their_handlers_and_what_no_route_matches_the_fallback() {
    let server = server();
    assert_eq!(server.post("/length", &vec![b'x'; 1_000_000]).body, "1000000\n");
    let answer = server.get("/nowhere");
    assert_eq!((answer.status, answer.body.as_str()), (404, "nothing here\n"));
    assert_eq!(server.post("/ping", b"").status, 405);
}

#[test]
fn clients_that_go_away_leave_nothing_behind() {
    let server = server();
    for _ in 0..50 {
        let stream = server.send("GET", "/events", b"");
        stream.shutdown(Shutdown::Both).expect("it is open");
    }
    assert_eq!(server.get("/ping").body, "pong\n");
    assert!(!server.until("/quarantined", "[]").body.contains("name"));
}
