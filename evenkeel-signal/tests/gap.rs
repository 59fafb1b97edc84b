//! What is lost when a connection ends, and what is not: every message is counted.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, which clippy does not see")]

use std::collections::BTreeMap;
use std::time::Duration;

use evenkeel::Transport;
use evenkeel::status::Gaps;
use evenkeel::transport::{Collected, Inbox};
use evenkeel_signal::Signal;
use evenkeel_signal::standin::Standin;
use evenkeel_signal::standin::options::Options;
use evenkeel_signal::standin::people::{BOT, Person};
use serde_json::json;
use tokio::task::{JoinHandle, yield_now};

/// A receiving transport, until dropped.
struct Bot {
    inbox: Collected,
    task: JoinHandle<()>,
}

impl Drop for Bot {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Bot {
    fn start(signal: Signal) -> Self {
        let (inbox, collected) = Inbox::collecting();
        let task = tokio::spawn(async move { signal.receive(inbox).await.unwrap() });
        Self { inbox: collected, task }
    }

    /// Takes events until the one that says `last`: how often each text came, by id.
    async fn until(&mut self, last: &str) -> BTreeMap<String, (String, usize)> {
        let mut seen: BTreeMap<String, (String, usize)> = BTreeMap::new();
        loop {
            let event = self.inbox.next().await.unwrap();
            let text = event.text().unwrap().to_owned();
            let is_last = text == last;
            let entry = seen.entry(event.id().to_owned()).or_insert((text, 0));
            entry.1 += 1;
            if is_last {
                return seen;
            }
        }
    }
}

fn signal(standin: &Standin) -> Signal {
    Signal::new(BOT, &standin.url()).unwrap().with_random(|| 0.0)
}

/// Says `text`; whether any socket took it.
fn say(standin: &Standin, text: &str) -> bool {
    let at = standin.timestamp();
    let envelope = json!({
        "sourceUuid": Person::alice().uuid, "sourceDevice": 1, "timestamp": at,
        "dataMessage": {"timestamp": at, "message": text},
    });
    standin.deliver(&envelope) > 0
}

fn texts(seen: &BTreeMap<String, (String, usize)>) -> Vec<&str> {
    let mut texts: Vec<_> = seen.values().map(|(text, _)| text.as_str()).collect();
    texts.sort_unstable();
    texts
}

#[tokio::test]
async fn a_burst_during_a_planned_reconnect_loses_nothing() {
    let standin = Standin::start(Options::default()).unwrap();
    let mut bot = Bot::start(signal(&standin).with_ping_interval(Duration::from_millis(20)));
    standin.wait_for_sockets(1).await;
    standin.deafen_sockets();
    let mut said = Vec::new();
    // The burst begins before the connection is suspect and ends after it is closed.
    loop {
        let now = standin.transcript();
        said.push(format!("{:06}", said.len()));
        assert!(say(&standin, said.last().unwrap()), "there is a reader at all times");
        if now.sockets_opened > 1 && now.sockets == 1 {
            break;
        }
        // A pause now and then: a connection on which frames arrive is not suspect.
        if said.len().is_multiple_of(100) && now.sockets_opened == 1 {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    said.push("last".to_owned());
    assert!(say(&standin, "last"));
    let seen = bot.until("last").await;
    assert_eq!(texts(&seen), said);
    assert_eq!(standin.transcript().lost, 0);
    assert!(seen.values().any(|(_, times)| *times == 2), "both connections were read for a while");
    assert_eq!(bot.inbox.gaps(), Gaps::default());
}

#[tokio::test]
async fn a_hard_cut_loses_only_what_came_during_the_gap() {
    let standin = Standin::start(Options::default()).unwrap();
    let mut bot = Bot::start(signal(&standin));
    standin.wait_for_sockets(1).await;
    let mut taken = 0_u64;
    for round in 0..5 {
        let before = format!("{round} before");
        assert!(say(&standin, &before));
        assert_eq!(bot.until(&before).await.len(), 1);
        standin.cut_sockets();
        let mut expected = Vec::new();
        let mut count = 0_u64;
        while standin.transcript().sockets == 0 {
            let text = format!("{round} {count:06}");
            if say(&standin, &text) {
                expected.push(text);
            }
            count += 1;
            yield_now().await;
        }
        let after = format!("{round} after");
        assert!(say(&standin, &after));
        expected.push(after.clone());
        let seen = bot.until(&after).await;
        assert_eq!(texts(&seen), expected);
        taken += 1 + expected.len() as u64;
    }
    let transcript = standin.transcript();
    assert_eq!(transcript.delivered, taken, "what a socket took has arrived");
    let gaps = bot.inbox.gaps();
    assert!(gaps.count == 5 && !gaps.total.is_zero(), "{gaps:?}");
}

#[tokio::test]
async fn with_two_sockets_either_may_break_and_nothing_is_lost() {
    let standin = Standin::start(Options::default()).unwrap();
    let mut bot = Bot::start(signal(&standin).with_two_sockets());
    standin.wait_for_sockets(2).await;
    for round in 0..5 {
        let text = format!("both {round}");
        say(&standin, &text);
        // Both copies have arrived: the bot has both sockets, and knows it.
        bot.until(&text).await;
        bot.until(&text).await;
        standin.cut_oldest_socket();
        assert!(say(&standin, &format!("one {round}")), "the other one reads");
        assert_eq!(bot.until(&format!("one {round}")).await.len(), 1);
        standin.wait_for_sockets(2).await;
    }
    assert_eq!(standin.transcript().lost, 0);
    assert_eq!(bot.inbox.gaps(), Gaps::default());
}

#[tokio::test]
async fn the_copies_of_two_sockets_are_the_same_event() {
    let standin = Standin::start(Options::default()).unwrap();
    let mut bot = Bot::start(signal(&standin).with_two_sockets());
    standin.wait_for_sockets(2).await;
    for text in ["one", "two", "last", "last"] {
        say(&standin, text);
    }
    // Four messages on two sockets: eight events of four ids.
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..8 {
        *times.entry(bot.inbox.next().await.unwrap().id().to_owned()).or_default() += 1;
    }
    assert_eq!(times.into_values().collect::<Vec<_>>(), [2; 4]);
}

#[tokio::test]
async fn a_server_that_answers_no_ping_gets_two_connections_and_no_more() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = listener.local_addr().unwrap().to_string();
    let signal = Signal::new(BOT, &url).unwrap().with_random(|| 0.0);
    let _bot = Bot::start(signal.with_ping_interval(Duration::from_millis(5)));
    let mut silent = Vec::new();
    for _ in 0..2 {
        let (stream, _) = listener.accept().await.unwrap();
        silent.push(tokio_tungstenite::accept_async(stream).await.unwrap());
    }
    let third = tokio::time::timeout(Duration::from_millis(300), listener.accept());
    assert!(third.await.is_err(), "the first two are not given up yet");
}

#[tokio::test]
async fn measuring_a_reconnect_takes_no_message_from_the_bot() {
    let standin = Standin::start(Options::default()).unwrap();
    let mut bot = Bot::start(signal(&standin));
    standin.wait_for_sockets(1).await;
    signal(&standin).measure_reconnect().await.unwrap();
    assert!(say(&standin, "still mine"));
    bot.until("still mine").await;
    let gone = standin.url();
    drop(standin);
    let told = Signal::new(BOT, &gone).unwrap().measure_reconnect().await.unwrap_err().to_string();
    assert!(told.starts_with("no WebSocket: ") && !told.contains("5550100"), "{told}");
}
