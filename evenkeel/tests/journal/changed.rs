//! What another process leaves is hinted at.

use std::time::Duration;

use evenkeel::journal::sqlite::SqliteOptions;
use evenkeel::journal::store::{Batch, Changed, Reader, Store, Sync};
use rusqlite::Connection;
use tokio::time::{Instant, timeout};

use crate::made::Folder;

const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test(start_paused = true)]
async fn a_command_that_another_process_leaves_is_hinted_at_within_a_second() {
    let folder = Folder::new("changed");
    let mut store = SqliteOptions::new().open_store(folder.file()).unwrap();
    store.claim().await.unwrap();
    assert!(store.commands().await.unwrap().is_empty());
    assert!(timeout(HOUR, store.changed()).await.is_err(), "nobody has left anything");

    let other = Connection::open(folder.file()).unwrap();
    other.execute("INSERT INTO command(body) VALUES ('replay')", []).unwrap();
    // Anyone who waits does other things in between.
    let start = Instant::now();
    let hint = loop {
        if let Ok(hint) = timeout(Duration::from_millis(70), store.changed()).await {
            break hint.unwrap();
        }
    };
    assert_eq!(hint, Changed::Command);
    assert!(start.elapsed() <= Duration::from_secs(1), "{:?}", start.elapsed());
    assert_eq!(store.commands().await.unwrap().len(), 1);

    let (cursors, now_ms) = (vec![("own", "1".into())], Some(1));
    let own = Batch { cursors, intake: Vec::new(), work: Vec::new(), now_ms, sync: Sync::Lazy };
    store.commit(&own).await.unwrap();
    assert!(timeout(HOUR, store.changed()).await.is_err(), "what one writes oneself is no news");
}
