//! Settings from the environment, from `.env`, and from `evenkeel.toml`, in this order of precedence.
//!
//! One flat name serves everywhere: `SIGNAL_PHONE_NUMBER` in the environment and in `.env` is `phone_number` in the
//! table `[signal]` of `evenkeel.toml`. Both files are optional and are looked for in the current directory. An
//! empty value counts as no value. Nothing is ever written to the process's environment.
//!
//! In `.env` a value is what is written: `$` is a letter like any other. What other programs would read in another way is
//! refused, with how to write it.
//!
//! ```
//! use evenkeel::config::Config;
//!
//! let config = Config::from_pairs([("SHOP_PORT", "8080")]);
//! let mut settings = config.read();
//! let port = settings.required("SHOP_PORT", "8080", str::parse::<u16>);
//! let key = settings.secret("SHOP_API_KEY");
//! let complete = settings.finish()?; // names everything that is missing or wrong, at once
//! assert_eq!(port.get(&complete), 8080);
//! assert!(key.is_none());
//! # Ok::<(), evenkeel::Error>(())
//! ```

mod dotenv;
mod file;
mod near;
mod text;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use crate::error::{Error, Problem, Result};
use file::Entry;
pub(crate) use near::nearest;

const DOTENV: &str = ".env";
const FILE: &str = file::NAME;

/// The settings of every bot, which one reader need not ask for; the last two are those of this project's own tests.
const OWN: [&str; 13] = [
    "EVENKEEL_LOG",
    "EVENKEEL_JOURNAL",
    "EVENKEEL_JOURNAL_KEY",
    "EVENKEEL_JOURNAL_ACCOUNT",
    "EVENKEEL_PRIMARY_NETWORK",
    "EVENKEEL_WORKERS",
    "EVENKEEL_GUARD",
    "EVENKEEL_GUARD_ALLOW",
    "EVENKEEL_DRAIN_SECONDS",
    "EVENKEEL_HANDLER_LIMIT_SECONDS",
    "EVENKEEL_CONSOLE",
    "EVENKEEL_LONG",
    "EVENKEEL_SEED",
];

/// Everything that was set, before anybody has asked for it.
///
/// Shows neither values nor, as the environment is none of a log's business, names.
#[derive(Clone, Default)]
pub struct Config {
    environment: BTreeMap<String, String>,
    dotenv: BTreeMap<String, dotenv::Value>,
    /// By flat name.
    file: BTreeMap<String, Entry>,
}

/// Where a setting was read from.
#[derive(Clone, Copy)]
enum Origin {
    Environment,
    Dotenv,
    File,
}

impl Origin {
    fn text(self) -> &'static str {
        match self {
            Self::Environment => "the environment",
            Self::Dotenv => "`.env`",
            Self::File => "`evenkeel.toml`",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl Config {
    /// Reads the environment, and `.env` and `evenkeel.toml` of the current directory where they exist.
    ///
    /// # Errors
    ///
    /// When one of the files cannot be read or is malformed; the message names the file and the line.
    pub fn load() -> Result<Self> {
        // A value that is not text becomes text with U+FFFD in it: anyone who asks for it will refuse it by name.
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| {
                Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
            })
            .collect();
        Self::load_beside(environment, Path::new("."))
    }

    /// Holds these settings as if the environment had nothing else, for tests.
    pub fn from_pairs<N: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let environment = pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self { environment, ..Self::default() }
    }

    /// Begins to read settings; see [`Settings`].
    pub fn read(&self) -> Settings<'_> {
        Settings { config: self, names: Vec::new(), prefixes: Vec::new(), problems: Vec::new() }
    }

    /// Says where a setting is read from, such as `the environment`; `None` where it is not set.
    pub fn origin(&self, name: &str) -> Option<String> {
        self.find(name).map(|(place, _)| place.to_string())
    }

    fn load_beside(environment: BTreeMap<String, String>, directory: &Path) -> Result<Self> {
        let dotenv =
            text::of(directory, DOTENV)?.map_or_else(|| Ok(BTreeMap::new()), |text| dotenv::parse(&text))?;
        let file =
            text::of(directory, FILE)?.map_or_else(|| Ok(BTreeMap::new()), |text| file::parse(&text))?;
        Ok(Self { environment, dotenv, file })
    }

    /// The place, and the value or what is wrong with how it is written there.
    fn find(&self, name: &str) -> Option<(Origin, Result<&str, &str>)> {
        let filled = |value: &&String| !value.trim().is_empty();
        if let Some(value) = self.environment.get(name).filter(filled) {
            return Some((Origin::Environment, Ok(value)));
        }
        match self.dotenv.get(name) {
            Some(Ok(value)) if filled(&value) => return Some((Origin::Dotenv, Ok(value))),
            Some(Err(problem)) => return Some((Origin::Dotenv, Err(problem))),
            _ => {}
        }
        let value = self.file.get(name)?.value.as_deref();
        let value = value.ok_or("must be a text, a number, `true` or `false`");
        (value != Ok("")).then_some((Origin::File, value))
    }

    /// The names that are set in the environment and in `.env`, with the place of each.
    fn variables(&self) -> impl Iterator<Item = (Origin, &str)> {
        let environment = self.environment.keys().map(|name| (Origin::Environment, &**name));
        let dotenv = self.dotenv.keys().filter(|name| !self.environment.contains_key(*name));
        let set = environment.chain(dotenv.map(|name| (Origin::Dotenv, &**name)));
        set.filter(|(_, name)| self.find(name).is_some())
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").finish_non_exhaustive()
    }
}

