//! Questions, a value that a conversation keeps, a payment that happens once, and what to do when it fails for good.
//! Stop the bot while it waits for an answer, and start it again: it goes on where it was.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use evenkeel::retry::Retry;
use evenkeel::sandbox::{Page, Sandbox};
use evenkeel::{App, Context, Dialogue, Error, Result, Router, State, Trigger};
use serde::{Deserialize, Serialize};

/// What this conversation has told the bot before.
#[derive(Serialize, Deserialize)]
struct Home {
    street: String,
}

async fn order(cx: Context, mut home: Dialogue<Home>, State(shop): State<Shop>) -> Result<String> {
    let size = cx.ask("which size?").await?;
    let street = match home.state() {
        Some(Home { street }) => street.clone(),
        None => cx.ask("where to?").await?,
    };
    // When the oven fails, all of this runs again: questions and payment have their answers already.
    let receipt = cx.step("charge", shop.charge(cx.event().id())).await?;
    shop.bake().await?;
    home.set(Home { street: street.clone() })?;
    Ok(format!("a {size} pizza goes to {street}, receipt {receipt}"))
}

async fn moved(mut home: Dialogue<Home>) -> &'static str {
    home.clear();
    "I will ask again"
}

async fn complaints(State(shop): State<Shop>) -> String {
    let complaints = shop.complaints.lock().unwrap_or_else(PoisonError::into_inner);
    complaints.join("\n")
}

/// Stands for a bank and a kitchen.
#[derive(Clone, Default)]
pub(crate) struct Shop {
    charges: Arc<AtomicU32>,
    /// How often the oven will be cold.
    colds: Arc<AtomicU32>,
    complaints: Arc<Mutex<Vec<String>>>,
}

impl Shop {
    /// A real bank takes the key, too, and knows a repetition by it: the bot may end just after the payment.
    async fn charge(&self, _key: &str) -> Result<u32> {
        Ok(self.charges.fetch_add(1, Ordering::Relaxed) + 1)
    }

    async fn bake(&self) -> Result<()> {
        let less = |colds: u32| colds.checked_sub(1);
        match self.colds.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less) {
            Ok(_) => Err(Error::new("the oven is cold").transient()), // worth another attempt
            Err(_) => Ok(()),
        }
    }
}

pub(crate) fn app(shop: Shop) -> App {
    let patient = Retry::strict().with_attempts(6).within(Duration::from_secs(60));
    let office = Arc::clone(&shop.complaints);
    Router::new()
        .route(Trigger::command("!pizza").about("takes an order").retry(patient), order)
        .command("!moved", moved)
        .command("!complaints", complaints)
        .with_state(shop)
        .on_dead(move |dead| {
            let complaint = format!("{} {}: {}", dead.command, dead.reason, dead.error);
            office.lock().unwrap_or_else(PoisonError::into_inner).push(complaint);
            async {}
        })
}

fn main() -> Result<()> {
    evenkeel::run(Sandbox::new().with_page(Page::bind("127.0.0.1:0")?), app(Shop::default()))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use evenkeel::testing::chat;

    use super::{Shop, app};

    #[tokio::test(start_paused = true)]
    async fn the_street_is_asked_once() {
        let mut chat = chat(app(Shop::default()));
        assert_eq!(chat.say("!pizza").await, ["which size?"]);
        assert_eq!(chat.say("large").await, ["where to?"]);
        assert_eq!(chat.say("Main Street 1").await, ["a large pizza goes to Main Street 1, receipt 1"]);
        assert_eq!(chat.say("!pizza").await, ["which size?"]);
        assert_eq!(chat.say("small").await, ["a small pizza goes to Main Street 1, receipt 2"]);
        chat.say("!moved").await;
        chat.say("!pizza").await;
        assert_eq!(chat.say("large").await, ["where to?"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cold_oven_charges_nobody_twice() {
        let shop = Shop::default();
        shop.colds.store(2, Ordering::Relaxed);
        let mut chat = chat(app(shop.clone()));
        chat.say("!pizza").await;
        chat.say("large").await;
        assert_eq!(chat.say("Main Street 1").await, ["a large pizza goes to Main Street 1, receipt 1"]);
        assert_eq!(shop.charges.load(Ordering::Relaxed), 1);
        assert_eq!(chat.snapshot().await.retried, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn an_oven_that_stays_cold_is_a_complaint() {
        let shop = Shop::default();
        shop.colds.store(u32::MAX, Ordering::Relaxed);
        let mut chat = chat(app(shop));
        chat.say("!pizza").await;
        chat.say("large").await;
        assert_eq!(chat.say("Main Street 1").await, ["Sorry, something went wrong. It has been logged."]);
        assert_eq!(chat.say("!complaints").await, ["!pizza failed: the oven is cold"]);
    }
}
