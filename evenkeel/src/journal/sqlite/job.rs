//! Jobs and remembered values in the file.

use bytes::Bytes;
use rusqlite::{OptionalExtension, Row};

use super::content::{bytes, int, natural, text};
use super::store::Store;
use crate::journal::{Answer, Job, NewJob};

pub(super) fn remember(
    store: &Store,
    conversation: &str,
    name: &str,
    value: Option<&Bytes>,
) -> rusqlite::Result<usize> {
    let connection = &store.connection;
    match value {
        Some(value) => connection
            .prepare_cached("INSERT OR REPLACE INTO value(conversation, name, value) VALUES (?1, ?2, ?3)")?
            .execute((conversation, name, &value[..])),
        None => connection
            .prepare_cached("DELETE FROM value WHERE conversation = ?1 AND name = ?2")?
            .execute((conversation, name)),
    }
}

pub(super) fn recall(store: &Store, conversation: &str, name: &str) -> rusqlite::Result<Option<Bytes>> {
    store
        .connection
        .prepare_cached("SELECT value FROM value WHERE conversation = ?1 AND name = ?2")?
        .query_row((conversation, name), |row| Ok(bytes(row.get_ref(0)?).into()))
        .optional()
}

/// All values of one conversation, by name.
pub(super) fn recall_all(store: &Store, conversation: &str) -> rusqlite::Result<Vec<(String, Bytes)>> {
    let mut statement = store.connection.prepare("SELECT name, value FROM value WHERE conversation = ?1")?;
    let values = statement.query_map([conversation], |row| {
        let name = String::from_utf8_lossy(&bytes(row.get_ref(0)?)).into_owned();
        Ok((name, bytes(row.get_ref(1)?).into()))
    })?;
    values.collect()
}

pub(super) fn schedule(store: &mut Store, job: &NewJob) -> rusqlite::Result<u64> {
    if job.keeps_due {
        let known = store
            .connection
            .prepare_cached("SELECT id FROM job WHERE name = ?1 AND body = ?2")?
            .query_row((&job.name, &job.body[..]), |row| row.get(0))
            .optional()?;
        if let Some(id) = known {
            return Ok(natural(id));
        }
    }
    cancel(store, &job.name, None)?;
    store.counters.last_job += 1;
    let id = store.counters.last_job;
    store
        .connection
        .prepare_cached("INSERT INTO job(id, due_ms, name, conversation, body) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute((int(id), int(job.due_ms), &job.name, &job.conversation, &job.body[..]))?;
    Ok(id)
}

/// Of one conversation, or of any.
pub(super) fn cancel(store: &Store, name: &str, conversation: Option<&str>) -> rusqlite::Result<usize> {
    store
        .connection
        .prepare_cached("DELETE FROM job WHERE name = ?1 AND (?2 IS NULL OR conversation = ?2)")?
        .execute((name, conversation))
}

/// Whether there was such a job, due then.
pub(super) fn advance(store: &Store, id: u64, due_ms: u64, next_ms: Option<u64>) -> rusqlite::Result<bool> {
    let connection = &store.connection;
    let moved = match next_ms {
        Some(next_ms) => connection
            .prepare_cached("UPDATE job SET due_ms = ?3 WHERE id = ?1 AND due_ms = ?2")?
            .execute((int(id), int(due_ms), int(next_ms)))?,
        None => connection
            .prepare_cached("DELETE FROM job WHERE id = ?1 AND due_ms = ?2")?
            .execute((int(id), int(due_ms)))?,
    };
    Ok(moved == 1)
}

/// The jobs, of one conversation or of all, after a place (a time and a number) that are due until a time.
pub(super) fn list(
    store: &Store,
    conversation: Option<&str>,
    after: Option<(u64, u64)>,
    until_ms: u64,
    limit: usize,
) -> rusqlite::Result<Answer> {
    let (due_ms, id) = after.map_or((-1, -1), |(due_ms, id)| (int(due_ms), int(id)));
    let columns = "SELECT id, name, due_ms, body, conversation FROM job";
    // What another program has given another time than a number is never due, and is left where it is.
    let place = "(due_ms, id) > (?1, ?2) AND typeof(due_ms) = 'integer' ORDER BY due_ms, id";
    let mut statement = store.connection.prepare_cached(&match conversation {
        Some(_) => format!("{columns} WHERE conversation = ?3 AND {place}"),
        None => format!("{columns} WHERE {place}"),
    })?;
    let mut rows = match conversation {
        Some(conversation) => statement.query((due_ms, id, conversation))?,
        None => statement.query((due_ms, id))?,
    };
    let mut jobs = Vec::new();
    let mut next_ms = None;
    while let Some(row) = rows.next()? {
        let due_ms = natural(row.get(2)?);
        if jobs.len() == limit || due_ms > until_ms {
            next_ms = Some(due_ms);
            break;
        }
        jobs.push(read(row, due_ms)?);
    }
    Ok(Answer::Due { jobs, next_ms })
}

pub(super) fn next(store: &Store) -> rusqlite::Result<Option<u64>> {
    let first = store
        .connection
        .prepare_cached("SELECT due_ms FROM job WHERE typeof(due_ms) = 'integer' ORDER BY due_ms LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(first.map(natural))
}

fn read(row: &Row<'_>, due_ms: u64) -> rusqlite::Result<Job> {
    let (name, conversation) = (text(row.get_ref(1)?), text(row.get_ref(4)?));
    Ok(Job { id: natural(row.get(0)?), name, conversation, due_ms, body: bytes(row.get_ref(3)?).into() })
}
