//! A bot that runs, and the networks that it is on.

use std::time::Duration;

use evenkeel_guard::{Executor, Report};

use crate::handle::Handle;
use crate::reply::File;
use crate::route::App;
use crate::sandbox::Sandbox;
use crate::status::Snapshot;
use crate::testing::home::{Home, Running};
use crate::testing::network::Network;
use crate::testing::replies::Replies;

/// See the module.
#[derive(Debug)]
pub(super) struct Stage {
    /// The first of them is the primary one.
    networks: Vec<Network>,
    home: Home,
    bot: Running,
    /// Holds what blocked so far.
    executor: Executor,
}

impl Stage {
    #[track_caller]
    pub(super) fn new(networks: Vec<Network>, app: App, executor: Executor) -> Self {
        assert!(!networks.is_empty(), "a chat is on one network at least");
        for (index, network) in networks.iter().enumerate() {
            let is_known = networks.iter().take(index).any(|other| other.name() == network.name());
            assert!(!is_known, "two networks of the chat are called `{}`", network.name());
        }
        let mut home = Home::new(app);
        let bot = home.start(&networks, &executor);
        Self { networks, home, bot, executor }
    }

    /// The place of the network of this name.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.networks.iter().position(|network| network.name() == name)
    }

    /// What the networks are called, for people to read.
    pub(super) fn names(&self) -> String {
        let names: Vec<_> = self.networks.iter().map(|network| format!("`{}`", network.name())).collect();
        names.join(" and ")
    }

    pub(super) fn sandbox(&self, network: usize) -> &Sandbox {
        self.networks[network].sandbox()
    }

    pub(super) fn handle(&self) -> Option<&Handle> {
        self.home.handle()
    }

    pub(super) fn failures(&self) -> Vec<Report> {
        self.executor.failures()
    }

    pub(super) async fn snapshot(&self) -> Option<Snapshot> {
        self.bot.status().snapshot().await
    }

    /// How long it is until the next job is due and looked for, if one waits.
    pub(super) async fn until_next_job(&self) -> Option<Duration> {
        let jobs = self.bot.jobs().list(None, None, 1).await.expect("the bot runs as long as its chat");
        let due_ms = jobs.first()?.due_ms;
        Some(Duration::from_millis(due_ms.saturating_sub(self.home.now_ms()) + 1))
    }

    pub(super) async fn post(
        &mut self,
        network: usize,
        (person, room): (&str, &str),
        text: &str,
        files: Vec<File>,
    ) -> Replies {
        self.networks[network].post(person, room, text, files);
        self.replies(network).await
    }

    pub(super) async fn react(&mut self, network: usize, emoji: &str) -> Replies {
        self.networks[network].react(emoji);
        self.replies(network).await
    }

    /// What the bot did on a network since it was asked last, once it has nothing left to do on any.
    pub(super) async fn replies(&mut self, network: usize) -> Replies {
        for network in &self.networks {
            network.sandbox().delivered().await;
        }
        self.bot.status().idle().await;
        assert!(!self.bot.has_ended(), "the bot has stopped");
        self.networks[network].replies()
    }

    pub(super) async fn restart(&mut self) {
        self.bot.stopped().await;
        self.start_again().await;
    }

    pub(super) async fn update(&mut self, app: App) {
        self.bot.stopped().await;
        self.home.update(app);
        self.start_again().await;
    }

    pub(super) async fn kill(&mut self) {
        self.bot.killed().await;
        self.start_again().await;
    }

    async fn start_again(&mut self) {
        self.bot = self.home.start(&self.networks, &self.executor);
        // It answers once it has taken up what the one before has left.
        let _snapshot = self.bot.status().snapshot().await;
    }
}
