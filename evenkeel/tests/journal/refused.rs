//! Each bad file is one clear line with a hint, and is left as it was.

use std::fs;
use std::path::Path;
#[cfg(unix)]
use std::process::Command;

use evenkeel::config::Secret;
use evenkeel::journal::sqlite::{DeadLetterAdmin, JobAdmin, SqliteJournal, SqliteOptions};
use evenkeel::journal::{Answer, DeadFilter, DeadId, Entry, Journal, NewJob, OperatorEntry, Outcome, Reason};

use crate::made::{
    Folder, accept, ask, begin_at_once, beside, dead_letter, dead_letter_reply, key, listed, promise,
    replayed, write,
};

/// Opening fails with this line, as does looking, and nothing in the folder changes.
fn check(folder: &Folder, file: &Path, options: SqliteOptions, line: &str) {
    let before = content(folder);
    let names = || fs::read_dir(folder.path()).unwrap().count();
    let (operator, count, looked) =
        (options.clone(), names(), options.clone().look(file).expect_err("the file is refused"));
    assert_eq!(names(), count, "looking makes nothing");
    let error = options.open(file).expect_err("the file is refused");
    let text = error.to_string();
    assert!(text.contains(line), "{text}");
    assert!(!text.contains('\n') && error.hint().is_some(), "{text} ({:?})", error.hint());
    assert_eq!(content(folder), before, "it touched something");
    DeadLetterAdmin::open_with(file, operator).expect_err("the file is refused, or not there");
    assert_eq!(content(folder), before, "the operator touched something");
    assert_eq!((looked.to_string(), looked.hint()), (text, error.hint()));
}

#[cfg(target_os = "linux")]
#[test]
fn what_others_own_or_write_or_lead_elsewhere_is_refused() {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};
    for (ending, line) in
        [(".lock", "is a link"), ("-wal", "is a link"), ("-shm", "is a link"), ("-journal", "is a link")]
    {
        let folder = Folder::new("planted-link");
        let file = folder.file();
        drop(SqliteOptions::new().open(&file).unwrap());
        let beside = folder.path().join(format!("{}{ending}", file.file_name().unwrap().display()));
        let _ = fs::remove_file(&beside);
        symlink(folder.path().join("nowhere"), beside).unwrap();
        check(&folder, &file, SqliteOptions::new(), line);
    }
    for is_empty in [true, false] {
        let folder = Folder::new("planted-mode");
        let file = folder.file();
        if is_empty {
            drop(fs::File::create(&file).unwrap());
        } else {
            drop(SqliteOptions::new().open(&file).unwrap());
        }
        fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
        check(&folder, &file, SqliteOptions::new(), "can be written by everybody");
        // Only root may give a file away.
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        if chown(&file, Some(65_534), None).is_ok() {
            check(&folder, &file, SqliteOptions::new(), "belongs to another user (uid 65534");
        }
    }
}

/// Puts something in the place of a file.
#[cfg(unix)]
type Plant<'a> = &'a dyn Fn(&Path);

/// Also where the journal is not there yet: what is planted waits for the first start.
#[cfg(unix)]
#[test]
fn what_is_no_plain_file_beside_a_journal_is_named_and_nobody_waits_for_it() {
    use std::os::unix::net::UnixListener;
    let pipe = |at: &Path| assert!(Command::new("mkfifo").arg(at).status().unwrap().success());
    let directory = |at: &Path| fs::create_dir(at).unwrap();
    let socket = |at: &Path| drop(UnixListener::bind(at).unwrap());
    let plants: [(&str, Plant); 3] = [("pipe", &pipe), ("folder", &directory), ("socket", &socket)];
    for (what, plant) in plants {
        for ending in ["-wal", "-shm", "-journal", ".lock"] {
            for is_new in [true, false] {
                let folder = Folder::new(&format!("plain-{what}"));
                if !is_new {
                    drop(SqliteOptions::new().open(folder.file()).unwrap());
                }
                let beside = format!("{}{ending}", folder.file().display());
                let _missing = fs::remove_file(&beside);
                plant(Path::new(&beside));
                check(&folder, &folder.file(), SqliteOptions::new(), &format!("{beside} is no plain file"));
                let error = SqliteJournal::open(folder.file()).unwrap_err();
                let hint = format!("move it away, if no bot runs: `mv {beside} {beside}.moved`");
                assert_eq!(error.hint(), Some(&*hint), "{what} {ending}");
            }
        }
    }
}

