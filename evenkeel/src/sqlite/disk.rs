//! Which file systems a journal may lie on, and what one says that takes no more.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::Path;

use crate::error::{Error, Result};

/// What is known of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing is said against it.
    Local,
    /// A lock or a sync is not to be trusted.
    Network(&'static str),
    /// A program serves it, which may do so over a network.
    Perhaps(&'static str),
    /// What lies there is gone with the next start of the system.
    Memory(&'static str),
    /// What lies there is made up by the system.
    Unreal(&'static str),
}

/// What SQLite takes at once when it opens a journal that was closed: the index of the log, and a few pages.
pub(crate) const LEAST_BYTES: u64 = 64 << 10;

/// Refuses a file on a network, and where no file can be.
pub(crate) fn check(path: &Path) -> Result<()> {
    judge(path, kind_of(path))
}

fn judge(path: &Path, kind: Kind) -> Result<()> {
    let shown = path.display();
    if let Kind::Unreal(name) = kind {
        return Err(Error::config(format!("the journal {shown} would be on {name}, which keeps no files"))
            .with_hint("set `EVENKEEL_JOURNAL` to a file on a local disk"));
    }
    let Kind::Network(name) = kind else { return Ok(()) };
    Err(Error::config(format!("the journal {shown} would be on a network file system ({name})")).with_hint(
        "set `EVENKEEL_JOURNAL` to a file on a local disk: over a network, a lock or a sync may be a lie",
    ))
}

/// On which kind of file system this file lies, or would lie.
#[cfg(target_os = "linux")]
pub(crate) fn kind_of(path: &Path) -> Kind {
    magic_of(path).map_or(Kind::Local, kind)
}

/// Looks at the file, or at the nearest folder above it that is there.
#[cfg(target_os = "linux")]
fn magic_of(path: &Path) -> Option<u32> {
    let system = nearest(path, |at| rustix::fs::statfs(at).ok())?;
    // The width and sign of `f_type` differ between architectures; the magic numbers have 32 bits.
    u32::try_from(i128::from(system.f_type) & 0xffff_ffff).ok()
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn kind_of(_: &Path) -> Kind {
    Kind::Local
}

#[cfg(target_os = "linux")]
fn nearest<T>(path: &Path, look: impl FnMut(&Path) -> Option<T>) -> Option<T> {
    std::path::absolute(path).ok()?.ancestors().find_map(look)
}

/// Whether there is hardly room for anything where this file lies.
pub(crate) fn is_full(path: &Path) -> bool {
    room(path).is_some_and(|bytes| bytes < LEAST_BYTES) || is_at_limit(path)
}

/// Whether a file of the journal has reached the size that the process may give a file: SQLite says no more of it than that
/// it could not write.
#[cfg(target_os = "linux")]
pub(crate) fn is_at_limit(path: &Path) -> bool {
    let Some(limit) = rustix::process::getrlimit(rustix::process::Resource::Fsize).current else {
        return false;
    };
    ["", "-wal", "-shm"].iter().any(|ending| {
        let mut file = path.as_os_str().to_owned();
        file.push(ending);
        std::fs::metadata(file).is_ok_and(|file| file.len().saturating_add(LEAST_BYTES) > limit)
    })
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn is_at_limit(_: &Path) -> bool {
    false
}

/// How many bytes there is room for where this file lies, or would lie; `None` where there is no end of it, or nobody says.
#[cfg(target_os = "linux")]
pub(crate) fn room(path: &Path) -> Option<u64> {
    let system = nearest(path, |at| rustix::fs::statvfs(at).ok())?;
    // A file system that counts no blocks or no files has no end of them.
    if system.f_files > 0 && system.f_favail == 0 {
        return Some(0);
    }
    (system.f_blocks > 0).then(|| system.f_bavail.saturating_mul(system.f_frsize))
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn room(_: &Path) -> Option<u64> {
    None
}

/// Whether a file could be made in a folder that is there, as far as one can know without making one.
#[cfg(target_os = "linux")]
pub(crate) fn check_folder(folder: &Path) -> io::Result<()> {
    use rustix::fs::Access;
    Ok(rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK)?)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn check_folder(folder: &Path) -> io::Result<()> {
    std::fs::metadata(folder).map(drop)
}

/// What to do about a file of the journal that cannot be opened or made.
pub(crate) fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::IsADirectory => "this is a folder: name a file in it, for example `evenkeel.db`",
        ErrorKind::NotADirectory => "a part of the path is a file and no folder: name another file",
        ErrorKind::ReadOnlyFilesystem => {
            "the file system can only be read: name a file on one that can be written"
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "make room on the disk, then start again",
        ErrorKind::PermissionDenied => {
            "the bot has to write there: mend the permissions of the file and its folder, or name another file"
        }
        _ => "name another file for the journal, or look at the disk and its messages in the system's log",
    }
}

/// Knows a file system by its magic number (linux/magic.h, and the sources of each).
#[cfg(any(target_os = "linux", test))]
pub(crate) fn kind(magic: u32) -> Kind {
    Kind::Network(match magic {
        0x0000_6969 => "NFS",
        0x0000_517b => "SMB",
        0xff53_4d42 => "CIFS",
        0xfe53_4d42 => "SMB2",
        0x0102_1997 => "9p",
        0x5346_414f | 0x6b41_4653 => "AFS",
        0x7375_7245 => "Coda",
        0x00c3_6400 => "Ceph",
        0x0000_564c => "NCP",
        0x0bd0_0bd0 => "Lustre",
        0x786f_4256 => "a shared folder of VirtualBox",
        0x6573_5546 => return Kind::Perhaps("FUSE"),
        0x0102_1994 => return Kind::Memory("tmpfs"),
        0x8584_58f6 => return Kind::Memory("ramfs"),
        0x9fa0 => return Kind::Unreal("proc"),
        0x6265_6572 => return Kind::Unreal("sysfs"),
        0x6367_7270 => return Kind::Unreal("cgroup2"),
        _ => return Kind::Local,
    })
}

/// Makes a file for its owner alone, or with the mode of another that is there: as SQLite makes what lies beside its file.
pub(crate) fn make(path: &Path, like: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    if cfg!(unix)
        && let Ok(data) = std::fs::metadata(like)
    {
        // Where there are no modes, there is nothing to keep.
        let _ = file.set_permissions(data.permissions());
    }
    Ok(file)
}

/// Whether everybody on this computer may read this file, or write it.
#[cfg(unix)]
pub(crate) fn is_open_to_all(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).is_ok_and(|data| data.mode() & 0o006 != 0)
}

#[cfg(not(unix))]
pub(crate) fn is_open_to_all(_: &Path) -> bool {
    false
}

/// Opens a file that was looked at before, without waiting: a pipe or a link may have taken its name since.
pub(crate) fn open_plain(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::OFlags;
        let flags = (OFlags::NONBLOCK | OFlags::NOFOLLOW).bits();
        std::os::unix::fs::OpenOptionsExt::custom_flags(options, flags.cast_signed());
    }
    let file = options.open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no plain file")) }
}

/// Why a file is not to be trusted with what people write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Distrust {
    /// It leads elsewhere.
    Link,
    /// It is a folder, a pipe or a device, and keeps nothing.
    NoFile,
    /// Its owner, and the user that this process runs as.
    Owner(u32, u32),
    /// Everybody may write it.
    Writable,
}

impl std::fmt::Display for Distrust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Link => f.write_str("is a link, which may lead anywhere"),
            Self::NoFile => f.write_str("is no plain file, and the journal keeps one there"),
            Self::Owner(owner, own) => {
                write!(f, "belongs to another user (uid {owner}, and the bot is {own})")
            }
            Self::Writable => f.write_str("can be written by everybody on this computer"),
        }
    }
}

