//! Questions: what is an answer, what ends them, and what a restart makes of them.

use evenkeel::sandbox::{Change, Sandbox};
use evenkeel::{Args, File, State, Text, Unanswered, testing};
use tokio::sync::mpsc;

use super::*;
use crate::home::{End, Home};

type Answers = mpsc::UnboundedSender<Result<String, Option<Unanswered>>>;

fn told(answer: Result<String>) -> Result<String, Option<Unanswered>> {
    answer.map_err(|error| error.find::<Unanswered>().copied())
}

fn bot() -> Router {
    async fn city(cx: Context) -> Result<String> {
        Ok(format!("sunny in {}", cx.ask("which city?").await?))
    }
    let list = Router::new().regex("^a", async || "listed").fallback(async || "no such list");
    Router::new()
        .command("!city", city)
        .command("!ping", ping)
        .exact("good bot", async || "thanks")
        .regex(r"^!prime (\d+)$", async || "prime")
        .regex(r"(?i)^!double (\d+)$", async || "doubled")
        .regex(r"^\d+$", async || "a number")
        .regex("thanks", async || "welcome")
        .nest("!list", list)
        .fallback(async |Text(text): Text| format!("[{text}]"))
}

fn picture() -> File {
    File::new("a.png", "image/png", "x")
}

#[tokio::test(start_paused = true)]
async fn a_command_is_that_command_while_a_question_waits() {
    let mut chat = testing::chat(bot());
    for answer in ["Oslo", "7", "no thanks", "good", "!pin", "[!ping]"] {
        assert_eq!(chat.say("!city").await, ["which city?"]);
        assert_eq!(chat.say("!ping 1").await, ["pong 1"]);
        assert_eq!(chat.say("Good  bot").await, ["thanks"]);
        assert_eq!(chat.say("!prime 7").await, ["prime"]);
        assert_eq!(chat.say("!DOUBLE 7").await, ["doubled"]);
        assert_eq!(chat.say("!list a").await, ["listed"]);
        assert_eq!(chat.say("!list b").await, ["no such list"]);
        assert_eq!(chat.say(answer).await, [format!("sunny in {answer}").as_str()], "the question goes on");
    }
    assert_eq!(chat.say("7").await, ["a number"]);
    assert_eq!(chat.say("Oslo").await, ["[Oslo]"]);
}

#[tokio::test(start_paused = true)]
async fn a_command_that_somebody_may_not_use_is_a_text() {
    let ban = evenkeel::Trigger::command("!ban").senders(["bob"]);
    let mut chat = testing::chat(bot().route(ban, async || "banned"));
    chat.say("!city").await;
    assert_eq!(chat.say("!ban").await, ["sunny in !ban"]);
}

