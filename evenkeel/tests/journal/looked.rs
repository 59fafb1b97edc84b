//! A look at a journal says what is there, and leaves it as it is.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use evenkeel::journal::sqlite::{SqliteJournal, SqliteOptions, Summary};
use evenkeel::journal::{Entry, Journal, NewJob, Reason};

use crate::made::{Folder, accept, dead_letter, dead_letter_reply, key, promise, write};

fn look(file: &Path) -> Option<Summary> {
    SqliteOptions::new().look(file).unwrap()
}

/// Looks until the lock is free: a child of another test that is not yet another program holds a copy of it.
async fn freed(file: &Path) -> Option<Summary> {
    loop {
        match look(file) {
            Some(summary) if summary.is_in_use => tokio::task::yield_now().await,
            summary => return summary,
        }
    }
}

/// Each file with its content and when it was last changed.
fn content(folder: &Folder) -> Vec<(String, SystemTime, Vec<u8>)> {
    let entries = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries
        .map(|path| {
            let changed = fs::metadata(&path).unwrap().modified().unwrap();
            (path.display().to_string(), changed, fs::read(&path).unwrap_or_default())
        })
        .collect();
    files.sort();
    files
}

/// Three events, of which one is dead, three replies, of which two are dead, and a job.
async fn filled(file: &Path) -> SqliteJournal {
    let mut journal = SqliteJournal::open(file).unwrap();
    journal.recover().await.unwrap();
    let (name, conversation, body) = ("tea".to_owned(), "alice".to_owned(), "{}".into());
    let job = Entry::Schedule(NewJob { name, conversation, due_ms: 9000, body, keeps_due: false });
    let replies = [promise(7, 0), promise(8, 0), promise(9, 0)];
    write(&mut journal, [accept("a"), accept("b"), accept("c"), job].into_iter().chain(replies).collect())
        .await;
    let dead = [key(7, 0), key(8, 0)].map(|key| dead_letter_reply(key, Reason::Refused));
    write(&mut journal, [dead_letter(1, Reason::Failed)].into_iter().chain(dead).collect()).await;
    journal
}

#[track_caller]
fn check(summary: Option<Summary>, is_in_use: bool) {
    let Summary { bytes, events, replies, dead, jobs, is_in_use: seen, .. } = summary.expect("it is there");
    assert_eq!((events, replies, dead, jobs, seen), (2, 1, 3, 1, is_in_use));
    assert!(bytes > 4096, "{bytes}");
}

#[test]
fn where_nothing_is_nothing_is_made() {
    let folder = Folder::new("look nothing");
    assert_eq!(look(&folder.file()), None);
    assert_eq!(look(&folder.path().join("deep/er/journal.db")), None);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_journal_is_counted_beside_its_bot_after_its_death_and_after_its_end() {
    let folder = Folder::new("look ?at=100%#1");
    let journal = filled(&folder.file()).await;
    check(look(&folder.file()), true);
    // What was not closed leaves its log, as a process that was killed does.
    drop(journal);
    assert!(fs::metadata(format!("{}-wal", folder.file().display())).unwrap().len() > 0);
    check(freed(&folder.file()).await, false);
    let mut journal = SqliteJournal::open(folder.file()).unwrap();
    journal.recover().await.unwrap();
    journal.close().await;
    let before = content(&folder);
    check(freed(&folder.file()).await, false);
    assert_eq!(content(&folder), before);
}

#[cfg(unix)]
#[tokio::test]
async fn a_new_journal_is_for_its_owner_alone_and_one_that_is_there_keeps_its_mode() {
    use std::os::unix::fs::PermissionsExt;
    let endings = ["", "-wal", "-shm", ".lock"];
    let modes = |file: &Path| {
        endings.map(|ending| {
            let data = fs::metadata(format!("{}{ending}", file.display())).unwrap();
            data.permissions().mode() & 0o777
        })
    };
    let public = |file: &Path| {
        let warnings = SqliteOptions::new().warnings(file).into_iter();
        let warning =
            warnings.map(|warning| (warning.text, warning.fix)).find(|(text, _)| text.contains("everybody"));
        warning.map(|(_, fix)| fix)
    };
    let folder = Folder::new("modes");
    let journal = filled(&folder.file()).await;
    assert_eq!(modes(&folder.file()), [0o600; 4]);
    assert_eq!(public(&folder.file()), None);
    drop(journal);
    for (mode, is_empty) in [(0o644, false), (0o660, false), (0o644, true)] {
        let folder = Folder::new("modes-kept");
        if is_empty {
            fs::write(folder.file(), "").unwrap();
        } else {
            SqliteJournal::open(folder.file()).unwrap().close().await;
            fs::remove_file(format!("{}.lock", folder.file().display())).unwrap();
        }
        fs::set_permissions(folder.file(), fs::Permissions::from_mode(mode)).unwrap();
        let journal = filled(&folder.file()).await;
        assert_eq!(modes(&folder.file()), [mode; 4], "{is_empty}");
        let fix = public(&folder.file());
        assert_eq!(fix.is_some(), mode == 0o644, "{fix:?}");
        assert!(fix.is_none_or(|fix| fix.starts_with("`chmod o-rwx ") && fix.contains("-wal")));
        drop(journal);
    }
}
