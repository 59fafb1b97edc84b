//! A short way through what a bot can show, for anyone who is on the page for the first time.

use serde::Serialize;

/// One step of the way: what to do, and what shows that it was done.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    text: String,
    done: Sign,
}

impl Step {
    /// What to do, in a sentence or two; what stands between backticks is shown as code.
    pub fn new(text: impl Into<String>, done: Sign) -> Self {
        Self { text: text.into(), done }
    }
}

/// What shows that a step was done.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Sign {
    /// Somebody wrote something; the page offers to do it.
    Said {
        /// The id of the person.
        person: String,
        /// The whole text.
        text: String,
    },
    /// The live view names a command that blocks.
    Blocked {
        /// The command.
        command: String,
    },
    /// A dead letter was replayed or discarded on this page.
    Decided,
}

impl Sign {
    /// Somebody wrote this.
    pub fn said(person: impl Into<String>, text: impl Into<String>) -> Self {
        Self::Said { person: person.into(), text: text.into() }
    }
}
