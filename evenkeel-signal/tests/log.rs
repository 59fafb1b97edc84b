//! What is logged, in a test binary of its own: the subscriber of a test is seen by its whole process.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, which clippy does not see")]

use std::sync::{Arc, Mutex};

use evenkeel::transport::Inbox;
use evenkeel::{Conversation, Outbound, Reply, SendKey, Transport};
use evenkeel_signal::Signal;
use evenkeel_signal::standin::Standin;
use evenkeel_signal::standin::answer::{Answer, Route};
use evenkeel_signal::standin::options::Options;
use evenkeel_signal::standin::people::{BOT, Person};

/// Collects what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl tracing::Subscriber for Log {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }
    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
    fn event(&self, event: &tracing::Event<'_>) {
        if !event.metadata().target().starts_with("evenkeel") {
            return;
        }
        let mut log = self.0.lock().unwrap();
        event.record(&mut |field: &tracing::field::Field, value: &dyn std::fmt::Debug| {
            log.push_str(&format!("{field}={value:?} "));
        });
        log.push('\n');
    }
    fn enter(&self, _: &tracing::span::Id) {}
    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test]
async fn logs_tell_of_gaps_and_hold_no_number_token_or_words() {
    let log = Log::default();
    tracing::subscriber::set_global_default(log.clone()).unwrap();
    let standin = Standin::start(Options::default()).unwrap();
    standin.answer_next(Route::Receive, [Answer::Status(401, "{}".into())]);
    let signal = Signal::new(BOT, &standin.url()).unwrap().with_token("hunter2");
    let failure = Answer::Refused("Failed to send secret words".into());
    standin.answer_next(Route::Send, [Answer::Status(503, "secret words".into()), failure]);
    let outbound = Outbound::new(
        Conversation::direct(Person::alice().uuid),
        Reply::text("secret words").actions()[0].clone(),
        SendKey { sequence: 1, index: 0 },
    );
    for _ in 0..2 {
        signal.send(&outbound).await.unwrap_err();
    }
    let (inbox, mut collected) = Inbox::collecting();
    let receiving = tokio::spawn(async move { signal.receive(inbox).await });
    standin.wait_for_sockets(1).await;
    standin.frame(BOT, "secret words");
    standin.cut_sockets();
    standin.wait_for(|so_far| so_far.sockets_opened == 2 && so_far.sockets == 1).await;
    standin.say(&Person::alice(), "secret words");
    collected.next().await.unwrap();
    receiving.abort();
    let told = log.0.lock().unwrap().clone();
    assert!(told.contains("check `SIGNAL_API_TOKEN`"), "{told}");
    assert!(told.contains("gap_ms=") && told.contains("no reader for 0."), "{told}");
    for secret in ["hunter2", "5550100", "secret words"] {
        assert!(!told.contains(secret), "{secret} in {told}");
    }
}
