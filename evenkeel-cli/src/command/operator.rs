//! What is typed after `dead` and `jobs`: a verb, options that go with it, and what is meant.

use std::path::PathBuf;

use evenkeel::journal::{DeadFilter, DeadId, Reason};
use lexopt::{Arg, Parser};

use super::{Command, next, text, unknown};
use crate::help::Topic;
use crate::nearest::nearest;
use crate::terminal::Misuse;

/// What is to be done about dead letters.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum DeadAction {
    List { filter: DeadFilter, is_json: bool },
    Show { id: DeadId, has_text: bool },
    Replay(Chosen),
    Discard(Chosen),
    Export { file: Option<PathBuf>, filter: DeadFilter, has_text: bool },
}

/// What is to be done about jobs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum JobAction {
    List { is_json: bool },
    Cancel { name: String },
}

/// The dead letters that are to be changed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// One for each transaction, at least one.
    pub(crate) filters: Vec<DeadFilter>,
    pub(crate) is_dry: bool,
    /// Nobody is asked.
    pub(crate) is_sure: bool,
}

const DEAD_VERBS: [&str; 5] = ["list", "show", "replay", "discard", "export"];
const DEAD_OPTIONS: [&str; 11] = [
    "--all",
    "--command",
    "--conversation",
    "--dry-run",
    "--help",
    "--journal",
    "--json",
    "--limit",
    "--reason",
    "--text",
    "--yes",
];
const FILTERS: [&str; 4] = ["--command", "--conversation", "--limit", "--reason"];

/// Everything that was typed, whatever the verb.
#[derive(Default)]
struct Typed {
    journal: Option<PathBuf>,
    words: Vec<String>,
    filter: DeadFilter,
    /// The names of the options.
    options: Vec<&'static str>,
}

pub(super) fn dead(parser: &mut Parser) -> Result<Command, Misuse> {
    let topic = Topic::Dead;
    let mut typed = Typed::default();
    while let Some(argument) = next(parser, topic)? {
        let name = match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help(topic)),
            Arg::Value(word) => {
                typed.words.push(word.to_string_lossy().into_owned());
                continue;
            }
            Arg::Long(name) => DEAD_OPTIONS.into_iter().find(|known| known.strip_prefix("--") == Some(name)),
            Arg::Short(_) => None,
        };
        let Some(name) = name else { return Err(unknown(&argument, &DEAD_OPTIONS, topic)) };
        typed.options.push(name);
        match name {
            "--journal" => typed.journal = Some(text(parser, "--journal evenkeel.db")?.into()),
            "--command" => typed.filter.command = Some(text(parser, "--command '!weather'")?),
            "--conversation" => typed.filter.conversation = Some(text(parser, "--conversation ID")?),
            "--reason" => typed.filter.reason = Some(reason(&text(parser, "--reason failed")?)?),
            "--limit" => typed.filter.limit = Some(limit(&text(parser, "--limit 10")?)?),
            _ => {}
        }
    }
    let journal = typed.journal.take();
    Ok(Command::Dead { journal, action: typed.dead_action()? })
}

pub(super) fn jobs(parser: &mut Parser) -> Result<Command, Misuse> {
    let topic = Topic::Jobs;
    let mut typed = Typed::default();
    while let Some(argument) = next(parser, topic)? {
        match argument {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help(topic)),
            Arg::Long("journal") => typed.journal = Some(text(parser, "--journal evenkeel.db")?.into()),
            Arg::Long("json") => typed.options.push("--json"),
            Arg::Value(word) => typed.words.push(word.to_string_lossy().into_owned()),
            other => return Err(unknown(&other, &["--journal", "--json", "--help"], topic)),
        }
    }
    let (verb, words) = typed.verb();
    let action = match verb {
        "list" => {
            at_most(0, words, topic)?;
            JobAction::List { is_json: typed.has("--json") }
        }
        "cancel" => {
            typed.only(&[], "jobs cancel")?;
            if words.is_empty() {
                let says = "which job? Type `evenkeel jobs cancel NAME`; `evenkeel jobs` has the names";
                return Err(Misuse(says.into()));
            }
            // The names of schedules have a space in them, with or without quotation marks.
            JobAction::Cancel { name: words.join(" ") }
        }
        other => return Err(unknown_verb("jobs", other, &["list", "cancel"])),
    };
    Ok(Command::Jobs { journal: typed.journal, action })
}

