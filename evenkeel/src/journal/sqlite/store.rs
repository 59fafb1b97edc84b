//! One connection with what is known of its file, and the transaction around a batch.

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::content::{int, natural, whole};
use super::seen::{Retention, Seen};
use crate::journal::latest;

/// So many free pages, 1 MiB, stay in the file: the next events take them.
const SPARE_PAGES: i64 = 256;

/// So many pages are given back at a time: a batch that comes meanwhile waits for no more than these.
const STEP_PAGES: i64 = 64;

/// How far a commit goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// Survives the end of the process.
    Normal,
    /// Survives a power cut.
    Full,
}

/// The counters of the file, as they lie in its one row of `state`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counters {
    /// Counts transactions: tells whether one that failed is in the file all the same.
    pub(super) batch: u64,
    /// The number of the last event or replayed reply.
    pub(super) last: u64,
    pub(super) last_job: u64,
    pub(super) latest_ms: u64,
}

/// An open file.
pub(super) struct Store {
    pub(super) connection: Connection,
    pub(super) counters: Counters,
    pub(super) seen: Seen,
    /// For JSON, used again and again.
    pub(super) buffer: Vec<u8>,
    /// Whether another process has changed the file since [`Entry::Adopt`](crate::journal::Entry::Adopt) last asked.
    pub(super) is_changed: bool,
    data_version: i64,
    class: Option<Class>,
}

impl Store {
    pub(super) fn new(connection: Connection, retention: Retention) -> rusqlite::Result<Self> {
        connection.set_prepared_statement_cache_capacity(128);
        let counters = load(&connection, None)?;
        let seen = Seen::load(&connection, retention)?;
        let data_version = data_version(&connection)?;
        // What another process told an earlier connection may still be waiting.
        let (buffer, is_changed, class) = (Vec::with_capacity(1024), true, None);
        Ok(Self { connection, counters, seen, buffer, is_changed, data_version, class })
    }

    /// Notes whether another process has changed the file.
    pub(super) fn look(&mut self) -> rusqlite::Result<()> {
        let version = data_version(&self.connection)?;
        if version != self.data_version {
            self.data_version = version;
            self.is_changed = true;
            self.counters = load(&self.connection, Some(self.counters))?;
        }
        Ok(())
    }

    pub(super) fn begin(&mut self, class: Class) -> rusqlite::Result<()> {
        if self.class != Some(class) {
            let word = if class == Class::Full { "FULL" } else { "NORMAL" };
            self.connection.pragma_update(None, "synchronous", word)?;
            self.class = Some(class);
        }
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        self.look()
    }

    /// What belongs to each transaction of the bot before its commit.
    pub(super) fn settle(&mut self) -> rusqlite::Result<()> {
        self.seen.settle(&self.connection, self.counters.latest_ms)?;
        self.counters.batch += 1;
        self.keep()
    }

    /// Writes the counters. Another process leaves `batch` alone: by it, the bot knows its own transactions again.
    pub(super) fn keep(&mut self) -> rusqlite::Result<()> {
        let Self { connection, counters, .. } = self;
        connection
            .prepare_cached("UPDATE state SET batch = ?1, last = ?2, last_job = ?3, latest_ms = ?4")?
            .execute((
            int(counters.batch),
            int(counters.last),
            int(counters.last_job),
            int(counters.latest_ms),
        ))?;
        Ok(())
    }

    pub(super) fn commit(&mut self) -> rusqlite::Result<()> {
        self.connection.prepare_cached("COMMIT")?.execute([])?;
        Ok(())
    }

    /// Frames in the write-ahead log, and how many of them are in the file itself.
    pub(super) fn frames(&self) -> rusqlite::Result<(i64, i64)> {
        let mut statement = self.connection.prepare_cached("PRAGMA wal_checkpoint(NOOP)")?;
        statement.query_row([], |row| Ok((row.get(1)?, row.get(2)?)))
    }

    /// Moves the write-ahead log into the file; whether all of it is there.
    pub(super) fn checkpoint(&self, how: &str) -> rusqlite::Result<bool> {
        let sql = format!("PRAGMA wal_checkpoint({how})");
        self.connection.query_row(&sql, [], |row| {
            let (is_busy, frames, moved): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(is_busy == 0 && frames == moved)
        })
    }

