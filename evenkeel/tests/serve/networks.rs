//! A bot on several networks: one journal, one conversation of an id on each, and none that holds up another.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use evenkeel::journal::memory::{MemoryJournal, MemoryStore};
use evenkeel::journal::{DeadFilter, Reason};
use evenkeel::status::NetworkState;
use evenkeel::transport::{Inbox, Network, SendError, Sent, Start};
use evenkeel::{
    Action, App, Bot, Context, Conversation, Cursor, Dialogue, Error, Event, Message, Outbound, Result,
    Router, Sender, Transport,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

use crate::line::{Far, Line, line, line_with};

/// How often a conversation has asked: kept in a dialogue, to see whose it is.
async fn count(cx: Context, mut dialogue: Dialogue<u32>) -> Result<String> {
    let count = dialogue.state().copied().unwrap_or(0) + 1;
    dialogue.set(count)?;
    Ok(format!("{count} on {}", cx.network()))
}

/// Says something in a conversation of the same id on the other network.
async fn over(cx: Context) -> Result<()> {
    let other = if cx.network() == "line" { "other" } else { "line" };
    cx.send(&cx.event().conversation().clone().with_network(other), "from over there");
    Ok(())
}

async fn astray(cx: Context) -> Result<()> {
    cx.send(&Conversation::direct("bob").with_network("irc"), "is anybody there?");
    Ok(())
}

fn app() -> App {
    Router::new()
        .command("!ping", async || "pong")
        .command("!count", count)
        .command("!over", over)
        .command("!astray", astray)
        .command("!hang", async || pending::<()>().await)
        .with_state(())
}

fn other(line: Line) -> Network {
    Network::new(line).with_name("other")
}

/// A bot that runs on two lines, over this store.
struct Stage {
    bot: tokio::task::JoinHandle<Result<()>>,
    here: Far,
    there: Far,
    stop: oneshot::Sender<()>,
}

fn stage(store: &MemoryStore) -> (Stage, evenkeel::status::Status, evenkeel::operator::DeadLetters) {
    let ((first, here), (second, there)) = (line(), line());
    let (stop, stopped) = oneshot::channel::<()>();
    let bot = Bot::new(app()).transport(first).network(other(second));
    let bot = bot.with_journal(MemoryJournal::over(store.clone()));
    let (status, letters) = (bot.status(), bot.dead_letters());
    let bot = bot.with_shutdown(async { drop(stopped.await) }).on_this_runtime();
    (Stage { bot: tokio::spawn(bot.serve()), here, there, stop }, status, letters)
}

fn said(who: &str, text: &str) -> (String, String) {
    (who.to_owned(), text.to_owned())
}

#[tokio::test(start_paused = true)]
async fn the_same_ids_on_two_networks_are_two_people_in_two_conversations() {
    let store = MemoryStore::default();
    let (Stage { bot, mut here, mut there, stop }, status, _) = stage(&store);
    for far in [&mut here, &mut there] {
        // The same id of the event, too.
        far.repeat("1", "alice", "!count");
    }
    assert_eq!(here.reply().await, said("alice", "1 on line"));
    assert_eq!(there.reply().await, said("alice", "1 on other"));
    there.repeat("1", "alice", "!count");
    there.repeat("2", "alice", "!count");
    assert_eq!(there.reply().await, said("alice", "2 on other"), "the first came once more");
    here.repeat("2", "alice", "!over");
    assert_eq!(there.reply().await, said("alice", "from over there"));
    there.repeat("3", "alice", "!over");
    assert_eq!(here.reply().await, said("alice", "from over there"));
    status.idle().await;
    let snapshot = status.snapshot().await.unwrap();
    let networks: Vec<_> =
        snapshot.networks.iter().map(|one| (&*one.name, one.is_primary, one.sent)).collect();
    assert_eq!(networks, [("line", true, 2), ("other", false, 3)]);
    assert_eq!((snapshot.sent, snapshot.duplicates), (5, 1));
    drop(stop);
    bot.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_two_networks_left_is_taken_up_on_each_of_them() {
    let store = MemoryStore::default();
    let (Stage { bot, mut here, mut there, stop: _stop }, status, _) = stage(&store);
    for far in [&mut here, &mut there] {
        far.say("alice", "!hang");
        far.say("alice", "!count");
    }
    while status.snapshot().await.unwrap().accepted < 4 {
        sleep(Duration::from_millis(1)).await;
    }
    bot.abort();
    let _killed = bot.await;
    let (Stage { bot, mut here, mut there, stop }, status, _) = stage(&store);
    for far in [&mut here, &mut there] {
        far.repeat("new", "bob", "!ping");
        assert_eq!(far.reply().await, said("bob", "pong"));
    }
    let snapshot = status.snapshot().await.unwrap();
    assert_eq!((snapshot.running, snapshot.waiting), (2, 2), "each behind the one that hangs");
    drop(stop);
    drop(timeout(Duration::from_secs(60), bot).await);
}

#[tokio::test(start_paused = true)]
async fn a_reply_to_a_network_that_the_bot_is_not_on_is_an_error_that_names_it() {
    let (Stage { bot, mut here, stop, .. }, _, letters) = stage(&MemoryStore::default());
    here.say("alice", "!astray");
    assert!(here.reply().await.1.contains("went wrong"));
    let dead = letters.list(DeadFilter::default()).await.unwrap();
    assert!(dead[0].error.contains("the bot is not on the network `irc`"), "{}", dead[0].error);
    drop(stop);
    bot.await.unwrap().unwrap();
}

/// A bot that was on two networks is started without the second.
#[tokio::test(start_paused = true)]
async fn what_belongs_to_a_network_that_is_gone_is_kept_and_in_nobodys_way() {
    let store = MemoryStore::default();
    let (first, mut here) = line();
    let (second, mut there) =
        line_with(Duration::ZERO, Box::new(|_| Err(SendError::not_sent("nobody answers"))));
    let journal = || MemoryJournal::over(store.clone());
    let bot = Bot::new(app()).transport(first).network(other(second)).with_journal(journal());
    let status = bot.status();
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    there.say("alice", "!hang");
    there.say("bob", "!ping");
    while status.snapshot().await.is_none_or(|snapshot| snapshot.outbox < 1 || snapshot.accepted < 2) {
        sleep(Duration::from_millis(1)).await;
    }
    here.say("alice", "!ping");
    assert_eq!(here.reply().await, said("alice", "pong"));
    bot.abort();
    let _killed = bot.await;

    let (first, mut here) = line();
    let bot = Bot::new(app()).transport(first).with_journal(journal());
    let letters = bot.dead_letters();
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    here.repeat("new", "alice", "!ping");
    assert_eq!(here.reply().await, said("alice", "pong"), "its own conversations go on");
    let dead = letters.list(DeadFilter::default()).await.unwrap();
    let reasons: Vec<_> = dead.iter().map(|dead| dead.reason).collect();
    assert_eq!(reasons, [Reason::NoNetwork; 2], "an event and a reply");
    assert!(dead.iter().all(|dead| dead.error.contains("without `other`")), "{dead:?}");
    drop(here.hang_up());
    bot.await.unwrap().unwrap();

    let (Stage { bot, mut there, stop, .. }, _, letters) = stage(&store);
    assert_eq!(letters.replay(DeadFilter::default()).await.unwrap(), 2);
    assert_eq!(there.reply().await, said("bob", "pong"), "what was kept goes out once the network is back");
    drop(stop);
    drop(timeout(Duration::from_secs(60), bot).await);
}

/// A network that opens and ends when it is told to.
struct Door {
    line: Line,
    is_open: Arc<AtomicBool>,
    tries: Arc<AtomicUsize>,
}

impl Transport for Door {
    fn name(&self) -> &'static str {
        "door"
    }

    async fn open(&self, _: &Start<'_>) -> Result<String> {
        self.tries.fetch_add(1, Ordering::Relaxed);
        match self.is_open.load(Ordering::Relaxed) {
            true => Ok("come in".to_owned()),
            false => Err(Error::new("nobody opens")),
        }
    }

    async fn receive(&self, inbox: Inbox) -> Result<()> {
        self.line.receive(inbox).await?;
        Err(Error::new("the house is gone"))
    }

    async fn send(&self, outbound: &Outbound) -> Result<Sent, SendError> {
        assert!(self.is_open.load(Ordering::Relaxed), "nothing is sent on a network that is not open");
        self.line.send(outbound).await
    }
}

fn door(is_open: bool) -> (Door, Far, Arc<AtomicBool>, Arc<AtomicUsize>) {
    let ((line, far), is_open) = (line(), Arc::new(AtomicBool::new(is_open)));
    let tries = Arc::default();
    (Door { line, is_open: Arc::clone(&is_open), tries: Arc::clone(&tries) }, far, is_open, tries)
}

async fn to_the_door(cx: Context) -> Result<()> {
    cx.send(&Conversation::direct("carol").with_network("door"), "knock");
    Ok(())
}

fn knocking() -> App {
    Router::new().command("!ping", async || "pong").command("!knock", to_the_door).with_state(())
}

#[tokio::test(start_paused = true)]
async fn a_network_that_cannot_be_opened_is_tried_again_and_what_is_to_go_there_waits() {
    let ((first, mut here), (door, mut far, is_open, tries)) = (line(), door(false));
    let bot = Bot::new(knocking()).transport(first).transport(door).in_memory();
    let status = bot.status();
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    here.say("alice", "!knock");
    here.say("alice", "!ping");
    assert_eq!(here.reply().await, said("alice", "pong"), "the other goes on");
    let state = async || status.snapshot().await.unwrap().networks[1].state;
    assert_eq!(state().await, NetworkState::Opening);
    sleep(Duration::from_secs(600)).await;
    assert!((8..20).contains(&tries.load(Ordering::Relaxed)), "{tries:?}");
    let snapshot = status.snapshot().await.unwrap();
    assert_eq!(
        (snapshot.outbox, snapshot.not_sent, snapshot.unknown),
        (1, 0, 0),
        "it waits, and was not tried"
    );
    is_open.store(true, Ordering::Relaxed);
    assert_eq!(far.reply().await, said("carol", "knock"));
    assert_eq!(state().await, NetworkState::Open);
    far.say("carol", "!ping");
    assert_eq!(far.reply().await, said("carol", "pong"));
    drop(here.hang_up());
    while status.snapshot().await.unwrap().networks[0].state != NetworkState::Ended {
        sleep(Duration::from_millis(1)).await;
    }
    drop(far.hang_up());
    assert!(bot.await.unwrap().unwrap_err().to_string().contains("the house is gone"));
}

#[tokio::test(start_paused = true)]
async fn where_none_can_be_opened_or_one_that_has_to_be_the_bot_does_not_start() {
    for is_essential in [false, true] {
        let ((closed, _, _, tries), (second, _far, ..)) = (door(false), door(is_essential));
        let closed = Network::new(closed).with_name("closed");
        let closed = if is_essential { closed.essential() } else { closed };
        let bot = Bot::new(app()).network(closed).transport(second).in_memory().on_this_runtime();
        let error = timeout(Duration::from_secs(60), bot.serve()).await.expect("it ends").unwrap_err();
        assert_eq!(error.chain(), "the door transport could not start: nobody opens");
        assert_eq!(tries.load(Ordering::Relaxed), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_network_that_gives_up_takes_no_other_along_unless_it_is_essential() {
    for is_essential in [false, true] {
        let ((first, mut here), (door, far, ..)) = (line(), door(true));
        let door = if is_essential { Network::new(door).essential() } else { Network::new(door) };
        let bot = Bot::new(knocking()).transport(first).network(door).in_memory();
        let status = bot.status();
        let bot = tokio::spawn(bot.on_this_runtime().serve());
        let mut replies = far.hang_up();
        if is_essential {
            let error = timeout(Duration::from_secs(60), bot).await.expect("it ends").unwrap().unwrap_err();
            assert_eq!(error.to_string(), "the house is gone");
            continue;
        }
        while status.snapshot().await.is_none_or(|it| it.networks[1].state != NetworkState::Failed) {
            sleep(Duration::from_millis(1)).await;
        }
        here.say("alice", "!ping");
        assert_eq!(here.reply().await, said("alice", "pong"));
        here.say("alice", "!knock");
        assert_eq!(replies.recv().await, Some(said("carol", "knock")), "what is said there still goes out");
        drop(here.hang_up());
        bot.await.unwrap().expect("the last one ended in order");
    }
}

#[tokio::test]
async fn two_networks_of_one_name_are_an_error_that_says_what_to_do() {
    let bot = Bot::new(app()).transport(line().0).transport(line().0).in_memory();
    let error = bot.serve().await.unwrap_err();
    assert_eq!(error.to_string(), "two networks of the bot are called `line`");
    assert!(error.hint().is_some_and(|hint| hint.contains("with_name")), "{error:?}");
    let nameless = Bot::new(app()).network(Network::new(line().0).with_name("a:b")).in_memory();
    assert!(nameless.serve().await.unwrap_err().hint().is_some());
}

/// A source with a position, which reads on from there.
struct Tape(mpsc::UnboundedSender<Option<String>>);

impl Transport for Tape {
    fn name(&self) -> &'static str {
        "tape"
    }

    async fn receive(&self, inbox: Inbox) -> Result<()> {
        let position = inbox.cursor().map(|position| String::from_utf8_lossy(&position).into_owned());
        let kept = inbox.kept().iter().map(|(name, _)| name.clone()).collect::<String>();
        let _heard = self.0.send(position.map(|position| position + &kept));
        let event =
            Event::new("1", Conversation::direct("alice"), Sender::new("alice"), Message::text("1", "!x"));
        inbox.keep("kept", Some("it".into()));
        let taken = inbox.accept(event.with_cursor(Cursor::new("7"))).await;
        taken.map_err(|_| Error::new("the inbox is full"))?;
        pending().await
    }

    async fn send(&self, outbound: &Outbound) -> Result<Sent, SendError> {
        assert!(matches!(outbound.action, Action::Send(_)));
        Ok(Sent::done())
    }
}

#[tokio::test(start_paused = true)]
async fn each_network_has_its_own_cursors_and_values() {
    let store = MemoryStore::default();
    for expected in [None, Some("7kept".to_owned())] {
        let ((first, mut from_first), (second, mut from_second)) =
            (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let bot =
            Bot::new(app()).transport(Tape(first)).network(Network::new(Tape(second)).with_name("other"));
        let bot = bot.with_journal(MemoryJournal::over(store.clone()));
        let status = bot.status();
        let bot = tokio::spawn(bot.on_this_runtime().serve());
        assert_eq!(from_first.recv().await, Some(expected.clone()));
        assert_eq!(from_second.recv().await, Some(expected));
        status.idle().await;
        while status.snapshot().await.is_none_or(|it| it.handled + it.duplicates < 2) {
            sleep(Duration::from_millis(1)).await;
        }
        bot.abort();
        let _killed = bot.await;
    }
}