impl Typed {
    /// The verb, and what follows it.
    fn verb(&self) -> (&str, &[String]) {
        self.words.split_first().map_or(("list", &[]), |(verb, words)| (verb, words))
    }

    fn has(&self, option: &str) -> bool {
        self.options.contains(&option)
    }

    /// Refuses options that do not go with a command.
    fn only(&self, known: &[&str], command: &str) -> Result<(), Misuse> {
        match self.options.iter().find(|option| **option != "--journal" && !known.contains(option)) {
            None => Ok(()),
            Some(option) => Err(Misuse(format!("`{option}` does not go with `evenkeel {command}`"))),
        }
    }

    fn dead_action(self) -> Result<DeadAction, Misuse> {
        let (topic, (verb, words)) = (Topic::Dead, self.verb());
        let fits = |more: &[&str]| self.only(&[&FILTERS[..], more].concat(), &format!("dead {verb}"));
        match verb {
            "list" => {
                fits(&["--json"])?;
                at_most(0, words, topic)?;
                Ok(DeadAction::List { is_json: self.has("--json"), filter: self.filter })
            }
            "show" => {
                self.only(&["--text"], "dead show")?;
                at_most(1, words, topic)?;
                let id = words.first().ok_or_else(|| {
                    Misuse("which one? Type `evenkeel dead show ID`; `evenkeel dead` has the IDs".into())
                })?;
                Ok(DeadAction::Show { id: dead_id(id)?, has_text: self.has("--text") })
            }
            "replay" => {
                fits(&["--all", "--dry-run", "--yes"])?;
                self.chosen("replay", words).map(DeadAction::Replay)
            }
            "discard" => {
                fits(&["--all", "--dry-run", "--yes"])?;
                self.chosen("discard", words).map(DeadAction::Discard)
            }
            "export" => {
                fits(&["--text"])?;
                at_most(1, words, topic)?;
                let (file, has_text) = (words.first().map(PathBuf::from), self.has("--text"));
                Ok(DeadAction::Export { file, has_text, filter: self.filter })
            }
            other => Err(unknown_verb("dead", other, &DEAD_VERBS)),
        }
    }

    /// Nothing is changed unless somebody said what: IDs, or everything, or a filter.
    fn chosen(&self, verb: &str, words: &[String]) -> Result<Chosen, Misuse> {
        let DeadFilter { command, reason, conversation, limit, .. } = &self.filter;
        let is_filtered = command.is_some() || reason.is_some() || conversation.is_some();
        let ways = [!words.is_empty(), self.has("--all"), is_filtered];
        match ways.into_iter().filter(|way| *way).count() {
            1 if !words.is_empty() && limit.is_some() => {
                return Err(Misuse("`--limit` goes with `--all` or a filter, not with IDs".into()));
            }
            1 => {}
            0 => {
                return Err(Misuse(format!(
                    "{verb} what? Give IDs, `--all`, or a filter: `--command`, `--reason`, `--conversation`"
                )));
            }
            _ => return Err(Misuse("give IDs, or `--all`, or filters: one of the three".into())),
        }
        let filters = if words.is_empty() {
            vec![self.filter.clone()]
        } else {
            let mut ids = words.iter().map(|word| dead_id(word)).collect::<Result<Vec<_>, _>>()?;
            ids.sort_unstable();
            ids.dedup();
            ids.into_iter().map(|id| DeadFilter { id: Some(id), ..DeadFilter::default() }).collect()
        };
        Ok(Chosen { filters, is_dry: self.has("--dry-run"), is_sure: self.has("--yes") })
    }
}

fn at_most(count: usize, words: &[String], topic: Topic) -> Result<(), Misuse> {
    match words.get(count) {
        None => Ok(()),
        Some(word) => Err(Misuse(format!("`{word}` is one word too many: see `{}`", topic.invocation()))),
    }
}

