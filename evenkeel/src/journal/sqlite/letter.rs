//! Replies in the file.

use rusqlite::types::Null;
use rusqlite::{Connection, OptionalExtension, Row};

use super::content::{bytes, encode, int, natural, outbound as decode, raw, small, split, text, whole};
use super::event::{Death, add_fact};
use super::schema::{
    event,
    letter::{DEAD, DECIDED, PENDING, SENDING},
};
use super::store::Store;
use crate::event::MessageId;
use crate::journal::PendingLetter;
use crate::reply::{Outbound, SendKey};

/// The columns that [`pending`] reads.
pub(super) const COLUMNS: &str = "sequence, number, state, attempts, due_ms, files, command, content";

pub(super) fn promise(
    store: &mut Store,
    outbound: &Outbound,
    command: &str,
    begins: bool,
) -> rusqlite::Result<()> {
    let split = split(outbound);
    let (bare, files) = split.as_ref().map_or((outbound, None), |(bare, files)| (bare, Some(files)));
    let (state, attempts) = if begins { (SENDING, 1) } else { (PENDING, 0) };
    let key = outbound.key;
    // Numbers that others made up are not given out again.
    store.counters.last = store.counters.last.max(key.sequence);
    let Store { connection, buffer, .. } = store;
    let is_new = connection
        .prepare_cached(
            "INSERT OR IGNORE INTO letter(sequence, number, state, attempts, due_ms, files, command, content) \
             VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6, ?7)",
        )?
        .execute((int(key.sequence), key.index, state, attempts, files.is_some(), command, encode(bare, buffer)))?
        == 1;
    match files {
        Some(files) if is_new => {
            connection
                .prepare_cached("INSERT INTO file(sequence, number, bytes) VALUES (?1, ?2, ?3)")?
                .execute((int(key.sequence), key.index, files))?;
        }
        _ if !is_new && begins => {
            sending(store, key)?;
        }
        _ => {}
    }
    Ok(())
}

pub(super) fn sending(store: &Store, key: SendKey) -> rusqlite::Result<usize> {
    store
        .connection
        .prepare_cached(
            "UPDATE letter SET state = ?3, attempts = attempts + 1 \
             WHERE sequence = ?1 AND number = ?2 AND state <= ?3",
        )?
        .execute((int(key.sequence), key.index, SENDING))
}

/// A reply of an event that is done leaves nothing; of others it stays as a fact.
pub(super) fn sent(store: &Store, key: SendKey, id: Option<&MessageId>) -> rusqlite::Result<()> {
    let gone = store
        .connection
        .prepare_cached(
            "DELETE FROM letter WHERE sequence = ?1 AND number = ?2 \
             AND NOT EXISTS (SELECT 1 FROM event WHERE sequence = ?1)",
        )?
        .execute((int(key.sequence), key.index))?;
    if gone == 1 {
        return Ok(());
    }
    let kept = store
        .connection
        .prepare_cached(
            "UPDATE letter SET state = 2, sent_id = ?3, content = '', reason = NULL, error = NULL, command = NULL, \
             conversation = NULL, at_ms = NULL WHERE sequence = ?1 AND number = ?2",
        )?
        .execute((int(key.sequence), key.index, id.map(MessageId::as_str)))?;
    if kept == 1 { add_fact(store, key.sequence) } else { Ok(()) }
}

pub(super) fn postpone(store: &Store, key: SendKey, due_ms: u64) -> rusqlite::Result<usize> {
    store
        .connection
        .prepare_cached(
            "UPDATE letter SET state = ?3, due_ms = ?4 WHERE sequence = ?1 AND number = ?2 AND state <= ?5",
        )?
        .execute((int(key.sequence), key.index, PENDING, int(due_ms), SENDING))
}

pub(super) fn forget(store: &Store, key: SendKey) -> rusqlite::Result<usize> {
    store
        .connection
        .prepare_cached("DELETE FROM letter WHERE sequence = ?1 AND number = ?2")?
        .execute((int(key.sequence), key.index))
}

