//! The doctor: what a bot would find at its start, and what it promises while it runs.

mod report;
mod settings;
mod journal;
mod connection;
mod promises;

use std::process::ExitCode;

use evenkeel::config::Config;
use evenkeel::journal::Place;
use evenkeel::{Error, Transport};

use crate::terminal::{Failure, say};
use journal::Account;
use report::{Finding, Mark, Report};
use settings::Settings;

/// Looks at everything and says so. Sends no message.
pub(crate) fn run() -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let report = runtime.map_err(Error::from)?.block_on(examine());
    say(&report.to_string())?;
    Ok(if report.count(Mark::Fail) == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn examine() -> Report {
    let mut report = Report::default();
    report.add("versions", vec![Finding::ok("evenkeel", env!("CARGO_PKG_VERSION"))]);
    match Config::load() {
        Ok(config) => Box::pin(examine_with(&config, &mut report)).await,
        Err(error) => report.add("settings", vec![Finding::fail("settings", &error)]),
    }
    report
}

async fn examine_with(config: &Config, report: &mut Report) {
    let Settings { findings, signal, is_sound } = Settings::examine(config);
    report.add("settings", findings);
    let mut read = config.read();
    let place = Place::read(&mut read);
    // A place that was not understood is among the settings; the usual one would be somebody else's.
    if read.problem_count() == 0 {
        let granted =
            read.optional("EVENKEEL_JOURNAL_ACCOUNT", "..", |name| Ok::<_, String>(name.to_owned()));
        let chosen =
            read.optional("EVENKEEL_PRIMARY_NETWORK", "signal", |name| Ok::<_, String>(name.to_owned()));
        let network = signal.as_ref().map_or("", Transport::name);
        let account = signal.as_ref().and_then(Transport::identity);
        let account = account.map(|own| Account { own, network, granted });
        report.add("journal", journal::findings(&place, account.as_ref(), chosen.as_deref()));
    }
    let mut promises = Vec::new();
    if let Some(signal) = signal {
        promises = promises::of(&signal.delivery_mode(), signal.is_idempotent(), &place.durability());
        report.add("connection", connection::findings(signal).await);
    }
    if is_sound {
        promises.extend(promises::guard(config));
        promises.push(promises::handler_limit(config));
    }
    // What does not run promises nothing, and the list would hide what is to be mended.
    if report.count(Mark::Fail) == 0 {
        report.add("guarantees in force", promises);
    }
}
