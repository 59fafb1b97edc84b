//! The options of `kills`.

use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::*;

use super::{Command, positive};
use crate::contender::steady;
use crate::kills::{self, Bot, Network, Trouble};

pub(super) fn read(parser: &mut lexopt::Parser) -> Result<Command, lexopt::Error> {
    let mut plan = kills::Plan::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(Command::Help),
            Long("rounds") => plan.rounds = positive(parser, "rounds")?,
            Long("rate") => plan.rate = positive(parser, "rate")?,
            Long("conversations") => plan.conversations = positive(parser, "conversations")?,
            Long("send-ms") => plan.send = Duration::from_millis(parser.value()?.parse()?),
            Long("seed") => plan.seed = parser.value()?.parse()?,
            Long("short") => plan.rounds = 20,
            Long("signal") => plan.network = Network::Signal,
            Long("replayed") => plan.network = Network::Replayed { is_hasty: false },
            Long("hasty") => plan.network = Network::Replayed { is_hasty: true },
            Long("handle") => plan.network = Network::Handle { is_nameless: false },
            Long("nameless") => plan.network = Network::Handle { is_nameless: true },
            Long("power") => plan.trouble = Trouble::Power,
            Long("lie") => plan.trouble = Trouble::Lie,
            Long("full") => plan.trouble = Trouble::Full,
            Long("abort") => plan.trouble = Trouble::Abort,
            Long("memory") => plan.is_forgetful = true,
            Long("log") => plan.is_logged = true,
            Long("steady") => plan.bot = Bot::Steady(None),
            Long("mistake") => {
                let name = parser.value()?.string()?;
                let known = steady::MISTAKES.into_iter().find(|known| *known == name);
                let unknown = || format!("there is no mistake `{name}`, but {}", steady::MISTAKES.join(", "));
                plan.bot = Bot::Steady(Some(known.ok_or_else(unknown)?));
            }
            Long("evenkeel") => plan.evenkeel = PathBuf::from(parser.value()?),
            other => return Err(other.unexpected()),
        }
    }
    if plan.network != Network::Lines && plan.bot != Bot::Evenkeel {
        return Err(
            "the steady bot knows acknowledged lines, not Signal, none that are read from a position, and no handle"
                .into(),
        );
    }
    if matches!(plan.network, Network::Handle { .. }) && plan.trouble == Trouble::Abort {
        return Err("what is said by a handle ends no process".into());
    }
    if plan.trouble == Trouble::Abort && plan.bot != Bot::Evenkeel {
        return Err("the steady bot never aborts".into());
    }
    Ok(Command::Kills(plan))
}
