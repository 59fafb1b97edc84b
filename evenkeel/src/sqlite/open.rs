//! Opening a file: everything that can be wrong with it is found here, before anything is touched.

use std::borrow::Borrow;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::disk::{self, Distrust};
use super::lock::beside;
use super::log;
use crate::config::Secret;
use crate::error::{Error, Result};

/// The first bytes of every file of SQLite that is not encrypted.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// The endings of the names of what SQLite and the lock keep: the journal itself, and what lies beside it.
const FILES: [&str; 5] = ["", "-wal", "-shm", "-journal", ".lock"];

/// Those of a journal that is being made, and of what SQLite keeps beside that.
const DRAFTS: [&str; 2] = [".new", ".new-journal"];

/// The oldest SQLite that may be linked: before it, two connections could corrupt a file by resetting the write-ahead log.
const OLDEST_SQLITE: i32 = 3_051_003;

/// What a file holds.
#[derive(Clone, Copy)]
pub(crate) struct Layout {
    /// Marks a file as ours.
    pub(crate) application: i32,
    /// The schema that this version writes; a newer one is refused.
    pub(crate) version: i32,
    /// Fills an empty file at this time, in milliseconds since 1970, once page layout and journal mode are chosen.
    pub(crate) create: fn(&mut Connection, i64) -> rusqlite::Result<()>,
    /// Makes a file of an earlier schema one of this.
    pub(crate) migrate: fn(&mut Connection) -> rusqlite::Result<()>,
}

/// A file, and how to open it.
#[derive(Clone)]
pub(crate) struct Location {
    pub(crate) path: PathBuf,
    pub(crate) key: Option<Secret>,
    layout: Layout,
}

/// What a look at the first bytes says.
enum Found {
    Nothing,
    Plain,
    /// Encrypted, or something else altogether.
    Other,
}

impl Location {
    /// A link is followed here, so that what lies beside the file lies beside the file itself.
    pub(crate) fn new(path: PathBuf, key: Option<Secret>, layout: Layout) -> Self {
        let path = if path.is_symlink() { fs::canonicalize(&path).unwrap_or(path) } else { path };
        // What begins like an address is a path all the same.
        let is_like_address = path.as_os_str().as_encoded_bytes().starts_with(b"file:");
        let path = if is_like_address { Path::new(".").join(path) } else { path };
        Self { path, key, layout }
    }

    /// Finds what is wrong without touching anything.
    pub(crate) fn check(&self) -> Result<()> {
        let shown = self.path.display();
        if rusqlite::version_number() < OLDEST_SQLITE {
            let version = rusqlite::version();
            return Err(Error::config(format!("SQLite {version} can damage a journal"))
                .with_hint("link SQLite 3.51.3 or newer, or use the one that is bundled"));
        }
        if self.key.is_some() && !cfg!(feature = "sqlcipher") {
            return Err(Error::config("a key for the journal is set, but this program cannot encrypt")
                .with_hint("build with the feature `sqlcipher`, the bot as well as the command `evenkeel`, or take the key away"));
        }
        disk::check(&self.path)?;
        match (self.look()?, &self.key) {
            (Found::Nothing, _) | (Found::Plain, None) => Ok(()),
            (Found::Plain, Some(_)) => {
                Err(Error::config(format!("the journal {shown} is not encrypted, but a key is set"))
                    .with_hint("take the key away, or name another file"))
            }
            // Whether it is ours shows when the key is tried.
            (Found::Other, Some(_)) => Ok(()),
            (Found::Other, None) => {
                Err(Error::config(format!("{shown} is not a journal, or an encrypted one"))
                    .with_hint("name another file, or set the key of this one"))
            }
        }
    }

    /// Makes the folder, if it is not there.
    pub(crate) fn make_folder(&self) -> Result<()> {
        fs::create_dir_all(self.folder()).map_err(|error| self.no_folder(&error))
    }

    pub(crate) fn no_folder(&self, error: &std::io::Error) -> Error {
        Error::config(format!("cannot make the folder {}: {error}", self.folder().display()))
            .with_hint(disk::advice(error))
    }

