//! What waits does so for as long as it was asked to, and what may pass is tried again.

use std::sync::atomic::AtomicUsize;

use evenkeel::journal::{Dead, DeadFilter, Reason};
use evenkeel::limit::RateLimits;
use evenkeel::retry::Retry;
use evenkeel::{DownloadError, IntoReply, Job, MessageId, Next, State, Trigger, from_fn};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Fails as often as there are errors, and says when each attempt began.
#[derive(Clone)]
struct Script {
    errors: Arc<std::sync::Mutex<Vec<Error>>>,
    began: mpsc::UnboundedSender<Instant>,
}

async fn scripted(State(script): State<Script>) -> Result<&'static str> {
    script.began.send(Instant::now()).unwrap();
    match script.errors.lock().unwrap().pop() {
        Some(error) => Err(error),
        None => Ok("at last"),
    }
}

/// When the attempts of one message began, after the first of them, and the reply.
async fn attempts(retry: Retry, errors: Vec<Error>) -> (Vec<Duration>, String) {
    let (transport, mut far) = line();
    let (began, mut times) = mpsc::unbounded_channel();
    let script = Script { errors: Arc::new(std::sync::Mutex::new(errors)), began };
    let app = Router::new().route(Trigger::command("!x").retry(retry), scripted).with_state(script);
    let bot = tokio::spawn(Bot::new(app).transport(transport).in_memory().on_this_runtime().serve());
    far.say("alice", "!x");
    let reply = far.reply().await.1;
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
    let first = times.recv().await.unwrap();
    let mut later = Vec::new();
    while let Ok(time) = times.try_recv() {
        later.push(time - first);
    }
    (later, reply)
}

fn busy(seconds: u64) -> Error {
    Error::new("busy").transient_after(Duration::from_secs(seconds))
}

#[tokio::test(start_paused = true)]
async fn no_attempt_begins_before_the_time_that_the_error_names() {
    for seconds in [0, 1, 30, 60] {
        let (later, reply) = attempts(Retry::strict(), vec![busy(seconds)]).await;
        assert_eq!((later.len(), &*reply), (1, "at last"));
        let asked = Duration::from_secs(seconds);
        assert!(later[0] >= asked && later[0] <= asked + SECOND / 2, "{later:?}");
    }
    let (later, reply) = attempts(Retry::strict(), vec![busy(25), busy(25)]).await;
    assert!(later[0] >= 25 * SECOND && later[1] >= 50 * SECOND && reply == "at last", "{later:?}");
}

