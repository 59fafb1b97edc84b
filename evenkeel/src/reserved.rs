//! Names of our own that stand beside those of others, in files too: they begin with a letter that nobody can type and that no
//! network uses in its names.

use std::borrow::Cow;
use std::fmt::Display;

const MARK: char = '\0';
/// What the name of a schedule of the router's begins with.
const SCHEDULE: &str = "\0schedule ";
/// What the lane of events begins with that do not wait for their conversation.
const CONCURRENT: &str = "\0concurrent ";

/// What the lane of a job's firings begins with.
const JOB: &str = "\0job ";

/// The conversation to which the schedules of the router belong, and their sender.
pub(crate) const SCHEDULES: &str = "\0schedules";
/// Who sends what handles have planned.
pub(crate) const HANDLES: &str = "\0handles";
/// The conversation in which a transport keeps what it wants to have again at its next start.
pub(crate) const TRANSPORT: &str = "\0transport";

/// Whether a name is one of ours.
pub(crate) fn is_reserved(name: &str) -> bool {
    name.starts_with(MARK)
}

/// A name as people read it: `discord:42` for the conversation `42` of a network beside the primary one.
pub(crate) fn shown(name: &str) -> Cow<'_, str> {
    let name = name.trim_start_matches(MARK);
    if name.contains(MARK) { name.replace(MARK, ":").into() } else { name.into() }
}

/// The names that people read as this: a name without a network, one of a network beside the primary one, and one of our own. The id of
/// a conversation may have a colon in it, the name of a network never has.
pub(crate) fn titled(shown: &str) -> Vec<String> {
    let beside = shown.split_once(':').filter(|(network, _)| !network.is_empty());
    let beside = beside.map(|(network, name)| on(network, name));
    [shown.to_owned()].into_iter().chain(beside).chain([format!("{MARK}{shown}")]).collect()
}

/// The name of the job that is a schedule of the router's.
pub(crate) fn schedule(function: &str) -> String {
    format!("{SCHEDULE}{function}")
}

pub(crate) fn is_schedule(job: &str) -> bool {
    scheduled(job).is_some()
}

/// The function of a schedule of the router's, by the name of its job; `None` where that is none.
pub(crate) fn scheduled(job: &str) -> Option<&str> {
    job.strip_prefix(SCHEDULE)
}

/// The lane of a job's firings.
pub(crate) fn lane_of_job(job: &str) -> String {
    format!("{JOB}{job}")
}

/// One firing of a job, by the job's name or number: its event, or a lane of its own.
pub(crate) fn firing(job: impl Display, due_ms: u64) -> String {
    format!("{JOB}{job} {due_ms}")
}

/// A lane beside that of a conversation: one of several, by number. It is in no file.
pub(crate) fn concurrent_lane(conversation: &str, number: usize) -> String {
    format!("{CONCURRENT}{number} {conversation}")
}

pub(crate) fn is_concurrent_lane(lane: &str) -> bool {
    lane.starts_with(CONCURRENT)
}

/// The network of a lane, empty for the primary one and for jobs, which are on none.
pub(crate) fn network_of_lane(lane: &str) -> &str {
    if lane.starts_with(JOB) {
        return "";
    }
    let concurrent = lane.strip_prefix(CONCURRENT).and_then(|rest| rest.split_once(' '));
    split(concurrent.map_or(lane, |(_, conversation)| conversation)).0
}

/// The step in which a handler keeps what it has waited for, counted from the handler's beginning.
pub(crate) fn wait(number: u32) -> String {
    format!("\0wait {number}")
}

/// The step in which a handler keeps how many others it has ended, counted from the handler's beginning.
pub(crate) fn cancelled(number: u32) -> String {
    format!("\0cancelled {number}")
}

/// What was said outside of any event under this id of the author's: its dedupe key, which no event has.
pub(crate) fn said(id: &str) -> String {
    format!("\0said {id}")
}

/// The name of a job that was planned outside of any event under this id of the author's.
pub(crate) fn planned(id: &str) -> String {
    format!("\0planned {id}")
}

/// The scope of a person's values.
pub(crate) fn person(id: &str) -> String {
    format!("\0person:{id}")
}

/// The name in the record of what a network calls so: an event, a conversation, a source. `network` is empty for the primary one,
/// whose names stay as they are.
pub(crate) fn on(network: &str, name: &str) -> String {
    if network.is_empty() { name.to_owned() } else { format!("\0{network}\0{name}") }
}

/// The network of a conversation, empty for the primary one, and what that calls it.
pub(crate) fn split(conversation: &str) -> (&str, &str) {
    let beside = conversation.strip_prefix(MARK).and_then(|rest| rest.split_once(MARK));
    beside.unwrap_or(("", conversation))
}

/// What this network calls so that has this name in the record; `None` if it is another's.
pub(crate) fn name_on<'a>(network: &str, key: &'a str) -> Option<&'a str> {
    if network.is_empty() {
        return Some(key).filter(|name| !is_reserved(name));
    }
    key.strip_prefix(MARK)?.strip_prefix(network)?.strip_prefix(MARK)
}

/// The scope of a network's values.
pub(crate) fn network(name: &str) -> String {
    format!("\0network:{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_in_files_never_change() {
        let names = [
            schedule("bot::sweep"),
            SCHEDULES.to_owned(),
            TRANSPORT.to_owned(),
            lane_of_job("7.1"),
            firing("7.1", 60_000),
            firing(7, 60_000),
            wait(0),
            cancelled(0),
            said("invoice 17"),
            planned("report 17"),
            HANDLES.to_owned(),
            person("alice"),
            network("signal"),
            on("", "shard 0"),
            on("discord", "shard 0"),
        ];
        let kept = [
            "\0schedule bot::sweep",
            "\0schedules",
            "\0transport",
            "\0job 7.1",
            "\0job 7.1 60000",
            "\0job 7 60000",
            "\0wait 0",
            "\0cancelled 0",
            "\0said invoice 17",
            "\0planned report 17",
            "\0handles",
            "\0person:alice",
            "\0network:signal",
            "shard 0",
            "\0discord\0shard 0",
        ];
        assert_eq!(names, kept);
        assert!(names.iter().all(|name| !shown(name).contains(MARK)));
        assert!(names.iter().all(|name| titled(&shown(name)).contains(name)), "what is shown is found again");
        assert_eq!(shown(&on("discord", "42")), "discord:42");
        assert_eq!(titled("discord:4:2"), ["discord:4:2", "\0discord\u{0}4:2", "\0discord:4:2"]);
        assert_eq!(titled(":2"), [":2", "\0:2"], "no network has no name");
    }

    #[test]
    fn a_name_belongs_to_one_network() {
        for (network, name) in [("", "0"), ("", ""), ("discord", "0"), ("disc", "ord 0"), ("discord", "")] {
            let kept = on(network, name);
            for other in ["", "discord", "disc", "signal"] {
                let found = name_on(other, &kept);
                assert_eq!(found, (other == network).then_some(name), "{kept:?} in {other:?}");
            }
        }
    }

    #[test]
    fn only_schedules_are_schedules() {
        assert!(is_schedule(&schedule("bot::sweep")));
        for other in ["schedule bot::sweep", SCHEDULES, "7.1", ""] {
            assert!(!is_schedule(other), "{other}");
        }
    }
}
