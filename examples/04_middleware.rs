//! Code around handlers: it may answer, change the event, change the reply, or pass on.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use evenkeel::limit::RateLimits;
use evenkeel::sandbox::{Page, Sandbox};
use evenkeel::{App, Event, FromRef, IntoReply, Next, Reply, Rest, Router, Sender, State, from_fn};

#[derive(Clone)]
struct Shared {
    members: Arc<HashSet<&'static str>>,
    limits: RateLimits<String>,
}

/// A handler or layer may ask for a part of the state.
impl FromRef<Shared> for RateLimits<String> {
    fn from_ref(shared: &Shared) -> Self {
        shared.limits.clone()
    }
}

/// Answers by itself.
async fn members_only(shared: State<Shared>, who: Sender, event: Event, next: Next) -> Reply {
    if shared.members.contains(who.id()) { next.run(event).await } else { "members only".into_reply() }
}

/// Three commands in ten seconds for each person; politely says so to the others.
async fn slow_down(limits: State<RateLimits<String>>, who: Sender, event: Event, next: Next) -> Reply {
    match limits.try_take(who.id()) {
        Ok(()) => next.run(event).await,
        Err(wait) => format!("slow down, try again in {} s", wait.retry_after().as_secs() + 1).into_reply(),
    }
}

/// Changes what the handler sees.
async fn in_plain_words(event: Event, next: Next) -> Reply {
    let plain = event.text().map(|text| text.replace("please ", ""));
    next.run(plain.map_or(event.clone(), |plain| event.with_text(plain))).await
}

async fn echo(Rest(text): Rest) -> String {
    text
}

async fn about() -> &'static str {
    "I repeat what members say."
}

pub(crate) fn app() -> App {
    let members = Arc::new(HashSet::from(["alice", "carol"]));
    let limits = RateLimits::new(3, Duration::from_secs(10));
    // A layer covers the router it is called on; `!about` is open to everybody.
    let inner = Router::new()
        .command("!echo", echo)
        .layer(from_fn(members_only))
        .layer(from_fn(slow_down))
        .layer(from_fn(in_plain_words));
    Router::new().command("!about", about).merge(inner).with_state(Shared { members, limits })
}

fn main() -> evenkeel::Result<()> {
    evenkeel::run(Sandbox::new().with_page(Page::bind("127.0.0.1:0")?), app())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use evenkeel::testing::chat;

    use super::app;

    #[tokio::test(start_paused = true)]
    async fn layers_answer_change_and_pass_on() {
        let mut chat = chat(app());
        assert_eq!(chat.say("!echo please come").await, ["come"]);
        assert_eq!(chat.say_as("bob", "!echo hi").await, ["members only"]);
        assert_eq!(chat.say_as("bob", "!about").await, ["I repeat what members say."]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_fourth_command_in_ten_seconds_has_to_wait() {
        let mut chat = chat(app());
        for _ in 0..3 {
            assert_eq!(chat.say("!echo a").await, ["a"]);
        }
        assert_eq!(chat.say("!echo a").await, ["slow down, try again in 4 s"]);
        chat.advance(Duration::from_secs(4)).await;
        assert_eq!(chat.say("!echo a").await, ["a"]);
    }
}
