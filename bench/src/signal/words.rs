//! What a person writes to the bot, as a frame of the server, and the token in what comes back.

use evenkeel_signal::standin::people::Person;

use crate::contender::BOT;

/// A person's frames, without the text; built once, because the generator shares the cores.
pub(super) struct Writer {
    before: String,
    after: String,
}

impl Writer {
    pub(super) fn new(person: &Person) -> Self {
        let source = person.source();
        let before = format!(
            r#"{{"envelope":{{"source":"{source}","sourceNumber":"{source}","sourceUuid":"{}","sourceName":"{}","sourceDevice":1,"dataMessage":{{"expiresInSeconds":0,"isExpirationUpdate":false,"viewOnce":false,"message":""#,
            person.uuid, person.name
        );
        let after = format!(r#"}},"account":"{BOT}"}}"#);
        Self { before, after }
    }

    pub(super) fn frame(&self, command: &str, token: u64, timestamp: i64) -> String {
        let Self { before, after } = self;
        format!(
            r#"{before}{command} t{token}e","timestamp":{timestamp}}},"timestamp":{timestamp},"serverReceivedTimestamp":{timestamp},"serverDeliveredTimestamp":{timestamp}{after}"#
        )
    }
}

/// Reads the token out of `"pong t17e"`.
pub(super) fn token_in(message: &str) -> Option<u64> {
    let word = message.split_whitespace().last()?;
    word.strip_prefix('t')?.strip_suffix('e')?.parse().ok()
}
