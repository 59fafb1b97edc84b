//! Sleeps and files.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::thread::{self, sleep as nap};
use std::time::{Duration, SystemTime};

use evenkeel_guard::Class::{Contention, File, Sleep};

use crate::row::{Boxed, Row, Verdict, blocks, file, note, once_asleep, scratch, strict, thread_id};

const SHORT: Duration = Duration::from_millis(1);

pub(crate) fn rows() -> Vec<Row> {
    vec![
        strict(1, "thread::sleep(1 ms)", blocks(Sleep, "std::thread::sleep"), || {
            Box::pin(async { here!(thread::sleep(SHORT)) })
        }),
        strict(2, "thread::sleep(1 us)", blocks(Sleep, "std::thread::sleep"), || {
            Box::pin(async { here!(thread::sleep(Duration::from_micros(1))) })
        }),
        strict(3, "thread::sleep(0)", Verdict::Fine, || {
            Box::pin(async { here!(thread::sleep(Duration::ZERO)) })
        }),
        strict(4, "an alias of thread::sleep", blocks(Sleep, "std::thread::sleep"), || {
            Box::pin(async { here!(nap(SHORT)) })
        }),
        strict(5, "a sleep inside a macro", blocks(Sleep, "std::thread::sleep"), inside_a_macro),
        strict(6, "two helpers deep", blocks(Sleep, "std::thread::sleep"), || {
            Box::pin(async { helpers::outer() })
        }),
        strict(7, "fs::read, cached, 4 KB", blocks(File, "std::fs::read"), || reads(file(4096))),
        strict(8, "fs::read, cached, 8 MB", blocks(File, "std::fs::read"), || reads(file(8 << 20))),
        strict(9, "fs::read, not cached", blocks(File, "std::fs::read"), || reads(uncached())),
        strict(10, "File::open and BufReader::lines", blocks(File, "std::fs::File::open"), lines),
        strict(10, "BufReader::lines and next", blocks(File, "std::io::"), || {
            let mut lines = BufReader::new(fs::File::open(file(9)).unwrap()).lines();
            Box::pin(async move { assert!(here!(lines.next()).is_some()) })
        }),
        strict(11, "File::set_modified", blocks(File, "std::fs::File::set_modified"), || {
            let opened = fs::File::create(scratch("dated")).unwrap();
            Box::pin(async move { here!(opened.set_modified(SystemTime::UNIX_EPOCH)).unwrap() })
        }),
        strict(11, "File::set_permissions", blocks(File, "std::fs::File::set_permissions"), || {
            let opened = fs::File::create(scratch("owned")).unwrap();
            let rights = opened.metadata().unwrap().permissions();
            Box::pin(async move { here!(opened.set_permissions(rights)).unwrap() })
        }),
        strict(11, "fs::write and sync_all", blocks(File, "std::fs::write"), writes),
        strict(12, "fs::metadata", blocks(File, "std::fs::metadata"), || {
            let path = file(1);
            Box::pin(async move { drop(here!(fs::metadata(&path))) })
        }),
        strict(12, "Path::exists", blocks(File, "exists"), || {
            let path = file(1);
            Box::pin(async move { assert!(here!(path.exists())) })
        }),
        strict(13, "fs::read_dir", blocks(File, "std::fs"), directory),
        strict(14, "a Drop that deletes a file", blocks(File, "std::fs::remove_file"), || {
            let deletes = Deletes(file(1));
            Box::pin(async move { drop(deletes) })
        }),
        strict(15, "a trait object that reads a file", blocks(File, "std::fs::read"), || {
            let store: Box<dyn Store + Send> = Box::new(Disk(file(1)));
            Box::pin(async move { assert_eq!(store.load().len(), 1) })
        }),
        strict(16, "a generic reader of a file", blocks(File, "read_to_end"), || {
            let reader = fs::File::open(file(9)).unwrap();
            Box::pin(async move { assert_eq!(all_of(reader), 9) })
        }),
        strict(17, "the same reader of memory", Verdict::Fine, || {
            Box::pin(async move { assert_eq!(all_of(&b"some text"[..]), 9) })
        }),
        strict(18, "metadata within a map", blocks(File, "std::fs::metadata"), || {
            let paths = [file(1), file(1)];
            Box::pin(async move { assert_eq!(here!(paths.iter().map(fs::metadata).count()), 2) })
        }),
        strict(28, "rusqlite, a file", blocks(File, "rusqlite"), sqlite_file),
        strict(29, "rusqlite, in memory", Verdict::Gray, sqlite_memory),
        strict(
            58,
            "usleep inside a C library",
            Verdict::Blocks { class: Sleep, call: "rusqlite", beside: &[File, Contention] },
            sqlite_waits,
        ),
    ]
}

