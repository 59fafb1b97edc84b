//! The keys that are sorted in. Hardly any key that is asked for is among them, and a filter says so without the file.

use rusqlite::Connection;

use super::filter::{Filter, Key};

/// Keys in the file, with what tells most others from them.
pub(super) struct Sorted {
    /// Has all that are there, and some that are not any more; `None` before the file was read once.
    filter: Option<Filter>,
    /// One that is to take its place, or to be the first.
    next: Option<Next>,
    /// How many keys there are, as far as is known.
    rows: usize,
    least: usize,
    most: usize,
}

/// A filter that is being made.
struct Next {
    filter: Filter,
    /// All keys in the file up to this one are in it, and all that have come since it was begun.
    after: Vec<u8>,
}

impl Sorted {
    /// This many keys are said to be there; nothing is read yet. A filter has room for `least` keys or more, but for no more than are
    /// there where that is `most`.
    pub(super) fn new(rows: usize, least: usize, most: usize) -> Self {
        Self { filter: None, next: None, rows, least, most }
    }

    pub(super) fn contains(&self, connection: &Connection, key: &Key) -> rusqlite::Result<bool> {
        if self.filter.as_ref().is_some_and(|filter| !filter.may_contain(key)) {
            return Ok(false);
        }
        connection.prepare_cached("SELECT 1 FROM seen WHERE key = ?1")?.exists([&key[..]])
    }

    pub(super) fn insert(&mut self, connection: &Connection, keys: &[(Key, i64)]) -> rusqlite::Result<()> {
        let sql = "INSERT OR IGNORE INTO seen(key, period) VALUES (?1, ?2)";
        let mut statement = connection.prepare_cached(sql)?;
        for (key, period) in keys {
            statement.execute((&key[..], period))?;
            let next = self.next.as_mut().map(|next| &mut next.filter);
            self.filter.iter_mut().chain(next).for_each(|filter| filter.insert(key));
        }
        Ok(())
    }

    /// Whether a filter is to be made: there is none, or it holds too much.
    pub(super) fn is_unread(&self) -> bool {
        self.filter.as_ref().is_none_or(Filter::is_crowded)
    }

    /// Reads this many keys for the next filter, if there is to be one. With the last of them it is used.
    pub(super) fn read(&mut self, connection: &Connection, count: usize) -> rusqlite::Result<()> {
        if !self.is_unread() {
            return Ok(());
        }
        let capacity = self.capacity();
        let next = self
            .next
            .get_or_insert_with(|| Next { filter: Filter::with_capacity(capacity), after: Vec::new() });
        if next.read(connection, count)? == count {
            return Ok(());
        }
        let filter = self.next.take().map(|next| next.filter);
        // A file may have been said to hold fewer: then this one is crowded, and the next one is not.
        self.rows = filter.as_ref().map_or(0, Filter::len);
        self.filter = filter;
        Ok(())
    }

    /// Room to grow, but for no more than there will be.
    fn capacity(&self) -> usize {
        let known =
            self.filter.as_ref().map_or(self.rows, |filter| self.rows.max(filter.len().min(self.most)));
        (2 * known).min(known.max(self.most)).max(self.least)
    }
}

