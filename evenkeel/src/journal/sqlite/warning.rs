//! What speaks against a place in which a journal is kept all the same.

use std::path::{Path, PathBuf};

use super::SqliteOptions;
use crate::sqlite::disk::{self, Kind};
use crate::sqlite::lock::beside;
use crate::sqlite::open::Location;

/// With less room than this, an operator should know: what a busy bot writes in minutes.
const LITTLE_BYTES: u64 = 64 << 20;

/// What an operator should know of the place of a journal: each is a line in the log at the start.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Warning {
    /// What is so, and what follows from it.
    pub text: String,
    /// What to do about it.
    pub fix: String,
    /// Whether a bot can do nothing there until it is mended.
    pub is_grave: bool,
}

impl SqliteOptions {
    /// What speaks against this place of a journal, whether there is a file or not. Looks, and changes nothing.
    pub fn warnings(&self, path: impl Into<PathBuf>) -> Vec<Warning> {
        of(&self.place(path.into()))
    }
}

pub(super) fn of(place: &Location) -> Vec<Warning> {
    let path = &place.path;
    // Of an encrypted file, everybody may read what nobody can.
    let readers = if place.key.is_none() { on_readers(path) } else { None };
    let room = on_room(path, disk::room(path));
    [on_kind(path, disk::kind_of(path)), room, readers].into_iter().flatten().collect()
}

fn on_room(path: &Path, room: Option<u64>) -> Option<Warning> {
    let (shown, bytes) = (path.display(), room.filter(|bytes| *bytes < LITTLE_BYTES)?);
    let is_grave = bytes < disk::LEAST_BYTES;
    let text = match bytes >> 20 {
        _ if is_grave => {
            format!("the disk of the journal {shown} is full: nothing is accepted and nothing is sent")
        }
        0 => format!("the disk of the journal {shown} has less than 1 MiB left"),
        left => format!("the disk of the journal {shown} has only {left} MiB left"),
    };
    let fix = if is_grave {
        "make room on it"
    } else {
        "make room on it: on a full disk nothing is accepted and nothing is sent"
    };
    Some(Warning { text, fix: fix.to_owned(), is_grave })
}

/// A group may be let in on purpose; everybody is so by the usual mode of new files.
fn on_readers(path: &Path) -> Option<Warning> {
    let files = [path.to_owned(), beside(path, "-wal")].into_iter().filter(|file| disk::is_open_to_all(file));
    let files: Vec<_> = files.map(|file| quoted(&file)).collect();
    let mode = format!("`chmod o-rwx {}`", files.join(" "));
    let fix = if disk::has_modes(path) { mode } else { modeless(&mode) };
    (!files.is_empty()).then(|| Warning {
        text: format!(
            "everybody on this computer may read the journal {}, and what people wrote in it",
            path.display()
        ),
        fix,
        is_grave: false,
    })
}

/// On the file systems of other systems the mode of a file is that of the mount.
fn modeless(mode: &str) -> String {
    format!(
        "{mode}; where that has no effect, as on vfat and exfat, set `EVENKEEL_JOURNAL` to a file on another disk, or mount \
         this one for the bot's user alone, with `umask=0077,uid=`"
    )
}

/// As a shell reads it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-".contains(letter);
    if text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

fn on_kind(path: &Path, kind: Kind) -> Option<Warning> {
    let shown = path.display();
    let (text, fix) = match kind {
        Kind::Perhaps(name) => (
            format!(
                "the journal {shown} is on {name}: if that goes over a network, a lock or a sync may be a lie"
            ),
            "set `EVENKEEL_JOURNAL` to a file on a local disk, unless this one is local",
        ),
        Kind::Memory(name) => (
            format!("the journal {shown} is on {name}, in memory: a reboot and a power cut lose all of it"),
            "set `EVENKEEL_JOURNAL` to a file on a disk",
        ),
        Kind::Local | Kind::Network(_) | Kind::Unreal(_) => return None,
    };
    Some(Warning { text, fix: fix.to_owned(), is_grave: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_in_memory_or_of_a_program_is_warned_of() {
        let of = |magic| on_kind(Path::new("bot/evenkeel.db"), disk::kind(magic));
        let warning = of(0x0102_1994).unwrap();
        assert!(
            warning.text.starts_with("the journal bot/evenkeel.db is on tmpfs, in memory"),
            "{warning:?}"
        );
        assert!(warning.fix.contains("`EVENKEEL_JOURNAL`"), "{warning:?}");
        assert!(of(0x8584_58f6).is_some_and(|warning| warning.text.contains("on ramfs, in memory")));
        assert!(of(0x6573_5546).is_some_and(|warning| warning.text.contains("on FUSE: ")));
        assert_eq!(of(0xef53), None);
    }

    #[test]
    fn little_room_is_warned_of_and_none_is_grave() {
        let of =
            |bytes| on_room(Path::new("evenkeel.db"), bytes).map(|warning| (warning.text, warning.is_grave));
        let disk = "the disk of the journal evenkeel.db";
        let full = format!("{disk} is full: nothing is accepted and nothing is sent");
        assert_eq!(of(Some(0)), Some((full.clone(), true)));
        assert_eq!(of(Some(disk::LEAST_BYTES - 1)), Some((full, true)));
        assert_eq!(of(Some(disk::LEAST_BYTES)), Some((format!("{disk} has less than 1 MiB left"), false)));
        assert_eq!(of(Some(LITTLE_BYTES - 1)), Some((format!("{disk} has only 63 MiB left"), false)));
        assert_eq!((of(Some(LITTLE_BYTES)), of(None)), (None, None));
    }

    #[test]
    fn a_command_names_a_file_as_a_shell_reads_it() {
        let quoted = |path| quoted(Path::new(path));
        assert_eq!(quoted("/var/lib/bot-1/evenkeel.db"), "/var/lib/bot-1/evenkeel.db");
        assert_eq!(quoted("my bot's.db"), r"'my bot'\''s.db'");
    }

    /// The devices lie in memory wherever Linux runs.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_journal_in_memory_is_not_said_to_be_on_the_disk() {
        let (options, path) = (SqliteOptions::new(), "/dev/no such folder/evenkeel.db");
        assert_eq!(options.durability(path), options.durability(path).with_file_in_memory());
        let warnings = options.warnings(path);
        assert!(warnings.iter().any(|warning| warning.text.contains("in memory")), "{warnings:?}");
    }
}
