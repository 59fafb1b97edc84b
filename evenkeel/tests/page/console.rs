//! The console of a bot, in a real browser.

use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;

use evenkeel::console::Console;
use evenkeel::guarantee::OnUnknown;
use evenkeel::sandbox::Sandbox;
use evenkeel::transport::Network;
use evenkeel::{App, Bot};
use serde_json::json;
use tokio::sync::oneshot;

use crate::browser::Browser;
use crate::{Mended, app};

/// What is wider than the screen, and is not meant to be.
const WIDER: &str = "[...document.querySelectorAll('.live *')].filter((e) => !e.closest('.hidden, .table, .tabs, [hidden]') && \
     e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.className)";

/// A bot without a page of its own, and its console in a browser.
struct Watched {
    browser: Browser,
    sandbox: Sandbox,
    mended: Mended,
    stop: Option<oneshot::Sender<()>>,
    bot: std::thread::JoinHandle<evenkeel::Result<()>>,
}

impl Watched {
    async fn open(name: &str) -> Self {
        Self::open_beside(name, None).await
    }

    /// The same on one more network.
    async fn open_beside(name: &str, beside: Option<Network>) -> Self {
        let console = Console::bind("127.0.0.1:0").unwrap();
        let (url, sandbox) = (console.url(), Sandbox::new());
        let ((_, ice), mended) = (channel(), Mended::default());
        let (stop, stopped) = oneshot::channel::<()>();
        let app: App = app(ice, mended.clone());
        let bot = Bot::new(app).transport(sandbox.clone());
        let bot = match beside {
            Some(network) => bot.network(network),
            None => bot,
        };
        let bot = bot.in_memory().with_name("shop").with_console(console).with_shutdown(async {
            let _ = stopped.await;
        });
        let bot = std::thread::spawn(move || bot.run());
        let mut browser = Browser::start(name).await;
        browser.go(&url).await;
        browser.wait("document.querySelector('#beat.on')").await;
        Self { browser, sandbox, mended, stop: Some(stop), bot }
    }

    async fn open_tab(&mut self, name: &str) {
        self.browser.click(&format!("#tab-{name}")).await;
        self.browser.wait(&format!("!document.querySelector('#view-{name}').hidden")).await;
    }

    async fn letters(&mut self, count: usize) {
        self.browser.wait(&format!("document.querySelectorAll('#dead > li').length === {count}")).await;
    }

    fn say(&self, text: &str) {
        self.sandbox.say("alice", "alice", text).unwrap();
    }
}

#[tokio::test]
async fn an_operator_watches_any_bot_and_decides_about_its_letters() {
    let mut watched = Watched::open("console").await;
    watched.browser.wait("document.title === 'shop · Evenkeel console'").await;
    watched.say("!ping");
    watched.browser.wait("document.querySelector('#commands').textContent.includes('!ping')").await;
    assert_eq!(watched.browser.evaluate("document.querySelector('#pings-card').hidden").await, json!(true));
    assert_eq!(
        watched.browser.evaluate("document.querySelector('#networks-card').hidden").await,
        json!(true)
    );
    for _ in 0..60 {
        watched.say("!fetch");
    }
    watched.say("!remind tea");
    watched.browser.wait("document.querySelector('#tab-dead.news')").await;
    watched.open_tab("dead").await;
    watched.letters(50).await;
    watched.browser.click("#dead-more .pill").await;
    watched.letters(60).await;
    watched.browser.wait("document.querySelector('#dead-more').hidden").await;
    watched.mended.0.store(true, Ordering::Relaxed);
    watched.browser.click("#dead-replay").await;
    watched.letters(0).await;
    watched.open_tab("jobs").await;
    watched.browser.wait("document.querySelectorAll('#jobs > li').length === 2").await;
    watched.open_tab("promises").await;
    watched.browser.wait("document.querySelector('#promises > div')").await;
    let others =
        "document.querySelector('#promises-of').hidden && !document.querySelector('#promises-others > *')";
    assert_eq!(watched.browser.evaluate(others).await, json!(true));
    // A bot that ends leaves the page as it was, and says that it is gone.
    drop(watched.stop.take());
    watched.bot.join().unwrap().unwrap();
    watched.browser.wait("document.querySelector('#beat:not(.on)')?.textContent === 'no bot'").await;
    let unexpected = |complaint: &&String| !complaint.contains("ERR_");
    assert_eq!(
        watched.browser.complaints.iter().filter(unexpected).count(),
        0,
        "{:?}",
        watched.browser.complaints
    );
}

#[tokio::test]
async fn the_console_fits_every_screen() {
    let mut watched = Watched::open("console-fits").await;
    for text in ["!ping", "!fetch the tides of Kiel", "!remind drink tea", "!weather"] {
        watched.say(text);
    }
    watched.browser.wait("document.querySelector('#tab-dead.news')").await;
    for (width, height, is_phone) in
        [(1360, 880, false), (768, 900, false), (375, 720, true), (320, 600, true)]
    {
        watched.browser.resize(width, height, is_phone).await;
        for tab in ["live", "dead", "jobs", "promises"] {
            watched.open_tab(tab).await;
            assert_eq!(watched.browser.evaluate(WIDER).await, json!([]), "{tab} at {width}");
            watched.browser.picture(&format!("console-{tab}-{width}")).await;
        }
        watched.browser.prefer("prefers-color-scheme", if is_phone { "light" } else { "dark" }).await;
    }
    drop(watched.stop.take());
    watched.bot.join().unwrap().unwrap();
}

#[tokio::test]
async fn each_of_several_networks_is_shown_with_what_it_promises() {
    let beside = Sandbox::new();
    let network = Network::new(beside.clone()).with_name("rehearsal").with_on_unknown(OnUnknown::Resend);
    let mut watched = Watched::open_beside("console-networks", Some(network)).await;
    let row =
        |number: usize| format!("document.querySelector('#networks > tr:nth-child({number})')?.innerText");
    beside.say("alice", "alice", "!ping").unwrap();
    watched.browser.wait(&format!("{} === 'rehearsal\\topen\\t1\\t1\\t0\\t0\\t0\\t0\\t0'", row(2))).await;
    let first = watched.browser.evaluate(&row(1)).await;
    assert_eq!(first, json!("sandbox\topen\t0\t0\t0\t0\t0\t0\t0"), "nothing was said there");
    beside.say("alice", "alice", "!fetch").unwrap();
    watched.open_tab("dead").await;
    watched.letters(1).await;
    let facts = watched.browser.evaluate("document.querySelector('#dead .facts').textContent").await;
    assert!(facts.as_str().is_some_and(|facts| facts.contains("rehearsal:alice")), "{facts}");
    watched.open_tab("promises").await;
    watched.browser.wait("document.querySelector('#promises-others > dl')").await;
    let heads = "[...document.querySelectorAll('#view-promises h4')].map((head) => head.textContent)";
    assert_eq!(watched.browser.evaluate(heads).await, json!(["sandbox", "rehearsal"]));
    let resends = "[...document.querySelectorAll('.promises')].map((list) => list.textContent.includes('on_unknown = resend'))";
    assert_eq!(watched.browser.evaluate(resends).await, json!([false, true]), "each has its own");
    watched.browser.resize(320, 600, true).await;
    for tab in ["live", "promises"] {
        watched.open_tab(tab).await;
        assert_eq!(watched.browser.evaluate(WIDER).await, json!([]), "{tab}");
        watched.browser.picture(&format!("console-networks-{tab}")).await;
    }
    assert_eq!(watched.browser.complaints, [""; 0]);
    drop(watched.stop.take());
    watched.bot.join().unwrap().unwrap();
}
