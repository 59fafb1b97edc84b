//! Events and replies as they lie in the file: JSON, which any tool reads, and files as the bytes that they are.

use bytes::Bytes;
use rusqlite::types::ValueRef;

use crate::event::Event;
use crate::reply::{Action, File, Outbound, SendKey};

/// A number for SQLite, which has no unsigned ones.
pub(super) fn int(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A number from SQLite, of which we store no negative ones.
pub(super) fn natural(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// A small number from SQLite.
pub(super) fn small(value: i64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// What a column holds, if it is a number as we write them: another program may have put in anything.
pub(super) fn whole(value: ValueRef<'_>) -> Option<u64> {
    if let ValueRef::Integer(number) = value { Some(natural(number)) } else { None }
}

/// Whatever a column of text or bytes holds, as bytes.
pub(super) fn raw(value: ValueRef<'_>) -> &[u8] {
    match value {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes,
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => &[],
    }
}

/// Whatever a column holds, as text; nothing is an empty one.
pub(super) fn text(value: ValueRef<'_>) -> String {
    let bytes = raw(value);
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes).into_owned(), str::to_owned)
}

/// Whatever a column holds, as bytes that are kept: another program may have taken digits for a number.
pub(super) fn bytes(value: ValueRef<'_>) -> Vec<u8> {
    match value {
        ValueRef::Integer(number) => number.to_string().into_bytes(),
        ValueRef::Real(number) => number.to_string().into_bytes(),
        other => raw(other).to_vec(),
    }
}

/// Writes JSON into a buffer that is used again and again.
pub(super) fn encode<'a, T: serde::Serialize>(value: &T, buffer: &'a mut Vec<u8>) -> &'a str {
    buffer.clear();
    // Our types have no maps with odd keys, and a vector takes whatever it is given.
    serde_json::to_writer(&mut *buffer, value).expect("our own types become JSON");
    std::str::from_utf8(buffer).expect("JSON is UTF-8")
}

/// Reads an event; `None` when it cannot be read.
pub(super) fn event(content: &[u8]) -> Option<Event> {
    // Checked as a whole, the text need not be checked string by string.
    serde_json::from_str(std::str::from_utf8(content).ok()?).ok()
}

/// A reply without the bytes of its files, and these bytes in one piece.
///
/// JSON would make a list of numbers of them, 3.6 times as long.
pub(super) fn split(outbound: &Outbound) -> Option<(Outbound, Vec<u8>)> {
    if files(&outbound.action).is_none_or(<[File]>::is_empty) {
        return None;
    }
    let mut bare = outbound.clone();
    let mut packed = Vec::new();
    for file in files_mut(&mut bare.action).into_iter().flatten() {
        let bytes = std::mem::take(&mut file.bytes);
        packed.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        packed.extend_from_slice(&bytes);
    }
    Some((bare, packed))
}

/// Reads a reply; `None` when it cannot be read.
pub(super) fn outbound(content: &[u8], key: SendKey, packed: Bytes) -> Option<Outbound> {
    let mut outbound: Outbound = serde_json::from_str(std::str::from_utf8(content).ok()?).ok()?;
    outbound.key = key;
    let mut rest = packed;
    for file in files_mut(&mut outbound.action).into_iter().flatten() {
        let length = rest.get(..8)?.try_into().ok().map(u64::from_le_bytes)?;
        let end = usize::try_from(length).ok()?.checked_add(8)?;
        if rest.len() < end {
            return None;
        }
        file.bytes = rest.split_to(end).slice(8..);
    }
    Some(outbound)
}

fn files(action: &Action) -> Option<&[File]> {
    match action {
        Action::Send(draft) | Action::Edit { draft, .. } => Some(&draft.files),
        Action::React { .. } | Action::Delete { .. } | Action::Typing { .. } => None,
    }
}

fn files_mut(action: &mut Action) -> Option<&mut Vec<File>> {
    match action {
        Action::Send(draft) | Action::Edit { draft, .. } => Some(&mut draft.files),
        Action::React { .. } | Action::Delete { .. } | Action::Typing { .. } => None,
    }
}
