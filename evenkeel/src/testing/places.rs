//! Where a chat speaks: on a network of the bot, and in a group there.

use crate::reply::File;
use crate::sandbox::Sandbox;
use crate::testing::replies::Replies;
use crate::testing::stage::Stage;

/// A chat as seen from one of the networks of its bot.
#[derive(Debug)]
pub struct OnNetwork<'a> {
    stage: &'a mut Stage,
    network: usize,
}

/// A chat as seen from a group.
#[derive(Debug)]
pub struct Group<'a> {
    on: OnNetwork<'a>,
    group: String,
}

impl<'a> OnNetwork<'a> {
    pub(super) fn new(stage: &'a mut Stage, network: usize) -> Self {
        Self { stage, network }
    }

    /// Says something as Alice in her direct chat with the bot.
    ///
    /// # Cancel safety
    ///
    /// As [`Chat::say`](super::Chat::say).
    pub async fn say(&mut self, text: &str) -> Replies {
        self.say_as("alice", text).await
    }

    /// Says something as `person` in their direct chat with the bot. A person of this name on another network is somebody else.
    ///
    /// # Cancel safety
    ///
    /// As [`Chat::say`](super::Chat::say).
    pub async fn say_as(&mut self, person: &str, text: &str) -> Replies {
        self.stage.post(self.network, (person, person), text, Vec::new()).await
    }

    /// Sends files with a caption as Alice.
    ///
    /// # Cancel safety
    ///
    /// As [`Chat::say`](super::Chat::say).
    pub async fn send(&mut self, caption: &str, files: impl IntoIterator<Item = File>) -> Replies {
        let files = files.into_iter().collect();
        self.stage.post(self.network, ("alice", "alice"), caption, files).await
    }

    /// Reacts as Alice to the newest message of the bot on this network.
    ///
    /// # Panics
    ///
    /// When the bot has said nothing here yet.
    ///
    /// # Cancel safety
    ///
    /// As [`Chat::say`](super::Chat::say).
    pub async fn react(&mut self, emoji: &str) -> Replies {
        self.stage.react(self.network, emoji).await
    }

    /// Speaks in a group of this network from here on.
    pub fn in_group(&mut self, group: &str) -> Group<'_> {
        Group::new(self.stage, self.network, group)
    }

    /// What the bot did on this network since the last call, once it has nothing left to do on any.
    ///
    /// # Panics
    ///
    /// As [`Chat::replies`](super::Chat::replies).
    ///
    /// # Cancel safety
    ///
    /// What was done goes to the next call.
    pub async fn replies(&mut self) -> Replies {
        self.stage.replies(self.network).await
    }

    /// The network itself, for whatever else people do there.
    pub fn sandbox(&self) -> &Sandbox {
        self.stage.sandbox(self.network)
    }
}

impl<'a> Group<'a> {
    pub(super) fn new(stage: &'a mut Stage, network: usize, group: &str) -> Self {
        Self { on: OnNetwork::new(stage, network), group: group.to_owned() }
    }

    /// Says something as Alice.
    ///
    /// # Cancel safety
    ///
    /// As [`Chat::say`](super::Chat::say).
    pub async fn say(&mut self, text: &str) -> Replies {
        self.say_as("alice", text).await
    }

    /// Says something as `person`.
    ///
    /// # Cancel safety
    ///
    /// As [`Chat::say`](super::Chat::say).
    pub async fn say_as(&mut self, person: &str, text: &str) -> Replies {
        let OnNetwork { stage, network } = &mut self.on;
        stage.post(*network, (person, &self.group), text, Vec::new()).await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::capability::TextLimit;
    use crate::context::Context;
    use crate::dialogue::Dialogue;
    use crate::error::Result;
    use crate::event::Conversation;
    use crate::job::Job;
    use crate::route::Router;
    use crate::sandbox::Sandbox;
    use crate::testing::{Chat, chat, chat_on};

    async fn count(cx: Context, mut dialogue: Dialogue<u32>) -> Result<String> {
        let count = dialogue.state().copied().unwrap_or(0) + 1;
        dialogue.set(count)?;
        Ok(format!("{count} on {}", cx.network()))
    }

    async fn over(cx: Context) -> &'static str {
        cx.send(&cx.event().conversation().clone().with_network("discord"), "from over there");
        "told"
    }