impl Next {
    /// Answers how many there were.
    fn read(&mut self, connection: &Connection, count: usize) -> rusqlite::Result<usize> {
        let sql = "SELECT key FROM seen WHERE key > ?1 ORDER BY key LIMIT ?2";
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query((&self.after, i64::try_from(count).unwrap_or(i64::MAX)))?;
        let (mut read, mut last) = (0, Vec::new());
        while let Some(row) = rows.next()? {
            // What is longer or shorter was put in by another program, and is never asked for.
            let key = row.get_ref(0)?.as_blob().unwrap_or_default();
            if let Ok(key) = Key::try_from(key) {
                self.filter.insert(&key);
            }
            last.clear();
            last.extend_from_slice(key);
            read += 1;
        }
        if read > 0 {
            self.after = last;
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::collection::vec;
    use proptest::prelude::*;
    use siphasher::sip128::SipHasher13;

    use super::*;
    use crate::journal::sqlite::schema;

    fn key(number: u16) -> Key {
        let hash = SipHasher13::new_with_keys(1, 2).hash(&number.to_be_bytes()).as_bytes();
        std::array::from_fn(|at| hash[at])
    }

    fn made() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::create(&mut connection, 0).unwrap();
        connection
    }

    #[derive(Debug, Clone)]
    enum Step {
        Insert(Vec<u16>),
        Read(usize),
        /// Keys below this number are forgotten.
        Forget(u16),
        Open,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => vec(0_u16..400, 0..40).prop_map(Step::Insert),
            4 => (1_usize..60).prop_map(Step::Read),
            1 => (0_u16..400).prop_map(Step::Forget),
            1 => Just(Step::Open),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn what_is_sorted_in_is_found_and_nothing_else(steps in vec(step(), 0..60), said in 0_usize..500) {
            let connection = made();
            let open = || Sorted::new(said, 16, 100);
            let (mut sorted, mut expected) = (open(), HashSet::new());
            for step in steps {
                match step {
                    Step::Insert(numbers) => {
                        let keys: Vec<_> = numbers.iter().map(|number| (key(*number), 0)).collect();
                        sorted.insert(&connection, &keys).unwrap();
                        expected.extend(numbers);
                    }
                    Step::Read(count) => sorted.read(&connection, count).unwrap(),
                    Step::Forget(limit) => {
                        for number in expected.extract_if(|number| *number < limit) {
                            let key = &key(number)[..];
                            connection.execute("DELETE FROM seen WHERE key = ?1", [key]).unwrap();
                        }
                    }
                    Step::Open => sorted = open(),
                }
                for number in 0..400 {
                    let is_there = sorted.contains(&connection, &key(number)).unwrap();
                    prop_assert_eq!(is_there, expected.contains(&number), "key {}", number);
                }
            }
        }
    }

    #[test]
    fn a_filter_is_made_of_all_that_is_there_and_grows_with_it() {
        let connection = made();
        let keys = |from: u16, to: u16| (from..to).map(|number| (key(number), 0)).collect::<Vec<_>>();
        let mut sorted = Sorted::new(0, 16, 1_000);
        sorted.insert(&connection, &keys(0, 500)).unwrap();
        let mut reads = 0;
        while sorted.is_unread() {
            assert!(sorted.contains(&connection, &key(499)).unwrap());
            sorted.read(&connection, 64).unwrap();
            reads += 1;
        }
        // Once by the number that was said, which was wrong, and once by the true one.
        assert_eq!(reads, 2 * (500 / 64 + 1));
        sorted.insert(&connection, &keys(500, 1_700)).unwrap();
        assert!(sorted.is_unread() && sorted.contains(&connection, &key(1_699)).unwrap());
        while sorted.is_unread() {
            sorted.read(&connection, 64).unwrap();
        }
        // Beyond what is kept in the long run it has room for what is there, and no more.
        assert_eq!((sorted.rows, sorted.capacity()), (1_700, 1_700));
        let unknown =
            (2_000..12_000).filter(|number| sorted.filter.as_ref().unwrap().may_contain(&key(*number)));
        assert!(unknown.count() < 500, "the filter tells hardly anything");
    }

    #[test]
    fn what_is_no_key_of_ours_is_passed_over() {
        let connection = made();
        connection
            .execute_batch(
                "INSERT INTO seen VALUES (x'', 0), (x'00', 0), ('text', 0), (7, 0), (zeroblob(40), 0)",
            )
            .unwrap();
        let mut sorted = Sorted::new(0, 16, 100);
        sorted.insert(&connection, &[(key(1), 0)]).unwrap();
        while sorted.is_unread() {
            sorted.read(&connection, 1).unwrap();
        }
        assert!(sorted.contains(&connection, &key(1)).unwrap());
        assert_eq!(sorted.filter.as_ref().unwrap().len(), 1);
    }
}
