use super::*;
use crate::event::{Event, EventKind, Mention};
use crate::journal::Acceptance;
use crate::reply::{Action, Outbound, SendKey};
use crate::transport::{Arrival, Backlog, Inbox, Limits, Outcome, SendError, Sent, Transport};
use http::Extensions;
use tokio::sync::mpsc::UnboundedReceiver;

/// A bot that is read by hand.
fn bot(limit_bytes: usize) -> (Inbox, UnboundedReceiver<Arrival>) {
    Inbox::new(Arc::new(Backlog::new(Limits::new(limit_bytes, None, None))), Extensions::new())
}

/// Accepts the next event, as the journal would.
async fn hear(arrivals: &mut UnboundedReceiver<Arrival>) -> Event {
    let Some(Arrival::Event { event, accepted, .. }) = arrivals.recv().await else { panic!("no event") };
    accepted.unwrap().send(Acceptance::New(1)).unwrap();
    event
}

/// What the bot does, in the conversation `to`.
async fn act(sandbox: &Sandbox, to: &str, action: Action) -> Result<Sent, SendError> {
    let to = sandbox.network.lock().room(to).map(|room| room.conversation.clone());
    let outbound = Outbound::new(
        to.unwrap_or_else(|_| Conversation::direct("nobody")),
        action,
        SendKey { sequence: 1, index: 0 },
    );
    sandbox.send(&outbound).await
}

fn words(text: &str) -> Draft {
    Draft { text: text.to_owned(), ..Draft::default() }
}

async fn refused(sandbox: &Sandbox, to: &str, action: Action) -> String {
    let error = act(sandbox, to, action).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Refused);
    error.to_string()
}

#[tokio::test(start_paused = true)]
async fn what_was_said_while_no_bot_was_there_waits_for_one_in_order() {
    let sandbox = Sandbox::new();
    let first = sandbox.say("alice", "alice", "one").unwrap();
    sandbox.say("bob", "crew", "two").unwrap();
    sandbox.edit("alice", &first, "uno").unwrap();
    let (inbox, mut arrivals) = bot(1 << 20);
    let receiving = tokio::spawn({
        let sandbox = sandbox.clone();
        async move { sandbox.receive(inbox).await }
    });
    let one = hear(&mut arrivals).await;
    assert_eq!((one.text(), one.conversation().is_group()), (Some("one"), false));
    let two = hear(&mut arrivals).await;
    assert_eq!((two.sender().display_name(), two.conversation().id()), ("Bob", "crew"));
    let edit = hear(&mut arrivals).await;
    assert_eq!(edit.edit().unwrap().message.text, "uno");
    assert_eq!(edit.about(), Some(&first));
    receiving.abort();
}

#[tokio::test(start_paused = true)]
async fn every_act_of_a_person_reaches_the_bot() {
    let sandbox = Sandbox::new();
    let (inbox, mut arrivals) = bot(1 << 20);
    let receiving = tokio::spawn({
        let sandbox = sandbox.clone();
        async move { sandbox.receive(inbox).await }
    });
    sandbox.start_typing("carol", "crew").unwrap();
    assert!(hear(&mut arrivals).await.typing().unwrap().is_started);
    let id = sandbox.say("carol", "crew", "hi").unwrap();
    assert_eq!(hear(&mut arrivals).await.about(), Some(&id));
    sandbox.react("bob", &id, "👍").unwrap();
    sandbox.react("bob", &id, "👍").unwrap();
    sandbox.unreact("bob", &id, "👍").unwrap();
    assert!(!hear(&mut arrivals).await.reaction().unwrap().is_removed);
    assert!(hear(&mut arrivals).await.reaction().unwrap().is_removed, "the second time changed nothing");
    let answer = sandbox.answer("alice", "crew", &id, "hello").unwrap();
    let quoting = hear(&mut arrivals).await;
    assert_eq!(quoting.message().unwrap().quote.as_ref().unwrap().text, "hi");
    sandbox.delete("alice", &answer).unwrap();
    assert!(matches!(hear(&mut arrivals).await.kind(), EventKind::Deletion(_)));
    receiving.abort();
}

#[tokio::test(start_paused = true)]
async fn a_refused_event_is_offered_again_and_nothing_overtakes_it() {
    let sandbox = Sandbox::new();
    for number in 0..3 {
        sandbox.say("alice", "alice", format!("{number}")).unwrap();
    }
    // There is room for one event; the next is refused until the first is handled.
    let backlog = Arc::new(Backlog::new(Limits::new(500, Some(500), None)));
    let (inbox, mut arrivals) = Inbox::new(Arc::clone(&backlog), Extensions::new());
    let receiving = tokio::spawn({
        let sandbox = sandbox.clone();
        async move { sandbox.receive(inbox).await }
    });
    for number in 0..3 {
        let event = hear(&mut arrivals).await;
        assert_eq!(event.text(), Some(&*format!("{number}")));
        tokio::task::yield_now().await;
        backlog.release(&event);
    }
    receiving.abort();
}

