//! A start that reads what an earlier run left page by page, on the journal in memory and on the one on a file.

use evenkeel::journal::memory::MemoryJournal;
use evenkeel::journal::sqlite::SqliteJournal;
use evenkeel::journal::{Answer, DeadFilter, DeadId, Entry, EventEntry, Journal, OperatorEntry, Reason};
use evenkeel::{Conversation, Event, File, Message, Reply, Sender};

use crate::made::{
    Folder, accept, ask, begin_at_once, dead_letter, dead_letter_reply, event_in, in_pages, key, load,
    number, promise, replayed, reply, write,
};

/// Runs a check on both: `$journal` is new, and `$again` begins anew on what it has.
macro_rules! on_both {
    ($name:literal, |$journal:ident, $again:ident| $body:block) => {
        let mut $journal = MemoryJournal::default();
        macro_rules! $again { () => {}; }
        $body
        let folder = Folder::new($name);
        let mut $journal = SqliteJournal::open(folder.file()).unwrap();
        macro_rules! $again { () => { drop($journal); $journal = SqliteJournal::open(folder.file()).unwrap(); }; }
        $body
    };
}

fn numbers(events: &[evenkeel::journal::PendingEvent]) -> Vec<u64> {
    events.iter().map(|event| event.sequence).collect()
}

#[tokio::test]
async fn parked_events_come_first_and_their_replies_in_the_order_of_all() {
    on_both!("pages-parked", |journal, again| {
        journal.recover().await.unwrap();
        write(&mut journal, ["a", "b", "c"].map(accept).into()).await;
        write(&mut journal, vec![promise(1, 0), Entry::Event(1, EventEntry::Done)]).await;
        write(&mut journal, vec![promise(3, 0), dead_letter(3, Reason::Parked)]).await;
        again!();
        let first = journal.recover_in_pages().await.unwrap();
        assert!(first.has_more && first.replies.is_empty());
        assert_eq!((numbers(&first.events), first.events[0].is_parked), (vec![3], true));
        let page = load(&mut journal, 2, usize::MAX).await;
        assert_eq!((numbers(&page.events), page.has_more), (vec![2], true));
        assert_eq!(page.replies[0].outbound.key, key(1, 0));
        let page = load(&mut journal, 2, usize::MAX).await;
        assert_eq!((page.events.len(), page.replies[0].outbound.key, page.has_more), (0, key(3, 0), false));
        let page = load(&mut journal, 2, usize::MAX).await;
        assert!(page.events.is_empty() && page.replies.is_empty() && !page.has_more, "that was all");
    });
}

#[tokio::test]
async fn what_comes_in_between_two_pages_is_in_neither() {
    on_both!("pages-between", |journal, again| {
        journal.recover().await.unwrap();
        write(&mut journal, ["a", "b", "c", "d"].map(accept).into()).await;
        write(&mut journal, vec![dead_letter(2, Reason::Failed)]).await;
        write(&mut journal, vec![promise(4, 0), dead_letter_reply(key(4, 0), Reason::Refused)]).await;
        again!();
        journal.recover_in_pages().await.unwrap();
        assert_eq!(numbers(&load(&mut journal, 1, usize::MAX).await.events), [1]);
        assert_eq!(number(&ask(&mut journal, accept("e")).await), 5);
        // One that was dead comes again, and a dead reply of an event that is not here yet.
        let all = replayed(
            ask(
                &mut journal,
                Entry::Operator(OperatorEntry::Replay { filter: DeadFilter::default(), now_ms: 1 }),
            )
            .await,
        );
        assert_eq!((numbers(&all.events), all.replies.len()), (vec![6], 1));
        write(&mut journal, vec![Entry::Event(1, EventEntry::Done)]).await;
        let page = load(&mut journal, 9, usize::MAX).await;
        assert_eq!((numbers(&page.events), page.replies.len(), page.has_more), (vec![3, 4], 0, false));
        assert_eq!(page.events[1].facts.len(), 1, "its reply is not sent once more");
        again!();
        let left = journal.recover().await.unwrap();
        assert_eq!((numbers(&left.events), left.replies.len()), (vec![3, 4, 5, 6], 1));
    });
}

#[tokio::test]
async fn a_page_ends_once_it_has_its_bytes() {
    on_both!("pages-bytes", |journal, again| {
        journal.recover().await.unwrap();
        for id in 0..40 {
            let (id, text) = (id.to_string(), "x".repeat(20_000));
            let event = Event::new(
                &*id,
                Conversation::direct("alice"),
                Sender::new("alice"),
                Message::text(&*id, text),
            );
            write(&mut journal, vec![Entry::Accept { event, now_ms: 1, begins: false }]).await;
        }
        let files = Reply::text("here").with_file(File::new("a", "text/plain", vec![0; 200_000]));
        let promise =
            Entry::Promise { outbound: reply(30, 0, &files), command: String::new(), begins: false };
        write(&mut journal, vec![promise]).await;
        again!();
        journal.recover_in_pages().await.unwrap();
        let mut sizes = Vec::new();
        loop {
            let page = load(&mut journal, 100, 100_000).await;
            sizes.push(page.events.len());
            if !page.has_more {
                break;
            }
        }
        assert_eq!(sizes.iter().sum::<usize>(), 40);
        assert!(sizes.iter().all(|count| *count <= 6), "{sizes:?}");
    });
}

#[tokio::test]
async fn a_crash_is_counted_once_whether_or_not_the_page_came() {
    on_both!("pages-crash", |journal, again| {
        journal.recover().await.unwrap();
        write(&mut journal, ["a", "b", "c"].map(begin_at_once).into()).await;
        for _ in 0..2 {
            again!();
            journal.recover_in_pages().await.unwrap();
            let page = load(&mut journal, 1, usize::MAX).await;
            assert_eq!((numbers(&page.events), page.events[0].crashes), (vec![1], 1));
        }
        again!();
        let left = in_pages(&mut journal, 2).await;
        let crashes: Vec<_> = left.events.iter().map(|event| (event.sequence, event.crashes)).collect();
        assert_eq!(crashes, [(1, 1), (2, 1), (3, 1)]);
    });
}

#[tokio::test]
async fn a_parked_event_that_is_decided_before_its_page_comes_once() {
    on_both!("pages-decided", |journal, again| {
        journal.recover().await.unwrap();
        let events =
            ["a", "b"].map(|who| Entry::Accept { event: event_in(who, who), now_ms: 1, begins: false });
        write(&mut journal, events.into()).await;
        write(
            &mut journal,
            vec![promise(1, 0), dead_letter(1, Reason::Parked), dead_letter(2, Reason::Parked)],
        )
        .await;
        again!();
        assert_eq!(numbers(&journal.recover_in_pages().await.unwrap().events), [1, 2]);
        let of = |sequence| DeadFilter { id: Some(DeadId::Event(sequence)), ..DeadFilter::default() };
        let all = replayed(
            ask(&mut journal, Entry::Operator(OperatorEntry::Replay { filter: of(1), now_ms: 1 })).await,
        );
        assert_eq!(all.unparked, [1]);
        let discarded = ask(&mut journal, Entry::Operator(OperatorEntry::Discard(of(2)))).await;
        assert!(matches!(discarded, Answer::Discarded { count: 1, .. }), "{discarded:?}");
        let page = load(&mut journal, 9, usize::MAX).await;
        assert_eq!((page.events.len(), page.replies.len(), page.has_more), (0, 1, false));
        write(&mut journal, vec![Entry::Event(1, EventEntry::Begin)]).await;
        again!();
        assert_eq!(journal.recover().await.unwrap().events[0].attempts, 1, "its beginning was kept");
    });
}
