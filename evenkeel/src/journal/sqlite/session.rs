//! One connection with what is known of its file, and the transaction around a batch.

mod write;

use std::borrow::Borrow;
use std::collections::BTreeMap;

use rusqlite::Connection;
use tokio::time::Instant;

use super::counters::Counters;
use super::effect::Effects;
use super::outcomes::Outcomes;
use super::retention::Retention;
use super::seen::Seen;
use crate::error::Error;
use crate::journal::store::{Batch, Committed, Epoch, Partition, Sync};
use crate::sqlite::writer::{self, Failure};

/// This many free pages, 1 MiB, stay in the file: the next events take them.
const SPARE_PAGES: i64 = 256;

/// This many pages are given back at a time: a batch that comes meanwhile waits for no more than these.
const STEP_PAGES: i64 = 64;

/// An open file.
pub(super) struct Session {
    connection: Connection,
    counters: Counters,
    seen: Seen,
    effects: Effects,
    outcomes: Outcomes,
    /// For JSON, used again and again.
    buffer: Vec<u8>,
    /// Changes whenever another process has changed the file; `None` before anybody has looked.
    data_version: Option<i64>,
    sync: Option<Sync>,
}

impl Borrow<Connection> for Session {
    fn borrow(&self) -> &Connection {
        &self.connection
    }
}

impl writer::Session for Session {
    type Options = Retention;
    type Mark = Counters;

    fn open(connection: Connection, retention: &Retention) -> rusqlite::Result<Self> {
        connection.set_prepared_statement_cache_capacity(128);
        let counters = Counters::load(&connection)?;
        let seen = Seen::load(&connection, *retention)?;
        let (effects, outcomes) = (Effects::default(), Outcomes::default());
        let (buffer, data_version, sync) = (Vec::with_capacity(1024), None, None);
        Ok(Self { connection, counters, seen, effects, outcomes, buffer, data_version, sync })
    }

    fn mark(&self) -> Counters {
        self.counters
    }

    fn shrink(&mut self) -> rusqlite::Result<bool> {
        let free: i64 = self.connection.pragma_query_value(None, "freelist_count", |row| row.get(0))?;
        let step = (free - SPARE_PAGES).min(STEP_PAGES);
        if step <= 0 {
            return Ok(false);
        }
        // Nobody relies on it: after a power cut the pages may be free again.
        self.begin(Sync::Lazy)?;
        let mut statement = self.connection.prepare(&format!("PRAGMA incremental_vacuum({step})"))?;
        let mut pages = statement.query([])?;
        while pages.next()?.is_some() {}
        drop(pages);
        drop(statement);
        self.end()?;
        Ok(true)
    }
}

impl Session {
    /// To read with.
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The numbers of the file as they are now.
    pub(super) fn counters(&self) -> Counters {
        self.counters
    }

    /// Whether another process may have changed the file since the last time.
    pub(super) fn is_changed(&mut self) -> rusqlite::Result<bool> {
        let version = data_version(&self.connection)?;
        Ok(self.data_version.replace(version) != Some(version))
    }

    /// Writes a batch in one transaction.
    pub(super) fn commit(&mut self, batch: &Batch<'_>) -> Result<Committed, Failure<Counters, Committed>> {
        let before = self.counters;
        let mut failed = self.begin_with_effects(batch)?;
        let committed = self.write(batch, &mut failed)?;
        let Self { seen, connection, counters, .. } = self;
        let are_kept = seen.settle(connection, counters)? && counters.effects == before.effects;
        if !are_kept && self.counters != before {
            self.counters.keep(&self.connection)?;
        }
        let done = (self.counters != before).then_some(self.counters);
        match self.end() {
            Ok(()) => Ok(committed),
            Err(error) => Err(Failure { error, done: done.map(|counters| Box::new((counters, committed))) }),
        }
    }

    /// Whether this process owns the partition since then.
    pub(super) fn owns(&self, partition: Partition, epoch: Epoch) -> bool {
        partition == Partition::WHOLE && epoch == self.counters.epoch
    }

    /// Makes this process the owner. What an earlier one wrote and did not sync is on the disk after this, before anybody acts
    /// on it.
    pub(super) fn claim(&mut self) -> rusqlite::Result<()> {
        self.begin(Sync::Full)?;
        self.counters.epoch.0 += 1;
        self.counters.keep(&self.connection)?;
        self.end()
    }

    fn begin(&mut self, sync: Sync) -> rusqlite::Result<()> {
        if self.sync != Some(sync) {
            let word = if sync == Sync::Full { "FULL" } else { "NORMAL" };
            self.connection.pragma_update(None, "synchronous", word)?;
            self.sync = Some(sync);
        }
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([]).map(drop)
    }

    fn end(&self) -> rusqlite::Result<()> {
        self.connection.prepare_cached("COMMIT")?.execute([]).map(drop)
    }

    /// Begins a transaction, and runs the effects of a batch before anything else is written in it. Answers those that have failed, by the
    /// place of their works.
    fn begin_with_effects(&mut self, batch: &Batch<'_>) -> rusqlite::Result<BTreeMap<usize, Error>> {
        let mut failed = BTreeMap::new();
        'anew: loop {
            self.begin(batch.sync)?;
            let mut count = 0;
            for (at, work) in batch.work.iter().enumerate() {
                let Some(effect) = work.effect.as_ref().filter(|_| self.owns(work.partition, work.epoch))
                else {
                    continue;
                };
                if failed.contains_key(&at) {
                    continue;
                }
                match self.effects.run(&mut self.connection, effect)? {
                    Ok(()) => count += 1,
                    Err(error) => _ = failed.insert(at, error),
                }
                // One that ends the transaction has taken back what the others did: they are run again, without it.
                if self.connection.is_autocommit() {
                    continue 'anew;
                }
            }
            self.counters.effects += count;
            return Ok(failed);
        }
    }

    /// Sorts a little of what is known into its place, while there is nothing else to do; whether there may be more.
    pub(super) fn sort(&mut self) -> rusqlite::Result<bool> {
        if !self.seen.is_unsorted() {
            return Ok(false);
        }
        // Nobody relies on it: after a power cut it is done once more.
        self.begin(Sync::Lazy)?;
        let Self { seen, connection, counters, .. } = self;
        seen.sort(connection, counters)?;
        self.end()?;
        Ok(self.seen.is_unsorted())
    }

    /// Forgets a few commands that were executed, once nobody waits for their outcomes any more; whether there may be more.
    pub(super) fn forget_outcomes(&mut self) -> rusqlite::Result<bool> {
        let now = Instant::now();
        if !self.outcomes.is_due(now) {
            return Ok(false);
        }
        // Nobody relies on it: after a power cut it is done once more.
        self.begin(Sync::Lazy)?;
        let has_more = self.outcomes.forget(&self.connection, now)?;
        self.end()?;
        Ok(has_more)
    }

    /// Reads a little of what is known, so that what is not needs no look into the file; whether there is more.
    pub(super) fn read_seen(&mut self) -> rusqlite::Result<bool> {
        self.seen.read(&self.connection)
    }
}

fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::sqlite::schema;
    use crate::sqlite::writer::Session as _;

    fn pages(session: &Session) -> (i64, i64) {
        let number = |name| session.connection.pragma_query_value(None, name, |row| row.get(0)).unwrap();
        (number("page_count"), number("freelist_count"))
    }

    #[test]
    fn free_pages_are_given_back_a_few_at_a_time() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL").unwrap();
        schema::create(&mut connection, 0).unwrap();
        let retention = Retention { hours: 1, rows: 1, young: 1 };
        let mut store = Session::open(connection, &retention).unwrap();
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
