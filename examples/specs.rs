//! What each example tells of its commands, beside what a person wrote down who read it.

#![allow(dead_code, reason = "nobody runs them here")]

#[path = "02_captures.rs"]
mod captures;
#[path = "06_files.rs"]
mod files;
#[path = "05_groups.rs"]
mod groups;
#[path = "01_hello.rs"]
mod hello;
#[path = "04_middleware.rs"]
mod middleware;
#[path = "08_own_transport.rs"]
mod own_transport;
#[path = "12_pizza.rs"]
mod pizza;
#[path = "11_reminders.rs"]
mod reminders;
#[path = "09_signal.rs"]
mod signal;
#[path = "03_state.rs"]
mod state;
#[path = "07_testing.rs"]
mod testing;
#[path = "10_weather.rs"]
mod weather;

use std::fmt::Write;

use evenkeel::command::{Parameter, ParameterKind};
use evenkeel::{App, IntoApp};

/// All commands of an example, each with what it takes below it.
fn told(name: &str, app: &App) -> String {
    let mut text = format!("{name}\n");
    for spec in app.specs() {
        let only = spec.senders.as_ref().map(|ids| format!(" (only {})", ids.join(", ")));
        // Writing to a string does not fail.
        let _written = writeln!(text, "  {spec}{}", only.unwrap_or_default());
        for parameter in &spec.parameters {
            let _written = writeln!(text, "    {}", line(parameter));
        }
    }
    text
}

fn line(parameter: &Parameter) -> String {
    let Parameter { name, kind, is_required, about, .. } = parameter;
    let mut line = match kind {
        ParameterKind::Remainder => format!("{name}: the rest of the text"),
        kind => format!("{name}: {kind}"),
    };
    if !is_required {
        line += ", may be left out";
    }
    about.iter().for_each(|about| line += &format!(" ({about})"));
    line
}

#[test]
fn each_example_tells_what_a_person_would_write() {
    let apps = [
        ("hello", hello::app().into_app()),
        ("captures", captures::app()),
        ("state", state::app()),
        ("middleware", middleware::app()),
        ("groups", groups::app()),
        ("files", files::app()),
        ("testing", testing::app()),
        ("own_transport", own_transport::app().into_app()),
        ("signal", signal::app()),
        ("weather", weather::app(weather::Service(String::new()))),
        ("reminders", reminders::app()),
        ("pizza", pizza::app(pizza::Shop::default())),
    ];
    let told: Vec<_> = apps.iter().map(|(name, app)| told(name, app)).collect();
    assert_eq!(told.join("\n"), include_str!("specs.txt"));
}
