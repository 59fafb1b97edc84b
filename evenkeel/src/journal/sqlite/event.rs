//! Events in the file.

use rusqlite::types::ValueRef;
use rusqlite::{OptionalExtension, Row};

use super::content::{bytes, encode, event as decode, int, natural, raw, small, text, whole};
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
    let number = |at| row.get_ref(at).map(whole);
    let (Some(state), Some(attempts), Some(crashes)) = (number(1)?, number(2)?, number(3)?) else {
        return Ok((Err(sequence), false));
    };
    let (Some(begun), Some(due_ms), Some(facts)) = (number(4)?, number(5)?, number(6)?) else {
        return Ok((Err(sequence), false));
    };
    let event = decode(raw(row.get_ref(7)?)).filter(|_| int(state) <= PARKED);
    let Some(event) = event else { return Ok((Err(sequence), false)) };
    let event = PendingEvent {
        sequence,
        event,
        attempts: small(int(attempts)),
        crashes: small(int(crashes)),
        has_begun: begun > 0,
        due_ms,
        is_parked: int(state) == PARKED,
        facts: Vec::new(),
    };
    Ok((Ok(event), facts > 0))
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
        Ok(Fact::Step { name: text(row.get_ref(0)?), value: bytes(row.get_ref(1)?).into() })
    })?;
    let mut sent = store.connection.prepare_cached(
        "SELECT number, sent_id, state FROM letter WHERE sequence = ?1 AND state >= 2 \
         AND typeof(number) = 'integer' ORDER BY number",
    )?;
    let sent = sent.query_map([int(sequence)], |row| {
        let (index, id) = (small(row.get(0)?), row.get_ref(1)?);
        // What is neither sent nor anything else that we write is not sent again, either.
        if whole(row.get_ref(2)?).map(int) != Some(letter::SENT) {
            return Ok(Fact::Buried { index });
        }
        Ok(Fact::Sent { index, id: (id != ValueRef::Null).then(|| MessageId::new(text(id))) })
    })?;
    steps.chain(sent).collect()
}
