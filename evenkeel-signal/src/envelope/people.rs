//! Who is who in an envelope: the wire names everybody up to three times.

use evenkeel::Sender;

use super::wire::Envelope;
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
    pub(super) fn of(envelope: &'a Envelope<'_>) -> Self {
        // Old servers send `source` alone; it is a number, or a uuid where the number is hidden.
        let (number, uuid) = addresses(&envelope.source, &envelope.source_number, &envelope.source_uuid);
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

/// Returns number and uuid of somebody whom the wire names up to three times; an empty text is no name.
pub(super) fn addresses<'a>(
    either: &'a Text<'_>,
    number: &'a Text<'_>,
    uuid: &'a Text<'_>,
) -> (Option<&'a str>, Option<&'a str>) {
    match (number.filled(), uuid.filled(), either.filled()) {
        (None, None, Some(either)) if either.starts_with('+') => (Some(either), None),
        (None, None, Some(either)) => (None, Some(either)),
        (number, uuid, _) => (number, uuid),
    }
}

pub(super) fn person(name: Option<&str>, number: Option<&str>, uuid: Option<&str>) -> Option<Sender> {
    let id = uuid.or(number)?;
    // signal-cli puts the address where it knows no name.
    let name = name.filter(|name| Some(*name) != number && Some(*name) != uuid);
    Some(Sender::known_as(id, name, number.filter(|number| *number != id)))
}
