//! The crowd that writes, and the check of every reply.
//!
//! It lives in the stand-in's callback: a reply comes in, is checked, and lets the next person write, all on the
//! stand-in's thread. So the generator costs no thread and no wake-up of its own.

use std::collections::{HashMap, VecDeque};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use evenkeel_signal::standin::people::Person;
use evenkeel_signal::standin::switchboard::Switchboard;
use evenkeel_signal::standin::transcript::Sent;

use super::Plan;
use super::words::{Writer, token_in};
use crate::contender::BOT;

/// A crowd, shared by the stand-in's callback and the thread that waits for the end.
pub(super) struct Load {
    crowd: Mutex<Crowd>,
    finished: Condvar,
}

/// What came of a run.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    pub(super) replies: usize,
    /// Replies that came before the reply to an earlier message of the same conversation.
    pub(super) out_of_order: usize,
    /// Replies to nothing: duplicates, wrong tokens, wrong recipients.
    pub(super) wrong: usize,
    /// From the hand-over of the frame to the arrival of the reply.
    pub(super) latencies: Vec<Duration>,
}

struct Crowd {
    conversations: Vec<Conversation>,
    by_recipient: HashMap<String, usize>,
    command: &'static str,
    burst: usize,
    left: usize,
    next_token: u64,
    outcome: Outcome,
    wanted: usize,
}

struct Conversation {
    writer: Writer,
    /// Tokens in the order in which they were written.
    waiting: VecDeque<(u64, Instant)>,
}

fn conversation(person: &Person) -> Conversation {
    Conversation { writer: Writer::new(person), waiting: VecDeque::new() }
}

impl Load {
    pub(super) fn new(plan: &Plan) -> Self {
        let people: Vec<Person> = (0..plan.conversations).map(|n| Person::nth(n as u32)).collect();
        let both =
            |(at, person): (usize, &Person)| [(person.uuid.clone(), at), (person.source().to_owned(), at)];
        let crowd = Crowd {
            by_recipient: people.iter().enumerate().flat_map(both).collect(),
            conversations: people.iter().map(conversation).collect(),
            command: plan.scenario.command,
            burst: plan.scenario.burst,
            left: 0,
            next_token: 0,
            outcome: Outcome::default(),
            wanted: 0,
        };
        Self { crowd: Mutex::new(crowd), finished: Condvar::new() }
    }

    /// Writes `messages`, `outstanding` at a time, and waits for all replies; `None` once nothing has moved for
    /// `patience` or `is_lost` says that the bot is gone.
    pub(super) fn drive(
        &self,
        switchboard: &Switchboard,
        messages: usize,
        outstanding: usize,
        patience: Duration,
        mut is_lost: impl FnMut() -> bool,
    ) -> Option<Outcome> {
        let mut crowd = self.crowd.lock().unwrap_or_else(PoisonError::into_inner);
        crowd.outcome = Outcome { latencies: Vec::with_capacity(messages), ..Outcome::default() };
        (crowd.left, crowd.wanted) = (messages, messages);
        for _ in 0..outstanding {
            crowd.write(switchboard);
        }
        let (mut seen, mut since) = (0, Instant::now());
        while crowd.outcome.replies < messages {
            let waited = self.finished.wait_timeout(crowd, Duration::from_millis(200));
            crowd = waited.unwrap_or_else(PoisonError::into_inner).0;
            if crowd.outcome.replies > seen {
                (seen, since) = (crowd.outcome.replies, Instant::now());
            } else if since.elapsed() > patience || is_lost() {
                return None;
            }
        }
        Some(std::mem::take(&mut crowd.outcome))
    }

    /// Checks one reply and writes the next message; called on the stand-in's thread.
    pub(super) fn reply(&self, switchboard: &Switchboard, sent: &Sent) {
        let mut crowd = self.crowd.lock().unwrap_or_else(PoisonError::into_inner);
        if crowd.check(sent) {
            crowd.write(switchboard);
        }
        if crowd.outcome.replies == crowd.wanted {
            self.finished.notify_all();
        }
    }
}

impl Crowd {
    fn write(&mut self, switchboard: &Switchboard) {
        if self.left == 0 {
            return;
        }
        self.left -= 1;
        let token = self.next_token;
        self.next_token += 1;
        let at = (token as usize / self.burst) % self.conversations.len();
        let conversation = &mut self.conversations[at];
        conversation.waiting.push_back((token, Instant::now()));
        switchboard.frame(BOT, conversation.writer.frame(self.command, token, switchboard.timestamp()));
    }

    /// Returns whether the reply was one that somebody waits for.
    fn check(&mut self, sent: &Sent) -> bool {
        let recipient = sent.recipients.first().and_then(|recipient| self.by_recipient.get(recipient));
        let waiting = recipient.map(|at| &mut self.conversations[*at].waiting);
        let (Some(waiting), Some(token)) = (waiting, token_in(&sent.message)) else {
            self.outcome.wrong += 1;
            return false;
        };
        let Some(place) = waiting.iter().position(|(waits, _)| *waits == token) else {
            self.outcome.wrong += 1;
            return false;
        };
        if let Some((_, written)) = waiting.remove(place) {
            self.outcome.latencies.push(written.elapsed());
        }
        self.outcome.replies += 1;
        self.outcome.out_of_order += usize::from(place > 0);
        true
    }
}
