//! A sandbox that wants an answer to each message in time, as networks do that have interactions.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::event::{Conversation, Deadline, Event, MessageId, ReplyToken};
use crate::text::words;

/// So many messages are remembered that want or had an answer.
const REMEMBERED: usize = 10_000;

/// Messages that want answers in time, by token.
#[derive(Debug)]
pub(super) struct Answers {
    within: Duration,
    open: HashMap<Box<str>, Open>,
    /// In the order in which they came.
    order: VecDeque<Box<str>>,
    /// Of those that are forgotten.
    missed: u64,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Open {
    until: Instant,
    pub(super) conversation: Conversation,
    pub(super) standing: Standing,
}

/// What has gone out by its token.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Nothing,
    /// People read that the bot works on it.
    Deferred(MessageId),
    Answered,
}

impl Open {
    fn is_missed(&self) -> bool {
        self.standing == Standing::Nothing && Instant::now() > self.until
    }
}

impl Answers {
    pub(super) fn within(within: Duration) -> Self {
        Self { within, open: HashMap::new(), order: VecDeque::new(), missed: 0 }
    }

    /// How many messages had nothing in time.
    pub(super) fn missed(&self) -> u64 {
        self.missed + self.open.values().filter(|open| open.is_missed()).count() as u64
    }

    /// A message wants an answer from now on.
    pub(super) fn expect(&mut self, event: Event) -> Event {
        let Some(text) = event.text() else { return event };
        let command = words(text).next().unwrap_or_default().to_owned();
        let (until, conversation) = (Instant::now() + self.within, event.conversation().clone());
        let open = Open { until, conversation, standing: Standing::Nothing };
        self.open.insert(event.id().into(), open);
        self.order.push_back(event.id().into());
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.missed += u64::from(self.open.remove(&oldest).is_some_and(|open| open.is_missed()));
        }
        let token = ReplyToken::new(event.id());
        event.with_token(token).with_deadline(Deadline::within(self.within).for_command(command))
    }

    /// What is known of a token whose message may still be answered.
    pub(super) fn find(&mut self, token: &ReplyToken) -> Result<Option<&mut Open>, String> {
        let within = self.within;
        match self.open.get_mut(token.as_str()) {
            Some(open) if open.is_missed() => {
                Err(format!("the message wanted an answer within {within:?}, and that time is over"))
            }
            open => Ok(open),
        }
    }
}
