//! Looking up names and addresses.

use std::ffi::{c_char, c_int, c_uchar, c_void};

use libc::{EAI_FAIL, ENOSYS, addrinfo, hostent, sockaddr, socklen_t};

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
    res_query(name: *const c_char, class: c_int, kind: c_int, answer: *mut c_uchar, room: c_int) -> c_int
        => always(Lookup);
    res_search(name: *const c_char, class: c_int, kind: c_int, answer: *mut c_uchar, room: c_int) -> c_int
        => always(Lookup);
    __res_query(name: *const c_char, class: c_int, kind: c_int, answer: *mut c_uchar, room: c_int) -> c_int
        => always(Lookup);
    __res_search(name: *const c_char, class: c_int, kind: c_int, answer: *mut c_uchar, room: c_int) -> c_int
        => always(Lookup);
}
