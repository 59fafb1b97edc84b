//! Rows as they are read. Another program may have put in anything: what is no number of ours makes its row one that cannot
//! be read, and what cannot be read has no body.

use std::collections::BTreeMap;

use bytes::Bytes;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row};

use super::schema::{event, letter};
use crate::event::MessageId;
use crate::journal::Job;
use crate::journal::store::{
    Body, Due, EventId, EventRow, EventStage, EventState, JobFilter, JobKey, Partition, Parts, ReplyId,
    ReplyRow, ReplyStage, ReplyState, Scope,
};
use crate::sqlite::content::{bytes, int, natural, raw, small, text, whole};

const EVENT: &str = "sequence, state, attempts, crashes, begun, due_ms, content";
const REPLY: &str = "sequence, number, state, attempts, due_ms, files, command, sent_id, content";

/// Replies that may still be sent, and those of which that cannot be told.
const UNSENT: &str = "(state <= 1 OR typeof(state) <> 'integer' OR state > 4)";

/// Of replies whose key is none, nothing is known.
const NAMED: &str = "typeof(sequence) = 'integer' AND typeof(number) = 'integer'";

/// An event with all that hangs on it.
pub(super) fn parts(connection: &Connection, id: EventId) -> rusqlite::Result<Parts> {
    let mut all = between(connection, (int(id.bits()), int(id.bits())), Which::All)?;
    Ok(all.remove(&id).unwrap_or_default())
}

/// What is not done, by number: at most `limit`, after this one.
pub(super) fn load(
    connection: &Connection,
    after: Option<EventId>,
    limit: usize,
) -> rusqlite::Result<Vec<(EventId, Parts)>> {
    let low = after.map_or(0, |after| int(after.bits()).saturating_add(1));
    // The number of the last one that there is room for; with fewer than that, no row has it. Neither table is read beyond that:
    // a page costs the same however much lies after it.
    let sql = format!(
        "WITH alive AS (SELECT sequence FROM event WHERE sequence >= ?1 AND state <> {} ORDER BY sequence LIMIT ?2), \
         unsent AS (SELECT DISTINCT sequence FROM letter WHERE sequence >= ?1 AND sequence <= \
         (SELECT iif(count(*) < ?2, ?3, max(sequence)) FROM alive) AND {UNSENT} AND {NAMED} ORDER BY sequence LIMIT ?2) \
         SELECT sequence FROM (SELECT sequence FROM alive UNION SELECT sequence FROM unsent) \
         ORDER BY sequence LIMIT 1 OFFSET ?2 - 1",
        event::DEAD
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let last = statement.query_row((low, int(limit.max(1) as u64), i64::MAX), |row| row.get(0)).optional()?;
    let page = (low, last.unwrap_or(i64::MAX));
    let mut all = between(connection, page, Which::Alive)?;
    for (id, parts) in &mut all {
        // Whatever else there is of one whose event is not alive lies among what was left out.
        if parts.event.is_none() {
            *parts = self::parts(connection, *id)?;
        }
    }
    Ok(all.into_iter().collect())
}

/// Which rows are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    All,
    /// Events that are not dead with all that hangs on them, and replies that are not sent.
    Alive,
}