#[test]
fn a_folder_in_the_place_of_the_draft_of_a_journal_is_named() {
    for ending in [".new", ".new-journal"] {
        let folder = Folder::new("draft");
        let draft = format!("{}{ending}", folder.file().display());
        fs::create_dir(&draft).unwrap();
        check(&folder, &folder.file(), SqliteOptions::new(), &format!("{draft} is no plain file"));
        fs::remove_dir(&draft).unwrap();
        drop(SqliteJournal::open(folder.file()).unwrap());
        fs::create_dir(&draft).unwrap();
        SqliteJournal::open(folder.file()).expect("a journal that is there needs no draft");
    }
}

fn content(folder: &Folder) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        // Of a pipe nothing is read: nobody writes to it.
        .map(|path| {
            let bytes = if path.is_file() { fs::read(&path).unwrap_or_default() } else { Vec::new() };
            (path.display().to_string(), bytes)
        })
        .collect();
    files.sort();
    files
}

/// Writes four bytes into the header of a file.
fn patch(file: &Path, at: usize, number: i32) {
    let mut bytes = fs::read(file).unwrap();
    bytes[at..at + 4].copy_from_slice(&number.to_be_bytes());
    fs::write(file, bytes).unwrap();
}

async fn made(folder: &Folder) {
    let mut journal = SqliteJournal::open(folder.file()).unwrap();
    journal.recover().await.unwrap();
    write(&mut journal, vec![accept("a")]).await;
    journal.close().await;
}

