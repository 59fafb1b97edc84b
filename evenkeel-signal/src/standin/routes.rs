//! From a request to what upstream does with it.

use std::sync::Arc;

use serde_json::{Value, json};

use super::answer::{Answer, Route, challenge};
use super::options::{Mode, Recording};
use super::people::Group;
use super::server::Server;
use super::transcript::Request;
use super::wire::{Call, percent_decoded};
use super::{receive, recipient, send};

pub(super) const JSON: &str = "application/json; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// What the connection does next.
pub(super) enum Reply {
    Respond { status: u16, content_type: &'static str, body: Vec<u8> },
    Upgrade { account: String, accept_key: String },
    Hang,
    Close,
}

impl Reply {
    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self::Respond { status, content_type: JSON, body: body.to_string().into_bytes() }
    }

    pub(super) fn refused(text: &str) -> Self {
        Self::json(400, &json!({"error": text}))
    }

    pub(super) fn text(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::Respond { status, content_type: TEXT, body: body.into() }
    }

    fn empty() -> Self {
        Self::text(204, "")
    }
}

/// Records a request, obeys the script, and else does what upstream does.
pub(super) async fn reply(server: &Arc<Server>, call: &Call) -> Reply {
    let (route, parameter) = routed(call);
    let (entry, mut answer) = record(server, call, route);
    let send = if route == Route::Send { Some(send::accepted(server, call)) } else { None };
    while let Answer::After(delay, then) = answer {
        tokio::time::sleep(delay).await;
        answer = *then;
    }
    let reply = match (send, answer) {
        (_, Answer::Hang) => Reply::Hang,
        (_, Answer::Close) => Reply::Close,
        (_, Answer::Status(status, body)) => {
            Reply::Respond { status, content_type: JSON, body: body.into_bytes() }
        }
        (_, Answer::Refused(text)) => Reply::refused(&text),
        (_, Answer::RateLimited(tokens)) => {
            let account = server.options.accounts.first().map_or("", String::as_str);
            Reply::json(429, &challenge(&tokens, account))
        }
        (Some(Err(refusal)), _) => refusal,
        (Some(Ok(timestamp)), Answer::Partial(failures)) => send::partial(timestamp, &failures),
        (Some(Ok(timestamp)), _) => send::created(server, timestamp),
        (None, _) => usual(server, call, route, &parameter).await,
    };
    if let (Some(entry), Reply::Respond { status, .. }) = (entry, &reply) {
        server.change(|state| {
            state.transcript.requests.get_mut(entry).map(|request| request.status = Some(*status))
        });
    }
    reply
}

/// Returns the route and the last segment of the path, decoded.
fn routed(call: &Call) -> (Route, String) {
    let path = call.path.split_once('?').map_or(call.path.as_str(), |(path, _)| path);
    let (place, parameter) = match path.strip_prefix("/v1/").and_then(|rest| rest.split_once('/')) {
        Some((place, parameter)) if !parameter.is_empty() && !parameter.contains('/') => (place, parameter),
        _ => (path, ""),
    };
    let route = match (call.method.as_str(), place) {
        ("POST", "/v2/send") => Route::Send,
        ("GET", "/v1/about") => Route::About,
        ("GET", "/v1/health") => Route::Health,
        ("GET", "/v1/accounts") => Route::Accounts,
        ("GET", "receive") => Route::Receive,
        ("PUT" | "DELETE", "typing-indicator") => Route::Typing,
        ("POST" | "DELETE", "reactions") => Route::Reactions,
        ("DELETE", "remote-delete") => Route::RemoteDelete,
        ("POST", "receipts") => Route::Receipts,
        ("GET", "groups") => Route::Groups,
        ("GET", "attachments") => Route::Attachments,
        _ => Route::Unknown,
    };
    match percent_decoded(parameter) {
        Some(parameter) => (route, parameter),
        None => (Route::Unknown, String::new()),
    }
}

