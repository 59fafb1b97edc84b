//! A dead letter without what people wrote, and with it only where somebody asks for it.

use std::borrow::Cow;

use serde::Serialize;

use super::given_up::{Dead, DeadId, Reason};
use crate::event::{Event, EventKind};
use crate::reply::{Action, File};
use crate::reserved;

/// What is known of a dead letter beside its content: what may be shown and kept without anybody's leave.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct BareDead<'a> {
    /// Its name.
    #[serde(serialize_with = "super::given_up::as_text")]
    pub id: DeadId,
    /// What it is, as [`Dead::kind`] says.
    pub kind: String,
    /// Why it was given up.
    pub reason: Reason,
    /// The error with its causes.
    pub error: &'a str,
    /// The command, if one was found.
    pub command: &'a str,
    /// Its conversation, as people read it ([`title`](super::title)).
    pub conversation: Cow<'a, str>,
    /// The network of its conversation; empty for the primary one.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub network: &'a str,
    /// The id of the person who caused the event; `None` for a reply.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender: Option<&'a str>,
    /// When the event was sent, in milliseconds since 1970, if the network says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_ms: Option<u64>,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was given up, in milliseconds since 1970.
    pub at_ms: u64,
}

impl Dead {
    /// The same without its content.
    pub fn bare(&self) -> BareDead<'_> {
        let event = self.event();
        BareDead {
            id: self.id,
            kind: self.kind(),
            reason: self.reason,
            error: &self.error,
            command: &self.command,
            conversation: reserved::shown(&self.conversation),
            network: reserved::split(&self.conversation).0,
            sender: event.map(|event| event.sender().id()),
            sent_ms: event.and_then(Event::sent_ms),
            attempts: self.attempts,
            at_ms: self.at_ms,
        }
    }

    /// What it is, in words that say nothing of what was written: `message`, `job my_bot::ring`, `reply`.
    pub fn kind(&self) -> String {
        match (self.event(), self.reply()) {
            (Some(event), _) => match event.kind() {
                EventKind::Message(_) => "message".into(),
                EventKind::Edit(_) => "edit".into(),
                EventKind::Reaction(_) => "reaction".into(),
                EventKind::Deletion(_) => "deletion".into(),
                EventKind::Typing(_) => "typing".into(),
                EventKind::Receipt(_) => "receipt".into(),
                EventKind::PollVote(_) => "poll vote".into(),
                EventKind::JobFired(due) => format!("job {}", due.function()),
                EventKind::Other(other) => other.name.clone(),
            },
            (_, Some(reply)) => match &reply.action {
                Action::Send(_) => "reply".into(),
                Action::Edit { .. } => "edit of a reply".into(),
                Action::React { .. } => "reaction of the bot".into(),
                Action::Delete { .. } => "deletion of a reply".into(),
                Action::Typing { .. } => "typing of the bot".into(),
            },
            (None, None) => "cannot be read".into(),
        }
    }

    /// What was written, and the names of what came with it, each with a word that says what it is: of a job the function,
    /// and its arguments in JSON. It is people's own: show it to nobody but an operator who asks for it.
    pub fn texts(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        let message =
            self.event().and_then(|event| event.message().or_else(|| event.edit().map(|edit| &edit.message)));
        let draft = self.reply().and_then(|reply| match &reply.action {
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
            let file = |file: &File| format!("{}, {} bytes", file.name, file.bytes.len());
            found.extend(draft.files.iter().map(|one| ("file", file(one))));
        } else if let Some(EventKind::JobFired(due)) = self.event().map(Event::kind) {
            found.push(("function", due.function().to_owned()));
            found.push(("arguments", due.args().to_owned()));
        } else if let Some(event) = self.event() {
            found.extend(serde_json::to_string(event).ok().map(|json| ("content", json)));
        } else if let Some(reply) = self.reply() {
            found.extend(serde_json::to_string(&reply.action).ok().map(|json| ("content", json)));
        }
        found
    }
}
