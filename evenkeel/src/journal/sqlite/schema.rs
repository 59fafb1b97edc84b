//! The tables.

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::sqlite::open::Layout;

/// Marks a file as ours: "EVKL".
const APPLICATION: i32 = 0x4556_4b4c;

/// The schema that this version writes. Forward only: [`STEPS`] leads to it from every earlier one.
pub(super) const VERSION: i32 = 2;

/// What the file of a journal holds.
pub(super) const LAYOUT: Layout = Layout { application: APPLICATION, version: VERSION, create, migrate };

/// What every file of ours can be asked, of whichever schema.
pub(super) const PROBE: &str = "SELECT last FROM state";

/// The tables of the present schema. Effects are kept from them.
pub(super) const TABLES: [&str; 12] = [
    "state",
    "seen",
    "seen_count",
    "young",
    "event",
    "letter",
    "file",
    "step",
    "value",
    "job",
    "cursor",
    "command",
];

/// What becomes of an event. What is at or above `DEAD` is in the list of dead letters.
pub(super) mod event {
    pub(in crate::journal::sqlite) const READY: i64 = 0;
    pub(in crate::journal::sqlite) const RUNNING: i64 = 1;
    pub(in crate::journal::sqlite) const SUSPENDED: i64 = 2;
    pub(in crate::journal::sqlite) const DEAD: i64 = 3;
    pub(in crate::journal::sqlite) const PARKED: i64 = 4;
}

/// What becomes of a reply.
pub(super) mod letter {
    pub(in crate::journal::sqlite) const PENDING: i64 = 0;
    pub(in crate::journal::sqlite) const SENDING: i64 = 1;
    pub(in crate::journal::sqlite) const SENT: i64 = 2;
    pub(in crate::journal::sqlite) const DEAD: i64 = 3;
    /// It was dead, and is replayed or discarded: the fact is left for the next attempt of its event.
    pub(in crate::journal::sqlite) const DECIDED: i64 = 4;
}

/// Content comes last in each row, so that the short columns are read without it. Files lie apart from their reply,
/// because changing a row rewrites all of it.
const FIRST: &str = "
CREATE TABLE state(
    id INTEGER PRIMARY KEY CHECK (id = 1),
    batch INTEGER NOT NULL DEFAULT 0,
    last INTEGER NOT NULL DEFAULT 0,
    last_job INTEGER NOT NULL DEFAULT 0,
    latest_ms INTEGER NOT NULL DEFAULT 0,
    born_ms INTEGER NOT NULL,
    seen_key BLOB NOT NULL);