fn inside_a_macro() -> Boxed {
    macro_rules! pause {
        () => {{
            note(file!(), line!() - 5, line!());
            thread::sleep(SHORT);
            note(file!(), line!() - 7, line!() + 3);
        }};
    }
    Box::pin(async { pause!() })
}

mod helpers {
    pub(super) fn outer() {
        inner();
    }

    fn inner() {
        here!(std::thread::sleep(super::SHORT));
    }
}

fn reads(path: PathBuf) -> Boxed {
    Box::pin(async move { drop(here!(fs::read(&path)).unwrap()) })
}

/// A file whose pages the system was told to forget.
fn uncached() -> PathBuf {
    let path = file(1 << 20);
    let opened = fs::File::open(&path).unwrap();
    opened.sync_all().unwrap();
    rustix::fs::fadvise(&opened, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    path
}

fn lines() -> Boxed {
    let path = file(100);
    Box::pin(async move {
        let opened = here!(fs::File::open(&path)).unwrap();
        let count = here!(BufReader::new(opened).lines().count());
        assert_eq!(count, 1);
    })
}

fn writes() -> Boxed {
    let path = scratch("written");
    Box::pin(async move {
        here!(fs::write(&path, "text")).unwrap();
        let mut opened = here!(fs::File::create(&path)).unwrap();
        here!(opened.write_all(b"text")).unwrap();
        here!(opened.sync_all()).unwrap();
    })
}

fn directory() -> Boxed {
    let folder = file(1);
    Box::pin(async move {
        let parent = folder.parent().unwrap();
        let entries = here!(fs::read_dir(parent)).unwrap();
        assert!(here!(entries.count()) > 0);
    })
}

struct Deletes(PathBuf);

impl Drop for Deletes {
    fn drop(&mut self) {
        here!(fs::remove_file(&self.0)).unwrap();
    }
}

trait Store {
    fn load(&self) -> Vec<u8>;
}

struct Disk(PathBuf);

impl Store for Disk {
    fn load(&self) -> Vec<u8> {
        here!(fs::read(&self.0)).unwrap()
    }
}

fn all_of(mut reader: impl Read) -> usize {
    let mut bytes = Vec::new();
    here!(reader.read_to_end(&mut bytes)).unwrap()
}

fn connection(path: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(path).unwrap()
}

fn sqlite_file() -> Boxed {
    let connection = connection(&scratch("sqlite"));
    Box::pin(async move {
        here!(connection.execute_batch("CREATE TABLE cat (name TEXT); INSERT INTO cat VALUES ('Tom')"))
            .unwrap();
        here!(drop(connection));
    })
}

fn sqlite_memory() -> Boxed {
    Box::pin(async move {
        let connection = here!(rusqlite::Connection::open_in_memory()).unwrap();
        here!(connection.execute_batch("CREATE TABLE cat (name TEXT); INSERT INTO cat VALUES ('Tom')"))
            .unwrap();
    })
}

/// Another connection holds the lock until this thread has slept.
fn sqlite_waits() -> Boxed {
    let path = scratch("sqlite");
    let (holder, waiter) = (connection(&path), connection(&path));
    holder
        .execute_batch("CREATE TABLE cat (name TEXT); BEGIN IMMEDIATE; INSERT INTO cat VALUES ('Tom')")
        .unwrap();
    Box::pin(async move {
        waiter.busy_timeout(Duration::from_secs(3600)).unwrap();
        once_asleep(thread_id(), move || holder.execute_batch("COMMIT").unwrap());
        here!(waiter.execute_batch("INSERT INTO cat VALUES ('Tim')")).unwrap();
        here!(drop(waiter));
    })
}
