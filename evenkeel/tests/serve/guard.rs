//! Bots whose handlers block, as their chats and their operator see them. These run on threads of their own, in real
//! time: what is to happen is waited for, and no test asks how long it took.

use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use evenkeel::config::Config;
use evenkeel::journal::memory::MemoryJournal;
use evenkeel::status::{Snapshot, Status};
use evenkeel::{Args, Bot, Result, Router, State};
use evenkeel_guard::{Executor, Options};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

use crate::line::{Far, line};
use crate::ping;

/// Where handlers of `!block` wait, with their thread, until the test lets one go.
#[derive(Clone, Default)]
struct Ice(Arc<(Mutex<Frozen>, Condvar)>);

#[derive(Default)]
struct Frozen {
    /// How many have come here so far.
    came: usize,
    /// How many may go.
    thawed: usize,
}

impl Ice {
    fn freeze(&self) {
        let (frozen, thaws) = &*self.0;
        let mut frozen = frozen.lock().unwrap();
        frozen.came += 1;
        let mut frozen = thaws.wait_while(frozen, |frozen| frozen.thawed == 0).unwrap();
        frozen.thawed -= 1;
    }

    fn thaw(&self, count: usize) {
        self.0.0.lock().unwrap().thawed += count;
        self.0.1.notify_all();
    }

    fn came(&self) -> usize {
        self.0.0.lock().unwrap().came
    }
}

/// A bot that `run`s, its other side, and the way to let its blocked handlers go.
struct Stage {
    far: Far,
    ice: Ice,
    status: Status,
    stop: oneshot::Sender<()>,
    bot: JoinHandle<Result<()>>,
}

async fn block(State(ice): State<Ice>) -> &'static str {
    ice.freeze();
    "thawed"
}

fn stage(adapt: impl FnOnce(Bot<MemoryJournal>) -> Bot<MemoryJournal>) -> Stage {
    let (transport, far) = line();
    let ice = Ice::default();
    let app = Router::new().command("!block", block).command("!ping", ping);
    let bot = adapt(Bot::new(app.with_state(ice.clone())).transport(transport).in_memory());
    let (status, (stop, stopped)) = (bot.status(), oneshot::channel::<()>());
    let bot = bot.with_shutdown(async { drop(stopped.await) });
    let bot = std::thread::spawn(move || bot.run());
    Stage { far, ice, status, stop, bot }
}

fn io() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        std::thread::yield_now();
    }
}

impl Stage {
    fn ask<T>(&self, question: impl Future<Output = Option<T>>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(question).expect("the bot runs")
    }

    /// Waits until the bot says this of itself.
    fn until(&self, is_so: impl Fn(&Snapshot) -> bool) -> Snapshot {
        loop {
            let snapshot = self.ask(self.status.snapshot());
            if is_so(&snapshot) {
                return snapshot;
            }
            std::thread::yield_now();
        }
    }

    fn reply(&mut self) -> (String, String) {
        self.far.replies.blocking_recv().expect("the bot runs")
    }

    fn exchange(&mut self, who: &str, text: &str, answer: &str) {
        self.far.say(who, text);
        assert_eq!(self.reply(), (who.to_owned(), answer.to_owned()));
    }

    fn close(self) -> Result<()> {
        // A bot that has stopped by itself does not listen any more.
        let _told = self.stop.send(());
        self.bot.join().unwrap()
    }
}

/// A bot in one of the modes of `EVENKEEL_GUARD`.
fn in_mode(mode: &str) -> Stage {
    let pairs = [("EVENKEEL_GUARD", mode), ("EVENKEEL_WORKERS", "2")];
    stage(|bot| bot.with_settings(&Config::from_pairs(pairs)).unwrap())
}

