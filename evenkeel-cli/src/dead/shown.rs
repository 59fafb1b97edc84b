//! How a dead letter looks: as a row, as a whole, in JSON. Without leave, none of it says what people wrote.

use std::fmt::Write as _;

use evenkeel::journal::{Dead, Reason};
use evenkeel::{Action, Error, Event, What};
use serde::Serialize;

use crate::table::{cut, line, short, span, time};

/// What is known of a dead letter beside its content.
#[derive(Serialize)]
struct Bare<'a> {
    id: String,
    kind: String,
    reason: Reason,
    error: &'a str,
    command: &'a str,
    conversation: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent_ms: Option<u64>,
    attempts: u32,
    at_ms: u64,
}

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
    let event = dead.event.as_ref();
    let bare = Bare {
        id: dead.id.to_string(),
        kind: kind(dead),
        reason: dead.reason,
        error: &dead.error,
        command: &dead.command,
        conversation: &dead.conversation,
        sender: event.map(|event| event.sender().id()),
        sent_ms: event.map(Event::sent_ms).filter(|sent_ms| *sent_ms > 0),
        attempts: dead.attempts,
        at_ms: dead.at_ms,
    };
    Ok(serde_json::to_string(&bare)?)
}

/// Everything, a line for each thing.
pub(super) fn whole(dead: &Dead, now_ms: u64, has_text: bool) -> String {
    let mut lines = Lines(String::new());
    lines.add("id", &dead.id.to_string());
    lines.add("what", &kind(dead));
    lines.add("reason", dead.reason.word());
    lines.add("command", if dead.command.is_empty() { "none" } else { &dead.command });
    lines.add("conversation", &dead.conversation);
    if let Some(event) = &dead.event {
        lines.add("sender", event.sender().id());
        if event.sent_ms() > 0 {
            lines.add("sent", &time(event.sent_ms()));
        }
    }
    lines.add("attempts", &dead.attempts.to_string());
    let age = span(now_ms.saturating_sub(dead.at_ms));
    lines.add("given up", &format!("{}, {age} ago", time(dead.at_ms)));
    lines.add("error", &dead.error);
    if has_text {
        for (name, text) in content(dead) {
            lines.add(name, &text);
        }
    } else if dead.event.is_some() || dead.reply.is_some() {
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
            let _ = writeln!(self.0, "{}", format!("{name:<13} {}", line(part)).trim_end());
            name = "";
        }
    }
}

/// What it is, in words that say nothing of what was written.
fn kind(dead: &Dead) -> String {
    match (&dead.event, &dead.reply) {
        (Some(event), _) => match event.what() {
            What::Message(_) => "message".into(),
            What::Edit(_) => "edit".into(),
            What::Reaction(_) => "reaction".into(),
            What::Deletion(_) => "deletion".into(),
            What::Typing(_) => "typing".into(),
            What::Receipt(_) => "receipt".into(),
            What::PollVote(_) => "poll vote".into(),
            What::Due(due) => format!("job {}", due.function()),
            What::Other(other) => other.name.clone(),
            _ => "event".into(),
        },
        (_, Some(reply)) => match &reply.action {
            Action::Send(_) => "reply".into(),
            Action::Edit { .. } => "edit of a reply".into(),
            Action::React { .. } => "reaction of the bot".into(),
            Action::Delete { .. } => "deletion of a reply".into(),
            Action::Typing { .. } => "typing of the bot".into(),
            _ => "action of the bot".into(),
        },
        (None, None) => "cannot be read".into(),
    }
}

/// What was written, and what came with it.
fn content(dead: &Dead) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    let message = dead
        .event
        .as_ref()
        .and_then(|event| event.message().or_else(|| event.edit().map(|edit| &edit.message)));
    let draft = dead.reply.as_ref().and_then(|reply| match &reply.action {
        Action::Send(draft) | Action::Edit { draft, .. } => Some(draft),
        _ => None,
    });
    if let Some(message) = message {
        found.push(("text", message.text.clone()));
        found.extend(message.quote.iter().map(|quote| ("quoted", quote.text.clone())));
        let name = |name: &Option<String>| name.clone().unwrap_or_else(|| "without a name".into());
        found.extend(message.attachments.iter().map(|file| ("file", name(&file.name))));
    } else if let Some(draft) = draft {
        found.push(("text", draft.text.clone()));
        let file = |file: &evenkeel::File| format!("{}, {} bytes", file.name, file.bytes.len());
        found.extend(draft.files.iter().map(|one| ("file", file(one))));
    } else if let Some(event) = &dead.event {
        found.extend(serde_json::to_string(event).ok().map(|json| ("content", json)));
    } else if let Some(reply) = &dead.reply {
        found.extend(serde_json::to_string(&reply.action).ok().map(|json| ("content", json)));
    }
    found
}
