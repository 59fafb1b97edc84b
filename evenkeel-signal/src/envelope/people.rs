//! Who is who in an envelope: the wire names everybody up to three times.

use std::borrow::Cow;

use evenkeel::Sender;

use super::wire::Envelope;
use crate::ids::{person_number, person_uuid};
use crate::loose::Text;

/// Who is who in one envelope.
pub(super) struct Source<'a> {
    pub(super) uuid: Option<&'a str>,
    pub(super) number: Option<&'a str>,
    pub(super) name: Option<&'a str>,
    pub(super) device: u64,
    pub(super) timestamp: u64,
}

impl<'a> Source<'a> {
    /// Who wrote it is given, as far as it is known.
    pub(super) fn of(envelope: &'a Envelope<'_>, number: Option<&'a str>, uuid: Option<&'a str>) -> Self {
        Self {
            uuid,
            number,
            name: envelope.source_name.filled(),
            device: envelope.source_device.0.unwrap_or(0),
            timestamp: envelope.timestamp.0.unwrap_or(0),
        }
    }

    pub(super) fn id(&self) -> Option<&'a str> {
        self.uuid.or(self.number)
    }
}

/// Returns number and uuid of somebody whom the wire names up to three times. What is neither is no name: an answer to it
/// would go nowhere, and a text that begins with a NUL is a conversation of the bot's own.
pub(super) fn addresses<'a>(
    either: &'a Text<'_>,
    number: &'a Text<'_>,
    uuid: &'a Text<'_>,
) -> (Option<&'a str>, Option<Cow<'a, str>>) {
    let number = number.filled().and_then(person_number);
    let uuid = uuid.filled().and_then(person_uuid);
    if number.is_some() || uuid.is_some() {
        return (number, uuid);
    }
    // Old servers send this alone; it is a number, or a uuid where the number is hidden.
    (either.filled().and_then(person_number), either.filled().and_then(person_uuid))
}

pub(super) fn person(name: Option<&str>, number: Option<&str>, uuid: Option<&str>) -> Option<Sender> {
    let id = uuid.or(number)?;
    // signal-cli puts the address where it knows no name.
    let name = name.filter(|name| Some(*name) != number && Some(*name) != uuid);
    Some(Sender::known_as(id, name, number.filter(|number| *number != id)))
}