impl Distrust {
    pub(crate) fn advice(self, file: &Path) -> String {
        let shown = file.display();
        match self {
            Self::Link => format!("remove it, if no bot runs: `rm {shown}`"),
            Self::NoFile => format!("move it away, if no bot runs: `mv {shown} {shown}.moved`"),
            // To give a file of the bot's to root would lock the bot out.
            Self::Owner(owner, 0) => {
                format!(
                    "run this as the user of the bot, for example with `sudo -u '#{owner}'`, or name another file"
                )
            }
            Self::Owner(_, own) => {
                format!(
                    "run the bot as that user, name another file, or if what is in it is yours: `chown {own} {shown}`"
                )
            }
            Self::Writable => {
                format!("name another file, or if what is in it is yours: `chmod o-rwx {shown}`")
            }
        }
    }
}

/// Looks at a file that may be there, without following a link.
pub(crate) fn distrust(path: &Path) -> Option<Distrust> {
    let data = std::fs::symlink_metadata(path).ok()?;
    if data.is_symlink() {
        return Some(Distrust::Link);
    }
    if !data.is_file() {
        return Some(Distrust::NoFile);
    }
    // What nobody can mend would be refused for ever: of that, an operator is warned.
    if has_modes(path) { distrust_mode(&data) } else { None }
}

