//! What the operator sees of dead letters, jobs and guarantees, and does about them and about the quarantine.

use std::borrow::Cow;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Json, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::{Stream, stream};
use serde::{Deserialize, Serialize};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::{BotHandles, Refusal};
use crate::command::{CommandSpec, Parameter};
use crate::error::{Error, Result};
use crate::guarantee::Guarantees;
use crate::job::Waiting;
use crate::journal::{BareDead, Dead, DeadFilter, Job, Reason};
use crate::operator::DeadLetters;
use crate::status::SlowHandler;
use crate::visible;

/// Dead letters and jobs that are shown at first,
const SHOWN: usize = 50;
/// and at most.
const MOST_SHOWN: usize = 1000;
/// Dead letters that an export asks for at once: replies come with their files.
const EXPORTED: usize = 100;
/// How often the letters are counted.
const COUNTED_EVERY: Duration = Duration::from_secs(1);
/// A handler that has run for longer is shown with where it waits.
const SLOW: Duration = Duration::from_secs(10);
/// How long an answer that the journal gives is waited for.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn routes() -> Router<BotHandles> {
    Router::new()
        .route("/api/dead", get(dead))
        .route("/api/dead/export", get(export))
        .route("/api/dead/replay", post(replay))
        .route("/api/dead/discard", post(discard))
        .route("/api/jobs", get(jobs))
        .route("/api/jobs/cancel", post(cancel))
        .route("/api/commands", get(commands))
        .route("/api/guarantees", get(guarantees))
        .route("/api/slow", get(slow))
        .route("/api/pardon", post(pardon))
}

fn stopped() -> Error {
    Error::new("the bot has stopped")
}

/// Waits for what the bot asks its journal, but not for ever.
async fn answered<T>(answer: impl Future<Output = Option<T>>) -> Result<T> {
    let answer = timeout(PATIENCE, answer).await.map_err(|_| {
        Error::new("the journal does not answer: its disk may be full or slow, or another program keeps it to itself; what was asked for may still happen")
    })?;
    answer.ok_or_else(stopped)
}

/// Which dead letters are looked at. Texts are shown to nobody who does not ask for them.
#[derive(Deserialize)]
struct Look {
    reason: Option<Reason>,
    #[serde(default)]
    text: bool,
    shown: Option<usize>,
}

impl Look {
    fn filter(&self, limit: usize) -> DeadFilter {
        DeadFilter { reason: self.reason, limit: Some(limit), ..DeadFilter::default() }
    }
}

/// How many of what was asked for are shown.
fn shown(asked: Option<usize>) -> usize {
    asked.unwrap_or(SHOWN).clamp(1, MOST_SHOWN)
}

/// The first letters or jobs, and whether there are more.
#[derive(Serialize)]
struct First<T> {
    first: Vec<T>,
    has_more: bool,
}

impl<T> First<T> {
    /// One more than is shown was asked for, to see whether there is one.
    fn of(mut found: Vec<T>, shown: usize) -> Self {
        let has_more = found.len() > shown;
        found.truncate(shown);
        Self { first: found, has_more }
    }
}

#[derive(Serialize)]
struct Letter<'a> {
    #[serde(flatten)]
    bare: BareDead<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    texts: Option<Vec<(&'static str, String)>>,
}

/// The letters, and how many were given up since the bot began: anyone who has seen these has seen this many.
#[derive(Serialize)]
struct Letters<'a> {
    #[serde(flatten)]
    letters: First<Letter<'a>>,
    given_up: u64,
}

async fn dead(State(handles): State<BotHandles>, Query(look): Query<Look>) -> Result<Response, Refusal> {
    // Counted first: what is given up in between is in the list and not yet in the count, never the other way round.
    let given_up = handles.status.snapshot().await.ok_or_else(stopped)?.dead;
    let shown = shown(look.shown);
    let found = answered(handles.letters.list(look.filter(shown + 1))).await?;
    let texts = |dead: &Dead| look.text.then(|| dead.texts());
    let letters = found.iter().map(|dead| Letter { bare: dead.bare(), texts: texts(dead) });
    let letters = First::of(letters.collect(), shown);
    Ok(Json(Letters { letters, given_up }).into_response())
}

