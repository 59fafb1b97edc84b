//! A bot that is killed again and again, and whether it keeps its word.

mod history;
mod words;
mod onlooker;
mod lines;
mod network;
mod record;
mod disk;
mod run;
mod report;
pub(crate) mod planted;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) use network::Network;

/// One invocation.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    pub(crate) seed: u64,
    /// Messages per second, while the bot is there.
    pub(crate) rate: usize,
    pub(crate) conversations: usize,
    pub(crate) network: Network,
    /// How long a send takes, over lines.
    pub(crate) send: Duration,
    pub(crate) trouble: Trouble,
    /// Tells the bot to keep its journal in memory, where a kill loses everything: the loop has to show it.
    pub(crate) is_forgetful: bool,
    /// Shows what the bots log.
    pub(crate) is_logged: bool,
    pub(crate) bot: Bot,
    /// Where Evenkeel's is.
    pub(crate) evenkeel: PathBuf,
}

/// What befalls the bot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// SIGKILL.
    Kill,
    /// SIGKILL, and the files are put back to what was synced, with some of what was not.
    Power,
    /// The same on a disk that takes each sync and does nothing: the loop has to show it.
    Lie,
    /// SIGKILL, on a disk that is full again and again, and then has room.
    Full,
    /// Messages that end the process whenever they are handled.
    Abort,
}

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bot {
    /// The bot that is measured elsewhere, too.
    Evenkeel,
    /// The smallest bot that keeps its word, perhaps with a mistake.
    Steady(Option<&'static str>),
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            rounds: 200,
            seed: 1,
            rate: 1_000,
            conversations: 50,
            network: Network::Lines,
            trouble: Trouble::Kill,
            send: Duration::from_millis(10),
            is_forgetful: false,
            is_logged: false,
            bot: Bot::Evenkeel,
            evenkeel: crate::contender::example(),
        }
    }
}

/// Kills the bot as often as planned or until Ctrl-C, lets it finish, and prints what came of it.
///
/// # Errors
///
/// When the bot does not run, or has broken a promise.
pub(crate) fn run(plan: &Plan) -> io::Result<()> {
    report::heading(plan);
    let outcome = run::play(plan)?;
    report::table(&outcome);
    if outcome.keeps_word(plan.trouble) {
        return Ok(());
    }
    Err(io::Error::other(format!("the bot has not kept its word, with the seed {}", plan.seed)))
}
