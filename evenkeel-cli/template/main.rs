//! A bot: on Signal once `.env` says where, on a page in the browser until then.

use evenkeel::config::Config;
use evenkeel::sandbox::{Page, Sandbox};
use evenkeel::{App, Args, Conversation, Rest, Router, Sender, Trigger};
use evenkeel_signal::Signal;

async fn ping() -> &'static str {
    "pong"
}

async fn hello(who: Sender) -> String {
    format!("Hello, {}!", who.display_name())
}

async fn echo(Rest(text): Rest) -> String {
    text
}

/// The id of a group is on no phone: here it is told.
async fn id(here: Conversation) -> String {
    here.id().to_owned()
}

/// Words become types; what does not fit is answered with the usage.
async fn add(Args((a, b)): Args<(i64, i64)>) -> String {
    a.saturating_add(b).to_string()
}

fn app() -> App {
    Router::new()
        .route(Trigger::command("!ping").about("answers pong"), ping)
        .route(Trigger::command("!hello").about("greets you"), hello)
        .route(Trigger::command("!echo").usage("!echo <text>").about("repeats you"), echo)
        .route(Trigger::command("!add").usage("!add <number> <number>").about("adds"), add)
        .route(Trigger::command("!id").about("says the id of this conversation"), id)
        .help("!help")
        .with_state(())
}

fn main() -> evenkeel::Result<()> {
    let config = Config::load()?;
    if has_signal(&config) {
        return evenkeel::run(Signal::from_config(&config)?, app());
    }
    let page = Page::bind("127.0.0.1:0")?.with_chips(["!help", "!hello", "!add 40 2"]);
    println!("{}", page.url());
    evenkeel::run(Sandbox::new().with_page(page), app())
}

/// One setting for Signal is enough: what is missing then is named.
fn has_signal(config: &Config) -> bool {
    let mut settings = config.read();
    let names = ["SIGNAL_PHONE_NUMBER", "SIGNAL_API_URL", "SIGNAL_SERVICE_URL"];
    names.into_iter().any(|name| settings.secret(name).is_some())
}

#[cfg(test)]
mod tests {
    use evenkeel::testing::chat;

    use super::app;

    #[tokio::test(start_paused = true)]
    async fn greets_and_adds() {
        let mut chat = chat(app());
        assert_eq!(chat.say("!ping").await, ["pong"]);
        assert_eq!(chat.say_as("bob", "!hello").await, ["Hello, Bob!"]);
        assert_eq!(chat.say("!add 40 2").await, ["42"]);
        assert_eq!(chat.in_group("crew").say("!id").await, ["crew"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_fit_is_answered_with_the_usage() {
        let mut chat = chat(app());
        assert!(chat.say("!add forty 2").await.text().ends_with("Usage: !add <number> <number>"));
    }
}