/// How many dead letters wait for a decision, whenever that has changed; at most [`MOST_SHOWN`] are counted. While the journal
/// does not answer, nothing is said. Stays silent once the bot has stopped.
pub(super) fn waiting_letters(letters: DeadLetters) -> impl Stream<Item = u64> {
    let mut tick = interval(COUNTED_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    stream::unfold((letters, tick, None), |(letters, mut tick, last)| async move {
        loop {
            tick.tick().await;
            let filter = DeadFilter { limit: Some(MOST_SHOWN), ..DeadFilter::default() };
            let Ok(count) = timeout(PATIENCE, letters.count(filter)).await else { continue };
            let count = count?;
            if last != Some(count) {
                return Some((count, (letters, tick, Some(count))));
            }
        }
    })
}

/// The same lines as those of `evenkeel dead export`, read while they are sent.
async fn export(State(handles): State<BotHandles>, Query(look): Query<Look>) -> Response {
    let filter = Some(look.filter(EXPORTED));
    let pages = stream::unfold((handles.letters, filter), move |(letters, filter)| async move {
        let (page, next) = exported(&letters, filter?, look.text).await;
        Some((page, (letters, next)))
    });
    let headers = [
        (header::CONTENT_TYPE, "application/x-ndjson"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"evenkeel-dead.jsonl\""),
    ];
    (headers, Body::from_stream(pages)).into_response()
}

/// One page, and where the next begins. An error breaks the download off: half of it is not taken for all.
async fn exported(
    letters: &DeadLetters,
    filter: DeadFilter,
    has_text: bool,
) -> (Result<Bytes, String>, Option<DeadFilter>) {
    let found = match answered(letters.list(filter.clone())).await {
        Ok(found) => found,
        Err(error) => return (Err(error.chain()), None),
    };
    let after = found.last().map(|last| (last.at_ms, last.id));
    let next = (found.len() == EXPORTED).then_some(DeadFilter { after, ..filter });
    let mut text = String::new();
    for dead in &found {
        let line = if has_text { serde_json::to_string(dead) } else { serde_json::to_string(&dead.bare()) };
        match line {
            Ok(line) => text.push_str(&line),
            Err(error) => return (Err(error.to_string()), None),
        }
        text.push('\n');
    }
    (Ok(text.into()), next)
}

/// Which dead letters are to be changed. All of them only where that is said.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Chosen {
    /// By its name.
    One(String),
    /// Those of this reason, or of any.
    All { reason: Option<Reason> },
}

impl Chosen {
    fn filter(self) -> Result<DeadFilter> {
        let none = DeadFilter::default();
        Ok(match self {
            Self::One(id) => DeadFilter { id: Some(id.parse()?), ..none },
            Self::All { reason } => DeadFilter { reason, ..none },
        })
    }
}

async fn replay(State(handles): State<BotHandles>, Json(chosen): Json<Chosen>) -> Result<Json<u64>, Refusal> {
    Ok(Json(answered(handles.letters.replay(chosen.filter()?)).await?))
}

async fn discard(
    State(handles): State<BotHandles>,
    Json(chosen): Json<Chosen>,
) -> Result<Json<u64>, Refusal> {
    Ok(Json(answered(handles.letters.discard(chosen.filter()?)).await?))
}

#[derive(Serialize)]
struct Planned<'a> {
    name: &'a str,
    due_ms: u64,
    /// `None` when the job cannot be read.
    function: Option<String>,
    schedule: Option<String>,
    /// `None` for the schedules of the router.
    conversation: Option<Cow<'a, str>>,
    /// What the function will be given, as JSON: a reminder says here what it will say. `None` for none, and where it cannot be
    /// read.
    args: Option<serde_json::Value>,
}

