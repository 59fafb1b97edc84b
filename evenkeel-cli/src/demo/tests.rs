//! The whole demo, spoken with as people would.

use std::time::Duration;

use evenkeel::testing::{Chat, chat};
use evenkeel::{File, MessageId};

use super::app::{Demo, app};
use super::dice::Dice;
use super::trouble::Hold;

fn demo() -> Chat {
    chat(app(Demo { dice: Dice::seeded(7), hold: Hold(Duration::ZERO), ..Demo::default() }))
}

/// The newest message of anybody.
fn newest(chat: &Chat) -> MessageId {
    let (scene, _) = chat.sandbox().watch();
    scene.entries.last().expect("somebody has said something").message.id.clone()
}

#[tokio::test(start_paused = true)]
async fn every_command_is_in_the_help() {
    let help = demo().say("!help").await.text();
    for command in ["!ping", "!roll 2d6", "!list add", "!poll", "!freeze", "!help"] {
        assert!(help.contains(command), "{command} is missing in:\n{help}");
    }
}

#[tokio::test(start_paused = true)]
async fn words_are_answered_quoted_and_mentioned() {
    let mut chat = demo();
    assert_eq!(chat.say("!ping").await, ["pong"]);
    assert_eq!(chat.say("!echo  hello you").await, ["hello you"]);
    let (scene, _) = chat.sandbox().watch();
    let echo = &scene.entries.last().expect("the echo").message;
    assert_eq!(echo.quote.as_ref().map(|quote| quote.text.as_str()), Some("!echo  hello you"));
    assert_eq!(chat.in_group("crew").say("!hug @Bob").await, ["a hug for @Bob"]);
    assert_eq!(chat.say("!hug").await, ["a hug for @Alice"]);
    assert_eq!(chat.say("thank you").await.reactions(), ["👍"]);
}

