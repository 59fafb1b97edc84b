//! What the doctor found: lines with a mark, and a fix where one is needed.

use std::fmt;

/// How a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Ok,
    /// The bot runs, and its operator should know.
    Warn,
    /// The bot would not run, or would do nothing.
    Fail,
}

/// One line, and what to do about it.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) mark: Mark,
    /// What was looked at.
    pub(super) name: &'static str,
    pub(super) text: String,
    pub(super) fix: Option<String>,
}

/// Everything that was found, under headings.
#[derive(Debug, Default)]
pub(super) struct Report {
    parts: Vec<(&'static str, Vec<Finding>)>,
}

impl Finding {
    pub(super) fn ok(name: &'static str, text: impl Into<String>) -> Self {
        Self { mark: Mark::Ok, name, text: text.into(), fix: None }
    }

    pub(super) fn warn(name: &'static str, text: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { mark: Mark::Warn, name, text: text.into(), fix: Some(fix.into()) }
    }

    pub(super) fn wrong(name: &'static str, text: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { mark: Mark::Fail, name, text: text.into(), fix: Some(fix.into()) }
    }

    /// A failure with the hint that came with the error.
    pub(super) fn fail(name: &'static str, error: &evenkeel::Error) -> Self {
        Self { mark: Mark::Fail, name, text: error.chain(), fix: error.hint().map(str::to_owned) }
    }
}

impl Report {
    pub(super) fn add(&mut self, heading: &'static str, findings: Vec<Finding>) {
        self.parts.push((heading, findings));
    }

    pub(super) fn count(&self, mark: Mark) -> usize {
        self.parts.iter().flat_map(|(_, findings)| findings).filter(|finding| finding.mark == mark).count()
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  {:<4}  {}: {}", self.mark, self.name, self.text)?;
        let mut lines = self.fix.iter().flat_map(|fix| fix.lines());
        if let Some(first) = lines.next() {
            writeln!(f, "        fix: {first}")?;
        }
        lines.filter(|line| !line.is_empty()).try_for_each(|line| writeln!(f, "        {line}"))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (heading, findings) in &self.parts {
            writeln!(f, "{heading}")?;
            findings.iter().try_for_each(|finding| finding.fmt(f))?;
        }
        let (warnings, failures) = (self.count(Mark::Warn), self.count(Mark::Fail));
        match (warnings, failures) {
            (0, 0) => writeln!(f, "all is well"),
            (_, 0) => writeln!(f, "the bot can run; to know about: {warnings}"),
            _ => writeln!(f, "the bot cannot run; to mend: {failures}, to know about: {warnings}"),
        }
    }
}
