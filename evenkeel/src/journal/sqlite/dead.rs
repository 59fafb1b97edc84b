//! Dead letters in the file, the oldest first.

use bytes::Bytes;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

use super::read::files;
use crate::journal::body::Body;
use crate::journal::content::Content;
use crate::journal::store::{EventId, ReplyId};
use crate::journal::{Dead, DeadFilter, DeadId, Reason};
use crate::sqlite::content::{int, natural, raw, small, text, whole};

/// When it was given up, as the indices have it: another program may have put in anything.
const AT: &str = "iif(typeof(at_ms) = 'integer', at_ms, 0)";

/// The part of a filter that both tables share.
const FITS: &str =
    "(?6 IS NULL OR command = ?6) AND (?7 IS NULL OR reason = ?7) AND (?8 IS NULL OR conversation = ?8)";

/// The dead letters that are meant, in order.
pub(super) fn list(connection: &Connection, filter: &DeadFilter) -> rusqlite::Result<Vec<Dead>> {
    let columns = "attempts, reason, command, conversation, error, content";
    select(connection, filter, columns, |id, at_ms, row, has_files| {
        let content = raw(row.get_ref(8)?).to_vec().into();
        let content = match id {
            DeadId::Event(_) => Content::event(Body::Written { text: content, files: Bytes::new() }),
            DeadId::Reply(event, index) => {
                let key = ReplyId { event: EventId::from_bits(event), index };
                let files = if has_files { files(connection, key)? } else { None };
                Content::reply(key, Body::Written { text: content, files: files.unwrap_or_default().into() })
            }
        };
        Ok(Dead {
            id,
            reason: reason(row.get_ref(4)?),
            error: text(row.get_ref(7)?),
            command: text(row.get_ref(5)?),
            conversation: text(row.get_ref(6)?),
            attempts: small(int(whole(row.get_ref(3)?).unwrap_or(0))),
            at_ms,
            content,
        })
    })
}

/// The names of those that are meant.
pub(super) fn names(connection: &Connection, filter: &DeadFilter) -> rusqlite::Result<Vec<DeadId>> {
    select(connection, filter, "0", |id, _, _, _| Ok(id))
}

