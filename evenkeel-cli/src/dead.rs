//! Dead letters, from the terminal: what a bot gave up, and what becomes of it.

mod conversation;
mod shown;

use std::fs::OpenOptions;
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use evenkeel::Error;
use evenkeel::journal::sqlite::DeadLetterAdmin;
use evenkeel::journal::{Dead, DeadFilter, DeadId, Outcome};

use crate::command::{Chosen, DeadAction};
use crate::place::place;
use crate::table::{count, now_ms};
use crate::terminal::{Failure, Misuse, ask, complain, say, say_json, visible_json};

/// How many are read at once: replies come with their files.
const PAGE: usize = 100;

/// Who reads an export.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reader {
    /// Somebody at a terminal, which is to obey nothing.
    Person,
    /// A file or a pipe.
    Program,
}

/// What became of those that were chosen.
#[derive(Default)]
struct Done {
    events: u64,
    replies: u64,
    /// Replies that went with their events.
    anew: Vec<DeadId>,
    /// Whether a bot had the journal open.
    is_beside: bool,
    /// Commands that the running bot has taken, and not executed yet.
    waiting: u64,
    /// Whether somebody asked for one that could not be had.
    is_short: bool,
}

/// Opens the journal and does what is wanted.
pub(crate) fn run(journal: Option<PathBuf>, action: DeadAction) -> Result<ExitCode, Failure> {
    let mut letters = place(journal)?.dead_letters()?;
    match conversation::find(&letters, action)? {
        DeadAction::List { filter, is_json } => list(&letters, filter, is_json)?,
        DeadAction::Show { id, has_text } => show(&letters, id, has_text)?,
        DeadAction::Replay(chosen) if chosen.is_dry => return count_only(&letters, &chosen, "replayed"),
        DeadAction::Discard(chosen) if chosen.is_dry => return count_only(&letters, &chosen, "discarded"),
        DeadAction::Replay(chosen) => {
            let asks = chosen.filters.iter().any(|filter| *filter == of_all(filter));
            let Some(chosen) = agreed(&letters, chosen, asks, "replay")? else {
                return Ok(ExitCode::FAILURE);
            };
            return change(&mut letters, chosen, "replayed", replay);
        }
        DeadAction::Discard(chosen) => {
            let asks = chosen.filters.iter().any(|filter| filter.id.is_none());
            let Some(chosen) = agreed(&letters, chosen, asks, "discard")? else {
                return Ok(ExitCode::FAILURE);
            };
            return change(&mut letters, chosen, "discarded", discard);
        }
        DeadAction::Export { file, filter, has_text } => export(&letters, file.as_deref(), filter, has_text)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Goes through those that fit, in pages, so that a long list needs little memory.
fn pages(
    letters: &DeadLetterAdmin,
    mut filter: DeadFilter,
    mut each: impl FnMut(&[Dead]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut left = filter.limit.unwrap_or(usize::MAX);
    while left > 0 {
        filter.limit = Some(left.min(PAGE));
        let page = letters.list(&filter)?;
        let Some(last) = page.last() else { break };
        filter.after = Some((last.at_ms, last.id));
        left = left.saturating_sub(page.len());
        each(&page)?;
    }
    Ok(())
}

fn list(letters: &DeadLetterAdmin, filter: DeadFilter, is_json: bool) -> Result<(), Failure> {
    let (mut number, now_ms) = (0, now_ms());
    pages(letters, filter, |page| {
        if number == 0 && !is_json {
            say(&shown::head())?;
        }
        number += page.len() as u64;
        for dead in page {
            if is_json {
                say_json(&format!("{}\n", shown::json(dead, false)?))?;
            } else {
                say(&shown::row(dead, now_ms))?;
            }
        }
        Ok(())
    })?;
    if !is_json {
        say(&format!("{}\n", count(number, "dead letter", "dead letters")))?;
    }
    Ok(())
}

fn show(letters: &DeadLetterAdmin, id: DeadId, has_text: bool) -> Result<(), Failure> {
    let filter = DeadFilter { id: Some(id), ..DeadFilter::default() };
    let found = letters.list(&filter)?;
    let dead = found.first().ok_or_else(|| {
        Error::new(format!("there is no dead letter {id}"))
            .with_hint("`evenkeel dead` lists those that there are")
    })?;
    say(&shown::whole(dead, now_ms(), has_text))?;
    Ok(())
}

fn export(
    letters: &DeadLetterAdmin,
    file: Option<&Path>,
    filter: DeadFilter,
    has_text: bool,
) -> Result<(), Failure> {
    let Some(path) = file.filter(|path| *path != Path::new("-")) else {
        let to = if io::stdout().is_terminal() { Reader::Person } else { Reader::Program };
        return match write(letters, filter, has_text, to, &mut io::stdout().lock()) {
            // A reader that is gone (`evenkeel dead export | head -1`) has read what it wanted.
            Err(Failure::Failed(error)) if is_gone(&error) => Ok(()),
            written => written.map(drop),
        };
    };
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    // People's words are for nobody but the operator.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = BufWriter::new(options.open(path).map_err(|error| unwritable(path, &error))?);
    let written = write(letters, filter, has_text, Reader::Program, &mut file).and_then(|number| {
        file.get_ref().sync_all().map(|()| number).map_err(|error| Error::from(error).into())
    });
    let number = written.inspect_err(|_| {
        // Half an export must not be taken for a whole one.
        let _ = std::fs::remove_file(path);
    })?;
    let without = if has_text { "" } else { ", without texts: `--text` writes them, too" };
    let number = count(number, "dead letter", "dead letters");
    say(&format!("{number} written to {}{without}\n", path.display()))?;
    Ok(())
}

fn is_gone(error: &Error) -> bool {
    error.find::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    let shown = path.display();
    match error.kind() {
        ErrorKind::AlreadyExists => Misuse(format!("`{shown}` is there already: name a new file")).into(),
        _ => Error::new(format!("cannot write {shown}: {error}")).into(),
    }
}

fn write(
    letters: &DeadLetterAdmin,
    filter: DeadFilter,
    has_text: bool,
    reader: Reader,
    out: &mut impl Write,
) -> Result<u64, Failure> {
    let mut number = 0;
    pages(letters, filter, |page| {
        for dead in page {
            let line = shown::json(dead, has_text)?;
            let line = if reader == Reader::Person { visible_json(&line) } else { line };
            writeln!(out, "{line}").map_err(Error::from)?;
            number += 1;
        }
        Ok(())
    })?;
    out.flush().map_err(Error::from)?;
    Ok(number)
}

fn count_only(letters: &DeadLetterAdmin, chosen: &Chosen, done: &str) -> Result<ExitCode, Failure> {
    let (mut number, mut is_short) = (0, false);
    for filter in &chosen.filters {
        let found = letters.count(filter)?;
        if let (0, Some(id)) = (found, filter.id) {
            is_short = true;
            complain(&format!("there is no dead letter {id}"));
        }
        number += found;
    }
    say(&format!("{} would be {done}\n", count(number, "dead letter", "dead letters")))?;
    Ok(if is_short { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The filter that leaves nothing out but what comes after this many.
fn of_all(filter: &DeadFilter) -> DeadFilter {
    DeadFilter { limit: filter.limit, ..DeadFilter::default() }
}

/// Asks before more is changed than was named one by one; `None` when the answer is no. What was agreed to is what was there
/// when it was asked, and no more.
fn agreed(
    letters: &DeadLetterAdmin,
    chosen: Chosen,
    asks: bool,
    verb: &str,
) -> Result<Option<Chosen>, Failure> {
    if chosen.is_sure || !asks {
        return Ok(Some(chosen));
    }
    let mut chosen = chosen;
    let mut number = 0;
    for filter in &mut chosen.filters {
        let found = letters.count(filter)?;
        filter.limit =
            Some(usize::try_from(found).unwrap_or(usize::MAX)).filter(|found| *found > 0).or(filter.limit);
        number += found;
    }
    if number == 0 {
        return Ok(Some(chosen));
    }
    let (letters, for_good) =
        (count(number, "dead letter", "dead letters"), if verb == "discard" { " for good" } else { "" });
    match ask(&format!("{verb} {letters}{for_good}?")) {
        Some(true) => Ok(Some(chosen)),
        Some(false) => {
            say(&format!("nothing was {verb}ed\n"))?;
            Ok(None)
        }
        None => Err(Misuse(format!(
            "this would {verb} {letters}{for_good}, and nobody is at the terminal to be asked: add `--yes`, or see with \
             `--dry-run` first"
        ))
        .into()),
    }
}

/// Does it filter by filter, and says how far it came, also when it came not to the end. When it came nowhere, the error is
/// all there is to say.
fn change(
    letters: &mut DeadLetterAdmin,
    chosen: Chosen,
    word: &str,
    all: fn(&mut DeadLetterAdmin, &[DeadFilter], &mut Done) -> Result<(), Error>,
) -> Result<ExitCode, Failure> {
    let mut done = Done { is_beside: letters.is_in_use(), ..Done::default() };
    // An event takes its replies along; one that went before it would be sent twice.
    let (replies, mut filters): (Vec<_>, Vec<_>) =
        chosen.filters.into_iter().partition(|filter| matches!(filter.id, Some(DeadId::Reply(..))));
    filters.extend(replies);
    let result = all(letters, &filters, &mut done);
    let number = done.events + done.replies;
    let is_worth_a_word = number > 0 || done.waiting > 0 || result.is_ok();
    let said = if is_worth_a_word { say(&format!("{}\n", outcome(word, &done))) } else { Ok(()) };
    result?;
    said?;
    Ok(if done.is_short { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What has been done, and what the bot makes of it.
fn outcome(word: &str, done: &Done) -> String {
    let number = done.events + done.replies;
    if done.waiting > 0 && number == 0 {
        return "the running bot was told, and has not answered yet: it does this as soon as it can"
            .to_owned();
    }
    let mut text = format!("{word}: {}", count(number, "dead letter", "dead letters"));
    if number == 0 {
        return text;
    }
    if word == "replayed" {
        let (events, replies) =
            (count(done.events, "event", "events"), count(done.replies, "reply", "replies"));
        text.push_str(&format!(" ({events}, {replies})"));
    }
    text.push_str(match (done.is_beside, word) {
        (true, _) if done.waiting > 0 => {
            "; the running bot was told of the rest, and does it as soon as it can"
        }
        (true, _) => "; the running bot has done it",
        (false, "replayed") => "; no bot is running: the next start takes this up",
        // What is forgotten is gone from the file, and a start has nothing to do with it.
        (false, _) => "",
    });
    text
}

fn replay(letters: &mut DeadLetterAdmin, filters: &[DeadFilter], done: &mut Done) -> Result<(), Error> {
    let counts = |letters: &DeadLetterAdmin| {
        filters.iter().map(|filter| letters.count(filter)).collect::<Result<Vec<_>, _>>()
    };
    let before = counts(letters)?;
    let mut outcomes = Vec::with_capacity(filters.len());
    let result = letters.replay_each(filters, now_ms(), |_, outcome| outcomes.push(outcome));
    let after = counts(letters)?;
    for (((filter, outcome), found), left) in filters.iter().zip(outcomes).zip(before).zip(after) {
        let Outcome { events, replies, anew, is_waiting, .. } = outcome;
        if is_waiting {
            done.waiting += 1;
            continue;
        }
        done.events += events;
        done.replies += replies + anew.len() as u64;
        done.anew.extend(anew);
        // Of those that were there before, some may be another process's by now, and not there any more.
        let left = found.saturating_sub(events + replies).min(left);
        match filter.id {
            Some(id) if found == 0 && !done.anew.contains(&id) => missing(id, done),
            _ if left > 0 => {
                done.is_short = true;
                let left = count(left, "dead letter", "dead letters");
                complain(&format!("{left} cannot be read, and stays in the list: `discard` forgets it"));
            }
            _ => {}
        }
    }
    result
}

fn discard(letters: &mut DeadLetterAdmin, filters: &[DeadFilter], done: &mut Done) -> Result<(), Error> {
    letters.discard_each(filters, |at, Outcome { discarded, is_waiting, .. }| {
        done.waiting += u64::from(is_waiting);
        done.events += discarded;
        if let (0, false, Some(id)) = (discarded, is_waiting, filters.get(at).and_then(|filter| filter.id)) {
            missing(id, done);
        }
    })
}

fn missing(id: DeadId, done: &mut Done) {
    done.is_short = true;
    complain(&format!("there is no dead letter {id}"));
}
