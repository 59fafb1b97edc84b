//! Feeds frames to the envelope parser; `tests/wire/envelopes` makes a good corpus.
#![no_main]

use std::sync::LazyLock;

use evenkeel_signal::{OwnMessages, Signal};
use libfuzzer_sys::fuzz_target;

static SIGNAL: LazyLock<Signal> = LazyLock::new(|| {
    Signal::new("+15550100000", "localhost:1")
        .expect("number and address are well formed")
        .with_own_messages(OwnMessages::All)
});

fuzz_target!(|frame: &str| {
    if let Ok(Some(event)) = SIGNAL.parse(frame) {
        let Some(message) = event.message() else { return };
        for mention in &message.mentions {
            assert!(message.text.get(mention.range.clone()).is_some());
        }
    }
});
