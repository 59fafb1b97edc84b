//! The actix-web service.

use crate::line;
use crate::server::{Server, read};

const SOURCE: &str = include_str!("../../src/bin/actix.rs");

fn server() -> Server {
    Server::start(env!("CARGO_BIN_EXE_actix"))
}

#[test]
fn what_blocks_on_the_executor_holds_up_no_thread_of_actix() {
    let server = server();
    // More than actix has threads.
    let held: Vec<_> = (0..8).map(|_| server.send("GET", "/hold", b"")).collect();
    for _ in 0..20 {
        assert_eq!(server.get("/ping").body, "pong\n");
    }
    server.says(&["`GET /hold`", &format!("actix.rs:{}", line(SOURCE, "held here")), "in quarantine"]);
    assert_eq!(server.post("/release", b"").body, "released\n");
    for held in held {
        assert_eq!(read(held).body, "held\n");
    }
}

#[test]
fn what_blocks_on_a_thread_of_actix_is_named_with_route_and_line() {
    let server = server();
    assert_eq!(server.get("/nap/7").body, "slept for 7\n");
    server.says(&["`GET /nap/{id}`", &format!("actix.rs:{}", line(SOURCE, "slept here")), "others waited"]);
}

#[test]
fn bodies_reach_their_handlers_and_what_no_route_matches_the_default() {
    let server = server();
    assert_eq!(server.post("/length", &[b'x'; 100_000]).body, "100000\n");
    assert_eq!(server.get("/nowhere").status, 404);
}
