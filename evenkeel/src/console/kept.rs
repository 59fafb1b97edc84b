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
    file.take(1 << 10).read_to_string(&mut text).map_err(|error| unusable(path, &error.to_string()))?;
    let mut lines = text.lines();
    let token =
        lines.next().and_then(Token::read).ok_or_else(|| unusable(path, "there is no token in it"))?;
    Ok(Some(Kept { token, address: lines.next().and_then(|address| address.parse().ok()) }))
}

/// Puts the file in place, whole: whatever has its name, a link for instance, is replaced and not written through.
pub(super) fn write(path: &Path, kept: &Kept) -> Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    // Left by a process that ended in between, or put there by somebody.
    let _missing = fs::remove_file(&new);
    let address = kept.address.map(|address| address.to_string()).unwrap_or_default();
    let written = own(&new).and_then(|mut file| {
        file.write_all(format!("{}\n{address}\n", kept.token.text()).as_bytes())?;
        file.sync_all()
    });
    written.and_then(|()| fs::rename(&new, path)).map_err(|error| {
        let _missing = fs::remove_file(&new);
        unusable(path, &error.to_string())
    })
}

/// A bot without a console has no address: another program may listen there by now.
pub(super) fn forget_address(path: &Path) -> Result<()> {
    match read(path) {
        Ok(Some(Kept { token, address: Some(_) })) => write(path, &Kept { token, address: None }),
        _ => Ok(()),
    }
}

/// Makes a file for its owner alone; one that is there is an error.
fn own(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Opens the file if it is there, is a plain one, and is for its owner alone.
fn open(path: &Path) -> Result<Option<File>> {
    let named = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        named => named.map_err(|error| unusable(path, &error.to_string()))?,
    };
    // Before it is opened: a link would be followed, and a pipe would wait for somebody to write.
    if !named.is_file() {
        return Err(unusable(path, "it is no plain file"));
    }
    let file = File::open(path).map_err(|error| unusable(path, &error.to_string()))?;
    let opened = file.metadata().map_err(|error| unusable(path, &error.to_string()))?;
    match doubt(&named, &opened) {
        Some(why) => Err(unusable(path, why)),
        None => Ok(Some(file)),
    }
}

/// Why the file may be somebody else's, if it may.
#[cfg(unix)]
fn doubt(named: &Metadata, opened: &Metadata) -> Option<&'static str> {
    use std::os::unix::fs::MetadataExt;
    if (named.dev(), named.ino()) != (opened.dev(), opened.ino()) {
        return Some("it was exchanged while it was opened");
    }
    if opened.mode() & 0o077 != 0 {
        return Some("others on this computer may read or write it");
    }
    if opened.nlink() != 1 {
        return Some("it has another name (a hard link)");
    }
    #[cfg(target_os = "linux")]
    if opened.uid() != rustix::process::geteuid().as_raw() {
        return Some("it belongs to another account");
    }
    None
}

#[cfg(not(unix))]
fn doubt(_: &Metadata, _: &Metadata) -> Option<&'static str> {
    None
}

fn unusable(path: &Path, why: &str) -> Error {
    let shown = path.display();
    Error::new(format!("{shown}, which holds the token of the console, cannot be used: {why}"))
        .with_hint(format!("take it away with `rm {shown}` and start the bot again: it makes a new one"))
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
            assert!(error.hint().is_some_and(|hint| hint.contains("rm ")), "{what}: {error}");
            let own = kept();
            write(&path, &own).unwrap();
            assert_eq!((read(&path).unwrap(), mode(&path)), (Some(own), 0o600), "{what}");
            assert_eq!(fs::read(&elsewhere).unwrap(), before, "{what}");
            assert!(!folder.join("nothing").exists(), "{what}");
        }
        fs::remove_dir_all(&folder).unwrap();
    }
}
