//! Which events came already, in at most 30 bytes each.

use std::collections::{BTreeMap, HashSet};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension};
use siphasher::sip128::SipHasher13;

use super::content::{bytes, int, raw, whole};

/// Rows carry the time in these units: the finer they are, the more bytes they take.
const PERIOD_MS: i64 = 3_600_000;

/// The keys are swept in this many slices, so that no commit waits for many deletions.
const SLICES: i64 = 65_536;

/// One slice for so many new rows: all keys are visited before as many rows have come as are kept.
const ROWS_PER_SLICE: i64 = 64;

/// How long and how many events are remembered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Retention {
    pub(super) hours: i64,
    pub(super) rows: i64,
    /// So many rows are kept in the order in which they came, before they are sorted in.
    pub(super) young: usize,
}

/// What is left of an id.
type Key = [u8; 12];

/// The ids of the events of the last days.
///
/// An id is remembered as 96 bits of a hash keyed with a secret of this file: nobody can make two ids collide on purpose,
/// five million ids collide by accident once in 10^16 files, and no phone number can be read from the index.
///
/// A hash belongs anywhere in an index, so that each new one would write a page of its own. Young ones therefore lie in the
/// order in which they came, and in memory; a generation of them is sorted in at once, page after page, while the next
/// one grows in the other table.
pub(super) struct Seen {
    secret: (u64, u64),
    born_ms: i64,
    retention: Retention,
    /// The keys of both young tables.
    young: HashSet<Key>,
    /// Which of the two grows.
    growing: usize,
    grown: Vec<(Key, i64)>,
    /// What is still to be sorted in of the other one, the last key first.
    sorting: Vec<(Key, i64)>,
    /// How many rows this batch has added.
    fresh: usize,
    /// How many rows of each period there are.
    counts: BTreeMap<i64, i64>,
    /// Rows that were added to a period in this batch.
    added: Option<(i64, i64)>,
    /// Added rows that have not yet earned a slice of sweeping.
    credit: i64,
    /// The slice that is swept next.
    slice: i64,
    swept_ms: i64,
}

impl Seen {
    pub(super) fn load(connection: &Connection, retention: Retention) -> rusqlite::Result<Self> {
        let (secret, born_ms) = connection.query_row("SELECT seen_key, born_ms FROM state", [], |row| {
            Ok((bytes(row.get_ref(0)?), row.get_ref(1).map(whole)?))
        })?;
        let half = |at: usize| secret.get(at..at + 8).and_then(|half| half.try_into().ok());
        let secret = (half(0).map_or(0, u64::from_le_bytes), half(8).map_or(0, u64::from_le_bytes));
        let counts: BTreeMap<i64, i64> = connection
            .prepare("SELECT period, rows FROM seen_count")?
            .query_map([], |row| Ok((row.get(0)?, number(row.get_ref(1)?))))?
            .collect::<rusqlite::Result<_>>()?;
        let born_ms = match born_ms {
            Some(born_ms) => int(born_ms),
            // Another program has put in something else. The last hour that is counted was about the latest one.
            None => {
                let hours = counts.last_key_value().map_or(0, |(period, _)| *period);
                let sql = "SELECT latest_ms FROM state";
                connection.query_row(sql, [], |row| Ok(number(row.get_ref(0)?)))? - hours * PERIOD_MS
            }
        };
        let (first, second) = (young(connection, 0)?, young(connection, 1)?);
        // Numbers grow: the table with the lower ones is the older.
        let growing = match (first.first(), second.first()) {
            (Some(first), Some(second)) => usize::from(first.0 < second.0),
            (None, Some(_)) => 1,
            _ => 0,
        };
        let (grown, older) = if growing == 0 { (first, second) } else { (second, first) };
        let bare = |rows: Vec<(i64, Key, i64)>| {
            rows.into_iter().map(|(_, key, period)| (key, period)).collect::<Vec<_>>()
        };
        let (grown, mut sorting) = (bare(grown), bare(older));
        sorting.sort_unstable_by(|one, other| other.cmp(one));
        let sorted = sorted_in(connection, &sorting)?;
        sorting.truncate(sorting.len() - sorted);
        let young = grown.iter().chain(&sorting).map(|(key, _)| *key).collect();
        let (added, credit, slice, swept_ms, fresh) = (None, 0, 0, 0, 0);
        Ok(Self {
            secret,
            born_ms,
            retention,
            young,
            growing,
            grown,
            sorting,
            fresh,
            counts,
            added,
            credit,
            slice,
            swept_ms,
        })
    }

    /// Whether it is new; then it will have this number, which is higher than all before it.
    pub(super) fn add(
        &mut self,
        connection: &Connection,
        id: &str,
        number: u64,
        now_ms: u64,
    ) -> rusqlite::Result<bool> {
        let hash = SipHasher13::new_with_keys(self.secret.0, self.secret.1).hash(id.as_bytes()).as_bytes();
        let mut key = Key::default();
        key.copy_from_slice(&hash[..12]);
        let period = self.period(int(now_ms));
        if self.young.contains(&key)
            || connection.prepare_cached("SELECT 1 FROM seen WHERE key = ?1")?.exists([&key[..]])?
        {
            return Ok(false);
        }
        let sql = match self.growing {
            0 => "INSERT INTO seen_young0(number, key, period) VALUES (?1, ?2, ?3)",
            _ => "INSERT INTO seen_young1(number, key, period) VALUES (?1, ?2, ?3)",
        };
        connection.prepare_cached(sql)?.execute((int(number), &key[..], period))?;
        self.young.insert(key);
        self.grown.push((key, period));
        self.fresh += 1;
        match &mut self.added {
            Some((same, count)) if *same == period => *count += 1,
            other => {
                let before = other.replace((period, 1));
                self.count(connection, before)?;
            }
        }
        Ok(true)
    }

