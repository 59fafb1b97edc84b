//! The doctor, with a stand-in server in every state that he should know.

use std::net::TcpListener;
use std::path::Path;

use evenkeel::journal::sqlite::SqliteJournal;
use evenkeel_signal::standin::Standin;
use evenkeel_signal::standin::options::{Mode, Options};

use crate::running::{directory, evenkeel, finished};

const NUMBER: &str = "+15550100000";

fn doctor(settings: &[(&str, &str)], place: &Path) -> (Option<i32>, String) {
    let mut command = evenkeel(["doctor"]);
    command.envs(settings.iter().copied()).current_dir(place);
    let (code, out, err) = finished(command);
    assert_eq!(err, "");
    (code, out)
}

fn examined(options: Options, number: &str, name: &str) -> (Option<i32>, String) {
    let standin = Standin::start(options).expect("a free port");
    doctor(&[("SIGNAL_PHONE_NUMBER", number), ("SIGNAL_API_URL", &standin.url())], &directory(name))
}

fn check(out: &str, lines: &[&str]) {
    for line in lines {
        assert!(
            out.lines().any(|written| written.trim_start().starts_with(line)),
            "`{line}` is missing in:\n{out}"
        );
    }
}

#[test]
fn a_healthy_server_gives_ok_and_the_known_warnings() {
    let (code, out) = examined(Options::default(), NUMBER, "healthy");
    check(
        &out,
        &[
            "ok    SIGNAL_PHONE_NUMBER: set, from the environment",
            "ok    server: signal-cli-rest-api 0.100 at http://127.0.0.1:",
            "ok    receive mode: json-rpc, by WebSocket; a lost connection leaves no reader for 0.",
            "ok    receiving: json-rpc, by WebSocket, one connection",
            "warn  while the bot is away: lost",
            "ok    acceptance: on the disk (fsync)",
            "warn  replies of unknown outcome: `on_unknown = dead`",
            "warn  the record itself: `evenkeel.db`, not encrypted",
            "ok    file: `evenkeel.db` is not there yet: the bot makes it",
            "ok    guard: full: handlers that block are named with their line",
            "ok    blocking calls: are ",
            "the bot can run; to know about: 5",
        ],
    );
    assert_eq!(code, Some(0), "{out}");
}

#[test]
fn a_server_in_the_wrong_mode_fails_with_the_fix() {
    let (code, out) = examined(Options::default().with_mode(Mode::Normal), NUMBER, "mode");
    check(
        &out,
        &[
            "ok    server: it answers",
            "FAIL  account and mode: ",
            "fix: start `signal-cli-rest-api` with `MODE=json-rpc`",
        ],
    );
    assert_eq!(code, Some(1), "{out}");
}

#[test]
fn a_number_that_the_server_does_not_have_fails_with_the_fix() {
    let (code, out) = examined(Options::default(), "+15550109999", "number");
    check(&out, &["FAIL  account and mode: the Signal server at", "fix: check `SIGNAL_PHONE_NUMBER`"]);
    assert!(!out.contains("5550109999"), "{out}");
    assert_eq!(code, Some(1), "{out}");
}

#[test]
fn a_server_that_is_not_there_fails_with_the_fix() {
    let gone = TcpListener::bind("127.0.0.1:0").and_then(|bound| bound.local_addr()).expect("a free port");
    let settings = [("SIGNAL_PHONE_NUMBER", NUMBER), ("SIGNAL_API_URL", &gone.to_string())];
    let (code, out) = doctor(&settings, &directory("gone"));
    check(
        &out,
        &[
            "FAIL  server: the Signal server at http://127.0.0.1:",
            "fix: check that `signal-cli-rest-api` is running",
        ],
    );
    assert_eq!(code, Some(1), "{out}");
}

#[test]
fn everything_that_is_missing_is_named_at_once() {
    for begun in ["SIGNAL_SOCKETS", "SIGNAL_PHONE_NUMER"] {
        let (code, out) = doctor(&[(begun, "2")], &directory(begun));
        check(&out, &["FAIL  settings: 2 settings are missing or wrong", "SIGNAL_PHONE_NUMBER=+15550100000"]);
        assert_eq!(code, Some(1), "{out}");
    }
}

#[test]
fn a_project_that_has_nothing_of_signal_yet_can_run() {
    let place = directory("fresh");
    let (code, out) = doctor(&[], &place);
    check(
        &out,
        &[
            "warn  Signal: none of its settings is set: a bot of `evenkeel new` runs on a page in the browser",
            "SIGNAL_PHONE_NUMBER=+15550100000",
            "SIGNAL_API_URL=http://localhost:8080",
            "ok    file: `evenkeel.db` is not there yet: the bot makes it at its start",
            "the bot can run; to know about: 1",
        ],
    );
    assert_eq!(code, Some(0), "{out}");
    assert_eq!(std::fs::read_dir(&place).expect("it was just made").count(), 0, "the doctor makes nothing");
}

#[test]
fn a_journal_that_the_bot_would_refuse_is_a_failure_with_the_bots_own_words() {
    let place = directory("refused");
    std::fs::write(place.join("diary"), "dear diary").expect("it was just made");
    let refused = |settings: &[(&str, &str)], line: &str, fix: &str| {
        let (code, out) = doctor(settings, &place);
        check(
            &out,
            &[&format!("FAIL  file: {line}"), &format!("fix: {fix}"), "the bot cannot run; to mend: 1"],
        );
        assert_eq!(code, Some(1), "{out}");
    };
    refused(&[("EVENKEEL_JOURNAL", "diary")], "diary is not a journal", "name another file");
    refused(&[("EVENKEEL_JOURNAL", ".")], ". is no file", "name a file, there or not");
    refused(
        &[("EVENKEEL_JOURNAL", "diary/a.db")],
        "cannot write the journal diary/a.db: ",
        "a part of the path",
    );
    let key = ("EVENKEEL_JOURNAL_KEY", "hunter2");
    refused(
        &[("EVENKEEL_JOURNAL", "memory"), key],
        "`EVENKEEL_JOURNAL_KEY` is set",
        "set `EVENKEEL_JOURNAL` to",
    );
    if !cfg!(feature = "sqlcipher") {
        refused(&[key], "a key for the journal is set, but this program cannot", "build with the feature");
    }
    let left = std::fs::read_dir(&place).expect("still there").count();
    assert_eq!(left, 1, "the doctor makes nothing");
}

