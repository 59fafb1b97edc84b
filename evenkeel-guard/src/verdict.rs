//! Judges what a poll was caught doing: whether it may, what it is called, whose line it is, what to write instead.

mod call;
mod waits;
mod class;

use crate::advice::{Words, advise, advise_on_inner_lock};
use crate::allow::Allow;
use crate::frame::poll::{called, heard, is_executor, is_panicking, polled, polls_a_future};
use crate::frame::{Origin, has_path, is_in, origin};
use crate::report::{Class, Frame};
use call::is_plumbing;
use class::{is_for_memory, refined};

/// How many frames a report shows.
const SHOWN: usize = 8;
/// How many of them lie between the author's line and the call.
const SHOWN_BELOW: usize = 3;

/// How a program gets the lines of its release build into reports.
pub(crate) const LINES_HINT: &str =
    "for files and lines, set `debug = \"line-tables-only\"` under `[profile.release]`";

/// What is known of a poll that blocks or runs long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Evidence<'a> {
    /// The call as the C library names it; `None` for work on the CPU.
    pub(crate) symbol: Option<&'static str>,
    pub(crate) class: Class,
    /// Whether the thread is somebody else's, who does more on it than to poll.
    pub(crate) is_guest: bool,
    /// The whole stack, innermost first.
    pub(crate) frames: &'a [Frame],
}

/// What is to be said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) is_allowed: bool,
    /// Whether it is a wait for a lock that the author never sees: one inside a channel, or in a dependency.
    pub(crate) is_inner_lock: bool,
    /// The class of the evidence, or the one that its frames show.
    pub(crate) class: Class,
    /// The call by the name that its author knows.
    pub(crate) call: String,
    /// The author's innermost frame: the line to change. `None` without line tables.
    pub(crate) author: Option<Frame>,
    /// From just below the author's frame outwards. Without line tables, the frames whose crate is not known.
    pub(crate) path: Vec<Frame>,
    pub(crate) advice: String,
}

impl Verdict {
    /// Whether it is a wait for a lock that nobody can be blamed for: a brief one happens to everybody on a busy machine.
    ///
    /// In a test, which goes by no clock and says `None`, it is one for a lock that no author's code takes, such as those
    /// of the runtime's own threads.
    pub(crate) fn is_nobodys_fault(&self, is_brief: Option<bool>) -> bool {
        self.class == Class::Contention && is_brief.unwrap_or(self.author.is_none())
    }
}

/// Judges several moments of one poll; there is at least one.
///
/// A panic that is printed or unwound at one of them excuses the poll: in a program with much debug information that
/// takes longer than anything else in it. Otherwise the one that shows a loop of ready futures says most, then the first
/// with a line.
pub(crate) fn judge_all(moments: &[Evidence<'_>], allow: &Allow, words: &Words) -> Verdict {
    let (first, others) = moments.split_first().expect("a finding has at least an empty stack");
    if let Some(panic) = moments.iter().find(|moment| is_panicking(moment.frames)) {
        return Verdict { is_allowed: true, ..judge(panic, allow, words) };
    }
    others.iter().fold(judge(first, allow, words), |best, other| {
        let other = judge(other, allow, words);
        let is_loop = |verdict: &Verdict| verdict.class == Class::AlwaysReady;
        let says_more = is_loop(&other) && !is_loop(&best) || best.author.is_none() && other.author.is_some();
        if says_more && !best.is_allowed { other } else { best }
    })
}

/// Judges one piece of evidence.
pub(crate) fn judge(evidence: &Evidence<'_>, allow: &Allow, words: &Words) -> Verdict {
    let Evidence { symbol, class: seen, is_guest, frames: all } = *evidence;
    // Anyone who runs the runtime did not call what a task of it calls.
    let frames = polled(all);
    let class = refined(seen, symbol, frames);
    // A list may name the class that the hook saw as well as the one that the report says.
    let is_allowed = allow.covers(symbol, class, frames)
        || allow.covers(symbol, seen, frames)
        || !seen.is_busy() && is_for_memory(frames)
        || waits::is_runtimes_own(class, all)
        || is_guest && !polls_a_future(all);
    let is_inner_lock = class == Class::Contention
        && matches!(waits::owner(heard(all)), Origin::Dependency | Origin::Standard)
        && !waits::is_asked(all);
    Verdict {
        is_allowed,
        is_inner_lock,
        class,
        call: call::name(symbol, class, frames),
        author: frames.iter().find(|frame| origin(frame) == Origin::Author).cloned(),
        path: path(frames),
        advice: if is_inner_lock {
            advise_on_inner_lock(words)
        } else {
            advise(class, symbol, frames, words)
        },
    }
}

/// Whether a report would gain from line tables: there are frames, and none with a line of the author's.
pub(crate) fn lacks_lines(verdict: &Verdict) -> bool {
    verdict.author.as_ref().is_none_or(|frame| frame.line.is_none())
}

/// A few frames below the author's innermost, then all of the author's up to the executor.
fn path(frames: &[Frame]) -> Vec<Frame> {
    let inside = |frame: &&Frame| !is_executor(frame);
    let Some(author) = frames.iter().position(|frame| origin(frame) == Origin::Author) else {
        let unknown = frames.iter().take_while(inside).filter(|frame| origin(frame) == Origin::Unknown);
        return unknown.filter(|frame| has_path(frame)).take(SHOWN).cloned().collect();
    };
    let below = called(frames).iter().rev().filter(|frame| has_path(frame) && !is_plumbing(frame));
    let below = below.filter(|frame| !is_in(frame, "std::sys"));
    let mut path: Vec<_> = below.take(SHOWN_BELOW).cloned().collect();
    path.reverse();
    let own = frames[author..].iter().take_while(inside).filter(|frame| origin(frame) == Origin::Author);
    path.extend(own.cloned());
    path.dedup();
    path.truncate(SHOWN);
    path
}

#[cfg(test)]
mod tests;
