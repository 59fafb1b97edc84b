//! What is there of a journal, for somebody who must change nothing.

use std::fs;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension};

use super::SqliteOptions;
use super::division::Division;
use super::schema::{event, letter};
use crate::error::Result;
use crate::journal::owner;
use crate::sqlite::disk;
use crate::sqlite::lock::{self, beside};
use crate::sqlite::open::Location;

/// What a journal holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// The length of the file, with its write-ahead log.
    pub bytes: u64,
    /// Events that were accepted and are not done.
    pub events: u64,
    /// Replies that were promised and are not sent.
    pub replies: u64,
    /// Dead letters: events and replies that were given up.
    pub dead: u64,
    /// Jobs, those of schedules included.
    pub jobs: u64,
    /// Whether a bot has it open at this moment.
    pub is_in_use: bool,
    /// The account that it belongs to, as [`Transport::identity`](crate::Transport::identity) names it; `None` before one was
    /// named. Of several networks, the one of the primary network.
    pub account: Option<String>,
    /// The network whose conversations have no network's name in it; `None` before a bot has started on it.
    pub primary_network: Option<String>,
}

impl Summary {
    /// Whether a bot may start on it whose transport names this account; `granted` is `EVENKEEL_JOURNAL_ACCOUNT`.
    ///
    /// # Errors
    ///
    /// As at the start of the bot: when it belongs to another account, and was not granted to this one.
    pub fn check_account(&self, account: Option<&str>, granted: Option<&str>) -> Result<()> {
        owner::check(self.account.as_deref().map(str::as_bytes), account, granted)
    }

    /// Whether this network may be the primary one: `chosen` is `EVENKEEL_PRIMARY_NETWORK`.
    ///
    /// # Errors
    ///
    /// As at the start of the bot: when another one is that.
    pub fn check_primary_network(&self, chosen: Option<&str>) -> Result<()> {
        owner::check_primary(self.primary_network.as_deref(), chosen)
    }
}

impl SqliteOptions {
    /// Looks at what is there, beside a bot that may be running, and changes nothing; `None` where there is no file, and
    /// one could be made. Blocks while the file is read.
    ///
    /// # Errors
    ///
    /// As [`SqliteOptions::open`], as far as one can know without opening it to write; but a file that is in use is none.
    pub fn look(self, path: impl Into<PathBuf>) -> Result<Option<Summary>> {
        let place = self.place(path.into());
        place.check()?;
        check_surroundings(&place)?;
        let length = |path: &Path| fs::metadata(path).map_or(0, |data| data.len());
        let bytes = length(&place.path);
        // A file without content is one that the bot makes anew.
        if bytes == 0 {
            return Ok(None);
        }
        let is_in_use = lock::is_held(&place.path);
        let connection = connect(&place).map_err(|error| place.explain(&error))?;
        place.check_inside(&connection)?;
        Division::load(&connection).map_err(|error| place.explain(&error))?.check(&place.path)?;
        let bytes = bytes + length(&beside(&place.path, "-wal"));
        count(&connection, bytes, is_in_use).map(Some).map_err(|error| place.explain(&error))
    }
}

/// Whether the bot could make what it needs beside the file.
fn check_surroundings(place: &Location) -> Result<()> {
    let folder = std::path::absolute(place.folder()).unwrap_or_else(|_| place.folder().to_owned());
    let there = folder.ancestors().find(|at| at.exists()).unwrap_or(&folder);
    if there != folder {
        disk::check_folder(there).map_err(|error| place.no_folder(&error))?;
    } else {
        lock::check(&place.path, &folder)?;
    }
    // The index of the log is made at the start, unless a bot runs or has been killed. One that found no room is short.
    if fs::metadata(beside(&place.path, "-shm")).is_ok_and(|index| index.len() >= 32 << 10) {
        return Ok(());
    }
    disk::check_folder(there).map_err(|error| place.unusable(&error))?;
    if disk::is_full(&place.path) { Err(place.full()) } else { Ok(()) }
}

/// With a log beside it, the file alone is not all there is; without one, it can be read as if it never changed, which makes
/// no files.
fn connect(place: &Location) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    if cfg!(not(unix)) || beside(&place.path, "-wal").exists() {
        return place.connect_as(&place.path, flags);
    }
    let mut address = "file:".to_owned();
    for byte in place.path.as_os_str().as_encoded_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                address.push(char::from(*byte));
            }
            _ => address.push_str(&format!("%{byte:02x}")),
        }
    }
    address.push_str("?immutable=1");
    place.connect_as(Path::new(&address), flags | OpenFlags::SQLITE_OPEN_URI)
}

fn count(connection: &Connection, bytes: u64, is_in_use: bool) -> rusqlite::Result<Summary> {
    let number = |sql: &str, state: &[i64]| {
        let params = rusqlite::params_from_iter(state);
        connection.query_row(sql, params, |row| row.get(0)).map(crate::sqlite::content::natural)
    };
    // All numbers are of one moment; the transaction ends with the connection.
    connection.execute_batch("BEGIN")?;
    let dead_events = number("SELECT count(*) FROM event INDEXED BY event_dead WHERE state >= 3", &[])?;
    let dead_letters = number("SELECT count(*) FROM letter INDEXED BY letter_dead WHERE state = 3", &[])?;
    let kept = "SELECT value FROM value WHERE conversation = '' AND name = ?1";
    let kept = |name| {
        let value = connection
            .query_row(kept, [name], |row| Ok(crate::sqlite::content::bytes(row.get_ref(0)?)))
            .optional()?;
        Ok::<_, rusqlite::Error>(value.map(|value| String::from_utf8_lossy(&value).into_owned()))
    };
    Ok(Summary {
        bytes,
        events: number("SELECT count(*) FROM event WHERE state < ?1", &[event::DEAD])?,
        replies: number(
            "SELECT count(*) FROM letter WHERE state IN (?1, ?2)",
            &[letter::PENDING, letter::SENDING],
        )?,
        dead: dead_events + dead_letters,
        jobs: number("SELECT count(*) FROM job", &[])?,
        is_in_use,
        account: kept(owner::NAME)?,
        primary_network: kept(owner::PRIMARY_NETWORK)?,
    })
}
