//! Entries as statements.

use super::dead::{self, Teller};
use super::event::Death;
use super::store::{Class, Store};
use super::{event, job, letter};
use crate::journal::{Answer, Entry, Replayed};

/// Why a batch was not written, and its answers in case it was after all: a commit may fail and be in the file.
pub(super) struct Failure {
    pub(super) error: rusqlite::Error,
    pub(super) answers: Option<Vec<Answer>>,
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self { error, answers: None }
    }
}

/// Writes a batch in one transaction, or in none if it only asks. Says which class it was.
pub(super) fn write(store: &mut Store, batch: &[Entry]) -> Result<(Vec<Answer>, Option<Class>), Failure> {
    store.look()?;
    let adopts = store.is_changed && batch.iter().any(|entry| matches!(entry, Entry::Adopt));
    if !adopts && batch.iter().all(Entry::is_question) {
        return Ok((apply_all(store, batch)?, None));
    }
    let class = if batch.iter().all(Entry::is_lazy) { Class::Normal } else { Class::Full };
    store.begin(class)?;
    let answers = apply_all(store, batch)?;
    store.settle()?;
    match store.commit() {
        Ok(()) => Ok((answers, Some(class))),
        Err(error) => Err(Failure { error, answers: Some(answers) }),
    }
}

fn apply_all(store: &mut Store, batch: &[Entry]) -> rusqlite::Result<Vec<Answer>> {
    batch.iter().map(|entry| apply(store, entry)).collect()
}

fn apply(store: &mut Store, entry: &Entry) -> rusqlite::Result<Answer> {
    match entry {
        Entry::Accept { event, now_ms, begins } => {
            return Ok(Answer::Accepted(event::accept(store, event, *now_ms, *begins)?));
        }
        Entry::Begin { sequence } => _ = event::begin(store, *sequence)?,
        Entry::Suspend { sequence } => _ = event::suspend(store, *sequence)?,
        Entry::Retry { sequence, due_ms } => _ = event::retry(store, *sequence, *due_ms)?,
        Entry::Return { sequence } => _ = event::give_back(store, *sequence)?,
        Entry::Done { sequence } => _ = event::forget(store, *sequence)?,
        Entry::Bury { sequence, reason, error, command, now_ms } => {
            let death = Death { reason: *reason, error, command, at_ms: *now_ms };
            event::bury(store, *sequence, &death)?;
        }
        Entry::Step { sequence, name, value } => event::step(store, *sequence, name, value)?,
        Entry::Promise { outbound, command, begins } => letter::promise(store, outbound, command, *begins)?,
        Entry::Sending { key, .. } => _ = letter::sending(store, *key)?,
        Entry::Sent { key, id } => letter::sent(store, *key, id.as_ref())?,
        Entry::Postpone { key, due_ms } => _ = letter::postpone(store, *key, *due_ms)?,
        Entry::BuryReply { key, reason, error, command, now_ms } => {
            let death = Death { reason: *reason, error, command, at_ms: *now_ms };
            letter::bury(store, *key, &death)?;
        }
        Entry::Drop { key } => _ = letter::forget(store, *key)?,
        Entry::Remember { conversation, name, value } => {
            job::remember(store, conversation, name, value.as_ref())?;
        }
        _ => return answer(store, entry),
    }
    Ok(Answer::Noted)
}

fn answer(store: &mut Store, entry: &Entry) -> rusqlite::Result<Answer> {
    Ok(match entry {
        Entry::Recall { conversation, name } => Answer::Recalled(job::recall(store, conversation, name)?),
        Entry::Schedule(new) => Answer::Scheduled(job::schedule(store, new)?),
        Entry::Cancel { name, conversation } => {
            Answer::Count(job::cancel(store, name, conversation.as_deref())? as u64)
        }
        Entry::Due { until_ms, limit } => job::list(store, None, None, *until_ms, *limit)?,
        Entry::Jobs { conversation, after, limit } => {
            job::list(store, conversation.as_deref(), *after, u64::MAX, *limit)?
        }
        Entry::Fire { job, due_ms, event, begins, next_ms, now_ms } => {
            store.saw(*now_ms);
            let is_due = job::advance(store, *job, *due_ms, *next_ms)?;
            match event {
                _ if !is_due => Answer::Count(0),
                Some(event) => Answer::Accepted(event::accept(store, event, *now_ms, *begins)?),
                None => Answer::Count(1),
            }
        }
        Entry::ListDead(filter) => Answer::Dead(dead::list(&store.connection, filter)?),
        Entry::CountDead(filter) => Answer::Count(dead::count(&store.connection, filter)?),
        Entry::Replay { filter, now_ms } => {
            store.saw(*now_ms);
            Answer::Replayed(dead::replay(store, filter, Teller::Bot)?)
        }
        Entry::Discard(filter) => {
            let (count, unparked) = dead::discard(store, filter, Teller::Bot)?;
            Answer::Discarded { count, unparked }
        }
        Entry::Adopt if store.is_changed => {
            let replayed = dead::adopt(store)?;
            store.is_changed = false;
            Answer::Replayed(replayed)
        }
        Entry::Adopt => Answer::Replayed(Replayed::default()),
        _ => unreachable!("`apply` takes the entries that are only noted"),
    })
}
