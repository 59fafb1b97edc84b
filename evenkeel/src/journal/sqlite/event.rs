//! Events in the file.

use rusqlite::{OptionalExtension, Row};

use super::content::{encode, event as decode, int, natural, raw, small};
use super::schema::event::{DEAD, PARKED, READY, RUNNING, SUSPENDED};
use super::schema::letter;
use super::store::Store;
use crate::event::{Event, MessageId};
use crate::journal::{Acceptance, Fact, PendingEvent, Reason};

/// Why, and with what error, something was given up.
pub(super) struct Death<'a> {
    pub(super) reason: Reason,
    pub(super) error: &'a str,
    pub(super) command: &'a str,
    pub(super) at_ms: u64,
}

/// The columns that [`pending`] reads.
pub(super) const PENDING: &str = "sequence, state, attempts, crashes, begun, due_ms, facts, content";

pub(super) fn accept(
    store: &mut Store,
    event: &Event,
    now_ms: u64,
    begins: bool,
) -> rusqlite::Result<Acceptance> {
    store.saw(now_ms);
    let number = store.counters.last + 1;
    if !store.seen.add(&store.connection, event.id(), number, now_ms)? {
        return Ok(Acceptance::Duplicate);
    }
    let sequence = store.next();
    let (state, attempts) = if begins { (RUNNING, 1) } else { (READY, 0) };
    let Store { connection, buffer, .. } = store;
    connection
        .prepare_cached(
            "INSERT INTO event(sequence, state, attempts, crashes, begun, due_ms, content) \
             VALUES (?1, ?2, ?3, 0, ?3, 0, ?4)",
        )?
        .execute((int(sequence), state, attempts, encode(event, buffer)))?;
    Ok(Acceptance::New(sequence))
}

/// What was suspended goes on; anything else begins another attempt.
pub(super) fn begin(store: &Store, sequence: u64) -> rusqlite::Result<usize> {
    store
        .connection
        .prepare_cached(
            "UPDATE event SET attempts = attempts + (state <> ?2), state = ?3, begun = 1 \
             WHERE sequence = ?1 AND state < ?4",
        )?
        .execute((int(sequence), SUSPENDED, RUNNING, DEAD))
}

pub(super) fn suspend(store: &Store, sequence: u64) -> rusqlite::Result<usize> {
    store
        .connection
        .prepare_cached("UPDATE event SET state = ?2 WHERE sequence = ?1 AND state < ?3")?
        .execute((int(sequence), SUSPENDED, DEAD))
}

pub(super) fn retry(store: &Store, sequence: u64, due_ms: u64) -> rusqlite::Result<usize> {
    store
        .connection
        .prepare_cached("UPDATE event SET state = ?2, due_ms = ?3 WHERE sequence = ?1 AND state < ?4")?
        .execute((int(sequence), READY, int(due_ms), DEAD))
}

pub(super) fn give_back(store: &Store, sequence: u64) -> rusqlite::Result<usize> {
    store
        .connection
        .prepare_cached(
            "UPDATE event SET state = ?2, attempts = max(attempts - 1, 0) WHERE sequence = ?1 AND state < ?3",
        )?
        .execute((int(sequence), READY, DEAD))
}

/// Its steps and its sent replies go with it, by a trigger.
pub(super) fn forget(store: &Store, sequence: u64) -> rusqlite::Result<usize> {
    store.connection.prepare_cached("DELETE FROM event WHERE sequence = ?1")?.execute([int(sequence)])
}

