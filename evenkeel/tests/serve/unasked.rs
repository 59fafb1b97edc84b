//! Nobody is spoken to who did not speak: apologies answer messages, and loops are slowed down.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use evenkeel::journal::{DeadFilter, Reason};
use evenkeel::transport::{Inbox, SendError, Sent};
use evenkeel::{
    Action, App, Bot, Context, Conversation, Deletion, Edit, Error, Event, EventKind, Job, Message,
    MessageId, Outbound, PollVote, Reaction, Receipt, ReceiptKind, Result, Router, Sender, Text, Transport,
    Typing,
};
use tokio::sync::{Mutex, mpsc};
use tokio::time::{Instant, sleep};

use crate::line::{Line, line};
use crate::ping;

async fn fails() -> Result<()> {
    Err(Error::new("on purpose"))
}

/// Rejects whatever is no message, and says why.
async fn wants_text(_: Text) {}

fn everything(router: Router) -> App {
    let router = router.on(Event::receipt, fails).on(Event::typing, fails).on(Event::reaction, fails);
    router.on(Event::deletion, fails).on(Event::edit, fails).on(Event::poll_vote, wants_text).with_state(())
}

#[tokio::test(start_paused = true)]
async fn what_is_no_message_gets_no_apology_and_is_a_dead_letter() {
    let target = || MessageId::new("1/self");
    let kinds: Vec<EventKind> = vec![
        Receipt { kind: ReceiptKind::Read, targets: vec![target()] }.into(),
        Typing { is_started: true }.into(),
        Reaction { target: target(), emoji: "👍".into(), is_removed: false }.into(),
        Deletion { target: target() }.into(),
        Edit { target: target(), message: Message::text("2", "new") }.into(),
    ];
    let (transport, mut far) = line();
    let bot = Bot::new(everything(Router::new().command("!ping", ping))).transport(transport).in_memory();
    let letters = bot.dead_letters();
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    let count = kinds.len();
    kinds.into_iter().for_each(|what| far.act("alice", what));
    far.act("alice", PollVote { poll: target(), options: vec![0] });
    far.say("alice", "!ping 1");
    assert_eq!(far.reply().await.1, "pong 1", "and nothing before it");
    assert_eq!(letters.list(DeadFilter::default()).await.expect("the bot runs").len(), count);
    drop(far.hang_up());
    bot.await.expect("no panic").expect("nothing is lost");
}

#[tokio::test(start_paused = true)]
async fn a_conversation_reads_one_apology_a_minute() {
    let (transport, mut far) = line();
    let bot = Bot::new(Router::new().command("!bad", fails).command("!ping", ping))
        .transport(transport)
        .in_memory();
    let status = bot.status();
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    for _ in 0..3 {
        far.say("crew", "!bad");
    }
    far.say("bob", "!bad");
    far.say("crew", "!ping 1");
    let mut replies = [far.reply().await, far.reply().await, far.reply().await];
    replies.sort();
    let heard: Vec<_> = replies.iter().map(|(who, text)| (&**who, &text[..5])).collect();
    assert_eq!(heard, [("bob", "Sorry"), ("crew", "Sorry"), ("crew", "pong ")]);
    status.idle().await;
    let snapshot = status.snapshot().await.expect("the bot runs");
    assert_eq!((snapshot.braked, snapshot.dead), (2, 4), "withheld, and dead letters all the same");
    sleep(Duration::from_secs(60)).await;
    far.say("crew", "!bad");
    assert!(far.reply().await.1.starts_with("Sorry"));
    drop(far.hang_up());
    bot.await.expect("no panic").expect("nothing is lost");
}

/// Never fits, and has a word for anyone who wrote.
struct Refused;

impl<S: Sync> evenkeel::FromEvent<S> for Refused {
    async fn from_event(_: &Context, _: &S) -> Result<Self, evenkeel::Rejection> {
        Err(evenkeel::Rejection::reply("members only"))
    }
}

