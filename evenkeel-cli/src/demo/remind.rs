//! Time: a reminder that holds nobody up, and a wait that holds up its own conversation.

use std::time::Duration;

use evenkeel::{Args, Context, Error, Job, Result, Router, Trigger};
use serde::Deserialize;
use tokio::time::sleep;

/// How many reminders a conversation may have on their way.
const LIMIT_REMINDERS: usize = 100;

pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let wait = Trigger::command("!wait").usage("!wait 5s");
    Router::new()
        .route(Trigger::command("!remind").usage("!remind 10s tea").about("writes to you later"), remind)
        .route(wait.about("waits; only this conversation waits with it"), wait_for)
        .job(ring)
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

/// Sleeping in here would hold up the conversation, for its order is kept. So the reminder is a job.
async fn remind(cx: Context, Args(words): Args) -> Result<String> {
    let [time, what @ ..] = words.as_slice() else {
        return Err(Error::for_user("Usage: !remind 10s tea"));
    };
    let Wait(wait) = Wait::try_from(time.clone()).map_err(Error::for_user)?;
    let what = if what.is_empty() { "time is up".to_owned() } else { what.join(" ") };
    if cx.jobs().await?.len() >= LIMIT_REMINDERS {
        return Err(Error::for_user("I have too many reminders on my mind already."));
    }
    cx.after(wait, ring, (what,))?;
    Ok(format!("I will, in {time}."))
}

async fn ring(Job((what,)): Job<(String,)>) -> String {
    format!("⏰ {what}")
}

/// A handler may take its time: every other conversation goes on.
async fn wait_for(cx: Context, Args(wait): Args<Option<Wait>>) -> Result<String> {
    let Wait(wait) = wait.unwrap_or(Wait(Duration::from_secs(5)));
    if wait > Duration::from_secs(60) {
        return Err(Error::for_user("A minute at most: this conversation would wait with me."));
    }
    cx.typing();
    sleep(wait).await;
    Ok(format!("waited {} s", wait.as_secs()))
}
