//! `GET /v1/receive/{number}`: the upgrade of one mode, and the destructive read of the others.

use std::time::Duration;

use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::routes::Reply;
use super::server::Server;
use super::wire::Call;

/// Unknown numbers are upgraded too, upstream as here; they hear nothing.
pub(super) fn upgrade(call: &Call, account: &str) -> Reply {
    let key = call.header("sec-websocket-key");
    match key.filter(|_| call.lists("connection", "upgrade") && call.lists("upgrade", "websocket")) {
        Some(key) => {
            Reply::Upgrade { account: account.to_owned(), accept_key: derive_accept_key(key.as_bytes()) }
        }
        None => Reply::text(
            400,
            "Bad Request\n{\"error\":\"websocket: the client is not using the websocket protocol: 'upgrade' \
             token not found in 'Connection' header\"}",
        ),
    }
}

/// The destructive `GET` of the other modes: JSON lines joined to an array, labelled as plain text.
pub(super) async fn received(server: &Server, call: &Call, account: &str) -> Reply {
    let Some(timeout) = number(call, "timeout", 1) else {
        return Reply::refused("Couldn't process request - timeout needs to be numeric!");
    };
    let Some(limit) = number(call, "max_messages", 0) else {
        return Reply::refused("Couldn't process request - max_messages needs to be numeric!");
    };
    let limit = if limit == 0 { usize::MAX } else { limit as usize };
    let give_up = tokio::time::sleep(Duration::from_secs(timeout));
    tokio::pin!(give_up);
    loop {
        let changed = server.changed.notified();
        tokio::pin!(changed);
        changed.as_mut().enable();
        let frames = taken(server, account, limit);
        if !frames.is_empty() {
            return Reply::text(200, format!("[{}]", frames.join(",")));
        }
        tokio::select! {
            () = changed => {}
            () = &mut give_up => return Reply::text(200, "[]"),
        }
    }
}

fn taken(server: &Server, account: &str, limit: usize) -> Vec<String> {
    let mut state = server.state();
    let Some(backlog) = state.backlog.get_mut(account) else {
        return Vec::new();
    };
    let count = limit.min(backlog.len());
    let frames: Vec<String> = backlog.drain(..count).map(|frame| frame.to_string()).collect();
    state.transcript.delivered += frames.len() as u64;
    frames
}

fn number(call: &Call, name: &str, default: u64) -> Option<u64> {
    let query = call.path.split_once('?').map_or("", |(_, query)| query);
    let given = query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name);
    given.map_or(Some(default), |(_, value)| value.parse().ok())
}
