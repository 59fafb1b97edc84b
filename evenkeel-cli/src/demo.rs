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
use evenkeel::sandbox::{Page, Sandbox, Sign, Step};

use crate::command::DemoOptions;
use crate::terminal::{Failure, Misuse, complain, say};

/// Where the page is unless told.
const LISTEN: &str = "127.0.0.1:8787";
/// A demo has nothing to lose: anyone who ends it wants it gone.
const DRAIN: Duration = Duration::from_secs(2);

/// Runs until SIGTERM or Ctrl-C. The address is the first line on standard output: programs wait for it.
pub(crate) fn run(options: &DemoOptions) -> Result<(), Failure> {
    let config = Config::load().map_err(|error| misuse(&error))?;
    let page = match &options.listen {
        Some(address) => Page::bind(address).map_err(|error| misuse(&error))?,
        None => Page::bind(LISTEN).or_else(|_| elsewhere())?,
    };
    let page = page.with_name("Evenkeel demo").with_chips(app::CHIPS).with_story(story());
    let url = page.url();
    let bot = Bot::new(app::app(app::Demo::default())).transport(Sandbox::new().with_page(page)).in_memory();
    let bot = bot.with_settings(&config).map_err(|error| misuse(&error))?;
    // The port is ours already: a browser that is faster than the bot waits for it.
    say(&format!("{url}\n"))?;
    if !options.is_browser_unwanted {
        browser::open(&url);
    }
    Ok(bot.with_drain(DRAIN).run()?)
}

/// What is worth seeing first.
fn story() -> [Step; 6] {
    [
        Step::new("This is a bot. As Alice, say `!ping` to it.", Sign::said("alice", "!ping")),
        Step::new(
            "Now say `!freeze`. Its handler blocks its thread for five seconds, as a careless one does.",
            Sign::said("alice", "!freeze"),
        ),
        Step::new(
            "Meanwhile, write as Bob: `!ping`. He is answered at once, since Alice's freeze holds up nobody but Alice.",
            Sign::said("bob", "!ping"),
        ),
        Step::new(
            "The live view names what blocked: the call, the line of the program, and what to write instead.",
            Sign::Blocked { command: "!freeze".into() },
        ),
        Step::new(
            "Still as Bob, say `!fail`. The answer is polite, the cause stays in the log, and the message is kept as a dead letter.",
            Sign::said("bob", "!fail"),
        ),
        Step::new(
            "Under Dead letters, replay it: it has another chance. (This one fails again. Mended bots do better.)",
            Sign::Decided,
        ),
    ]
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
