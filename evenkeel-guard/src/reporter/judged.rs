//! What is said of a finding, once its stack has been looked into.

use crate::address;
use crate::findings::Finding;
use crate::registry::UNNAMED;
use crate::report::{Label, Report};
use crate::verdict::{LINES_HINT, Verdict, lacks_lines};

/// What was found of a stack.
pub(super) struct Judged {
    pub(super) verdict: Verdict,
    /// Its addresses, where they have no lines.
    pub(super) unread: address::Locations,
    pub(super) has_stack: bool,
}

/// The author's line; or else the call, and where it was made from as far as addresses tell. Those of a busy poll are where it
/// happened to be.
pub(super) fn place_of(Judged { verdict, unread, .. }: &Judged) -> String {
    match &verdict.author {
        Some(author) => author.to_string(),
        None if verdict.class.is_busy() => verdict.call.clone(),
        None => format!("{} {}", verdict.call, unread.addresses.join(" ")),
    }
}

pub(super) fn report(label: &Label, judged: &Judged, finding: &Finding, strikes: u32) -> Report {
    let Judged { verdict, unread, has_stack } = judged;
    let author = verdict.author.as_ref().and_then(|frame| Some((frame.file.clone()?, frame.line?)));
    let is_exact = author.is_some();
    let (file, line) = author.unwrap_or_else(|| {
        // Tasks that nobody has named have no line of the author's.
        if finding.command == UNNAMED {
            return (String::new(), 0);
        }
        (label.location().file().to_owned(), label.location().line())
    });
    Report {
        number: 0,
        name: label.name().to_owned(),
        class: verdict.class,
        call: verdict.call.clone(),
        file,
        line,
        is_exact,
        path: verdict.path.clone(),
        elapsed: finding.elapsed,
        is_over: finding.is_over,
        times: 1,
        taken_over: finding.taken_over,
        strikes,
        addresses: unread.addresses.clone(),
        build_id: unread.build_id.clone(),
        is_inner_lock: verdict.is_inner_lock,
        advice: if lacks_lines(verdict) && *has_stack {
            format!("{} ({LINES_HINT})", verdict.advice)
        } else {
            verdict.advice.clone()
        },
    }
}

pub(super) fn tell(report: &Report) {
    tracing::warn!(
        target: "evenkeel::guard",
        command = report.name,
        class = report.class.word(),
        call = report.call,
        file = report.file,
        line = report.line,
        elapsed_ms = report.elapsed.as_secs_f64() * 1e3,
        times = report.times,
        strikes = report.strikes,
        "{report}"
    );
}
