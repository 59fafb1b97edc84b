//! The demo: its first line, its page, its end.

use std::net::TcpListener;

use evenkeel::Router;
use evenkeel::config::Config;
use evenkeel_signal::Signal;

use crate::running::{Running, evenkeel, finished, read_until, request};

fn demo() -> (Running, String) {
    let demo = Running::start(evenkeel(["demo", "--listen", "127.0.0.1:0", "--no-open"]));
    let url = demo.line();
    assert!(url.starts_with("http://127.0.0.1:") && url.ends_with('/'), "{url}");
    (demo, url)
}

#[test]
fn the_page_is_served_at_the_first_line() {
    let (_demo, url) = demo();
    let page = read_until(request(&url, "GET /", ""), "</html>");
    assert!(page.starts_with("HTTP/1.1 200 "), "{page}");
}

#[test]
fn what_is_said_on_the_page_is_answered_there() {
    let (_demo, url) = demo();
    let mut stream = request(&url, "GET /api/stream", "");
    read_until(&mut stream, "event: scene");
    let said = r#"{"person": "alice", "conversation": "alice", "text": "!ping"}"#;
    read_until(request(&url, "POST /api/say", said), "200 OK");
    read_until(&mut stream, r#""text":"pong""#);
}

#[test]
fn a_freeze_is_on_the_page_while_it_lasts_and_can_be_pardoned() {
    let (_demo, url) = demo();
    let mut stream = request(&url, "GET /api/stream", "");
    read_until(&mut stream, "event: scene");
    let said = r#"{"person": "alice", "conversation": "alice", "text": "!freeze"}"#;
    // The first look at a stack reads the line tables, with what a loaded machine has left: that freeze may be over.
    for _ in 0..5 {
        read_until(request(&url, "POST /api/say", said), "200 OK");
        let told = read_until(&mut stream, r#""quarantined":[{"name":"!freeze""#);
        let (_, report) = told.rsplit_once(r#""blocked":[{"#).expect("it comes before the quarantine");
        assert!(report.contains(r#""name":"!freeze""#) && report.contains("trouble.rs\""), "{report}");
        let pardoned = read_until(request(&url, "POST /api/pardon", r#"{"name": "!freeze"}"#), "\r\n\r\n1");
        assert!(pardoned.contains("200 OK"), "{pardoned}");
        read_until(&mut stream, r#""quarantined":[]"#);
        if report.contains(r#""is_over":false"#) {
            return;
        }
    }
    panic!("five freezes were reported when they were over");
}

#[test]
fn the_start_says_once_how_far_the_guard_goes() {
    for mode in ["full", "watch", "off"] {
        let mut command = evenkeel(["demo", "--listen", "127.0.0.1:0", "--no-open"]);
        command.env("EVENKEEL_GUARD", mode);
        let (_demo, log) = Running::start_logged(command);
        let started = read_until(log, "talk to the bot at");
        assert_eq!(started.matches("the guard: ").count(), 1, "{started}");
        assert!(started.contains(&format!("guard=\"{mode}\"")), "{started}");
    }
}

#[cfg(unix)]
#[test]
fn it_ends_well_when_told_to_even_while_somebody_watches() {
    let (demo, url) = demo();
    let mut stream = request(&url, "GET /api/stream", "");
    read_until(&mut stream, "event: scene");
    assert_eq!(demo.terminate().code(), Some(0));
}

#[test]
fn a_busy_port_that_was_asked_for_is_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let (code, out, err) = finished(evenkeel(["demo", "--no-open", "--listen", &address]));
    assert_eq!((code, out.as_str(), err.lines().count()), (Some(2), "", 1), "{err}");
    assert!(err.starts_with(&format!("evenkeel: the page cannot listen on {address}: ")), "{err}");
}

#[test]
fn an_address_open_to_others_is_refused() {
    let (code, _, err) = finished(evenkeel(["demo", "--no-open", "--listen", "0.0.0.0:0"]));
    assert_eq!((code, err.lines().count()), (Some(2), 1), "{err}");
    assert!(err.contains("asks for no password"), "{err}");
}

#[test]
fn the_standin_tells_its_settings_and_ends_with_its_input() {
    let mut standin = Running::start(evenkeel(["demo", "--standin"]));
    assert_eq!(standin.line(), "export SIGNAL_PHONE_NUMBER=+15550100000");
    let url = standin.line();
    let url = url.strip_prefix("export SIGNAL_API_URL=").expect("the address");
    assert!(standin.line().starts_with("export SIGNAL_SERVICE_URL=127.0.0.1:"));
    standin.line();
    read_until(request(url, "GET /v1/about", ""), "json-rpc");
    standin.types("!ping");
    assert_eq!(standin.line(), "(no bot is connected: this is lost, as it would be upstream)");
    let send = r#"{"number": "+15550100000", "recipients": ["+15550100001"], "message": "pong"}"#;
    read_until(request(url, "POST /v2/send", send), "201 Created");
    assert_eq!(standin.line(), "bot: pong");
    assert!(standin.leave().success());
}

/// A line that arrives before the bot has connected is lost, and the stand-in says so: then it is typed again.
#[tokio::test]
async fn what_alice_types_reaches_a_bot_and_its_answer_the_terminal() {
    async fn ping() -> &'static str {
        "pong"
    }
    let mut standin = Running::start(evenkeel(["demo", "--standin"]));
    let settings = [(); 3].map(|()| standin.line());
    let pairs = settings.iter().filter_map(|line| line.strip_prefix("export ")?.split_once('='));
    let signal = Signal::from_config(&Config::from_pairs(pairs)).expect("the settings are complete");
    let bot =
        tokio::spawn(evenkeel::Bot::new(signal, Router::new().command("!ping", ping)).in_memory().serve());
    standin.line();
    let typing = tokio::task::spawn_blocking(move || {
        loop {
            standin.types("!ping");
            let line = standin.line();
            if !line.starts_with("(no bot is connected") {
                return (line, standin);
            }
        }
    });
    let (line, _standin) = typing.await.expect("the stand-in goes on");
    assert_eq!(line, "bot: pong");
    bot.abort();
}
