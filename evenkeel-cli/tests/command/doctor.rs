//! The doctor, with a stand-in server in every state that he should know.

use std::net::TcpListener;
use std::path::Path;

use evenkeel::journal::sqlite::SqliteJournal;
use evenkeel::journal::{Entry, Journal};
use evenkeel_signal::standin::Standin;
use evenkeel_signal::standin::answer::{Answer, Route};
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
    every_finding_says_what_to_do(out);
    for line in lines {
        assert!(
            out.lines().any(|written| written.trim_start().starts_with(line)),
            "`{line}` is missing in:\n{out}"
        );
    }
}

/// What is not ok has a fix below it, nothing is both ok and not, and the last line counts what stands there.
fn every_finding_says_what_to_do(out: &str) {
    let lines: Vec<_> = out.lines().map(str::trim_start).collect();
    let names = |mark: &str| {
        let marked = lines.iter().filter_map(|line| line.strip_prefix(mark));
        marked.filter_map(|line| line.split_once(": ")).map(|(name, _)| name.trim()).collect::<Vec<_>>()
    };
    let (fine, warned, failed) = (names("ok "), names("warn "), names("FAIL "));
    assert!(!failed.iter().any(|name| fine.contains(name)), "ok and FAIL of one thing:\n{out}");
    let unmended = lines.windows(2).find(|pair| {
        (pair[0].starts_with("warn ") || pair[0].starts_with("FAIL ")) && !pair[1].starts_with("fix: ")
    });
    assert!(unmended.is_none(), "nothing to do about {unmended:?}");
    let told = match (warned.len(), failed.len()) {
        (0, 0) => "all is well".to_owned(),
        (warnings, 0) => format!("the bot can run; to know about: {warnings}"),
        (warnings, failures) => format!("the bot cannot run; to mend: {failures}, to know about: {warnings}"),
    };
    assert_eq!(lines.last(), Some(&told.as_str()), "{out}");
}

#[test]
fn a_healthy_server_gives_ok_and_the_known_warnings() {
    let (code, out) = examined(Options::default(), NUMBER, "healthy");
    check(
        &out,
        &[
            "ok    SIGNAL_PHONE_NUMBER: set, from the environment",
            "ok    server: signal-cli-rest-api 0.100 at http://127.0.0.1:",
            "ok    account: the server has it",
            "ok    receive mode: json-rpc, by WebSocket; a lost connection leaves no reader for 0.",
            "ok    receiving: json-rpc, by WebSocket, one connection",
            "warn  while the bot is away: lost",
            "ok    acceptance: on the disk (fsync)",
            "warn  replies of unknown outcome: `on_unknown = dead`",
            "warn  the record itself: `evenkeel.db`, not encrypted",
            "ok    file: `evenkeel.db` is not there yet: the bot makes it",
            "ok    guard: full: handlers that block are named with their line",
            "ok    blocking calls: are ",
            "ok    handlers that wait for ever: end after 300 s where the program does not say so",
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
            "ok    server: signal-cli-rest-api 0.100 at http://127.0.0.1:",
            "FAIL  mode: the Signal server at",
            "fix: start `signal-cli-rest-api` with `MODE=json-rpc`",
        ],
    );
    assert_eq!(code, Some(1), "{out}");
}