#[test]
fn without_the_guard_a_bot_answers_and_reports_nothing() {
    let mut stage = in_mode("off");
    stage.exchange("alice", "!ping 1", "pong 1");
    stage.far.say("alice", "!block");
    stage.until(|snapshot| snapshot.running == 1);
    stage.ice.thaw(1);
    assert_eq!(stage.reply().1, "thawed");
    let snapshot = stage.ask(stage.status.snapshot());
    assert!(snapshot.blocked.is_empty() && snapshot.quarantined.is_empty());
    assert_eq!((snapshot.guard.threads, snapshot.guard.taken_over), (0, 0));
    stage.close().unwrap();
}

#[test]
fn a_guard_that_watches_reports_and_replaces_nothing() {
    let mut stage = in_mode("watch");
    stage.exchange("alice", "!ping 1", "pong 1");
    stage.far.say("alice", "!block");
    let snapshot = stage.until(|snapshot| !snapshot.blocked.is_empty());
    let report = &snapshot.blocked[0];
    assert_eq!((report.name.as_str(), report.is_over, report.taken_over), ("!block", false, None));
    stage.ice.thaw(1);
    assert_eq!(stage.reply().1, "thawed");
    let snapshot = stage.until(|snapshot| snapshot.blocked[0].is_over);
    assert!(snapshot.quarantined.is_empty(), "where nothing is replaced, nothing is put away");
    assert_eq!((snapshot.guard.threads, snapshot.guard.taken_over), (0, 0));
    stage.close().unwrap();
}

#[test]
fn the_full_guard_takes_over_and_the_operator_pardons() {
    let mut stage = in_mode("full");
    stage.far.say("alice", "!block");
    let snapshot = stage.until(|snapshot| !snapshot.quarantined.is_empty());
    let inside = &snapshot.quarantined[0];
    assert_eq!((inside.name.as_str(), inside.is_compute, inside.is_permanent), ("!block", false, false));
    assert!(inside.file.ends_with("guard.rs") && inside.strikes == 1, "{inside:?}");
    stage.exchange("dave", "!ping 1", "pong 1");
    // A strike is counted once its stack has been read.
    let snapshot = stage.until(|snapshot| snapshot.guard.taken_over > 0 && snapshot.guard.strikes > 0);
    assert!(snapshot.guard.strikes == 1 && snapshot.guard.threads > 2, "{:?}", snapshot.guard);
    stage.ice.thaw(1);
    assert_eq!(stage.reply().1, "thawed");
    assert_eq!(stage.ask(stage.status.pardon("!ping")), 0);
    // What is found of the call's end must not come after the pardon: it would be another strike.
    stage.until(|snapshot| snapshot.blocked.iter().all(|report| report.is_over));
    assert_eq!(stage.ask(stage.status.pardon("!block")), 1);
    assert!(stage.ask(stage.status.snapshot()).quarantined.is_empty());
    let status = stage.status.clone();
    stage.close().unwrap();
    let gone = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(gone.block_on(status.pardon("!block")), None);
}

#[test]
fn a_stop_lists_the_handlers_that_are_stuck_by_line() {
    let mut stage = stage(|bot| bot.with_drain(Duration::ZERO));
    stage.far.say("alice", "!block");
    stage.until(|snapshot| snapshot.blocked.iter().any(|report| report.name == "!block" && !report.is_over));
    stage.exchange("bob", "!ping 1", "pong 1");
    let ice = stage.ice.clone();
    let left = stage.close().unwrap_err().to_string();
    assert!(left.starts_with("stopped at the deadline: 1 handler was still running"), "{left}");
    assert!(left.contains("; stuck: `!block` at ") && left.contains("guard.rs:"), "{left}");
    assert!(!left.contains("!ping"), "{left}");
    ice.thaw(1);
}

