//! One play: people write, the bot is killed and loses power at any step, the operator replays, all ends at rest.

use std::collections::HashSet;

use super::super::history::{self, Findings, Happened};
use super::bot::{Bot, Inbound, World};
use super::bug::Bug;
use super::disk::Disk;
use super::message::Script;
use crate::random::Random;

const MESSAGES: u64 = 40;
const CONVERSATIONS: u64 = 3;
/// Kills and power cuts together, two more at rest not counted.
const ENDS: u32 = 10;
const REPLAYS: u32 = 3;
/// A poison that is never given up ends the play here.
const CRASHES: u32 = 120;
/// Shortly after an end.
const SOON: usize = 40;
/// More than ten times what a play takes.
const STEPS: usize = 50_000;

/// Plays `seed` with the bug, and checks the history.
pub(super) fn play(seed: u64, bug: Option<Bug>) -> Findings {
    let mut scene = Scene::new(seed, bug);
    scene.drain(ENDS);
    for end in [Happened::Killed, Happened::Cut] {
        scene.end(end);
        scene.drain(0);
    }
    history::check(&scene.history, &scene.disk.fates())
}

struct Scene {
    bug: Option<Bug>,
    random: Random,
    disk: Disk,
    bot: Bot,
    history: Vec<Happened>,
    /// Messages written so far.
    offered: Vec<Script>,
    runs: u64,
    crashes: u32,
    replays: u32,
    /// Since the last end.
    steps: usize,
}

impl Scene {
    fn new(seed: u64, bug: Option<Bug>) -> Self {
        let mut disk = Disk::default();
        let bot = Bot::recover(bug, &mut disk);
        let (history, offered) = (Vec::new(), Vec::new());
        let (random, replays) = (Random(seed), REPLAYS);
        Self { bug, random, disk, bot, history, offered, runs: 0, crashes: 0, replays, steps: SOON }
    }

    /// Goes on until everything is written and nothing moves; at most this many ends come in between.
    fn drain(&mut self, mut ends: u32) {
        for _ in 0..STEPS {
            // Ends like company, and the moment between writing and syncing: there they meet what is half done.
            let odds = if self.steps < SOON || self.bot.is_unsynced() { 25 } else { 100 };
            self.steps += 1;
            if ends > 0 && self.random.below(odds) == 0 {
                ends -= 1;
                let is_cut = self.random.chance(50);
                self.end(if is_cut { Happened::Cut } else { Happened::Killed });
            }
            if self.random.chance(10) {
                self.write();
            }
            if self.random.below(200) == 0 {
                self.replay();
            }
            let is_written = self.offered.len() as u64 == MESSAGES;
            if !self.step() && is_written || self.crashes > CRASHES {
                return;
            }
        }
        panic!("the model never comes to rest: {:?}", self.bug);
    }

    /// Takes a random step of the bot; returns whether there was one.
    fn step(&mut self) -> bool {
        let steps = self.bot.steps();
        if steps.is_empty() {
            return false;
        }
        let step = steps[self.random.below(steps.len() as u64) as usize];
        let batch = 1 + self.random.below(4) as usize;
        let Self { disk, history, runs, .. } = self;
        if let Some(message) = self.bot.take(step, &mut World { disk, history, runs, batch }) {
            self.crashes += 1;
            self.end(Happened::Crashed { message });
        }
        true
    }

    /// Somebody writes, or the network repeats what it has been told that it need not.
    fn write(&mut self) {
        if self.random.chance(10) && !self.offered.is_empty() {
            let place = self.random.below(self.offered.len() as u64) as usize;
            let script = self.offered[place].clone();
            if self.acknowledged().contains(&script.message) {
                self.offer(script);
            }
        }
        let message = self.offered.len() as u64;
        if message < MESSAGES {
            let script = Script::random(message, CONVERSATIONS, &mut self.random);
            self.offered.push(script.clone());
            self.offer(script);
        }
    }

    fn offer(&mut self, script: Script) {
        let Script { message, conversation, wants, .. } = script;
        self.history.push(Happened::Offered { message, conversation, wants });
        self.bot.pipe.push_back(Inbound::Offer(script));
    }

    /// The operator gives one dead letter another chance.
    fn replay(&mut self) {
        let dead = self.disk.tables().events.iter().find(|(_, event)| event.is_dead);
        let Some((&sequence, event)) = dead.filter(|_| self.replays > 0) else { return };
        self.replays -= 1;
        let script = event.script.clone();
        self.history.push(Happened::Replayed { message: script.message });
        self.bot.replay(sequence, script);
    }

    /// The process ends, starts again, and is offered again what it has not acknowledged.
    fn end(&mut self, how: Happened) {
        if how == Happened::Cut {
            self.disk.cut_power();
        }
        self.history.push(how);
        self.steps = 0;
        self.bot = Bot::recover(self.bug, &mut self.disk);
        let acknowledged = self.acknowledged();
        for script in self.offered.clone() {
            if !acknowledged.contains(&script.message) {
                self.offer(script);
            }
        }
    }

    fn acknowledged(&self) -> HashSet<u64> {
        let acknowledged = self.history.iter().filter_map(|happened| match happened {
            Happened::Acknowledged { message } => Some(*message),
            _ => None,
        });
        acknowledged.collect()
    }
}
