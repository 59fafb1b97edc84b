//! What the bot sent itself, so that it does not answer it when the server sends it back.
//!
//! Another device of the account reads what this one sends (a *sync message*), and in "Note to Self" a bot listens to those.
//! A message is known by the timestamp that the server gave it. The copy may come before the answer to the request does, or the
//! answer may never come, and a reaction gets no timestamp: these are known by what they say.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use evenkeel::transport::{Outcome, SendError, Sent};
use evenkeel::{Action, Draft, EventKind, Message, MessageId};
use tokio::time::Instant;

use crate::ids::Account;

/// This many timestamps are remembered.
const TIMESTAMPS: usize = 4_096;
/// This many sends whose timestamps are not known, and for so long.
const WORDS: usize = 1_024;
const KEPT_FOR: Duration = Duration::from_secs(600);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct OwnSends {
    random: RandomState,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    timestamps: VecDeque<u64>,
    /// What was or is being sent under no known timestamp, and since when.
    words: VecDeque<Unnamed>,
    count: u64,
}

/// A send whose timestamp is not known.
#[derive(Debug)]
struct Unnamed {
    number: u64,
    words: u64,
    since: Instant,
}

/// A send under way. What becomes of it is noted by [`Self::made`]; dropped before that, it may have happened.
#[derive(Debug)]
pub(crate) struct Sending<'a> {
    own: &'a OwnSends,
    /// The number under which it is noted.
    number: Option<u64>,
}

impl OwnSends {
    /// Notes that this is about to be sent.
    pub(crate) fn begin(&self, action: &Action) -> Sending<'_> {
        let number = self.words_of(action).map(|words| {
            let mut inner = self.locked();
            inner.count += 1;
            let number = inner.count;
            inner.words.push_back(Unnamed { number, words, since: Instant::now() });
            if inner.words.len() > WORDS {
                inner.words.pop_front();
            }
            number
        });
        Sending { own: self, number }
    }

    /// Whether the bot itself sent what comes back under this timestamp. A send of unknown timestamp is taken off the list by
    /// that: the owner may say the same later.
    pub(crate) fn is_echo(&self, timestamp: u64, what: &EventKind) -> bool {
        let words = self.words_of_event(what);
        let mut inner = self.locked();
        if inner.timestamps.contains(&timestamp) {
            return true;
        }
        let now = Instant::now();
        inner.words.retain(|one| now.saturating_duration_since(one.since) < KEPT_FOR);
        let Some(at) = inner.words.iter().position(|one| Some(one.words) == words) else { return false };
        inner.words.remove(at);
        inner.note(timestamp);
        tracing::debug!(timestamp, "a copy of what the bot said came back, known by its words");
        true
    }

    fn words_of(&self, action: &Action) -> Option<u64> {
        let files = |draft: &Draft| draft.files.iter().map(|file| Some(file.bytes.len() as u64)).collect();
        match action {
            Action::Send(draft) | Action::Edit { draft, .. } => Some(self.message(&draft.text, files(draft))),
            Action::React { target, emoji, .. } => Some(self.reaction(target, emoji)),
            Action::Delete { target } => Some(self.reaction(target, "")),
            _ => None,
        }
    }

    fn words_of_event(&self, what: &EventKind) -> Option<u64> {
        let files = |message: &Message| message.attachments.iter().map(|file| file.size_bytes).collect();
        match what {
            EventKind::Message(message) => Some(self.message(&message.text, files(message))),
            EventKind::Edit(edit) => Some(self.message(&edit.message.text, files(&edit.message))),
            EventKind::Reaction(reaction) => Some(self.reaction(&reaction.target, &reaction.emoji)),
            EventKind::Deletion(deletion) => Some(self.reaction(&deletion.target, "")),
            _ => None,
        }
    }

    /// Styles and mentions are written otherwise in what comes back. Files are told apart by their lengths: a picture of the
    /// owner's has no words either.
    fn message(&self, text: &str, mut files: Vec<Option<u64>>) -> u64 {
        let plain: String = text.chars().filter(|letter| !"*_~|`\\\u{fffc}".contains(*letter)).collect();
        files.sort_unstable();
        self.random.hash_one((plain.trim(), files))
    }
}

impl OwnSends {
    fn reaction(&self, target: &MessageId, emoji: &str) -> u64 {
        self.random.hash_one((target.as_str(), emoji))
    }