#[tokio::test(start_paused = true)]
async fn an_event_that_was_not_accepted_is_repeated_to_the_next_bot() {
    let sandbox = Sandbox::new();
    let id = sandbox.say("alice", "alice", "hi").unwrap();
    let mut heard = Vec::new();
    for _ in 0..2 {
        let (inbox, mut arrivals) = bot(1 << 20);
        let mut receiving = Box::pin(sandbox.receive(inbox));
        assert!(futures_util::poll!(&mut receiving).is_pending());
        let Some(Arrival::Event { event, .. }) = arrivals.recv().await else { panic!("no event") };
        heard.push(event.id().to_owned());
    }
    assert_eq!(heard, [id.as_str(), id.as_str()]);
}

#[tokio::test(start_paused = true)]
async fn the_bots_actions_are_in_the_log() {
    let sandbox = Sandbox::new();
    let asked = sandbox.say("alice", "crew", "hi").unwrap();
    let mut changes = sandbox.changes();
    act(&sandbox, "crew", Action::Typing { is_started: true }).await.unwrap();
    let draft = Draft { files: vec![File::new("a.txt", "text/plain", "abc")], ..words("hello @alice") };
    let id = act(&sandbox, "crew", Action::Send(draft)).await.unwrap().id.unwrap();
    act(&sandbox, "crew", Action::Edit { target: id.clone(), draft: words("bye") }).await.unwrap();
    let emoji = "👍".to_owned();
    act(&sandbox, "crew", Action::React { target: asked.clone(), emoji, is_removed: false }).await.unwrap();
    act(&sandbox, "crew", Action::Delete { target: id.clone() }).await.unwrap();

    let mut seen = Vec::new();
    while let Some(Ok(change)) = changes.try_next() {
        assert_eq!(change.by().unwrap().id(), "bot");
        assert_eq!(change.conversation().unwrap().id(), "crew");
        seen.push(match change {
            Change::Typing { is_started: true, .. } => "typing".to_owned(),
            Change::Typing { .. } => "no typing".to_owned(),
            Change::Posted { entry } => {
                let Mention { who, range } = &entry.message.mentions[0];
                assert_eq!((who.id(), &entry.message.text[range.clone()]), ("alice", "@alice"));
                format!("{} and {} file", entry.message.text, entry.message.attachments.len())
            }
            Change::Edited { entry } => entry.message.text.clone(),
            Change::Reacted { entry, emoji, .. } => format!("{emoji} {}", entry.message.text),
            Change::Deleted { entry } => format!("deleted{}", entry.message.text),
            other => panic!("unexpected: {other:?}"),
        });
    }
    assert_eq!(seen, ["typing", "no typing", "hello @alice and 1 file", "bye", "👍 hi", "deleted"]);
}

#[tokio::test(start_paused = true)]
async fn the_bot_is_refused_what_is_not_its_own() {
    let sandbox = Sandbox::new();
    let hers = sandbox.say("alice", "alice", "hi").unwrap();
    let target = hers.clone();
    let text = refused(&sandbox, "alice", Action::Edit { target, draft: words("x") }).await;
    assert!(text.starts_with("Evenkeel cannot edit message"), "{text}");
    let text = refused(&sandbox, "alice", Action::Delete { target: hers.clone() }).await;
    assert!(text.ends_with("of Alice"), "{text}");
    let text = refused(&sandbox, "bob", Action::Delete { target: hers }).await;
    assert!(text.ends_with("is not in the conversation `bob`"), "{text}");
    let text = refused(&sandbox, "nobody", Action::Send(words("x"))).await;
    assert_eq!(text, "there is no conversation `nobody` in the sandbox");
    let text = refused(&sandbox, "bob", Action::Delete { target: MessageId::new("77") }).await;
    assert!(text.starts_with("there is no message `77`"), "{text}");
    refused(&sandbox, "bob", Action::Send(words(&"x".repeat(70_000)))).await;
}

