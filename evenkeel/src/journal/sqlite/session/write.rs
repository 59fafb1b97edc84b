//! Changes and what comes in, as statements.

use std::collections::BTreeMap;

use rusqlite::{OptionalExtension, params};

use super::Session;
use crate::error::Error;
use crate::event::MessageId;
use crate::journal::sqlite::schema::{event, letter};
use crate::journal::store::{
    Batch, Body, Change, Committed, Death, EventId, EventStage, EventState, Intake, Key, Mark, NewRow,
    Partition, ReplyId, ReplyStage, ReplyState, Row, Taken, Verdict, Work,
};
use crate::sqlite::content::{int, natural};

/// What a statement answers of which nobody wants to know the number of rows.
type Done = rusqlite::Result<()>;

impl Session {
    /// Writes a batch within a transaction in which its effects have been run, and of some of its works have failed.
    pub(super) fn write(
        &mut self,
        batch: &Batch<'_>,
        failed: &mut BTreeMap<usize, Error>,
    ) -> rusqlite::Result<Committed> {
        if let Some(now_ms) = batch.now_ms {
            self.counters.latest_ms = now_ms;
        }
        let intake = batch.intake.iter().map(|intake| self.take(intake)).collect::<rusqlite::Result<_>>()?;
        let verdict = |(at, work)| match failed.remove(&at) {
            Some(error) => Ok(Verdict::EffectFailed(error)),
            None => self.work(work),
        };
        let work = batch.work.iter().enumerate().map(verdict).collect::<rusqlite::Result<_>>()?;
        for (source, body) in &batch.cursors {
            let sql = "INSERT OR REPLACE INTO cursor(source, body) VALUES (?1, ?2)";
            self.execute(sql, (source, &body[..]))?;
        }
        Ok(Committed { intake, work })
    }

    fn work(&mut self, work: &Work<'_>) -> rusqlite::Result<Verdict> {
        if !self.owns(work.partition, work.epoch) {
            return Ok(Verdict::Fenced);
        }
        for change in &work.changes {
            match change {
                Change::Put(row) => self.put(row)?,
                Change::Mark(mark) => self.mark(mark)?,
                Change::Delete(key) => self.delete(key)?,
            }
        }
        let taken = work.intake.iter().map(|intake| self.take(intake)).collect::<rusqlite::Result<_>>()?;
        Ok(Verdict::Kept(taken))
    }

    fn take(&mut self, intake: &Intake<'_>) -> rusqlite::Result<Taken> {
        if let Some(id) = &intake.dedupe
            && !self.seen.add(&self.connection, id, self.counters.latest_ms)?
        {
            return Ok(Taken::Known(0));
        }
        match &intake.row {
            NewRow::Event { body, state, steps, replies } => {
                let id = self.next();
                self.insert_event(id, state, &intake.conversation, body)?;
                steps.iter().try_for_each(|(name, value)| self.put_step(id, name, value))?;
                for (index, state, sent_id) in replies {
                    let id = ReplyId { event: id, index: *index };
                    self.put_reply(id, state, "", "", sent_id.as_ref(), &Body::Empty)?;
                }
                Ok(Taken::New(id.bits()))
            }
            NewRow::Reply { body, state, command, more } => {
                let event = self.next();
                let all =
                    std::iter::once((body, state)).chain(more.iter().map(|(body, state)| (body, state)));
                for ((body, state), index) in all.zip(0..) {
                    self.put_reply(
                        ReplyId { event, index },
                        state,
                        &intake.conversation,
                        command,
                        None,
                        body,
                    )?;
                }
                Ok(Taken::New(event.bits()))
            }
            NewRow::Job { name, due_ms, body, keeps_due } => {
                self.take_job(name, &intake.conversation, *due_ms, body, *keeps_due)
            }
            NewRow::Command(body) => {
                self.execute("INSERT INTO command(body) VALUES (?1)", [&body[..]])?;
                Ok(Taken::New(natural(self.connection.last_insert_rowid())))
            }
        }
    }