#[tokio::test(start_paused = true)]
async fn any_text_is_an_answer_where_the_author_wants_all() {
    async fn quote(cx: Context) -> Result<String> {
        Ok(format!("you said {}", cx.ask("well?").any_text().await?))
    }
    let mut chat = testing::chat(bot().command("!quote", quote));
    assert_eq!(chat.say("!quote").await, ["well?"]);
    assert_eq!(chat.say("!ping 1").await, ["you said !ping 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_word_ends_a_question_and_that_is_no_failure() {
    async fn order(cx: Context, State(answers): State<Answers>) -> Result<()> {
        cx.reply("as far as I got");
        let answer = cx.ask("which size?").cancel_on("!stop").cancel_on("never mind").await;
        let (told, passed) = match answer {
            Ok(size) => (Ok(size), Ok(())),
            Err(error) => (Err(error.find::<Unanswered>().copied()), Err(error)),
        };
        answers.send(told).unwrap();
        passed
    }
    let (answers, mut heard) = mpsc::unbounded_channel();
    let app = Router::new().command("!order", order).command("!stop", async || "stopped");
    let mut chat = testing::chat(app.with_state(answers));
    for word in ["!STOP", " never  mind "] {
        assert_eq!(chat.say("!order").await, ["which size?"]);
        assert_eq!(chat.say(word).await, ["as far as I got", "All right."]);
        assert_eq!(heard.recv().await, Some(Err(Some(Unanswered::Cancelled))));
    }
    assert_eq!(chat.say("!order").await, ["which size?"]);
    assert_eq!(chat.say("never").await, ["as far as I got"]);
    assert_eq!(heard.recv().await, Some(Ok("never".to_owned())));
    assert_eq!(chat.say("!stop").await, ["stopped"]);
    assert_eq!(chat.snapshot().await.failed, 0);
}

#[tokio::test(start_paused = true)]
async fn a_command_ends_a_question_where_the_author_says_so() {
    async fn order(cx: Context, State(answers): State<Answers>) -> Result<&'static str> {
        let size = cx.ask("which size?").cancel_on_command().await;
        answers.send(told(size)).unwrap();
        Ok("that was all")
    }
    let (answers, mut heard) = mpsc::unbounded_channel();
    let app = Router::new().command("!order", order).command("!ping", ping);
    let mut chat = testing::chat(app.with_state(answers));
    assert_eq!(chat.say("!order").await, ["which size?"]);
    assert_eq!(chat.say("!ping 1").await, ["pong 1", "that was all"]);
    assert_eq!(heard.recv().await, Some(Err(Some(Unanswered::Command))));
    assert_eq!(chat.say("!order").await, ["which size?"]);
    assert_eq!(chat.say("!order").await, ["which size?", "that was all"], "it is a command as well");
    assert_eq!(chat.say("large").await, ["that was all"]);
}

#[tokio::test(start_paused = true)]
async fn nobody_who_ends_a_question_by_a_command_reads_more_than_its_answer() {
    async fn order(cx: Context) -> Result<String> {
        cx.ask("which size?").cancel_on_command().await
    }
    let mut chat = testing::chat(Router::new().command("!order", order).command("!ping", ping));
    chat.say("!order").await;
    assert_eq!(chat.say("!ping 1").await, ["pong 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_question_without_an_answer_says_so() {
    async fn order(cx: Context, State(answers): State<Answers>) -> Result<String> {
        let size = cx.ask("which size?").within(Duration::from_secs(60)).await;
        answers.send(told(size)).unwrap();
        cx.ask("which colour?").within(Duration::MAX).await
    }
    let (answers, mut heard) = mpsc::unbounded_channel();
    let mut chat = testing::chat(Router::new().command("!order", order).with_state(answers));
    chat.say("!order").await;
    assert!(chat.advance(Duration::from_secs(59)).await.is_empty());
    assert_eq!(chat.advance(Duration::from_secs(1)).await, ["which colour?"]);
    assert_eq!(heard.recv().await, Some(Err(Some(Unanswered::TooLate))));
    assert!(chat.advance(Duration::from_secs(86_400)).await.is_empty());
    assert_eq!(chat.say("blue").await, ["blue"]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_text_is_asked_for_again_but_not_for_ever() {
    let mut chat = testing::chat(bot());
    assert_eq!(chat.say("!city").await, ["which city?"]);
    for _ in 0..3 {
        assert_eq!(chat.send("", [picture()]).await, ["which city?"]);
    }
    assert_eq!(chat.send("", [picture()]).await, ["[]"], "then it is handled as ever");
    assert_eq!(chat.send("Oslo", [picture()]).await, ["sunny in Oslo"], "a caption is an answer");
}

#[tokio::test(start_paused = true)]
async fn who_wants_files_gets_the_whole_message() {
    async fn avatar(cx: Context) -> Result<String> {
        let message = cx.ask("a picture?").message().await?;
        let Some(file) = message.attachments.first() else { return Ok(format!("no, {}", message.text)) };
        Ok(format!("{:?} {}", file.name, cx.download(file).await?.len()))
    }
    let mut chat = testing::chat(bot().command("!avatar", avatar));
    for (caption, files, answer) in [
        ("", vec![picture()], r#"Some("a.png") 1"#),
        ("me", vec![], "no, me"),
        ("\u{200b}", vec![], "a picture?"),
    ] {
        assert_eq!(chat.say("!avatar").await, ["a picture?"]);
        assert_eq!(chat.send(caption, files).await, [answer]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_choice_is_named_by_its_words_or_its_number() {
    async fn colour(cx: Context) -> Result<String> {
        cx.ask("colour?").choices(["Red", "Dark Blue", "3"]).await
    }
    let mut chat = testing::chat(bot().command("!colour", colour));
    let question = "colour?\n1. Red\n2. Dark Blue\n3. 3";
    for (answer, choice) in [
        ("red", "Red"),
        (" dark  BLUE", "Dark Blue"),
        ("1", "Red"),
        ("2.", "Dark Blue"),
        ("２", "Dark Blue"),
        ("3)", "3"),
    ] {
        assert_eq!(chat.say("!colour").await, [question]);
        assert_eq!(chat.say(answer).await, [choice], "{answer}");
    }
    chat.say("!colour").await;
    for unclear in ["0", "4", "dark"] {
        assert_eq!(chat.say(unclear).await, [question], "{unclear}");
    }
    assert_eq!(chat.say("!ping 1").await, ["pong 1"]);
    assert_eq!(chat.say("dark").await, ["[dark]"], "it was asked often enough");
    assert_eq!(chat.say("1").await, ["Red"]);
}

#[tokio::test(start_paused = true)]
async fn choices_are_buttons_where_the_network_has_such() {
    async fn sure(cx: Context) -> Result<String> {
        cx.ask("sure?").choices(["yes", "no"]).await
    }
    let sandbox = Sandbox::new();
    let capabilities = sandbox.capabilities().with_buttons();
    let mut chat =
        testing::chat_over(sandbox.with_capabilities(capabilities), Router::new().command("!sure", sure));
    let mut changes = chat.sandbox().changes();
    assert_eq!(chat.say("!sure").await, ["sure?"]);
    let posted = std::iter::from_fn(|| changes.try_next()).filter_map(|change| match change {
        Ok(Change::Posted { entry }) => Some(entry.choices.clone()),
        _ => None,
    });
    assert_eq!(posted.collect::<Vec<_>>(), [vec![], vec!["yes".to_owned(), "no".to_owned()]]);
    assert_eq!(chat.say("no").await, ["no"]);
}

#[tokio::test(start_paused = true)]
async fn a_question_without_a_choice_is_a_mistake() {
    async fn none(cx: Context) -> String {
        let error = cx.ask("colour?").choices([""; 0]).await.unwrap_err();
        format!("{error}: {}", error.location().file().ends_with("asking.rs"))
    }
    let mut chat = testing::chat(Router::new().command("!none", none));
    assert_eq!(chat.say("!none").await, ["a question without a choice has no answer: true"]);
}

/// Asks for a colour, then, after a command ends the second question, for nothing more.
async fn survey(cx: Context, Args((most,)): Args<(u32,)>) -> Result<String> {
    let colour = cx.ask("colour?").choices(["red", "blue"]).await?;
    let size = match cx.ask("size?").cancel_on_command().await {
        Err(error) if error.find() == Some(&Unanswered::Command) => "no".to_owned(),
        size => size?,
    };
    if cx.attempt() < most {
        cx.reply_now("begun").await?;
        pending::<()>().await;
    }
    Ok(format!("{colour}, {size} size"))
}

#[tokio::test(start_paused = true)]
async fn a_question_goes_on_after_a_restart_where_it_was() {
    for end in [End::Stop, End::Kill] {
        let home = Home::new("survey");
        let app = Router::new().command("!survey", survey).command("!ping", ping).with_state(());
        let talk: [(&str, &[&str]); 6] = [
            ("!survey 1", &["colour?\n1. red\n2. blue"]),
            ("green", &["colour?\n1. red\n2. blue"]),
            ("!ping 1", &["pong 1"]),
            ("2", &["size?"]),
            ("!ping 2", &["pong 2", "blue, no size"]),
            ("!ping 3", &["pong 3"]),
        ];
        for (text, replies) in talk {
            let mut bot = home.start(app.clone());
            bot.say("alice", text);
            for reply in replies {
                assert_eq!(bot.hears().await, *reply, "{end:?}");
            }
            bot.end(end).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_that_a_command_ended_is_not_waited_for_again() {
    let home = Home::new("ended");
    let app = Router::new().command("!survey", survey).command("!ping", ping).with_state(());
    let mut bot = home.start(app.clone());
    for (text, replies) in [
        ("!survey 2", &["colour?\n1. red\n2. blue"][..]),
        ("red", &["size?"]),
        ("!ping 1", &["pong 1", "begun"]),
    ] {
        bot.say("alice", text);
        for reply in replies {
            assert_eq!(bot.hears().await, *reply);
        }
    }
    bot.end(End::Kill).await;
    let mut bot = home.start(app);
    assert_eq!(bot.hears().await, "red, no size");
    bot.end(End::Stop).await;
}
