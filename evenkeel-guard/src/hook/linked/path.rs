//! Files by path, directories, and what makes a disk work.

use std::ffi::{c_char, c_int, c_uint, c_ulong, c_void};

use libc::{
    AT_FDCWD, AT_SYMLINK_NOFOLLOW, DIR, FILE, dev_t, gid_t, mode_t, off_t, timespec, timeval, uid_t, utimbuf,
};

use super::super::Class::File;
use super::look::{always, asks, when};

/// `stat` and its kin became functions of their own in glibc 2.33; the kernel has had this call for longer.
unsafe fn stat_at(fd: c_int, path: *const c_char, stat: *mut libc::stat, flags: c_int) -> c_int {
    // SAFETY: the caller of the libc function vouches for both pointers.
    let answer = unsafe { libc::syscall(libc::SYS_newfstatat, fd, path, stat, flags) };
    if answer == 0 { 0 } else { -1 }
}

/// Only the commands that wait: the rest of `fcntl` is bounded.
fn locks(command: c_int) -> bool {
    command == libc::F_SETLKW || command == libc::F_OFD_SETLKW
}

wrap! {
    open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int => always(File);
    open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int => always(File);
    openat(at: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int => always(File);
    openat64(at: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int => always(File);
    __open_2(path: *const c_char, flags: c_int) -> c_int => always(File);
    __open64_2(path: *const c_char, flags: c_int) -> c_int => always(File);
    __openat_2(at: c_int, path: *const c_char, flags: c_int) -> c_int => always(File);
    __openat64_2(at: c_int, path: *const c_char, flags: c_int) -> c_int => always(File);
    creat(path: *const c_char, mode: mode_t) -> c_int => always(File);
    creat64(path: *const c_char, mode: mode_t) -> c_int => always(File);
    fopen(path: *const c_char, mode: *const c_char) -> *mut FILE => always(File);
    fopen64(path: *const c_char, mode: *const c_char) -> *mut FILE => always(File);
    freopen(path: *const c_char, mode: *const c_char, stream: *mut FILE) -> *mut FILE => always(File);
    freopen64(path: *const c_char, mode: *const c_char, stream: *mut FILE) -> *mut FILE => always(File);
    mkstemp(pattern: *mut c_char) -> c_int => always(File);
    mkstemp64(pattern: *mut c_char) -> c_int => always(File);
    mkostemp(pattern: *mut c_char, flags: c_int) -> c_int => always(File);
    mkostemp64(pattern: *mut c_char, flags: c_int) -> c_int => always(File);
    mkstemps(pattern: *mut c_char, ending: c_int) -> c_int => always(File);
    mkstemps64(pattern: *mut c_char, ending: c_int) -> c_int => always(File);
    mkostemps(pattern: *mut c_char, ending: c_int, flags: c_int) -> c_int => always(File);
    mkostemps64(pattern: *mut c_char, ending: c_int, flags: c_int) -> c_int => always(File);
    mkdtemp(pattern: *mut c_char) -> *mut c_char => always(File);
    tmpfile() -> *mut FILE => always(File);
    tmpfile64() -> *mut FILE => always(File);

    statx(at: c_int, path: *const c_char, flags: c_int, mask: c_uint, about: *mut libc::statx) -> c_int
        => asks(path, flags), absent libc::syscall(libc::SYS_statx, at, path, flags, mask, about) as c_int;
    stat(path: *const c_char, about: *mut libc::stat) -> c_int
        => always(File), absent stat_at(AT_FDCWD, path, about, 0);
    stat64(path: *const c_char, about: *mut libc::stat) -> c_int
        => always(File), absent stat_at(AT_FDCWD, path, about, 0);
    lstat(path: *const c_char, about: *mut libc::stat) -> c_int
        => always(File), absent stat_at(AT_FDCWD, path, about, AT_SYMLINK_NOFOLLOW);
    lstat64(path: *const c_char, about: *mut libc::stat) -> c_int
        => always(File), absent stat_at(AT_FDCWD, path, about, AT_SYMLINK_NOFOLLOW);
    fstatat(at: c_int, path: *const c_char, about: *mut libc::stat, flags: c_int) -> c_int
        => asks(path, flags), absent stat_at(at, path, about, flags);
    fstatat64(at: c_int, path: *const c_char, about: *mut libc::stat, flags: c_int) -> c_int
        => asks(path, flags), absent stat_at(at, path, about, flags);
    __xstat(version: c_int, path: *const c_char, about: *mut libc::stat) -> c_int => always(File);
    __xstat64(version: c_int, path: *const c_char, about: *mut libc::stat) -> c_int => always(File);
    __lxstat(version: c_int, path: *const c_char, about: *mut libc::stat) -> c_int => always(File);
    __lxstat64(version: c_int, path: *const c_char, about: *mut libc::stat) -> c_int => always(File);
    __fxstatat(version: c_int, at: c_int, path: *const c_char, about: *mut libc::stat, flags: c_int) -> c_int
        => asks(path, flags);
    __fxstatat64(version: c_int, at: c_int, path: *const c_char, about: *mut libc::stat, flags: c_int) -> c_int
        => asks(path, flags);
    statfs(path: *const c_char, about: *mut libc::statfs) -> c_int => always(File);
    statfs64(path: *const c_char, about: *mut libc::statfs64) -> c_int => always(File);
    statvfs(path: *const c_char, about: *mut libc::statvfs) -> c_int => always(File);
    statvfs64(path: *const c_char, about: *mut libc::statvfs64) -> c_int => always(File);
    access(path: *const c_char, mode: c_int) -> c_int => always(File);
    euidaccess(path: *const c_char, mode: c_int) -> c_int => always(File);
    eaccess(path: *const c_char, mode: c_int) -> c_int => always(File);
    faccessat(at: c_int, path: *const c_char, mode: c_int, flags: c_int) -> c_int => asks(path, flags);
    readlink(path: *const c_char, into: *mut c_char, room: usize) -> isize => always(File);
    readlinkat(at: c_int, path: *const c_char, into: *mut c_char, room: usize) -> isize => always(File);
    __readlink_chk(path: *const c_char, into: *mut c_char, room: usize, size: usize) -> isize => always(File);
    __readlinkat_chk(at: c_int, path: *const c_char, into: *mut c_char, room: usize, size: usize) -> isize
        => always(File);
    realpath @ c"GLIBC_2.3" (path: *const c_char, into: *mut c_char) -> *mut c_char => always(File);
    __realpath_chk(path: *const c_char, into: *mut c_char, size: usize) -> *mut c_char => always(File);

    opendir(path: *const c_char) -> *mut DIR => always(File);
    fdopendir(fd: c_int) -> *mut DIR => always(File);
    readdir(directory: *mut DIR) -> *mut libc::dirent => always(File);
    readdir64(directory: *mut DIR) -> *mut libc::dirent64 => always(File);
    readdir_r(directory: *mut DIR, into: *mut libc::dirent, found: *mut *mut libc::dirent) -> c_int
        => always(File), absent libc::ENOSYS;
    readdir64_r(directory: *mut DIR, into: *mut libc::dirent64, found: *mut *mut libc::dirent64) -> c_int
        => always(File), absent libc::ENOSYS;
    scandir(path: *const c_char, found: *mut *mut *mut libc::dirent, choose: *const c_void, compare: *const c_void)
        -> c_int => always(File);
    scandir64(path: *const c_char, found: *mut *mut *mut libc::dirent64, choose: *const c_void,
        compare: *const c_void) -> c_int => always(File);
    glob @ c"GLIBC_2.27" (pattern: *const c_char, flags: c_int, on_error: *const c_void, found: *mut libc::glob_t)
        -> c_int => always(File);
    glob64 @ c"GLIBC_2.27" (pattern: *const c_char, flags: c_int, on_error: *const c_void,
        found: *mut libc::glob_t) -> c_int => always(File);
    ftw(path: *const c_char, each: *const c_void, descriptors: c_int) -> c_int => always(File);
    ftw64(path: *const c_char, each: *const c_void, descriptors: c_int) -> c_int => always(File);
    nftw @ c"GLIBC_2.3.3" (path: *const c_char, each: *const c_void, descriptors: c_int, flags: c_int) -> c_int
        => always(File);
    nftw64 @ c"GLIBC_2.3.3" (path: *const c_char, each: *const c_void, descriptors: c_int, flags: c_int) -> c_int
        => always(File);
    fts_open(paths: *const *mut c_char, options: c_int, compare: *const c_void) -> *mut c_void => always(File);
    fts_read(walk: *mut c_void) -> *mut c_void => always(File);
    chdir(path: *const c_char) -> c_int => always(File);
    fchdir(fd: c_int) -> c_int => always(File);
    mkdir(path: *const c_char, mode: mode_t) -> c_int => always(File);
    mkdirat(at: c_int, path: *const c_char, mode: mode_t) -> c_int => always(File);
    rmdir(path: *const c_char) -> c_int => always(File);

    unlink(path: *const c_char) -> c_int => always(File);
    unlinkat(at: c_int, path: *const c_char, flags: c_int) -> c_int => always(File);
    remove(path: *const c_char) -> c_int => always(File);
    rename(from: *const c_char, to: *const c_char) -> c_int => always(File);
    renameat(at: c_int, from: *const c_char, to_at: c_int, to: *const c_char) -> c_int => always(File);
    renameat2(at: c_int, from: *const c_char, to_at: c_int, to: *const c_char, flags: c_uint) -> c_int
        => always(File), absent libc::syscall(libc::SYS_renameat2, at, from, to_at, to, flags) as c_int;
    link(from: *const c_char, to: *const c_char) -> c_int => always(File);
    linkat(at: c_int, from: *const c_char, to_at: c_int, to: *const c_char, flags: c_int) -> c_int
        => always(File);
    symlink(target: *const c_char, path: *const c_char) -> c_int => always(File);
    symlinkat(target: *const c_char, at: c_int, path: *const c_char) -> c_int => always(File);
    mknod(path: *const c_char, mode: mode_t, device: dev_t) -> c_int => always(File),
        absent libc::syscall(libc::SYS_mknodat, AT_FDCWD, path, mode, device) as c_int;
    mknodat(at: c_int, path: *const c_char, mode: mode_t, device: dev_t) -> c_int => always(File),
        absent libc::syscall(libc::SYS_mknodat, at, path, mode, device) as c_int;
    mkfifo(path: *const c_char, mode: mode_t) -> c_int => always(File);
    mkfifoat(at: c_int, path: *const c_char, mode: mode_t) -> c_int => always(File);
    mount(source: *const c_char, path: *const c_char, kind: *const c_char, flags: c_ulong, data: *const c_void)
        -> c_int => always(File);
    umount(path: *const c_char) -> c_int => always(File);
    umount2(path: *const c_char, flags: c_int) -> c_int => always(File);

    chmod(path: *const c_char, mode: mode_t) -> c_int => always(File);
    fchmod(fd: c_int, mode: mode_t) -> c_int => always(File);
    fchmodat(at: c_int, path: *const c_char, mode: mode_t, flags: c_int) -> c_int => always(File);
    chown(path: *const c_char, user: uid_t, group: gid_t) -> c_int => always(File);
    lchown(path: *const c_char, user: uid_t, group: gid_t) -> c_int => always(File);
    fchown(fd: c_int, user: uid_t, group: gid_t) -> c_int => always(File);
    fchownat(at: c_int, path: *const c_char, user: uid_t, group: gid_t, flags: c_int) -> c_int => always(File);
    utimensat(at: c_int, path: *const c_char, times: *const timespec, flags: c_int) -> c_int => always(File);
    futimens(fd: c_int, times: *const timespec) -> c_int => always(File);
    utime(path: *const c_char, times: *const utimbuf) -> c_int => always(File);
    utimes(path: *const c_char, times: *const timeval) -> c_int => always(File);
    lutimes(path: *const c_char, times: *const timeval) -> c_int => always(File);
    futimes(fd: c_int, times: *const timeval) -> c_int => always(File);
    futimesat(at: c_int, path: *const c_char, times: *const timeval) -> c_int => always(File);

    getxattr(path: *const c_char, name: *const c_char, into: *mut c_void, room: usize) -> isize => always(File);
    lgetxattr(path: *const c_char, name: *const c_char, into: *mut c_void, room: usize) -> isize => always(File);
    fgetxattr(fd: c_int, name: *const c_char, into: *mut c_void, room: usize) -> isize => always(File);
    setxattr(path: *const c_char, name: *const c_char, value: *const c_void, size: usize, flags: c_int) -> c_int
        => always(File);
    lsetxattr(path: *const c_char, name: *const c_char, value: *const c_void, size: usize, flags: c_int) -> c_int
        => always(File);
    fsetxattr(fd: c_int, name: *const c_char, value: *const c_void, size: usize, flags: c_int) -> c_int
        => always(File);
    listxattr(path: *const c_char, into: *mut c_char, room: usize) -> isize => always(File);
    llistxattr(path: *const c_char, into: *mut c_char, room: usize) -> isize => always(File);
    flistxattr(fd: c_int, into: *mut c_char, room: usize) -> isize => always(File);
    removexattr(path: *const c_char, name: *const c_char) -> c_int => always(File);
    lremovexattr(path: *const c_char, name: *const c_char) -> c_int => always(File);
    fremovexattr(fd: c_int, name: *const c_char) -> c_int => always(File);

    truncate(path: *const c_char, length: off_t) -> c_int => always(File);
    truncate64(path: *const c_char, length: off_t) -> c_int => always(File);
    ftruncate(fd: c_int, length: off_t) -> c_int => always(File);
    ftruncate64(fd: c_int, length: off_t) -> c_int => always(File);
    fallocate(fd: c_int, mode: c_int, from: off_t, length: off_t) -> c_int => always(File);
    fallocate64(fd: c_int, mode: c_int, from: off_t, length: off_t) -> c_int => always(File);
    posix_fallocate(fd: c_int, from: off_t, length: off_t) -> c_int => always(File), absent libc::ENOSYS;
    posix_fallocate64(fd: c_int, from: off_t, length: off_t) -> c_int => always(File), absent libc::ENOSYS;
    fsync(fd: c_int) -> c_int => always(File);
    fdatasync(fd: c_int) -> c_int => always(File);
    sync() -> () => always(File);
    syncfs(fd: c_int) -> c_int => always(File);
    msync(start: *mut c_void, length: usize, flags: c_int) -> c_int => when(flags & libc::MS_SYNC != 0, File);
    sync_file_range(fd: c_int, from: off_t, length: off_t, flags: c_uint) -> c_int => always(File);
    name_to_handle_at(at: c_int, path: *const c_char, handle: *mut c_void, mount: *mut c_int, flags: c_int) -> c_int
        => asks(path, flags), absent libc::ENOSYS;
    inotify_add_watch(fd: c_int, path: *const c_char, mask: u32) -> c_int => always(File);
    flock(fd: c_int, operation: c_int) -> c_int
        => when(operation & (libc::LOCK_NB | libc::LOCK_UN) == 0, File);
    lockf(fd: c_int, command: c_int, length: off_t) -> c_int => when(command == libc::F_LOCK, File);
    lockf64(fd: c_int, command: c_int, length: off_t) -> c_int => when(command == libc::F_LOCK, File);
    fcntl(fd: c_int, command: c_int, argument: *mut c_void) -> c_int => when(locks(command), File);
    fcntl64(fd: c_int, command: c_int, argument: *mut c_void) -> c_int
        => when(locks(command), File), absent libc::fcntl(fd, command, argument);
}