/// What is read of a row.
type Read<'r, T> = &'r mut dyn FnMut(DeadId, u64, &Row<'_>, bool) -> rusqlite::Result<T>;

/// With the time at which it was given up, and its name, by which it is put in order.
type Found<T> = Vec<(u64, DeadId, T)>;

/// Goes through the rows that are meant, of both tables, and puts them in order. The first three columns, or four, are taken.
fn select<T>(
    connection: &Connection,
    filter: &DeadFilter,
    columns: &str,
    mut read: impl FnMut(DeadId, u64, &Row<'_>, bool) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    let mut found = Found::new();
    if !matches!(filter.id, Some(DeadId::Reply(..))) {
        found.extend(events(connection, filter, columns, &mut read)?);
    }
    if !matches!(filter.id, Some(DeadId::Event(_))) {
        found.extend(replies(connection, filter, columns, &mut read)?);
    }
    found.sort_by_key(|(at_ms, id, _)| (*at_ms, *id));
    found.truncate(filter.limit.unwrap_or(usize::MAX));
    Ok(found.into_iter().map(|(.., read)| read).collect())
}

/// Of those that were given up in the same moment, events come before replies.
fn events<T>(
    connection: &Connection,
    filter: &DeadFilter,
    columns: &str,
    read: Read<'_, T>,
) -> rusqlite::Result<Found<T>> {
    let (from_ms, after) = match filter.after {
        Some((at_ms, DeadId::Event(sequence))) => (int(at_ms), int(sequence)),
        Some((at_ms, DeadId::Reply(..))) => (int(at_ms), i64::MAX),
        None => (-1, -1),
    };
    let one = if let Some(DeadId::Event(sequence)) = filter.id { Some(int(sequence)) } else { None };
    // By its name, one is found without going through the others.
    let which = if one.is_some() { "sequence = ?3" } else { "?3 IS NULL" };
    let sql = format!(
        "SELECT sequence, {AT}, 0, {columns} FROM event WHERE state >= 3 AND ({AT}, sequence) > (?1, ?2) \
         AND {which} AND ?4 IS ?4 AND {FITS} ORDER BY {AT}, sequence LIMIT ?5"
    );
    let Fits { limit, command, reason, conversation } = Fits::of(filter);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query((from_ms, after, one, 0, limit, command, reason, conversation))?;
    let mut found = Found::new();
    while let Some(row) = rows.next()? {
        let (id, at_ms) = (DeadId::Event(natural(row.get(0)?)), natural(row.get(1)?));
        found.push((at_ms, id, read(id, at_ms, row, false)?));
    }
    Ok(found)
}

fn replies<T>(
    connection: &Connection,
    filter: &DeadFilter,
    columns: &str,
    read: Read<'_, T>,
) -> rusqlite::Result<Found<T>> {
    let (from_ms, after) = match filter.after {
        Some((at_ms, DeadId::Event(_))) => (int(at_ms), (-1, -1)),
        Some((at_ms, DeadId::Reply(sequence, index))) => (int(at_ms), (int(sequence), i64::from(index))),
        None => (-1, (-1, -1)),
    };
    let one =
        if let Some(DeadId::Reply(event, index)) = filter.id { Some((int(event), index)) } else { None };
    let which = if one.is_some() { "sequence = ?3 AND number = ?4" } else { "?3 IS NULL AND ?4 IS NULL" };
    let sql = format!(
        "SELECT sequence, {AT}, number, {columns}, files FROM letter WHERE state = 3 \
         AND ({AT}, sequence, number) > (?1, ?2, ?9) AND {which} AND {FITS} \
         AND typeof(sequence) = 'integer' AND typeof(number) = 'integer' \
         ORDER BY {AT}, sequence, number LIMIT ?5"
    );
    let Fits { limit, command, reason, conversation } = Fits::of(filter);
    let (event, index) = one.unzip();
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows =
        statement.query((from_ms, after.0, event, index, limit, command, reason, conversation, after.1))?;
    let mut found = Found::new();
    while let Some(row) = rows.next()? {
        let (sequence, at_ms, index) = (natural(row.get(0)?), natural(row.get(1)?), small(row.get(2)?));
        let id = DeadId::Reply(sequence, index);
        let has_files = whole(row.get_ref("files")?).is_some_and(|files| files > 0);
        found.push((at_ms, id, read(id, at_ms, row, has_files)?));
    }
    Ok(found)
}

/// The parameters of [`FITS`], and how many there may be.
struct Fits<'a> {
    limit: i64,
    command: Option<&'a str>,
    reason: Option<&'a str>,
    conversation: Option<&'a str>,
}

impl<'a> Fits<'a> {
    fn of(filter: &'a DeadFilter) -> Self {
        Self {
            limit: filter.limit.map_or(i64::MAX, |limit| int(limit as u64)),
            command: filter.command.as_deref(),
            reason: filter.reason.map(Reason::word),
            conversation: filter.conversation.as_deref(),
        }
    }
}

/// A word of a later version counts as a failure. What is no word is none of ours.
fn reason(value: ValueRef<'_>) -> Reason {
    let ValueRef::Text(word) = value else { return Reason::Unreadable };
    Reason::ALL.into_iter().find(|reason| reason.word().as_bytes() == word).unwrap_or(Reason::Failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::sqlite::schema;

    /// The names of those after this one, two at a time.
    fn pages(connection: &Connection) -> Vec<DeadId> {
        let mut filter = DeadFilter { limit: Some(2), ..DeadFilter::default() };
        let mut all = Vec::new();
        loop {
            let page = list(connection, &filter).unwrap();
            let Some(last) = page.last() else { return all };
            filter.after = Some((last.at_ms, last.id));
            all.extend(page.iter().map(|dead| dead.id));
        }
    }

    fn made() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::create(&mut connection, 0).unwrap();
        let rows = "
            INSERT INTO event(sequence, state, attempts, crashes, begun, due_ms, at_ms, reason, command, conversation, error, content)
                VALUES (1, 3, 1, 0, 1, 0, 9, 'failed', '!ping', 'alice', 'no', '{}'),
                       (2, 4, 1, 0, 1, 0, 5, 'parked', '!ping', 'alice', 'no', '{}'),
                       (3, 3, 1, 0, 1, 0, 'noon', 'failed', '!ping', 'alice', 'no', '{}'),
                       (4, 0, 1, 0, 1, 0, NULL, NULL, NULL, 'alice', NULL, '{}');
            INSERT INTO letter(sequence, number, state, attempts, due_ms, files, at_ms, reason, command, conversation, error, content)
                VALUES (1, 0, 3, 1, 0, 0, 9, 'refused', '!ping', 'bob', 'no', '{}'),
                       (1, 1, 1, 1, 0, 0, NULL, NULL, '!ping', 'bob', NULL, '{}'),
                       (7, 2, 3, 1, 0, 0, 'noon', 'refused', '!ping', 'bob', 'no', '{}'),
                       (8, 0, 3, 1, 0, 0, 4, 'refused', '!ping', 'bob', 'no', '{}')";
        connection.execute_batch(rows).unwrap();
        connection
    }

    #[test]
    fn the_oldest_come_first_over_both_tables_and_over_pages() {
        let connection = made();
        let expected = [
            DeadId::Event(3),
            DeadId::Reply(7, 2),
            DeadId::Reply(8, 0),
            DeadId::Event(2),
            DeadId::Event(1),
            DeadId::Reply(1, 0),
        ];
        assert_eq!(names(&connection, &DeadFilter::default()).unwrap(), expected);
        assert_eq!(pages(&connection), expected);
        let one = |id| names(&connection, &DeadFilter { id: Some(id), ..DeadFilter::default() }).unwrap();
        assert!(expected.into_iter().all(|id| one(id) == [id]));
        assert!(one(DeadId::Reply(1, 1)).is_empty() && one(DeadId::Event(4)).is_empty());
    }

    #[test]
    fn a_list_is_read_by_an_index_and_not_sorted() {
        let connection = made();
        for (table, columns) in [("event", "sequence"), ("letter", "sequence, number")] {
            let dead = if table == "event" { "state >= 3" } else { "state = 3" };
            let sql = format!(
                "EXPLAIN QUERY PLAN SELECT 1 FROM {table} WHERE {dead} AND ({AT}, {columns}) > ({}) \
                 ORDER BY {AT}, {columns}",
                if table == "event" { "1, 2" } else { "1, 2, 3" }
            );
            let mut statement = connection.prepare(&sql).unwrap();
            let plan: Vec<String> =
                statement.query_map([], |row| row.get(3)).unwrap().map(Result::unwrap).collect();
            assert!(plan.len() == 1 && plan[0].contains(&format!("{table}_dead")), "{plan:?}");
        }
    }

    #[test]
    fn a_list_reads_no_content_until_somebody_looks_at_it() {
        let dead = list(&made(), &DeadFilter::default()).unwrap();
        let table: Vec<_> = dead.iter().map(|one| (&*one.command, &*one.error, one.at_ms)).collect();
        assert_eq!(table[4..], [("!ping", "no", 9), ("!ping", "no", 9)]);
        assert!(!dead.iter().any(|one| one.content.is_read()), "a table needs none of it");
        assert!(dead.iter().all(|one| one.kind() == "cannot be read" && one.content.is_read()));
    }
}
