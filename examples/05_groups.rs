//! Who and where: groups, mentions, reactions, quotes, and commands that only some may use.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use evenkeel::sandbox::{Page, Sandbox};
use evenkeel::{
    App, Args, Context, Conversation, Event, Person, Reaction, Reply, Router, Sender, State, Trigger,
};

/// Hearts by person.
#[derive(Clone, Default)]
struct Hearts(Arc<Mutex<HashMap<String, u32>>>);

impl Hearts {
    /// Adds to the hearts of a person, and says how many there are.
    fn add(&self, who: &Sender, more: u32) -> u32 {
        let mut hearts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let given = hearts.entry(who.id().to_owned()).or_default();
        *given += more;
        *given
    }
}

/// A quote, and a mention that notifies. A person is who is mentioned, or who wrote what is being answered.
async fn hug(who: Sender, Args(person): Args<Option<Person>>) -> Reply {
    let hugged = person.map_or(who, |Person(person)| person);
    Reply::text("a hug for ").mention(&hugged).quoting()
}

async fn where_am_i(here: Conversation) -> &'static str {
    if here.is_group() { "in a group" } else { "just the two of us" }
}

/// Events other than text have handlers, too.
async fn count_hearts(hearts: State<Hearts>, who: Sender, Reaction { emoji, is_removed, .. }: Reaction) {
    if emoji.starts_with('❤') && !is_removed {
        hearts.add(&who, 1);
    }
}

async fn hearts(hearts: State<Hearts>, who: Sender) -> String {
    format!("you gave {} hearts", hearts.add(&who, 0))
}

/// Reacts instead of answering.
async fn thanks(cx: Context) {
    cx.react("👍");
}

/// Only Alice may; for everybody else the command does not exist.
async fn close() -> &'static str {
    "closed for today"
}

pub(crate) fn app() -> App {
    Router::new()
        .command("!hug", hug)
        .command("!where", where_am_i)
        .command("!hearts", hearts)
        .regex(r"(?i)\bthank(s| you)\b", thanks)
        .route(Trigger::command("!close").senders(["alice"]).about("closes the shop"), close)
        .on(Event::reaction, count_hearts)
        .help("!help")
        .with_state(Hearts::default())
}

fn main() -> evenkeel::Result<()> {
    evenkeel::run(Sandbox::new().with_page(Page::bind("127.0.0.1:0")?), app())
}

#[cfg(test)]
mod tests {
    use evenkeel::testing::chat;

    use super::app;

    #[tokio::test(start_paused = true)]
    async fn a_group_is_not_a_direct_chat() {
        let mut chat = chat(app());
        assert_eq!(chat.say("!where").await, ["just the two of us"]);
        assert_eq!(chat.in_group("crew").say_as("bob", "!where").await, ["in a group"]);
        assert_eq!(chat.in_group("crew").say("!hug @Bob").await, ["a hug for @Bob"]);
    }

    #[tokio::test(start_paused = true)]
    async fn reactions_come_in_and_go_out() {
        let mut chat = chat(app());
        assert_eq!(chat.say("thank you!").await.reactions(), ["👍"]);
        assert_eq!(chat.say("!where").await, ["just the two of us"]);
        assert!(chat.react("❤️").await.is_empty());
        assert_eq!(chat.say("!hearts").await, ["you gave 1 hearts"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_one_may_not_use_does_not_exist() {
        let mut chat = chat(app());
        assert_eq!(chat.say("!close").await, ["closed for today"]);
        assert!(chat.say_as("bob", "!close").await.is_empty());
        let help = chat.say_as("bob", "!help").await;
        assert!(!help.text().contains("!close"));
    }
}
