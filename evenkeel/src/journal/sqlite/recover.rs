//! What an earlier run left unfinished.

use std::collections::HashMap;

use super::content::int;
use super::event::{self, PENDING};
use super::job;
use super::letter::{self, COLUMNS};
use super::schema::event::{RUNNING, SUSPENDED};
use super::store::{Class, Store};
use crate::journal::{PendingEvent, PendingLetter, Recovered, TRANSPORT};
use crate::reply::SendKey;

/// Counts crashes, and reads everything that waits. What cannot be read becomes a dead letter.
pub(super) fn recover(store: &mut Store) -> rusqlite::Result<Recovered> {
    // What an earlier process wrote and did not sync may be read here: it has to be on the disk before anybody acts on it.
    store.begin(Class::Full)?;
    // What another process has put in is read below with everything else.
    store.connection.execute("DELETE FROM handed", [])?;
    store.is_changed = false;
    let events = events(store)?;
    let letters = letters(store)?;
    let next_job_ms = job::next(store)?;
    let kept = job::recall_all(store, TRANSPORT)?;
    complain(store)?;
    store.settle()?;
    store.commit()?;
    Ok(Recovered { events, letters, next_job_ms, latest_ms: store.counters.latest_ms, kept })
}

fn events(store: &Store) -> rusqlite::Result<Vec<PendingEvent>> {
    let mut events = Vec::new();
    let mut with_facts = HashMap::new();
    let mut unreadable = Vec::new();
    let mut stopped = Vec::new();
    let sql = format!("SELECT {PENDING} FROM event WHERE state <> 3 ORDER BY sequence");
    let mut statement = store.connection.prepare(&sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        match event::pending(row)? {
            (Ok(mut event), has_facts) => {
                let state: i64 = row.get(1)?;
                if state == RUNNING {
                    event.crashes += 1;
                }
                if state == SUSPENDED {
                    event.attempts = event.attempts.saturating_sub(1);
                }
                if state == RUNNING || state == SUSPENDED {
                    stopped.push(event.sequence);
                }
                if has_facts {
                    with_facts.insert(event.sequence, events.len());
                }
                events.push(event);
            }
            (Err(sequence), _) => unreadable.push(sequence),
        }
    }
    for sequence in stopped {
        let sql = "UPDATE event SET crashes = crashes + (state = 1), \
                   attempts = max(attempts - (state = 2), 0), state = 0 WHERE sequence = ?1";
        store.connection.prepare_cached(sql)?.execute([int(sequence)])?;
    }
    for (sequence, at) in with_facts {
        let facts = event::facts(store, sequence)?;
        if let Some(event) = events.get_mut(at) {
            event.facts = facts;
        }
    }
    for sequence in unreadable {
        tracing::error!(sequence, "an event in the journal cannot be read: it is a dead letter now");
        bury(store, "event", "crashes begun facts", "sequence = ?1", (int(sequence), 0))?;
    }
    Ok(events)
}

fn letters(store: &Store) -> rusqlite::Result<Vec<PendingLetter>> {
    let mut letters = Vec::new();
    let mut unreadable: Vec<SendKey> = Vec::new();
    let sql = format!(
        "SELECT {COLUMNS} FROM letter WHERE (state <= 1 OR typeof(state) <> 'integer' OR state > 4) \
         AND typeof(sequence) = 'integer' AND typeof(number) = 'integer' ORDER BY sequence, number"
    );
    let mut statement = store.connection.prepare(&sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        match letter::pending(&store.connection, row)? {
            Ok(letter) => letters.push(letter),
            Err(key) => unreadable.push(key),
        }
    }
    for key in unreadable {
        let sequence = key.sequence;
        tracing::error!(sequence, "a reply in the journal cannot be read: it is a dead letter now");
        bury(store, "letter", "files", "sequence = ?1 AND number = ?2", (int(sequence), key.index))?;
    }
    Ok(letters)
}

/// Says how much is left where it is, because nothing can be done with it.
fn complain(store: &Store) -> rusqlite::Result<()> {
    let count = |sql| store.connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    // Text and bytes come after all numbers.
    let jobs = count("SELECT count(*) FROM job WHERE due_ms >= ''")?;
    let replies = count("SELECT count(*) FROM letter WHERE sequence >= '' OR typeof(number) <> 'integer'")?;
    if jobs + replies > 0 {
        tracing::error!(jobs, replies, "what has no time or no number in the journal is left as it is");
    }
    Ok(())
}

/// Where another program has put something else in the place of a number, there is one again: then the content, if it is good,
/// has another chance.
fn bury(store: &Store, table: &str, own: &str, which: &str, key: (i64, u32)) -> rusqlite::Result<()> {
    let numbers = own.split(' ').chain(["attempts", "due_ms"]);
    // What may hang on it is looked for.
    let mend = |name| {
        format!("{name} = iif(typeof({name}) = 'integer', {name}, '{name}' IN ('facts', 'files', 'begun')), ")
    };
    let mended: String = numbers.map(mend).collect();
    let sql = format!(
        "UPDATE {table} SET {mended}state = 3, reason = 'unreadable', error = 'the record cannot be read', \
         command = coalesce(command, ''), conversation = '', at_ms = ?3 WHERE {which} AND ?2 = ?2"
    );
    store.connection.execute(&sql, (key.0, key.1, int(store.counters.latest_ms)))?;
    Ok(())
}
