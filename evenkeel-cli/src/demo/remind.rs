//! Time: a reminder that holds nobody up, and a wait that holds up its own conversation.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use evenkeel::{Args, Context, Error, FromRef, Result, Router, State, Trigger};
use serde::Deserialize;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Reminders that are still to come. They end with the bot: a restart forgets them.
#[derive(Clone, Default)]
pub(super) struct Reminders(Arc<Mutex<JoinSet<()>>>);

/// How many reminders may be on their way.
const LIMIT_REMINDERS: usize = 1_000;

pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S>
where
    Reminders: FromRef<S>,
{
    let wait = Trigger::command("!wait").usage("!wait 5s");
    Router::new()
        .route(Trigger::command("!remind").usage("!remind 10s tea").about("writes to you later"), remind)
        .route(wait.about("waits; only this conversation waits with it"), wait_for)
}

/// `10s`, `5m` or `1h`.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Wait(Duration);

impl TryFrom<String> for Wait {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let wrong = "write a time like `10s`, `5m` or `1h`, a day at most";
        let unit = match text.chars().next_back() {
            Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3600,
            _ => return Err(wrong),
        };
        let count: u64 = text[..text.len() - 1].parse().map_err(|_| wrong)?;
        let seconds = count.checked_mul(unit).filter(|seconds| *seconds <= 86_400).ok_or(wrong)?;
        Ok(Self(Duration::from_secs(seconds)))
    }
}

/// Sleeping in here would hold up the conversation, for its order is kept. So the reminder sleeps elsewhere.
async fn remind(cx: Context, State(reminders): State<Reminders>, Args(words): Args) -> Result<String> {
    let [time, what @ ..] = words.as_slice() else {
        return Err(Error::tell("Usage: !remind 10s tea"));
    };
    let Wait(wait) = Wait::try_from(time.clone()).map_err(Error::tell)?;
    let what = if what.is_empty() { "time is up".to_owned() } else { what.join(" ") };
    let mut reminders = reminders.0.lock().unwrap_or_else(PoisonError::into_inner);
    while reminders.try_join_next().is_some() {}
    if reminders.len() >= LIMIT_REMINDERS {
        return Err(Error::tell("I have too many reminders on my mind already."));
    }
    reminders.spawn(async move {
        sleep(wait).await;
        // Nobody is left to be told if it cannot be sent; the bot's log says so.
        cx.reply_now(format!("⏰ {what}")).await.ok();
    });
    Ok(format!("I will, in {time}."))
}

/// A handler may take its time: every other conversation goes on.
async fn wait_for(cx: Context, Args(wait): Args<Option<Wait>>) -> Result<String> {
    let Wait(wait) = wait.unwrap_or(Wait(Duration::from_secs(5)));
    if wait > Duration::from_secs(60) {
        return Err(Error::tell("A minute at most: this conversation would wait with me."));
    }
    cx.typing();
    sleep(wait).await;
    Ok(format!("waited {} s", wait.as_secs()))
}
