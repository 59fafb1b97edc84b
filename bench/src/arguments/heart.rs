//! The options of `heart`.

use std::path::PathBuf;

use lexopt::prelude::*;

use super::{Command, positive};
use crate::heart::{self, Plan};

pub(super) fn read(parser: &mut lexopt::Parser) -> Result<Command, lexopt::Error> {
    let (mut plan, mut repeats, mut messages) = (Plan::default(), None, None);
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(Command::Help),
            Long("repeats") => repeats = Some(positive(parser, "repeats")?),
            Long("messages") => messages = Some(positive(parser, "messages")?),
            Long("short") => plan.shorten(),
            Long("evenkeel") => plan.evenkeel = PathBuf::from(parser.value()?),
            Value(word) => {
                let word = word.string()?;
                let part = heart::find(&word).ok_or_else(|| format!("`heart` has no part `{word}`"))?;
                plan.only.push(part);
            }
            other => return Err(other.unexpected()),
        }
    }
    plan.repeats = repeats.unwrap_or(plan.repeats);
    plan.messages = messages.unwrap_or(plan.messages);
    Ok(Command::Heart(plan))
}
