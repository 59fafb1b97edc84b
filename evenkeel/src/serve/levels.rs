//! What is logged: the operator's filter, with what libraries log held down, and with slips of the pen refused.
//!
//! `tracing` takes a word that is no level for the name of a module, so that `warning` alone would silence everything.

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{FilterExt, LevelFilter, Targets};
use tracing_subscriber::layer::Filter;
use tracing_subscriber::registry::LookupSpan;

use crate::config::nearest;

/// Libraries that write what they carry (headers with tokens, addresses with numbers, texts) into their log. A filter that
/// names one of them, as `tungstenite=trace` does, is still obeyed.
const TELLTALES: [&str; 14] = [
    "async_tungstenite",
    "h2",
    "hyper",
    "hyper_rustls",
    "hyper_util",
    "isahc",
    "mio",
    "reqwest",
    "rustls",
    "sqlx",
    "tokio_tungstenite",
    "tower_http",
    "tungstenite",
    "ureq",
];

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// What other programs call a level.
const OTHER_NAMES: [(&str, &str); 11] = [
    ("all", "trace"),
    ("verbose", "debug"),
    ("notice", "info"),
    ("critical", "error"),
    ("crit", "error"),
    ("fatal", "error"),
    ("severe", "error"),
    ("panic", "error"),
    ("none", "off"),
    ("quiet", "off"),
    ("silent", "off"),
];

/// What the operator wrote, and what holds libraries down whatever it lets through.
pub(super) struct Levels {
    written: EnvFilter,
    held: Targets,
}

impl Levels {
    /// Reads a filter such as `info,evenkeel_signal=debug`. The error quotes none of it.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        let parts: Vec<_> = text.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
        let mut held = Targets::new()
            .with_default(LevelFilter::TRACE)
            .with_targets(TELLTALES.map(|name| (name, LevelFilter::INFO)));
        for part in &parts {
            if let Some(named) = named(part)? {
                held = held.with_target(named, LevelFilter::TRACE);
            }
        }
        let written = EnvFilter::try_new(parts.join(",")).map_err(|error| error.to_string())?;
        Ok(Self { written, held })
    }

    pub(super) fn filter<S: Subscriber + for<'a> LookupSpan<'a>>(self) -> impl Filter<S> {
        // A filter of spans opens what happens in them no matter who logs it, so it is not enough to name the libraries in it.
        FilterExt::<S>::and(self.written, self.held)
    }
}

/// The module that a part of the filter names, if it names one.
fn named(part: &str) -> Result<Option<&str>, String> {
    if part.parse::<LevelFilter>().is_ok() {
        return Ok(None);
    }
    let name = part.split(['=', '[']).next().unwrap_or_default();
    if name.contains(char::is_whitespace) {
        return Err("has a space within a part: write commas between parts".to_owned());
    }
    if let Some(letter) =
        name.chars().find(|letter| !letter.is_ascii_alphanumeric() && !"_:".contains(*letter))
    {
        return Err(format!("has `{letter}` in the name of a module: modules have `_` and `::` in theirs"));
    }
    if ["RUST_LOG", "EVENKEEL_LOG"].contains(&name) {
        return Err("has a setting's name in it: write what stands behind its `=`".to_owned());
    }
    if part.ends_with('=') {
        return Err("has no level behind a `=`".to_owned());
    }
    if name.len() < part.len() || name.contains("::") {
        return Ok(Some(name).filter(|name| !name.is_empty()));
    }
    let question = meant(name).map_or_else(|| ":".to_owned(), |level| format!(", did you mean `{level}`?"));
    let levels = LEVELS.join("`, `");
    Err(format!(
        "has a word that is no level{question} levels are `{levels}`, and a module stands with its level, `my_bot=debug`"
    ))
}

/// The level that somebody may have meant.
fn meant(word: &str) -> Option<&'static str> {
    let word = word.to_ascii_lowercase();
    let is_like = |level: &&str| word.len() > 2 && (word.starts_with(*level) || level.starts_with(&*word));
    let other = OTHER_NAMES.iter().find(|(other, _)| *other == word).map(|(_, level)| *level);
    other.or_else(|| LEVELS.into_iter().find(is_like)).or_else(|| nearest(&word, LEVELS.into_iter()))
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::{Layer, SubscriberExt};

    use super::*;

    /// What is logged of a line of the bot, of a module of its, and of a library, each within a span, at `trace`.
    fn logged(text: &str) -> [bool; 3] {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&lines);
        let writer = move || Log(Arc::clone(&log));
        let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(false);
        let levels = Levels::new(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let subscriber = tracing_subscriber::registry().with(layer.with_filter(levels.filter()));
        tracing::subscriber::with_default(subscriber, || {
            let _within = tracing::error_span!(target: "my_bot", "call").entered();
            tracing::trace!(target: "my_bot", "of-the-bot");
            tracing::trace!(target: "my_bot::orders", "of-a-module");
            tracing::trace!(target: "tungstenite::handshake", "of-a-library");
        });
        let lines = String::from_utf8(lines.lock().unwrap().clone()).unwrap();
        ["of-the-bot", "of-a-module", "of-a-library"].map(|words| lines.contains(words))
    }

    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(line);
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn libraries_are_held_down_unless_they_are_named() {
        for (text, is_logged) in [
            ("trace", [true, true, false]),
            ("info,TRACE", [true, true, false]),
            ("5", [true, true, false]),
            ("debug", [false, false, false]),
            ("off", [false, false, false]),
            ("info, my_bot=trace", [true, true, false]),
            ("my_bot::orders=trace", [false, true, false]),
            ("my_bot::orders", [false, true, false]),
            ("[call]=trace", [true, true, false]),
            ("info,[call]=trace", [true, true, false]),
            ("my_bot[call]=trace", [true, true, false]),
            ("trace,tungstenite=trace", [true, true, true]),
            ("tungstenite::handshake=trace", [false, false, true]),
            ("[call]=trace,tungstenite=trace", [true, true, true]),
        ] {
            assert_eq!(logged(text), is_logged, "{text}");
        }
    }

    #[test]
    fn a_word_that_is_no_level_is_refused_with_the_nearest_one_and_not_quoted() {
        for (text, level) in [
            ("warning", "warn"),
            ("Warning", "warn"),
            ("info,verbose", "debug"),
            ("all", "trace"),
            ("notice", "info"),
            ("fatal", "error"),
            ("err", "error"),
            ("errors", "error"),
            ("debgug", "debug"),
            ("none", "off"),
        ] {
            let error = Levels::new(text).err().unwrap_or_else(|| panic!("{text} is read"));
            assert!(error.contains(&format!("did you mean `{level}`? levels are")), "{text}: {error}");
        }
        for (text, problem) in [
            ("my_bot", "is no level: levels are `off`, "),
            ("hunter2", "is no level: levels are `off`, "),
            ("info debug", "a space within a part"),
            ("info my_bot=debug", "a space within a part"),
            ("my_bot=", "no level behind"),
            ("my_bot=warning", "level"),
            ("a=b=c", "level"),
        ] {
            let error = Levels::new(text).err().unwrap_or_else(|| panic!("{text} is read"));
            assert!(error.contains(problem) && !error.contains("hunter2"), "{text}: {error}");
        }
    }
}
