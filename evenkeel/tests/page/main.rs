//! The page in a real browser, with a real bot behind it.

#![allow(clippy::unwrap_used, clippy::large_futures, reason = "helpers of tests")]

mod browser;
mod console;
mod operator;
mod reports;
mod visit;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use evenkeel::sandbox::{Page, Sandbox};
use evenkeel::{App, Bot, Context, Error, Event, FromRef, Job, Reply, Rest, Result, Router, State};
use tokio::sync::oneshot;

use browser::Browser;

/// A bot with its page, on threads of its own, and a browser that looks at it.
struct Stage {
    browser: Browser,
    sandbox: Sandbox,
    /// Lets one `!freeze` go on.
    thaw: Sender<()>,
    mended: Mended,
    stop: Option<oneshot::Sender<()>>,
    bot: Option<JoinHandle<evenkeel::Result<()>>>,
}

type Ice = Arc<Mutex<Receiver<()>>>;

/// Whether what `!fetch` needs is there again.
#[derive(Clone, Default)]
struct Mended(Arc<AtomicBool>);

#[derive(Clone)]
struct World(Ice, Mended);

impl FromRef<World> for Ice {
    fn from_ref(world: &World) -> Self {
        Arc::clone(&world.0)
    }
}

impl FromRef<World> for Mended {
    fn from_ref(world: &World) -> Self {
        world.1.clone()
    }
}

/// Blocks its thread, which a handler should never do, until the test says so.
async fn freeze(State(ice): State<Ice>) -> &'static str {
    let ice = ice.lock().unwrap();
    let _ = ice.recv();
    "That took a while. Did anybody notice?"
}

async fn echo(Rest(text): Rest) -> Reply {
    Reply::text(text).quoting()
}

async fn cheer(cx: Context) {
    cx.react("🎉");
}

async fn forecast() -> Reply {
    Reply::styled(
        "**Kiel**, today: *fair wind* from the west, ~rain~ sun. Harbour code: ||ahoy||, docs in `weather.rs`",
    )
}

/// Fails until somebody has mended it.
async fn fetch(State(Mended(is_mended)): State<Mended>) -> Result<&'static str> {
    if is_mended.load(Ordering::Relaxed) {
        return Ok("Fetched.");
    }
    let down: Error = std::io::Error::other("connection refused").into();
    Err(down.context("asking <b>the harbour</b> for its tides"))
}

async fn remind(cx: Context, Rest(what): Rest) -> Result<&'static str> {
    cx.after(Duration::from_secs(1_800), ring, (what,))?;
    Ok("I will, in half an hour.")
}

async fn ring(Job((what,)): Job<(String,)>) -> String {
    what
}

async fn sweep(_: Job<()>) {}

async fn heart(event: Event) -> Option<&'static str> {
    event
        .reaction()
        .filter(|reaction| reaction.emoji == "❤️" && !reaction.is_removed)
        .map(|_| "I like you, too.")
}

fn app(ice: Receiver<()>, mended: Mended) -> App {
    Router::new()
        .command("!ping", async || "pong")
        .command("!echo", echo)
        .command("!cheer", cheer)
        .command("!weather", forecast)
        .command("!freeze", freeze)
        .command("!fetch", fetch)
        .command("!remind", remind)
        .job(ring)
        .schedule("daily 03:00 Europe/Berlin", sweep)
        .on(Event::reaction, heart)
        .with_state(World(Arc::new(Mutex::new(ice)), mended))
}

/// Notes what the page announces: what comes next takes its place.
const RECORDER: &str = "
    window.announced = [];
    addEventListener('DOMContentLoaded', () => {
        const place = document.querySelector('#announce');
        new MutationObserver(() => announced.push(place.textContent)).observe(place, { childList: true });
    });";

impl Stage {
    async fn open(name: &str) -> Self {
        Self::open_with(name, "").await
    }

    /// The same, with a script that runs before those of the page.
    async fn open_with(name: &str, script: &str) -> Self {
        let page = Page::bind("127.0.0.1:0").unwrap().with_chips(["!ping", "!weather", "!freeze", "!cheer"]);
        Self::open_page(name, script, page).await
    }