#[cfg(unix)]
fn distrust_mode(data: &Metadata) -> Option<Distrust> {
    use std::os::unix::fs::MetadataExt;
    #[cfg(target_os = "linux")]
    if data.uid() != rustix::process::geteuid().as_raw() {
        return Some(Distrust::Owner(data.uid(), rustix::process::geteuid().as_raw()));
    }
    (data.mode() & 0o002 != 0).then_some(Distrust::Writable)
}

#[cfg(not(unix))]
fn distrust_mode(_: &Metadata) -> Option<Distrust> {
    None
}

/// Whether `chmod` and `chown` have an effect where this file lies, or would lie.
#[cfg(target_os = "linux")]
pub(crate) fn has_modes(path: &Path) -> bool {
    magic_of(path).is_none_or(keeps_modes)
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn has_modes(_: &Path) -> bool {
    cfg!(unix)
}

/// File systems of other systems give all their files one owner and one mode, as they were mounted (linux/magic.h, and the
/// sources of each). Of those that a program serves, nobody knows.
#[cfg(any(target_os = "linux", test))]
fn keeps_modes(magic: u32) -> bool {
    const VFAT: u32 = 0x4d44;
    const EXFAT: u32 = 0x2011_bab0;
    const NTFS3: u32 = 0x7366_746e;
    const FUSE: u32 = 0x6573_5546;
    ![VFAT, EXFAT, NTFS3, FUSE].contains(&magic)
}

/// How many names a file has that is there.
#[cfg(unix)]
pub(crate) fn count_names(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).map_or(1, |data| data.nlink())
}

#[cfg(not(unix))]
pub(crate) fn count_names(_: &Path) -> u64 {
    1
}

/// Whether something is mounted at this very path, and not only above it; an old system does not say.
#[cfg(target_os = "linux")]
pub(crate) fn is_mount(path: &Path) -> bool {
    use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};
    let found = statx(CWD, path, AtFlags::empty(), StatxFlags::empty());
    found.is_ok_and(|found| found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn is_mount(_: &Path) -> bool {
    false
}

/// Tells files apart that have the same name, one after the other.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Identity(u64, u64);

/// Which file has this name; `None` if there is none, or where files are not numbered.
#[cfg(unix)]
pub(crate) fn identity(path: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).ok().map(|data| Identity(data.dev(), data.ino()))
}

/// Which file this is.
#[cfg(unix)]
pub(crate) fn identity_of(file: &File) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;
    file.metadata().ok().map(|data| Identity(data.dev(), data.ino()))
}

#[cfg(not(unix))]
pub(crate) fn identity_of(_: &File) -> Option<Identity> {
    None
}

