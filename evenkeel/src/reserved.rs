//! Names of our own that stand beside those of others, in files too: they begin with a letter that nobody can type and that no
//! network uses in its names.

use std::fmt::Display;

const MARK: char = '\0';
/// What the name of a schedule of the router's begins with.
const SCHEDULE: &str = "\0schedule ";
/// What the lane of events begins with that do not wait for their conversation.
const CONCURRENT: &str = "\0concurrent ";

/// The conversation to which the schedules of the router belong, and their sender.
pub(crate) const SCHEDULES: &str = "\0schedules";
/// The conversation in which a transport keeps what it wants to have again at its next start.
pub(crate) const TRANSPORT: &str = "\0transport";

/// Whether a name is one of ours.
pub(crate) fn is_reserved(name: &str) -> bool {
    name.starts_with(MARK)
}

/// A name as people read it.
pub(crate) fn shown(name: &str) -> &str {
    name.trim_start_matches(MARK)
}

/// The name of the job that is a schedule of the router's.
pub(crate) fn schedule(function: &str) -> String {
    format!("{SCHEDULE}{function}")
}

pub(crate) fn is_schedule(job: &str) -> bool {
    job.starts_with(SCHEDULE)
}

/// The lane of a job's firings.
pub(crate) fn lane_of_job(job: &str) -> String {
    format!("\0job {job}")
}

/// One firing of a job, by the job's name or number: its event, or a lane of its own.
pub(crate) fn firing(job: impl Display, due_ms: u64) -> String {
    format!("\0job {job} {due_ms}")
}

/// A lane beside that of a conversation: one of several, by number. It is in no file.
pub(crate) fn concurrent_lane(conversation: &str, number: usize) -> String {
    format!("{CONCURRENT}{number} {conversation}")
}

pub(crate) fn is_concurrent_lane(lane: &str) -> bool {
    lane.starts_with(CONCURRENT)
}

/// The step in which a handler keeps what it has waited for, counted from the handler's beginning.
pub(crate) fn wait(number: u32) -> String {
    format!("\0wait {number}")
}

/// The step in which a handler keeps how many others it has ended, counted from the handler's beginning.
pub(crate) fn cancelled(number: u32) -> String {
    format!("\0cancelled {number}")
}

/// The scope of a person's values.
pub(crate) fn person(id: &str) -> String {
    format!("\0person:{id}")
}

/// The name of a source of events in the record, by the network's name, which is empty for the primary one.
pub(crate) fn source(network: &str, source: &str) -> String {
    if network.is_empty() { source.to_owned() } else { format!("\0{network}\0{source}") }
}

/// The source of this network that has this name in the record; `None` if it is another's.
pub(crate) fn source_of<'a>(network: &str, name: &'a str) -> Option<&'a str> {
    if network.is_empty() {
        return Some(name).filter(|name| !is_reserved(name));
    }
    name.strip_prefix(MARK)?.strip_prefix(network)?.strip_prefix(MARK)
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
            person("alice"),
            network("signal"),
            source("", "shard 0"),
            source("discord", "shard 0"),
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
            "\0person:alice",
            "\0network:signal",
            "shard 0",
            "\0discord\0shard 0",
        ];
        assert_eq!(names, kept);
        assert!(names.iter().all(|name| !is_reserved(shown(name))));
    }

    #[test]
    fn a_source_belongs_to_one_network() {
        for (network, name) in [("", "0"), ("", ""), ("discord", "0"), ("disc", "ord 0"), ("discord", "")] {
            let kept = source(network, name);
            for other in ["", "discord", "disc", "signal"] {
                let found = source_of(other, &kept);
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
