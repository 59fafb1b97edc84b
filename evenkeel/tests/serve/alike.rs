//! What has the same name on two networks of a bot: it is two things, whatever it is. Time is paused.

use std::future::pending;
use std::time::Duration;

use evenkeel::job::Waiting;
use evenkeel::journal::{DeadFilter, Reason};
use evenkeel::sandbox::{Change, Sandbox};
use evenkeel::status::NetworkState;
use evenkeel::testing::{self, Chat};
use evenkeel::transport::{Network, SendError};
use evenkeel::{
    Bot, Context, Conversation, Dialogue, Error, Event, File, Job, Rest, Result, Router, Trigger,
};
use tokio::time::sleep;

use crate::home::{Home, Still, soon};
use crate::line::{Far, line, line_with};

async fn count(cx: Context, mut dialogue: Dialogue<u32>) -> Result<String> {
    let count = dialogue.state().copied().unwrap_or(0) + 1;
    dialogue.set(count)?;
    Ok(format!("{count} on {}", cx.network()))
}

async fn stop(cx: Context) -> Result<String> {
    Ok(format!("{} on {}", cx.cancel_others().await?, cx.network()))
}

async fn report(cx: Context) -> String {
    sleep(Duration::from_secs(60)).await;
    format!("all is well on {}", cx.network())
}

async fn read(cx: Context, event: Event) -> Result<String> {
    let file = event.message().and_then(|message| message.attachments.first().cloned());
    let bytes = cx.download(&file.ok_or_else(|| Error::new("no file"))?).await?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

async fn think(cx: Context) -> &'static str {
    cx.typing();
    sleep(Duration::from_secs(1)).await;
    "thought"
}

async fn remind(cx: Context, Rest(what): Rest) -> Result<()> {
    cx.after(Duration::from_secs(600), ring, (what,))?;
    Ok(())
}

async fn ring(cx: Context, Job((what,)): Job<(String,)>) -> String {
    format!("{what} on {}", cx.network())
}

async fn jobs(cx: Context) -> Result<String> {
    Ok(cx.jobs().await?.len().to_string())
}

async fn broken() -> Result<()> {
    Err(Error::new("it is broken").permanent())
}

/// Names the primary network, in a conversation that it has.
async fn by_name(cx: Context) {
    cx.send(&Conversation::direct("alice").with_network("line"), "by its name");
}

fn app() -> Router {
    Router::new()
        .command("!count", count)
        .command("!hang", async || pending::<()>().await)
        .route(Trigger::command("!stop").concurrent(), stop)
        .command("!report", report)
        .command("!read", read)
        .command("!think", think)
        .command("!remind", remind)
        .command("!jobs", jobs)
        .command("!broken", broken)
        .command("!name", by_name)
        .job(ring)
}

fn two(sandbox: fn() -> Sandbox) -> Chat {
    testing::chat_on(["signal", "discord"].map(|name| (name, sandbox())), app())
}

#[tokio::test(start_paused = true)]
async fn handlers_that_are_ended_are_those_of_one_network() {
    let mut chat = two(Sandbox::new);
    let there = chat.on("discord").sandbox().clone();
    for sandbox in [chat.sandbox(), &there] {
        sandbox.say("alice", "alice", "!hang").unwrap();
    }
    while chat.snapshot().await.running < 2 {
        tokio::task::yield_now().await;
    }
    there.say("alice", "alice", "!stop").unwrap();
    while chat.snapshot().await.running != 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(chat.say("!stop").await, ["1 on signal"], "it still runs");
    assert_eq!(chat.on("discord").replies().await, ["1 on discord"]);
}

