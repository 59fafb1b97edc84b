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

    fn take_within(path: &Path, mut tries: u32) -> Result<Option<Self>> {
        let side = beside(path, ".lock");
        loop {
            let (file, is_new) = open(&side, path).map_err(|error| unopened(&side, &error))?;
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
            // Anyone who was refused meanwhile may have taken it away: then it keeps nobody out.
            if disk::identity(&side) == disk::identity_of(&file) || tries == 0 {
                return Ok(Some(Self { file, side, is_new }));
            }
            tries -= 1;
        }
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