#[tokio::test(start_paused = true)]
async fn only_what_looks_like_a_command_is_answered() {
    let mut chat = demo();
    assert!(chat.say("how are you?").await.is_empty());
    assert_eq!(chat.say("!dance").await, ["I do not know that command. Try !help"]);
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_throws_the_same_dice() {
    let (mut one, mut other) = (demo(), demo());
    for throw in ["!roll 2d6", "!roll", "!roll d20", "!choose tea coffee", "!8ball Will it rain?"] {
        assert_eq!(one.say(throw).await.text(), other.say(throw).await.text(), "{throw}");
    }
    for _ in 0..100 {
        let text = one.say("!roll 1d6").await.text();
        let points: u32 = text.trim_start_matches("🎲 ").parse().expect("one die shows a number");
        assert!((1..=6).contains(&points), "{points}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_thrown_is_answered_with_the_usage() {
    let usage =
        "That does not fit: write `2d6` for two dice of six sides, at most `100d1000`.\nUsage: !roll 2d6";
    for wrong in ["!roll 0d6", "!roll 2d1", "!roll many", "!roll 101d6"] {
        assert_eq!(demo().say(wrong).await, [usage], "{wrong}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reminder_holds_nobody_up() {
    let mut chat = demo();
    assert_eq!(chat.say("!remind 10s tea with milk").await, ["I will, in 10s."]);
    assert_eq!(chat.say("!ping").await, ["pong"]);
    assert!(chat.advance(Duration::from_secs(9)).await.is_empty());
    assert_eq!(chat.advance(Duration::from_secs(2)).await, ["⏰ tea with milk"]);
    let wrong = "write a time like `10s`, `5m` or `1h`, a day at most";
    for time in ["soon", "25h", "é", "18446744073709551615h"] {
        assert_eq!(chat.say(&format!("!remind {time}")).await, [wrong], "{time}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends() {
    assert_eq!(demo().say("!wait 30s").await, ["waited 30 s"]);
    assert_eq!(demo().say("!wait 2m").await, ["A minute at most: this conversation would wait with me."]);
}

#[tokio::test(start_paused = true)]
async fn each_conversation_has_its_list() {
    let mut chat = demo();
    assert_eq!(chat.say("!list add milk").await, ["1 on the list"]);
    assert_eq!(chat.say("!list add brown bread").await, ["2 on the list"]);
    assert_eq!(chat.say("!list").await, ["1. milk\n2. brown bread"]);
    assert_eq!(chat.say("!list done 1").await, ["done: milk"]);
    assert_eq!(chat.say("!list done 7").await, ["There is no such number on the list."]);
    assert_eq!(chat.say("!list show").await, ["1. brown bread"]);
    assert_eq!(chat.in_group("crew").say("!list show").await, ["nothing to do"]);
}

#[tokio::test(start_paused = true)]
async fn votes_are_counted_on_the_question_itself() {
    let mut chat = demo();
    let asked = chat.in_group("crew").say("!poll Tea or coffee?").await;
    assert_eq!(asked, ["🗳 Tea or coffee?\nVote by reacting to this message."]);
    let poll = newest(&chat);
    assert_eq!(chat.react("🍵").await.edits(), ["🗳 Tea or coffee?\n🍵 1"]);
    chat.sandbox().react("bob", &poll, "🍵").expect("Bob is in the crew");
    assert_eq!(chat.replies().await.edits(), ["🗳 Tea or coffee?\n🍵 2"]);
    chat.sandbox().unreact("alice", &poll, "🍵").expect("Alice has voted");
    assert_eq!(chat.replies().await.edits(), ["🗳 Tea or coffee?\n🍵 1"]);
    assert_eq!(chat.say("!ping").await, ["pong"]);
    assert!(chat.react("🍵").await.is_empty(), "a reaction to another message is no vote");
}

#[tokio::test(start_paused = true)]
async fn progress_is_one_message() {
    let replies = demo().say("!progress baking").await;
    assert_eq!(replies, ["baking: ░░░░░░░░░░ 0 %"]);
    assert_eq!(replies.edits().last().map(String::as_str), Some("baking: done"));
    assert_eq!(replies.edits().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn files_come_in_and_go_out() {
    let mut chat = demo();
    assert_eq!(chat.say("!chart 3 1 4").await.files(), ["chart.png"]);
    assert_eq!(chat.say("!chart").await.files(), ["chart.png"]);
    assert_eq!(chat.say("!avatar").await.files(), ["avatar.png"]);
    assert_eq!(chat.say("!file hello").await.files(), ["note.txt"]);
    let file = File::new("a.txt", "text/plain", "three words here");
    assert_eq!(chat.send("!count", [file]).await, ["16 bytes, 3 words"]);
    assert_eq!(chat.say("!count").await, ["Send me a file with `!count` as its caption."]);
}

#[tokio::test(start_paused = true)]
async fn primes_are_told_from_others() {
    let mut chat = demo();
    for (number, answer) in [
        ("1000000007", "1000000007 is prime"),
        ("2", "2 is prime"),
        ("3", "3 is prime"),
        ("1", "1 is not prime"),
        ("0", "0 is not prime"),
        ("4", "4 is not prime: 2 divides it"),
        ("49", "49 is not prime: 7 divides it"),
    ] {
        assert_eq!(chat.say(&format!("!prime {number}")).await, [answer]);
    }
    assert_eq!(
        chat.say("!prime seven").await,
        ["`seven` is not a whole number from 0 up of that size.\nUsage: !prime 1000000007"]
    );
}

#[tokio::test(start_paused = true)]
async fn the_bot_survives_its_own_failures() {
    let mut chat = demo();
    let apology = "Sorry, something went wrong. It has been logged.";
    assert_eq!(chat.say("!fail").await, [apology]);
    // One apology a minute is enough.
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(chat.say("!panic").await, [apology]);
    assert!(chat.say("!spin").await.text().ends_with("Who noticed?"));
    assert_eq!(chat.snapshot().await.failed, 2);
}
