//! `serve` has threads of its own: nothing that the caller's runtime does holds the bot up, and nothing of the bot's the caller. In real
//! time, on real threads.

use std::sync::mpsc;
use std::time::Duration;

use evenkeel::transport::{FreshIds, Inbox, SendError, Sent};
use evenkeel::{Action, Bot, Conversation, Event, Message, Outbound, Result, Router, Sender, Transport};
use tokio::runtime::{Builder, Runtime};

use crate::home::Home;

/// Longer than any answer takes, on whatever machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A network on which somebody says one thing.
struct Once {
    text: &'static str,
    heard: mpsc::Sender<String>,
}

impl Transport for Once {
    fn name(&self) -> &'static str {
        "once"
    }

    async fn receive(&self, inbox: Inbox) -> Result<()> {
        let id = FreshIds::new().fresh();
        let message = Message::text(id.as_str(), self.text);
        let event = Event::new(id.as_str(), Conversation::direct("alice"), Sender::new("alice"), message);
        inbox.accept(event).await?;
        std::future::pending().await
    }

    async fn send(&self, outbound: &Outbound) -> Result<Sent, SendError> {
        if let Action::Send(draft) = &outbound.action {
            // The test may have ended.
            let _listened = self.heard.send(draft.text.clone());
        }
        Ok(Sent::done())
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

async fn ping() -> &'static str {
    "pong"
}

#[test]
fn a_runtime_that_is_blocked_holds_no_message_up() {
    let (heard, hears) = mpsc::channel();
    let bot =
        Bot::new(Router::new().command("!ping", ping)).transport(Once { text: "!ping", heard }).in_memory();
    let bot = bot.with_shutdown(std::future::pending());
    runtime().block_on(async {
        let bot = tokio::spawn(bot.serve());
        tokio::task::yield_now().await;
        // The one thread that there is.
        assert_eq!(hears.recv_timeout(PATIENCE).as_deref(), Ok("pong"));
        bot.abort();
    });
}

#[test]
fn a_handler_that_blocks_holds_nothing_of_the_callers_up() {
    let (heard, hears) = mpsc::channel();
    let (free, is_free) = mpsc::channel::<()>();
    let is_free = std::sync::Mutex::new(is_free);
    let is_free = std::sync::Arc::new(is_free);
    let block = move || {
        let is_free = std::sync::Arc::clone(&is_free);
        async move {
            let freed = is_free.lock().unwrap().recv_timeout(PATIENCE);
            if freed.is_ok() { "freed" } else { "the caller was held up" }
        }
    };
    let bot = Bot::new(Router::new().command("!block", block))
        .transport(Once { text: "!block", heard })
        .in_memory();
    let bot = bot.with_shutdown(std::future::pending());
    let status = bot.status();
    runtime().block_on(async {
        let bot = tokio::spawn(bot.serve());
        while status.snapshot().await.is_none_or(|snapshot| snapshot.running == 0) {
            tokio::task::yield_now().await;
        }
        free.send(()).unwrap();
        assert_eq!(hears.recv_timeout(PATIENCE).as_deref(), Ok("freed"));
        bot.abort();
    });
}

#[test]
fn a_future_that_is_dropped_ends_the_bot_and_lets_its_journal_go() {
    runtime().block_on(async {
        let home = Home::new("apart");
        for _ in 0..3 {
            let (heard, hears) = mpsc::channel();
            // It waits for the one before, which lets go in a moment.
            let journal = evenkeel::journal::sqlite::SqliteJournal::open(home.file()).unwrap();
            let app = Router::new().command("!ping", ping);
            let bot = Bot::new(app).transport(Once { text: "!ping", heard }).with_journal(journal);
            let bot = tokio::spawn(bot.with_shutdown(std::future::pending()).serve());
            tokio::task::yield_now().await;
            assert_eq!(hears.recv_timeout(PATIENCE).as_deref(), Ok("pong"));
            bot.abort();
            assert!(bot.await.unwrap_err().is_cancelled());
        }
    });
}