    /// Gives back a few pages that hold nothing any more; whether there were any. The file gets shorter with the next
    /// checkpoint.
    pub(super) fn shrink(&mut self) -> rusqlite::Result<bool> {
        let free: i64 = self.connection.pragma_query_value(None, "freelist_count", |row| row.get(0))?;
        let step = (free - SPARE_PAGES).min(STEP_PAGES);
        if step <= 0 {
            return Ok(false);
        }
        // Nobody relies on it: after a power cut the pages may be free again.
        self.begin(Class::Normal)?;
        let mut statement = self.connection.prepare(&format!("PRAGMA incremental_vacuum({step})"))?;
        let mut pages = statement.query([])?;
        while pages.next()?.is_some() {}
        drop(pages);
        drop(statement);
        self.commit()?;
        Ok(true)
    }

    /// Lets the closing of the connection take the empty log away.
    pub(super) fn tidy_on_close(&self) -> rusqlite::Result<()> {
        self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
        Ok(())
    }

    pub(super) fn next(&mut self) -> u64 {
        self.counters.last += 1;
        self.counters.last
    }

    pub(super) fn saw(&mut self, now_ms: u64) {
        self.counters.latest_ms = latest(self.counters.latest_ms, now_ms);
    }
}

/// What another program has put in the place of a number counts for nothing: what was known still holds, or is found anew.
fn load(connection: &Connection, known: Option<Counters>) -> rusqlite::Result<Counters> {
    let mut statement = connection.prepare_cached("SELECT batch, last, last_job, latest_ms FROM state")?;
    let [batch, last, last_job, latest_ms] = statement.query_row([], |row| {
        let number = |at| row.get_ref(at).map(whole);
        Ok([number(0)?, number(1)?, number(2)?, number(3)?])
    })?;
    if let (Some(batch), Some(last), Some(last_job), Some(latest_ms)) = (batch, last, last_job, latest_ms) {
        return Ok(Counters { batch, last, last_job, latest_ms });
    }
    let known = known.map_or_else(|| count(connection), Ok)?;
    tracing::error!("the counters in the journal cannot be read: they are made anew");
    Ok(Counters {
        batch: batch.unwrap_or(known.batch),
        last: last.unwrap_or(known.last),
        last_job: last_job.unwrap_or(known.last_job),
        latest_ms: latest_ms.unwrap_or(known.latest_ms),
    })
}

/// The highest numbers that are in use.
fn count(connection: &Connection) -> rusqlite::Result<Counters> {
    let sql = "SELECT max(coalesce((SELECT max(sequence) FROM event), 0),
                          coalesce((SELECT max(sequence) FROM letter WHERE typeof(sequence) = 'integer'), 0),
                          coalesce((SELECT max(number) FROM seen_young0), 0),
                          coalesce((SELECT max(number) FROM seen_young1), 0)),
                      coalesce((SELECT max(id) FROM job), 0)";
    connection.query_row(sql, [], |row| {
        let (last, last_job) = (natural(row.get(0)?), natural(row.get(1)?));
        Ok(Counters { last, last_job, ..Counters::default() })
    })
}

fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::sqlite::schema;

    fn pages(store: &Store) -> (i64, i64) {
        let number = |name| store.connection.pragma_query_value(None, name, |row| row.get(0)).unwrap();
        (number("page_count"), number("freelist_count"))
    }

    #[test]
    fn free_pages_are_given_back_a_few_at_a_time() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL").unwrap();
        schema::create(&mut connection, 0).unwrap();
        let retention = Retention { hours: 1, rows: 1, young: 1 };
        let mut store = Store::new(connection, retention).unwrap();
        assert!(!store.shrink().unwrap(), "a small file has nothing to give");
        let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
            INSERT INTO job SELECT i, i, 'job ' || i, 'kitchen', zeroblob(300) FROM n";
        store.connection.execute_batch(fill).unwrap();
        store.connection.execute_batch("DELETE FROM job WHERE id % 10 > 0 OR id > 4000").unwrap();
        let (mut before, free) = pages(&store);
        assert!(free > SPARE_PAGES + STEP_PAGES, "{free}");
        while store.shrink().unwrap() {
            let (after, _) = pages(&store);
            // The map of the pages is a page now and then.
            assert!(after < before && before - after <= STEP_PAGES + 2, "from {before} to {after}");
            before = after;
        }
        let (_, free) = pages(&store);
        assert_eq!(free, SPARE_PAGES);
        let jobs: i64 = store.connection.query_row("SELECT count(*) FROM job", [], |row| row.get(0)).unwrap();
        assert_eq!(jobs, 400);
    }
}