    pub(crate) fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        }
    }

    fn look(&self) -> Result<Found> {
        let shown = self.path.display();
        if self.path.is_symlink() {
            return Err(Error::config(format!("the link {shown} leads to no file"))
                .with_hint("make what it leads to, an empty file, or name the file itself"));
        }
        // Before it is opened: that of a pipe would wait for somebody to write.
        if fs::metadata(&self.path).is_ok_and(|data| !data.is_file()) {
            return Err(Error::config(format!("{shown} is no file, in which a journal could be kept"))
                .with_hint("name a file, there or not: a folder, a device and a pipe are none"));
        }
        self.check_names()?;
        self.check_owner()?;
        let mut head = Vec::new();
        match disk::open_plain(&self.path, OpenOptions::new().read(true)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::Nothing),
            opened => opened
                .and_then(|file| file.take(100).read_to_end(&mut head))
                .map_err(|error| self.unusable(&error))?,
        };
        disk::open_plain(&self.path, OpenOptions::new().write(true))
            .map_err(|error| self.unusable(&error))?;
        if head.is_empty() {
            return Ok(Found::Nothing);
        }
        if head.get(..16) != Some(MAGIC) {
            return Ok(Found::Other);
        }
        let number = |at: usize| {
            head.get(at..at + 4).and_then(|four| four.try_into().ok()).map_or(0, i32::from_be_bytes)
        };
        self.judge(number(68), number(60))?;
        Ok(Found::Plain)
    }

    /// Through another name, the lock and the log would lie elsewhere: a second bot would not be kept out, a start would not
    /// find what is in the log, and both damage the file (<https://sqlite.org/howtocorrupt.html>, 2.5).
    fn check_names(&self) -> Result<()> {
        let shown = self.path.display();
        let names = disk::count_names(&self.path);
        if names > 1 {
            return Err(Error::config(format!("the journal {shown} has {names} names (hard links)")).with_hint(
                format!("remove the other name, which `find / -xdev -samefile {shown}` finds; to have a copy, use `cp` in place of `ln`"),
            ));
        }
        if disk::is_mount(&self.path) {
            return Err(Error::config(format!("the journal {shown} is mounted alone, without its folder"))
                .with_hint("mount the folder that it is in: what belongs to it lies beside it"));
        }
        Ok(())
    }

    /// What others own, write or lead elsewhere is no record of this bot, and what is no file keeps none.
    fn check_owner(&self) -> Result<()> {
        let files = FILES.iter().filter_map(|ending| {
            let file = beside(&self.path, ending);
            disk::distrust(&file).map(|problem| (file, problem))
        });
        // What is left of a draft is taken away, unless it is a folder.
        let is_folder = |path: &PathBuf| fs::symlink_metadata(path).is_ok_and(|data| data.is_dir());
        let drafts = DRAFTS.iter().filter(|_| self.is_unmade()).map(|ending| beside(&self.path, ending));
        let drafts = drafts.filter(is_folder).map(|draft| (draft, Distrust::NoFile));
        let Some((file, problem)) = files.chain(drafts).next() else { return Ok(()) };
        let (shown, advice) = (file.display(), problem.advice(&file));
        Err(Error::config(format!("{shown} {problem}")).with_hint(advice))
    }

    /// Whether the numbers in a file's header are ours (<https://sqlite.org/fileformat2.html#the_database_header>).
    fn judge(&self, application: i32, version: i32) -> Result<()> {
        let shown = self.path.display();
        if application != self.layout.application {
            return Err(Error::config(format!("{shown} is a database of another program"))
                .with_hint("name another file for the journal; this one was not touched"));
        }
        let known = self.layout.version;
        if version > known {
            return Err(Error::config(format!(
                "the journal {shown} was written by a newer version (schema {version}, this one knows {known})"
            ))
            .with_hint("run the newer version; this file was not touched"));
        }
        Ok(())
    }

    pub(crate) fn unusable(&self, error: &std::io::Error) -> Error {
        Error::config(format!("cannot write the journal {}: {error}", self.path.display()))
            .with_hint(disk::advice(error))
    }

    fn unmade(&self, error: &std::io::Error) -> Error {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => self.full(),
            _ => self.unusable(error),
        }
    }

    pub(crate) fn full(&self) -> Error {
        Error::config(format!("the disk of the journal {} is full", self.path.display()))
            .with_hint("make room on it, then start again")
    }

    /// Opens the file, makes it if it is not there, and looks at it again from inside.
    pub(crate) fn open<T: Borrow<Connection>>(
        &self,
        finish: impl FnOnce(Connection) -> rusqlite::Result<T>,
    ) -> Result<T> {
        if self.is_unmade() {
            self.create()?;
        }
        self.open_there(|mut connection| {
            self.write_log_again(&connection)?;
            (self.layout.migrate)(&mut connection)?;
            let opened = finish(connection)?;
            keep_log(opened.borrow(), true)?;
            Ok(opened)
        })
    }

    fn is_unmade(&self) -> bool {
        fs::metadata(&self.path).map_or(true, |data| data.len() == 0)
    }

    /// Opens a file that is there, beside the bot that has it open. One that is damaged shows it by this question.
    pub(crate) fn open_beside(&self, question: &str) -> Result<Connection> {
        self.open_there(|connection| {
            connection.query_row(question, [], |_| Ok(()))?;
            keep_log(&connection, true)?;
            Ok(connection)
        })
    }

    fn open_there<T>(&self, finish: impl FnOnce(Connection) -> rusqlite::Result<T>) -> Result<T> {
        let has_log = beside(&self.path, "-wal").exists();
        let connection = self.connect(&self.path).map_err(|error| self.explain(&error))?;
        // Beside a file that is refused, no empty log stays: SQLite takes it away, unless another process has it open.
        keep_log(&connection, has_log).map_err(|error| self.explain(&error))?;
        self.check_inside(&connection)?;
        let opened = Self::tune(&connection).and_then(|()| finish(connection));
        opened.map_err(|error| self.explain(&error))
    }

    /// Opens the file after a failure, and trusts nothing that a failed sync may have left behind: the log is written and
    /// read anew, and moved into the file.
    pub(crate) fn reopen<T: Borrow<Connection>>(
        &self,
        finish: impl FnOnce(Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        let connection = self.connect(&self.path)?;
        Self::tune(&connection)?;
        self.write_log_again(&connection)?;
        let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if verdict != "ok" {
            let damage = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
            return Err(rusqlite::Error::SqliteFailure(damage, Some("the file is damaged".to_owned())));
        }
        let opened = finish(connection)?;
        if !checkpoint(opened.borrow(), "TRUNCATE")? {
            let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
            return Err(rusqlite::Error::SqliteFailure(
                busy,
                Some("another process reads the file".to_owned()),
            ));
        }
        Ok(opened)
    }

    /// Writes the log over itself, and syncs it.
    ///
    /// After a sync that failed, be it in an earlier process, the system may take pages for written that never reached the
    /// disk; a later sync does not write them, and succeeds. What is appended to such a log is lost in a power cut, and so
    /// is what was moved into the file: the beginning of the log, which did reach the disk, would cover it.
    fn write_log_again(&self, connection: &Connection) -> rusqlite::Result<()> {
        // Meanwhile no other process appends to it.
        connection.execute_batch("BEGIN IMMEDIATE")?;
        let written = log::write_again(&beside(&self.path, "-wal"));
        connection.execute_batch("ROLLBACK")?;
        written
    }

    fn connect(&self, path: &Path) -> rusqlite::Result<Connection> {
        self.connect_as(path, OpenFlags::SQLITE_OPEN_READ_WRITE)
    }

    pub(crate) fn connect_as(&self, path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
        let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        if let Some(key) = &self.key {
            // Sixty-four digits are the key itself; anything else is a passphrase, from which one is derived.
            let secret = key.expose().trim();
            let is_raw = secret.len() == 64 && secret.bytes().all(|byte| byte.is_ascii_hexdigit());
            let secret = if is_raw { format!("x'{secret}'") } else { secret.to_owned() };
            // SQLCipher would print a line of its own for each page that the key does not fit.
            connection.pragma_update_and_check(None, "cipher_log_level", "NONE", |_| Ok(()))?;
            connection.pragma_update(None, "key", secret)?;
        }
        connection.busy_timeout(Duration::from_secs(5))?;
        // Closing must not move the log into the file: after a failed sync, nothing of this connection is trusted.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        Ok(connection)
    }

    /// Makes the file under another name, so that it is never seen half made.
    fn create(&self) -> Result<()> {
        let draft = beside(&self.path, ".new");
        let clear = || {
            let _ = (fs::remove_file(&draft), fs::remove_file(beside(&draft, "-journal")));
        };
        clear();
        // SQLite would make it readable for everybody. What it makes beside a file has the mode of the file.
        disk::make(&draft, &self.path).map_err(|error| self.unmade(&error))?;
        if let Err(error) = self.fill(&draft) {
            clear();
            return Err(self.explain(&error));
        }
        // The log of a file that is gone belongs to nothing, and must not be taken for the log of this one.
        for ending in ["-wal", "-shm"] {
            let _ = fs::remove_file(beside(&self.path, ending));
        }
        fs::rename(&draft, &self.path).map_err(|error| self.unusable(&error))?;
        // The name lies in the folder, which has to reach the disk as well.
        let _ = File::open(self.folder()).and_then(|folder| folder.sync_all());
        Ok(())
    }

    fn fill(&self, draft: &Path) -> rusqlite::Result<()> {
        let born = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let mut connection = self.connect(draft)?;
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        (self.layout.create)(&mut connection, i64::try_from(born.as_millis()).unwrap_or(0))
    }

    pub(crate) fn check_inside(&self, connection: &Connection) -> Result<()> {
        let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
        let application = number("application_id").map_err(|error| self.explain(&error))?;
        let version = number("user_version").map_err(|error| self.explain(&error))?;
        self.judge(application, version)
    }

    fn tune(connection: &Connection) -> rusqlite::Result<()> {
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        connection.pragma_update(None, "cache_size", -16_000)?;
        connection.pragma_update_and_check(None, "mmap_size", 0, |_| Ok(())).or_else(none)?;
        connection.pragma_update_and_check(None, "wal_autocheckpoint", 0, |_| Ok(()))
    }

    /// One line for an error of SQLite.
    pub(crate) fn explain(&self, error: &rusqlite::Error) -> Error {
        self.explain_on(error, || disk::is_full(&self.path))
    }

    fn explain_on(&self, error: &rusqlite::Error, is_full: impl Fn() -> bool) -> Error {
        let shown = self.path.display();
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) if self.key.is_some() => {
                Error::config(format!("the key does not open {shown}, or it is not a journal"))
                    .with_hint("set the key with which the journal was made, or name another file")
            }
            Some(ErrorCode::NotADatabase) => Error::config(format!("{shown} is not a journal"))
                .with_hint("name another file for the journal"),
            Some(ErrorCode::DiskFull) => self.full(),
            // The index of the log, and a file that cannot be made, fail so where there is no room.
            Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) if is_full() => self.full(),
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
                Error::config(format!("cannot write the journal {shown}"))
                    .with_hint("mend the permissions of the file and its folder, or name another file")
            }
            Some(ErrorCode::DatabaseCorrupt) => Error::config(format!("the journal {shown} is damaged"))
                .with_hint(
                    "set it aside and start with a new one; `sqlite3 <file> .recover` reads what is left",
                ),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                Error::config(format!("another program writes to the journal {shown}, or reads it for long"))
                    .with_hint("let it end, perhaps an open `sqlite3`, then start again")
            }
            _ => Error::new(format!("the journal {shown} cannot be used: {error}"))
                .with_hint("look at the disk and its messages in the system's log"),
        }
    }
}

