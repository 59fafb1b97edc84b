//! One process for one file.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::disk;
use crate::error::{Error, Result};

/// A process that ends, a child that has not yet become another program, and a command of the operator's hold the lock for a
/// moment: two seconds are waited.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(20);

/// Each time that the file was taken away before it could be locked, another start was refused in that moment. More of these in a row
/// are no chance.
const REPLACEMENTS: u32 = 100;

/// Held for as long as the journal is open. The system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Lock {
    /// The lock is held by holding the file.
    file: File,
    side: PathBuf,
    /// Whether it was not there before.
    is_new: bool,
}

impl Lock {
    pub(crate) fn take(path: &Path) -> Result<Self> {
        Self::take_within(path, TRIES)?.ok_or_else(|| {
            Error::config(format!("the journal {} is in use by another process", path.display()))
                .with_hint("stop the other bot, or give this one a file of its own")
        })
    }

    /// `None` where another process has it open.
    pub(crate) fn try_take(path: &Path) -> Result<Option<Self>> {
        Self::take_within(path, 0)
    }

    fn take_within(path: &Path, tries: u32) -> Result<Option<Self>> {
        let side = beside(path, ".lock");
        Self::take_opened(&side, tries, || open(&side, path))
    }

    /// Locks what is opened, and opens it anew for as long as that is not the file of this name any more.
    fn take_opened(
        side: &Path,
        mut tries: u32,
        mut open: impl FnMut() -> std::io::Result<(File, bool)>,
    ) -> Result<Option<Self>> {
        for _ in 0..REPLACEMENTS {
            let (file, is_new) = open().map_err(|error| unopened(side, &error))?;
            let mut taken = file.try_lock();
            while matches!(taken, Err(TryLockError::WouldBlock)) && tries > 0 {
                tries -= 1;
                std::thread::sleep(PAUSE);
                taken = file.try_lock();
            }
            match taken {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => {
                    return Err(Error::config(format!("cannot lock {}: {error}", side.display()))
                        .with_hint("the journal needs a local disk whose file system has locks"));
                }
            }
            // Anyone who was refused meanwhile may have taken it away: then it keeps nobody out, however often that was so.
            if disk::identity(side) == disk::identity_of(&file) {
                return Ok(Some(Self { file, side: side.to_owned(), is_new }));
            }
        }
        Err(Error::config(format!("{} is taken away each time that it is locked", side.display())).with_hint(
            "stop what removes or replaces it, perhaps a bot that is refused and started again and again",
        ))
    }

    /// Lets go of a journal that cannot be opened, and leaves nothing beside it that was not there before.
    pub(crate) fn withdraw(self) {
        // Only where another process sees that the file it waits for is gone.
        if self.is_new && disk::identity_of(&self.file).is_some() {
            let _ = std::fs::remove_file(&self.side);
        }
    }
}

/// The file, and whether it was made: with the mode of the journal, so that anyone who may open that may look at this.
fn open(side: &Path, journal: &Path) -> std::io::Result<(File, bool)> {
    match disk::make(side, journal) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        made => return Ok((made?, true)),
    }
    // Anyone who was refused may have taken it away in between.
    let mut options = OpenOptions::new();
    Ok((disk::open_plain(side, options.write(true).create(true).truncate(false))?, false))
}

/// Finds what would keep a process from taking the lock, other than a process that holds it; makes nothing.
pub(crate) fn check(path: &Path, folder: &Path) -> Result<()> {
    let side = beside(path, ".lock");
    let found = match disk::open_plain(&side, OpenOptions::new().write(true)) {
        Err(error) if error.kind() == ErrorKind::NotFound => disk::check_folder(folder),
        opened => opened.map(drop),
    };
    found.map_err(|error| unopened(&side, &error))
}

fn unopened(side: &Path, error: &std::io::Error) -> Error {
    Error::config(format!("cannot open {}: {error}", side.display())).with_hint(disk::advice(error))
}

/// Whether a journal is open in some process. Looking takes part in the lock for a moment, which a bot that starts outwaits.
pub(crate) fn is_held(path: &Path) -> bool {
    // Without that file, no process has ever opened the journal here.
    let opened = disk::open_plain(&beside(path, ".lock"), OpenOptions::new().read(true));
    let Ok(file) = opened else { return false };
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

/// A file with the same name and something after it.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that goes with the test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("evenkeel-lock-{}-{name}", std::process::id()));
            let _ = std::fs::remove_dir_all(&path);
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    /// A start that is refused takes the file away which another process has opened and not yet locked.
    fn orphan(path: &Path) -> (File, bool) {
        let refused = Lock::take(path).unwrap();
        let opened = open(&beside(path, ".lock"), path).unwrap();
        refused.withdraw();
        assert!(!beside(path, ".lock").exists());
        opened
    }

    #[test]
    fn a_file_that_was_taken_away_before_it_was_locked_is_no_lock() {
        let folder = Folder::new("orphan");
        let (path, side) = (folder.0.join("journal.db"), folder.0.join("journal.db.lock"));
        for tries in [0, 1] {
            let mut orphan = Some(orphan(&path));
            let owner = Lock::take(&path).unwrap();
            let mut opening = || orphan.take().map_or_else(|| open(&side, &path), Ok);
            let second = Lock::take_opened(&side, tries, &mut opening).unwrap();
            assert!(second.is_none(), "two owners");
            drop(owner);
            assert!(Lock::take_opened(&side, tries, &mut opening).unwrap().is_some(), "it is free again");
            std::fs::remove_file(&side).unwrap();
        }
    }

    #[test]
    fn a_lock_that_is_taken_away_each_time_is_an_error() {
        let folder = Folder::new("each-time");
        let path = folder.0.join("journal.db");
        let error = Lock::take_opened(&beside(&path, ".lock"), 0, || Ok(orphan(&path))).unwrap_err();
        assert!(error.to_string().contains("journal.db.lock is taken away each time"), "{error}");
        assert!(error.hint().is_some());
    }
}
