//! A bot in ten lines. Run it and open the address that it prints.

use evenkeel::Router;
use evenkeel::sandbox::{Page, Sandbox};

async fn ping() -> &'static str {
    "pong"
}

pub(crate) fn app() -> Router {
    Router::new().command("!ping", ping)
}

fn main() -> evenkeel::Result<()> {
    evenkeel::run(Sandbox::new().with_page(Page::bind("127.0.0.1:0")?), app())
}

#[tokio::test(start_paused = true)]
async fn it_answers() {
    let mut chat = evenkeel::testing::chat(app());
    assert_eq!(chat.say("!ping").await, ["pong"]);
}
