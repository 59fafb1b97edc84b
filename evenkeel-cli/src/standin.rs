//! A Signal server for bots of one's own, with a person at the terminal who types for the people on it.

mod people;
mod story;

use std::io::{self, BufRead};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use evenkeel_signal::standin::Standin;
use evenkeel_signal::standin::options::{Options, Recording};
use evenkeel_signal::standin::people::{BOT, Group};

use crate::terminal::{Failure, Misuse, say};
use people::{Line, Writer};
use story::Story;

/// Runs until standard input ends.
pub(crate) fn run(listen: Option<SocketAddr>) -> Result<(), Failure> {
    let standin = start(listen)?;
    say(&settings(&standin))?;
    let mut writer = Writer::default();
    for line in io::stdin().lock().lines() {
        let line = line.map_err(evenkeel::Error::from)?;
        match Line::read(&line) {
            Line::Nothing => {}
            Line::People => say(&people::listed())?,
            Line::Turn(turn) => {
                writer.turn(turn);
                say(&format!("({writer})\n"))?;
            }
            Line::Text(text) => write(&standin, &writer, text)?,
            Line::Slashed(text) => {
                say(people::OURS)?;
                write(&standin, &writer, text)?;
            }
        }
    }
    Ok(())
}

fn start(listen: Option<SocketAddr>) -> Result<Standin, Misuse> {
    // The lock is held on the stand-in's thread only, for a few lines at a time.
    let story = Arc::new(Mutex::new(Story::default()));
    let connected = Arc::clone(&story);
    let options = Options::default()
        .with_recording(Recording::Counts)
        .with_group(Group::test())
        .on_socket(move || {
            if let Some(line) = connected.lock().unwrap_or_else(PoisonError::into_inner).connected() {
                tell(line);
            }
        })
        .on_send(move |_, sent| {
            tell(&people::shown(sent));
            if let Some(line) = story.lock().unwrap_or_else(PoisonError::into_inner).answered(sent) {
                tell(line);
            }
        });
    let options = listen.into_iter().fold(options, Options::with_address);
    Standin::start(options).map_err(|error| {
        let address = listen.map_or_else(|| "any port".to_owned(), |address| address.to_string());
        Misuse(format!(
            "the stand-in cannot listen on {address}: {error}: type `--standin` alone for a free port"
        ))
    })
}

/// From the stand-in's thread; what nobody can be told there, anyone who types is told with the next line.
fn tell(text: &str) {
    let _lost = say(text);
}

fn write(standin: &Standin, writer: &Writer, text: &str) -> Result<(), Failure> {
    if standin.transcript().sockets == 0 {
        say("(no bot is connected: this is lost, as it would be upstream)\n")?;
    }
    match writer.is_in_group() {
        true => standin.say_in_group(&writer.person(), &Group::test(), text),
        false => standin.say(&writer.person(), text),
    };
    Ok(())
}

fn settings(standin: &Standin) -> String {
    let (url, address) = (standin.url(), standin.address());
    let (people, writer) = (people::listed(), Writer::default());
    format!(
        "export SIGNAL_PHONE_NUMBER={BOT}\nexport SIGNAL_API_URL={url}\nexport SIGNAL_SERVICE_URL={address}\n\
         Paste these three lines into another terminal and start a bot there. Then write to it here.\n\
         {people}({writer})\n"
    )
}
