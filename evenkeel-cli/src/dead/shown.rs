//! How a dead letter looks: as a row, as a whole, in JSON. Without leave, none of it says what people wrote.

use std::fmt::Write as _;

use evenkeel::journal::{Dead, title};
use evenkeel::{Error, visible};

use crate::table::{cut, short, span, time, to_ms};

/// The names of the columns.
pub(super) fn head() -> String {
    cells(["ID", "AGE", "REASON", "COMMAND", "CHAT", "TRIED", "ERROR"])
}

/// One line of the list.
pub(super) fn row(dead: &Dead, now_ms: u64) -> String {
    cells([
        &dead.id.to_string(),
        &span(now_ms.saturating_sub(dead.at_ms)),
        dead.reason.word(),
        &cut(&dead.command, 16),
        &short(&dead.conversation),
        &dead.attempts.to_string(),
        &cut(&dead.error, 100),
    ])
}

fn cells([id, age, reason, command, conversation, attempts, error]: [&str; 7]) -> String {
    let row =
        format!("{id:<8}  {age:>6}  {reason:<10}  {command:<16}  {conversation:<10}  {attempts:>5}  {error}");
    format!("{}\n", row.trim_end())
}

/// One line of JSON.
pub(super) fn json(dead: &Dead, has_text: bool) -> Result<String, Error> {
    if has_text {
        return Ok(serde_json::to_string(dead)?);
    }
    Ok(serde_json::to_string(&dead.bare())?)
}

/// Everything, a line for each thing.
pub(super) fn whole(dead: &Dead, now_ms: u64, has_text: bool) -> String {
    let mut lines = Lines(String::new());
    lines.add("id", &dead.id.to_string());
    lines.add("what", &dead.kind());
    lines.add("reason", dead.reason.word());
    lines.add("command", if dead.command.is_empty() { "none" } else { &dead.command });
    lines.add("conversation", &title(&dead.conversation));
    if let Some(event) = dead.event() {
        lines.add("sender", event.sender().id());
        if let Some(sent) = event.sent() {
            lines.add("sent", &time(to_ms(sent)));
        }
    }
    lines.add("attempts", &dead.attempts.to_string());
    let age = span(now_ms.saturating_sub(dead.at_ms));
    lines.add("given up", &format!("{}, {age} ago", time(dead.at_ms)));
    lines.add("error", &dead.error);
    if has_text {
        for (name, text) in dead.texts() {
            lines.add(name, &text);
        }
    } else if dead.event().is_some() || dead.reply().is_some() {
        lines.add("text", "left out: `--text` shows it");
    }
    lines.0
}

struct Lines(String);

impl Lines {
    fn add(&mut self, name: &str, text: &str) {
        let mut name = name;
        for part in text.split('\n') {
            // Text is never missing from a `String`.
            let _ = writeln!(self.0, "{}", format!("{name:<13} {}", visible(part)).trim_end());
            name = "";
        }
    }
}