#[tokio::test(start_paused = true)]
async fn an_event_whose_time_is_beyond_the_window_is_given_up_at_once() {
    let short = Retry::strict().within(10 * SECOND);
    for (retry, errors) in [
        (Retry::strict(), vec![busy(61)]),
        (short, vec![busy(30)]),
        (Retry::strict(), vec![busy(u64::MAX)]),
        (Retry::never(), vec![busy(1)]),
    ] {
        let (later, reply) = attempts(retry, errors).await;
        assert!(later.is_empty() && reply.starts_with("Sorry"), "{later:?} {reply}");
    }
    let (later, _) = attempts(short.within(10 * SECOND), vec![busy(10)]).await;
    assert_eq!(later, [10 * SECOND], "the last moment of the window");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_took_long_before_it_failed_has_another_one() {
    async fn slow(State(count): State<Arc<AtomicUsize>>) -> Result<&'static str> {
        match count.fetch_add(1, Ordering::Relaxed) {
            0 | 1 => Ok(timeout(30 * SECOND, pending::<&'static str>()).await?),
            _ => Ok("at last"),
        }
    }
    let (transport, mut far) = line();
    let app = Router::new().command("!slow", slow).with_state(Arc::new(AtomicUsize::new(0)));
    let bot = tokio::spawn(Bot::new(app).transport(transport).in_memory().on_this_runtime().serve());
    far.say("alice", "!slow");
    assert_eq!(
        far.reply().await.1,
        "at last",
        "after two that took as long as the default of the HTTP client"
    );
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_waits_long_holds_up_its_own_conversation_and_in_order() {
    let (transport, mut far) = line();
    let (began, _times) = mpsc::unbounded_channel();
    let script = Script { errors: Arc::new(std::sync::Mutex::new(vec![busy(30)])), began };
    let app = Router::new().command("!x", scripted).command("!ping", ping).with_state(script);
    let bot = tokio::spawn(Bot::new(app).transport(transport).in_memory().on_this_runtime().serve());
    let start = Instant::now();
    far.say("alice", "!x");
    far.say("alice", "!ping 1");
    far.say("bob", "!ping 2");
    assert_eq!(far.reply().await, ("bob".into(), "pong 2".into()));
    assert!(start.elapsed() < SECOND);
    assert_eq!(far.reply().await.1, "at last");
    assert!(start.elapsed() >= 30 * SECOND);
    assert_eq!(far.reply().await.1, "pong 1");
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
}

/// A server that answers 429 with a head, and then 200; it tells of each request.
async fn moody(head: &'static str) -> (String, mpsc::UnboundedReceiver<()>, tokio::task::JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (asked, requests) = mpsc::unbounded_channel();
    let serving = tokio::spawn(async move {
        for answer in [head, "HTTP/1.1 200 OK\r\n"] {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _read = socket.read(&mut request).await.unwrap();
            asked.send(()).unwrap();
            let answer = format!("{answer}content-length: 2\r\nconnection: close\r\n\r\nok");
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (url, requests, serving)
}

/// On real time, since it needs sockets: the time that the server names is given up, which needs no wait.
#[tokio::test]
async fn a_request_that_is_refused_for_longer_than_the_window_is_made_once() {
    async fn fetch(cx: Context, State(url): State<String>) -> Result<String> {
        Ok(cx.http().get(&url).send().await?.error_for_status()?.text().await?)
    }
    for head in [
        "HTTP/1.1 429 Slow\r\nretry-after: 300\r\n",
        "HTTP/1.1 503 Busy\r\nretry-after: Sun, 06 Nov 1994 08:54:37 GMT\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
        "HTTP/1.1 429 Slow\r\nx-ratelimit-reset-after: 300.5\r\n",
        "HTTP/1.1 403 Forbidden\r\nretry-after: 99999999999999999999\r\n",
    ] {
        let (url, mut requests, serving) = moody(head).await;
        let (transport, mut far) = line();
        let (told, mut dead) = mpsc::unbounded_channel();
        let app = Router::new().command("!fetch", fetch).with_state(url).on_dead(move |one| {
            told.send(one).unwrap();
            async {}
        });
        let bot = tokio::spawn(Bot::new(app).transport(transport).in_memory().on_this_runtime().serve());
        far.say("alice", "!fetch");
        assert!(far.reply().await.1.starts_with("Sorry"), "{head}");
        let one: Dead = dead.recv().await.unwrap();
        assert!(one.attempts == 1 && one.error.contains("to be asked again after"), "{head}: {}", one.error);
        requests.recv().await.unwrap();
        assert!(requests.try_recv().is_err(), "{head}");
        serving.abort();
        drop(far.hang_up());
        bot.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_request_that_is_refused_for_no_time_at_all_is_made_again() {
    async fn fetch(cx: Context, State(url): State<String>) -> Result<String> {
        Ok(cx.http().get(&url).send().await?.error_for_status()?.text().await?)
    }
    let (url, _requests, serving) = moody("HTTP/1.1 503 Busy\r\nretry-after: -7\r\n").await;
    let (transport, mut far) = line();
    let app = Router::new().command("!fetch", fetch).with_state(url);
    let bot = tokio::spawn(Bot::new(app).transport(transport).in_memory().on_this_runtime().serve());
    far.say("alice", "!fetch");
    assert_eq!(far.reply().await.1, "ok");
    serving.await.unwrap();
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
}

#[test]
fn a_download_that_may_pass_can_be_told_from_one_that_will_not() {
    let error =
        Error::from(DownloadError::with_status(503).with_retry_after(Some(SECOND))).context("fetching");
    assert_eq!(error.find::<DownloadError>().and_then(DownloadError::status), Some(503));
    assert_eq!(error.retry_after(), Some(SECOND));
}

// As a newcomer pastes it from the guide on limits: `the_limiter_is_the_one_of_the_guide` holds the two together.
type PerSender = RateLimits<String>;

async fn slow_down(limits: State<PerSender>, cx: Context, who: Sender, event: Event, next: Next) -> Reply {
    let is_new = event.message().is_some() && cx.is_first_attempt();
    if !is_new {
        return next.run(event).await; // a retry, a job, a reaction: let in before, or said by nobody
    }
    match limits.try_take(who.id()) {
        Ok(()) => next.run(event).await,
        Err(wait) => format!("try again in {:.0} s", wait.retry_after().as_secs_f64().ceil()).into_reply(),
    }
}
// The end of what is pasted.

#[test]
fn the_limiter_is_the_one_of_the_guide() {
    let (_, after) = include_str!("waiting.rs").split_once("holds the two together.\n").unwrap();
    let (pasted, _) = after.split_once("// The end of what is pasted.").unwrap();
    assert!(include_str!("../../docs/limits.md").contains(pasted));
}

async fn ring(Job(what): Job<String>) -> String {
    format!("time for {what}")
}

#[tokio::test(start_paused = true)]
async fn the_limiter_of_the_guide_swallows_no_reminder_and_refuses_no_retry() {
    async fn remind(cx: Context) -> Result<&'static str> {
        cx.after(5 * SECOND, ring, "tea".to_owned())?;
        Ok("I will")
    }
    async fn flaky(cx: Context) -> Result<String> {
        match cx.attempt() {
            1 | 2 => Err(Error::new("on purpose").transient()),
            attempt => Ok(format!("attempt {attempt}")),
        }
    }
    let (transport, mut far) = line();
    let router = Router::new().command("!remind", remind).command("!flaky", flaky).command("!ping", ping);
    let app = router.job(ring).layer(from_fn(slow_down)).with_state(PerSender::new(1, 60 * SECOND));
    let bot = tokio::spawn(Bot::new(app).transport(transport).in_memory().on_this_runtime().serve());
    far.say("alice", "!remind");
    assert_eq!(far.reply().await.1, "I will");
    far.say("alice", "!ping 1");
    assert_eq!(far.reply().await.1, "try again in 60 s", "a message that came too soon");
    assert_eq!(far.reply().await.1, "time for tea");
    far.say("bob", "!flaky");
    assert_eq!(far.reply().await, ("bob".into(), "attempt 3".into()));
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_the_operator_replays_is_not_counted_again() {
    async fn once(State(count): State<Arc<AtomicUsize>>) -> Result<&'static str> {
        match count.fetch_add(1, Ordering::Relaxed) {
            0 => Err(Error::new("on purpose")),
            _ => Ok("at last"),
        }
    }
    async fn counted(cx: Context, event: Event, next: Next) -> Reply {
        let reply = next.run(event).await;
        if cx.is_first_attempt() { reply } else { reply.push(" (again)") }
    }
    let (transport, mut far) = line();
    let app = Router::new().command("!once", once).layer(from_fn(counted));
    let bot = Bot::new(app.with_state(Arc::new(AtomicUsize::new(0)))).transport(transport).in_memory();
    let dead = bot.dead_letters();
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    far.say("alice", "!once");
    assert!(far.reply().await.1.starts_with("Sorry"));
    assert_eq!(dead.replay(DeadFilter::default()).await, Some(1));
    assert_eq!(far.reply().await.1, "at last (again)");
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
}

/// Which texts were tried, and when.
type Tries = Arc<std::sync::Mutex<Vec<Duration>>>;

fn network(
    fate: impl Fn(usize) -> Result<Sent, SendError> + Send + Sync + 'static,
) -> (line::Line, line::Far, Tries) {
    let (tries, start) = (Tries::default(), Instant::now());
    let seen = Arc::clone(&tries);
    let answer = move |_: &Outbound| {
        let mut seen = seen.lock().unwrap();
        seen.push(start.elapsed());
        fate(seen.len())
    };
    let (transport, far) = line_with(Duration::ZERO, Box::new(answer));
    (transport, far, tries)
}

fn limit(wait: Option<Duration>) -> Result<Sent, SendError> {
    Err(SendError::unknown("limited").limiting_account(wait))
}

#[tokio::test(start_paused = true)]
async fn a_resend_into_a_limit_is_slower_each_time_and_bounded() {
    use evenkeel::guarantee::OnUnknown;
    for named in [None, Some(200 * SECOND)] {
        let (transport, mut far, tries) = network(move |_| limit(named));
        let bot = Bot::new(app().with_on_unknown(OnUnknown::Resend)).transport(transport).in_memory();
        let letters = bot.dead_letters();
        let bot = tokio::spawn(bot.on_this_runtime().serve());
        far.say("alice", "!ping 1");
        let mut dead = Vec::new();
        while dead.is_empty() {
            sleep(SECOND).await;
            dead = letters.list(DeadFilter::default()).await.unwrap();
        }
        assert_eq!((dead[0].reason, dead[0].attempts), (Reason::Unknown, 4));
        let tries = tries.lock().unwrap().clone();
        let pauses: Vec<_> = tries.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let expected = named.map_or([60, 120, 240], |named| [named.as_secs(); 3]);
        assert_eq!(pauses, expected.map(Duration::from_secs), "never before the limit is over");
        bot.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_resend_without_a_limit_is_bounded_too() {
    use evenkeel::guarantee::OnUnknown;
    let (transport, mut far, tries) = network(|_| Err(SendError::unknown("no answer")));
    let bot = Bot::new(app().with_on_unknown(OnUnknown::Resend)).transport(transport).in_memory();
    let status = bot.status();
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    far.say("alice", "!ping 1");
    while status.snapshot().await.unwrap().dead == 0 {
        sleep(SECOND).await;
    }
    let tries = tries.lock().unwrap().clone();
    assert_eq!(tries, [0, 5, 35, 155].map(Duration::from_secs));
    bot.abort();
}

#[derive(Debug)]
struct Challenge(&'static str);

impl std::fmt::Display for Challenge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "solve {}", self.0)
    }
}

impl std::error::Error for Challenge {}

#[tokio::test(start_paused = true)]
async fn a_challenge_reaches_the_handler_and_the_dead_letters_and_all_sends_pause() {
    async fn now(cx: Context, State(found): State<mpsc::UnboundedSender<bool>>) -> Result<()> {
        let sent = cx.reply_now("now").await;
        let error = sent.err();
        found.send(error.as_ref().is_some_and(|error| error.find::<Challenge>().is_some())).unwrap();
        error.map_or(Ok(()), Err)
    }
    let refused =
        || SendError::refused("limited").caused_by(Challenge("t0ken")).limiting_account(Some(90 * SECOND));
    let (transport, mut far, tries) =
        network(move |count| if count == 1 { Err(refused()) } else { Ok(Sent::done()) });
    let (found, mut is_found) = mpsc::unbounded_channel();
    let app = Router::new().command("!now", now).command("!ping", ping).with_state(found);
    let bot = Bot::new(app).transport(transport).in_memory();
    let letters = bot.dead_letters();
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    far.say("alice", "!now");
    assert_eq!(is_found.recv().await, Some(true));
    far.say("bob", "!ping 1");
    far.say("carol", "!ping 2");
    for _ in 0..3 {
        far.reply().await;
    }
    let times: Vec<_> = tries.lock().unwrap().iter().map(Duration::as_secs).collect();
    assert_eq!(times, [0, 90, 90, 90], "an apology and two replies of others wait as well");
    let dead = letters
        .list(DeadFilter { reason: Some(Reason::RateLimited), ..DeadFilter::default() })
        .await
        .unwrap();
    assert_eq!(dead.len(), 1);
    assert!(dead[0].error.contains("solve t0ken"), "{}", dead[0].error);
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_a_typing_indicator_meets_pauses_all_sends() {
    async fn slow(cx: Context, Rest(text): Rest) -> String {
        cx.typing();
        sleep(SECOND).await;
        text
    }
    for (named, pause) in [(Some(30 * SECOND), 30), (None, 60), (Some(Duration::ZERO), 60)] {
        let (transport, mut far, tries) =
            network(move |count| if count == 1 { limit(named) } else { Ok(Sent::done()) });
        let app = Router::new().command("!slow", slow).command("!ping", ping).with_state(());
        let bot = tokio::spawn(Bot::new(app).transport(transport).in_memory().on_this_runtime().serve());
        far.say("alice", "!slow 1");
        while tries.lock().unwrap().is_empty() {
            sleep(Duration::from_millis(1)).await;
        }
        far.say("bob", "!ping 2");
        far.say("carol", "!slow 3");
        for _ in 0..3 {
            far.reply().await;
        }
        let times: Vec<_> = tries.lock().unwrap().iter().map(Duration::as_secs).collect();
        assert_eq!(times, [0, pause, pause, pause], "{named:?}: carol's indicator is dropped");
        drop(far.hang_up());
        bot.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_limit_one_reply_goes_first() {
    let (transport, mut far, tries) =
        network(|count| if count <= 2 { limit(None) } else { Ok(Sent::done()) });
    let bot = Bot::new(app()).transport(transport).in_memory();
    let letters = bot.dead_letters();
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    far.say("alice", "!ping 1");
    while tries.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    for who in ["bob", "carol", "dora"] {
        far.say(who, "!ping 2");
    }
    for _ in 0..2 {
        far.reply().await;
    }
    let times: Vec<_> = tries.lock().unwrap().iter().map(Duration::as_secs).collect();
    assert_eq!(times, [0, 60, 180, 180], "one meets the limit for the others, and the next pause is longer");
    assert_eq!(letters.list(DeadFilter::default()).await.unwrap().len(), 2);
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_arrived_without_a_name_is_delivered() {
    async fn now(cx: Context) -> Result<String> {
        let note: MessageId = cx.reply_now("one moment").await?;
        let reaction = cx.reply_now(Reply::edit(note.clone(), "two moments")).await?;
        let nothing = cx.reply_now(Reply::none()).await?;
        Ok(format!("{} {} {}", note.is_known(), reaction.is_known(), nothing.is_known()))
    }
    let (transport, mut far) = line_with(Duration::ZERO, Box::new(|_| Ok(Sent::done())));
    let bot = Bot::new(Router::new().command("!now", now)).transport(transport).in_memory();
    let status = bot.status();
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    far.say("alice", "!now");
    assert_eq!(far.reply().await.1, "one moment");
    far.reply().await;
    assert_eq!(far.reply().await.1, "false false false");
    status.idle().await;
    assert_eq!(status.snapshot().await.unwrap().dead, 0);
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_the_network_wants_in_a_year_is_given_up_and_one_in_an_hour_waits() {
    for (wait, expected) in [(Duration::MAX, None), (86_401 * SECOND, None), (3_600 * SECOND, Some(3_600))] {
        let (transport, mut far, tries) = network(move |count| match count {
            1 => Err(SendError::not_sent_before("busy", wait)),
            _ => Ok(Sent::done()),
        });
        let bot = Bot::new(app()).transport(transport).in_memory();
        let letters = bot.dead_letters();
        let bot = tokio::spawn(bot.on_this_runtime().serve());
        far.say("alice", "!ping 1");
        far.say("alice", "!ping 2");
        assert_eq!(far.reply().await.1, if expected.is_some() { "pong 1" } else { "pong 2" });
        let again = tries.lock().unwrap().get(1).map(Duration::as_secs);
        assert_eq!(again, Some(expected.unwrap_or(0)), "{wait:?}");
        let dead = letters.list(DeadFilter::default()).await.unwrap();
        let reasons: Vec<_> = dead.iter().map(|one| one.reason).collect();
        assert_eq!(reasons, vec![Reason::NotSent; usize::from(expected.is_none())], "{wait:?}");
        drop(far.hang_up());
        bot.await.unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn what_fails_in_the_library_has_the_line_of_the_question_mark() {
    type Found = mpsc::UnboundedSender<(u32, evenkeel::Error)>;
    async fn own() -> Result<()> {
        Err(Error::new("own"))
    }
    async fn all(cx: Context, State(found): State<Found>) {
        let tell = |line, error| found.send((line, error)).unwrap();
        let (id, content_type) = ("a".into(), "a/b".to_owned());
        let file = evenkeel::Attachment { id, name: None, content_type, size_bytes: None };
        tell(line!(), cx.reply_now("x").await.unwrap_err());
        tell(line!(), cx.ask("x").await.unwrap_err());
        tell(line!(), cx.ask("x").within(SECOND).await.unwrap_err());
        tell(line!(), cx.wait_for(|_| true, SECOND).await.unwrap_err());
        tell(line!(), cx.download(&file).await.unwrap_err());
        tell(line!() - 11, cx.step("one", own()).await.unwrap_err());
        tell(line!(), cx.step("one", own()).await.unwrap_err());
        let passed = async { cx.reply_now("x").await.map(drop) };
        tell(line!() - 1, passed.await.unwrap_err());
    }
    let (transport, mut far, _) = network(|_| Err(SendError::refused("no")));
    let (found, mut errors) = mpsc::unbounded_channel();
    let app = Router::new().command("!all", all).with_state(found);
    let bot = tokio::spawn(Bot::new(app).transport(transport).in_memory().on_this_runtime().serve());
    far.say("alice", "!all");
    for _ in 0..8 {
        let (line, error) = errors.recv().await.unwrap();
        let at = error.location();
        assert_eq!((at.line(), at.file().ends_with("waiting.rs")), (line, true), "{error}: {at}");
    }
    bot.abort();
}