/// I3, over all pools: the command is caught while its conversations are in the middle of it.
#[test]
fn order_within_a_conversation_holds_across_worker_spare_and_quarantine() {
    const COUNT: u64 = 60;
    async fn slow(State(executor): State<Executor>, Args((n,)): Args<(u64,)>) -> String {
        std::thread::sleep(Duration::from_millis(3));
        // One that does not come back before the guard has noticed.
        while n == COUNT / 3 && executor.quarantined().is_empty() {
            std::thread::sleep(Duration::from_millis(1));
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        n.to_string()
    }
    let io = io();
    let executor = Executor::with(io.handle().clone(), &Options::default().with_workers(2));
    let (transport, mut far) = line();
    let app = Router::new().command("!slow", slow).command("!ping", ping).with_state(executor.clone());
    let bot = Bot::new(app).transport(transport).in_memory().with_executor(executor.clone());
    let (stop, stopped) = oneshot::channel::<()>();
    let bot = bot.with_shutdown(async { drop(stopped.await) });
    let bot = std::thread::spawn(move || bot.run());
    let people = ["alice", "bob", "carol"];
    for n in 1..=COUNT {
        people.iter().for_each(|who| far.say(who, &format!("!slow {n}")));
        far.say("dave", &format!("!ping {n}"));
    }
    let mut last = std::collections::HashMap::<String, u64>::new();
    for _ in 0..COUNT * 4 {
        let (who, text) = far.replies.blocking_recv().expect("the bot runs");
        let n: u64 = text.trim_start_matches("pong ").parse().unwrap();
        let before = last.insert(who.clone(), n).unwrap_or(0);
        assert_eq!(n, before + 1, "{who}");
    }
    assert_eq!(executor.quarantined()[0].name, "!slow");
    stop.send(()).unwrap();
    bot.join().unwrap().unwrap();
}

#[test]
fn a_stuck_conversation_delays_only_itself() {
    let mut stage = in_mode("full");
    stage.far.say("alice", "!block");
    stage.far.say("alice", "!ping after");
    // Before the command is caught, while it is, and after.
    stage.exchange("bob", "!ping 1", "pong 1");
    stage.until(|snapshot| !snapshot.quarantined.is_empty());
    for n in 2..20 {
        stage.exchange("bob", &format!("!ping {n}"), &format!("pong {n}"));
    }
    // The same command in another conversation is stuck on a thread of its own.
    stage.far.say("carol", "!block");
    stage.until(|snapshot| snapshot.running == 2);
    stage.exchange("bob", "!ping 20", "pong 20");
    assert_eq!(stage.ask(stage.status.snapshot()).waiting, 1, "what alice said after");
    stage.ice.thaw(2);
    let mut replies = [stage.reply(), stage.reply(), stage.reply()];
    replies.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(replies.each_ref().map(|reply| reply.1.as_str()), ["thawed", "pong after", "thawed"]);
    stage.close().unwrap();
}

/// I7, as the chats see it.
#[test]
fn a_full_quarantine_answers_that_it_is_busy() {
    let io = io();
    let options = Options::default().with_workers(2).with_quarantine(1, 1).with_queue(1);
    let executor = Executor::with(io.handle().clone(), &options);
    let mut stage = stage(|bot| bot.with_executor(executor.clone()));
    stage.far.say("alice", "!block");
    until(|| !executor.quarantined().is_empty());
    stage.ice.thaw(1);
    assert_eq!(stage.reply().1, "thawed");
    // One has the only thread, one waits for it, and there is no room for another.
    stage.far.say("alice", "!block");
    until(|| stage.ice.came() == 2);
    stage.far.say("bob", "!block");
    until(|| executor.counters().waiting_in_quarantine == 1);
    stage.exchange("carol", "!block", "I am busy with that just now. Please try again in a moment.");
    stage.exchange("carol", "!ping 1", "pong 1");
    let snapshot = stage.ask(stage.status.snapshot());
    assert_eq!((snapshot.guard.busy, snapshot.failed), (1, 1));
    for _ in 0..2 {
        stage.ice.thaw(1);
        assert_eq!(stage.reply().1, "thawed", "what was taken is done");
    }
    stage.close().unwrap();
}
