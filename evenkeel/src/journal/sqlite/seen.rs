//! Which events came already, in at most 30 bytes each.

mod filter;
mod sorted;

use std::collections::{BTreeMap, HashSet};

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use siphasher::sip128::SipHasher13;

use super::counters::Counters;
use super::retention::Retention;
use crate::sqlite::content::{bytes, int, natural, raw, whole};
use filter::Key;
use sorted::Sorted;

/// Rows carry the time in these units: the finer they are, the more bytes they take.
const PERIOD_MS: i64 = 3_600_000;

/// The keys are swept in this many slices, so that no commit waits for many deletions.
const SLICES: i64 = 65_536;

/// This many are sorted in at a time while there is nothing else to do: a batch that comes meanwhile waits for no more than these.
const SORTED: usize = 256;

/// This many that are sorted in are read at a time for the filter, while there is nothing else to do.
const READ: usize = 4_096;

/// One slice for this many new rows: all keys are visited before as many rows have come as are kept.
const ROWS_PER_SLICE: i64 = 64;

/// The ids of the events of the last days.
///
/// An id is remembered as 96 bits of a hash keyed with a secret of this file: nobody can make two ids collide on purpose,
/// five million ids collide by accident once in 10^16 files, and no phone number can be read from the index.
///
/// A hash belongs anywhere in an index, so that each new one would write a page of its own. Young ones therefore lie in the
/// order in which they came, one row for each commit, and in memory; a generation of them is sorted in, page after page, while
/// there is nothing else to do and while the next one grows. What is asked for is looked for in memory first, then in a filter that
/// has all that are sorted in, and only then among these.
pub(super) struct Seen {
    secret: (u64, u64),
    born_ms: i64,
    retention: Retention,
    /// All keys of `young` that are not sorted in.
    young: HashSet<Key>,
    sorted: Sorted,
    /// Those of the generation that grows.
    grown: Vec<(Key, i64)>,
    /// Those that are to be sorted in, the last key first.
    sorting: Vec<(Key, i64)>,
    /// The rows up to this number are of the generation that is being sorted in, and are deleted when it is.
    sorted_until: u64,
    /// The keys of this commit, one after the other, with their period.
    fresh: (i64, Vec<u8>),
    /// How many rows of each period there are, young ones included.
    counts: BTreeMap<i64, i64>,
    /// Added rows that have not yet earned a slice of sweeping.
    credit: i64,
    /// The slice that is swept next.
    slice: i64,
    swept_ms: i64,
}

impl Seen {
    pub(super) fn load(connection: &Connection, retention: Retention) -> rusqlite::Result<Self> {
        let sql = "SELECT seen_key, born_ms, sorting, latest_ms FROM state";
        let (secret, born_ms, sorted_until, latest_ms) = connection.query_row(sql, [], |row| {
            let number = |at| row.get_ref(at).map(whole);
            Ok((bytes(row.get_ref(0)?), number(1)?, number(2)?, number(3)?))
        })?;
        let half = |at: usize| secret.get(at..at + 8).and_then(|half| half.try_into().ok());
        let secret = (half(0).map_or(0, u64::from_le_bytes), half(8).map_or(0, u64::from_le_bytes));
        let mut counts: BTreeMap<i64, i64> = connection
            .prepare("SELECT period, rows FROM seen_count")?
            .query_map([], |row| Ok((row.get(0)?, number(row.get_ref(1)?))))?
            .collect::<rusqlite::Result<_>>()?;
        let born_ms = born_ms.map_or_else(
            || {
                // Another program has put in something else. The last hour that is counted was about the latest one.
                let hours = counts.last_key_value().map_or(0, |(period, _)| *period);
                int(latest_ms.unwrap_or(0)) - hours * PERIOD_MS
            },
            int,
        );
        let sorted_until = sorted_until.unwrap_or(0);
        let (grown, mut sorting) = young(connection, sorted_until)?;
        sorting.sort_unstable_by(|one, other| other.cmp(one));
        let done = sorted_in(connection, &sorting)?;
        sorting.truncate(sorting.len() - done);
        let sorted = Sorted::new(count(counts.values().sum()), 2 * retention.young, count(retention.rows));
        for (_, period) in grown.iter().chain(&sorting) {
            *counts.entry(*period).or_default() += 1;
        }
        let young = grown.iter().chain(&sorting).map(|(key, _)| *key).collect();
        let (credit, slice, swept_ms, fresh) = (0, 0, 0, (0, Vec::new()));
        Ok(Self {
            secret,
            born_ms,
            retention,
            young,
            sorted,
            grown,
            sorting,
            sorted_until,
            fresh,
            counts,
            credit,
            slice,
            swept_ms,
        })
    }

