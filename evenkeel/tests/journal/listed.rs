//! What an operator asks for is read beside the writer.

use std::time::Duration;

use evenkeel::journal::sqlite::SqliteJournal;
use evenkeel::journal::{Answer, DeadFilter, Entry, Journal, NewJob, OperatorEntry, Query, Reason};
use tokio::time::timeout;

use crate::made::{Folder, accept, ask, dead_letter, listed, number, write};

fn job(name: &str) -> Entry {
    let (name, conversation, body) = (name.to_owned(), "alice".to_owned(), "{}".into());
    Entry::Schedule(NewJob { name, conversation, due_ms: 10, body, keeps_due: false })
}

#[tokio::test]
async fn a_list_shows_what_is_kept_when_it_is_read() {
    let folder = Folder::new("listed");
    let mut journal = SqliteJournal::open(folder.file()).unwrap();
    journal.recover().await.unwrap();
    for id in ["a", "b"] {
        let sequence = number(&ask(&mut journal, accept(id)).await);
        write(&mut journal, vec![dead_letter(sequence, Reason::Failed), job(id)]).await;
    }
    let jobs = || Entry::Query(Query::ListJobs { conversation: None, after: None, limit: 9 });
    let asked = vec![
        Entry::Query(Query::ListDead(DeadFilter::default())),
        Entry::Query(Query::CountDead(DeadFilter::default())),
        jobs(),
        Entry::Query(Query::ListDead(DeadFilter { limit: Some(1), ..DeadFilter::default() })),
    ];
    let mut answers = write(&mut journal, asked).await.into_iter();
    let Some(Answer::Dead(dead)) = answers.next() else { panic!("no list") };
    assert_eq!(dead.await.unwrap().len(), 2);
    let Some(Answer::DeadCount(count)) = answers.next() else { panic!("no count") };
    assert_eq!(count.await.unwrap(), 2);
    let Some(Answer::Jobs(jobs)) = answers.next() else { panic!("no jobs") };
    assert_eq!(jobs.await.unwrap().iter().map(|job| &*job.name).collect::<Vec<_>>(), ["a", "b"]);
    let Some(Answer::Dead(late)) = answers.next() else { panic!("no list") };
    write(&mut journal, vec![Entry::Operator(OperatorEntry::Discard(DeadFilter::default()))]).await;
    assert!(late.await.unwrap().is_empty(), "it is read when somebody waits for it");
    assert!(listed(&mut journal, DeadFilter::default()).await.is_empty());
    journal.close().await;
    assert!(!folder.path().join("journal.db-wal").exists(), "no reader keeps the log");
}

#[cfg(feature = "conformance")]
#[tokio::test(start_paused = true)]
async fn a_list_that_hangs_holds_no_batch_up() {
    use evenkeel::journal::StoreJournal;

    use crate::conformance::flawed::Flawed;

    let mut journal = StoreJournal::new(Flawed::with_readers_that_hang());
    journal.recover().await.unwrap();
    let Answer::Dead(dead) = ask(&mut journal, Entry::Query(Query::ListDead(DeadFilter::default()))).await
    else {
        panic!("no list")
    };
    let waits = tokio::spawn(dead);
    assert_eq!(number(&ask(&mut journal, accept("a")).await), 1);
    assert_eq!(number(&ask(&mut journal, accept("b")).await), 2);
    assert!(timeout(Duration::from_secs(3_600), waits).await.is_err(), "it hangs");
    journal.close().await;
}