    /// Counts what a batch added, and forgets a little of what is too old.
    pub(super) fn settle(&mut self, connection: &Connection, now_ms: u64) -> rusqlite::Result<()> {
        let added = self.added.take();
        self.count(connection, added)?;
        self.sort_in(connection)?;
        let now_ms = int(now_ms);
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

    /// Sorts in twice as many rows as have come, so that one generation is through before the next one is grown.
    fn sort_in(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let count = 2 * std::mem::take(&mut self.fresh);
        if self.sorting.is_empty() {
            if self.grown.len() < self.retention.young {
                return Ok(());
            }
            self.sorting = std::mem::take(&mut self.grown);
            self.sorting.sort_unstable_by(|one, other| other.cmp(one));
            self.growing = 1 - self.growing;
        }
        let mut statement =
            connection.prepare_cached("INSERT OR IGNORE INTO seen(key, period) VALUES (?1, ?2)")?;
        for (key, period) in
            self.sorting.split_off(self.sorting.len().saturating_sub(count)).into_iter().rev()
        {
            statement.execute((&key[..], period))?;
            self.young.remove(&key);
        }
        if self.sorting.is_empty() {
            let sql = if self.growing == 0 { "DELETE FROM seen_young1" } else { "DELETE FROM seen_young0" };
            connection.prepare_cached(sql)?.execute([])?;
        }
        Ok(())
    }

    fn period(&self, now_ms: i64) -> i64 {
        (now_ms - self.born_ms).max(0) / PERIOD_MS
    }

    fn count(&mut self, connection: &Connection, added: Option<(i64, i64)>) -> rusqlite::Result<()> {
        let Some((period, rows)) = added else { return Ok(()) };
        self.credit += rows;
        let count = self.counts.entry(period).or_insert(0);
        *count += rows;
        connection
            .prepare_cached("INSERT OR REPLACE INTO seen_count(period, rows) VALUES (?1, ?2)")?
            .execute((period, *count))?;
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
        by_rows.max(self.period(now_ms) - self.retention.hours)
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
        let left = connection
            .prepare_cached("UPDATE seen_count SET rows = rows - ?2 WHERE period = ?1 RETURNING rows")?
            .query_row((period, rows), |row| Ok(number(row.get_ref(0)?)))
            .optional()?
            .unwrap_or(0);
        if left > 0 {
            self.counts.insert(period, left);
            return Ok(());
        }
        self.counts.remove(&period);
        connection.prepare_cached("DELETE FROM seen_count WHERE period = ?1")?.execute([period])?;
        Ok(())
    }
}

/// The rows of a young table, in the order in which they came.
fn young(connection: &Connection, which: usize) -> rusqlite::Result<Vec<(i64, Key, i64)>> {
    let sql = format!("SELECT number, key, period FROM seen_young{which} ORDER BY number");
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        // What another program has put in is no key of ours.
        if let Ok(key) = Key::try_from(raw(row.get_ref(1)?)) {
            found.push((row.get(0)?, key, number(row.get_ref(2)?)));
        }
    }
    Ok(found)
}

/// What another program has put in the place of a number counts for 0.
fn number(value: ValueRef<'_>) -> i64 {
    whole(value).map_or(0, int)
}

/// How many of these, from the last one on, an earlier process has sorted in. The table that holds them is emptied at once, when
/// all are.
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
    use crate::journal::sqlite::{content::natural, schema};

    const HOUR: u64 = 3_600_000;

    fn made() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::create(&mut connection, 0).unwrap();
        connection
    }

    fn load(connection: &Connection, rows: i64) -> Seen {
        Seen::load(connection, Retention { hours: 2, rows, young: 100 }).unwrap()
    }

    /// How many of these ids are new, each in a batch of ten.
    fn add(seen: &mut Seen, connection: &Connection, ids: std::ops::Range<u64>, now_ms: u64) -> usize {
        let mut new = 0;
        for id in ids {
            let last: i64 = connection
                .query_row("SELECT coalesce(sum(rows), 0) FROM seen_count", [], |row| row.get(0))
                .unwrap();
            let number = natural(last) + 1_000_000 * (now_ms / HOUR) + id;
            new += usize::from(seen.add(connection, &id.to_string(), number, now_ms).unwrap());
            if id % 10 == 9 {
                seen.settle(connection, now_ms).unwrap();
            }
        }
        new
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
        let sorted: i64 = connection.query_row("SELECT count(*) FROM seen", [], |row| row.get(0)).unwrap();
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
        seen.credit = ROWS_PER_SLICE * SLICES;
        add(&mut seen, &connection, 1000..1010, 5 * HOUR);
        let left: i64 = connection.query_row("SELECT count(*) FROM seen", [], |row| row.get(0)).unwrap();
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
