//! Reactions: people vote by reacting to a message, and the message shows the count.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use evenkeel::{Context, Error, FromRef, MessageId, Reaction, Rest, Result, Router, Sender, State, Trigger};

/// The polls that are open. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Polls(Arc<Mutex<Open>>);

#[derive(Default)]
struct Open {
    polls: HashMap<MessageId, Poll>,
    /// Oldest first.
    order: VecDeque<MessageId>,
}

/// How many polls are open; a new one closes the oldest.
const LIMIT_POLLS: usize = 1_000;

struct Poll {
    question: String,
    /// Who chose each emoji, by id.
    votes: BTreeMap<String, BTreeSet<String>>,
}

impl Polls {
    fn open(&self, message: MessageId, question: String) {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        open.order.push_back(message.clone());
        open.polls.insert(message, Poll { question, votes: BTreeMap::new() });
        if open.order.len() > LIMIT_POLLS
            && let Some(oldest) = open.order.pop_front()
        {
            open.polls.remove(&oldest);
        }
    }

    /// Counts a vote and returns how the poll stands; `None` if the message is no poll.
    fn count(&self, who: &Sender, reaction: Reaction) -> Option<String> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let poll = open.polls.get_mut(&reaction.target)?;
        let voters = poll.votes.entry(reaction.emoji).or_default();
        if reaction.is_removed {
            voters.remove(who.id());
        } else {
            voters.insert(who.id().to_owned());
        }
        poll.votes.retain(|_, voters| !voters.is_empty());
        Some(poll.count())
    }
}

impl Poll {
    fn count(&self) -> String {
        let mut text = format!("🗳 {}", self.question);
        for (emoji, voters) in &self.votes {
            text.push_str(&format!("\n{emoji} {}", voters.len()));
        }
        text
    }
}

pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S>
where
    Polls: FromRef<S>,
{
    let trigger = Trigger::command("!poll").usage("!poll <question>");
    Router::new().route(trigger.about("counts the reactions to the question"), ask)
}

/// The name of the message is needed to know its votes, so it leaves at once.
async fn ask(cx: Context, polls: State<Polls>, Rest(question): Rest) -> Result<()> {
    if question.is_empty() {
        return Err(Error::for_user("What is the question? Usage: !poll Tea or coffee?"));
    }
    let message = cx.reply_now(format!("🗳 {question}\nVote by reacting to this message.")).await?;
    polls.open(message, question);
    Ok(())
}

/// Every reaction in every conversation comes here; those to other messages are nobody's vote.
pub(super) async fn vote(cx: Context, polls: State<Polls>, who: Sender, reaction: Reaction) {
    let message = reaction.target.clone();
    if let Some(count) = polls.count(&who, reaction) {
        cx.edit(&message, count);
    }
}
