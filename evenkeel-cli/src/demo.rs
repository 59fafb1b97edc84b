//! The demo: a bot on a page, with no account and no server.

mod browser;
mod dice;
mod remind;
mod list;
mod poll;
mod picture;
mod files;
mod trouble;
mod app;

#[cfg(test)]
mod tests;

use std::time::Duration;

use evenkeel::Bot;
use evenkeel::config::Config;
use evenkeel::sandbox::{Page, Sandbox};

use crate::command::DemoOptions;
use crate::terminal::{Failure, Misuse, complain, say};

/// Where the page is unless told.
const LISTEN: &str = "127.0.0.1:8787";
/// A demo has nothing to lose: whoever ends it wants it gone.
const DRAIN: Duration = Duration::from_secs(2);

/// Runs until SIGTERM or Ctrl-C. The address is the first line on standard output: programs wait for it.
pub(crate) fn run(options: &DemoOptions) -> Result<(), Failure> {
    let config = Config::load().map_err(|error| misuse(&error))?;
    let page = match &options.listen {
        Some(address) => Page::bind(address).map_err(|error| misuse(&error))?,
        None => Page::bind(LISTEN).or_else(|_| elsewhere())?,
    };
    let page = page.with_chips(app::CHIPS);
    let url = page.url();
    let bot = Bot::new(Sandbox::new().with_page(page), app::app(app::Demo::default())).in_memory();
    let bot = bot.with_settings(&config).map_err(|error| misuse(&error))?;
    // The port is ours already: a browser that is faster than the bot waits for it.
    say(&format!("{url}\n"));
    if !options.is_browser_unwanted {
        browser::open(&url);
    }
    Ok(bot.with_drain(DRAIN).run()?)
}

fn elsewhere() -> evenkeel::Result<Page> {
    let page = Page::bind("127.0.0.1:0")?;
    complain(&format!("{LISTEN} is taken, so the page is at {}", page.url()));
    Ok(page)
}

/// An address that cannot be had is a matter of what was typed.
fn misuse(error: &evenkeel::Error) -> Misuse {
    let hint = error.hint().map(|hint| format!(": {hint}")).unwrap_or_default();
    Misuse(format!("{}{hint}", error.chain()))
}