    fn next(&mut self) -> EventId {
        self.counters.last += 1;
        EventId::new(Partition::WHOLE, self.counters.last)
    }

    fn insert_event(&mut self, id: EventId, state: &EventState, conversation: &str, body: &Body<'_>) -> Done {
        let sql = "INSERT INTO event(sequence, state, attempts, crashes, begun, due_ms, conversation, content) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        body.write(&mut self.buffer);
        let EventState { stage, attempts, crashes, has_begun, due_ms } = *state;
        let numbers = (stage_of_event(stage), attempts, crashes, has_begun, int(due_ms));
        self.execute(
            sql,
            params![
                int(id.bits()),
                numbers.0,
                numbers.1,
                numbers.2,
                numbers.3,
                numbers.4,
                conversation,
                text(&self.buffer)
            ],
        )
    }

    fn take_job(
        &mut self,
        name: &str,
        conversation: &str,
        due_ms: u64,
        body: &[u8],
        keeps_due: bool,
    ) -> rusqlite::Result<Taken> {
        if keeps_due {
            let sql = "SELECT id FROM job WHERE name = ?1 AND body = ?2";
            let mut statement = self.connection.prepare_cached(sql)?;
            if let Some(id) = statement.query_row((name, body), |row| row.get(0)).optional()? {
                return Ok(Taken::Known(natural(id)));
            }
        }
        self.execute("DELETE FROM job WHERE name = ?1", [name])?;
        self.counters.last_job += 1;
        let id = self.counters.last_job;
        let sql = "INSERT INTO job(id, due_ms, name, conversation, body) VALUES (?1, ?2, ?3, ?4, ?5)";
        self.execute(sql, (int(id), int(due_ms), name, conversation, body))?;
        Ok(Taken::New(id))
    }

    fn put(&mut self, row: &Row<'_>) -> Done {
        match row {
            Row::Reply { id, state, conversation, command, sent_id, body } => {
                self.counters.last = self.counters.last.max(id.event.number());
                self.put_reply(*id, state, conversation, command, *sent_id, body)
            }
            Row::Step(id, name, value) => self.put_step(*id, name, value),
            Row::Value(scope, name, value) => {
                let sql = "INSERT OR REPLACE INTO value(conversation, name, value) VALUES (?1, ?2, ?3)";
                self.execute(sql, (scope.as_str(), name, &value[..]))
            }
        }
    }

    fn put_step(&self, id: EventId, name: &str, value: &[u8]) -> Done {
        let sql = "INSERT OR REPLACE INTO step(sequence, name, value) VALUES (?1, ?2, ?3)";
        self.execute(sql, (int(id.bits()), name, value))
    }

    fn put_reply(
        &mut self,
        id: ReplyId,
        state: &ReplyState,
        conversation: &str,
        command: &str,
        sent_id: Option<&MessageId>,
        body: &Body<'_>,
    ) -> Done {
        let files = body.write(&mut self.buffer);
        let sql = "INSERT OR REPLACE INTO letter(sequence, number, state, attempts, due_ms, files, sent_id, conversation, \
                   command, content) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
        self.execute(
            sql,
            params![
                int(id.event.bits()),
                id.index,
                stage_of_reply(state.stage),
                state.attempts,
                int(state.due_ms),
                state.has_files,
                sent_id.map(MessageId::as_str),
                conversation,
                command,
                text(&self.buffer)
            ],
        )?;
        let Some(files) = files else { return Ok(()) };
        // Those of the row that was there before, if any.
        self.delete(&Key::Files(id))?;
        let sql = "INSERT INTO file(sequence, number, bytes) VALUES (?1, ?2, ?3)";
        self.execute(sql, (int(id.event.bits()), id.index, files))
    }