    /// Whether it is new. It is written with [`Seen::settle`].
    pub(super) fn add(&mut self, connection: &Connection, id: &str, now_ms: u64) -> rusqlite::Result<bool> {
        let hash = SipHasher13::new_with_keys(self.secret.0, self.secret.1).hash(id.as_bytes()).as_bytes();
        let mut key = Key::default();
        key.copy_from_slice(&hash[..12]);
        if self.young.contains(&key) || self.sorted.contains(connection, &key)? {
            return Ok(false);
        }
        let period = (int(now_ms) - self.born_ms).max(0) / PERIOD_MS;
        self.young.insert(key);
        self.grown.push((key, period));
        self.fresh.0 = period;
        self.fresh.1.extend_from_slice(&key);
        *self.counts.entry(period).or_default() += 1;
        self.credit += 1;
        Ok(true)
    }

    /// Writes what a batch added, and forgets a little of what is too old. Whether it has written the counters, too.
    pub(super) fn settle(&mut self, connection: &Connection, counters: &Counters) -> rusqlite::Result<bool> {
        let (period, keys) = &mut self.fresh;
        let has_fresh = !keys.is_empty();
        if has_fresh {
            let sql =
                "INSERT INTO young(number, period, last_job, latest_ms, keys) VALUES (?1, ?2, ?3, ?4, ?5)";
            let Counters { last, last_job, latest_ms, .. } = *counters;
            let row = (int(last), *period, int(last_job), int(latest_ms), &keys[..]);
            connection.prepare_cached(sql)?.execute(row)?;
            let count = keys.len() / size_of::<Key>();
            keys.clear();
            if self.is_unsorted() {
                // Twice as many as have come, so that one generation is through before the next one is grown.
                self.sort_some(connection, counters, 2 * count)?;
            }
            // The filter is made before its keys have doubled, however busy the bot is.
            self.sorted.read(connection, (4 * count).min(SORTED))?;
        }
        self.forget(connection, int(counters.latest_ms))?;
        Ok(has_fresh)
    }

    /// Whether there is something to sort in, or to take away after that.
    pub(super) fn is_unsorted(&self) -> bool {
        !self.sorting.is_empty() || self.sorted_until > 0 || self.grown.len() >= self.retention.young
    }

    /// Sorts in a little.
    pub(super) fn sort(&mut self, connection: &Connection, counters: &Counters) -> rusqlite::Result<()> {
        self.sort_some(connection, counters, SORTED)
    }

    /// Reads a little of what is sorted in, for the filter; whether there is more of it.
    pub(super) fn read(&mut self, connection: &Connection) -> rusqlite::Result<bool> {
        if !self.sorted.is_unread() {
            return Ok(false);
        }
        self.sorted.read(connection, READ)?;
        // Pages that were read once, and would push those out that are needed again, or stay in memory for nothing.
        connection.execute_batch("PRAGMA shrink_memory")?;
        Ok(self.sorted.is_unread())
    }

