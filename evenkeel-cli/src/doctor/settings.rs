//! Which settings there are, from where, and which are missing or wrong.

use evenkeel::config::Config;
use evenkeel::sandbox::Sandbox;
use evenkeel::{Bot, Error, Problem, Router};
use evenkeel_signal::Signal;

use super::report::Finding;

/// Every setting of every bot, in the order of `docs/configuration.md`.
const NAMES: [&str; 16] = [
    "EVENKEEL_LOG",
    "EVENKEEL_JOURNAL",
    "EVENKEEL_JOURNAL_KEY",
    "EVENKEEL_JOURNAL_ACCOUNT",
    "EVENKEEL_PRIMARY_NETWORK",
    "EVENKEEL_WORKERS",
    "EVENKEEL_GUARD",
    "EVENKEEL_GUARD_ALLOW",
    "EVENKEEL_DRAIN_SECONDS",
    "EVENKEEL_HANDLER_LIMIT_SECONDS",
    "EVENKEEL_CONSOLE",
    "SIGNAL_PHONE_NUMBER",
    "SIGNAL_API_URL",
    "SIGNAL_SERVICE_URL",
    "SIGNAL_API_TOKEN",
    "SIGNAL_SOCKETS",
];

/// What the settings make of a bot.
pub(super) struct Settings {
    pub(super) findings: Vec<Finding>,
    /// `None` where its settings are missing or wrong.
    pub(super) signal: Option<Signal>,
    /// Whether those that every bot has are right.
    pub(super) is_sound: bool,
}

impl Settings {
    pub(super) fn examine(config: &Config) -> Self {
        let signal = Signal::from_config(config);
        // A bot that never runs: it reads the settings that every bot has.
        let bot = Bot::new(Router::new()).transport(Sandbox::empty()).in_memory().with_settings(config);
        let (unfit, unsound) = (signal.as_ref().err(), bot.as_ref().err());
        let unfit = unfit.map(|error| (error, has_signal(config, error)));
        let mut problems: Vec<&Problem> = Vec::new();
        let counted = unfit.filter(|(_, is_begun)| *is_begun).map(|(error, _)| error);
        for problem in counted.into_iter().chain(unsound).flat_map(Error::problems) {
            // A line of `evenkeel.toml` that nobody knows is told by anyone who reads its table: perhaps by both.
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
        let mut findings = found(config, &problems);
        findings.extend(problems.into_iter().map(wrong));
        findings.extend(unfit.filter(|(_, is_begun)| !is_begun).map(|(error, _)| no_signal(error)));
        // What is wrong and is no setting's fault has no list.
        let others = counted.into_iter().chain(unsound).filter(|error| error.problems().is_empty());
        findings.extend(others.map(|error| Finding::fail("settings", error)));
        findings.extend(warnings(config, signal.as_ref().ok()));
        Self { findings, is_sound: bot.is_ok(), signal: signal.ok() }
    }
}

/// Those that were found and are right. No values: reports end up in public places.
fn found(config: &Config, problems: &[&Problem]) -> Vec<Finding> {
    let right = |name: &&str| !problems.iter().any(|problem| problem.setting == *name);
    let found = NAMES.into_iter().filter(right).filter_map(|name| {
        let origin = config.origin(name)?;
        Some(Finding::ok(name, format!("set, from {origin}")))
    });
    found.collect()
}

fn wrong(problem: &Problem) -> Finding {
    let name = NAMES.into_iter().find(|name| *name == problem.setting).unwrap_or("settings");
    let fix = match problem.example.as_str() {
        "" => "correct the name, or take it away".to_owned(),
        example => {
            format!("set it in the environment, in `.env` or in `evenkeel.toml`; in `.env`: {example}")
        }
    };
    // The name stands in front already.
    let quoted = format!("`{name}` ");
    let text = problem.text.strip_prefix(&quoted).unwrap_or(&problem.text);
    Finding::wrong(name, text, fix)
}

/// Names that nobody knows, and a token in the open.
fn warnings(config: &Config, signal: Option<&Signal>) -> Vec<Finding> {
    let mut settings = config.read();
    settings.owns("EVENKEEL_");
    // Slips are errors, which are told elsewhere.
    let own = settings.finish().map(|complete| complete.warnings().to_vec()).unwrap_or_default();
    let told = own.into_iter().chain(signal.map(Signal::warnings).unwrap_or_default());
    let names = told.map(|text| Finding::warn("settings", text, "correct it, or take it away"));
    let exposed = signal.and_then(Signal::exposed);
    let exposed = exposed
        .map(|error| Finding::warn("settings", error.to_string(), error.hint().unwrap_or("use `https`")));
    names.chain(exposed).collect()
}

/// Whether the operator has begun to set Signal up: a setting was found, or something that is nearly one.
fn has_signal(config: &Config, error: &Error) -> bool {
    let untouched = Signal::from_config(&Config::default()).err();
    NAMES.into_iter().any(|name| name.starts_with("SIGNAL_") && config.origin(name).is_some())
        || untouched.is_none_or(|untouched| untouched.to_string() != error.to_string())
}

/// A project that `evenkeel new` made runs without Signal.
fn no_signal(error: &Error) -> Finding {
    let text = "none of its settings is set: a bot of `evenkeel new` runs on a page in the browser, one that takes its \
                settings with `Signal::from_env` does not start";
    Finding::warn("Signal", text, error.hint().unwrap_or("set `SIGNAL_PHONE_NUMBER` and `SIGNAL_API_URL`"))
}

#[cfg(test)]
mod tests {
    use super::NAMES;

    #[test]
    fn every_documented_setting_is_looked_for() {
        let table = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md"));
        let table = table.expect("the workspace has it");
        let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
        let documented: Vec<_> = rows.map(|(name, _)| name).filter(|name| name.contains('_')).collect();
        assert_eq!(documented, NAMES);
    }
}
