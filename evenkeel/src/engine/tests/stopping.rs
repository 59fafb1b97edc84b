//! What a bot that stops gives back to the journal.

use std::future::Ready;

use crate::engine::{Ending, Engine, HandlerOutcome, Input, NetworkPolicy, Now, Output, Policy};
use crate::event::{Conversation, Event, Message, Sender};
use crate::guarantee::OnUnknown;
use crate::journal::memory::MemoryJournal;
use crate::journal::{Entry, Journal, Written};
use crate::reply::{Outbound, Reply, SendKey};
use crate::transport::Arrival;

fn write(journal: &mut MemoryJournal, batch: Vec<Entry>) -> Written {
    let writing: Ready<_> = journal.write(batch);
    writing.into_inner().expect("memory does not fail")
}

#[test]
fn a_reply_that_was_about_to_be_sent_at_a_stop_is_not_in_doubt_afterwards() {
    let network = NetworkPolicy { on_unknown: OnUnknown::Dead, ..NetworkPolicy::default() };
    let policy = Policy { networks: vec![network], seed: 1, ..Policy::default() };
    let (mut engine, mut journal, now) = (Engine::new(policy), MemoryJournal::default(), Now::default());
    let here = Conversation::direct("alice");
    let event = Event::new("1", here.clone(), Sender::new("alice"), Message::text("1", "!ping"));
    engine
        .step(Input::Arrived(Arrival::Event { event, accepted: None, cursor: None }), now)
        .expect("an arrival");
    let batch = engine.batch().expect("an event to write");
    engine.step(Input::Written(write(&mut journal, batch)), now).expect("its answers");
    let mut outputs = Vec::new();
    engine.outputs(&mut outputs);
    let Some(Output::Start(work)) = outputs.pop() else { panic!("the handler starts") };
    let key = SendKey { sequence: work.sequence, index: 0 };
    let action = Reply::text("pong").actions()[0].clone();
    let (outbound, changes) = (vec![Outbound::new(here, action, key)], Vec::new());
    let finished =
        HandlerOutcome { sequence: work.sequence, command: None, outbound, changes, ending: Ending::Done };
    engine.step(Input::Finished(finished), now).expect("its end");
    let batch = engine.batch().expect("the end and the reply to write");
    // The bot is told to stop at once while this is being written.
    engine.step(Input::Written(write(&mut journal, batch)), now).expect("its answers");
    engine.cut_short();
    let batch = engine.last_batch().expect("something to give back");
    write(&mut journal, batch);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let left = runtime.block_on(journal.recover()).expect("memory does not fail");
    assert_eq!((left.events.len(), left.replies.len()), (0, 1));
    assert!(!left.replies[0].is_unknown, "it was certainly not sent");
}