#[cfg(not(unix))]
pub(crate) fn identity(_: &Path) -> Option<Identity> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_known_by_number() {
        assert_eq!(kind(0x6969), Kind::Network("NFS"));
        assert_eq!(kind(0xff53_4d42), Kind::Network("CIFS"));
        assert_eq!(kind(0x6573_5546), Kind::Perhaps("FUSE"));
        assert_eq!(kind(0x0102_1994), Kind::Memory("tmpfs"));
        assert_eq!(kind(0x8584_58f6), Kind::Memory("ramfs"));
        for (magic, name) in [(0xef53, "ext4"), (0x794c_7630, "overlayfs"), (0x5846_5342, "xfs")] {
            assert_eq!(kind(magic), Kind::Local, "{name}");
        }
    }

    #[test]
    fn where_chmod_has_no_effect_modes_are_not_asked_for() {
        for (magic, name) in
            [(0x4d44, "vfat"), (0x2011_bab0, "exfat"), (0x7366_746e, "ntfs3"), (0x6573_5546, "fuseblk")]
        {
            assert!(!keeps_modes(magic), "{name}");
        }
        for (magic, name) in [(0xef53, "ext4"), (0x0102_1994, "tmpfs"), (0x9123_683e, "btrfs")] {
            assert!(keeps_modes(magic), "{name}");
        }
    }

    #[test]
    fn a_network_is_refused_in_one_line_that_says_what_to_do() {
        let path = Path::new("/net/bot/evenkeel.db");
        let error = judge(path, kind(0x6969)).unwrap_err();
        let line = "the journal /net/bot/evenkeel.db would be on a network file system (NFS)";
        assert_eq!(error.to_string(), line);
        assert!(error.hint().is_some_and(|hint| hint.contains("`EVENKEEL_JOURNAL`")), "{error:?}");
        assert!(judge(path, kind(0xef53)).is_ok() && judge(path, kind(0x6573_5546)).is_ok());
    }

    #[test]
    fn where_no_file_can_be_is_refused_before_anything_is_tried() {
        let error = judge(Path::new("/proc/evenkeel.db"), kind(0x9fa0)).unwrap_err();
        assert_eq!(error.to_string(), "the journal /proc/evenkeel.db would be on proc, which keeps no files");
        assert!(error.hint().is_some());
    }

    #[test]
    fn the_advice_fits_the_error() {
        for (kind, part) in [
            (ErrorKind::IsADirectory, "name a file in it"),
            (ErrorKind::NotADirectory, "no folder"),
            (ErrorKind::ReadOnlyFilesystem, "can only be read"),
            (ErrorKind::StorageFull, "make room"),
            (ErrorKind::QuotaExceeded, "make room"),
            (ErrorKind::PermissionDenied, "mend the permissions"),
            (ErrorKind::Other, "look at the disk"),
        ] {
            let advice = advice(&io::Error::from(kind));
            assert!(advice.contains(part), "{kind:?}: {advice}");
            assert_eq!(advice.contains("permission"), kind == ErrorKind::PermissionDenied, "{advice}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn room_is_that_of_the_folder_above_and_what_is_made_up_has_no_end() {
        assert_eq!(room(Path::new("/proc/no/such/folder/evenkeel.db")), None);
        assert!(room(Path::new("no such folder/evenkeel.db")).is_some_and(|bytes| bytes > 0));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_mounted_is_told_from_what_lies_in_it() {
        assert!(is_mount(Path::new("/proc")));
        assert!(!is_mount(Path::new("/proc/version")) && !is_mount(Path::new("/proc/no such file")));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_folder_that_is_not_there_yet_lies_where_the_one_above_it_does() {
        assert_eq!(magic_of(Path::new("/proc/no/such/folder/evenkeel.db")), Some(0x9fa0));
        assert!(check(Path::new("evenkeel.db")).is_ok());
    }
}
