//! Another program, perhaps an editor, has put something else in the place of a number, a text or bytes.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use evenkeel::journal::sqlite::{DeadLetterAdmin, JobAdmin, SqliteJournal, SqliteOptions};
use evenkeel::journal::{
    Acceptance, Answer, DeadFilter, DeadId, Entry, EventEntry, Journal, NewJob, OperatorEntry, Query, Reason,
    Recovered, ReplyEntry,
};

use crate::made::{
    Folder, accept, ask, begin_at_once, beside, dead_letter, dead_letter_reply, key, listed, number, promise,
    replayed, write,
};
use crate::released::fill;

fn raw(file: &Path) -> rusqlite::Connection {
    let raw = rusqlite::Connection::open(file).unwrap();
    raw.pragma_update(None, "synchronous", "OFF").unwrap();
    raw
}

/// Each column of each table, and what it holds.
fn columns(file: &Path) -> Vec<(String, String, String)> {
    let sql = "SELECT t.name, c.name, c.type FROM sqlite_schema t, pragma_table_info(t.name) c \
               WHERE t.type = 'table' ORDER BY t.name, c.cid";
    let raw = raw(file);
    let mut statement = raw.prepare(sql).unwrap();
    let columns = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
    columns.map(Result::unwrap).collect()
}

async fn list(journal: &mut SqliteJournal) -> Vec<(DeadId, Reason)> {
    listed(journal, DeadFilter::default()).await.iter().map(|dead| (dead.id, dead.reason)).collect()
}

/// What is pending or dead, or, for events only, their numbers.
async fn accounted(journal: &mut SqliteJournal, left: &Recovered) -> (BTreeSet<u64>, BTreeSet<(u64, u32)>) {
    let mut events: BTreeSet<u64> = left.events.iter().map(|event| event.sequence).collect();
    let keys = left.replies.iter().map(|letter| letter.outbound.key);
    let mut replies: BTreeSet<_> = keys.map(|key| (key.sequence, key.index)).collect();
    for (id, _) in list(journal).await {
        match id {
            DeadId::Event(sequence) => _ = events.insert(sequence),
            DeadId::Reply(sequence, index) => _ = replies.insert((sequence, index)),
        }
    }
    (events, replies)
}

/// Everything that a bot asks of its journal.
async fn live(journal: &mut SqliteJournal) {
    let recall = Entry::Query(Query::Recall { conversation: "alice".to_owned(), name: "form".to_owned() });
    let jobs = Entry::Query(Query::Jobs { conversation: None, after: None, limit: 9 });
    let due = Entry::Query(Query::Due { until_ms: 9000, limit: 9 });
    let fire = Entry::Fire { job: 2, due_ms: 8000, event: None, begins: false, next_ms: None, now_ms: 8000 };
    let step = Entry::Event(8, EventEntry::Step { name: "new".to_owned(), value: "1".into() });
    write(journal, vec![Entry::Operator(OperatorEntry::Adopt), recall, jobs, due, fire, step]).await;
    let (begin, retry) =
        (Entry::Event(1, EventEntry::Begin), Entry::Event(1, EventEntry::Retry { due_ms: 1 }));
    let sending = Entry::Reply(key(5, 0), ReplyEntry::Sending { is_lazy: true });
    let (postpone, sent) = (
        Entry::Reply(key(5, 0), ReplyEntry::Postpone { due_ms: 1 }),
        Entry::Reply(key(8, 5), ReplyEntry::Sent { id: None }),
    );
    write(journal, vec![begin, retry, promise(8, 5), sending, postpone, sent]).await;
    assert!(number(&ask(journal, accept("new")).await) > 8);
}

async fn check(file: &Path, plant: &str, are_letters_named: bool) {
    let mut journal = SqliteJournal::open(file).unwrap();
    journal.recover().await.unwrap();
    {
        let raw = raw(file);
        raw.execute("INSERT INTO command(body) VALUES ('{}')", []).unwrap();
        // What a column does not take, nobody can have put in.
        let _refused = raw.execute(plant, []);
    }
    live(&mut journal).await;
    drop(journal);
    let mut journal = SqliteJournal::open(file).unwrap();
    let left = journal.recover().await.unwrap();
    let (events, replies) = accounted(&mut journal, &left).await;
    assert!([1, 2, 3, 4, 6, 7, 8].iter().all(|sequence| events.contains(sequence)), "{events:?}");
    assert!(left.events.iter().any(|event| event.event.id() == "new"));
    if are_letters_named {
        let expected = [(3, 1), (5, 0), (5, 1), (5, 2), (5, 3)];
        assert!(expected.iter().all(|key| replies.contains(key)), "{replies:?}");
    }
    SqliteOptions::new().look(file).unwrap();
    let mut operator = DeadLetterAdmin::open(file).unwrap();
    operator.list(&DeadFilter::default()).unwrap();
    beside(&mut journal, move || {
        operator.replay(&DeadFilter { limit: Some(2), ..DeadFilter::default() }, 3000).unwrap();
    })
    .await;
    JobAdmin::open(file).unwrap().list(None, None, 9).unwrap();
    ask(&mut journal, Entry::Operator(OperatorEntry::Replay { filter: DeadFilter::default(), now_ms: 3000 }))
        .await;
    ask(&mut journal, Entry::Operator(OperatorEntry::Discard(DeadFilter::default()))).await;
    journal.close().await;
}