/// A value that no log, error or page may show: a token or a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// Hides a value.
    pub fn new(value: impl Into<Box<str>>) -> Self {
        Self(value.into())
    }

    /// Returns the value itself. Do not log it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// Reads settings one by one and collects what is wrong with them, so that the operator mends all in one go.
///
/// A room that reads a table of `evenkeel.toml` asks for all keys that the table may have: whatever nobody asked
/// for is taken for a slip of the pen.
#[must_use = "what is wrong is only told by `finish`"]
pub struct Settings<'a> {
    config: &'a Config,
    names: Vec<&'static str>,
    /// Whose names are all asked for here.
    prefixes: Vec<&'static str>,
    problems: Vec<Problem>,
}

/// A required setting, which is there once [`Settings::finish`] has said so.
#[derive(Debug)]
pub struct Required<T>(Option<T>);

/// The proof that every required setting was found.
#[derive(Debug)]
pub struct Complete(Vec<String>);

impl Complete {
    /// What the operator should know of the settings all the same: names that are set and that nobody knows, and that are no
    /// obvious slip. Each is one line.
    pub fn warnings(&self) -> &[String] {
        &self.0
    }
}

impl<T> Required<T> {
    /// Returns the value.
    ///
    /// # Panics
    ///
    /// If `complete` comes from other [`Settings`] than this value.
    #[track_caller]
    pub fn get(self, _complete: &Complete) -> T {
        self.0.expect("`finish` returns an error while a required setting is missing")
    }
}

