//! What the bot's own record says, read after the process has ended.

use std::io;
use std::path::{Path, PathBuf};

use evenkeel::Action;
use evenkeel::journal::sqlite::SqliteJournal;
use evenkeel::journal::{Answer, Dead, DeadFilter, Entry, Journal, Query};

use super::history::Fates;
use super::words::message_in;

/// The record that a bot leaves behind.
pub(super) trait Record {
    /// Reads what is not done, and changes nothing.
    fn read(&self) -> io::Result<Fates>;
}

/// A journal in memory: nothing is left of it.
struct Nothing;

impl Record for Nothing {
    fn read(&self) -> io::Result<Fates> {
        Ok(Fates::default())
    }
}

/// A journal in a file, or none of it while the bot keeps no file there.
struct File(PathBuf);

impl Record for File {
    fn read(&self) -> io::Result<Fates> {
        if !self.0.exists() {
            return Ok(Fates::default());
        }
        // A copy: recovering counts the end of the process against whatever was running.
        let folder = self.0.with_extension("copy");
        std::fs::create_dir_all(&folder)?;
        let copy = folder.join("journal.db");
        for ending in ["", "-wal"] {
            let (from, to) = (with_ending(&self.0, ending), with_ending(&copy, ending));
            if from.exists() {
                std::fs::copy(from, to)?;
            }
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build()?;
        let asked = SqliteJournal::open(&copy).and_then(|journal| runtime.block_on(ask(journal)));
        std::fs::remove_dir_all(&folder)?;
        asked.map_err(|error| io::Error::other(error.chain()))
    }
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

/// Returns the record at `journal`, which is what `EVENKEEL_JOURNAL` holds.
pub(super) fn of(journal: &Path) -> Box<dyn Record> {
    match journal.to_str() {
        Some("memory") => nothing(),
        _ => Box::new(File(journal.to_owned())),
    }
}

/// Returns the record of a bot that has none.
pub(super) fn nothing() -> Box<dyn Record> {
    Box::new(Nothing)
}

/// Asks a journal, by what a starting bot would ask it.
///
/// It is to be a copy: recovering counts the end of the process against whatever was running.
async fn ask(mut journal: impl Journal) -> evenkeel::Result<Fates> {
    let mut fates = Fates::default();
    let recovered = journal.recover().await?;
    let events = recovered.events.iter().filter_map(|pending| message_in(pending.event.text()?));
    fates.pending.extend(events);
    let replies = recovered.replies.iter().filter_map(|letter| in_action(&letter.outbound.action));
    fates.pending.extend(replies);
    let written = journal.write(vec![Entry::Query(Query::ListDead(DeadFilter::default()))]).await?;
    for answer in written.into_answers() {
        let Answer::Dead(dead) = answer else { continue };
        let dead = dead.await?;
        let event = |one: &Dead| message_in(one.event()?.text()?);
        let reply = |one: &Dead| in_action(&one.reply()?.action);
        fates.dead.extend(dead.iter().filter_map(|one| event(one).or_else(|| reply(one))));
    }
    journal.close().await;
    Ok(fates)
}

fn in_action(action: &Action) -> Option<u64> {
    match action {
        Action::Send(draft) => message_in(&draft.text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Ready, ready};

    use evenkeel::journal::{PendingEvent, PendingReply, Recovered, Written};
    use evenkeel::{Conversation, Draft, Event, Message, Outbound, SendKey, Sender};

    use super::*;

    struct Left;

    impl Journal for Left {
        type Writing = Ready<evenkeel::Result<Written>>;

        async fn recover(&mut self) -> evenkeel::Result<Recovered> {
            let conversation = Conversation::direct("7");
            let what = Message::text("1", "!two t17e");
            let event = Event::new("1", conversation.clone(), Sender::new("7"), what);
            let (attempts, crashes, has_begun, due_ms, is_parked, facts) = (1, 1, true, 0, false, Vec::new());
            let pending =
                PendingEvent { sequence: 1, event, attempts, crashes, has_begun, due_ms, is_parked, facts };
            let mut draft = Draft::default();
            draft.text = "said t18e r5".to_owned();
            let (action, key) = (Action::Send(draft), SendKey { sequence: 2, index: 0 });
            let outbound = Outbound::new(conversation, action, key);
            let letter =
                PendingReply { outbound, command: String::new(), is_unknown: true, attempts: 1, due_ms: 0 };
            let mut recovered = Recovered::default();
            (recovered.events, recovered.replies) = (vec![pending], vec![letter]);
            Ok(recovered)
        }

        fn write(&mut self, batch: Vec<Entry>) -> Self::Writing {
            let nobody = |entry| (entry, Answer::Dead(Vec::new().into()));
            ready(Ok(Written(batch.into_iter().map(nobody).collect())))
        }
    }

    #[tokio::test]
    async fn events_and_replies_that_are_not_done_are_pending() {
        let fates = ask(Left).await.expect("it answers");
        assert_eq!(fates.pending, [17, 18].into());
        assert!(fates.dead.is_empty());
    }
}
