//! Journals with much in them, as a bot may find one.

use std::io;
use std::path::Path;

use evenkeel::journal::{Acceptance, Answer, Entry, EventEntry, Journal};

use super::{event, now_ms, open, recover, write};

/// In one batch.
const STEP: u64 = 4_000;

/// Makes a journal with this many commands that wait for their handler, of 5,000 people.
pub(crate) fn pending(path: &Path, count: u64) -> io::Result<()> {
    runtime()?.block_on(fill(path, count, false))
}

/// Makes a journal that has seen this many commands, all of them done: it keeps the keys by which it knows them again.
pub(crate) fn seen(path: &Path, count: u64) -> io::Result<()> {
    runtime()?.block_on(fill(path, count, true))
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

async fn fill(path: &Path, count: u64, are_done: bool) -> io::Result<()> {
    let mut journal = open(path)?;
    recover(&mut journal).await?;
    for from in (0..count).step_by(STEP as usize) {
        let accept = |number| Entry::Accept {
            event: event(number, format!("!ping t{number}e")),
            now_ms: now_ms(),
            begins: false,
        };
        let answers = write(&mut journal, (from..count.min(from + STEP)).map(accept).collect()).await?;
        if are_done {
            let done = answers.iter().filter_map(|answer| match answer {
                Answer::Accepted(Acceptance::New(sequence)) => {
                    Some(Entry::Event(*sequence, EventEntry::Done))
                }
                _ => None,
            });
            write(&mut journal, done.collect()).await?;
        }
    }
    journal.close().await;
    Ok(())
}
