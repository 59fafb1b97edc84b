//! Where the bot's messages come from.

use std::io;
use std::time::{Duration, Instant};

use evenkeel_signal::standin::Standin;
use evenkeel_signal::standin::options::{Options, Recording};
use evenkeel_signal::standin::people::Person;

use super::Plan;
use super::history::{Fates, Unknown};
use super::lines::{Connection, Lines};
use super::onlooker::Onlooker;
use super::words::{Line, message_in};
use crate::contender::Running;

/// How long a bot may take to connect.
const PATIENCE: Duration = Duration::from_secs(20);
/// For so long nothing may come in before whatever the last process has sent counts as read.
const SILENCE: Duration = Duration::from_millis(20);

/// Which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Network {
    /// Lines over TCP, with acknowledgements: what the bot has accepted is known exactly.
    Lines,
    /// The same without acknowledgements: it keeps everything, and is read from a position on. With the mistake, the bot tells the
    /// position before what comes with it is handed over.
    Replayed { is_hasty: bool },
    /// Lines with acknowledgements, of which each is something to be said: threads beside the bot hand it to its handle under the line's
    /// number, and acknowledge what is kept. With the mistake, it has no number. What comes under a key that it knows it drops, as a network
    /// with a nonce does: whatever comes twice, the bot has said twice.
    Handle { is_nameless: bool },
    /// The stand-in, which pushes and forgets: what was accepted is known from the record alone.
    Signal,
}

impl Network {
    /// What becomes of an answer that is under way when the process ends.
    pub(super) fn unknown(self) -> Unknown {
        match self {
            Self::Handle { .. } => Unknown::Once,
            Self::Lines | Self::Replayed { .. } | Self::Signal => Unknown::Resend,
        }
    }
}

/// A network that outlives the bots.
pub(super) enum Far {
    Lines(Lines),
    Signal { standin: Standin, people: Vec<Person>, onlooker: Onlooker },
}

/// The network while a bot is there.
pub(super) enum Link<'a> {
    Lines(Connection),
    Signal(&'a Far),
}

impl Far {
    pub(super) fn start(plan: &Plan, onlooker: &Onlooker) -> io::Result<Self> {
        if plan.network != Network::Signal {
            let lines = Lines::listen(onlooker.clone(), plan.send)?;
            return Ok(Self::Lines(match plan.network {
                Network::Replayed { .. } => lines.replayed(),
                Network::Handle { .. } => lines.once_each(),
                Network::Lines | Network::Signal => lines,
            }));
        }
        let people: Vec<Person> = (0..plan.conversations).map(|n| Person::nth(n as u32)).collect();
        let (heard, crowd) = (onlooker.clone(), people.clone());
        let options = Options::default().with_recording(Recording::Counts).on_send(move |_, sent| {
            let is_to = |person: &Person| {
                sent.recipients.iter().any(|to| *to == person.uuid || to == person.source())
            };
            let conversation = crowd.iter().position(is_to).map_or(u32::MAX, |at| at as u32);
            // Signal acknowledges nothing, but an answer shows that its message was accepted.
            if let Some(message) = message_in(&sent.message) {
                heard.acknowledge(message);
            }
            // The stand-in answers at once.
            if let Some(answer) = heard.hear(conversation, &sent.message) {
                heard.confirm(answer);
            }
        });
        Ok(Self::Signal { standin: Standin::start(options)?, people, onlooker: onlooker.clone() })
    }

    /// The address, for the bot's environment.
    pub(super) fn address(&self) -> io::Result<String> {
        match self {
            Self::Lines(lines) => lines.address(),
            Self::Signal { standin, .. } => Ok(standin.address().to_string()),
        }
    }

    /// Waits for the bot.
    pub(super) fn connect(&self, running: &mut Running) -> io::Result<Link<'_>> {
        let standin = match self {
            Self::Lines(lines) => return lines.connect(running).map(Link::Lines),
            Self::Signal { standin, .. } => standin,
        };
        let start = Instant::now();
        while standin.transcript().sockets == 0 {
            if running.has_ended() || start.elapsed() > PATIENCE {
                return Err(io::Error::other("the bot has not connected"));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(Link::Signal(self))
    }
}

impl Link<'_> {
    /// Writes a message, perhaps again.
    pub(super) fn offer(&self, line: Line) {
        match self {
            Self::Lines(connection) => connection.offer(line),
            Self::Signal(Far::Signal { standin, people, onlooker }) => {
                onlooker.offer(line);
                if let Some(person) = people.get(line.conversation as usize) {
                    standin.say(person, &line.text());
                }
            }
            Self::Signal(Far::Lines(_)) => {}
        }
    }

    /// Whether what was not acknowledged is offered again.
    pub(super) fn is_patient(&self) -> bool {
        matches!(self, Self::Lines(connection) if connection.is_patient())
    }

    /// Waits until everything that the dead bot has sent is read.
    pub(super) fn end(self) {
        let Self::Signal(Far::Signal { standin, .. }) = self else { return };
        let (mut before, mut since) = (None, Instant::now());
        while since.elapsed() < SILENCE {
            let transcript = standin.transcript();
            let now = Some((transcript.request_count, transcript.sockets));
            if now != before || transcript.sockets > 0 {
                (before, since) = (now, Instant::now());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Over Signal the record is the only witness: what it holds as not done, the bot had accepted.
pub(super) fn bear_witness(onlooker: &Onlooker, fates: &Fates) {
    let mut accepted: Vec<u64> = fates.pending.union(&fates.dead).copied().collect();
    accepted.sort_unstable();
    accepted.into_iter().for_each(|message| onlooker.acknowledge(message));
}
