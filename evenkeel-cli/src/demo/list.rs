//! State: one list for each conversation.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use evenkeel::{Args, Conversation, Error, FromRef, Rest, Result, Router, State, Trigger};

/// The things to do, by conversation. Clones share the same lists.
#[derive(Clone, Default)]
pub(super) struct Lists(Arc<Mutex<HashMap<Arc<str>, Vec<String>>>>);

/// How many things a list holds.
const LIMIT_ITEMS: usize = 100;

impl Lists {
    /// A short section without an `.await` in it: a std mutex is right.
    fn with<T>(&self, here: &Conversation, change: impl FnOnce(&mut Vec<String>) -> T) -> T {
        let mut lists = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(lists.entry(here.id().into()).or_default())
    }
}

pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S>
where
    Lists: FromRef<S>,
{
    let list = Router::new()
        .route(Trigger::command("add").usage("!list add <thing>").about("puts a thing on the list"), add)
        .route(Trigger::command("done").usage("!list done <number>").about("strikes it off"), done)
        .route(Trigger::command("show").usage("!list show").about("shows the list"), show)
        .fallback(show);
    Router::new().nest("!list", list)
}

async fn add(lists: State<Lists>, here: Conversation, Rest(thing): Rest) -> Result<String> {
    if thing.is_empty() {
        return Err(Error::for_user("What shall I add? Usage: !list add <thing>"));
    }
    lists.with(&here, |list| {
        if list.len() >= LIMIT_ITEMS {
            return Err(Error::for_user("The list is full. Do something first!"));
        }
        list.push(thing);
        Ok(format!("{} on the list", list.len()))
    })
}

async fn done(lists: State<Lists>, here: Conversation, Args(number): Args<usize>) -> Result<String> {
    lists.with(&here, |list| {
        let place = number.checked_sub(1).filter(|place| *place < list.len());
        let place = place.ok_or_else(|| Error::for_user("There is no such number on the list."))?;
        Ok(format!("done: {}", list.remove(place)))
    })
}

async fn show(lists: State<Lists>, here: Conversation) -> String {
    lists.with(&here, |list| match list.as_slice() {
        [] => "nothing to do".to_owned(),
        things => {
            let lines = things.iter().enumerate().map(|(place, thing)| format!("{}. {thing}", place + 1));
            lines.collect::<Vec<_>>().join("\n")
        }
    })
}
