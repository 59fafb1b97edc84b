//! The numbers of a file as a whole.

use rusqlite::{Connection, OptionalExtension, Row};

use crate::journal::store::Epoch;
use crate::sqlite::content::{int, natural, whole};

/// The counters of the file. They lie in its one row of `state`, or in the last row of `young`, whichever was written later:
/// what accepts an event writes the second, which it needs anyway.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counters {
    /// The number of the last event or replayed reply.
    pub(super) last: u64,
    pub(super) last_job: u64,
    pub(super) latest_ms: u64,
    pub(super) epoch: Epoch,
    /// How many effects have been kept: what an author has written must not be written twice, and shows in no other of these.
    pub(super) effects: u64,
}

impl Counters {
    pub(super) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        load(connection)
    }

    /// Writes them to where they are found though nothing was accepted.
    pub(super) fn keep(&self, connection: &Connection) -> rusqlite::Result<()> {
        let Self { last, last_job, latest_ms, epoch, effects } = *self;
        let sql = "UPDATE state SET last = ?1, last_job = ?2, latest_ms = ?3, epoch = ?4, batch = ?5";
        let row = (int(last), int(last_job), int(latest_ms), int(epoch.0), int(effects));
        connection.prepare_cached(sql)?.execute(row).map(drop)
    }
}

/// What another program has put in the place of a number counts for nothing: it is found anew.
fn load(connection: &Connection) -> rusqlite::Result<Counters> {
    let number = |row: &Row<'_>, at| row.get_ref(at).map(whole);
    let sql = "SELECT last, last_job, latest_ms, epoch, batch FROM state";
    let state = connection.query_row(sql, [], |row| {
        Ok((number(row, 0)?, number(row, 1)?, number(row, 2)?, number(row, 3)?, number(row, 4)?))
    })?;
    let sql = "SELECT number, last_job, latest_ms FROM young ORDER BY number DESC LIMIT 1";
    let young = connection
        .query_row(sql, [], |row| Ok((number(row, 0)?, number(row, 1)?, number(row, 2)?)))
        .optional()?;
    let (last, last_job, latest_ms) = match young {
        Some((number, last_job, latest_ms)) if number > state.0 => (number, last_job, latest_ms),
        _ => (state.0, state.1, state.2),
    };
    let (epoch, effects) = (Epoch(state.3.unwrap_or(0)), state.4.unwrap_or(0));
    if let (Some(last), Some(last_job), Some(latest_ms)) = (last, last_job, latest_ms) {
        return Ok(Counters { last, last_job, latest_ms, epoch, effects });
    }
    tracing::error!("the counters in the journal cannot be read: they are made anew");
    let (known_last, known_job) = count(connection)?;
    let (last, last_job) = (last.unwrap_or(known_last).max(known_last), last_job.unwrap_or(known_job));
    Ok(Counters {
        last,
        last_job: last_job.max(known_job),
        latest_ms: latest_ms.unwrap_or(0),
        epoch,
        effects,
    })
}

/// The highest numbers that are in use, of events and of jobs.
fn count(connection: &Connection) -> rusqlite::Result<(u64, u64)> {
    let sql = "SELECT max(coalesce((SELECT max(sequence) FROM event), 0),
                          coalesce((SELECT max(sequence) FROM letter WHERE typeof(sequence) = 'integer'), 0),
                          coalesce((SELECT max(number) FROM young), 0)),
                      coalesce((SELECT max(id) FROM job), 0)";
    connection.query_row(sql, [], |row| Ok((natural(row.get(0)?), natural(row.get(1)?))))
}
