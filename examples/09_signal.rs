//! The same bot on Signal.
//!
//! Needs a running signal-cli-rest-api in json-rpc mode, and these variables (or a `.env` file):
//! `SIGNAL_PHONE_NUMBER=+15550100000 SIGNAL_SERVICE_URL=127.0.0.1:8080 SIGNAL_API_URL=http://127.0.0.1:8080`

use evenkeel::{App, Reply, Rest, Router, Trigger};
use evenkeel_signal::Signal;

async fn ping() -> &'static str {
    "pong"
}

async fn echo(Rest(text): Rest) -> Reply {
    Reply::text(text).quoting()
}

pub(crate) fn app() -> App {
    Router::new()
        .route(Trigger::command("!ping").about("answers pong"), ping)
        .route(Trigger::command("!echo").about("repeats you").usage("!echo <text>"), echo)
        .help("!help")
        .with_state(())
}

fn main() -> evenkeel::Result<()> {
    evenkeel::run(Signal::from_env()?, app())
}

#[tokio::test(start_paused = true)]
async fn the_same_bot_runs_in_a_test() {
    let mut chat = evenkeel::testing::chat(app());
    assert_eq!(
        chat.say("!help").await,
        ["!ping: answers pong\n!echo <text>: repeats you\n!help [command]: lists the commands"]
    );
}