impl Settings<'_> {
    /// Reads a setting that must be there. `parse` must not repeat the value in its error.
    pub fn required<T, E: fmt::Display>(
        &mut self,
        name: &'static str,
        example: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Required<T> {
        let before = self.problems.len();
        let value = self.optional(name, example, parse);
        if value.is_none() && self.problems.len() == before {
            self.missing(name, example);
        }
        Required(value)
    }

    /// Reads a setting that may be there. `parse` must not repeat the value in its error.
    pub fn optional<T, E: fmt::Display>(
        &mut self,
        name: &'static str,
        example: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        self.names.push(name);
        let (place, value) = self.config.find(name)?;
        let parsed = match value {
            Ok(value) => parse(value.trim()).map_err(|error| error.to_string()),
            Err(problem) => Err(problem.to_owned()),
        };
        parsed.map_err(|error| self.wrong(name, place, &error, example)).ok()
    }

    /// Reads a setting that may be there and must not be shown.
    pub fn secret(&mut self, name: &'static str) -> Option<Secret> {
        self.optional(name, "..", |value| Ok::<_, &str>(Secret::new(value)))
    }

    /// Declares a setting that another room reads, so that it is not taken for a misspelt one.
    pub fn known(&mut self, name: &'static str) {
        self.names.push(name);
    }

    /// Declares that all names with this prefix, such as `SIGNAL_`, are asked for here, or [known](Self::known). A variable
    /// that is nearly one of them is then an error, and another one with the prefix a [warning](Complete::warnings).
    pub fn owns(&mut self, prefix: &'static str) {
        self.prefixes.push(prefix);
    }

    /// Adds a problem that concerns several settings, for example that one of two is needed.
    pub fn problem(&mut self, text: impl Into<String>, name: &str, example: &str) {
        let (setting, example) = (name.to_owned(), format!("{name}={example}"));
        self.problems.push(Problem { setting, text: text.into(), example });
    }

    /// How many problems there are so far.
    pub fn problem_count(&self) -> usize {
        self.problems.len()
    }

    /// The names that were asked for so far.
    pub fn names(&self) -> &[&'static str] {
        &self.names
    }

    /// Says whether everything was found and understood.
    ///
    /// # Errors
    ///
    /// One error for all settings that are missing or wrong, for keys in the tables of `evenkeel.toml` which nobody asked
    /// for, and for variables that are nearly one of those that [are owned](Self::owns).
    #[track_caller]
    pub fn finish(mut self) -> Result<Complete> {
        self.look_for_strays();
        let warnings = self.look_for_variables();
        let count = self.problems.len();
        let texts: Vec<_> = self.problems.iter().map(|problem| problem.text.as_str()).collect();
        let problems = texts.join("; ");
        let message = match count {
            0 => return Ok(Complete(warnings)),
            1 => format!("a setting is missing or wrong: {problems}"),
            _ => format!("{count} settings are missing or wrong: {problems}"),
        };
        let examples: Vec<_> = self.problems.iter().map(|problem| problem.example.as_str()).collect();
        let examples: Vec<_> = examples.into_iter().filter(|example| !example.is_empty()).collect();
        let hint = if examples.is_empty() {
            "correct the name, or take it away".to_owned()
        } else {
            let examples = examples.join("\n  ");
            format!(
                "set these in the environment, in `.env` or in `evenkeel.toml`, for example in `.env`:\n\n  {examples}"
            )
        };
        Err(Error::config(message).with_hint(hint).with_problems(self.problems))
    }

    fn missing(&mut self, name: &str, example: &str) {
        let mut text = format!("`{name}` is missing");
        if let Some(near) = nearest(name, self.config.variables().map(|(_, name)| name)) {
            text.push_str(&format!(", but there is `{near}`"));
        }
        self.problem(text, name, example);
    }

    fn wrong(&mut self, name: &str, place: Origin, error: &str, example: &str) {
        let text = format!("`{name}` from {place}: {error}, for example `{example}`");
        self.problem(text, name, example);
    }

    /// Keys of our tables that nobody asked for, and tables whose name is nearly one of ours.
    fn look_for_strays(&mut self) {
        let tables: Vec<_> = self.names.iter().map(|name| split(name).0).collect();
        let known: Vec<_> = self.known_names().collect();
        let mut strays = Vec::new();
        for (_, entry) in self.config.file.iter().filter(|(name, _)| !known.contains(&name.as_str())) {
            let (table, key) = (&entry.table, &entry.key);
            if tables.contains(&table.to_lowercase()) {
                let keys: Vec<_> = known.iter().map(|name| split(name)).collect();
                let ours = keys.iter().filter(|(known, _)| *known == table.to_lowercase());
                let near = nearest(key, ours.map(|(_, key)| key.as_str()));
                strays.push(stray(&format!("`{key}` in the table `[{table}]` of `{FILE}`"), near));
            } else if let Some(near) = nearest(table, tables.iter().map(String::as_str)) {
                strays.push(stray(&format!("the table `[{table}]` of `{FILE}`"), Some(near)));
            }
        }
        strays.dedup();
        self.problems.extend(strays.into_iter().map(of_a_name));
    }

    /// Variables that are nearly one of ours are problems; the others that look like ours are returned, to be told.
    fn look_for_variables(&mut self) -> Vec<String> {
        let ours = |name: &&str| self.prefixes.iter().any(|prefix| name.starts_with(prefix));
        let known: Vec<_> = self.known_names().filter(ours).collect();
        let (mut problems, mut warnings) = (Vec::new(), Vec::new());
        for (place, name) in self.config.variables().filter(|(_, name)| !known.contains(name)) {
            let what = format!("`{name}` from {place}");
            match near::stray(name, &known, &self.prefixes) {
                near::Stray::None => {}
                // What is missing has named it already: one slip is one problem.
                near::Stray::Slip(near) if self.problems.iter().any(|problem| problem.setting == near) => {}
                near::Stray::Slip(near) => problems.push(of_a_name(stray(&what, Some(near)))),
                near::Stray::Unknown(near) => warnings.push(stray(&what, near)),
            }
        }
        self.problems.append(&mut problems);
        warnings
    }

    fn known_names(&self) -> impl Iterator<Item = &'static str> {
        self.names.iter().copied().chain(OWN)
    }
}

/// A name that nobody asked for: there is nothing to set.
fn of_a_name(text: String) -> Problem {
    Problem { setting: String::new(), text, example: String::new() }
}

fn stray(what: &str, near: Option<&str>) -> String {
    let question = near.map_or_else(String::new, |near| format!(", did you mean `{near}`?"));
    format!("nobody knows {what}{question}")
}

