//! The doctor: what a bot would find at its start, and what it promises while it runs.

mod journal;
mod report;

use std::process::ExitCode;
use std::time::Duration;

use evenkeel::config::Config;
use evenkeel::guarantee::{Guarantees, OnUnknown, Row};
use evenkeel::journal::Place;
use evenkeel::sandbox::Sandbox;
use evenkeel::{Bot, Error, Result, Router, Transport};
use evenkeel_signal::Signal;

use crate::terminal::{Failure, say};
use report::{Finding, Mark, Report};

/// Somebody waits at the terminal: less patience than a bot has.
const PATIENCE: Duration = Duration::from_secs(5);

/// Looks at everything and says so. Sends no message.
pub(crate) fn run() -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let report = runtime.map_err(Error::from)?.block_on(examine());
    say(&report.to_string());
    Ok(if report.count(Mark::Fail) == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn examine() -> Report {
    let mut report = Report::default();
    report.add("versions", vec![Finding::ok("evenkeel", env!("CARGO_PKG_VERSION"))]);
    let (signal, guard, journal) = match Config::load() {
        Ok(config) => {
            let (mut findings, signal) = (settings(&config), Signal::from_config(&config));
            let unfit = signal.as_ref().err().map(|error| match has_signal(&findings, error) {
                true => Finding::fail("settings", error),
                false => no_signal(error),
            });
            findings.extend(unfit);
            findings.extend(warnings(&config, signal.as_ref().ok()));
            // A bot that never runs: it reads the settings that every bot has.
            let bot = Bot::new(Sandbox::empty(), Router::new()).in_memory().with_settings(&config);
            findings.extend(bot.as_ref().err().map(|error| Finding::fail("settings of the bot", error)));
            report.add("settings", findings);
            let mut read = config.read();
            let journal = Place::read(&mut read);
            // A place that was not understood is among the settings; the usual one would be somebody else's.
            if read.problem_count() == 0 {
                report.add("journal", journal::findings(&journal));
            }
            (signal.ok(), bot.ok().map(|_| guard(&config)), journal)
        }
        Err(error) => {
            report.add("settings", vec![Finding::fail("settings", &error)]);
            (None, None, Place::default())
        }
    };
    let receives = match signal {
        Some(signal) => {
            let (reception, resends_safely) = (signal.reception(), signal.resends_safely());
            report.add("connection", connection(signal).await);
            Some((reception, resends_safely))
        }
        None => None,
    };
    let mut promises = receives.map_or_else(Vec::new, |(reception, resends_safely)| {
        guarantees(&Guarantees::new(&reception, resends_safely, &journal.keeping(), OnUnknown::default()))
    });
    promises.extend(guard.into_iter().flatten());
    report.add("guarantees in force", promises);
    report
}

/// How far the guard goes, by settings that have been found to be right, and what it sees on this system.
fn guard(config: &Config) -> Vec<Finding> {
    let mode = config.read().optional("EVENKEEL_GUARD", "full", |mode| Ok::<_, String>(mode.to_owned()));
    let mode = mode.as_deref().unwrap_or("full");
    let fix = "take `EVENKEEL_GUARD` away, or set it to `full`";
    let found = match mode {
        "off" => {
            Finding::warn("guard", "off: a handler that blocks holds up others, and nobody says so", fix)
        }
        "watch" => Finding::warn("guard", "watch: a handler that blocks is named, and holds up others", fix),
        _ => Finding::ok(
            "guard",
            "full: handlers that block are named with their line; other conversations go on",
        ),
    };
    let sees = match (mode, evenkeel_guard::sees_calls()) {
        ("off", _) => None,
        (_, true) => Some("are seen before they block"),
        (_, false) => Some("are noticed by the time they take: seeing them before needs Linux with glibc"),
    };
    [found].into_iter().chain(sees.map(|sees| Finding::ok("blocking calls", sees))).collect()
}

/// Which of the settings for Signal were found, and where. What is missing is named by the transport itself.
fn settings(config: &Config) -> Vec<Finding> {
    let names = [
        "SIGNAL_PHONE_NUMBER",
        "SIGNAL_API_URL",
        "SIGNAL_SERVICE_URL",
        "SIGNAL_API_TOKEN",
        "SIGNAL_SOCKETS",
        "EVENKEEL_JOURNAL",
        "EVENKEEL_CONSOLE",
    ];
    let found = names.into_iter().filter_map(|name| {
        let place = config.origin(name)?;
        // Numbers, tokens, and addresses with passwords in them: reports end up in public places.
        Some(Finding::ok(name, format!("set, from {place}")))
    });
    found.collect()
}

/// Names that nobody knows, and a token in the open.
fn warnings(config: &Config, signal: Option<&Signal>) -> Vec<Finding> {
    let mut settings = config.read();
    settings.owns("EVENKEEL_");
    // Slips are errors, which are told elsewhere.
    let own = settings.finish().map(|complete| complete.warnings().to_vec()).unwrap_or_default();
    let told = own.into_iter().chain(signal.map(Signal::warnings).unwrap_or_default());
    told.map(|text| Finding::warn("settings", text, "correct it, or take it away")).collect()
}

/// Whether the operator has begun to set Signal up: a setting was found, or something that is nearly one.
fn has_signal(found: &[Finding], error: &Error) -> bool {
    let untouched = Signal::from_config(&Config::default()).err();
    found.iter().any(|finding| finding.name.starts_with("SIGNAL_"))
        || untouched.is_none_or(|untouched| untouched.to_string() != error.to_string())
}

/// A project that `evenkeel new` made runs without Signal.
fn no_signal(error: &Error) -> Finding {
    let text = "none of its settings is set: a bot of `evenkeel new` runs on a page in the browser, one that takes its \
                settings with `Signal::from_env` does not start";
    Finding::warn("Signal", text, error.hint().unwrap_or("set `SIGNAL_PHONE_NUMBER` and `SIGNAL_API_URL`"))
}

async fn connection(signal: Signal) -> Vec<Finding> {
    let signal = signal.with_connect_timeout(PATIENCE).with_request_timeout(PATIENCE);
    match signal.open().await {
        Ok(found) if found.contains("mode json-rpc") => {
            let known = Finding::ok("account", "the server lists it, or lists none");
            vec![Finding::ok("server", found), receive_mode(&signal).await, known]
        }
        Ok(found) => vec![Finding::warn(
            "server",
            found,
            "check that the address is that of signal-cli-rest-api, and that it runs with `MODE=json-rpc`",
        )],
        // The server answered, and what it said does not fit the settings.
        Err(error) if error.is_config() => {
            vec![Finding::ok("server", "it answers"), Finding::fail("account and mode", &error)]
        }
        Err(error) => vec![Finding::fail("server", &error)],
    }
}

/// Opens a WebSocket as the bot does after a loss: what that takes is the shortest time without a reader.
async fn receive_mode(signal: &Signal) -> Finding {
    match signal.measure_reconnect().await {
        Ok(took) => {
            let seconds = took.as_secs_f64();
            let text =
                format!("json-rpc, by WebSocket; a lost connection leaves no reader for {seconds:.3} s");
            Finding::ok("receive mode", text)
        }
        Err(error) => Finding::fail("receive mode", &error),
    }
}

/// The table as findings: a limit is a warning.
fn guarantees(promised: &Guarantees) -> Vec<Finding> {
    let finding = |row: &Row| {
        let text = format!("{} ({})", row.promise, row.why);
        let mark = if row.is_limit { Mark::Warn } else { Mark::Ok };
        Finding { mark, name: row.what, text, fix: None }
    };
    promised.rows().iter().map(finding).collect()
}