#[tokio::test(start_paused = true)]
async fn a_layers_rejection_answers_messages_and_nothing_else() {
    async fn guard(_: Refused, event: Event, next: evenkeel::Next) -> evenkeel::Reply {
        next.run(event).await
    }
    let (transport, mut far) = line();
    let app = everything(Router::new().command("!ping", ping).layer(evenkeel::from_fn(guard)));
    let bot = tokio::spawn(Bot::new(app).transport(transport).in_memory().on_this_runtime().serve());
    far.act("alice", Typing { is_started: true });
    far.act("alice", Reaction { target: MessageId::new("1/self"), emoji: "👍".into(), is_removed: false });
    far.say("alice", "!ping 1");
    assert_eq!(far.reply().await.1, "members only", "and nothing before it");
    drop(far.hang_up());
    bot.await.expect("no panic").expect("nothing is lost");
}

async fn measure(Job((length,)): Job<(f32,)>) -> String {
    length.to_string()
}

#[tokio::test(start_paused = true)]
async fn a_job_whose_arguments_do_not_fit_is_a_dead_letter() {
    async fn plan(cx: Context) -> Result<()> {
        // JSON knows no such number.
        cx.after(Duration::from_secs(1), measure, (f32::NAN,))?;
        Ok(())
    }
    let heard = Arc::new(std::sync::Mutex::new(Vec::new()));
    let told = Arc::clone(&heard);
    let app = Router::new().command("!plan", plan).job(measure).with_state(()).on_dead(move |dead| {
        told.lock().expect("no panic").push(dead.error);
        async {}
    });
    let mut chat = evenkeel::testing::chat(app);
    assert!(chat.say("!plan").await.is_empty());
    assert!(chat.advance(Duration::from_secs(10)).await.is_empty(), "nobody wrote, and nobody reads");
    let heard = heard.lock().expect("no panic");
    assert!(heard.len() == 1 && heard[0].contains("do not fit its `Job`"), "{heard:?}");
}

#[tokio::test(start_paused = true)]
async fn a_replay_that_fails_again_apologizes_to_nobody() {
    let (transport, mut far) = line();
    let bot = Bot::new(Router::new().command("!bad", fails).command("!ping", ping))
        .transport(transport)
        .in_memory();
    let (status, letters) = (bot.status(), bot.dead_letters());
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    far.say("alice", "!bad");
    assert!(far.reply().await.1.starts_with("Sorry"));
    for _ in 0..3 {
        sleep(Duration::from_secs(3_600)).await;
        assert_eq!(letters.replay(DeadFilter::default()).await, Some(1));
        status.idle().await;
    }
    far.say("alice", "!ping 1");
    assert_eq!(far.reply().await.1, "pong 1", "and nothing before it");
    drop(far.hang_up());
    bot.await.expect("no panic").expect("nothing is lost");
}

async fn reports(cx: Context) {
    cx.reply("good morning");
}

async fn fails_by_the_clock(_: Job<()>) -> Result<()> {
    fails().await
}

async fn speaks_by_the_clock(cx: Context) -> Result<()> {
    cx.reply_now("good morning").await?;
    Ok(())
}

async fn writes_to_alice(cx: Context) {
    cx.send(&Conversation::direct("alice"), "good morning");
}

#[tokio::test(start_paused = true)]
async fn what_a_schedule_says_to_nobody_is_a_dead_letter_and_is_sent_nowhere() {
    let router = Router::new().schedule("every 1h", reports).schedule("every 1h", fails_by_the_clock);
    let router = router.schedule("every 1h", speaks_by_the_clock).schedule("every 1h", writes_to_alice);
    let (transport, mut far) = line();
    let began = Instant::now();
    let bot = Bot::new(router).transport(transport).in_memory();
    let bot = bot.with_clock(move || UNIX_EPOCH + Duration::from_secs(1_700_000_000) + began.elapsed());
    let (letters, status) = (bot.dead_letters(), bot.status());
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    assert_eq!(far.reply().await, ("alice".into(), "good morning".into()));
    status.idle().await;
    let dead = letters.list(DeadFilter::default()).await.expect("the bot runs");
    assert_eq!(dead.len(), 3, "{dead:?}");
    assert!(dead.iter().all(|dead| dead.reason == Reason::Failed), "of the jobs, and of no reply");
    assert_eq!(dead.iter().filter(|dead| dead.error.contains("nobody to reply to")).count(), 2);
    assert!(far.replies.try_recv().is_err());
    drop(far.hang_up());
    bot.await.expect("no panic").expect("nothing is lost");
}

