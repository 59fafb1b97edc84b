//! What a store shows, in a form that can be compared.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::broken::{Mismatch, rising, same};
use crate::event::{Event, MessageId};
use crate::journal::store::{EventId, EventState, JobFilter, JobKey, Parts, Reader, ReplyState, Scope};
use crate::journal::{Dead, DeadFilter, DeadId, Job};
use crate::reply::{Outbound, SendKey};

/// An event with all that hangs on it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) event: Option<(EventState, String)>,
    pub(super) replies: Vec<SeenReply>,
    pub(super) steps: Vec<(String, Bytes)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SeenReply {
    pub(super) index: u32,
    pub(super) state: ReplyState,
    pub(super) command: String,
    pub(super) sent_id: Option<MessageId>,
    pub(super) body: String,
}

/// What stands in the place of a body that cannot be read, or is none.
pub(super) const NOTHING: &str = "nothing";

impl Seen {
    /// What was asked for under this name.
    pub(super) fn of(id: EventId, parts: Parts) -> Result<Self, Mismatch> {
        let mut seen = Self { steps: parts.steps, ..Self::default() };
        if let Some(row) = parts.event {
            same("the number of an event among its own parts", &row.id, &id)?;
            let body = row.body.into_event().map_or_else(|| NOTHING.to_owned(), |event| event_text(&event));
            seen.event = Some((row.state, body));
        }
        for row in parts.replies {
            same("the number of the event of a reply among its parts", &row.id.event, &id)?;
            // Of what was sent only the fact counts.
            let body = if row.state.stage.is_fact() { None } else { row.body.into_reply(row.id) };
            let body = body.map_or_else(|| NOTHING.to_owned(), |reply| reply_text(&reply));
            let (index, state, command, sent_id) = (row.id.index, row.state, row.command, row.sent_id);
            seen.replies.push(SeenReply { index, state, command, sent_id, body });
        }
        rising("the replies of an event, by number", &seen.indices())?;
        let steps: Vec<_> = seen.steps.iter().map(|(name, _)| name).collect();
        rising("the steps of an event, by name", &steps)?;
        Ok(seen)
    }

    pub(super) fn indices(&self) -> Vec<u32> {
        self.replies.iter().map(|reply| reply.index).collect()
    }
}

pub(super) fn event_text(event: &Event) -> String {
    serde_json::to_string(event).expect("our own types become JSON")
}

/// Without its key, which is the name of its row.
pub(super) fn reply_text(reply: &Outbound) -> String {
    let bare = Outbound { key: SendKey { sequence: 0, index: 0 }, ..reply.clone() };
    serde_json::to_string(&bare).expect("our own types become JSON")
}

/// A dead letter, beside its name.
pub(super) fn dead_text(dead: &Dead) -> String {
    let Dead { reason, error, command, conversation, attempts, at_ms, .. } = dead;
    let body = dead.event().map(event_text).or_else(|| dead.reply().map(reply_text));
    let body = body.unwrap_or_else(|| NOTHING.to_owned());
    format!("{reason} {error:?} {command:?} {conversation:?} {attempts} {at_ms} {body}")
}

/// The scopes in which the promises keep values.
pub(super) fn scopes() -> [Scope<'static>; 6] {
    [
        Scope::BOT,
        Scope::conversation("alice"),
        Scope::conversation("bob"),
        Scope::person("alice"),
        Scope::person("bob"),
        Scope::network("alice"),
    ]
}

/// What is asked for by its number: two stores may give out other ones, so each has the name of its place here.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    pub(super) events: Vec<EventId>,
    pub(super) jobs: Vec<u64>,
    pub(super) commands: Vec<u64>,
}

impl Names {
    pub(super) fn event(&self, id: EventId) -> String {
        place(&self.events, &id)
    }

    pub(super) fn dead(&self, id: DeadId) -> String {
        match id {
            DeadId::Event(bits) => self.event(EventId::from_bits(bits)),
            DeadId::Reply(bits, index) => format!("{}.{index}", self.event(EventId::from_bits(bits))),
        }
    }

