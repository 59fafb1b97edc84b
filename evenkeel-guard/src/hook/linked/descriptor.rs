//! Transfers by descriptor, and sockets.

use std::ffi::{c_int, c_uint, c_void};

use libc::{iovec, mmsghdr, msghdr, off_t, sockaddr, socklen_t, timespec};

use super::look::{Finding, connects, reads, transfers, writes};

/// A read or write that may take only what is there at once.
fn unless_at_once(flags: c_int, finding: impl FnOnce() -> Finding) -> Finding {
    if flags & libc::RWF_NOWAIT != 0 { None } else { finding() }
}

/// The same for what moves data through pipes.
fn unless_it_only_tries(flags: c_uint, finding: impl FnOnce() -> Finding) -> Finding {
    if flags & libc::SPLICE_F_NONBLOCK != 0 { None } else { finding() }
}

wrap! {
    read(fd: c_int, into: *mut c_void, length: usize) -> isize => reads(fd);
    __read_chk(fd: c_int, into: *mut c_void, length: usize, size: usize) -> isize => reads(fd);
    readv(fd: c_int, into: *const iovec, count: c_int) -> isize => reads(fd);
    pread(fd: c_int, into: *mut c_void, length: usize, from: off_t) -> isize => reads(fd);
    pread64(fd: c_int, into: *mut c_void, length: usize, from: off_t) -> isize => reads(fd);
    __pread_chk(fd: c_int, into: *mut c_void, length: usize, from: off_t, size: usize) -> isize => reads(fd);
    __pread64_chk(fd: c_int, into: *mut c_void, length: usize, from: off_t, size: usize) -> isize => reads(fd);
    preadv(fd: c_int, into: *const iovec, count: c_int, from: off_t) -> isize => reads(fd);
    preadv64(fd: c_int, into: *const iovec, count: c_int, from: off_t) -> isize => reads(fd);
    preadv2(fd: c_int, into: *const iovec, count: c_int, from: off_t, flags: c_int) -> isize
        => unless_at_once(flags, || reads(fd));
    preadv64v2(fd: c_int, into: *const iovec, count: c_int, from: off_t, flags: c_int) -> isize
        => unless_at_once(flags, || reads(fd));
    write(fd: c_int, data: *const c_void, length: usize) -> isize => writes(fd);
    writev(fd: c_int, data: *const iovec, count: c_int) -> isize => writes(fd);
    pwrite(fd: c_int, data: *const c_void, length: usize, to: off_t) -> isize => writes(fd);
    pwrite64(fd: c_int, data: *const c_void, length: usize, to: off_t) -> isize => writes(fd);
    pwritev(fd: c_int, data: *const iovec, count: c_int, to: off_t) -> isize => writes(fd);
    pwritev64(fd: c_int, data: *const iovec, count: c_int, to: off_t) -> isize => writes(fd);
    pwritev2(fd: c_int, data: *const iovec, count: c_int, to: off_t, flags: c_int) -> isize
        => unless_at_once(flags, || writes(fd));
    pwritev64v2(fd: c_int, data: *const iovec, count: c_int, to: off_t, flags: c_int) -> isize
        => unless_at_once(flags, || writes(fd));
    copy_file_range(from: c_int, from_at: *mut off_t, to: c_int, to_at: *mut off_t, length: usize, flags: c_uint)
        -> isize => reads(from).or_else(|| writes(to)),
        absent libc::syscall(libc::SYS_copy_file_range, from, from_at, to, to_at, length, flags) as isize;
    sendfile(to: c_int, from: c_int, from_at: *mut off_t, length: usize) -> isize
        => reads(from).or_else(|| writes(to));
    sendfile64(to: c_int, from: c_int, from_at: *mut off_t, length: usize) -> isize
        => reads(from).or_else(|| writes(to));
    splice(from: c_int, from_at: *mut off_t, to: c_int, to_at: *mut off_t, length: usize, flags: c_uint) -> isize
        => unless_it_only_tries(flags, || reads(from).or_else(|| writes(to)));
    tee(from: c_int, to: c_int, length: usize, flags: c_uint) -> isize
        => unless_it_only_tries(flags, || reads(from).or_else(|| writes(to)));
    vmsplice(fd: c_int, data: *const iovec, count: usize, flags: c_uint) -> isize
        => unless_it_only_tries(flags, || writes(fd));

    eventfd_read(fd: c_int, value: *mut u64) -> c_int => reads(fd);
    tcdrain(fd: c_int) -> c_int => writes(fd);

    connect(fd: c_int, to: *const sockaddr, size: socklen_t) -> c_int => connects(fd);
    accept(fd: c_int, peer: *mut sockaddr, size: *mut socklen_t) -> c_int => connects(fd);
    accept4(fd: c_int, peer: *mut sockaddr, size: *mut socklen_t, flags: c_int) -> c_int => connects(fd);
    recv(fd: c_int, into: *mut c_void, length: usize, flags: c_int) -> isize => transfers(fd, flags);
    __recv_chk(fd: c_int, into: *mut c_void, length: usize, size: usize, flags: c_int) -> isize
        => transfers(fd, flags);
    recvfrom(fd: c_int, into: *mut c_void, length: usize, flags: c_int, peer: *mut sockaddr,
        size: *mut socklen_t) -> isize => transfers(fd, flags);
    __recvfrom_chk(fd: c_int, into: *mut c_void, length: usize, room: usize, flags: c_int, peer: *mut sockaddr,
        size: *mut socklen_t) -> isize => transfers(fd, flags);
    recvmsg(fd: c_int, message: *mut msghdr, flags: c_int) -> isize => transfers(fd, flags);
    recvmmsg(fd: c_int, messages: *mut mmsghdr, count: c_uint, flags: c_int, timeout: *mut timespec) -> c_int
        => transfers(fd, flags);
    send(fd: c_int, data: *const c_void, length: usize, flags: c_int) -> isize => transfers(fd, flags);
    sendto(fd: c_int, data: *const c_void, length: usize, flags: c_int, to: *const sockaddr, size: socklen_t)
        -> isize => transfers(fd, flags);
    sendmsg(fd: c_int, message: *const msghdr, flags: c_int) -> isize => transfers(fd, flags);
    sendmmsg(fd: c_int, messages: *mut mmsghdr, count: c_uint, flags: c_int) -> c_int => transfers(fd, flags);
}
