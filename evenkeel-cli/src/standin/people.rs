//! Who is on the stand-in, and for whom the person at the terminal types.

use std::fmt;

use evenkeel_signal::standin::people::{Group, Person};
use evenkeel_signal::standin::transcript::Sent;

/// What was typed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    Nothing,
    /// Says again who is there.
    People,
    Turn(Turn),
    /// Goes to the bot.
    Text(&'a str),
    /// Goes to the bot as well, and may have been meant for us.
    Slashed(&'a str),
}

/// What is said of a line that begins like ours.
pub(super) const OURS: &str = "(that goes to the bot; not to the bot go `/alice`, `/bob`, `/group`, `/direct` and `/people`, \
    each alone in its line)\n";

/// Who writes, or where, from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    Alice,
    Bob,
    Group,
    Direct,
}

/// Who writes, and where.
#[derive(Debug, Default)]
pub(super) struct Writer {
    is_bob: bool,
    is_in_group: bool,
}

impl<'a> Line<'a> {
    /// Only the five words are ours: a bot may have commands that begin with `/`, and `//bob` gives it `/bob`.
    pub(super) fn read(line: &'a str) -> Self {
        match line.trim() {
            "" => Self::Nothing,
            "/people" => Self::People,
            "/alice" => Self::Turn(Turn::Alice),
            "/bob" => Self::Turn(Turn::Bob),
            "/group" => Self::Turn(Turn::Group),
            "/direct" => Self::Turn(Turn::Direct),
            _ => match line.strip_prefix('/').filter(|rest| rest.starts_with('/')) {
                Some(rest) => Self::Text(rest),
                None if line.trim_start().starts_with('/') => Self::Slashed(line),
                None => Self::Text(line),
            },
        }
    }
}

impl Writer {
    pub(super) fn turn(&mut self, turn: Turn) {
        match turn {
            Turn::Alice => self.is_bob = false,
            Turn::Bob => self.is_bob = true,
            Turn::Group => self.is_in_group = true,
            Turn::Direct => self.is_in_group = false,
        }
    }

    pub(super) fn is_in_group(&self) -> bool {
        self.is_in_group
    }

    pub(super) fn person(&self) -> Person {
        if self.is_bob { Person::bob() } else { Person::alice() }
    }
}

impl fmt::Display for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, group) = (self.person().name, Group::test().name);
        match self.is_in_group {
            true => write!(f, "you write as {name}, in the group `{group}`"),
            false => write!(f, "you write as {name}, alone with the bot"),
        }
    }
}

/// Everybody with their number, the group with its id, and how to write as them.
pub(super) fn listed() -> String {
    let number = |person: Person| person.number.unwrap_or(person.uuid);
    let (alice, bob, group) = (number(Person::alice()), number(Person::bob()), Group::test());
    let (name, id) = (group.name, group.internal_id);
    format!(
        "  /alice    write as Alice, {alice}\n  \
           /bob      write as Bob, {bob}\n  \
           /group    write in the group `{name}` of the three, {id}\n  \
           /direct   write to the bot alone again\n  \
           /people   this list\n\
         What the bot writes is shown; its reactions, deletions and typing are not. Ctrl-D ends it.\n"
    )
}

/// One message of the bot, as the terminal shows it.
pub(super) fn shown(sent: &Sent) -> String {
    let to = sent.recipients.iter().map(|recipient| name(recipient)).collect::<Vec<_>>().join(", ");
    let edited = if sent.edit_timestamp.is_some() { " (edited)" } else { "" };
    let files = match sent.base64_attachments.len() {
        0 => String::new(),
        1 => " [1 file]".to_owned(),
        count => format!(" [{count} files]"),
    };
    format!("bot to {to}{edited}: {}{files}\n", sent.message)
}

/// The name of somebody who is there, or what the bot has called them.
fn name(recipient: &str) -> String {
    if is_group(recipient) {
        return Group::test().name;
    }
    let known = [Person::alice(), Person::bob()].into_iter().find(|person| is(person, recipient));
    known.map_or_else(|| recipient.to_owned(), |person| person.name)
}

/// Whether a bot means the group.
pub(super) fn is_group(recipient: &str) -> bool {
    recipient == Group::test().rest_id()
}

/// Whether a bot means this person: by the id, or by the number.
pub(super) fn is(person: &Person, recipient: &str) -> bool {
    recipient == person.uuid || person.number.as_deref() == Some(recipient)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_words_of_the_list_are_not_for_the_bot() {
        for (typed, line) in [
            (" ", Line::Nothing),
            ("/people", Line::People),
            (" /bob ", Line::Turn(Turn::Bob)),
            ("/bobby", Line::Slashed("/bobby")),
            ("/start now", Line::Slashed("/start now")),
            ("/help", Line::Slashed("/help")),
            ("/Bob", Line::Slashed("/Bob")),
            ("/bob !ping", Line::Slashed("/bob !ping")),
            (" /alice hi", Line::Slashed(" /alice hi")),
            ("!ping /bob", Line::Text("!ping /bob")),
            ("//help", Line::Text("/help")),
            ("//bob", Line::Text("/bob")),
            ("  indented", Line::Text("  indented")),
        ] {
            assert_eq!(Line::read(typed), line, "{typed}");
        }
    }

    #[test]
    fn the_writer_is_one_of_two_in_one_of_two_places() {
        let mut writer = Writer::default();
        assert_eq!(writer.to_string(), "you write as Alice, alone with the bot");
        writer.turn(Turn::Bob);
        writer.turn(Turn::Group);
        assert_eq!(writer.to_string(), "you write as Bob, in the group `Test Group`");
        writer.turn(Turn::Direct);
        writer.turn(Turn::Alice);
        assert_eq!(writer.to_string(), "you write as Alice, alone with the bot");
    }
}
