//! A file of the version before: beside a bot of that version, and on a disk that is full while it is taken over.

use std::fs;
use std::path::Path;

use evenkeel::Result;
use evenkeel::journal::DeadFilter;
use evenkeel::journal::sqlite::{DeadLetterAdmin, JobAdmin};
use rusqlite::Connection;
use rusqlite::types::Value;

use crate::made::Folder;
use crate::released::{check, fixture, schema};

/// The schema of the version before.
const FORMER: i32 = 1;

/// All that is in a file, and what it was made by.
fn dump(file: &Path) -> (i32, Vec<String>, Vec<Vec<Value>>) {
    let (version, tables) = schema(file);
    let raw = Connection::open(file).unwrap();
    let names = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name";
    let mut names = raw.prepare(names).unwrap();
    let names = names.query_map([], |row| row.get::<_, String>(0)).unwrap().map(Result::unwrap);
    let rows = names.flat_map(|name| {
        let mut rows = raw.prepare(&format!("SELECT * FROM {name}")).unwrap();
        let columns = rows.column_count();
        let rows = rows.query_map([], |row| (0..columns).map(|at| row.get(at)).collect()).unwrap();
        rows.map(Result::unwrap).collect::<Vec<_>>()
    });
    (version, tables, rows.collect())
}

#[track_caller]
fn is_refused<T: std::fmt::Debug>(outcome: Result<T>) {
    let error = outcome.unwrap_err();
    assert_eq!(error.to_string(), "the bot that has the journal open is of an earlier version");
    assert_eq!(error.hint(), Some("restart the bot with the version of this command, then try again"));
}

#[tokio::test]
async fn beside_a_bot_of_the_version_before_the_operator_looks_and_changes_nothing() {
    let folder = Folder::new("former");
    let file = folder.file();
    fs::copy(fixture(FORMER), &file).unwrap();
    let before = dump(&file);
    // What that bot has of the file: its lock, and a connection that writes.
    let lock = fs::File::create(format!("{}.lock", file.display())).unwrap();
    lock.try_lock().unwrap();
    let bot = Connection::open(&file).unwrap();
    bot.execute_batch("BEGIN IMMEDIATE; UPDATE state SET batch = batch; COMMIT").unwrap();

    let mut letters = DeadLetterAdmin::open(&file).unwrap();
    let mut jobs = JobAdmin::open(&file).unwrap();
    assert!(letters.is_in_use());
    assert_eq!(letters.list(&DeadFilter::default()).unwrap().len(), 3);
    assert_eq!(letters.count(&DeadFilter::default()).unwrap(), 3);
    assert_eq!(jobs.list(None, None, 9).unwrap().len(), 2);
    is_refused(letters.replay(&DeadFilter::default(), 4000));
    is_refused(letters.discard(&DeadFilter::default()));
    is_refused(letters.discard_each(&[DeadFilter::default()], |_, outcome| panic!("{outcome:?}")));
    is_refused(jobs.cancel("tea"));
    assert_eq!(dump(&file), before);

    drop((bot, lock));
    // A child of another test that is not yet another program holds a copy of the lock.
    while jobs.is_in_use() {
        tokio::task::yield_now().await;
    }
    assert!(jobs.cancel("tea").unwrap().cancelled, "without that bot, the file is taken over");
    assert_eq!(schema(&file).0, FORMER + 1);
    assert_eq!(letters.list(&DeadFilter::default()).unwrap().len(), 3);
}

/// The file with its log, apart: who reads them changes them.
#[cfg(target_os = "linux")]
fn copy(disk: &crate::disk::Disk) -> std::path::PathBuf {
    let to = disk.synced().join("copy.db");
    for ending in ["", "-wal", "-shm"] {
        let name = |file: &Path| format!("{}{ending}", file.display());
        let _old = fs::remove_file(name(&to));
        if Path::new(&name(&disk.file())).exists() {
            fs::copy(name(&disk.file()), name(&to)).unwrap();
        }
    }
    to
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_disk_that_is_full_in_the_middle_of_it_leaves_the_old_file_whole() {
    use crate::disk::{Disk, MESSAGES, Said};
    let (disk, old) = (Disk::new("takeover"), fs::read(fixture(FORMER)).unwrap());
    disk.holds(&old);
    let before = dump(&disk.file());
    let mut refused = 0;
    for room in (0..).step_by(2_000) {
        disk.holds(&old);
        let settings = [(MESSAGES, 0), ("SHIM_ROOM", room), ("SHIM_FULL", 3)];
        let output = disk.run(&settings.map(|(name, number)| (name, number.to_string())));
        let said = Said::new(&output);
        assert!(disk.has_failed() || !said.is_refused(), "{said:?}");
        if !said.is_refused() {
            break;
        }
        let line = said.other.first().unwrap();
        assert!(line.starts_with("refused the disk of the journal") && line.ends_with("is full"), "{said:?}");
        assert_eq!(dump(&copy(&disk)), before, "with room for {room} bytes");
        check(disk.file()).await;
        assert_eq!(schema(&disk.file()).0, FORMER + 1);
        refused += 1;
    }
    assert!(refused > 10, "the disk was full in the middle: {refused} times");
}