#[tokio::test]
async fn whatever_a_column_holds_the_bot_goes_on_and_nothing_is_lost() {
    let folder = Folder::new("odd");
    let mut journal = SqliteJournal::open(folder.file()).unwrap();
    journal.recover().await.unwrap();
    fill(&mut journal).await;
    journal.close().await;
    let rows = "INSERT INTO seen VALUES (zeroblob(12), 0); INSERT INTO seen_count VALUES (0, 1);
                INSERT INTO cursor VALUES ('there', x'01')";
    raw(&folder.file()).execute_batch(rows).unwrap();
    let columns = columns(&folder.file());
    assert!(columns.len() >= 60, "{}", columns.len());
    for (table, column, kind) in columns {
        // In the words of SQL. In a column of text, a number becomes one.
        let odd: &[&str] = if kind == "TEXT" { &["x'ff00'"] } else { &["'odd'", "1.5"] };
        for odd in odd {
            println!("{table}.{column} = {odd}");
            let copy = folder.path().join("copy.db");
            fs::copy(folder.file(), &copy).unwrap();
            let plant = format!("UPDATE OR IGNORE {table} SET {column} = {odd}");
            let is_name = table == "letter" && (column == "sequence" || column == "number");
            check(&copy, &plant, !is_name).await;
            for ending in ["-wal", "-shm"] {
                let _gone = fs::remove_file(format!("{}{ending}", copy.display()));
            }
        }
    }
}

#[tokio::test]
async fn an_event_with_an_odd_number_is_a_dead_letter_that_can_be_replayed() {
    let folder = Folder::new("odd-number");
    let mut journal = SqliteJournal::open(folder.file()).unwrap();
    journal.recover().await.unwrap();
    write(&mut journal, vec![begin_at_once("a"), accept("b"), promise(8, 0), promise(8, 1)]).await;
    drop(journal);
    raw(&folder.file()).execute_batch("UPDATE event SET attempts = 'twice' WHERE sequence = 1").unwrap();
    raw(&folder.file()).execute_batch("UPDATE letter SET state = 'sent?' WHERE number = 1").unwrap();
    let mut journal = SqliteJournal::open(folder.file()).unwrap();
    let left = journal.recover().await.unwrap();
    assert_eq!((left.events.len(), left.replies.len()), (1, 1));
    let expected = [DeadId::Event(1), DeadId::Reply(8, 1)].map(|id| (id, Reason::Unreadable));
    assert_eq!(list(&mut journal).await, expected);
    let again = replayed(
        ask(
            &mut journal,
            Entry::Operator(OperatorEntry::Replay { filter: DeadFilter::default(), now_ms: 3000 }),
        )
        .await,
    );
    assert_eq!((again.events[0].event.id(), again.events[0].attempts), ("a", 0));
    assert_eq!(again.replies.len(), 1, "what was written is good");
    assert!(matches!(ask(&mut journal, accept("a")).await, Answer::Accepted(Acceptance::Duplicate)));
}

#[tokio::test]
async fn a_job_with_an_odd_time_is_left_where_it_is_and_the_others_come() {
    let folder = Folder::new("odd-job");
    let mut journal = SqliteJournal::open(folder.file()).unwrap();
    journal.recover().await.unwrap();
    let job = |name: &str, due_ms| {
        let (name, conversation) = (name.to_owned(), String::new());
        Entry::Schedule(NewJob { name, conversation, due_ms, body: "{}".into(), keeps_due: false })
    };
    write(&mut journal, vec![job("tea", 10), job("late", 20), job("text", 30)]).await;
    raw(&folder.file())
        .execute_batch(
            "UPDATE job SET due_ms = 'soon' WHERE id = 1; UPDATE job SET body = '{\"a\":1}' WHERE id = 3",
        )
        .unwrap();
    for _ in 0..2 {
        let Answer::Due { jobs, next_ms } =
            ask(&mut journal, Entry::Query(Query::Due { until_ms: 99, limit: 9 })).await
        else {
            panic!()
        };
        let found: Vec<_> = jobs.iter().map(|job| (job.id, &job.body[..])).collect();
        assert_eq!((found, next_ms), (vec![(2, &b"{}"[..]), (3, &b"{\"a\":1}"[..])], None));
        drop(journal);
        journal = SqliteJournal::open(folder.file()).unwrap();
        assert_eq!(journal.recover().await.unwrap().next_job_ms, Some(20));
    }
    let kept: String =
        raw(&folder.file()).query_row("SELECT due_ms FROM job WHERE id = 1", [], |row| row.get(0)).unwrap();
    assert_eq!(kept, "soon");
}

#[tokio::test]
async fn a_dead_letter_with_odd_columns_is_listed() {
    let folder = Folder::new("odd-dead");
    let mut journal = SqliteJournal::open(folder.file()).unwrap();
    journal.recover().await.unwrap();
    write(&mut journal, vec![begin_at_once("a"), promise(8, 0)]).await;
    write(&mut journal, vec![dead_letter(1, Reason::Failed), dead_letter_reply(key(8, 0), Reason::Refused)])
        .await;
    for table in ["event", "letter"] {
        let odd = "reason = x'ff', command = x'ff', error = NULL, at_ms = 'noon', attempts = 'many'";
        raw(&folder.file()).execute_batch(&format!("UPDATE {table} SET {odd}")).unwrap();
    }
    let expected = [DeadId::Event(1), DeadId::Reply(8, 0)].map(|id| (id, Reason::Unreadable));
    assert_eq!(list(&mut journal).await, expected);
}
