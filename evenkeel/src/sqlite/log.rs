//! The write-ahead log as a file.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Result, Seek, SeekFrom, Write};
use std::path::Path;

use super::disk;

/// How much of it is in memory at a time.
const PIECE_BYTES: usize = 1 << 20;

/// Writes a log over itself and syncs it, so that all of it reaches the disk whatever became of earlier syncs. Stopping
/// anywhere does no harm: each byte is what it was.
pub(crate) fn write_again(path: &Path) -> rusqlite::Result<()> {
    match disk::open_plain(path, OpenOptions::new().read(true).write(true)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        opened => opened.and_then(|file| rewrite(&file)).map_err(|error| failure(&error)),
    }
}

fn rewrite(mut file: &File) -> Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    let mut at = 0;
    loop {
        file.seek(SeekFrom::Start(at))?;
        let length = file.read(&mut piece)?;
        let Some(bytes) = piece.get(..length).filter(|bytes| !bytes.is_empty()) else { break };
        file.seek(SeekFrom::Start(at))?;
        file.write_all(bytes)?;
        at += length as u64;
    }
    file.sync_data()
}

/// The error of SQLite that says the same.
fn failure(error: &std::io::Error) -> rusqlite::Error {
    let code = match error.kind() {
        ErrorKind::StorageFull => rusqlite::ffi::SQLITE_FULL,
        _ => rusqlite::ffi::SQLITE_IOERR,
    };
    rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), Some(error.to_string()))
}
