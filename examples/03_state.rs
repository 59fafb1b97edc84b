//! What handlers share: a list of things to do, one for each conversation.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use evenkeel::sandbox::{Page, Sandbox};
use evenkeel::{App, Conversation, Error, Rest, Result, Router, State, Trigger};

/// The state of the bot. Clones share the same lists.
#[derive(Clone, Default)]
struct Lists(Arc<Mutex<HashMap<String, Vec<String>>>>);

impl Lists {
    /// A short section without an `.await` in it: a std mutex is right.
    fn with<T>(&self, conversation: &Conversation, change: impl FnOnce(&mut Vec<String>) -> T) -> T {
        let mut lists = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(lists.entry(conversation.id().to_owned()).or_default())
    }
}

async fn add(lists: State<Lists>, here: Conversation, Rest(item): Rest) -> Result<String> {
    if item.is_empty() {
        return Err(Error::for_user("What shall I add?"));
    }
    let count = lists.with(&here, |list| {
        list.push(item);
        list.len()
    });
    Ok(format!("{count} on the list"))
}

async fn show(lists: State<Lists>, here: Conversation) -> String {
    lists.with(&here, |list| match list.as_slice() {
        [] => "nothing to do".to_owned(),
        items => items.iter().map(|item| format!("- {item}\n")).collect(),
    })
}

pub(crate) fn app() -> App {
    let list = Router::new()
        .route(Trigger::command("add").usage("add <item>").about("puts something on the list"), add)
        .route(Trigger::command("show").about("shows the list"), show)
        .fallback(show);
    Router::new().nest("!list", list).help("!help").with_state(Lists::default())
}

fn main() -> evenkeel::Result<()> {
    evenkeel::run(Sandbox::new().with_page(Page::bind("127.0.0.1:0")?), app())
}

#[cfg(test)]
mod tests {
    use evenkeel::testing::chat;

    use super::app;

    #[tokio::test(start_paused = true)]
    async fn each_conversation_has_its_list() {
        let mut chat = chat(app());
        assert_eq!(chat.say("!list add milk").await, ["1 on the list"]);
        assert_eq!(chat.say("!list add bread").await, ["2 on the list"]);
        assert_eq!(chat.say("!list show").await, ["- milk\n- bread\n"]);
        assert_eq!(chat.say_as("bob", "!list").await, ["nothing to do"]);
        assert_eq!(chat.say("!list add").await, ["What shall I add?"]);
    }
}
