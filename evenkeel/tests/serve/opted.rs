//! What a bot does only where its author wants it: edits that run as messages, and a greatest age.

use std::time::UNIX_EPOCH;

use evenkeel::{Edit, Job, Text, Trigger, testing};
use tokio::time::advance;

use super::*;
use crate::home::{BEGAN_MS, End, Home, soon};
use crate::line::Far;

const HOUR: Duration = Duration::from_secs(3600);

async fn echo(cx: Context, Text(text): Text) -> String {
    format!("{text} ({})", cx.event().about().is_some())
}

async fn ring(Job(()): Job<()>) -> &'static str {
    "ring"
}

fn edited() -> App {
    async fn noticed(Edit { message, .. }: Edit) -> String {
        format!("changed to {}", message.text)
    }
    let app = Router::new().command("!echo", echo).regex("^!shout", async || "HEY");
    app.on(Event::edit, noticed).fallback(async || "pardon?").with_state(())
}

#[tokio::test(start_paused = true)]
async fn an_edit_runs_as_the_message_that_it_makes_where_the_author_wants_that() {
    let mut chat = testing::chat(edited().with_edits_as_messages());
    let id = chat.sandbox().say("alice", "alice", "!ehco 1").unwrap();
    assert_eq!(chat.replies().await, ["pardon?"]);
    for (text, reply) in [
        ("!echo 1", "!echo 1 (true)"),
        ("!echo 2", "!echo 2 (true)"),
        ("!shout", "HEY"),
        ("nothing", "changed to nothing"),
    ] {
        chat.sandbox().edit("alice", &id, text).unwrap();
        assert_eq!(chat.replies().await, [reply]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_edit_that_nobody_handles_as_such_goes_to_the_fallback() {
    let app = Router::new().command("!echo", echo).fallback(async |Text(text): Text| format!("[{text}]"));
    let mut chat = testing::chat(app.with_state(()).with_edits_as_messages());
    let id = chat.sandbox().say("alice", "alice", "one").unwrap();
    assert_eq!(chat.replies().await, ["[one]"]);
    chat.sandbox().edit("alice", &id, "two").unwrap();
    assert_eq!(chat.replies().await, ["[two]"]);
}

#[tokio::test(start_paused = true)]
async fn an_edit_is_an_edit_unless_the_author_wants_otherwise() {
    let mut chat = testing::chat(edited());
    let id = chat.sandbox().say("alice", "alice", "!echo 1").unwrap();
    assert_eq!(chat.replies().await, ["!echo 1 (true)"]);
    chat.sandbox().edit("alice", &id, "!echo 2").unwrap();
    assert_eq!(chat.replies().await, ["changed to !echo 2"]);
}

#[tokio::test(start_paused = true)]
async fn an_edit_becomes_a_concurrent_command_and_no_answer() {
    async fn ask(cx: Context) -> Result<String> {
        cx.ask("who?").await
    }
    async fn stop(cx: Context) -> Result<String> {
        Ok(format!("stopped {}", cx.cancel_others().await?))
    }
    let app = Router::new().command("!ask", ask).command("!hang", pending::<()>);
    let app = app.route(Trigger::command("!stop").concurrent(), stop).fallback(async || "pardon?");
    let mut chat = testing::chat(app.with_state(()).with_edits_as_messages());
    let id = chat.sandbox().say("alice", "alice", "!sotp").unwrap();
    assert_eq!(chat.replies().await, ["pardon?"]);
    assert_eq!(chat.say("!ask").await, ["who?"]);
    chat.sandbox().edit("alice", &id, "Alice").unwrap();
    assert_eq!(chat.replies().await, ["pardon?"], "the question goes on");
    assert_eq!(chat.say("me").await, ["me"]);
    chat.sandbox().say("alice", "alice", "!hang").unwrap();
    chat.sandbox().edit("alice", &id, "!stop").unwrap();
    assert_eq!(chat.replies().await, ["stopped 1"]);
}

fn sent(far: &Far, id: &str, text: &str, at_ms: u64) {
    let event = Event::new(id, Conversation::direct("alice"), Sender::new("alice"), Message::text(id, text));
    far.send(event.with_sent(UNIX_EPOCH + Duration::from_millis(at_ms)));
}

#[tokio::test(start_paused = true)]
async fn what_is_too_old_when_its_turn_comes_is_not_handled() {
    async fn slow() -> &'static str {
        sleep(HOUR).await;
        "done"
    }
    let home = Home::new("old");
    let app = Router::new().command("!ping", ping).command("!slow", slow).with_state(());
    let (transport, mut far) = line();
    let app = app.with_max_age(HOUR / 2).with_handler_limit(Duration::MAX);
    let bot = home.bot(transport, app).on_this_runtime();
    let status = bot.status();
    let bot = tokio::spawn(bot.serve());
    let half_ms = u64::try_from(HOUR.as_millis() / 2).unwrap();
    sent(&far, "1", "!ping 1", BEGAN_MS - half_ms - 60_000);
    sent(&far, "2", "!ping 2", BEGAN_MS - half_ms + 60_000);
    sent(&far, "3", "!ping 3", BEGAN_MS + 60_000);
    far.repeat("4", "alice", "!ping 4");
    for expected in ["pong 2", "pong 3", "pong 4"] {
        assert_eq!(soon(far.reply()).await.1, expected);
    }
    sent(&far, "5", "!slow", BEGAN_MS);
    sent(&far, "6", "!ping 6", BEGAN_MS);
    assert_eq!(soon(far.reply()).await.1, "done", "an hour later");
    status.idle().await;
    let snapshot = status.snapshot().await.unwrap();
    assert_eq!((snapshot.expired, snapshot.handled, snapshot.failed), (2, 6, 0));
    drop(far.hang_up());
    bot.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_has_begun_and_what_is_planned_is_handled_however_old_it_is() {
    async fn flaky(cx: Context) -> Result<String> {
        match cx.attempt() {
            1 => Err(Error::new("on purpose").transient_after(Duration::from_secs(50))),
            attempt => Ok(format!("attempt {attempt}")),
        }
    }
    async fn ask(cx: Context) -> Result<String> {
        cx.after(2 * HOUR, ring, ())?;
        Ok(format!("hello {}", cx.ask("who?").within(100 * HOUR).await?))
    }
    let home = Home::new("begun");
    let app = Router::new().command("!flaky", flaky).command("!ask", ask).command("!ping", ping).job(ring);
    let app = app.with_state(()).with_max_age(Duration::from_secs(10));
    for end in [End::Stop, End::Kill] {
        let mut bot = home.start(app.clone());
        sent(&bot.far, &format!("{end:?} 1"), "!flaky", home.now_ms());
        assert_eq!(bot.hears().await, "attempt 2", "50 s later");
        sent(&bot.far, &format!("{end:?} 2"), "!ask", home.now_ms());
        assert_eq!(bot.hears().await, "who?");
        bot.end(end).await;
        advance(HOUR).await;
        let mut bot = home.start(app.clone());
        sent(&bot.far, &format!("{end:?} 3"), "Alice", home.now_ms() - 3_600_000);
        assert_eq!(bot.hears().await, "hello Alice", "{end:?}: an answer is as good as it was");
        bot.end(end).await;
        advance(9 * HOUR).await;
        let mut bot = home.start(app.clone());
        assert_eq!(bot.hears().await, "ring", "late, since the bot was away");
        bot.end(end).await;
    }
}