/// What is meant of everything with these numbers, both ends included.
fn between(
    connection: &Connection,
    (low, high): (i64, i64),
    which: Which,
) -> rusqlite::Result<BTreeMap<EventId, Parts>> {
    let mut all = BTreeMap::<EventId, Parts>::new();
    let (events, replies, steps) = match which {
        Which::All => ("1".to_owned(), "1".to_owned(), "1".to_owned()),
        Which::Alive => {
            let alive = format!("state <> {}", event::DEAD);
            let hangs = format!(
                "sequence IN (SELECT sequence FROM event WHERE sequence >= ?1 AND sequence <= ?2 AND {alive})"
            );
            (alive, format!("({UNSENT} OR {hangs})"), hangs)
        }
    };
    let sql = format!("SELECT {EVENT} FROM event WHERE sequence >= ?1 AND sequence <= ?2 AND {events}");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query((low, high))?;
    while let Some(row) = rows.next()? {
        all.entry(id(row)?).or_default().event = Some(read_event(row)?);
    }
    let sql = format!(
        "SELECT {REPLY} FROM letter WHERE sequence >= ?1 AND sequence <= ?2 AND {NAMED} AND {replies} \
         ORDER BY sequence, number"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query((low, high))?;
    while let Some(row) = rows.next()? {
        let reply = read_reply(connection, row)?;
        all.entry(reply.id.event).or_default().replies.push(reply);
    }
    let sql = format!(
        "SELECT sequence, name, value FROM step WHERE sequence >= ?1 AND sequence <= ?2 AND {steps} \
         AND typeof(sequence) = 'integer' ORDER BY sequence, name"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query((low, high))?;
    while let Some(row) = rows.next()? {
        let step = (text(row.get_ref(1)?), bytes(row.get_ref(2)?).into());
        all.entry(id(row)?).or_default().steps.push(step);
    }
    Ok(all)
}

fn id(row: &Row<'_>) -> rusqlite::Result<EventId> {
    Ok(EventId::from_bits(natural(row.get(0)?)))
}

/// What is written in the place of a state that cannot be read: it is taken up, and its empty body makes it a dead letter.
const UNREADABLE: EventState =
    EventState { stage: EventStage::Ready, attempts: 0, crashes: 0, has_begun: false, due_ms: 0 };

fn read_event(row: &Row<'_>) -> rusqlite::Result<EventRow> {
    let id = id(row)?;
    let number = |at| row.get_ref(at).map(whole);
    let numbers = (number(1)?.and_then(event_stage), number(2)?, number(3)?, number(4)?, number(5)?);
    let (Some(stage), Some(attempts), Some(crashes), Some(begun), Some(due_ms)) = numbers else {
        return Ok(EventRow { id, state: UNREADABLE, body: Body::Empty });
    };
    let (attempts, crashes) = (small(int(attempts)), small(int(crashes)));
    let state = EventState { stage, attempts, crashes, has_begun: begun > 0, due_ms };
    let text = Bytes::copy_from_slice(raw(row.get_ref(6)?));
    Ok(EventRow { id, state, body: Body::Written { text, files: Bytes::new() } })
}

fn read_reply(connection: &Connection, row: &Row<'_>) -> rusqlite::Result<ReplyRow> {
    let id = ReplyId { event: id(row)?, index: small(row.get(1)?) };
    let number = |at| row.get_ref(at).map(whole);
    let (command, sent_id) = (text(row.get_ref(6)?), row.get_ref(7)?);
    let sent_id = (sent_id != ValueRef::Null).then(|| MessageId::new(text(sent_id)));
    let numbers = (number(2)?.and_then(reply_stage), number(3)?, number(4)?, number(5)?);
    let (Some(stage), Some(attempts), Some(due_ms), Some(has_files)) = numbers else {
        // What hangs on it is looked for, should it go.
        let stage = number(2)?.and_then(reply_stage).unwrap_or(ReplyStage::Pending);
        let state = ReplyState { stage, attempts: 0, due_ms: 0, has_files: true };
        return Ok(ReplyRow { id, state, command, sent_id, body: Body::Empty });
    };
    let state = ReplyState { stage, attempts: small(int(attempts)), due_ms, has_files: has_files > 0 };
    let body = if stage.is_fact() {
        Body::Empty
    } else {
        let files = if state.has_files { files(connection, id)?.unwrap_or_default() } else { Vec::new() };
        Body::Written { text: Bytes::copy_from_slice(raw(row.get_ref(8)?)), files: files.into() }
    };
    Ok(ReplyRow { id, state, command, sent_id, body })
}

/// The bytes of a reply's files.
pub(super) fn files(connection: &Connection, id: ReplyId) -> rusqlite::Result<Option<Vec<u8>>> {
    connection
        .prepare_cached("SELECT bytes FROM file WHERE sequence = ?1 AND number = ?2")?
        .query_row((int(id.event.bits()), id.index), |row| Ok(bytes(row.get_ref(0)?)))
        .optional()
}

fn event_stage(number: u64) -> Option<EventStage> {
    Some(match int(number) {
        event::READY => EventStage::Ready,
        event::RUNNING => EventStage::Running,
        event::SUSPENDED => EventStage::Suspended,
        event::DEAD => EventStage::Dead,
        event::PARKED => EventStage::Parked,
        _ => return None,
    })
}

fn reply_stage(number: u64) -> Option<ReplyStage> {
    Some(match int(number) {
        letter::PENDING => ReplyStage::Pending,
        letter::SENDING => ReplyStage::Sending,
        letter::SENT => ReplyStage::Sent,
        letter::DEAD => ReplyStage::Dead,
        letter::DECIDED => ReplyStage::Decided,
        _ => return None,
    })
}

/// What has no time or no number, and is left where it is: jobs and replies.
pub(super) fn unnamed(connection: &Connection) -> rusqlite::Result<(i64, i64)> {
    let count = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    // Text and bytes come after all numbers.
    let jobs = count("SELECT count(*) FROM job WHERE due_ms >= ''")?;
    let replies = count("SELECT count(*) FROM letter WHERE sequence >= '' OR typeof(number) <> 'integer'")?;
    Ok((jobs, replies))
}

pub(super) fn value(
    connection: &Connection,
    scope: &Scope<'_>,
    name: &str,
) -> rusqlite::Result<Option<Bytes>> {
    connection
        .prepare_cached("SELECT value FROM value WHERE conversation = ?1 AND name = ?2")?
        .query_row((scope.as_str(), name), |row| Ok(bytes(row.get_ref(0)?).into()))
        .optional()
}

pub(super) fn values(connection: &Connection, scope: &Scope<'_>) -> rusqlite::Result<Vec<(String, Bytes)>> {
    let mut statement =
        connection.prepare_cached("SELECT name, value FROM value WHERE conversation = ?1 ORDER BY name")?;
    let values = statement.query_map([scope.as_str()], |row| {
        Ok((String::from_utf8_lossy(&bytes(row.get_ref(0)?)).into_owned(), bytes(row.get_ref(1)?).into()))
    })?;
    values.collect()
}

pub(super) fn cursors(connection: &Connection) -> rusqlite::Result<Vec<(String, Bytes)>> {
    let mut statement = connection.prepare_cached("SELECT source, body FROM cursor ORDER BY source")?;
    let cursors =
        statement.query_map([], |row| Ok((text(row.get_ref(0)?), bytes(row.get_ref(1)?).into())))?;
    cursors.collect()
}

/// Commands that nobody has executed.
pub(super) fn commands(connection: &Connection) -> rusqlite::Result<Vec<(u64, Bytes)>> {
    let sql = "SELECT id, body FROM command WHERE outcome IS NULL ORDER BY id";
    let mut statement = connection.prepare_cached(sql)?;
    let commands =
        statement.query_map([], |row| Ok((natural(row.get(0)?), bytes(row.get_ref(1)?).into())))?;
    commands.collect()
}

pub(super) fn outcome(connection: &Connection, command: u64) -> rusqlite::Result<Option<String>> {
    let sql = "SELECT outcome FROM command WHERE id = ?1 AND outcome IS NOT NULL";
    let mut statement = connection.prepare_cached(sql)?;
    statement.query_row([int(command)], |row| Ok(text(row.get_ref(0)?))).optional()
}

const JOB: &str = "SELECT id, name, due_ms, body, conversation FROM job";

pub(super) fn job(connection: &Connection, key: JobKey<'_>) -> rusqlite::Result<Option<Job>> {
    match key {
        JobKey::Id(id) => {
            let mut statement = connection.prepare_cached(&format!("{JOB} WHERE id = ?1"))?;
            statement.query_row([int(id)], read_job).optional()
        }
        JobKey::Name(name) => {
            let mut statement = connection.prepare_cached(&format!("{JOB} WHERE name = ?1"))?;
            statement.query_row([name], read_job).optional()
        }
    }
}

pub(super) fn jobs(connection: &Connection, which: &JobFilter<'_>) -> rusqlite::Result<Due> {
    if which.partition.is_some_and(|partition| partition != Partition::WHOLE) {
        return Ok((Vec::new(), None));
    }
    let (due_ms, id) = which.after.map_or((-1, -1), |(due_ms, id)| (int(due_ms), int(id)));
    // What another program has given another time than a number is never due, and is left where it is.
    let place = "(due_ms, id) > (?1, ?2) AND typeof(due_ms) = 'integer' ORDER BY due_ms, id";
    let mut statement = connection.prepare_cached(&match which.conversation {
        Some(_) => format!("{JOB} WHERE conversation = ?3 AND {place}"),
        None => format!("{JOB} WHERE {place}"),
    })?;
    let mut rows = match which.conversation {
        Some(conversation) => statement.query((due_ms, id, conversation))?,
        None => statement.query((due_ms, id))?,
    };
    let mut jobs = Vec::new();
    while let Some(row) = rows.next()? {
        let due_ms = natural(row.get(2)?);
        if jobs.len() == which.limit || due_ms > which.until_ms {
            return Ok((jobs, Some(due_ms)));
        }
        jobs.push(read_job(row)?);
    }
    Ok((jobs, None))
}

fn read_job(row: &Row<'_>) -> rusqlite::Result<Job> {
    let (name, conversation) = (text(row.get_ref(1)?), text(row.get_ref(4)?));
    let due_ms = whole(row.get_ref(2)?).unwrap_or(u64::MAX);
    Ok(Job { id: natural(row.get(0)?), name, conversation, due_ms, body: bytes(row.get_ref(3)?).into() })
}
