//! Reading `evenkeel.toml`.

use std::collections::BTreeMap;

use crate::error::{Error, Result};

pub(super) const NAME: &str = "evenkeel.toml";

/// A key, and the table in which it stands.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) table: String,
    pub(super) key: String,
    /// `None` where the value is an array, a table or a date.
    pub(super) value: Option<String>,
}

/// Reads the settings of a whole file, by their flat names.
///
/// # Errors
///
/// When it is malformed, or has a setting twice. No error quotes a value: it may be a secret.
pub(super) fn parse(text: &str) -> Result<BTreeMap<String, Entry>> {
    let tables: toml::Table = text.parse().map_err(|error| toml_error(text, &error))?;
    let mut file = BTreeMap::new();
    for (table, content) in tables {
        let toml::Value::Table(content) = content else {
            let message = format!("`{table}` in `{NAME}` stands in no table");
            return Err(
                Error::config(message).with_hint("put a line such as `[signal]` or `[evenkeel]` above it")
            );
        };
        for (key, value) in content {
            let (table, value) = (table.clone(), plain(&value));
            let name = format!("{table}_{key}").to_uppercase();
            let entry = Entry { table, key, value };
            if let Some(other) = file.insert(name, entry.clone()) {
                return Err(written_twice(&other, &entry));
            }
        }
    }
    Ok(file)
}

/// Case makes no difference, as the names of variables have none.
fn written_twice(one: &Entry, other: &Entry) -> Error {
    let place = |entry: &Entry| format!("`{}` in the table `[{}]`", entry.key, entry.table);
    let message = format!("{} and {} of `{NAME}` are the same setting", place(one), place(other));
    let (table, key) = (one.table.to_lowercase(), one.key.to_lowercase());
    Error::config(message).with_hint(format!("keep one of them: `{key}` in the table `[{table}]`"))
}

fn toml_error(text: &str, error: &toml::de::Error) -> Error {
    let before = error.span().and_then(|span| text.get(..span.start));
    let line = before.map_or(1, |before| before.matches('\n').count() + 1);
    // Only the first line: further ones may quote the file.
    let message = match error.message().lines().next().unwrap_or_default() {
        // It quotes the number, which may be a secret without its quotation marks.
        message if message.starts_with("invalid ty") || message.contains("overflow") => {
            "a number that is too large: put it in double quotes"
        }
        message => message,
    };
    Error::config(format!("`{NAME}` line {line}: {message}"))
        .with_hint("see https://toml.io for the format; texts stand in double quotes: `key = \"text\"`")
}

fn plain(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(claim) => Some(claim.to_string()),
        toml::Value::Datetime(_) | toml::Value::Array(_) | toml::Value::Table(_) => None,
    }
}