    fn sort_some(
        &mut self,
        connection: &Connection,
        counters: &Counters,
        count: usize,
    ) -> rusqlite::Result<()> {
        if !self.sorting.is_empty() {
            return self.sort_in(connection, count);
        }
        if self.sorted_until > 0 {
            return self.take_away(connection, counters, count);
        }
        if self.grown.len() >= self.retention.young {
            self.sorting = std::mem::take(&mut self.grown);
            self.sorting.sort_unstable_by(|one, other| other.cmp(one));
            self.sorted_until = counters.last;
            self.mark_sorting(connection)?;
        }
        Ok(())
    }

    /// Puts the next keys into their places.
    fn sort_in(&mut self, connection: &Connection, count: usize) -> rusqlite::Result<()> {
        let mut counted = BTreeMap::<i64, i64>::new();
        let mut keys = self.sorting.split_off(self.sorting.len().saturating_sub(count));
        keys.reverse();
        self.sorted.insert(connection, &keys)?;
        for (key, period) in keys {
            self.young.remove(&key);
            *counted.entry(period).or_default() += 1;
        }
        let sql = "INSERT INTO seen_count(period, rows) VALUES (?1, ?2) \
                   ON CONFLICT(period) DO UPDATE SET rows = rows + excluded.rows";
        for counted in counted {
            connection.prepare_cached(sql)?.execute(counted)?;
        }
        Ok(())
    }

    /// Deletes rows whose keys are all in their places. The counters may be in the last of them.
    fn take_away(
        &mut self,
        connection: &Connection,
        counters: &Counters,
        count: usize,
    ) -> rusqlite::Result<()> {
        let sql = "DELETE FROM young WHERE number IN (SELECT number FROM young WHERE number <= ?1 LIMIT ?2)";
        let deleted = connection.prepare_cached(sql)?.execute((int(self.sorted_until), int(count as u64)))?;
        if deleted < count {
            self.sorted_until = 0;
            self.mark_sorting(connection)?;
        }
        counters.keep(connection)
    }

    fn mark_sorting(&self, connection: &Connection) -> rusqlite::Result<()> {
        connection
            .prepare_cached("UPDATE state SET sorting = ?1")?
            .execute([int(self.sorted_until)])
            .map(drop)
    }

    fn forget(&mut self, connection: &Connection, now_ms: i64) -> rusqlite::Result<()> {
        let cutoff = self.cutoff(now_ms);
        if self.counts.first_key_value().is_none_or(|(oldest, _)| *oldest >= cutoff) {
            self.credit = 0;
            return Ok(());
        }
        if now_ms.abs_diff(self.swept_ms) > 1300 {
            self.credit += ROWS_PER_SLICE;
            self.swept_ms = now_ms;
        }
        while self.credit >= ROWS_PER_SLICE {
            self.credit -= ROWS_PER_SLICE;
            self.sweep(connection, cutoff)?;
        }
        Ok(())
    }

    /// The first period that is kept.
    fn cutoff(&self, now_ms: i64) -> i64 {
        let mut room = self.retention.rows;
        let full = self.counts.iter().rev().find(|(_, rows)| {
            room -= **rows;
            room < 0
        });
        let newest = self.counts.last_key_value().map_or(0, |(period, _)| *period);
        let by_rows = full.map_or(0, |(period, _)| (period + 1).min(newest));
        by_rows.max((now_ms - self.born_ms).max(0) / PERIOD_MS - self.retention.hours)
    }

    fn sweep(&mut self, connection: &Connection, cutoff: i64) -> rusqlite::Result<()> {
        let low = self.slice.to_be_bytes();
        let high = (self.slice + 1).to_be_bytes();
        let after_all = [0xff_u8; 13];
        let is_last = self.slice + 1 == SLICES;
        let high = if is_last { &after_all[..] } else { &high[6..] };
        self.slice = (self.slice + 1) % SLICES;
        let mut statement = connection.prepare_cached(
            "DELETE FROM seen WHERE key >= ?1 AND key < ?2 AND period < ?3 RETURNING period",
        )?;
        let mut gone = BTreeMap::<i64, i64>::new();
        let mut rows = statement.query((&low[6..], high, cutoff))?;
        while let Some(row) = rows.next()? {
            *gone.entry(number(row.get_ref(0)?)).or_default() += 1;
        }
        for (period, rows) in gone {
            self.uncount(connection, period, rows)?;
        }
        Ok(())
    }

