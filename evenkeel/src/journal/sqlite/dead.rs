//! Dead letters in the file: listed, given another chance, forgotten.

use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::content::{int, natural, outbound, raw, small, text, whole};
use super::schema::{event::PARKED, handed};
use super::store::Store;
use super::{event, letter};
use crate::journal::content::{Read, Written};
use crate::journal::{Dead, DeadFilter, DeadId, Reason, Replayed};
use crate::reply::SendKey;

/// Who else has to hear of what is done with a dead letter.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Teller {
    /// Nobody: the bot does it itself.
    Bot,
    /// The bot, which may be running beside this process.
    Operator,
}

/// The part of a filter that both tables share.
const FITS: &str = "(?5 IS NULL OR command = ?5) AND (?6 IS NULL OR reason = ?6) \
                    AND (?7 IS NULL OR conversation = ?7)";

/// The keys that a filter leaves: a range, both ends included, or none.
struct Range {
    events: Option<(i64, i64)>,
    letters: Option<((i64, i64), (i64, i64))>,
}

impl Range {
    fn new(filter: &DeadFilter) -> Self {
        let all_events = (0, i64::MAX);
        let all_letters = ((0, 0), (i64::MAX, i64::MAX));
        let after = match filter.after {
            None => Self { events: Some(all_events), letters: Some(all_letters) },
            Some(DeadId::Event(sequence)) => {
                Self { events: Some((int(sequence).saturating_add(1), i64::MAX)), letters: Some(all_letters) }
            }
            Some(DeadId::Reply(sequence, index)) => {
                let from = (int(sequence), i64::from(index) + 1);
                Self { events: None, letters: Some((from, all_letters.1)) }
            }
        };
        match filter.id {
            None => after,
            Some(DeadId::Event(sequence)) => {
                let one = int(sequence);
                let events = after.events.filter(|(low, _)| *low <= one).map(|_| (one, one));
                Self { events, letters: None }
            }
            Some(DeadId::Reply(sequence, index)) => {
                let one = (int(sequence), i64::from(index));
                let letters = after.letters.filter(|(low, _)| *low <= one).map(|_| (one, one));
                Self { events: None, letters }
            }
        }
    }
}

/// The dead letters that are meant, in order.
pub(super) fn list(connection: &Connection, filter: &DeadFilter) -> rusqlite::Result<Vec<Dead>> {
    let mut found = Vec::new();
    select(
        connection,
        filter,
        "attempts, at_ms, reason, command, conversation, error, content, files",
        |id, row| {
            let (key, read): (_, fn(&Written) -> Read) = match id {
                DeadId::Event(sequence) => (SendKey { sequence, index: 0 }, read_event),
                DeadId::Reply(sequence, index) => (SendKey { sequence, index }, read_reply),
            };
            let has_files = whole(row.get_ref(9)?).is_some_and(|files| files > 0);
            let files = if has_files { letter::files(connection, key)? } else { None };
            let (content, files) = (raw(row.get_ref(8)?).into(), files.unwrap_or_default().into());
            found.push(Dead {
                id,
                reason: reason(row.get_ref(4)?),
                error: text(row.get_ref(7)?),
                command: text(row.get_ref(5)?),
                conversation: text(row.get_ref(6)?),
                attempts: small(int(whole(row.get_ref(2)?).unwrap_or(0))),
                at_ms: whole(row.get_ref(3)?).unwrap_or(0),
                content: Written { key, text: content, files, read }.into(),
            });
            Ok(())
        },
    )?;
    Ok(found)
}

fn read_event(written: &Written) -> Read {
    super::content::event(&written.text).map_or(Read::Unreadable, Read::Event)
}

fn read_reply(written: &Written) -> Read {
    let Written { key, text, files, .. } = written;
    outbound(text, *key, files.clone()).map_or(Read::Unreadable, |reply| Read::Reply(reply.into()))
}

