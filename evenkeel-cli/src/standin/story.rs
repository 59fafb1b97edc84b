//! What to try next, once each: the bot connects, Alice is answered, Bob is, the group is.

use evenkeel_signal::standin::people::Person;
use evenkeel_signal::standin::transcript::Sent;

use super::people::{is, is_group};

/// How far the story has come.
#[derive(Debug, Default)]
pub(super) struct Story {
    has_begun: bool,
    /// How many of the steps are told or have been passed by.
    told: usize,
}

const BEGIN: &str = "(a bot is connected: write to it as Alice, `!help` or `!ping` for example)\n";
const BOB: &str = "(Alice has an answer. Now write as Bob: type `/bob`, then your line)\n";
const GROUP: &str =
    "(Bob has a conversation of his own with the bot. Now a group: type `/group`, then your line)\n";
const END: &str =
    "(in a group, all read the answer. That is all: `/people` has the names again, Ctrl-D ends this)\n";

impl Story {
    /// The first bot has connected.
    pub(super) fn connected(&mut self) -> Option<&'static str> {
        (!std::mem::replace(&mut self.has_begun, true)).then_some(BEGIN)
    }

    /// The bot has written to somebody.
    pub(super) fn answered(&mut self, sent: &Sent) -> Option<&'static str> {
        let to = sent.recipients.first()?;
        let (step, line) = if is_group(to) {
            (3, END)
        } else if is(&Person::bob(), to) {
            (2, GROUP)
        } else if is(&Person::alice(), to) {
            (1, BOB)
        } else {
            return None;
        };
        // Who has gone ahead is not sent back.
        if step <= self.told {
            return None;
        }
        self.told = step;
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use evenkeel_signal::standin::people::Group;

    use super::*;

    fn to(recipient: impl Into<String>) -> Sent {
        let mut sent = Sent::default();
        sent.recipients = vec![recipient.into()];
        sent
    }

    #[test]
    fn each_step_is_told_once_and_nobody_is_sent_back() {
        let mut story = Story::default();
        assert_eq!((story.connected(), story.connected()), (Some(BEGIN), None));
        assert_eq!(story.answered(&to(Person::alice().uuid)), Some(BOB));
        assert_eq!(story.answered(&to("+15550100001")), None);
        assert_eq!(story.answered(&to(Group::test().rest_id())), Some(END));
        assert_eq!(story.answered(&to(Person::bob().uuid)), None);
        assert_eq!(story.answered(&to("+15559999999")), None);
    }
}
