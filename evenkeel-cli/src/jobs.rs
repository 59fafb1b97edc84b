//! Jobs, from the terminal: what a bot will do later.

use std::borrow::Cow;
use std::path::PathBuf;
use std::process::ExitCode;

use evenkeel::Error;
use evenkeel::job::Waiting;
use evenkeel::journal::sqlite::JobAdmin;
use evenkeel::journal::{Job, is_schedule, title};
use serde::Serialize;

use crate::command::JobAction;
use crate::place::place;
use crate::table::{count, cut, line, now_ms, short, span, time};
use crate::terminal::{Failure, say, say_json};

/// How many are read at once.
const PAGE: usize = 1_000;

/// This many names are listed where one was not clear.
const SHOWN: usize = 5;

#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    due_ms: u64,
    /// `None` when the body cannot be read.
    function: Option<&'a str>,
    is_repeated: bool,
    /// When a job that repeats is due.
    schedule: Option<&'a str>,
    conversation: Option<Cow<'a, str>>,
}

/// Opens the journal and does what is wanted.
pub(crate) fn run(journal: Option<PathBuf>, action: JobAction) -> Result<ExitCode, Failure> {
    let mut jobs = place(journal)?.jobs()?;
    match action {
        JobAction::List { is_json } => list(&jobs, is_json)?,
        JobAction::Cancel { name } => cancel(&mut jobs, &name)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn list(jobs: &JobAdmin, is_json: bool) -> Result<(), Failure> {
    let (mut number, mut after, mut width, now_ms) = (0, None, 0, now_ms());
    loop {
        let page = jobs.list(None, after, PAGE)?;
        let Some(last) = page.last() else { break };
        after = Some((last.due_ms, last.id));
        let mut text = String::new();
        if number == 0 && !is_json {
            width = page.iter().map(|job| line(&job.name).chars().count()).max().unwrap_or(0);
            text.push_str(&cells(width, ["NAME", "DUE", "IN", "AGAIN", "CHAT", "FUNCTION"]));
        }
        number += page.len() as u64;
        for job in &page {
            text.push_str(&if is_json { json(job)? } else { row(width, job, now_ms) });
        }
        if is_json { say_json(&text)? } else { say(&text)? }
    }
    if !is_json {
        say(&format!("{}\n", count(number, "job", "jobs")))?;
    }
    Ok(())
}

fn row(width: usize, job: &Job, now_ms: u64) -> String {
    let waiting = Waiting::read(job);
    let again = waiting.as_ref().map_or("?", |waiting| waiting.schedule.as_deref().unwrap_or("no"));
    let function = waiting.as_ref().map_or("cannot be read", |waiting| &waiting.function);
    let wait = match job.due_ms.checked_sub(now_ms) {
        Some(ms) => span(ms),
        None => "now".into(),
    };
    let chat = short(job.chat().as_deref().unwrap_or("-"));
    let cell = [&line(&job.name), &time(job.due_ms), &wait, &cut(again, 30), &chat, &cut(function, 60)];
    cells(width, cell.map(String::as_str))
}

/// The names may be long, and anyone who cancels a job needs all of one: their column is as wide as the first page needs.
fn cells(width: usize, [name, due, wait, again, conversation, function]: [&str; 6]) -> String {
    let width = width.max(8);
    format!("{name:<width$}  {due:<23}  {wait:>6}  {again:<30}  {conversation:<10}  {function}\n")
}

fn json(job: &Job) -> Result<String, Error> {
    let waiting = Waiting::read(job);
    let line = Line {
        name: &title(&job.name),
        due_ms: job.due_ms,
        function: waiting.as_ref().map(|waiting| &*waiting.function),
        is_repeated: waiting.as_ref().is_some_and(|waiting| waiting.schedule.is_some()),
        schedule: waiting.as_ref().and_then(|waiting| waiting.schedule.as_deref()),
        conversation: job.chat(),
    };
    Ok(format!("{}\n", serde_json::to_string(&line)?))
}

/// Cancels the job that is meant: by the name that the list shows, or, where that is one job alone, by the number of its
/// event or by its function.
fn cancel(jobs: &mut JobAdmin, name: &str) -> Result<(), Failure> {
    let mut outcome = jobs.cancel(name)?;
    let mut name = name.to_owned();
    if !outcome.cancelled && !outcome.is_waiting {
        let meant = meant(jobs, &name)?;
        let [one] = &meant[..] else { return Err(several(jobs, &name, &meant)?.into()) };
        outcome = jobs.cancel(one)?;
        if !outcome.cancelled && !outcome.is_waiting {
            return Err(unclear(&name, &[]).into());
        }
        name.clone_from(one);
    }
    let shown = line(&name);
    if outcome.is_waiting {
        let told = "the running bot was told, and has not answered yet: it does this as soon as it can";
        say(&format!("{shown}: {told}\n"))?;
        return Ok(());
    }
    let again =
        if is_schedule(&name) { ": the program has it still, and its next start brings it back" } else { "" };
    say(&format!("cancelled {shown}{again}\n"))?;
    Ok(())
}

/// The names, as the journal has them, of the jobs that somebody may have meant. One that is shown so is no other.
fn meant(jobs: &JobAdmin, name: &str) -> Result<Vec<String>, Error> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = jobs.list(None, after, PAGE)?;
        let Some(last) = page.last() else { return Ok(found) };
        after = Some((last.due_ms, last.id));
        for job in &page {
            if line(&job.name) == line(name) {
                return Ok(vec![job.name.clone()]);
            }
            let function = Waiting::read(job).map(|waiting| waiting.function);
            let is_function = function.is_some_and(|function| {
                function == name || function.rsplit("::").next().is_some_and(|last| last == name)
            });
            let is_number = job.name.split_once('.').is_some_and(|(event, _)| event == name);
            if is_function || is_number {
                found.push(job.name.clone());
            }
        }
    }
}

/// A name may have spaces in it; but where there is none of that name, each word may have been meant for a job.
fn several(jobs: &JobAdmin, name: &str, meant: &[String]) -> Result<Error, Error> {
    let error = unclear(name, meant);
    let mut singles = Vec::new();
    let words = name.split_whitespace().filter(|word| meant.is_empty() && *word != name);
    for word in words.take(SHOWN) {
        if !self::meant(jobs, word)?.is_empty() {
            singles.push(format!("`evenkeel jobs cancel {}`", line(word)));
        }
    }
    match &singles[..] {
        [] => Ok(error),
        singles => Ok(error.with_hint(format!("one job at a time: {}", singles.join(", ")))),
    }
}

fn unclear(name: &str, meant: &[String]) -> Error {
    if meant.is_empty() {
        return Error::new(format!("there is no job `{name}`"))
            .with_hint("`evenkeel jobs` lists those that there are");
    }
    let mut names: Vec<_> = meant.iter().take(SHOWN).map(|name| format!("`{}`", line(name))).collect();
    if meant.len() > SHOWN {
        names.push(format!("{} more", meant.len() - SHOWN));
    }
    let (number, first) = (meant.len(), line(&meant[0]));
    Error::new(format!("`{name}` may be any of {number} jobs: {}", names.join(", ")))
        .with_hint(format!("name one of them: `evenkeel jobs cancel {first}`"))
}
