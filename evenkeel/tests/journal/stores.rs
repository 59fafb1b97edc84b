//! What only shows where rows are written by hand, on the store in memory and the one on a file.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use evenkeel::journal::memory::MemoryStore;
use evenkeel::journal::sqlite::SqliteOptions;
use evenkeel::journal::store::{
    Batch, Body, Change, Epoch, EventId, Intake, JobFilter, Mark, NewRow, Partition, Reader, ReplyId,
    ReplyStage, ReplyState, Row, Scope, Store, Sync, Taken, Verdict, Work,
};
use evenkeel::{File, Reply};
use tokio::time::advance;

use crate::made::{Folder, reply};

fn work<'a>(changes: Vec<Change<'a>>, intake: Vec<Intake<'a>>) -> Work<'a> {
    Work { partition: Partition::WHOLE, epoch: Epoch(1), changes, intake, effect: None }
}

fn batch(work: Work<'_>) -> Batch<'_> {
    Batch { cursors: Vec::new(), intake: Vec::new(), work: vec![work], now_ms: None, sync: Sync::Full }
}

async fn the_files_of_a_reply_that_is_put_twice<S: Store>(store: &mut S) {
    let id = ReplyId { event: EventId::new(Partition::WHOLE, 1), index: 0 };
    let state = ReplyState { stage: ReplyStage::Pending, attempts: 0, due_ms: 0, has_files: true };
    for bytes in ["the first", "the second"] {
        let outbound = reply(1, 0, &Reply::file(File::new("a.txt", "text/plain", bytes)));
        let (body, conversation, command) = (Body::Reply(&outbound), "alice", "!ping");
        let put = Change::Put(Row::Reply { id, state, conversation, command, sent_id: None, body });
        store.commit(&batch(work(vec![put], Vec::new()))).await.unwrap();
        let row = store.parts(id.event).await.unwrap().replies.remove(0);
        let files = row.body.write(&mut Vec::new()).unwrap();
        // Each file has its length before it.
        assert_eq!(&files[8..], bytes.as_bytes());
    }
}

async fn commands_until_they_have_an_outcome<S: Store>(store: &mut S) {
    assert!(store.commands().await.unwrap().is_empty());
    let (conversation, row) = (Cow::Borrowed(""), NewRow::Command(Bytes::from_static(b"replay")));
    let intake = vec![Intake { conversation, dedupe: None, row }];
    let committed = store.commit(&batch(work(Vec::new(), intake))).await.unwrap();
    assert_eq!(committed.work, [Verdict::Kept(vec![Taken::New(1)])]);
    for _ in 0..2 {
        assert_eq!(store.commands().await.unwrap(), [(1, Bytes::from_static(b"replay"))]);
    }
    let done = Change::Mark(Mark::Command(1, "done".to_owned()));
    store.commit(&batch(work(vec![done], Vec::new()))).await.unwrap();
    assert!(store.commands().await.unwrap().is_empty());
}

/// Leaves a command, and returns its number.
async fn leave<S: Store>(store: &mut S) -> u64 {
    let (conversation, row) = (Cow::Borrowed(""), NewRow::Command(Bytes::from_static(b"replay")));
    let intake = vec![Intake { conversation, dedupe: None, row }];
    let intake = Batch { intake, ..batch(work(Vec::new(), Vec::new())) };
    match store.commit(&intake).await.unwrap().intake[..] {
        [Taken::New(number)] => number,
        ref other => panic!("no new command: {other:?}"),
    }
}

async fn execute<S: Store>(store: &mut S, epoch: Epoch, number: u64) {
    let done = Change::Mark(Mark::Command(number, "done".to_owned()));
    let done = Work { epoch, ..work(vec![done], Vec::new()) };
    assert_eq!(store.commit(&batch(done)).await.unwrap().work, [Verdict::Kept(Vec::new())]);
    tidy(store);
}

/// Does all that can wait, as a bot without messages does.
fn tidy<S: Store>(store: &mut S) {
    while store.tidy() {}
}

async fn known_outcomes<S: Store>(store: &mut S, numbers: &[u64]) -> Vec<u64> {
    let mut known = Vec::new();
    for number in numbers {
        if store.outcome(*number).await.unwrap().is_some() {
            known.push(*number);
        }
    }
    known
}

async fn outcomes_for_as_long_as_somebody_may_wait<S: Store>(store: &mut S) {
    let numbers = [leave(store).await, leave(store).await, leave(store).await, leave(store).await];
    for number in &numbers[..3] {
        execute(store, Epoch(1), *number).await;
    }
    advance(Duration::from_secs(119)).await;
    tidy(store);
    assert_eq!(known_outcomes(store, &numbers).await, numbers[..3]);
    for _ in 0..2 {
        advance(Duration::from_secs(121)).await;
        tidy(store);
    }
    execute(store, Epoch(1), numbers[3]).await;
    assert_eq!(known_outcomes(store, &numbers).await, numbers[3..]);
    // The last one keeps its number, and nothing else is kept.
    advance(Duration::from_secs(3_600)).await;
    tidy(store);
    let next = leave(store).await;
    assert!(!numbers.contains(&next), "{next} was given before");
    execute(store, Epoch(1), next).await;
    advance(Duration::from_secs(121)).await;
    tidy(store);
    let last = leave(store).await;
    execute(store, Epoch(1), last).await;
    assert_eq!(known_outcomes(store, &numbers).await, [0; 0]);
}

#[tokio::test(start_paused = true)]
async fn outcomes_that_an_earlier_run_left_are_forgotten() {
    let folder = Folder::new("outcomes");
    let mut store = SqliteOptions::new().open_store(folder.file()).unwrap();
    store.claim().await.unwrap();
    let mut numbers = Vec::new();
    for _ in 0..1_000 {
        numbers.push(leave(&mut store).await);
    }
    for number in &numbers {
        execute(&mut store, Epoch(1), *number).await;
    }
    drop(store);
    let mut store = SqliteOptions::new().open_store(folder.file()).unwrap();
    store.claim().await.unwrap();
    tidy(&mut store);
    assert_eq!(known_outcomes(&mut store, &numbers).await, numbers, "somebody may still wait");
    advance(Duration::from_secs(121)).await;
    tidy(&mut store);
    assert_eq!(known_outcomes(&mut store, &numbers).await, numbers[999..]);
    let waiting = leave(&mut store).await;
    let raw = rusqlite::Connection::open(folder.file()).unwrap();
    let rows: i64 = raw.query_row("SELECT count(*) FROM command", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 2);
    drop(store);
    let mut store = SqliteOptions::new().open_store(folder.file()).unwrap();
    store.claim().await.unwrap();
    advance(Duration::from_secs(3_600)).await;
    tidy(&mut store);
    assert_eq!(store.commands().await.unwrap(), [(waiting, Bytes::from_static(b"replay"))]);
}

async fn a_work_of_another_partition<S: Store>(store: &mut S) {
    let value = Bytes::from_static(b"1");
    let changes = vec![Change::Put(Row::Value(Scope::BOT, "other", &value))];
    let other = Work { partition: Partition(1), ..work(changes, Vec::new()) };
    assert_eq!(store.commit(&batch(other)).await.unwrap().work, [Verdict::Fenced]);
    assert_eq!(store.value(&Scope::BOT, "other").await.unwrap(), None);
}

async fn jobs_after_the_last_number<S: Store>(store: &mut S) {
    let which =
        JobFilter { partition: None, conversation: None, after: Some((5, u64::MAX)), until_ms: 9, limit: 9 };
    assert_eq!(store.jobs(&which).await.unwrap(), (Vec::new(), None));
}

macro_rules! on_both {
    ($($name:ident: $check:ident;)*) => {$(
        #[tokio::test(start_paused = true)]
        async fn $name() {
            let mut store = MemoryStore::default();
            store.claim().await.unwrap();
            $check(&mut store).await;
            let folder = Folder::new(stringify!($name));
            let mut store = SqliteOptions::new().open_store(folder.file()).unwrap();
            store.claim().await.unwrap();
            $check(&mut store).await;
        }
    )*};
}

on_both! {
    a_reply_that_is_put_twice_has_the_files_of_the_second: the_files_of_a_reply_that_is_put_twice;
    commands_are_told_until_they_have_an_outcome: commands_until_they_have_an_outcome;
    what_became_of_a_command_is_known_for_as_long_as_somebody_may_wait: outcomes_for_as_long_as_somebody_may_wait;
    a_work_of_another_partition_changes_nothing: a_work_of_another_partition;
    jobs_after_the_last_number_are_none: jobs_after_the_last_number;
}