    /// The same, with a page of the test's own.
    async fn open_page(name: &str, script: &str, page: Page) -> Self {
        let url = page.url();
        let sandbox = Sandbox::new();
        let ((thaw, ice), mended) = (channel(), Mended::default());
        let (stop, stopped) = oneshot::channel::<()>();
        let bot = Bot::new(app(ice, mended.clone()))
            .transport(sandbox.clone().with_page(page))
            .in_memory()
            .with_shutdown(async {
                let _ = stopped.await;
            });
        let bot = std::thread::spawn(move || bot.run());
        let mut browser = Browser::start(name).await;
        browser.prepare(script).await;
        browser.prepare(RECORDER).await;
        browser.go(&url).await;
        browser.wait("document.querySelector('#link.on')").await;
        Self { browser, sandbox, thaw, mended, stop: Some(stop), bot: Some(bot) }
    }

    /// Writes in the box and presses Enter.
    async fn write(&mut self, text: &str) {
        self.browser.evaluate("document.querySelector('#text').focus()").await;
        self.browser.type_keys(text).await;
        self.browser.press("Enter").await;
    }

    /// Waits until a bubble says this.
    async fn read(&mut self, text: &str) {
        let text = serde_json::to_string(text).unwrap();
        self.browser
            .wait(&format!("[...document.querySelectorAll('.text')].some((p) => p.textContent === {text})"))
            .await;
    }

    /// Waits until this was announced, whatever was announced since.
    async fn announced(&mut self, text: &str) {
        self.browser.wait(&format!("announced.includes({})", serde_json::json!(text))).await;
    }

    async fn choose(&mut self, list: &str, key: &str) {
        self.browser.click(&format!("#{list} [data-key='{key}']")).await;
    }

    async fn assert_no_overflow(&mut self) {
        let wider = "[...document.querySelectorAll('body *')].filter((e) => !e.closest('.live, .rooms, .chips, .hidden, \
             .skip, .symbols, .tools') && e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.className)";
        let page = self.browser.evaluate("document.documentElement.scrollWidth - innerWidth").await;
        let wider = self.browser.evaluate(wider).await;
        assert!(page.as_i64().unwrap() <= 0, "the page is {page} pixels wider than the screen: {wider}");
        assert_eq!(wider, serde_json::json!([]), "wider than the screen");
    }