    fn mark(&mut self, mark: &Mark<'_>) -> Done {
        match mark {
            Mark::Event(id, state, death) => {
                let EventState { stage, attempts, crashes, has_begun, due_ms } = *state;
                let numbers = (stage_of_event(stage), attempts, crashes, has_begun, int(due_ms));
                let (reason, error, command, at_ms) = columns(death.as_ref());
                let sql = "UPDATE event SET state = ?2, attempts = ?3, crashes = ?4, begun = ?5, due_ms = ?6, \
                           reason = ?7, error = ?8, command = ?9, at_ms = ?10 WHERE sequence = ?1";
                let id = int(id.bits());
                self.execute(
                    sql,
                    params![
                        id, numbers.0, numbers.1, numbers.2, numbers.3, numbers.4, reason, error, command,
                        at_ms
                    ],
                )
            }
            Mark::Reply(id, state, death) => {
                let ReplyState { stage, attempts, due_ms, has_files } = *state;
                let (reason, error, command, at_ms) = columns(death.as_ref());
                let sql = "UPDATE letter SET state = ?3, attempts = ?4, due_ms = ?5, files = ?6, reason = ?7, \
                           error = ?8, command = coalesce(?9, command), at_ms = ?10 WHERE sequence = ?1 AND number = ?2";
                let (event, stage) = (int(id.event.bits()), stage_of_reply(stage));
                self.execute(
                    sql,
                    params![
                        event,
                        id.index,
                        stage,
                        attempts,
                        int(due_ms),
                        has_files,
                        reason,
                        error,
                        command,
                        at_ms
                    ],
                )
            }
            Mark::Job(id, due_ms) => {
                self.execute("UPDATE job SET due_ms = ?2 WHERE id = ?1", (int(*id), int(*due_ms)))
            }
            Mark::Command(id, outcome) => {
                self.outcomes.came();
                self.execute("UPDATE command SET outcome = ?2, body = '' WHERE id = ?1", (int(*id), outcome))
            }
        }
    }

    fn delete(&mut self, key: &Key<'_>) -> Done {
        let of = |id: &ReplyId| (int(id.event.bits()), id.index);
        match key {
            Key::Event(id) => self.execute("DELETE FROM event WHERE sequence = ?1", [int(id.bits())]),
            Key::Reply(id) => self.execute("DELETE FROM letter WHERE sequence = ?1 AND number = ?2", of(id)),
            Key::Files(id) => self.execute("DELETE FROM file WHERE sequence = ?1 AND number = ?2", of(id)),
            Key::Steps(id) => self.execute("DELETE FROM step WHERE sequence = ?1", [int(id.bits())]),
            Key::Value(scope, name) => self
                .execute("DELETE FROM value WHERE conversation = ?1 AND name = ?2", (scope.as_str(), name)),
            Key::Job(id) => self.execute("DELETE FROM job WHERE id = ?1", [int(*id)]),
        }
    }

    fn execute(&self, sql: &str, params: impl rusqlite::Params) -> Done {
        self.connection.prepare_cached(sql)?.execute(params).map(drop)
    }
}

fn text(json: &[u8]) -> &str {
    std::str::from_utf8(json).expect("JSON is UTF-8")
}

type Columns<'a> = (Option<&'a str>, Option<&'a str>, Option<&'a str>, Option<i64>);

fn columns<'a>(death: Option<&'a Death<'_>>) -> Columns<'a> {
    match death {
        Some(death) => {
            (Some(death.reason.word()), Some(&*death.error), Some(&*death.command), Some(int(death.at_ms)))
        }
        None => (None, None, None, None),
    }
}

fn stage_of_event(stage: EventStage) -> i64 {
    match stage {
        EventStage::Ready => event::READY,
        EventStage::Running => event::RUNNING,
        EventStage::Suspended => event::SUSPENDED,
        EventStage::Dead => event::DEAD,
        EventStage::Parked => event::PARKED,
    }
}

fn stage_of_reply(stage: ReplyStage) -> i64 {
    match stage {
        ReplyStage::Pending => letter::PENDING,
        ReplyStage::Sending => letter::SENDING,
        ReplyStage::Sent => letter::SENT,
        ReplyStage::Dead => letter::DEAD,
        ReplyStage::Decided => letter::DECIDED,
    }
}
