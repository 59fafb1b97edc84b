//! What is kept of a console in a file beside the journal: its token, and where it listens.
//!
//! The token outlives a restart, so that a printed address stays good, and `evenkeel console` finds it. The file
//! protects what the journal's mode does: it is for its owner alone, and one that is not is not believed.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::token::Token;
use crate::error::{Error, Result};

/// The token and, while there is a console, its address: one line for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) token: Token,
    pub(super) address: Option<SocketAddr>,
}

/// The file that belongs to a journal.
pub(super) fn beside(journal: &Path) -> PathBuf {
    // What lies beside a journal lies beside the file itself.
    let journal = fs::canonicalize(journal).unwrap_or_else(|_| journal.to_owned());
    let mut name = journal.into_os_string();
    name.push(".console");
    name.into()
}

/// What the file says; `None` where there is none.
///
/// # Errors
///
/// When it cannot be read, or may be somebody else's: then nothing in it is to be used.
pub(super) fn read(path: &Path) -> Result<Option<Kept>> {
    let Some(file) = open(path)? else { return Ok(None) };
    let mut text = String::new();
    let read = file.take(1 << 10).read_to_string(&mut text);
    read.map_err(|error| unusable(path, &error.to_string()).with_hint(AGAIN))?;
    let mut lines = text.lines();
    let token = lines.next().and_then(Token::read);
    let token = token.ok_or_else(|| unusable(path, "there is no token in it").with_hint(AGAIN))?;
    Ok(Some(Kept { token, address: lines.next().and_then(|address| address.parse().ok()) }))
}

/// Puts the file in place, whole: whatever has its name, a link for instance, is replaced and not written through.
pub(super) fn write(path: &Path, kept: &Kept) -> Result<()> {
    let new = draft(path);
    // Left by a process that ended in between, or put there by somebody.
    let _missing = fs::remove_file(&new);
    let address = kept.address.map(|address| address.to_string()).unwrap_or_default();
    let written = own(&new).and_then(|mut file| {
        file.write_all(format!("{}\n{address}\n", kept.token.text()).as_bytes())?;
        file.sync_all()
    });
    written.and_then(|()| fs::rename(&new, path)).map_err(|error| {
        let _missing = fs::remove_file(&new);
        unwritten(path, &error)
    })
}

fn draft(path: &Path) -> PathBuf {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    new.into()
}

/// A bot without a console has no address: another program may listen there by now.
pub(super) fn forget_address(path: &Path) -> Result<()> {
    match read(path) {
        Ok(Some(Kept { token, address: Some(_) })) => write(path, &Kept { token, address: None }),
        _ => Ok(()),
    }
}

/// Makes a file for its owner alone; one that is there is an error, and so is a file system that lets everybody in.
fn own(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    match doubt_mode(&file.metadata()?) {
        Some(_) => Err(std::io::Error::other("every file there is for others on this computer, too")),
        None => Ok(file),
    }
}

/// Opens the file if it is there, is a plain one, and is for its owner alone.
fn open(path: &Path) -> Result<Option<File>> {
    let unread = |error: std::io::Error| unusable(path, &error.to_string()).with_hint(AGAIN);
    let named = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        named => named.map_err(unread)?,
    };
    // Before it is opened: a link would be followed, and a pipe would wait for somebody to write.
    if !named.is_file() {
        let hint = if named.is_dir() { moved(path) } else { AGAIN.to_owned() };
        return Err(unusable(path, "it is no plain file").with_hint(hint));
    }
    if let Some(owner) = other_owner(&named) {
        return Err(unusable(path, "it belongs to another account").with_hint(foreign(owner)));
    }
    let file = open_now(path).map_err(unread)?;
    let opened = file.metadata().map_err(unread)?;
    match doubt(&named, &opened) {
        Some(why) => Err(unusable(path, why).with_hint(AGAIN)),
        None => Ok(Some(file)),
    }
}

/// Neither follows nor waits for what has taken the name since it was looked at.
fn open_now(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::OFlags;
        let flags = (OFlags::NONBLOCK | OFlags::NOFOLLOW).bits();
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, flags.cast_signed());
    }
    options.open(path)
}

/// Why the file may be somebody else's, if it may.
#[cfg(unix)]
fn doubt(named: &Metadata, opened: &Metadata) -> Option<&'static str> {
    use std::os::unix::fs::MetadataExt;
    if (named.dev(), named.ino()) != (opened.dev(), opened.ino()) {
        return Some("it was exchanged while it was opened");
    }
    if opened.nlink() != 1 {
        return Some("it has another name (a hard link)");
    }
    doubt_mode(opened)
}

#[cfg(not(unix))]
fn doubt(_: &Metadata, _: &Metadata) -> Option<&'static str> {
    None
}

#[cfg(unix)]
fn doubt_mode(data: &Metadata) -> Option<&'static str> {
    use std::os::unix::fs::MetadataExt;
    (data.mode() & 0o077 != 0).then_some("others on this computer may read or write it")
}

#[cfg(not(unix))]
fn doubt_mode(_: &Metadata) -> Option<&'static str> {
    None
}

/// Whose the file is, if it is not this process's.
#[cfg(target_os = "linux")]
fn other_owner(data: &Metadata) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    (data.uid() != rustix::process::geteuid().as_raw()).then(|| data.uid())
}