/// A journal with nothing beside it, as one that was copied from elsewhere.
async fn alone(folder: &Folder) {
    made(folder).await;
    fs::remove_file(format!("{}.lock", folder.file().display())).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_file_of_something_else_is_refused() {
    let folder = Folder::new("foreign");
    fs::write(folder.file(), "a diary\n".repeat(1000)).unwrap();
    check(&folder, &folder.file(), SqliteOptions::new(), "is not a journal");
    fs::write(folder.file(), "x").unwrap();
    check(&folder, &folder.file(), SqliteOptions::new(), "is not a journal");
}

#[tokio::test]
async fn a_database_of_another_program_is_refused() {
    let folder = Folder::new("program");
    alone(&folder).await;
    patch(&folder.file(), 68, 0);
    check(&folder, &folder.file(), SqliteOptions::new(), "is a database of another program");
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let folder = Folder::new("newer");
    alone(&folder).await;
    patch(&folder.file(), 60, 999);
    check(&folder, &folder.file(), SqliteOptions::new(), "newer version (schema 999");
}

/// What the file says of its partitions.
fn division(raw: &rusqlite::Connection) -> (i64, String) {
    let sql = "SELECT partitions, partition_hash FROM state";
    raw.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
}

#[tokio::test]
async fn a_file_that_is_divided_otherwise_is_refused() {
    let folder = Folder::new("divided");
    made(&folder).await;
    let raw = rusqlite::Connection::open(folder.file()).unwrap();
    assert_eq!(division(&raw), (1, "fnv1a-64".to_owned()));
    for (count, hash) in [(64, "fnv1a-64"), (1, "xxh3-64"), (0, "")] {
        raw.execute("UPDATE state SET partitions = ?1, partition_hash = ?2", (count, hash)).unwrap();
        let mut journal = SqliteJournal::open(folder.file()).unwrap();
        let error = journal.recover().await.unwrap_err();
        journal.close().await;
        let line = format!(
            "the journal {} is divided into {count} partitions by {hash}, and this version knows 1 by fnv1a-64",
            folder.file().display()
        );
        assert_eq!(error.to_string(), line);
        assert!(error.hint().is_some_and(|hint| hint.contains("run the version that has written it")));
        assert_eq!(SqliteOptions::new().look(folder.file()).unwrap_err().to_string(), line);
        let mut letters = DeadLetterAdmin::open(folder.file()).unwrap();
        while letters.is_in_use() {
            tokio::task::yield_now().await;
        }
        assert_eq!(letters.discard(&DeadFilter::default()).unwrap_err().to_string(), line);
        assert_eq!(division(&raw), (count, hash.to_owned()), "nothing was changed");
    }
    raw.execute_batch("UPDATE state SET partitions = 1, partition_hash = 'fnv1a-64'").unwrap();
    let mut journal = SqliteJournal::open(folder.file()).unwrap();
    assert_eq!(journal.recover().await.unwrap().events.len(), 1);
    journal.close().await;
}

#[test]
fn a_folder_that_cannot_be_written_is_refused() {
    let folder = Folder::new("folder");
    for file in ["/proc/evenkeel-no-such-folder/journal.db", "/proc/journal.db"] {
        check(&folder, Path::new(file), SqliteOptions::new(), "/proc");
    }
    fs::write(folder.path().join("diary"), "dear diary").unwrap();
    check(&folder, &folder.path().join("diary/journal.db"), SqliteOptions::new(), "cannot write the journal");
}

#[test]
fn a_folder_in_place_of_a_file_is_refused() {
    let folder = Folder::new("directory");
    fs::create_dir(folder.file()).unwrap();
    check(&folder, &folder.file(), SqliteOptions::new(), "is no file");
    let error = SqliteOptions::new().look(folder.file()).unwrap_err();
    assert_eq!(error.hint(), Some("name a file, there or not: a folder, a device and a pipe are none"));
}

#[tokio::test]
async fn a_second_process_is_refused() {
    let folder = Folder::new("second");
    let mut journal = SqliteJournal::open(folder.file()).unwrap();
    journal.recover().await.unwrap();
    let error = SqliteJournal::open(folder.file()).unwrap_err();
    assert!(error.to_string().contains("is in use by another process"), "{error}");
    assert!(error.hint().is_some());
    journal.close().await;
    SqliteJournal::open(folder.file()).unwrap();
}

#[tokio::test]
async fn what_an_interrupted_start_left_is_no_hindrance() {
    let folder = Folder::new("interrupted");
    for ending in [".new", ".new-journal", "-wal", "-shm", ""] {
        fs::write(
            format!("{}{ending}", folder.file().display()),
            if ending.is_empty() { "" } else { "half" },
        )
        .unwrap();
    }
    made(&folder).await;
    assert_eq!(SqliteJournal::open(folder.file()).unwrap().recover().await.unwrap().events.len(), 1);
}

#[tokio::test]
async fn a_damaged_file_is_refused() {
    let folder = Folder::new("damaged");
    alone(&folder).await;
    let good = fs::read(folder.file()).unwrap();
    // All but the header; the same with the tables there; and half of it.
    for (from, to) in [(100, good.len()), (4096, good.len())] {
        let mut bytes = good.clone();
        bytes[from..to].fill(0x5a);
        fs::write(folder.file(), bytes).unwrap();
        check(&folder, &folder.file(), SqliteOptions::new(), "is damaged");
    }
    fs::write(folder.file(), &good[..4096]).unwrap();
    check(&folder, &folder.file(), SqliteOptions::new(), "is damaged");
    // What was beside it before stays there.
    fs::write(format!("{}.lock", folder.file().display()), "").unwrap();
    check(&folder, &folder.file(), SqliteOptions::new(), "is damaged");
}

#[tokio::test]
async fn a_journal_that_was_refused_opens_once_it_is_mended() {
    let folder = Folder::new("mended");
    alone(&folder).await;
    let good = fs::read(folder.file()).unwrap();
    for _ in 0..2 {
        fs::write(folder.file(), &good[..4096]).unwrap();
        SqliteJournal::open(folder.file()).unwrap_err();
        fs::write(folder.file(), &good).unwrap();
        let journal = SqliteJournal::open(folder.file()).unwrap();
        let error = SqliteJournal::open(folder.file()).unwrap_err();
        assert!(error.to_string().contains("in use"), "the new lock holds: {error}");
        journal.close().await;
        fs::remove_file(format!("{}.lock", folder.file().display())).unwrap();
    }
}

#[tokio::test]
async fn a_key_does_not_fit_a_file_that_is_not_encrypted() {
    let folder = Folder::new("key");
    alone(&folder).await;
    let options = SqliteOptions::new().key(Secret::new("hunter2"));
    let line = if cfg!(feature = "sqlcipher") { "is not encrypted" } else { "cannot encrypt" };
    check(&folder, &folder.file(), options.clone(), line);
    assert!(!format!("{options:?}").contains("hunter2"));
}

#[cfg(feature = "sqlcipher")]
#[tokio::test]
async fn a_journal_opens_with_its_key_only() {
    for good in ["hunter2", &"0f".repeat(32)] {
        let folder = Folder::new("cipher");
        let open = |key: &str| SqliteOptions::new().key(Secret::new(key)).open(folder.file());
        let mut journal = open(good).unwrap();
        journal.recover().await.unwrap();
        write(&mut journal, vec![accept("a")]).await;
        journal.close().await;
        let bytes = fs::read(folder.file()).unwrap();
        assert!(!bytes.starts_with(b"SQLite") && !bytes.windows(5).any(|five| five == b"alice"));
        fs::remove_file(format!("{}.lock", folder.file().display())).unwrap();
        check(&folder, &folder.file(), SqliteOptions::new(), "or an encrypted one");
        let wrong = SqliteOptions::new().key(Secret::new("wrong"));
        check(&folder, &folder.file(), wrong, "the key does not open");
        let error = open("wrong").unwrap_err();
        assert!(error.to_string().contains("the key does not open"), "{error}");
        let look = |key: &str| SqliteOptions::new().key(Secret::new(key)).look(folder.file());
        assert_eq!(look("wrong").unwrap_err().to_string(), error.to_string());
        assert_eq!(look(good).unwrap().map(|summary| summary.events), Some(1));
        assert_eq!(open(good).unwrap().recover().await.unwrap().events.len(), 1);
    }
}

#[tokio::test]
async fn what_cannot_be_read_becomes_a_dead_letter() {
    let folder = Folder::new("unreadable");
    let mut journal = SqliteJournal::open(folder.file()).unwrap();
    journal.recover().await.unwrap();
    write(&mut journal, vec![accept("a"), accept("b"), promise(8, 0)]).await;
    journal.close().await;
    let raw = rusqlite::Connection::open(folder.file()).unwrap();
    raw.execute("UPDATE event SET content = x'ff00' WHERE sequence = 1", []).unwrap();
    raw.execute("UPDATE letter SET content = '{}'", []).unwrap();
    drop(raw);
    let mut journal = SqliteJournal::open(folder.file()).unwrap();
    let left = journal.recover().await.unwrap();
    assert_eq!((left.events.len(), left.replies.len()), (1, 0));
    let dead = listed(&mut journal, DeadFilter::default()).await;
    assert_eq!(dead.iter().map(|dead| dead.reason).collect::<Vec<_>>(), [Reason::Unreadable; 2]);
    let replay = Entry::Operator(OperatorEntry::Replay { filter: DeadFilter::default(), now_ms: 3000 });
    let again = replayed(ask(&mut journal, replay).await);
    assert!(again.events.is_empty() && again.replies.is_empty(), "what cannot be read stays where it is");
    let raw = rusqlite::Connection::open(folder.file()).unwrap();
    let kept: Vec<u8> = raw
        .query_row("SELECT CAST(content AS BLOB) FROM event WHERE state = 3", [], |row| row.get(0))
        .unwrap();
    assert_eq!(kept, [0xff, 0]);
}

#[tokio::test]
async fn a_command_that_no_bot_executes_says_so_and_is_done_at_the_next_start() {
    let folder = Folder::new("waiting");
    let mut journal = SqliteJournal::open(folder.file()).unwrap();
    journal.recover().await.unwrap();
    write(&mut journal, vec![accept("a")]).await;
    write(&mut journal, vec![dead_letter(1, Reason::Failed)]).await;
    let mut operator = DeadLetterAdmin::open(folder.file()).unwrap();
    let outcome = operator.replay(&DeadFilter::default(), 4000).unwrap();
    assert!(outcome.is_waiting && outcome.events == 0);
    drop(journal);
    let mut journal = SqliteJournal::open(folder.file()).unwrap();
    assert!(journal.recover().await.unwrap().events.is_empty());
    let told = replayed(ask(&mut journal, Entry::Operator(OperatorEntry::Adopt)).await);
    assert_eq!(told.events.iter().map(|event| event.sequence).collect::<Vec<_>>(), [2]);
}

#[tokio::test]
async fn without_a_bot_the_operator_owns_the_journal_for_a_moment() {
    let folder = Folder::new("owned");
    let mut journal = SqliteJournal::open(folder.file()).unwrap();
    journal.recover().await.unwrap();
    write(&mut journal, vec![begin_at_once("a"), accept("b"), promise(9, 1)]).await;
    write(&mut journal, vec![dead_letter(2, Reason::Failed), dead_letter_reply(key(9, 1), Reason::Refused)])
        .await;
    journal.close().await;
    let mut operator = DeadLetterAdmin::open(folder.file()).unwrap();
    while operator.is_in_use() {
        tokio::task::yield_now().await;
    }
    let outcome = operator.replay(&DeadFilter::default(), 4000).unwrap();
    assert_eq!((outcome.events, outcome.replies, outcome.is_waiting), (1, 1, false));
    assert!(!operator.is_in_use(), "it was only for a moment");
    drop(operator);
    let mut journal = SqliteJournal::open(folder.file()).unwrap();
    let left = journal.recover().await.unwrap();
    let events: Vec<_> = left.events.iter().map(|event| (event.sequence, event.crashes)).collect();
    assert_eq!(events, [(1, 1), (10, 0)], "what was running is a crash of the bot's, counted once");
    assert_eq!(left.replies[0].outbound.key, key(11, 0));
}

#[tokio::test]
async fn the_operator_replays_beside_a_running_bot() {
    let folder = Folder::new("operator");
    let mut journal = SqliteJournal::open(folder.file()).unwrap();
    journal.recover().await.unwrap();
    write(&mut journal, vec![accept("a"), accept("b"), accept("c"), promise(9, 1)]).await;
    let dead = vec![
        dead_letter(1, Reason::Failed),
        dead_letter(2, Reason::Parked),
        dead_letter(3, Reason::Parked),
        dead_letter_reply(key(9, 1), Reason::Refused),
    ];
    write(&mut journal, dead).await;
    let mut operator = DeadLetterAdmin::open(folder.file()).unwrap();
    assert_eq!(operator.list(&DeadFilter::default()).unwrap().len(), 4);
    let only = |id| DeadFilter { id: Some(id), ..DeadFilter::default() };
    let filters = [only(DeadId::Event(3))];
    let (told, outcomes) = beside(&mut journal, move || {
        let mut outcomes = Vec::new();
        operator.discard_each(&filters, |_, outcome| outcomes.push(outcome)).unwrap();
        outcomes.push(operator.replay(&DeadFilter::default(), 4000).unwrap());
        outcomes
    })
    .await;
    let done = |outcome: &Outcome| (outcome.events, outcome.replies, outcome.discarded, outcome.is_waiting);
    assert_eq!(outcomes.iter().map(done).collect::<Vec<_>>(), [(0, 0, 1, false), (2, 1, 0, false)]);
    assert_eq!(told.events.iter().map(|event| event.sequence).collect::<Vec<_>>(), [10]);
    assert_eq!(told.replies.iter().map(|letter| letter.outbound.key).collect::<Vec<_>>(), [key(11, 0)]);
    assert_eq!((told.unparked, told.discarded), (vec![2], vec![3]));
    let told = replayed(ask(&mut journal, Entry::Operator(OperatorEntry::Adopt)).await);
    assert!(told.events.is_empty() && told.unparked.is_empty(), "it is told once");
    assert_eq!(crate::made::number(&ask(&mut journal, accept("d")).await), 12, "its numbers are taken");
}

#[tokio::test]
async fn a_job_that_an_operator_cancels_is_not_fired() {
    let folder = Folder::new("cancelled");
    let mut journal = SqliteJournal::open(folder.file()).unwrap();
    journal.recover().await.unwrap();
    let job = |name: &str, conversation: &str, due_ms| {
        let (name, conversation) = (name.to_owned(), conversation.to_owned());
        Entry::Schedule(NewJob { name, conversation, due_ms, body: "{}".into(), keeps_due: false })
    };
    write(&mut journal, vec![job("late", "alice", 3000), job("early", "bob", 1000), job("next", "", 2000)])
        .await;
    let mut operator = JobAdmin::open(folder.file()).unwrap();
    assert!(operator.is_in_use());
    let names = |conversation, after, limit| {
        let jobs = operator.list(conversation, after, limit).unwrap();
        jobs.into_iter().map(|job| job.name).collect::<Vec<_>>()
    };
    assert_eq!(names(None, None, 2), ["early", "next"]);
    assert_eq!(names(None, Some((2000, 3)), 2), ["late"]);
    assert_eq!(names(Some("bob"), None, 2), ["early"]);
    let (_, (operator, cancelled)) = beside(&mut journal, move || {
        let cancelled = [0; 2].map(|_| operator.cancel("early").unwrap().cancelled);
        (operator, cancelled)
    })
    .await;
    assert_eq!(cancelled, [true, false]);
    let fire = Entry::Fire { job: 2, due_ms: 1000, event: None, begins: false, next_ms: None, now_ms: 1000 };
    assert!(matches!(ask(&mut journal, fire).await, Answer::Count(0)));
    drop(journal);
    // A child of another test that is not yet another program holds a copy of the lock.
    while operator.is_in_use() {
        tokio::task::yield_now().await;
    }
    assert_eq!(operator.list(None, None, 9).unwrap().len(), 2);
}

#[test]
fn an_operator_without_a_journal_is_told_so() {
    let folder = Folder::new("none");
    for error in [
        DeadLetterAdmin::open(folder.file()).map(drop).unwrap_err(),
        JobAdmin::open_with(folder.file(), SqliteOptions::new()).map(drop).unwrap_err(),
    ] {
        assert!(error.to_string().contains("there is no journal"), "{error}");
    }
    assert!(!folder.file().exists());
}

#[cfg(unix)]
#[test]
fn what_is_no_file_is_refused() {
    let folder = Folder::new("no-file");
    let null = Path::new("/dev/null");
    check(&folder, null, SqliteOptions::new(), "is no file");
    check(&folder, folder.path(), SqliteOptions::new(), "is no file");
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let error = SqliteJournal::open(&pipe).expect_err("nobody writes to it");
    assert!(error.to_string().contains("is no file"), "{error}");
    fs::remove_file(&pipe).unwrap();
    let link = folder.path().join("link.db");
    std::os::unix::fs::symlink(folder.path().join("gone.db"), &link).unwrap();
    check(&folder, &link, SqliteOptions::new(), "leads to no file");
    assert!(link.is_symlink(), "it stays a link");
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_is_followed_and_the_lock_is_that_of_the_file() {
    let folder = Folder::new("link");
    made(&folder).await;
    let (elsewhere, link) = (Folder::new("link-elsewhere"), "link.db");
    let link = elsewhere.path().join(link);
    std::os::unix::fs::symlink(folder.file(), &link).unwrap();
    let mut journal = SqliteJournal::open(&link).unwrap();
    assert_eq!(journal.recover().await.unwrap().events.len(), 1);
    let error = SqliteJournal::open(folder.file()).expect_err("it is open");
    assert!(error.to_string().contains("in use"), "{error}");
    write(&mut journal, vec![accept("b")]).await;
    journal.close().await;
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 1, "nothing lies beside the link");
    let mut journal = SqliteJournal::open(folder.file()).unwrap();
    assert_eq!(journal.recover().await.unwrap().events.len(), 2);
    journal.close().await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_with_a_second_name_is_refused_by_either() {
    let folder = Folder::new("names");
    made(&folder).await;
    let journal = SqliteJournal::open(folder.file()).unwrap();
    let other = Folder::new("names-other");
    fs::hard_link(folder.file(), other.file()).unwrap();
    check(&other, &other.file(), SqliteOptions::new(), "has 2 names (hard links)");
    assert_eq!(fs::read_dir(other.path()).unwrap().count(), 1, "nothing lies beside the other name");
    journal.close().await;
    check(&folder, &folder.file(), SqliteOptions::new(), "has 2 names (hard links)");
    for error in [
        DeadLetterAdmin::open(folder.file()).map(drop).unwrap_err(),
        JobAdmin::open(other.file()).map(drop).unwrap_err(),
    ] {
        assert!(error.to_string().contains("has 2 names"), "{error}");
    }
    fs::remove_file(other.file()).unwrap();
    assert_eq!(SqliteJournal::open(folder.file()).unwrap().recover().await.unwrap().events.len(), 1);
}

#[tokio::test]
async fn a_lock_of_another_program_is_waited_for() {
    let folder = Folder::new("taken");
    made(&folder).await;
    let mut journal = SqliteJournal::open(folder.file()).unwrap();
    journal.recover().await.unwrap();
    let other = rusqlite::Connection::open(folder.file()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let health = journal.health();
    let writing = tokio::task::spawn_blocking(move || {
        let writing = journal.write(vec![accept("b")]);
        (journal, writing)
    });
    while !health.stats().is_failing {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    other.execute_batch("ROLLBACK").unwrap();
    let (journal, writing) = writing.await.unwrap();
    assert_eq!(writing.await.unwrap().0.len(), 1);
    journal.close().await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_that_is_taken_away_is_noticed() {
    let folder = Folder::new("removed");
    let mut journal = SqliteJournal::open(folder.file()).unwrap();
    journal.recover().await.unwrap();
    let health = journal.health();
    write(&mut journal, vec![accept("a")]).await;
    assert!(!health.stats().is_removed);
    fs::rename(folder.file(), folder.path().join("elsewhere.db")).unwrap();
    for number in 0..1_000 {
        if health.stats().is_removed {
            return journal.close().await;
        }
        write(&mut journal, vec![accept(&format!("b{number}"))]).await;
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("nobody noticed");
}
