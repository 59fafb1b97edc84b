//! Reading from C streams; libc reads their descriptors by calls of its own, which pass no wrapper.

use std::ffi::{c_char, c_int, c_uint, c_void};

use libc::FILE;

use super::super::Class::File;
use super::look::{always, reads, reads_stream};

wrap! {
    fread(into: *mut c_void, size: usize, count: usize, stream: *mut FILE) -> usize => reads_stream(stream);
    __fread_chk(into: *mut c_void, room: usize, size: usize, count: usize, stream: *mut FILE) -> usize
        => reads_stream(stream);
    fgets(into: *mut c_char, room: c_int, stream: *mut FILE) -> *mut c_char => reads_stream(stream);
    __fgets_chk(into: *mut c_char, size: usize, room: c_int, stream: *mut FILE) -> *mut c_char
        => reads_stream(stream);
    fgetc(stream: *mut FILE) -> c_int => reads_stream(stream);
    getc(stream: *mut FILE) -> c_int => reads_stream(stream);
    getw(stream: *mut FILE) -> c_int => reads_stream(stream);
    getchar() -> c_int => reads(libc::STDIN_FILENO);
    fgetwc(stream: *mut FILE) -> c_uint => reads_stream(stream);
    getwc(stream: *mut FILE) -> c_uint => reads_stream(stream);
    getwchar() -> c_uint => reads(libc::STDIN_FILENO);
    fgetws(into: *mut c_void, room: c_int, stream: *mut FILE) -> *mut c_void => reads_stream(stream);
    setmntent(path: *const c_char, mode: *const c_char) -> *mut FILE => always(File);
    getmntent(stream: *mut FILE) -> *mut c_void => reads_stream(stream);
    getutxent() -> *mut c_void => always(File);
    getutxid(wanted: *const c_void) -> *mut c_void => always(File);
    getutxline(wanted: *const c_void) -> *mut c_void => always(File);
    getline(line: *mut *mut c_char, room: *mut usize, stream: *mut FILE) -> isize => reads_stream(stream);
    getdelim(line: *mut *mut c_char, room: *mut usize, end: c_int, stream: *mut FILE) -> isize
        => reads_stream(stream);
    __getdelim(line: *mut *mut c_char, room: *mut usize, end: c_int, stream: *mut FILE) -> isize
        => reads_stream(stream);
}
