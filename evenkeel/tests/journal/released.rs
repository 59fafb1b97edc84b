//! Files that an earlier version has written. There is one for each schema, `released-<schema>.journal`, and it never changes.
//!
//! `EVENKEEL_MAKE_FIXTURE=1 cargo test -p evenkeel --test journal released` writes the one of the present schema; until
//! that schema is released, it may be written anew.

use std::fs;
use std::path::{Path, PathBuf};

use evenkeel::journal::Acceptance;
use evenkeel::journal::sqlite::SqliteJournal;
use evenkeel::journal::{
    Answer, CompletedEffect, DeadFilter, DeadId, Entry, EventEntry, Journal, NewJob, Query, Reason,
    ReplyEntry,
};
use evenkeel::{File, MessageId, Reply};

use crate::made::{
    Folder, accept, ask, begin_at_once, dead_letter, dead_letter_reply, key, listed, outbound, promise,
    reply, write,
};

pub(crate) fn fixture(version: i32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/journal/released-{version}.journal"))
}

/// Something of everything that a file can hold. Events 1 to 8 are waiting, begun, tried again, waiting for somebody, done,
/// dead, parked and with facts.
pub(crate) async fn fill(journal: &mut SqliteJournal) {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let events = names.map(|name| if name == "a" { accept(name) } else { begin_at_once(name) });
    write(journal, events.to_vec()).await;
    let step = Entry::Event(8, EventEntry::Step { name: "pay".to_owned(), value: "7".into() });
    let files = reply(3, 1, &Reply::file(File::new("a.png", "image/png", b"not a picture".to_vec())));
    write(
        journal,
        vec![
            Entry::Event(3, EventEntry::Retry { due_ms: 5000 }),
            Entry::Event(4, EventEntry::Suspend),
            Entry::Event(5, EventEntry::Done),
            dead_letter(6, Reason::Panicked),
            dead_letter(7, Reason::Parked),
            step,
            Entry::Promise { outbound: outbound(8, 0, "at once"), command: String::new(), begins: true },
            Entry::Reply(key(8, 0), ReplyEntry::Sent { id: Some(MessageId::new("m8")) }),
            promise(5, 0),
            Entry::Promise {
                outbound: outbound(5, 1, "under way"),
                command: "!way".to_owned(),
                begins: true,
            },
            Entry::Promise { outbound: files, command: String::new(), begins: false },
            promise(5, 2),
            Entry::Reply(key(5, 2), ReplyEntry::Postpone { due_ms: 7000 }),
            promise(5, 3),
            dead_letter_reply(key(5, 3), Reason::Refused),
            Entry::Remember {
                conversation: "alice".to_owned(),
                name: "form".to_owned(),
                value: Some("\"half\"".into()),
            },
            job("tea", 9000, "alice"),
            job("backup", 8000, ""),
        ],
    )
    .await;
}

fn job(name: &str, due_ms: u64, conversation: &str) -> Entry {
    let (name, conversation) = (name.to_owned(), conversation.to_owned());
    Entry::Schedule(NewJob { name, conversation, due_ms, body: "{\"for\":1}".into(), keeps_due: false })
}