impl<'a> Planned<'a> {
    fn new(job: &'a Job) -> Self {
        let waiting = Waiting::read(job);
        let args = waiting.as_ref().and_then(|waiting| waiting.args::<serde_json::Value>().ok());
        let args = args.filter(|args| !args.is_null());
        let (function, schedule) = waiting.map(|waiting| (waiting.function, waiting.schedule)).unzip();
        Self {
            name: &job.name,
            due_ms: job.due_ms,
            function,
            schedule: schedule.flatten(),
            conversation: job.chat(),
            args,
        }
    }
}

#[derive(Deserialize)]
struct Plans {
    shown: Option<usize>,
}

async fn jobs(State(handles): State<BotHandles>, Query(plans): Query<Plans>) -> Result<Response, Refusal> {
    let shown = shown(plans.shown);
    let found = answered(handles.jobs.list(None, None, shown + 1)).await?;
    Ok(Json(First::of(found.iter().map(Planned::new).collect(), shown)).into_response())
}

#[derive(Deserialize)]
struct Cancel {
    name: String,
}

/// Answers whether there was such a job.
async fn cancel(
    State(handles): State<BotHandles>,
    Json(cancel): Json<Cancel>,
) -> Result<Json<bool>, Refusal> {
    Ok(Json(answered(handles.jobs.cancel(cancel.name)).await?))
}

/// What people can ask for.
#[derive(Serialize)]
struct Command<'a> {
    name: &'a str,
    usage: Option<&'a str>,
    about: Option<&'a str>,
    aliases: &'a [String],
    is_hidden: bool,
    /// Whether it is for some people or in some conversations alone. Who they are is in the bot's program.
    is_restricted: bool,
    parameters: Vec<Taken<'a>>,
}

/// What a command takes.
#[derive(Serialize)]
struct Taken<'a> {
    name: &'a str,
    /// In the words of people.
    kind: String,
    about: Option<&'a str>,
    is_required: bool,
}

impl<'a> Command<'a> {
    fn new(spec: &'a CommandSpec) -> Self {
        let taken = |one: &'a Parameter| Taken {
            name: &one.name,
            kind: one.kind.to_string(),
            about: one.about.as_deref(),
            is_required: one.is_required,
        };
        Self {
            name: &spec.name,
            usage: spec.usage.as_deref(),
            about: spec.about.as_deref(),
            aliases: &spec.aliases,
            is_hidden: spec.is_hidden,
            is_restricted: spec.senders.is_some() || spec.conversations.is_some(),
            parameters: spec.parameters.iter().map(taken).collect(),
        }
    }
}

async fn commands(State(handles): State<BotHandles>) -> Response {
    let commands: Vec<_> = handles.status.specs().iter().map(Command::new).collect();
    Json(commands).into_response()
}

/// On which of the bot's networks; the first one unless told.
#[derive(Deserialize)]
struct On {
    network: Option<String>,
}

async fn guarantees(
    State(handles): State<BotHandles>,
    Query(on): Query<On>,
) -> Result<Json<Guarantees>, Refusal> {
    let Some(network) = on.network else {
        return Ok(Json(handles.status.guarantees().await.ok_or_else(stopped)?));
    };
    let nowhere =
        || Error::new(format!("the bot is not on the network `{}`, or has stopped", visible(&network)));
    Ok(Json(handles.status.guarantees_on(&network).await.ok_or_else(nowhere)?))
}

/// The handlers that have run for long, and where each waits.
async fn slow(State(handles): State<BotHandles>) -> Result<Json<Vec<SlowHandler>>, Refusal> {
    Ok(Json(handles.status.slow_handlers(SLOW).await.ok_or_else(stopped)?))
}

#[derive(Deserialize)]
struct Pardon {
    /// The command as the quarantine lists it.
    name: String,
}

/// Lets a command go from quarantine, and answers how many of this name there were.
async fn pardon(
    State(handles): State<BotHandles>,
    Json(pardon): Json<Pardon>,
) -> Result<Json<usize>, Refusal> {
    let pardoned = handles.status.pardon(pardon.name).await;
    let pardoned =
        pardoned.ok_or_else(|| Error::new("the bot has stopped: its quarantine is gone with it"))?;
    Ok(Json(pardoned))
}
