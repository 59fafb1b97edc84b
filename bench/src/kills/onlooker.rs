//! The onlooker sees what goes in and what comes out, in one order.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::history::Happened;
use super::words::{Answer, Line, answer_in};

/// Shared by those who write, those who read, and the one who kills.
#[derive(Clone, Default)]
pub(super) struct Onlooker(Arc<Mutex<Seen>>);

/// Everything so far.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) history: Vec<Happened>,
    /// By the number of the message.
    lines: Vec<Asked>,
    /// When the first answer of this life arrived.
    pub(super) first_answer: Option<Instant>,
    /// When anything arrived.
    pub(super) latest: Option<Instant>,
    /// Messages not acknowledged.
    pub(super) unacknowledged: usize,
    /// Answers that are missing.
    pub(super) missing: usize,
    /// Answers that do not say what they answer, such as an apology.
    pub(super) strange: u64,
}

struct Asked {
    line: Line,
    is_acknowledged: bool,
    /// By part.
    has_come: [bool; 2],
}

impl Onlooker {
    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A message is about to be written, perhaps again.
    pub(super) fn offer(&self, line: Line) {
        let mut seen = self.seen();
        let Line { message, conversation, wants, .. } = line;
        seen.history.push(Happened::Offered { message, conversation, wants });
        if seen.lines.len() as u64 == message {
            seen.lines.push(Asked { line, is_acknowledged: false, has_come: [false; 2] });
            seen.unacknowledged += 1;
            // What ends the process is not answered.
            seen.missing += if line.is_poison() { 0 } else { usize::from(wants.parts) };
        }
    }

    pub(super) fn acknowledge(&self, message: u64) {
        self.seen().acknowledge(message);
    }

    /// An answer came; returns what it answers.
    pub(super) fn hear(&self, conversation: u32, text: &str) -> Option<Answer> {
        let now = Instant::now();
        let mut seen = self.seen();
        seen.first_answer.get_or_insert(now);
        seen.latest = Some(now);
        let Some(answer) = answer_in(text) else {
            seen.strange += 1;
            return None;
        };
        let Answer { message, part, run } = answer;
        seen.history.push(Happened::Replied { message, conversation, part, run });
        let asked = seen.lines.get_mut(message as usize);
        let come = asked.and_then(|asked| asked.has_come.get_mut(usize::from(part)));
        if come.is_some_and(|come| !std::mem::replace(come, true)) {
            seen.missing = seen.missing.saturating_sub(1);
        }
        Some(answer)
    }

    /// The bot has been told that the answer arrived, or is about to be where nobody can say when that was.
    pub(super) fn confirm(&self, answer: Answer) {
        let Answer { message, part, .. } = answer;
        self.seen().history.push(Happened::Confirmed { message, part });
    }

    /// The process has ended like this, and nothing of it is under way any more.
    pub(super) fn end(&self, how: Happened) {
        let mut seen = self.seen();
        seen.history.push(how);
        (seen.first_answer, seen.latest) = (None, None);
    }

    /// What has to be offered again, in the order in which it was offered first.
    pub(super) fn unacknowledged(&self) -> Vec<Line> {
        let seen = self.seen();
        seen.lines.iter().filter(|asked| !asked.is_acknowledged).map(|asked| asked.line).collect()
    }
}

impl Seen {
    fn acknowledge(&mut self, message: u64) {
        self.latest = Some(Instant::now());
        self.history.push(Happened::Acknowledged { message });
        let Some(asked) = self.lines.get_mut(message as usize) else { return };
        if !std::mem::replace(&mut asked.is_acknowledged, true) {
            self.unacknowledged -= 1;
        }
    }
}
