//! `POST /v2/send`: what upstream refuses by itself, and the two shapes of success.

use std::sync::Arc;

use serde_json::{Value, json};

use super::answer::Failure;
use super::options::{Recording, SendShape};
use super::recipient;
use super::routes::{JSON, Reply};
use super::server::Server;
use super::switchboard::Switchboard;
use super::transcript::Sent;
use super::wire::Call;

/// Checks a send as upstream does before it bothers signal-cli, and enters it; returns its timestamp.
pub(super) fn accepted(server: &Arc<Server>, call: &Call) -> Result<i64, Reply> {
    // gin's `BindJSON` writes the header before the handler sets a type, hence plain text around JSON.
    let mut sent: Sent = serde_json::from_slice(&call.body)
        .map_err(|_| Reply::text(400, r#"{"error":"Couldn't process request - invalid request"}"#))?;
    sent.recipients.extend(sent.recipient.take());
    if let Some(text) = send_refusal(server, &sent) {
        return Err(Reply::refused(&text));
    }
    server.change(|state| {
        sent.timestamp = state.tick(&server.options);
        state.transcript.send_count += 1;
        if server.options.recording == Recording::Everything {
            state.transcript.sent.push(sent.clone());
        }
    });
    if let Some(notice) = &server.options.on_send {
        notice(&Switchboard::new(Arc::clone(server)), &sent);
    }
    Ok(sent.timestamp)
}

fn send_refusal(server: &Server, sent: &Sent) -> Option<String> {
    let unusable = |what: &str| Some(format!("Couldn't process request - {what}"));
    if sent.recipients.is_empty() {
        return unusable("please provide at least one recipient");
    }
    if sent.number.is_empty() {
        return unusable("please provide a valid number");
    }
    if sent.sticker.as_ref().is_some_and(|sticker| !sticker.is_empty() && !sticker.contains(':')) {
        return unusable("please provide valid sticker delimiter");
    }
    if sent.view_once && sent.base64_attachments.is_empty() {
        return Some("'view_once' can only be set for image attachments!".to_owned());
    }
    sent.link_preview
        .as_ref()
        .and_then(|preview| preview_refusal(preview, &sent.message))
        .or_else(|| recipient::refusal(&sent.recipients))
        .or_else(|| {
            (!server.options.accounts.contains(&sent.number))
                .then(|| "Specified account does not exist".to_owned())
        })
}

fn preview_refusal(preview: &Value, message: &str) -> Option<String> {
    let part = |name: &str| preview.get(name).and_then(Value::as_str).unwrap_or_default();
    let (url, title) = (part("url"), part("title"));
    let text = if title.is_empty() {
        "Please provide a valid Link Preview Title"
    } else if !url.starts_with("https://") {
        "Link Preview URL must start with https://.."
    } else if !message.contains(url) {
        "Link Preview URL is missing in the message!"
    } else {
        return None;
    };
    Some(text.to_owned())
}

/// By hand rather than through `Value`: this is the answer that the benchmark waits for.
pub(super) fn created(server: &Server, timestamp: i64) -> Reply {
    let body = match server.state().shape {
        SendShape::Released => format!("{{\"timestamp\":\"{timestamp}\"}}"),
        SendShape::Master => format!("[{{\"timestamp\":\"{timestamp}\"}}]"),
    };
    Reply::Respond { status: 201, content_type: JSON, body: body.into_bytes() }
}

pub(super) fn partial(timestamp: i64, failures: &[Failure]) -> Reply {
    let listed = |failure: &Failure| {
        let mut entry = json!({"uuid": failure.uuid, "reason": failure.reason});
        if let Some(number) = &failure.number {
            entry["number"] = json!(number);
        }
        entry
    };
    let recipients: Vec<Value> = failures.iter().map(listed).collect();
    let timestamp = timestamp.to_string();
    Reply::json(201, &json!([{"timestamp": timestamp, "errors": {"recipients": recipients}}]))
}
