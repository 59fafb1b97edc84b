//! The parts of `ports`.

use lexopt::prelude::*;

use super::Command;
use crate::ports;

pub(super) fn read(parser: &mut lexopt::Parser) -> Result<Command, lexopt::Error> {
    let mut only = Vec::new();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => return Ok(Command::Help),
            Value(word) => {
                let word = word.string()?;
                let part = ports::ALL.into_iter().find(|part| part.name() == word);
                only.push(part.ok_or_else(|| format!("`ports` has no part `{word}`"))?);
            }
            other => return Err(other.unexpected()),
        }
    }
    Ok(Command::Ports(only))
}