pub(super) fn bury(store: &mut Store, sequence: u64, death: &Death<'_>) -> rusqlite::Result<()> {
    store.saw(death.at_ms);
    let content = store
        .connection
        .prepare_cached("SELECT content FROM event WHERE sequence = ?1")?
        .query_row([int(sequence)], |row| Ok(decode(raw(row.get_ref(0)?))))
        .optional()?;
    let Some(event) = content else { return Ok(()) };
    let conversation = event.as_ref().map_or("", |event| event.conversation().id());
    let state = if death.reason == Reason::Parked { PARKED } else { DEAD };
    store
        .connection
        .prepare_cached(
            "UPDATE event SET state = ?2, reason = ?3, error = ?4, command = ?5, at_ms = ?6, conversation = ?7 \
             WHERE sequence = ?1",
        )?
        .execute((
            int(sequence),
            state,
            death.reason.word(),
            death.error,
            death.command,
            int(death.at_ms),
            conversation,
        ))?;
    Ok(())
}

pub(super) fn step(store: &Store, sequence: u64, name: &str, value: &[u8]) -> rusqlite::Result<()> {
    let is_new = store
        .connection
        .prepare_cached(
            "INSERT OR IGNORE INTO step(sequence, name, value) SELECT ?1, ?2, ?3 \
             WHERE EXISTS (SELECT 1 FROM event WHERE sequence = ?1)",
        )?
        .execute((int(sequence), name, value))?;
    if is_new == 1 { add_fact(store, sequence) } else { Ok(()) }
}

/// Notes that something hangs on an event and goes with it.
pub(super) fn add_fact(store: &Store, sequence: u64) -> rusqlite::Result<()> {
    store
        .connection
        .prepare_cached("UPDATE event SET facts = facts + 1 WHERE sequence = ?1")?
        .execute([int(sequence)])?;
    Ok(())
}

/// Reads a row of [`PENDING`] columns, or the number of one that cannot be read. Its facts are still to come.
pub(super) fn pending(row: &Row<'_>) -> rusqlite::Result<(Result<PendingEvent, u64>, bool)> {
    let sequence = natural(row.get(0)?);
    let has_facts = row.get::<_, i64>(6)? > 0;
    let Some(event) = decode(raw(row.get_ref(7)?)) else { return Ok((Err(sequence), has_facts)) };
    let event = PendingEvent {
        sequence,
        event,
        attempts: small(row.get(2)?),
        crashes: small(row.get(3)?),
        has_begun: row.get(4)?,
        due_ms: natural(row.get(5)?),
        is_parked: row.get::<_, i64>(1)? == PARKED,
        facts: Vec::new(),
    };
    Ok((Ok(event), has_facts))
}

/// One event with its facts; `None` when it is gone or cannot be read.
pub(super) fn find(store: &Store, sequence: u64) -> rusqlite::Result<Option<PendingEvent>> {
    let found = store
        .connection
        .prepare_cached(&format!("SELECT {PENDING} FROM event WHERE sequence = ?1"))?
        .query_row([int(sequence)], pending)
        .optional()?;
    let Some((Ok(mut event), has_facts)) = found else { return Ok(None) };
    if has_facts {
        event.facts = facts(store, sequence)?;
    }
    Ok(Some(event))
}

/// What earlier attempts of an event left: steps by name, then replies by number.
pub(super) fn facts(store: &Store, sequence: u64) -> rusqlite::Result<Vec<Fact>> {
    let mut steps =
        store.connection.prepare_cached("SELECT name, value FROM step WHERE sequence = ?1 ORDER BY name")?;
    let steps = steps.query_map([int(sequence)], |row| {
        Ok(Fact::Step { name: row.get(0)?, value: row.get::<_, Vec<u8>>(1)?.into() })
    })?;
    let mut sent = store.connection.prepare_cached(
        "SELECT number, sent_id, state FROM letter WHERE sequence = ?1 AND state >= 2 ORDER BY number",
    )?;
    let sent = sent.query_map([int(sequence)], |row| {
        let (index, state) = (small(row.get(0)?), row.get::<_, i64>(2)?);
        if state == letter::DEAD || state == letter::DECIDED {
            return Ok(Fact::Buried { index });
        }
        Ok(Fact::Sent { index, id: row.get::<_, Option<String>>(1)?.map(MessageId::new) })
    })?;
    steps.chain(sent).collect()
}