/// Enters the request, and takes the answer that was ordered for it under the same lock: arrival decides.
fn record(server: &Server, call: &Call, route: Route) -> (Option<usize>, Answer) {
    let entry = (server.options.recording == Recording::Everything).then(|| Request {
        method: call.method.clone(),
        path: call.path.clone(),
        headers: call.headers.clone(),
        body: serde_json::from_slice(&call.body).ok(),
        status: None,
    });
    server.change(|state| {
        state.transcript.request_count += 1;
        let index = entry.map(|entry| {
            state.transcript.requests.push(entry);
            state.transcript.requests.len() - 1
        });
        (index, state.script.take(route))
    })
}

async fn usual(server: &Arc<Server>, call: &Call, route: Route, parameter: &str) -> Reply {
    let options = &server.options;
    match route {
        Route::About => Reply::json(
            200,
            &json!({
                "versions": ["v1", "v2"],
                "build": 2,
                "mode": options.mode.as_str(),
                "version": options.version,
                "capabilities": {"v2/send": ["quotes", "mentions"]},
            }),
        ),
        Route::Health => Reply::empty(),
        Route::Accounts => Reply::json(200, &json!(options.accounts)),
        Route::Groups => Reply::json(200, &options.groups.iter().map(Group::listed).collect::<Value>()),
        Route::Attachments => attachment(server, parameter),
        Route::Receive if options.mode == Mode::JsonRpc => receive::upgrade(call, parameter),
        Route::Receive => receive::received(server, call, parameter).await,
        Route::Typing => checked(call, &["recipient"], Reply::empty),
        Route::Reactions if call.method == "DELETE" => {
            checked(call, &["recipient", "target_author", "timestamp"], Reply::empty)
        }
        Route::Reactions => {
            checked(call, &["recipient", "reaction", "target_author", "timestamp"], Reply::empty)
        }
        Route::Receipts => checked(call, &["recipient", "receipt_type", "timestamp"], Reply::empty),
        Route::RemoteDelete => checked(call, &["recipient", "timestamp"], || {
            let timestamp = server.state().tick(options).to_string();
            Reply::json(201, &json!({"timestamp": timestamp}))
        }),
        Route::Send | Route::Unknown => Reply::text(404, "404 page not found"),
    }
}

/// Answers as `success` says if the body has all `fields`, and if its recipient is one.
fn checked(call: &Call, fields: &[&str], success: impl FnOnce() -> Reply) -> Reply {
    let Ok(body) = serde_json::from_slice::<Value>(&call.body) else {
        return Reply::refused("Couldn't process request - invalid request");
    };
    if let Some(missing) = fields.iter().find(|field| is_missing(body.get(**field))) {
        return Reply::refused(&format!("Couldn't process request - {missing} missing"));
    }
    let recipient = body.get("recipient").and_then(Value::as_str).unwrap_or_default().to_owned();
    // Upstream looks at the recipient of everything but typing.
    let is_checked = fields.len() > 1;
    match recipient::refusal(std::slice::from_ref(&recipient)) {
        Some(text) if is_checked => Reply::refused(&text),
        _ if fields.contains(&"receipt_type") && recipient.starts_with("group.") => {
            Reply::refused(&format!("Invalid identifier {recipient}"))
        }
        _ => success(),
    }
}

/// Go cannot tell an absent field from a zero one, so neither can upstream.
fn is_missing(field: Option<&Value>) -> bool {
    match field {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(number) => number.as_i64() == Some(0),
    }
}

fn attachment(server: &Server, id: &str) -> Reply {
    if id.contains("..") || id.contains('/') {
        return Reply::refused("Invalid attachment name");
    }
    match server.options.attachments.iter().find(|(known, _)| known == id) {
        Some((_, bytes)) => Reply::Respond { status: 200, content_type: sniffed(bytes), body: bytes.clone() },
        None => Reply::json(404, &json!({"error": "No attachment with that name found"})),
    }
}

fn sniffed(bytes: &[u8]) -> &'static str {
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => "image/png",
        [0xff, 0xd8, 0xff, ..] => "image/jpeg",
        _ if std::str::from_utf8(bytes).is_ok() => TEXT,
        _ => "application/octet-stream",
    }
}
