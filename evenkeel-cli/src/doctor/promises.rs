//! What holds while the bot runs, and what does not, with what can be done about it.

use evenkeel::config::Config;
use evenkeel::guarantee::{DeliveryMode, Durability, Guarantees, OnUnknown, Row};

use super::report::{Finding, Mark};

/// The table as findings: a limit is a warning.
pub(super) fn of(delivery_mode: &DeliveryMode, is_idempotent: bool, durability: &Durability) -> Vec<Finding> {
    let promised = Guarantees::new(delivery_mode, is_idempotent, durability, OnUnknown::default());
    let has_file = durability.path().is_some();
    promised.rows().iter().map(|row| finding(row, has_file)).collect()
}

fn finding(row: &Row, has_file: bool) -> Finding {
    let text = format!("{} ({})", row.promise, row.why);
    let fix = row.is_limit.then(|| remedy(row.what, has_file).to_owned());
    let mark = if row.is_limit { Mark::Warn } else { Mark::Ok };
    Finding { mark, name: row.what, text, fix }
}

/// What can be done about a limit, if anything can.
fn remedy(what: &str, has_file: bool) -> &'static str {
    match (what, has_file) {
        ("while the bot is away", _) => "none in the settings: stop the bot for as short a time as you can",
        ("what a handler does elsewhere", true) => {
            "in the code: `cx.step(..)` around what must not happen twice"
        }
        ("replies of unknown outcome", _) => {
            "`evenkeel dead --reason unknown` lists them; to choose otherwise, `App::with_on_unknown` in the code"
        }
        ("the record itself", _) => {
            "keep the file where only the bot reads it, or set `EVENKEEL_JOURNAL_KEY` (needs the feature `sqlcipher`)"
        }
        ("a power cut", true) => "none needed, but where a reply twice does harm",
        (_, _) => "set `EVENKEEL_JOURNAL` to a file on a local disk",
    }
}

/// How long a handler may take where its program does not say so, by settings that have been found to be right.
pub(super) fn handler_limit(config: &Config) -> Finding {
    let seconds = config.read().optional("EVENKEEL_HANDLER_LIMIT_SECONDS", "300", str::parse::<u64>);
    match seconds.unwrap_or(300) {
        0 => Finding::warn(
            "handlers that wait for ever",
            "no limit: one that waits for what never comes keeps its conversation, and nobody says so",
            "take `EVENKEEL_HANDLER_LIMIT_SECONDS` away, or give it a number of seconds",
        ),
        seconds => Finding::ok(
            "handlers that wait for ever",
            format!(
                "end after {seconds} s where the program does not say so, with the line at which they wait; \
                 the conversation goes on"
            ),
        ),
    }
}

/// How far the guard goes, by settings that have been found to be right, and what it sees on this system.
pub(super) fn guard(config: &Config) -> Vec<Finding> {
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
