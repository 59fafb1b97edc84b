//! Coming in: the token, the bot's name, the way through what there is to see, and a bot that comes back.

use evenkeel::console::Console;
use evenkeel::journal::sqlite::SqliteOptions;
use evenkeel::sandbox::{Page, Sandbox, Sign, Step};
use evenkeel::{Bot, Error, Result, Router};
use serde_json::json;
use tokio::sync::oneshot;

use crate::Stage;
use crate::browser::Browser;

#[tokio::test]
async fn the_token_leaves_the_address_bar_and_the_cookie_is_out_of_reach() {
    let page = Page::bind("127.0.0.1:0").unwrap().with_name("The <b>shop</b>");
    let url = page.url();
    let mut stage = Stage::open_page("token", "", page).await;
    stage.browser.wait("document.title === 'The <b>shop</b> · Evenkeel sandbox'").await;
    assert_eq!(
        stage.browser.evaluate("[location.pathname + location.search, document.cookie]").await,
        json!(["/", ""])
    );
    // A reload has the cookie, and so has the stream.
    let (address, _) = url.split_at(url.rfind("?token").unwrap());
    stage.browser.go(address).await;
    stage.browser.wait("document.querySelector('#link.on')").await;
    let alone = "fetch('/api/jobs', { credentials: 'omit' }).then((answer) => answer.status)";
    assert_eq!(stage.browser.evaluate(alone).await, 403, "without the cookie nothing is there");
    stage.browser.complaints.retain(|complaint| !complaint.contains("403"));
    stage.close();
}

#[tokio::test]
async fn the_story_ticks_itself_off() {
    let page = Page::bind("127.0.0.1:0").unwrap().with_name("tour").with_story([
        Step::new("As Alice, say `!ping`.", Sign::said("alice", "!ping")),
        Step::new("As Alice, say `!freeze`: it blocks its thread.", Sign::said("alice", "!freeze")),
        Step::new("Now write as Bob: `!ping`.", Sign::said("bob", "!ping")),
        Step::new("See the line named.", Sign::Blocked { command: "!freeze".into() }),
        Step::new("Say `!fetch`, which fails.", Sign::said("bob", "!fetch")),
        Step::new("Replay it.", Sign::Decided),
    ]);
    let mut stage = Stage::open_page("story", "", page).await;
    let step = |text: &str| format!("document.querySelector('.story-text')?.textContent === {}", json!(text));
    stage.browser.prefer("prefers-reduced-motion", "reduce").await;
    for (width, height) in [(1360, 880), (390, 844)] {
        stage.browser.resize(width, height, width < 500).await;
        stage.assert_no_overflow().await;
        stage.browser.picture(&format!("story-{width}")).await;
    }
    stage.browser.resize(1360, 880, false).await;
    stage.browser.wait(&step("Step 1 of 6As Alice, say !ping.")).await;
    // By hand or by the button, it is the same.
    stage.write("!ping").await;
    stage.browser.wait(&step("Step 2 of 6As Alice, say !freeze: it blocks its thread.")).await;
    stage.browser.click(".story-do").await;
    stage.browser.wait("document.querySelector('.story-text').textContent.startsWith('Step 3 of 6')").await;
    stage.browser.click(".story-do").await;
    stage.read("pong").await;
    assert_eq!(stage.text("#people [aria-pressed=true]").await, "BBob", "the step is Bob's");
    stage.browser.wait("document.querySelector('.story-text').textContent.startsWith('Step 5 of 6')").await;
    stage.thaw.send(()).unwrap();
    stage.browser.click(".story-do").await;
    stage.browser.wait("document.querySelector('.story-text').textContent.startsWith('Step 6 of 6')").await;
    stage.browser.click(".story-do").await;
    stage.browser.wait("document.querySelectorAll('#dead > li').length === 1").await;
    stage.browser.picture("story-dead").await;
    stage.browser.click("#dead .pill").await;
    stage.browser.wait("document.querySelector('.story-count').textContent === 'All 6 steps done'").await;
    stage.browser.click(".story-close").await;
    stage.browser.wait("document.querySelector('#story').hidden").await;
    stage.close();
}

async fn fails() -> Result<()> {
    Err(Error::new("the cellar is full"))
}

/// A bot with a console on this file.
fn shop(
    file: &std::path::Path,
    address: &str,
) -> (String, Sandbox, oneshot::Sender<()>, std::thread::JoinHandle<Result<()>>) {
    let console = Console::bind(address).unwrap();
    let (url, sandbox) = (console.url(), Sandbox::new());
    let (stop, stopped) = oneshot::channel::<()>();
    let bot = Bot::new(Router::new().command("!order", fails).with_state(())).transport(sandbox.clone());
    let bot =
        bot.with_journal(SqliteOptions::new().open(file).unwrap()).with_console(console).with_name("shop");
    let bot = bot.with_shutdown(async {
        let _ = stopped.await;
    });
    (url, sandbox, stop, std::thread::spawn(move || bot.run()))
}

#[tokio::test]
async fn what_waits_for_a_decision_is_seen_at_once_and_after_a_restart() {
    let folder = std::env::temp_dir().join(format!("evenkeel-visit-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("evenkeel.db");
    let mut browser = Browser::start("restart").await;
    let (url, sandbox, stop, bot) = shop(&file, "127.0.0.1:0");
    browser.go(&url).await;
    browser.wait("document.querySelector('#beat.on') && document.querySelector('#dead-count').hidden").await;
    for _ in 0..3 {
        sandbox.say("alice", "alice", "!order").unwrap();
    }
    browser.wait("document.querySelector('#dead-count:not([hidden])')?.textContent === '3'").await;
    drop(stop);
    bot.join().unwrap().unwrap();
    browser.wait("document.querySelector('#beat').textContent === 'no bot'").await;
    // The same address, and the token of the file: the page that is open says to open it again.
    let address = url.trim_start_matches("http://").split('/').next().unwrap();
    let (_, _, stop, bot) = shop(&file, address);
    browser.wait("!document.querySelector('#locked').hidden").await;
    browser.go(&Console::find(&file).unwrap()).await;
    browser.wait("document.querySelector('#beat').textContent === 'running'").await;
    browser
        .wait("document.querySelector('#waiting-text').textContent === '3 dead letters wait for a decision'")
        .await;
    let tiles = browser.evaluate("document.querySelector('#counters').textContent").await;
    assert_eq!(
        tiles, "Accepted0Handled0Sent0Failed0",
        "what an earlier run gave up is none of this run's figures"
    );
    browser.resize(1360, 880, false).await;
    browser.picture("console-waiting").await;
    browser.prefer("prefers-color-scheme", "dark").await;
    browser.resize(375, 720, true).await;
    browser.picture("console-waiting-phone").await;
    drop(stop);
    bot.join().unwrap().unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
}
