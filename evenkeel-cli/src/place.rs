//! Where the journal of a bot is, by the settings that the bot reads.

use std::path::PathBuf;

use evenkeel::config::Config;
use evenkeel::journal::Place;
use evenkeel::sandbox::Sandbox;
use evenkeel::{Bot, Router};

use crate::terminal::{Failure, Misuse};

/// The file that was named, or the one in the settings; the key is always that of the settings.
pub(crate) fn place(given: Option<PathBuf>) -> Result<Place, Failure> {
    let config = Config::load()?;
    let mut settings = config.read();
    let mut place = Place::read(&mut settings);
    settings.owns("EVENKEEL_");
    if settings.problem_count() > 0 || settings.finish().is_err() {
        // Asked as a bot asks, the settings know all their names, and name no stray that is none.
        let _sound = Bot::new(Router::new()).transport(Sandbox::empty()).with_settings(&config)?;
    }
    if let Some(given) = given {
        if given.as_os_str().eq_ignore_ascii_case("memory") {
            return Err(in_memory("--journal memory").into());
        }
        place = place.with_path(given);
    }
    match place.path() {
        None => Err(in_memory("EVENKEEL_JOURNAL=memory").into()),
        Some(path) if !path.exists() => Err(Misuse(format!(
            "there is no journal `{}` here: name the bot's file with `--journal FILE` or `EVENKEEL_JOURNAL`",
            path.display()
        ))
        .into()),
        Some(_) => Ok(place),
    }
}

fn in_memory(setting: &str) -> Misuse {
    Misuse(format!(
        "`{setting}` is a journal that only its bot can see, and that ends with it: for this command the bot needs a file"
    ))
}