fn unknown_verb(command: &str, verb: &str, verbs: &[&'static str]) -> Misuse {
    match nearest(verb, verbs.iter().copied()) {
        Some(near) => Misuse(format!(
            "there is no command `{command} {verb}`: did you mean `evenkeel {command} {near}`?"
        )),
        None => {
            Misuse(format!("there is no command `{command} {verb}`: it is one of `{}`", verbs.join("`, `")))
        }
    }
}

fn dead_id(text: &str) -> Result<DeadId, Misuse> {
    text.parse()
        .map_err(|_| Misuse(format!("`{text}` is no ID: write `17` for an event, `17.2` for a reply")))
}

fn reason(word: &str) -> Result<Reason, Misuse> {
    let wanted = word.replace('-', "_");
    Reason::ALL.into_iter().find(|reason| reason.word() == wanted).ok_or_else(|| {
        let words = Reason::ALL.map(Reason::word);
        match nearest(&wanted, words) {
            Some(near) => Misuse(format!("there is no reason `{word}`: did you mean `{near}`?")),
            None => Misuse(format!("there is no reason `{word}`: it is one of `{}`", words.join("`, `"))),
        }
    })
}

fn limit(text: &str) -> Result<usize, Misuse> {
    let limit = text.parse().ok().filter(|limit| *limit > 0);
    limit.ok_or_else(|| Misuse(format!("`{text}` is no number of dead letters: write `--limit 10`")))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn typed(line: &str) -> Result<Command, Misuse> {
        crate::command::parse(line.split_whitespace().map(OsString::from))
    }

    fn acts(line: &str, wanted: &DeadAction) {
        match typed(line) {
            Ok(Command::Dead { action, .. }) => assert_eq!(action, *wanted, "{line}"),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn verbs_ids_and_filters_are_understood_in_any_order() {
        let all = DeadFilter::default();
        let one = |id| DeadFilter { id: Some(id), ..DeadFilter::default() };
        let weather = DeadFilter {
            command: Some("!weather".into()),
            reason: Some(Reason::NotSent),
            limit: Some(3),
            ..DeadFilter::default()
        };
        acts("dead", &DeadAction::List { filter: all.clone(), is_json: false });
        acts("dead --json list", &DeadAction::List { filter: all.clone(), is_json: true });
        acts("dead show 17.2 --text", &DeadAction::Show { id: DeadId::Reply(17, 2), has_text: true });
        acts(
            "dead --reason not-sent replay --command !weather --limit 3",
            &DeadAction::Replay(Chosen { filters: vec![weather], is_dry: false, is_sure: false }),
        );
        acts(
            "dead discard 18 17.2 18 --dry-run",
            &DeadAction::Discard(Chosen {
                filters: vec![one(DeadId::Event(18)), one(DeadId::Reply(17, 2))],
                is_dry: true,
                is_sure: false,
            }),
        );
        acts(
            "dead replay --all",
            &DeadAction::Replay(Chosen { filters: vec![all.clone()], is_dry: false, is_sure: false }),
        );
        acts(
            "dead export out.jsonl",
            &DeadAction::Export { file: Some("out.jsonl".into()), filter: all, has_text: false },
        );
        let cancel = Command::Jobs { journal: None, action: JobAction::Cancel { name: "17.1".into() } };
        assert_eq!(typed("jobs cancel 17.1"), Ok(cancel));
        let name = "schedule bot::sweep".to_owned();
        let cancel = Command::Jobs { journal: None, action: JobAction::Cancel { name } };
        assert_eq!(typed("jobs cancel schedule bot::sweep"), Ok(cancel));
    }

    #[test]
    fn nothing_is_changed_without_a_selection() {
        for (line, says) in [
            ("dead replay", "replay what? Give IDs, `--all`, or a filter"),
            ("dead discard --dry-run", "discard what? Give IDs, `--all`, or a filter"),
            ("dead discard --limit 5", "discard what? Give IDs, `--all`, or a filter"),
            ("dead discard 17 --all", "one of the three"),
            ("dead discard --all --reason failed", "one of the three"),
            ("dead replay 17 --limit 1", "`--limit` goes with `--all` or a filter"),
            ("dead replay x", "`x` is no ID: write `17` for an event, `17.2` for a reply"),
            ("dead list --text", "`--text` does not go with `evenkeel dead list`"),
            ("dead --jsn", "there is no option `--jsn`: did you mean `--json`?"),
            ("dead reply 17", "there is no command `dead reply`: did you mean `evenkeel dead replay`?"),
            ("dead --reason faild", "there is no reason `faild`: did you mean `failed`?"),
            ("dead --limit 0", "`0` is no number of dead letters"),
            ("dead show", "which one? Type `evenkeel dead show ID`"),
            ("dead show 1 2", "`2` is one word too many"),
            ("jobs cancel", "which job? Type `evenkeel jobs cancel NAME`"),
            ("jobs cancel a --json", "`--json` does not go with `evenkeel jobs cancel`"),
        ] {
            match typed(line) {
                Err(Misuse(said)) => assert!(said.starts_with(says) || said.contains(says), "{line}: {said}"),
                Ok(other) => panic!("{line}: {other:?}"),
            }
        }
    }
}