    pub(super) fn job(&self, job: &Job) -> String {
        let Job { id, name, conversation, due_ms, body } = job;
        format!("{} {name:?} of {conversation:?} at {due_ms}: {body:?}", place(&self.jobs, id))
    }
}

fn place<T: PartialEq>(all: &[T], wanted: &T) -> String {
    all.iter().position(|one| one == wanted).map_or_else(|| "?".to_owned(), |place| format!("#{place}"))
}

/// All dead letters that are meant, in the order of the list, each with its name here.
pub(super) async fn dead_lines<R: Reader>(
    reader: &mut R,
    filter: &DeadFilter,
    names: &Names,
) -> Result<Vec<String>, Mismatch> {
    let dead = reader.dead(filter).await?;
    let order: Vec<_> = dead.iter().map(|one| (one.at_ms, one.id)).collect();
    rising("dead letters by time and name", &order)?;
    let ids: Vec<_> = order.iter().map(|(_, id)| *id).collect();
    same("the names of dead letters, and the dead letters", &reader.dead_names(filter).await?, &ids)?;
    let line = |dead: &Dead| {
        let name = names.dead(dead.id);
        let line = format!("dead {name}: {}", dead_text(dead));
        (dead.at_ms, name, line)
    };
    let mut lines: Vec<_> = dead.iter().map(line).collect();
    // Where there are partitions, those of the same time come in another order.
    lines.sort();
    Ok(lines.into_iter().map(|(.., line)| line).collect())
}

/// The jobs that are meant, in the order of the list, each with its name here.
pub(super) async fn job_lines<R: Reader>(
    reader: &mut R,
    which: &JobFilter<'_>,
    names: &Names,
) -> Result<Vec<String>, Mismatch> {
    let (jobs, next_ms) = reader.jobs(which).await?;
    let order: Vec<_> = jobs.iter().map(|job| (job.due_ms, job.id)).collect();
    rising("jobs by time and number", &order)?;
    let mut lines: Vec<_> = jobs.iter().map(|job| format!("job {}", names.job(job))).collect();
    lines.push(format!("the next job is due at {next_ms:?}"));
    Ok(lines)
}

/// All that can be asked for.
pub(super) async fn lines<R: Reader>(reader: &mut R, names: &Names) -> Result<Vec<String>, Mismatch> {
    let mut lines = Vec::new();
    for id in &names.events {
        let seen = Seen::of(*id, reader.parts(*id).await?)?;
        lines.push(format!("event {}: {seen:?}", names.event(*id)));
    }
    lines.extend(dead_lines(reader, &DeadFilter::default(), names).await?);
    let all =
        JobFilter { partition: None, conversation: None, after: None, until_ms: u64::MAX, limit: usize::MAX };
    lines.extend(job_lines(reader, &all, names).await?);
    for id in &names.jobs {
        let job = reader.job(JobKey::Id(*id)).await?;
        if let Some(job) = &job {
            same("a job by its name", &reader.job(JobKey::Name(&job.name)).await?.as_ref(), &Some(job))?;
        }
        lines.push(format!("job {:?}", job.map(|job| names.job(&job))));
    }
    for scope in scopes() {
        let values = reader.values(&scope).await?;
        for (name, body) in &values {
            let one = reader.value(&scope, name).await?;
            same("a value by its name", &one.as_ref(), &Some(body))?;
        }
        let all: BTreeMap<_, _> = values.iter().cloned().collect();
        same("how many values have names of their own", &values.len(), &all.len())?;
        lines.push(format!("values of {:?}: {all:?}", scope.as_str()));
    }
    let commands = reader.commands().await?;
    rising("commands by number", &commands.iter().map(|(number, _)| *number).collect::<Vec<_>>())?;
    let waiting = commands.iter().map(|(number, body)| (place(&names.commands, number), body));
    lines.push(format!("commands that wait: {:?}", waiting.collect::<Vec<_>>()));
    for number in &names.commands {
        lines.push(format!("outcome: {:?}", reader.outcome(*number).await?));
    }
    Ok(lines)
}