/// All of it is there.
pub(crate) async fn check(file: PathBuf) {
    let mut journal = SqliteJournal::open(file).unwrap();
    let left = journal.recover().await.unwrap();
    let events: Vec<_> = left
        .events
        .iter()
        .map(|event| {
            (event.sequence, event.event.id(), event.attempts, event.crashes, event.due_ms, event.is_parked)
        })
        .collect();
    let expected = [
        (1, "a", 0, 0, 0, false),
        (2, "b", 1, 1, 0, false),
        (3, "c", 1, 0, 5000, false),
        (4, "d", 0, 0, 0, false),
        (7, "g", 1, 0, 0, true),
        (8, "h", 1, 1, 0, false),
    ];
    assert_eq!(events, expected);
    assert_eq!(left.events[0].event.text(), Some("what a says"));
    let paid = CompletedEffect::Step { name: "pay".to_owned(), value: "7".into() };
    let sent = CompletedEffect::Sent { index: 0, id: Some(MessageId::new("m8")) };
    assert_eq!(left.events[5].facts, [paid, sent]);

    let replies: Vec<_> =
        left.replies.iter().map(|letter| (letter.outbound.key, letter.is_unknown, letter.due_ms)).collect();
    assert_eq!(
        replies,
        [(key(3, 1), false, 0), (key(5, 0), false, 0), (key(5, 1), true, 0), (key(5, 2), false, 7000)]
    );
    let commands: Vec<_> = left.replies.iter().map(|letter| &*letter.command).collect();
    assert_eq!(commands, ["", "!pong", "!way", "!pong"]);
    let files = reply(3, 1, &Reply::file(File::new("a.png", "image/png", b"not a picture".to_vec())));
    assert_eq!(left.replies[0].outbound, files);
    assert_eq!(left.replies[2].outbound, outbound(5, 1, "under way"));
    assert_eq!(left.next_job_ms, Some(8000));

    let dead = listed(&mut journal, DeadFilter::default()).await;
    let dead: Vec<_> = dead.iter().map(|dead| (dead.id, dead.reason, &*dead.error)).collect();
    let (panicked, parked) =
        ((DeadId::Event(6), Reason::Panicked, "no"), (DeadId::Event(7), Reason::Parked, "no"));
    assert_eq!(dead, [panicked, parked, (DeadId::Reply(5, 3), Reason::Refused, "no")]);
    let recall = Entry::Query(Query::Recall { conversation: "alice".to_owned(), name: "form".to_owned() });
    assert!(
        matches!(ask(&mut journal, recall).await, Answer::Recalled(Some(value)) if &value[..] == b"\"half\"")
    );
    let Answer::Due { jobs, .. } =
        ask(&mut journal, Entry::Query(Query::Due { until_ms: 9000, limit: 9 })).await
    else {
        panic!()
    };
    let jobs: Vec<_> =
        jobs.iter().map(|job| (job.id, &*job.name, &*job.conversation, job.due_ms, &job.body[..])).collect();
    let body = &b"{\"for\":1}"[..];
    assert_eq!(jobs, [(2, "backup", "", 8000, body), (1, "tea", "alice", 9000, body)]);
    // What is done is known all the same, and the numbers go on.
    assert!(matches!(ask(&mut journal, accept("e")).await, Answer::Accepted(Acceptance::Duplicate)));
    assert_eq!(crate::made::number(&ask(&mut journal, accept("new")).await), 9);
    journal.close().await;
}

/// The schema of a file: its number, and all that it was made by.
pub(crate) fn schema(file: &Path) -> (i32, Vec<String>) {
    let raw = rusqlite::Connection::open(file).unwrap();
    let version = raw.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    let sql = "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name";
    let tables =
        raw.prepare(sql).unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    (version, tables)
}

/// A journal of the present schema.
async fn present(folder: &Folder) -> (i32, Vec<String>) {
    let mut journal = SqliteJournal::open(folder.file()).unwrap();
    journal.recover().await.unwrap();
    fill(&mut journal).await;
    journal.close().await;
    schema(&folder.file())
}

#[tokio::test]
async fn the_file_of_each_schema_is_recovered_whole() {
    let folder = Folder::new("released");
    let (version, _) = present(&folder).await;
    if std::env::var_os("EVENKEEL_MAKE_FIXTURE").is_some() {
        fs::copy(folder.file(), fixture(version)).unwrap();
    }
    for version in 1..=version {
        let copy = folder.path().join(format!("{version}.db"));
        fs::copy(fixture(version), &copy).unwrap();
        check(copy).await;
    }
}

#[tokio::test]
async fn a_schema_that_changes_gets_a_number_of_its_own() {
    let folder = Folder::new("schema");
    let (version, tables) = present(&folder).await;
    let copy = folder.path().join("released.db");
    fs::copy(fixture(version), &copy).unwrap();
    assert_eq!(schema(&copy), (version, tables));
}
