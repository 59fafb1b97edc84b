//! Looking up names and addresses, and the users and groups of the system: files, or a directory server.

use std::ffi::{c_char, c_int, c_uchar, c_void};

use libc::{EAI_FAIL, ENOSYS, addrinfo, gid_t, group, hostent, passwd, servent, sockaddr, socklen_t, uid_t};

use super::super::Class::Lookup;
use super::look::always;

wrap! {
    getaddrinfo(host: *const c_char, service: *const c_char, hints: *const addrinfo, found: *mut *mut addrinfo)
        -> c_int => always(Lookup), absent EAI_FAIL;
    getnameinfo(address: *const sockaddr, size: socklen_t, host: *mut c_char, host_room: socklen_t,
        service: *mut c_char, service_room: socklen_t, flags: c_int) -> c_int => always(Lookup), absent EAI_FAIL;
    gethostbyname(host: *const c_char) -> *mut hostent => always(Lookup);
    gethostbyname2(host: *const c_char, family: c_int) -> *mut hostent => always(Lookup);
    gethostbyaddr(address: *const c_void, size: socklen_t, family: c_int) -> *mut hostent => always(Lookup);
    gethostbyname_r(host: *const c_char, entry: *mut hostent, into: *mut c_char, room: usize,
        found: *mut *mut hostent, code: *mut c_int) -> c_int => always(Lookup), absent ENOSYS;
    gethostbyname2_r(host: *const c_char, family: c_int, entry: *mut hostent, into: *mut c_char, room: usize,
        found: *mut *mut hostent, code: *mut c_int) -> c_int => always(Lookup), absent ENOSYS;
    gethostbyaddr_r(address: *const c_void, size: socklen_t, family: c_int, entry: *mut hostent,
        into: *mut c_char, room: usize, found: *mut *mut hostent, code: *mut c_int) -> c_int
        => always(Lookup), absent ENOSYS;
    getnetbyname(name: *const c_char) -> *mut c_void => always(Lookup);
    getnetbyaddr(net: u32, family: c_int) -> *mut c_void => always(Lookup);
    getprotobyname(name: *const c_char) -> *mut c_void => always(Lookup);
    getprotobynumber(number: c_int) -> *mut c_void => always(Lookup);
    res_query(name: *const c_char, class: c_int, kind: c_int, answer: *mut c_uchar, room: c_int) -> c_int
        => always(Lookup);
    res_search(name: *const c_char, class: c_int, kind: c_int, answer: *mut c_uchar, room: c_int) -> c_int
        => always(Lookup);
    __res_query(name: *const c_char, class: c_int, kind: c_int, answer: *mut c_uchar, room: c_int) -> c_int
        => always(Lookup);
    __res_search(name: *const c_char, class: c_int, kind: c_int, answer: *mut c_uchar, room: c_int) -> c_int
        => always(Lookup);

    getpwnam(name: *const c_char) -> *mut passwd => always(Lookup);
    getpwuid(user: uid_t) -> *mut passwd => always(Lookup);
    getgrnam(name: *const c_char) -> *mut group => always(Lookup);
    getgrgid(number: gid_t) -> *mut group => always(Lookup);
    getpwnam_r(name: *const c_char, entry: *mut passwd, into: *mut c_char, room: usize, found: *mut *mut passwd)
        -> c_int => always(Lookup), absent ENOSYS;
    getpwuid_r(user: uid_t, entry: *mut passwd, into: *mut c_char, room: usize, found: *mut *mut passwd) -> c_int
        => always(Lookup), absent ENOSYS;
    getgrnam_r(name: *const c_char, entry: *mut group, into: *mut c_char, room: usize, found: *mut *mut group)
        -> c_int => always(Lookup), absent ENOSYS;
    getgrgid_r(number: gid_t, entry: *mut group, into: *mut c_char, room: usize, found: *mut *mut group) -> c_int
        => always(Lookup), absent ENOSYS;
    getpwent() -> *mut passwd => always(Lookup);
    getgrent() -> *mut group => always(Lookup);
    getgrouplist(user: *const c_char, own: gid_t, into: *mut gid_t, count: *mut c_int) -> c_int => always(Lookup);
    initgroups(user: *const c_char, own: gid_t) -> c_int => always(Lookup);
    getservbyname(name: *const c_char, protocol: *const c_char) -> *mut servent => always(Lookup);
    getservbyport(port: c_int, protocol: *const c_char) -> *mut servent => always(Lookup);
}