    fn locked(&self) -> MutexGuard<'_, Inner> {
        // Each section leaves the lists whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn note(&mut self, timestamp: u64) {
        self.timestamps.push_back(timestamp);
        if self.timestamps.len() > TIMESTAMPS {
            self.timestamps.pop_front();
        }
    }
}

impl Sending<'_> {
    /// Notes what came of it: the message that was made, if one was; or that nothing was sent.
    pub(crate) fn ended(self, result: &Result<Sent, SendError>) {
        let timestamp = match result {
            Ok(sent) => sent.id.as_ref().and_then(Account::own_timestamp),
            // What a limit is said of may have gone out all the same.
            Err(error) if error.outcome() == Outcome::Unknown || error.is_rate_limited() => None,
            // Nothing will come back.
            Err(_) => Some(0),
        };
        let (Some(timestamp), Some(number)) = (timestamp, self.number) else { return };
        let mut inner = self.own.locked();
        // The copy may have taken it off already.
        if let Some(at) = inner.words.iter().position(|one| one.number == number) {
            inner.words.remove(at);
        }
        inner.note(timestamp);
    }
}

#[cfg(test)]
mod tests {
    use evenkeel::{Attachment, File, Reply};

    use super::*;

    fn action(text: &str) -> Action {
        Reply::text(text).actions()[0].clone()
    }

    fn comes_back(own: &OwnSends, timestamp: u64, text: &str) -> bool {
        own.is_echo(timestamp, &EventKind::Message(Message::text("x", text)))
    }

    fn made(timestamp: u64) -> Result<Sent, SendError> {
        Ok(Sent::message(Account::own_message_id(timestamp)))
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_sent_is_known_by_its_timestamp_for_ever_and_by_its_words_once() {
        let own = OwnSends::default();
        let sending = own.begin(&action("pong"));
        assert!(!comes_back(&own, 6, "!ping"), "the owner's own");
        sending.ended(&made(7));
        assert!(comes_back(&own, 7, "pong"));
        assert!(comes_back(&own, 7, "pong"), "a repeated delivery");
        assert!(!comes_back(&own, 8, "pong"), "the owner says the same");
    }

    #[tokio::test(start_paused = true)]
    async fn a_copy_may_come_before_the_answer_to_the_request() {
        let own = OwnSends::default();
        let sending = own.begin(&action("*pong* for you"));
        assert!(comes_back(&own, 7, "pong for you"), "without its style");
        sending.ended(&made(7));
        assert!(comes_back(&own, 7, "pong for you"));
        assert!(!comes_back(&own, 9, "pong for you"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_send_of_unknown_outcome_is_known_for_ten_minutes_and_a_refused_one_never() {
        let own = OwnSends::default();
        own.begin(&action("one")).ended(&Err(SendError::unknown("no answer")));
        let _dropped = own.begin(&action("two"));
        own.begin(&action("three")).ended(&Err(SendError::refused("no")));
        assert!(comes_back(&own, 1, "one") && comes_back(&own, 2, "two") && !comes_back(&own, 3, "three"));
        let _dropped = own.begin(&action("four"));
        tokio::time::advance(KEPT_FOR).await;
        assert!(!comes_back(&own, 4, "four"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_have_been_sent_in_spite_of_a_limit_is_known() {
        let own = OwnSends::default();
        let limited = SendError::refused("429").limiting_account(None);
        own.begin(&action("one")).ended(&Err(limited));
        assert!(comes_back(&own, 1, "one"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_picture_of_the_owners_is_not_the_bots() {
        let own = OwnSends::default();
        let picture = |size_bytes| {
            let mut message = Message::text("x", "");
            let (id, content_type) = ("1".into(), "image/png".to_owned());
            message.attachments.push(Attachment { id, name: None, content_type, size_bytes });
            EventKind::Message(message)
        };
        let reply = Reply::none().with_file(File::new("plot.png", "image/png", vec![0; 5]));
        let _sending = own.begin(&reply.actions()[0]);
        assert!(!own.is_echo(1, &picture(Some(6))) && !own.is_echo(2, &picture(None)));
        assert!(own.is_echo(3, &picture(Some(5))) && !own.is_echo(4, &picture(Some(5))));
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded() {
        let own = OwnSends::default();
        for timestamp in 1..100_000 {
            let _dropped = own.begin(&action(&timestamp.to_string()));
            own.begin(&action("x")).ended(&made(timestamp));
        }
        let inner = own.locked();
        assert!(inner.timestamps.len() <= TIMESTAMPS && inner.words.len() <= WORDS);
    }
}
