//! A crowd that writes by the clock, whatever comes back, and the check of what does.
//!
//! A crowd that waits for its answers falls silent with the bot, and then measures nothing of the silence. Here
//! a wait counts from the time at which the message was due, even if the generator itself was late.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use evenkeel_signal::standin::people::Person;
use evenkeel_signal::standin::switchboard::Switchboard;
use evenkeel_signal::standin::transcript::Sent;

use super::schedule::{Line, Part, Schedule};
use crate::contender::BOT;
use crate::signal::words::{Writer, token_in};

/// A crowd, shared by the thread that writes and the stand-in's callback.
pub(crate) struct Crowd {
    lines: Vec<Line>,
    people: Vec<Person>,
    /// Who has written a bad message, and which: the only one of that conversation.
    bad_lines: HashMap<String, usize>,
    heard: Mutex<Heard>,
    all_answered: Condvar,
}

#[derive(Default)]
struct Heard {
    /// When each line was answered.
    answers: Vec<Option<Instant>>,
    unanswered: usize,
    refused: usize,
    wrong: usize,
}

/// What came of a run; all times are from its start.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) lines: Vec<Told>,
    /// Replies to a bad message that do not repeat its token: the bot was too busy.
    pub(crate) refused: usize,
    /// Duplicates, unknown tokens, wrong recipients.
    pub(crate) wrong: usize,
    /// When nobody listened any longer.
    pub(crate) end: Duration,
    /// How late the generator was with each line that counts.
    pub(crate) lateness: Vec<Duration>,
    /// Whether the bot's process has ended.
    pub(crate) is_lost: bool,
}

/// A line and its answer.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) due: Duration,
    pub(crate) answered: Option<Duration>,
    pub(crate) part: Part,
}

impl Crowd {
    pub(crate) fn new(schedule: Schedule) -> Arc<Self> {
        let people: Vec<Person> = (0..schedule.people()).map(Person::nth).collect();
        let lines = schedule.lines;
        let bad = lines.iter().enumerate().filter(|(_, line)| line.part == Part::Bad);
        let bad_lines = bad
            .map(|(at, line)| (&people[line.person as usize], at))
            .flat_map(|(person, at)| [(person.uuid.clone(), at), (person.source().to_owned(), at)])
            .collect();
        let heard = Heard { answers: vec![None; lines.len()], unanswered: lines.len(), ..Heard::default() };
        Arc::new(Self { lines, people, bad_lines, heard: Mutex::new(heard), all_answered: Condvar::new() })
    }

    /// Writes every line at its time, on this thread, and then waits for the answers for `patience` at most. `first` is
    /// called once, before the first line that counts.
    pub(crate) fn drive(
        &self,
        switchboard: &Switchboard,
        patience: Duration,
        first: impl FnOnce(),
        mut is_lost: impl FnMut() -> bool,
    ) -> Outcome {
        let mut first = Some(first);
        let writers: Vec<Writer> = self.people.iter().map(Writer::new).collect();
        let mut lateness = Vec::with_capacity(self.lines.len());
        let start = Instant::now();
        for (token, line) in self.lines.iter().enumerate() {
            let due = start + line.at;
            if line.part != Part::WarmUp
                && let Some(first) = first.take()
            {
                first();
            }
            // The system's clock_nanosleep, which returns some 60 us late; that is part of every latency.
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if line.part != Part::WarmUp {
                lateness.push(due.elapsed());
            }
            let writer = &writers[line.person as usize];
            switchboard.frame(BOT, writer.frame(line.command, token as u64, switchboard.timestamp()));
        }
        self.wait(Instant::now() + patience, &mut is_lost);
        self.outcome(start, lateness, is_lost())
    }

    fn wait(&self, until: Instant, is_lost: &mut impl FnMut() -> bool) {
        let mut heard = self.heard();
        while heard.unanswered > 0 && Instant::now() < until && !is_lost() {
            let waited = self.all_answered.wait_timeout(heard, Duration::from_millis(200));
            heard = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn outcome(&self, start: Instant, lateness: Vec<Duration>, is_lost: bool) -> Outcome {
        let heard = self.heard();
        let told = |(line, answer): (&Line, &Option<Instant>)| Told {
            due: line.at,
            answered: answer.map(|answer| answer.saturating_duration_since(start)),
            part: line.part,
        };
        Outcome {
            lines: self.lines.iter().zip(&heard.answers).map(told).collect(),
            refused: heard.refused,
            wrong: heard.wrong,
            end: start.elapsed(),
            lateness,
            is_lost,
        }
    }

    /// Enters one reply; called on the stand-in's thread.
    pub(crate) fn reply(&self, sent: &Sent) {
        let now = Instant::now();
        let Some(recipient) = sent.recipients.first() else { return };
        let mut heard = self.heard();
        let Some(token) = token_in(&sent.message) else {
            let is_refusal = self.bad_lines.get(recipient).is_some_and(|at| heard.answers[*at].is_none());
            if is_refusal {
                heard.refused += 1;
            } else {
                heard.wrong += 1;
            }
            return;
        };
        let at = token as usize;
        let is_right = self.lines.get(at).is_some_and(|line| {
            let person = &self.people[line.person as usize];
            recipient == person.source() || *recipient == person.uuid
        });
        if !is_right || heard.answers[at].is_some() {
            heard.wrong += 1;
            return;
        }
        heard.answers[at] = Some(now);
        heard.unanswered -= 1;
        if heard.unanswered == 0 {
            self.all_answered.notify_all();
        }
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::freeze::schedule::{self, Length};

    fn crowd() -> Arc<Crowd> {
        let length = Length {
            warm_up: Duration::ZERO,
            steady: Duration::ZERO,
            bursts: 1,
            freeze: ("!nap", Duration::from_secs(1)),
            seed: 0,
        };
        Crowd::new(schedule::freeze(&length))
    }

    fn sent(recipient: &str, message: &str) -> Sent {
        let mut sent = Sent::default();
        (sent.recipients, sent.message) = (vec![recipient.to_owned()], message.to_owned());
        sent
    }

    #[test]
    fn an_answer_counts_once_and_only_for_who_asked() {
        let crowd = crowd();
        let asker = crowd.people[crowd.lines[3].person as usize].clone();
        crowd.reply(&sent("+1", "pong t3e"));
        crowd.reply(&sent(&asker.uuid, "pong t3e"));
        crowd.reply(&sent(asker.source(), "pong t3e"));
        let heard = crowd.heard();
        assert_eq!((heard.wrong, crowd.lines.len() - heard.unanswered), (2, 1));
    }

    #[test]
    fn an_answer_without_a_token_is_a_refusal_where_a_bad_message_waits() {
        let crowd = crowd();
        let bad = crowd.lines.iter().find(|line| line.part == Part::Bad).unwrap();
        crowd.reply(&sent(crowd.people[bad.person as usize].source(), "busy"));
        crowd.reply(&sent(crowd.people[0].source(), "busy"));
        let heard = crowd.heard();
        assert_eq!((heard.refused, heard.wrong), (1, 1));
    }
}
