//! The disk under the bot's journal: a preloaded library keeps an image of what was synced.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Bot, Plan, Trouble};
use crate::preload;
use crate::random::Random;

/// The same that the tests of the journal use.
const SHIM: &str = include_str!("../../../evenkeel/tests/journal/shim.c");

/// What a power cut tears a file into.
const SECTOR: usize = 512;

/// A folder for a journal, and one for what a power cut leaves of it.
pub(super) struct Disk {
    trouble: Trouble,
    /// Whether what was not synced may reach the disk in parts.
    writes_back: bool,
    data: PathBuf,
    synced: PathBuf,
    shim: PathBuf,
    /// Made by the library when the disk is full.
    full: PathBuf,
}

impl Disk {
    /// Makes both in `folder`, and compiles the library if it is needed.
    pub(super) fn new(folder: &Path, plan: &Plan) -> io::Result<Self> {
        let trouble = plan.trouble;
        // The steady bot cannot tell half of a row from a whole one.
        let writes_back = trouble == Trouble::Power && plan.bot == Bot::Evenkeel;
        // As the library reads it of an open file.
        let folder = folder.canonicalize()?;
        let [data, synced, shim, full] = ["data", "synced", "shim.so", "full"].map(|name| folder.join(name));
        fs::create_dir_all(&data)?;
        fs::create_dir_all(&synced)?;
        if matches!(trouble, Trouble::Power | Trouble::Lie | Trouble::Full) {
            preload::compile(SHIM, &shim)?;
        }
        Ok(Self { trouble, writes_back, data, synced, shim, full })
    }

    pub(super) fn journal(&self) -> PathBuf {
        self.data.join("journal.db")
    }

    /// The environment of a bot on this disk; the last one has nothing more to fear but the power.
    pub(super) fn settings(&self, is_last: bool, random: &mut Random) -> Vec<(&'static str, OsString)> {
        let text = |number: u64| OsString::from(number.to_string());
        let preload = [("LD_PRELOAD", self.shim.clone().into()), ("SHIM_FOLDER", self.data.clone().into())];
        let synced = ("SHIM_SYNCED", self.synced.clone().into());
        let more = match self.trouble {
            Trouble::Kill | Trouble::Abort => return Vec::new(),
            Trouble::Full if is_last => return Vec::new(),
            Trouble::Power => vec![synced],
            Trouble::Lie => vec![synced, ("SHIM_HOW", "lie".into())],
            // Enough to start with.
            Trouble::Full => {
                let room = 200_000 + random.below(1_000_000);
                vec![
                    ("SHIM_MET", self.full.clone().into()),
                    ("SHIM_ROOM", text(room)),
                    ("SHIM_FULL", text(1 + random.below(3))),
                ]
            }
        };
        preload.into_iter().chain(more).collect()
    }

    /// Whether the disk was full since this was asked last.
    pub(super) fn was_full(&self) -> bool {
        fs::remove_file(&self.full).is_ok()
    }

    /// Whether the end of a process is a power cut.
    pub(super) fn has_cuts(&self) -> bool {
        matches!(self.trouble, Trouble::Power | Trouble::Lie)
    }

    /// Cuts the power: what was not synced is gone, or was written back in part.
    pub(super) fn cut(&self, random: &mut Random) -> io::Result<()> {
        if self.writes_back && random.below(2) == 0 {
            let share = 1 + random.below(9);
            self.write_back(|| random.below(10) < share)?;
        }
        fs::remove_dir_all(&self.data)?;
        fs::create_dir_all(&self.data)?;
        for image in fs::read_dir(&self.synced)? {
            let image = image?;
            fs::copy(image.path(), self.data.join(image.file_name()))?;
        }
        Ok(())
    }

    /// A system writes back when it likes, and a sector at a time.
    fn write_back(&self, mut reaches: impl FnMut() -> bool) -> io::Result<()> {
        for image in fs::read_dir(&self.synced)? {
            let image = image?;
            let Ok(data) = fs::read(self.data.join(image.file_name())) else { continue };
            let mut bytes = fs::read(image.path())?;
            bytes.resize(bytes.len().max(data.len()), 0);
            for (to, from) in bytes.chunks_mut(SECTOR).zip(data.chunks(SECTOR)) {
                if let Some(to) = to.get_mut(..from.len())
                    && *to != *from
                    && reaches()
                {
                    to.copy_from_slice(from);
                }
            }
            fs::write(image.path(), bytes)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_cut_leaves_what_was_synced() {
        let folder = std::env::temp_dir().join(format!("evenkeel-cut-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let disk =
            Disk::new(&folder, &Plan { trouble: Trouble::Lie, ..Plan::default() }).expect("`cc` is there");
        fs::write(disk.journal(), "not synced").expect("written");
        disk.cut(&mut Random(1)).expect("cut");
        assert!(!disk.journal().exists());
        fs::write(disk.synced.join("journal.db"), "synced").expect("written");
        disk.cut(&mut Random(1)).expect("cut");
        assert_eq!(fs::read_to_string(disk.journal()).expect("read"), "synced");
        fs::remove_dir_all(folder).expect("removed");
    }
}
