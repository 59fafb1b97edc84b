//! Effects of the author's inside everybody's transaction: each under a savepoint and a deadline, and kept from our tables.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::{Connection, ErrorCode};

use super::schema::TABLES;
use crate::error::{Error, Result};
use crate::journal::store::Effect;

/// For so long an effect may work: everybody whose messages come meanwhile waits for it.
const LONGEST: Duration = Duration::from_millis(50);

/// This many steps of SQLite's machine lie between two looks at the clock.
const STEPS: i32 = 1_000;

const SAVEPOINT: &str = "evenkeel_effect";

/// What a connection runs effects with.
#[derive(Default)]
pub(super) struct Effects {
    /// Whether one is running, so that what is prepared is the author's; `None` before the first one.
    is_running: Option<Arc<AtomicBool>>,
}

impl Effects {
    /// Runs an effect, and takes back what it has written if it fails. What others have written in the transaction may be taken
    /// back with it: then the connection is in none any more.
    ///
    /// The outer error is one of the disk, and is no fault of the effect's.
    pub(super) fn run(
        &mut self,
        connection: &mut Connection,
        effect: &Effect,
    ) -> rusqlite::Result<Result<()>> {
        let is_running = self.guard(connection)?;
        connection.prepare_cached(&format!("SAVEPOINT {SAVEPOINT}"))?.execute([])?;
        // It is judged when it is prepared: what is ours, or was prepared before, must not be found ready.
        connection.flush_prepared_statement_cache();
        let (until, is_late) = watch(connection)?;
        is_running.store(true, Relaxed);
        let ran = effect.run(connection);
        is_running.store(false, Relaxed);
        connection.progress_handler(0, None::<fn() -> bool>)?;
        // Also where it was long outside of SQLite, and nothing has interrupted it. One that has failed by itself says why.
        let is_late = is_late.load(Relaxed) || ran.is_ok() && Instant::now() >= until;
        let ran = if is_late { Err(late()) } else { ran };
        if let Some(fault) = ran.as_ref().err().and_then(fault_of_disk) {
            return Err(fault);
        }
        // An interrupted write ends the transaction, and so does `ON CONFLICT ROLLBACK`.
        if connection.is_autocommit() {
            return Ok(ran.and_then(|()| Err(Error::new("the effect has ended the transaction of others"))));
        }
        if ran.is_err() {
            connection.prepare_cached(&format!("ROLLBACK TO {SAVEPOINT}"))?.execute([])?;
        }
        connection.prepare_cached(&format!("RELEASE {SAVEPOINT}"))?.execute([])?;
        Ok(ran)
    }

    /// Keeps effects from what is ours. From the first one on: it makes all statements be prepared once more.
    fn guard(&mut self, connection: &mut Connection) -> rusqlite::Result<Arc<AtomicBool>> {
        if let Some(is_running) = &self.is_running {
            return Ok(Arc::clone(is_running));
        }
        let is_running = Arc::new(AtomicBool::new(false));
        let is_author = Arc::clone(&is_running);
        connection.authorizer(Some(move |context: AuthContext<'_>| {
            if is_author.load(Relaxed) { judge(&context.action) } else { Authorization::Allow }
        }))?;
        Ok(Arc::clone(self.is_running.insert(is_running)))
    }
}

/// Has whatever runs from now on interrupted when its time is over: when that is, and whether it has happened.
fn watch(connection: &mut Connection) -> rusqlite::Result<(Instant, Arc<AtomicBool>)> {
    let is_late = Arc::new(AtomicBool::new(false));
    let (until, ends) = (Instant::now() + LONGEST, Arc::clone(&is_late));
    let look = move || {
        let is_over = Instant::now() >= until;
        ends.fetch_or(is_over, Relaxed);
        is_over
    };
    connection.progress_handler(STEPS, Some(look))?;
    Ok((until, is_late))
}

/// Whether an effect may do this: read and change rows that are not ours, and nothing that concerns the file as a whole.
fn judge(action: &AuthAction<'_>) -> Authorization {
    let is_allowed = match action {
        AuthAction::Read { table_name, .. }
        | AuthAction::Insert { table_name }
        | AuthAction::Update { table_name, .. }
        | AuthAction::Delete { table_name } => !TABLES.contains(table_name),
        AuthAction::Savepoint { savepoint_name, .. } => *savepoint_name != SAVEPOINT,
        AuthAction::Select | AuthAction::Recursive | AuthAction::Function { .. } => true,
        _ => false,
    };
    if is_allowed { Authorization::Allow } else { Authorization::Deny }
}

