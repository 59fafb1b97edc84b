//! What the tests are made of.

use std::path::{Path, PathBuf};

use evenkeel::journal::{
    Acceptance, Answer, Dead, DeadFilter, Entry, EventEntry, Journal, OperatorEntry, Page, Query, Reason,
    Recovered, Replayed, ReplyEntry,
};
use evenkeel::{Conversation, Event, Message, Outbound, Reply, SendKey, Sender};

/// A folder that goes with the test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("evenkeel-journal-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.0.join("journal.db")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn event(id: &str) -> Event {
    event_in(id, "alice")
}

pub(crate) fn event_in(id: &str, conversation: &str) -> Event {
    let words = format!("what {id} says");
    Event::new(id, Conversation::direct(conversation), Sender::new(conversation), Message::text(id, words))
}

pub(crate) fn outbound(sequence: u64, index: u32, text: &str) -> Outbound {
    reply(sequence, index, &Reply::text(text))
}

pub(crate) fn reply(sequence: u64, index: u32, reply: &Reply) -> Outbound {
    let key = SendKey { sequence, index };
    Outbound::new(Conversation::direct("alice"), reply.actions()[0].clone(), key)
}

pub(crate) fn key(sequence: u64, index: u32) -> SendKey {
    SendKey { sequence, index }
}

pub(crate) fn accept(id: &str) -> Entry {
    Entry::Accept { event: event(id), now_ms: 1000, begins: false }
}

pub(crate) fn begin_at_once(id: &str) -> Entry {
    Entry::Accept { event: event(id), now_ms: 1000, begins: true }
}

pub(crate) fn promise(sequence: u64, index: u32) -> Entry {
    Entry::Promise { outbound: outbound(sequence, index, "pong"), command: "!pong".to_owned(), begins: false }
}

pub(crate) fn dead_letter(sequence: u64, reason: Reason) -> Entry {
    let (error, command) = ("no".to_owned(), "!ping".to_owned());
    Entry::Event(sequence, EventEntry::DeadLetter { reason, error, command, now_ms: 2000 })
}

pub(crate) fn dead_letter_reply(key: SendKey, reason: Reason) -> Entry {
    let (error, command) = ("no".to_owned(), "!ping".to_owned());
    Entry::Reply(key, ReplyEntry::DeadLetter { reason, error, command, now_ms: 2000 })
}

/// The next page of what is left.
pub(crate) async fn load<J: Journal>(journal: &mut J, limit: usize, limit_bytes: usize) -> Page {
    match ask(journal, Entry::Query(Query::Load { limit, limit_bytes })).await {
        Answer::Loaded(page) => page,
        other => panic!("no page: {other:?}"),
    }
}

/// All that is left, read in pages of this many events.
pub(crate) async fn in_pages<J: Journal>(journal: &mut J, limit: usize) -> Recovered {
    let mut all = journal.recover_in_pages().await.unwrap();
    let mut last = 0;
    while all.has_more {
        let page = load(journal, limit, usize::MAX).await;
        assert!(page.events.len() <= limit);
        for event in &page.events {
            assert!(event.sequence > last, "by number");
            last = event.sequence;
        }
        all.events.extend(page.events);
        all.replies.extend(page.replies);
        all.has_more = page.has_more;
    }
    all.events.sort_by_key(|event| event.sequence);
    all
}

/// Writes one batch.
pub(crate) async fn write<J: Journal>(journal: &mut J, batch: Vec<Entry>) -> Vec<Answer> {
    let count = batch.len();
    let answers = journal.write(batch).await.unwrap().into_answers();
    assert_eq!(answers.len(), count);
    answers
}

/// Writes one entry.
pub(crate) async fn ask<J: Journal>(journal: &mut J, entry: Entry) -> Answer {
    write(journal, vec![entry]).await.remove(0)
}

/// The dead letters that are meant, read as the operator reads them.
pub(crate) async fn listed<J: Journal>(journal: &mut J, filter: DeadFilter) -> Vec<Dead> {
    match ask(journal, Entry::Query(Query::ListDead(filter))).await {
        Answer::Dead(dead) => dead.await.unwrap(),
        other => panic!("no list: {other:?}"),
    }
}

pub(crate) fn number(answer: &Answer) -> u64 {
    match answer {
        Answer::Accepted(Acceptance::New(sequence)) => *sequence,
        other => panic!("not a new event: {other:?}"),
    }
}

pub(crate) fn replayed(answer: Answer) -> Replayed {
    match answer {
        Answer::Replayed(replayed) => replayed,
        other => panic!("{other:?}"),
    }
}

/// What an operator does on a thread of their own, while the journal's owner looks for commands; and what it was told.
pub(crate) async fn beside<T: Send + 'static>(
    journal: &mut impl Journal,
    operator: impl FnOnce() -> T + Send + 'static,
) -> (Replayed, T) {
    let operator = std::thread::spawn(operator);
    let mut all = Replayed::default();
    while !operator.is_finished() {
        let Replayed { events, replies, unparked, discarded, .. } =
            replayed(ask(journal, Entry::Operator(OperatorEntry::Adopt)).await);
        all.events.extend(events);
        all.replies.extend(replies);
        all.unparked.extend(unparked);
        all.discarded.extend(discarded);
    }
    (all, operator.join().unwrap())
}
