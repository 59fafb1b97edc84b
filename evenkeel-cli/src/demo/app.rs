//! The bot of the demo: each command shows one thing that a bot can do.

use std::time::Duration;

use evenkeel::{
    App, Args, Context, Error, Event, FromRef, Message, Reply, Rest, Result, Router, Sender, Trigger,
};

use super::dice::{self, Dice};
use super::files;
use super::list::{self, Lists};
use super::poll::{self, Polls};
use super::remind;
use super::trouble::{self, Hold};

/// What the page offers to a first-time visitor.
pub(super) const CHIPS: [&str; 8] = [
    "!help",
    "!roll 2d6",
    "!poll Tea or coffee?",
    "!chart 3 1 4 1 5",
    "!remind 10s tea",
    "!progress",
    "!freeze",
    "!ping",
];

/// Everything that the handlers share. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Demo {
    pub(super) dice: Dice,
    pub(super) lists: Lists,
    pub(super) polls: Polls,
    pub(super) hold: Hold,
}

/// A handler that asks for one part of the state gets this part.
macro_rules! part {
    ($($type:ty: $field:ident;)*) => {$(
        impl FromRef<Demo> for $type {
            fn from_ref(demo: &Demo) -> Self {
                demo.$field.clone()
            }
        }
    )*};
}
part! {
    Dice: dice;
    Lists: lists;
    Polls: polls;
    Hold: hold;
}

pub(super) fn app(demo: Demo) -> App {
    Router::new()
        .route(Trigger::command("!ping").about("answers pong"), ping)
        .route(Trigger::command("!echo").usage("!echo <text>").about("repeats you, quoting"), echo)
        .route(Trigger::command("!hug").usage("!hug @Bob").about("mentions somebody"), hug)
        .merge(dice::routes())
        .merge(remind::routes())
        .merge(list::routes())
        .merge(poll::routes())
        .route(Trigger::command("!progress").about("edits one message as work goes on"), progress)
        .merge(files::routes())
        .merge(trouble::routes())
        .regex(r"(?i)\bthank(s| you)\b", thanks)
        .on(Event::reaction, poll::vote)
        .fallback(unknown)
        .help("!help")
        .with_state(demo)
}

async fn ping() -> &'static str {
    "pong"
}

async fn echo(Rest(text): Rest) -> Result<Reply> {
    if text.is_empty() {
        return Err(Error::for_user("What shall I repeat? Usage: !echo <text>"));
    }
    Ok(Reply::text(text).quoting())
}

/// A mention notifies; without one, anyone who asked is hugged.
async fn hug(who: Sender, message: Message) -> Reply {
    let hugged = message.mentions.into_iter().next().map_or(who, |mention| mention.who);
    Reply::text("a hug for ").mention(&hugged).quoting()
}

/// `reply_now` leaves at once and names the message, so that it can be edited while the work goes on.
async fn progress(cx: Context, Args(words): Args) -> Result<()> {
    let what = if words.is_empty() { "work".to_owned() } else { words.join(" ") };
    let note = cx.reply_now(bar(&what, 0)).await?;
    for tenths in [3, 6, 9] {
        tokio::time::sleep(Duration::from_millis(700)).await;
        cx.reply_now(Reply::edit(note.clone(), bar(&what, tenths))).await.ok();
    }
    tokio::time::sleep(Duration::from_millis(700)).await;
    cx.edit(&note, format!("{what}: done"));
    Ok(())
}

fn bar(what: &str, tenths: usize) -> String {
    format!("{what}: {}{} {} %", "█".repeat(tenths), "░".repeat(10 - tenths), 10 * tenths)
}

/// Reacts instead of answering.
async fn thanks(cx: Context) {
    cx.react("👍");
}

/// People talk to each other, too: only what looks like a command is answered.
async fn unknown(Rest(text): Rest) -> Option<&'static str> {
    text.starts_with('!').then_some("I do not know that command. Try !help")
}