    async fn remind(cx: Context) -> Result<()> {
        cx.after(Duration::from_secs(60), ring, ())?;
        Ok(())
    }

    async fn ring(cx: Context, _: Job<()>) -> String {
        format!("ring on {}", cx.network())
    }

    async fn order(cx: Context) -> Result<String> {
        let size = cx.ask("which size?").await?;
        Ok(format!("a {size} one on {}", cx.network()))
    }

    fn app() -> Router {
        Router::new()
            .command("!count", count)
            .command("!over", over)
            .command("!remind", remind)
            .command("!order", order)
            .job(ring)
    }

    fn two() -> Chat {
        chat_on(["signal", "discord"].map(|name| (name, Sandbox::new())), app())
    }

    #[tokio::test(start_paused = true)]
    async fn people_of_one_name_on_two_networks_are_told_apart() {
        let mut chat = two();
        assert_eq!(chat.say("!count").await, ["1 on signal"]);
        assert_eq!(chat.on("discord").say("!count").await, ["1 on discord"]);
        assert_eq!(chat.on("discord").in_group("crew").say_as("bob", "!count").await, ["1 on discord"]);
        assert_eq!(chat.say("!over").await, ["told"]);
        let mut there = chat.on("discord");
        assert_eq!(there.replies().await, ["from over there"]);
        assert!(there.react("👍").await.is_empty(), "it is about a message of there");
        assert!(chat.replies().await.is_empty());
        for restarts in [true, false] {
            if restarts {
                chat.restart().await
            } else {
                chat.kill().await
            };
            let so_far = if restarts { 2 } else { 3 };
            assert_eq!(chat.on("discord").say("!count").await, [&*format!("{so_far} on discord")]);
            assert_eq!(chat.on("signal").say("!count").await, [&*format!("{so_far} on signal")]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn jobs_questions_and_handles_are_on_the_network_that_they_are_of() {
        let mut chat = two();
        assert!(chat.on("discord").say("!remind").await.is_empty());
        assert_eq!(chat.on("discord").say("!order").await, ["which size?"]);
        chat.kill().await;
        assert_eq!(chat.say("large").await, [""; 0], "nobody asks here");
        assert_eq!(chat.on("discord").say("small").await, ["a small one on discord"]);
        assert!(chat.advance_to_next_job().await.is_empty());
        assert_eq!(chat.on("discord").replies().await, ["ring on discord"]);
        let alice = Conversation::direct("alice");
        let handle = chat.handle();
        handle.to(&alice).send("here").await.unwrap();
        handle.to(&alice.with_network("discord")).send("there").await.unwrap();
        assert_eq!(chat.replies().await, ["here"]);
        assert_eq!(chat.on("discord").replies().await, ["there"]);
    }

    #[tokio::test(start_paused = true)]
    async fn each_network_carries_what_it_can() {
        async fn long() -> &'static str {
            "a sentence of some words. a sentence of some words."
        }
        let small = Sandbox::new();
        let limits = small.capabilities().with_text(TextLimit::Characters(30));
        let networks = [("large", Sandbox::new()), ("small", small.with_capabilities(limits))];
        let mut chat = chat_on(networks, Router::new().command("!long", long));
        assert_eq!(chat.say("!long").await, [long().await]);
        assert_eq!(chat.on("small").say("!long").await.texts.len(), 2);
    }

    #[tokio::test(start_paused = true)]
    #[should_panic(expected = "the bot is not on the network `irc`, but on `signal` and `discord`")]
    async fn a_network_on_which_the_bot_is_not_is_named_with_those_on_which_it_is() {
        let _there = two().on("irc");
    }

    #[tokio::test(start_paused = true)]
    #[should_panic(expected = "two networks of the chat are called `sandbox`")]
    async fn two_networks_of_one_name_are_none() {
        let mut one = chat(app());
        assert_eq!(
            one.on("sandbox").say("!count").await,
            ["1 on sandbox"],
            "the name of one that nobody named"
        );
        let _two = chat_on(["sandbox"; 2].map(|name| (name, Sandbox::new())), app());
    }
}
