//! What became of commands, for as long as somebody may want to know it.

use rusqlite::Connection;
use tokio::time::Instant;

use crate::journal::row::OUTCOME_KEPT;

/// This many are forgotten at a time: a batch that comes meanwhile waits for no more than these.
const STEP: i64 = 256;

/// Which commands have an outcome, and since when.
#[derive(Debug)]
pub(super) struct Outcomes {
    /// Whether there may be some beside those of `known`: an earlier run may have left them.
    has_more: bool,
    /// All up to this number have had one since then.
    known: Option<(i64, Instant)>,
}

impl Default for Outcomes {
    fn default() -> Self {
        Self { has_more: true, known: None }
    }
}

impl Outcomes {
    /// A command has got one.
    pub(super) fn came(&mut self) {
        self.has_more = true;
    }

    /// Whether there is something to look for.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.known.map_or(self.has_more, |(_, since)| now.duration_since(since) >= OUTCOME_KEPT)
    }

    /// Forgets a few that nobody waits for any more; whether there were any.
    pub(super) fn forget(&mut self, connection: &Connection, now: Instant) -> rusqlite::Result<bool> {
        if let Some((last, _)) = self.known {
            let sql = "DELETE FROM command WHERE id IN (SELECT id FROM command WHERE id <= ?1 ORDER BY id LIMIT ?2)";
            if connection.prepare_cached(sql)?.execute((last, STEP))? > 0 {
                return Ok(true);
            }
            self.known = None;
        }
        if std::mem::take(&mut self.has_more) {
            self.known = last_executed(connection)?.map(|last| (last, now));
        }
        Ok(false)
    }
}

/// The number up to which all have an outcome, without the last command of all: that stays, for SQLite would give its number to the
/// next one, and a process that waits for it would take the outcome of the other for its own.
fn last_executed(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    let sql = "SELECT min(id), coalesce(min(id) FILTER (WHERE outcome IS NULL), max(id)) FROM command";
    let (first, end): (Option<i64>, Option<i64>) =
        connection.prepare_cached(sql)?.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(first.zip(end).filter(|(first, end)| first < end).map(|(_, end)| end - 1))
}
