//! What a journal says that does not keep to its contract.

use crate::engine::{Engine, Input, Now, Policy};
use crate::event::{Conversation, Event, Message, Sender};
use crate::journal::{Acceptance, Answer, Written};
use crate::transport::Arrival;

/// Steps of an engine to which one event came, and whose journal answers so.
fn answered(answers: Vec<Answer>) -> crate::error::Result<()> {
    let (mut engine, now) = (Engine::new(Policy::default()), Now::default());
    let what = Message::text("1", "!ping");
    let event = Event::new("1", Conversation::direct("alice"), Sender::new("alice"), what);
    engine.step(Input::Arrived(Arrival::Event { event, accepted: None, cursor: None }), now)?;
    let batch = engine.batch().expect("an event to write");
    engine.step(Input::Written(Written(batch.into_iter().zip(answers).collect())), now)
}

#[test]
fn an_answer_to_another_question_is_an_error() {
    answered(vec![Answer::Accepted(Acceptance::New(1))]).expect("that is what was asked");
    for wrong in [Answer::Noted, Answer::Count(1), Answer::Recalled(None)] {
        let error = answered(vec![wrong]).expect_err("it is no answer to an event");
        assert_eq!(error.to_string(), "the journal answered something else than it was asked");
    }
    answered(Vec::new()).expect_err("an answer is missing");
}
