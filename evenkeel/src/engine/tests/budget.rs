//! How many jobs are in memory at once.

use crate::engine::{Ending, Engine, HandlerOutcome, Input, JobBody, Now, Output, Policy};
use crate::event::{Conversation, Event, Message, Sender};
use crate::journal::memory::MemoryJournal;
use crate::journal::{Entry, Journal, NewJob};

const JOBS: u64 = 40;

/// Lets the engine and its journal come to rest, and answers which handlers were started.
fn settle(engine: &mut Engine, journal: &mut MemoryJournal, room_bytes: &mut usize, now: Now) -> Vec<u64> {
    let (mut outputs, mut started) = (Vec::new(), Vec::new());
    loop {
        engine.outputs(&mut outputs);
        started.extend(outputs.drain(..).map(|output| match output {
            Output::Start(work) => work.sequence,
            other => panic!("{other:?}"),
        }));
        let (taken, released) = engine.memory_changes();
        let bytes =
            |events: std::vec::Drain<'_, Event>| events.map(|event| event.size_bytes()).sum::<usize>();
        let (taken, released) = (bytes(taken), bytes(released));
        *room_bytes = (*room_bytes + taken).checked_sub(released).expect("no more is released than taken");
        let Some(batch) = engine.batch() else { return started };
        let written = journal.write(batch).into_inner().expect("memory does not fail");
        engine.step(Input::Written(written), now).expect("its answers");
    }
}

#[test]
fn jobs_that_are_due_wait_in_the_journal_while_others_fill_the_memory() {
    let (mut engine, mut journal) = (Engine::new(Policy::default()), MemoryJournal::default());
    let event =
        Event::new("1", Conversation::direct("alice"), Sender::new("alice"), Message::text("1", "!plan"));
    let body = JobBody::new("ring", "x".repeat(1 << 20), &event, None).to_bytes().expect("a body");
    let jobs = (1..=JOBS).map(|due_ms| {
        let (name, conversation, body) = (due_ms.to_string(), "alice".to_owned(), body.clone());
        Entry::Schedule(NewJob { name, conversation, due_ms, body, keeps_due: false })
    });
    journal.write(jobs.collect()).into_inner().expect("memory does not fail");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let recovered = runtime.block_on(journal.recover()).expect("memory does not fail");
    let now = Now { wall_ms: 10, ..Now::default() };
    engine.recover(recovered, now, Box::new(|_| String::new()));
    // Ten of them are due; then all.
    let mut room_bytes = 0;
    let mut running = settle(&mut engine, &mut journal, &mut room_bytes, now);
    assert_eq!(running.len(), 10);
    assert!((10 << 20..11 << 20).contains(&room_bytes), "{room_bytes}");
    let now = Now { wall_ms: 1_000, ..now };
    engine.step(Input::Ticked, now).expect("a tick");
    running.extend(settle(&mut engine, &mut journal, &mut room_bytes, now));
    let mut count = 0;
    while let Some(sequence) = running.pop() {
        assert!(running.len() < 16 && room_bytes < 17 << 20, "{} at once, {room_bytes}", running.len() + 1);
        count += 1;
        let (command, outbound, changes) = (None, Vec::new(), Vec::new());
        let finished = HandlerOutcome { sequence, command, outbound, changes, ending: Ending::Done };
        engine.step(Input::Finished(finished), now).expect("its end");
        running.extend(settle(&mut engine, &mut journal, &mut room_bytes, now));
    }
    assert_eq!((count, room_bytes), (JOBS, 0), "none is lost, and nothing is left");
}

#[test]
fn what_an_earlier_run_left_waits_in_the_journal_while_there_is_no_room() {
    const LEFT: usize = 300;
    const ROOM: usize = 2 << 20;
    let mut journal = MemoryJournal::default();
    let left = (0..LEFT).map(|number| {
        let (id, text) = (number.to_string(), "x".repeat(50 << 10));
        let event =
            Event::new(&*id, Conversation::direct(&*id), Sender::new("alice"), Message::text(&*id, text));
        Entry::Accept { event, now_ms: 1, begins: false }
    });
    journal.write(left.collect()).into_inner().expect("memory does not fail");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let recovered = runtime.block_on(journal.recover_in_pages()).expect("memory does not fail");
    let (mut engine, now) =
        (Engine::new(Policy { recovered_bytes: ROOM, ..Policy::default() }), Now::default());
    engine.recover(recovered, now, Box::new(|_| String::new()));
    let (mut room_bytes, mut count) = (0, 0);
    let mut running = settle(&mut engine, &mut journal, &mut room_bytes, now);
    while let Some(sequence) = running.pop() {
        // The last event of a page may be beyond it.
        assert!(room_bytes < ROOM + (64 << 10), "{} at once, {room_bytes}", running.len() + 1);
        count += 1;
        let (command, outbound, changes) = (None, Vec::new(), Vec::new());
        let finished = HandlerOutcome { sequence, command, outbound, changes, ending: Ending::Done };
        engine.step(Input::Finished(finished), now).expect("its end");
        running.extend(settle(&mut engine, &mut journal, &mut room_bytes, now));
    }
    assert_eq!((count, room_bytes), (LEFT, 0), "none is lost, and nothing is left");
    assert!(engine.is_idle());
}