#[cfg(not(target_os = "linux"))]
fn other_owner(_: &Metadata) -> Option<u32> {
    None
}

/// The bot puts a new file in the place of whatever it does not believe; nobody has to take anything away for that.
const AGAIN: &str = "start the bot again: it puts a new one in its place";

/// What belongs to the bot's user is not to be deleted by root, and not by anybody who looks.
fn foreign(owner: u32) -> String {
    format!(
        "run this as the user of the bot: `sudo -u '#{owner}' evenkeel console`; if no bot runs there as that user any more, \
         the next start of the bot puts a new one in its place"
    )
}

fn moved(path: &Path) -> String {
    let shown = path.display();
    format!("move it away with `mv {shown} {shown}.moved`, then start the bot again")
}

fn unwritten(path: &Path, error: &std::io::Error) -> Error {
    let hint = match error.kind() {
        ErrorKind::IsADirectory => moved(path),
        ErrorKind::AlreadyExists => moved(&draft(path)),
        _ => "let the bot write files for its user alone in that folder, then start it again".to_owned(),
    };
    unusable(path, &error.to_string()).with_hint(hint)
}

fn unusable(path: &Path, why: &str) -> Error {
    Error::new(format!("{}, which holds the token of the console, cannot be used: {why}", path.display()))
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("evenkeel-console-{name}-{}", std::process::id()));
        let _missing = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn kept() -> Kept {
        Kept { token: Token::random().unwrap(), address: "127.0.0.1:4243".parse().ok() }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_written_is_for_its_owner_alone_and_read_again() {
        let folder = folder("kept");
        let path = beside(&folder.join("evenkeel.db"));
        assert_eq!(read(&path).unwrap(), None);
        let first = kept();
        write(&path, &first).unwrap();
        assert_eq!((read(&path).unwrap(), mode(&path)), (Some(first.clone()), 0o600));
        forget_address(&path).unwrap();
        assert_eq!(read(&path).unwrap(), Some(Kept { address: None, ..first }));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_file_that_may_be_somebody_elses_is_not_believed_and_not_written_through() {
        let folder = folder("planted");
        let (path, elsewhere) = (folder.join("evenkeel.db.console"), folder.join("elsewhere"));
        write(&elsewhere, &kept()).unwrap();
        let plant: [(&str, &dyn Fn()); 6] = [
            ("a link", &|| symlink(&elsewhere, &path).unwrap()),
            ("a link to nothing", &|| symlink(folder.join("nothing"), &path).unwrap()),
            ("another name", &|| fs::hard_link(&elsewhere, &path).unwrap()),
            ("one that all may read", &|| {
                write(&path, &kept()).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
            }),
            ("one that the group may write", &|| {
                write(&path, &kept()).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(0o620)).unwrap();
            }),
            ("one without a token", &|| {
                write(&path, &kept()).unwrap();
                fs::write(&path, b"\xff\xfe token\n").unwrap();
            }),
        ];
        let before = fs::read(&elsewhere).unwrap();
        for (what, plant) in plant {
            let _missing = fs::remove_file(&path);
            plant();
            let error = read(&path).unwrap_err();
            assert_eq!(error.hint(), Some(AGAIN), "{what}: {error}");
            let own = kept();
            write(&path, &own).unwrap();
            assert_eq!((read(&path).unwrap(), mode(&path)), (Some(own), 0o600), "{what}");
            assert_eq!(fs::read(&elsewhere).unwrap(), before, "{what}");
            assert!(!folder.join("nothing").exists(), "{what}");
        }
        fs::remove_dir_all(&folder).unwrap();
    }

    /// A pipe that takes the name is not waited for, and what root would delete is the bot's.
    #[test]
    fn nobody_is_told_to_delete_and_nobody_waits() {
        let folder = folder("advice");
        let path = folder.join("evenkeel.db.console");
        let fifo = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(fifo.success());
        assert_eq!(read(&path).unwrap_err().hint(), Some(AGAIN));
        if cfg!(target_os = "linux") {
            drop(open_now(&path).unwrap());
        }
        fs::remove_file(&path).unwrap();
        write(&path, &kept()).unwrap();
        // Only root may give a file away.
        if std::os::unix::fs::chown(&path, Some(65_534), None).is_ok() {
            let error = read(&path).unwrap_err();
            let hint = error.hint().unwrap();
            assert!(hint.contains("`sudo -u '#65534' evenkeel console`") && !hint.contains("rm "), "{hint}");
        }
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_folder_in_its_place_is_named_and_moved_away() {
        let folder = folder("in-place");
        for (taken, kind) in
            [("evenkeel.db.console", "Is a directory"), ("evenkeel.db.console.new", "exists")]
        {
            fs::create_dir(folder.join(taken)).unwrap();
            let error = write(&folder.join("evenkeel.db.console"), &kept()).unwrap_err();
            assert!(error.to_string().contains(kind), "{error}");
            let (hint, taken) = (error.hint().unwrap(), folder.join(taken));
            assert!(hint.contains(&format!("`mv {0} {0}.moved`", taken.display())), "{hint}");
            fs::remove_dir(&taken).unwrap();
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