#[tokio::test(start_paused = true)]
async fn deadlines_are_met_on_each() {
    let mut chat = two(|| Sandbox::new().with_deadline(Duration::from_secs(3)));
    let there = chat.on("discord").sandbox().clone();
    for sandbox in [chat.sandbox(), &there] {
        sandbox.say("alice", "alice", "!report").unwrap();
    }
    for name in ["signal", "discord"] {
        let mut on = chat.on(name);
        let replies = on.replies().await;
        assert_eq!(
            (replies.text().as_str(), replies.edits()),
            ("…", &[format!("all is well on {name}")][..])
        );
        assert_eq!(on.sandbox().missed_deadlines(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn files_are_fetched_from_the_network_with_which_they_came() {
    let mut chat = two(Sandbox::new);
    for (name, text) in [("signal", "here"), ("discord", "there")] {
        let file = File::new("note.txt", "text/plain", text);
        assert_eq!(chat.on(name).send("!read", [file]).await, [text]);
    }
}

#[tokio::test(start_paused = true)]
async fn typing_shows_where_the_bot_types() {
    let mut chat = two(Sandbox::new);
    let there = chat.on("discord").sandbox().clone();
    let mut seen = [chat.sandbox().changes(), there.changes()];
    for sandbox in [chat.sandbox(), &there] {
        sandbox.say("alice", "alice", "!think").unwrap();
    }
    assert_eq!(chat.replies().await, ["thought"]);
    assert_eq!(chat.on("discord").replies().await, ["thought"]);
    for changes in &mut seen {
        let mut began = 0;
        while let Some(change) = changes.try_next() {
            began += usize::from(matches!(change.unwrap(), Change::Typing { is_started: true, .. }));
        }
        assert_eq!(began, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn jobs_and_dead_letters_of_both_are_told_apart() {
    let mut chat = two(Sandbox::new);
    let handle = chat.handle();
    for name in ["signal", "discord"] {
        chat.on(name).say(&format!("!remind {name}")).await;
        assert_eq!(chat.on(name).say("!jobs").await, ["1"]);
        chat.on(name).say("!broken").await;
    }
    let listed = handle.jobs().list(None, None, 10).await.unwrap();
    let chats: Vec<_> = listed.iter().map(|job| job.chat().map(|chat| chat.into_owned())).collect();
    assert_eq!(chats, [Some("alice".to_owned()), Some("discord:alice".to_owned())]);
    let dead = handle.dead_letters().list(DeadFilter::default()).await.unwrap();
    let of = |name: &str| Conversation::direct("alice").with_network(name);
    let events: Vec<_> = dead.iter().map(|dead| dead.event().unwrap().conversation().clone()).collect();
    assert_eq!(events, [of(""), of("discord")]);
    let there = DeadFilter { conversation: Some(dead[1].conversation.clone()), ..DeadFilter::default() };
    assert_eq!(handle.dead_letters().replay(there).await.unwrap(), 1);
    chat.restart().await;
    // A conversation of the primary network may be called by its name as well.
    let waiting = |jobs: Vec<Waiting>| jobs.iter().map(|job| job.args().unwrap()).collect::<Vec<(String,)>>();
    for (on, expected) in [("", "signal"), ("signal", "signal"), ("discord", "discord")] {
        assert_eq!(waiting(handle.to(&of(on)).jobs().await.unwrap()), [(expected.to_owned(),)], "{on}");
    }
    let id = handle.to(&of("")).jobs().await.unwrap()[0].id.clone();
    assert!(!handle.to(&of("discord")).cancel(&id).await.unwrap());
    assert!(handle.to(&of("signal")).cancel(&id).await.unwrap());
    assert!(chat.advance(Duration::from_secs(600)).await.is_empty());
    assert!(chat.on("discord").replies().await.text().ends_with("discord on discord"));
}

/// A bot over lines of these names, in this order, over a file.
fn over(home: &Home, names: &[&str]) -> (Bot<Still>, Vec<Far>) {
    let (lines, fars): (Vec<_>, Vec<_>) = names.iter().map(|_| line()).unzip();
    let mut networks = names.iter().zip(lines).map(|(name, line)| Network::new(line).with_name(*name));
    let bot = home.on(networks.next().unwrap(), app().with_state(()));
    (networks.fold(bot, Bot::network), fars)
}

fn said(who: &str, text: &str) -> (String, String) {
    (who.to_owned(), text.to_owned())
}

#[tokio::test(start_paused = true)]
async fn the_primary_network_of_a_file_is_the_same_in_whichever_order_they_are_given() {
    let home = Home::new("order");
    for (at, names) in [["line", "other"], ["other", "line"], ["line", "other"]].iter().enumerate() {
        let (bot, mut fars) = over(&home, names);
        let (status, bot) = (bot.status(), tokio::spawn(bot.on_this_runtime().serve()));
        for (far, name) in fars.iter_mut().zip(names) {
            far.repeat(&at.to_string(), "alice", "!count");
            assert_eq!(soon(far.reply()).await, said("alice", &format!("{} on {name}", at + 1)));
        }
        let primary = usize::from(names[0] != "line");
        assert!(status.snapshot().await.unwrap().networks[primary].is_primary);
        fars[1 - primary].repeat(&format!("{at} name"), "alice", "!name");
        assert_eq!(soon(fars[primary].reply()).await, said("alice", "by its name"));
        status.idle().await;
        bot.abort();
        let _killed = bot.await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_of_a_network_that_is_away_when_it_is_due_is_kept_for_when_it_is_back() {
    let home = Home::new("away");
    let (bot, fars) = over(&home, &["line", "other"]);
    let (handle, bot) = (bot.handle(), tokio::spawn(bot.on_this_runtime().serve()));
    fars[1].repeat("1", "alice", "!remind tea");
    while handle.jobs().list(None, None, 1).await.is_none_or(|jobs| jobs.is_empty()) {
        sleep(Duration::from_millis(1)).await;
    }
    bot.abort();
    let _killed = bot.await;

    let (bot, mut fars) = over(&home, &["line"]);
    let (handle, bot) = (bot.handle(), tokio::spawn(bot.on_this_runtime().serve()));
    fars[0].repeat("2", "alice", "!count");
    assert_eq!(soon(fars[0].reply()).await, said("alice", "1 on line"));
    sleep(Duration::from_secs(1_200)).await;
    fars[0].repeat("3", "alice", "!count");
    assert_eq!(soon(fars[0].reply()).await, said("alice", "2 on line"), "it is in nobody's way");
    let dead = handle.dead_letters().list(DeadFilter::default()).await.unwrap();
    assert_eq!(dead.iter().map(|dead| dead.reason).collect::<Vec<_>>(), [Reason::NoNetwork], "{dead:?}");
    bot.abort();
    let _killed = bot.await;

    let (bot, mut fars) = over(&home, &["line", "other"]);
    let (handle, bot) = (bot.handle(), tokio::spawn(bot.on_this_runtime().serve()));
    assert_eq!(handle.dead_letters().replay(DeadFilter::default()).await.unwrap(), 1);
    assert_eq!(soon(fars[1].reply()).await, said("alice", "tea on other"));
    bot.abort();
}

#[tokio::test(start_paused = true)]
async fn a_network_that_takes_nothing_holds_nothing_of_the_other_up() {
    let ((first, mut here), (second, there)) =
        (line(), line_with(Duration::ZERO, Box::new(|_| Err(SendError::not_sent("nobody answers")))));
    let bot =
        Bot::new(app().with_state(())).transport(first).network(Network::new(second).with_name("other"));
    let bot = bot.in_memory().on_this_runtime();
    let (handle, bot) = (bot.handle(), tokio::spawn(bot.serve()));
    let away = Conversation::direct("alice").with_network("other");
    let said_away = async |times: usize| {
        for _ in 0..times {
            let all = (0..1_000).map(|n| handle.to(&away).send(n.to_string()));
            assert_eq!(handle.send_all(all).await.unwrap().len(), 1_000);
        }
    };
    said_away(50).await;
    there.repeat("1", "bob", "!count");
    here.repeat("1", "alice", "!count");
    assert_eq!(here.reply().await, said("alice", "1 on line"));
    handle.to(&Conversation::direct("alice")).send("from outside").await.unwrap();
    assert_eq!(here.reply().await, said("alice", "from outside"));
    // More than may wait on one network before its handlers do.
    said_away(16).await;
    here.repeat("2", "alice", "!count");
    assert_eq!(here.reply().await, said("alice", "2 on line"));
    let snapshot = handle.status().snapshot().await.unwrap();
    assert_eq!(snapshot.networks[1].state, NetworkState::Open);
    bot.abort();
}
