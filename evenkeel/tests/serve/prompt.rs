//! Networks that want an answer in time: the bot says in time that it works on it, and the answer takes the place of that. Time is paused.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::Mutex;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use evenkeel::command::Deferral;
use evenkeel::journal::memory::MemoryJournal;
use evenkeel::journal::{Entry, Journal, Recovered, Written};
use evenkeel::transport::{Inbox, SendError, Sent};
use evenkeel::{
    Action, Answered, App, Bot, Context, Conversation, Deadline, Error, Event, Message, Outbound, ReplyToken,
    Result, Router, Sender, Text, Transport, Trigger,
};
use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::home::{BEGAN_MS, Home, soon};

/// What the network wants, and when the bot speaks up.
const WITHIN: Duration = Duration::from_secs(3);
const SPEAKS_UP: Duration = Duration::from_millis(2_250);

/// What the bot does on the network, and so long after the start.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Call {
    Defer(Deferral),
    Send(String, Answered),
    /// One that has no token.
    Plain(String),
    Unanswered(Answered),
}

/// A network whose messages all want an answer in time.
struct Prompt {
    events: tokio::sync::Mutex<mpsc::UnboundedReceiver<Event>>,
    calls: mpsc::UnboundedSender<(String, Duration, Call)>,
    began: Instant,
    /// What the next ones are answered with.
    defers: Mutex<VecDeque<Result<(), SendError>>>,
    sends: Mutex<VecDeque<Result<Sent, SendError>>>,
    /// How long each takes.
    defer_takes: Duration,
    send_takes: Duration,
}

struct Far {
    events: mpsc::UnboundedSender<Event>,
    calls: mpsc::UnboundedReceiver<(String, Duration, Call)>,
    bot: JoinHandle<Result<()>>,
    count: u32,
}

impl Prompt {
    fn note(&self, token: Option<&ReplyToken>, call: Call) {
        let token = token.map_or("", ReplyToken::as_str).to_owned();
        let _listened = self.calls.send((token, self.began.elapsed(), call));
    }
}

impl Transport for Prompt {
    fn name(&self) -> &'static str {
        "prompt"
    }

    async fn receive(&self, inbox: Inbox) -> Result<()> {
        let mut events = self.events.lock().await;
        while let Some(event) = events.recv().await {
            inbox.push(event).map_err(|_| Error::new("the inbox is full"))?;
        }
        pending().await
    }

    async fn send(&self, outbound: &Outbound) -> Result<Sent, SendError> {
        sleep(self.send_takes).await;
        let text = match &outbound.action {
            Action::Send(draft) => draft.text.clone(),
            Action::React { emoji, .. } => emoji.clone(),
            other => panic!("{other:?}"),
        };
        self.note(
            outbound.token.as_ref(),
            if outbound.token.is_some() { Call::Send(text, outbound.answered) } else { Call::Plain(text) },
        );
        self.sends.lock().unwrap().pop_front().unwrap_or(Ok(Sent::done()))
    }

    async fn defer(&self, token: &ReplyToken, deferral: Deferral) -> Result<(), SendError> {
        self.note(Some(token), Call::Defer(deferral));
        sleep(self.defer_takes).await;
        self.defers.lock().unwrap().pop_front().unwrap_or(Ok(()))
    }

    async fn unanswered(&self, token: &ReplyToken, answered: Answered) -> Result<(), SendError> {
        self.note(Some(token), Call::Unanswered(answered));
        Ok(())
    }
}

fn prompt() -> (Prompt, mpsc::UnboundedSender<Event>, mpsc::UnboundedReceiver<(String, Duration, Call)>) {
    let ((events, incoming), (calls, called)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
    let events_of_bot = tokio::sync::Mutex::new(incoming);
    let (defers, sends) = (Mutex::default(), Mutex::default());
    let (defer_takes, send_takes) = (Duration::ZERO, Duration::ZERO);
    let began = Instant::now();
    let prompt = Prompt { events: events_of_bot, calls, began, defers, sends, defer_takes, send_takes };
    (prompt, events, called)
}

fn start_with(change: impl FnOnce(&mut Prompt)) -> Far {
    let (mut transport, events, calls) = prompt();
    change(&mut transport);
    let bot = tokio::spawn(Bot::new(app()).transport(transport).in_memory().on_this_runtime().serve());
    Far { events, calls, bot, count: 0 }
}

fn event(id: u32, text: &str) -> Event {
    let command = text.split(' ').next().unwrap_or_default().replace('!', "/");
    let message = Message::text(id.to_string(), text);
    Event::new(id.to_string(), Conversation::direct("alice"), Sender::new("alice"), message)
        .with_token(ReplyToken::new(format!("token {id}")))
        .with_deadline(Deadline::within(WITHIN).for_command(command))
}

impl Far {
    fn say(&mut self, text: &str) {
        self.count += 1;
        self.events.send(event(self.count, text)).unwrap();
    }

    /// What the bot does next, of the message with this number, and when.
    async fn call(&mut self) -> (String, Duration, Call) {
        soon(self.calls.recv()).await.expect("the bot runs")
    }

    /// All that follows within an hour.
    async fn calls(&mut self) -> Vec<Call> {
        sleep(Duration::from_secs(3_600)).await;
        std::iter::from_fn(|| self.calls.try_recv().ok()).map(|(.., call)| call).collect()
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        self.bot.abort();
    }
}

async fn after(Text(text): Text) -> Option<String> {
    let ms = text.split(' ').nth(1).and_then(|ms| ms.parse().ok()).unwrap_or(0);
    sleep(Duration::from_millis(ms)).await;
    (!text.contains("silent")).then_some(text)
}

async fn fail() -> Result<()> {
    sleep(Duration::from_secs(5)).await;
    Err(Error::for_user("no luck"))
}

async fn twice(cx: Context) -> Result<&'static str> {
    sleep(Duration::from_secs(5)).await;
    cx.reply_now("one").await?;
    cx.send(&Conversation::direct("bob"), "elsewhere");
    Ok("two")
}