    /// The bot stops at once, and the page had nothing to complain about.
    fn close(mut self) {
        assert_eq!(self.browser.complaints, [""; 0]);
        drop(self.stop.take());
        self.bot.take().unwrap().join().unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_chat_by_keyboard() {
    let mut stage = Stage::open("chat").await;
    stage.write("!ping").await;
    stage.read("pong").await;
    stage
        .browser
        .wait("document.querySelector('#pings-last').textContent && document.querySelector('#spark .line')")
        .await;
    stage.browser.wait("document.querySelector('#commands th')?.textContent === '!ping'").await;

    stage.write("!echo over").await;
    stage.read("over").await;
    let quoted =
        stage.browser.evaluate("document.querySelector('.message:not(.mine) .quote span').textContent").await;
    assert_eq!(quoted, "!echo over");

    stage.browser.press("ArrowUp").await;
    stage.browser.wait("document.querySelector('#text').value === '!echo over' && !document.querySelector('#context').hidden").await;
    stage.browser.type_keys(" there").await;
    stage.browser.press("Enter").await;
    stage.read("!echo over there").await;
    stage
        .browser
        .wait("document.querySelector('.mine .edited') && document.querySelector('#context').hidden")
        .await;

    // By keyboard alone: focus the button, open the picker, take the second emoji.
    stage.browser.evaluate("[...document.querySelectorAll('.message:not(.mine)')].at(-1).querySelector('[title=React]').focus()").await;
    stage.browser.press("Enter").await;
    stage.browser.press("ArrowRight").await;
    stage.browser.press("Enter").await;
    stage
        .browser
        .wait("document.querySelector('.reactions [aria-pressed=true]')?.textContent === '❤️1'")
        .await;
    stage.read("I like you, too.").await;
    stage.browser.click(".reactions button").await;
    stage.browser.wait("!document.querySelector('.reactions')").await;

    stage.browser.evaluate("document.querySelector('.mine [title=Delete]').click()").await;
    stage
        .browser
        .wait("document.querySelector('.mine.gone .text')?.textContent === 'This message was deleted'")
        .await;
    stage.close();
}

#[tokio::test]
async fn what_people_write_is_text_and_never_markup() {
    let mut stage = Stage::open("hostile").await;
    stage.browser.evaluate("window.ran = 0").await;
    let hostile = "<img src=x onerror=window.ran=1><script>window.ran=2</script>";
    stage.write(&format!("!echo {hostile}")).await;
    stage.read(hostile).await;
    stage.sandbox.add_person("eve", "<b onclick=window.ran=3>Eve</b>").unwrap();
    stage.browser.wait("document.querySelector('#people [data-key=eve]')").await;
    stage.choose("people", "eve").await;
    stage.write(&format!("!echo {hostile}")).await;
    stage.browser.wait("document.querySelector('.mine')").await;
    stage.write("javascript:alert(1) https://example.org/a?b=1.").await;
    stage.browser.wait("document.querySelector('.text a')").await;
    let found = stage.browser.evaluate(
        "[window.ran, document.querySelectorAll('.messages script, .messages img:not(.avatar img), #people b').length, \
          [...document.querySelectorAll('.text a')].map((a) => a.href).join()]",
    );
    assert_eq!(found.await, serde_json::json!([0, 0, "https://example.org/a?b=1"]));
    let policy = stage
        .browser
        .evaluate("fetch('/').then((page) => page.headers.get('content-security-policy'))")
        .await;
    assert!(policy.as_str().unwrap().contains("script-src 'self'"));
    stage.close();
}

#[tokio::test]
async fn a_frozen_chat_leaves_the_others_alone_and_is_named() {
    let mut stage = Stage::open("freeze").await;
    stage.write("!freeze").await;
    stage.browser.wait("document.querySelector('#blocked-card.active .now')").await;
    let named = stage.browser.evaluate("document.querySelector('#blocked .now').textContent").await;
    let named = named.as_str().unwrap();
    assert!(named.contains("!freeze") && named.contains("blocking: "), "{named}");
    assert!(named.contains("tests/page/main.rs:"), "{named}");
    let first = stage.browser.evaluate("document.querySelector('#blocked .state').textContent").await;
    // It grows while it lasts.
    stage.browser.wait(&format!("document.querySelector('#blocked .state').textContent !== {first}")).await;
    stage.browser.wait("document.querySelector('#quarantine .what')?.textContent === '!freezesleeps'").await;
    stage.browser.wait("/^since \\d+ s · on parole · strike 1$/.test(document.querySelector('#quarantine .facts').textContent)").await;
    stage.choose("people", "bob").await;
    stage.write("!ping").await;
    stage.read("pong").await;
    stage.thaw.send(()).unwrap();
    stage.browser.wait("document.querySelector('#rooms [data-key=alice] .badge')").await;
    stage
        .browser
        .wait("!document.querySelector('#blocked-card.active') && document.querySelector('#blocked .over')")
        .await;
    let over = stage.browser.evaluate("document.querySelector('#blocked .state').textContent").await;
    assert!(over.as_str().unwrap().starts_with("blocked for "), "{over}");

    stage.browser.evaluate("document.querySelector('#quarantine .pardon').focus()").await;
    stage.browser.press("Enter").await;
    stage.browser.wait("document.querySelector('#quarantine-card').hidden").await;
    stage.browser.wait("document.activeElement.id === 'tab-live'").await;
    stage.announced("!freeze is pardoned").await;
    stage.close();
}

/// A picture that the browser paints, so that no binary is kept with the sources.
async fn paint(browser: &mut Browser) -> std::path::PathBuf {
    let painted = browser.evaluate(
        "(() => { const canvas = document.createElement('canvas'); canvas.width = 400; canvas.height = 140; \
          const c = canvas.getContext('2d'); const sky = c.createLinearGradient(0, 0, 0, 170); \
          sky.addColorStop(0, '#284b8c'); sky.addColorStop(.55, '#f2a45f'); sky.addColorStop(.7, '#ffd9a0'); \
          c.fillStyle = sky; c.fillRect(0, 0, 400, 170); c.fillStyle = '#fff2c9'; c.beginPath(); \
          c.arc(290, 112, 20, 0, 7); c.fill(); c.fillStyle = '#0d4f58'; c.fillRect(0, 116, 400, 54); \
          c.fillStyle = '#f4f7f7'; c.beginPath(); c.moveTo(140, 28); c.lineTo(140, 108); c.lineTo(90, 108); c.fill(); \
          c.fillStyle = '#d7ecea'; c.beginPath(); c.moveTo(147, 44); c.lineTo(147, 108); c.lineTo(190, 108); c.fill(); \
          c.fillStyle = '#5a2d1a'; c.beginPath(); c.moveTo(78, 113); c.lineTo(206, 113); c.lineTo(188, 132); \
          c.lineTo(98, 132); c.fill(); return canvas.toDataURL('image/png').split(',')[1]; })()",
    );
    let bytes = STANDARD.decode(painted.await.as_str().unwrap()).unwrap();
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("harbour.png");
    std::fs::write(&path, bytes).unwrap();
    path
}

#[tokio::test]
async fn a_lively_group_fits_every_screen() {
    let mut stage = Stage::open("lively").await;
    let picture = paint(&mut stage.browser).await;
    stage.browser.resize(1360, 880, false).await;
    for count in 1..=24 {
        stage.sandbox.say("carol", "carol", "!ping").unwrap();
        let answered = format!(
            "document.querySelector('#rooms [data-key=carol] .badge')?.textContent === '{}'",
            2 * count
        );
        stage.browser.wait(&answered).await;
    }
    stage.choose("people", "carol").await;
    stage.choose("rooms", "crew").await;
    stage.choose("people", "bob").await;
    stage.browser.choose_file("#files", &picture).await;
    stage.write("Look who is back, @Alice!").await;
    stage.browser.wait("document.querySelector('.image img')?.complete").await;
    stage.choose("people", "alice").await;
    stage.write("!weather").await;
    stage.browser.wait("document.querySelector('.message .text strong')?.textContent === 'Kiel'").await;
    stage.browser.evaluate("document.querySelector('.spoiler').click()").await;
    stage.browser.wait("document.querySelector('.spoiler.shown')").await;
    let entries = stage.sandbox.watch().0.entries;
    let of = |text: &str| {
        entries.iter().find(|entry| entry.message.text.starts_with(text)).unwrap().message.id.clone()
    };
    stage.sandbox.react("alice", &of("Look"), "😮").unwrap();
    stage.sandbox.react("carol", &of("Look"), "🚀").unwrap();
    stage.sandbox.react("alice", &of("Look"), "🚀").unwrap();
    stage.sandbox.answer("carol", "crew", &of("**Kiel**"), "Fair wind! Who brings the sails?").unwrap();
    stage.read("Fair wind! Who brings the sails?").await;
    stage.write("Me. And somebody try to stop the bot: !freeze in your own chat").await;
    stage.browser.wait("document.querySelectorAll('.mine').length === 2").await;
    stage.sandbox.say("bob", "bob", "!freeze").unwrap();
    stage.browser.wait("document.querySelector('#blocked-card.active')").await;
    stage.sandbox.say("carol", "crew", "!cheer").unwrap();
    stage
        .browser
        .wait("[...document.querySelectorAll('.reactions')].some((r) => r.textContent.includes('🎉'))")
        .await;
    stage.sandbox.start_typing("bob", "crew").unwrap();
    stage.browser.wait("document.querySelector('.typing .dots')").await;
    stage.browser.wait("document.querySelectorAll('#commands tr').length >= 3").await;
    stage.assert_no_overflow().await;
    stage.browser.picture("page-light").await;

    stage.browser.prefer("prefers-color-scheme", "dark").await;
    let paper = stage.browser.evaluate("getComputedStyle(document.body).backgroundColor").await;
    assert_eq!(paper, "rgb(12, 20, 23)");
    stage.browser.picture("page-dark").await;

    stage.browser.prefer("prefers-reduced-motion", "reduce").await;
    stage.browser.resize(390, 844, true).await;
    stage.browser.evaluate("document.querySelector('#scroll').scrollTop = 1e6").await;
    stage.assert_no_overflow().await;
    stage.browser.picture("page-phone").await;
    stage.browser.evaluate("document.querySelector('#live-toggle').click()").await;
    stage.browser.wait("document.activeElement.id === 'live-close'").await;
    stage.browser.picture("page-phone-live").await;
    stage.browser.resize(320, 600, true).await;
    stage.assert_no_overflow().await;
    stage.thaw.send(()).unwrap();
    stage.close();
}

#[tokio::test]
async fn the_page_says_when_the_bot_is_away() {
    let mut stage = Stage::open("away").await;
    drop(stage.stop.take());
    stage.bot.take().unwrap().join().unwrap().unwrap();
    stage.browser.wait("document.querySelector('.away #link:not(.on)')").await;
}