#[test]
fn a_number_that_the_server_does_not_have_fails_with_the_fix() {
    let (code, out) = examined(Options::default(), "+15550109999", "number");
    let told = "FAIL  account: the Signal server at";
    check(&out, &["ok    server: signal-cli-rest-api", told, "fix: check `SIGNAL_PHONE_NUMBER`"]);
    assert!(out.contains("does not have the bot's account: it has one, and that is another"), "{out}");
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
fn what_answers_in_the_servers_place_is_one_fault_with_its_fix() {
    let page = Answer::Status(200, "<html>Please log in</html>".into());
    let silent = Answer::Status(404, "404 page not found".into());
    for (name, answer, line, fix) in [
        ("token", Answer::Status(401, String::new()), "refused the credentials", "set `SIGNAL_API_TOKEN`"),
        ("page", page, "answers with a web page (200 OK)", "set `SIGNAL_API_TOKEN`"),
        ("silent", silent, "that does not say what it is (404 Not Found)", "check that the address is that"),
    ] {
        let standin = Standin::start(Options::default()).expect("a free port");
        [Route::About, Route::Accounts, Route::Receive]
            .into_iter()
            .for_each(|route| standin.answer_always(route, answer.clone()));
        let settings = [("SIGNAL_PHONE_NUMBER", NUMBER), ("SIGNAL_API_URL", &*standin.url())];
        let (code, out) = doctor(&settings, &directory(&format!("place {name}")));
        check(
            &out,
            &["FAIL  server: ", &format!("fix: {fix}"), "the bot cannot run; to mend: 1, to know about: 0"],
        );
        assert!(out.contains(line) && !out.contains("ok    server"), "{out}");
        assert!(!out.contains("guarantees in force"), "what does not run promises nothing:\n{out}");
        assert_eq!(code, Some(1), "{out}");
    }
}

#[test]
fn a_server_that_lists_no_accounts_is_a_warning_with_the_place_to_look_at() {
    let standin = Standin::start(Options::default()).expect("a free port");
    standin.answer_always(Route::Accounts, Answer::Status(500, String::new()));
    let settings = [("SIGNAL_PHONE_NUMBER", NUMBER), ("SIGNAL_API_URL", &*standin.url())];
    let (code, out) = doctor(&settings, &directory("unlisted"));
    check(
        &out,
        &["warn  account: the server does not say", "fix: see that `/v1/accounts` of the server lists"],
    );
    assert_eq!(code, Some(0), "{out}");
}

#[test]
fn everything_that_is_missing_or_wrong_is_named_and_counted_once() {
    for begun in ["SIGNAL_SOCKETS", "SIGNAL_PHONE_NUMER"] {
        let (code, out) = doctor(&[(begun, "2")], &directory(begun));
        check(
            &out,
            &[
                "FAIL  SIGNAL_PHONE_NUMBER: is missing",
                "fix: set it in the environment, in `.env` or in `evenkeel.toml`; in `.env`: SIGNAL_PHONE_NUMBER=+15550100000",
                "FAIL  SIGNAL_API_URL: is missing",
                "the bot cannot run; to mend: 2, to know about: 0",
            ],
        );
        assert_eq!(code, Some(1), "{out}");
    }
}

#[test]
fn a_setting_that_is_wrong_is_not_ok_as_well() {
    let wrong = [
        ("SIGNAL_PHONE_NUMBER", "015550100000"),
        ("SIGNAL_API_URL", "http://host:x"),
        ("EVENKEEL_GUARD", "on"),
    ];
    let place = directory("wrong");
    let stray = "[signal]\nphone_numer = \"1\"\n[evenkel]\nlog = \"info\"\n";
    std::fs::write(place.join("evenkeel.toml"), stray).expect("it was just made");
    let (code, out) = doctor(&wrong, &place);
    check(
        &out,
        &[
            "FAIL  SIGNAL_PHONE_NUMBER: from the environment: must be a phone number",
            "FAIL  SIGNAL_API_URL: from the environment: has no host, or no number of a port",
            "FAIL  EVENKEEL_GUARD: from the environment: must be off, watch or full",
            "FAIL  settings: nobody knows `phone_numer` in the table `[signal]`",
            "FAIL  settings: nobody knows the table `[evenkel]`",
            "the bot cannot run; to mend: 5, to know about: 0",
        ],
    );
    assert_eq!(code, Some(1), "{out}");
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

/// Puts something in the place of a file.
#[cfg(unix)]
type Plant<'a> = &'a dyn Fn(&Path);

#[cfg(unix)]
#[test]
fn what_is_no_file_beside_a_journal_ends_doctor_and_console_with_the_way_out() {
    let made = |place: &Path| drop(SqliteJournal::open(place.join("evenkeel.db")).expect("it is ours"));
    let pipe = |at: &Path| {
        let made = std::process::Command::new("mkfifo").arg(at).status();
        assert!(made.is_ok_and(|status| status.success()));
    };
    let folder = |at: &Path| std::fs::create_dir(at).expect("nothing is there");
    let plants: [(&str, Plant); 3] =
        [("evenkeel.db.lock", &pipe), ("evenkeel.db-shm", &folder), ("evenkeel.db-journal", &pipe)];
    for (name, plant) in plants {
        let place = directory(&format!("planted {name}"));
        made(&place);
        let _missing = std::fs::remove_file(place.join(name));
        plant(&place.join(name));
        let (code, out) = doctor(&[], &place);
        let told = format!("{name} is no plain file, and the journal keeps one there");
        let fix = format!("move it away, if no bot runs: `mv {name} {name}.moved`");
        check(&out, &[&format!("FAIL  file: {told}"), &format!("fix: {fix}")]);
        assert_eq!(code, Some(1), "{out}");
        let mut console = evenkeel(["console"]);
        console.current_dir(&place);
        let (code, out, err) = finished(console);
        assert_eq!((code, &*out), (Some(1), ""), "{err}");
        assert!(err.contains(&told) && err.contains(&fix), "{err}");
    }
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
    check(&out, &["FAIL  EVENKEEL_JOURNAL: from `evenkeel.toml`: must be a text"]);
    assert!(!out.contains("file: "), "{out}");
    assert_eq!(code, Some(1), "{out}");
}

/// Beside a bot that runs as well as alone, and by the words with which the bot refuses to start.
#[tokio::test]
async fn a_journal_of_another_account_fails_with_the_way_out_of_the_bot() {
    let standin = Standin::start(Options::default()).expect("a free port");
    let (place, other) = (directory("account"), "+15550109999");
    let file = place.join("evenkeel.db");
    let mut journal = SqliteJournal::open(&file).expect("the folder is there");
    let with = |number: &str, granted: &str| {
        let url = standin.url();
        let settings = [("SIGNAL_PHONE_NUMBER", number), ("SIGNAL_API_URL", &*url)];
        let granted = (!granted.is_empty()).then_some(("EVENKEEL_JOURNAL_ACCOUNT", granted));
        doctor(&settings.into_iter().chain(granted).collect::<Vec<_>>(), &place)
    };
    let told = "FAIL  owner: the journal belongs to another account: what that one promised would leave from this one";
    let (code, out) = with(NUMBER, "");
    assert_eq!((code, out.contains("owner")), (Some(0), false), "nobody's yet:\n{out}");

    let signal = |number: &str| evenkeel_signal::Signal::new(number, &standin.url()).expect("both are right");
    let name = evenkeel::Transport::identity(&signal(NUMBER)).expect("it has a number");
    let value = Some(name.clone().into_bytes().into());
    let remember = Entry::Remember { conversation: String::new(), name: "evenkeel.account".into(), value };
    journal.write(vec![remember]).await.expect("there is room");
    let mut running = Some(journal);
    for _ in ["beside a bot", "alone"] {
        let (code, out) = with(NUMBER, "");
        assert_eq!((code, out.contains("owner")), (Some(0), false), "{out}");
        let (code, out) = with(other, "");
        let own = evenkeel::Transport::identity(&signal(other)).expect("it has a number");
        check(
            &out,
            &[told, "fix: set `EVENKEEL_JOURNAL` to a file for this account; or, if it is the same bot"],
        );
        assert!(out.contains(&format!("`EVENKEEL_JOURNAL_ACCOUNT={own}`")) && !out.contains(other), "{out}");
        assert_eq!(code, Some(1), "{out}");
        assert!(!with(other, &own).1.contains("owner"), "it is granted");
        assert!(with(other, &name).1.contains(told), "what is granted to another one is not");
        if let Some(journal) = running.take() {
            assert!(out.contains("ok    bot: one runs on this journal"), "{out}");
            journal.close().await;
        }
    }
}

/// Where the server is does not matter here: none answers.
#[test]
fn credentials_in_the_open_are_warned_of_with_what_to_do_and_those_that_stay_here_are_not() {
    let examine = |url: &str, token: &str| {
        let settings =
            [("SIGNAL_PHONE_NUMBER", NUMBER), ("SIGNAL_API_URL", url), ("SIGNAL_API_TOKEN", token)];
        let settings: Vec<_> = settings.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        doctor(&settings, &directory("exposed")).1
    };
    let fix = "fix: use `https`, or a server on this host";
    let out = examine("http://signal.invalid:1", "hunter2");
    check(&out, &["warn  settings: the token for http://signal.invalid:1 goes over the network", fix]);
    let out = examine("ws://ann:hunter2@signal.invalid:1", "");
    let told = "warn  settings: the user name and password for http://signal.invalid:1 go over the network";
    check(&out, &[told, fix]);
    assert!(!out.contains("hunter2") && !out.contains("the token for") && !out.contains("or take it away"));
    for here in ["127.1:1", "2130706433:1", "[::ffff:127.0.0.1]:1", "0.0.0.0:1", "localhost.:1", "0x7f.1:1"] {
        let out = examine(&format!("http://{here}"), "hunter2");
        assert!(!out.contains("over the network"), "{out}");
    }
}

#[test]
fn the_time_limit_of_handlers_is_told_and_a_wrong_one_is_named() {
    let standin = Standin::start(Options::default()).expect("a free port");
    let with = |seconds: &str| {
        let url = standin.url();
        let limit = ("EVENKEEL_HANDLER_LIMIT_SECONDS", seconds);
        let settings = [("SIGNAL_PHONE_NUMBER", NUMBER), ("SIGNAL_API_URL", url.as_str()), limit];
        doctor(&settings, &directory(&format!("limit {seconds}")))
    };
    let (_, out) = with("20");
    check(
        &out,
        &["ok    EVENKEEL_HANDLER_LIMIT_SECONDS: set", "ok    handlers that wait for ever: end after 20 s"],
    );
    let (code, out) = with("0");
    check(
        &out,
        &["warn  handlers that wait for ever: no limit", "fix: take `EVENKEEL_HANDLER_LIMIT_SECONDS` away"],
    );
    assert_eq!(code, Some(0), "{out}");
    let (code, out) = with("-5");
    check(
        &out,
        &["FAIL  EVENKEEL_HANDLER_LIMIT_SECONDS: from the environment: must be a whole number of seconds"],
    );
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
    check(&out, &["FAIL  EVENKEEL_GUARD: from the environment: must be off, watch or full"]);
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
    // A program that cannot encrypt does not start, and promises nothing.
    let record = if cfg!(feature = "sqlcipher") {
        "ok    the record itself: `kept.db`, encrypted"
    } else {
        "FAIL  file: a key for the journal is set, but this program cannot encrypt"
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

/// Of a bot on several networks the doctor looks at Signal alone, and takes no account of another network for one of it.
#[tokio::test]
async fn the_primary_network_of_a_journal_stays_it_and_its_account_is_no_other_networks() {
    let standin = Standin::start(Options::default()).expect("a free port");
    let place = directory("primary");
    let mut journal = SqliteJournal::open(place.join("evenkeel.db")).expect("the folder is there");
    let kept = [("evenkeel.primary_network", "discord"), ("evenkeel.account", "discord 7")];
    let remember = |(name, value): (&str, &'static str)| Entry::Remember {
        conversation: String::new(),
        name: name.into(),
        value: Some(value.into()),
    };
    journal.write(kept.map(remember).into()).await.expect("there is room");
    let with = |chosen: &str| {
        let url = standin.url();
        let settings = [("SIGNAL_PHONE_NUMBER", NUMBER), ("SIGNAL_API_URL", &*url)];
        let chosen = (!chosen.is_empty()).then_some(("EVENKEEL_PRIMARY_NETWORK", chosen));
        doctor(&settings.into_iter().chain(chosen).collect::<Vec<_>>(), &place)
    };
    for chosen in ["", "discord"] {
        let (code, out) = with(chosen);
        assert_eq!((code, out.contains("owner")), (Some(0), false), "{out}");
    }
    let (code, out) = with("signal");
    let told = "FAIL  primary: the primary network of the journal is `discord`, and cannot become `signal`";
    check(&out, &[told, "fix: leave `EVENKEEL_PRIMARY_NETWORK` away"]);
    assert_eq!(code, Some(1), "{out}");
}
