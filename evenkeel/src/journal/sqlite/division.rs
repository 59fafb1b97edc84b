//! How the conversations of a file are divided among partitions. Rows were placed by that: who divides otherwise finds none of them.

use std::path::Path;

use rusqlite::Connection;

use crate::error::{Error, Result};
use crate::sqlite::content::whole;

/// One process owns all of a file.
const COUNT: u64 = 1;

/// That of [`Partition::of`](crate::journal::store::Partition::of).
const HASH: &str = "fnv1a-64";

/// The schema from which on it lies in the file.
const SINCE: i32 = 2;

/// As it lies in a file.
#[derive(Debug)]
pub(super) struct Division {
    count: u64,
    hash: String,
}

impl Division {
    /// What another program has put in the place of a number or of a text counts for nothing.
    pub(super) fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let (count, hash) = (COUNT, HASH.to_owned());
        let version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version < SINCE {
            return Ok(Self { count, hash });
        }
        connection.query_row("SELECT partitions, partition_hash FROM state", [], |row| {
            let (kept, named) = (row.get_ref(0)?, row.get_ref(1)?);
            let (count, hash) = (whole(kept).unwrap_or(count), named.as_str().map_or(hash, str::to_owned));
            Ok(Self { count, hash })
        })
    }

    /// Refuses a file that is divided otherwise.
    pub(super) fn check(&self, path: &Path) -> Result<()> {
        let Self { count, hash } = self;
        if (*count, &**hash) == (COUNT, HASH) {
            return Ok(());
        }
        let shown = path.display();
        Err(Error::config(format!(
            "the journal {shown} is divided into {count} partitions by {hash}, and this version knows {COUNT} by {HASH}"
        ))
        .with_hint("run the version that has written it, or name another file: nothing in this one was changed"))
    }
}