pub(super) fn bury(store: &mut Store, key: SendKey, death: &Death<'_>) -> rusqlite::Result<()> {
    store.saw(death.at_ms);
    let Some(content) = content(store, key)? else { return Ok(()) };
    let outbound: Option<Outbound> = serde_json::from_slice(&content).ok();
    let conversation = outbound.as_ref().map_or("", |outbound| outbound.conversation.id());
    store
        .connection
        .prepare_cached(
            "UPDATE letter SET state = ?3, reason = ?4, error = ?5, command = ?6, at_ms = ?7, conversation = ?8 \
             WHERE sequence = ?1 AND number = ?2 AND state <= ?9",
        )?
        .execute((
            int(key.sequence),
            key.index,
            DEAD,
            death.reason.word(),
            death.error,
            death.command,
            int(death.at_ms),
            conversation,
            SENDING,
        ))?;
    // Should its event not be done, the next attempt has to know.
    store
        .connection
        .prepare_cached("UPDATE event SET facts = facts + 1 WHERE sequence = ?1")?
        .execute([int(key.sequence)])?;
    Ok(())
}

fn content(store: &Store, key: SendKey) -> rusqlite::Result<Option<Vec<u8>>> {
    store
        .connection
        .prepare_cached("SELECT content FROM letter WHERE sequence = ?1 AND number = ?2")?
        .query_row((int(key.sequence), key.index), |row| Ok(raw(row.get_ref(0)?).to_vec()))
        .optional()
}

/// The bytes of a reply's files.
pub(super) fn files(connection: &Connection, key: SendKey) -> rusqlite::Result<Option<Vec<u8>>> {
    connection
        .prepare_cached("SELECT bytes FROM file WHERE sequence = ?1 AND number = ?2")?
        .query_row((int(key.sequence), key.index), |row| Ok(bytes(row.get_ref(0)?)))
        .optional()
}

/// Reads a row of [`COLUMNS`], or the key of one that cannot be read.
pub(super) fn pending(
    connection: &Connection,
    row: &Row<'_>,
) -> rusqlite::Result<Result<PendingLetter, SendKey>> {
    let key = SendKey { sequence: natural(row.get(0)?), index: small(row.get(1)?) };
    let number = |at| row.get_ref(at).map(whole);
    let (Some(state), Some(attempts), Some(due_ms), Some(has_files)) =
        (number(2)?, number(3)?, number(4)?, number(5)?)
    else {
        return Ok(Err(key));
    };
    let packed = if has_files > 0 { files(connection, key)? } else { None };
    let packed = packed.unwrap_or_default().into();
    let Some(outbound) = decode(raw(row.get_ref(7)?), key, packed) else { return Ok(Err(key)) };
    let (is_unknown, attempts) = (int(state) == SENDING, small(int(attempts)));
    let command = text(row.get_ref(6)?);
    Ok(Ok(PendingLetter { outbound, command, is_unknown, attempts, due_ms }))
}

/// One reply; `None` when it is gone or cannot be read.
pub(super) fn find(store: &Store, key: SendKey) -> rusqlite::Result<Option<PendingLetter>> {
    let found = store
        .connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM letter WHERE sequence = ?1 AND number = ?2"))?
        .query_row((int(key.sequence), key.index), |row| pending(&store.connection, row))
        .optional()?;
    Ok(found.and_then(Result::ok))
}

/// A dead reply was taken away. While its event is not done or dead, its next attempt has to know.
pub(super) fn decide(store: &Store, key: SendKey) -> rusqlite::Result<()> {
    let is_known = store
        .connection
        .prepare_cached(
            "INSERT INTO letter(sequence, number, state, attempts, due_ms, files, content) \
             SELECT ?1, ?2, ?3, 0, 0, 0, '' WHERE EXISTS (SELECT 1 FROM event WHERE sequence = ?1 AND state <> ?4)",
        )?
        .execute((int(key.sequence), key.index, DECIDED, event::DEAD))?
        == 1;
    if is_known { add_fact(store, key.sequence) } else { Ok(()) }
}

/// Gives a dead reply a new key and another chance.
pub(super) fn rekey(store: &Store, old: SendKey, new: SendKey) -> rusqlite::Result<()> {
    store
        .connection
        .prepare_cached(
            "UPDATE letter SET sequence = ?3, number = ?4, state = ?5, attempts = 0, due_ms = 0, reason = ?6, \
             error = ?6, conversation = ?6, at_ms = ?6 WHERE sequence = ?1 AND number = ?2",
        )?
        .execute((int(old.sequence), old.index, int(new.sequence), new.index, PENDING, Null))?;
    store
        .connection
        .prepare_cached("UPDATE file SET sequence = ?3, number = ?4 WHERE sequence = ?1 AND number = ?2")?
        .execute((int(old.sequence), old.index, int(new.sequence), new.index))?;
    Ok(())
}