/// Moves the write-ahead log into the file; whether all of it is there.
pub(crate) fn checkpoint(connection: &Connection, how: &str) -> rusqlite::Result<bool> {
    let sql = format!("PRAGMA wal_checkpoint({how})");
    connection.query_row(&sql, [], |row| {
        let (is_busy, frames, moved): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(is_busy == 0 && frames == moved)
    })
}

/// Whether the log stays when the connection is closed.
pub(crate) fn keep_log(connection: &Connection, is_kept: bool) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, is_kept).map(drop)
}

/// Takes a pragma that answers nothing for one that succeeded.
fn none(error: rusqlite::Error) -> rusqlite::Result<()> {
    if matches!(error, rusqlite::Error::QueryReturnedNoRows) { Ok(()) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    const NOTHING: Layout = Layout { application: 0, version: 0, create: |_, _| Ok(()), migrate: |_| Ok(()) };

    #[test]
    fn a_path_that_begins_like_an_address_is_a_path() {
        let place = Location::new("file:ro.db?mode=ro".into(), None, NOTHING);
        assert_eq!(place.path, Path::new("./file:ro.db?mode=ro"));
        assert_eq!(Location::new("evenkeel.db".into(), None, NOTHING).path, Path::new("evenkeel.db"));
    }

    #[test]
    fn an_error_of_input_or_output_on_a_full_disk_is_told_as_a_full_disk() {
        let place = Location::new("bot/evenkeel.db".into(), None, NOTHING);
        let told = |code, is_full: bool| {
            let error = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            place.explain_on(&error, || is_full).to_string()
        };
        let full = "the disk of the journal bot/evenkeel.db is full";
        for code in [ffi::SQLITE_IOERR_SHMSIZE, ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_CANTOPEN] {
            assert_eq!(told(code, true), full);
            assert_ne!(told(code, false), full);
        }
        assert_eq!(told(ffi::SQLITE_FULL, false), full);
        assert_eq!(told(ffi::SQLITE_CORRUPT, true), "the journal bot/evenkeel.db is damaged");
    }
}
