//! The service on hyper alone.

use crate::line;
use crate::server::{Server, read};

const SOURCE: &str = include_str!("../../src/bin/hyper.rs");

#[test]
fn one_bad_handler_blocks_the_others_go_on_and_the_log_names_label_and_line() {
    let server = Server::start(env!("CARGO_BIN_EXE_hyper"));
    let held: Vec<_> = (0..8).map(|_| server.send("GET", "/hold", b"")).collect();
    for _ in 0..20 {
        assert_eq!(server.get("/ping").body, "pong\n");
    }
    server.says(&["`GET /hold`", &format!("hyper.rs:{}", line(SOURCE, "held here")), "in quarantine"]);
    assert_eq!(server.post("/release", b"").body, "released\n");
    for held in held {
        assert_eq!(read(held).body, "held\n");
    }
    assert_eq!(server.post("/length", &vec![b'x'; 1_000_000]).body, "1000000\n");
    assert_eq!(server.get("/nowhere").status, 404);
}