    fn uncount(&mut self, connection: &Connection, period: i64, rows: i64) -> rusqlite::Result<()> {
        if let Some(left) = self.counts.get_mut(&period) {
            *left -= rows;
            if *left <= 0 {
                self.counts.remove(&period);
            }
        }
        let sql = "UPDATE seen_count SET rows = rows - ?2 WHERE period = ?1";
        connection.prepare_cached(sql)?.execute((period, rows))?;
        let sql = "DELETE FROM seen_count WHERE period = ?1 AND rows <= 0";
        connection.prepare_cached(sql)?.execute([period]).map(drop)
    }
}

/// Keys with their periods, in the order in which they came.
type Keys = Vec<(Key, i64)>;

/// The keys of the generation that grows, and of the one that is being sorted in.
fn young(connection: &Connection, sorted_until: u64) -> rusqlite::Result<(Keys, Keys)> {
    let mut statement = connection.prepare("SELECT number, period, keys FROM young ORDER BY number")?;
    let mut rows = statement.query([])?;
    let (mut grown, mut sorting) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next()? {
        let period = number(row.get_ref(1)?);
        let keys = raw(row.get_ref(2)?);
        // What another program has put in is no key of ours.
        let keys = keys.as_chunks::<{ size_of::<Key>() }>().0.iter().map(|key| (*key, period));
        let generation = if row.get::<_, i64>(0)? <= int(sorted_until) { &mut sorting } else { &mut grown };
        generation.extend(keys);
    }
    Ok((grown, sorting))
}

fn count(rows: i64) -> usize {
    usize::try_from(natural(rows)).unwrap_or(usize::MAX)
}

/// What another program has put in the place of a number counts for 0.
fn number(value: ValueRef<'_>) -> i64 {
    whole(value).map_or(0, int)
}

