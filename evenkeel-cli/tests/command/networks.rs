//! What a bot on two networks left, from the terminal: whose it is can be read, and what is read can be typed.

use std::path::Path;
use std::time::Duration;

use evenkeel::journal::DeadFilter;
use evenkeel::journal::sqlite::{SqliteJournal, SqliteOptions};
use evenkeel::sandbox::Sandbox;
use evenkeel::transport::Network;
use evenkeel::{App, Bot, Context, Error, Job, Result, Router};
use tokio::sync::oneshot;

use crate::operator::tend;
use crate::running::directory;

async fn broken() -> Result<()> {
    Err(Error::new("out of paper"))
}

async fn remind(cx: Context) -> Result<()> {
    cx.after(Duration::from_secs(3_600), ring, "tea".to_owned()).map(drop)
}

async fn ring(Job(_): Job<String>) {}

fn app() -> App {
    Router::new().command("!print", broken).command("!remind", remind).job(ring).with_state(())
}

/// Somebody says this, on the first or on the second network.
type Said<'a> = (usize, &'a str, &'a str);

/// Runs the bot on this file until all that was said has been given up or planned.
async fn run(file: &Path, said: &[Said<'_>], dead: usize, jobs: usize) {
    let (networks, (stop, stopped)) = ([Sandbox::new(), Sandbox::new()], oneshot::channel::<()>());
    let journal = SqliteJournal::open(file).expect("the folder is there");
    let [first, second] = networks.clone();
    let bot = Bot::new(app()).transport(first).network(Network::new(second).with_name("rehearsal"));
    let bot = bot.with_journal(journal).with_shutdown(async { drop(stopped.await) });
    let (letters, planned) = (bot.dead_letters(), bot.jobs());
    let bot = tokio::spawn(bot.serve());
    for (network, who, text) in said {
        let sandbox = &networks[*network];
        // Some of them are there already.
        let _known = sandbox.add_person(who, who);
        sandbox.say(who, who, *text).expect("they are there");
    }
    while letters.list(DeadFilter::default()).await.expect("the bot runs").len() != dead
        || planned.list(None, None, 10).await.expect("the bot runs").len() != jobs
    {
        tokio::task::yield_now().await;
    }
    drop(stop);
    bot.await.expect("no panic").expect("a good end");
    // A child of another test that is not yet another program holds a copy of the lock.
    while SqliteOptions::new().look(file).expect("a journal").expect("it is there").is_in_use {
        tokio::task::yield_now().await;
    }
}

#[track_caller]
fn check(file: &Path, line: &str, parts: &[&str]) -> String {
    let (code, out, err) = tend(file, line);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{line}: {out}");
    for part in parts {
        assert!(out.contains(part), "{line}: `{part}` is missing in:\n{out}");
    }
    assert!(!out.contains("\\u0000") && !out.contains("\\u{0}"), "{line}:\n{out}");
    out
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_shown_of_a_conversation_on_another_network_can_be_typed() {
    let file = directory("networks").join("evenkeel.db");
    let said =
        [(1, "alice", "!print"), (1, "alice", "!remind"), (0, "alice", "!print"), (0, "a:b", "!print")];
    run(&file, &said, 3, 1).await;
    for conversation in ["alice", "a:b", "rehearsal:alice"] {
        let filtered = format!("dead --conversation {conversation}");
        let out = check(&file, &format!("{filtered} --json"), &[]);
        assert_eq!(out.lines().count(), 1, "{conversation}:\n{out}");
        let found: serde_json::Value = serde_json::from_str(&out).expect("a line of JSON");
        assert_eq!(found["conversation"], conversation);
        let network = conversation.strip_suffix(":alice");
        assert_eq!(found.get("network").and_then(|network| network.as_str()), network);
        let id = found["id"].as_str().expect("it has one");
        check(&file, &format!("dead show {id}"), &[&format!("conversation  {conversation}\n")]);
        check(
            &file,
            &format!("dead discard --conversation {conversation} --dry-run"),
            &["1 dead letter would"],
        );
    }
    check(&file, "dead --conversation rehearsal:bob", &["0 dead letters"]);
    check(&file, "dead export --text", &[r#""conversation":"rehearsal:alice","network":"rehearsal""#]);
    check(&file, "jobs --json", &[r#""conversation":"rehearsal:alice""#]);
    check(&file, "jobs", &["  rehea…lice  "]);
    let replayed = "replayed: 1 dead letter (1 event, 0 replies)";
    check(&file, "dead replay --conversation rehearsal:alice", &[replayed]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_conversations_that_look_the_same_none_is_guessed() {
    let file = directory("networks unclear").join("evenkeel.db");
    run(&file, &[(1, "alice", "!print"), (0, "rehearsal:alice", "!print")], 2, 0).await;
    for verb in ["list", "replay --yes", "discard --yes", "export"] {
        let (code, out, err) = tend(&file, &format!("dead {verb} --conversation rehearsal:alice"));
        assert_eq!((code, out.as_str()), (Some(1), ""), "{verb}: {err}");
        assert!(
            err.contains("`rehearsal:alice` is a conversation of the primary network, and another"),
            "{err}"
        );
        assert!(err.contains("`evenkeel dead --json`"), "{err}");
    }
    let lines = check(&file, "dead --json", &[]);
    assert_eq!(lines.lines().filter(|line| line.contains(r#""network":"rehearsal""#)).count(), 1, "{lines}");
}
