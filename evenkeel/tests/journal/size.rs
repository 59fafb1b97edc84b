//! A file that was long gets short again.

use std::path::Path;

use evenkeel::journal::sqlite::SqliteJournal;
use evenkeel::journal::{Entry, Journal, NewJob};

use crate::made::{Folder, accept, write};

/// How many pages a file has, and how many of them hold nothing.
fn pages(raw: &rusqlite::Connection) -> (i64, i64) {
    let number = |name| raw.pragma_query_value(None, name, |row| row.get(0)).unwrap();
    (number("page_count"), number("freelist_count"))
}

fn length(file: &Path) -> u64 {
    std::fs::metadata(file).unwrap().len()
}

#[tokio::test]
async fn a_file_shrinks_while_the_bot_has_nothing_to_do() {
    const JOBS: u64 = 10_000;
    let folder = Folder::new("size");
    let mut journal = SqliteJournal::open(folder.file()).unwrap();
    journal.recover().await.unwrap();
    let job = |at: u64| {
        let (name, conversation) = (format!("job {at}"), "kitchen".to_owned());
        Entry::Schedule(NewJob {
            name,
            conversation,
            due_ms: at,
            body: vec![0; 300].into(),
            keeps_due: false,
        })
    };
    write(&mut journal, (0..JOBS).map(job).chain([accept("a")]).collect()).await;
    let cancel = |at: u64| Entry::Cancel { name: format!("job {at}"), conversation: None };
    write(&mut journal, (0..JOBS).map(cancel).collect()).await;
    let raw = rusqlite::Connection::open(folder.file()).unwrap();
    let (long, _) = pages(&raw);
    assert!(long > 500, "{long}");
    let mut steps = 0;
    while journal.tidy() {
        steps += 1;
    }
    assert!(steps > 5, "a little at a time: {steps}");
    assert!(length(&folder.file()) < 4096 * 600);
    let (short, free) = pages(&raw);
    assert!(short < long / 2 && free == 256, "from {long} pages to {short}, {free} of them free");
    drop(raw);
    drop(journal);
    let mut journal = SqliteJournal::open(folder.file()).unwrap();
    assert_eq!(journal.recover().await.unwrap().events.len(), 1);
}
