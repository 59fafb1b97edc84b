//! A bot in ten lines. Run it and open the address that it prints.

use evenkeel::sandbox::{Page, Sandbox};

async fn ping() -> &'static str {
    "pong"
}

fn main() -> evenkeel::Result<()> {
    let sandbox = Sandbox::new().with_page(Page::bind("127.0.0.1:0")?);
    evenkeel::run(sandbox, evenkeel::Router::new().command("!ping", ping))
}

#[tokio::test(start_paused = true)]
async fn it_answers() {
    let mut chat = evenkeel::testing::chat(evenkeel::Router::new().command("!ping", ping));
    assert_eq!(chat.say("!ping").await, ["pong"]);
}
