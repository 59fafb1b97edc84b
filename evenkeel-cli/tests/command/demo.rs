//! The demo: its first line, its page, its end.

use std::net::TcpListener;

use evenkeel::Router;
use evenkeel::config::Config;
use evenkeel_signal::Signal;

use crate::running::{Running, directory, evenkeel, finished, read_until, request};

fn demo() -> (Running, String) {
    let demo = Running::start(evenkeel(["demo", "--listen", "127.0.0.1:0", "--no-open"]));
    let url = demo.line();
    assert!(url.starts_with("http://127.0.0.1:") && url.contains("/?token="), "{url}");
    (demo, url)
}

#[test]
fn the_page_is_served_at_the_first_line() {
    let (_demo, url) = demo();
    let (address, path) = url.split_at(url.rfind("/?").expect("it has a token"));
    let page = read_until(request(address, &format!("GET {path}"), ""), "</html>");
    assert!(page.starts_with("HTTP/1.1 200 ") && page.contains("SameSite=Strict"), "{page}");
    for path in ["/", "/page.js", "/api/stream", "/?token=0"] {
        let refused = read_until(request(address, &format!("GET {path}"), ""), "with its token");
        assert!(refused.starts_with("HTTP/1.1 403 "), "{refused}");
    }
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
    // A strike comes at once, and its report once the stack has been read. The first look at one reads the line tables, with
    // what a loaded machine has left: that freeze may be over.
    for _ in 0..5 {
        read_until(request(&url, "POST /api/say", said), "200 OK");
        let mut is_seen = false;
        for _ in 0..2 {
            let told = read_until(&mut stream, r#""quarantined":[{"name":"!freeze""#);
            let report = told.rsplit_once(r#""blocked":[{"#).map(|(_, report)| report).unwrap_or_default();
            let is_right = report.contains(r#""name":"!freeze""#) && report.contains("trouble.rs\"");
            is_seen |= is_right && report.contains(r#""is_over":false"#);
        }
        let pardoned = read_until(request(&url, "POST /api/pardon", r#"{"name": "!freeze"}"#), "\r\n\r\n1");
        assert!(pardoned.contains("200 OK"), "{pardoned}");
        read_until(&mut stream, r#""quarantined":[]"#);
        if is_seen {
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

#[cfg(unix)]
#[test]
fn a_terminal_that_closes_ends_it_well() {
    let (demo, url) = demo();
    let mut stream = request(&url, "GET /api/stream", "");
    read_until(&mut stream, "event: scene");
    assert_eq!(demo.ends_after("-HUP").code(), Some(0));
}

#[cfg(unix)]
#[test]
fn under_nohup_a_terminal_that_closes_ends_nothing() {
    let ignoring = "trap '' HUP; exec \"$0\" demo --listen 127.0.0.1:0 --no-open";
    let mut command = std::process::Command::new("sh");
    command.args(["-c", ignoring, env!("CARGO_BIN_EXE_evenkeel")]).env_clear();
    let demo = Running::start(command);
    let url = demo.line();
    let mut stream = request(&url, "GET /api/stream", "");
    read_until(&mut stream, "event: scene");
    demo.hears("-HUP");
    let said = r#"{"person": "alice", "conversation": "alice", "text": "!ping"}"#;
    read_until(request(&url, "POST /api/say", said), "200 OK");
    read_until(&mut stream, r#""text":"pong""#);
    assert_eq!(demo.terminate().code(), Some(0));
}

#[cfg(unix)]
#[test]
fn a_log_that_nobody_reads_ends_nothing() {
    let (demo, log) = Running::start_logged(evenkeel(["demo", "--listen", "127.0.0.1:0", "--no-open"]));
    let url = demo.line();
    let log = read_until(log, "talk to the bot at");
    assert!(!log.is_empty(), "it was read, and its reader is gone now");
    let mut stream = request(&url, "GET /api/stream", "");
    read_until(&mut stream, "event: scene");
    let says = |text: &str| {
        let said = format!(r#"{{"person": "alice", "conversation": "alice", "text": "{text}"}}"#);
        read_until(request(&url, "POST /api/say", &said), "200 OK");
    };
    says("!fail");
    read_until(&mut stream, "something went wrong");
    says("!ping");
    read_until(&mut stream, r#""text":"pong""#);
    assert_eq!(demo.terminate().code(), Some(0));
}

#[cfg(unix)]
#[test]
fn a_log_that_has_reached_the_limit_of_its_file_ends_nothing() {
    let folder = directory("limited-log");
    // One block of 512 or 1024 bytes, which the lines of the start fill.
    let limited = "ulimit -f 1; exec \"$0\" demo --listen 127.0.0.1:0 --no-open 2> log";
    let mut command = std::process::Command::new("sh");
    command.args(["-c", limited, env!("CARGO_BIN_EXE_evenkeel")]).env_clear().current_dir(&folder);
    let demo = Running::start(command);
    let url = demo.line();
    let mut stream = request(&url, "GET /api/stream", "");
    read_until(&mut stream, "event: scene");
    let says = |person: &str, text: &str| {
        let said = format!(r#"{{"person": "{person}", "conversation": "{person}", "text": "{text}"}}"#);
        read_until(request(&url, "POST /api/say", &said), "200 OK");
    };
    for (person, trouble) in [("alice", "!fail"), ("bob", "!panic"), ("carol", "!fail")] {
        says(person, trouble);
        read_until(&mut stream, "something went wrong");
    }
    says("alice", "!ping");
    read_until(&mut stream, r#""text":"pong""#);
    assert_eq!(demo.terminate().code(), Some(0));
    let bytes = std::fs::metadata(folder.join("log")).expect("there is a log").len();
    assert!(bytes == 512 || bytes == 1024, "{bytes} bytes: the limit was met");
}

/// A demo whose log is a full pipe, and what says something to it and waits for the answer.
#[cfg(unix)]
fn unread() -> (Running, std::io::PipeReader, impl FnMut(&str, &str, &str)) {
    let command = evenkeel(["demo", "--listen", "127.0.0.1:0", "--no-open"]);
    let (demo, reader) = Running::start_unread(command);
    let url = demo.line();
    let mut stream = request(&url, "GET /api/stream", "");
    read_until(&mut stream, "event: scene");
    let says = move |person: &str, text: &str, answer: &str| {
        let said = format!(r#"{{"person": "{person}", "conversation": "{person}", "text": "{text}"}}"#);
        read_until(request(&url, "POST /api/say", &said), "200 OK");
        read_until(&mut stream, answer);
    };
    (demo, reader, says)
}

#[cfg(unix)]
#[test]
fn a_panic_that_nobody_reads_of_leaves_its_chat_and_the_stop_alone() {
    let (demo, _reader, mut says) = unread();
    for person in ["alice", "bob", "carol"] {
        says(person, "!panic", "something went wrong");
        says(person, "!ping", r#""text":"pong""#);
    }
    assert_eq!(demo.terminate().code(), Some(0));
}

#[cfg(unix)]
#[test]
fn a_stop_that_ends_with_an_error_ends_though_nobody_reads_it() {
    for panics in [false, true] {
        let (demo, _reader, mut says) = unread();
        if panics {
            says("bob", "!panic", "something went wrong");
        }
        says("alice", "!freeze", r#""text":"!freeze""#);
        demo.hears("-TERM");
        // The second request to stop.
        assert_eq!(demo.ends_after("-INT").code(), Some(1), "the freeze was cut short");
    }
}

#[cfg(unix)]
#[test]
fn a_panic_is_a_line_of_the_log() {
    let (demo, mut log) = Running::start_logged(evenkeel(["demo", "--listen", "127.0.0.1:0", "--no-open"]));
    let said = r#"{"person": "alice", "conversation": "alice", "text": "!panic"}"#;
    read_until(request(&demo.line(), "POST /api/say", said), "200 OK");
    let log = read_until(&mut log, "somebody asked for it\n");
    let line = log.lines().find(|line| line.contains("evenkeel::panic: thread `evenkeel-worker"));
    assert!(line.is_some_and(|line| line.contains("panicked at ") && line.contains("trouble.rs:")), "{log}");
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
    assert!(err.contains("is for this computer alone"), "{err}");
}

/// Starts the stand-in and reads what it says at first: the settings, and the rest.
fn standin() -> (Running, [String; 3], String) {
    let standin = Running::start(evenkeel(["demo", "--standin"]));
    let settings = [(); 3].map(|()| standin.line());
    let mut told = String::new();
    while !told.contains("(you write as ") {
        told.push_str(&format!("{}\n", standin.line()));
    }
    (standin, settings, told)
}

#[test]
fn the_standin_tells_its_settings_and_ends_with_its_input() {
    let (mut standin, [number, url, service], told) = standin();
    assert_eq!(number, "export SIGNAL_PHONE_NUMBER=+15550100000");
    let url = url.strip_prefix("export SIGNAL_API_URL=").expect("the address");
    assert!(service.starts_with("export SIGNAL_SERVICE_URL=127.0.0.1:"));
    assert!(told.starts_with("Paste these three lines into another terminal"), "{told}");
    read_until(request(url, "GET /v1/about", ""), "json-rpc");
    standin.types("!ping");
    assert_eq!(standin.line(), "(no bot is connected: this is lost, as it would be upstream)");
    let send = r#"{"number": "+15550100000", "recipients": ["+15550109999"], "message": "pong"}"#;
    read_until(request(url, "POST /v2/send", send), "201 Created");
    assert_eq!(
        standin.line(),
        "bot to +15550109999: pong",
        "somebody who is not there is named as the bot does"
    );
    assert!(standin.leave().success());
}

#[test]
fn the_standin_has_two_people_with_numbers_and_a_group_with_its_id() {
    let (mut standin, [_, url, _], told) = standin();
    let id = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    for part in ["Alice, +15550100001", "Bob, +15550100002", id, "(you write as Alice, alone with the bot)"] {
        assert!(told.contains(part), "`{part}` is missing in:\n{told}");
    }
    let url = url.strip_prefix("export SIGNAL_API_URL=").expect("the address");
    read_until(request(url, "GET /v1/groups/%2B15550100000", ""), id);
    standin.types("/people");
    assert!(standin.line().contains("/alice"), "the list again");
    (0..4).for_each(|_| drop(standin.line()));
    standin.line();
    standin.types("/bob");
    assert_eq!(standin.line(), "(you write as Bob, alone with the bot)");
    standin.types("/group");
    assert_eq!(standin.line(), "(you write as Bob, in the group `Test Group`)");
    for typed in ["/help", "/Bob", "/bob !ping"] {
        standin.types(typed);
        let said = standin.line();
        assert!(said.starts_with("(that goes to the bot; not to the bot go `/alice`, `/bob`"), "{said}");
        assert!(standin.line().contains("no bot is connected"), "{typed} goes to the bot all the same");
    }
    assert!(standin.leave().success());
}

/// Anyone who has connected is told at once, and each step is told once the one before has been answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_standin_leads_from_alice_to_bob_to_the_group() {
    async fn whoami(who: evenkeel::Sender, here: evenkeel::Conversation) -> String {
        format!("{} {}", who.display_name(), if here.is_group() { "in a group" } else { "alone" })
    }
    let (mut standin, settings, _) = standin();
    let pairs = settings.iter().filter_map(|line| line.strip_prefix("export ")?.split_once('='));
    let signal = Signal::from_config(&Config::from_pairs(pairs)).expect("the settings are complete");
    let router = Router::new().command("!me", whoami);
    let bot = tokio::spawn(evenkeel::Bot::new(router).transport(signal).in_memory().serve());
    let typing = tokio::task::spawn_blocking(move || {
        let mut says = |typed: &str, lines: &[&str]| {
            typed.split('|').filter(|line| !line.is_empty()).for_each(|line| standin.types(line));
            for line in lines {
                let said = standin.line();
                assert!(said.starts_with(line), "`{line}` is not the beginning of: {said}");
            }
        };
        says("", &["(a bot is connected: write to it as Alice"]);
        says("!me", &["bot to Alice: Alice alone", "(Alice has an answer. Now write as Bob: type `/bob`"]);
        says("/bob|!me", &["(you write as Bob, alone", "bot to Bob: Bob alone", "(Bob has a conversation"]);
        says(
            "/group|!me",
            &["(you write as Bob, in", "bot to Test Group: Bob in a group", "(in a group, all"],
        );
        says("/direct|!me", &["(you write as Bob, alone", "bot to Bob: Bob alone"]);
        says("/alice|!me", &["(you write as Alice, alone", "bot to Alice: Alice alone"]);
    });
    typing.await.expect("the stand-in goes on");
    bot.abort();
}
