//! What is written to the bot, and what its answers are answers to.

use super::history::{Unknown, Wants};
use crate::random::Random;

/// A message: its text and what it wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) message: u64,
    pub(super) conversation: u32,
    command: &'static str,
    pub(super) wants: Wants,
}

/// An answer, as its text tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) message: u64,
    pub(super) part: u8,
    /// 0 where the text does not say which run of the handler made it.
    pub(super) run: u64,
}

/// Ends the process whenever it is handled.
const ABORT: &str = "!abort";

impl Line {
    pub(super) fn abort(message: u64, conversations: u64, random: &mut Random) -> Self {
        let conversation = random.below(conversations) as u32;
        Self { message, conversation, command: ABORT, wants: Wants::parts(1) }
    }

    /// Whether it ends the process.
    pub(super) fn is_poison(&self) -> bool {
        self.command == ABORT
    }

    /// Half of the messages want one answer, the others two, some of them at once; one in a thousand fails: a lane
    /// may stop for seconds at a failure.
    pub(super) fn random(message: u64, conversations: u64, random: &mut Random) -> Self {
        let (command, parts, early) = match random.below(1000) {
            0..=549 => ("!echo", 1, 0),
            550..=849 => ("!two", 2, 0),
            850..=998 => ("!now", 2, 1),
            _ => ("!fail", 1, 0),
        };
        let wants = Wants { parts, early, unknown: Unknown::Resend };
        Self { message, conversation: random.below(conversations) as u32, command, wants }
    }

    /// What becomes of its answers that are under way when the process ends.
    pub(super) fn with_unknown(mut self, unknown: Unknown) -> Self {
        self.wants.unknown = unknown;
        self
    }

    pub(super) fn text(&self) -> String {
        format!("{} t{}e", self.command, self.message)
    }
}

/// Reads the message out of what was written or answered: `"!echo t17e"`, `"said t17e r5"`.
pub(super) fn message_in(text: &str) -> Option<u64> {
    let mut tokens = text.split_whitespace().filter_map(|word| word.strip_prefix('t')?.strip_suffix('e'));
    tokens.find_map(|token| token.parse().ok())
}

/// Reads an answer.
pub(super) fn answer_in(text: &str) -> Option<Answer> {
    let part = match text.split_whitespace().next()? {
        "said" | "first" | "now" | "failed" => 0,
        "second" | "then" => 1,
        _ => return None,
    };
    let run = text.split_whitespace().next_back()?.strip_prefix('r').and_then(|run| run.parse().ok());
    Some(Answer { message: message_in(text)?, part, run: run.unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_tells_its_message_its_part_and_its_run() {
        assert_eq!(answer_in("second t17e r5"), Some(Answer { message: 17, part: 1, run: 5 }));
        assert_eq!(answer_in("failed t3e"), Some(Answer { message: 3, part: 0, run: 0 }));
        assert_eq!(answer_in("Something went wrong."), None);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let line = Line::random(17, 5, &mut Random(1));
        assert_eq!(message_in(&line.text()), Some(17));
    }
}
