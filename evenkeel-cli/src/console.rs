//! The address of a running bot's console, for its operator alone.

use std::path::PathBuf;
use std::process::ExitCode;

use evenkeel::Error;
use evenkeel::console::Console;

use crate::place::place;
use crate::terminal::{Failure, say};

/// Prints the address with its token: anyone who may read the journal may see the bot.
pub(crate) fn run(journal: Option<PathBuf>) -> Result<ExitCode, Failure> {
    let place = place(journal)?;
    let looked = place.look();
    let is_unused = matches!(&looked, Ok(Some(summary)) if !summary.is_in_use);
    let Some(path) = place.path() else { return Ok(ExitCode::FAILURE) };
    if is_unused {
        return Err(Error::config(format!("no bot runs on the journal {}", path.display()))
            .with_hint("start the bot with `EVENKEEL_CONSOLE=127.0.0.1:4243`, or name its journal with `--journal FILE`")
            .into());
    }
    // Where there is no address to be had, what is wrong with the journal says more of the reason.
    let address = Console::find(path).map_err(|error| looked.err().unwrap_or(error))?;
    say(&format!("{address}\n"))?;
    Ok(ExitCode::SUCCESS)
}