#[cfg(unix)]
#[test]
fn a_journal_that_everybody_may_read_is_named_with_the_command_that_mends_it() {
    use std::os::unix::fs::PermissionsExt;
    let place = directory("public");
    let file = place.join("evenkeel.db");
    drop(SqliteJournal::open(&file).expect("the folder is there"));
    let public = "warn  place: everybody on this computer may read the journal evenkeel.db";
    let (_, out) = doctor(&[], &place);
    assert!(!out.contains(public), "{out}");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("it is ours");
    let (code, out) = doctor(&[], &place);
    check(&out, &[public, "fix: `chmod o-rwx evenkeel.db"]);
    assert_eq!(code, Some(0), "{out}");
}

#[test]
fn a_place_of_the_journal_that_is_none_is_not_taken_for_the_usual_one() {
    let place = directory("no place");
    std::fs::write(place.join("evenkeel.toml"), "[evenkeel]\njournal = [\"a\"]\n").expect("it was just made");
    let (code, out) = doctor(&[], &place);
    check(&out, &["FAIL  settings of the bot: a setting is missing or wrong: `EVENKEEL_JOURNAL`"]);
    assert!(!out.contains("file: "), "{out}");
    assert_eq!(code, Some(1), "{out}");
}

#[test]
fn the_mode_of_the_guard_is_told_and_a_wrong_one_is_named() {
    let standin = Standin::start(Options::default()).expect("a free port");
    let with = |mode: &str| {
        let url = standin.url();
        let settings =
            [("SIGNAL_PHONE_NUMBER", NUMBER), ("SIGNAL_API_URL", url.as_str()), ("EVENKEEL_GUARD", mode)];
        doctor(&settings, &directory(&format!("guard {mode}")))
    };
    let (code, out) = with("watch");
    check(&out, &["warn  guard: watch: ", "ok    blocking calls: are ", "the bot can run; to know about: 6"]);
    assert_eq!(code, Some(0), "{out}");
    let (code, out) = with("off");
    check(&out, &["warn  guard: off: ", "fix: take `EVENKEEL_GUARD` away"]);
    assert!(!out.contains("blocking calls"), "{out}");
    assert_eq!(code, Some(0), "{out}");
    let (code, out) = with("on");
    check(&out, &["FAIL  settings of the bot: ", "warn  a power cut: "]);
    assert!(out.contains("EVENKEEL_GUARD") && out.contains("must be off, watch or full"), "{out}");
    assert_eq!(code, Some(1), "{out}");
}

#[test]
fn the_guarantees_are_those_of_the_settings() {
    let standin = Standin::start(Options::default()).expect("a free port");
    let url = standin.url();
    let settings = [
        ("SIGNAL_PHONE_NUMBER", NUMBER),
        ("SIGNAL_API_URL", url.as_str()),
        ("SIGNAL_SOCKETS", "2"),
        ("EVENKEEL_JOURNAL", "Memory"),
    ];
    let (code, out) = doctor(&settings, &directory("settings"));
    check(
        &out,
        &[
            "ok    receiving: json-rpc, by WebSocket, 2 connections",
            "ok    file: none: the journal is in memory",
            "warn  acceptance: in memory",
            "warn  kill -9 or a crash: what was accepted and not answered is lost",
            "warn  jobs: gone",
        ],
    );
    assert_eq!(code, Some(0), "{out}");
    let settings = [
        ("SIGNAL_PHONE_NUMBER", NUMBER),
        ("SIGNAL_API_URL", url.as_str()),
        ("EVENKEEL_JOURNAL", "kept.db"),
        ("EVENKEEL_JOURNAL_KEY", "hunter2"),
    ];
    let (_, out) = doctor(&settings, &directory("settings with a key"));
    // A program that cannot encrypt promises nothing of the kind.
    let record = if cfg!(feature = "sqlcipher") {
        "ok    the record itself: `kept.db`, encrypted"
    } else {
        "warn  the record itself: `kept.db`, not"
    };
    check(&out, &[record]);
    assert!(!out.contains("hunter2"), "{out}");
}

#[test]
fn settings_are_found_in_all_three_places_and_secrets_stay_secret() {
    let standin = Standin::start(Options::default()).expect("a free port");
    let place = directory("places");
    std::fs::write(place.join(".env"), format!("SIGNAL_PHONE_NUMBER={NUMBER}\n")).expect("it was just made");
    std::fs::write(place.join("evenkeel.toml"), "[signal]\napi_token = \"hunter2\"\n")
        .expect("it was just made");
    let (code, out) = doctor(&[("SIGNAL_API_URL", &standin.url())], &place);
    check(
        &out,
        &[
            "ok    SIGNAL_PHONE_NUMBER: set, from `.env`",
            "ok    SIGNAL_API_URL: set, from the environment",
            "ok    SIGNAL_API_TOKEN: set, from `evenkeel.toml`",
        ],
    );
    assert!(!out.contains("hunter2") && !out.contains(NUMBER), "{out}");
    assert_eq!(code, Some(0), "{out}");
}