fn late() -> Error {
    Error::new("the effect took longer than its 50 ms, in which everybody waits, and was taken back")
        .with_hint("write less at once, find rows by an index, and compute what is to be written before")
}

/// What failed is the disk, as far as the effect has said so: all of the batch is written again.
fn fault_of_disk(error: &Error) -> Option<rusqlite::Error> {
    let cause = error.find::<rusqlite::Error>()?.sqlite_error()?;
    let is_fault = matches!(
        cause.code,
        ErrorCode::DiskFull
            | ErrorCode::SystemIoFailure
            | ErrorCode::OutOfMemory
            | ErrorCode::DatabaseCorrupt
    );
    is_fault.then(|| rusqlite::Error::SqliteFailure(*cause, Some(error.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::sqlite::retention::Retention;
    use crate::journal::sqlite::schema;
    use crate::journal::sqlite::session::Session;
    use crate::journal::store::{Batch, Epoch, Partition, Sync, Verdict, Work};
    use crate::sqlite::writer::Session as _;

    fn session() -> Session {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::create(&mut connection, 0).unwrap();
        connection.execute_batch("CREATE TABLE note(name TEXT PRIMARY KEY)").unwrap();
        Session::open(connection, &Retention { hours: 1, rows: 1, young: 1 }).unwrap()
    }

    fn sql(text: &'static str) -> Effect {
        Effect::new(move |connection: &Connection| Ok(connection.execute_batch(text)?))
    }

    /// What became of each effect: nothing, or its error.
    fn commit(session: &mut Session, effects: impl IntoIterator<Item = Effect>) -> Vec<Option<String>> {
        let work = |effect| {
            let (partition, epoch, changes, intake) = (Partition::WHOLE, Epoch(0), Vec::new(), Vec::new());
            Work { partition, epoch, changes, intake, effect: Some(effect) }
        };
        let work = effects.into_iter().map(work).collect();
        let batch = Batch { cursors: Vec::new(), intake: Vec::new(), work, now_ms: None, sync: Sync::Lazy };
        let Ok(committed) = session.commit(&batch) else { panic!("the batch has failed") };
        let told = |verdict| match verdict {
            Verdict::Kept(_) => None,
            Verdict::EffectFailed(error) => Some(error.to_string()),
            Verdict::Fenced => panic!("nobody else is there"),
        };
        committed.work.into_iter().map(told).collect()
    }

    fn notes(session: &Session) -> String {
        let sql = "SELECT coalesce(group_concat(name, ' '), '') FROM note";
        session.connection().query_row(sql, [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn what_is_ours_is_no_table_of_an_effect() {
        let mut session = session();
        let sql_of_ours = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'note'";
        let mut ours: Vec<String> = {
            let mut statement = session.connection().prepare(sql_of_ours).unwrap();
            statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
        };
        ours.sort_unstable();
        let mut known = TABLES;
        known.sort_unstable();
        assert_eq!(ours, known);
        let refused = [
            "DELETE FROM event",
            "INSERT INTO command(body) VALUES ('x')",
            "UPDATE state SET last = 0",
            "INSERT INTO note SELECT key FROM seen",
            "SELECT count(*) FROM job",
            "DROP TABLE letter",
            "ALTER TABLE value RENAME TO other",
            "CREATE INDEX mine ON event(due_ms)",
            "CREATE TRIGGER mine AFTER INSERT ON event BEGIN DELETE FROM note; END",
            "CREATE TABLE child(event INTEGER REFERENCES event(sequence))",
            "COMMIT",
            "ROLLBACK",
            "RELEASE evenkeel_effect",
            "PRAGMA synchronous = OFF",
            "ATTACH ':memory:' AS other",
        ];
        for text in refused {
            let failed = commit(&mut session, [sql("INSERT INTO note VALUES ('lost')"), sql(text)]);
            let [None, Some(error)] = &failed[..] else { panic!("{text}: {failed:?}") };
            assert!(error.contains("not authorized") || error.contains("prohibited"), "{text}: {error}");
            session.connection().execute("DELETE FROM note", []).unwrap();
        }
        let allowed = "SAVEPOINT own; INSERT INTO note VALUES ('a'); ROLLBACK TO own; RELEASE own;
            INSERT INTO note SELECT upper('b'); UPDATE note SET name = name || 'c'";
        assert_eq!(commit(&mut session, [sql(allowed)]), [None]);
        assert_eq!(notes(&session), "Bc");
    }

    const ENDLESS: &str =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";

    #[test]
    fn an_effect_that_does_not_end_fails_alone() {
        let endless = format!("INSERT OR IGNORE INTO note {ENDLESS}");
        let writing = Effect::new(move |connection: &Connection| Ok(connection.execute_batch(&endless)?));
        let unheard = Effect::new(|connection: &Connection| {
            connection.execute("INSERT INTO note VALUES ('lost')", [])?;
            let _interrupted = connection.query_row(ENDLESS, [], |_| Ok(()));
            Ok(())
        });
        for endless in [writing, unheard] {
            let mut session = session();
            let effects =
                [sql("INSERT INTO note VALUES ('first')"), endless, sql("INSERT INTO note VALUES ('last')")];
            let told = commit(&mut session, effects);
            assert!(matches!(&told[..], [None, Some(error), None] if error.contains("50 ms")), "{told:?}");
            assert_eq!(notes(&session), "first last");
            assert_eq!(session.counters().effects, 2, "what is kept is counted once");
        }
    }

    #[test]
    fn an_effect_that_takes_its_time_outside_of_sqlite_is_not_kept_either() {
        let mut session = session();
        let sleeps = Effect::new(|connection: &Connection| {
            connection.execute("INSERT INTO note VALUES ('slow')", [])?;
            std::thread::sleep(LONGEST);
            Ok(())
        });
        let told = commit(&mut session, [sql("INSERT INTO note VALUES ('first')"), sleeps]);
        assert!(matches!(&told[..], [None, Some(error)] if error.contains("50 ms")), "{told:?}");
        assert_eq!(notes(&session), "first");
    }

    #[test]
    fn an_effect_finds_no_statement_of_ours_ready() {
        let mut session = session();
        for text in ["COMMIT", "BEGIN IMMEDIATE", "DELETE FROM event WHERE sequence = ?1", RELEASE] {
            assert_eq!(commit(&mut session, [sql("INSERT INTO note VALUES ('first')")]), [None]);
            drop(session.connection().prepare_cached(text));
            let uses = Effect::new(move |connection: &Connection| {
                connection.execute("INSERT INTO note VALUES ('own')", [])?;
                let mut ready = connection.prepare_cached(text)?;
                let count = ready.parameter_count();
                ready.execute(rusqlite::params_from_iter(vec![1; count]))?;
                Ok(())
            });
            let told = commit(&mut session, [uses]);
            assert!(matches!(told[..], [Some(_)]), "{text}: {told:?}");
            assert_eq!(notes(&session), "first", "{text}");
            session.connection().execute("DELETE FROM note", []).unwrap();
        }
    }

    const RELEASE: &str = "RELEASE evenkeel_effect";

    #[test]
    fn an_effect_that_ends_the_transaction_of_others_fails_alone() {
        let twice = "INSERT INTO note VALUES ('twice'); INSERT OR ROLLBACK INTO note VALUES ('twice')";
        let unheard = Effect::new(move |connection: &Connection| {
            let _unheard = connection.execute_batch(twice);
            Ok(())
        });
        for twice in [sql(twice), unheard] {
            let mut session = session();
            let effects =
                [sql("INSERT INTO note VALUES ('first')"), twice, sql("INSERT INTO note VALUES ('last')")];
            let told = commit(&mut session, effects);
            assert!(matches!(told[..], [None, Some(_), None]), "{told:?}");
            assert_eq!(notes(&session), "first last");
        }
    }

    #[test]
    fn a_full_disk_is_no_fault_of_an_effect() {
        let of = |code| {
            let error = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
            fault_of_disk(&Error::from(error)).is_some()
        };
        assert!(of(rusqlite::ffi::SQLITE_FULL) && of(rusqlite::ffi::SQLITE_IOERR_WRITE));
        assert!(!of(rusqlite::ffi::SQLITE_CONSTRAINT) && !of(rusqlite::ffi::SQLITE_INTERRUPT));
        assert!(fault_of_disk(&Error::new("no")).is_none());
    }
}
