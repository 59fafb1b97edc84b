//! A bot's tests: the same code path as in the field, no network, no waiting.

use std::time::Duration;

use evenkeel::sandbox::{Page, Sandbox};
use evenkeel::{App, Args, Context, Error, Result, Router, Trigger};

async fn remind(cx: Context, Args((minutes, what)): Args<(u64, String)>) -> Result<String> {
    if minutes > 24 * 60 {
        return Err(Error::for_user("a day at most"));
    }
    cx.reply_now("I will").await?;
    tokio::time::sleep(Duration::from_secs(60 * minutes)).await;
    Ok(format!("remember: {what}"))
}

pub(crate) fn app() -> App {
    // It waits on purpose: without this it would end after five minutes.
    let trigger = Trigger::command("!remind").parameters(["minutes", "what"]).within(Duration::MAX);
    Router::new().route(trigger, remind).with_state(())
}

fn main() -> evenkeel::Result<()> {
    evenkeel::run(Sandbox::new().with_page(Page::bind("127.0.0.1:0")?), app())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use evenkeel::testing::chat;
    use tokio::time::Instant;

    use super::app;

    /// Time is paused: an hour takes no time.
    #[tokio::test(start_paused = true)]
    async fn an_hour_later_the_bot_remembers() {
        let mut chat = chat(app());
        let before = Instant::now();
        assert_eq!(chat.say("!remind 60 'buy milk'").await, ["I will", "remember: buy milk"]);
        assert!(before.elapsed() >= Duration::from_secs(3600));
    }

    #[tokio::test(start_paused = true)]
    async fn a_week_is_too_long() {
        let mut chat = chat(app());
        assert_eq!(chat.say("!remind 10080 birthday").await, ["a day at most"]);
    }
}
