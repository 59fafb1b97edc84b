//! What is there of the bot's journal, without opening it as a bot does.

use evenkeel::journal::Place;
use evenkeel::journal::sqlite::{Summary, Warning};

use super::report::{Finding, Mark};
use crate::table::{count, size};

/// The account that the bot speaks for, on this network, and the one that the journal is granted to.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) own: String,
    pub(super) network: &'static str,
    pub(super) granted: Option<String>,
}

/// Looks at the file, and changes nothing: the bot may be running. Without an account, nobody asks whose it is; without a network that
/// was chosen as the primary one, nobody asks which that is.
pub(super) fn findings(place: &Place, account: Option<&Account>, chosen: Option<&str>) -> Vec<Finding> {
    let Some(path) = place.path() else {
        let memory = |_| Finding::ok("file", "none: the journal is in memory");
        return vec![place.look().map_or_else(|error| Finding::fail("file", &error), memory)];
    };
    let path = path.display();
    let mut found = match place.look() {
        Ok(None) => {
            vec![Finding::ok("file", format!("`{path}` is not there yet: the bot makes it at its start"))]
        }
        Ok(Some(summary)) => {
            let dead = (summary.dead > 0).then(|| dead(summary.dead));
            let owner = account.and_then(|account| owner(&summary, account));
            let primary = summary.check_primary_network(chosen).err();
            let primary = primary.map(|error| Finding::fail("primary", &error));
            let file = [Finding::ok("file", told(&path, &summary)), user(&summary)];
            file.into_iter().chain(primary).chain(owner).chain(dead).collect()
        }
        Err(error) => return vec![Finding::fail("file", &error)],
    };
    found.extend(place.warnings().into_iter().map(finding));
    found
}

fn finding(warning: Warning) -> Finding {
    let mark = if warning.is_grave { Mark::Fail } else { Mark::Warn };
    Finding { mark, name: "place", text: warning.text, fix: Some(warning.fix) }
}

fn told(path: &impl std::fmt::Display, summary: &Summary) -> String {
    let events = count(summary.events, "event", "events");
    let replies = count(summary.replies, "reply", "replies");
    let jobs = count(summary.jobs, "job", "jobs");
    format!("`{path}`, {}: {events} to be handled, {replies} to be sent, {jobs}", size(summary.bytes))
}

fn user(summary: &Summary) -> Finding {
    Finding::ok(
        "bot",
        if summary.is_in_use { "one runs on this journal" } else { "none runs on this journal" },
    )
}

fn owner(summary: &Summary, account: &Account) -> Option<Finding> {
    // Where another network is the primary one, the account that the journal has is none of this network.
    if summary.primary_network.as_ref().is_some_and(|primary| primary != account.network) {
        return None;
    }
    let checked = summary.check_account(Some(&account.own), account.granted.as_deref());
    checked.err().map(|error| Finding::fail("owner", &error))
}

fn dead(number: u64) -> Finding {
    let text = format!(
        "{} for a decision",
        if number == 1 { "1 waits".to_owned() } else { format!("{number} wait") }
    );
    let fix = "`evenkeel dead` lists them, `evenkeel dead replay` and `evenkeel dead discard` decide";
    Finding::warn("dead letters", text, fix)
}