#[test]
fn strangers_are_told_what_is_wrong() {
    let sandbox = Sandbox::new();
    let why = |result: Result<MessageId>| result.unwrap_err().to_string();
    assert_eq!(why(sandbox.say("mallory", "crew", "x")), "there is no person `mallory` in the sandbox");
    assert_eq!(why(sandbox.say("alice", "club", "x")), "there is no conversation `club` in the sandbox");
    assert_eq!(why(sandbox.say("alice", "bob", "x")), "Alice is not in the conversation `Bob`");
    assert_eq!(why(sandbox.say("alice", "alice", "")), "a message needs words or a file");
    assert!(sandbox.add_person("crew", "Crew").is_err(), "one id, one conversation");
    sandbox.add_person("dave", "Dave").unwrap();
    sandbox.add_group("duo", "Duo", &["dave", "alice"]).unwrap();
    sandbox.say("dave", "duo", "x").unwrap();
    assert!(why(sandbox.say("bob", "duo", "x")).contains("not in"));
}

#[tokio::test(start_paused = true)]
async fn files_come_back_until_newer_ones_take_their_place() {
    let sandbox = Sandbox::new();
    let post = |size: usize| {
        let files = vec![File::new("a.bin", "application/octet-stream", vec![7; size])];
        let id = sandbox.post("alice", "alice", Draft { files, ..Draft::default() })?;
        let entry = sandbox.entry(&id).ok_or_else(|| Error::new("gone"))?;
        Ok::<_, Error>(entry.message.attachments[0].clone())
    };
    let small = post(3).unwrap();
    assert_eq!(&*sandbox.download(&small, 10).await.unwrap(), [7, 7, 7]);
    assert!(sandbox.download(&small, 2).await.unwrap_err().to_string().contains("3 bytes"));
    post(64 << 20).unwrap();
    let gone = sandbox.download(&small, 10).await.unwrap_err();
    assert!(gone.to_string().contains("not there any more") && gone.hint().is_some());
    assert!(post((64 << 20) + 1).unwrap_err().to_string().contains("does not fit"));
}

#[test]
fn the_log_forgets_its_oldest_messages() {
    let sandbox = Sandbox::new();
    let first = sandbox.say("alice", "alice", "first").unwrap();
    let mut last = first.clone();
    for _ in 0..10_000 {
        sandbox.network.lock().pending.clear();
        last = sandbox.say("alice", "alice", "x").unwrap();
    }
    assert!(sandbox.entry(&first).is_none() && sandbox.entry(&last).is_some());
    assert_eq!(sandbox.watch().0.entries.len(), LIMIT_SCENE);
    sandbox.react("alice", &last, "👍").unwrap();
    assert!(sandbox.react("alice", &first, "👍").unwrap_err().to_string().contains("too old"));
}

#[test]
fn nobody_may_write_without_end_to_a_bot_that_is_away() {
    let sandbox = Sandbox::new();
    for _ in 0..10_000 {
        sandbox.say("alice", "alice", "x").unwrap();
    }
    let error = sandbox.say("alice", "alice", "x").unwrap_err();
    assert_eq!(error.to_string(), "10000 events wait for the bot already");
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_told_and_goes_on() {
    let sandbox = Sandbox::new();
    let mut changes = sandbox.changes();
    for _ in 0..1_030 {
        sandbox.say("alice", "alice", "x").unwrap();
    }
    assert_eq!(changes.next().await, Err(Lagged(6)));
    assert!(changes.try_next().is_none());
    let (waiting, id) = tokio::join!(changes.next(), async { sandbox.say("alice", "alice", "y").unwrap() });
    let Ok(Change::Posted { entry }) = waiting else { panic!("not a message") };
    assert_eq!(entry.message.id, id);
}

#[tokio::test(start_paused = true)]
async fn a_bot_that_goes_away_ceases_to_type() {
    let sandbox = Sandbox::new();
    let (inbox, _arrivals) = bot(1 << 20);
    let mut receiving = Box::pin(sandbox.receive(inbox));
    assert!(futures_util::poll!(&mut receiving).is_pending());
    act(&sandbox, "bob", Action::Typing { is_started: true }).await.unwrap();
    let (scene, mut changes) = sandbox.watch();
    assert!(scene.is_connected && scene.typing.len() == 1);
    drop(receiving);
    assert_eq!(changes.try_next(), Some(Ok(Change::Bot { is_connected: false })));
    assert!(matches!(changes.try_next(), Some(Ok(Change::Typing { is_started: false, .. }))));
}

#[tokio::test]
async fn a_thousand_sandboxes_stand_side_by_side() {
    for _ in 0..1_000 {
        let sandbox = Sandbox::new();
        let mut changes = sandbox.changes();
        sandbox.say("alice", "alice", "!ping").unwrap();
        act(&sandbox, "alice", Action::Send(words("pong"))).await.unwrap();
        assert!(changes.try_next().is_some() && changes.try_next().is_some());
    }
}