async fn react(cx: Context, Text(text): Text) -> Result<Option<&'static str>> {
    if text.contains("first") {
        cx.reply_now(evenkeel::Reply::react(cx.event().about().unwrap().clone(), "👍")).await?;
        sleep(Duration::from_secs(5)).await;
        return Ok(Some("done"));
    }
    cx.react("👍");
    Ok(None)
}

async fn ask(cx: Context) -> Result<String> {
    cx.ask("which?").await
}

fn app() -> App {
    Router::new()
        .command("!after", after)
        .route(Trigger::command("!alone").ephemeral(), after)
        .route(Trigger::command("!form").opens_modal(), after)
        .command("!fail", fail)
        .command("!twice", twice)
        .command("!ask", ask)
        .command("!react", react)
        .with_state(())
}

fn said(text: &str, answered: Answered) -> Call {
    Call::Send(text.to_owned(), answered)
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_time_is_the_only_thing_that_goes_out() {
    let mut far = start_with(|_| {});
    for (text, ms) in [("!after 0", 0), ("!after 2000", 2_000)] {
        let began = Instant::now();
        far.say(text);
        let (_, _, call) = far.call().await;
        assert_eq!((call, began.elapsed()), (said(text, Answered::Nothing), Duration::from_millis(ms)));
        assert_eq!(far.calls().await, []);
    }
}

#[tokio::test(start_paused = true)]
async fn what_takes_longer_is_announced_in_time_and_takes_the_place_of_that() {
    let mut far = start_with(|_| {});
    far.say("!after 60000");
    assert_eq!(far.call().await, ("token 1".into(), SPEAKS_UP, Call::Defer(Deferral::Visible)));
    let (_, at, call) = far.call().await;
    assert_eq!((at, call), (Duration::from_secs(60), said("!after 60000", Answered::Deferred)));
    assert_eq!(far.calls().await, []);
}

#[tokio::test(start_paused = true)]
async fn the_spec_says_what_is_announced_and_whether_anything_is() {
    let mut far = start_with(|_| {});
    far.say("!alone 5000");
    far.say("!form 5000");
    let calls = far.calls().await;
    let expected = [
        Call::Defer(Deferral::Ephemeral),
        said("!alone 5000", Answered::Deferred),
        said("!form 5000", Answered::Nothing),
    ];
    assert_eq!(calls, expected);
}

#[tokio::test(start_paused = true)]
async fn where_no_answer_comes_the_network_is_told_so() {
    let mut far = start_with(|_| {});
    far.say("!after 0 silent");
    assert_eq!(far.calls().await, [Call::Unanswered(Answered::Nothing)], "and nothing is announced later");
    far.say("!after 5000 silent");
    let expected = [Call::Defer(Deferral::Visible), Call::Unanswered(Answered::Deferred)];
    assert_eq!(far.calls().await, expected);
    far.say("nobody wants this");
    assert_eq!(far.calls().await, [Call::Unanswered(Answered::Nothing)]);
}

#[tokio::test(start_paused = true)]
async fn an_apology_takes_the_place_too() {
    let mut far = start_with(|_| {});
    far.say("!fail");
    assert_eq!(far.calls().await, [Call::Defer(Deferral::Visible), said("no luck", Answered::Deferred)]);
}

#[tokio::test(start_paused = true)]
async fn a_reaction_is_no_answer() {
    let mut far = start_with(|_| {});
    far.say("!react first");
    let expected =
        [said("👍", Answered::Nothing), Call::Defer(Deferral::Visible), said("done", Answered::Deferred)];
    assert_eq!(far.calls().await, expected);
    far.say("!react");
    let mut calls = far.calls().await;
    // They go their ways.
    calls.sort_by_key(|call| matches!(call, Call::Unanswered(_)));
    assert_eq!(calls.last(), Some(&Call::Unanswered(Answered::Nothing)), "{calls:?}");
    assert_eq!(calls.len(), 2, "and nothing is announced later");
}

#[tokio::test(start_paused = true)]
async fn further_answers_are_told_from_the_first_and_others_have_no_token() {
    let mut far = start_with(|_| {});
    far.say("!twice");
    let expected = [
        Call::Defer(Deferral::Visible),
        said("one", Answered::Deferred),
        Call::Plain("elsewhere".to_owned()),
        said("two", Answered::Answered),
    ];
    assert_eq!(far.calls().await, expected);
}

#[tokio::test(start_paused = true)]
async fn what_answers_a_question_needs_no_answer_of_its_own() {
    let mut far = start_with(|_| {});
    far.say("!ask");
    assert_eq!(far.call().await.2, said("which?", Answered::Nothing));
    sleep(Duration::from_secs(60)).await;
    far.say("that one");
    let (mut first, mut second) = (far.call().await, far.call().await);
    // One is the network's own, the other a reply: they go their ways.
    if first.0 == "token 1" {
        std::mem::swap(&mut first, &mut second);
    }
    assert_eq!((first.0, first.2), ("token 2".into(), Call::Unanswered(Answered::Nothing)));
    assert_eq!((second.0, second.2), ("token 1".into(), said("that one", Answered::Answered)));
    assert_eq!(far.calls().await, []);
}

#[tokio::test(start_paused = true)]
async fn an_answer_on_its_way_is_not_announced_and_one_behind_the_announcement_waits_for_it() {
    let mut far = start_with(|prompt| prompt.send_takes = Duration::from_secs(2));
    far.say("!after 1500");
    assert_eq!(far.calls().await, [said("!after 1500", Answered::Nothing)]);
    let mut far = start_with(|prompt| prompt.defer_takes = Duration::from_secs(2));
    far.say("!after 2500");
    assert_eq!(far.call().await.1, SPEAKS_UP);
    let (_, at, call) = far.call().await;
    let ended = SPEAKS_UP + Duration::from_secs(2);
    assert_eq!((at, call), (ended, said("!after 2500", Answered::Deferred)));
}

#[tokio::test(start_paused = true)]
async fn an_announcement_that_was_not_made_is_made_again_while_there_is_time() {
    let not_sent = || Err(SendError::not_sent("busy"));
    let mut far = start_with(|prompt| prompt.defers = Mutex::new((0..3).map(|_| not_sent()).collect()));
    far.say("!after 9000");
    let mut expected = vec![Call::Defer(Deferral::Visible); 4];
    expected.push(said("!after 9000", Answered::Deferred));
    assert_eq!(far.calls().await, expected);

    let mut far = start_with(|prompt| prompt.defers = Mutex::new((0..99).map(|_| not_sent()).collect()));
    far.say("!after 9000");
    let calls = far.calls().await;
    assert_eq!(calls.last(), Some(&said("!after 9000", Answered::Nothing)));
    assert_eq!(calls.len(), 1 + 8, "each 100 ms from 2.25 s to 3 s, and then no more");

    let refused = || Err(SendError::refused("no such interaction"));
    let mut far = start_with(|prompt| prompt.defers = Mutex::new([refused()].into()));
    far.say("!after 9000");
    assert_eq!(far.calls().await, [Call::Defer(Deferral::Visible), said("!after 9000", Answered::Unknown)]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_did_not_go_out_leaves_the_announcement_to_be_made() {
    let wait = Duration::from_secs(10);
    let not_sent = SendError::not_sent_before("busy", wait);
    let mut far = start_with(|prompt| prompt.sends = Mutex::new([Err(not_sent)].into()));
    far.say("!after 1000");
    let expected = [
        said("!after 1000", Answered::Nothing),
        Call::Defer(Deferral::Visible),
        said("!after 1000", Answered::Deferred),
    ];
    assert_eq!(far.calls().await, expected);
    let refused = SendError::refused("no such words");
    let mut far = start_with(|prompt| prompt.sends = Mutex::new([Err(refused)].into()));
    far.say("!after 2900");
    let expected = [
        Call::Defer(Deferral::Visible),
        said("!after 2900", Answered::Deferred),
        Call::Unanswered(Answered::Deferred),
    ];
    assert_eq!(far.calls().await, expected, "what was announced is taken back");
}

/// A journal on a disk that stands still for a minute after the first batch.
struct Standstill(MemoryJournal, u32);

impl Journal for Standstill {
    type Writing = futures_util::future::BoxFuture<'static, Result<Written>>;

    async fn recover(&mut self) -> Result<Recovered> {
        self.0.recover().await
    }

    fn write(&mut self, batch: Vec<Entry>) -> Self::Writing {
        self.1 += 1;
        let (written, is_still) = (self.0.write(batch), self.1 > 1);
        async move {
            if is_still {
                sleep(Duration::from_secs(60)).await;
            }
            written.await
        }
        .boxed()
    }
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_stands_still_holds_no_announcement_up() {
    let (transport, events, calls) = prompt();
    let bot = Bot::new(app()).transport(transport).with_journal(Standstill(MemoryJournal::default(), 0));
    let mut far = Far { events, calls, bot: tokio::spawn(bot.on_this_runtime().serve()), count: 0 };
    for n in 0..20 {
        far.say(&format!("!after {n}"));
    }
    let calls = far.calls().await;
    let deferred = calls.iter().filter(|call| matches!(call, Call::Defer(_))).count();
    let answered = calls.iter().filter(|call| matches!(call, Call::Send(_, Answered::Deferred))).count();
    assert_eq!((deferred, answered, calls.len()), (20, 20, 40));
}

#[tokio::test(start_paused = true)]
async fn a_reply_has_its_token_after_a_restart_until_it_is_too_old() {
    let until = UNIX_EPOCH + Duration::from_millis(BEGAN_MS) + Duration::from_secs(900);
    let at = |now: SystemTime| now.duration_since(UNIX_EPOCH).unwrap();
    for (away, is_valid) in [(600, true), (899, true), (901, false)] {
        let home = Home::new(&format!("token-{away}"));
        let busy = || Err(SendError::not_sent("busy"));
        let start = |first: Option<Result<Sent, SendError>>| {
            let (mut transport, events, calls) = prompt();
            transport.sends = Mutex::new(first.into_iter().collect());
            let bot = home.any(transport, app());
            Far { events, calls, bot: tokio::spawn(bot.on_this_runtime().serve()), count: 0 }
        };
        let far = &mut start(Some(busy()));
        let token = ReplyToken::new("token 1").valid_until(until);
        far.events.send(event(1, "!after 0").with_token(token)).unwrap();
        assert_eq!(far.call().await.2, said("!after 0", Answered::Nothing));
        sleep(Duration::from_millis(6)).await;
        far.bot.abort();
        let _ended = (&mut far.bot).await;
        tokio::time::advance(Duration::from_secs(away)).await;
        let far = &mut start(None);
        let call = far.call().await.2;
        match is_valid {
            true => assert_eq!(call, said("!after 0", Answered::Unknown)),
            false => assert_eq!(call, Call::Plain("!after 0".to_owned()), "{:?}", at(until)),
        }
        far.bot.abort();
        let _ended = (&mut far.bot).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_read_once_more_is_announced_once() {
    let mut far = start_with(|_| {});
    far.say("!after 5000");
    // Nothing but the time until which it is good is another.
    let token = ReplyToken::new("token 1").valid_until(SystemTime::now() + Duration::from_secs(900));
    far.events.send(event(1, "!after 5000").with_token(token)).unwrap();
    assert_eq!(far.calls().await, [Call::Defer(Deferral::Visible), said("!after 5000", Answered::Deferred)]);
    far.count = 0;
    far.say("!after 5000");
    assert_eq!(far.calls().await, [], "it has had its answer");
}

#[tokio::test(start_paused = true)]
async fn the_sandbox_wants_answers_in_time_and_shows_one_message() {
    let sandbox = evenkeel::sandbox::Sandbox::new().with_deadline(WITHIN);
    let bot = tokio::spawn(Bot::new(app()).transport(sandbox.clone()).in_memory().on_this_runtime().serve());
    let mut changes = sandbox.changes();
    for text in ["!after 0", "!after 60000", "!after 60000 silent", "!form 9000"] {
        sandbox.say("alice", "alice", text).unwrap();
    }
    sleep(Duration::from_secs(3_600)).await;
    let mut seen = Vec::new();
    while let Some(change) = changes.try_next() {
        let change = serde_json::to_value(change.unwrap()).unwrap();
        if change["entry"]["author"]["id"] == "bot" {
            seen.push(format!("{} {}", change["change"], change["entry"]["text"]).replace('"', ""));
        }
    }
    let expected = ["posted !after 0", "posted …", "edited !after 60000", "posted …", "deleted "];
    // One conversation, so one after the other: the third waits for the second, and is announced meanwhile.
    let mut expected: Vec<_> = expected.map(str::to_owned).into();
    expected.sort_unstable();
    seen.sort_unstable();
    assert_eq!(seen, expected);
    assert_eq!(sandbox.missed_deadlines(), 1, "the form wanted to answer by itself, and took too long");
    bot.abort();
}