/// `SIGNAL_PHONE_NUMBER` is `phone_number` in the table `signal`.
fn split(name: &str) -> (String, String) {
    let (table, key) = name.split_once('_').unwrap_or((name, ""));
    (table.to_lowercase(), key.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(environment: &[(&str, &str)], dotenv: &str, file: &str) -> Result<Config> {
        Ok(Config {
            environment: Config::from_pairs(environment.iter().copied()).environment,
            dotenv: dotenv::parse(dotenv)?,
            file: file::parse(file)?,
        })
    }

    fn text(value: &str) -> Result<String, std::convert::Infallible> {
        Ok(value.to_owned())
    }

    fn number(config: &Config) -> Result<String> {
        let mut settings = config.read();
        let number = settings.required("SIGNAL_PHONE_NUMBER", "+15550100000", text);
        let complete = settings.finish()?;
        Ok(number.get(&complete))
    }

    #[test]
    fn the_environment_beats_dotenv_beats_the_file() {
        let file = "[signal]\nphone_number = \"file\"";
        let all = files(&[("SIGNAL_PHONE_NUMBER", "environment")], "SIGNAL_PHONE_NUMBER=dotenv", file);
        assert_eq!(number(&all.unwrap()).unwrap(), "environment");
        let two = files(&[("SIGNAL_PHONE_NUMBER", " ")], "SIGNAL_PHONE_NUMBER=dotenv", file);
        assert_eq!(number(&two.unwrap()).unwrap(), "dotenv");
        assert_eq!(number(&files(&[], "", file).unwrap()).unwrap(), "file");
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once_with_its_place() {
        let config = files(&[], "SHOP_PORT=many", "[shop]\nworkers = [1]").unwrap();
        let mut settings = config.read();
        let _ = settings.required("SHOP_NAME", "Corner", text);
        let _ = settings.optional("SHOP_PORT", "8080", str::parse::<u16>);
        let _ = settings.optional("SHOP_WORKERS", "2", str::parse::<u16>);
        let error = settings.finish().unwrap_err();
        assert!(error.is_config());
        assert_eq!(
            error.to_string(),
            "3 settings are missing or wrong: `SHOP_NAME` is missing; `SHOP_PORT` from `.env`: invalid digit found in \
             string, for example `8080`; `SHOP_WORKERS` from `evenkeel.toml`: must be a text, a number, `true` or \
             `false`, for example `2`"
        );
        assert!(
            error.hint().unwrap().ends_with("\n\n  SHOP_NAME=Corner\n  SHOP_PORT=8080\n  SHOP_WORKERS=2")
        );
    }

    #[test]
    fn a_misspelt_key_is_an_error_that_names_the_nearest_one() {
        let config = files(&[], "", "[signal]\nphone_number = \"1\"\nphone_numer = \"2\"").unwrap();
        let told = number(&config).unwrap_err().to_string();
        assert!(
            told.ends_with(
                "`phone_numer` in the table `[signal]` of `evenkeel.toml`, did you mean `phone_number`?"
            ),
            "{told}"
        );
    }

    #[test]
    fn a_misspelt_table_or_variable_is_named_too() {
        let config = files(&[], "SIGNAL_PHONE_NUMER=1", "[signl]\nphone_number = \"1\"").unwrap();
        let told = number(&config).unwrap_err().to_string();
        assert!(told.contains("but there is `SIGNAL_PHONE_NUMER`"), "{told}");
        assert!(told.contains("`[signl]` of `evenkeel.toml`, did you mean `signal`?"), "{told}");
    }

    #[test]
    fn a_misspelt_variable_of_ours_is_an_error_and_another_one_a_warning() {
        let read = |environment: &[(&str, &str)], dotenv: &str| {
            let config = files(environment, dotenv, "").unwrap();
            let mut settings = config.read();
            settings.owns("EVENKEEL_");
            settings.finish().map(|complete| complete.warnings().to_vec()).map_err(|error| error.to_string())
        };
        let told = read(&[("EVENKEEL_JURNAL", "a")], "EVENKEEL_JOURNL=b\nEVENKEEL_CONSOL=").unwrap_err();
        for part in ["`EVENKEEL_JURNAL` from the environment", "`EVENKEEL_JOURNL` from `.env`"] {
            assert!(told.contains(&format!("{part}, did you mean `EVENKEEL_JOURNAL`?")), "{told}");
        }
        assert!(!told.contains("CONSOL"), "{told}");
        let warnings = read(&[("HOME", "/root")], "EVENKEEL_DRAIN=5\nEVENKEEL_JOURNAL=x").unwrap();
        assert_eq!(
            warnings,
            ["nobody knows `EVENKEEL_DRAIN` from `.env`, did you mean `EVENKEEL_DRAIN_SECONDS`?"]
        );
    }

    #[test]
    fn a_value_of_dotenv_that_cannot_be_read_is_told_to_those_that_ask_for_it() {
        let config = files(&[], "SIGNAL_PHONE_NUMBER=1\nSHOP_KEY=${hunter2}", "").unwrap();
        assert_eq!(number(&config).unwrap(), "1");
        let mut settings = config.read();
        assert!(settings.secret("SHOP_KEY").is_none());
        let told = settings.finish().unwrap_err().to_string();
        assert!(told.contains("`SHOP_KEY` from `.env`: in line 2, it has `${`"), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
        assert_eq!(
            (config.origin("SHOP_KEY").as_deref(), config.origin("SHOP_PORT")),
            (Some("`.env`"), None)
        );
    }

    #[test]
    fn a_table_is_read_in_any_case_and_a_setting_once() {
        let config = files(&[], "", "[Signal]\nPhone_Number = \"1\"\nphone_numer = \"2\"").unwrap();
        let told = number(&config).unwrap_err().to_string();
        assert!(told.ends_with("`[Signal]` of `evenkeel.toml`, did you mean `phone_number`?"), "{told}");
        for text in [
            "[Signal]\nphone_number = \"hunter2\"\n[signal]\nphone_number = \"2\"",
            "[signal]\nPHONE_NUMBER = \"hunter2\"\nphone_number = \"2\"",
        ] {
            let error = files(&[], "", text).unwrap_err();
            assert!(error.to_string().ends_with("of `evenkeel.toml` are the same setting"), "{error}");
            let told = format!("{error:?}");
            assert!(
                told.contains("`phone_number` in the table `[signal]`") && !told.contains("hunter2"),
                "{told}"
            );
        }
    }

    #[test]
    fn an_error_of_the_file_quotes_no_value() {
        for (value, says) in [
            ("98765432109876543210", "a number that is too large: put it in double quotes"),
            ("-98765432109876543210", "a number that is too large"),
            ("98765432109876543210e999", "a number that is too large"),
            ("98765432109876543210x", ""),
            ("0x98765432109876543210fedcba9876543210", ""),
            ("98765432109876543210.5.6", ""),
            ("\"98765432109876543210\\q\"", ""),
        ] {
            let text = format!("[signal]\napi_token = {value}\n");
            let told = format!("{:?}", files(&[], "", &text).unwrap_err());
            assert!(told.contains(says) && !told.contains("98765"), "{value}: {told}");
        }
    }

    #[test]
    fn other_tables_are_none_of_our_business() {
        let config = files(&[], "", "[signal]\nphone_number = \"1\"\n[garden]\ntools = []").unwrap();
        assert_eq!(number(&config).unwrap(), "1");
    }

    #[test]
    fn a_malformed_file_is_named_with_its_line_and_not_quoted() {
        let dotenv = files(&[], "A=1\n\nhunter2 hunter2\n", "").unwrap_err();
        assert_eq!(dotenv.to_string(), "`.env` line 3 is not of the form `NAME=value`");
        let file = files(&[], "", "[signal]\ntoken = hunter2\n").unwrap_err();
        assert!(file.to_string().starts_with("`evenkeel.toml` line 2: "), "{file}");
        assert!(!format!("{file:?}{dotenv:?}").contains("hunter2"));
        let bare = files(&[], "", "phone_number = \"1\"").unwrap_err();
        assert_eq!(bare.to_string(), "`phone_number` in `evenkeel.toml` stands in no table");
    }

    #[test]
    fn missing_files_are_fine() {
        let nowhere = Path::new("no/such/directory");
        assert!(Config::load_beside(BTreeMap::new(), nowhere).is_ok());
    }

    #[test]
    fn a_secret_prints_nothing_of_itself() {
        let config = Config::from_pairs([("SHOP_KEY", "hunter2")]);
        let secret = config.read().secret("SHOP_KEY").unwrap();
        assert_eq!(secret.expose(), "hunter2");
        assert!(!format!("{secret:?} {secret} {config:?}").contains("hunter2"));
    }

    #[test]
    fn numbers_and_claims_of_the_file_are_read_as_text() {
        let config = files(&[], "", "[shop]\nport = 8080\nopen = true").unwrap();
        let mut settings = config.read();
        assert_eq!(settings.optional("SHOP_PORT", "1", str::parse::<u16>), Some(8080));
        assert_eq!(settings.optional("SHOP_OPEN", "true", str::parse::<bool>), Some(true));
        settings.finish().unwrap();
    }
}
