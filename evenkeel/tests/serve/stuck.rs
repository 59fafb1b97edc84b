//! Sends that never return. Time is paused.

use std::future::pending;
use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use evenkeel::guarantee::OnUnknown;
use evenkeel::journal::{DeadFilter, Reason};
use evenkeel::transport::{Inbox, SendError, Sent};
use evenkeel::{Bot, Outbound, Result, Router, Transport};
use tokio::time::{Instant, timeout};

use crate::line::{Line, line};

/// A line on which the first this many sends to people whose name begins with `void` never return.
struct Stuck {
    line: Line,
    left: AtomicU32,
    deadline: Option<Duration>,
}

impl Transport for Stuck {
    fn name(&self) -> &'static str {
        "stuck"
    }

    async fn receive(&self, inbox: Inbox) -> Result<()> {
        self.line.receive(inbox).await
    }

    async fn send(&self, outbound: &Outbound) -> Result<Sent, SendError> {
        let is_void = outbound.conversation.id().starts_with("void");
        let takes_one = |left: u32| left.checked_sub(1);
        if is_void && self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, takes_one).is_ok() {
            pending::<()>().await;
        }
        self.line.send(outbound).await
    }

    fn send_deadline(&self) -> Duration {
        self.deadline.unwrap_or_else(|| self.line.send_deadline())
    }
}

fn router() -> Router<()> {
    Router::new().command("!ping", async || "pong")
}

/// What is logged on this thread, while the guard lives. Every test here has one: where a place in the code is reached first
/// by a thread without a log, it is silent for all.
pub(crate) fn log() -> (Arc<Mutex<Vec<u8>>>, tracing::subscriber::DefaultGuard) {
    struct Lines(Arc<Mutex<Vec<u8>>>);
    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let lines = Arc::new(Mutex::new(Vec::new()));
    let written = Arc::clone(&lines);
    let log = tracing_subscriber::fmt().with_ansi(false).with_writer(move || Lines(Arc::clone(&written)));
    (lines, tracing::subscriber::set_default(log.finish()))
}

/// How often it was said that a send did not end, in a log that names nobody and no text.
fn warnings(lines: &Mutex<Vec<u8>>) -> usize {
    let lines = String::from_utf8(lines.lock().unwrap().clone()).unwrap();
    assert!(!lines.contains("void") && !lines.contains("pong"), "{lines}");
    let is_meant = |line: &&str| {
        line.contains("WARN") && line.contains("a send did not end in time") && line.contains("stuck")
    };
    lines.lines().filter(is_meant).count()
}

#[tokio::test(start_paused = true)]
async fn sends_that_never_return_give_their_slots_back_and_are_of_unknown_outcome() {
    let (lines, _logging) = log();
    let (line, mut far) = line();
    let stuck = Stuck { line, left: AtomicU32::new(300), deadline: None };
    let bot = Bot::new(router()).transport(stuck).in_memory();
    let (status, letters) = (bot.status(), bot.dead_letters());
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    let began = Instant::now();
    for n in 0..300 {
        far.say(&format!("void-{n}"), "!ping");
    }
    far.say("alice", "!ping");
    let reply =
        timeout(Duration::from_secs(3600), far.reply()).await.expect("more are stuck than there are slots");
    assert_eq!(reply, ("alice".into(), "pong".into()));
    assert!(began.elapsed() <= Duration::from_millis(500), "what hangs holds nobody up");
    status.idle().await;
    assert!(began.elapsed() >= Duration::from_secs(120), "no send was given up before its time");
    let snapshot = status.snapshot().await.unwrap();
    assert_eq!((snapshot.sent, snapshot.not_sent, snapshot.unknown, snapshot.outbox), (1, 0, 300, 0));
    let dead = letters.list(DeadFilter::default()).await.unwrap();
    assert_eq!(dead.len(), 300, "each is kept for a person to decide");
    assert!(dead.iter().all(|dead| dead.reason == Reason::Unknown));
    assert_eq!(dead[0].error, "sending did not end within 120s");

    let lines = String::from_utf8(lines.lock().unwrap().clone()).unwrap();
    let warned: Vec<&str> =
        lines.lines().filter(|line| line.contains("a send did not end in time")).collect();
    assert_eq!(warned.len(), 300);
    assert!(warned[0].contains("WARN") && warned[0].contains("stuck"), "{}", warned[0]);
    assert!(!lines.contains("void-") && !lines.contains("pong"), "no name and no text");
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_send_that_never_returned_is_sent_again_where_the_author_says_so() {
    let (lines, _logging) = log();
    let (line, mut far) = line();
    let stuck = Stuck { line, left: AtomicU32::new(1), deadline: Some(Duration::from_secs(5)) };
    let app = router().with_state(()).with_on_unknown(OnUnknown::Resend);
    let bot = Bot::new(app).transport(stuck).in_memory();
    let status = bot.status();
    let bot = tokio::spawn(bot.on_this_runtime().serve());
    let began = Instant::now();
    far.say("void", "!ping");
    far.say("void", "!ping");
    for _ in 0..2 {
        assert_eq!(far.reply().await, ("void".into(), "pong".into()));
    }
    let elapsed = began.elapsed();
    // Until the deadline, and then for the pause before a repetition.
    assert!(elapsed >= Duration::from_secs(10) && elapsed < Duration::from_secs(12), "{elapsed:?}");
    status.idle().await;
    let snapshot = status.snapshot().await.unwrap();
    assert_eq!((snapshot.sent, snapshot.unknown, snapshot.dead), (2, 1, 0));
    assert_eq!(warnings(&lines), 1);
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
}
