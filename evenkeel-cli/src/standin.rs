//! A Signal server for bots of one's own, with a person at the terminal who types as Alice.

use std::io::{self, BufRead};
use std::net::SocketAddr;

use evenkeel_signal::standin::Standin;
use evenkeel_signal::standin::options::{Options, Recording};
use evenkeel_signal::standin::people::{BOT, Person};
use evenkeel_signal::standin::transcript::Sent;

use crate::terminal::{Failure, Misuse, say};

/// Runs until standard input ends.
pub(crate) fn run(listen: Option<SocketAddr>) -> Result<(), Failure> {
    let options = Options::default().with_recording(Recording::Counts).on_send(|_, sent| say(&shown(sent)));
    let options = listen.into_iter().fold(options, Options::with_address);
    let standin = Standin::start(options).map_err(|error| {
        let address = listen.map_or_else(|| "any port".to_owned(), |address| address.to_string());
        Misuse(format!(
            "the stand-in cannot listen on {address}: {error}: type `--standin` alone for a free port"
        ))
    })?;
    say(&settings(&standin));
    for line in io::stdin().lock().lines() {
        let line = line.map_err(evenkeel::Error::from)?;
        if line.trim().is_empty() {
            continue;
        }
        if standin.transcript().sockets == 0 {
            say("(no bot is connected: this is lost, as it would be upstream)\n");
        }
        standin.say(&Person::alice(), &line);
    }
    Ok(())
}

fn settings(standin: &Standin) -> String {
    let (url, address) = (standin.url(), standin.address());
    format!(
        "export SIGNAL_PHONE_NUMBER={BOT}\nexport SIGNAL_API_URL={url}\nexport SIGNAL_SERVICE_URL={address}\n\
         Paste these into another terminal and start a bot there. What you type here, Alice writes to it.\n"
    )
}

/// One message of the bot, as the terminal shows it.
fn shown(sent: &Sent) -> String {
    let edited = if sent.edit_timestamp.is_some() { " (edited)" } else { "" };
    let files = match sent.base64_attachments.len() {
        0 => String::new(),
        count => format!(" [{count} file(s)]"),
    };
    format!("bot{edited}: {}{files}\n", sent.message)
}