/// A group in which each of two bots reads what the other one says.
struct Crew {
    name: &'static str,
    hears: Mutex<mpsc::UnboundedReceiver<String>>,
    other: mpsc::UnboundedSender<String>,
    said: mpsc::UnboundedSender<Instant>,
}

impl Transport for Crew {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn receive(&self, inbox: Inbox) -> Result<()> {
        let mut count = 0;
        while let Some(text) = self.hears.lock().await.recv().await {
            count += 1;
            let id: Arc<str> = format!("{} {count}", self.name).into();
            let (crew, other) = (Conversation::group("crew"), Sender::new("the other"));
            inbox
                .push(Event::new(&*id, crew, other, Message::text(&*id, text)))
                .map_err(|_| Error::new("full"))?;
        }
        Ok(())
    }

    async fn send(&self, outbound: &Outbound) -> Result<Sent, SendError> {
        // What it takes to get there.
        sleep(Duration::from_millis(7)).await;
        if let Action::Send(draft) = &outbound.action {
            // The test may have seen enough.
            let _heard = (self.said.send(Instant::now()), self.other.send(draft.text.clone()));
        }
        Ok(Sent::message(MessageId::new("sent")))
    }
}

/// How many messages two bots of this kind exchange in each of three minutes, once somebody has said something.
async fn chatter(app: impl Fn() -> App) -> [usize; 3] {
    let ((to_one, one), (to_two, two)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
    let (said, mut heard) = mpsc::unbounded_channel();
    let crew = |name, hears, other| Crew { name, hears: Mutex::new(hears), other, said: said.clone() };
    let bots = [crew("one", one, to_two), crew("two", two, to_one.clone())];
    let bots =
        bots.map(|crew| tokio::spawn(Bot::new(app()).transport(crew).in_memory().on_this_runtime().serve()));
    let began = Instant::now();
    to_one.send("hello".to_owned()).unwrap();
    sleep(Duration::from_secs(180)).await;
    bots.iter().for_each(tokio::task::JoinHandle::abort);
    let mut minutes = [0; 3];
    while let Ok(at) = heard.try_recv() {
        let minute = (at - began).as_secs() / 60;
        minutes[usize::try_from(minute.min(2)).unwrap()] += 1;
    }
    minutes
}

#[tokio::test(start_paused = true)]
async fn two_bots_that_fail_at_each_others_words_apologize_once() {
    assert_eq!(chatter(|| Router::new().fallback(fails).with_state(())).await, [1, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn two_bots_that_answer_each_other_are_slowed_down() {
    async fn what() -> &'static str {
        "I did not understand that. Try !help."
    }
    async fn now(cx: Context) -> Result<()> {
        cx.reply_now("I did not understand that. Try !help.").await?;
        Ok(())
    }
    async fn rejects(_: Context) -> Result<(), Error> {
        Err(Error::for_user("I did not understand that. Try !help."))
    }
    let (promised, at_once, told) = (
        chatter(|| Router::new().fallback(what).with_state(())).await,
        chatter(|| Router::new().fallback(now).with_state(())).await,
        chatter(|| Router::new().fallback(rejects).with_state(())).await,
    );
    for minutes in [promised, at_once, told] {
        assert!((40..60).contains(&minutes[0]), "{minutes:?}");
        assert!(minutes[1..].iter().all(|count| (4..12).contains(count)), "{minutes:?}");
    }
    let unbraked = chatter(|| Router::new().fallback(what).with_state(()).without_loop_brake()).await;
    assert!(unbraked[2] > 5_000, "the author wants it so: {unbraked:?}");
}

#[tokio::test(start_paused = true)]
async fn who_gets_other_answers_each_time_waits_for_nothing() {
    let (transport, mut far): (Line, _) = line();
    let bot = tokio::spawn(
        Bot::new(Router::new().command("!ping", ping))
            .transport(transport)
            .in_memory()
            .on_this_runtime()
            .serve(),
    );
    let began = Instant::now();
    for n in 0..200 {
        far.say("alice", &format!("!ping {n}"));
        assert_eq!(far.reply().await.1, format!("pong {n}"));
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
    drop(far.hang_up());
    bot.await.expect("no panic").expect("nothing is lost");
}