/// Goes through the rows that are meant; the first two columns are taken.
fn select(
    connection: &Connection,
    filter: &DeadFilter,
    columns: &str,
    mut each: impl FnMut(DeadId, &rusqlite::Row<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let range = Range::new(filter);
    let mut room = filter.limit.map_or(i64::MAX, |limit| int(limit as u64));
    let (command, reason) = (filter.command.as_deref(), filter.reason.map(Reason::word));
    let conversation = filter.conversation.as_deref();
    if let Some((low, high)) = range.events {
        // The shared text numbers its parameters from 5; an event has no second number, and no files.
        let columns = columns.replace("files", "0");
        let sql = format!(
            "SELECT sequence, 0, {columns} FROM event INDEXED BY event_dead WHERE state >= 3 \
             AND sequence >= ?1 AND sequence <= ?3 AND ?2 = ?4 AND {FITS} ORDER BY sequence LIMIT ?8"
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query((low, 0, high, 0, command, reason, conversation, room))?;
        while let Some(row) = rows.next()? {
            room -= 1;
            each(DeadId::Event(natural(row.get(0)?)), row)?;
        }
    }
    if let Some(((low, first), (high, last))) = range.letters {
        let sql = format!(
            "SELECT sequence, number, {columns} FROM letter INDEXED BY letter_dead WHERE state = 3 \
             AND (sequence, number) >= (?1, ?2) AND (sequence, number) <= (?3, ?4) AND {FITS} \
             AND typeof(sequence) = 'integer' AND typeof(number) = 'integer' \
             ORDER BY sequence, number LIMIT ?8"
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query((low, first, high, last, command, reason, conversation, room))?;
        while let Some(row) = rows.next()? {
            each(DeadId::Reply(natural(row.get(0)?), small(row.get(1)?)), row)?;
        }
    }
    Ok(())
}

/// The names of those that are meant, and whether each is a parked event.
fn names(connection: &Connection, filter: &DeadFilter) -> rusqlite::Result<Vec<(DeadId, bool)>> {
    let mut names = Vec::new();
    select(connection, filter, "state", |id, row| {
        let is_parked = matches!(id, DeadId::Event(_)) && whole(row.get_ref(2)?).map(int) == Some(PARKED);
        names.push((id, is_parked));
        Ok(())
    })?;
    Ok(names)
}

/// How many are meant.
pub(super) fn count(connection: &Connection, filter: &DeadFilter) -> rusqlite::Result<u64> {
    Ok(names(connection, filter)?.len() as u64)
}

/// Gives those that are meant another chance. What cannot be read stays where it is.
pub(super) fn replay(store: &mut Store, filter: &DeadFilter, teller: Teller) -> rusqlite::Result<Replayed> {
    let mut replayed = Replayed::default();
    for (id, is_parked) in names(&store.connection, filter)? {
        match id {
            DeadId::Event(sequence) => {
                if event::find(store, sequence)?.is_none() {
                    continue;
                }
                let number = if is_parked { sequence } else { store.next() };
                revive(store, sequence, number)?;
                if is_parked {
                    replayed.unparked.push(sequence);
                    tell(store, teller, handed::UNPARKED, number)?;
                } else {
                    replayed.anew.extend(take_dead(store, sequence)?);
                    replayed.events.extend(event::find(store, number)?);
                    tell(store, teller, handed::EVENT, number)?;
                }
            }
            DeadId::Reply(sequence, index) => {
                let old = SendKey { sequence, index };
                if letter::find(store, old)?.is_none() {
                    continue;
                }
                let new = SendKey { sequence: store.next(), index: 0 };
                letter::rekey(store, old, new)?;
                letter::decide(store, old)?;
                replayed.letters.extend(letter::find(store, new)?);
                tell(store, teller, handed::LETTER, new.sequence)?;
            }
        }
    }
    Ok(replayed)
}

/// Makes a dead event a fresh one, with its facts, under another number.
fn revive(store: &Store, old: u64, new: u64) -> rusqlite::Result<()> {
    let (old, new) = (int(old), int(new));
    let connection = &store.connection;
    connection
        .prepare_cached(
            "UPDATE event SET sequence = ?2, state = 0, attempts = 0, crashes = 0, due_ms = 0, reason = NULL, \
             error = NULL, command = NULL, conversation = NULL, at_ms = NULL WHERE sequence = ?1",
        )?
        .execute((old, new))?;
    if old != new {
        connection
            .prepare_cached("UPDATE step SET sequence = ?2 WHERE sequence = ?1")?
            .execute((old, new))?;
        connection
            .prepare_cached("UPDATE letter SET sequence = ?2 WHERE sequence = ?1 AND state = 2")?
            .execute((old, new))?;
        // What could not be sent gets another chance, too.
        connection.prepare_cached("DELETE FROM letter WHERE sequence = ?1 AND state = 4")?.execute([old])?;
    }
    Ok(())
}

/// Takes the dead replies of an event, and says which they were.
fn take_dead(store: &Store, sequence: u64) -> rusqlite::Result<Vec<DeadId>> {
    let sql =
        "SELECT number FROM letter INDEXED BY letter_dead WHERE state = 3 AND sequence = ?1 ORDER BY number";
    let mut statement = store.connection.prepare_cached(sql)?;
    let indices = statement.query_map([int(sequence)], |row| row.get(0).map(small))?;
    let indices = indices.collect::<rusqlite::Result<Vec<_>>>()?;
    for index in &indices {
        letter::forget(store, SendKey { sequence, index: *index })?;
    }
    Ok(indices.into_iter().map(|index| DeadId::Reply(sequence, index)).collect())
}

/// Forgets those that are meant: how many, and which of them were parked events.
pub(super) fn discard(
    store: &Store,
    filter: &DeadFilter,
    teller: Teller,
) -> rusqlite::Result<(u64, Vec<u64>)> {
    let names = names(&store.connection, filter)?;
    let mut unparked = Vec::new();
    for (id, is_parked) in &names {
        match *id {
            DeadId::Event(sequence) => {
                event::forget(store, sequence)?;
                if *is_parked {
                    unparked.push(sequence);
                    tell(store, teller, handed::DISCARDED, sequence)?;
                }
            }
            DeadId::Reply(sequence, index) => {
                let key = SendKey { sequence, index };
                letter::forget(store, key)?;
                letter::decide(store, key)?;
            }
        }
    }
    Ok((names.len() as u64, unparked))
}

fn tell(store: &Store, teller: Teller, kind: i64, sequence: u64) -> rusqlite::Result<()> {
    if teller == Teller::Operator {
        store
            .connection
            .prepare_cached("INSERT INTO handed(kind, sequence, number) VALUES (?1, ?2, 0)")?
            .execute((kind, int(sequence)))?;
    }
    Ok(())
}

/// Takes what another process has told.
pub(super) fn adopt(store: &Store) -> rusqlite::Result<Replayed> {
    let mut statement =
        store.connection.prepare_cached("SELECT kind, sequence FROM handed ORDER BY rowid")?;
    let told = statement.query_map([], |row| Ok((row.get_ref(0).map(whole)?, row.get_ref(1).map(whole)?)))?;
    let told = told.collect::<rusqlite::Result<Vec<_>>>()?;
    let mut replayed = Replayed::default();
    for (kind, sequence) in told.iter().filter_map(|(kind, sequence)| kind.zip(*sequence)) {
        match int(kind) {
            handed::EVENT => replayed.events.extend(event::find(store, sequence)?),
            handed::LETTER => {
                let key = SendKey { sequence, index: 0 };
                replayed.letters.extend(letter::find(store, key)?);
            }
            handed::UNPARKED => replayed.unparked.push(sequence),
            _ => replayed.discarded.push(sequence),
        }
    }
    if !told.is_empty() {
        store.connection.prepare_cached("DELETE FROM handed")?.execute([])?;
    }
    Ok(replayed)
}

/// A word of a later version counts as a failure. What is no word is none of ours.
fn reason(value: ValueRef<'_>) -> Reason {
    let ValueRef::Text(word) = value else { return Reason::Unreadable };
    Reason::ALL.into_iter().find(|reason| reason.word().as_bytes() == word).unwrap_or(Reason::Failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::sqlite::event::Death;
    use crate::journal::sqlite::{schema, seen::Retention};
    use crate::{Conversation, Event, Message, Outbound, Reply, Sender};

    #[test]
    fn a_list_reads_no_content_until_somebody_looks_at_it() {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::create(&mut connection, 0).unwrap();
        let mut store = Store::new(connection, Retention { hours: 1, rows: 1, young: 1 }).unwrap();
        let death = Death { reason: Reason::Failed, error: "no", command: "!ping", at_ms: 1 };
        let (alice, message) = (Conversation::direct("alice"), Message::text("1", "!ping"));
        let said = Event::new("1", alice.clone(), Sender::new("alice"), message);
        event::accept(&mut store, &said, 1, true).unwrap();
        event::bury(&mut store, 1, &death).unwrap();
        let key = SendKey { sequence: 7, index: 2 };
        let action = Reply::text("pong").actions()[0].clone();
        let outbound = Outbound { conversation: alice, action, key };
        letter::promise(&mut store, &outbound, "!ping", true).unwrap();
        letter::bury(&mut store, key, &death).unwrap();

        let dead = list(&store.connection, &DeadFilter::default()).unwrap();
        let table: Vec<_> =
            dead.iter().map(|one| (one.id, &*one.command, &*one.conversation, &*one.error)).collect();
        let ids = [DeadId::Event(1), DeadId::Reply(7, 2)];
        assert_eq!(table, ids.map(|id| (id, "!ping", "alice", "no")));
        assert!(!dead.iter().any(|one| one.content.is_read()), "a table needs none of it");
        assert_eq!(dead.iter().map(Dead::kind).collect::<Vec<_>>(), ["message", "reply"]);
        assert!(dead.iter().all(|one| one.content.is_read()));
        assert_eq!(
            (dead[0].event().and_then(Event::text), dead[1].reply().map(|one| one.key)),
            (Some("!ping"), Some(key))
        );
    }
}