CREATE TABLE seen(key BLOB PRIMARY KEY, period INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE seen_young0(number INTEGER PRIMARY KEY, key BLOB NOT NULL, period INTEGER NOT NULL);
CREATE TABLE seen_young1(number INTEGER PRIMARY KEY, key BLOB NOT NULL, period INTEGER NOT NULL);
CREATE TABLE seen_count(period INTEGER PRIMARY KEY, rows INTEGER NOT NULL);
CREATE TABLE event(
    sequence INTEGER PRIMARY KEY,
    state INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    crashes INTEGER NOT NULL,
    begun INTEGER NOT NULL,
    due_ms INTEGER NOT NULL,
    facts INTEGER NOT NULL DEFAULT 0,
    at_ms INTEGER,
    reason TEXT,
    command TEXT,
    conversation TEXT,
    error TEXT,
    content TEXT NOT NULL);
CREATE INDEX event_dead ON event(sequence) WHERE state >= 3;
CREATE TABLE letter(
    sequence INTEGER NOT NULL,
    number INTEGER NOT NULL,
    state INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    due_ms INTEGER NOT NULL,
    files INTEGER NOT NULL,
    sent_id TEXT,
    at_ms INTEGER,
    reason TEXT,
    command TEXT,
    conversation TEXT,
    error TEXT,
    content TEXT NOT NULL,
    PRIMARY KEY (sequence, number)) WITHOUT ROWID;
CREATE INDEX letter_dead ON letter(sequence, number) WHERE state = 3;
CREATE TABLE file(sequence INTEGER NOT NULL, number INTEGER NOT NULL, bytes BLOB NOT NULL);
CREATE INDEX file_letter ON file(sequence, number);
CREATE TABLE step(
    sequence INTEGER NOT NULL, name TEXT NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (sequence, name)) WITHOUT ROWID;
CREATE TABLE value(
    conversation TEXT NOT NULL, name TEXT NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (conversation, name)) WITHOUT ROWID;
CREATE TABLE job(
    id INTEGER PRIMARY KEY,
    due_ms INTEGER NOT NULL,
    name TEXT NOT NULL UNIQUE,
    conversation TEXT NOT NULL,
    body BLOB NOT NULL);
CREATE INDEX job_due ON job(due_ms, id);
CREATE INDEX job_conversation ON job(conversation, due_ms, id) WHERE conversation <> '';
CREATE TABLE handed(kind INTEGER NOT NULL, sequence INTEGER NOT NULL, number INTEGER NOT NULL);
CREATE TRIGGER event_gone AFTER DELETE ON event WHEN old.facts > 0 BEGIN
    DELETE FROM step WHERE sequence = old.sequence;
    DELETE FROM letter WHERE sequence = old.sequence AND state IN (2, 4);
END;
CREATE TRIGGER letter_gone AFTER DELETE ON letter WHEN old.files > 0 BEGIN
    DELETE FROM file WHERE sequence = old.sequence AND number = old.number;
END;
CREATE TRIGGER letter_sent AFTER UPDATE OF state ON letter WHEN new.state = 2 AND old.files > 0 BEGIN
    DELETE FROM file WHERE sequence = old.sequence AND number = old.number;
END;
";

/// From the first schema to the second, without reading any content of ours: SQLite takes the conversations out of the JSON.
///
/// What another process had changed, in `handed`, is read with all else at a start. Triggers decided what goes with an event;
/// the rules do. Each young key had a row, and now each commit has one; those that were sorted in already are not young any
/// more, and are counted where they are.
const SECOND: &str = "
DROP TRIGGER event_gone;
DROP TRIGGER letter_gone;
DROP TRIGGER letter_sent;
DROP TABLE handed;
CREATE TABLE young(
    number INTEGER PRIMARY KEY,
    period INTEGER NOT NULL,
    last_job INTEGER NOT NULL,
    latest_ms INTEGER NOT NULL,
    keys BLOB NOT NULL);
INSERT INTO young SELECT number, period, last_job, latest_ms, key
    FROM (SELECT number, key, period FROM seen_young0 UNION ALL SELECT number, key, period FROM seen_young1), state
    WHERE typeof(key) = 'blob' AND length(key) = 12 AND key NOT IN (SELECT seen.key FROM seen)
    ORDER BY number;
UPDATE seen_count SET rows = rows - (SELECT count(*) FROM young WHERE young.period = seen_count.period);
DROP TABLE seen_young0;
DROP TABLE seen_young1;
CREATE TABLE cursor(source TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE command(id INTEGER PRIMARY KEY, body BLOB NOT NULL, outcome TEXT);
ALTER TABLE state ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;
ALTER TABLE state ADD COLUMN sorting INTEGER NOT NULL DEFAULT 0;
ALTER TABLE state ADD COLUMN partitions INTEGER NOT NULL DEFAULT 1;
ALTER TABLE state ADD COLUMN partition_hash TEXT NOT NULL DEFAULT 'fnv1a-64';
UPDATE event SET conversation = json_extract(content, '$.conversation.id')
    WHERE conversation IS NULL AND json_valid(content);
UPDATE letter SET conversation = json_extract(content, '$.conversation.id')
    WHERE conversation IS NULL AND state < 2 AND json_valid(content);
DROP INDEX event_dead;
DROP INDEX letter_dead;
CREATE INDEX event_dead ON event(iif(typeof(at_ms) = 'integer', at_ms, 0), sequence) WHERE state >= 3;
CREATE INDEX letter_dead ON letter(iif(typeof(at_ms) = 'integer', at_ms, 0), sequence, number) WHERE state = 3;
";

/// What leads from each schema to the next one, from none to the first.
const STEPS: [&str; VERSION as usize] = [FIRST, SECOND];

/// Fills an empty file, in one transaction. The caller has chosen page layout and journal mode.
pub(super) fn create(connection: &mut Connection, now_ms: i64) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(FIRST)?;
    transaction
        .execute("INSERT INTO state(id, born_ms, seen_key) VALUES (1, ?1, randomblob(16))", [now_ms])?;
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", 1)?;
    take_over(&transaction, 1)?;
    transaction.commit()
}

/// Makes a file of an earlier schema one of ours, in one transaction.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version >= VERSION {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    take_over(&transaction, version)?;
    transaction.commit()?;
    tracing::info!(from = version, to = VERSION, "the journal was taken over from an earlier version");
    Ok(())
}

fn take_over(transaction: &Transaction<'_>, version: i32) -> rusqlite::Result<()> {
    for step in STEPS.iter().skip(usize::try_from(version).unwrap_or(0)) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", VERSION)
}