/// How many of these, from the last one on, an earlier process has sorted in.
fn sorted_in(connection: &Connection, sorting: &[(Key, i64)]) -> rusqlite::Result<usize> {
    let mut statement = connection.prepare("SELECT 1 FROM seen WHERE key = ?1")?;
    // The keys went in one after the other, so those that did come before those that did not.
    let (mut least, mut most) = (0, sorting.len());
    while least < most {
        let middle = (least + most).div_ceil(2);
        let (key, _) = &sorting[sorting.len() - middle];
        if statement.exists([&key[..]])? {
            least = middle;
        } else {
            most = middle - 1;
        }
    }
    Ok(least)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::sqlite::schema;
    use crate::sqlite::content::natural;

    const HOUR: u64 = 3_600_000;

    fn made() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::create(&mut connection, 0).unwrap();
        connection
    }

    fn load(connection: &Connection, rows: i64) -> Seen {
        Seen::load(connection, Retention { hours: 2, rows, young: 100 }).unwrap()
    }

    fn number(connection: &Connection, sql: &str) -> u64 {
        natural(connection.query_row(sql, [], |row| row.get(0)).unwrap())
    }

    /// How many of these ids are new, each in a batch of ten.
    fn add(seen: &mut Seen, connection: &Connection, ids: std::ops::Range<u64>, now_ms: u64) -> usize {
        let mut new = 0;
        let mut last =
            number(connection, "SELECT max(coalesce((SELECT max(number) FROM young), 0), last) FROM state");
        for id in ids {
            let is_new = seen.add(connection, &id.to_string(), now_ms).unwrap();
            last += u64::from(is_new);
            new += usize::from(is_new);
            if id % 10 == 9 {
                seen.settle(connection, &Counters { last, latest_ms: now_ms, ..Counters::default() })
                    .unwrap();
            }
        }
        new
    }

    /// As while there is nothing else to do.
    fn sort_all(seen: &mut Seen, connection: &Connection) {
        let last = number(connection, "SELECT coalesce((SELECT max(number) FROM young), 0)");
        while seen.is_unsorted() {
            seen.sort(connection, &Counters { last, ..Counters::default() }).unwrap();
        }
        while seen.read(connection).unwrap() {}
    }

    #[test]
    fn what_is_idle_sorts_all_but_a_generation() {
        let connection = made();
        let mut seen = load(&connection, 1_000_000);
        for round in 0..5 {
            assert_eq!(add(&mut seen, &connection, round * 150..(round + 1) * 150, 0), 150);
            sort_all(&mut seen, &connection);
            assert!(seen.young.len() < 100, "{}", seen.young.len());
            assert_eq!(
                number(&connection, "SELECT coalesce(sum(length(keys)), 0) / 12 FROM young") as usize,
                seen.young.len()
            );
            let counted = number(&connection, "SELECT sum(rows) FROM seen_count");
            assert_eq!(counted, number(&connection, "SELECT count(*) FROM seen"));
            assert_eq!(seen.counts.values().sum::<i64>(), int((round + 1) * 150));
            assert_eq!(add(&mut seen, &connection, 0..(round + 1) * 150, 0), 0, "in round {round}");
            let loaded = load(&connection, 1_000_000);
            assert_eq!((loaded.counts, loaded.young), (seen.counts.clone(), seen.young.clone()));
        }
    }

    #[test]
    fn an_id_is_known_through_all_generations() {
        let connection = made();
        let mut seen = load(&connection, 1_000_000);
        for round in 0..12 {
            assert_eq!(add(&mut seen, &connection, round * 70..(round + 1) * 70, 0), 70);
            assert_eq!(add(&mut seen, &connection, 0..(round + 1) * 70, 0), 0, "in round {round}");
            if round % 3 == 1 {
                seen = load(&connection, 1_000_000);
                assert_eq!(add(&mut seen, &connection, 0..(round + 1) * 70, 0), 0, "loaded in round {round}");
            }
        }
        let sorted = number(&connection, "SELECT count(*) FROM seen");
        assert!(sorted > 500 && seen.young.len() < 300, "{sorted} and {}", seen.young.len());
    }

    #[test]
    fn processes_that_end_soon_leave_no_more_to_load_than_one_that_runs() {
        let connection = made();
        for life in 0..100 {
            let mut seen = load(&connection, 1_000_000);
            assert!(seen.young.len() < 300, "{} in life {life}", seen.young.len());
            assert_eq!(add(&mut seen, &connection, life * 20..(life + 1) * 20, 0), 20);
            assert_eq!(add(&mut seen, &connection, 0..(life + 1) * 20, 0), 0, "in life {life}");
        }
    }

    #[test]
    fn what_is_too_old_is_forgotten_bit_by_bit() {
        let connection = made();
        let mut seen = load(&connection, 1_000_000);
        add(&mut seen, &connection, 0..1000, 0);
        sort_all(&mut seen, &connection);
        seen.credit = ROWS_PER_SLICE * SLICES;
        add(&mut seen, &connection, 1000..1010, 5 * HOUR);
        let left = number(&connection, "SELECT count(*) FROM seen");
        assert!(left < 20, "{left}");
        assert_eq!(add(&mut seen, &connection, 1000..1010, 5 * HOUR), 0, "what is new is not");
    }

    #[test]
    fn beyond_so_many_rows_the_oldest_hours_go() {
        let connection = made();
        let mut seen = load(&connection, 500);
        add(&mut seen, &connection, 0..400, 0);
        add(&mut seen, &connection, 400..800, HOUR);
        assert_eq!(seen.cutoff(0), 1);
    }
}
